"""Descent of each start to a stationary point of its Lagrangian: a projected quasi-Newton method for costly functions.

A quadratic model, learned from the gradients by damped BFGS updates (Powell 1978), is minimised over the allowed variables by
accelerated projected gradient steps, which cost next to nothing; the trial lies on the line to that minimum (Schmidt, van den Berg,
Friedlander and Murphy 2009). A limit that is nearly reached makes the Lagrangian a thousand times steeper across the limit
than along it: a method that knows one step length for all variables follows such a valley only by luck.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nanomg.compute import programs
from nanomg.jobs.optimize.problem import DosingSpec, project

MEMORY = 4  # accepted values that a trial is compared with
MODEL_STEPS = 2000  # projected gradient steps to the minimum of the quadratic model
CURVATURE = 50.0  # of the first quadratic model, in spreads of the objective per squared range of a variable
SHORTEST, LONGEST = 0.1, 0.5  # of the length of a rejected trial: bounds of the next one


class Descent(NamedTuple):
    """The last accepted point, and how the next trial follows from it. Arrays (variable, start) unless said otherwise."""

    z: jax.Array
    gradient: jax.Array
    direction: jax.Array
    length: jax.Array  # (start,) share of the direction that the trial takes
    hessian: jax.Array  # (variable, variable, start) of the quadratic model
    values: jax.Array  # (memory, start)


def begin(z: jax.Array) -> Descent:
    """A descent that has not evaluated anything yet."""
    variables, starts = z.shape
    hessian = jnp.broadcast_to(CURVATURE * jnp.eye(variables)[:, :, None], (variables, variables, starts))
    never = jnp.full((MEMORY, starts), jnp.inf)
    return Descent(z, jnp.zeros_like(z), jnp.zeros_like(z), jnp.ones(starts), hessian, never)


@programs.compiled(0, 5)
def advance(
    design: DosingSpec, last: Descent, z: jax.Array, slope: jax.Array, value: jax.Array, fresh: bool
) -> Descent:
    """Accept or shorten the trial `z` of each start, which has this gradient and value (start,).

    `fresh` accepts it whatever its value: the Lagrangian has changed, or this is the first point.
    """
    value = jnp.where(jnp.isfinite(value), value, jnp.inf)
    expected = last.length * jnp.sum(last.gradient * last.direction, 0)
    accepted = (value <= last.values.max(0) + 1e-4 * expected) | fresh
    choose = lambda new, old: jnp.where(accepted, new, old)
    # gradients of two Lagrangians say nothing about the curvature of either
    hessian = last.hessian if fresh else _updated(last.hessian, z - last.z, slope - last.gradient)
    values = jnp.full_like(last.values, value) if fresh else jnp.concatenate([last.values[1:], value[None]])
    point, gradient = choose(z, last.z), choose(slope, last.gradient)
    direction = choose(_lowest(design, point, gradient, hessian) - point, last.direction)
    # where the parabola through the last accepted point and a rejected trial is lowest
    excess = value - last.values[-1] - expected
    share = jnp.where(excess > 0, -0.5 * expected / jnp.where(excess > 0, excess, 1.0), LONGEST)
    length = jnp.where(accepted, 1.0, last.length * jnp.clip(share, SHORTEST, LONGEST))
    return Descent(point, gradient, direction, length, hessian, choose(values, last.values))


def _updated(hessian: jax.Array, moved: jax.Array, turned: jax.Array) -> jax.Array:
    """The damped BFGS update of each start for a step and the change of its gradient; it stays positive definite."""
    product = jnp.einsum("ijs,js->is", hessian, moved)
    modelled = jnp.sum(moved * product, 0)
    known = (modelled > 1e-18) & jnp.isfinite(turned).all(0)
    modelled = jnp.where(known, modelled, 1.0)
    curvature = jnp.where(known, jnp.sum(moved * turned, 0), 1.0)
    low = curvature < 0.2 * modelled
    weight = jnp.where(low, 0.8 * modelled / jnp.where(low, modelled - curvature, 1.0), 1.0)
    turned = weight * turned + (1.0 - weight) * product
    outer = lambda a: a[:, None] * a[None]
    gained = jnp.where(known, jnp.sum(moved * turned, 0), 1.0)
    return jnp.where(known, hessian - outer(product) / modelled + outer(turned) / gained, hessian)


def _lowest(design: DosingSpec, z: jax.Array, gradient: jax.Array, hessian: jax.Array) -> jax.Array:
    """The allowed variables at which the quadratic model about `z` is lowest."""
    step = 1.0 / jnp.sqrt(jnp.sum(hessian**2, (0, 1)))  # the Frobenius norm is at least the largest curvature

    def move(_: Any, state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        x, ahead, weight = state
        slope = gradient + jnp.einsum("ijs,js->is", hessian, ahead - z)
        new = project(design, ahead - step * slope)
        uphill = jnp.sum((ahead - new) * (new - x), 0) > 0  # the momentum starts again
        heavier = jnp.where(uphill, 1.0, 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * weight**2)))
        momentum = jnp.where(uphill, 0.0, (weight - 1.0) / heavier)
        return new, new + momentum * (new - x), heavier

    return jax.lax.fori_loop(0, MODEL_STEPS, move, (z, z, jnp.ones(z.shape[1])))[0]
