"""From jaxprs to a graph of scalars, and the graph of a model: its rates and its Jacobian entries."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex

from nanomg.equations.model import Model
from nanomg.solver.native.nodes import STATE, Graph
from nanomg.solver.sparsity import Entry, colouring, dependencies


class UnknownPrimitive(Exception):
    """The model uses an operation that native code does not have; `name` is JAX's word for it."""

    def __init__(self, name: str):
        super().__init__(f"native code has no {name!r}")
        self.name = name


_PLAIN = {
    "add": "add",
    "add_any": "add",
    "sub": "sub",
    "mul": "mul",
    "neg": "neg",
    "abs": "abs",
    "sign": "sign",
    "max": "max",
    "min": "min",
}
_REAL = {name: name for name in ("div", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "tanh", "logistic")}
_REAL |= {"square": "square", "floor": "floor", "ceil": "ceil", "pow": "pow"}
_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LOGIC = {"and": "and", "or": "or", "xor": "xor", "not": "not", "eq": "same", "ne": "xor"}
_WITH_OWN_DERIVATIVE = ("custom_jvp_call", "custom_vjp_call")
_SAME = ("copy", "copy_p", "broadcast_in_dim", "reshape", "squeeze", "reduce_precision", "name")


def _is(kind: Any, atom: Any) -> bool:
    return bool(jnp.issubdtype(atom.aval.dtype, kind))


def _select(g: Graph, which: Any, index: int, cases: Sequence[int]) -> int:
    """One of the cases, by a yes or no or by a whole number."""
    if _is(jnp.bool_, which):
        return g.make("select", index, cases[1], cases[0])
    chosen = cases[-1]
    for i in reversed(range(len(cases) - 1)):
        chosen = g.make("select", g.make("<", index, g.number(i + 0.5)), cases[i], chosen)
    return chosen


def _convert(g: Graph, eqn: Any, a: int) -> int:
    source, target = eqn.invars[0], eqn.outvars[0]
    if _is(jnp.bool_, source) and not _is(jnp.bool_, target):
        return g.make("select", a, g.number(1), g.number(0))
    if _is(jnp.bool_, target) and not _is(jnp.bool_, source):
        return g.make("!=", a, g.number(0))
    if _is(jnp.integer, target) and _is(jnp.floating, source):
        range_ = jnp.iinfo(target.aval.dtype)
        held = g.make("min", g.make("max", a, g.number(range_.min)), g.number(range_.max))
        return g.make("trunc", g.make("select", g.make("==", a, a), held, g.number(0)))
    return a


def _operation(g: Graph, eqn: Any, args: list[int]) -> int:
    """The node of an equation of a jaxpr that has one result."""
    name, result = eqn.primitive.name, eqn.outvars[0]
    yes_or_no = _is(jnp.bool_, eqn.invars[0]) if eqn.invars else False
    if name in _SAME:
        return args[0]
    if name == "convert_element_type":
        return _convert(g, eqn, args[0])
    if name == "select_n":
        return _select(g, eqn.invars[0], args[0], args[1:])
    if yes_or_no and name in _LOGIC:
        if name == "eq":
            return g.make("not", g.make("xor", *args))
        return g.make(_LOGIC[name], *args)
    if not yes_or_no and name in _COMPARISONS:
        return g.make(_COMPARISONS[name], *args)
    if not yes_or_no and (name in _PLAIN or (name in _REAL and _is(jnp.floating, result))):
        return g.make({**_PLAIN, **_REAL}[name], *args)
    if name == "integer_pow" and (_is(jnp.floating, result) or eqn.params["y"] >= 0):
        if abs(eqn.params["y"]) > 1024:
            return g.make("pow", args[0], g.number(eqn.params["y"]))
        return g.whole_power(args[0], eqn.params["y"])
    if name == "clamp" and not yes_or_no:
        low, x, high = args
        return g.make("min", g.make("max", x, low), high)
    if name == "is_finite":
        return g.make("<", g.make("abs", args[0]), g.number(math.inf))
    if name == "stop_gradient":
        return g.make("stop", args[0])
    if name == "exp2":
        return g.make("pow", g.number(2), args[0])
    if name == "round":
        to_even = eqn.params["rounding_method"] == jax.lax.RoundingMethod.TO_NEAREST_EVEN
        return g.make("round_even" if to_even else "round", args[0])
    raise UnknownPrimitive(name)


def read_jaxpr(g: Graph, jaxpr: Any, constants: Sequence[int], arguments: Sequence[int]) -> list[int]:
    """Add a jaxpr of scalars to a graph.

    Args:
        g: The graph.
        jaxpr: An open jaxpr.
        constants: A node for each of its constants.
        arguments: A node for each of its arguments.

    Returns:
        The nodes of its results.

    Raises:
        UnknownPrimitive: For an operation that native code does not have, or one on arrays.

    Example:
        >>> g = Graph()
        >>> closed = jax.make_jaxpr(lambda x: 2 * (3 * x))(1.0)
        >>> g.nodes[read_jaxpr(g, closed.jaxpr, [], [g.input("y", 0)])[0]].op
        'mul'
    """
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def read(atom: Any) -> int:
        return constant_node(g, atom.val) if isinstance(atom, jex.Literal) else known[atom]

    for eqn in jaxpr.eqns:
        args = [read(atom) for atom in eqn.invars]
        if any(v.aval.shape for v in eqn.outvars):
            raise UnknownPrimitive(f"{eqn.primitive.name} of an array")
        if "branches" in eqn.params:
            cases = [_closed(g, branch, args[1:]) for branch in eqn.params["branches"]]
            which = eqn.invars[0]
            results = [_select(g, which, args[0], case) for case in zip(*cases, strict=True)]
        elif (inner := eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")) is not None:
            if eqn.primitive.multiple_results and len(getattr(inner, "jaxpr", inner).invars) != len(args):
                raise UnknownPrimitive(eqn.primitive.name)
            results = _closed(g, inner, args)
            if eqn.primitive.name in _WITH_OWN_DERIVATIVE:
                results = [g.own(r, args, (jaxpr, eqn, row)) for row, r in enumerate(results)]
        else:
            results = [_operation(g, eqn, args)]
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _closed(g: Graph, inner: Any, args: Sequence[int]) -> list[int]:
    constants = [constant_node(g, c) for c in getattr(inner, "consts", ())]
    return read_jaxpr(g, getattr(inner, "jaxpr", inner), constants, args)


def constant_node(g: Graph, constant: Any) -> int:
    """The node of a constant of a jaxpr. Raises `UnknownPrimitive` for an array."""
    known = np.asarray(constant)
    if known.shape:
        raise UnknownPrimitive("constant array")
    return g.truth(bool(known)) if known.dtype == bool else g.number(float(known))


@dataclasses.dataclass(frozen=True, eq=False)
class Equations:
    """The rates and Jacobian entries of a model as nodes of one graph.

    The inputs are the states `y` (row of `states`), the forcing `u` (the model's inputs, then the values that change between
    intervals) and the values `p` of the subject, whose names are in `values`. Entry `q` is d rate[rows[q]] / d state[columns[q]];
    the order is that of `solver.sparsity.Structure`.
    """

    graph: Graph
    states: int
    forcing: int
    values: tuple[str, ...]
    rates: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    entries: tuple[int, ...]

    @property
    def pattern(self) -> list[Entry]:
        """Rows and columns of the entries that are not always 0."""
        return [e for e, node in zip(zip(self.rows, self.columns, strict=True), self.entries, strict=True)
                if self.graph.value(node) != 0]  # fmt: skip


@functools.lru_cache(maxsize=64)
def equations_of(model: Model, timed: tuple[str, ...] = ()) -> Equations:
    """The equations of a model for native code; made once per model.

    Args:
        model: The model.
        timed: Names of parameters and constants that change between intervals: rows of the forcing after the model's inputs.

    Returns:
        The equations, in which every parameter and constant is an input.

    Raises:
        UnknownPrimitive: If the model uses an operation that native code does not have.
    """
    forced, n = (*model.inputs, *timed), len(model.states)
    values = tuple(name for name in (*model.parameters, *model.constants) if name not in timed)
    names = (*model.states, *forced, *values)
    tangent: list[Any] = []

    def rates(*numbers: Any) -> list[Any]:
        return [jnp.asarray(r, float) for r in model.rates(dict(zip(names, numbers, strict=True)))]

    def residuals(*numbers: Any) -> list[Any]:
        """What the derivative by the states is made of."""
        evaluate = jex.jaxpr_as_fun(closed)
        _, push = jax.linearize(lambda *y: evaluate(*y, *numbers[n:]), *numbers[:n])
        linear = jax.make_jaxpr(push)(*numbers[:n])
        tangent.append(linear.jaxpr)
        return list(linear.consts)

    ones = [1.0] * len(names)
    closed = jax.make_jaxpr(rates)(*ones)
    linearised = jax.make_jaxpr(residuals)(*ones)
    reach = dependencies(closed.jaxpr, [frozenset([j] if j < n else []) for j in range(len(names))])
    pattern = sorted((i, j) for i, row in enumerate(reach) for j in row) or [(0, 0)]

    g = Graph()
    inputs = [g.input(letter, i) for letter, size in zip("yup", (n, len(forced), len(values)), strict=True) for i in range(size)]  # fmt: skip  # noqa: E501
    results, consts = (
        read_jaxpr(g, c.jaxpr, [constant_node(g, value) for value in c.consts], inputs) for c in (closed, linearised)
    )
    entries: dict[Entry, int] = {}
    for group in colouring(pattern, n):
        seeds = [g.number(float(j in group)) for j in range(n)]
        column = read_jaxpr(g, tangent[0], consts, seeds)
        entries.update({(i, j): column[i] for i, j in pattern if j in group})
    return Equations(
        graph=g,
        states=n,
        forcing=len(forced),
        values=values,
        rates=tuple(results),
        rows=tuple(i for i, _ in pattern),
        columns=tuple(j for _, j in pattern),
        entries=tuple(entries[e] for e in pattern),
    )


def operations(g: Graph, roots: Sequence[int]) -> int:
    """How many operations in the loop over steps these results need."""
    return sum(not g.nodes[i].is_leaf for i in g.reached(roots, STATE))
