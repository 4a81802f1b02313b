"""Event records as intervals: the traced part, for one lane at a time, without an axis for the lanes.

On the host records are expanded to actions (`nanomg.simulation.layout`); this gives only integers, padded to common sizes. Here
the values of the records become intervals: no new compilation is needed for other times, amounts, covariates or kinds of records,
nor for a few more rows. All is differentiable as long as the actions keep their order, steady states included.

A parameter bound to a column changes between intervals (`nocb`, `locf`) or is a state that moves within them (`linear`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.dosing import schedule
from nanomg.dosing.schedule import Edges, Kind, Values
from nanomg.equations.mechanism import Port
from nanomg.equations.model import stack
from nanomg.simulation import possible
from nanomg.simulation.plan import Course, Lanes, Layout, Period, Plan, RecordValues
from nanomg.solver import integrate, steady_state
from nanomg.solver.intervals import Intervals
from nanomg.solver.problem import Inputs, Problem, Stop, rounded

PERIOD_RTOL = 1e-10  # of the period that has the steady state as its fixed point
ANY_PERIOD = 1000.0  # [h] of a constant infusion


def course(plan: Plan, lanes: Lanes) -> Course:
    """What the records make of all lanes, without their steady states."""
    courses = over_lanes(functools.partial(_course, plan), lanes)
    return courses._replace(intervals=courses.intervals._replace(used=lanes.order.used))


class SettledLanes(NamedTuple):
    """Steady states that lanes need: `inputs` with those that were found, and what is known of the lanes (lane,).

    `first` is the first action of a lane that is without a steady state, beyond all where there is none; `stop` says why.
    """

    inputs: Inputs
    residual: jax.Array
    first: jax.Array
    stop: Stop


def settled(plan: Plan, lanes: Lanes, inputs: Inputs) -> SettledLanes:
    """All steady states, round by round: what a later one depends on follows from those before."""
    order: Layout = lanes.order
    batch, beyond = inputs.y0.shape[1], len(order.back)
    none = jnp.zeros(batch, inputs.y0.dtype)
    stop = Stop(
        none, jnp.zeros_like(inputs.y0), jnp.zeros_like(inputs.intervals.forcing[0]), jnp.zeros(batch, jnp.int32)
    )
    found = SettledLanes(inputs, none, jnp.full(batch, beyond), stop)
    for turn, periods in enumerate(order.periods):
        reached = integrate.solve(plan.problem, rounded(found.inputs, plan.precision)).ends if turn else None
        for group, period in enumerate(periods):
            if len(period.lane):
                at = inputs.y0 if reached is None else reached[period.action.clip(0, beyond - 1), :, period.lane].T
                y = jnp.take(at, period.lane, -1) if reached is None else at.astype(inputs.y0.dtype)
                found = _with_group(plan, lanes, found, group, period, y)
    return found


def _with_group(
    plan: Plan, lanes: Lanes, before: SettledLanes, group: int, period: Period, y: jax.Array
) -> SettledLanes:
    """The steady states of one group of states as one block, with the state `y` (state, n) at their records."""
    problem, inputs = plan.problem_alone(group), before.inputs
    pick = lambda a: jnp.take(a, period.lane, -1)
    states = list(plan.model.states)
    rows = np.array([states.index(name) for name in problem.model.states])
    forcing = pick(inputs.intervals.forcing)
    periods = period._replace(used=jnp.broadcast_to(period.used, period.lane.shape))
    one = functools.partial(_period, plan, problem)
    y0, intervals = over_lanes(one, by_lane(lanes, pick, lambda a: a), forcing, periods, y)
    search = Inputs(
        y0,
        intervals._replace(used=period.used),
        inputs.fixed,
        pick(inputs.varied),
        pick(inputs.floor)[rows],
        jnp.asarray(PERIOD_RTOL, inputs.rtol.dtype),
    )
    steady = steady_state.settle(problem, search)
    # what starts after the last action is beyond the end, and dropped
    channels = np.array([plan.channels.index(row) for row in rows])
    place = (period.action + 1)[:, None], channels, period.lane[:, None]
    jump = inputs.intervals.jump.at[place].add(steady.y.T)
    inputs = inputs._replace(intervals=inputs.intervals._replace(jump=jump))
    beyond = len(lanes.order.back)
    first = before.first.at[period.lane].min(jnp.where(steady.found, beyond, period.action))
    at_fault = ~steady.found & (period.action == first[period.lane]) & (first[period.lane] < before.first[period.lane])
    # a lane that is without several is described by the first of them, however often it was filled up with
    lane = jnp.where(at_fault, period.lane, len(before.first))
    stop = Stop(
        before.stop.time.at[lane].set(lanes.time[period.record, period.lane], mode="drop"),
        before.stop.y.at[:, lane].set(y.at[rows].set(jnp.nan_to_num(steady.last)), mode="drop"),
        before.stop.forcing.at[:, lane].set(forcing[period.action, :, np.arange(len(period.lane))].T, mode="drop"),
        before.stop.worst.at[lane].set(jnp.asarray(rows, jnp.int32)[steady.worst], mode="drop"),
    )
    residual = before.residual.at[period.lane].max(steady.residual)
    return SettledLanes(inputs, residual, first, jax.tree.map(jax.lax.stop_gradient, stop))


def with_amounts(lanes: Lanes, amount: Any) -> Lanes:
    """Lanes of doses or records with other amounts (dose, lane), traced; an infusion at a rate keeps its duration."""
    if lanes.records is None:
        return lanes._replace(amount=amount)
    before = jax.lax.stop_gradient(lanes.amount)
    share = jnp.where(before > 0, amount / jnp.where(before > 0, before, 1.0), 1.0)
    rate = jnp.where(lanes.records.rate > 0, lanes.records.rate * share, lanes.records.rate)
    return lanes._replace(amount=amount, records=lanes.records._replace(rate=rate))


def with_factors(lanes: Lanes, factors: Mapping[str, Any]) -> Lanes:
    """Lanes of records whose columns of these parameters are multiplied, traced."""
    if lanes.records is None or not factors:
        return lanes
    bound = {name: values * factors.get(name, 1.0) for name, values in lanes.records.bound.items()}
    return lanes._replace(records=lanes.records._replace(bound=bound))


# ---------------------------------------------------------------- one lane
def _given(lane: Lanes) -> tuple[RecordValues, Values]:
    """The records of a lane, and their values before lag, F and what is modelled."""
    records = lane.records
    assert records is not None
    rate = records.rate + records.constant * lane.amount
    amount = (1.0 - records.constant) * lane.amount
    written = Values(lane.time, amount, records.ii, jnp.zeros_like(lane.time), records.gives, rate, lane.duration)
    return records, written


def _deliveries(plan: Plan, lane: Lanes) -> tuple[dict[str, Any], Values, Any]:
    """Parameters and constants at each record, its values as they arrive, and what of a dose reaches each channel (D, C)."""
    records, written = _given(lane)
    x = plan.model.derive({**lane.values, **records.bound})
    none = jnp.zeros_like(written.time)
    amount, modelled = written.amt, {"lag": none, "F": none + 1.0, "rate": none + jnp.nan, "duration": none + jnp.nan}
    share = jnp.zeros((len(plan.channels), *none.shape))
    states = list(plan.model.states)
    for i, name in enumerate(plan.cmt):
        port, here = plan.model.ports.get(name, Port("", "", {name: 1.0})), records.target == i
        if port.uptake is not None:
            amount = jnp.where(here, getattr(plan.model.mechanism_of(name, x), port.uptake)(amount), amount)
        for what in modelled:
            if (parameter := getattr(port, what)) is not None:
                modelled[what] = jnp.where(here, x[parameter], modelled[what])
        for state, part in port.into.items():
            row = plan.channels.index(states.index(state))
            share = share.at[row].add(jnp.where(here, x[part] if isinstance(part, str) else part, 0.0))
    values = schedule.arriving(written._replace(amt=amount), records.mode, **modelled, where=jnp.where)
    return x, values, share.T


def _flow(actions: Edges, mode: Any, values: Values, share: Any) -> tuple[Any, Any]:
    """The amount per hour that flows after each action, and the amount that it adds at once, both (action, channel)."""
    jump, inflow, _ = schedule.delivery(mode, values)
    record = actions.record.clip(0)
    on = (actions.kind == Kind.START) * 1 - (actions.kind == Kind.END) * 1
    running = jnp.cumsum(on[:, None] * (share[record] != 0), 0)
    flows = jnp.cumsum((on * inflow[record])[:, None] * share[record], 0)
    # without a running infusion the rate is exactly 0, free of the sum's rounding
    return jnp.where(running > 0, flows, 0.0), ((actions.kind == Kind.BOLUS) * jump[record])[:, None] * share[record]


def _then(a: Any) -> Any:
    """What holds after each action, on the interval that follows it."""
    return jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])


def _lengths(starts: Any, ends: Any) -> Any:
    """Not below zero, with the slope of the difference."""
    length = ends - starts
    return length - jax.lax.stop_gradient(jnp.minimum(length, 0.0))


def _edges(lane: Lanes) -> Any:
    """Ends, then starts of the input windows [h], not before a lane begins."""
    return jnp.maximum(jnp.concatenate([lane.stop, lane.start]), jnp.minimum(lane.time[0], 0.0))


def _forcing(plan: Plan, lane: Lanes, held: Mapping[str, Any]) -> Any:
    """Inputs and timed values (interval, row) on the interval that each action closes."""
    at = lane.order.actions.at
    count, windows = len(lane.time), len(lane.start)
    passed = jnp.cumsum(at[:, None] == count + np.arange(2 * windows), 0)
    open_ = _then(passed[:, windows:] - passed[:, :windows])
    inputs = lane.base + open_ @ lane.change
    x = plan.model.derive({**lane.values, **held})
    return jnp.concatenate([inputs, *(jnp.broadcast_to(x[n], at.shape)[:, None] for n in plan.timed)], 1)


def _course(plan: Plan, lane: Lanes) -> Course:
    """Intervals without their steady states, largest amounts (state,), and bound values at each look."""
    layout: Layout = lane.order
    records, model = _given(lane)[0], plan.model
    _, values, share = _deliveries(plan, lane)
    jump, inflow, length = schedule.delivery(records.mode, values)
    base = jnp.concatenate([values.time, _edges(lane), lane.output])
    times = schedule.action_times(layout.actions, base, values, length)
    starts = jnp.concatenate([jnp.where(times[:1] < 0, times[:1], 0.0), times[:-1]])
    ends = jnp.where(layout.back, starts, times)
    rows = values.time, layout.before, layout.after, starts, ends
    how_held = plan.records.held if plan.records else ()
    both = {n: schedule.held(records.bound[n], how, *rows, where=jnp.where) for n, how in how_held}
    held = {n: pair[0] for n, pair in both.items()}

    flows, jumps = _flow(layout.actions, records.mode, values, share)
    intervals = Intervals(
        used=layout.used,
        length=_lengths(starts, ends),
        keep=jnp.concatenate([jnp.ones(1), layout.actions.keep[:-1]]),
        inflow=_then(flows),
        jump=_then(jumps),
        forcing=_forcing(plan, lane, held),
    )
    for name in model.ramped:
        row = plan.channels.index(list(model.states).index(name))
        first, last = both[name]
        moves = intervals.length > 0
        slope = jnp.where(moves, last - first, 0.0) / jnp.where(moves, intervals.length, 1.0)
        to = first - (intervals.keep != 0) * jnp.concatenate([first[:1], last[:-1]])
        intervals = intervals._replace(
            inflow=intervals.inflow.at[:, row].set(slope), jump=intervals.jump.at[:, row].set(to)
        )
    y0 = possible.start(model, model.derive({**lane.values, **{n: v[0] for n, v in held.items()}}), ())
    amounts = jnp.sum((jump + inflow * length)[:, None] * share, 0)
    largest = jnp.abs(y0).at[np.array(plan.channels)].add(jnp.abs(amounts))
    at_records = len(layout.looks) - len(lane.output)  # all of them or none
    looked = layout.looks[at_records:]
    bound = {n: jnp.concatenate([records.bound[n][:at_records], both[n][1][looked]]) for n, _ in how_held}
    return Course(y0, intervals, largest, layout.looks, bound)


def _period(plan: Plan, problem: Problem, lane: Lanes, forcing: Any, period: Period, y: Any) -> tuple[Any, Intervals]:
    """State at which the search starts, and the intervals of one period, for one of the lane's steady states.

    `y` (state,) is the state at its record, of which `problem` holds a part.
    """
    records = _given(lane)[0]
    x, values, share = _deliveries(plan, lane)
    here = {n: jnp.broadcast_to(v, values.time.shape)[period.record] for n, v in x.items()}
    *_, length = schedule.delivery(records.mode, values)
    since = schedule.action_times(period.actions, jnp.zeros_like(values.time), values, length)
    whole = jnp.where(records.constant[period.record] > 0, ANY_PERIOD, values.ii[period.record])
    ends = jnp.where(period.actions.kind == Kind.OUTPUT, whole, since)
    flows, jumps = _flow(period.actions, records.mode, values, share)
    states = list(plan.model.states)
    mine = np.array([plan.channels.index(states.index(name)) for name in problem.model.states])
    # of the inputs what holds at the record, of the values that change in time those of the record itself
    held = [here[n] if n in plan.model.ramped else y[states.index(n)] for n in problem.model.held]
    rows = [
        forcing[period.action, : len(plan.model.inputs)],
        *(jnp.array(some) for some in (held, [here[n] for n in plan.timed])),
    ]
    intervals = Intervals(
        used=period.used,
        length=_lengths(_then(ends), ends),
        keep=jnp.ones_like(ends),
        inflow=_then(flows)[:, mine],
        jump=_then(jumps)[:, mine],
        forcing=jnp.broadcast_to(jnp.concatenate(rows), (len(ends), sum(map(len, rows)))),
    )
    return stack(problem.model.initial(here), ()), intervals


# ---------------------------------------------------------------- all lanes
def by_lane(lanes: Lanes, change: Callable[[Any], Any], rest: Callable[[Any], Any]) -> Lanes:
    """`change` of each array that has an axis for the lanes, which is its last one, and `rest` of the others."""
    order = lanes.order
    if isinstance(order, Layout):
        order = Layout(*jax.tree.map(change, order[:-2]), *jax.tree.map(rest, order[-2:]))
    elif order is not None:
        order = change(order)
    many = lanes._replace(values={}, order=None)
    return jax.tree.map(change, many)._replace(
        values={n: (change if np.ndim(v) else rest)(v) for n, v in lanes.values.items()}, order=order
    )


def over_lanes(function: Callable[..., Any], lanes: Lanes, *more: Any) -> Any:
    """A function of one lane on all lanes; the lanes' axis is the last one of all arguments and results."""
    axes = by_lane(lanes, lambda a: np.ndim(a) - 1, lambda a: None)
    return jax.vmap(function, in_axes=(axes, *(-1 for _ in more)), out_axes=-1)(lanes, *more)
