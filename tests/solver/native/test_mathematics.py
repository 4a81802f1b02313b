"""Functions of vectors against the long doubles of NumPy, in units of the last place; special values against JAX."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from machine_code import elementwise

from nanomg.solver.native import mathematics
from nanomg.solver.native.ir import Format

COUNT = 200_000
FORMS = {"double": Format("double", 4), "float": Format("float", 8)}
TYPES = {"double": np.float64, "float": np.float32}
TRUTH: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "cbrt": np.cbrt,
    "power": np.power,
}
LARGEST = {"exp": 1.2, "expm1": 2, "log": 1, "log1p": 1.7, "tanh": 2.5, "logistic": 2.5, "cbrt": 1, "power": 1.3}
JAX = {"logistic": jax.nn.sigmoid, "power": lambda x, y: jnp.abs(x) ** y}


@functools.cache
def compiled(name: str, real: str) -> Callable[..., np.ndarray]:
    return elementwise(FORMS[real], getattr(mathematics, name), 2 if name == "power" else 1)


def samples(name: str, real: str) -> list[tuple[np.ndarray, ...]]:
    """Arguments where the function is a normal number: over all sizes, and many where errors are largest."""
    random = np.random.default_rng(len(name))
    double = real == "double"
    sign = random.choice([-1, 1], COUNT)
    size = 10 ** random.uniform(*((-307, 308) if double else (-37, 38)), COUNT)
    small = sign * 10 ** random.uniform(-12, 0, COUNT)
    even = lambda low, high: random.uniform(low, high, COUNT)
    most = 709 if double else 88
    if name == "power":
        near = 1 + sign * 10 ** even(-6, -0.3)
        return [
            (size, even(-3, 3)),
            (near, even(-500, 500)),
            (near, sign * 10 ** even(0, 6)),
            (even(0, 10), even(0, 10)),
        ]
    return {
        "exp": [(even(0.999 - most, most),), (small,), (even(-2, 2),)],
        "expm1": [(even(-40, most),), (small,), (even(-2, 2),)],
        "log": [(size,), (1 + 0.5 * small,), (even(0.4, 3),)],
        "log1p": [(size,), (0.99 * small,), (even(-1, 0),), (even(0, 8),)],
        "tanh": [(small,), (even(-3, 3),), (even(-30, 30),)],
        "logistic": [(even(1 - most, 40),), (even(-5, 5),)],
        "cbrt": [(sign * size,), (even(0.1, 10),)],
    }[name]


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="this machine has no longer numbers to compare with")
@pytest.mark.parametrize("real", FORMS)
@pytest.mark.parametrize("name", TRUTH)
def test_errors_are_as_small_as_stated(name: str, real: str) -> None:
    for arguments in samples(name, real):
        x = [a.astype(TYPES[real]) for a in arguments]
        with np.errstate(all="ignore"):
            truth = TRUTH[name](*(a.astype(np.longdouble) for a in x))
            nearest = truth.astype(TYPES[real])
        normal = np.isfinite(nearest) & (np.abs(nearest) > np.finfo(nearest.dtype).tiny)
        assert normal.mean() > 0.1
        error = np.abs(compiled(name, real)(*x)[normal] - truth[normal]) / np.spacing(np.abs(nearest[normal]))
        assert error.max() <= LARGEST[name]


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, 1e-30, -1e-30, 800.0, -800.0, 1e30, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("real", FORMS)
@pytest.mark.parametrize("name", TRUTH)
def test_special_values_are_those_of_jax(name: str, real: str) -> None:
    x = np.array(SPECIAL, TYPES[real])
    of_jax = JAX.get(name) or getattr(jnp, name)
    arguments = np.meshgrid(np.abs(x), x) if name == "power" else [x]
    if name == "power":  # exponents that are infinite or minute are limited before, or do not matter
        ordinary = np.isfinite(arguments[1]) & ((np.abs(arguments[1]) > 1e-10) | (arguments[1] == 0))
        arguments = [a[ordinary] for a in arguments]
    tolerance = 1e-14 if real == "double" else 1e-5
    want = np.asarray(of_jax(*map(jnp.asarray, arguments)))
    np.testing.assert_allclose(compiled(name, real)(*arguments), want, rtol=tolerance)


@pytest.mark.parametrize("real", FORMS)
@pytest.mark.parametrize("name", ["exp", "log", "power"])
def test_numbers_below_the_normal_ones_count_as_nothing(name: str, real: str) -> None:
    tiny = np.finfo(TYPES[real]).tiny
    below = np.array([tiny / 2, tiny / 1024], TYPES[real])
    if name == "exp":
        assert list(compiled("exp", real)(np.log(below.astype(np.longdouble)))) == [0, 0]
        assert compiled("exp", real)(np.log(np.array([2 * tiny])))[0] == pytest.approx(2 * tiny, rel=1e-4)
    elif name == "log":
        assert list(compiled("log", real)(below)) == [-np.inf, -np.inf]
    else:
        assert list(compiled("power", real)(np.array([tiny]), np.array([1.1, 2.0]))) == [0, 0]


def chebyshev(series: Callable[[Fraction], Fraction], low: float, high: float, count: int) -> list[float]:
    """The polynomial through the values of a series at Chebyshev nodes, by exact fractions."""
    middle, radius = (low + high) / 2, (high - low) / 2
    x = [Fraction(middle + radius * math.cos(math.pi * (2 * k + 1) / (2 * count))) for k in range(count)]
    slopes = [series(v) for v in x]
    for order in range(1, count):  # divided differences
        for i in reversed(range(order, count)):
            slopes[i] = (slopes[i] - slopes[i - 1]) / (x[i] - x[i - order])
    result = [Fraction(0)] * count
    for i in reversed(range(count)):  # times (x - x_i), plus the difference
        result = [(result[k - 1] if k else 0) - x[i] * result[k] for k in range(count)]
        result[0] += slopes[i]
    return [float(c) for c in result]


SERIES: dict[str, Callable[[int], Fraction]] = {
    "exp": lambda k: Fraction(1, math.factorial(k + 2)),
    "log": lambda k: Fraction(2, 2 * k + 3),
    "cubic": lambda k: Fraction(3, 2 * k + 5),
}


@pytest.mark.parametrize("real", FORMS)
@pytest.mark.parametrize("name", SERIES)
def test_polynomials_interpolate_their_series(name: str, real: str) -> None:
    """At the nodes the coefficients give the series; between them they stay as near as the accuracy asks."""
    coefficients = mathematics.coefficients(real, name)
    most = math.log(2) / 2 if name == "exp" else ((math.sqrt(2) - 1) / (math.sqrt(2) + 1)) ** 2
    low = -most if name == "exp" else 0.0
    terms = [SERIES[name](k) for k in range(40)]
    series = lambda x: sum((c * x**k for k, c in enumerate(terms)), Fraction(0))
    again = chebyshev(series, low, most, len(coefficients))
    x = np.linspace(low, most, 1001)
    values, expected = (np.polyval(c[::-1], x) for c in (coefficients, again))
    np.testing.assert_allclose(values, expected, rtol={"double": 2e-14, "float": 1e-4}[real])
