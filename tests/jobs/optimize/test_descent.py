"""The descent of a search, on quadratic functions whose minimum another program finds."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from nanomg.jobs.optimize import descent
from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.library import scenario_file
from nanomg.models import library

STARTS = 4


@pytest.fixture(scope="module")
def design():
    """Eight doses: amounts with totals and times with intervals."""
    return optimize_problem.problem_of(scenario_file.load("mouse-mc38-depot", library()), STARTS).design


def quadratic(size, steepest):
    """Curvatures from 1 to `steepest` in random directions, lowest at a random point."""
    rng = np.random.default_rng(4)
    directions, _ = np.linalg.qr(rng.normal(size=(size, size)))
    hessian = directions @ np.diag(np.geomspace(1.0, steepest, size)) @ directions.T
    return hessian, rng.normal(0.5, 0.3, size)


def lowest(design, hessian, centre):
    """The least value among allowed regimens, by sequential quadratic programming."""
    constraints, bounds, at = [], [(0.0, 1.0)] * design.size, 0
    for entry, members in zip(design.free, design.members, strict=True):
        n = len(members)
        low, high = entry.amount
        room = (entry.total - n * low) / (high - low)
        gap = entry.interval / (entry.time[1] - entry.time[0])
        constraints.append({"type": "ineq", "fun": lambda z, at=at, n=n, room=room: room - z[at : at + n].sum()})
        constraints.append(
            {"type": "ineq", "fun": lambda z, at=at, n=n, gap=gap: np.diff(z[at + n : at + 2 * n]) - gap}
        )
        at += 2 * n
    found = scipy.optimize.minimize(
        lambda z: 0.5 * (z - centre) @ hessian @ (z - centre),
        np.full(design.size, 0.5),
        jac=lambda z: hessian @ (z - centre),
        bounds=bounds,
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-9},
    )
    assert found.success
    return found.fun


def test_a_steep_valley_is_followed_to_its_end(design):
    """An active limit makes one direction a thousand times steeper than the others; 60 evaluations reach the optimum."""
    hessian, centre = quadratic(design.size, 3000.0)
    drawn = np.random.default_rng(7).random((design.size, STARTS))
    z = optimize_problem.project(design, jnp.asarray(drawn))
    course = descent.begin(z)
    for count in range(60):
        away = z - centre[:, None]
        slope = hessian @ away
        course = descent.advance(design, course, z, slope, 0.5 * jnp.sum(away * slope, 0), count == 0)
        z = optimize_problem.project(design, course.z + course.length * course.direction)
    values = np.asarray(course.values[-1])
    np.testing.assert_allclose(values, lowest(design, hessian, centre), rtol=1e-4)


def test_a_failed_trial_is_rejected_and_shortened(design):
    z = optimize_problem.project(design, jnp.full((design.size, STARTS), 0.5))
    slope = jnp.ones_like(z)
    first = descent.advance(design, descent.begin(z), z, slope, jnp.zeros(STARTS), True)
    trial = z + first.direction
    second = descent.advance(design, first, trial, jnp.zeros_like(z), jnp.full(STARTS, jnp.inf), False)
    np.testing.assert_array_equal(second.z, z)
    assert (np.asarray(second.length) <= descent.LONGEST).all()
    np.testing.assert_array_equal(second.hessian.shape, (design.size, design.size, STARTS))
    assert np.isfinite(second.hessian).all()
