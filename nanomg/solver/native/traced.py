"""A solve by a kernel, as a traced function: what nanomg.solver.integrate does with programs of JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.solver.engine import NATIVE
from nanomg.solver.native import arguments, foreign, kernel
from nanomg.solver.native.arrays import source_of
from nanomg.solver.native.foreign import Kernel
from nanomg.solver.problem import Inputs, Problem, Solution, Stop, slack

_ALONE = ("fixed", "slack", "settings", "used", "rows", "source")  # operands without an axis for the lanes


def solves(problem: Problem, inputs: Inputs) -> bool:
    """Whether kernels solve it: that is asked for, and the equations have no operation without machine code."""
    return problem.engine == NATIVE and kernel.lacks(problem, str(inputs.y0.dtype)) is None


def integrate(problem: Problem, inputs: Inputs) -> Solution:
    """The solve of all lanes."""
    chosen = kernel.forward_kernel(problem, str(inputs.y0.dtype))
    found = _called(
        chosen, arguments.FORWARD, _operands(problem, inputs), arguments.SOLUTION, _written(inputs), _sizes(inputs)
    )
    return _solution(inputs, found)


class Steps(NamedTuple):
    """The accepted steps of each lane; steps `R` that there is room for."""

    states: jax.Array  # (R, state, lane)
    shares: jax.Array  # (R, lane)
    places: jax.Array  # (R, lane)


def record(problem: Problem, inputs: Inputs, most: int) -> tuple[Solution, Steps]:
    """The solve of all lanes with its steps, at most so many in a lane."""
    (states, lanes), real, shape = inputs.y0.shape, inputs.y0.dtype, jax.ShapeDtypeStruct
    written = _written(inputs) | {
        "states": shape((most, states, lanes), real),
        "shares": shape((most, lanes), real),
        "places": shape((most, lanes), np.int32),
    }
    chosen, _ = kernel.gradient_kernels(problem, str(real))
    names = (*arguments.SOLUTION, *arguments.RECORD)
    found = _called(chosen, arguments.FORWARD, _operands(problem, inputs), names, written, _sizes(inputs, most))
    return _solution(inputs, found), Steps(*(found[name] for name in arguments.RECORD))


def pull_back(problem: Problem, inputs: Inputs, steps: Steps, accepted: jax.Array, ends_bar: jax.Array) -> Inputs:
    """The cotangents of the inputs from those of the ends of the intervals; zeros where there is none."""
    operands = _operands(problem, inputs) | steps._asdict() | {"accepted": accepted, "ends_bar": ends_bar}
    differentiable = {"y0": inputs.y0, "varied": inputs.varied, **inputs.intervals._asdict()}
    written = {
        name: jax.ShapeDtypeStruct(differentiable[name.removesuffix("_bar")].shape, inputs.y0.dtype)
        for name in arguments.BARS
    }
    _, chosen = kernel.gradient_kernels(problem, str(inputs.y0.dtype))
    sizes = _sizes(inputs, len(steps.shares))
    found = _called(chosen, arguments.BACKWARD, operands, arguments.BARS, written, sizes)
    bars = {name.removesuffix("_bar"): bar for name, bar in found.items()}
    y0, varied = bars.pop("y0"), bars.pop("varied")
    none = jax.tree.map(jnp.zeros_like, inputs)
    return none._replace(y0=y0, varied=varied, intervals=none.intervals._replace(**bars))


def _called(
    chosen: Kernel,
    reads: Sequence[str],
    operands: Mapping[str, Any],
    writes: Sequence[str],
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    sizes: Sequence[int],
) -> dict[str, jax.Array]:
    """What a kernel writes, by name."""
    given, made = [operands[name] for name in reads], [shapes[name] for name in writes]
    alone = {i for i, name in enumerate(reads) if name in _ALONE}
    return dict(zip(writes, foreign.call(chosen, given, alone, made, sizes), strict=True))


def _operands(problem: Problem, inputs: Inputs) -> dict[str, Any]:
    """What the kernels read, by name."""
    at, dtype = inputs.intervals, inputs.y0.dtype
    settings = [inputs.rtol, problem.min_step, problem.max_steps]
    return {
        "y0": inputs.y0,
        "length": at.length,
        "keep": at.keep,
        "inflow": at.inflow,
        "jump": at.jump,
        "forcing": at.forcing,
        "fixed": inputs.fixed,
        "varied": inputs.varied,
        "floor": inputs.floor,
        "slack": (slack(problem) * inputs.rtol).astype(dtype),
        "settings": jnp.stack([jnp.asarray(value, dtype) for value in settings]),
        "used": jnp.asarray(at.used, jnp.int32),
        "rows": np.arange(len(at.length), dtype=np.int32),  # the end of every interval is looked at
        "source": source_of(problem),
    }


def _sizes(inputs: Inputs, slots: int = 0) -> list[int]:
    """The sizes of the kernels' arrays, in their order; `slots` is how many steps of a lane there is room for."""
    count = len(inputs.intervals.length)
    known = {"lanes": inputs.y0.shape[1], "intervals": count, "looks": count, "varied_count": len(inputs.varied)}
    known |= {"slots": slots, "rows_stride": 0}
    for name, array in inputs.intervals._asdict().items():
        known[f"{name}_stride"] = int(np.prod(array.shape[:-1]))
    return [known[name] for name in arguments.SIZES]


def _written(inputs: Inputs) -> dict[str, jax.ShapeDtypeStruct]:
    """What the kernels write, by name."""
    (states, lanes), real = inputs.y0.shape, inputs.y0.dtype
    shape = jax.ShapeDtypeStruct
    return {
        "ends": shape((len(inputs.intervals.length), states, lanes), real),
        "status": shape((lanes,), np.int8),
        "accepted": shape((lanes,), np.int32),
        "rejected": shape((lanes,), np.int32),
        "interval": shape((lanes,), np.int32),
        "tau": shape((lanes,), real),
        "last": shape((states, lanes), real),
        "worst": shape((lanes,), np.int32),
    }


def _solution(inputs: Inputs, found: Mapping[str, jax.Array]) -> Solution:
    """What a kernel has written, as every engine returns it."""
    at = inputs.intervals
    count = len(at.length)
    there = np.arange(count)[:, None, None] < at.used
    k = jnp.minimum(found["interval"], count - 1)
    row = lambda a: jnp.take_along_axis(a, k.reshape(1, *(1,) * (a.ndim - 2), -1), 0, mode="promise_in_bounds")[0]
    time = row(jnp.cumsum(at.length, 0)) - (1 - found["tau"]) * row(at.length)
    stop = Stop(time, found["last"], row(at.forcing), found["worst"])
    ends = jnp.where(there, found["ends"], jnp.nan)
    return Solution(ends, found["status"], found["accepted"], found["rejected"], stop)
