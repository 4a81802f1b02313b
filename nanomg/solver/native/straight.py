"""A model's equations and their linear algebra as functions without loops or branches, each on one vector of lanes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

from nanomg.solver.native import mathematics
from nanomg.solver.native.graph import Equations
from nanomg.solver.native.ir import Function, Module, Value
from nanomg.solver.native.nodes import FORCING, STATE, SUBJECT, Graph, is_half
from nanomg.solver.sparsity import Entry, elimination_order

_ARRAY = "ptr noalias align 64"
_ATTRIBUTES = "nounwind noinline"
# about how many cycles operations take that are more than one instruction, or a slow one
_CYCLES = {
    "exp": 45,
    "expm1": 50,
    "log": 60,
    "log1p": 70,
    "pow": 130,
    "tanh": 90,
    "logistic": 65,
    "cbrt": 170,
    "rcp": 15,
    "sqrt": 20,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Straight:
    """Functions of one model, and how many rows of vectors their arrays have.

    | function | parameters | what it does |
    | --- | --- | --- |
    | `subject` | `p, inv` | sets what depends on the subject's values alone |
    | `forcing` | `u, inv` | sets what also depends on the forcing; `subject` comes first |
    | `rates` | `y, inv, inflow, f` | sets the rates with the inflow of every channel added |
    | `jacobian` | `y, inv, inflow, f, E` | sets the rates and the Jacobian entries that depend on states |
    | `factor` | `E, inv, hg, L` | sets the LU factors of I - hg J, with hg (a vector by value) step times g |
    | `solve` | `L, hg, f, b` | replaces b by the solution of (I - hg J) x = b + hg f |

    Rows: `y`, `f` and `b` states, `inv` invariants, `E` live, `L` slots, `inflow` one per channel.
    """

    equations: Equations
    places: Places
    channels: tuple[int, ...]
    subject: Function
    forcing: Function
    rates: Function
    jacobian: Function
    factor: Function
    solve: Function

    @property
    def states(self) -> int:
        """Rows of the state."""
        return self.equations.states

    @property
    def invariants(self) -> int:
        """Rows of what is worked out outside the loop over steps."""
        return len(self.places.invariants)

    @property
    def live(self) -> int:
        """Rows of the Jacobian entries that depend on states."""
        return len(self.places.live)

    @property
    def slots(self) -> int:
        """Rows of the LU factors."""
        return len(self.places.slots)


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Which row of which array holds what."""

    invariants: dict[int, int]  # node: row of `inv`
    live: dict[int, int]  # node without its sign: row of `E`
    entries: dict[Entry, int]  # the node of every entry that is not always 0
    order: tuple[int, ...]  # of the pivots
    slots: dict[Entry, int]  # row of `L`; a pivot that is always 1 has none


def places_of(equations: Equations, more: Sequence[int] = ()) -> Places:
    """Where everything is kept; `more` are nodes of other functions in the loop, which have their invariants too."""
    g = equations.graph
    nodes = {e: node for e, node in zip(zip(equations.rows, equations.columns, strict=True), equations.entries, strict=True)
             if g.value(node) != 0}  # fmt: skip
    bare = [g.without_sign(node)[0] for node in nodes.values()]
    live = list(dict.fromkeys(node for node in bare if g.level[node] == STATE))
    read = g.from_outside([*(g.without_sign(r)[0] for r in equations.rates), *bare, *more], STATE)
    forced = [i for i in read if g.level[i] == FORCING]
    invariants = sorted({*read, *g.from_outside(forced, FORCING)}, key=lambda i: (g.level[i], i))
    order, filled = elimination_order(list(nodes), equations.states)
    place = {k: q for q, k in enumerate(order)}
    slots: dict[Entry, int] = {}
    for i, j in sorted(filled, key=lambda e: (min(place[e[0]], place[e[1]]), place[e[0]], place[e[1]])):
        always_one = i == j and (i, i) not in nodes and not _eliminated(i, i, place, filled)
        if not always_one:
            slots[i, j] = len(slots)
    return Places(
        {node: row for row, node in enumerate(invariants)},
        {node: row for row, node in enumerate(live)},
        nodes,
        tuple(order),
        slots,
    )


def _eliminated(i: int, j: int, place: Mapping[int, int], filled: set[Entry] | Mapping[Entry, int]) -> list[int]:
    """The pivots whose elimination changes entry (i, j), in their order."""
    before = min(place[i], place[j])
    return [k for k in sorted(place, key=place.__getitem__) if place[k] < before and (i, k) in filled and (k, j) in filled]  # fmt: skip  # noqa: E501


class Emission:
    """The nodes of one level as operations of a function. `arrays` hold the inputs by letter and the invariants as `inv`."""

    def __init__(self, function: Function, g: Graph, level: int, arrays: Mapping[str, Value], rows: Mapping[int, int]):
        self.function, self.g, self.level, self.arrays, self.rows = function, g, level, arrays, rows
        self.form = function.module.form
        self._values: dict[int, Value] = {}

    def emit(self, roots: Sequence[int], use: Callable[[int, Value], None] | None = None) -> list[Value]:
        """Values of these nodes; `use` is called with each of them as soon as it is there, which saves registers."""
        wanted = self.g.reached(roots, self.level)
        ends = set(roots)
        for node in [*sorted(ends.difference(wanted)), *self._by_readiness(wanted)]:
            value = self._value(node)
            if use is not None and node in ends:
                use(node, value)
        return [self._value(r) for r in roots]

    def _by_readiness(self, wanted: Sequence[int]) -> list[int]:
        """In the order in which a processor that does all at once would be through with them: a fifth faster than as written."""
        ready: dict[int, int] = {}
        for node in wanted:
            op, args = self.g.nodes[node]
            before = 0 if self.g.nodes[node].is_leaf else max((ready.get(a, 0) for a in args), default=0)
            ready[node] = before + _CYCLES.get(op, 4)
        return sorted(wanted, key=lambda node: (ready[node], node))

    def _value(self, node: int) -> Value:
        if node not in self._values:
            self._values[node] = self._new(node)
        return self._values[node]

    def _new(self, node: int) -> Value:
        op, args = self.g.nodes[node]
        if op in ("number", "truth"):
            return self.function.number(self.form.mask if op == "truth" else self.form.vector, args[0])
        if self.g.level[node] < self.level and node in self.rows:
            held = self.function.load(self.arrays["inv"], self.form.vector, self.rows[node])
            return held.is_("!=", 0.0) if self.g.is_mask[node] else held
        if self.g.nodes[node].is_leaf:
            return self.function.load(self.arrays[op], self.form.vector, args[0])
        return _operation(op, [self._value(a) for a in args], self.g, args)


def _operation(op: str, x: list[Value], g: Graph, args: Sequence[int]) -> Value:
    """The result of a node's operation on the values of its arguments."""
    match op:
        case "add":
            return x[0] + x[1]
        case "sub":
            return x[0] - x[1]
        case "mul":
            return x[0] * x[1]
        case "own" | "stop":
            return x[0]
        case "neg":
            return -x[0]
        case "rcp":
            return 1.0 / x[0]
        case "<" | "<=" | ">" | ">=" | "==" | "!=":
            return x[0].is_(op, x[1])
        case "and" | "or" | "xor":
            return x[0].whole(op, x[1])
        case "not":
            return ~x[0]
        case "select":
            return x[0].where(x[1], x[2])
        case "max" | "min":
            return _extreme(op, x, g, args)
        case "sign":
            below = x[0].is_("<", 0.0).where(x[0].function.number(x[0].kind, -1.0), x[0])
            return x[0].is_(">", 0.0).where(x[0].function.number(x[0].kind, 1.0), below)
        case "round":
            size = x[0].intrinsic("fabs")
            whole = size.intrinsic("trunc")
            return (whole + (size - whole).is_(">=", 0.5).where(x[0].function.number(x[0].kind, 1.0), 0.0)).intrinsic("copysign", x[0])  # fmt: skip  # noqa: E501
        case "abs" | "sqrt" | "floor" | "ceil" | "trunc" | "round_even":
            return x[0].intrinsic({"abs": "fabs", "round_even": "roundeven"}.get(op, op))
        case "pow" if (number := g.value(args[1])) is not None and is_half(number):
            return _half_power(x[0], number)
        case "pow":
            return mathematics.power(x[0], x[1], None if g.value(args[2]) == 1 else x[2])
        case _:
            return getattr(mathematics, op)(x[0])


def _half_power(x: Value, exponent: float) -> Value:
    """A power with a whole number and a half as exponent; -infinity has none."""
    result = x.intrinsic("sqrt")
    for _ in range(int(abs(exponent))):
        result = result * x
    return result if exponent > 0 else 1.0 / result


def _extreme(op: str, x: list[Value], g: Graph, args: Sequence[int]) -> Value:
    """The larger or smaller of two; no number if either is none."""
    sign, (a, b) = {"max": ">", "min": "<"}[op], x
    if g.value(args[1]) is not None:
        a, b = b, a
        args = args[::-1]
    result = a.is_(sign, b).where(a, b)  # b if either is none
    known = g.value(args[0])
    return result if known is not None and known == known else a.is_("!=", a).where(a, result)


def straight_of(
    module: Module, equations: Equations, channels: Sequence[int], places: Places | None = None
) -> Straight:
    """Add the functions of a model to a module.

    Args:
        module: The module.
        equations: The model's equations.
        channels: Rows of the states that doses reach, in the order of the rows of `inflow`.
        places: Where everything is kept; by default as `places_of` has it.

    Returns:
        The functions and the sizes of their arrays.
    """
    places = places or places_of(equations)
    function = functools.partial(add_function, module)
    return Straight(
        equations,
        places,
        tuple(channels),
        add_outside(module, "subject", "p", equations.graph, SUBJECT, places.invariants),
        add_outside(module, "forcing", "u", equations.graph, FORCING, places.invariants),
        _rates(*function("rates", "y", "inv", "inflow", "f"), equations, places, channels),
        _rates(*function("jacobian", "y", "inv", "inflow", "f", "E"), equations, places, channels),
        _factor(*function("factor", "E", "inv", "hg", "L"), equations, places),
        _solve(*function("solve", "L", "hg", "f", "b"), places),
    )


def add_function(module: Module, name: str, *parameters: str) -> tuple[Function, dict[str, Value]]:
    """A new function of arrays, and of `hg` by value, with its arguments by name."""
    kinds = [(module.form.vector if p == "hg" else _ARRAY, p) for p in parameters]
    made = module.function(name, *kinds, attributes=_ATTRIBUTES)
    return made, dict(zip(parameters, made.arguments, strict=True))


def add_outside(module: Module, name: str, letter: str, g: Graph, level: int, places: Mapping[int, int]) -> Function:
    """A function of the inputs of a level and `inv` that sets the nodes of that level among those that `inv` keeps."""
    function, arrays = add_function(module, name, letter, "inv")
    nodes = [i for i in places if g.level[i] == level]
    values = Emission(function, g, level, arrays, places).emit(nodes)
    for node, value in zip(nodes, values, strict=True):
        held = value.where(function.number(module_vector(function), 1.0), 0.0) if g.is_mask[node] else value
        function.store(held, arrays["inv"], places[node])
    function.done()
    return function


def module_vector(function: Function) -> str:
    """The type of a vector of real numbers in a function's module."""
    return function.module.form.vector


def _rates(
    function: Function, arrays: dict[str, Value], equations: Equations, places: Places, channels: Sequence[int]
) -> Function:
    g, vector = equations.graph, module_vector(function)
    entries = places.live if "E" in arrays else {}
    ends: dict[int, list[tuple[int, bool]]] = {}
    for i, rate in enumerate(equations.rates):
        node, negative = g.without_sign(rate)
        ends.setdefault(node, []).append((i, negative))

    def store(node: int, value: Value) -> None:
        for i, negative in ends.get(node, ()):
            if i in channels:
                inflow = function.load(arrays["inflow"], vector, list(channels).index(i))
                function.store(inflow - value if negative else inflow + value, arrays["f"], i)
            else:
                function.store(-value if negative else value, arrays["f"], i)
        if node in entries:
            function.store(value, arrays["E"], entries[node])

    Emission(function, g, STATE, arrays, places.invariants).emit([*ends, *entries], store)
    function.done()
    return function


def entry_value(function: Function, arrays: Mapping[str, Value], g: Graph, places: Places, node: int) -> Value:
    """A Jacobian entry without its sign, from wherever it is kept."""
    vector = module_vector(function)
    if node in places.live:
        return function.load(arrays["E"], vector, places.live[node])
    number = g.value(node)
    if number is not None:
        return function.number(vector, number)
    return function.load(arrays["inv"], vector, places.invariants[node])


def _factor(function: Function, arrays: dict[str, Value], equations: Equations, places: Places) -> Function:
    g, vector = equations.graph, module_vector(function)
    place = {k: q for q, k in enumerate(places.order)}
    step = {False: -arrays["hg"], True: arrays["hg"]}  # the entries are subtracted
    scaled: dict[tuple[int, bool], Value] = {}
    L: dict[Entry, Value] = {}

    def entry(node: int, negative: bool) -> Value:
        if (node, negative) not in scaled:
            scaled[node, negative] = step[negative] * entry_value(function, arrays, g, places, node)
        return scaled[node, negative]

    filled = set(places.slots) | {(k, k) for k in places.order}
    for (i, j), row in places.slots.items():
        total = function.number(vector, 1.0) if i == j else None
        if (i, j) in places.entries:
            value = entry(*g.without_sign(places.entries[i, j]))
            total = value if total is None else total + value
        for k in _eliminated(i, j, place, filled):
            product = L[i, k] * L[k, j]
            total = total - product if total is not None else -product
        assert total is not None
        if i == j:
            total = 1.0 / total
        elif place[i] > place[j] and (j, j) in places.slots:
            total = total * L[j, j]
        L[i, j] = total
        function.store(total, arrays["L"], row)
    function.done()
    return function


def _solve(function: Function, arrays: dict[str, Value], places: Places) -> Function:
    vector = module_vector(function)
    load = lambda name, i: function.load(arrays[name], vector, i)
    x = {i: load("b", i) + arrays["hg"] * load("f", i) for i in places.order}

    def factor(i: int, j: int) -> Value:
        return function.load(arrays["L"], vector, places.slots[i, j])

    for q, i in enumerate(places.order):
        for j in places.order[:q]:
            if (i, j) in places.slots:
                x[i] = x[i] - factor(i, j) * x[j]
    for q, i in reversed(list(enumerate(places.order))):
        for j in places.order[q + 1 :]:
            if (i, j) in places.slots:
                x[i] = x[i] - factor(i, j) * x[j]
        if (i, i) in places.slots:
            x[i] = x[i] * factor(i, i)
    for i, value in x.items():
        function.store(value, arrays["b"], i)
    function.done()
    return function
