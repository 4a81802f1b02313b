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
from nanomg.simulation import Lanes

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


def sizes(at: Point) -> Point:
    """What each component is multiplied by: its value (a log-scaled component), or where that is 0 the declared unit."""
    return Point(*(np.where(rows == 0, 1.0, rows) for rows in at))


def steps(at: Point, size: Point) -> Point:
    """The step of each variable, in its own unit."""
    return Point(STEP * size.parameter, STEP * size.amount, np.full_like(at.time, TIME_STEP), STEP * size.duration)


def lanes_at(problem: Problem, at: Point) -> Lanes:
    values = dict(zip(problem.scenario.parameters, at.parameter, strict=True))
    wide = optimization.widen(problem.lanes, at.time.shape[1])
    return wide._replace(values=values, amount=at.amount, time=at.time, duration=at.duration)


def variables_at(problem: Problem, at: Point) -> jax.Array:
    """The optimiser's variables (variable, lane) that stand for the free doses."""
    rows = []
    for entry, members in zip(problem.design.free, problem.design.members, strict=True):
        for values, (low, high) in ((at.amount, entry.amount), (at.time, entry.time)):
            rows.append((values[np.array(members)] - low) / (high - low))
    return jnp.concatenate(rows)


def score(problem: Problem, at: Point, order: Any) -> jax.Array:
    """The objective of each lane, and the mean square of every limited signal relative to its limit."""
    z = variables_at(problem, at)
    found = optimization.evaluate(problem.design, lanes_at(problem, at), z, order, simulation.TIGHT)
    return found.objective + jnp.sum(jnp.mean((1.0 + found.excess) ** 2, 1), 0)


def order_at(problem: Problem, at: Point) -> np.ndarray:
    return optimization.edge_order(problem.design, lanes_at(problem, at), variables_at(problem, at))


def perturbed(at: Point, step: Point) -> Point:
    """Lanes: each variable in turn moved up, then each moved down."""
    flat, moves = np.concatenate(at), np.diag(np.concatenate(step)[:, 0])
    lanes = np.hstack([flat + moves, flat - moves])
    return Point(*np.split(lanes, np.cumsum([len(rows) for rows in at])[:-1]))


def misfit(scenario: Scenario) -> dict[str, float]:
    """How far each component is from its central difference, relative to the largest; the worst five.

    Doses are held against the largest component of a dose, which is far smaller than that of a parameter.
    """
    problem = optimization.problem_of(scenario, batch=1, varied=tuple(scenario.parameters))
    at = inside(scenario)
    size = sizes(at)
    step = steps(at, size)
    worth = np.concatenate(size)[:, 0]

    gradient = jax.jit(jax.grad(lambda at, order: jnp.sum(score(problem, at, order))))(at, order_at(problem, at))
    exact = np.concatenate(gradient)[:, 0] * worth
    # all perturbed copies are lanes of one block: they share their steps, so that their differences are smooth
    lanes = perturbed(at, step)
    up, down = np.split(
        np.asarray(jax.jit(lambda at, order: score(problem, at, order))(lanes, order_at(problem, lanes))), 2
    )
    central = (up - down) / (2.0 * np.concatenate(step)[:, 0]) * worth

    doses = [f"{dose.cmt}, dose {number}" for number, dose in enumerate(scenario.doses)]
    names = [*scenario.parameters, *(f"{what} of {dose}" for what in ("amount", "time", "duration") for dose in doses)]
    assert np.isfinite(exact).all()
    # nothing is constant by mistake: nearly every parameter has a gradient
    of_parameters, of_doses = np.split(np.abs(exact), [len(scenario.parameters)])
    assert np.mean(of_parameters > 0.0) > 0.7
    assert of_parameters.max() > 0.01
    assert of_doses.max() > 1e-5
    largest = np.repeat([of_parameters.max(), of_doses.max()], [len(of_parameters), len(of_doses)])
    error = np.abs(exact - central) / largest
    return {names[i]: float(error[i]) for i in np.argsort(-error)[:5]}


QUICK = "human-nsclc-iv-mgso4"


def test_gradients_agree_with_central_differences(library: Library) -> None:
    worst = misfit(load(QUICK, library))
    assert max(worst.values()) < 1e-5, worst


@pytest.mark.slow
def test_gradients_agree_on_every_other_scenario(scenario: Scenario) -> None:
    if scenario.kind == "optimize" and scenario.name != QUICK:
        worst = misfit(scenario)
        assert max(worst.values()) < 1e-5, worst
