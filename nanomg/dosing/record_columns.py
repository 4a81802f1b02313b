"""Event records by column: what a large table is read into, and what a solve takes.

A `Record` is one row as an object, for few rows and for errors; `Columns` are all rows as arrays. `Rows` are the records of one
subject as a view into `Columns`, which acts like a tuple of records and makes each when it is first used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from nanomg.dosing.event_record import INTERPOLATIONS, Mode, Record, Subject
from nanomg.errors import InputError, unknown


class Columns(NamedTuple):
    """Columns of records, (record,) each, as in `Record`; `cmt` counts `names` from 0 and is -1 where none is given.

    `mode` has the values of `Mode`. A missing value in `dv` or in `covariates` is NaN.
    """

    row: np.ndarray
    time: np.ndarray  # [h]
    evid: np.ndarray
    amt: np.ndarray
    cmt: np.ndarray
    rate: np.ndarray
    ii: np.ndarray  # [h]
    addl: np.ndarray
    ss: np.ndarray
    mdv: np.ndarray
    dv: np.ndarray
    duration: np.ndarray  # [h]
    names: tuple[str, ...]
    covariates: Mapping[str, np.ndarray]

    @property
    def doses(self) -> np.ndarray:
        """Which records give a dose."""
        return (self.evid == 1) | (self.evid == 4)

    @property
    def resets(self) -> np.ndarray:
        """Which records empty every state."""
        return (self.evid == 3) | (self.evid == 4)

    @property
    def mode(self) -> np.ndarray:
        """How each dose is given."""
        lasts = (self.rate == -2) | (self.duration > 0)
        return np.where((self.rate > 0) | (self.rate == -1), Mode.RATE, np.where(lasts, Mode.DURATION, Mode.BOLUS))

    def part(self, chosen: slice) -> Columns:
        """The records of a slice."""
        rows = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        return self._replace(**rows, covariates={name: column[chosen] for name, column in self.covariates.items()})


_ARRAYS = tuple(name for name in Columns._fields if name not in ("names", "covariates"))
_WHOLE = ("row", "evid", "addl", "ss", "mdv")


class Rows(Sequence[Record]):
    """Records `start` up to `stop` of a table's columns."""

    def __init__(self, table: Columns, start: int, stop: int):
        self.table, self.start, self.stop = table, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, i: int) -> Record: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, i: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(i, slice):
            return tuple(self[j] for j in range(*i.indices(len(self))))
        return self._record(range(self.start, self.stop)[i])

    def _record(self, at: int) -> Record:
        table, known = self.table, lambda value: None if np.isnan(value) else float(value)
        return Record(
            row=int(table.row[at]),
            time=float(table.time[at]),
            evid=int(table.evid[at]),
            amt=float(table.amt[at]),
            cmt=table.names[table.cmt[at]] if table.cmt[at] >= 0 else "",
            rate=float(table.rate[at]),
            ii=float(table.ii[at]),
            addl=int(table.addl[at]),
            ss=int(table.ss[at]),
            mdv=int(table.mdv[at]),
            dv=known(table.dv[at]),
            duration=float(table.duration[at]),
            covariates={name: known(column[at]) for name, column in table.covariates.items()},
        )

    def __iter__(self) -> Iterator[Record]:
        return map(self._record, range(self.start, self.stop))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_equal, self, other))

    def __hash__(self) -> int:
        return hash(len(self))


def _equal(a: Any, b: Any) -> bool:
    return bool(a == b)


def columns_of(subjects: Sequence[Subject]) -> tuple[Columns, np.ndarray]:
    """All records of subjects by column, and where each subject begins among them, with the end of the last (subject + 1,)."""
    parts: list[Columns] = []
    span: list[Any] = []  # a table and a run of its records
    for subject in subjects:
        rows = subject.records
        if not isinstance(rows, Rows):
            table = _gathered(rows)
            rows = Rows(table, 0, len(rows))
        if span and span[0] is rows.table and span[2] == rows.start:
            span[2] = rows.stop
            continue
        if span:
            parts.append(span[0].part(slice(*span[1:])))
        span = [rows.table, rows.start, rows.stop]
    parts.append(span[0].part(slice(*span[1:])))
    bounds = np.concatenate([[0], np.cumsum([len(subject.records) for subject in subjects])])
    return (parts[0] if len(parts) == 1 else _joined(parts)), bounds


def _joined(parts: Sequence[Columns]) -> Columns:
    """Records of several tables one after the other."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    codes = [np.array([*map(names.index, part.names), -1]) for part in parts]
    rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    missing = lambda part: np.full(len(part.time), np.nan)
    covariates = {
        name: np.concatenate([part.covariates.get(name, missing(part)) for part in parts])
        for name in dict.fromkeys(name for part in parts for name in part.covariates)
    }
    rows["cmt"] = np.concatenate([code[part.cmt] for code, part in zip(codes, parts, strict=True)])
    return Columns(**rows, names=names, covariates=covariates)


def _gathered(records: Sequence[Record]) -> Columns:
    """Records as columns."""
    names = tuple(dict.fromkeys(record.cmt for record in records if record.cmt))
    code = {name: i for i, name in enumerate(names)} | {"": -1}
    column = lambda name: np.array([getattr(record, name) for record in records], int if name in _WHOLE else float)
    rows = {name: column(name) for name in _ARRAYS if name not in ("cmt", "dv")}
    missing = lambda value: np.nan if value is None else value
    return Columns(
        **rows,
        cmt=np.array([code[record.cmt] for record in records], int),
        dv=np.array([missing(record.dv) for record in records], float),
        names=names,
        covariates={
            name: np.array([missing(record.covariates.get(name)) for record in records], float)
            for name in dict.fromkeys(name for record in records for name in record.covariates)
        },
    )


def changed(subjects: Sequence[Subject], change: Callable[[Columns], Columns]) -> tuple[Subject, ...]:
    """The subjects with all their records changed at once."""
    columns, bounds = columns_of(subjects)
    table = change(columns)
    return tuple(
        dataclasses.replace(subject, records=Rows(table, int(start), int(stop)))
        for subject, start, stop in zip(subjects, bounds, bounds[1:], strict=False)
    )


def filled(subject: Subject, column: str, how: str = "nocb") -> np.ndarray:
    """A column's value at each record; missing ones come from the next or the last value, or from between the two."""
    if how not in INTERPOLATIONS:
        raise unknown("interpolation", how, INTERPOLATIONS)
    records, _ = columns_of([subject])
    read = records.covariates.get(column, np.full(len(records.time), np.nan))
    known = np.flatnonzero(~np.isnan(read))
    if not len(known):
        raise InputError(f"subject {subject.id} has no value", subject.where(subject.records[0], column))
    rows = np.arange(len(read))
    if how == "linear":
        clock = np.cumsum(np.maximum(np.diff(records.time, prepend=records.time[:1]), 0.0))
        return np.interp(clock, clock[known], read[known])
    place = np.searchsorted(known, rows) if how == "nocb" else np.searchsorted(known, rows, "right") - 1
    return np.asarray(read[known][np.clip(place, 0, len(known) - 1)])
