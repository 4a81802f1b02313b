"""A model's right-hand side as straight-line scalar code, read from its own jaxpr: for solvers that know nothing of JAX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from nanomg.equations.model import Model

PYTHON = {
    **{op: f"{{0}} {sign} {{1}}" for op, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/"))},
    **{op: f"{{0}} {sign} {{1}}" for op, sign in (("gt", ">"), ("lt", "<"), ("ge", ">="), ("le", "<="))},
    **{op: f"math.{op}({{0}})" for op in ("exp", "expm1", "log", "log1p", "sqrt", "tanh")},
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "max": "max({0}, {1})",
    "min": "min({0}, {1})",
    "pow": "{0} ** {1}",
    "logistic": "1.0 / (1.0 + math.exp(-{0}))",
    "select_n": "{2} if {0} else {1}",
}
ANTIMONY = {
    **{op: text.replace("math.", "") for op, text in PYTHON.items()},
    "expm1": "exp({0}) - 1",
    "log": "ln({0})",
    "log1p": "ln(1 + {0})",
    "pow": "{0} ^ {1}",
    "max": "piecewise({0}, {0} > {1}, {1})",
    "min": "piecewise({0}, {0} < {1}, {1})",
    "select_n": "piecewise({2}, {0}, {1})",
}
_ALIAS = {"add_any": "add"}
_SAME = ("convert_element_type", "copy", "stop_gradient", "broadcast_in_dim", "reshape", "squeeze")


class Line(NamedTuple):
    """One assignment: `name = op(args)`; each argument is a name or a number."""

    name: str
    op: str
    args: tuple[str, ...]

    def write(self, syntax: Mapping[str, str]) -> str:
        """The right side in a language."""
        return syntax[self.op].format(*(f"({a})" if a.startswith("-") else a for a in self.args))


class Program(NamedTuple):
    """d(state)/dt without what doses bring: states are s0.., inputs in time u0.., values that differ between subjects p0.."""

    states: int
    inputs: int
    varied: int
    lines: tuple[Line, ...]
    rates: tuple[str, ...]


def program_of(model: Model, values: Mapping[str, float], varied: Sequence[str]) -> Program:
    """The rates of `model`. `values` holds parameters and constants; all but the `varied` become numbers in the code."""

    def rates(y: list[Any], u: list[Any], p: list[Any]) -> list[Any]:
        x: dict[str, Any] = {**values, **dict(zip(varied, p, strict=True))}
        x.update(zip(model.states, y, strict=True))
        x.update(zip(model.inputs, u, strict=True))
        return model.rates(x)

    sizes = {"s": len(model.states), "u": len(model.inputs), "p": len(varied)}
    closed = jax.make_jaxpr(rates)(*([1.0] * size for size in sizes.values()))
    lines: list[Line] = []
    names = [f"{letter}{i}" for letter, size in sizes.items() for i in range(size)]
    results = _walk(closed.jaxpr, closed.consts, names, lines)
    return Program(sizes["s"], sizes["u"], sizes["p"], _needed(lines, results), tuple(results))


def _walk(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[str], lines: list[Line]) -> list[str]:
    known = dict(zip(jaxpr.invars, arguments, strict=True))
    known.update(zip(jaxpr.constvars, (_number(c) for c in consts), strict=True))

    def text(atom: Any) -> str:
        return _number(atom.val) if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        args = tuple(text(a) for a in equation.invars)
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if inner is not None:
            body = getattr(inner, "jaxpr", inner)
            known.update(zip(equation.outvars, _walk(body, getattr(inner, "consts", ()), args, lines), strict=True))
            continue
        op = _ALIAS.get(equation.primitive.name, equation.primitive.name)
        if op in _SAME:
            known[equation.outvars[0]] = args[0]
            continue
        if op in ("square", "integer_pow"):
            power = equation.params.get("y", 2)
            op, args = "pow", (args[0], repr(float(power)))
            if power == 2:
                op, args = "mul", (args[0], args[0])
        if op not in PYTHON:
            raise NotImplementedError(f"the model uses {op!r}, which {__name__} cannot write")
        lines.append(Line(f"v{len(lines)}", op, args))
        known[equation.outvars[0]] = lines[-1].name
    return [text(v) for v in jaxpr.outvars]


def _number(value: Any) -> str:
    return repr(float(np.asarray(value)))


def _needed(lines: Sequence[Line], results: Sequence[str]) -> tuple[Line, ...]:
    wanted, kept = set(results), []
    for line in reversed(lines):
        if line.name in wanted:
            wanted.update(line.args)
            kept.append(line)
    return tuple(reversed(kept))


def python_source(program: Program, channels: Sequence[int], scale: np.ndarray) -> str:
    """`rhs(t, y, dy, p)` on states divided by `scale`; `p` holds varied values, inflow into `channels`, inputs."""
    inflow = {row: f" + p[{program.varied + c}]" for c, row in enumerate(channels)}
    first_input = program.varied + len(channels)
    body = [
        *(f"s{i} = y[{i}] * {float(scale[i])!r}" for i in range(program.states)),
        *(f"u{i} = p[{first_input + i}]" for i in range(program.inputs)),
        *(f"p{i} = p[{i}]" for i in range(program.varied)),
        *(f"{line.name} = {line.write(PYTHON)}" for line in program.lines),
        *(f"dy[{i}] = ({r}{inflow.get(i, '')}) * {1 / float(scale[i])!r}" for i, r in enumerate(program.rates)),
    ]
    return "def rhs(t, y, dy, p):\n" + "".join(f"    {line}\n" for line in body)


def python_function(source: str) -> Callable[..., None]:
    """The function of `python_source`."""
    space: dict[str, Any] = {"math": math}
    exec(source, space)
    return space["rhs"]
