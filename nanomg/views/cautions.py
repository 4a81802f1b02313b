"""What a reader of a result must be warned of, and what was checked and is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import jobs, units
from nanomg.analysis.readouts import AREA, CURVE, READ_OUTS
from nanomg.errors import InputError
from nanomg.formatting import format_number
from nanomg.page import event_tables
from nanomg.page.blocks import Caution
from nanomg.page.result import ResultReader
from nanomg.results import file, parts
from nanomg.results.limits import EXCEEDED, UNKNOWN, slack_of, state_of_limit

# what the read-outs of nanomg.models.safety mean for a reader
GRADE, LOW, MARGIN = "safety.grade", "safety.low", "safety.margin_"
_FLAG = 0.5
_BEYOND = {"max": "exceeded", "min": "not reached"}  # an upper limit, a lower one


def cautions(result: ResultReader) -> list[Caution]:
    """Every warning, and what was checked without one."""
    checks = (_summary, _schema, _holes, _event_tables, _failures, _limits, _toxicity, _of_job, _ranges)
    return [caution for check in checks for caution in check(result)]


def _summary(result: ResultReader) -> Iterator[Caution]:
    if result.broken:
        yield Caution(
            f"The summary of {result.where} is broken, so the answer and what depends on it are left out: {result.broken}."
        )


# ---------------------------------------------------------------- the file itself
def _schema(result: ResultReader) -> Iterator[Caution]:
    version = result.attribute("nanomg_schema_version")
    if result.readable and version != str(file.SCHEMA_VERSION):
        yield Caution(f"The file has schema version {version}, which was read as version {file.SCHEMA_VERSION}.", True)
    elif not result.readable:
        yield Caution(
            f"The file has schema version {version or 'unknown'} and this program writes {file.SCHEMA_VERSION}: "
            "what it does not know in it is left out of this page."
        )


def _holes(result: ResultReader) -> Iterator[Caution]:
    job = jobs.maker(result.tree)
    if job is None:
        yield Caution("The file does not name the job that made it, so there is little to show.")
    elif missing := job.missing(result.tree.children):
        names = " and ".join(group.partition("|")[0] for group in missing)
        yield Caution(f"The file lacks {names}: the sections that need it are left out.")
    if count := _not_computed(result):
        yield Caution(
            f"{count:,} trajectories are missing, because parts of the sweep are missing; their numbers are NaN."
        )
    if "file" in result.config and result.library is not None and result.not_rebuilt:
        yield Caution(
            f"The scenario cannot be built again with the current library, so what depends on it is left out: {result.not_rebuilt}."
        )
    if not result.summary and not result.broken:
        yield Caution("The file has no summary, so this page has no conclusion and no tables of its numbers.")


def _event_tables(result: ResultReader) -> Iterator[Caution]:
    for items in event_tables.warnings(result):
        yield from map(Caution, items.items)


def _not_computed(result: ResultReader) -> int:
    """Trajectories of a folder of parts whose parts are missing."""
    data = result.group("sweep")
    if data is None or "status" not in data:
        return 0
    meanings = str(data["status"].attrs.get("flag_meanings", "")).split()
    codes = dict(zip(meanings, np.atleast_1d(data["status"].attrs.get("flag_values", ())), strict=False))
    return int((data["status"] == codes[parts.NOT_COMPUTED]).sum()) if parts.NOT_COMPUTED in codes else 0


# ---------------------------------------------------------------- what did not work
def _failures(result: ResultReader) -> Iterator[Caution]:
    status = result.at("status") or {}
    total, failed = status.get("trajectories") or result.at("trajectories"), status.get("failed", result.at("failed"))
    if total and failed is not None:
        reasons = (
            [status["reason"]]
            if status.get("reason")
            else [f"{n}: {why}" for why, n in (result.at("reasons") or {}).items()]
        )
        if failed == total:
            yield Caution(
                f"Every trajectory failed ({'; '.join(reasons)}): this page cannot show the effect of the treatment."
            )
        elif failed:
            yield Caution(f"{failed} of {total} trajectories failed ({'; '.join(reasons)}).")
        else:
            yield Caution(
                "The trajectory was solved." if total == 1 else f"All {total:,} trajectories were solved.", True
            )
    for name, why in (status.get("failed_subjects") or {}).items():
        yield Caution(f"Subject {name}: {why.get('failed')} trajectories failed ({why.get('reason')}).")


# ---------------------------------------------------------------- what the treatment does
def _limits(result: ResultReader) -> Iterator[Caution]:
    """Limits of the scenario against the courses of the regimen that the answer is about."""
    courses = _courses(result)
    if courses is None:
        return
    kept = []
    for limit in result.file.get("limit", ()):
        name = f"“{limit.get('name', limit.get('signal'))}”"
        if limit.get("signal") not in courses:
            yield Caution(f"Whether the limit {name} is kept is not known: the file has no time course.")
            continue
        states = set()
        for side in (side for side in _BEYOND if side in limit):
            try:
                allowed, unit = units.split_quantity(str(limit[side]))
                found = _reached(courses[limit["signal"]], limit, side, allowed, unit)
            except InputError as error:
                states.add(UNKNOWN)
                yield Caution(f"Whether the limit {name} is kept is not known: {error}.")
                continue
            if passing := [row for row in found if row.state == EXCEEDED]:
                states.add(EXCEEDED)
                chosen = found[0] in passing
                row = found[0] if chosen else min(passing, key=lambda row: row.slack)
                where = "The" if chosen else f"Under {row.hypothesis} the"
                yield Caution(
                    f"{where} limit {name} of {format_number(allowed)} {unit} is {_BEYOND[side]}: "
                    f"{format_number(row.value)} {unit} is reached."
                )
            elif any(row.state == UNKNOWN for row in found):
                states.add(UNKNOWN)
                yield Caution(f"Whether the limit {name} is kept is not known: a trajectory failed.")
        kept += [] if states else [name]
    if kept:
        yield Caution(f"No limit is exceeded ({'; '.join(kept)}).", True)


class _Reached(NamedTuple):
    """What counts against a limit under a hypothesis, its distance to the limit, and what becomes of the limit by it."""

    hypothesis: str
    value: float
    slack: float
    state: str


def _reached(course: xr.DataArray, limit: Mapping[str, Any], side: str, allowed: float, unit: str) -> list[_Reached]:
    """What is reached under each hypothesis, the chosen one first, over subjects and time; unknown where a trajectory failed
    and none that was solved passes the limit."""
    shown = str(course.attrs["units"])
    name = str(limit.get("statistic") or side)
    if name not in READ_OUTS:
        raise InputError(f"the statistic {name!r} is not known")
    readout = READ_OUTS[name]
    level: tuple[float, ...] = ()
    if readout.level:
        written, level_unit = units.split_quantity(str(limit.get("level")))
        level = (written / units.convert_shown(shown, level_unit),)
    limited = {CURVE: shown, AREA: f"{shown} h".strip()}.get(readout.kind, readout.kind)
    scale = units.convert_shown(limited, unit)
    worst = np.fmax if side == "max" else np.fmin
    times = course["time"].values
    found = []
    for hypothesis in course["hypothesis"].values:
        courses = course.sel(hypothesis=hypothesis).transpose("time", ...).values
        values = scale * readout.formula(times, courses, times[0], times[-1], *level)
        if not limit.get("statistic"):  # also what a failed trajectory reached before it failed
            values = scale * worst.reduce(courses, None)
        value = float(worst.reduce(values, None))
        slack = slack_of(allowed, value, side)
        state = state_of_limit(allowed, slack)
        known = state == EXCEEDED or bool(np.isfinite(courses).all())
        found.append(_Reached(str(hypothesis), value, slack, state if known else UNKNOWN))
    return found


def _toxicity(result: ResultReader) -> Iterator[Caution]:
    courses = _courses(result)
    if courses is None:
        return
    grade = _extreme(courses, GRADE, np.fmax)
    if grade is not None:
        passed = round(grade)
        if passed:
            yield Caution(
                f"Serum Mg exceeds the level of {passed} of 6 signs of hypermagnesaemia (highest grade {format_number(grade, 2)})."
            )
        else:
            yield Caution("Serum Mg stays below the level of every sign of hypermagnesaemia.", True)
    if (low := _extreme(courses, LOW, np.fmax)) is not None and low > _FLAG:
        yield Caution("Serum Mg falls into hypomagnesaemia for part of the time.")
    for name in courses:
        if str(name).startswith(MARGIN) and (room := _extreme(courses, name, np.fmin)) is not None and room < 0:
            about = courses[name].attrs
            yield Caution(
                f"Exceeded by {format_number(-room, 3)} {about.get('units', '')}: {about.get('long_name', name)}."
            )


def _courses(result: ResultReader) -> xr.Dataset | None:
    """The courses of the regimen that the answer is about."""
    courses = result.group("simulation")
    if courses is None or "regimen" not in courses.dims or result.arm not in courses.get("regimen", ()):
        return None
    return courses.sel(regimen=result.arm)


def _extreme(courses: xr.Dataset, name: Any, of: np.ufunc) -> float | None:
    """The highest or lowest value over hypotheses, subjects and time; None without one."""
    if name not in courses or courses[name].dtype.kind != "f":
        return None
    found = float(of.reduce(courses[name].values, axis=None))
    return found if np.isfinite(found) else None


# ---------------------------------------------------------------- what the job and the cards say
def _of_job(result: ResultReader) -> Iterator[Caution]:
    """What the page of the job warns of."""
    job = jobs.maker(result.tree)
    yield from job.about("warnings", result) if job is not None and result.summary else ()


def _ranges(result: ResultReader) -> Iterator[Caution]:
    """Parameters outside what their cards hold possible."""
    for p in () if result.parameters_are_of_now else result.parameters:
        low, high, value = (p.get(key, np.nan) for key in ("low", "high", "value"))
        if value < low or value > high:
            ends = f"{format_number(low)} to {format_number(high)} {p.get('unit', '')}".rstrip()
            yield Caution(
                f"{_called(result, p['parameter'])} is {format_number(value)}, outside the range of its card ({ends})."
            )


def _called(result: ResultReader, name: str) -> str:
    text = result.glossary.get(name)
    return f"{text[:1].upper()}{text[1:]} ({name})" if text else name
