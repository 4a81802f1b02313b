"""What is solved and what comes out: the types of every solve, whatever engine runs it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.equations.model import Model
from nanomg.solver.engine import JAX
from nanomg.solver.intervals import Intervals
from nanomg.solver.rosenbrock import Rates

SLACK = 10.0  # how many tolerances of its largest size so far a state may lie below 0


class Problem(NamedTuple):
    """What is fixed when a solve is compiled. `varied` names the values that differ between lanes or are differentiated.

    With `defer`, the last lanes are given up if they need many more steps than the others, for the caller to solve by themselves.
    """

    model: Model
    varied: tuple[str, ...]
    channels: tuple[int, ...]  # rows of the states that doses reach
    method: str = "rodas5p"
    max_steps: int = 20_000
    min_step: float = 1e-12  # [h]
    defer: bool = False
    timed: tuple[str, ...] = ()  # values that change between intervals: rows of the forcing after the inputs
    wiped: tuple[tuple[int, ...], ...] = ()  # groups of rows that an interval may empty at its start
    engine: str = JAX
    any_sign: bool = False  # states may be negative, as those that a search for a steady state tries


class Inputs(NamedTuple):
    """Values of a solve: `y0` (state, batch), `fixed` (name,), `varied` (name, batch), `floor` (state, batch) size that matters."""

    y0: jax.Array
    intervals: Intervals
    fixed: jax.Array
    varied: jax.Array
    floor: jax.Array
    rtol: jax.Array


def rounded(inputs: Inputs, precision: str) -> Inputs:
    """The inputs in float32 or float64; times have been subtracted before, so that no digit of a length is lost."""
    real = lambda a: a.astype(precision) if jnp.issubdtype(a.dtype, jnp.floating) else a
    return jax.tree.map(real, inputs)


class Stop(NamedTuple):
    """The last time and values of each failed lane, with the state of the largest error; the end of the solve for other lanes.

    Arrays are JAX's, or NumPy's where machine code has solved lanes with concrete values.
    """

    time: Any  # (batch,) [h] since the start
    y: Any  # (state, batch) the last one accepted
    forcing: Any  # (row, batch)
    worst: Any  # (batch,) row of the state


class Solution(NamedTuple):
    """`ends` (interval, state, batch): the state at the end of each interval; `status` and counts of steps (batch,)."""

    ends: jax.Array
    status: jax.Array
    accepted: jax.Array
    rejected: jax.Array
    stop: Stop


def slack(problem: Problem) -> np.ndarray:
    """How many tolerances of its largest size each state may lie below 0, (state,); infinitely many where it may be negative."""
    free = [problem.any_sign or var.signed or n in problem.model.ramped for n, var in problem.model.states.items()]
    return np.where(free, np.inf, SLACK)


def fixed_names(problem: Problem) -> list[str]:
    """Names of parameters and constants that `Inputs.fixed` holds, in order."""
    passed = {*problem.varied, *problem.timed}
    return [n for n in (*problem.model.parameters, *problem.model.constants) if n not in passed]


def pack(problem: Problem, values: dict[str, Any], batch: int) -> tuple[jax.Array, jax.Array]:
    """`fixed` and `varied` of `Inputs` from a mapping of all parameters and constants."""
    fixed = [jnp.asarray(values[n], float) for n in fixed_names(problem)]
    varied = [jnp.broadcast_to(jnp.asarray(values[n], float), (batch,)) for n in problem.varied]
    return jnp.stack(fixed) if fixed else jnp.zeros(0), jnp.stack(varied) if varied else jnp.zeros((0, batch))


def rates_of(problem: Problem, fixed: jax.Array) -> Rates:
    """The model's rates of change as a function of state, forcing and varied values."""
    model = problem.model
    constant = {name: fixed[i] for i, name in enumerate(fixed_names(problem))}

    def rates(rows: list[jax.Array], forcing: jax.Array, varied: jax.Array) -> list[jax.Array]:
        x = dict(zip(model.states, rows, strict=True))
        x.update(zip((*model.inputs, *problem.timed), forcing, strict=True))
        x.update(constant)
        x.update(zip(problem.varied, varied, strict=True))
        return [jnp.broadcast_to(r, rows[0].shape) for r in model.rates(x)]

    return rates
