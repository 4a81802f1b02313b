"""Adaptive solve of a block of lanes, each with its own steps, and its gradient.

The state is (state, batch). Every turn of the loop takes one step in each unfinished lane: lanes differ in their time
and step size, so none waits for another and each is solved as if it were alone. A lane that cannot keep the
tolerance at the smallest step, or in which a state falls below 0 by more than some tolerances of its largest size, is frozen
(h = 0), reported in `status` and NaN from then on. The reverse pass goes through the
recorded turns with the step's adjoint: the gradient of the discrete solution with the step sizes held fixed.

After an event (a dose, an infusion's start or end, a change of an input) the step that was good after the last one is tried: the
long step from before would be rejected time and again.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.solver.intervals import Intervals
from nanomg.solver.native import traced
from nanomg.solver.problem import Inputs, Problem, Solution, Stop, rates_of, slack
from nanomg.solver.rosenbrock import METHODS, StepPoint, step, step_adjoint
from nanomg.solver.sparsity import structure_of
from nanomg.solver.status import Status

_FIRST_STEP = 0.05  # [h]
_SHARE, _PATIENCE = 1 / 8, 2.0  # the last eighth of the lanes is deferred after twice the turns that the others took


class _Lanes(NamedTuple):
    """What the loop carries for each lane."""

    k: jax.Array  # (batch,) the interval, as are the next two
    tau: jax.Array  # the share of it that is done
    h: jax.Array  # [h] the step to try
    again: jax.Array  # [h] the step to try after an event: what the first step after the last one led to; 0 before that
    fresh: jax.Array  # whether no step has been taken since the last event
    y: jax.Array  # (state, batch)
    peak: jax.Array  # (state, batch) largest size so far
    status: jax.Array  # (batch,), as are the rest
    worst: jax.Array
    accepted: jax.Array
    rejected: jax.Array


class _Record(NamedTuple):
    """Every turn: the lanes before it, and which of them moved, from the start or to the end of their interval."""

    y: jax.Array  # (turn, state, batch) before the jump
    k: jax.Array  # (turn, batch), as are the rest
    share: jax.Array
    first: jax.Array
    last: jax.Array
    moved: jax.Array


def _row(a: jax.Array, k: jax.Array) -> jax.Array:
    """The interval `k` (batch,) of each lane: (..., batch) of (interval, ..., batch)."""
    index = k.reshape(1, *(1,) * (a.ndim - 2), -1)
    return jnp.take_along_axis(a, index, 0, mode="promise_in_bounds")[0]


def _add(a: jax.Array, k: jax.Array, more: jax.Array) -> jax.Array:
    """`more` (..., batch) added to the interval `k` of each lane."""
    return a.at[(k, *np.ogrid[tuple(slice(n) for n in a.shape[1:])])].add(more, mode="promise_in_bounds")


def _left(problem: Problem, keep: jax.Array, y: jax.Array) -> jax.Array:
    """What is left of the states (state, batch), or of their cotangents, by the lanes' codes `keep` (batch,)."""
    y = jnp.where(keep != 0, y, 0.0)
    for i, rows in enumerate(problem.wiped):
        y = y.at[np.array(rows)].set(jnp.where(keep != 2 + i, y[np.array(rows)], 0.0))
    return y


def _point(
    problem: Problem, inputs: Inputs, y: jax.Array, k: jax.Array, share: jax.Array, first: jax.Array, moves: jax.Array
) -> StepPoint:
    at, begins = inputs.intervals, first & moves
    y = jnp.where(begins, _left(problem, _row(at.keep, k), y), y)
    y = y.at[np.array(problem.channels)].add(jnp.where(begins, _row(at.jump, k), 0.0))
    h = jnp.where(moves, share * _row(at.length, k), 0.0)
    return StepPoint(y, h, _row(at.inflow, k), _row(at.forcing, k), inputs.varied)


def _events(at: Intervals) -> jax.Array:
    """Whether something changes at the start of each interval (interval, batch), so that a long step cannot be tried there."""
    differs = lambda a: jnp.any(a[1:] != a[:-1], 1)
    changes = (at.keep != 1) | jnp.any(at.jump != 0, 1)
    return changes.at[1:].set(changes[1:] | differs(at.inflow) | differs(at.forcing)).at[0].set(True)


def _slots(problem: Problem, inputs: Inputs) -> int:
    """Steps that are recorded at most: generous room is zeros to be written, which costs more than the solve."""
    return min(problem.max_steps, 4096 + 16 * len(inputs.intervals.length))


def _integrate(problem: Problem, inputs: Inputs, record: bool) -> tuple[Solution, _Record, jax.Array]:
    tableau, structure = METHODS[problem.method], structure_of(problem.model)
    rates, channels = rates_of(problem, inputs.fixed), np.array(problem.channels)
    y0, length, count = inputs.y0, inputs.intervals.length, inputs.intervals.used
    dtype, (states, batch), last = y0.dtype, y0.shape, len(length) - 1
    slots = _slots(problem, inputs) if record else 0
    below = (slack(problem)[:, None] * inputs.rtol).astype(dtype)
    book = _Record(
        jnp.zeros((slots, states, batch), dtype),
        jnp.zeros((slots, batch), jnp.int32),
        jnp.zeros((slots, batch), dtype),
        *(jnp.zeros((slots, batch), bool) for _ in range(3)),
    )

    events = _events(inputs.intervals)

    def on_its_way(lanes: _Lanes) -> jax.Array:
        return (lanes.status == Status.DONE) & (lanes.k < count)

    def body(c: tuple[Any, ...]) -> tuple[Any, ...]:
        lanes, turn, mark, ends, book = c
        alive = on_its_way(lanes)
        k = jnp.minimum(lanes.k, last)
        whole, left = _row(length, k), 1 - lanes.tau
        first = lanes.tau == 0
        begins = alive & first & _row(events, k)
        restart = jnp.where(lanes.again > 0, lanes.again, _FIRST_STEP).astype(dtype)
        trial = jnp.where(begins, jnp.minimum(lanes.h, restart), lanes.h)
        share = trial / jnp.maximum(whole, 1e-30)
        reaches = share >= left * 0.999
        # two even steps rather than a tiny last one
        share = jnp.where(~reaches & (share > 0.5 * left), 0.5 * left, share)
        share = jnp.where(reaches, left, share)
        p = _point(problem, inputs, lanes.y, k, share, first, alive)
        y1, error = step(tableau, structure, rates, channels, p)

        finite = jnp.isfinite(y1).all(0) & jnp.isfinite(error).all(0)
        peak = jnp.maximum(lanes.peak, jnp.abs(p.y))
        size = jnp.maximum(jnp.abs(p.y), jnp.abs(y1)) + 1e-3 * peak + 1e-30  # a state that stays 0 has no error
        weighted = error / (inputs.rtol * size)
        own = jnp.where(finite, jnp.sqrt(jnp.mean(weighted**2, 0)), jnp.inf)
        used = share * whole
        # a step must still be seen when it is added to how far the interval is
        smallest = jnp.maximum(problem.min_step, 4 * jnp.finfo(dtype).eps * whole * lanes.tau)
        tiny = used <= 1.001 * smallest  # a share of an interval and back again is rounded
        # an interval of length zero takes no step: only its jump, which cannot fail
        fails = alive & tiny & ~(own <= 1) & (whole > 0)
        moves = alive & ((own <= 1) | tiny) & ~fails
        peak = jnp.maximum(peak, jnp.where(moves, jnp.abs(y1), 0.0))
        above = y1 + below * peak
        sinks = moves & (whole > 0) & (above < 0).any(0)
        done = moves & reaches & ~sinks
        if record:
            new = _Record(lanes.y, k, share, first, done, moves)
            book = jax.tree.map(lambda a, v: a.at[turn].set(v), book, new)

        grow = jnp.clip(0.9 * jnp.maximum(own, 1e-10) ** (-1.0 / tableau.order), 0.2, 5.0)
        onward = used * grow
        h = jnp.where(done, jnp.maximum(trial, onward), onward)
        fresh = lanes.fresh | begins
        goes = moves & (whole > 0)
        # where a lane fails it is seen with the doses of that time
        y = jnp.where(moves, y1, jnp.where(fails, p.y, lanes.y))
        # a lane that is not done writes to a row of its own beyond the end
        place = jnp.where(done, k, last + 1), np.arange(states)[:, None], np.arange(batch)
        ends = ends.at[place].set(y, mode="promise_in_bounds", unique_indices=True)
        lanes = _Lanes(
            jnp.where(done, k + 1, lanes.k),
            jnp.where(done, 0.0, jnp.where(moves, lanes.tau + share, lanes.tau)).astype(dtype),
            jnp.where(alive & (whole > 0), jnp.maximum(h, smallest), trial),
            jnp.where(fresh & goes, jnp.maximum(h, smallest), lanes.again),
            fresh & ~goes,
            y,
            jnp.where(moves, peak, lanes.peak),
            jnp.select(
                [fails & finite, fails, sinks],
                [jnp.int8(Status.STEP_TOO_SMALL), jnp.int8(Status.NOT_FINITE), jnp.int8(Status.NEGATIVE)],
                lanes.status,
            ),
            jnp.where(
                fails | sinks,
                jax.lax.argmax(jnp.where(sinks, -above / peak, jnp.abs(weighted)), 0, jnp.int32),
                lanes.worst,
            ),
            lanes.accepted + moves,
            lanes.rejected + (alive & ~moves),
        )
        mark = jnp.where(jnp.sum(on_its_way(lanes)) > _SHARE * batch, turn, mark)
        return lanes, turn + 1, mark, ends, book

    none = jnp.zeros(batch, jnp.int32)
    lanes = _Lanes(
        none,
        jnp.zeros(batch, dtype),
        jnp.full(batch, _FIRST_STEP, dtype),
        jnp.zeros(batch, dtype),
        jnp.zeros(batch, bool),
        y0,
        jnp.maximum(inputs.floor, jnp.abs(y0)),
        jnp.zeros(batch, jnp.int8),
        none,
        none,
        none,
    )
    most = slots if record else problem.max_steps

    def going(c: tuple[Any, ...]) -> jax.Array:
        lanes, turn, mark = c[:3]
        patient = turn <= _PATIENCE * mark + 100 if problem.defer else True
        return on_its_way(lanes).any() & (turn < most) & patient

    ends = jnp.full((last + 2, states, batch), jnp.nan, dtype)
    lanes, turns, _, ends, book = jax.lax.while_loop(going, body, (lanes, jnp.int32(0), jnp.int32(0), ends, book))
    why = jnp.where(turns < most, Status.DEFERRED, Status.TOO_MANY_STEPS)
    status = jnp.where(on_its_way(lanes), why, lanes.status).astype(jnp.int8)
    k = jnp.clip(lanes.k, 0, last)
    time = _row(jnp.cumsum(length, 0), k) - (1 - lanes.tau) * _row(length, k)
    stop = Stop(time, lanes.y, _row(inputs.intervals.forcing, k), lanes.worst)
    return Solution(ends[:-1], status, lanes.accepted, lanes.rejected, stop), book, turns


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def solve(problem: Problem, inputs: Inputs) -> Solution:
    """Integrate all intervals. Differentiable in `y0`, `intervals` and `varied`; a gradient in `fixed` is an error."""
    if traced.solves(problem, inputs):
        return traced.integrate(problem, inputs)
    return _integrate(problem, inputs, record=False)[0]


def _forward(problem: Problem, inputs: Any) -> tuple[Solution, Any]:
    if inputs.fixed.perturbed:
        raise ValueError(
            "differentiate with respect to parameters named in Problem.varied; fixed values have no gradient"
        )
    values = jax.tree.map(lambda leaf: leaf.value, inputs, is_leaf=lambda leaf: hasattr(leaf, "perturbed"))
    if traced.solves(problem, values):
        solution, steps = traced.record(problem, values, _slots(problem, values))
        return solution, (values, steps, solution.accepted)
    solution, book, turns = _integrate(problem, values, record=True)
    return solution, (values, book, turns)


def _backward(problem: Problem, saved: Any, bars: Solution) -> tuple[Inputs]:
    inputs, book, turns = saved
    none: Any = np.zeros((), jax.dtypes.float0)
    dense = not isinstance(bars.ends, jax.custom_derivatives.SymbolicZero)
    ends_bar = bars.ends if dense else jnp.zeros((len(inputs.intervals.length), *inputs.y0.shape), inputs.y0.dtype)
    if isinstance(book, traced.Steps):
        pulled = traced.pull_back(problem, inputs, book, turns, ends_bar)
        return (pulled._replace(intervals=pulled.intervals._replace(used=none)),)
    tableau, structure = METHODS[problem.method], structure_of(problem.model)
    rates, channels = rates_of(problem, inputs.fixed), np.array(problem.channels)
    at = inputs.intervals

    def body(c: tuple[Any, ...]) -> tuple[Any, ...]:
        i, y_bar, length, inflow, jump, forcing, varied = c
        turn = jax.tree.map(lambda a: a[i], book)
        k, moved = turn.k, turn.moved
        y_bar = y_bar + jnp.where(turn.last, _row(ends_bar, k), 0.0)
        p = _point(problem, inputs, turn.y, k, turn.share, turn.first, moved)
        bar = step_adjoint(tableau, structure, rates, channels, p, jnp.where(moved, y_bar, 0.0))
        bar = jax.tree.map(lambda b: jnp.where(moved, b, 0.0), bar)
        begins = turn.first & moved
        return (
            i - 1,
            jnp.where(moved, jnp.where(begins, _left(problem, _row(at.keep, k), bar.y), bar.y), y_bar),
            _add(length, k, turn.share * bar.h),
            _add(inflow, k, bar.inflow),
            _add(jump, k, jnp.where(begins, bar.y[channels], 0.0)),
            _add(forcing, k, bar.forcing),
            varied + bar.varied,
        )

    zeros = [jnp.zeros_like(a) for a in (inputs.y0, at.length, at.inflow, at.jump, at.forcing, inputs.varied)]
    _, y0, length, inflow, jump, forcing, varied = jax.lax.while_loop(lambda c: c[0] >= 0, body, (turns - 1, *zeros))
    return (
        Inputs(
            y0,
            Intervals(none, length, jnp.zeros_like(at.keep), inflow, jump, forcing),
            jnp.zeros_like(inputs.fixed),
            varied,
            jnp.zeros_like(inputs.floor),
            jnp.zeros_like(inputs.rtol),
        ),
    )


solve.defvjp(_forward, _backward, symbolic_zeros=True)
