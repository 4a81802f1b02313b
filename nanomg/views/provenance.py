"""What frames an answer: what was asked, the sources of what was used, and how to get it again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nanomg import jobs, units
from nanomg.formatting import format_number
from nanomg.page import event_tables
from nanomg.page.blocks import Cell, CodeBlock, Folded, Table, Text
from nanomg.page.result import ResultReader


# ---------------------------------------------------------------- what was asked
def asked(result: ResultReader) -> Iterator[Any]:
    """The settings of the job, and for a search what it was to do."""
    yield Table(("", ""), "lp", list(_settings(result)))
    job = jobs.maker(result.tree)
    yield from job.about("asked", result) if job is not None else ()
    if not result.config:
        yield Text("The file does not contain the settings.", "note")


def _settings(result: ResultReader) -> Iterator[tuple[str, Cell | str]]:
    file, config = result.file, result.config
    job = jobs.maker(result.tree)
    yield "job", job.describes if job is not None else "unknown"
    if scenario := config.get("scenario") or result.at("scenario"):
        yield "scenario", Cell(str(result.at("title") or file.get("title") or scenario), name=str(scenario))
    if species := file.get("species"):
        yield "species", str(species)
    if horizon := file.get("horizon"):
        yield "simulated period", _horizon(str(horizon), config.get("horizon_h"))
    for dose in file.get("dose", ()) if not (config.get("dose") or "events" in config) else ():
        yield "given", _dose(result, {key.lower(): value for key, value in dose.items()})
    for text in config.get("dose", ()):  # files of schema 1
        yield "replaces the scenario's doses", str(text)
    for name, value in config.get("set", {}).items():
        yield "set for this run", Cell(f"{result.glossary.get(name, name)} = {value}", name=name)
    table = config.get("events", {})
    if events := result.at("events") or table.get("name"):
        yield "event table", f"{events}, subject {table['subject']}" if table.get("subject") else str(events)
    for items in event_tables.notes(result):
        yield from (("", note) for note in items.items)
    sweep = config.get("request", config.get("sweep", {}))  # files of schema 1 have the latter
    for axis in sweep.get("vary", ()):
        yield "varied", str(axis)
    if sweep.get("subjects"):
        yield "virtual subjects", f"{sweep['subjects']:,}, {sweep.get('population') or 'each parameter by its card'}"
    for keep in sweep.get("keep", ()):
        yield "kept", str(keep)
    for key, text in (
        ("draws", "samples"),
        ("samples", "base samples"),
        ("over", "ranges of"),
        ("study", "study"),
        ("card", "card"),
    ):
        if config.get(key) is not None:
            yield text, str(config[key])
    if runs := config.get("runs"):
        yield "runs", f"{len(runs)}, in {len({name.partition('/')[0] for name in runs})} domains"


def _dose(result: ResultReader, table: Mapping[str, Any]) -> Cell | str:
    """A `[[dose]]` table in one line: what goes where, then the rest of its columns as written."""
    columns = [f"{key} = {value}" for key, value in table.items() if key not in ("cmt", "text", "evid")]
    resets = ["reset"] if table.get("evid") in (3, 4) else []
    how = ", ".join([*([str(table["text"])] if "text" in table else []), *columns, *resets])
    if "cmt" not in table:
        return how
    name = str(table["cmt"])
    return Cell(f"{result.glossary.get(name, name)}: {how}", name=name)


def _horizon(written: str, hours: float | None) -> str:
    """The horizon of the scenario, or the shorter one of a run [h] beside it."""
    if hours is None or math.isclose(hours, units.parse_quantity(written, "h"), rel_tol=1e-9):
        return written
    return f"the first {format_number(hours)} h of the scenario's {written}"


# ---------------------------------------------------------------- on what it rests
def sources(result: ResultReader) -> Iterator[Any]:
    """The sources of what was used, readable, and as BibTeX."""
    keys = sorted(set(_keys(result)))
    if not keys:
        return
    references = result.library.references if result.library is not None else {}
    known = [key for key in keys if key in references]
    yield Table(("key", "source"), "lp", [(key, _reference(references.get(key, ""))) for key in keys])
    if known:
        yield Folded("As BibTeX", [CodeBlock("\n".join(references[key] for key in known))])


def _keys(result: ResultReader) -> Iterator[str]:
    for p in result.parameters:
        yield from _split(p.get("source", ""))
    if (rows := result.group("rows")) is not None and "source" in rows:
        for source in rows["source"].values:
            yield from _split(str(source))
    yield from _split(str(result.at("source") or ""))


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
def again(result: ResultReader) -> Iterator[Any]:
    """The command, what it ran on, and the whole configuration."""
    made, _, command = result.attribute("history").partition(" ")
    if command:
        yield CodeBlock(command)
    entries = {
        "made": made or result.attribute("date_created"),
        "seed": result.attribute("rng_seed"),
        "configuration (SHA-256)": result.attribute("config_hash"),
        "equations (SHA-256)": result.attribute("model_hash"),
        "precision": result.attribute("dtype"),
        "engine": result.attribute("engine"),
        "device": result.attribute("device"),
        "file": result.attribute("id"),
        "schema": result.attribute("nanomg_schema_version"),
    }
    entries["versions"] = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield Table(("", ""), "lp", [(name, text) for name, text in entries.items() if text])
    if result.config:
        short = _shortened(result.config)
        title = "The whole configuration" if short == result.config else "The configuration, without long entries"
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
