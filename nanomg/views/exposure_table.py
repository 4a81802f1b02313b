"""Noncompartmental analysis of a table of measured concentrations or of a result file: numbers, tables, rows of a CSV file."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.analysis import noncompartmental
from nanomg.analysis.cdisc import CODES, PARTIAL
from nanomg.analysis.profiles import REASONS, Method, Route
from nanomg.analysis.quantification import BLQ_RULES, BlqRule
from nanomg.data import profile_table, simulated_profiles
from nanomg.data.measured_cells import TABLE_ENDINGS
from nanomg.data.profile_table import TableUnits
from nanomg.data.profiles import Profile, Profiles, curve_name, jumps
from nanomg.errors import InputError, unknown
from nanomg.formatting import format_number, harmless_cell, percent
from nanomg.page.blocks import Block, Items, Table, Text

SMOOTH = 1e-6  # loss of adjusted R2 on curves without noise
NOISY = 1e-4  # and on measured ones
_SIDE_BY_SIDE = 4  # curves that are shown one by one
_NO_SHARE = 5e-4  # [%] shares below are shown as 0
_NAMED = 5  # curves that are named in a sentence
_AT_ONCE = 100  # curves that share an axis of times
_CLOCKS = {"s": "T{}S", "min": "T{}M", "h": "T{}H", "d": "{}D"}  # an ISO 8601 duration


@dataclasses.dataclass(frozen=True)
class NcaSettings:
    """How profiles are read and analysed; what is None or empty follows from the file, quantities are text with a unit."""

    signal: str | None = None
    dose: str | None = None
    route: str | None = None
    duration: str | None = None
    since: str | None = None
    tau: str | None = None
    method: Method = "linear-up log-down"
    points: int = 3
    tolerance: float | None = None
    include_cmax: bool = False
    intervals: Sequence[str] = ()
    baseline: str | None = None
    lloq: str | None = None
    blq: BlqRule = "0 then missing"
    volume: str = "L"
    unit: str = ""
    time_unit: str = "h"
    dose_unit: str = ""
    port: str | None = None


@dataclasses.dataclass(frozen=True)
class ExposureTable:
    """The parameters of every profile of a file: `rows` of numbers by code, and of `AUCINT` by interval."""

    source: str
    profiles: Profiles
    settings: Mapping[str, str]
    codes: Mapping[str, tuple[str, str]]  # by code: name and unit
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str]

    @property
    def sentence(self) -> str:
        """What was analysed, and how."""
        count = len(self.rows)
        what = (
            f"{self.settings['title'].capitalize()} of {self.profiles.name}, {count} curve{'s' if count != 1 else ''}"
        )
        dose = f", dose {self.settings['dose']}" if "dose" in self.settings else ""
        return f"{what}: {self.settings['route']}{dose}, {self.settings['method']}."

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "source": self.source,
            "signal": self.profiles.name,
            "settings": dict(self.settings),
            "parameters": {code: {"name": text, "unit": unit} for code, (text, unit) in self.codes.items()},
            "curves": [dict(row) for row in self.rows],
            "summary": {code: _statistics(values) for code, values in self._columns()},
            "notes": list(self.notes),
        }

    def blocks(self) -> Iterator[Block]:
        """What a screen shows: each curve where there are few, else their statistics."""
        yield Text(f"Terminal slope: {self.settings['terminal_slope']}.", "note")
        if len(self.rows) <= _SIDE_BY_SIDE:
            yield Table(*self._by_curve())
        else:
            yield Table(*self._statistics_table(), spare=("mean",))
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            if row["PPREASND"] != REASONS[0]:
                reasons.setdefault(row["PPREASND"], []).append(_label(row))
        missing = [f"Parameters are missing, {reason}: {_some(names)}." for reason, names in reasons.items()]
        yield Items([*missing, *self.notes])

    def csv(self) -> bytes:
        """A row for each curve and parameter, in the names of the CDISC domain PP."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        labels = list(self.profiles.members[0].labels)
        writer.writerow(
            [*map(harmless_cell, labels), "PPTESTCD", "PPTEST", "PPORRES", "PPORRESU", "PPSTINT", "PPENINT", "PPREASND"]
        )
        for row in self.rows:
            for code, (name, unit) in self.codes.items():
                partial = row[code] if code in PARTIAL else {"": row[code]}
                for interval, value in partial.items():
                    start, end = _iso(interval, self.profiles.clock) if interval else ("", "")
                    shown, why = ("", row["PPREASND"]) if value is None else (repr(value), "")
                    line = [*row["labels"].values(), code, name, shown, unit, start, end, why]
                    writer.writerow([harmless_cell(str(cell)) for cell in line])
        return text.getvalue().encode()

    def _columns(self) -> Iterator[tuple[str, list[float | None]]]:
        """The values of all curves, by code; of a partial area by code and interval."""
        for code in self.codes:
            if code not in PARTIAL:
                yield code, [row[code] for row in self.rows]
                continue
            for interval in self.rows[0][code]:
                yield f"{code} {interval}", [row[code][interval] for row in self.rows]

    def _by_curve(self) -> tuple[list[str], str, list[list[str]]]:
        names = [_label(row) for row in self.rows]
        cells = [
            [called, *(self._shown(called, value) for value in values), *self._unit_and_name(called)]
            for called, values in self._columns()
        ]
        return ["", *names, "unit", ""], "l" + "r" * len(names) + "up", cells

    def _shown(self, called: str, value: float | None) -> str:
        """A number as it is shown; a share below its resolution is 0."""
        unit, _ = self._unit_and_name(called)
        return "0" if unit == "%" and value is not None and abs(value) < _NO_SHARE else format_number(value, 3)

    def _statistics_table(self) -> tuple[list[str], str, list[list[str]]]:
        cells = []
        for called, values in self._columns():
            found = _statistics(values)
            keys = ("mean", "geometric_mean", "median", "low", "high")
            numbers = [self._shown(called, found[key]) for key in keys]
            mean, geometric, *rest = numbers
            spread = percent(found["cv"])
            cells.append([called, str(found["n"]), mean, spread, geometric, *rest, self._unit_and_name(called)[0]])
        return ["", "n", "mean", "CV", "geo. mean", "median", "low", "high", "unit"], "lrrrrrrru", cells

    def _unit_and_name(self, called: str) -> tuple[str, str]:
        name, unit = self.codes[called.partition(" ")[0]]
        return unit, name


def _label(row: Mapping[str, Any]) -> str:
    return curve_name(row["labels"]) or "value"


def _some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def analyse_file(path: Path, settings: NcaSettings | None = None) -> ExposureTable:
    """Noncompartmental parameters of every profile of a file.

    Args:
        path: a table of measured concentrations (.csv, .tsv, .txt, .gz, .xlsx), or a result file.
        settings: what is read and how it is analysed.

    Returns:
        The parameters of each profile.

    Raises:
        InputError: something is wrong with the file or the settings.
    """
    settings = settings or NcaSettings()
    measured = path.name.lower().endswith(TABLE_ENDINGS)
    profiles, settings = _measured(path, settings) if measured else _simulated(path, settings)
    found: list[xr.Dataset] = []
    durations = sorted({profile.duration for profile in profiles.members})
    if settings.route is None and settings.duration is None and durations[0] == 0 < durations[-1]:
        raise InputError("some curves follow an infusion and others do not; give the route with --route", str(path))
    order: list[Profile] = []
    tolerance = settings.tolerance if settings.tolerance is not None else NOISY if measured else SMOOTH
    for duration in durations:
        alike = [profile for profile in profiles.members if profile.duration == duration]
        for start in range(0, len(alike), _AT_ONCE):
            part = alike[start : start + _AT_ONCE]
            found.append(_analysed(part, profiles, dataclasses.replace(settings, tolerance=tolerance)))
            order += part
    rows = [row for data, part in zip(found, _parts(order, found), strict=True) for row in _rows(data, part)]
    back = {id(profile): row for profile, row in zip(order, rows, strict=True)}
    codes = {
        code: (v.attrs["long_name"], v.attrs["units"]) for code, v in found[0].data_vars.items() if code != "PPREASND"
    }
    listed = [code for code in (*CODES, *PARTIAL) if code in codes]
    known = settings.dose is not None or bool(profiles.dose_unit) or bool(profiles.notes and not measured)
    hint = "--dose, or a column AMT" if measured else "--dose"
    undosed = [] if known else [f"Without clearance and volume: they need the dose ({hint})."]
    return ExposureTable(
        str(path),
        profiles,
        {name: str(value) for name, value in found[0].attrs.items()},
        {code: codes[code] for code in listed},
        [back[id(profile)] for profile in profiles.members],
        [*_interval_note(profiles, settings), *profiles.notes, *undosed],
    )


def _interval_note(profiles: Profiles, settings: NcaSettings) -> list[str]:
    """Which dosing interval is analysed."""
    if settings.tau is None:
        return []
    starts = sorted({profile.start for profile in profiles.members})
    shown = " to ".join(dict.fromkeys(format_number(time) for time in (starts[0], starts[-1])))
    return [f"Dosing interval: {settings.tau} after the dose at {shown} {units.unit_text(profiles.clock)}."]


def _parts(order: Sequence[Profile], found: Sequence[xr.Dataset]) -> Iterator[Sequence[Profile]]:
    start = 0
    for data in found:
        yield order[start : start + data.sizes["profile"]]
        start += data.sizes["profile"]


def _measured(path: Path, settings: NcaSettings) -> tuple[Profiles, NcaSettings]:
    if settings.blq not in BLQ_RULES:
        raise unknown("rule for samples below the limit", settings.blq, BLQ_RULES, "--blq")
    if settings.port:
        raise InputError("it is for a result file", "--port")
    clock = settings.time_unit
    of = lambda text, unit, name: math.nan if text is None else units.parse_quantity(text, unit, f"--{name}")
    limit = of(settings.lloq if settings.unit else None, settings.unit, "lloq")
    since, tau = (None if text is None else of(text, clock, name) for name, text in _times(settings))
    profiles = profile_table.read_profiles(
        path,
        TableUnits(settings.unit, clock, settings.dose_unit),
        value=settings.signal,
        amounts=settings.dose is None,
        lloq=limit,
        blq=settings.blq,
        since=since,
        tau=tau,
    )
    return profiles, dataclasses.replace(settings, lloq=None, blq="0 then missing")


def _simulated(path: Path, settings: NcaSettings) -> tuple[Profiles, NcaSettings]:
    for name in ("unit", "dose_unit"):
        if getattr(settings, name):
            raise InputError("it is for a table; a result file has its units", f"--{name.replace('_', '-')}")
    since, tau = (None if t is None else units.parse_quantity(t, "h", f"--{name}") for name, t in _times(settings))
    axes = simulated_profiles.axes_of(path, settings.signal) if settings.dose is not None else []
    axis = settings.dose if settings.dose in axes else None
    profiles = simulated_profiles.read_simulated(
        path, settings.signal, port=settings.port, axis=axis, since=since, tau=tau
    )
    if profiles.dose_unit and not noncompartmental.volumes_of(profiles.dose_unit, profiles.unit, settings.volume):
        shown = units.unit_text(profiles.dose_unit), units.unit_text(profiles.unit)
        note = "Without clearance and volume: a dose in {} over a signal in {} is no volume.".format(*shown)
        profiles = profiles._replace(dose_unit="", notes=(*profiles.notes, note))
    if settings.route is None and settings.duration is None and any(map(jumps, profiles.members)):
        note = "The route is an iv bolus, as the curve rises at once at the time of the dose; --route names another."
        profiles = profiles._replace(notes=(*profiles.notes, note))
        settings = dataclasses.replace(settings, route="iv bolus")
    return profiles, dataclasses.replace(settings, dose=None) if axis else settings


def _times(settings: NcaSettings) -> tuple[tuple[str, str | None], ...]:
    return ("since", settings.since), ("tau", settings.tau)


def _analysed(part: Sequence[Profile], profiles: Profiles, settings: NcaSettings) -> xr.Dataset:
    """The parameters of profiles with one duration of infusion, at all times at which any of them has a sample."""
    times = np.unique(np.concatenate([profile.time for profile in part]))
    curves = np.full((len(part), len(times)), np.nan)
    for curve, profile in zip(curves, part, strict=True):
        taken = np.isfinite(profile.value)
        curve[np.searchsorted(times, profile.time[taken])] = profile.value[taken]
    C = xr.DataArray(
        curves,
        {"time": ("time", times, {"units": profiles.clock})},
        ("profile", "time"),
        attrs={"units": profiles.unit},
    )
    duration = settings.duration
    if duration is None and part[0].duration > 0 and settings.route in (None, "infusion"):
        duration = f"{part[0].duration!r} {units.unit_text(profiles.clock)}"
    route: Any = settings.route or ("infusion" if duration else "extravascular")
    if route not in get_args(Route):
        raise unknown("route", route, get_args(Route), "--route")
    dose: Any = settings.dose
    if dose is None and profiles.dose_unit:
        dose = xr.DataArray([profile.dose for profile in part], dims="profile", attrs={"units": profiles.dose_unit})
    return noncompartmental.nca(
        C,
        dose=dose,
        route=route,
        duration=duration,
        tau=settings.tau,
        method=settings.method,
        points=settings.points,
        tolerance=settings.tolerance if settings.tolerance is not None else NOISY,
        include_cmax=settings.include_cmax,
        intervals=settings.intervals,
        baseline=_baseline(part, profiles, settings.baseline, route),
        lloq=settings.lloq,
        blq=settings.blq,
        missing="skipped",
        volume=settings.volume,
    )


def _baseline(part: Sequence[Profile], profiles: Profiles, given: str | None, route: str) -> Any:
    """The baseline of each profile, where it is the last sample before the dose."""
    if given != "predose":
        return given
    found = []
    for profile in part:
        before = profile.time < 0.0 if route == "iv bolus" else profile.time <= 0.0
        taken = np.flatnonzero(before & np.isfinite(profile.value))
        if not taken.size:
            raise InputError(
                f"{curve_name(profile.labels)} has no sample before the dose; give a concentration",
                "--baseline",
            )
        found.append(profile.value[taken[-1]])
    return xr.DataArray(found, dims="profile", attrs={"units": profiles.unit})


def _rows(data: xr.Dataset, part: Sequence[Profile]) -> Iterator[dict[str, Any]]:
    """The numbers of each profile by code; None where there is none."""
    reasons = str(data.PPREASND.attrs["flag_meanings"]).split()
    value = lambda x: float(x) if math.isfinite(x) else None
    for i, profile in enumerate(part):
        row: dict[str, Any] = {"labels": dict(profile.labels)}
        for code, found in data.data_vars.items():
            one = found.isel(profile=i)
            if code == "PPREASND":
                row[code] = reasons[int(one)].replace("_", " ")
            elif code in PARTIAL:
                row[str(code)] = dict(zip(data.interval.values.tolist(), map(value, one.values), strict=True))
            else:
                row[str(code)] = value(one.values)
        yield row


def _statistics(values: Sequence[float | None]) -> dict[str, Any]:
    """Number, mean, CV, geometric mean, median, lowest and highest of those values that are known."""
    known = np.array([value for value in values if value is not None], float)
    none = dict.fromkeys(("mean", "cv", "geometric_mean", "median", "low", "high"))
    if not known.size:
        return {"n": 0, **none}
    mean = float(known.mean())
    spread = float(known.std(ddof=1)) if known.size > 1 else math.nan
    return {
        "n": int(known.size),
        "mean": mean,
        "cv": spread / mean if mean and math.isfinite(spread) else None,
        "geometric_mean": float(np.exp(np.log(known).mean())) if (known > 0).all() else None,
        "median": float(np.median(known)),
        "low": float(known.min()),
        "high": float(known.max()),
    }


def _iso(interval: str, clock: str) -> tuple[str, str]:
    """Both ends of an interval as ISO 8601 durations, as the CDISC variables PPSTINT and PPENINT hold them."""
    start, _, rest = interval.partition("..")
    end = rest.partition(" ")[0]
    form = _CLOCKS.get(clock, "{} " + clock)
    return f"P{form.format(start)}", f"P{form.format(end)}"
