"""Lanes with concrete values through a native kernel, without a compiled program of JAX around it.

What `lanes.trajectory` and `lanes.observables` do for traced lanes, in NumPy: arrays have the lanes first in memory, and what a
kernel writes is seen as (look, state, lane) without being copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from nanomg.equations.model import Model
from nanomg.simulation import host_course, host_doses, host_records
from nanomg.simulation.host_course import HostCourse, Start
from nanomg.simulation.plan import Lanes, Plan, Trajectory
from nanomg.solver.elementwise import elementwise
from nanomg.solver.engine import NATIVE
from nanomg.solver.native import kernel, machine, solve
from nanomg.solver.native.arrays import KernelInputs, KernelResults
from nanomg.solver.problem import Problem, Stop, fixed_names
from nanomg.solver.status import Status


def takes(plan: Plan, devices: Sequence[Any] = ()) -> bool:
    """Whether lanes of this plan are solved here: on a CPU, by a machine that code can be made for, with operations that it has."""
    if plan.engine != NATIVE or (devices[0].platform if devices else jax.default_backend()) != "cpu":
        return False
    return machine.available() and kernel.lacks(plan.problem, plan.precision) is None


def trajectory(plan: Plan, lanes: Lanes, rtol: float) -> Trajectory:
    """Solve all lanes at once; those of records hold their `order`."""
    problem = plan.problem._replace(defer=False)
    batch = lanes.output.shape[1]
    given = host_course.start(plan.model, lanes.values, batch, plan.engine)
    course = (host_doses if plan.records is None else host_records).course(plan, lanes, given)
    inputs, looks = _inputs(problem, plan, given, course, rtol)
    lost, residual, lack = np.zeros(batch, bool), np.zeros(batch), None
    if plan.records is not None and lanes.order.periods:
        inputs, residual, first, lack = host_records.settled(plan, lanes, given, inputs)
        lost = first < len(lanes.order.back)
    solved = solve.solved(problem, inputs, plan.precision)
    seen = _seen(plan, inputs, course, solved, looks, lost, residual)
    if lack is None or not lost.any():
        return seen
    return seen._replace(stop=Stop(*(np.where(lost, why, end) for why, end in zip(lack, seen.stop, strict=True))))


def _inputs(
    problem: Problem, plan: Plan, given: Start, course: HostCourse, rtol: float
) -> tuple[KernelInputs, np.ndarray]:
    """What the kernel reads, and the row of its looks that shows each look (lane, look): two looks may be at one interval's end."""
    batch, count = len(course.y0), course.looks.shape[1]
    numbers = np.broadcast_to(np.arange(count, dtype=np.int32), course.looks.shape)
    rows = np.full((len(course.looks), course.length.shape[1]), -1, np.int32)
    np.put_along_axis(rows, course.looks[:, ::-1], numbers[:, ::-1], 1)
    inputs = KernelInputs(
        y0=course.y0,
        length=course.length,
        keep=course.keep,
        inflow=course.inflow,
        jump=course.jump,
        forcing=course.forcing,
        fixed=given.x.first(fixed_names(problem)),
        varied=given.x.rows(problem.varied, batch),
        floor=host_course.floor(plan.model, course.largest),
        rtol=rtol,
        rows=rows,
        looks=count,
    )
    return inputs, np.take_along_axis(rows, course.looks, 1)


def _seen(
    plan: Plan,
    inputs: KernelInputs,
    course: HostCourse,
    solved: KernelResults,
    looks: np.ndarray,
    lost: np.ndarray,
    residual: np.ndarray,
) -> Trajectory:
    ends = solved.ends
    if (looks != np.arange(looks.shape[1])).any():
        ends = np.take_along_axis(ends, looks[:, :, None], 1)
    ends[lost] = np.nan
    status = solved.status
    status[lost] = Status.NO_STEADY_STATE  # without it the rest of a lane is meaningless
    status[~np.isfinite(inputs.y0).all(1)] = Status.IMPOSSIBLE
    count = len(plan.model.inputs)
    forcing = host_course.taken(course.forcing[:, :, :count], course.looks)
    forcing = np.broadcast_to(forcing, (len(status), *forcing.shape[1:]))
    last = lambda a: a.transpose(*range(1, a.ndim), 0)
    return Trajectory(
        y=last(ends),
        forcing=last(forcing),
        bound={name: last(a) for name, a in course.bound.items()},
        status=status,
        residual=residual,
        accepted=solved.accepted,
        rejected=solved.rejected,
        stop=_stop(inputs, solved),
    )


def _stop(inputs: KernelInputs, solved: KernelResults) -> Stop:
    """Where each lane was when its solve ended."""
    last = inputs.length.shape[1] - 1
    k = np.minimum(solved.interval, last)[:, None]
    pick = lambda a: np.take_along_axis(np.broadcast_to(a, (len(k), a.shape[1])), k, 1)[:, 0]
    left = np.where(solved.interval > last, 0.0, 1.0 - solved.tau)
    time = pick(np.cumsum(inputs.length, 1)) - left * pick(inputs.length)
    return Stop(time, solved.last.T, host_course.taken(inputs.forcing, k)[:, 0].T, solved.worst)


# ---------------------------------------------------------------- quantities along a trajectory
def quantities(model: Model, names: tuple[str, ...], values: Mapping[str, Any]) -> list[Any]:
    """Signals and constants by name from states, inputs and parameters."""
    x = model.evaluate({**values, **model.derive(values)})
    return [x[name] for name in names]


def observe(plan: Plan, lanes: Lanes, solved: Trajectory, names: Sequence[str]) -> dict[str, np.ndarray]:
    """As `lanes.observe`, (look, lane) each."""
    model = plan.model
    shape = solved.y.shape[0], solved.y.shape[2]
    values = {n: v if type(v) is float else host_course.number_or_column(v) for n, v in lanes.values.items()}
    values |= {name: np.asarray(a).T for name, a in solved.bound.items()}
    # with `linear` columns a state has the name of a parameter
    values |= {name: solved.y[:, i].T for i, name in enumerate(model.states)}
    values |= {name: solved.forcing[:, i].T for i, name in enumerate(model.inputs)}
    computed = tuple(dict.fromkeys(name for name in names if name not in values))
    found = {name: np.asarray(values[name]).T for name in names if name in values}
    if computed:
        results = elementwise(quantities, len(computed), model, computed)(values)
        found |= {name: results[..., i].T for i, name in enumerate(computed)}
    return {name: np.broadcast_to(found[name], shape) for name in names}
