"""Time after dose and occasion of the records of an event table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nanomg.dosing.event_record import Subject
from nanomg.dosing.many_schedules import ROUNDING
from nanomg.dosing.record_columns import columns_of


class Occasions(NamedTuple):
    """At each record (record,): the time after the last dose [h], NaN where there is none, and the number of dosing times so far.

    Doses are those of the rows and the additional ones of ADDL or UNTIL, at the time for which they are written, so without
    lag time. A record at the time of a dose counts as before it if its row comes before, and as after an additional dose. A reset
    and a dose with SS 1 end a series of additional doses; after a reset there is no last dose.
    """

    time_after_dose: np.ndarray
    occasion: np.ndarray


def occasions_of(subjects: Sequence[Subject]) -> Occasions:
    """Time after dose and occasion of all records of subjects.

    Example:
        >>> from nanomg.dosing.event_record import Record
        >>> rows = (Record(1, 0.0, 1, 5.0, "pk", ii=12.0, addl=1), Record(2, 6.0), Record(3, 12.0), Record(4, 15.0))
        >>> [column.tolist() for column in occasions_of([Subject("1", rows)])]
        [[0.0, 6.0, 0.0, 3.0], [1.0, 1.0, 2.0, 2.0]]
    """
    columns, bounds = columns_of(subjects)
    count = len(columns.time)
    starts = np.zeros(count, bool)
    starts[bounds[:-1]] = True
    segment = np.cumsum(starts | columns.resets | (columns.doses & (columns.ss == 1))) - 1
    empty = columns.resets & ~columns.doses
    last = np.full(segment[-1] + 1, -np.inf)  # time of the last record of each segment
    np.maximum.at(last, segment[~empty], columns.time[~empty])
    record, due = _additional(columns.doses, columns.time, columns.ii, columns.addl, last[segment])
    margin = ROUNDING * np.maximum(1.0, np.abs(due))
    # additional doses come before the records at their time; a reset is first in its segment, whatever its clock
    of = np.concatenate([segment, segment[record]])
    time = np.concatenate([np.where(empty, -np.inf, columns.time), due])
    place = np.concatenate([np.where(empty, -np.inf, columns.time), due - margin])
    row = np.concatenate([np.arange(count), np.full(len(due), -1)])
    order = np.lexsort((row, place, of))
    of, time, row = of[order], time[order], row[order]
    given = (row < 0) | columns.doses[row]
    before = np.maximum.accumulate(np.where(given, np.arange(len(given)), -1))
    known = (before >= 0) & (of[before] == of)
    since = np.where(known, time - time[before], np.nan)
    earlier = np.concatenate([[-1], before[:-1]])
    same = (earlier >= 0) & (of[earlier] == of) & (time - time[earlier] <= ROUNDING * np.maximum(1.0, np.abs(time)))
    number = np.cumsum(given & ~same)
    records = row >= 0
    after, occasion = np.empty(count), np.empty(count)
    after[row[records]] = np.where(np.abs(since) <= ROUNDING * np.maximum(1.0, np.abs(time)), 0.0, since)[records]
    occasion[row[records]] = number[records]
    first = occasion[bounds[:-1]] - columns.doses[bounds[:-1]]
    return Occasions(after, occasion - np.repeat(first, np.diff(bounds)))


def _additional(
    doses: np.ndarray, time: np.ndarray, ii: np.ndarray, addl: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The records that additional doses up to the last record belong to, and when these are due."""
    series = np.flatnonzero(doses & (addl > 0))
    room = (last[series] - time[series]) / ii[series] * (1 + ROUNDING) + ROUNDING
    count = np.minimum(addl[series], np.floor(room)).astype(int)
    record = np.repeat(series, count)
    k = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 1
    return record, time[record] + k * ii[record]
