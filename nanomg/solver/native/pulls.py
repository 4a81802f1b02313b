"""Cotangents of a model's equations, taken back by functions without loops or branches: what the adjoint of a step is made of.

The derivative of every operation is JAX's: the jaxpr of its vjp is read into the graph of the equations, so that both share what
they can. Within the loop over steps cotangents go to the states and to the invariants; those of the invariants
are summed in `inv_bar`, and reach the forcing and the subject's values in two functions that are called outside the loop.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core as jex

from nanomg.solver.native.graph import Equations, constant_node, read_jaxpr
from nanomg.solver.native.ir import Function, Module, Value
from nanomg.solver.native.nodes import FORCING, STATE, SUBJECT, Graph
from nanomg.solver.native.straight import (
    Emission,
    Places,
    Straight,
    add_function,
    entry_value,
    module_vector,
    places_of,
    straight_of,
)

_JAX: dict[str, Callable[..., Any]] = {
    "add": lax.add,
    "sub": lax.sub,
    "mul": lax.mul,
    "neg": lax.neg,
    "rcp": lambda x: lax.div(1.0, x),
    "abs": lax.abs,
    "sign": lax.sign,
    "max": lax.max,
    "min": lax.min,
    "exp": lax.exp,
    "expm1": lax.expm1,
    "log": lax.log,
    "log1p": lax.log1p,
    "sqrt": lax.sqrt,
    "cbrt": lax.cbrt,
    "tanh": lax.tanh,
    "logistic": lax.logistic,
    "floor": lax.floor,
    "ceil": lax.ceil,
    "trunc": jnp.trunc,
    "round": lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
    "round_even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "pow": lambda x, y, _: lax.pow(x, y),
    "<": lax.lt,
    "<=": lax.le,
    ">": lax.gt,
    ">=": lax.ge,
    "==": lax.eq,
    "!=": lax.ne,
    "and": lax.bitwise_and,
    "or": lax.bitwise_or,
    "xor": lax.bitwise_xor,
    "not": lax.bitwise_not,
    "select": lambda mask, yes, no: lax.select_n(mask, no, yes),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Pulls:
    """Functions that take cotangents back. Those of the loop over steps:

    | function | parameters | what it does |
    | --- | --- | --- |
    | `solve_transposed` | `L, b` | replaces b by the solution of the transposed (I - hg J) x = b |
    | `rates` | `y, inv, F_bar, y_bar, inv_bar` | adds what the cotangents of the rates make of those of states and invariants |
    | `outer` | `a, U, W` | adds a[row] U[column] to W, for every entry of the Jacobian |
    | `scaled` | `E, inv, hg, W, total` | sets total[0] to the sum of W times the entries, and multiplies W by hg |
    | `entries` | `y, inv, W, y_bar, inv_bar` | as `rates`, for the cotangents W of the entries |

    Those outside of it, both of which take from `inv_bar` what they have passed on, so that calling one once more adds nothing:

    | function | parameters | what it does |
    | --- | --- | --- |
    | `forcing` | `p, u, inv, inv_bar, u_bar` | adds to `u_bar`; `inv` still is that of the steps whose cotangents are summed |
    | `subject` | `p, inv, inv_bar, p_bar` | adds to `p_bar`; `forcing` comes first |

    Rows: `W` entries of the pattern, `inv_bar` held, `u_bar` forcing, `p_bar` one for each of the varied values, in their order.
    """

    solve_transposed: Function
    rates: Function
    outer: Function
    scaled: Function
    entries: Function
    forcing: Function
    subject: Function
    held: int
    pattern: int
    varied: int


def straight_with_pulls(
    module: Module, equations: Equations, channels: Sequence[int], varied: Sequence[str]
) -> tuple[Straight, Pulls]:
    """Add the functions of a model to a module, and those that take cotangents back.

    Args:
        module: The module.
        equations: The model's equations.
        channels: Rows of the states that doses reach, in the order of the rows of `inflow`.
        varied: Names of the values whose cotangents are wanted.

    Returns:
        The functions, with invariants that both need.
    """
    g = equations.graph.copy()
    equations = dataclasses.replace(equations, graph=g)
    differentiated = {g.input("p", equations.values.index(name)): row for row, name in enumerate(varied)}
    differentiated |= {g.input("u", row): row for row in range(equations.forcing)}
    loop = [*equations.rates, *equations.entries]
    read = [i for i in g.from_outside(loop, STATE) if _moves(g, i, differentiated)]
    forced = [i for i in read if g.level[i] == FORCING]
    fixed = sorted({*read, *g.from_outside(forced, FORCING)} - set(forced))
    fixed = [i for i in fixed if _moves(g, i, differentiated)]
    held = {node: row for row, node in enumerate([*fixed, *forced])}

    y = [g.input("y", i) for i in range(equations.states)]
    values = [i for i in differentiated if g.nodes[i].op == "p"]
    forcing = [i for i in differentiated if g.nodes[i].op == "u"]
    in_loop = [_cotangents(g, roots, STATE, [*y, *held]) for roots in (equations.rates, equations.entries)]
    places = places_of(equations, [node for bars in in_loop for node in bars.values()])
    straight = straight_of(module, equations, channels, places)

    def pull(name: str, bars: Mapping[int, int]) -> Function:
        function, arrays = add_function(module, f"pull_{name}", "y", "inv", "bar", "y_bar", "inv_bar")
        rows = {i: ("y_bar", row) for row, i in enumerate(y)} | {i: ("inv_bar", row) for i, row in held.items()}
        return _adding(function, arrays, g, places.invariants, bars, rows)

    def push(name: str, level: int, nodes: Sequence[int], inputs: Sequence[int]) -> Function:
        """Take the cotangents of invariants of a level back to those below, and to the inputs."""
        letters = {FORCING: ("p", "u"), SUBJECT: ("p",)}[level]
        below = [i for i in fixed if level == FORCING]
        bars = _cotangents(g, nodes, level, [*inputs, *below])
        function, arrays = add_function(module, f"pull_{name}", *letters, "inv", "inv_bar", f"{letters[-1]}_bar")
        rows = {i: ("inv_bar", held[i]) for i in below} | {i: (f"{letters[-1]}_bar", differentiated[i]) for i in inputs}
        arrays["bar"] = function.at(arrays["inv_bar"], module.form.vector, len(fixed) if level == FORCING else 0)
        zeros = [held[i] for i in nodes]
        return _adding(function, arrays, g, places.invariants, bars, rows, zeros)

    return straight, Pulls(
        _solve_transposed(*add_function(module, "solve_transposed", "L", "b"), places),
        pull("rates", in_loop[0]),
        _outer(*add_function(module, "outer", "a", "U", "W"), equations),
        _scaled(*add_function(module, "scaled", "E", "inv", "hg", "W", "total"), equations, places),
        pull("entries", in_loop[1]),
        push("forcing", FORCING, forced, forcing),
        push("subject", SUBJECT, fixed, values),
        len(held),
        len(equations.entries),
        len(varied),
    )


def _moves(g: Graph, node: int, inputs: Mapping[int, int]) -> bool:
    """Whether a node is a number that depends on some of these inputs."""
    stack, seen = [node], set[int]()
    while stack:
        i = stack.pop()
        if i in inputs:
            return not g.is_mask[node]
        if i not in seen and not g.nodes[i].is_leaf:
            stack += g.nodes[i].args
        seen.add(i)
    return False


def _cotangents(g: Graph, roots: Sequence[int], level: int, wanted: Sequence[int]) -> dict[int, int]:
    """The nodes of cotangents of nodes, for cotangents `bar` of the roots, through the work of one level."""
    worked = g.reached(roots, level)
    moving = set(wanted)
    for i in worked:
        if not g.nodes[i].is_leaf and not g.is_mask[i] and moving.intersection(g.nodes[i].args):
            moving.add(i)
    bars: dict[int, int] = {}

    def add(node: int, bar: int) -> None:
        if node in moving and g.value(bar) != 0:
            bars[node] = g.make("add", bars[node], bar) if node in bars else bar

    for row, root in enumerate(roots):
        add(root, g.input("bar", row))
    for i in reversed(worked):
        op, args = g.nodes[i]
        if i in bars and op != "stop" and not g.nodes[i].is_leaf:
            if op == "own":
                args, numbers, back = _own_vjp(args[1:], *g.derivatives[i])
            else:
                numbers, back = [a for a in args if not g.is_mask[a]], _vjp(op, tuple(g.is_mask[a] for a in args))
            constants = [constant_node(g, c) for c in back.consts]
            for a, bar in zip(numbers, read_jaxpr(g, back.jaxpr, constants, [*args, bars[i]]), strict=True):
                add(a, bar)
    return {i: bars[i] for i in wanted if i in bars}


@functools.cache
def _vjp(op: str, masks: tuple[bool, ...]) -> Any:
    """The jaxpr of the vjp of one operation: of its arguments and the cotangent of its result, for arguments that are numbers."""

    def back(args: list[Any], bar: Any) -> Any:
        def forward(*numbers: Any) -> Any:
            rest = iter(numbers)
            return _JAX[op](*(a if mask else next(rest) for a, mask in zip(args, masks, strict=True)))

        return jax.vjp(forward, *(a for a, mask in zip(args, masks, strict=True) if not mask))[1](bar)

    return jax.make_jaxpr(back)([True if mask else 1.0 for mask in masks], 1.0)


def _own_vjp(args: Sequence[int], jaxpr: Any, eqn: Any, row: int) -> tuple[tuple[int, ...], list[int], Any]:
    """The same for one result of a call with a derivative of its own; first its arguments, and those that are numbers."""
    nodes = {v: a for v, a in zip(eqn.invars, args, strict=True) if not isinstance(v, jex.Literal)}
    differentiable = [jnp.issubdtype(v.aval.dtype, jnp.floating) for v in nodes]
    alone = jaxpr.replace(constvars=[], invars=list(nodes), outvars=eqn.outvars, eqns=[eqn])
    call = jex.jaxpr_as_fun(jex.ClosedJaxpr(alone, ()))

    def back(args: list[Any], bar: Any) -> Any:
        def forward(*numbers: Any) -> Any:
            rest = iter(numbers)
            return call(*(next(rest) if d else a for a, d in zip(args, differentiable, strict=True)))[row]

        return jax.vjp(forward, *(a for a, d in zip(args, differentiable, strict=True) if d))[1](bar)

    traced = jax.make_jaxpr(back)([jnp.ones((), v.aval.dtype) for v in nodes], 1.0)
    numbers = [a for a, d in zip(nodes.values(), differentiable, strict=True) if d]
    return tuple(nodes.values()), numbers, traced


# ---------------------------------------------------------------- functions
def _adding(
    function: Function,
    arrays: dict[str, Value],
    g: Graph,
    invariants: Mapping[int, int],
    bars: Mapping[int, int],
    rows: Mapping[int, tuple[str, int]],
    zeros: Sequence[int] = (),
) -> Function:
    """Add the cotangent `bars[node]` of every node to its row; then set the rows `zeros` of `inv_bar` to 0."""
    vector = module_vector(function)
    ends: dict[int, list[tuple[int, bool]]] = {}
    for node, bar in bars.items():
        bare, negative = g.without_sign(bar)
        ends.setdefault(bare, []).append((node, negative))

    sums: list[tuple[str, int, Value]] = []

    def add(bare: int, value: Value) -> None:
        for node, negative in ends[bare]:
            array, row = rows[node]
            before = function.load(arrays[array], vector, row)
            total = before - value if negative else before + value
            if zeros:
                sums.append((array, row, total))
            else:
                function.store(total, arrays[array], row)

    Emission(function, g, STATE, arrays, invariants).emit(list(ends), add)
    for row in zeros:
        function.store(function.number(vector, 0.0), arrays["inv_bar"], row)
    for array, row, total in sums:
        function.store(total, arrays[array], row)
    function.done()
    return function


def _outer(function: Function, arrays: dict[str, Value], equations: Equations) -> Function:
    vector = module_vector(function)
    a, U = ({i: function.load(arrays[name], vector, i) for i in sorted(set(used))} for name, used in
            (("a", equations.rows), ("U", equations.columns)))  # fmt: skip
    for q, (i, j) in enumerate(zip(equations.rows, equations.columns, strict=True)):
        function.store(function.load(arrays["W"], vector, q) + a[i] * U[j], arrays["W"], q)
    function.done()
    return function


def _scaled(function: Function, arrays: dict[str, Value], equations: Equations, places: Places) -> Function:
    g, vector = equations.graph, module_vector(function)
    totals = [function.number(vector, 0.0)] * 4  # four sums, since each term waits for the one before
    for q, entry in enumerate(equations.entries):
        w = function.load(arrays["W"], vector, q)
        node, negative = g.without_sign(entry)
        if g.value(node) != 0:
            product = w * entry_value(function, arrays, g, places, node)
            total = totals[q % 4]
            totals[q % 4] = total - product if negative else total + product
        function.store(w * arrays["hg"], arrays["W"], q)
    function.store((totals[0] + totals[1]) + (totals[2] + totals[3]), arrays["total"], 0)
    function.done()
    return function


def _solve_transposed(function: Function, arrays: dict[str, Value], places: Places) -> Function:
    vector = module_vector(function)
    x = {i: function.load(arrays["b"], vector, i) for i in places.order}

    def factor(i: int, j: int) -> Value:
        return function.load(arrays["L"], vector, places.slots[i, j])

    for q, i in enumerate(places.order):
        for j in places.order[:q]:
            if (j, i) in places.slots:
                x[i] = x[i] - factor(j, i) * x[j]
        if (i, i) in places.slots:
            x[i] = x[i] * factor(i, i)
    for q, i in reversed(list(enumerate(places.order))):
        for j in places.order[q + 1 :]:
            if (j, i) in places.slots:
                x[i] = x[i] - factor(j, i) * x[j]
        function.store(x[i], arrays["b"], i)
    function.done()
    return function
