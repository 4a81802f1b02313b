"""What frames an answer: what was asked, the sources of what was used, and how to get it again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nanomg import units
from nanomg.formatting import format_number
from nanomg.page.blocks import Cell, CodeBlock, Folded, Table, Text, number_cell
from nanomg.page.result import ResultReader
from nanomg.results import kinds

_JOBS = {
    kinds.SIMULATE: "A simulation",
    kinds.OPTIMIZE: "A search for the best regimen",
    kinds.SWEEP: "A sweep over many trajectories",
    kinds.VALIDATE: "A comparison of the model with published numbers",
    kinds.CALIBRATE: "A fit of a card's values to data",
    kinds.FEASIBILITY: "Draws from everything that the cards hold possible",
    kinds.SENSITIVITY: "How outputs change with every value that goes into them",
}


# ---------------------------------------------------------------- what was asked
def asked(facts: ResultReader) -> Iterator[Any]:
    """The settings of the job, and for a search what it was to do."""
    file = facts.file
    rows: list[Any]
    yield Table(("", ""), "lp", list(_settings(facts)))
    if objective := file.get("objective") if facts.kind == kinds.OPTIMIZE else None:
        rows = [
            (
                name,
                str(term.get("statistic", "")),
                facts.name(str(term.get("signal") or term.get("cmt"))),
                number_cell(term.get("weight")),
            )
            for name, term in objective.items()
        ]
        yield Table(("term of the objective", "statistic", "of", "weight"), "plpr", rows, "To be made small")
    if limits := file.get("limit") if facts.kind in (kinds.SIMULATE, kinds.OPTIMIZE) else None:
        rows = [
            (str(each.get("name", "")), facts.name(str(each.get("signal"))), str(each.get("max"))) for each in limits
        ]
        yield Table(("limit", "on", "at most"), "ppr", rows, "To be kept")
    if free := file.get("free") if facts.kind == kinds.OPTIMIZE else None:
        rows = [
            (
                facts.name(str(f.get("cmt"))),
                *(_range(f.get(k)) for k in ("amount", "time")),
                str(f.get("interval", "")),
                str(f.get("total", "")),
            )
            for f in free
        ]
        yield Table(("free to choose", "amount", "time", "at least apart", "in all at most"), "pllrr", rows)
    if not facts.config:
        yield Text("The file does not say what was asked for.", "note")


def _range(ends: Any) -> str:
    return " to ".join(map(str, ends)) if isinstance(ends, list) else ""


def _settings(facts: ResultReader) -> Iterator[tuple[str, Cell | str]]:
    file, config = facts.file, facts.config
    yield "job", _JOBS.get(facts.kind, "unknown")
    if scenario := config.get("scenario") or facts.at("scenario"):
        yield "scenario", Cell(str(facts.at("title") or file.get("title") or scenario), note=str(scenario))
    if species := file.get("species"):
        yield "species", str(species)
    if horizon := file.get("horizon"):
        yield "time looked at", _horizon(str(horizon), config.get("horizon_h"))
    for dose in file.get("dose", ()) if not (config.get("dose") or "events" in config) else ():
        if "text" in dose:
            yield (
                "given",
                Cell(
                    f"{facts.glossary.get(dose.get('cmt'), dose.get('cmt'))}: {dose['text']}", note=str(dose.get("cmt"))
                ),
            )
    for text in config.get("dose", ()):
        yield "given instead of the scenario's doses", str(text)
    for name, value in config.get("set", {}).items():
        yield "set for this run", Cell(f"{facts.glossary.get(name, name)} = {value}", note=name)
    if events := facts.at("events"):
        yield "event table", str(events)
    sweep = config.get("request", config.get("sweep", {}))  # files of schema 1 have the latter
    for axis in sweep.get("vary", ()):
        yield "varied", str(axis)
    if sweep.get("subjects"):
        yield "virtual subjects", f"{sweep['subjects']:,}, {sweep.get('population') or 'each parameter by its card'}"
    for keep in sweep.get("keep", ()):
        yield "kept", str(keep)
    for key, text in (
        ("draws", "draws"),
        ("samples", "base samples"),
        ("over", "ranges of"),
        ("study", "study"),
        ("card", "card"),
    ):
        if config.get(key) is not None:
            yield text, str(config[key])
    if runs := config.get("runs"):
        yield "runs", f"{len(runs)}, in {len({name.partition('/')[0] for name in runs})} domains"


def _horizon(written: str, hours: float | None) -> str:
    """The horizon of the scenario, or the shorter one of a run [h] beside it."""
    if hours is None or math.isclose(hours, units.parse_quantity(written, "h"), rel_tol=1e-9):
        return written
    return f"the first {format_number(hours)} h of the scenario's {written}"


# ---------------------------------------------------------------- on what it rests
def sources(facts: ResultReader) -> Iterator[Any]:
    """The sources of what was used, readable, and as BibTeX."""
    keys = sorted(set(_keys(facts)))
    if not keys:
        return
    known = [key for key in keys if key in facts.library.references]
    yield Table(("key", "source"), "lp", [(key, _reference(facts.library.references.get(key, ""))) for key in keys])
    if known:
        yield Folded("As BibTeX", [CodeBlock("\n".join(facts.library.references[key] for key in known))])


def _keys(facts: ResultReader) -> Iterator[str]:
    for p in facts.parameters:
        yield from _split(p.get("source", ""))
    if (rows := facts.group("rows")) is not None and "source" in rows:
        for source in rows["source"].values:
            yield from _split(str(source))
    yield from _split(str(facts.at("source") or ""))


def _split(source: str) -> Iterator[str]:
    yield from filter(None, (part.strip() for part in source.split(",")))


def _reference(entry: str) -> str:
    """A BibTeX entry as a reader writes it; empty text where the library has none."""
    fields = dict(re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", entry, re.MULTILINE))
    clean = {key: re.sub(r"[{}\\]", "", value).strip() for key, value in fields.items()}
    author, year = (
        clean.get("author", "").replace(" and others", " et al.").replace(" and ", ", "),
        clean.get("year", ""),
    )
    first = f"{author} ({year})" if author and year else author or year
    parts = (
        first,
        clean.get("title"),
        clean.get("journal") or clean.get("publisher"),
        clean.get("note"),
        clean.get("doi"),
    )
    return ". ".join(part.rstrip(".") for part in parts if part) + "." if fields else "not in this library"


# ---------------------------------------------------------------- how to repeat it
def again(facts: ResultReader) -> Iterator[Any]:
    """The command, what it ran on, and the whole configuration."""
    made, _, command = facts.attribute("history").partition(" ")
    if command:
        yield CodeBlock(command)
    entries = {
        "made": made or facts.attribute("date_created"),
        "seed": facts.attribute("rng_seed"),
        "configuration (SHA-256)": facts.attribute("config_hash"),
        "equations (SHA-256)": facts.attribute("model_hash"),
        "precision": facts.attribute("dtype"),
        "device": facts.attribute("device"),
        "file": facts.attribute("id"),
        "schema": facts.attribute("nanomg_schema_version"),
    }
    try:
        versions = json.loads(facts.attribute("package_versions_json") or "{}")
    except ValueError:
        versions = {}
    entries["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Table(("", ""), "lp", [(name, text) for name, text in entries.items() if text])
    if facts.config:
        short = _shortened(facts.config)
        title = "The whole configuration" if short == facts.config else "The configuration, without what is long in it"
        yield Folded(title, [CodeBlock(_written(short))])


_ITEMS, _LETTERS = 20, 1000  # of a list and of a text of the configuration that are shown


def _shortened(value: Any) -> Any:
    """A configuration with only the beginning of long lists and texts, which say how much is left out."""
    if isinstance(value, Mapping):
        return {key: _shortened(entry) for key, entry in value.items()}
    if isinstance(value, list):
        left = [f"… and {len(value) - _ITEMS:,} more, which the file holds"] if len(value) > _ITEMS else []
        return [*map(_shortened, value[:_ITEMS]), *left]
    if isinstance(value, str) and len(value) > _LETTERS:
        return f"{value[:_LETTERS]}… and {len(value) - _LETTERS:,} more characters, which the file holds"
    return value


def _written(value: Any, indent: str = "") -> str:
    """JSON with a line for each entry of a table and each table of a list."""
    inner = indent + " "
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{_json(key)}: {_written(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        return "[\n" + ",\n".join(inner + _written(entry, inner) for entry in value) + f"\n{indent}]"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
