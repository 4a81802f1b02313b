"""What a reader of a result must be warned of, and what was looked at and is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import kinds, results, units
from nanomg.errors import InputError
from nanomg.facts import Facts
from nanomg.wording import number, percent

_AT_BOUND = 0.01  # of the room between the bounds: a dose that lies closer to one is at it
_MANY = 0.5  # share of candidates turned away, from where on it is told

# what the read-outs of nanomg.models.safety mean for a reader
GRADE, LOW, MARGIN = "safety.grade", "safety.low", "safety.margin_"
_FLAG = 0.5


class Caution(NamedTuple):
    """A sentence, and whether it is a warning or the word that all is well."""

    text: str
    well: bool = False


def cautions(facts: Facts) -> list[Caution]:
    """Every warning, and what was checked without one."""
    checks = (_schema, _holes, _failures, _limits, _toxicity, _search, _bounds, _fit, _ranges)
    return [caution for check in checks for caution in check(facts)]


# ---------------------------------------------------------------- the file itself
def _schema(facts: Facts) -> Iterator[Caution]:
    version = facts.attribute("nanomg_schema_version")
    if version != str(results.SCHEMA_VERSION):
        yield Caution(
            f"The file has schema version {version or 'unknown'} and this program writes {results.SCHEMA_VERSION}: "
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


def _holes(facts: Facts) -> Iterator[Caution]:
    gone = [name for name in _NEEDED.get(facts.kind, ()) if facts.group(name) is None]
    if gone:
        yield Caution(f"The file lacks {' and '.join(gone)}: what it would show is left out.")
    if not facts.kind:
        yield Caution("Nothing in the file tells which job made it, so there is little to show.")
    if not facts.summary:
        yield Caution("The file holds no summary, so this page has no verdict and no tables of its numbers.")


# ---------------------------------------------------------------- what did not work
def _failures(facts: Facts) -> Iterator[Caution]:
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
def _limits(facts: Facts) -> Iterator[Caution]:
    """Limits of the scenario against the courses of the regimen that the answer is about."""
    courses = _courses(facts)
    if courses is None:
        return
    kept = []
    for limit in facts.file.get("limit", ()):
        name = limit.get("name", limit.get("signal"))
        if (found := _extreme(courses, limit.get("signal"), np.fmax)) is None:
            continue
        try:
            allowed, unit = units.split_quantity(str(limit["max"]))
            highest = units.convert(found, courses[limit["signal"]].attrs["units"], unit)
        except (InputError, KeyError):
            continue
        if highest > allowed:
            yield Caution(
                f"The limit “{name}” of {number(allowed)} {unit} is passed: {number(highest)} {unit} is reached."
            )
        else:
            kept.append(str(name))
    if kept:
        yield Caution(f"No limit is passed ({'; '.join(kept)}).", True)


def _toxicity(facts: Facts) -> Iterator[Caution]:
    courses = _courses(facts)
    if courses is None:
        return
    grade = _extreme(courses, GRADE, np.fmax)
    if grade is not None:
        passed = round(grade)
        if passed:
            yield Caution(
                f"Serum Mg passes the level of {passed} of 6 signs of hypermagnesaemia (highest grade {number(grade, 2)})."
            )
        else:
            yield Caution("Serum Mg stays below the level of every sign of hypermagnesaemia.", True)
    if (low := _extreme(courses, LOW, np.fmax)) is not None and low > _FLAG:
        yield Caution("Serum Mg falls into hypomagnesaemia for part of the time.")
    for name in courses:
        if str(name).startswith(MARGIN) and (room := _extreme(courses, name, np.fmin)) is not None and room < 0:
            about = courses[name].attrs
            yield Caution(f"Passed by {number(-room, 3)} {about.get('units', '')}: {about.get('long_name', name)}.")


def _courses(facts: Facts) -> xr.Dataset | None:
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
def _search(facts: Facts) -> Iterator[Caution]:
    if facts.kind != kinds.OPTIMIZE:
        return
    if facts.at("feasible") is False:
        yield Caution("No regimen was found that keeps every limit: the one shown is the nearest to it.")
    if facts.at("converged") is False:
        yield Caution("The search stopped before it converged: a better regimen may exist.")
    for row in facts.at("constraints") or ():
        for hypothesis, value in (row.get("value_by_hypothesis") or {}).items():
            if value is not None and row["slack"] >= 0 and value > row["limit"]:
                yield Caution(f"Under {hypothesis} the limit “{row['name']}” is passed: {number(value)} {row['unit']}.")


def _bounds(facts: Facts) -> Iterator[Caution]:
    """Free doses of an optimum at the ends of what was allowed."""
    for free in facts.file.get("free", ()) if facts.kind == kinds.OPTIMIZE else ():
        own = [d for d in facts.at("regimen") or () if d["cmt"] == free.get("cmt")]
        amounts = _ends(free.get("amount"), own[0]["unit"]) if own else None
        times = _ends(free.get("time"), "h") if own else None
        for bounds, key, unit, what in (
            (amounts, "amt", own[0]["unit"] if own else "", "amount"),
            (times, "time_h", "h", "time"),
        ):
            if bounds is None:
                continue
            low, high = bounds
            near = _AT_BOUND * (high - low)
            for end, text in ((low, "lower"), (high, "upper")):
                count = sum(abs(d[key] - end) <= near for d in own)
                if count and (key, text) != ("time_h", "lower"):  # the first dose at the start is no warning
                    yield Caution(
                        f"{count} of {len(own)} doses of {facts.glossary.get(free['cmt'], free['cmt'])} "
                        f"{'lies' if count == 1 else 'lie'} at the {text} bound of the {what} ({number(end)} {unit}): "
                        "the optimum may lie beyond it."
                    )


def _ends(bounds: Any, unit: str) -> tuple[float, float] | None:
    try:
        low, high = (units.parse_quantity(end, unit) for end in bounds)
    except (InputError, TypeError, ValueError):
        return None
    return low, high


def _fit(facts: Facts) -> Iterator[Caution]:
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
                f"{entry['title']} falls short: mean fold error {number(entry['gmfe'], 3)}, allowed {number(entry['allowed'], 3)}."
            )


def _ranges(facts: Facts) -> Iterator[Caution]:
    """Parameters outside what their cards hold possible."""
    for p in () if facts.parameters_are_of_now else facts.parameters:
        low, high, value = (p.get(key, np.nan) for key in ("low", "high", "value"))
        if value < low or value > high:
            ends = f"{number(low)} to {number(high)} {p.get('unit', '')}".rstrip()
            yield Caution(
                f"{_called(facts, p['parameter'])} is {number(value)}, outside the range of its card ({ends})."
            )


def _called(facts: Facts, name: str) -> str:
    text = facts.glossary.get(name)
    return f"{text[:1].upper()}{text[1:]} ({name})" if text else name
