"""Gradients of the objective and of the limits agree with central differences, for every dose, dose time and parameter."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import optimization, simulation
from nanomg.library import Library
from nanomg.optimization import Problem
from nanomg.scenario import Scenario, load

STEP = 5e-4  # of the logarithm of a value
TIME_STEP = 0.01  # [h]


class Point(NamedTuple):
    """What is differentiated: parameters (parameter, lane), and the doses' amounts, times and durations (dose, lane)."""

    parameter: Any
    amount: Any
    time: Any
    duration: Any


def inside(scenario: Scenario) -> Point:
    """The scenario's own values and regimen, one lane, with the doses moved off each other's and the grid's times."""
    parameters = np.array([[p.value] for p in scenario.parameters.values()])
    bounds = {f.cmt: f for f in scenario.free}
    amount, time = [], []
    for number, dose in enumerate(scenario.doses):
        low, high = bounds[dose.cmt].amount if dose.cmt in bounds else (0.0, np.inf)
        amount.append(min(max(dose.amt * (1.0 + 0.03 * number), 1.1 * low), 0.9 * high))
        time.append(dose.time + 1.37 + 0.217 * number)
    duration = [dose.duration or 1.0 for dose in scenario.doses]
    return Point(parameters, *(np.array(rows)[:, None] for rows in (amount, time, duration)))


def sizes(scenario: Scenario, at: Point) -> Point:
    """What one unit of each scaled variable is worth: its value, or where that is 0 the declared unit (lane)."""
    return Point(*(np.where(rows == 0, 1.0, rows) for rows in at))


def steps(at: Point, size: Point) -> Point:
    """The step of each variable, in its own unit."""
    return Point(STEP * size.parameter, STEP * size.amount, np.full_like(at.time, TIME_STEP), STEP * size.duration)


def score(problem: Problem, at: Point, order: Any, rtol: float) -> jax.Array:
    """The objective of each lane, and the mean square of every limited signal relative to its limit."""
    design = problem.design
    z = []
    for entry, members in zip(design.free, design.members, strict=True):
        rows = np.array(members)
        for values, (low, high) in ((at.amount[rows], entry.amount), (at.time[rows], entry.time)):
            z.append((values - low) / (high - low))
    found = optimization.evaluate(design, lanes_at(problem, at), jnp.concatenate(z), order, rtol)
    return found.objective + jnp.sum(jnp.mean((1.0 + found.excess) ** 2, 1), 0)


def lanes_at(problem: Problem, at: Point) -> simulation.Lanes:
    values = dict(zip(problem.scenario.parameters, at.parameter, strict=True))
    wide = optimization.widen(problem.lanes, at.time.shape[1])
    return wide._replace(values=values, amount=at.amount, time=at.time, duration=at.duration)


def order_at(problem: Problem, at: Point) -> np.ndarray:
    """The order of the edges, with the times at which limits are looked at in their place."""
    design = problem.design
    z = np.concatenate(
        [
            (values[np.array(members)] - low) / (high - low)
            for entry, members in zip(design.free, design.members, strict=True)
            for values, (low, high) in ((at.amount, entry.amount), (at.time, entry.time))
        ]
    )
    return optimization.edge_order(design, lanes_at(problem, at), z)


def perturbed(at: Point, step: Point) -> Point:
    """Lanes in pairs: each variable in turn moved up, then each moved down."""
    flat, sizes = np.concatenate(at), np.concatenate(step)
    lanes = np.hstack([flat + np.diag(sizes[:, 0]), flat - np.diag(sizes[:, 0])])
    return Point(*np.split(lanes, np.cumsum([len(rows) for rows in at])[:-1]))


def check(scenario: Scenario) -> None:
    problem = optimization.problem_of(scenario, batch=1, varied=tuple(scenario.parameters))
    at = inside(scenario)
    size = sizes(scenario, at)
    step = steps(at, size)
    rtol = simulation.TIGHT
    import time
    t0 = time.time()

    gradient = jax.jit(jax.grad(lambda p, order: jnp.sum(score(problem, p, order, rtol))))(at, order_at(problem, at))
    exact = np.concatenate([np.asarray(g) * s for g, s in zip(gradient, size, strict=True)])[:, 0]
    t1 = time.time()
    print("grad", t1 - t0)
    lanes = perturbed(at, step)
    found = np.asarray(jax.jit(lambda p, order: score(problem, p, order, rtol))(lanes, order_at(problem, lanes)))
    print("cd", time.time() - t1)
    up, down = np.split(found, 2)
    ratio = np.concatenate([s / h for s, h in zip(size, step, strict=True)])[:, 0]
    central = (up - down) / 2.0 * ratio

    doses = [f"{d.cmt} {i}" for i, d in enumerate(scenario.doses)]
    names = [*scenario.parameters, *(f"{what} of {d}" for what in ("amount", "time", "duration") for d in doses)]
    assert np.isfinite(exact).all() and np.isfinite(central).all()
    assert np.abs(exact).max() > 0.01
    error = np.abs(exact - central) / np.abs(exact).max()
    worst = np.argsort(error)[::-1][:5]
    for i in worst: print(names[i], exact[i], central[i], error[i])
    assert error.max() < 1e-5, [(names[i], exact[i], central[i]) for i in worst]


def test_depot(library: Library) -> None:
    check(load("mouse-mc38-depot", library))
