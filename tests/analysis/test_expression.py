"""Functions of a number, against Python's own arithmetic; anything else is refused."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

from nanomg.analysis import expression
from nanomg.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exp(-0.01 * x)", math.exp(-0.03)),
        ("(x - 20)**2", 289.0),
        ("max(0, x - 2) / -min(x, 2)", -0.5),
        (
            "log(x) + log10(x) + sqrt(x) + tanh(x) + abs(-x)",
            math.log(3) + math.log10(3) + math.sqrt(3) + math.tanh(3) + 3,
        ),
        ("+x", 3.0),
    ],
)
def test_a_function_has_the_value_of_its_formula(text: str, expected: float) -> None:
    assert expression.checked(text, "here") == text
    assert float(expression.evaluate(text, 3.0)) == pytest.approx(expected, rel=1e-12)


def test_a_function_has_the_slope_of_its_formula() -> None:
    slope = jax.grad(lambda x: expression.evaluate("exp(-0.01 * x)", x))(3.0)
    assert float(slope) == pytest.approx(-0.01 * math.exp(-0.03), rel=1e-12)
    assert np.isinf(expression.evaluate("x + 9.0**9.0**9.0", 1.0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x +",
        "y",
        "__import__('os')",
        "x.real",
        "x[0]",
        "lambda: x",
        "exp(x, x)",
        "exp(x=1)",
        "x if x else 1",
        "1e999 * x",
        "True + x",
        "'x'",
        "x" + "+x" * 90,
        "(" * 90 + "x" + ")" * 90 + "+",
        "-" * 150 + "x",
        "x" * 201,
        "x == 1",
        "x // 2",
    ],
)
def test_what_is_no_function_of_x_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as caught:
        expression.checked(text, "here")
    assert str(caught.value).startswith("here: ") and "\n" not in str(caught.value)


def test_a_constant_is_refused() -> None:
    with pytest.raises(InputError, match="does not depend on x"):
        expression.checked("2 * 3", "here")
