"""Functions of single numbers, such as a model's constants, evaluated for many lanes and looks at once on concrete values.

    elementwise(constants, 2, model)({"pk.CL": np.array([[1.0], [2.0]]), "pk.V": 35.0})[:, 0, 0]      # (lane,)

A function takes its fixed arguments, then a mapping from names to numbers, and returns a list of numbers; it is written with
jax.numpy and knows nothing of lanes. It becomes machine code; where it uses an operation that has none, a program of JAX.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.compute import programs
from nanomg.solver.engine import NATIVE
from nanomg.solver.native import functions, machine
from nanomg.solver.native.graph import UnknownPrimitive

log = logging.getLogger(__name__)
Function = Callable[..., Sequence[Any]]


class Elementwise:
    """`function(*fixed, values)`, a list of `count` numbers from numbers by name, for arrays of values.

    The function is found by its name in its module, so that its code may outlive the process.
    """

    def __init__(self, function: Function, count: int, *fixed: Any):
        self.function, self.count, self.fixed = function, count, fixed
        self._native = machine.available()

    def __call__(self, values: Mapping[str, Any], engine: str = NATIVE) -> np.ndarray:
        """The results (lane, look, result).

        Args:
            values: Numbers, or arrays (lane, look) in which an axis of length 1 stands for all lanes or all looks. All is worked
                out in double precision.
            engine: `jax` for a program of JAX in any case.

        Returns:
            Results for as many lanes and looks as the values have.
        """
        arrays = {name: _real(a) for name, a in values.items() if not isinstance(a, float | int)}
        lanes, looks = (max((a.shape[axis] for a in arrays.values()), default=1) for axis in (0, 1))
        if self._native and engine == NATIVE:
            try:
                return functions.evaluate(self.function, self.fixed, {**values, **arrays}, (lanes, looks), self.count)
            except UnknownPrimitive as unknown:
                log.info("%s has no machine code: %s", self.function.__name__, unknown)
                self._native = False
        shared = tuple(name for name in values if name not in arrays)
        numbers = np.array([values[name] for name in shared], float)
        double = {name: np.asarray(a, float) for name, a in arrays.items()}
        return np.asarray(_evaluated(self.function, self.fixed, shared, numbers, double))


def _real(a: Any) -> np.ndarray:
    """An array of real numbers, in single precision if it is that."""
    array = np.asarray(a)
    return array if array.dtype in (np.float64, np.float32) else array.astype(float)


@programs.compiled(0, 1, 2)
def _evaluated(
    function: Function, fixed: tuple[Any, ...], shared: tuple[str, ...], numbers: Any, arrays: dict[str, Any]
) -> jax.Array:
    shape = np.broadcast_shapes((1, 1), *(a.shape for a in arrays.values()))
    values = {**dict(zip(shared, numbers, strict=True)), **arrays}
    results = function(*fixed, values)
    return jnp.stack([jnp.broadcast_to(jnp.asarray(r, float), shape) for r in results], -1)


@functools.lru_cache(maxsize=256)
def elementwise(function: Function, count: int, *fixed: Any) -> Elementwise:
    """The same `Elementwise` for the same function and fixed arguments."""
    return Elementwise(function, count, *fixed)
