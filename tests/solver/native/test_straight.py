"""The functions of every shipped model against JAX: rates, Jacobian entries, LU factors and substitution."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from machine_code import Library, room, shared_call

from nanomg.library.scenario import Scenario
from nanomg.simulation.plan import channels
from nanomg.solver.native.graph import equations_of
from nanomg.solver.native.ir import Format, Module
from nanomg.solver.native.straight import Straight, straight_of
from nanomg.solver.sparsity import structure_of

FORM = Format("double", 4)
NAMES = ("subject", "forcing", "rates", "jacobian", "factor", "solve")


@dataclasses.dataclass
class Case:
    """A model at random states and values, one per lane, and its compiled functions."""

    scenario: Scenario
    timed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        model = self.scenario.model
        self.rows = list(channels(model, [d.cmt for d in self.scenario.doses])) or [0]
        self.equations = equations_of(model, self.timed)
        module = Module(FORM)
        self.straight: Straight = straight_of(module, self.equations, self.rows)
        for name in NAMES:
            shared_call(module, getattr(self.straight, name), f"call_{name}")
        self.library = Library(module.text)
        random = np.random.default_rng(len(model.states))
        lanes = FORM.width

        def spread(values: Any) -> np.ndarray:
            values = np.array([float(v) for v in values]).reshape(-1, 1)
            return values * np.exp(0.1 * random.standard_normal((len(values), lanes)))

        x = model.derive(self.scenario.values)
        x.update({n: var.default for n, var in model.inputs.items()})
        start = np.array([float(v) for v in model.initial(x)])[:, None]
        states = len(start)
        y = start * np.exp(0.3 * random.standard_normal((states, lanes))) + 0.1 * random.random((states, lanes))
        forced = (*model.inputs, *self.timed)
        self.y = room(FORM, states, y)
        self.u = room(FORM, len(forced), spread([x[n] for n in forced]))
        self.p = room(FORM, len(self.equations.values), spread([x[n] for n in self.equations.values]))
        self.inflow = room(FORM, len(self.rows), random.random((len(self.rows), lanes)))
        sizes = ("invariants", "states", "live", "slots", "states")
        self.inv, self.f, self.E, self.L, self.b = (room(FORM, getattr(self.straight, size)) for size in sizes)
        self.call("subject", self.p, self.inv)
        self.call("forcing", self.u, self.inv)

    def call(self, name: str, *arrays: np.ndarray) -> None:
        self.library.call(f"call_{name}", *arrays)

    def rates(self, y: list[Any], u: Any, p: Any) -> list[jax.Array]:
        """By JAX, without inflow."""
        model = self.scenario.model
        x = dict(zip((*model.inputs, *self.timed), u, strict=False)) | dict(zip(self.equations.values, p, strict=False))
        x |= dict(zip(model.states, y, strict=True))
        return [jnp.broadcast_to(jnp.asarray(r), jnp.shape(y[0])) for r in model.rates(x)]

    def jacobian(self) -> np.ndarray:
        """By JAX: (entry, lane)."""
        structure = structure_of(self.scenario.model)
        entries = structure.jacobian(lambda rows: self.rates(rows, self.u, self.p), [jnp.asarray(v) for v in self.y])
        return np.stack([np.broadcast_to(np.asarray(v), FORM.width) for v in entries])


@pytest.fixture(scope="module")
def case(scenario: Scenario) -> Case:
    return Case(scenario)


def dense(case: Case, entries: np.ndarray) -> np.ndarray:
    """(lane, row, column)."""
    matrix = np.zeros((FORM.width, case.straight.states, case.straight.states))
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

    hg = np.geomspace(1e-5, 0.1, FORM.width)
    step = room(FORM, 1, hg)
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
        values = np.full(FORM.width, number)
    else:
        values = case.E[places.live[bare]] if bare in places.live else case.inv[places.invariants[bare]]
    return -values if negative else values
