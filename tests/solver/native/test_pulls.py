"""What takes cotangents back, of every shipped model, against JAX's vjp of the rates and of the Jacobian entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from machine_code import Case, Compiled, room
from scalar_operations import ONE, TWO

from nanomg.library.scenario import Scenario
from nanomg.solver.native.pulls import Pulls
from nanomg.solver.sparsity import structure_of

CALM = np.array([[0.3, 0.8, 1.7, 2.6], [1.4, -0.6, 0.35, -2.2]])  # nothing jumps or has a kink here


@pytest.mark.parametrize("letter", "puy")
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_derivatives_of_operations_are_those_of_jax(name: str, letter: str) -> None:
    operation = (lambda x, y: ONE[name](x) * y) if name in ONE else TWO[name]
    compiled = Compiled(Case.form, lambda x, y: [operation(x, y), 3 * x * y], f"{letter}y", pulls=True)
    for x, y in (CALM, CALM[::-1], -CALM):
        want = np.array([jax.vmap(jax.grad(operation, i))(x, y) for i in range(2)])
        found = compiled.cotangents([x, y], [[2.0] * 4, [0.5] * 4])
        np.testing.assert_allclose(found, 2 * want + 1.5 * np.array([y, x]), rtol=1e-13, atol=1e-14)


def test_a_branch_that_is_not_taken_has_no_cotangent() -> None:
    """Also where its derivative is infinite or none."""
    safe = lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0) + x**1.5
    compiled = Compiled(Case.form, lambda x: [safe(x)], "y", pulls=True)
    x = np.array([0.0, 1.0, 4.0, 0.25])
    np.testing.assert_allclose(compiled.cotangents([x], 1.0), jax.vmap(jax.grad(safe))(x)[None], rtol=1e-14)


def test_derivatives_that_a_function_brings_along_are_taken() -> None:
    """The derivative of x log y by x at x = 0 is log y: not that of the 0 which is chosen there."""
    xlogy = lambda x, y: jnp.exp(jax.scipy.special.xlogy(x, y))
    compiled = Compiled(Case.form, lambda x, y: [xlogy(x, y)], "yp", pulls=True)
    x, y = np.array([0.0, 1.0, 2.0, 0.0]), np.array([2.0, 3.0, 0.5, 4.0])
    np.testing.assert_allclose(compiled(x, y), [xlogy(x, y)], rtol=1e-14)
    want = [jax.vmap(jax.grad(xlogy, i))(x, y) for i in range(2)]
    np.testing.assert_allclose(compiled.cotangents([x, y], 1.0), want, rtol=1e-14)


def varied_of(scenario: Scenario) -> tuple[str, ...]:
    """Every third parameter and constant: some differentiated, some not."""
    model = scenario.model
    return tuple([*model.parameters, *model.constants][::3])


@pytest.fixture(scope="module")
def case(scenario: Scenario) -> Case:
    return Case(scenario, varied=varied_of(scenario))


class Bars:
    """Arrays of cotangents that functions add to, and what the two outside the loop make of them."""

    def __init__(self, case: Case):
        assert case.pulls is not None
        self.case, self.pulls = case, case.pulls
        sizes = case.straight.states, self.pulls.held, case.equations.forcing, self.pulls.varied
        self.y, self.held, self.u, self.p = (room(case.form, size) for size in sizes)

    def results(self) -> list[np.ndarray]:
        case = self.case
        for _ in range(2):  # the second time adds nothing
            case.call("pull_forcing", case.p, case.u, case.inv, self.held, self.u)
            case.call("pull_subject", case.p, case.inv, self.held, self.p)
        assert not self.held.any() or not self.pulls.held
        rows = case.straight.states, case.equations.forcing, self.pulls.varied
        return [a[:n] for a, n in zip((self.y, self.u, self.p), rows, strict=True)]


Row = list[Any]
Back = Callable[[np.ndarray], list[np.ndarray]]


def back_by_jax(case: Case, function: Callable[[Row, Row, Row], Row]) -> Back:
    """Cotangents of states, forcing and varied values for those of the results."""
    values = dict(zip(case.equations.values, map(jnp.asarray, case.p), strict=False))
    y, u = ([jnp.asarray(v) for v in a] for a in (case.y, case.u[: case.equations.forcing]))

    def along(y: Row, u: Row, p: Row) -> Row:
        return function(y, u, list({**values, **dict(zip(case.varied, p, strict=True))}.values()))

    pull = jax.vjp(along, y, u, [values[n] for n in case.varied])[1]
    return lambda bars: [np.array(bar).reshape(-1, case.form.width) for bar in pull([jnp.asarray(b) for b in bars])]


def assert_equal(case: Case, name: str, count: int, back: Back, tolerance: float) -> None:
    random = np.random.default_rng(3)
    form = case.form
    bar = room(form, count, random.standard_normal((count, form.width)))
    bars = Bars(case)
    for _ in range(2):
        case.call(f"pull_{name}", case.y, case.inv, bar, bars.y, bars.held)
    want = back(bar[:count])
    # a cotangent is a sum, and its error one of its terms: the size of sums of the same terms with other signs
    others = [back(bar[:count] * sign) for sign in random.choice([-1, 1], (8, count, 1))]
    for found, expected, *like in zip(bars.results(), want, *others, strict=True):
        size = np.max(np.abs([expected, *like]), 0)
        assert found.shape == expected.shape
        # where terms as large as the largest cotangent cancel, what is left has their rounding
        rounding = 16 * np.finfo(float).eps * size.max(0, initial=0.0)
        np.testing.assert_array_less(np.abs(found / 2 - expected), tolerance * size + rounding + 1e-300)


def test_cotangents_of_the_rates_are_those_of_jax(case: Case) -> None:
    assert_equal(case, "rates", case.straight.states, back_by_jax(case, case.rates), 1e-12)


def test_cotangents_of_the_entries_are_those_of_jax(covering: Scenario) -> None:
    case = Case(covering, varied=varied_of(covering))
    structure = structure_of(covering.model)

    def entries(y: Row, u: Row, p: Row) -> Row:
        found = structure.jacobian(lambda rows: case.rates(rows, u, p), y)
        return [jnp.broadcast_to(v, y[0].shape) for v in found]

    # second derivatives are small differences more often
    assert_equal(case, "entries", len(case.equations.entries), back_by_jax(case, entries), 1e-11)


def test_the_adjoint_of_the_linear_solve(case: Case) -> None:
    """b . solve(a) = solve_transposed(b) . a, and the two sums of products of the entries."""
    random = np.random.default_rng(4)
    form, states = case.form, case.straight.states
    pulls: Pulls | None = case.pulls
    assert pulls is not None
    hg = room(form, 1, np.geomspace(1e-5, 0.01, form.width))
    case.call("jacobian", case.y, case.inv, case.inflow, case.f, case.E)
    case.call("factor", case.E, case.inv, hg, case.L)
    a, b = (random.standard_normal((states, form.width)) for _ in range(2))
    forward, back, none = room(form, states, a), room(form, states, b), room(form, states)
    case.call("solve", case.L, hg, none, forward)
    case.call("solve_transposed", case.L, back)
    left, right = (b * forward).sum(0), (back * a).sum(0)
    assert (np.abs(left - right) <= 1e-11 * (np.abs(b * forward).sum(0) + np.abs(back * a).sum(0))).all()

    count = pulls.pattern
    rows, columns = list(case.equations.rows), list(case.equations.columns)
    start = random.standard_normal((count, form.width))
    W, total = room(form, count, start), room(form, 1)
    case.call("outer", room(form, states, a), room(form, states, b), W)
    np.testing.assert_allclose(W, start + a[rows] * b[columns], rtol=1e-12, atol=1e-13)
    want = start + a[rows] * b[columns]
    case.call("scaled", case.E, case.inv, hg, W, total)
    np.testing.assert_allclose(W, want * hg, rtol=1e-12, atol=1e-15)
    terms = want * case.jacobian()
    assert (np.abs(total[0] - terms.sum(0)) <= 1e-12 * np.abs(terms).sum(0)).all()
