"""Functions of one number, written as people write them: "exp(-0.01 * x)", "(x - 20)**2".

A text is parsed by Python's own grammar, and only arithmetic, numbers, `x` and the functions below are evaluated.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from nanomg.errors import InputError

_LONGEST, _DEEPEST = 200, 50  # characters, and operations within each other
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS = {
    "exp": 1,
    "log": 1,
    "log10": 1,
    "sqrt": 1,
    "tanh": 1,
    "abs": 1,
    "min": 2,
    "max": 2,
}  # and how many arguments


def checked(text: str, where: str) -> str:
    """The text of a function of `x` as it is, where it can be evaluated. Raises `InputError` where it cannot, or lacks `x`."""
    if not any(isinstance(node, ast.Name) and node.id == "x" for node in ast.walk(_parsed(text, where))):
        raise InputError(f"{text!r} does not depend on x, the value of the statistic", where)
    return text


def evaluate(text: str, x: Any) -> Any:
    """The function at `x`, an array of JAX or a number; differentiable.

    Raises `InputError` where the text is no function of x.
    """
    import jax.numpy as jnp

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(number):
                return jnp.asarray(float(number))  # type: ignore[arg-type]  # else a large power of two numbers is an error
            case ast.Name():
                return x
            case ast.BinOp(left, operation, right):
                return _OPERATORS[type(operation)](value(left), value(right))
            case ast.UnaryOp(operation, operand):
                return _OPERATORS[type(operation)](value(operand))
            case ast.Call(ast.Name(name), arguments):
                function = getattr(jnp, {"min": "minimum", "max": "maximum"}.get(name, name))
                return function(*(value(argument) for argument in arguments))
        raise AssertionError(node)

    return value(_parsed(text, ""))


@functools.lru_cache(maxsize=256)
def _parsed(text: str, where: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise InputError(f"a function of x has at most {_LONGEST} characters", where)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(text, where) from None
    if not _allowed(tree, 0):
        raise _refused(text, where)
    return tree


def _allowed(node: ast.AST, depth: int) -> bool:
    inner = lambda *nodes: depth < _DEEPEST and all(_allowed(one, depth + 1) for one in nodes)
    match node:
        case ast.Constant(number):
            return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < math.inf
        case ast.Name(name):
            return name == "x"
        case ast.BinOp(left, operation, right):
            return type(operation) in _OPERATORS and inner(left, right)
        case ast.UnaryOp(operation, operand):
            return type(operation) in _OPERATORS and inner(operand)
        case ast.Call(ast.Name(name), arguments, []):
            return _FUNCTIONS.get(name) == len(arguments) and inner(*arguments)
    return False


def _refused(text: str, where: str) -> InputError:
    return InputError(
        f"{text!r} is not a function of x: numbers, x, + - * / ** and {', '.join(_FUNCTIONS)} are allowed", where
    )
