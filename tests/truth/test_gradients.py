"""Gradients of objective, limits and outputs agree with central differences, for every dose, dose time and parameter."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.library.card import Card
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import load
from nanomg.models import library as read_library
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes

STEP = 5e-4  # of the logarithm of a value
TIME_STEP = 0.003  # [h]
SHIPPED = read_library()


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


@functools.cache
def cards() -> tuple[Card, ...]:
    return tuple(SHIPPED.card(name) for name in SHIPPED.cards)


def elsewhere(name: str, unit: str) -> float:
    """The largest value that a shipped card gives a parameter; 1 where none does."""
    return max((c.parameters[name].to(unit).value for c in cards() if name in c.parameters), default=0.0) or 1.0


def sizes(scenario: Scenario, at: Point) -> Point:
    """What each component is multiplied by: its value (a log-scaled component), or where that is 0 what it is elsewhere."""
    typical = np.array([[elsewhere(name, p.unit)] for name, p in scenario.parameters.items()])
    parameters = np.where(at.parameter == 0, typical, at.parameter)
    return Point(parameters, *(np.where(rows == 0, 1.0, rows) for rows in at[1:]))


def steps(at: Point, size: Point) -> Point:
    """The step of each variable, in its own unit."""
    return Point(STEP * size.parameter, STEP * size.amount, np.full_like(at.time, TIME_STEP), STEP * size.duration)


class Score(NamedTuple):
    """A number for each lane as a function of a point and of the order of its edges, and that order."""

    value: Callable[[Point, Any], jax.Array]
    order: Callable[[Point], np.ndarray]


def moved(lanes: Lanes, scenario: Scenario, at: Point) -> Lanes:
    values = dict(zip(scenario.parameters, at.parameter, strict=True))
    wide = optimize_problem.widen(lanes, at.parameter.shape[1])
    return wide._replace(values=values, amount=at.amount, time=at.time, duration=at.duration)


def searched(scenario: Scenario) -> Score:
    """The objective, and the mean square of every limited signal relative to its limit."""
    problem = optimize_problem.problem_of(scenario, batch=1, varied=tuple(scenario.parameters))

    def variables(at: Point) -> jax.Array:
        rows = []
        for entry, members in zip(problem.design.free, problem.design.members, strict=True):
            for values, (low, high) in ((at.amount, entry.amount), (at.time, entry.time)):
                rows.append((values[np.array(members)] - low) / (high - low))
        return jnp.concatenate(rows)

    def value(at: Point, order: Any) -> jax.Array:
        lanes = moved(problem.lanes, scenario, at)
        found = optimize_problem.evaluate(problem.design, lanes, variables(at), order, simulation_lanes.TIGHT)
        return found.objective + jnp.sum(jnp.mean((1.0 + found.excess) ** 2, 1), 0)

    return Score(
        value, lambda at: optimize_problem.edge_order(problem.design, moved(problem.lanes, scenario, at), variables(at))
    )


def looked_at(scenario: Scenario) -> Score:
    """Where nothing is searched for: the mean square of the outputs, each relative to its size."""
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, tuple(scenario.parameters))
    times = np.arange(0.0, scenario.horizon + 1e-9, max(scenario.every, scenario.horizon / 30.0))
    base = simulation_lanes.lanes_for(plan, scenario.values, scenario.doses, scenario.windows, times)

    def value(at: Point, order: Any) -> jax.Array:
        lanes = moved(base, scenario, at)
        solved = simulation_lanes.trajectory(plan, lanes, order, simulation_lanes.TIGHT)
        x = simulation_lanes.observables(plan.model, lanes.values, solved.y, solved.forcing)
        rows = [jnp.broadcast_to(x[name], solved.y[:, 0].shape) for name in scenario.outputs]
        return sum(jnp.mean((row / size) ** 2, 0) for row, size in zip(rows, sizes_seen, strict=True))

    solved = simulation_lanes.run(plan, base)
    seen = simulation_lanes.observe(plan, base, solved, list(scenario.outputs))
    sizes_seen = [np.abs(rows).max() or 1.0 for rows in seen.values()]
    return Score(value, lambda at: simulation_lanes.edge_order(plan, moved(base, scenario, at)))


def perturbed(at: Point, step: Point) -> Point:
    """Lanes: each variable in turn moved up, then each moved down."""
    flat, moves = np.concatenate(at), np.diag(np.concatenate(step)[:, 0])
    lanes = np.hstack([flat + moves, flat - moves])
    return Point(*np.split(lanes, np.cumsum([len(rows) for rows in at])[:-1]))


def misfit(scenario: Scenario) -> dict[str, float]:
    """How far each component is from its central difference, relative to the largest; the worst five.

    Doses are held against the largest component of a dose, which is far smaller than that of a parameter.
    """
    # an objective is infinite at impossible values, which are next to parameters of 0: those of ports that a textbook leaves alone
    many = scenario.kind == "optimize" and len(scenario.doses) > 1
    score = searched(scenario) if many else looked_at(scenario)
    at = inside(scenario)
    size = sizes(scenario, at)
    step = steps(at, size)
    worth = np.concatenate(size)[:, 0]

    gradient = jax.jit(jax.grad(lambda at, order: jnp.sum(score.value(at, order))))(at, score.order(at))
    exact = np.concatenate(gradient)[:, 0] * worth
    # all perturbed copies are lanes of one block: they share their steps, so that their differences are smooth
    lanes = perturbed(at, step)
    up, down = np.split(np.asarray(jax.jit(score.value)(lanes, score.order(lanes))), 2)
    central = (up - down) / (2.0 * np.concatenate(step)[:, 0]) * worth

    doses = [f"{dose.cmt}, dose {number}" for number, dose in enumerate(scenario.doses)]
    names = [*scenario.parameters, *(f"{what} of {dose}" for what in ("amount", "time", "duration") for dose in doses)]
    assert np.isfinite(exact).all()
    # nothing is constant by mistake: most parameters have a gradient, all but those of ports that take no dose
    of_parameters, of_doses = np.split(np.abs(exact), [len(scenario.parameters)])
    assert np.mean(of_parameters > 0.0) > (0.7 if many else 0.3)
    assert of_parameters.max() > 0.01
    assert not doses or of_doses.max() > 1e-5
    largest = np.repeat([of_parameters.max(), of_doses.max(initial=1.0)], [len(of_parameters), len(of_doses)])
    error = np.abs(exact - central) / largest
    return {names[i]: float(error[i]) for i in np.argsort(-error)[:5]}


QUICK = "human-nsclc-iv-mgso4"


def test_gradients_agree_with_central_differences(library: Library) -> None:
    worst = misfit(load(QUICK, library))
    assert max(worst.values()) < 1e-5, worst


@pytest.mark.slow
def test_gradients_agree_wherever_a_mechanism_takes_part(covering: Scenario) -> None:
    worst = misfit(covering)
    assert max(worst.values()) < 1e-5, worst
