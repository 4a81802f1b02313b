"""Functions of numbers over lanes and looks: machine code against the function itself, whatever axis registers are filled along."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.population.plausibility import at_start
from nanomg.simulation.host_lanes import quantities
from nanomg.solver.elementwise import Elementwise, elementwise

ULPS = 1e-13  # relative


def several(power: float, x: Mapping[str, Any]) -> list[Any]:
    """A number, one that is known without any, one of shared values alone, and such as depend on all."""
    a, b, c = x["a"], x["b"], x["c"]
    rate = jnp.where((a > b) & (c > 0), jnp.exp(-a) / (1.0 + b**power), jnp.maximum(c, 0.25))
    return [a, 3.0, jnp.log1p(c * c), rate, jnp.where(b > 1.0, jnp.tanh(a * c), 0.0), a > c]


FUNCTION = Elementwise(several, 6, 1.7)

sizes = st.integers(1, 11)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes, sizes, st.tuples(*[st.tuples(*[st.booleans()] * 3)] * 3), st.integers(0, 5))
def test_lanes_and_looks_of_any_number(
    lanes: int, looks: int, changes: tuple[tuple[bool, bool, bool], ...], seed: int
) -> None:
    """Each value is a number, or changes with lanes, looks or both, in either precision; the results are as many as they say."""
    draw = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for name, (by_lane, by_look, single) in zip("abc", changes, strict=True):
        shape = lanes if by_lane else 1, looks if by_look else 1
        drawn = draw.uniform(0.1, 3.0, shape).astype(np.float32 if single else np.float64)
        values[name] = drawn if by_lane or by_look else drawn.item()
    shape = np.broadcast_shapes((1, 1), *(np.shape(value) for value in values.values()))
    double = {name: np.asarray(value, float) for name, value in values.items()}
    expected = np.stack([np.broadcast_to(np.asarray(r, float), shape) for r in several(1.7, double)], -1)
    for engine in ("native", "jax"):
        found = FUNCTION(values, engine)
        assert found.shape == (*shape, 6)
        np.testing.assert_allclose(found, expected, rtol=ULPS)


def test_arrays_of_any_strides() -> None:
    """Views that are transposed, reversed or cut out of others are read as they are."""
    whole = np.random.default_rng(1).uniform(0.1, 3.0, (9, 20))
    values = {"a": whole.T[::2, :8], "b": whole[:8, :10].T[::-1], "c": whole[None, 3, :8]}
    expected = np.stack([np.broadcast_to(np.asarray(r, float), (10, 8)) for r in several(1.7, values)], -1)
    np.testing.assert_allclose(FUNCTION(values), expected, rtol=ULPS)


def test_what_has_no_machine_code_is_left_to_jax(caplog: pytest.LogCaptureFixture) -> None:
    counted = lambda x: [jax.scipy.special.digamma(x["a"])]
    with caplog.at_level(logging.INFO):
        found = Elementwise(counted, 1)({"a": np.array([[1.0], [4.0]])})
    assert "has no machine code" in caplog.text
    assert found[:, 0, 0] == pytest.approx([-0.5772156649015329, 1.2561176684318003])


def test_a_wrong_number_of_results_is_an_error() -> None:
    with pytest.raises(ValueError, match="several has 6 results, not 5"):
        Elementwise(several, 5, 1.7)({"a": 1.0, "b": 2.0, "c": 3.0})


@pytest.mark.parametrize("name", ["mouse-mc38-iv", "human-lbcl-cart", "human-mg-oral", "mouse-mc38-lnp"])
def test_signals_of_scenarios(name: str) -> None:
    """Every signal and constant along a course, with parameters that differ between lanes, as JAX has them one lane at a time."""
    scenario = scenario_file.load(name, library())
    model, lanes, looks = scenario.model, 3, 5
    draw = np.random.default_rng(2)
    values: dict[str, Any] = {n: v for n, v in scenario.values.items() if n in model.parameters}
    varied = [n for n in list(values)[::4] if 0 < values[n] < 0.8 * model.parameters[n].at_most]
    values |= {n: values[n] * draw.uniform(0.8, 1.2, (lanes, 1)) for n in varied}
    first = elementwise(at_start, len(model.constants) + len(model.states), model, ())(values)[
        ..., len(model.constants) :
    ]
    states = (np.abs(first) + 0.1) * draw.uniform(0.5, 1.5, (lanes, looks, len(model.states)))
    inputs = {n: var.default for n, var in model.inputs.items()}
    names = (*model.signals, *model.constants)
    along = {n: states[..., i] for i, n in enumerate(model.states)}
    found = elementwise(quantities, len(names), model, names)({**values, **inputs, **along})
    for lane in range(lanes):
        own = {n: v[lane, 0] if np.ndim(v) else v for n, v in values.items()}
        for look in range(0, looks, 2):
            here = {n: v[lane, look] for n, v in along.items()}
            expected = np.array([float(r) for r in quantities(model, names, {**own, **inputs, **here})])
            np.testing.assert_allclose(found[lane, look], expected, rtol=1e-11, atol=1e-300)
