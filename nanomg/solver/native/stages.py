"""One Rosenbrock step of all lanes of a register, as a function of a module: what nanomg.solver.rosenbrock does, stage by stage."""

from __future__ import annotations

import numpy as np

from nanomg.solver.native.ir import POINTER, Function, Module, Value
from nanomg.solver.native.straight import Straight
from nanomg.solver.rosenbrock import Tableau


def add_step(module: Module, straight: Straight, tableau: Tableau) -> Function:
    """`step(y, h, inv, inflow, U, Y, F, E, L)` with `U` (stage, state): `Y` becomes the state after it; the error is the last `U`.

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
        add_sums(function, form.vector, states, tableau, s, y, rows, Y, Y)
        if s == 0:
            function.call(straight.jacobian, y, inv, inflow, F, E)
            function.call(straight.factor, E, inv, hg, L)
        else:
            function.call(straight.rates, Y, inv, inflow, F)
        function.call(straight.solve, L, hg, F, rows[s])
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


def add_sums(
    f: Function,
    vector: str,
    states: int,
    tableau: Tableau,
    s: int,
    y: Value,
    rows: list[Value],
    Y: Value,
    before: Value,
) -> None:
    """The argument of stage `s`, `Y = y + sum a_sj U_j`, and where its result will be `g sum c_sj U_j`, in one pass.

    `before` is the argument of the stage before, and may be the same array as `Y`.
    """
    A, C = tableau.A[s, :s], tableau.g * tableau.C[s, :s]
    with f.each(states) as i:
        U = [f.load(row, vector, i) for row in rows[:s]]
        if s:
            if continues(tableau, s):
                argument, terms = f.load(before, vector, i) + U[s - 1], []
            else:
                argument, terms = f.load(y, vector, i), [(U[j], float(A[j])) for j in np.flatnonzero(A)]
            for row, a in terms:
                argument = argument + row * a
            f.store(argument, Y, i)
        right = f.number(vector, 0.0)
        for n, j in enumerate(np.flatnonzero(C)):
            product = U[j] * float(C[j])
            right = right + product if n else product
        f.store(right, rows[s], i)
