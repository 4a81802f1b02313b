"""Functions of single numbers, such as a model's constants, evaluated for many lanes and looks at once on concrete values.

    Elementwise(constants, model)({"pk.CL": np.array([[1.0], [2.0]]), "pk.V": 35.0})[:, 0, 0]      # (lane,)

A function takes its fixed arguments, then a mapping from names to numbers, and returns a list of numbers; it is written with
jax.numpy and knows nothing of lanes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.compute import programs

Function = Callable[..., Sequence[Any]]


class Elementwise:
    """`function(*fixed, values)`, a list of numbers from numbers by name, for arrays of values.

    The function is found by its name in its module, so that its code may outlive the process.
    """

    def __init__(self, function: Function, *fixed: Any):
        self.function, self.fixed = function, fixed

    def __call__(self, values: Mapping[str, Any]) -> np.ndarray:
        """The results (lane, look, result).

        Args:
            values: Numbers, or arrays (lane, look) in which an axis of length 1 stands for all lanes or all looks.

        Returns:
            Results for as many lanes and looks as the values have.
        """
        shared = tuple(name for name, value in values.items() if np.size(value) == 1)
        arrays = {name: np.asarray(value, float) for name, value in values.items() if name not in shared}
        numbers = np.array([np.asarray(values[name], float).item() for name in shared])
        return np.asarray(_evaluated(self.function, self.fixed, shared, numbers, arrays))


@programs.compiled(0, 1, 2)
def _evaluated(
    function: Function, fixed: tuple[Any, ...], shared: tuple[str, ...], numbers: Any, arrays: dict[str, Any]
) -> jax.Array:
    shape = np.broadcast_shapes((1, 1), *(a.shape for a in arrays.values()))
    values = {**dict(zip(shared, numbers, strict=True)), **arrays}
    results = function(*fixed, values)
    return jnp.stack([jnp.broadcast_to(jnp.asarray(r, float), shape) for r in results], -1)


@functools.lru_cache(maxsize=256)
def elementwise(function: Function, *fixed: Any) -> Elementwise:
    """The same `Elementwise` for the same function and fixed arguments."""
    return Elementwise(function, *fixed)
