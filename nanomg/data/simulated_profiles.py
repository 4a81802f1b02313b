"""Concentration-time profiles of a result file: of a run, of its subjects or their records, of the trajectories of a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.data.profiles import ProfileDose, Profiles, profile_of
from nanomg.errors import InputError, unknown
from nanomg.results import file, reading
from nanomg.results.doubt import interprets

_GROUPS = ("simulation", "sweep")
_VARIED, _AMOUNT = "dose.", "amount"  # how the axes of doses are named, and those of them that hold amounts


@interprets
def read_simulated(
    path: Path,
    signal: str | None = None,
    *,
    port: str | None = None,
    axis: str | None = None,
    since: float | None = None,
    tau: float | None = None,
) -> Profiles:
    """The profiles of a signal in a result file, one of each arm, hypothesis, subject and point of a design.

    Args:
        path: the result file.
        signal: the concentration [default: the only output].
        port: the port whose doses are meant, if there are several.
        axis: the axis of a sweep that holds the dose [default: the one of amounts].
        since: time of the dose to analyse [h].
        tau: dosing interval [h].

    Returns:
        The profiles, with times since the dose [h].

    Raises:
        InputError: the file has no such signal, or its doses leave open which one is meant.
    """
    tree, where = file.open(path), str(path)
    group = next((name for name in _GROUPS if name in tree.children), None)
    if group is None and "records" in tree.children:
        return _of_records(tree, signal, _Doses(tree, port, where), since, tau, where)
    if group is None:
        raise InputError(
            "the file has no trajectories; a run of `simulate`, or a sweep with --keep SIGNAL:series, has", where
        )
    C = _signal(tree[group].to_dataset(), signal, reading.outputs_of(tree), where)
    others = [str(dim) for dim in C.dims if dim != "time"]
    shown = [dim for dim in others if C.sizes[dim] > 1 or len(others) == 1]
    axis = axis or _dose_axis(C, since, where)
    doses = _Doses(tree, port, where)
    times = np.asarray(C["time"], float)
    members = []
    for index in np.ndindex(*(C.sizes[dim] for dim in others)):
        at = dict(zip(others, index, strict=True))
        label = {dim: str(C[dim].values[i]) if dim in C.coords else str(i) for dim, i in at.items()}
        curve = C.isel(at).values
        given = doses.of(label.get("regimen", ""), label.get("subject", ""))
        if axis is not None:
            amount = float(C[axis].isel({dim: i for dim, i in at.items() if dim in C[axis].dims}))
            given = [dose._replace(amount=amount) for dose in given] or [ProfileDose(since or 0.0, amount)]
        name = {dim: label[dim] for dim in shown}
        text = ", ".join(f"{dim} {value}" for dim, value in name.items())
        members.append(profile_of(name, times, curve, given, since, tau, f"{where}, {text}" if text else where))
    dose_unit = units.cf(str(C[axis].attrs.get("units", ""))) if axis is not None else doses.unit
    return Profiles(
        str(C.name), str(C.attrs["units"]), str(C["time"].attrs["units"]), dose_unit, tuple(members), doses.notes
    )


def _of_records(
    tree: xr.DataTree, signal: str | None, doses: _Doses, since: float | None, tau: float | None, where: str
) -> Profiles:
    """The profiles of the observation records of an event table, a subject each."""
    data = tree["records"].to_dataset()
    there = [str(name) for name in data.data_vars if str(name) in reading.outputs_of(tree)]
    if signal is None and len(there) != 1:
        raise InputError(f"name the signal: {', '.join(there)}", where)
    name = signal or there[0]
    if name not in there:
        raise unknown("signal", name, there, where)
    members = []
    for subject in dict.fromkeys(map(str, data.subject.values)):
        rows = np.flatnonzero((data.subject.values.astype(str) == subject) & (data.evid.values == 0))
        times, first = np.unique(data.time.values[rows], return_index=True)
        if len(times):
            curve = np.asarray(data[name].values[rows][first], float)
            at = f"{where}, subject {subject}"
            members.append(profile_of({"subject": subject}, times, curve, doses.of("", subject), since, tau, at))
    if not members:
        raise InputError("no record is an observation", where)
    return Profiles(name, str(data[name].attrs["units"]), "h", doses.unit, tuple(members), doses.notes)


def _signal(data: xr.Dataset, signal: str | None, outputs: list[str], where: str) -> xr.DataArray:
    """The signal over time."""
    there = [str(name) for name, v in data.data_vars.items() if "time" in v.dims and v.dtype.kind == "f"]
    if signal is not None:
        if signal not in there:
            raise unknown("signal", signal, there, where)
        return data[signal]
    shown = [name for name in outputs if name in there] or there
    if len(shown) != 1:
        raise InputError(f"name the signal: {', '.join(shown)}" if shown else "no signal has a time course", where)
    return data[shown[0]]


def _dose_axis(C: xr.DataArray, since: float | None, where: str) -> str | None:
    """The axis of amounts of a dose, if a sweep has one."""
    varied = [str(name) for name in C.coords if str(name).startswith(_VARIED) and name in C.dims]
    amounts = [name for name in varied if name.endswith(_AMOUNT)]
    if len(amounts) > 1:
        raise InputError(f"several amounts vary ({', '.join(amounts)}); name the axis with --dose", where)
    if since is None and (times := [name for name in varied if name not in amounts]):
        raise InputError(f"the sweep varies {times[0]}; give the time of the dose with --since", where)
    return amounts[0] if amounts else None


class _Doses:
    """The doses of a result file into one port."""

    def __init__(self, tree: xr.DataTree, port: str | None, where: str):
        self.rows = _rows(tree)
        ports = list(dict.fromkeys(str(row["cmt"]) for row in self.rows))
        if port is not None and port not in ports:
            raise unknown("port with doses", port, ports, where)
        self.notes: tuple[str, ...] = ()
        if port is None and len(ports) > 1:
            self.notes = (f"Without clearance and volume: name the port of the dose with --port ({', '.join(ports)}).",)
        self.port = port or (ports[0] if len(ports) == 1 else None)
        self.rows = [row for row in self.rows if row["cmt"] == self.port]
        self.first = next((row["regimen"] for row in self.rows), "")
        self.unit = units.cf(str(self.rows[0]["unit"])) if self.rows else ""

    def of(self, regimen: str, subject: str) -> list[ProfileDose]:
        """The doses of an arm and a subject; a file without arms or subjects has the same for all."""
        given = []
        for row in self.rows:
            if row["regimen"] == (regimen or self.first) and str(row.get("subject", subject)) == subject:
                rate, amount = float(row.get("rate_per_h", 0.0)), float(row["amt"])
                duration = float(row["duration_h"]) or (amount / rate if rate > 0 else 0.0)
                further = np.arange(int(row.get("addl", 0)) + 1) * float(row.get("ii_h", 0.0))
                steady = bool(row.get("ss", 0.0))
                given += [ProfileDose(float(row["time_h"]) + t, amount, duration, steady) for t in further.tolist()]
        return given


def _rows(tree: xr.DataTree) -> list[Mapping[str, Any]]:
    """The doses of the file, each with its arm."""
    if "doses" not in tree.children:
        return []
    data = tree["doses"].to_dataset()
    found: list[Mapping[str, Any]] = []
    for regimen in data.regimen.values:
        columns = {str(name): v.values for name, v in data.sel(regimen=regimen).data_vars.items()}
        for i in range(data.sizes["dose"]):
            row = {name: column[i] for name, column in columns.items()}
            if math.isfinite(row["time_h"]) and row["amt"] > 0:
                found.append({**row, "cmt": str(row["cmt"]), "regimen": str(regimen)})
    return found


@interprets
def axes_of(path: Path, signal: str | None) -> list[str]:
    """The axes of a sweep that a signal depends on."""
    tree = file.open(path)
    if "sweep" not in tree.children:
        return []
    C = _signal(tree["sweep"].to_dataset(), signal, reading.outputs_of(tree), str(path))
    return [str(name) for name in C.coords if name != "time"]
