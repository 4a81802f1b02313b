"""The actions of many subjects at once, for records without reset and steady state.

`nanomg.dosing.schedule` states the order of actions and expands any subject by itself; here the same order comes from sorting
arrays, which is far faster for many subjects. Times that differ by rounding alone are one time here as there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nanomg.dosing.event_record import Mode
from nanomg.dosing.schedule import Edges, Kind

ROUNDING = 1e-12  # times closer than this, relative or in h, are one time


class Dosed(NamedTuple):
    """What the order of actions follows from. Records `R` in order of time, further outputs `E`, lanes `B`."""

    time: np.ndarray  # (R, B) [h]
    records: np.ndarray  # (B,) how many each lane has
    gives: np.ndarray  # (R, B) whether a dose is given
    mode: np.ndarray  # (R, B) as `Mode`
    addl: np.ndarray  # (R, B)
    ii: np.ndarray  # (R, B) [h]
    lag: np.ndarray  # (R, B) [h]
    length: np.ndarray  # (R, B) [h] of an infusion
    further: np.ndarray  # (E, B) [h] times at which the state is observed besides
    reached: np.ndarray  # (E, B) which of them are

    def of(self, lanes: np.ndarray) -> Dosed:
        """That of some lanes."""
        return Dosed(*(column[..., lanes] for column in self))


class Ordered(NamedTuple):
    """Actions by lane, each lane filled up with its last one; `used` are their numbers."""

    edges: Edges  # (A, B); `at` of a further output is R + its number
    before: np.ndarray  # (A, B) the last row passed when the interval begins
    after: np.ndarray  # (A, B) the first row at its end or later
    used: np.ndarray  # (B,)


class _Actions(NamedTuple):
    """Some actions of all lanes, (action,) each; at one time they are ordered by `row`, then by `within`."""

    lane: np.ndarray
    time: np.ndarray
    kind: np.ndarray
    record: np.ndarray
    at: np.ndarray
    k: np.ndarray
    shifted: np.ndarray
    ended: np.ndarray
    row: np.ndarray
    within: np.ndarray


def ordered(given: Dosed) -> Ordered:
    """All actions in order."""
    lanes = len(given.records)
    actions = _Actions(*(np.concatenate(columns) for columns in zip(*_groups(given), strict=True)))
    order = np.lexsort((actions.within, actions.row, _moments(actions), actions.lane))
    used = np.bincount(actions.lane, minlength=lanes)
    place = order[np.minimum(np.arange(used.max())[:, None], used - 1) + np.cumsum(used) - used]
    kind, record, at, k, shifted, ended = (column[place] for column in actions[2:8])
    passed = np.where((kind == Kind.OUTPUT) & (record >= 0), record, -1)
    since = np.maximum.accumulate(np.vstack([np.full((1, lanes), -1), passed[:-1]]), 0)
    edges = Edges(kind, record, at, k, shifted, ended, np.full_like(kind, -1), np.ones(kind.shape))
    return Ordered(edges, np.maximum(since, 0), np.minimum(since + 1, given.records - 1), used)


def _groups(given: Dosed) -> list[_Actions]:
    """Doses and starts of infusions, ends of infusions, rows, and further outputs."""
    rows = len(given.time)
    real = np.arange(rows)[:, None] < given.records
    limit = np.where(real, given.time, -np.inf).max(0)
    limit = np.maximum(limit, np.where(given.reached, given.further, -np.inf).max(0, initial=-np.inf))
    row, lane, k, due = _doses(given, limit)
    infused = given.mode[row, lane] != Mode.BOLUS
    one, none = np.ones_like(row), np.zeros_like(row)
    begun = _Actions(lane, due, np.where(infused, Kind.START, Kind.BOLUS), row, row, k, one, none, row, 2 * k)
    end = due + given.length[row, lane]
    ended = _Actions(lane, end, none + Kind.END, row, row, k, one, one, row, 2 * k + 1)
    ended = _Actions(*(column[infused & _by(end, limit[lane])] for column in ended))
    row, lane = np.nonzero(real)
    none = np.zeros_like(row)
    last = none + np.iinfo(row.dtype).max
    seen = _Actions(lane, given.time[real], none + Kind.OUTPUT, row, row, none, none, none, row, last)
    number, lane = np.nonzero(given.reached)
    none, at = np.zeros_like(number), rows + number
    further = given.further[given.reached]
    more = _Actions(lane, further, none + Kind.OUTPUT, none - 1, at, none, none, none, none + rows, number)
    return [begun, ended, seen, more]


def _doses(given: Dosed, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Record, lane, number and time of each dose that is due before its lane ends."""
    row, lane = np.nonzero(given.gives)
    first, ii = (given.time + given.lag)[row, lane], given.ii[row, lane]
    most = given.addl[row, lane]
    span = np.maximum(limit[lane] - first, 0.0) / np.where(most > 0, ii, 1.0)
    count = np.minimum(most, np.ceil(np.minimum(span, most)).astype(int)) + 1
    k = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    row, lane, due = (np.repeat(a, count) for a in (row, lane, first))
    due = due + k * np.repeat(ii, count)
    in_time = _by(due, limit[lane])
    return row[in_time], lane[in_time], k[in_time], due[in_time]


def _by(time: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Whether a time is not after a limit, but for rounding."""
    return np.asarray((time <= limit) | _same(time, limit))


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether two times differ by rounding alone."""
    return np.asarray(np.abs(a - b) <= ROUNDING * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1.0))


def _moments(actions: _Actions) -> np.ndarray:
    """Actions of a lane at one time share a number; later times have larger ones."""
    order = np.lexsort((actions.time, actions.lane))
    lane, time = actions.lane[order], actions.time[order]
    moves = np.concatenate([[0], (np.diff(lane) > 0) | ~_same(time[1:], time[:-1])])
    moment = np.empty_like(order)
    moment[order] = np.cumsum(moves)
    return moment
