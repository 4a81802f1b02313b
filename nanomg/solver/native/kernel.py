"""A kernel for a model: its operations, its method and the loop over steps, as the text of one LLVM module."""

from __future__ import annotations

from nanomg.equations.model import Model
from nanomg.solver.native import forward, graph, straight
from nanomg.solver.native.ir import Format, Module
from nanomg.solver.rosenbrock import METHODS


def forward_text(
    model: Model, timed: tuple[str, ...], channels: tuple[int, ...], method: str, form: Format, record: bool = False
) -> str:
    """The module of the kernel `forward`, or of `record`, which writes down every step.

    Raises `UnknownPrimitive` where the equations use an operation that has no machine code here.
    """
    module = Module(form)
    code = straight.straight_of(module, graph.equations_of(model, timed), channels)
    forward.add_forward(module, code, METHODS[method], record)
    return module.text
