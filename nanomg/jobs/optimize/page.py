"""Answer of an optimisation: tiles, limits and drivers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nanomg.formatting import MISSING, format_number
from nanomg.jobs.simulate.page import _mg_table, _mg_tiles, _of_effect, _signals
from nanomg.page.blocks import Cell, Table, Tile, Tiles
from nanomg.page.result import ResultReader
from nanomg.results.kinds import BASELINE
from nanomg.results.limits import ACTIVE, EXCEEDED, state_of_limit
from nanomg.units import display_unit, unit_text


def _optimum(facts: ResultReader) -> Iterator[Any]:
    tiles = [Tile("limits", _kept_limits(facts))]
    if (first := next(iter(facts.at("signals") or {}), None)) is not None:
        after = facts.cell("signals", first, "final")._replace(note=_at_baseline(facts, first))
        tiles.append(Tile(f"{facts.glossary.get(first, first)}, at the end", after, facts.at("signals", first, "unit")))
    weighed = facts.cell("objective")._replace(note=f"baseline: {format_number(facts.at('baseline_objective'))}")
    tiles.append(Tile("objective, lower is better", weighed))
    yield Tiles([*tiles, *(_mg_tiles(facts) if facts.at("mg") else ())])
    terms = [
        (name, *(facts.cell("terms", name, key) for key in ("baseline", "optimum"))) for name in facts.at("terms") or {}
    ]
    total = ("total", facts.cell("baseline_objective"), facts.cell("objective"))
    yield Table(("term of the objective", "before", "optimum"), "prr", [*terms, total], "What was weighed")
    yield _limits(facts)
    yield _signals(facts)
    if facts.at("mg"):
        yield _mg_table(facts)


def _kept_limits(facts: ResultReader) -> Cell:
    """Whether every limit is kept under the hypothesis of the search, and under which others one is passed."""
    first, passing = "", set()
    for c in facts.at("constraints") or ():
        reached = c.get("value_by_hypothesis") or {}
        first = next(iter(reached), first)
        slack = {h: None if value is None else c["limit"] - value for h, value in reached.items()}
        passing |= {h for h, room in slack.items() if h != first and state_of_limit(c["limit"], room) == EXCEEDED}
    note = f"under {first}; one is passed under {', '.join(sorted(passing))}" if passing else ""
    return Cell({True: "all kept", False: "NOT KEPT"}.get(facts.at("feasible"), MISSING), note=note)


def _at_baseline(facts: ResultReader, name: str) -> str:
    """Where the baseline regimen ends, in the unit of the summary."""
    courses = facts.group("simulation")
    if courses is None or name not in courses or BASELINE not in courses.get("regimen", ()):
        return ""
    course = courses[name].sel(regimen=BASELINE).isel(hypothesis=0, time=-1)
    scale, _ = display_unit(str(course.attrs.get("units", "")), facts.at("signals", name, "unit"))
    return f"baseline: {format_number(float(course) * scale)}"


def _limits(facts: ResultReader) -> Any:
    rows = [
        (c["name"], *(facts.cell("constraints", i, key) for key in ("limit", "value", "slack")), c["unit"], state(c))
        for i, c in enumerate(facts.at("constraints") or [])
    ]
    return Table(("limit", "allowed", "reached", "room", "unit", ""), "prrrul", rows, "The limits at the optimum")


HOLDS = "holds the optimum back"
_STATES = {ACTIVE: HOLDS, EXCEEDED: "passed"}


def state(constraint: Mapping[str, Any]) -> str:
    """Whether a limit holds the optimum back."""
    found = state_of_limit(constraint.get("limit"), constraint.get("slack"))
    return _STATES.get(found, found)


def _of_optimum(facts: ResultReader) -> Iterator[str]:
    for c in facts.at("constraints") or ():
        if state(c) == HOLDS:
            level = f"{format_number(c['limit'])} {unit_text(c['unit'])}"
            yield f"Another value of the limit “{c['name']}”: at {level} it holds the optimum back."
    ends = [s["objective"] for s in facts.at("starts") or () if s.get("feasible") and s.get("objective") is not None]
    if len(ends) > 1 and format_number(min(ends)) != format_number(max(ends)):
        between = f"{format_number(min(ends))} and {format_number(max(ends))}"
        yield f"A longer search, as far as its starts disagree: {len(ends)} of them ended between {between}."
    if facts.at("terms"):
        yield "Other weights in the objective: they say what a visit or a dose is worth."
    yield from _of_effect(facts)
