"""Lanes through a model: a regimen to intervals, the compiled solve, signals at the output times.

`nanomg.simulation.plan` defines lanes and plans; `dose_course` and `record_course` are the two ways from a regimen to
intervals.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from nanomg.compute import programs
from nanomg.dosing.dose import Dose, Window, movable
from nanomg.dosing.event_record import subject_of
from nanomg.equations.model import Model
from nanomg.errors import unknown
from nanomg.simulation import (
    action_order,
    blocks,
    dose_course,
    host_course,
    host_doses,
    host_lanes,
    layout,
    record_course,
)
from nanomg.simulation.plan import Lanes, Plan, Trajectory, with_dependants
from nanomg.solver import engine, integrate
from nanomg.solver.problem import Inputs, Stop, pack, rounded
from nanomg.solver.status import Status

RTOL = 1e-6  # of the solver; the error that it achieves is measured in benchmarks/
TIGHT = 1e-9
PRECISIONS = {"float64": 0.0, "float32": 3e-6}  # the tightest rtol that each can keep

# Output times around each dose and each end of an infusion [h]: just before, so that no jump is smeared over a grid interval;
# then minutes for a peak of free Mg, hours for a depot. With them the area of an oral dose of the textbook is exact to 1e-3.
PROBES = (-1e-6, 0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0, 2.4, 2.8, 3.3, 4.0, 5.0, 8.0, 16.0)


def plan_for(
    model: Model, doses: Sequence[Dose], varied: Sequence[str] = (), expanded: bool | None = None, **options: Any
) -> Plan:
    """The plan of a model and regimen. `varied` are parameters that differ between lanes or are differentiated.

    Doses whose times may be differentiated are a list; steady state, resets and rates that a port modifies need records that are
    expanded on the host; `expanded` requests this for any doses.
    """
    if expanded or (expanded is None and not movable(doses, model.ports)):
        return layout.plan_of(model, (subject_of(doses),), varied, **options)
    names = with_dependants(model, tuple(varied))
    options.setdefault("engine", engine.default())
    return Plan(model, names, tuple(d.cmt for d in doses), tuple(d.duration == 0 for d in doses), **options)


def lanes_for(
    plan: Plan,
    values: Mapping[str, Any],
    doses: Sequence[Dose],
    windows: Sequence[Window],
    output: np.ndarray,
    batch: int = 1,
    amount: np.ndarray | None = None,
    **moved: np.ndarray,
) -> Lanes:
    """Lanes that share doses, windows and output times, or differ in what `amount` and `moved` (dose, lane) put in their place.

    `moved` may be `time` and `duration` [h], and `ii` [h] of doses at steady state. The amount of an infusion that has always run
    is its rate [per h]. Raises `InputError` for doses that make no sense with these values.
    """
    if plan.records is not None:
        subject, changed = subject_of(doses), layout.Moved(amount=amount, **moved)
        sizes = layout.sizes_of([subject], np.asarray(output), windows)
        return layout.lanes_of(plan, values, [subject] * batch, output, windows, moved=changed, sizes=sizes)
    wide = lambda rows: layout.wide(np.array(rows, float), batch)
    start, stop, change, base = layout.windows_of(plan.model, windows, batch)
    return Lanes(
        values=dict(values),
        time=moved.get("time", wide([d.time for d in doses])),
        amount=wide([d.amt for d in doses]) if amount is None else amount,
        duration=moved.get("duration", wide([d.duration or 1.0 for d in doses])),
        start=start,
        stop=stop,
        change=change,
        base=base,
        output=layout.wide(output, batch),
    )


def output_times(
    horizon: float, every: float, doses: Sequence[Dose] = (), probes: Sequence[float] = PROBES
) -> np.ndarray:
    """The regular grid from 0 to the horizon [h] with further times after each dose and end of infusion."""
    regular = np.append(np.arange(0.0, horizon, every), horizon)
    edges = {d.time for d in doses} | {d.time + d.duration for d in doses}
    after = np.array([edge + offset for edge in edges for offset in probes] or [0.0])
    times = np.union1d(regular, after[(after >= 0) & (after <= horizon)])
    return times[np.append(True, np.diff(times) > 1e-9)]


def floor(model: Model, largest: jax.Array) -> jax.Array:
    """The size below which a state's error does not count: a small part of the largest amount in the same unit."""
    units = [var.unit for var in model.states.values()]
    same = np.array([[u == v for v in units] for u in units])
    floor = 1e-5 * jnp.max(jnp.where(same[:, :, None], largest[None], 0.0), 1)
    # where nothing gives a size, a millionth of the unit: else a read-out that starts at 0 is held to rounding errors
    return jax.lax.stop_gradient(jnp.where(floor > 0, floor, 1e-6))


def trajectory(plan: Plan, lanes: Lanes, order: Any, rtol: Any) -> Trajectory:
    """The solve as a traced function: differentiable in doses, their times, windows, columns and the plan's varied parameters.

    `order` comes from `edge_order` for the same lanes: sorting is kept out of the compiled program.
    """
    batch, lanes = lanes.output.shape[-1], lanes._replace(order=order)
    problem = plan.problem
    course = (dose_course if plan.records is None else record_course).course(plan, lanes)
    fixed, varied = pack(problem, plan.model.derive(lanes.values), batch)
    size = floor(plan.model, course.largest)
    inputs = Inputs(course.y0, course.intervals, fixed, varied, size, jnp.asarray(rtol))
    lost, residual, lack = jnp.zeros(batch, bool), jnp.zeros(batch), None
    if plan.records is not None and order.periods:
        inputs, residual, first, lack = record_course.settled(plan, lanes, inputs)
        lost = first < len(order.back)
    solution = integrate.solve(problem, rounded(inputs, plan.precision))
    stop = solution.stop
    if lack is not None:
        stop = jax.tree.map(lambda why, end: jnp.where(lost, why, end), lack, stop)
    looks = course.looks[:, None]
    y = jnp.take_along_axis(solution.ends, looks, 0)
    forcing = jnp.take_along_axis(course.intervals.forcing[:, : len(plan.model.inputs)], looks, 0)
    if plan.records is not None:
        y = jnp.where(lost, jnp.nan, y)
    # without its steady state the rest of a lane is meaningless
    status = jnp.where(lost, Status.NO_STEADY_STATE, solution.status)
    status = jnp.where(jnp.isfinite(course.y0).all(0), status, Status.IMPOSSIBLE).astype(solution.status.dtype)
    return Trajectory(y, forcing, course.bound, status, residual, solution.accepted, solution.rejected, stop)


def start_of(plan: Plan, values: Mapping[str, Any], batch: int) -> np.ndarray:
    """The amounts at time 0 (state, lane) for concrete values."""
    return host_course.start(plan.model, values, batch, plan.engine).y0.T


def tightest(precision: str) -> float:
    """The tightest relative tolerance that a precision can keep. Raises `InputError` for an unknown one."""
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    return PRECISIONS[precision]


def independent(plan: Plan, devices: Sequence[Any] = ()) -> bool:
    """Whether lanes are solved by machine code, so that none waits for another and a block may have any size."""
    return host_lanes.takes(plan, devices)


def edge_order(plan: Plan, lanes: Lanes) -> Any:
    """The order of all events in time, decided on concrete values."""
    if plan.records is not None:
        return lanes.order
    return host_doses.edge_order(plan, lanes)


def derived(model: Model, values: Mapping[str, Any]) -> dict[str, float]:
    """Parameters and the constants that follow from them, for concrete numbers."""
    x = host_course.start(model, values, 1, engine.default()).x
    return dict(zip(x, x.first(list(x)).tolist(), strict=True))


@programs.compiled(0)
def _run(plan: Plan, lanes: Lanes, order: jax.Array, rtol: jax.Array) -> Trajectory:
    return trajectory(plan, lanes, order, rtol)


def solve_block(plan: Plan, lanes: Lanes, rtol: float, devices: Sequence[Any] = ()) -> Trajectory:
    """Solve all lanes as one block. Each of several devices takes an equal share and runs until its lanes have finished.

    A block with steady states is solved by one device, as they are a block of their own.
    """
    least = max(rtol, tightest(plan.precision))
    if host_lanes.takes(plan, devices):
        return host_lanes.trajectory(plan, lanes, least)
    order = jax.tree.map(jnp.asarray, edge_order(plan, lanes))
    lanes, tolerance = lanes._replace(order=None), jnp.asarray(least)
    if len(devices) < 2 or (plan.records is not None and order.periods):
        return _run(plan, lanes, order, tolerance)
    plan = plan._replace(engine=engine.JAX)
    by_lane = lambda a: PartitionSpec(*(None,) * (np.ndim(a) - 1), "lanes")
    specs = record_course.by_lane(lanes._replace(order=order), by_lane, lambda a: PartitionSpec())
    leaves, tree = jax.tree.flatten(specs, is_leaf=lambda a: isinstance(a, PartitionSpec))
    return _shared(plan, tuple(devices), tree, tuple(leaves))(lanes, order, tolerance)


@functools.lru_cache(maxsize=8)
def _shared(plan: Plan, devices: tuple[Any, ...], tree: Any, leaves: tuple[Any, ...]) -> Any:
    """The compiled solve of one block over several devices."""
    lanes = jax.tree.unflatten(tree, leaves)
    last: Any = lambda axes: PartitionSpec(*(None,) * (axes - 1), "lanes")
    bound = {name: last(2) for name, _ in plan.records.held} if plan.records else {}
    stop = Stop(last(1), last(2), last(2), last(1))
    return jax.jit(
        jax.shard_map(
            functools.partial(trajectory, plan),
            mesh=Mesh(np.array(devices), ("lanes",)),
            in_specs=(lanes._replace(order=None), lanes.order, PartitionSpec()),
            out_specs=Trajectory(last(3), last(3), bound, last(1), last(1), last(1), last(1), stop),
            check_vma=False,
        )
    )


def run(plan: Plan, lanes: Lanes, rtol: float = RTOL, defer: bool = True) -> Trajectory:
    """Solve all lanes, by JAX in blocks (nanomg.simulation.blocks); in single precision at no tighter tolerance than that can keep.

    Deferring costs a second compiled program; without it a block of unlike lanes waits for its slowest.
    """
    if host_lanes.takes(plan):
        return solve_block(plan, lanes, rtol)
    batch = lanes.output.shape[1]

    def solve(chosen: np.ndarray, defer: bool) -> Trajectory:
        return solve_block(plan._replace(defer=defer), some_of(lanes, chosen), rtol)

    return blocks.solve_in_blocks(solve, batch, defer)


def some_of(lanes: Lanes, chosen: np.ndarray) -> Lanes:
    """The lanes of these numbers."""
    if np.array_equal(chosen, np.arange(lanes.output.shape[1])):
        return lanes
    first, count = int(chosen[0]), len(chosen)
    index = slice(first, first + count) if np.array_equal(chosen, np.arange(first, first + count)) else chosen
    some = record_course.by_lane(lanes._replace(order=None), lambda a: np.asarray(a)[..., index], lambda a: a)
    return some if lanes.order is None else some._replace(order=action_order.picked(lanes.order, chosen))


@programs.compiled(0, 4)
def _observe(
    plan: Plan, values: dict[str, Any], y: jax.Array, forcing: jax.Array, names: tuple[str, ...]
) -> list[jax.Array]:
    x = observables(plan.model, values, y, forcing)
    return [jnp.broadcast_to(x[name], y[:, 0].shape) for name in names]


def observables(model: Model, values: Mapping[str, Any], y: jax.Array, forcing: jax.Array) -> dict[str, Any]:
    """Every quantity of the model along a trajectory, each (time, lane) or a constant."""
    x = model.derive(values)
    x.update({name: y[:, i] for i, name in enumerate(model.states)})
    x.update({name: forcing[:, i] for i, name in enumerate(model.inputs)})
    return model.evaluate(x)


def observe(plan: Plan, lanes: Lanes, solved: Trajectory, names: Sequence[str]) -> dict[str, np.ndarray]:
    """States, signals, inputs and parameters by name, each (look, lane): at the records, if those are observed, then at outputs."""
    if isinstance(solved.y, np.ndarray) and host_lanes.takes(plan):
        return host_lanes.observe(plan, lanes, solved, names)
    rows = _observe(plan, {**lanes.values, **solved.bound}, solved.y, solved.forcing, tuple(names))
    return {name: np.asarray(row) for name, row in zip(names, rows, strict=True)}
