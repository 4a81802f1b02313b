"""What a page and the screen show of a validation: domains that pass or fail, and every value that the model misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanomg.formatting import format_number, percent, span
from nanomg.page.blocks import Block, Caution, Cell, Folded, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader

_VALIDATES = "validate"
_USES = {_VALIDATES: "validation", "calibrate": "calibration", "look": "not scored"}

NO_ROW, UNSCORED = "no validation data", "directions and bounds only"
_VERDICTS = {True: "passes", False: "FAILS", None: UNSCORED}
_MANY = 5  # rows; where a domain passes with fewer, its verdict says so

_KEYS, _SHARES = ("gmfe", "allowed", "noise_floor"), ("within_1_25", "within_2", "within_2sd")
_WITHIN = "≤\N{NO-BREAK SPACE}1.25", "≤\N{NO-BREAK SPACE}2", "±\N{NO-BREAK SPACE}2\N{NO-BREAK SPACE}SD"


def verdict_of(entry: Mapping[str, Any]) -> str:
    """What the validation rows of a domain come to, in words; nothing of calibration rows."""
    if entry["use"] != _VALIDATES:
        return ""
    if not entry["n"]:
        return NO_ROW
    few = " (few)" if entry["stands"] and entry["n"] < _MANY else ""
    return _VERDICTS[entry["stands"]] + few


def sentence(result: ResultReader) -> str:
    """How many domains pass, and how many held-out values are missed."""
    domains = _validating(result)
    scored = [d for d in domains if d.get("stands") is not None]
    passing = (
        f"{sum(d['stands'] for d in scored)} of {len(scored)} scored domains pass" if scored else "No domain is scored"
    )
    missed, count = _missed_of(result, domains)
    return f"{passing}. Of {count} published values held out for validation, the model misses {missed}."


def _validating(result: ResultReader) -> list[Mapping[str, Any]]:
    """The entries of domains for their validation rows."""
    return [d for d in result.at("domains") or () if d["use"] == _VALIDATES]


def _missed_of(result: ResultReader, domains: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How many of the validation rows are missed, and how many there are."""
    missed = sum(row["use"] == _VALIDATES for row in result.at("misses") or ())
    return missed, sum(d["n"] for d in domains)


def blocks(result: ResultReader) -> Iterator[Block]:
    """The scores of each domain, and the rows that are missed."""
    signs = result.at("signs") or {}
    entries = list(enumerate(result.at("domains") or []))
    missed, count = _missed_of(result, _validating(result))
    tiles = [Tile("published values held out for validation that the model misses", Cell(f"{missed} of {count}"))]
    if signs.get("n"):
        right = result.cell("signs", "right")
        tiles.append(Tile("directions right", right._replace(text=f"{right.text} of {signs['n']}")))
    yield Tiles(tiles, on_screen=False)
    yield Text(_counted(result), "note")
    validating = [(i, d) for i, d in entries if d["use"] == _VALIDATES and d["n"]]
    yield _scores(result, validating, "Validation")
    yield _scores(result, [(i, d) for i, d in entries if d["use"] != _VALIDATES], "Calibration")
    for verdict in (UNSCORED, NO_ROW):
        if names := [d["name"] for d in _validating(result) if verdict_of(d) == verdict]:
            yield Text(f"{verdict.capitalize()}: {', '.join(names)}", "note")
    if signs.get("n"):
        yield Text(f"Directions: {signs.get('right')} of {signs['n']} right", "note")
    yield Text(
        "GMFE: geometric mean fold error; limit: GMFE at most; floor: GMFE between studies; then percent of rows with a fold error "
        f"of at most 1.25 and 2, and within 2 SD; few: fewer than {_MANY} rows",
        "note",
    )
    for key, title, on_screen in (("misses", "Misses", True), ("looks", "Rows that are not scored", False)):
        if rows := [_row(result, key, i, row) for i, row in enumerate(result.at(key) or [])]:
            headers = ("quantity", "domain", "use", "predicted", "observed", "range", "unit", "fold", "source", "why")
            yield Folded(f"{title}: {len(rows)}", [Table(headers, "pllrrlurlp", rows)], on_screen)


def _counted(result: ResultReader) -> str:
    counts = list((result.at("rows") or {}).values())
    total = {use: sum(rows.get(use, 0) for rows in counts) for use in _USES}
    uses = ", ".join(f"{count} for {_USES[use]}" for use, count in total.items() if use != "look")
    return f"{sum(total.values())} published values in {len(counts)} domains: {uses}, {total['look']} not scored"


def _scores(result: ResultReader, entries: Sequence[tuple[int, Mapping[str, Any]]], title: str) -> Table:
    keys = _KEYS if entries and entries[0][1]["use"] == _VALIDATES else ("gmfe", "noise_floor")
    rows = [
        (
            Cell(d.get("title", d["name"]), name=d["name"]),
            result.cell("domains", i, "n"),
            *(result.cell("domains", i, key, digits=3) if key in keys else "" for key in _KEYS),
            *(_share(result, i, key) for key in _SHARES),
            _state(d),
        )
        for i, d in entries
    ]
    return Table(("", "rows", "GMFE", "limit", "floor", *_WITHIN, ""), "prrrrrrrl", rows, title)


def _share(result: ResultReader, i: int, key: str) -> Cell:
    cell = result.cell("domains", i, key)
    return cell._replace(text=percent(cell.value).removesuffix(" %"))


def _state(d: Mapping[str, Any]) -> str:
    verdict = "" if d.get("stands") is None else verdict_of(d)
    return f"{verdict} ({d['failed']} failed)".strip() if d.get("failed") else verdict


def _row(result: ResultReader, key: str, i: int, row: Mapping[str, Any]) -> Sequence[Any]:
    ends = span(row.get("low"), row.get("high")) if None not in (row.get("low"), row.get("high")) else ""
    return (
        row["quantity"],
        row["domain"],
        _USES.get(row["use"], row["use"]),
        *(result.cell(key, i, which, digits=3) for which in ("predicted", "observed")),
        ends,
        row["unit"],
        result.cell(key, i, "fold", digits=3),
        " ".join(filter(None, (row.get("source"), row.get("place")))),
        row.get("reason") or "",
    )


def changes(result: ResultReader) -> Iterator[str]:
    """What would make domains pass, which data are missing, and the largest misses."""
    domains = _validating(result)
    for d in domains:
        if d.get("stands") is False:
            errors = f"{format_number(d['allowed'], 3)} instead of {format_number(d['gmfe'], 3)}"
            yield f"{d['title']} would pass with a mean fold error of {errors}."
    for verdict, wanted in (
        (NO_ROW, "Published values for domains without validation data"),
        (UNSCORED, "Published sizes for domains that have only directions and bounds"),
    ):
        if titles := [d["title"] for d in domains if verdict_of(d) == verdict]:
            yield f"{wanted}: {'; '.join(titles)}."
    for m in sorted((m for m in result.at("misses") or () if m.get("fold")), key=lambda m: -m["fold"])[:3]:
        why = f": {m['reason']}" if m.get("reason") else ""
        yield f"Among the largest misses: {m['quantity']} ({m['domain']}), off by a factor of {format_number(m['fold'], 3)}{why}."


def warnings(result: ResultReader) -> Iterator[Caution]:
    """Domains that fail, and rows without a prediction."""
    for d in result.at("domains") or ():
        if d.get("failed"):
            yield Caution(f"In {d['title']} {d['failed']} rows could not be predicted.")
        if d.get("stands") is False:
            errors = f"mean fold error {format_number(d['gmfe'], 3)}, allowed {format_number(d['allowed'], 3)}"
            yield Caution(f"{d['title']} fails: {errors}.")


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared."""
    for entry in result.summary["domains"]:
        for key, text in {"gmfe": "GMFE", "within_2": "within 2", "n": "rows"}.items():
            yield Quantity(f"{entry['use']}d rows", entry["name"], text, "1"), entry[key]
