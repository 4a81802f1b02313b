"""The sparse linear algebra against dense: the pattern, the entries, factor and solve, on shipped and on random models."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Port, Var
from nanomg.equations.model import Model
from nanomg.library import scenario, scenario_file
from nanomg.models import library
from nanomg.simulation.plan import channels
from nanomg.solver import sparsity

SHIPPED = (  # a carrier by vein and into the tumour, another carrier, small models
    "human-nsclc-iv",
    "mouse-mc38-depot",
    "mouse-mc38-lnp",
    "textbook-1cpt",
    "textbook-3cpt",
)
BATCH = 5
EPSILON = np.finfo(float).eps


@functools.cache
def shipped(name: str) -> scenario.Scenario:
    return scenario_file.load(name, library())


def around(name: str) -> tuple[Model, dict[str, Any], np.ndarray]:
    """The model, its values and states (state, batch) somewhere near the initial ones, with doses in them."""
    loaded = shipped(name)
    model = loaded.model
    x = model.derive(loaded.values)
    x.update({n: var.default for n, var in model.inputs.items()})
    start = np.array([float(v) for v in model.initial(x)])
    random = np.random.default_rng(1)
    for row in channels(model, tuple(d.cmt for d in loaded.doses)):
        start[row] += 1.0
    others = 0.1 * random.random((len(start), BATCH))
    return model, x, start[:, None] * np.exp(0.3 * random.standard_normal(others.shape)) + others


def rates_of(model: Model, x: Mapping[str, Any]) -> Any:
    def rates(rows: Any) -> list[Any]:
        found = model.rates({**x, **dict(zip(model.states, rows, strict=True))})
        return [jnp.broadcast_to(r, jnp.shape(rows[0])) for r in found]

    return rates


@pytest.mark.parametrize("name", SHIPPED)
def test_the_pattern_holds_every_entry_that_differences_find(name: str) -> None:
    model, x, y = around(name)
    n = len(model.states)
    rates = jax.jit(lambda rows: jnp.stack(rates_of(model, x)(list(rows))))
    known = set(sparsity.pattern(model))
    for lane in range(2):
        here = y[:, lane]
        steps = np.diag(1e-4 * np.abs(here) + 1e-6)
        forward, back = (np.asarray(rates(here[:, None] + sign * steps)) for sign in (1.0, -1.0))
        slopes = (forward - back) / (2 * np.diag(steps))
        noise = 1e3 * EPSILON * np.maximum(np.abs(forward), np.abs(back)) / np.diag(steps)
        found = {(i, j) for i in range(n) for j in range(n) if abs(slopes[i, j]) > noise[i, j]}
        assert found <= known
        assert len(found) > 0.6 * len(known)  # and it is no dense pattern


@pytest.mark.parametrize("name", SHIPPED)
def test_entries_are_those_of_the_dense_jacobian(name: str) -> None:
    model, x, y = around(name)
    structure = sparsity.structure_of(model)
    rates = rates_of(model, x)
    entries = jax.jit(lambda rows: jnp.stack(structure.jacobian(rates, list(rows))))(y)
    dense = jax.jit(jax.vmap(jax.jacfwd(lambda row: jnp.stack(rates(list(row)))), 1, 2))(y)
    filled = np.zeros_like(dense)
    filled[structure.rows, structure.columns] = entries
    np.testing.assert_allclose(filled, dense, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", SHIPPED)
def test_columns_of_a_colour_share_no_row(name: str) -> None:
    structure = sparsity.structure_of(shipped(name).model)
    assert sorted(j for group in structure.groups for j in group) == list(range(structure.n))
    for group in structure.groups:
        rows = structure.rows[np.isin(structure.columns, group)]
        assert len(set(rows)) == len(rows)
    assert len(structure.groups) < structure.n or name.startswith("textbook")


def linear(n: int, edges: frozenset[tuple[int, int]]) -> type[AbstractMechanism]:
    """A mechanism of `n` states with a flux along every edge."""

    class Linear(AbstractMechanism):
        """First-order moves between numbered states."""

        name = "linear"
        states = {f"linear.s{i}": Var("mg", "amount") for i in range(n)}
        ports = {"linear.first": Port("mg", "dose", {"linear.s0": 1.0})}

        def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
            for i, j in sorted(edges):
                yield Flux(f"linear.s{i}", f"linear.s{j}", 0.1 * x[f"linear.s{i}"])

    return Linear


def random_model(seed: int) -> Model:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 16))
    count = int(random.integers(0, 3 * n + 1))
    edges = {(int(i), int(j)) for i, j in random.integers(0, n, (count, 2)) if i != j}
    return Model(linear(n, frozenset(edges)))


MODELS: dict[str, Callable[[], Model]] = {
    **{name: functools.partial(lambda name: shipped(name).model, name) for name in SHIPPED},
    **{f"random {seed}": functools.partial(random_model, seed) for seed in range(8)},
    "nothing happens": lambda: Model(linear(3, frozenset())),
    "dense": lambda: Model(linear(7, frozenset((i, j) for i in range(7) for j in range(7) if i != j))),
    "chain": lambda: Model(linear(12, frozenset((i, i + 1) for i in range(11)))),
    "star": lambda: Model(linear(12, frozenset((0, i) for i in range(1, 12)) | {(i, 0) for i in range(1, 12)})),
}


@pytest.mark.parametrize("name", MODELS)
def test_factor_and_solve_equal_dense_algebra(name: str) -> None:
    structure = sparsity.structure_of(MODELS[name]())
    n, random = structure.n, np.random.default_rng(2)
    A = np.zeros((n, n, BATCH))
    entries = random.standard_normal((len(structure.rows), BATCH)) * 10.0 ** random.uniform(-3, 2, (1, BATCH))
    A[structure.rows, structure.columns] = entries
    # diagonal pivots need what a Jacobian of transfers has: what leaves a state is at least what the others take up
    for i in structure.columns[structure.rows == structure.columns]:
        A[i, i] = -np.abs(A[:, i]).sum(0)
    entries = A[structure.rows, structure.columns]
    b = random.standard_normal((n, BATCH))
    V = structure.factor(jnp.asarray(entries))
    for transposed in (False, True):
        found = np.asarray(structure.solve(V, jnp.asarray(b), transposed))
        for lane in range(BATCH):
            matrix = np.eye(n) - A[:, :, lane]
            expected = np.linalg.solve(matrix.T if transposed else matrix, b[:, lane])
            tolerance = 1e-14 * np.linalg.cond(matrix) * np.abs(expected).max()
            np.testing.assert_allclose(found[:, lane], expected, rtol=1e-11, atol=tolerance)


def test_other_chunk_sizes_solve_the_same() -> None:
    model = random_model(3)
    random = np.random.default_rng(3)
    usual = sparsity.structure_of(model)
    entries = jnp.asarray(-0.1 * random.random((len(usual.rows), 2)))
    b = jnp.asarray(random.standard_normal((usual.n, 2)))
    expected = usual.solve(usual.factor(entries), b)
    for substitution, elimination in (((1, 1), (1, 1)), ((8, 1), (2, 5)), ((2, 9), (20, 3))):
        other = sparsity.structure_of(model, substitution, elimination)
        np.testing.assert_allclose(other.solve(other.factor(entries), b), expected, rtol=1e-12)


def test_dependencies_follow_calls_and_constants() -> None:
    def function(a: Any, b: Any, c: Any) -> Any:
        return jax.jit(lambda p, q: (p * 2.0, p + q))(a, b), jnp.sin(c), 3.0

    jaxpr = jax.make_jaxpr(function)(1.0, 1.0, 1.0).jaxpr
    found = sparsity.dependencies(jaxpr, [frozenset([i]) for i in range(3)])
    assert [sorted(f) for f in found] == [[0], [0, 1], [2], []]


def test_a_linear_function_along_some_of_its_arguments() -> None:
    def function(a: Any, b: Any, c: Any) -> list[Any]:
        twice, sum_ = jax.jit(lambda p, q: (p * 2.0, p + q))(a, b)
        return [twice, sum_ - 3.0 * c, 4.0 * c, jnp.zeros(2)]

    linear = jax.make_jaxpr(function)(*np.ones((3, 2)))
    one = jnp.array([1.0, 5.0])
    called = lambda moves: "jit" in str(jax.make_jaxpr(lambda: sparsity.along(linear, moves))())
    for moves in ({0: one}, {1: one}, {2: one}, {0: one, 2: 3.0 * one}, {}):
        full = [moves.get(i, jnp.zeros(2)) for i in range(3)]
        np.testing.assert_array_equal(sparsity.along(linear, moves), function(*full))
    assert called({0: one}) and not called({2: one})
