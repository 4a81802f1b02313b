"""What a result file holds: groups of named arrays with units, from trajectories, doses, records and searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nanomg.dosing.dose import Dose
from nanomg.dosing.event_record import Subject, subject_of
from nanomg.dosing.record_columns import columns_of
from nanomg.equations.model import Model
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.results import file
from nanomg.results.attributes import of_quantity
from nanomg.solver.status import Status


def dose_rows(scenario: Scenario, doses: Sequence[Dose]) -> list[dict[str, Any]]:
    """Single doses in the units of their ports."""
    unit = lambda dose: dosed_unit(scenario.model, dose.cmt)
    return [
        {"time_h": dose.time, "cmt": dose.cmt, "amt": dose.amt, "unit": unit(dose), "duration_h": dose.duration}
        for dose in doses
    ]


def regimen_rows(scenario: Scenario) -> list[dict[str, Any]]:
    """The scenario's regimen: single doses, or where these do not say it all, records."""
    if scenario.subjects:
        return record_rows(scenario, scenario.subjects)
    if scenario.plain:
        return dose_rows(scenario, scenario.doses)
    return record_rows(scenario, (subject_of(scenario.doses),), with_id=False)


def record_rows(scenario: Scenario, subjects: Sequence[Subject], with_id: bool = True) -> list[dict[str, Any]]:
    """Records that give a dose or reset, in the units of their ports."""
    rows = []
    for subject in subjects:
        columns, _ = columns_of([subject])
        for i in np.flatnonzero(columns.doses | columns.resets):
            record = subject.records[int(i)]
            unit = dosed_unit(scenario.model, record.cmt) if record.doses else ""
            rows.append(
                ({"subject": subject.id} if with_id else {})
                | {
                    "time_h": record.time,
                    "evid": record.evid,
                    "cmt": record.cmt,
                    "amt": record.amt,
                    "unit": unit,
                    "duration_h": record.duration,
                    "rate_per_h": record.rate,
                    "ii_h": record.ii,
                    "addl": record.addl,
                    "ss": record.ss,
                }
            )
    return rows


def trajectories(
    model: Model,
    regimens: Sequence[str],
    hypotheses: Sequence[str],
    times: np.ndarray,
    data: Mapping[str, np.ndarray],
    status: np.ndarray,
    subjects: Sequence[str] | None = None,
) -> xr.Dataset:
    """Arrays (regimen, hypothesis[, subject], time) with their units."""
    dims: tuple[str, ...] = ("regimen", "hypothesis", "time") if subjects is None else (*_DIMS, "subject", "time")
    ended = file.flags(dims[:-1], status, [s.reason for s in Status], "outcome of the trajectory")
    variables: dict[str, Any] = {"status": ended}
    for name, y in data.items():
        variables[name] = (dims, y, of_quantity(model.unit(name), model.declaration(name).text))
    coordinates: dict[str, Any] = {
        "regimen": list(regimens),
        "hypothesis": list(hypotheses),
        "time": ("time", times, {"units": "h", "long_name": "time since the start"}),
    }
    if subjects is not None:
        coordinates["subject"] = np.array(subjects, object)
    return xr.Dataset(variables, coordinates)


def records(scenario: Scenario, subjects: Sequence[Subject], seen: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Every record of the subjects with the outputs at it, each (record,)."""
    columns, bounds = columns_of(subjects)
    dims = ("record",)
    ids = np.repeat(np.array([subject.id for subject in subjects], object), np.diff(bounds))
    variables: dict[str, Any] = {"subject": (dims, ids, {"long_name": "ID"})}
    for name, (unit, text) in _RECORD_COLUMNS.items():
        if name == "cmt":
            variables[name] = (dims, np.array([*columns.names, ""], object)[columns.cmt], {"long_name": text})
            continue
        column = getattr(columns, name).astype(np.int64 if name in _WHOLE else float, copy=False)
        variables[name] = (dims, column, about(unit, text))
    for name, unit in scenario.outputs.items():
        variables[name] = (dims, seen[name], of_quantity(unit, scenario.model.declaration(name).text))
    return xr.Dataset(variables)


_DIMS = ("regimen", "hypothesis")
_RECORD_COLUMNS = {
    "row": ("1", "line of the event table"),
    "time": ("h", "time of the record"),
    "evid": ("1", "0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose"),
    "amt": ("1", "amount in the unit of the port or state"),
    "cmt": ("", "port or state dosed"),
    "rate": ("1", "rate in that unit per hour; -1 and -2: modelled rate and duration"),
    "ii": ("h", "interval between doses"),
    "addl": ("1", "number of additional doses"),
    "ss": ("1", "1 steady state, 2 steady state added to the current amounts"),
    "duration": ("h", "duration of an infusion where it is given"),
    "mdv": ("1", "1: not an observation"),
    "dv": ("1", "observed value"),
}
_WHOLE = ("row", "evid", "addl", "ss")


def about(unit: str, text: str) -> dict[str, str]:
    """Attributes of a variable."""
    return {"units": unit, "long_name": text}


def doses(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> xr.Dataset:
    """The doses of each regimen, (regimen, dose), filled up with NaN and empty text."""
    names = next((list(row) for regimen in rows.values() for row in regimen), list(_NO_DOSE))
    shape = len(rows), max(len(regimen) for regimen in rows.values())
    variables: dict[str, Any] = {}
    for name in names:
        is_text = name in _DOSE_TEXTS
        values: np.ndarray = np.full(shape, "", dtype=object) if is_text else np.full(shape, np.nan)
        for r, regimen in enumerate(rows.values()):
            values[r, : len(regimen)] = [row[name] for row in regimen]
        attributes = {"long_name": _DOSE_TEXTS[name]} if is_text else about(*_DOSE_NUMBERS[name])
        variables[name] = (("regimen", "dose"), values, attributes)
    return xr.Dataset(variables, {"regimen": list(rows)})


_NO_DOSE = ("time_h", "amt", "duration_h", "cmt", "unit")
_DOSE_TEXTS = {"cmt": "port or state dosed", "unit": "unit of the amount", "subject": "ID"}
_DOSE_NUMBERS = {
    "time_h": ("h", "time of the dose"),
    "amt": ("1", "amount in the unit of `unit`"),
    "duration_h": ("h", "duration, 0 is a bolus or an infusion at a rate"),
    "evid": _RECORD_COLUMNS["evid"],
    "rate_per_h": ("1", "rate in that unit per hour, 0: none is given; -1 and -2: modelled rate and duration"),
    "ii_h": _RECORD_COLUMNS["ii"],
    "addl": _RECORD_COLUMNS["addl"],
    "ss": _RECORD_COLUMNS["ss"],
}


def parameters(scenario: Scenario) -> xr.Dataset:
    """Every parameter with its value, range and source."""
    rows = list(scenario.parameters.values())
    number = lambda v: np.nan if v is None else v
    numbers = {key: [number(getattr(p, key)) for p in rows] for key in ("value", "low", "high", "cv")}
    text = {key: [getattr(p, key) for p in rows] for key in ("unit", "basis", "source", "card")}
    dims = ("parameter",)
    names = {
        "value": "value",
        "low": "5 % point",
        "high": "95 % point",
        "cv": "between-subject coefficient of variation",
    }
    return xr.Dataset(
        {k: (dims, np.array(v, float), {"long_name": names[k], "units": "1"}) for k, v in numbers.items()}
        | {k: (dims, np.array(v, object), {"long_name": k}) for k, v in text.items()},
        {"parameter": [p.name for p in rows]},
    )
