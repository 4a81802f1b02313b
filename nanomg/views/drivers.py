"""What an answer hangs on: the values that it goes with, how all of them are known, and what would change it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nanomg.formatting import format_number
from nanomg.jobs.calibrate.page import _of_fit
from nanomg.jobs.feasibility.page import _of_draws, _of_targets
from nanomg.jobs.optimize.page import _of_optimum
from nanomg.jobs.sensitivity.page import _of_slopes
from nanomg.jobs.simulate.page import _of_effect
from nanomg.jobs.sweep.page import _drivers_of_sweep, _of_axes
from nanomg.jobs.validate.page import _of_domains
from nanomg.library.card import BASES
from nanomg.page.blocks import Folded, Items, Shares, Table, Text, number_cell
from nanomg.page.ranks import _TOP, _range, _unit, _width
from nanomg.page.result import ResultReader
from nanomg.results import kinds


# ---------------------------------------------------------------- what mattered
def mattered(facts: ResultReader) -> Iterator[Any]:
    """The values that the answer goes with, as far as the file tells, and how all of them are known."""
    yield from _DRIVERS.get(facts.kind, lambda _: ())(facts)
    yield from _known(facts)


_DRIVERS: Mapping[str, Callable[[ResultReader], Iterator[Any]]] = {
    kinds.FEASIBILITY: _of_draws,
    kinds.SWEEP: _drivers_of_sweep,
}


def _known(facts: ResultReader) -> Iterator[Any]:
    """How all parameters are known: shares, the least known of them, and the whole list."""
    rows = facts.parameters
    if not rows:
        if facts.kind not in (kinds.VALIDATE, kinds.CALIBRATE):
            yield Text("The file holds no parameters, and the library cannot build its scenario again.", "note")
        return
    counts = Counter(str(p.get("basis")) for p in rows)
    yield Text(f"The model took {len(rows)} values. This is how they are known:")
    yield Shares([(basis, counts[basis]) for basis in (*BASES, *sorted({*counts} - {*BASES})) if counts[basis]])
    if facts.parameters_are_of_now:
        yield Text(
            "The file holds no ranges and sources of these values: they are those of the library of now.", "note"
        )
    if facts.kind in (kinds.SIMULATE, kinds.OPTIMIZE):
        command = f"nanomg sensitivity {shlex.quote(str(facts.at('scenario')))}"
        yield Text(
            f"This run varied none of them, so it does not tell which ones the answer hangs on. Ask: {command}", "note"
        )
    vague = sorted((p for p in rows if _width(p) > 1), key=lambda p: -_width(p))[:_TOP]
    least = [(*_value(facts, p), f"{format_number(_width(p), 2)}-fold", *_texts(p, "basis", "source")) for p in vague]
    if least:
        yield Table(
            (*_COLUMNS, "range", "width", "known", "source"),
            "prulrll",
            least,
            "The least known values: where the range of the card is widest",
        )
    columns = (*_COLUMNS, "5–95 % range", "between subjects (CV)", "known", "source", "card")
    every = [
        (*_value(facts, p), number_cell(p["cv"], 2) if p.get("cv") else "", *_texts(p, "basis", "source", "card"))
        for p in rows
    ]
    yield Folded(f"All {len(rows)} values", [Table(columns, "prulrlll", every)])


_COLUMNS = ("", "value", "unit")


def _value(facts: ResultReader, p: Mapping[str, Any]) -> tuple[Any, ...]:
    return facts.name(p["parameter"]), number_cell(p.get("value")), _unit(p), _range(p)


def _texts(p: Mapping[str, Any], *keys: str) -> Iterator[str]:
    return (str(p.get(key) or "") for key in keys)


# ---------------------------------------------------------------- what would change the answer
def changes(facts: ResultReader) -> Iterator[Any]:
    """What would change the answer, as sentences."""
    said = list(_CHANGES.get(facts.kind, lambda _: ())(facts))
    assumed = sum(p.get("basis") == "assumed" for p in facts.parameters)
    if assumed:
        said.append(
            f"Measurements in place of assumptions: {assumed} of the {len(facts.parameters)} values are assumed."
        )
    if said:
        yield Items(said)


_CHANGES: Mapping[str, Callable[[ResultReader], Iterator[str]]] = {
    kinds.SIMULATE: _of_effect,
    kinds.OPTIMIZE: _of_optimum,
    kinds.FEASIBILITY: _of_targets,
    kinds.SENSITIVITY: _of_slopes,
    kinds.VALIDATE: _of_domains,
    kinds.CALIBRATE: _of_fit,
    kinds.SWEEP: _of_axes,
}
