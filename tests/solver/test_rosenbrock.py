"""The methods of the solver: their order, and a chain whose rates span eight decades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.equations.model import Model
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.rosenbrock import METHODS, StepPoint, Tableau, step
from nanomg.solver.sparsity import structure_of

Values = Mapping[str, Any]


class Stiff(AbstractMechanism):
    """A chain whose rates span eight decades."""

    name = "stiff"
    states = {f"stiff.s{i}": Var("mg", "amount", "drug") for i in range(4)}

    fast: Scalar = param("1/h", "rate of the fast exchange")

    def initial(self, x: Values) -> dict[str, Any]:
        return {"stiff.s0": 1.0}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux("stiff.s0", "stiff.s1", self.fast * (x["stiff.s0"] - 0.5 * x["stiff.s1"]))
        yield Flux("stiff.s1", "stiff.s2", 1.0 * x["stiff.s1"])
        yield Flux("stiff.s2", "stiff.s3", 0.01 * self.fast * x["stiff.s2"])
        yield Flux("stiff.s3", None, 1e-3 * x["stiff.s3"])


class Predation(AbstractMechanism):
    """Lotka and Volterra: smooth, nonlinear, nothing special about it."""

    name = "lv"
    states = {"lv.prey": Var("1", "prey"), "lv.predator": Var("1", "predators")}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        prey, predator = x["lv.prey"], x["lv.predator"]
        yield Flux(None, "lv.prey", 1.5 * prey)
        yield Flux("lv.prey", None, prey * predator)
        yield Flux(None, "lv.predator", prey * predator)
        yield Flux("lv.predator", None, 3.0 * predator)


STIFF, LV = Model(Stiff), Model(Predation)


def fixed_steps(method: str, count: int) -> np.ndarray:
    """Lotka-Volterra over 3 h in equal steps."""
    tableau, structure = METHODS[method], structure_of(LV)
    none = np.zeros(0, int)
    empty = jnp.zeros((0, 1))

    def rates(rows: list[Any], forcing: Any, varied: Any) -> list[Any]:
        return LV.rates(dict(zip(LV.states, rows, strict=True)))

    def one(_: int, y: Any) -> Any:
        return step(tableau, structure, rates, none, StepPoint(y, jnp.full(1, 3.0 / count), empty, empty, empty))[0]

    return np.asarray(jax.jit(lambda y: jax.lax.fori_loop(0, count, one, y))(jnp.array([[1.0], [1.2]])))


@pytest.mark.parametrize(("method", "order"), [("rodas4", 4), ("rodas5p", 5)])
def test_the_order_of_a_method(method: str, order: int) -> None:
    exact = fixed_steps("rodas5p", 4096)
    errors = [np.abs(fixed_steps(method, count) - exact).max() for count in (32, 64, 128)]
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert (np.abs(slopes - order) < 0.4).all(), slopes


@pytest.mark.parametrize("method", METHODS)
def test_a_stiff_chain(method: str) -> None:
    plan = simulation_lanes.plan_for(STIFF, (), ("stiff.fast",), method=method)
    fast = np.array([1.0, 1e3, 1e6, 1e8])
    output = np.array([0.01, 1.0, 10.0, 1000.0])
    solved = simulation_lanes.run(
        plan, simulation_lanes.lanes_for(plan, {"stiff.fast": fast}, (), (), output, len(fast))
    )
    assert not np.asarray(solved.status).any()
    assert np.max(solved.accepted) < 800
    for lane, rate in enumerate(fast):
        J = np.array(
            [
                [-rate, 0.5 * rate, 0.0, 0.0],
                [rate, -0.5 * rate - 1.0, 0.0, 0.0],
                [0.0, 1.0, -0.01 * rate, 0.0],
                [0.0, 0.0, 0.01 * rate, -1e-3],
            ]
        )
        slow, vectors = np.linalg.eig(J)
        for t, y in zip(output, np.asarray(solved.y)[:, :, lane], strict=True):
            exact = (vectors @ (np.exp(slow * t) * np.linalg.solve(vectors, np.eye(4)[0]))).real
            np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-7 * np.abs(exact).max())


def _original(tableau: Tableau) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """alpha, beta = alpha + gamma, and the weights b of the form `k_i = h f(y + sum alpha k) + h J sum gamma k`."""
    gamma = np.linalg.inv(np.eye(len(tableau.m)) / tableau.g - tableau.C)
    alpha = tableau.A @ gamma
    return alpha, alpha + gamma, tableau.m @ gamma


@pytest.mark.parametrize("method", METHODS)
def test_the_conditions_of_order_four_hold_to_rounding(method: str) -> None:
    """Hairer and Wanner, IV.7 (ordinary) and VI.4 (differential-algebraic); digits as published leave 4e-10 of rodas4."""
    alpha, beta, b = _original(METHODS[method])
    a, ones = alpha.sum(1), np.ones(len(b))
    omega = np.linalg.inv(beta)
    conditions = {
        "weights": (b @ ones, 1),
        "second": (b @ beta @ ones, 1 / 2),
        "third, squares": (b @ a**2, 1 / 3),
        "third": (b @ beta @ beta @ ones, 1 / 6),
        "fourth, cubes": (b @ a**3, 1 / 4),
        "fourth, mixed": (b @ (a * (alpha @ beta @ ones)), 1 / 8),
        "fourth, inner squares": (b @ beta @ a**2, 1 / 12),
        "fourth": (b @ beta @ beta @ beta @ ones, 1 / 24),
        "algebraic": (b @ omega @ a**2, 1),
    }
    for name, (value, right) in conditions.items():
        assert value == pytest.approx(right, abs=3e-14), name
