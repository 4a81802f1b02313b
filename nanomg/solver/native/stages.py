"""One Rosenbrock step of all lanes of a register, as a function of a module: what nanomg.solver.rosenbrock does, stage by stage."""

from __future__ import annotations

import numpy as np

from nanomg.solver.native.ir import POINTER, Function, Module, Value
from nanomg.solver.native.straight import Straight
from nanomg.solver.rosenbrock import Tableau


def add_step(module: Module, straight: Straight, tableau: Tableau) -> Function:
    """`step(y, h, inv, inflow, U, Y, F, E, L)` with `U` (stage, state): `Y` becomes the state after the step; the error is the last of `U`.

    The function of the last stage starts where the step ends without that stage, and the error is that stage: of the methods here
    this is so, and saves two sums.
    """
    form, stages, states = module.form, len(tableau.m), straight.states
    function = module.function(
        "step",
        *((f"{POINTER} noalias align 64", name) for name in ("y", "h", "inv", "inflow", "U", "Y", "F", "E", "L")),
        attributes="nounwind noinline",
    )
    y, h_at, inv, inflow, U, Y, F, E, L = function.arguments
    h = function.load(h_at, form.vector)
    hg = h * tableau.g
    rows = [function.at(U, form.vector, s * states) for s in range(stages)]
    for s in range(stages):
        if s == 0:
            function.call(straight.jacobian, y, inv, inflow, F, E)
            function.call(straight.factor, E, inv, hg, L)
        else:
            add_argument(function, form.vector, states, tableau, s, y, rows, Y, Y)
            function.call(straight.rates, Y, inv, inflow, F)
        add_right(function, form.vector, states, tableau, s, hg, F, rows)
        function.call(straight.solve, L, rows[s])
    with function.each(states) as i:
        last = function.load(rows[-1], form.vector, i)
        before = function.load(Y, form.vector, i)
        function.store(before + last, Y, i)
    function.done()
    return function


def continues(tableau: Tableau, s: int) -> bool:
    """Whether the argument of stage `s` is that of the stage before and this stage's result."""
    A = tableau.A
    return s > 1 and bool(np.array_equal(A[s, : s - 1], A[s - 1, : s - 1]) and A[s, s - 1] == 1.0)


def add_argument(
    function: Function,
    vector: str,
    states: int,
    tableau: Tableau,
    s: int,
    y: Value,
    rows: list[Value],
    Y: Value,
    before: Value,
) -> None:
    """`Y = y + sum a_sj U_j`, the argument of stage `s`; `before` is that of the stage before, and may be the same array."""
    with function.each(states) as i:
        if continues(tableau, s):
            total = function.load(before, vector, i) + function.load(rows[s - 1], vector, i)
        else:
            total = function.load(y, vector, i)
            for j in np.flatnonzero(tableau.A[s, :s]):
                total = total + function.load(rows[j], vector, i) * float(tableau.A[s, j])
        function.store(total, Y, i)


def add_right(
    function: Function, vector: str, states: int, tableau: Tableau, s: int, hg: Value, F: Value, rows: list[Value]
) -> None:
    """The right side of stage `s`, `g h F + g sum c_sj U_j`, where its result will be."""
    with function.each(states) as i:
        total = hg * function.load(F, vector, i)
        for j in np.flatnonzero(tableau.C[s, :s]):
            total = total + function.load(rows[j], vector, i) * float(tableau.g * tableau.C[s, j])
        function.store(total, rows[s], i)
