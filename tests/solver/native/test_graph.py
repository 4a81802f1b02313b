"""Random and chosen jaxprs, as native code and as JAX evaluates them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend import core
from machine_code import Compiled
from scalar_operations import ONE, TWO

from nanomg.solver.native.graph import UnknownPrimitive, read_jaxpr
from nanomg.solver.native.ir import Format
from nanomg.solver.native.nodes import STATE, Graph

DOUBLE, FLOAT = Format("double", 4), Format("float", 4)
SPECIAL = [0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, 2.5, -1.5, 1e-9, 60.0, -60.0, math.inf, -math.inf, math.nan, 7.0]


@pytest.mark.parametrize("letter", "puy")
@pytest.mark.parametrize("name", ONE)
def test_operations_of_one_number_are_those_of_jax(name: str, letter: str) -> None:
    run = Compiled(DOUBLE, lambda x, y: [ONE[name](x), ONE[name](x) + y], letter + "y")
    for part in np.reshape(SPECIAL, (-1, 4)):
        want = np.asarray(jax.vmap(ONE[name])(jnp.asarray(part)))
        if name in (
            "one_and_a_half",
            "minus_two_and_a_half",
            "two_fifths",
        ):  # to JAX, -inf has powers with exponents that are not whole
            want = np.where(part == -math.inf, math.nan, want)
        np.testing.assert_allclose(run(part, 0.25), [want, want + 0.25], rtol=2e-15)


@pytest.mark.parametrize("letters", ["yy", "py", "yp", "pu"])
@pytest.mark.parametrize("name", TWO)
def test_operations_of_two_numbers_are_those_of_jax(name: str, letters: str) -> None:
    run = Compiled(DOUBLE, lambda x, y: [TWO[name](x, y)], letters)
    for x in SPECIAL:
        for part in np.reshape(SPECIAL, (-1, 4)):
            want = np.asarray(jax.vmap(TWO[name])(jnp.full(4, x), jnp.asarray(part)))
            if name == "pow" and x == -math.inf:
                want = np.where(np.isfinite(part) & (part != np.trunc(part)), math.nan, want)
            np.testing.assert_allclose(run(x, part)[0], want, rtol=1e-14, err_msg=f"{name} of {x} and {part}")


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_operations_on_numbers_alone_are_done_once(name: str) -> None:
    """Numbers are folded: nothing is left to do for states."""
    operation: Callable[..., Any] = {**ONE, **TWO}[name]
    count = 1 if name in ONE else 2
    for values in ([0.7, 1.3], [-1.5, 2.0], [2.0, math.nan]):
        g = Graph()
        closed = jax.make_jaxpr(lambda *x: operation(*x))(*[1.0] * count)
        node = read_jaxpr(g, closed.jaxpr, [], [g.number(v) for v in values[:count]])[0]
        result = g.value(node)
        assert result is not None
        np.testing.assert_allclose(result, operation(*map(jnp.asarray, values[:count])), rtol=1e-15)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "cbrt", "two_fifths", "logistic", "softplus", "round"])
def test_operations_in_single_precision(name: str) -> None:
    run = Compiled(FLOAT, lambda x: [ONE[name](x)], "y")
    for part in np.reshape(SPECIAL, (-1, 4)).astype(np.float32):
        part = part[np.isfinite(part) | np.isnan(part)]
        np.testing.assert_allclose(run(np.resize(part, 4))[0][: len(part)], ONE[name](jnp.asarray(part)), rtol=1e-6)


# ---------------------------------------------------------------- random programs
SOURCES = 4  # two states, a forcing, a value


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...], float]]:
    """Lines: an operation, the lines or inputs that it reads, a number."""
    lines = []
    for i in range(draw(st.integers(4, 16))):
        name = draw(st.sampled_from([*ONE, *TWO, *["add", "sub", "mul", "div"] * 6, "scale"]))
        reads = draw(st.lists(st.integers(0, SOURCES + i - 1), min_size=2, max_size=2))
        lines.append((name, tuple(reads), draw(st.sampled_from([0.5, -1.5, 3.0]))))
    return lines


def program(lines: Sequence[tuple[str, tuple[int, ...], float]]) -> Callable[..., list[Any]]:
    def run(*inputs: Any) -> list[Any]:
        values = list(inputs)
        for name, (a, b), number in lines:
            if name == "scale":
                values.append(number * values[a])
            else:
                values.append(ONE[name](values[a]) if name in ONE else TWO[name](values[a], values[b]))
        return values[SOURCES:]

    return run


def rounded_at_random(closed: Any, inputs: Sequence[Any], random: np.random.Generator | None) -> list[np.ndarray]:
    """The results of a jaxpr by JAX, one operation after another; with `random`, each result with an error of 1e-14."""

    def walk(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))
        read = lambda atom: atom.val if isinstance(atom, core.Literal) else known[atom]
        for eqn in jaxpr.eqns:
            args = [read(a) for a in eqn.invars]
            inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
            if inner is not None:
                results = walk(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), args)
            else:
                found = eqn.primitive.bind(*args, **eqn.params)
                results = list(found) if eqn.primitive.multiple_results else [found]
            if random is not None:
                results = [
                    r * (1 + 1e-14 * random.uniform(-1, 1, np.shape(r))) if jnp.issubdtype(r.dtype, jnp.floating) else r
                    for r in results
                ]
            known.update(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    return [np.asarray(r) for r in walk(closed.jaxpr, closed.consts, inputs)]


@settings(max_examples=60, deadline=None)
@given(programs(), st.integers(0, 2**32 - 1))
def test_random_programs_are_evaluated_as_by_jax(lines: list[Any], seed: int) -> None:
    """To the error that roundings of 1e-14 in every operation of JAX make; results that such roundings decide are left out."""
    random = np.random.default_rng(seed)
    inputs = random.choice([-1.0, 1.0, 1.0], (SOURCES, 4)) * np.exp(random.normal(0, 1.5, (SOURCES, 4)))
    run = program(lines)
    got = Compiled(DOUBLE, run, "yyup")(*inputs)
    with np.errstate(all="ignore"):
        for lane in range(4):
            closed = jax.make_jaxpr(run)(*inputs[:, lane])
            scalars = [jnp.asarray(v) for v in inputs[:, lane]]
            want = np.array(rounded_at_random(closed, scalars, None), float)
            others = np.array([rounded_at_random(closed, scalars, random) for _ in range(4)], float)
            spread = np.abs(others - want).max(0)
            size = np.abs(want)
            clear = np.isfinite(others).all(0) & (spread < 1e-6 * size) & (size > 1e-290) & (size < 1e290)
            assert (np.abs(got[:, lane] - want) <= 20 * spread + 1e-13 * size)[clear].all()
            settled = (np.isnan(others) == np.isnan(want)).all(0) & (np.isinf(others) == np.isinf(want)).all(0)
            assert (np.isnan(got[:, lane]) == np.isnan(want))[settled & np.isnan(want)].all()


# ---------------------------------------------------------------- the graph itself
def nodes_of(function: Callable[..., Any], letters: str) -> tuple[Graph, list[int]]:
    g = Graph()
    closed = jax.make_jaxpr(function)(*[1.0] * len(letters))
    inputs = [g.input(letter, letters[:i].count(letter)) for i, letter in enumerate(letters)]
    return g, read_jaxpr(g, closed.jaxpr, [], inputs)


def work(function: Callable[..., Any], letters: str) -> list[str]:
    """The operations that are left in the loop over steps."""
    g, results = nodes_of(function, letters)
    return sorted(g.nodes[i].op for i in g.reached(results, STATE) if not g.nodes[i].is_leaf)


def test_what_does_not_change_leaves_the_loop() -> None:
    assert work(lambda k, m, y: [k * (m * y)], "ppy") == ["mul"]
    assert work(lambda k, v, y: [k * (y / v)], "ppy") == ["mul"]
    assert work(lambda k, m, x, y: [(k * x) * (m * y)], "ppyy") == ["mul", "mul"]
    assert work(lambda k, y: [-(k * y), 3 * (2 * (k * y))], "py") == ["mul", "mul", "neg"]
    assert work(lambda k, x, y: [x - k * y, x + -(k * y)], "pyy") == ["mul", "sub"]
    assert work(lambda k, y: [jnp.where(k > 1, jnp.exp(k) * y, y * 0.0)], "py") == ["mul", "select"]


def test_sums_stay_in_the_order_of_the_equations() -> None:
    """(y + k) + m is not y + (k + m), which loses digits where y is near -k."""
    assert work(lambda k, m, y: [(y + k) + m], "ppy") == ["add", "add"]


def test_powers_with_whole_exponents_are_products() -> None:
    assert work(lambda y: [y**5], "y") == ["mul", "mul", "mul"]
    assert work(lambda y: [y**-2.0], "y") == ["mul", "rcp"]
    assert work(lambda n, y: [jnp.exp(y) ** n], "py") == ["exp", "pow"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: jax.lax.erf_inv(x), "erf_inv"),
        (lambda x: jax.lax.lgamma(x), "lgamma"),
        (lambda x: x.astype(int) // 2 * 1.0, "div"),
        (lambda x: jnp.sum(jax.lax.broadcast(x, (2,))), "broadcast_in_dim of an array"),
    ],
)
def test_an_operation_that_is_not_known_is_named(function: Callable[..., Any], name: str) -> None:
    with pytest.raises(UnknownPrimitive, match=f"^native code has no '{name}'$") as failure:
        nodes_of(lambda x: [function(x)], "y")
    assert failure.value.name == name
