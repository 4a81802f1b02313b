"""Adaptive solve of a block of lanes with one shared step, and its gradient.

The state is (state, batch). A step is accepted when the worst living lane keeps the tolerance. A lane that cannot keep it at
the smallest step is frozen (h = 0), reported in `status` and NaN from then on; the other lanes go on as if it were not there.
Reverse mode walks the recorded steps backwards with the step's adjoint: the gradient of the discrete solution with the step
sizes held fixed.
"""

from __future__ import annotations

import enum
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.events import Intervals
from nanomg.model import Model
from nanomg.rosenbrock import METHODS, Point, Rates, step, step_adjoint
from nanomg.sparsity import structure_of


class Status(enum.IntEnum):
    """How a trajectory ended; `reason` is the sentence for the user."""

    DONE = 0
    NOT_FINITE = 1
    STEP_TOO_SMALL = 2
    TOO_MANY_STEPS = 3

    @property
    def reason(self) -> str:
        """What happened, in words."""
        return _REASONS[self]


_REASONS = {
    Status.DONE: "solved to the end",
    Status.NOT_FINITE: "a state became infinite or not a number",
    Status.STEP_TOO_SMALL: "the tolerance was not met at the smallest step",
    Status.TOO_MANY_STEPS: "the number of steps ran out",
}


class Problem(NamedTuple):
    """What is fixed when a solve is compiled. `varied` names the values that differ between lanes or are differentiated."""

    model: Model
    varied: tuple[str, ...]
    channels: tuple[int, ...]  # rows of the states that doses reach
    method: str = "rodas5p"
    max_steps: int = 20_000
    min_step: float = 1e-9  # [h]


class Inputs(NamedTuple):
    """Values of a solve: `y0` (state, batch), `fixed` (name,), `varied` (name, batch), `floor` (state, batch) size that matters."""

    y0: jax.Array
    intervals: Intervals
    fixed: jax.Array
    varied: jax.Array
    floor: jax.Array
    rtol: jax.Array


class Solution(NamedTuple):
    """`ends` (interval, state, batch): the state at the end of each interval; `status` (batch,); counts of steps."""

    ends: jax.Array
    status: jax.Array
    accepted: jax.Array
    rejected: jax.Array


class _Record(NamedTuple):
    y: jax.Array  # (step, state, batch) before the jump of each accepted step
    k: jax.Array
    share: jax.Array  # of the interval
    first: jax.Array
    last: jax.Array


def fixed_names(problem: Problem) -> list[str]:
    """Names of parameters and constants that `Inputs.fixed` holds, in order."""
    return [n for n in (*problem.model.parameters, *problem.model.constants) if n not in problem.varied]


def pack(problem: Problem, values: dict[str, Any], batch: int) -> tuple[jax.Array, jax.Array]:
    """`fixed` and `varied` of `Inputs` from a mapping of all parameters and constants."""
    fixed = [jnp.asarray(values[n], float) for n in fixed_names(problem)]
    varied = [jnp.broadcast_to(jnp.asarray(values[n], float), (batch,)) for n in problem.varied]
    return jnp.stack(fixed) if fixed else jnp.zeros(0), jnp.stack(varied) if varied else jnp.zeros((0, batch))


def _rates(problem: Problem, fixed: jax.Array) -> Rates:
    model = problem.model
    constant = {name: fixed[i] for i, name in enumerate(fixed_names(problem))}

    def rates(rows: list[jax.Array], forcing: jax.Array, varied: jax.Array) -> list[jax.Array]:
        x = dict(zip(model.states, rows, strict=True))
        x.update(zip(model.inputs, forcing, strict=True))
        x.update(constant)
        x.update(zip(problem.varied, varied, strict=True))
        return [jnp.broadcast_to(r, rows[0].shape) for r in model.rates(x)]

    return rates


def _point(
    problem: Problem, inputs: Inputs, y: jax.Array, k: jax.Array, share: jax.Array, first: jax.Array, alive: jax.Array
) -> Point:
    at = inputs.intervals
    y = y.at[np.array(problem.channels)].add(jnp.where(alive, first * at.jump[k], 0.0))
    return Point(y, jnp.where(alive, share * at.length[k], 0.0), at.inflow[k], at.forcing[k], inputs.varied)


def _integrate(problem: Problem, inputs: Inputs, record: bool) -> tuple[Solution, _Record, jax.Array]:
    tableau, structure = METHODS[problem.method], structure_of(problem.model)
    rates, channels = _rates(problem, inputs.fixed), np.array(problem.channels)
    y0, length = inputs.y0, inputs.intervals.length
    dtype, batch, slots = y0.dtype, y0.shape[1], problem.max_steps if record else 1
    longest = length.max(1)
    book = _Record(
        jnp.zeros((slots, *y0.shape), dtype),
        jnp.zeros(slots, jnp.int32),
        jnp.zeros(slots, dtype),
        jnp.zeros(slots, dtype),
        jnp.zeros(slots, bool),
    )

    def body(c: tuple[Any, ...]) -> tuple[Any, ...]:
        k, tau, y, h, peak, status, died, accepted, tried, ends, book = c
        alive = status == Status.DONE
        left = 1 - tau
        share = h / jnp.maximum(longest[k], 1e-30)
        reaches = share >= left * 0.999
        share = jnp.where(
            ~reaches & (share > 0.5 * left), 0.5 * left, share
        )  # two even steps rather than a tiny last one
        share = jnp.where(reaches, left, share)
        first = (tau == 0).astype(dtype)
        p = _point(problem, inputs, y, k, share, first, alive)
        y1, error = step(tableau, structure, rates, channels, p)

        finite = jnp.isfinite(y1).all(0) & jnp.isfinite(error).all(0)
        peak_now = jnp.maximum(peak, jnp.abs(p.y))
        size = jnp.maximum(jnp.abs(p.y), jnp.abs(y1)) + 1e-3 * peak_now + 1e-30  # a state that stays 0 has no error
        lane_error = jnp.sqrt(jnp.mean((error / (inputs.rtol * size)) ** 2, 0))
        lane_error = jnp.where(alive, jnp.where(finite, lane_error, jnp.inf), 0.0)
        worst = lane_error.max()
        used = share * longest[k]
        tiny = used <= problem.min_step
        ok = (worst <= 1) | tiny
        fails = alive & tiny & ~(lane_error <= 1)
        reason = jnp.where(finite, Status.STEP_TOO_SMALL, Status.NOT_FINITE).astype(status.dtype)
        # an interval of length zero takes no step: only its jump, which cannot fail
        fails &= longest[k] > 0
        status = jnp.where(fails, reason, status)
        died = jnp.where(fails, accepted, died)
        moves = ok & alive & ~fails
        done = ok & reaches
        if record:
            put = lambda a, v: a.at[accepted].set(v)  # overwritten if the step is rejected
            book = _Record(
                put(book.y, y), put(book.k, k), put(book.share, share), put(book.first, first), put(book.last, done)
            )

        grow = jnp.clip(0.9 * jnp.maximum(worst, 1e-10) ** (-1.0 / tableau.order), 0.2, 5.0)
        proposed = jnp.where(reaches & ok, jnp.maximum(h, used * grow), used * grow)
        h = jnp.where(longest[k] > 0, jnp.maximum(jnp.where(fails.any(), h, proposed), problem.min_step), h)
        y = jnp.where(moves, y1, y)
        peak = jnp.where(moves, jnp.maximum(peak_now, jnp.abs(y1)), peak)
        ends = ends.at[k].set(jnp.where(status == Status.DONE, y, jnp.nan))
        tau = jnp.where(done, 0.0, jnp.where(ok, tau + share, tau)).astype(dtype)
        return k + done, tau, y, h, peak, status, died, accepted + ok, tried + 1, ends, book

    zero = jnp.int32(0)
    start = (
        zero,
        jnp.zeros((), dtype),
        y0,
        jnp.asarray(0.05, dtype),
        jnp.maximum(inputs.floor, jnp.abs(y0)),
        jnp.zeros(batch, jnp.int8),
        jnp.full(batch, problem.max_steps, jnp.int32),
        zero,
        zero,
        jnp.full((length.shape[0], *y0.shape), jnp.nan, dtype),
        book,
    )
    count = inputs.intervals.used
    end = jax.lax.while_loop(lambda c: (c[0] < count) & (c[8] < problem.max_steps), body, start)
    k, _, _, _, _, status, died, accepted, tried, ends, book = end
    status = jnp.where((k < count) & (status == Status.DONE), Status.TOO_MANY_STEPS, status).astype(jnp.int8)
    ends = jnp.where(jnp.arange(length.shape[0])[:, None, None] < k, ends, jnp.nan)  # not the middle of an interval
    return Solution(ends, status, accepted, tried - accepted), book, died


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def solve(problem: Problem, inputs: Inputs) -> Solution:
    """Integrate all intervals. Differentiable in `y0`, `intervals` and `varied`; a gradient in `fixed` is an error."""
    return _integrate(problem, inputs, record=False)[0]


def _forward(problem: Problem, inputs: Any) -> tuple[Solution, Any]:
    if inputs.fixed.perturbed:
        raise ValueError(
            "differentiate with respect to parameters named in Problem.varied; fixed values have no gradient"
        )
    values = jax.tree.map(lambda leaf: leaf.value, inputs, is_leaf=lambda leaf: hasattr(leaf, "perturbed"))
    solution, book, died = _integrate(problem, values, record=True)
    return solution, (values, book, died, solution.accepted)


def _backward(problem: Problem, saved: Any, bars: Solution) -> tuple[Inputs]:
    inputs, book, died, accepted = saved
    tableau, structure = METHODS[problem.method], structure_of(problem.model)
    rates, channels = _rates(problem, inputs.fixed), np.array(problem.channels)
    at = inputs.intervals
    dense = not isinstance(bars.ends, jax.custom_derivatives.SymbolicZero)
    ends_bar = bars.ends if dense else jnp.zeros((*at.length.shape[:1], *inputs.y0.shape), inputs.y0.dtype)

    def body(c: tuple[Any, ...]) -> tuple[Any, ...]:
        i, y_bar, length, inflow, jump, forcing, varied = c
        k, share, first = book.k[i], book.share[i], book.first[i]
        alive = i < died
        y_bar = y_bar + jnp.where(book.last[i], ends_bar[k], 0.0)
        p = _point(problem, inputs, book.y[i], k, share, first, alive)
        bar = step_adjoint(tableau, structure, rates, channels, p, jnp.where(alive, y_bar, 0.0))
        bar = jax.tree.map(lambda b: jnp.where(alive, b, 0.0), bar)
        return (
            i - 1,
            bar.y,
            length.at[k].add(share * bar.h),
            inflow.at[k].add(bar.inflow),
            jump.at[k].add(first * bar.y[channels]),
            forcing.at[k].add(bar.forcing),
            varied + bar.varied,
        )

    zeros = [jnp.zeros_like(a) for a in (inputs.y0, at.length, at.inflow, at.jump, at.forcing, inputs.varied)]
    _, y0, length, inflow, jump, forcing, varied = jax.lax.while_loop(lambda c: c[0] >= 0, body, (accepted - 1, *zeros))
    count: Any = np.zeros((), jax.dtypes.float0)
    return (
        Inputs(
            y0,
            Intervals(count, length, inflow, jump, forcing),
            jnp.zeros_like(inputs.fixed),
            varied,
            jnp.zeros_like(inputs.floor),
            jnp.zeros_like(inputs.rtol),
        ),
    )


solve.defvjp(_forward, _backward, symbolic_zeros=True)
