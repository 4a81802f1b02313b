"""Lanes through a model: doses to events, the compiled solve, signals at the output times.

A lane is one subject under one regimen with one set of values. Everything that differs between lanes is a traced value; a
`Plan` holds what a compiled program is made for, so changed amounts, dose times and
parameters do not compile again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from nanomg.compute import blocks, programs
from nanomg.dosing.dose import Dose, Window
from nanomg.equations.mechanism import Port
from nanomg.equations.model import Model, stack
from nanomg.errors import unknown
from nanomg.solver import integrate, intervals, sparsity

RTOL = 1e-6  # of the solver; the error that it achieves is measured in benchmarks/
TIGHT = 1e-9
PRECISIONS = {"float64": 0.0, "float32": 3e-6}  # the tightest rtol that each can keep

# Output times around each dose and each end of an infusion [h]: just before, so that no jump is smeared over a grid interval;
# then minutes for a peak of free Mg, hours for a depot.
PROBES = (-1e-6, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0, 8.0, 16.0)


class Plan(NamedTuple):
    """What a compiled simulation is made for: the model, the varied values, and for each dose its port and kind."""

    model: Model
    varied: tuple[str, ...]
    cmt: tuple[str, ...]
    bolus: tuple[bool, ...]
    max_steps: int = 20_000
    method: str = "rodas5p"
    precision: str = "float64"
    defer: bool = False  # lanes that hold up the others; see nanomg.compute.blocks


class Lanes(NamedTuple):
    """Values of `B` lanes. Doses `D`, windows `W`, inputs `I`, outputs `T`."""

    values: dict[str, Any]  # every parameter, a scalar or (B,)
    time: Any  # (D, B) [h]
    amount: Any  # (D, B) [unit of the port]
    duration: Any  # (D, B) [h], 1 where the dose is a bolus
    start: Any  # (W, B) [h]
    stop: Any  # (W, B) [h]
    change: Any  # (W, I, B)
    base: Any  # (I, B)
    output: Any  # (T, B) [h]


class Trajectory(NamedTuple):
    """`y` (time, state, lane), `forcing` (time, input, lane), `status` and counts of steps (lane,)."""

    y: jax.Array
    forcing: jax.Array
    status: jax.Array
    accepted: jax.Array
    rejected: jax.Array
    stop: integrate.Stop  # where a lane failed


def plan_for(model: Model, doses: Sequence[Dose], varied: Sequence[str] = (), **options: Any) -> Plan:
    """The plan of a model and regimen. `varied` are parameters that differ between lanes or are differentiated."""
    names = with_dependants(model, tuple(varied))
    return Plan(model, names, tuple(d.cmt for d in doses), tuple(d.duration == 0 for d in doses), **options)


@functools.lru_cache(maxsize=256)
def with_dependants(model: Model, varied: tuple[str, ...]) -> tuple[str, ...]:
    """`varied` and the constants that depend on them."""
    names = list(model.parameters)
    constants = list(model.constants)

    def derived_constants(*values: Any) -> list[Any]:
        x = model.derive(dict(zip(names, values, strict=True)))
        return [jnp.asarray(x[name]) for name in constants]

    jaxpr = jax.make_jaxpr(derived_constants)
    depends = sparsity.dependencies(jaxpr(*np.ones(len(names))).jaxpr, [frozenset([i]) for i in range(len(names))])
    chosen = {names.index(v) for v in varied}
    return (*varied, *(c for c, on in zip(constants, depends, strict=True) if on & chosen))


def lanes_for(
    plan: Plan,
    values: Mapping[str, Any],
    doses: Sequence[Dose],
    windows: Sequence[Window],
    output: np.ndarray,
    batch: int = 1,
    amount: np.ndarray | None = None,
) -> Lanes:
    """Lanes that share doses, windows and output times; `amount` (dose, lane) replaces the doses' amounts."""

    def wide(rows: Sequence[float]) -> np.ndarray:
        return np.broadcast_to(np.asarray(rows, float).reshape(-1, 1), (len(rows), batch))

    inputs = list(plan.model.inputs)
    base = [plan.model.inputs[name].default for name in inputs]
    change = np.zeros((len(windows), len(inputs), batch))
    for w, window in enumerate(windows):
        i = inputs.index(window.name)
        change[w, i] = window.value - base[i]
    return Lanes(
        values=dict(values),
        time=wide([d.time for d in doses]),
        amount=wide([d.amt for d in doses]) if amount is None else amount,
        duration=wide([d.duration or 1.0 for d in doses]),
        start=wide([w.start for w in windows]),
        stop=wide([w.stop for w in windows]),
        change=change,
        base=wide(base),
        output=np.broadcast_to(np.asarray(output, float).reshape(len(output), -1), (len(output), batch)),
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


def channels(model: Model, cmt: Sequence[str]) -> tuple[int, ...]:
    """Rows of the states that doses into these ports or states reach."""
    states = list(model.states)
    reached = {s for c in cmt for s in (model.ports[c].into if c in model.ports else (c,))}
    return tuple(i for i, state in enumerate(states) if state in reached) or (0,)


def events_of(plan: Plan, lanes: Lanes, x: Mapping[str, Any]) -> intervals.Events:
    """Doses as amounts into states, lag and bioavailability applied; `x` holds parameters and constants."""
    model, rows = plan.model, channels(plan.model, plan.cmt)
    states = list(model.states)
    batch = lanes.output.shape[1]
    times, amounts = [], []
    for d, cmt in enumerate(plan.cmt):
        port = model.ports.get(cmt, Port("", "", {cmt: 1.0}))
        amount, time = jnp.asarray(lanes.amount[d]), jnp.asarray(lanes.time[d])
        if port.uptake is not None:
            amount = getattr(model.mechanism_of(cmt, x), port.uptake)(amount)
        if port.F is not None:
            amount = amount * x[port.F]
        if port.lag is not None:
            time = time + x[port.lag]
        share = {s: x[c] if isinstance(c, str) else c for s, c in port.into.items()}
        times.append(jnp.broadcast_to(time, (batch,)))
        amounts.append(stack([amount * share.get(states[row], 0.0) for row in rows], (batch,)))
    none = jnp.zeros((0, batch))
    return intervals.Events(
        bolus=np.array(plan.bolus, bool),
        time=jnp.stack(times) if times else none,
        duration=jnp.asarray(lanes.duration),
        amount=jnp.stack(amounts) if amounts else jnp.zeros((0, len(rows), batch)),
        start=jnp.asarray(lanes.start),
        stop=jnp.asarray(lanes.stop),
        change=jnp.asarray(lanes.change),
        base=jnp.asarray(lanes.base),
        output=jnp.asarray(lanes.output),
    )


def floor(model: Model, largest: jax.Array) -> jax.Array:
    """The size below which a state's error does not count: a small part of the largest amount in the same unit."""
    units = [var.unit for var in model.states.values()]
    same = np.array([[u == v for v in units] for u in units])
    floor = 1e-5 * jnp.max(jnp.where(same[:, :, None], largest[None], 0.0), 1)
    # where nothing gives a size, a millionth of the unit: else a read-out that starts at 0 is held to rounding errors
    return jax.lax.stop_gradient(jnp.where(floor > 0, floor, 1e-6))


def trajectory(plan: Plan, lanes: Lanes, order: Any, rtol: Any) -> Trajectory:
    """The solve as a traced function: differentiable in doses, dose times, windows and the plan's varied parameters.

    `order` comes from `edge_order` for the same lanes: sorting is kept out of the compiled program.
    """
    batch = lanes.output.shape[1]
    x = plan.model.derive(lanes.values)
    y0 = stack(plan.model.initial(x), (batch,))
    found = events_of(plan, lanes, x)
    between = intervals.intervals(found, order)
    reached = channels(plan.model, plan.cmt)
    problem = integrate.Problem(plan.model, plan.varied, reached, plan.method, plan.max_steps, defer=plan.defer)
    fixed, varied = integrate.pack(problem, x, batch)
    largest = jnp.abs(y0).at[np.array(problem.channels)].add(jnp.sum(found.amount, 0))
    inputs = integrate.Inputs(y0, between, fixed, varied, floor(plan.model, largest), jnp.asarray(rtol))
    solution = integrate.solve(problem, integrate.rounded(inputs, plan.precision))
    rows = intervals.output_rows(order, lanes.output.shape[0])[:, None]
    y = jnp.take_along_axis(solution.ends, rows, 0)
    forcing = jnp.take_along_axis(between.forcing, rows, 0)
    return Trajectory(y, forcing, solution.status, solution.accepted, solution.rejected, solution.stop)


@programs.compiled(0)
def edges(plan: Plan, lanes: Lanes) -> jax.Array:
    """The times of all edges (edge, lane), unsorted."""
    return intervals.edges(events_of(plan, lanes, plan.model.derive(lanes.values)))


def tightest(precision: str) -> float:
    """The tightest relative tolerance that a precision can keep. Raises `InputError` for an unknown one."""
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    return PRECISIONS[precision]


def edge_order(plan: Plan, lanes: Lanes) -> np.ndarray:
    """The order of all edges in time, decided on concrete values."""
    return intervals.order_of(np.asarray(edges(plan, lanes)))


@programs.compiled(0)
def derived(model: Model, values: dict[str, Any]) -> dict[str, Any]:
    """Parameters and the constants that follow from them, for concrete values."""
    return model.derive(values)


@programs.compiled(0)
def _run(plan: Plan, lanes: Lanes, order: jax.Array, rtol: jax.Array) -> Trajectory:
    return trajectory(plan, lanes, order, rtol)


def block(plan: Plan, lanes: Lanes, rtol: float, devices: Sequence[Any] = ()) -> Trajectory:
    """Solve all lanes as one block. Of several devices each takes an even share and turns until its own lanes are through."""
    order = jnp.asarray(edge_order(plan._replace(defer=False), lanes))
    tolerance = jnp.asarray(max(rtol, tightest(plan.precision)))
    if len(devices) < 2:
        return _run(plan, lanes, order, tolerance)
    wide = frozenset(name for name, value in lanes.values.items() if np.ndim(value))
    return _shared(plan, tuple(devices), tuple(lanes.values), wide)(lanes, order, tolerance)


@functools.lru_cache(maxsize=8)
def _shared(plan: Plan, devices: tuple[Any, ...], names: tuple[str, ...], wide: frozenset[str]) -> Any:
    """The compiled solve of one block over several devices."""
    last: Any = lambda axes: PartitionSpec(*(None,) * (axes - 1), "lanes")
    values = {name: last(1) if name in wide else PartitionSpec() for name in names}
    lanes = Lanes(values, last(2), last(2), last(2), last(2), last(2), last(3), last(2), last(2))
    stop = integrate.Stop(last(1), last(2), last(2), last(1))
    return jax.jit(
        jax.shard_map(
            functools.partial(trajectory, plan),
            mesh=Mesh(np.array(devices), ("lanes",)),
            in_specs=(lanes, last(2), PartitionSpec()),
            out_specs=Trajectory(last(3), last(3), last(1), last(1), last(1), stop),
            check_vma=False,
        )
    )


def run(plan: Plan, lanes: Lanes, rtol: float = RTOL, defer: bool = True) -> Trajectory:
    """Solve all lanes, in blocks as nanomg.compute.blocks has it; in single precision with no tighter tolerance than that can keep.

    Deferring costs a second compiled program; without it a block of unlike lanes waits for its slowest.
    """
    batch = lanes.output.shape[1]

    def solve(chosen: np.ndarray, defer: bool) -> Trajectory:
        return block(plan._replace(defer=defer), blocks.pick(lanes, chosen, batch), rtol)

    return blocks.solve_in_blocks(solve, batch, defer)


@programs.compiled(0, 4)
def _observe(
    plan: Plan, values: dict[str, Any], y: jax.Array, forcing: jax.Array, names: tuple[str, ...]
) -> list[jax.Array]:
    x = observables(plan.model, values, y, forcing)
    return [jnp.broadcast_to(x[name], y[:, 0].shape) for name in names]


def observables(model: Model, values: Mapping[str, Any], y: jax.Array, forcing: jax.Array) -> dict[str, Any]:
    """Everything that the model knows along a trajectory, each (time, lane) or a constant."""
    x = model.derive(values)
    x.update({name: y[:, i] for i, name in enumerate(model.states)})
    x.update({name: forcing[:, i] for i, name in enumerate(model.inputs)})
    return model.evaluate(x)


def observe(plan: Plan, lanes: Lanes, solved: Trajectory, names: Sequence[str]) -> dict[str, np.ndarray]:
    """States, signals and inputs by name, each (time, lane)."""
    rows = _observe(plan, lanes.values, solved.y, solved.forcing, tuple(names))
    return {name: np.asarray(row) for name, row in zip(names, rows, strict=True)}
