"""Machine code against JAX, lane by lane, on every model that is shipped; and JAX's own program for graphics processors."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes, Plan, Trajectory
from nanomg.solver import engine
from nanomg.solver.status import Status

LANES, RTOL = 5, 1e-9
_LEAST = 1e-6  # of a state's unit: what is smaller everywhere is rounding
LIBRARY = library()


def prepared(name: str, method: str = "rodas5p", precision: str = "float64") -> tuple[Plan, Lanes]:
    """Lanes of a scenario that differ in three parameters, at its own output times."""
    scenario = scenario_file.load(name, LIBRARY)
    varied = [n for n, value in scenario.values.items() if value > 0][:3]
    factors = np.random.default_rng(0).lognormal(0.0, 0.2, (len(varied), LANES))
    values = {**scenario.values, **{n: scenario.values[n] * f for n, f in zip(varied, factors, strict=True)}}
    plan = simulation_lanes.plan_for(
        scenario.model, scenario.doses, varied, method=method, precision=precision, engine=engine.NATIVE
    )
    times = simulation_lanes.output_times(scenario.horizon, scenario.horizon / 14, scenario.doses)
    return plan, simulation_lanes.lanes_for(plan, values, scenario.doses, scenario.windows, times, LANES)


def solved_by_both(plan: Plan, lanes: Lanes, rtol: float, close: float) -> tuple[Trajectory, Trajectory]:
    """By machine code and by JAX, whose states agree within `close` of their peak in the lane, or of a size that matters."""
    found, expected = (simulation_lanes.solve_block(plan._replace(engine=name), lanes, rtol) for name in engine.ENGINES)
    assert not found.status.any() and not np.asarray(expected.status).any()
    y = np.asarray(expected.y)
    peak = np.maximum(np.abs(y).max(0), _LEAST)
    assert (np.abs(found.y - y) / peak).max() <= close
    return found, expected


@pytest.mark.slow
def test_every_model(scenario: Scenario) -> None:
    solved_by_both(*prepared(scenario.name), RTOL, 1e-9)


@pytest.mark.parametrize("method", ["rodas4", "rodas5p"])
def test_both_methods_take_the_same_steps(method: str) -> None:
    found, expected = solved_by_both(*prepared("human-mgso4", method), 1e-6, 1e-10)
    np.testing.assert_array_equal(found.accepted, np.asarray(expected.accepted))
    np.testing.assert_array_equal(found.rejected, np.asarray(expected.rejected))


def test_lanes_do_not_know_their_neighbours() -> None:
    """Bit for bit the same by itself, with others, and in another order."""
    plan, lanes = prepared("human-mgso4")
    whole = simulation_lanes.solve_block(plan, lanes, 1e-6)
    for order in ([3], [4, 2, 0], [1, 1, 0, 4, 3, 2, 2, 1, 0, 3, 4]):
        some = simulation_lanes.solve_block(plan, simulation_lanes.some_of(lanes, np.array(order)), 1e-6)
        np.testing.assert_array_equal(some.y, whole.y[..., order])
        np.testing.assert_array_equal(some.accepted, whole.accepted[order])


@pytest.mark.parametrize("max_steps", [1, 7, 40])
def test_too_few_steps_are_said_by_both(max_steps: int) -> None:
    plan, lanes = prepared("textbook-2cpt")
    plan = plan._replace(max_steps=max_steps)
    found, expected = (simulation_lanes.solve_block(plan._replace(engine=name), lanes, 1e-6) for name in engine.ENGINES)
    assert (found.status == Status.TOO_MANY_STEPS).all()
    np.testing.assert_array_equal(found.status, np.asarray(expected.status))
    np.testing.assert_array_equal(found.accepted + found.rejected, max_steps)
    np.testing.assert_array_equal(np.isnan(found.y), np.isnan(np.asarray(expected.y)))
    np.testing.assert_allclose(found.stop.time, expected.stop.time, rtol=1e-9)
    np.testing.assert_allclose(found.stop.y, expected.stop.y, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- graphics processors
def _lowered(function: Any, *arguments: Any) -> int:
    """Bytes of the program for CUDA: made, not run, and so without such a device."""
    return len(export.export(jax.jit(function), platforms=["cuda"])(*arguments).mlir_module_serialized)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_solve_and_its_gradient_have_a_program_for_cuda(precision: str) -> None:
    plan, lanes = prepared("textbook-2cpt", precision=precision)
    plan = plan._replace(engine=engine.JAX)
    order = jnp.asarray(simulation_lanes.edge_order(plan, lanes))
    solve = functools.partial(simulation_lanes.trajectory, plan)
    assert _lowered(solve, lanes._replace(order=None), order, 1e-6) > 10_000

    def total(amount: Any) -> Any:
        return jnp.sum(solve(lanes._replace(order=None, amount=amount), order, 1e-6).y)

    assert _lowered(jax.grad(total), lanes.amount) > 10_000


@pytest.mark.slow
def test_the_largest_model_has_a_program_for_cuda() -> None:
    plan, lanes = prepared("mouse-mc38-depot")
    plan = plan._replace(engine=engine.JAX)
    order = jnp.asarray(simulation_lanes.edge_order(plan, lanes))
    solve = functools.partial(simulation_lanes.trajectory, plan)
    assert _lowered(solve, lanes._replace(order=None), order, 1e-6) > 100_000
