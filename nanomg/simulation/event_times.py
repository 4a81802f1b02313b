"""When the subjects of an event table are observed: from the first record or 0 to the last record or the horizon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import columns_of
from nanomg.errors import InputError
from nanomg.library.scenario import Scenario
from nanomg.simulation import lanes as simulation_lanes

_MOST_EDGES = 300  # times of doses around which the series has extra points
_MOST_TIMES = 100_000


def goes_back(subjects: Sequence[Subject]) -> np.ndarray:
    """Whose time decreases, where a reset starts a new clock (subject,)."""
    columns, bounds = columns_of(subjects)
    back = np.diff(columns.time, prepend=columns.time[:1]) < 0
    back[bounds[:-1]] = False
    return np.asarray(np.logical_or.reduceat(back, bounds[:-1]))


def check_one_clock(subjects: Sequence[Subject], hint: str = "") -> None:
    """Raise `InputError` where a subject's time decreases; `hint` says what else to do."""
    if subjects and (back := goes_back(subjects)).any():
        who = subjects[int(np.flatnonzero(back)[0])]
        message = f"the time of subject {who.id} goes back at a reset, so there are no common times"
        raise InputError(message + hint, who.source)


def regular_times(scenario: Scenario, subjects: Sequence[Subject]) -> np.ndarray:
    """The times of a series of all subjects [h]: every `every`, the first and the last. Raises `InputError` for too many."""
    columns, _ = columns_of(subjects)
    first, last = min(0.0, columns.time.min()), max(scenario.horizon, columns.time.max())
    if not (last - first) / scenario.every <= _MOST_TIMES:
        raise InputError(
            f"from {first:g} h to {last:g} h there are more than {_MOST_TIMES} steps of {scenario.every:g} h; make `every` longer",
            subjects[0].source,
        )
    regular = np.arange(np.floor(first / scenario.every), np.ceil(last / scenario.every)) * scenario.every
    times = np.union1d(regular, (first, last))
    return _apart(times[(times >= first) & (times <= last)])


def common_times(scenario: Scenario, subjects: Sequence[Subject]) -> tuple[np.ndarray, bool]:
    """The times of a series [h] that all subjects share, and whether they follow every dose of everyone; no times if a
    subject's time decreases."""
    if goes_back(subjects).any():
        return np.array([]), False
    regular = regular_times(scenario, subjects)
    around = probes(subjects, regular[-1])
    times = regular if around is None else np.union1d(regular, around)
    return _apart(times[(times >= regular[0]) & (times <= regular[-1])]), around is not None


def probes(subjects: Sequence[Subject], last: float) -> np.ndarray | None:
    """Times around the doses of all subjects until `last` [h]; None if there are too many to follow."""
    edges = np.unique(_edges(subjects, last)[1])
    if len(edges) > _MOST_EDGES:
        return None
    times = np.add.outer(edges, simulation_lanes.PROBES).ravel()
    return np.asarray(times[times <= last])


def dose_edges(subjects: Sequence[Subject], last: float) -> np.ndarray:
    """When the doses of each subject begin and end (edge, subject) [h], filled up with `last`."""
    who, edge = _edges(subjects, last)
    order = np.lexsort((edge, who))
    who, edge = who[order], edge[order]
    new = np.append(True, (np.diff(who) > 0) | (np.diff(edge) > 0))[: len(who)]
    who, edge = who[new], edge[new]
    count = np.bincount(who, minlength=len(subjects))
    filled = np.full((int(count.max(initial=0)), len(subjects)), last)
    filled[np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count), who] = edge
    return filled


def around_doses(scenario: Scenario, subjects: Sequence[Subject]) -> tuple[np.ndarray, np.ndarray]:
    """Times (time, subject) [h] that follow each subject's own doses, and the rows among them that all have (row, subject)."""
    regular = regular_times(scenario, subjects)
    return around_edges(regular, dose_edges(subjects, regular[-1]))


def around_edges(regular: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regular times and those around the edges of doses (edge, lane), in order, and the rows of the regular ones."""
    lanes = edges.shape[1]
    around = np.clip(edges[:, None] + np.array(simulation_lanes.PROBES)[:, None], regular[0], regular[-1])
    every = np.concatenate([np.repeat(regular[:, None], lanes, 1), around.reshape(-1, lanes)])
    order = np.argsort(every, 0, kind="stable")
    return np.take_along_axis(every, order, 0), np.argsort(order, 0, kind="stable")[: len(regular)]


def _edges(subjects: Sequence[Subject], last: float) -> tuple[np.ndarray, np.ndarray]:
    """Whose dose begins or ends, and when, as far as the records give it, for doses due until `last`."""
    columns, bounds = columns_of(subjects)
    on = columns.doses & (columns.time <= last)
    who = np.repeat(np.arange(len(subjects)), np.diff(bounds))[on]
    time, ii, addl, amt, rate, duration = (
        getattr(columns, name)[on] for name in ("time", "ii", "addl", "amt", "rate", "duration")
    )
    lasts = np.where(rate > 0, amt / np.where(rate > 0, rate, 1.0), duration)
    fits = np.floor(np.minimum((last - time) / np.where(addl > 0, ii, 1.0), addl)).astype(int)
    count = 1 + np.minimum(addl, fits + 1)
    k = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    who, due, lasts = np.repeat(who, count), np.repeat(time, count) + k * np.repeat(ii, count), np.repeat(lasts, count)
    reached = due <= last
    return np.tile(who[reached], 2), np.concatenate([due[reached], (due + lasts)[reached]])


def _apart(times: np.ndarray) -> np.ndarray:
    """Times in order without those that differ by rounding alone."""
    return times[np.append(True, np.diff(times) > 1e-9)]
