"""What a page and the screen show of an optimisation: search, objective, limits, regimen before and after, and the optimum."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanomg.formatting import MISSING, format_number, resolved
from nanomg.jobs.simulate import outcome_page
from nanomg.jobs.simulate import page as simulation
from nanomg.jobs.simulate.effect_text import LEAST_SHARE
from nanomg.page.blocks import Block, Caution, Cell, Table, Text, Tile, Tiles, number_cell
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.results.kinds import BASELINE, OPTIMUM
from nanomg.results.limits import ACTIVE, EXCEEDED, size_of, slack_by_hypothesis, state_of
from nanomg.units import convert_shown, factor, unit_text

_AT_BOUND = 0.01  # share of the range between two bounds: a dose that is closer to one of them is at it

sentence, drivers = simulation.sentence, simulation.drivers


def blocks(result: ResultReader) -> Iterator[Block]:
    """How the search ended, what it weighed, the limits, the regimen before and after, and what the optimum does."""
    yield Tiles(list(_tiles(result)), on_screen=False)
    yield simulation.ended(result)
    yield from _search(result)
    yield from outcome_page.tables(result)
    terms = result.at("terms") or {}
    rows = [(name, *(_term(result, name, key) for key in (BASELINE, OPTIMUM))) for name in terms]
    total = ("total", result.cell("baseline_objective"), result.cell("objective"))
    yield Table(("", BASELINE, OPTIMUM), "prr", [*rows, total], "Objective and its terms")
    yield _limits(result)
    doses = list(_paired(result.at("regimen") or (), result.at("baseline_regimen") or ()))
    if doses:
        headers = ("into", "time [h]", "before", "amount", "before", "unit", "over [h]")
        yield Table(headers, "prrrrur", doses, "Regimen, optimised and before")
    yield simulation.signals(result)
    yield from simulation.mg_tables(result)
    yield from outcome_page.words(result)


def _term(result: ResultReader, name: str, regimen: str) -> Cell:
    """A term of the objective; 0 where it is the error of the solver, compared with the other terms."""
    cell, terms = result.cell("terms", name, regimen), result.at("terms") or {}
    size = max((abs(term.get(regimen) or 0.0) for term in terms.values()), default=0.0)
    return cell if cell.value is None else cell._replace(text=format_number(resolved(cell.value, size, LEAST_SHARE)))


def _tiles(result: ResultReader) -> Iterator[Tile]:
    yield from outcome_page.effect_tile(result)
    yield Tile("limits", _kept_limits(result))
    after_it = [*outcome_page.changed_tiles(result)]
    yield from after_it
    if not after_it and (first := next(iter(result.at("signals") or {}), None)) is not None:
        after = result.cell("signals", first, "final")._replace(note=_at_baseline(result, first))
        yield Tile(f"{result.glossary.get(first, first)}, at the end", after, result.at("signals", first, "unit"))
    weighed = result.cell("objective")._replace(note=f"baseline: {format_number(result.at('baseline_objective'))}")
    yield Tile("objective, lower is better", weighed)
    yield from simulation.mg_tiles(result) if result.at("mg") else ()


def _kept_limits(result: ResultReader) -> Cell:
    """Whether every limit is kept under the hypothesis of the search, and under which others one is exceeded."""
    first, exceeding = "", set()
    for c in result.at("constraints") or ():
        slack = slack_by_hypothesis(c)
        first = next(iter(slack), first)
        exceeding |= {h for h, left in slack.items() if h != first and state_of(c, left) == EXCEEDED}
    note = f"under {first}; one is exceeded under {', '.join(sorted(exceeding))}" if exceeding else ""
    return Cell({True: "all kept", False: "NOT KEPT"}.get(result.at("feasible"), MISSING), note=note)


def _at_baseline(result: ResultReader, name: str) -> str:
    """Where the baseline regimen ends."""
    courses = result.group("simulation")
    if courses is None or name not in courses or BASELINE not in courses.get("regimen", ()):
        return ""
    course = courses[name].sel(regimen=BASELINE).isel(hypothesis=0, time=-1)
    scale = convert_shown(str(course.attrs.get("units", "1")), str(result.at("signals", name, "unit")))
    return f"baseline: {format_number(float(course) * scale)}"


def _search(result: ResultReader) -> Iterator[Text]:
    """How the search ended, what it took, and how far its starts agree."""
    state = {True: "every limit kept", False: "NOT FEASIBLE"}.get(result.at("feasible"), "limits not known")
    unfinished = result.at("converged") is False and result.at("feasible") is not False
    state += ", stopped before convergence" if unfinished else ""
    effort = f"{result.at('evaluations')} evaluations in {format_number(result.at('seconds'), 3)} s"
    yield Text(f"Search: {state}, {effort}, KKT residual {format_number(result.at('kkt_residual'), 2)}", "note")
    if unfinished:
        yield Text(_unfinished(result), "note")
    starts = result.at("starts") or ()
    if ends := [s["objective"] for s in starts if s["feasible"]]:
        low, middle, high = (format_number(v) for v in (min(ends), statistics.median(ends), max(ends)))
        within = f"{len(ends)} of {len(starts)} starts within every limit"
        yield Text(f"{within}, objective {low} to {high}, median {middle}", "note")


def _unfinished(result: ResultReader) -> str:
    """What it means that a search has not converged, and how to continue."""
    asked = int((result.config.get("request") or {}).get("steps") or 0)
    steps = max(asked, result.at("evaluations") // len(result.at("starts")))
    return (
        f"The search stopped before it converged: amounts and times could still be improved. A better regimen may exist; "
        f"--steps {2 * steps} searches for longer."
    )


def _limits(result: ResultReader) -> Table:
    rows = []
    for i, c in enumerate(result.at("constraints") or ()):
        limit, value, slack = (result.cell("constraints", i, key) for key in ("limit", "value", "slack"))
        if c.get("side") == "min":
            limit = limit._replace(text=f"≥ {limit.text}")
        rows.append((c["name"], limit, value, slack._replace(text=format_number(_rounded(c))), c["unit"], state_of(c)))
    return Table(("", "limit", "value", "slack", "unit", ""), "prrrul", rows, "Limits at the optimum")


def _rounded(constraint: Mapping[str, Any]) -> float | None:
    """The slack as far as limit and value, of four digits each, determine it."""
    slack, limit = constraint["slack"], size_of(constraint)
    if slack is None or not math.isfinite(slack) or not limit:
        return slack
    return round(slack, 3 - math.floor(math.log10(limit)))


def _paired(optimum: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    """Doses of the optimum next to those of the baseline: the first into a port next to the first, and so on."""
    for port in dict.fromkeys(dose["cmt"] for dose in [*optimum, *baseline]):
        now, was = ([dose for dose in doses if dose["cmt"] == port] for doses in (optimum, baseline))
        pairs: Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]] = itertools.zip_longest(now, was, fillvalue={})
        for new, old in pairs:
            cells = (number_cell(dose.get(key)) for key in ("time_h", "amt") for dose in (new, old))
            yield port, *cells, (new or old)["unit"], number_cell((new or old)["duration_h"])


# ---------------------------------------------------------------- what it depends on, what it must be warned of
def changes(result: ResultReader) -> Iterator[str]:
    """What would change the optimum."""
    for c in result.at("constraints") or ():
        if state_of(c) == ACTIVE:
            level = f"{format_number(c['limit'])} {unit_text(c['unit'])}"
            yield f"Another value of the limit “{c['name']}”: it is active at {level}."
    ends = [s["objective"] for s in result.at("starts") or () if s.get("feasible") and s.get("objective") is not None]
    if len(ends) > 1 and format_number(min(ends)) != format_number(max(ends)):
        between = f"{format_number(min(ends))} and {format_number(max(ends))}"
        yield f"A longer search, as far as its starts disagree: {len(ends)} of them ended between {between}."
    if any(isinstance(term, Mapping) and "cmt" in term for term in result.file.get("objective", {}).values()):
        yield "Other weights in the objective: they say what a visit or a dose is worth."
    yield from simulation.changes(result)


def warnings(result: ResultReader) -> Iterator[Caution]:
    """A search without a feasible regimen, one that stopped early, and doses at their bounds."""
    if result.at("feasible") is False:
        yield Caution("No regimen was found that keeps every limit: the one shown is the nearest to it.")
    elif result.at("converged") is False:
        yield Caution(_unfinished(result))
    if result.file.get("free"):
        yield from _bounds(result)


def _bounds(result: ResultReader) -> Iterator[Caution]:
    """Free doses of the optimum at the ends of what was allowed."""
    from nanomg.library.scenario import dosed_unit  # slow to import, and the screen shows no warnings

    if (scenario := result.scenario) is None:
        yield Caution("Unknown whether doses are at their bounds: the current library cannot read the scenario.")
        return
    for free in scenario.free:
        counted = dosed_unit(scenario.model, free.cmt)
        doses = [dose for dose in result.at("regimen") or () if dose["cmt"] == free.cmt]
        unit = next((str(dose["unit"]) for dose in doses), counted)  # older files had units of their own
        scale = factor(counted, unit)
        amount = free.amount[0] * scale, free.amount[1] * scale
        for (low, high), key, of, what in ((amount, "amt", unit, "amount"), (free.time, "time_h", "h", "time")):
            for side, end in (("lower", low), ("upper", high)) if low < high else ():
                count = sum(abs(dose[key] - end) <= _AT_BOUND * (high - low) for dose in doses)
                if count and end > 0:  # there is nothing below 0
                    yield Caution(
                        f"{count} of {len(doses)} doses of {result.glossary.get(free.cmt, free.cmt)} "
                        f"{'is' if count == 1 else 'are'} at the {side} bound of the {what} ({format_number(end)} {of}): "
                        "a regimen beyond it might be better."
                    )


def asked(result: ResultReader) -> Iterator[Block]:
    """The objective, the limits, and the doses that were free."""
    terms = [
        (
            name,
            " ".join(str(term[key]) for key in ("statistic", "level", "function") if key in term),
            result.name(str(term.get("signal") or term.get("cmt"))),
            number_cell(term.get("weight")),
        )
        for name, term in result.file.get("objective", {}).items()
    ]
    if terms:
        yield Table(("term of the objective", "statistic", "of", "weight"), "plpr", terms, "To be minimised")
    yield from simulation.asked(result)
    free = [
        (
            result.name(str(f.get("cmt"))),
            *(_range(f.get(key)) for key in ("amount", "time")),
            str(f.get("interval", "")),
            str(f.get("total", "")),
        )
        for f in result.file.get("free", ())
    ]
    if free:
        yield Table(("free doses", "amount", "time", "shortest interval", "total at most"), "pllrr", free)


def _range(ends: Any) -> str:
    return " to ".join(map(str, ends)) if isinstance(ends, list) else ""


def quantities(result: ResultReader) -> Numbers:
    """Those of a simulation of the optimum, the objective and the limits."""
    yield from simulation.quantities(result)
    found = result.summary
    yield Quantity("objective", "total", BASELINE, "1"), found["baseline_objective"]
    yield Quantity("objective", "total", OPTIMUM, "1"), found["objective"]
    for name, term in found["terms"].items():
        yield Quantity("objective", name, OPTIMUM, "1"), term[OPTIMUM]
    for limit in found["constraints"]:
        yield Quantity("limits", limit["name"], "reached", limit["unit"]), limit["value"]
