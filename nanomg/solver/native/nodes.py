"""A model's operations as a graph of scalars, read from the jaxprs that JAX itself makes of the rates and of their derivatives.

What two results share is in the graph once. Every node has a level: a number, or what changes it: values of the subject, inputs in
time, states. Code for the levels below states runs outside the loop over steps, so products are ordered by level (`k (m x)`
becomes `(k m) x`) and a division is a product with a reciprocal. Sums are never reordered. A product with the number 0 is 0,
and numbers so small that a double holds them with fewer digits count as 0, as they do in JAX on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

NUMBER, SUBJECT, FORCING, STATE = range(4)
LEVEL_OF_INPUT = {"p": SUBJECT, "u": FORCING, "y": STATE, "bar": STATE}

_FOLD: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "rcp": np.reciprocal,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),
    "round_even": np.rint,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "not": np.logical_not,
}
_MASKS = ("<", "<=", ">", ">=", "==", "!=", "and", "or", "xor", "not", "truth")
_SYMMETRIC = ("add", "mul", "and", "or", "xor", "==", "!=")
_NEVER_NEGATIVE = ("exp", "abs", "sqrt", "logistic")
_LARGE = 2.0**64  # powers with larger exponents are the same


class Node(NamedTuple):
    """An operation on other nodes; or `number` or `truth` with its value, or an input (`p`, `u`, `y`, `bar`) with its row.

    `own` is its first argument with another derivative by the other arguments, `stop` its argument with none.
    """

    op: str
    args: tuple[Any, ...]

    @property
    def is_leaf(self) -> bool:
        """Whether it has no arguments."""
        return self.op in ("number", "truth") or self.op in LEVEL_OF_INPUT


class Graph:
    """Nodes by id, in an order in which every argument comes before its use; `level` and `is_mask` of each."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.level: list[int] = []
        self.is_mask: list[bool] = []
        self.derivatives: dict[int, Any] = {}  # of nodes `own`: what gives their cotangents
        self._ids: dict[Any, int] = {}

    def copy(self) -> Graph:
        """A graph of the same nodes, to which others can be added."""
        new = Graph()
        new.nodes, new.level, new.is_mask = list(self.nodes), list(self.level), list(self.is_mask)
        new._ids, new.derivatives = dict(self._ids), dict(self.derivatives)
        return new

    # ------------------------------------------------------------ leaves
    def _put(self, node: Node, level: int, mask: bool, key: Any = None) -> int:
        key = key or node
        if key not in self._ids:
            self._ids[key] = len(self.nodes)
            self.nodes.append(node)
            self.level.append(level)
            self.is_mask.append(mask)
        return self._ids[key]

    def number(self, number: float) -> int:
        """The node of a number."""
        exact = float(number)
        return self._put(Node("number", (exact,)), NUMBER, False, ("number", exact.hex()))  # -0.0 is not 0.0

    def truth(self, holds: bool) -> int:
        """The node of a yes or no that is known."""
        return self._put(Node("truth", (bool(holds),)), NUMBER, True)

    def input(self, letter: str, row: int) -> int:
        """The node of a row of the values `p`, the forcing `u`, the states `y` or the cotangents `bar`."""
        return self._put(Node(letter, (row,)), LEVEL_OF_INPUT[letter], False)

    def value(self, node: int) -> float | None:
        """What a number or a known yes or no is; None of anything else."""
        return self.nodes[node].args[0] if self.level[node] == NUMBER else None

    # ------------------------------------------------------------ operations
    def make(self, op: str, *args: int) -> int:
        """The node of an operation, simplified."""
        rule = _RULES.get(op)
        if rule is not None:
            simpler = rule(self, *args)
            if simpler is not None:
                return simpler
        if op in _FOLD and all(self.level[a] == NUMBER for a in args):
            with np.errstate(all="ignore"):
                folded = _FOLD[op](*(np.float64(self.value(a)) for a in args))
            return self.truth(folded) if op in _MASKS else self.number(folded)
        if op in _SYMMETRIC:
            args = tuple(sorted(args, key=lambda a: (self.level[a], a)))
        mask = op in _MASKS or (op == "select" and self.is_mask[args[1]])
        return self._put(Node(op, args), max(self.level[a] for a in args), mask)

    def own(self, value: int, args: Sequence[int], derivative: Any) -> int:
        """A node of this value whose derivative by some nodes is given, and is not that of what the value is made of."""
        if self.level[value] == NUMBER or self.is_mask[value]:
            return value
        node = self._put(Node("own", (value, *args)), self.level[value], False)
        self.derivatives.setdefault(node, derivative)
        return node

    def is_never_negative(self, node: int) -> bool:
        """Whether no value of the inputs can make it negative."""
        op, args = self.nodes[node]
        if op == "number":
            return args[0] >= 0
        if op in ("own", "stop"):
            return self.is_never_negative(args[0])
        if op == "max":
            return any(self.is_never_negative(a) for a in args)
        return op in _NEVER_NEGATIVE or (op == "mul" and args[0] == args[1])

    def whole_power(self, base: int, exponent: int) -> int:
        """A power as products."""
        if exponent < 0:
            return self.make("rcp", self.whole_power(base, -exponent))
        if exponent == 0:
            return self.number(1)
        half = self.whole_power(base, exponent // 2)
        square = self.make("mul", half, half)
        return self.make("mul", square, base) if exponent % 2 else square

    def reached(self, roots: Sequence[int], level: int) -> list[int]:
        """All nodes of one level that the roots need, arguments first."""
        wanted, stack = set[int](), [r for r in roots if self.level[r] == level]
        while stack:
            node = stack.pop()
            if node not in wanted:
                wanted.add(node)
                if not self.nodes[node].is_leaf:
                    stack += [a for a in self.nodes[node].args if self.level[a] == level]
        return sorted(wanted)

    def from_outside(self, roots: Sequence[int], level: int) -> list[int]:
        """The nodes of lower levels, numbers aside, that the work of one level on these roots reads."""
        read = [r for r in roots if self.level[r] < level]
        for node in self.reached(roots, level):
            if not self.nodes[node].is_leaf:
                read += [a for a in self.nodes[node].args if self.level[a] < level]
        return sorted({r for r in read if self.level[r] != NUMBER})

    def without_sign(self, node: int) -> tuple[int, bool]:
        """The node whose negative this is, and True; else the node itself, and False."""
        return (self.nodes[node].args[0], True) if self.nodes[node].op == "neg" else (node, False)


def is_half(exponent: float) -> bool:
    """Whether a power is best made of products and a square root."""
    return exponent == math.floor(exponent) + 0.5 and abs(exponent) <= 8


# ---------------------------------------------------------------- rules: the simpler node, or None
def _add(g: Graph, a: int, b: int) -> int | None:
    for x, other in ((a, b), (b, a)):
        if g.value(x) == 0:
            return other
    for x, other in ((b, a), (a, b)):
        positive, negated = g.without_sign(x)
        if negated:
            return g.make("sub", other, positive)
    return None


def _sub(g: Graph, a: int, b: int) -> int | None:
    if g.value(b) == 0:
        return a
    if g.value(a) == 0:
        return g.make("neg", b)
    positive, negated = g.without_sign(b)
    if negated:
        return g.make("add", a, positive)
    positive, negated = g.without_sign(a)
    if negated:
        return g.make("neg", g.make("add", positive, b))
    return None


def _neg(g: Graph, a: int) -> int | None:
    op, args = g.nodes[a]
    if op == "neg":
        return int(args[0])
    if op == "sub":
        return g.make("sub", args[1], args[0])
    return None


def _factors(g: Graph, a: int) -> tuple[int | None, int]:
    """The factor that changes more seldom than the rest, if there is one, and the rest."""
    op, args = g.nodes[a]
    return (args[0], args[1]) if op == "mul" and g.level[args[0]] < g.level[args[1]] else (None, a)


def _mul(g: Graph, a: int, b: int) -> int | None:
    a, b = sorted((a, b), key=lambda i: (g.level[i], i))
    if g.value(a) == 0 and g.value(b) is None:
        return a
    if g.value(a) == 1:
        return b
    if g.value(a) == -1:
        return g.make("neg", b)
    (a, a_negative), (b, b_negative) = g.without_sign(a), g.without_sign(b)
    if a_negative or b_negative:  # the sign goes outside, where a sum takes it for nothing
        product = g.make("mul", a, b)
        return g.make("neg", product) if a_negative != b_negative else product
    (a_seldom, a_rest), (b_seldom, b_rest) = _factors(g, a), _factors(g, b)
    if g.level[a] < g.level[b] and b_seldom is not None:
        return g.make("mul", g.make("mul", a, b_seldom), b_rest)
    if a_seldom is not None and b_seldom is not None:
        return g.make("mul", g.make("mul", a_seldom, b_seldom), g.make("mul", a_rest, b_rest))
    return None


def _rcp(g: Graph, a: int) -> int | None:
    op, args = g.nodes[a]
    if op == "rcp":
        return int(args[0])
    if op == "neg":
        return g.make("neg", g.make("rcp", args[0]))
    seldom, rest = _factors(g, a)
    if seldom is not None:
        return g.make("mul", g.make("rcp", seldom), g.make("rcp", rest))
    return None


def _div(g: Graph, a: int, b: int) -> int:
    if g.level[a] == g.level[b] == NUMBER:
        with np.errstate(all="ignore"):
            return g.number(np.float64(g.value(a)) / np.float64(g.value(b)))
    return g.make("mul", a, g.make("rcp", b))


def _abs(g: Graph, a: int) -> int | None:
    positive, negated = g.without_sign(a)
    if negated:
        return g.make("abs", positive)
    return a if g.is_never_negative(a) else None


def _extreme(g: Graph, a: int, b: int) -> int | None:
    return a if a == b else None


def _select(g: Graph, mask: int, yes: int, no: int) -> int | None:
    if yes == no:
        return yes
    if g.level[mask] == NUMBER:
        return yes if g.value(mask) else no
    if g.nodes[mask].op == "not":
        return g.make("select", g.nodes[mask].args[0], no, yes)
    return None


def _not(g: Graph, a: int) -> int | None:
    return int(g.nodes[a].args[0]) if g.nodes[a].op == "not" else None


def _pow(g: Graph, base: int, exponent: int, negative: int | None = None) -> int | None:
    """Whole exponents are products; else a third argument is the factor by which a negative base counts."""
    if negative is not None:
        return None
    number = g.value(exponent)
    if number is not None and g.level[base] == NUMBER:
        with np.errstate(all="ignore"):
            return g.number(np.power(np.float64(g.value(base)), number))
    if number is not None and number == round(number) and abs(number) <= 16:
        return g.whole_power(base, round(number))
    if number is not None and is_half(number):
        return g.make("pow", base, exponent, g.number(1))
    exponent = g.make("min", g.make("max", exponent, g.number(-_LARGE)), g.number(_LARGE))
    if g.is_never_negative(base):
        return g.make("pow", base, exponent, g.number(1))
    is_whole = g.make("==", exponent, g.make("trunc", exponent))
    half = g.make("mul", g.number(0.5), exponent)
    is_even = g.make("==", half, g.make("trunc", half))
    sign = g.make("select", is_even, g.number(1), g.number(-1))
    return g.make("pow", base, exponent, g.make("select", is_whole, sign, g.number(math.nan)))


def _stop(g: Graph, a: int) -> int | None:
    return a if g.level[a] == NUMBER or g.is_mask[a] else None


def _square(g: Graph, a: int) -> int:
    return g.make("mul", a, a)


def _rsqrt(g: Graph, a: int) -> int:
    return g.make("rcp", g.make("sqrt", a))


_RULES: dict[str, Callable[..., int | None]] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "rcp": _rcp,
    "div": _div,
    "abs": _abs,
    "max": _extreme,
    "min": _extreme,
    "select": _select,
    "not": _not,
    "pow": _pow,
    "square": _square,
    "stop": _stop,
    "rsqrt": _rsqrt,
}
