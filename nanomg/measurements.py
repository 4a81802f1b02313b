"""Measurements: rows picked from a CSV file, and made into what a model is compared with. The keys are those of nanomg.studies."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanomg import units
from nanomg.errors import InputError, unknown
from nanomg.statistics import STATISTICS, UNITS

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
_QUANTILE = re.compile(r"q(\d{2})")


class _Reduced(NamedTuple):
    """What becomes a row: time [h] or None, value, standard deviation or NaN, number of measurements."""

    time: float | None
    value: float
    sd: float
    n: int


class _Points(NamedTuple):
    """Measurements in the order of time: time [h] of the run, value, its standard deviation or NaN, whose it is."""

    time: np.ndarray
    value: np.ndarray
    sd: np.ndarray
    owner: np.ndarray
    unit: str


class Series(NamedTuple):
    """One [[series]] and the measurements that it picks."""

    entry: Mapping[str, Any]
    points: _Points
    where: str

    @classmethod
    def read(
        cls, entry: Mapping[str, Any], study: Mapping[str, Any], raw: Path, runs: Mapping[str, Any], where: str
    ) -> Series:
        """The series of a [[series]] table of a study, with its measurements from below `raw`."""
        only(entry, set(entry), {"run", "signal"}, where)
        if entry["run"] not in runs:
            raise unknown("run", str(entry["run"]), runs, where)
        own = {"unit": entry["unit"]} if "unit" in entry else {}
        columns = {**study.get("columns", {}), **entry.get("columns", {}), **own}
        only(columns, _COLUMNS, {"time", "value", "unit"}, f"{where}, columns")
        file = entry.get("file", study.get("file"))
        if not isinstance(file, str):
            raise InputError("no file of data is named", where)
        return cls(entry, _pick(read_csv(raw / file), entry, columns, f"{raw / file}, {where}"), where)

    def entries(self, others: Sequence[Series]) -> Iterator[tuple[Mapping[str, Any], str]]:
        """The rows of this series as tables of observations, each with where it comes from."""
        part = self.entry.get("part", "fit")
        if part == "reference":
            return
        passed = {key: value for key, value in self.entry.items() if key not in _PICKING}
        label, unit = str(passed.get("quantity") or self.label), self.unit
        for time, value, sd, n in self.reduced():
            value = self.compared(time, value, others)
            row = {"quality": "computed", **passed, "value": value, "unit": unit, "n": n, "series": label, "part": part}
            if self.spread:
                row["over"] = self.spread
            if time is None:
                row |= {"quantity": label} | self.window()
            else:
                row |= {"statistic": "at", "time": f"{time!r} h", "quantity": f"{label} at {time:g} h"}
            yield row | self.error(sd, unit), self.where

    @property
    def label(self) -> str:
        """What tells this series from others."""
        run, signal, against = (self.entry.get(key) for key in ("run", "signal", "against"))
        spread = f", {self.spread}" if self.spread else ""
        return f"{run}, {signal}{spread}" + (f" against {against['run']}" if against else "")

    def window(self) -> dict[str, Any]:
        """From where to where the statistic looks: as written, else as far as the data reach."""
        first, last = (self.entry.get(key, f"{self.points.time[i]:g} h") for key, i in (("from", 0), ("to", -1)))
        return {"time": last} if self.entry["statistic"] == "at" else {"from": first, "to": last}

    @property
    def unit(self) -> str:
        """Unit of the rows' values: what statistic, aggregate and comparison make of that of the data."""
        how = self.entry.get("against", {}).get("how", self.entry.get("baseline"))
        return "1" if how in ("ratio", "change") or self.spread.startswith("share") else self.read_in

    @property
    def spread(self) -> str:
        """The aggregate, where it is a share or a quantile: of the subjects of a run then."""
        how = str(self.entry.get("aggregate", ""))
        return how if how.startswith("share") or _QUANTILE.fullmatch(how) else ""

    @property
    def read_in(self) -> str:
        """Unit of the values before they are compared."""
        statistic = self.entry.get("statistic")
        if statistic is None:
            return self.points.unit
        if statistic not in STATISTICS:
            raise unknown("statistic", str(statistic), STATISTICS, self.where)
        own = UNITS[statistic]
        return self.points.unit if own is None else f"({self.points.unit or '1'}) * h" if statistic == "auc" else own

    def error(self, sd: float, unit: str) -> dict[str, float]:
        """What was stated for the series, else the column's own standard deviation, else nothing."""
        if "error" in self.entry:
            return {"error": self.entry["error"]}
        if "sd" in self.entry:
            return {"sd": units.parse_quantity(self.entry["sd"], unit, self.where)}
        return {"sd": sd} if sd > 0 else {}

    def reduced(self) -> list[_Reduced]:
        """Replicates as one, at each time; or one statistic of the whole window, of each owner first where there is `per`."""
        p, per = self.points, "per" in self.entry
        if "statistic" not in self.entry:
            return [
                _Reduced(float(p.time[rows].mean()), self.mean(p.value[rows]), float(p.sd[rows].mean()), len(rows))
                for rows in self.groups(np.arange(len(p.time)))
            ]
        statistic = STATISTICS[self.entry["statistic"]]
        each = []
        for owner in dict.fromkeys(p.owner):
            groups = self.groups(np.flatnonzero(p.owner == owner))
            mean = np.mean if per else self.mean
            time, value = (
                np.array([of(column[rows]) for rows in groups]) for column, of in ((p.time, np.mean), (p.value, mean))
            )
            each.append(float(statistic(time, value, time[0], time[-1])))
        return [
            _Reduced(None, self.mean(np.array(each)) if per else each[0], math.nan, len(each) if per else len(p.time))
        ]

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """Points that count as replicates of each other, in the order of time."""
        if self.entry.get("aggregate") == "none":
            return list(rows[:, None])
        within, groups = _hours(self.entry.get("together", 0), self.where), list[list[int]]()
        for i in rows:
            if groups and self.points.time[i] - self.points.time[groups[-1][0]] <= within + _ROUNDING:
                groups[-1].append(i)
            else:
                groups.append([i])
        return [np.array(group) for group in groups]

    def mean(self, values: np.ndarray) -> float:
        """Replicates as one number."""
        how = str(self.entry.get("aggregate", "mean"))
        if how in MEANS:
            with np.errstate(divide="ignore", invalid="ignore"):
                return MEANS[how](values)
        if quantile := _QUANTILE.fullmatch(how):
            return float(np.quantile(values, int(quantile[1]) / 100))
        share, _, limit = how.partition(" ")
        side, _, limit = limit.partition(" ")
        if share != "share" or side not in ("above", "below"):
            known = (*MEANS, "q05", "q95", "share above 10 mm^3", "share below 10 mm^3")
            raise unknown("aggregate", how, known, self.where)
        bound = units.parse_quantity(limit, self.points.unit, self.where)
        return float(np.mean(values > bound if side == "above" else values < bound))

    def compared(self, time: float | None, value: float, others: Sequence[Series]) -> float:
        """The value against what the prediction will be held against."""
        how = {
            "ratio": lambda v, base: v / base,
            "difference": lambda v, base: v - base,
            "change": lambda v, base: v / base - 1.0,
        }
        kind, base = None, 1.0
        if (against := self.entry.get("against")) is not None:
            only(against, {"run", "how"}, {"run", "how"}, f"{self.where}, against")
            kind, base = against["how"], self.other(against["run"], others).value_at(time, self.entry.get("statistic"))
        elif "baseline" in self.entry:
            kind, base = self.entry["baseline"], self.value_at(0.0)
        if kind is None:
            return value
        if kind not in how:
            raise unknown("comparison", str(kind), how, self.where)
        return how[kind](value, base)

    def other(self, run: Any, others: Sequence[Series]) -> Series:
        """The series of that run whose data this one is held against."""
        for one in others:
            if one.entry["run"] == run and one.entry["signal"] == self.entry["signal"] and "against" not in one.entry:
                return one
        raise InputError(f"no series of run {run!r} has data to hold this against", self.where)

    def value_at(self, time: float | None, statistic: str | None = None) -> float:
        """The value at a time [h], between measurements on a straight line; or without a time the statistic of the window."""
        entry = {k: v for k, v in self.entry.items() if k != "statistic"} | (
            {"statistic": statistic} if statistic else {}
        )
        points = self._replace(entry=entry).reduced()
        if time is None:
            return points[0].value
        times = np.array([p.time for p in points], float)
        if not times[0] - _ROUNDING <= time <= times[-1] + _ROUNDING:
            raise InputError(f"there are no data around {time:g} h to hold others against", self.where)
        return float(np.interp(time, times, [p.value for p in points]))


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column. Raises `InputError` for a file that is missing or is no table."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("there is no such file of data; name the folder of raw data with --raw", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read ({error})", str(path)) from None
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = [{str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None} for row in reader]
    except csv.Error as error:
        raise InputError(f"this is not a table of comma-separated values: {error}", str(path)) from None
    if not rows:
        raise InputError("the table has no rows", str(path))
    return rows


def _pick(
    rows: Sequence[Mapping[str, str]], entry: Mapping[str, Any], columns: Mapping[str, str], where: str
) -> _Points:
    wanted = entry.get("where", {})
    per = entry.get("per", "")
    needed = [columns["time"], columns["value"], *wanted, *(name for name in (columns.get("sd"), per) if name)]
    for column in needed:
        if column not in rows[0]:
            raise unknown("column", column, rows[0], where)
    to_hours = units.convert(1.0, columns.get("time_unit", "h"), "h", where)
    shift, first, last = (
        _hours(entry.get(key, default), where) for key, default in (("shift", 0), ("from", 0), ("to", math.inf))
    )
    picked = []
    for line, row in enumerate(rows, 2):
        chosen = all(_matches(row[column], value) for column, value in wanted.items())
        if chosen and row[columns["value"]].lower() not in _MISSING:
            time = number(row, columns["time"], line, where) * to_hours + shift
            sd = number(row, columns["sd"], line, where) if "sd" in columns else math.nan
            if first - _ROUNDING <= time <= last + _ROUNDING:
                picked.append((time, number(row, columns["value"], line, where), sd, row[per] if per else ""))
    if not picked:
        asked = ", ".join(f"{k} = {v!r}" for k, v in wanted.items()) or "a value"
        raise InputError(f"no row with {asked} lies in the window", where)
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


def number(row: Mapping[str, str], column: str, line: int, where: str) -> float:
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


def only(entry: Any, allowed: Iterable[str], needed: Iterable[str], where: str) -> None:
    """Refuse what is no table, has an unknown key or lacks a needed one."""
    if not isinstance(entry, Mapping):
        raise InputError("this must be a table", where)
    for key in entry:
        if key not in allowed:
            raise unknown("key", key, allowed, where)
    for key in sorted(needed):
        if key not in entry:
            raise InputError(f"the key {key!r} is missing", where)
