"""Event records as lanes: the part on the host, from records to arrays and to the order of their actions.

Everything here is decided on concrete values and is integers, padded to common sizes. Subjects whose records no reset and no
steady state divides are expanded all at once; the others one by one, each distinct schedule once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nanomg.compute import programs
from nanomg.dosing import many_schedules, schedule
from nanomg.dosing.dose import Window
from nanomg.dosing.event_record import INTERPOLATIONS, Mode, Subject
from nanomg.dosing.many_schedules import Dosed
from nanomg.dosing.record_columns import Columns, Rows, columns_of, filled
from nanomg.dosing.schedule import Edges, Kind, Schedule, Values
from nanomg.dosing.series import MOST_DOSES
from nanomg.equations.model import Model
from nanomg.errors import InputError, unknown
from nanomg.simulation import record_course
from nanomg.simulation.plan import Lanes, Layout, Period, Plan, RecordPlan, RecordValues, channels, with_dependants

_PAD = 32  # actions are padded to a multiple, records to a quarter of it


class Moved(NamedTuple):
    """What replaces the columns of lanes' records, (record, lane) each, or None.

    An infusion at a rate keeps its duration where its amount is replaced; the amount of one that has always run is its rate.
    """

    time: np.ndarray | None = None  # [h]
    amount: np.ndarray | None = None
    duration: np.ndarray | None = None  # [h]
    ii: np.ndarray | None = None  # [h]


AS_WRITTEN = Moved()


class Sizes(NamedTuple):
    """Rows and actions of lanes at least, so that blocks of one table share a compiled program."""

    rows: int = 0
    actions: int = 0


ANY_SIZE = Sizes()


def sizes_of(subjects: Sequence[Subject], output: np.ndarray, windows: Sequence[Window] = ()) -> Sizes:
    """Sizes for all of these subjects; where infusions overlap a steady state there may be more actions."""
    columns, bounds = columns_of(subjects)
    starts, count = bounds[:-1], np.diff(bounds)
    last = np.maximum(np.maximum.reduceat(columns.time, starts), np.max(output, initial=-np.inf))
    span = np.maximum(np.repeat(last, count) - columns.time, 0.0) / np.where(columns.addl > 0, columns.ii, 1.0)
    each = 1 + np.minimum(columns.addl, np.floor(np.minimum(span, columns.addl)) + 1)
    actions = np.where(columns.doses, each * (1 + (columns.mode != Mode.BOLUS)), 0) + columns.resets + columns.ss
    most = (count + np.add.reduceat(actions, starts)).max()
    return Sizes(int(count.max()), int(most) + len(output) + 2 * len(windows))


# ---------------------------------------------------------------- the plan
def plan_of(
    model: Model,
    subjects: Sequence[Subject],
    varied: Sequence[str] = (),
    between: Mapping[str, str] | None = None,
    **options: Any,
) -> Plan:
    """The plan of these subjects' records: bound parameters change in time, not between lanes.

    `between` says for a bound parameter how its column goes from row to row, nocb by default.
    """
    columns, _ = columns_of(subjects)
    held = _held(subjects, between or {})
    linear = tuple(name for name, how in held if how == "linear")
    timed = with_dependants(model, tuple(name for name, _ in held if name not in linear))
    names = with_dependants(model, tuple(n for n in varied if n not in dict(held)))
    dosed = {columns.names[code] for code in np.unique(columns.cmt[columns.doses])}
    cmt = tuple(name for name in dict.fromkeys((*model.states, *model.ports)) if name in dosed)
    model = _ramped(model, linear) if linear else model
    states = list(model.states)
    steady = (columns.doses & (columns.ss > 0)).any()
    reached = range(len(states)) if steady else channels(model, cmt)
    rows = tuple(sorted({*reached, *(states.index(name) for name in linear)}))
    return Plan(
        model, tuple(n for n in names if n not in timed), cmt, (), records=RecordPlan(timed, held, rows), **options
    )


def _held(subjects: Sequence[Subject], between: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The bound parameters, each with how its column goes from row to row."""
    bound = dict(subjects[0].bound)
    for subject in subjects:
        if dict(subject.bound) != bound:
            raise InputError(
                f"subject {subject.id} has other columns for parameters than the first one", subject.source
            )
    for name, how in between.items():
        if name not in bound:
            raise unknown("parameter with a column", name, bound)
        if how not in INTERPOLATIONS:
            raise unknown("interpolation", how, INTERPOLATIONS, name)
    return tuple((name, between.get(name, "nocb")) for name in sorted(bound))


@functools.lru_cache(maxsize=64)
def _ramped(model: Model, names: tuple[str, ...]) -> Model:
    """The model with these parameters among its states."""
    constants = with_dependants(model, names)[len(names) :]
    if constants:
        raise InputError(
            f"between = 'linear' is not possible for {names[0]}, since {constants[0]} follows from it; take nocb or locf"
        )
    return Model(*model.mechanisms, ledger=model.ledger, ramped=names)


# ---------------------------------------------------------------- the lanes
def lanes_of(
    plan: Plan,
    values: Mapping[str, Any],
    subjects: Sequence[Subject],
    output: np.ndarray,
    windows: Sequence[Window] | InputWindows = (),
    *,
    moved: Moved = AS_WRITTEN,
    at_records: bool = False,
    sizes: Sizes = ANY_SIZE,
) -> Lanes:
    """A lane for each of the subjects, which may be the same one many times over.

    `output` (time, lane) or (time,) are times at which every lane is seen [h], `at_records` says whether at its records, too.
    Raises `InputError` for records that make no sense with these values.
    """
    if moved.time is not None:
        subjects, moved = _in_order(subjects, moved, np.argsort(moved.time, axis=0, kind="stable"))
    distinct = sorted({id(subject): subject for subject in subjects}.values(), key=_place)
    number = {id(subject): i for i, subject in enumerate(distinct)}
    which = np.array([number[id(subject)] for subject in subjects])
    columns, bounds = columns_of(distinct)
    count = np.diff(bounds)[which]
    rows = _multiple(max(int(count.max()), sizes.rows), _PAD // 4)
    at = bounds[which] + np.minimum(np.arange(rows)[:, None], count - 1)
    assert plan.records is not None
    bound = {name: _bound(plan.model, columns, bounds, distinct, name, how)[at] for name, how in plan.records.held}
    lanes = _given(plan, values, columns, at, np.arange(rows)[:, None] < count, moved, bound)
    given = windows if isinstance(windows, InputWindows) else windows_of(plan.model, windows, len(which))
    lanes = lanes._replace(
        start=given.start, stop=given.stop, change=given.change, base=given.base, output=wide(output, len(which))
    )
    return lanes._replace(order=_layout(plan, lanes, columns, at, subjects, count, at_records, sizes))


def _in_order(subjects: Sequence[Subject], moved: Moved, order: np.ndarray) -> tuple[list[Subject], Moved]:
    """Records, and what replaces their columns, in this order (record, lane)."""
    known: dict[tuple[int, bytes], Subject] = {}
    found = []
    for b, subject in enumerate(subjects):
        key = id(subject), order[:, b].tobytes()
        if key not in known:
            known[key] = dataclasses.replace(subject, records=tuple(subject.records[i] for i in order[:, b].tolist()))
        found.append(known[key])
    return found, Moved(*(None if a is None else np.take_along_axis(a, order, 0) for a in moved))


def _place(subject: Subject) -> tuple[int, int]:
    """Where a subject's records stand, so that those of one table come one after the other."""
    rows = subject.records
    return (id(rows.table), rows.start) if isinstance(rows, Rows) else (0, 0)


def _multiple(count: int, of: int) -> int:
    """The next multiple."""
    return count + -count % of


def wide(rows: Any, lanes: int) -> np.ndarray:
    """Rows that all lanes share, or (row, lane) as they are."""
    rows = np.asarray(rows, float)
    return np.broadcast_to(rows if rows.ndim == 2 else rows[:, None], (len(rows), lanes))


class InputWindows(NamedTuple):
    """Input windows of lanes: start and stop (window, lane) [h], change (window, input, lane), and inputs outside (input, lane)."""

    start: np.ndarray
    stop: np.ndarray
    change: np.ndarray
    base: np.ndarray


def windows_of(model: Model, windows: Sequence[Window], lanes: int) -> InputWindows:
    """The same windows in all lanes."""
    inputs = model.inputs
    base = np.array([var.default for var in inputs.values()], float)
    change = np.array([[(w.value - inputs[n].default) * (n == w.name) for n in inputs] for w in windows], float)
    change = np.repeat(change.reshape(len(windows), len(inputs), 1), lanes, 2)
    start, stop = (np.array([getattr(w, name) for w in windows], float) for name in ("start", "stop"))
    return InputWindows(wide(start, lanes), wide(stop, lanes), change, wide(base, lanes))


def _given(
    plan: Plan,
    values: Mapping[str, Any],
    columns: Columns,
    at: np.ndarray,
    real: np.ndarray,
    moved: Moved,
    bound: dict[str, Any],
) -> Lanes:
    """What stands in the records of each lane, padded with rows that do nothing."""
    take = lambda column, fill=0: np.where(real, column[at], fill)
    of = lambda column, other: column if other is None else np.pad(other, [(0, len(at) - len(other)), (0, 0)])
    gives, mode, rate, amt = (
        take(columns.doses, False),
        take(columns.mode),
        take(columns.rate, 0.0),
        take(columns.amt, 0.0),
    )
    constant = gives & (amt == 0)
    amount = of(np.where(constant, rate, amt), moved.amount)
    rate = np.where(constant, 0.0, rate)
    if moved.amount is not None:
        rate = np.where((rate > 0) & (amt > 0), rate * amount / np.where(amt > 0, amt, 1.0), rate)
    code = np.array([plan.cmt.index(name) if name in plan.cmt else -1 for name in (*columns.names, "")])
    written = RecordValues(
        ii=of(take(columns.ii, 0.0), moved.ii),
        rate=rate,
        constant=constant.astype(float),
        gives=gives.astype(float),
        # a dose of nothing is a bolus: it must not divide by a rate
        mode=np.where(gives & (amount == 0), Mode.BOLUS, mode).astype(np.int32),
        target=np.where(gives, code[take(columns.cmt, -1)], -1).astype(np.int32),
        bound=bound,
    )
    none = np.zeros((0, at.shape[1]))
    time, duration = of(take(columns.time, 0.0), moved.time), of(take(columns.duration, 0.0), moved.duration)
    return Lanes(dict(values), time, amount, duration, none, none, none, none, none, written)


def _bound(
    model: Model, columns: Columns, bounds: np.ndarray, subjects: Sequence[Subject], name: str, how: str
) -> np.ndarray:
    """The column of a parameter, filled, (record,); values that the parameter cannot have are refused."""
    column = subjects[0].bound[name]
    found = columns.covariates[column]
    if np.isnan(found).any():
        found = np.concatenate([filled(subject, column, how) for subject in subjects])
    most = (model.parameters.get(name) or model.states[name]).at_most
    wrong = np.flatnonzero((found < 0) | (found > most))
    if len(wrong):
        who = int(np.searchsorted(bounds, wrong[0], "right")) - 1
        record = subjects[who].records[int(wrong[0] - bounds[who])]
        raise InputError(
            f"{name} must be from 0 to {most:g}, not {found[wrong[0]]:g}", subjects[who].where(record, column)
        )
    return found


# ---------------------------------------------------------------- the order of actions
@programs.compiled(0)
def _arriving(plan: Plan, lanes: Lanes) -> Values:
    return record_course.over_lanes(functools.partial(record_course.arriving, plan), lanes)


class _One(NamedTuple):
    """The actions of one lane as columns."""

    edges: Edges
    back: np.ndarray
    before: np.ndarray
    after: np.ndarray


def _layout(
    plan: Plan,
    lanes: Lanes,
    columns: Columns,
    at: np.ndarray,
    subjects: Sequence[Subject],
    count: np.ndarray,
    at_records: bool,
    sizes: Sizes,
) -> Layout:
    rows = len(at)
    assert lanes.records is not None
    arrived = Values(*map(np.asarray, _arriving(plan, lanes)))
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
    schedules = dict(zip(alone.tolist(), _expanded(subjects, given, arrived, len(edge), alone), strict=True))
    together = many_schedules.ordered(given.of(np.flatnonzero(simple))) if simple.any() else None
    used = max([together.used.max() if together else 0, *(len(s.actions) for s in schedules.values())])
    size = _multiple(max(int(used), sizes.actions), _PAD)
    layout = _joined(schedules, together, np.flatnonzero(simple), given, size)
    looks = _looks(layout, used, rows, rows + len(further))
    chosen = np.concatenate([looks[: rows if at_records else 0], looks[rows + len(edge) :]])
    return layout._replace(looks=chosen, used=np.int32(used), period=_periods(schedules, size))


def _simple(given: Dosed, values: Values, real: np.ndarray, ss: np.ndarray, resets: np.ndarray) -> np.ndarray:
    """Which lanes are expanded all at once (lane,): without steady state and reset, and with nothing to complain of."""
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
    subjects: Sequence[Subject], given: Dosed, values: Values, edges: int, lanes: np.ndarray
) -> list[Schedule]:
    """The schedules of these lanes; lanes whose records happen at the same times share one."""
    known: dict[Any, Schedule] = {}
    found = []
    for b in lanes.tolist():
        subject, count = subjects[b], int(given.records[b])
        own = Values(*(column[:count, b] for column in values))
        passed = given.further[given.reached[:, b], b]
        matters = own.time, own.ii, own.lag, given.length[:count, b], passed
        sound = np.isfinite(own.F) & (own.F >= 0) & (own.rate > 0) & (own.duration > 0) & np.isfinite(own.amt)
        key = id(subject), bool(sound.all()), *(column.tobytes() for column in matters)
        if key not in known:
            # says what is wrong with a dose, if anything is
            checked = schedule.checked(subject, own)
            if edges and np.any(np.diff(own.time) < 0):
                message = f"the time of subject {subject.id} goes back at a reset; input windows are not possible"
                raise InputError(message, subject.source)
            known[key] = schedule.expand(subject, checked, passed.tolist())
        found.append(known[key])
    return found


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
    each: dict[int, dict[str, np.ndarray]] = {}
    for b, found in schedules.items():
        if id(found) not in each:
            edges, reached = schedule.edges(found), rows + np.flatnonzero(given.reached[:, b])
            count = int(given.records[b])
            place = np.append(np.arange(count), reached)[edges.at]
            along = zip(_ALONG, (found.jumps_back, found.before, found.after), strict=True)
            each[id(found)] = {**edges._replace(at=place)._asdict(), **{n: np.array(a) for n, a in along}}
        put(b, each[id(found)], len(found.actions))
    edges = Edges(*(arrays[name] for name in Edges._fields))
    none = np.zeros((0, batch), np.int32)
    back, before, after = (arrays[name] for name in _ALONG)
    return Layout(edges, back, before, after, none, np.int32(0), _periods({}, size))


_ALONG = ("back", "before", "after")


def _looks(layout: Layout, used: int, rows: int, last: int) -> np.ndarray:
    """The action at which each row and each further output is seen, (row + output, lane)."""
    looks = np.zeros((last, layout.back.shape[1]), np.int32)
    action, lane = np.nonzero(layout.actions.kind[:used] == Kind.OUTPUT)
    # a lane is filled up with its last action: the first of them counts, so it is written last
    looks[layout.actions.at[action, lane][::-1], lane[::-1]] = action[::-1]
    return looks


def _periods(schedules: Mapping[int, Schedule], beyond: int) -> Period:
    """The steady states of all lanes; their number is filled up to a power of two with repeats that set nothing."""
    found = []
    for b, each in schedules.items():
        places = {a.group: k for k, a in enumerate(each.actions) if a.kind == Kind.STEADY}
        for group, steady in enumerate(each.steady):
            found.append((b, steady.records[0], places[group], steady.base, steady.multiple, schedule.edges(steady)))
    used = max((len(edges.kind) for *_, edges in found), default=0) + 1
    width = _multiple(used, 8)
    if not found:
        none = np.zeros(0, np.int32)
        return Period(none, none, none, none, none, Edges(*(np.zeros((width, 0)) for _ in Edges._fields)), np.int32(0))
    ends = (Kind.OUTPUT, 0, 0, 0, 0, 0, -1, 1)  # an output at the end of the period fills up
    actions = [
        Edges(*(np.pad(a, (0, width - len(a)), constant_values=end) for a, end in zip(edges, ends, strict=True)))
        for *_, edges in found
    ]
    lane, record, action, base, multiple = np.array([row[:5] for row in found], np.int32).T
    together = jax.tree.map(lambda *a: np.stack(a, -1), *actions)
    return _filled_up(Period(lane, record, action, base, multiple, together, np.int32(used)), beyond)


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
    period = _of(layout.period, chosen, len(layout.back))
    back, before, after, looks = map(of, (layout.back, layout.before, layout.after, layout.looks))
    return Layout(jax.tree.map(of, layout.actions), back, before, after, looks, layout.used, period)


def _of(period: Period, chosen: np.ndarray, beyond: int) -> Period:
    """The steady states of the lanes of these numbers."""
    real = np.flatnonzero(np.asarray(period.action) < beyond)
    places = [(p, n) for p, b in enumerate(chosen.tolist()) for n in real[np.asarray(period.lane)[real] == b].tolist()]
    if not places:
        return period._replace(**{name: np.zeros(0, np.int32) for name in Period._fields[:5]},
                               actions=jax.tree.map(lambda a: a[..., :0], period.actions))  # fmt: skip
    lane, index = np.array(places, np.int32).T
    some = jax.tree.map(lambda a: np.asarray(a)[..., index], period._replace(used=None))
    return _filled_up(some._replace(lane=lane, used=period.used), beyond)
