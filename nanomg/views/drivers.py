"""What an answer depends on: the values that it goes with, how all of them are known, and what would change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nanomg import jobs
from nanomg.formatting import format_number
from nanomg.library.card import BASES
from nanomg.page.blocks import Block, Folded, Items, Shares, Table, Text, number_cell
from nanomg.page.ranks import TOP, range_text, unit_of, width
from nanomg.page.result import ResultReader


# ---------------------------------------------------------------- what it depends on
def drivers(result: ResultReader) -> Iterator[Block]:
    """The values that the answer goes with, as far as the file tells, and how all of them are known."""
    job = jobs.maker(result.tree)
    if job is not None:
        yield from job.about("drivers", result)
    yield from _known(result, job is None or "parameters" in job.groups)


def _known(result: ResultReader, expected: bool) -> Iterator[Block]:
    """How all parameters are known: shares, the least known of them, and the whole list; `expected` where there should be some."""
    rows = result.parameters
    if not rows:
        if expected:
            yield Text("The file has no parameters, and the library cannot rebuild its scenario.", "note")
        return
    counts = Counter(str(p.get("basis")) for p in rows)
    yield Text(f"Origin of the {len(rows)} parameter values:")
    yield Shares([(basis, counts[basis]) for basis in (*BASES, *sorted({*counts} - {*BASES})) if counts[basis]])
    if result.parameters_are_of_now:
        yield Text(
            "The file has no ranges and sources of these values; those of the current library are shown.", "note"
        )
    vague = sorted((p for p in rows if width(p) > 1), key=lambda p: -width(p))[:TOP]
    least = [(*_value(result, p), f"{format_number(width(p), 2)}-fold", *_texts(p, "basis", "source")) for p in vague]
    if least:
        yield Table(
            (*_COLUMNS, "range", "width", "basis", "source"),
            "prulrll",
            least,
            "The most uncertain values: widest ranges of the cards",
        )
    columns = (*_COLUMNS, "5–95 % range", "between subjects (CV)", "basis", "source", "card")
    every = [
        (*_value(result, p), number_cell(p["cv"], 2) if p.get("cv") else "", *_texts(p, "basis", "source", "card"))
        for p in rows
    ]
    yield Folded(f"All {len(rows)} values", [Table(columns, "prulrlll", every)])


_COLUMNS = ("", "value", "unit")


def _value(result: ResultReader, p: Mapping[str, Any]) -> tuple[Any, ...]:
    return result.name(p["parameter"]), number_cell(p.get("value")), unit_of(p), range_text(p)


def _texts(p: Mapping[str, Any], *keys: str) -> Iterator[str]:
    return (str(p.get(key) or "") for key in keys)


# ---------------------------------------------------------------- what would change the answer
def changes(result: ResultReader) -> Iterator[Block]:
    """What would change the answer, as sentences."""
    job = jobs.maker(result.tree)
    sentences = list(job.about("changes", result)) if job is not None else []
    assumed = sum(p.get("basis") == "assumed" for p in result.parameters)
    if assumed:
        sentences.append(
            f"Measurements instead of assumptions: {assumed} of the {len(result.parameters)} values are assumed."
        )
    if sentences:
        yield Items(sentences)
