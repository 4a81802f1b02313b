"""Answer of a validation: domains that pass or fail, misses, and comparable quantities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nanomg.formatting import format_number, percent, span
from nanomg.page.blocks import Cell, Folded, Table, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader

if TYPE_CHECKING:
    pass

_JUDGES = "validate"
_USES = {_JUDGES: "kept aside", "calibrate": "fitted", "look": "looked at"}


def _validation_sentence(facts: ResultReader) -> str:
    domains = _judging(facts)
    judged = [d for d in domains if d.get("stands") is not None]
    stands = (
        f"{sum(d['stands'] for d in judged)} of {len(judged)} domains that are judged stand"
        if judged
        else "No domain is judged"
    )
    missed, count = _missed_of(facts, domains)
    return f"{stands}: the model against {count} published numbers kept aside to judge it, of which it misses {missed}."


def _judging(facts: ResultReader) -> list[Mapping[str, Any]]:
    """The entries of domains for their rows that judge the model."""
    return [d for d in facts.at("domains") or () if d["use"] == _JUDGES]


def _missed_of(facts: ResultReader, domains: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How many of the rows that judge the model are missed, and how many there are."""
    missed = sum(row["use"] == _JUDGES for row in facts.at("misses") or ())
    return missed, sum(d["n"] for d in domains)


def _validation(facts: ResultReader) -> Iterator[Any]:
    signs = facts.at("signs") or {}
    domains = list(enumerate(facts.at("domains") or []))
    judged = [(i, d) for i, d in domains if d["use"] == _JUDGES]
    missed, count = _missed_of(facts, [d for _, d in judged])
    tiles = [Tile("published numbers kept aside are missed", Cell(f"{missed} of {count}"))]
    if signs.get("n"):
        right = facts.cell("signs", "right")
        tiles.append(Tile("directions right", right._replace(text=f"{right.text} of {signs['n']}")))
    yield Tiles(tiles)
    headers = (
        "domain",
        "rows",
        "mean fold error",
        "allowed",
        "between studies",
        "≤\N{NO-BREAK SPACE}1.25",
        "≤\N{NO-BREAK SPACE}2",
        "in spread",
        "verdict",
    )
    keys = ("gmfe", "allowed", "noise_floor")
    shares = ("within_1_25", "within_2", "within_2sd")
    for chosen, title in (
        (judged, "Numbers kept aside to judge the model"),
        ([r for r in domains if r not in judged], "Numbers that values were fitted to or chosen by"),
    ):
        rows = [
            (
                Cell(d.get("title", d["name"]), note=d["name"]),
                facts.cell("domains", i, "n"),
                *(facts.cell("domains", i, key, digits=3) for key in keys),
                *(Cell(percent(d.get(key)), d.get(key), f"domains/{i}/{key}") for key in shares),
                verdict_of(d),
            )
            for i, d in chosen
        ]
        if rows:
            yield Table(headers, "prrrrrrrl", rows, title)
    listed = ("quantity", "domain", "use", "predicted", "observed", "range", "unit", "fold error", "source", "why")
    for key, title in (("misses", "Every miss"), ("looks", "Rows that are looked at only, and judge nothing")):
        if found := [_missed(facts, key, i, row) for i, row in enumerate(facts.at(key) or [])]:
            yield Folded(f"{title}: {len(found)}", [Table(listed, "pllrrlurlp", found)])


def _missed(facts: ResultReader, key: str, i: int, row: Mapping[str, Any]) -> Sequence[Any]:
    numbers = [facts.cell(key, i, which, digits=3) for which in ("predicted", "observed")]
    ends = span(row.get("low"), row.get("high")) if None not in (row.get("low"), row.get("high")) else ""
    source = " ".join(filter(None, (row.get("source"), row.get("place"))))
    return (
        row["quantity"],
        row["domain"],
        _USES.get(row["use"], row["use"]),
        *numbers,
        ends,
        row["unit"],
        facts.cell(key, i, "fold", digits=3),
        source,
        row.get("reason") or "",
    )


def _of_validation(found: Mapping[str, Any]) -> Numbers:
    for entry in found["domains"]:
        for key, text in {"gmfe": "GMFE", "within_2": "within 2", "n": "rows"}.items():
            yield Quantity(f"{entry['use']}d rows", entry["name"], text, "1"), entry[key]


def _of_domains(facts: ResultReader) -> Iterator[str]:
    domains = [d for d in facts.at("domains") or () if d.get("use") == "validate"]
    for d in domains:
        if d.get("stands") is False:
            errors = f"{format_number(d['allowed'], 3)} in place of {format_number(d['gmfe'], 3)}"
            yield f"{d['title']} would stand with a mean fold error of {errors}."
    for verdict, wanted in (
        (NO_ROW, "Published numbers for what nothing judges yet"),
        (UNJUDGED, "Published sizes for what directions and bounds alone judge"),
    ):
        if titles := [d["title"] for d in domains if verdict_of(d) == verdict]:
            yield f"{wanted}: {'; '.join(titles)}."
    for m in sorted((m for m in facts.at("misses") or () if m.get("fold")), key=lambda m: -m["fold"])[:3]:
        why = f": {m['reason']}" if m.get("reason") else ""
        yield f"Among the largest misses: {m['quantity']} ({m['domain']}), off by a factor of {format_number(m['fold'], 3)}{why}."


NO_ROW, UNJUDGED = "no validated row", "directions and bounds only"
_VERDICTS = {True: "stands", False: "FALLS SHORT", None: UNJUDGED}
_MANY = 5  # rows; where a domain stands on fewer, its verdict says on how many


def verdict_of(entry: Mapping[str, Any]) -> str:
    """What the validated rows of a domain come to, in words; nothing of calibrated ones."""
    if entry["use"] != "validate":
        return ""
    if not entry["n"]:
        return NO_ROW
    few = f" on {entry['n']} row{'s' if entry['n'] > 1 else ''}" if entry["stands"] and entry["n"] < _MANY else ""
    return _VERDICTS[entry["stands"]] + few
