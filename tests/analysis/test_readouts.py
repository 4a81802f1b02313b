"""Numbers read off a course, against those of a falling exponential."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shelf import K

from nanomg.analysis import readouts


def test_statistics_of_a_falling_exponential() -> None:
    t = np.union1d(np.linspace(0, 48, 2001), [3.0, 20.0])[:, None]
    y = jnp.exp(-K * t)
    whole, part = (0.0, 48.0), (3.0, 20.0)
    known = {
        ("initial", part): math.exp(-K * 3),
        ("final", part): math.exp(-K * 20),
        ("at", part): math.exp(-K * 20),
        ("max 24 h mean", whole): (1 - math.exp(-K * 24)) / K / 24,
        ("mean", part): (math.exp(-K * 3) - math.exp(-K * 20)) / K / 17,
        ("max", part): math.exp(-K * 3),
        ("min", part): math.exp(-K * 20),
        ("time of max", part): 3.0,
        ("auc", whole): (1 - math.exp(-K * 48)) / K,
        ("half-life", part): math.log(2) / K,
        ("slope", part): -K,
        ("change", part): math.exp(-K * 17) - 1,
        ("mrt", whole): 1 / K - 48 * math.exp(-K * 48) / (1 - math.exp(-K * 48)),
    }
    assert {name for name, _ in known} == set(readouts.WINDOWED)
    for (name, (start, stop)), expected in known.items():
        assert readouts.WINDOWED[name].formula(t, y, np.full(1, start), np.full(1, stop)) == pytest.approx(
            expected, rel=1e-4
        ), name


def test_statistics_have_finite_slopes_and_take_repeated_times() -> None:
    t = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0])[:, None]
    y = jnp.exp(-t)
    for name, one in readouts.WINDOWED.items():
        slope = jax.grad(lambda y, one=one: one.formula(t, y, np.ones(1), np.full(1, 4.0))[0])(y)
        assert np.isfinite(slope).all(), name
        assert np.any(slope != 0) == one.smooth == (name != "time of max"), name


def test_what_does_not_fall_has_no_half_life() -> None:
    t = np.linspace(0, 4, 9)[:, None]
    assert np.isnan(readouts.half_life(t, np.exp(t), np.zeros(1), np.full(1, 4.0)))[0]


@pytest.mark.parametrize("rising", [False, True])
def test_time_and_area_on_both_sides_of_a_level(rising: bool) -> None:
    """Of exp(-K t), straight where it is turned upside down: against integrals in closed form, cut at few times."""
    level, end = 0.3, 48.0
    t = np.linspace(0.0, end, 4001 if rising else 13)[:, None]
    y = jnp.exp(-K * t)
    crossing = -math.log(level) / K
    above = (1 - math.exp(-K * crossing)) / K - level * crossing
    below = level * (end - crossing) - (math.exp(-K * crossing) - math.exp(-K * end)) / K
    y, level, above, below = (1.0 - y, 1.0 - level, below, above) if rising else (y, level, above, below)
    long = end - crossing if rising else crossing
    known = {"time above": long, "time below": end - long, "area above": above, "area below": below}
    for name, expected in known.items():
        found = readouts.READ_OUTS[name].formula(t, y, np.zeros(1), np.full(1, end), level)[0]
        assert found == pytest.approx(expected, rel=1e-4 if rising else 1e-9), name


def test_an_area_beyond_a_level_has_a_slope_everywhere() -> None:
    t = np.arange(5.0)[:, None]
    y = jnp.array([0.0, 2.0, 1.0, 1.0, -1.0])[:, None]
    for name in ("area above", "area below"):
        area = readouts.READ_OUTS[name].formula
        slope = jax.grad(lambda y, area=area: area(t, y, np.zeros(1), np.full(1, 4.0), 1.0)[0])(y)
        assert np.isfinite(slope).all(), name
