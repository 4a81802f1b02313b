"""Event tables read by column: all rows at once, and which of them cannot be used.

What is wrong with a row in words is for `nanomg.dosing.event_row` to say. Times become hours, and amounts stay as they are written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nanomg.dosing import cell_values
from nanomg.dosing.bad_rows import refused
from nanomg.dosing.cell_values import CLOCKS, MOMENTS, ZONED
from nanomg.dosing.column_names import CLOCKED, DATES, ColumnNames, TableLayout
from nanomg.dosing.record_columns import Columns
from nanomg.dosing.series import MOST_DOSES
from nanomg.dosing.table_cells import MISSING, TableCells
from nanomg.errors import InputError

_NUMBERS = ("EVID", "AMT", "RATE", "II", "ADDL", "SS", "MDV", "DV", "UNTIL", "DUR")
_HOUR = 3600.0  # [s]


@dataclasses.dataclass
class RawTable:
    """The rows of a table, (row,) each, in the order of the file or sorted; `wrong` are those with a cell that cannot be read.

    `labels` are the IDs, `who` counts them from 0. `clock` says how the column of times is written: as numbers (empty), clock
    times, or moments, i.e. dates with a time. Of times, `given` has hours since the first record of a subject then.
    """

    given: dict[str, np.ndarray]
    labels: list[str]
    who: np.ndarray
    names: dict[str, int]  # of ports and states, by their number in the column CMT
    wrong: np.ndarray
    clock: str = ""
    date: str = ""  # the column of dates, if it is used
    ambiguous: str = ""  # a date that could be read in two ways, and how it was read
    unquantified: int = 0  # observed values beyond a limit of quantification

    def read(self, name: str) -> np.ndarray:
        """A column of numbers, NaN where it is missing."""
        return self.given.get(name, np.full(len(self.who), np.nan))

    @property
    def first(self) -> np.ndarray:
        """Which rows have another ID than the row before."""
        return np.append(True, np.diff(self.who) != 0)

    def ordered(self, order: np.ndarray) -> RawTable:
        """The rows in another order."""
        given = {name: column[order] for name, column in self.given.items()}
        return dataclasses.replace(self, given=given, who=self.who[order], wrong=self.wrong[order])


class _Times(NamedTuple):
    """Cells of the column of times: numbers or seconds, which of these are clock times or moments, and which have an offset."""

    value: np.ndarray
    clock: np.ndarray
    dated: np.ndarray
    zoned: np.ndarray


def read_raw(
    table: TableCells, names: ColumnNames, layout: TableLayout, cmt_of: Callable[[str], str | None]
) -> RawTable:
    """All rows of a table. `cmt_of` gives the port or state that a text of CMT names, empty where it names none, and None where
    it is wrong."""
    gathered = _Gathered(table, names, cmt_of)
    for rows, cells in table.chunks():
        gathered.add(rows, cells)
    if not gathered.wrong and table.misfits:
        raise refused(table.misfit_rows, len(table.misfits), table.source)
    if not gathered.wrong:
        raise InputError("the table has a header but no records", table.source)
    raw = _with_times(gathered.raw(), gathered.times(), gathered.days, gathered.date, layout, table.source)
    for name in CLOCKED:
        if name in raw.given and not (name == "TIME" and raw.clock):
            with np.errstate(over="ignore"):
                raw.given[name] = raw.given[name] * layout.hours.get(name, 1.0)
            raw.wrong |= np.isinf(raw.given[name])
    return _since_first(_sorted(raw, table.source) if layout.sort else raw)


class _Gathered:
    """The cells of all chunks as numbers: `parts` by column, `wrong` rows, `days` as they are written."""

    def __init__(self, table: TableCells, names: ColumnNames, cmt_of: Callable[[str], str | None]):
        self.names, self.cmt_of = names, cmt_of
        self.parts: dict[str, list[np.ndarray]] = {}
        self.clocks: list[_Times] = []
        self.wrong: list[np.ndarray] = []
        self.days: list[str] = []
        self.date = next((c for c in DATES if c in names.columns), "")
        self.labels: dict[str, int] = {}
        self.targets: dict[str, int] = {}
        self.unquantified = 0
        self._labels = dict.fromkeys(MISSING, -1)  # of texts of ID as written
        self._targets: dict[str, int | None] = dict.fromkeys(MISSING, -1)  # of texts of CMT
        self._number_of = lambda text: cell_values.number_of(text, table.decimal)

    def add(self, rows: list[int], cells: Sequence[Sequence[str]]) -> None:
        """A chunk of the table."""
        names = self.names
        self.wrong.append(np.zeros(len(rows), bool))
        self._part("row", np.array(rows))
        self._add_times(cells[names.place["TIME"]])
        for name in _NUMBERS:
            if name in names.place:
                column = cells[names.place[name]]
                self._part(
                    name, *cell_values.numbers(self._quantified(column) if name == "DV" else column, self._number_of)
                )
        for name in names.covariates:
            bound = name in names.bound.values()
            values, unread = cell_values.numbers(cells[names.columns.index(name)], self._number_of)
            self._part(f" {name}", values, unread if bound else None)
        if "CMT" in names.place:
            self._add_targets(cells[names.place["CMT"]])
        if "ID" in names.place:
            self._add_labels(cells[names.place["ID"]])
        if self.date:
            self.days += cells[names.columns.index(self.date)]

    def raw(self) -> RawTable:
        """The table but for its times."""
        given = {name: np.concatenate(column) for name, column in self.parts.items()}
        who = given.pop("ID", np.zeros(len(given["row"]), int))
        wrong = np.concatenate(self.wrong)
        return RawTable(given, list(self.labels) or ["1"], who, self.targets, wrong, unquantified=self.unquantified)

    def times(self) -> _Times:
        """The column of times."""
        return _Times(*map(np.concatenate, zip(*self.clocks, strict=True)))

    def _part(self, name: str, values: np.ndarray, unread: np.ndarray | None = None) -> None:
        self.parts.setdefault(name, []).append(values)
        if unread is not None:
            self.wrong[-1] |= unread

    def _add_times(self, cells: Sequence[str]) -> None:
        value, unread = cell_values.numbers(cells, self._number_of)
        no = np.zeros(len(cells), bool)
        if unread is None:
            self.clocks.append(_Times(value, no, no, no))
            return
        clocks = {cells[i]: cell_values.clock_of(cells[i]) for i in np.flatnonzero(unread).tolist()}
        of = [clocks.get(cell) for cell in cells]
        clock = np.array([time is not None for time in of])
        value[clock] = [time.seconds for time in of if time is not None]
        dated, zoned = (np.array([bool(time is not None and time[k]) for time in of]) for k in (1, 2))
        self.clocks.append(_Times(value, clock, dated, zoned))
        self.wrong[-1] |= unread & ~clock

    def _quantified(self, cells: Sequence[str]) -> Sequence[str]:
        """Observed values without those beyond a limit of quantification."""
        beyond = {text for text in {*cells} if cell_values.beyond_quantification(text)}
        if not beyond:
            return cells
        self.unquantified += sum(text in beyond for text in cells)
        return ["" if text in beyond else text for text in cells]

    def _add_targets(self, cells: Sequence[str]) -> None:
        for text in {*cells} - self._targets.keys():
            name = self.cmt_of(text)
            code = None if name is None else self.targets.setdefault(name, len(self.targets)) if name else -1
            self._targets[text] = code
        codes = [self._targets[text] for text in cells]
        unread = np.array([code is None for code in codes])
        self._part("CMT", np.array([-1 if code is None else code for code in codes]), unread)

    def _add_labels(self, cells: Sequence[str]) -> None:
        for text in dict.fromkeys(cells):
            if text not in self._labels:
                self._labels[text] = self.labels.setdefault(cell_values.label_of(text), len(self.labels))
        who = np.array([self._labels[text] for text in cells])
        self._part("ID", who, who < 0)


def _sorted(raw: RawTable, source: str) -> RawTable:
    """The table with the rows of each ID together, in order of time; rows at one time keep their order."""
    together = raw.ordered(np.argsort(raw.who, kind="stable"))
    back = goes_back(together) & at_resets(together.read("EVID"))
    if back.any():
        message = "time goes back at a reset; with sorting, that cannot be told from rows that are out of order"
        raise InputError(message, f"{source}, row {together.given['row'][back][0]}")
    return raw.ordered(np.lexsort((raw.given["TIME"], raw.who)))


def goes_back(raw: RawTable) -> np.ndarray:
    """Which rows have an earlier time than the row before, of the same ID."""
    return (np.diff(raw.given["TIME"], prepend=np.nan) < 0) & ~raw.first


def at_resets(evid: np.ndarray) -> np.ndarray:
    """Where a reset may start a new clock: at EVID 3 or 4, or at the row just after EVID 3."""
    return (evid == 3) | (evid == 4) | np.concatenate([[False], evid[:-1] == 3])


def _with_times(
    raw: RawTable, times: _Times, dates: Sequence[str], column: str, layout: TableLayout, source: str
) -> RawTable:
    """The table with times in seconds since any midnight where they are clock times or dates."""
    if not times.clock.any():
        raw.given["TIME"] = times.value
        return raw
    if layout.hours.get("TIME", 1.0) != 1.0:
        raise InputError("TIME has clock times or dates, so [columns] of the scenario can give it no unit", source)
    with np.errstate(over="ignore"):
        seconds = np.where(times.clock, times.value, times.value * _HOUR)
    raw.clock = CLOCKS
    if times.dated.any():
        raw.clock = ZONED if times.zoned.any() else MOMENTS
        raw.wrong |= ~times.dated | (times.zoned.any() & ~times.zoned)
    elif column:
        days: Mapping[str, float | None] = {text: cell_values.day_of(text, column) for text in {*dates}}
        raw.wrong |= np.array([days[text] is None for text in dates])
        seconds = seconds + np.array([days[text] for text in dates], float)
        raw.date = column
        readings = ((text, cell_values.ambiguous(text, column)) for text in dates)
        raw.ambiguous = next((f"{text} as {order}" for text, order in readings if order), "")
    raw.given["TIME"] = seconds
    raw.wrong |= np.isinf(seconds)
    return raw


def _since_first(raw: RawTable) -> RawTable:
    """The table with clock times in hours since the first record of each subject that has a time."""
    if raw.clock:
        time = raw.given["TIME"]
        known = np.flatnonzero(~np.isnan(time) & ~raw.wrong)
        first = np.full(len(raw.labels) + 1, np.nan)  # the last for rows without an ID
        first[raw.who[known[::-1]]] = time[known[::-1]]
        raw.given["TIME"] = np.round(time - first[raw.who], 4) / _HOUR
    return raw


# ---------------------------------------------------------------- what rows mean
class Meaning(NamedTuple):
    """The records of a table, which of its rows can be used by themselves, and whether a dose names no compartment."""

    columns: Columns
    sound: np.ndarray
    unplaced: bool


def meaning_of(raw: RawTable, names: ColumnNames, default: str) -> Meaning:
    """The records of all rows; a dose without a port or state goes into `default`."""
    count = len(raw.who)
    whole = lambda column: np.where(np.abs(column) < 2**62, column, 0).astype(int)
    number = lambda name: np.nan_to_num(raw.read(name))
    time, until = raw.given["TIME"], number("UNTIL")
    amt, rate, ii, addl, ss, duration = map(number, ("AMT", "RATE", "II", "ADDL", "SS", "DUR"))
    mdv = raw.read("MDV")
    evid = np.where(np.isnan(raw.read("EVID")), (amt != 0) | (rate != 0), number("EVID"))
    doses, cmt = (evid == 1) | (evid == 4), raw.given.get("CMT", np.full(count, -1))
    targets = dict(raw.names)
    unplaced = bool((doses & (cmt < 0) & ((amt > 0) | (rate != 0))).any())
    if (doses & (cmt < 0)).any():
        cmt = np.where(doses & (cmt < 0), targets.setdefault(default, len(targets)), cmt)
    at_rate = (rate > 0) | (rate == -1)
    nothing = doses & (raw.read("AMT") == 0) & (rate <= 0) & ~((rate == -1) & (ss > 0))  # placebo
    ends = doses & ~np.isnan(raw.read("UNTIL"))
    sound = (
        ~raw.wrong & np.isfinite(time)
        & (amt >= 0) & (duration >= 0) & (ii >= 0)
        & ((rate >= 0) | (rate == -1) | (rate == -2))
        & np.isin(evid, range(5)) & np.isin(ss, range(3))
        & (addl >= 0) & (addl % 1 == 0) & (np.isnan(mdv) | (mdv % 1 == 0))
        & (~ends | ((addl == 0) & (until > time) & (ii > 0) & (not raw.clock)))
    )  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        intervals = np.minimum((until - time) / np.where(ii > 0, ii, 1.0) - 1e-9, 2.0 * MOST_DOSES)
    addl = np.where(ends & sound, np.maximum(np.ceil(intervals), 1) - 1, addl)
    sound &= (
        (~doses | ((addl < MOST_DOSES) & ((addl == 0) | (ii > 0))))
        & (doses | ((amt == 0) & (rate == 0) & (addl == 0) & (ss == 0) & (duration == 0) & (until == 0)))
        & (~doses | (duration == 0) | (rate == 0))
        & (~doses | (amt > 0) | nothing | (at_rate & (ss > 0) & (ii == 0) & (addl == 0)))
        & (~(doses & ((amt > 0) | nothing)) | (ii > 0) | (ss == 0))
    )  # fmt: skip
    steady = nothing & (ss == 1)  # the steady state without any dose, and no record otherwise
    none = lambda column: np.where(nothing, 0, column)
    columns = Columns(
        row=raw.given["row"],
        time=time,
        evid=whole(np.where(nothing & ~steady, np.where(evid == 4, 3, 2), evid)),
        amt=amt,
        cmt=cmt,
        rate=none(rate),
        ii=none(ii),
        addl=whole(none(addl)),
        ss=whole(np.where(nothing & ~steady, 0, ss)),
        mdv=whole(np.where(np.isnan(mdv), evid != 0, mdv)),
        dv=raw.read("DV"),
        duration=none(duration),
        names=tuple(targets),
        covariates={name: raw.given[f" {name}"] for name in names.covariates},
    )
    return Meaning(columns, sound, unplaced)
