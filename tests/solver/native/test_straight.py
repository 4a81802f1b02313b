"""The functions of every shipped model against JAX: rates, Jacobian entries, LU factors and substitution."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from machine_code import Case, room

from nanomg.library import scenario_file
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.solver.sparsity import structure_of


@pytest.fixture(scope="module")
def case(scenario: Scenario) -> Case:
    return Case(scenario)


def test_values_that_change_between_intervals_belong_to_the_forcing(library: Library) -> None:
    loaded = scenario_file.load("human-mg28", library)
    timed = tuple(loaded.model.parameters)[:20:3]
    case = Case(loaded, timed)
    assert case.equations.forcing == len(loaded.model.inputs) + len(timed)
    assert not set(timed) & set(case.equations.values)
    for factor in (1.0, 1.7):  # a new forcing needs no new subject
        case.u *= factor
        case.call("forcing", case.u, case.inv)
        case.call("rates", case.y, case.inv, case.inflow, case.f)
        want = np.array(case.rates([jnp.asarray(v) for v in case.y], case.u, case.p))
        want[case.rows] += case.inflow[: len(case.rows)]
        np.testing.assert_allclose(case.f, want, rtol=1e-11, atol=1e-14 * np.abs(want).max())


def dense(case: Case, entries: np.ndarray) -> np.ndarray:
    """(lane, row, column)."""
    matrix = np.zeros((case.form.width, case.straight.states, case.straight.states))
    matrix[:, case.equations.rows, case.equations.columns] = entries.T
    return matrix


def test_rates_entries_and_linear_solves_are_those_of_jax(case: Case) -> None:
    structure = structure_of(case.scenario.model)
    assert case.equations.rows == tuple(structure.rows) and case.equations.columns == tuple(structure.columns)

    case.call("rates", case.y, case.inv, case.inflow, case.f)
    want = np.array(case.rates([jnp.asarray(v) for v in case.y], case.u, case.p))
    want[case.rows] += case.inflow[: len(case.rows)]
    entries = case.jacobian()
    J = dense(case, entries)
    # a rate is a sum: its error is one of its terms
    terms = np.einsum("lij,jl->il", np.abs(J), np.abs(case.y)) + np.abs(want)
    assert (np.abs(case.f - want) <= 1e-12 * terms).all()

    rates = case.f.copy()
    case.call("jacobian", case.y, case.inv, case.inflow, case.f, case.E)
    assert (np.abs(case.f - rates) <= 1e-13 * terms).all()
    found = np.array([entry_of(case, node) for node in case.equations.entries])
    equations = case.equations  # an entry that is a small difference has the error of what it adds to the rate
    noise = terms[list(equations.rows)] / np.abs(case.y)[list(equations.columns)]
    assert (np.abs(found - entries) <= 1e-12 * np.abs(entries) + 1e-13 * noise).all()

    hg = np.geomspace(1e-5, 0.1, case.form.width)
    step = room(case.form, 1, hg)
    case.call("factor", case.E, case.inv, step, case.L)
    random = np.random.default_rng(0)
    b = random.standard_normal(case.b.shape) * (np.abs(case.y) + 1e-3)
    case.b[:] = b
    case.call("solve", case.L, step, case.f, case.b)
    b = b + hg * case.f
    A = np.eye(case.straight.states) - hg[:, None, None] * J
    residual = np.einsum("lij,jl->il", A, case.b) - b
    size = np.einsum("lij,jl->il", np.abs(A), np.abs(case.b)) + np.abs(b)
    assert (np.abs(residual) <= 1e-12 * size).all()


def entry_of(case: Case, node: int) -> np.ndarray:
    """An entry's values from wherever they are kept."""
    g, places = case.equations.graph, case.straight.places
    bare, negative = g.without_sign(node)
    number = g.value(bare)
    if number is not None:
        values = np.full(case.form.width, number)
    else:
        values = case.E[places.live[bare]] if bare in places.live else case.inv[places.invariants[bare]]
    return -values if negative else values
