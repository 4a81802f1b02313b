"""Event records as intervals, for lanes with concrete values: what `record_course` does for one traced lane, in NumPy for all.

The order of the actions is decided before (`action_order`), for which `arriving` gives the values of the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nanomg.dosing import schedule
from nanomg.dosing.event_record import Mode
from nanomg.dosing.schedule import Edges, Kind, Values
from nanomg.equations.mechanism import Port
from nanomg.equations.model import Model
from nanomg.simulation import record_course
from nanomg.simulation.host_course import HostCourse, Start, following, shared, start
from nanomg.simulation.host_doses import taken_up
from nanomg.simulation.plan import Lanes, Layout, Period, Plan
from nanomg.solver.elementwise import elementwise
from nanomg.solver.native import solve
from nanomg.solver.native.arrays import KernelInputs
from nanomg.solver.native.steady import search
from nanomg.solver.problem import Problem, Stop


def arriving(plan: Plan, lanes: Lanes) -> Values:
    """The values (record, lane) of all lanes' records as their doses arrive."""
    given = start(plan.model, lanes.values, lanes.time.shape[1], plan.engine)
    values, _ = _deliveries(plan, lanes, given.x)
    return Values(*(np.ascontiguousarray(np.broadcast_to(a, lanes.time.T.shape).T) for a in values))


def course(plan: Plan, lanes: Lanes, given: Start) -> HostCourse:
    """What the records make of all lanes, without their steady states."""
    layout: Layout = lanes.order
    records, states = lanes.records, list(plan.model.states)
    assert records is not None and plan.records is not None
    used, time = int(layout.used), lanes.time.T
    values, share = _deliveries(plan, lanes, given.x)
    mode = records.mode.T
    jump, inflow, length = schedule.delivery(mode, values)
    actions = Edges(*(_first(a, used) for a in layout.actions))
    back, before, after = (_first(a, used) for a in (layout.back, layout.before, layout.after))
    edge = np.maximum(np.concatenate([lanes.stop, lanes.start]), np.minimum(lanes.time[:1], 0.0))
    base = np.concatenate([np.broadcast_to(values.time, time.shape), edge.T, lanes.output.T], 1)
    times = schedule.action_times(actions, base, values, length, _take)
    starts = np.concatenate([np.where(times[:, :1] < 0, times[:, :1], 0.0), times[:, :-1]], 1)
    ends = np.where(back, starts, times)
    rows = np.broadcast_to(values.time, time.shape), before, after, starts, ends
    columns = {name: records.bound[name].T for name, _ in plan.records.held}
    both = {n: schedule.held(columns[n], how, *rows, take=_take) for n, how in plan.records.held}
    held = {n: pair[0] for n, pair in both.items()}

    flows, jumps = _amounts(actions, mode, inflow, jump, share)
    lengths, keep = np.maximum(ends - starts, 0.0), np.ones_like(ends)
    keep[:, 1:] = actions.keep[:, :-1]
    for name in plan.model.ramped:
        row = plan.channels.index(states.index(name))
        first, last = both[name]
        moves = lengths > 0
        if len(flows) < len(first):
            flows = np.repeat(flows, len(first), 0)
        flows[:, :, row] = np.where(moves, last - first, 0.0) / np.where(moves, lengths, 1.0)
        jumps[:, :, row] = first - (keep != 0) * np.concatenate([first[:, :1], last[:, :-1]], 1)
    y0 = given.y0
    if held:
        y0 = start(plan.model, {**lanes.values, **{n: v[:, 0] for n, v in held.items()}}, len(time), plan.engine).y0
    largest = np.abs(y0)
    largest[:, np.array(plan.channels)] += np.abs(((jump + inflow * length)[:, :, None] * share).sum(1))
    looks = layout.looks.T
    at_records = looks.shape[1] - len(lanes.output)  # all of them or none
    looked = looks[:, at_records:]
    return HostCourse(
        y0=y0,
        length=lengths,
        keep=keep if (keep != 1).any() else keep[:1],
        inflow=flows,
        jump=jumps,
        forcing=_forcing(plan, lanes, given, actions.at, held),
        largest=largest,
        looks=looks,
        bound={n: np.concatenate([columns[n][:, :at_records], _take(both[n][1], looked)], 1) for n in columns},
    )


class HostSettled(NamedTuple):
    """As `record_course.SettledLanes`, lanes first."""

    inputs: KernelInputs
    residual: np.ndarray
    first: np.ndarray
    stop: Stop


def settled(plan: Plan, lanes: Lanes, given: Start, inputs: KernelInputs) -> HostSettled:
    """All steady states, round by round: what a later one depends on follows from those before."""
    order: Layout = lanes.order
    (batch, states), beyond = inputs.y0.shape, len(order.back)
    jump = np.array(np.broadcast_to(inputs.jump, (batch, *inputs.jump.shape[1:])))
    stop = Stop(
        np.zeros(batch), np.zeros((states, batch)), np.zeros((inputs.forcing.shape[2], batch)), np.zeros(batch, int)
    )
    found = HostSettled(inputs._replace(jump=jump), np.zeros(batch), np.full(batch, beyond), stop)
    for turn, periods in enumerate(order.periods):
        several = [(group, real) for group, period in enumerate(periods) if len((real := _real(period, beyond)).lane)]
        for group, period in several:
            y = _at_records(plan, found.inputs, period) if turn else inputs.y0[period.lane]
            _add_group(plan, lanes, given, found, group, period, y)
    return found


def _real(period: Period, beyond: int) -> Period:
    """Those that lanes need, without those that fill up their number."""
    real = np.flatnonzero(np.asarray(period.action) < beyond)
    return jax.tree.map(lambda a: np.asarray(a)[..., real], period._replace(used=None))._replace(used=period.used)


def _at_records(plan: Plan, inputs: KernelInputs, period: Period) -> np.ndarray:
    """The state (n, state) just before each steady state; a lane has one of them."""
    last = int(period.action.max()) + 1
    rows = np.full((len(period.lane), last), -1, np.int32)
    rows[np.arange(len(rows)), period.action] = 0
    some = inputs.of(period.lane)
    until = {name: getattr(some, name)[:, :last] for name in ("length", "keep", "inflow", "jump", "forcing")}
    ends = solve.solved(plan.problem, some._replace(**until, rows=rows, looks=1), plan.precision).ends
    return ends[:, 0].astype(float)


def _add_group(
    plan: Plan, lanes: Lanes, given: Start, found: HostSettled, group: int, period: Period, y: np.ndarray
) -> None:
    """The steady states of one group of states, with the state `y` (n, state) at their records, into what is found."""
    problem, states = plan.problem_alone(group), list(plan.model.states)
    rows = np.array([states.index(name) for name in problem.model.states])
    inputs, lane = found.inputs, period.lane
    steady = search(problem, _one_period(plan, problem, lanes, given, inputs, period, y))
    # what starts after the last action is beyond the end, and dropped
    within = np.flatnonzero(period.action + 1 < inputs.jump.shape[1])
    channels = np.array([plan.channels.index(row) for row in rows])
    place = lane[within, None], period.action[within, None] + 1, channels
    np.add.at(inputs.jump, place, steady.y[within])
    np.maximum.at(found.residual, lane, steady.residual)
    forcing = np.broadcast_to(inputs.forcing, (len(inputs.y0), *inputs.forcing.shape[1:]))
    for n in np.flatnonzero(~steady.found & (period.action < found.first[lane])).tolist():
        b = lane[n]
        if period.action[n] >= found.first[b]:
            continue
        found.first[b] = period.action[n]
        found.stop.time[b] = lanes.time[period.record[n], b]
        found.stop.y[:, b] = y[n]
        found.stop.y[rows, b] = np.nan_to_num(steady.last[n])
        found.stop.forcing[:, b] = forcing[b, period.action[n]]
        found.stop.worst[b] = rows[steady.worst[n]]


def _one_period(
    plan: Plan, problem: Problem, lanes: Lanes, given: Start, inputs: KernelInputs, period: Period, y: np.ndarray
) -> KernelInputs:
    """The state at which each search starts, and the intervals of one period."""
    records, lane, used = lanes.records, period.lane, int(period.used)
    assert records is not None
    columns = {name: a.T for name, a in records.bound.items()}
    values, share = _deliveries(plan, lanes, given.x)
    values = Values(*(np.broadcast_to(a, lanes.time.T.shape)[lane] for a in values))
    mode, share = records.mode.T[lane], share[lane]
    jump, inflow, length = schedule.delivery(mode, values)
    actions = Edges(*(_first(a, used).astype(int) for a in period.actions))
    since = schedule.action_times(actions, np.zeros_like(values.time), values, length, _take)
    constant = records.constant[period.record, lane] > 0
    whole = np.where(constant, record_course.ANY_PERIOD, values.ii[np.arange(len(lane)), period.record])
    ends = np.where(actions.kind == Kind.OUTPUT, whole[:, None], since)
    flows, jumps = _amounts(actions, mode, inflow, jump, share)
    number = lambda a: np.broadcast_to(a, (len(lane), a.shape[1])) if len(a) == 1 else a[lane]
    here = {n: number(a)[np.arange(len(lane)), period.record if a.shape[1] > 1 else 0]
            for n, a in _at(plan, given.x, columns).items()}  # fmt: skip
    states = list(plan.model.states)
    chosen = np.array([states.index(name) for name in problem.model.states])
    mine = np.array([plan.channels.index(row) for row in chosen])
    # of the inputs what holds at the record, of the values that change in time those of the record itself
    count = len(plan.model.inputs)
    all_forcing = np.broadcast_to(inputs.forcing, (lanes.time.shape[1], *inputs.forcing.shape[1:]))
    held = [here[n] if n in plan.model.ramped else y[:, states.index(n)] for n in problem.model.held]
    timed = [here[name] for name in plan.timed]
    forcing = np.empty((len(lane), used, count + len(held) + len(timed)))
    forcing[:, :, :count] = all_forcing[lane, period.action, None, :count]
    for i, values_here in enumerate((*held, *timed), count):
        forcing[:, :, i] = values_here[:, None]
    rows = np.full((1, used), -1, np.int32)
    rows[0, -1] = 0
    some = inputs.of(lane)
    return some._replace(
        y0=start(problem.model, here, len(lane), plan.engine).y0,
        floor=np.ascontiguousarray(some.floor[:, chosen]),
        length=np.maximum(ends - following(ends), 0.0),
        keep=np.ones((1, used)),
        inflow=flows[:, :, mine],
        jump=jumps[:, :, mine],
        forcing=forcing,
        rtol=record_course.PERIOD_RTOL,
        rows=rows,
        looks=1,
    )


def timed_constants(model: Model, names: tuple[str, ...], values: Mapping[str, Any]) -> list[Any]:
    """Parameters and constants that follow from columns."""
    x = model.derive(values)
    return [x[name] for name in names]


def _take(a: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Of each lane (lane, row) the rows with these numbers (lane, …)."""
    return np.take_along_axis(np.broadcast_to(a, (len(index), a.shape[1])), index, 1)


def _first(a: Any, count: int) -> np.ndarray:
    """The first rows (row, lane) with the lanes first."""
    return np.ascontiguousarray(np.asarray(a)[:count].T)


def _at(plan: Plan, x: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters and constants (lane, row), axes of length 1 shared, where columns (lane, row) set some of them."""
    wide = {n: a[:, None] for n, a in x.items()} | dict(columns)
    timed = tuple(name for name in plan.timed if name in plan.model.constants)
    if not timed:
        return wide
    values = {n: a for n, a in wide.items() if n not in plan.model.constants}
    found = elementwise(timed_constants, len(timed), plan.model, timed)(values, plan.engine)
    return wide | {name: found[..., i] for i, name in enumerate(timed)}


def _deliveries(plan: Plan, lanes: Lanes, x: Mapping[str, np.ndarray]) -> tuple[Values, np.ndarray]:
    """The values of records (lane, record) as they arrive, and what of a dose reaches each channel (lane, record, channel)."""
    records, states = lanes.records, list(plan.model.states)
    assert records is not None
    at = _at(plan, x, {name: a.T for name, a in records.bound.items()})
    time, amount, gives = lanes.time.T, (1.0 - records.constant.T) * lanes.amount.T, records.gives.T
    rate = records.rate.T + records.constant.T * lanes.amount.T
    none = np.zeros_like(time)
    modelled = {"lag": none, "F": none + 1.0, "rate": none + np.nan, "duration": none + np.nan}
    share = np.zeros((*time.shape, len(plan.channels)))
    for i, name in enumerate(plan.cmt):
        port = plan.model.ports.get(name, Port("", "", {name: 1.0}))
        here = i == records.target.T
        if not here.any():
            continue
        if port.uptake is not None:
            amount = np.where(here, taken_up(plan, name, at, amount), amount)
        for what in modelled:
            if (parameter := getattr(port, what)) is not None:
                modelled[what] = np.where(here, at[parameter], modelled[what])
        for state, part in port.into.items():
            share[:, :, plan.channels.index(states.index(state))] += np.where(
                here, at[part] if isinstance(part, str) else part, 0.0
            )
    written = Values(time, amount, records.ii.T, none, gives, rate, lanes.duration.T)
    with np.errstate(all="ignore"):
        return schedule.arriving(written, records.mode.T, **modelled), share


def _amounts(
    actions: Edges, mode: np.ndarray, inflow: np.ndarray, jump: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The amount per hour on each interval, and the amount at its start, (lane, interval, channel) both."""
    record = actions.record.clip(0)
    part = np.take_along_axis(share, record[:, :, None], 1)
    jumps = following(((actions.kind == Kind.BOLUS) * _take(jump, record))[:, :, None] * part)
    if (mode == Mode.BOLUS).all():
        return np.zeros((1, *part.shape[1:])), jumps
    on = (actions.kind == Kind.START) * 1 - (actions.kind == Kind.END) * 1
    running = np.cumsum(on[:, :, None] * (part != 0), 1)
    flows = np.cumsum((on * _take(inflow, record))[:, :, None] * part, 1)
    # without a running infusion the rate is exactly 0, free of the sum's rounding
    return following(np.where(running > 0, flows, 0.0)), jumps


def _forcing(plan: Plan, lanes: Lanes, given: Start, at: np.ndarray, held: Mapping[str, np.ndarray]) -> np.ndarray:
    """Inputs and timed values (lane, interval, row) on the interval that each action closes."""
    (batch, intervals), records, windows = at.shape, len(lanes.time), len(lanes.start)
    inputs = shared(lanes.base)[:, None]
    if windows:
        passed = np.cumsum(at[:, :, None] == records + np.arange(2 * windows), 1)
        open_ = following(passed[:, :, windows:] - passed[:, :, :windows])
        inputs = inputs + open_ @ shared(lanes.change)
    if not plan.timed:
        return np.broadcast_to(inputs, (len(inputs), intervals, inputs.shape[2]))
    x = _at(plan, given.x, held)
    forcing = np.empty((batch, intervals, inputs.shape[2] + len(plan.timed)))
    forcing[:, :, : inputs.shape[2]] = inputs
    for i, name in enumerate(plan.timed, inputs.shape[2]):
        forcing[:, :, i] = x[name]
    return forcing
