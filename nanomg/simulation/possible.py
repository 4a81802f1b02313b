"""Which values describe a possible body or particle: one check for every way in.

Parameters, constants and amounts at time 0 are finite, not negative unless they are declared `signed`, and at most what is
declared; what has the unit of a volume is above 0; some values of the shipped science keep an order. Single runs are refused with
the quantity (`nanomg.population.plausibility`), sampled subjects are sampled again, and lanes that a sweep or a fit leads there
end as `Status.IMPOSSIBLE`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nanomg import units
from nanomg.equations.model import Model, stack
from nanomg.simulation.roles import BELOW, ORDERED


@functools.lru_cache(maxsize=256)
def limits_at_start(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest that constants, in their order, and amounts at time 0, in the order of the states, may be."""
    declared = [*model.constants.values(), *model.states.values()]
    least = np.array([-math.inf if var.signed else 0.0 for var in declared])
    return least, np.array([var.at_most for var in declared])


@functools.lru_cache(maxsize=256)
def limits_of_parameters(model: Model) -> dict[str, float]:
    """The largest value of each parameter that has one."""
    most = {name: min(var.at_most, BELOW.get(name, math.inf)) for name, var in model.parameters.items()}
    return {name: limit for name, limit in most.items() if limit < math.inf}


@functools.lru_cache(maxsize=256)
def volumes(model: Model) -> frozenset[str]:
    """The parameters with the unit of a volume."""
    return frozenset(n for n, var in model.parameters.items() if units.dimension(var.unit) == (("[length]", 3),))


@functools.lru_cache(maxsize=256)
def orders(model: Model) -> tuple[tuple[str, str], ...]:
    """Pairs of parameters of which the first is the smaller one."""
    return tuple((small, large) for small, large in ORDERED if {small, large} <= model.parameters.keys())


def outside(model: Model, at_start: Any) -> Any:
    """Which of the constants and amounts at time 0 (lane, quantity) are impossible; arrays of NumPy or JAX."""
    least, most = limits_at_start(model)
    return ~((at_start >= least) & (at_start <= most) & (abs(at_start) < math.inf))


def start(model: Model, x: Mapping[str, Any], shape: tuple[int, ...]) -> jax.Array:
    """Amounts at time 0 (state, *shape) from traced parameters and constants, NaN where these are impossible."""
    at_start = stack([*(x[name] for name in model.constants), *model.initial(x)], shape)
    return jnp.where(impossible(model, x, at_start.T), jnp.nan, at_start[len(model.constants) :])


def impossible(model: Model, values: Mapping[str, Any], at_start: Any) -> Any:
    """Which lanes describe no possible body or particle, (lane,) or (1,) for all; arrays of NumPy or JAX.

    `values` of parameters are numbers or (lane,), `at_start` the constants and amounts at time 0 (lane, quantity).
    """
    broken = outside(model, at_start).any(-1)
    empty = volumes(model)
    for name in model.parameters:
        broken = broken | (values[name] <= 0.0 if name in empty else values[name] < 0.0)
    for name, limit in limits_of_parameters(model).items():
        broken = broken | (values[name] > limit)
    for small, large in orders(model):
        broken = broken | (values[small] > values[large])
    return broken
