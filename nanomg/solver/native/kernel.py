"""Kernels of a model: its operations, its method and the loop over steps, compiled for the processor at hand."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from nanomg.equations.model import Model
from nanomg.solver import engine
from nanomg.solver.native import backward, foreign, forward, graph, machine, pulls, straight
from nanomg.solver.native.foreign import Kernel
from nanomg.solver.native.ir import Format, Module
from nanomg.solver.problem import Problem
from nanomg.solver.rosenbrock import METHODS

log = logging.getLogger(__name__)
_lacking: dict[tuple[Model, tuple[str, ...]], str | None] = {}
REAL = {"float64": "double", "float32": "float"}


def forward_text(
    model: Model,
    timed: tuple[str, ...],
    channels: tuple[int, ...],
    wiped: tuple[tuple[int, ...], ...],
    method: str,
    real: str,
    width: int,
) -> str:
    """The module of the kernel `forward`. Raises `UnknownPrimitive` where the equations use what has no machine code here."""
    module = Module(Format(real, width))
    code = straight.straight_of(module, graph.equations_of(model, timed), channels)
    forward.add_forward(module, code, METHODS[method], wiped, record=False)
    return module.text


def gradient_text(
    model: Model,
    timed: tuple[str, ...],
    channels: tuple[int, ...],
    wiped: tuple[tuple[int, ...], ...],
    method: str,
    real: str,
    width: int,
    varied: tuple[str, ...],
) -> str:
    """The module of the kernels `record` and `backward`, for cotangents of the values `varied`."""
    module = Module(Format(real, width))
    code, back = pulls.straight_with_pulls(module, graph.equations_of(model, timed), channels, varied)
    forward.add_forward(module, code, METHODS[method], wiped, record=True)
    backward.add_backward(module, code, back, METHODS[method], wiped)
    return module.text


def lacks(problem: Problem, precision: str) -> str | None:
    """JAX's word for an operation of a problem's equations that has no machine code, or None."""
    known = problem.model, problem.timed
    if known not in _lacking:
        try:
            forward_kernel(problem, precision)
        except graph.UnknownPrimitive as error:
            log.info("the equations use %r, which has no machine code here; JAX solves them", error.name)
            _lacking[known] = error.name
        else:
            _lacking[known] = None
    return _lacking[known]


def engine_of(models: Sequence[Model]) -> str:
    """The engine that has solved these models, as far as this process has met them: where it is JAX for one, it is JAX."""
    lacking = {model for (model, _), name in _lacking.items() if name is not None}
    return engine.JAX if lacking.intersection(models) else engine.default()


def forward_kernel(problem: Problem, precision: str) -> Kernel:
    """The kernel that solves lanes of a problem."""
    return _compiled(forward_text, _fixed(problem, precision), ("forward",))[0]


def gradient_kernels(problem: Problem, precision: str) -> tuple[Kernel, Kernel]:
    """The kernels that solve lanes and write down their steps, and that go back through these."""
    record, back = _compiled(gradient_text, (*_fixed(problem, precision), problem.varied), ("record", "backward"))
    return record, back


def _fixed(problem: Problem, precision: str) -> tuple[Any, ...]:
    width = machine.host().lanes(precision)
    return problem.model, problem.timed, problem.channels, problem.wiped, problem.method, REAL[precision], width


@functools.lru_cache(maxsize=256)
def _compiled(build: Callable[..., str], fixed: tuple[Any, ...], names: tuple[str, ...]) -> tuple[Kernel, ...]:
    return tuple(foreign.compiled(build, fixed, dict.fromkeys(names, fixed[6])))
