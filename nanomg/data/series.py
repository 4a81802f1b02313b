"""Measurements: rows selected from a CSV file and turned into values that a model is compared with.
The keys are those of nanomg.data.studies."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanomg import units
from nanomg.analysis.readouts import SPREAD, WINDOWED, spread_of
from nanomg.errors import InputError, unknown
from nanomg.files import check_regular
from nanomg.library.toml import Reader

MEANS: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda v: float(np.mean(v)),
    "geometric": lambda v: float(np.exp(np.mean(np.log(v)))),
    "median": lambda v: float(np.median(v)),
    "none": lambda v: float(np.mean(v)),  # of one
}
_PICKING = {
    "file",
    "columns",
    "where",
    "shift",
    "from",
    "to",
    "together",
    "aggregate",
    "per",
    "part",
    "error",
    "sd",
    "unit",
}
_COLUMNS = {"time", "time_unit", "value", "unit", "sd"}
_MISSING = {"", "na", "nan", "n/a", "."}
_ROUNDING = 1e-9  # [h]
_KINDS: Mapping[str, type] = dict.fromkeys(("columns", "where", "against"), Mapping) | dict.fromkeys(
    ("run", "signal", "file", "unit", "statistic", "aggregate", "baseline", "per"), str
)
_COMPARED: Mapping[str, Callable[[Any, Any, Any], tuple[Any, Any]]] = {  # value and standard deviation against a base
    "ratio": lambda v, sd, base: (v / base, sd / abs(base)),
    "difference": lambda v, sd, base: (v - base, sd),
    "change": lambda v, sd, base: (v / base - 1.0, sd / abs(base)),
}
_OWN_WINDOW = ("slope", "half-life")  # statistics that hardly depend on where the window ends


Line = tuple[int, Mapping[str, str]]


class _Reduced(NamedTuple):
    """What becomes a row: window [h], of no length at one time; value, standard deviation or NaN, number of measurements; whose
    measurement it is, where it is one."""

    start: float
    stop: float
    value: float
    sd: float
    n: int
    owner: str = ""


class _Points(NamedTuple):
    """Measurements in the order of time: time [h] of the run, value, its standard deviation or NaN, and its owner (`per`)."""

    time: np.ndarray
    value: np.ndarray
    sd: np.ndarray
    owner: np.ndarray
    unit: str


class Series(NamedTuple):
    """One [[series]] and the measurements that it picks; `subjects` are those of its run, 0 for a typical one."""

    entry: Mapping[str, Any]
    points: _Points
    subjects: int
    where: str

    @classmethod
    def read(
        cls, entry: Mapping[str, Any], study: Mapping[str, Any], raw: Path, runs: Mapping[str, Any], where: str
    ) -> Series:
        """The series of a [[series]] table of a study, with its measurements from below `raw`."""
        Reader(entry, where, needed={"run", "signal"})
        shared = {key: study[key] for key in ("columns", "file") if key in study}
        _check_kinds({**shared, **entry}, _KINDS, where)
        if "against" in entry:
            Reader(entry["against"], f"{where}, against", {"run", "how"}, {"run", "how"})
            _check_kinds(entry["against"], {"run": str, "how": str}, f"{where}, against")
        if entry["run"] not in runs:
            raise unknown("run", entry["run"], runs, where)
        given_unit = {"unit": entry["unit"]} if "unit" in entry else {}
        columns = {**shared.get("columns", {}), **entry.get("columns", {}), **given_unit}
        Reader(columns, f"{where}, columns", _COLUMNS, {"time", "value", "unit"})
        _check_kinds(columns, dict.fromkeys(columns, str), f"{where}, columns")
        file = entry.get("file", shared.get("file"))
        if file is None:
            raise InputError("no data file is named", where)
        points = _pick(read_csv(raw / file), entry, columns, f"{raw / file}, {where}")
        lanes = runs[entry["run"]].lanes
        return cls(entry, points, lanes if lanes > 1 else 0, where)

    def entries(self, others: Sequence[Series]) -> Iterator[tuple[Mapping[str, Any], str]]:
        """The rows of this series as tables of observations, each with where it comes from."""
        part = self.entry.get("part", "fit")
        if part == "reference":
            return
        passed = {key: value for key, value in self.entry.items() if key not in _PICKING}
        label, unit = str(passed.get("quantity") or self.label), self.unit
        for found in self.reduced():
            value, sd = self.compared(found, others)
            row = {"quality": "computed", **passed, "value": value, "unit": unit, "series": label, "part": part}
            row |= {"n": found.n, "quantity": label, **self.over(), **self.error(sd)}
            row |= {"subject": found.owner} if found.owner else {}
            if self.entry.get("statistic", "at") == "at":
                row["time"] = f"{found.stop!r} h"
            else:
                row |= {"from": f"{found.start!r} h", "to": f"{found.stop!r} h"}
            if "statistic" not in self.entry:
                row |= {"statistic": "at", "quantity": f"{label} at {found.stop:g} h"}
            yield row, self.where

    @property
    def label(self) -> str:
        """The keys that distinguish this series from others."""
        run, signal, against = (self.entry.get(key) for key in ("run", "signal", "against"))
        spread = f", {self.spread}" if self.spread else ""
        return f"{run}, {signal}{spread}" + (f" against {against['run']}" if against else "")

    @property
    def aggregate(self) -> str:
        """The aggregate of replicates."""
        return str(self.entry.get("aggregate", "mean"))

    @property
    def spread(self) -> str:
        """The aggregate, where it is a share or a quantile: of the subjects of a run then."""
        return self.aggregate if SPREAD.fullmatch(self.aggregate) else ""

    @property
    def unit(self) -> str:
        """Unit of the rows' values: what baseline, statistic, aggregate and comparison make of that of the data."""
        how = self.entry.get("against", {}).get("how")
        return "1" if how in ("ratio", "change") or self.spread.startswith("share") else self.read_in

    @property
    def read_in(self) -> str:
        """Unit of the values that are aggregated: points of the curve, or statistics of it."""
        curve = "1" if self.entry.get("baseline") == "ratio" else self.points.unit
        return WINDOWED[self.statistic].unit(curve) if "statistic" in self.entry else curve

    @property
    def statistic(self) -> str:
        """The statistic that is taken of the window."""
        name = str(self.entry["statistic"])
        if name not in WINDOWED:
            raise unknown("statistic", name, WINDOWED, self.where)
        return name

    def over(self) -> dict[str, Any]:
        """How subjects of the run become one number: as it is written, else as measurements do."""
        if self.spread:
            return {"over": self.spread}
        if "over" in self.entry or not self.subjects or self.aggregate == "none":
            return {}
        if self.aggregate not in ("mean", "median"):
            raise InputError(
                f"subjects of a run have no {self.aggregate} value; say with `over` what to compare", self.where
            )
        return {"over": self.aggregate}

    def error(self, sd: float) -> dict[str, float]:
        """What was stated for the series, else the column's own standard deviation, else nothing."""
        if "error" in self.entry:
            return {"error": self.entry["error"]}
        if "sd" in self.entry:
            return {"sd": units.parse_quantity(self.entry["sd"], self.unit, self.where)}
        if math.isnan(self.points.sd[0]):
            return {}
        if self.spread or "statistic" in self.entry:
            what = self.spread or self.statistic
            raise InputError(
                f"the column of standard deviations has no value for {what!r}; state an error or sd", self.where
            )
        return {"sd": sd}

    def reduced(self) -> list[_Reduced]:
        """Replicates as one, at each time; or one statistic of the whole window, of each owner first where there is `per`."""
        per = "per" in self.entry
        if self.spread and not per and ("statistic" in self.entry or "baseline" in self.entry):
            raise InputError(
                f"{self.spread!r} of a statistic, or against the value at time 0, needs `per`: whose values they are",
                self.where,
            )
        p = self.relative()
        if "statistic" not in self.entry:
            found = []
            for rows in self.groups(np.arange(len(p.time))):
                time = float(p.time[rows].mean())
                owner = str(p.owner[rows[0]]) if self.aggregate == "none" else ""
                found.append(_Reduced(time, time, self.mean(p.value[rows]), float(p.sd[rows].mean()), len(rows), owner))
            return found
        each: list[float] = []
        ends: list[tuple[float, float]] = []
        for owner in dict.fromkeys(p.owner):
            times, values = self.course(p, np.flatnonzero(p.owner == owner))
            each.append(float(WINDOWED[self.statistic].formula(times, values, times[0], times[-1])))
            ends.append((times[0], times[-1]))
        self.same_window(np.array(ends))
        start, stop = (float(end) for end in np.mean(ends, 0))
        value = self.mean(np.array(each)) if per else each[0]
        return [_Reduced(start, stop, value, math.nan, len(each) if per else len(p.time))]

    def relative(self) -> _Points:
        """The points against the value at time 0, where there is a baseline: with `per`, each against its owner's."""
        if "baseline" not in self.entry:
            return self.points
        p = self.points
        value, sd = p.value.copy(), p.sd.copy()
        alike = self._replace(entry={**self.entry, "aggregate": "mean"}) if self.aggregate == "none" else self
        for owner in dict.fromkeys(p.owner):
            members = p.owner == owner
            base = self.between(0.0, *alike.course(p, np.flatnonzero(members)))
            value[members], sd[members] = self.held(self.entry["baseline"], value[members], sd[members], base)
        return p._replace(value=value, sd=sd)

    def course(self, points: _Points, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Times [h] and values of some of the points, replicates as one: as the aggregate says, with `per` their mean."""
        mean = np.mean if "per" in self.entry else self.mean
        groups = self.groups(rows)
        return np.array([points.time[g].mean() for g in groups]), np.array([mean(points.value[g]) for g in groups])

    @property
    def within(self) -> float:
        """How far apart [h] times may be that count as one."""
        return _hours(self.entry.get("together", 0), self.where) + _ROUNDING

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """Points that count as replicates of each other, in the order of time."""
        if self.aggregate == "none":
            return list(rows[:, None])
        within, groups = self.within, list[list[int]]()
        for i in rows:
            if groups and self.points.time[i] - self.points.time[groups[-1][0]] <= within:
                groups[-1].append(i)
            else:
                groups.append([i])
        return [np.array(group) for group in groups]

    def mean(self, values: np.ndarray) -> float:
        """Replicates as one number."""
        how = self.aggregate
        if how in MEANS:
            with np.errstate(divide="ignore", invalid="ignore"):
                return MEANS[how](values)
        spread = spread_of(how, self.read_in, self.where)
        if spread is None:
            known = (*MEANS, "q05", "q95", "share above 10 mm^3", "share below 10 mm^3")
            raise unknown("aggregate", how, known, self.where)
        if spread.kind == "quantile":
            return float(np.quantile(values, spread.level))
        return float(np.mean(values > spread.level if spread.kind == "above" else values < spread.level))

    def held(self, kind: str, value: Any, sd: Any, base: float) -> tuple[Any, Any]:
        """Values and standard deviations against a base."""
        if kind not in _COMPARED:
            raise unknown("comparison", kind, _COMPARED, self.where)
        if base == 0 and kind != "difference":
            raise InputError(f"there is no {kind} to a value of 0", self.where)
        return _COMPARED[kind](value, sd, base)

    def compared(self, found: _Reduced, others: Sequence[Series]) -> tuple[float, float]:
        """Value and standard deviation relative to the base that the prediction is compared with."""
        if (against := self.entry.get("against")) is None:
            return found.value, found.sd
        other = self.other(against["run"], others)
        if "statistic" in self.entry:
            (base,) = other.cut(found.start - self.within, found.stop + self.within).reduced()
            self.same_window(np.array([found[:2], base[:2]]))
            return self.held(against["how"], found.value, found.sd, base.value)
        course = other.reduced()
        times, values = (np.array(column) for column in zip(*((c.stop, c.value) for c in course), strict=True))
        return self.held(against["how"], found.value, found.sd, self.between(found.stop, times, values))

    def other(self, run: str, others: Sequence[Series]) -> Series:
        """The series of the run that this one is compared with, read in the same way."""
        same = {key: self.entry[key] for key in ("statistic", "baseline", "aggregate") if key in self.entry}
        for one in others:
            if one.entry["run"] == run and one.entry["signal"] == self.entry["signal"] and "against" not in one.entry:
                kept = {key: value for key, value in one.entry.items() if key not in ("statistic", "baseline")}
                return one._replace(entry={**kept, **same})
        raise InputError(f"no series of run {run!r} has data to compare this with", self.where)

    def cut(self, start: float, stop: float) -> Series:
        """The series with the points of a window [h] alone."""
        p = self.points
        inside = (p.time >= start) & (p.time <= stop)
        if not inside.any():
            raise InputError(f"there are no data from {start:g} to {stop:g} h to compare others with", self.where)
        return self._replace(points=_Points(p.time[inside], p.value[inside], p.sd[inside], p.owner[inside], p.unit))

    def same_window(self, ends: np.ndarray) -> None:
        """Reject windows [h] (one, 2) of which some end elsewhere, for a statistic to which that matters."""
        if self.statistic not in _OWN_WINDOW and (np.ptp(ends, 0) > self.within).any():
            raise InputError(
                f"the data of {self.statistic!r} do not all reach from {ends[0, 0]:g} to {ends[0, 1]:g} h; "
                "choose `from` and `to`, or how far apart they may be with `together`",
                self.where,
            )

    def between(self, time: float, times: np.ndarray, values: np.ndarray) -> float:
        """The value at a time [h], between measurements on a straight line."""
        if not times[0] - _ROUNDING <= time <= times[-1] + _ROUNDING:
            raise InputError(f"there are no data around {time:g} h to compare others with", self.where)
        return float(np.interp(time, times, values))


def read_csv(path: Path) -> list[Line]:
    """The rows of a CSV file by column, each with its line's number. Raises `InputError` for a file that is missing or no table."""
    check_regular(path, str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("there is no such data file; name the folder of raw data with --raw", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read ({error})", str(path)) from None
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows: list[Line] = []
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"line {reader.line_num} does not have as many cells as the heading", str(path))
            rows.append((reader.line_num, {key.strip(): cell.strip() for key, cell in row.items()}))
    except csv.Error as error:
        raise InputError(f"this is not a table of comma-separated values: {error}", str(path)) from None
    if not rows:
        raise InputError("the table has no rows", str(path))
    return rows


def _pick(rows: Sequence[Line], entry: Mapping[str, Any], columns: Mapping[str, str], where: str) -> _Points:
    wanted = entry.get("where", {})
    per = entry.get("per", "")
    needed = [columns["time"], columns["value"], *wanted, *(name for name in (columns.get("sd"), per) if name)]
    for column in needed:
        if column not in rows[0][1]:
            raise unknown("column", column, rows[0][1], where)
    to_hours = units.convert(1.0, columns.get("time_unit", "h"), "h", where)
    shift, first, last = (
        _hours(entry.get(key, default), where) for key, default in (("shift", 0), ("from", 0), ("to", math.inf))
    )
    picked = []
    for line, row in rows:
        chosen = all(_matches(row[column], value) for column, value in wanted.items())
        if chosen and row[columns["value"]].lower() not in _MISSING:
            time = parse_number(row, columns["time"], line, where) * to_hours + shift
            sd = parse_number(row, columns["sd"], line, where) if "sd" in columns else math.nan
            if sd <= 0:
                raise InputError(f"line {line}: a standard deviation must be above 0, not {sd:g}", where)
            if first - _ROUNDING <= time <= last + _ROUNDING:
                picked.append((time, parse_number(row, columns["value"], line, where), sd, row[per] if per else ""))
    if not picked:
        asked = ", ".join(f"{k} = {v!r}" for k, v in wanted.items()) or "a value"
        raise InputError(f"no row with {asked} is in the window", where)
    times, values, sds, owners = zip(*sorted(picked, key=lambda p: p[0]), strict=True)
    return _Points(np.array(times), np.array(values), np.array(sds), np.array(owners, object), columns["unit"])


def _matches(cell: str, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_matches(cell, one) for one in wanted)
    if isinstance(wanted, int | float):
        try:
            return math.isclose(float(cell), wanted)
        except ValueError:
            return False
    return cell == str(wanted)


def parse_number(row: Mapping[str, str], column: str, line: int, where: str) -> float:
    """A cell as a finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"line {line}: {row[column]!r} in column {column!r} is not a number", where)
    return value


def _hours(value: Any, where: str) -> float:
    return float(value) if value in (0, math.inf) else units.parse_quantity(value, "h", where)


def _check_kinds(entry: Mapping[str, Any], kinds: Mapping[str, type], where: str) -> None:
    for key, kind in kinds.items():
        if key in entry and not isinstance(entry[key], kind):
            raise InputError(f"{key} must be {'text' if kind is str else 'a table'}, not {entry[key]!r}", where)
