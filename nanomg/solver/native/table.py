"""Functions of a model in every lane at every look: signals along a trajectory, constants of a subject, doses as they arrive.

Any function of scalars that JAX can trace becomes one kernel: a lane at a time, as many of its looks side by side as a register holds.
What depends on the subject alone is worked out once a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nanomg.equations.mechanism import Port
from nanomg.equations.model import Model
from nanomg.solver.native import arguments, graph, straight
from nanomg.solver.native.ir import I32, I64, POINTER, Format, Function, Module, Value
from nanomg.solver.native.nodes import FORCING, STATE, SUBJECT, Graph
from nanomg.solver.native.straight import Emission

OPERANDS = (
    "y",  # (B, L, N) in the precision of the solve
    "u",  # (B, L, U)
    "fixed",  # (n,)
    "varied",  # (B, V)
    "source",  # (P,) i32, as a solve has it
)
RESULTS = ("results",)  # (B, Q, L)
SIZES = ("lanes", "looks", "varied_count", "y_stride", "u_stride")  # a stride is 0 where lanes share the array


class Rows(NamedTuple):
    """How many numbers a function takes at each look, and for each subject."""

    y: int
    u: int
    p: int


Row = list[Any]
Scalars = Callable[[Row, Row, Row], Row]  # of y, u and p


# ---------------------------------------------------------------- functions of a model
def signals_text(
    model: Model, bound: tuple[str, ...], names: tuple[str, ...], precision: str, register_bytes: int
) -> str:
    """States, signals, inputs and parameters of these names.

    `y` are the states, `u` the model's inputs and then the values of the parameters `bound` to columns, `p` the other parameters.
    """
    others = [name for name in model.parameters if name not in bound]

    def signals(y: Row, u: Row, p: Row) -> Row:
        given = dict(zip((*model.inputs, *bound), u, strict=True))
        x = model.derive({**dict(zip(others, p, strict=True)), **{name: given[name] for name in bound}})
        x.update(zip(model.states, y, strict=True))
        x.update((name, given[name]) for name in model.inputs)
        x = model.evaluate(x)
        return [x[name] for name in names]

    return text_of(signals, Rows(len(model.states), len(model.inputs) + len(bound), len(others)), precision, register_bytes)


def start_text(model: Model, register_bytes: int) -> str:
    """The model's constants, then its amounts at time 0; `p` are the parameters."""

    def start(y: Row, u: Row, p: Row) -> Row:
        x = model.derive(dict(zip(model.parameters, p, strict=True)))
        return [*(x[name] for name in model.constants), *model.initial(x)]

    return text_of(start, Rows(0, 0, len(model.parameters)), "float64", register_bytes)


def doses_text(model: Model, cmt: str, rows: tuple[int, ...], register_bytes: int) -> str:
    """What of a dose reaches the states of these rows, and its lag [h]; `y` is the amount, `p` parameters and constants."""
    names, states = (*model.parameters, *model.constants), list(model.states)
    port = model.ports.get(cmt, Port("", "", {cmt: 1.0}))

    def arriving(y: Row, u: Row, p: Row) -> Row:
        x = dict(zip(names, p, strict=True))
        amount = y[0]
        if port.uptake is not None:
            amount = getattr(model.mechanism_of(cmt, x), port.uptake)(amount)
        if port.F is not None:
            amount = amount * x[port.F]
        share = {s: x[c] if isinstance(c, str) else c for s, c in port.into.items()}
        return [*(amount * share.get(states[row], 0.0) for row in rows), x[port.lag] if port.lag is not None else 0.0]

    return text_of(arriving, Rows(1, 0, len(names)), "float64", register_bytes)


# ---------------------------------------------------------------- the kernel
def text_of(function: Scalars, rows: Rows, precision: str, register_bytes: int) -> str:
    """The module of a function's kernel `table`; `y` is kept in `precision`, all else and the results in float64."""
    module = Module(Format("double", max(1, register_bytes // 8)))
    g = Graph()
    inputs = [[g.input(letter, i) for i in range(size)] for letter, size in zip("yup", rows, strict=True)]
    closed = jax.make_jaxpr(lambda *given: [jnp.asarray(r, float) for r in function(*map(list, given))])(
        *([1.0] * size for size in rows)
    )
    constants = [graph.constant_node(g, c) for c in closed.consts]
    roots = graph.read_jaxpr(g, closed.jaxpr, constants, [i for part in inputs for i in part])
    _add_table(module, g, roots, rows, {"float64": "double", "float32": "float"}[precision])
    return module.text


def _add_table(module: Module, g: Graph, roots: Sequence[int], rows: Rows, held: str) -> None:
    read = g.from_outside(roots, STATE)
    forced = [i for i in read if g.level[i] == FORCING]
    invariants = sorted({*read, *g.from_outside(forced, FORCING)}, key=lambda i: (g.level[i], i))
    places = {node: row for row, node in enumerate(invariants)}
    subject = straight.add_outside(module, "subject", "p", g, SUBJECT, places)
    forcing = straight.add_outside(module, "forcing", "u", g, FORCING, places)
    look = module.function("look", *((f"{POINTER} noalias align 64", n) for n in ("y", "inv", "out")))
    y, inv, out = look.arguments
    for q, value in enumerate(Emission(look, g, STATE, {"y": y, "inv": inv}, places).emit(roots)):
        look.store(value, out, q)
    look.done()

    needed = [g.nodes[i] for level in (STATE, FORCING) for i in g.reached([*roots, *forced], level)]
    used = {letter: sorted({node.args[0] for node in needed if node.op == letter}) for letter in "yu"}
    f = module.function("table", *arguments.PARAMETERS, shared=True)
    given = arguments.begin(f, OPERANDS, RESULTS, SIZES)
    form, sizes = module.form, {"y": rows.y, "u": rows.u, "p": rows.p, "inv": len(places), "out": len(roots)}
    arrays = {name: f.room(form.vector, max(size, 1)) for name, size in sizes.items()}
    following = f.variable(I64, 0)
    following.set(f.add_atomically(given.queue, 1))
    with f.as_long_as(lambda: following.get().is_("<", given.sizes["lanes"])):
        lane = following.get()
        with f.each(rows.p) as i:
            source = f.load(given.arrays["source"], I32, i).to(I64, "sext")
            shared = source.is_(">=", 0)
            own = f.at(given.arrays["varied"], form.real, lane * given.sizes["varied_count"])
            base = shared.where(given.arrays["fixed"], own)
            f.store(f.load(base, form.real, shared.where(source, -1 - source)).spread(form.vector), arrays["p"], i)
        f.call(subject, arrays["p"], arrays["inv"])
        first = f.variable(I64, 0)
        with f.as_long_as(lambda: first.get().is_("<", given.sizes["looks"])):
            at = first.get()
            _gather(f, given, "y", held, lane, at, rows.y, used["y"], arrays["y"])
            _gather(f, given, "u", form.real, lane, at, rows.u, used["u"], arrays["u"])
            f.call(forcing, arrays["u"], arrays["inv"])
            f.call(look, arrays["y"], arrays["inv"], arrays["out"])
            _scatter(f, given, lane, at, len(roots), arrays["out"])
            first.set(at + form.width)
        following.set(f.add_atomically(given.queue, 1))
    f.done()


def _gather(
    f: Function,
    given: arguments.Arguments,
    letter: str,
    kind: str,
    lane: Value,
    first: Value,
    rows: int,
    used: Sequence[int],
    array: Value,
) -> None:
    """The numbers of the looks from `first` on, side by side; the last look again where there are no more."""
    form, looks = f.module.form, given.sizes["looks"]
    begin = lane * given.sizes[f"{letter}_stride"]
    with f.each(form.width) as w:
        wanted = first + w
        at = begin + wanted.is_("<", looks).where(wanted, looks - 1) * rows
        for i in used:
            number = f.load(given.arrays[letter], kind, at + i)
            f.store(number.to(form.real, "fpext"), f.at(f.at(array, form.vector, i), form.real, w))


def _scatter(
    f: Function, given: arguments.Arguments, lane: Value, first: Value, count: int, array: Value
) -> None:
    """The results of the looks from `first` on, as far as there are any."""
    form, looks = f.module.form, given.sizes["looks"]
    whole = (first + form.width).is_("<=", looks)

    def place(q: Value) -> Value:
        return f.at(given.arrays["results"], form.real, (lane * count + q) * looks + first)

    def all_at_once() -> None:
        with f.each(count) as q:
            f.store(f.load(array, form.vector, q), place(q), align=form.bytes)

    def one_by_one() -> None:
        with f.each(count) as q, f.each(looks - first) as w:
            number = f.load(f.at(array, form.vector, q), form.real, w)
            f.store(number, place(q), w)

    f.choose(whole, all_at_once, one_by_one)
