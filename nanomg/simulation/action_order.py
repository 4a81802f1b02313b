"""The order of the actions of lanes: the records of each expanded on the host, as arrays of one size.

Subjects without a reset or steady state in their records are expanded all at once; the others one by one, each distinct schedule
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nanomg.dosing import many_schedules, schedule
from nanomg.dosing.event_record import Subject
from nanomg.dosing.many_schedules import Dosed
from nanomg.dosing.record_columns import Columns
from nanomg.dosing.schedule import Drugs, Edges, Kind, Schedule, Steady, Values
from nanomg.dosing.series import MOST_DOSES
from nanomg.errors import InputError
from nanomg.simulation import host_records
from nanomg.simulation.disposition import follows_held
from nanomg.simulation.plan import Lanes, Layout, Period, Plan

PAD = 32  # actions are padded to a multiple, records to a quarter of it


class Sizes(NamedTuple):
    """Rows and actions of lanes at least, so that blocks of one table share a compiled program."""

    rows: int = 0
    actions: int = 0


ANY_SIZE = Sizes()


def padded_to(count: int, of: int) -> int:
    """The next multiple."""
    return count + -count % of


def order_actions(
    plan: Plan,
    lanes: Lanes,
    columns: Columns,
    at: np.ndarray,
    subjects: Sequence[Subject],
    count: np.ndarray,
    at_records: bool,
    sizes: Sizes,
) -> Layout:
    """The actions of all lanes in their order, with the rows `at` of the table of records that each lane has.

    `at` is (record, lane), of which the first `count` (lane,) are real.
    """
    rows = len(at)
    assert lanes.records is not None
    arrived = host_records.arriving(plan, lanes)
    edge = np.maximum(np.concatenate([lanes.stop, lanes.start]), np.minimum(lanes.time[:1], 0.0))
    further = np.concatenate([edge, lanes.output])
    real = np.arange(rows)[:, None] < count
    last = np.maximum(np.where(real, arrived.time, -np.inf).max(0), lanes.output.max(0, initial=-np.inf))
    with np.errstate(all="ignore"):
        *_, length = schedule.delivery(lanes.records.mode, arrived)
    given = Dosed(
        time=arrived.time,
        records=count,
        gives=lanes.records.gives > 0,
        mode=lanes.records.mode,
        addl=np.where(real, columns.addl[at], 0),
        ii=arrived.ii,
        lag=arrived.lag,
        length=length,
        further=further,
        reached=further <= last,
    )
    simple = _simple(given, arrived, real, np.where(real, columns.ss[at], 0), np.where(real, columns.resets[at], False))
    alone = np.flatnonzero(~simple)
    drugs = Drugs(plan.drugs.number, plan.drugs.reaches)
    schedules = dict(zip(alone.tolist(), _expanded(subjects, given, arrived, len(edge), alone, drugs), strict=True))
    together = many_schedules.ordered(given.of(np.flatnonzero(simple))) if simple.any() else None
    used = max([together.used.max() if together else 0, *(len(s.actions) for s in schedules.values())])
    size = padded_to(max(int(used), sizes.actions), PAD)
    layout = _joined(schedules, together, np.flatnonzero(simple), given, size)
    looks = _looks(layout, used, rows, rows + len(further))
    chosen = np.concatenate([looks[: rows if at_records else 0], looks[rows + len(edge) :]])
    periods = _periods(plan, schedules, arrived.time, size)
    return layout._replace(looks=chosen, used=np.int32(used), periods=periods)


def _simple(given: Dosed, values: Values, real: np.ndarray, ss: np.ndarray, resets: np.ndarray) -> np.ndarray:
    """Which lanes are expanded all at once (lane,): without steady state, reset and invalid values."""
    with np.errstate(all="ignore"):
        jump, inflow, length = schedule.delivery(given.mode, values)
    end = values.time + given.addl * values.ii + values.lag + length
    finite = np.isfinite(end) & np.isfinite(jump) & np.isfinite(inflow)
    sound = (values.lag >= 0) & (values.F >= 0) & np.isfinite(values.F) & (values.rate > 0) & (values.duration > 0)
    forward = np.diff(given.time, axis=0, prepend=given.time[:1]) >= 0
    few = np.where(given.gives, given.addl + 1, 0).sum(0) <= MOST_DOSES
    plain = ~resets & ~(given.gives & (ss > 0)) & (forward | ~real) & (~given.gives | (finite & sound))
    return np.asarray(plain.all(0) & few)


def _expanded(
    subjects: Sequence[Subject], given: Dosed, values: Values, edges: int, lanes: np.ndarray, drugs: Drugs
) -> list[Schedule]:
    """The schedules of these lanes; lanes with the same times of records share one."""
    known: dict[Any, Schedule] = {}
    schedules = []
    for b in lanes.tolist():
        subject, count = subjects[b], int(given.records[b])
        arrived = Values(*(column[:count, b] for column in values))
        passed = given.further[given.reached[:, b], b]
        matters = arrived.time, arrived.ii, arrived.lag, given.length[:count, b], passed
        sound = (
            np.isfinite(arrived.F)
            & (arrived.F >= 0)
            & (arrived.rate > 0)
            & (arrived.duration > 0)
            & np.isfinite(arrived.amt)
        )
        key = id(subject), bool(sound.all()), *(column.tobytes() for column in matters)
        if key not in known:
            # raises an error for an invalid dose
            checked = schedule.checked(subject, arrived)
            if edges and np.any(np.diff(arrived.time) < 0):
                message = f"the time of subject {subject.id} goes back at a reset; input windows are not possible"
                raise InputError(message, subject.source)
            known[key] = schedule.expand(subject, checked, passed.tolist(), drugs)
        schedules.append(known[key])
    return schedules


def _joined(
    schedules: Mapping[int, Schedule],
    together: many_schedules.Ordered | None,
    simple: np.ndarray,
    given: Dosed,
    size: int,
) -> Layout:
    """The actions of all lanes as arrays of one size; each lane is filled up with its last action."""
    batch, rows = given.time.shape[1], len(given.time)
    arrays: dict[str, np.ndarray] = {name: np.zeros((size, batch), np.int32) for name in (*Edges._fields, *_ALONG)}
    arrays["keep"] = np.ones((size, batch))

    def put(lanes: Any, columns: Mapping[str, np.ndarray], long: int) -> None:
        for name, column in columns.items():
            arrays[name][:long, lanes] = column
            arrays[name][long:, lanes] = column[-1:] if name != "back" else 0

    if together is not None:
        columns = {**together.edges._asdict(), "before": together.before, "after": together.after}
        put(simple, columns, len(together.before))
    by_schedule: dict[int, dict[str, np.ndarray]] = {}
    for b, one in schedules.items():
        if id(one) not in by_schedule:
            edges, reached = schedule.edges(one), rows + np.flatnonzero(given.reached[:, b])
            count = int(given.records[b])
            place = np.append(np.arange(count), reached)[edges.at]
            along = zip(_ALONG, (one.jumps_back, one.before, one.after), strict=True)
            by_schedule[id(one)] = {**edges._replace(at=place)._asdict(), **{n: np.array(a) for n, a in along}}
        put(b, by_schedule[id(one)], len(one.actions))
    edges = Edges(*(arrays[name] for name in Edges._fields))
    none = np.zeros((0, batch), np.int32)
    back, before, after = (arrays[name] for name in _ALONG)
    return Layout(edges, back, before, after, none, np.int32(0), ())


_ALONG = ("back", "before", "after")


def _looks(layout: Layout, used: int, rows: int, last: int) -> np.ndarray:
    """The action at which each row and each further output is seen, (row + output, lane)."""
    looks = np.zeros((last, layout.back.shape[1]), np.int32)
    action, lane = np.nonzero(layout.actions.kind[:used] == Kind.OUTPUT)
    # a lane is filled up with its last action: the first of them counts, so it is written last
    looks[layout.actions.at[action, lane][::-1], lane[::-1]] = action[::-1]
    return looks


def _periods(
    plan: Plan, schedules: Mapping[int, Schedule], time: np.ndarray, beyond: int
) -> tuple[tuple[Period, ...], ...]:
    """The steady states of all lanes by round and group; `time` (record, lane) is that of the records [h].

    A steady state that depends on what is held needs the value of that at its record, so those of a lane follow each other; at
    the very start that value is known.
    """
    follows = [follows_held(plan.model, group) for group in plan.drugs.groups]
    found: dict[tuple[int, int], list[tuple[int, int, Steady]]] = {}
    for b, one in schedules.items():
        places = {a.group: k for k, a in enumerate(one.actions) if a.kind == Kind.STEADY}
        following = 0
        for number, steady in enumerate(one.steady):
            place = places[number]
            turn = 0
            if follows[steady.group]:
                turn = 0 if place == 0 and time[steady.record, b] <= 0 else max(following, 1)
                following = turn + 1
            found.setdefault((turn, steady.group), []).append((b, place, steady))
    rounds = max((turn for turn, _ in found), default=-1) + 1
    groups = range(len(follows))
    return tuple(tuple(_period(found.get((turn, group), []), beyond) for group in groups) for turn in range(rounds))


def _period(found: Sequence[tuple[int, int, Steady]], beyond: int) -> Period:
    """Steady states, each with its lane and its place among the lane's actions, filled up to a power of two."""
    if not found:
        none = np.zeros(0, np.int32)
        return Period(none, none, none, Edges(*(np.zeros((8, 0)) for _ in Edges._fields)), np.int32(0))
    edges = [schedule.edges(steady) for *_, steady in found]
    used = max(len(one.kind) for one in edges) + 1
    width = padded_to(used, 8)
    ends = (Kind.OUTPUT, 0, 0, 0, 0, 0, -1, 1)  # an output at the end of the period fills up
    actions = [
        Edges(*(np.pad(a, (0, width - len(a)), constant_values=end) for a, end in zip(one, ends, strict=True)))
        for one in edges
    ]
    lane, record, action = np.array([(b, steady.record, place) for b, place, steady in found], np.int32).T
    together = jax.tree.map(lambda *a: np.stack(a, -1), *actions)
    return _filled_up(Period(lane, record, action, together, np.int32(used)), beyond)


def _filled_up(period: Period, beyond: int) -> Period:
    """As many steady states as a power of two, with repeats of the first that come after the last action."""
    count = len(period.lane)
    spare = (1 << (count - 1).bit_length()) - count
    repeated = np.append(np.arange(count), np.zeros(spare, int))
    several = jax.tree.map(lambda a: a[..., repeated], period._replace(used=None))
    action = several.action.copy()
    action[count:] = beyond
    return several._replace(action=action, used=period.used)


def picked(layout: Layout, chosen: np.ndarray) -> Layout:
    """The layout of the lanes of these numbers."""
    of = lambda a: np.asarray(a)[..., chosen]
    periods = tuple(tuple(_of(one, chosen, len(layout.back)) for one in several) for several in layout.periods)
    back, before, after, looks = map(of, (layout.back, layout.before, layout.after, layout.looks))
    return Layout(jax.tree.map(of, layout.actions), back, before, after, looks, layout.used, periods)


def _of(period: Period, chosen: np.ndarray, beyond: int) -> Period:
    """The steady states of the lanes of these numbers."""
    real = np.flatnonzero(np.asarray(period.action) < beyond)
    places = [(p, n) for p, b in enumerate(chosen.tolist()) for n in real[np.asarray(period.lane)[real] == b].tolist()]
    if not places:
        return period._replace(**{name: np.zeros(0, np.int32) for name in Period._fields[:3]},
                               actions=jax.tree.map(lambda a: a[..., :0], period.actions))  # fmt: skip
    lane, index = np.array(places, np.int32).T
    some = jax.tree.map(lambda a: np.asarray(a)[..., index], period._replace(used=None))
    return _filled_up(some._replace(lane=lane, used=period.used), beyond)
