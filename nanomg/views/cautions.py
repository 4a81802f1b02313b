"""What a reader of a result must be warned of, and what was looked at and is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.errors import InputError
from nanomg.formatting import format_number, percent
from nanomg.page.result import LACKING, ResultReader, lacks
from nanomg.results import file, groups, kinds, parts
from nanomg.results.limits import EXCEEDED, UNKNOWN, state_of_limit

_AT_BOUND = 0.01  # of the room between the bounds: a dose that lies closer to one is at it
_MANY = 0.5  # share of candidates turned away, from where on it is told

# what the read-outs of nanomg.models.safety mean for a reader
GRADE, LOW, MARGIN = "safety.grade", "safety.low", "safety.margin_"
_FLAG = 0.5


class Caution(NamedTuple):
    """A sentence, and whether it is a warning or the word that all is well."""

    text: str
    well: bool = False


def cautions(facts: ResultReader) -> list[Caution]:
    """Every warning, and what was checked without one."""
    found: list[Caution] = []
    for check in (_schema, _holes, _failures, _limits, _toxicity, _search, _bounds, _fit, _ranges):
        try:
            found.extend(check(facts))
        except LACKING as missing:
            found.append(Caution(f"Not everything was looked at: {lacks(missing)}."))
    return found


# ---------------------------------------------------------------- the file itself
def _schema(facts: ResultReader) -> Iterator[Caution]:
    version = facts.attribute("nanomg_schema_version")
    if version != str(file.SCHEMA_VERSION):
        yield Caution(
            f"The file has schema version {version or 'unknown'} and this program writes {file.SCHEMA_VERSION}: "
            "what it does not know in it is left out of this page."
        )


_NEEDED = {
    kinds.SIMULATE: ("doses", "parameters", "simulation"),
    kinds.OPTIMIZE: ("doses", "parameters", "simulation", "optimization"),
    kinds.SWEEP: ("doses", "parameters", "sweep"),
    kinds.VALIDATE: ("rows", "domains"),
    kinds.CALIBRATE: ("calibration",),
    kinds.FEASIBILITY: ("feasibility",),
    kinds.SENSITIVITY: ("sensitivity",),
}


def _holes(facts: ResultReader) -> Iterator[Caution]:
    there = {*facts.tree.children} | ({"simulation"} if "records" in facts.tree.children else set())
    gone = [name for name in _NEEDED.get(facts.kind, ()) if name not in there]
    if gone:
        yield Caution(f"The file lacks {' and '.join(gone)}: what it would show is left out.")
    if not facts.kind:
        yield Caution("Nothing in the file tells which job made it, so there is little to show.")
    if count := _not_computed(facts):
        yield Caution(
            f"{count:,} trajectories are not there: parts of the sweep are missing, and their numbers are NaN."
        )
    if not facts.summary:
        yield Caution("The file holds no summary, so this page has no verdict and no tables of its numbers.")


def _not_computed(facts: ResultReader) -> int:
    """Trajectories of a folder of parts whose parts are missing."""
    data = facts.group("sweep")
    if data is None or "status" not in data:
        return 0
    meanings = str(data["status"].attrs.get("flag_meanings", "")).split()
    codes = dict(zip(meanings, np.atleast_1d(data["status"].attrs.get("flag_values", ())), strict=False))
    return int((data["status"] == codes[parts.NOT_COMPUTED]).sum()) if parts.NOT_COMPUTED in codes else 0


# ---------------------------------------------------------------- what did not work
def _failures(facts: ResultReader) -> Iterator[Caution]:
    status = facts.at("status") or {}
    total, failed = status.get("trajectories") or facts.at("trajectories"), status.get("failed", facts.at("failed"))
    if total and failed is not None:
        reasons = (
            [status["reason"]]
            if status.get("reason")
            else [f"{n}: {why}" for why, n in (facts.at("reasons") or {}).items()]
        )
        if failed == total:
            yield Caution(
                f"Every trajectory failed ({'; '.join(reasons)}): nothing on this page says what the treatment does."
            )
        elif failed:
            yield Caution(f"{failed} of {total} trajectories failed ({'; '.join(reasons)}).")
        else:
            yield Caution(
                "The trajectory was solved." if total == 1 else f"All {total:,} trajectories were solved.", True
            )
    for name, why in (status.get("failed_subjects") or {}).items():
        yield Caution(f"Subject {name}: {why.get('failed')} trajectories failed ({why.get('reason')}).")
    broken = facts.at("feasibility", "rejected") or {}
    if (share := facts.at("feasibility", "share_rejected")) and share > _MANY:
        yield Caution(
            f"{percent(share)} of the draws were not physical and were drawn again, by rule: {_counted(broken)}."
        )
    sobol = facts.at("sobol") or {}
    if sobol.get("unphysical") or sobol.get("failed"):
        yield Caution(
            f"The Sobol indices rest on {sobol.get('complete')} of {sobol.get('samples')} base samples; the others were left out "
            f"({_counted(sobol.get('unphysical') or {}) or 'not solved'})."
        )


def _counted(rules: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} ({n})" for rule, n in sorted(rules.items(), key=lambda item: -item[1])[:4])


# ---------------------------------------------------------------- what the treatment does
def _limits(facts: ResultReader) -> Iterator[Caution]:
    """Limits of the scenario against the courses of the regimen that the answer is about."""
    courses = _courses(facts)
    if courses is None:
        return
    kept = []
    for limit in facts.file.get("limit", ()):
        name = f"“{limit.get('name', limit.get('signal'))}”"
        try:
            allowed, unit = units.split_quantity(str(limit["max"]))
            found = _reached(courses[limit["signal"]], allowed, unit)
        except (InputError, KeyError):
            yield Caution(f"Whether the limit {name} is kept is not known: the file holds no course to tell.")
            continue
        if passing := [row for row in found if row.state == EXCEEDED]:
            chosen = found[0] in passing
            row = found[0] if chosen else max(passing, key=lambda row: row.highest)
            where = "The" if chosen else f"Under {row.hypothesis} the"
            yield Caution(
                f"{where} limit {name} of {format_number(allowed)} {unit} is passed: "
                f"{format_number(row.highest)} {unit} is reached."
            )
        elif any(row.state == UNKNOWN for row in found):
            yield Caution(f"Whether the limit {name} is kept is not known: a trajectory failed.")
        else:
            kept.append(name)
    if kept:
        yield Caution(f"No limit is passed ({'; '.join(kept)}).", True)


class _Reached(NamedTuple):
    """The highest value under a hypothesis, and what becomes of a limit by it."""

    hypothesis: str
    highest: float
    state: str


def _reached(course: xr.DataArray, allowed: float, unit: str) -> list[_Reached]:
    """What is reached under each hypothesis, the chosen one first, over subjects and time; unknown where a trajectory failed
    and none that was solved passes the limit."""
    scale = units.convert_shown(str(course.attrs["units"]), unit)
    found = []
    for hypothesis in course["hypothesis"].values:
        values = course.sel(hypothesis=hypothesis)
        highest = scale * float(values.max())
        state = state_of_limit(allowed, allowed - highest)
        known = state == EXCEEDED or bool(values.notnull().all())
        found.append(_Reached(str(hypothesis), highest, state if known else UNKNOWN))
    return found


def _toxicity(facts: ResultReader) -> Iterator[Caution]:
    courses = _courses(facts)
    if courses is None:
        return
    grade = _extreme(courses, GRADE, np.fmax)
    if grade is not None:
        passed = round(grade)
        if passed:
            yield Caution(
                f"Serum Mg passes the level of {passed} of 6 signs of hypermagnesaemia (highest grade {format_number(grade, 2)})."
            )
        else:
            yield Caution("Serum Mg stays below the level of every sign of hypermagnesaemia.", True)
    if (low := _extreme(courses, LOW, np.fmax)) is not None and low > _FLAG:
        yield Caution("Serum Mg falls into hypomagnesaemia for part of the time.")
    for name in courses:
        if str(name).startswith(MARGIN) and (room := _extreme(courses, name, np.fmin)) is not None and room < 0:
            about = courses[name].attrs
            yield Caution(
                f"Passed by {format_number(-room, 3)} {about.get('units', '')}: {about.get('long_name', name)}."
            )


def _courses(facts: ResultReader) -> xr.Dataset | None:
    """The courses of the regimen that the answer is about."""
    courses = facts.group("simulation")
    if courses is None or "regimen" not in courses.dims or facts.arm not in courses.get("regimen", ()):
        return None
    return courses.sel(regimen=facts.arm)


def _extreme(courses: xr.Dataset, name: Any, of: np.ufunc) -> float | None:
    """The highest or lowest value over hypotheses, subjects and time; None without one."""
    if name not in courses or courses[name].dtype.kind != "f":
        return None
    found = float(of.reduce(courses[name].values, axis=None))
    return found if np.isfinite(found) else None


# ---------------------------------------------------------------- what a search or fit ran into
def _search(facts: ResultReader) -> Iterator[Caution]:
    if facts.kind != kinds.OPTIMIZE:
        return
    if facts.at("feasible") is False:
        yield Caution("No regimen was found that keeps every limit: the one shown is the nearest to it.")
    if facts.at("converged") is False:
        yield Caution("The search stopped before it converged: a better regimen may exist.")


def _bounds(facts: ResultReader) -> Iterator[Caution]:
    """Free doses of an optimum at the ends of what was allowed."""
    if facts.kind != kinds.OPTIMIZE or not facts.file.get("free"):
        return
    if (scenario := facts.scenario) is None:
        yield Caution("Whether doses lie at their bounds is not known: the library of now cannot read the scenario.")
        return
    for free in scenario.free:
        unit, scale = groups.shown(scenario, free.cmt)
        own = [dose for dose in facts.at("regimen") or () if dose["cmt"] == free.cmt]
        amount = free.amount[0] * scale, free.amount[1] * scale
        for (low, high), key, of, what in ((amount, "amt", unit, "amount"), (free.time, "time_h", "h", "time")):
            for side, end in (("lower", low), ("upper", high)) if low < high else ():
                count = sum(abs(dose[key] - end) <= _AT_BOUND * (high - low) for dose in own)
                if count and end > 0:  # nothing lies beyond 0
                    yield Caution(
                        f"{count} of {len(own)} doses of {facts.glossary.get(free.cmt, free.cmt)} "
                        f"{'lies' if count == 1 else 'lie'} at the {side} bound of the {what} ({format_number(end)} {of}): "
                        "the optimum may lie beyond it."
                    )


def _fit(facts: ResultReader) -> Iterator[Caution]:
    if facts.kind == kinds.CALIBRATE:
        for name, p in (facts.at("parameters") or {}).items():
            if p.get("bound"):
                yield Caution(
                    f"{_called(facts, name)} ended at its {p['bound']} bound: the data ask for a value beyond it."
                )
        failed = [row for row in facts.at("rows") or () if row.get("failed")]
        if failed:
            yield Caution(f"{len(failed)} rows of the data could not be predicted ({failed[0]['failed']}).")
    for entry in facts.at("domains") or () if facts.kind == kinds.VALIDATE else ():
        if entry.get("failed"):
            yield Caution(f"In {entry['title']} {entry['failed']} rows could not be predicted.")
        if entry.get("stands") is False:
            yield Caution(
                f"{entry['title']} falls short: mean fold error {format_number(entry['gmfe'], 3)}, "
                f"allowed {format_number(entry['allowed'], 3)}."
            )


def _ranges(facts: ResultReader) -> Iterator[Caution]:
    """Parameters outside what their cards hold possible."""
    for p in () if facts.parameters_are_of_now else facts.parameters:
        low, high, value = (p.get(key, np.nan) for key in ("low", "high", "value"))
        if value < low or value > high:
            ends = f"{format_number(low)} to {format_number(high)} {p.get('unit', '')}".rstrip()
            yield Caution(
                f"{_called(facts, p['parameter'])} is {format_number(value)}, outside the range of its card ({ends})."
            )


def _called(facts: ResultReader, name: str) -> str:
    text = facts.glossary.get(name)
    return f"{text[:1].upper()}{text[1:]} ({name})" if text else name
