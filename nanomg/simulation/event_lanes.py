"""Event tables through a model: each subject of a table is a lane of one block.

On the host the records are expanded to actions; only integers come of it, padded to common sizes. The compiled program
computes with the values: it needs no new compilation for other times, amounts, covariates or kinds of records, nor for a few more
rows. It is differentiable in all of them as long as the actions keep their order, steady states included.

A parameter bound to a column changes between intervals (`nocb`, `locf`) or is a state that moves within them (`linear`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.compute import programs
from nanomg.dosing import schedule as dosing_schedule
from nanomg.dosing.dose import Window
from nanomg.dosing.event_table import INTERPOLATIONS, Subject, filled
from nanomg.dosing.schedule import Edges, Kind, Schedule, Values
from nanomg.equations.mechanism import Port
from nanomg.equations.model import Model, stack
from nanomg.errors import InputError, unknown
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver import integrate, steady_state
from nanomg.solver.intervals import Intervals
from nanomg.solver.status import Status

RTOL = 1e-7  # tables are compared with closed forms and other programs, to 1e-6 down to a millionth of the peak
_PERIOD_RTOL = 1e-10  # of the period whose fixed point is a steady state
_ANY_PERIOD = 1000.0  # [h] of a constant infusion


class EventPlan(NamedTuple):
    """What a compiled table is made for. `varied` and `timed` include the constants that depend on them."""

    model: Model  # parameters with `linear` columns are among its states
    varied: tuple[str, ...]
    timed: tuple[str, ...]  # values that change between intervals
    held: tuple[tuple[str, str], ...]  # bound parameters, each with nocb, locf or linear
    targets: tuple[str, ...]  # ports and states that receive doses
    channels: tuple[int, ...]
    method: str = "rodas5p"
    max_steps: int = 20_000
    precision: str = "float64"


class Period(NamedTuple):
    """The steady states `N` to be found and their actions `A`, integers throughout."""

    lane: Any  # (N,)
    record: Any  # (N,) the record at which it holds
    action: Any  # (N,) the action of the lane that sets it
    base: Any  # (N,)
    multiple: Any  # (N,)
    actions: Edges  # (A, N)
    used: Any


class EventLayout(NamedTuple):
    """What the host has decided, all integers. Actions `K`, records `R`, outputs `T`, lanes `B`."""

    actions: Edges  # (K, B)
    back: Any  # (K, B)
    before: Any  # (K, B)
    after: Any  # (K, B)
    looks: Any  # (R + T, B) the action at which each record and output is seen
    used: Any
    period: Period


class EventLanes(NamedTuple):
    """Values of `B` lanes: what is not an integer may be traced. Records `R`, outputs `T`, input windows `W`, inputs `I`."""

    values: dict[str, Any]  # every parameter, a scalar or (B,)
    written: Values  # (R, B) the columns of the records
    mode: Any  # (R, B), integers
    target: Any  # (R, B), integers; -1 where no dose is given
    bound: dict[str, Any]  # (R, B) by parameter
    output: Any  # (T, B) [h]
    edge: Any  # (2 W, B) [h] ends and starts of the input windows
    change: Any  # (W, I) what a window adds to each input
    layout: EventLayout | None = None


class Seen(NamedTuple):
    """What a solve of a table gives; `looks` are all records, then all outputs."""

    y: jax.Array  # (look, state, lane)
    forcing: jax.Array  # (look, input, lane)
    bound: dict[str, jax.Array]  # (look, lane)
    status: jax.Array  # (lane,)
    residual: jax.Array  # (lane,) how far one period moves the worst steady state, relative to its size
    accepted: jax.Array
    rejected: jax.Array
    stop: integrate.Stop


# ---------------------------------------------------------------- one lane: no lane axis
def _deliveries(plan: EventPlan, lane: EventLanes) -> tuple[dict[str, Any], Values, Any]:
    """Parameters and constants at each record, its values as they arrive, and what of a dose reaches each channel (R, C)."""
    written, target = lane.written, lane.target
    x = plan.model.derive({**lane.values, **lane.bound})
    none = jnp.zeros_like(written.time)
    amount, found = written.amt, {"lag": none, "F": none + 1.0, "rate": none + jnp.nan, "duration": none + jnp.nan}
    share = jnp.zeros((len(plan.channels), *none.shape))
    states = list(plan.model.states)
    for i, name in enumerate(plan.targets):
        port, here = plan.model.ports.get(name, Port("", "", {name: 1.0})), target == i
        if port.uptake is not None:
            amount = jnp.where(here, getattr(plan.model.mechanism_of(name, x), port.uptake)(amount), amount)
        for what in found:
            if (parameter := getattr(port, what)) is not None:
                found[what] = jnp.where(here, x[parameter], found[what])
        for state, part in port.into.items():
            row = plan.channels.index(states.index(state))
            share = share.at[row].add(jnp.where(here, x[part] if isinstance(part, str) else part, 0.0))
    values = dosing_schedule.arriving(written._replace(amt=amount), lane.mode, **found, where=jnp.where)
    return x, values, share.T


def _flow(actions: Edges, mode: Any, values: Values, share: Any) -> tuple[Any, Any]:
    """The amount per hour that flows after each action, and the amount that it adds at once, both (action, channel)."""
    jump, inflow, _ = dosing_schedule.delivery(mode, values)
    record = actions.record.clip(0)
    on = (actions.kind == Kind.START) * 1 - (actions.kind == Kind.END) * 1
    running = jnp.cumsum(on[:, None] * (share[record] != 0), 0)
    flows = jnp.cumsum((on * inflow[record])[:, None] * share[record], 0)
    # where nothing runs any more, nothing of the sum's rounding may stay
    return jnp.where(running > 0, flows, 0.0), ((actions.kind == Kind.BOLUS) * jump[record])[:, None] * share[record]


def _then(a: Any) -> Any:
    """What holds after each action, on the interval that follows it."""
    return jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])


def _lengths(starts: Any, ends: Any) -> Any:
    """Not below zero, with the slope of the difference."""
    length = ends - starts
    return length - jax.lax.stop_gradient(jnp.minimum(length, 0.0))


def _forcing(plan: EventPlan, lane: EventLanes, held: Mapping[str, Any]) -> Any:
    """Inputs and timed values (interval, row) on the interval that each action closes."""
    assert lane.layout is not None
    at, names = lane.layout.actions.at, plan.model.inputs
    count, windows = len(lane.written.time), len(lane.edge) // 2
    passed = jnp.cumsum(at[:, None] == count + np.arange(2 * windows), 0)
    open_ = _then(passed[:, windows:] - passed[:, :windows])
    inputs = np.array([var.default for var in names.values()]) + open_ @ lane.change
    x = plan.model.derive({**lane.values, **held})
    return jnp.concatenate([inputs, *(jnp.broadcast_to(x[n], at.shape)[:, None] for n in plan.timed)], 1)


def _lane(plan: EventPlan, lane: EventLanes) -> tuple[Any, Intervals, Any, dict[str, Any]]:
    """State at the start, intervals without their steady states, largest amounts (state,), and bound values at each look."""
    layout, model = lane.layout, plan.model
    assert layout is not None
    _, values, share = _deliveries(plan, lane)
    jump, inflow, length = dosing_schedule.delivery(lane.mode, values)
    base = jnp.concatenate([values.time, lane.edge, lane.output])
    times = dosing_schedule.action_times(layout.actions, base, values, length)
    starts = jnp.concatenate([jnp.where(times[:1] < 0, times[:1], 0.0), times[:-1]])
    ends = jnp.where(layout.back, starts, times)
    rows = values.time, layout.before, layout.after, starts, ends
    both = {n: dosing_schedule.held(lane.bound[n], how, *rows, where=jnp.where) for n, how in plan.held}
    held = {n: pair[0] for n, pair in both.items()}

    flows, jumps = _flow(layout.actions, lane.mode, values, share)
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
        to = first - intervals.keep * jnp.concatenate([first[:1], last[:-1]])
        intervals = intervals._replace(
            inflow=intervals.inflow.at[:, row].set(slope), jump=intervals.jump.at[:, row].set(to)
        )
    y0 = stack(model.initial(model.derive({**lane.values, **{n: v[0] for n, v in held.items()}})), ())
    amounts = jnp.sum((jump + inflow * length)[:, None] * share, 0)
    largest = jnp.abs(y0).at[np.array(plan.channels)].add(jnp.abs(amounts))
    looked = layout.looks[len(values.time) :]
    bound = {n: jnp.concatenate([lane.bound[n], both[n][1][looked]]) for n, _ in plan.held}
    return y0, intervals, largest, bound


def _period(plan: EventPlan, lane: EventLanes, forcing: Any, period: Period) -> tuple[Any, Intervals]:
    """State at which the search starts, and the intervals of one period, for one of the lane's steady states."""
    x, values, share = _deliveries(plan, lane)
    here = {n: jnp.broadcast_to(v, values.time.shape)[period.record] for n, v in x.items()}
    *_, length = dosing_schedule.delivery(lane.mode, values)
    since = dosing_schedule.action_times(period.actions, jnp.zeros_like(values.time), values, length)
    whole = jnp.where(period.multiple > 0, period.multiple * values.ii[period.base], _ANY_PERIOD)
    ends = jnp.where(period.actions.kind == Kind.OUTPUT, whole, since)
    flows, jumps = _flow(period.actions, lane.mode, values, share)
    # of the inputs what holds at the record, of the values that change in time those of the record itself
    rows = [forcing[period.action, : len(plan.model.inputs)], jnp.array([here[n] for n in plan.timed])]
    intervals = Intervals(
        used=period.used,
        length=_lengths(_then(ends), ends),
        keep=jnp.ones_like(ends),
        inflow=_then(flows),
        jump=_then(jumps),
        forcing=jnp.broadcast_to(jnp.concatenate(rows), (len(ends), len(plan.model.inputs) + len(plan.timed))),
    )
    return stack(plan.model.initial(here), ()), intervals


# ---------------------------------------------------------------- all lanes
def _by_lane(lanes: EventLanes, change: Any, rest: Any) -> EventLanes:
    """`change` of each array that has an axis for the lanes, which is its last one, and `rest` of the others."""
    layout = lanes.layout
    if layout is not None:
        layout = EventLayout(*jax.tree.map(change, layout[:-2]), *jax.tree.map(rest, layout[-2:]))
    many = lanes._replace(values={}, change=None, layout=None)
    return jax.tree.map(change, many)._replace(
        values={n: (change if jnp.ndim(v) else rest)(v) for n, v in lanes.values.items()},
        change=rest(lanes.change),
        layout=layout,
    )


def _over_lanes(function: Any, lanes: EventLanes, *more: Any) -> Any:
    """A function of one lane on all lanes; the lanes' axis is the last one of all arguments and results."""
    axes = _by_lane(lanes, lambda a: jnp.ndim(a) - 1, lambda a: None)
    return jax.vmap(function, in_axes=(axes, *(-1 for _ in more)), out_axes=-1)(lanes, *more)


def trajectory(plan: EventPlan, lanes: EventLanes, rtol: Any) -> Seen:
    """The solve as a traced function: differentiable in all values of `lanes`, of parameters in the plan's varied ones."""
    layout = lanes.layout
    assert layout is not None
    batch, period = lanes.mode.shape[-1], layout.period
    y0, intervals, largest, bound = _over_lanes(functools.partial(_lane, plan), lanes)
    intervals = intervals._replace(used=layout.used)
    problem = integrate.Problem(plan.model, plan.varied, plan.channels, plan.method, plan.max_steps, timed=plan.timed)
    fixed, varied = integrate.pack(problem, plan.model.derive(lanes.values), batch)
    inputs = integrate.Inputs(
        y0, intervals, fixed, varied, simulation_lanes.floor(plan.model, largest), jnp.asarray(rtol)
    )
    lost, residual = jnp.zeros(batch, bool), jnp.zeros(batch)
    if len(period.lane):
        found = _settled(plan, problem, lanes, inputs)
        # what starts after the last action is beyond the end, and dropped
        jump = intervals.jump.at[period.action + 1, :, period.lane].add(found.y[np.array(plan.channels)].T)
        inputs = inputs._replace(intervals=intervals._replace(jump=jump))
        lost, residual = lost.at[period.lane].max(~found.found), residual.at[period.lane].max(found.residual)
    solution = integrate.solve(problem, integrate.rounded(inputs, plan.precision))
    looks = layout.looks[:, None]
    y = jnp.take_along_axis(solution.ends, looks, 0)
    forcing = jnp.take_along_axis(intervals.forcing[:, : len(plan.model.inputs)], looks, 0)
    done = solution.status == Status.DONE
    status = jnp.where(done & lost, Status.NO_STEADY_STATE, solution.status).astype(solution.status.dtype)
    return Seen(
        jnp.where(lost, jnp.nan, y),
        forcing,
        bound,
        status,
        residual,
        solution.accepted,
        solution.rejected,
        solution.stop,
    )


def _settled(
    plan: EventPlan, problem: integrate.Problem, lanes: EventLanes, inputs: integrate.Inputs
) -> steady_state.Settled:
    """The steady states of all lanes as one block."""
    assert lanes.layout is not None
    period = lanes.layout.period
    pick = lambda a: jnp.take(a, period.lane, -1)
    forcing = pick(inputs.intervals.forcing)
    each = period._replace(used=jnp.broadcast_to(period.used, period.lane.shape))
    y0, intervals = _over_lanes(functools.partial(_period, plan), _by_lane(lanes, pick, lambda a: a), forcing, each)
    held = tuple(list(plan.model.states).index(name) for name in plan.model.ramped)
    search = integrate.Inputs(
        y0,
        intervals._replace(used=period.used),
        inputs.fixed,
        pick(inputs.varied),
        pick(inputs.floor),
        jnp.asarray(_PERIOD_RTOL, inputs.rtol.dtype),
    )
    found = steady_state.settle(problem, held, search)
    return found._replace(y=found.y.at[np.array(held, int)].set(0.0))  # their own jumps set them


@programs.compiled(0)
def _run(plan: EventPlan, lanes: EventLanes, rtol: Any) -> Seen:
    return trajectory(plan, lanes, rtol)


@programs.compiled(0)
def _arriving(plan: EventPlan, lanes: EventLanes) -> Values:
    return _over_lanes(lambda lane: _deliveries(plan, lane)[1], lanes)


@programs.compiled(0, 3)
def _observe(model: Model, values: dict[str, Any], seen: Seen, names: tuple[str, ...]) -> list[jax.Array]:
    x = simulation_lanes.observables(model, {**values, **seen.bound}, seen.y, seen.forcing)
    return [jnp.broadcast_to(x[name], seen.y[:, 0].shape) for name in names]


# ---------------------------------------------------------------- on the host
@dataclass(frozen=True)
class EventSolution:
    """Subjects of a table that have been solved; lanes in the order of the subjects."""

    plan: EventPlan
    lanes: EventLanes
    subjects: tuple[Subject, ...]
    seen: Seen

    @property
    def status(self) -> np.ndarray:
        """How each lane ended, as `solver.Status`."""
        return np.asarray(self.seen.status)

    @property
    def residual(self) -> np.ndarray:
        """How far one more period moves each lane's steady state, relative to its size; 0 where there is none."""
        return np.asarray(self.seen.residual)

    @property
    def accepted(self) -> np.ndarray:
        """Steps of each lane."""
        return np.asarray(self.seen.accepted)

    @property
    def rejected(self) -> np.ndarray:
        """Steps of each lane that were tried in vain."""
        return np.asarray(self.seen.rejected)

    def _observe(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        rows = _observe(self.plan.model, self.lanes.values, self.seen, tuple(names))
        return {name: np.asarray(row) for name, row in zip(names, rows, strict=True)}

    def at_outputs(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """States, signals, inputs and parameters at the common outputs, each (time, lane)."""
        count = len(self.lanes.mode)
        return {name: rows[count:] for name, rows in self._observe(names).items()}

    def at_records(self, names: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """The same at the records of each lane, each (record,)."""
        found = self._observe(names)
        return [
            {name: rows[: len(subject.records), lane] for name, rows in found.items()}
            for lane, subject in enumerate(self.subjects)
        ]


def run(
    model: Model, values: Mapping[str, Any], subjects: Sequence[Subject], *, rtol: float = RTOL, **options: Any
) -> EventSolution:
    """Solve subjects as lanes of one block; `options` as for `prepare`. Raises `InputError` for what makes no sense."""
    plan, lanes = prepare(model, values, subjects, **options)
    rtol = max(rtol, simulation_lanes.tightest(plan.precision))
    return EventSolution(plan, lanes, tuple(subjects), _run(plan, lanes, jnp.asarray(rtol)))


def prepare(
    model: Model,
    values: Mapping[str, Any],
    subjects: Sequence[Subject],
    *,
    outputs: Sequence[float] = (),
    windows: Sequence[Window] = (),
    between: Mapping[str, str] | None = None,
    varied: Sequence[str] = (),
    method: str = "rodas5p",
    max_steps: int = 20_000,
    precision: str = "float64",
) -> tuple[EventPlan, EventLanes]:
    """The plan and the lanes of a table.

    `values` gives every parameter, a number or one per lane where the name is in `varied`; `outputs` are further times [h] for all
    lanes; `between` says for a bound parameter how its column goes from row to row, nocb by default.
    """
    held = _held(subjects, between or {})
    plan = _plan(model, tuple(subjects), held, tuple(varied), method, max_steps)._replace(precision=precision)
    lanes = _columns(plan, values, subjects, np.asarray(outputs, float), windows)
    arrived = jax.tree.map(np.asarray, _arriving(plan, lanes))
    schedules = _expand(subjects, lanes, arrived)
    return plan, lanes._replace(layout=_layout(subjects, schedules, lanes))


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
    constants = simulation_lanes.with_dependants(model, names)[len(names) :]
    if constants:
        raise InputError(
            f"between = 'linear' is not possible for {names[0]}, since {constants[0]} follows from it; take nocb or locf"
        )
    return Model(*model.mechanisms, ledger=model.ledger, ramped=names)


def _plan(
    model: Model,
    subjects: tuple[Subject, ...],
    held: tuple[tuple[str, str], ...],
    varied: tuple[str, ...],
    method: str,
    max_steps: int,
) -> EventPlan:
    """The plan for these subjects: bound parameters change in time, not between lanes."""
    linear = tuple(name for name, how in held if how == "linear")
    timed = simulation_lanes.with_dependants(model, tuple(name for name, _ in held if name not in linear))
    varied = simulation_lanes.with_dependants(model, tuple(n for n in varied if n not in dict(held)))
    doses = {record.cmt for subject in subjects for record in subject.records if record.doses}
    targets = tuple(name for name in dict.fromkeys((*model.states, *model.ports)) if name in doses)
    model = _ramped(model, linear) if linear else model
    states = list(model.states)
    steady = any(record.doses and record.ss for subject in subjects for record in subject.records)
    reached = range(len(states)) if steady else simulation_lanes.channels(model, targets)
    channels = tuple(sorted({*reached, *(states.index(name) for name in linear)}))
    return EventPlan(
        model, tuple(n for n in varied if n not in timed), timed, held, targets, channels, method, max_steps
    )


def _columns(
    plan: EventPlan,
    values: Mapping[str, Any],
    subjects: Sequence[Subject],
    outputs: np.ndarray,
    windows: Sequence[Window],
) -> EventLanes:
    """What stands in the records, padded with rows that do nothing."""
    rows = _multiple(max(len(subject.records) for subject in subjects), 8)

    def one(subject: Subject) -> tuple[Values, np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
        pad = lambda a, fill: np.pad(a, (0, rows - len(a)), constant_values=fill)
        written, mode = dosing_schedule.given(subject)
        target = np.array([plan.targets.index(r.cmt) if r.doses else -1 for r in subject.records], int)
        stops, starts = [w.stop for w in windows], [w.start for w in windows]
        bound = {n: _bound(plan.model, subject, n, how) for n, how in plan.held}
        return (
            Values(*(pad(column, 0.0) for column in written)),
            pad(mode, 0),
            pad(target, -1),
            {n: np.pad(column, (0, rows - len(column)), "edge") for n, column in bound.items()},
            np.maximum(np.array([*stops, *starts], float), min(0.0, written.time[0])),
        )

    seen: dict[int, Any] = {}
    for subject in subjects:
        if id(subject) not in seen:
            seen[id(subject)] = one(subject)
    written, mode, target, bound, edge = jax.tree.map(
        lambda *columns: np.stack(columns, -1), *(seen[id(subject)] for subject in subjects)
    )
    inputs = plan.model.inputs
    change = [[(w.value - inputs[n].default) * (n == w.name) for n in inputs] for w in windows]
    return EventLanes(
        values=dict(values),
        written=written,
        mode=mode,
        target=target,
        bound=bound,
        output=np.repeat(outputs[:, None], len(subjects), 1),
        edge=edge,
        change=np.array(change, float).reshape(len(windows), len(inputs)),
    )


def _multiple(count: int, of: int) -> int:
    """The next multiple."""
    return count + -count % of


def _bound(model: Model, subject: Subject, name: str, how: str) -> np.ndarray:
    """The column of a parameter, filled; values that the parameter cannot have are refused."""
    column = subject.bound[name]
    found, most = filled(subject, column, how), (model.parameters.get(name) or model.states[name]).at_most
    for record, value in zip(subject.records, found, strict=True):
        if not 0 <= value <= most:
            raise InputError(f"{name} must be from 0 to {most:g}, not {value:g}", subject.where(record, column))
    return found


def _passed(subject: Subject, lanes: EventLanes, lane: int) -> tuple[np.ndarray, np.ndarray]:
    """The edges of windows that a lane reaches, then all outputs: their times, and their numbers among edges and outputs."""
    times = np.concatenate([lanes.edge[:, lane], lanes.output[:, lane]])
    last = max([record.time for record in subject.records] + list(lanes.output[:, lane]))
    reached = np.flatnonzero(times <= last)
    return times[reached], reached


def _expand(subjects: Sequence[Subject], lanes: EventLanes, arrived: Values) -> list[Schedule]:
    """The schedule of each lane; equal subjects with equal values share one."""
    known: dict[Any, Schedule] = {}
    found = []
    for b, subject in enumerate(subjects):
        count = len(subject.records)
        own = Values(*(column[:count, b] for column in arrived))
        key = id(subject), *(column.tobytes() for column in own)
        if key not in known:
            values = dosing_schedule.dose_values(subject, own.lag, own.F, own.rate, own.duration)._replace(amt=own.amt)
            if len(lanes.edge) and np.any(np.diff(values.time) < 0):
                message = f"the time of subject {subject.id} goes back at a reset; input windows are not possible"
                raise InputError(message, subject.source)
            known[key] = dosing_schedule.expand(subject, values, _passed(subject, lanes, b)[0].tolist())
        found.append(known[key])
    return found


def _layout(subjects: Sequence[Subject], schedules: Sequence[Schedule], lanes: EventLanes) -> EventLayout:
    """The schedules as arrays of common sizes."""
    rows, others = len(lanes.mode), len(lanes.edge) + len(lanes.output)
    used = max(len(schedule.actions) for schedule in schedules)
    actions = _multiple(used, 32)

    def one(schedule: Schedule, records: int, reached: np.ndarray) -> tuple[Any, ...]:
        fill = lambda a: np.pad(a, (0, actions - len(a)), "edge")
        edges = dosing_schedule.edges(schedule)
        at = np.append(np.arange(records), rows + reached)[edges.at]
        looks = np.zeros(rows + others, np.int32)
        seen = edges.kind == Kind.OUTPUT
        looks[at[seen]] = np.flatnonzero(seen)
        looks = np.concatenate([looks[:rows], looks[rows + len(lanes.edge) :]])
        padded = Edges(*(fill(column) for column in edges._replace(at=at)))
        back = np.pad(np.array(schedule.jumps_back), (0, actions - len(seen)))
        return padded, back, fill(np.array(schedule.before)), fill(np.array(schedule.after)), looks

    each: dict[int, Any] = {}
    for b, (subject, schedule) in enumerate(zip(subjects, schedules, strict=True)):
        if id(schedule) not in each:
            each[id(schedule)] = one(schedule, len(subject.records), _passed(subject, lanes, b)[1])
    together = jax.tree.map(lambda *a: np.stack(a, -1), *(each[id(schedule)] for schedule in schedules))
    acts, back, before, after, looks = together
    return EventLayout(acts, back, before, after, looks, np.int32(used), _periods(schedules, actions))


def _periods(schedules: Sequence[Schedule], beyond: int) -> Period:
    """The steady states of all lanes; their number is filled up to a power of two with repeats that set nothing."""
    found = []
    for b, schedule in enumerate(schedules):
        places = {a.group: k for k, a in enumerate(schedule.actions) if a.kind == Kind.STEADY}
        for group, steady_ in enumerate(schedule.steady):
            found.append(
                (b, steady_.records[0], places[group], steady_.base, steady_.multiple, dosing_schedule.edges(steady_))
            )
    used = max((len(edges.kind) for *_, edges in found), default=0) + 1
    width = _multiple(used, 8)
    if not found:
        none = np.zeros(0, np.int32)
        return Period(none, none, none, none, none, Edges(*(np.zeros((width, 0)) for _ in Edges._fields)), np.int32(0))
    found += [(*found[0][:2], beyond, *found[0][3:])] * ((1 << (len(found) - 1).bit_length()) - len(found))
    ends = (Kind.OUTPUT, 0, 0, 0, 0, 0, -1, 1)  # an output at the end of the period fills up
    actions = [
        Edges(*(np.pad(a, (0, width - len(a)), constant_values=end) for a, end in zip(edges, ends, strict=True)))
        for *_, edges in found
    ]
    lane, record, action, base, multiple = np.array([row[:5] for row in found], np.int32).T
    together = jax.tree.map(lambda *a: np.stack(a, -1), *actions)
    return Period(lane, record, action, base, multiple, together, np.int32(used))
