"""A function of numbers as machine code that runs over two axes: an outer loop, and an inner one along which registers are filled.

The inner axis is that of looks where there are many, and what the function makes of numbers that do not change along it is worked
out outside its loop; else it is that of lanes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.solver.native import arguments, foreign, machine
from nanomg.solver.native.graph import read_jaxpr
from nanomg.solver.native.ir import I64, Format, Function, Module, Value
from nanomg.solver.native.nodes import STATE, SUBJECT, Graph
from nanomg.solver.native.straight import Emission

NAME = "evaluate"
_SIZES = ("outer", "inner", "outer_step", "inner_step")  # steps from result to result; then those of each operand


def function_text(
    function: Callable[..., Sequence[Any]],
    fixed: tuple[Any, ...],
    outside: tuple[str, ...],
    inside: tuple[str, ...],
    single: tuple[str, ...],
    count: int,
    width: int,
) -> str:
    """The module of a function `function(*fixed, values)`, with its numbers that change along the inner axis `inside`.

    Those of them that are `single` are read from arrays of single precision.
    Raises `UnknownPrimitive` where the function uses an operation that has no machine code here, and `ValueError` where its
    results are not `count`.
    """
    g = Graph()
    names = *outside, *inside

    def listed(*numbers: Any) -> list[Any]:
        return [jnp.asarray(r, float) for r in function(*fixed, dict(zip(names, numbers, strict=True)))]

    closed = jax.make_jaxpr(listed)(*([1.0] * len(names)))
    given = [*(g.input("p", i) for i in range(len(outside))), *(g.input("y", i) for i in range(len(inside)))]
    constants = [g.number(float(c)) for c in closed.consts]
    results = read_jaxpr(g, closed.jaxpr, constants, given)
    if len(results) != count:
        raise ValueError(f"{function.__name__} has {len(results)} results, not {count}")
    module = Module(Format("double", width))
    _add_loops(module, g, results, len(outside), ["float" if name in single else "double" for name in inside])
    return module.text


def _add_loops(module: Module, g: Graph, results: Sequence[int], outside: int, inside: Sequence[str]) -> None:
    kernel = module.function(NAME, *arguments.PARAMETERS, shared=True)
    operands, made, sizes, queue = kernel.arguments
    vector, real, width = module.form.vector, module.form.real, module.form.width
    size = {name: kernel.load(sizes, I64, i) for i, name in enumerate(_SIZES)}
    outer_steps = kernel.at(sizes, I64, len(_SIZES))
    held = g.from_outside(results, STATE)
    rows = {node: row for row, node in enumerate(held)}
    read = lambda letter, level, roots: [g.nodes[i].args[0] for i in g.reached(roots, level) if g.nodes[i].op == letter]
    lengths = outside, len(inside), len(held), len(results)
    p, y, inv, found = (kernel.room(vector, max(count, 1)) for count in lengths)
    out = kernel.load(made, "ptr")
    outer = kernel.variable(I64, 0)
    outer.set(kernel.add_atomically(queue, 1))
    with kernel.as_long_as(lambda: outer.get().is_("<", size["outer"])):
        o = outer.get()
        with _each_of(kernel, "outside", read("p", SUBJECT, held)) as i:
            number = kernel.load(kernel.load(operands, "ptr", i), real, o * kernel.load(outer_steps, I64, i))
            kernel.store(number.spread(vector), p, i)
        values = Emission(kernel, g, SUBJECT, {"p": p, "inv": inv}, rows).emit(held)
        for node, value in zip(held, values, strict=True):
            number = value.where(kernel.number(vector, 1.0), 0.0) if g.is_mask[node] else value
            kernel.store(number, inv, rows[node])
        to = kernel.at(out, real, o * size["outer_step"])
        changing = read("y", STATE, results)
        with kernel.each(_divided(size["inner"], width)) as group:
            last = size["inner"] - 1  # beyond the end the last number is worked out again
            index = [(group * width + w).smaller(last) for w in range(width)]
            for stored in ("double", "float"):
                with _each_of(kernel, f"inside_{stored}", [i for i in changing if inside[i] == stored]) as i:
                    k = i + outside
                    step = kernel.load(outer_steps, I64, k + len(inside))
                    start = kernel.at(kernel.load(operands, "ptr", k), stored, o * kernel.load(outer_steps, I64, k))
                    loaded = kernel.number(vector, 0.0)
                    for w, at in enumerate(index):
                        number = kernel.load(start, stored, at * step)
                        loaded = loaded.set_element(w, number if stored == real else number.to(real, "fpext"))
                    kernel.store(loaded, y, i)
            values = Emission(kernel, g, STATE, {"y": y, "inv": inv}, rows).emit(results)
            for r, value in enumerate(values):
                kernel.store(value, found, r)
            places = [kernel.at(to, real, at * size["inner_step"]) for at in index]
            with kernel.each(len(results)) as row:
                one = kernel.load(found, vector, row)
                for w, place in enumerate(places):
                    kernel.store(one.element(w), place, row)
        outer.set(kernel.add_atomically(queue, 1))
    kernel.done()


def _divided(count: Value, width: int) -> Value:
    """How many registers so many numbers fill."""
    return (count + (width - 1)) / width


@contextlib.contextmanager
def _each_of(kernel: Function, name: str, numbers: Sequence[int]) -> Iterator[Value]:
    """The body, once in the code, for each of these numbers: a line for each would take LLVM longer than all the rest."""
    listed = ", ".join(f"i64 {n}" for n in numbers)
    kernel.declare(f"@{name} = internal constant [{len(numbers)} x i64] [{listed}]")
    with kernel.each(len(numbers)) as j:
        yield kernel.load(Value(kernel, "ptr", f"@{name}"), I64, j)


@functools.lru_cache(maxsize=256)
def _compiled(
    function: Callable[..., Sequence[Any]],
    fixed: tuple[Any, ...],
    outside: tuple[str, ...],
    inside: tuple[str, ...],
    single: tuple[str, ...],
    count: int,
) -> Callable[[Any, Any, Any, Any], None]:
    width = machine.host().lanes(np.float64)
    (kernel,) = foreign.compiled(function_text, (function, fixed, outside, inside, single, count, width), {NAME: width})
    return foreign.function(kernel)


def evaluate(
    function: Callable[..., Sequence[Any]],
    fixed: tuple[Any, ...],
    values: Mapping[str, np.ndarray | float],
    shape: tuple[int, int],
    results: int,
) -> np.ndarray:
    """`function(*fixed, values)` as (lane, look, result).

    Args:
        function: Takes its fixed arguments and a mapping by name to numbers; returns a list of numbers.
        fixed: Its fixed arguments, which code on disk is named by.
        values: Numbers, or real arrays (lane, look), of either precision, by name; an axis of length 1 stands for all.
        shape: Numbers of lanes and looks.
        results: The length of its list.

    Returns:
        The results.

    Raises:
        UnknownPrimitive: If it uses an operation that has no machine code here.
    """
    width = machine.host().lanes(np.float64)
    inner = 1 if shape[1] >= width else 0  # looks, if they fill a register
    arrays = {name: a for name, a in values.items() if isinstance(a, np.ndarray)}
    moving = lambda a: bool(inner) and a.shape[1] > 1
    arrays = {name: a if moving(a) else np.asarray(a, float) for name, a in arrays.items()}
    # along lanes everything counts as changing: the same code then serves whatever differs between them
    changing = tuple(name for name, a in arrays.items() if a.shape[1] > 1) if inner else None
    outside, inside, place = _order(tuple(values), changing)
    single = tuple(name for name in inside if name in arrays and arrays[name].dtype == np.float32)
    run = _compiled(function, fixed, outside, inside, single, results)
    out = np.empty((*shape, results))
    numbers = np.array([0.0 if name in arrays else value for name, value in values.items()], float)
    operands = np.empty(len(values), np.uint64)
    operands[place] = numbers.ctypes.data + 8 * np.arange(len(values))
    outer_steps, inner_steps = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    step = lambda a, axis: a.strides[axis] // a.itemsize if a.shape[axis] > 1 else 0
    at = dict(zip(values, place, strict=True)) if arrays else {}
    for name, a in arrays.items():
        operands[at[name]] = a.__array_interface__["data"][0]
        outer_steps[at[name]], inner_steps[at[name]] = step(a, 1 - inner), step(a, inner)
    head = shape[1 - inner], shape[inner], step(out, 1 - inner), step(out, inner)
    sizes = np.concatenate([np.array(head), outer_steps, inner_steps[len(outside) :]])
    made = np.array([out.ctypes.data], np.uint64)
    queue = ctypes.c_int64(0)
    run(operands.ctypes.data, made.ctypes.data, sizes.ctypes.data, ctypes.addressof(queue))
    return out


@functools.lru_cache(maxsize=256)
def _order(
    names: tuple[str, ...], changing: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Names outside and inside the inner loop, and the place of each name in that order."""
    inside = tuple(sorted(names if changing is None else changing))
    outside = tuple(sorted(set(names).difference(inside)))
    number = {name: i for i, name in enumerate((*outside, *inside))}
    return outside, inside, np.array([number[name] for name in names], int)
