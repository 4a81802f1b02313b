"""The steady state of repeated dosing: the state that one period of dosing leaves as it was.

Newton's method on the map over one period, with a Jacobian from differences to further lanes. Where a Newton step makes things
worse, the period is repeated from the last good state instead. A steady state counts only if repeated dosing leads to it: the
powers of the Jacobian must die out. Where they do not, the state that takes most part in what is left of them has no steady state.
The gradient is that of the implicit function, which costs two adjoints of the period.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.solver import integrate
from nanomg.solver.problem import Inputs, Problem

PROBE = 1e-4  # part of a state's size by which it is moved for the Jacobian
CLOSE_STEP = 1e-8  # part of a state's size that the last Newton step may have; the error left is far smaller
TRIES = 40
DOUBLINGS = 24  # of the number of periods after which a disturbance must have died out


class Settled(NamedTuple):
    """`y` (state, batch), how far a period moves it relative to its size (batch,), and whether it is a steady state (batch,).

    `last` (state, batch) is where the search ended, and `worst` (batch,) the row of the state that is at fault if it found none.
    """

    y: jax.Array
    residual: jax.Array
    found: jax.Array
    last: jax.Array
    worst: jax.Array


class _Search(NamedTuple):
    """What Newton's loop carries."""

    y: jax.Array
    fallback: jax.Array  # the last good state, one period later
    jacobian: jax.Array  # (batch, state, state)
    residual: jax.Array
    best: jax.Array  # residual of the last good state
    done: jax.Array
    lost: jax.Array
    tried: jax.Array


def _after_period(problem: Problem, inputs: Inputs) -> jax.Array:
    return integrate.solve(problem._replace(any_sign=True), inputs).ends[inputs.intervals.used - 1]


def _copies(a: jax.Array, count: int) -> jax.Array:
    """The lanes `count` times over."""
    return jnp.tile(a, (1,) * (a.ndim - 1) + (count,))


def _linearised(problem: Problem, inputs: Inputs, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The state after a period from `y0` and its Jacobian (batch, state, state), by one-sided differences of second order."""
    states, batch = inputs.y0.shape
    count = 1 + 2 * states
    wide = {name: _copies(a, count) for name, a in inputs.intervals._asdict().items() if name != "used"}
    move = np.zeros((states, 2, states))
    move[np.arange(states), :, np.arange(states)] = [1.0, 2.0]
    # upwards only, since the equations may not hold for amounts below zero
    step = PROBE * size
    moved = inputs.y0[:, None] + step[:, None] * move.reshape(states, -1, 1)
    y0 = jnp.concatenate([inputs.y0[:, None], moved], 1).reshape(states, -1)
    many = inputs._replace(
        y0=y0,
        intervals=inputs.intervals._replace(**wide),
        varied=_copies(inputs.varied, count),
        floor=_copies(inputs.floor, count),
    )
    ends = _after_period(problem, many).reshape(states, count, batch)
    once, twice = ends[:, 1 : 1 + states], ends[:, 1 + states :]
    columns = (4.0 * (once - ends[:, :1]) - (twice - ends[:, :1])) / (2.0 * step)
    return ends[:, 0], jnp.moveaxis(columns, -1, 0)


def _scaled(jacobian: jax.Array, size: jax.Array) -> jax.Array:
    """The Jacobian of the state in units of its size."""
    return jacobian * size.T[:, None, :] / size.T[:, :, None]


def _solve(jacobian: jax.Array, right: jax.Array, size: jax.Array) -> jax.Array:
    """`x` of (1 - J) x = right, (state, batch), whose entries are about as large as `size`: Gauss and Jordan with pivots.

    By hand, since a program that calls LAPACK crashes where it is loaded rather than compiled.
    """
    batch, count, _ = jacobian.shape
    matrix = jnp.eye(count, dtype=jacobian.dtype) - _scaled(jacobian, size)
    lane = jnp.arange(batch)

    def eliminate(k: jax.Array, rows: jax.Array) -> jax.Array:
        sizes = jnp.where(jnp.arange(count) >= k, jnp.abs(rows[:, :, k]), -1.0)
        place = jnp.argmax(sizes, 1)
        pivot = rows[lane, place]
        pivot = pivot / pivot[lane, k][:, None]
        rows = rows.at[lane, place].set(rows[:, k])
        return (rows - rows[:, :, k, None] * pivot[:, None]).at[:, k].set(pivot)

    rows = jax.lax.fori_loop(0, count, eliminate, jnp.concatenate([matrix, (right / size).T[..., None]], -1))
    return rows[..., -1].T * size


def _search(problem: Problem, inputs: Inputs) -> tuple[Settled, jax.Array]:
    states, batch = inputs.y0.shape
    large = 1e3 * inputs.floor

    def body(s: _Search) -> _Search:
        after, jacobian = _linearised(problem, inputs._replace(y0=s.y), jnp.maximum(jnp.abs(s.y), large))
        size = jnp.maximum(jnp.maximum(jnp.abs(s.y), jnp.abs(after)), inputs.floor)
        residual = jnp.max(jnp.abs(after - s.y) / size, 0)
        step = _solve(jacobian, after - s.y, size)
        target = s.y + step
        target = jnp.where(after >= 0, jnp.maximum(target, 0.0), target)
        target = jnp.where(jnp.isfinite(target).all(0), target, after)
        improves = jnp.isfinite(residual) & (residual <= s.best)
        close = jnp.max(jnp.abs(step) / size, 0) <= CLOSE_STEP
        onward = ~(s.done | s.lost)
        return _Search(
            jnp.where(onward, jnp.where(improves, target, s.fallback), s.y),
            jnp.where(improves, after, s.fallback),
            jnp.where(onward[:, None, None], jacobian, s.jacobian),
            jnp.where(onward, residual, s.residual),
            jnp.where(improves, residual, jnp.inf),  # the state after a fallback need not improve on anything
            s.done | (onward & improves & close),
            s.lost | ~(improves | jnp.isfinite(s.fallback).all(0)),
            s.tried + 1,
        )

    unknown = jnp.full_like(inputs.y0, jnp.nan)
    no, far = jnp.zeros(batch, bool), jnp.full(batch, jnp.inf)
    start = _Search(inputs.y0, unknown, jnp.zeros((batch, states, states)), far, far, no, no, jnp.int32(0))
    end = jax.lax.while_loop(lambda s: ~(s.done | s.lost).all() & (s.tried < TRIES), body, start)
    scaled = _scaled(end.jacobian, jnp.maximum(jnp.abs(end.y), inputs.floor))
    largest = lambda a: jnp.max(jnp.abs(a), (1, 2), keepdims=True)

    def squared(_: int, powers: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        power, direction = powers
        onward = direction @ direction
        return power @ power, onward / jnp.maximum(largest(onward), 1e-300)

    powers, direction = jax.lax.fori_loop(
        0, DOUBLINGS, squared, (scaled, scaled / jnp.maximum(largest(scaled), 1e-300))
    )
    found = end.done & (jnp.max(jnp.abs(powers), (1, 2)) < 0.1)  # false too where it is not a number
    worst = jnp.argmax(jnp.nan_to_num(jnp.abs(jnp.diagonal(direction, axis1=1, axis2=2))), 1).astype(jnp.int32)
    return Settled(jnp.where(found, end.y, 0.0), end.residual, found, end.y, worst), end.jacobian


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def settle(problem: Problem, inputs: Inputs) -> Settled:
    """The steady state of the period that `inputs.intervals` describe, searched from `inputs.y0`; 0 where none is found.

    Differentiable like `solver.solve`, except in the start of the search.
    """
    return _search(problem, inputs)[0]


def _forward(problem: Problem, inputs: Inputs) -> tuple[Settled, Any]:
    settled, jacobian = _search(problem, inputs)
    return settled, (inputs, settled, jacobian)


def _backward(problem: Problem, saved: Any, bars: Settled) -> tuple[Inputs]:
    inputs, settled, jacobian = saved
    transposed = jnp.where(settled.found[:, None, None], jnp.swapaxes(jacobian, 1, 2), 0.0)
    size = 1.0 / jnp.maximum(jnp.abs(settled.y), inputs.floor)
    traced = {name: value for name, value in inputs.intervals._asdict().items() if name != "used"}

    def period(y0: jax.Array, traced: dict[str, jax.Array], varied: jax.Array) -> jax.Array:
        return _after_period(
            problem, inputs._replace(y0=y0, intervals=inputs.intervals._replace(**traced), varied=varied)
        )

    pull = jax.vjp(period, settled.y, traced, inputs.varied)[1]

    # the adjoint state is that of the Jacobian by differences at first, then corrected by that of the solve itself
    def refine(_: int, at: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        adjoint, (back, *_) = at
        missing = bars.y + back - adjoint
        adjoint = jnp.where(settled.found, adjoint + _solve(transposed, missing, size), 0.0)
        return adjoint, pull(adjoint)

    nothing = jax.tree.map(jnp.zeros_like, (settled.y, traced, inputs.varied))
    _, (_, intervals, varied) = jax.lax.fori_loop(0, 2, refine, (jnp.zeros_like(settled.y), nothing))
    none: Any = np.zeros((), jax.dtypes.float0)
    return (
        Inputs(
            jnp.zeros_like(inputs.y0),
            inputs.intervals._replace(used=none, **intervals),
            jnp.zeros_like(inputs.fixed),
            varied,
            jnp.zeros_like(inputs.floor),
            jnp.zeros_like(inputs.rtol),
        ),
    )


settle.defvjp(_forward, _backward)
