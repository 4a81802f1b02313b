"""What a result tree holds: configuration, outputs, failures, doses and limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.errors import unknown
from nanomg.formatting import format_number
from nanomg.results.attributes import CONFIG, SUMMARY, json_object

MOST = 9  # panels, where nothing is asked for
BAND = (0.05, 0.5, 0.95)  # quantiles over subjects


_ROUNDING = 1e-9  # [h] by which a dose may come after the reset at its time


_CONSTANT, _MODELLED = "as the steady state of a constant infusion", "over a modelled time"


class DoseMark(NamedTuple):
    """Doses into one port: times and durations [h], amounts in `unit`, and how they are given where that is out of the ordinary.

    The steady state of a constant infusion has its rate for an amount, and no duration: at its time it is over.
    """

    port: str
    unit: str
    how: str
    times: np.ndarray
    durations: np.ndarray
    amounts: np.ndarray

    @property
    def text(self) -> str:
        """The port and what it is given."""
        low, high = self.amounts.min(), self.amounts.max()
        span = format_number(low, 3) if high <= low * 1.005 else f"{format_number(low, 3)}–{format_number(high, 3)}"
        times = f" × {len(self.times)}" if len(self.times) > 1 else ""
        return f"{self.port}: {span} {units.unit_text(self.unit)}{times}{self.how and f', {self.how}'}"


def config_of(tree: xr.DataTree) -> Mapping[str, Any]:
    """The scenario's file as the run read it; empty where the result holds none."""
    return dict(json_object(tree.attrs, CONFIG).get("file", {}))


def outputs_of(tree: xr.DataTree) -> list[str]:
    """The scenario's outputs, in the order in which the run told of them."""
    outputs = json_object(tree.attrs, SUMMARY).get("signals") or config_of(tree).get("outputs", {})
    return list(outputs)


def chosen(data: xr.Dataset, signals: Sequence[str], outputs: Iterable[str]) -> list[str]:
    """The signals to draw: those asked for, else the scenario's outputs. Raises `InputError` for one that is not there."""
    there = [str(name) for name, v in data.data_vars.items() if v.dtype.kind == "f"]
    for name in signals:
        if name not in there:
            raise unknown("signal", name, there, "this file")
    return list(signals) or [name for name in outputs if name in there] or there[:MOST]


def failures(data: xr.Dataset) -> list[str]:
    """Why trajectories are missing, and how many for each reason: they failed, or were not computed."""
    if "status" not in data:
        return []
    meanings = str(data.status.attrs.get("flag_meanings", "")).split()
    codes, counts = np.unique(data.status.values, return_counts=True)
    text = lambda code: meanings[code].replace("_", " ") if 0 <= code < len(meanings) else f"code {code}"
    plural = lambda n: f"{n:,} trajectory" if n == 1 else f"{n:,} trajectories"
    return [f"{plural(int(n))}: {text(int(c))}" for c, n in zip(codes, counts, strict=True) if c]


def all_failed(data: xr.Dataset) -> bool:
    """Whether no trajectory reached its end."""
    return "status" in data and bool((data.status.values != 0).all())


def doses_of(tree: xr.DataTree, regimen: str) -> list[DoseMark]:
    """The doses of a regimen by port; those of all subjects together, each of a series by itself, none that a reset cancels."""
    if "doses" not in tree.children:
        return []
    data = tree["doses"].to_dataset()
    if regimen not in data.regimen.values:
        regimen = str(data.regimen.values[0])
    rows = data.sel(regimen=regimen)
    column = lambda name, default: rows[name].values if name in rows else np.full(rows.sizes["dose"], default)
    found: dict[tuple[str, str, str], set[tuple[float, float, float]]] = {}
    records = [_Row(*row) for row in zip(*(column(n, d) for n, d in _Row._field_defaults.items()), strict=True)]
    for row, until in zip(records, _until(records), strict=True):
        if not math.isfinite(row.time_h) or row.evid not in (1, 4):
            continue
        if row.amt > 0:
            how = _MODELLED if row.rate_per_h < 0 else ""
            lasts = row.amt / row.rate_per_h if row.rate_per_h > 0 else row.duration_h
            times = row.time_h + np.arange(row.addl + 1 if math.isfinite(row.addl) else 1) * row.ii_h
            given = {(float(t), min(lasts, until - t), row.amt) for t in times if t <= until + _ROUNDING}
            found.setdefault((str(row.cmt), str(row.unit), how), set()).update(given)
        elif row.rate_per_h > 0:
            given = {(row.time_h, 0.0, row.rate_per_h)}
            found.setdefault((str(row.cmt), f"{row.unit or 1}/h", _CONSTANT), set()).update(given)
    return [DoseMark(*key, *np.array(sorted(own)).T) for key, own in found.items()]


class _Row(NamedTuple):
    """A dose or reset as a file holds it; without these columns it is a plain one."""

    time_h: float = np.nan
    cmt: str = ""
    amt: float = np.nan
    unit: str = ""
    duration_h: float = 0.0
    rate_per_h: float = 0.0
    evid: float = 1.0
    ii_h: float = 0.0
    addl: float = 0.0
    ss: float = 0.0
    subject: str = ""


def _until(rows: Sequence[_Row]) -> list[float]:
    """The time of the next reset of its subject after each row [h], none where that starts a new clock."""
    resets: dict[str, float] = {}
    found = []
    for row in reversed(rows):
        reset = resets.get(row.subject, math.inf)
        found.append(math.inf if reset < row.time_h else reset)
        if row.evid in (3, 4) or row.ss == 1:
            resets[row.subject] = row.time_h
    return found[::-1]


def limits_of(name: str, config: Mapping[str, Any], unit: str) -> list[tuple[float, str]]:
    """The limits that a scenario sets to a signal at every time: the value in this unit, and what it is."""
    found = []
    for limit in config.get("limit", ()):
        if limit.get("signal") == name and not limit.get("statistic"):
            for side in ("max", "min"):
                if side in limit:
                    written, written_unit = units.split_quantity(str(limit[side]))
                    value = written * units.convert_shown(written_unit, unit)
                    found.append((value, f"limit {format_number(value, 3)}: {limit.get('name', name)}"))
    return found
