"""The adjoint of one Rosenbrock step of all lanes of a register: nanomg.solver.rosenbrock.step_adjoint as machine code."""

from __future__ import annotations

from nanomg.solver.native.ir import POINTER, Function, Module, Value
from nanomg.solver.native.pulls import Pulls
from nanomg.solver.native.stages import add_sums
from nanomg.solver.native.straight import Straight
from nanomg.solver.rosenbrock import Tableau

ROWS = ("y", "h", "inv", "inflow", "U", "Y", "F", "E", "L", "bar", "y_bar", "W", "Y_bar", "F_bar")
SUMS = ("h_bar", "inflow_bar", "inv_bar")  # the step adds to these


def sizes_of(straight: Straight, pulls: Pulls, tableau: Tableau) -> dict[str, int]:
    """How many vectors each array of the adjoint holds that the step itself does not."""
    states, stages = straight.states, len(tableau.m)
    return {
        "Y": states * stages,
        "F": states * stages,
        "bar": states * stages,
        "y_bar": states,
        "W": pulls.pattern,
        "Y_bar": states,
        "F_bar": states,
        "h_bar": 1,
        "inflow_bar": len(straight.channels),
        "inv_bar": pulls.held,
    }


def add_adjoint(module: Module, straight: Straight, pulls: Pulls, tableau: Tableau) -> Function:
    """`adjoint(y, h, …)` with the arrays of `ROWS` and `SUMS`: `y_bar` holds the cotangent of the state after the step, and then
    of the one before.

    `Y` and `F` (stage, state) are arguments and rates of the stages, `bar` (stage, state) cotangents of their results.
    """
    vector, stages, states, g = module.form.vector, len(tableau.m), straight.states, tableau.g
    f = module.function(
        "adjoint",
        *((f"{POINTER} noalias align 64", name) for name in (*ROWS, *SUMS)),
        attributes="nounwind noinline",
    )
    at = dict(zip((*ROWS, *SUMS), f.arguments, strict=True))
    h = f.load(at["h"], vector)
    hg = h * g
    row = lambda name, s: f.at(at[name], vector, s * states)
    U = [row("U", s) for s in range(stages)]
    arguments = [at["y"], *(row("Y", s) for s in range(1, stages))]

    # the step again, with all that its adjoint reads
    for s in range(stages):
        add_sums(f, vector, states, tableau, s, at["y"], U, arguments[s], arguments[s - 1])
        if s == 0:
            f.call(straight.jacobian, at["y"], at["inv"], at["inflow"], row("F", 0), at["E"])
            f.call(straight.factor, at["E"], at["inv"], hg, at["L"])
        else:
            f.call(straight.rates, arguments[s], at["inv"], at["inflow"], row("F", s))
        f.call(straight.solve, at["L"], hg, row("F", s), U[s])

    with f.each(states) as i:
        last = f.load(at["y_bar"], vector, i)
        for s in range(stages):
            f.store(last * float(tableau.m[s]), row("bar", s), i)
    with f.each(pulls.pattern) as q:
        f.store(f.number(vector, 0.0), at["W"], q)
    slope = f.variable(vector, 0.0)  # of the step's length, over g
    for s in reversed(range(stages)):
        adjoint = row("bar", s)  # the cotangent of the stage's result becomes the stage's adjoint in place
        f.call(pulls.solve_transposed, at["L"], adjoint)
        with f.each(states) as i:
            value = f.load(adjoint, vector, i)
            slope.set(slope.get() + value * f.load(row("F", s), vector, i))
            f.store(value * hg, at["F_bar"], i)
            f.store(f.number(vector, 0.0), at["Y_bar"], i)
        f.call(pulls.rates, arguments[s], at["inv"], at["F_bar"], at["Y_bar"], at["inv_bar"])
        with f.each(states) as i:
            back, value = f.load(at["Y_bar"], vector, i), f.load(adjoint, vector, i)
            f.store(f.load(at["y_bar"], vector, i) + back, at["y_bar"], i)
            for j in range(s):
                a, c = float(tableau.A[s, j]), float(tableau.C[s, j])
                total = f.load(row("bar", j), vector, i)
                total = total + back * a if a else total
                total = total + value * (g * c) if c else total
                f.store(total, row("bar", j), i)
        for c, state in enumerate(straight.channels):
            _add(f, vector, at["inflow_bar"], c, f.load(at["F_bar"], vector, state))
        f.call(pulls.outer, adjoint, U[s], at["W"])
    f.call(pulls.scaled, at["E"], at["inv"], hg, at["W"], at["F_bar"])  # F_bar[0] becomes the sum of W and the entries
    slope.set(slope.get() + f.load(at["F_bar"], vector, 0))
    f.call(pulls.entries, at["y"], at["inv"], at["W"], at["y_bar"], at["inv_bar"])
    _add(f, vector, at["h_bar"], 0, slope.get() * g)
    f.done()
    return f


def _add(f: Function, vector: str, array: Value, i: int, more: Value) -> None:
    f.store(f.load(array, vector, i) + more, array, i)
