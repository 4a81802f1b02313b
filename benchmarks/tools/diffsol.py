"""diffsol by pydiffsol: its BDF on code that it compiles from DiffSL, one subject after the other, restarted at each dose."""

from __future__ import annotations

import re

import export
import numpy as np
import pydiffsol
from problem import Problem

from tools.base import Missing, OneByOne, settings

DIFFSL = {
    **{op: text.replace("math.", "") for op, text in export.PYTHON.items()},
    "pow": "pow({0}, {1})",
    "expm1": "(exp({0}) - 1.0)",
    "log1p": "log(1.0 + {0})",
    "logistic": "1.0 / (1.0 + exp(-({0})))",
    **dict.fromkeys(("gt", "ge"), "heaviside({0} - ({1}))"),
    **dict.fromkeys(("lt", "le"), "heaviside({1} - ({0}))"),
    "eq": "heaviside({0} - ({1})) * heaviside({1} - ({0}))",
    "ne": "1.0 - heaviside({0} - ({1})) * heaviside({1} - ({0}))",
    "select_n": "({0}) * ({2}) + (1.0 - ({0})) * ({1})",
}


class Diffsol(OneByOne):
    """States divided by their peaks, as for LSODA; a span's starting state is among the inputs of the code."""

    settings = settings(4, 8, 1e-2, 1e-4)
    version = f"pydiffsol {pydiffsol.version()}"

    def __init__(self, problem: Problem, scale: np.ndarray):
        self.outputs, self.channels, self.scale = problem.outputs, list(problem.channels), scale
        self.subjects = problem.subjects
        source = diffsl_source(problem.program, problem.channels, scale)
        try:
            matrix = pydiffsol.faer_sparse
            self.ode = pydiffsol.Ode(source, matrix_type=matrix, ode_solver=pydiffsol.bdf)
        except Exception as error:
            raise Missing(f"DiffSL does not take the model: {str(error).strip().splitlines()[0][:120]}") from error
        self.lanes = [(problem.start(i) / scale, problem.values(i), problem.segments(i)) for i in range(self.subjects)]
        self.lane(0, 1e-4, 1e-6)

    def lane(self, i: int, rtol: float, atol: float) -> np.ndarray:
        """(output, state) of one subject; NaN from where the solver gave up."""
        y, values, at = self.lanes[i]
        y, outputs = y.copy(), self.outputs
        result = np.full((len(outputs), len(y)), np.nan)
        self.ode.rtol, self.ode.atol = rtol, atol
        for s in range(len(at.edges) - 1):
            y[self.channels] += at.jump[s] / self.scale[self.channels]
            asked = outputs[at.first[s] : at.first[s + 1]]
            times = np.union1d(asked, at.edges[s + 1 : s + 2]) - at.edges[s]
            data = np.concatenate([y, values, at.inflow[s], at.forcing[s]])
            later = times[times > 0]
            try:
                found = np.asarray(self.ode.solve_dense(data, later).ys).T
            except Exception:
                return result
            if len(later) < len(times):
                found = np.concatenate([y[None], found])
            result[at.first[s] : at.first[s + 1]] = found[: len(asked)] * self.scale
            y = found[-1].copy()
        return result


def diffsl_source(program: export.Program, channels: tuple[int, ...], scale: np.ndarray) -> str:
    """The model in DiffSL: y0.. are states divided by `scale`; inputs are their start, varied values, inflow, inputs in time."""
    inflow = {row: f" + flow{c}" for c, row in enumerate(channels)}
    names = [
        *(f"start{i}" for i in range(program.states)),
        *(f"p{i}" for i in range(program.varied)),
        *(f"flow{c}" for c in range(len(channels))),
        *(f"u{i}" for i in range(program.inputs)),
    ]
    lines = [
        "in_i { " + ", ".join(f"{name} = 1.0" for name in names) + " }",
        "u_i { " + ", ".join(f"y{i} = start{i}" for i in range(program.states)) + " }",
        *(f"s{i} {{ y{i} * {float(scale[i])!r} }}" for i in range(program.states)),
        *(f"{line.name} {{ {line.write(DIFFSL)} }}" for line in program.lines),
        "F_i { "
        + ", ".join(f"({r}{inflow.get(i, '')}) * {1 / float(scale[i])!r}" for i, r in enumerate(program.rates))
        + " }",
    ]
    return re.sub(r"\bu(\d+)\b", r"input\1", "\n".join(lines))  # DiffSL keeps u0, u1, ... for itself
