"""CVODE by scikit-sundae: one subject after the other, the model's code compiled by Numba, restarted at each dose."""

from __future__ import annotations

import export
import numba
import numpy as np
import sksundae
from problem import Problem

from tools.base import OneByOne, settings


class Cvode(OneByOne):
    """States divided by their peaks, as for LSODA."""

    settings = settings(4, 8, 1e-2, 1e-4)
    version = f"scikit-sundae {sksundae.__version__}"

    def __init__(self, problem: Problem, scale: np.ndarray):
        self.problem, self.scale, self.subjects = problem, scale, problem.subjects
        source = export.python_source(problem.program, problem.channels, scale)
        rhs = numba.njit(fastmath=True)(export.python_function(source))
        self.rhs = numba.njit(lambda t, y, dy, data: rhs(t, y, dy, data[0]))
        self.lanes = [(problem.start(i) / scale, problem.values(i), problem.segments(i)) for i in range(self.subjects)]
        self.lane(0, 1e-4, 1e-6)

    def lane(self, i: int, rtol: float, atol: float) -> np.ndarray:
        """(output, state) of one subject; NaN from where the solver gave up."""
        y, values, at = self.lanes[i]
        y, outputs, channels = y.copy(), self.problem.outputs, list(self.problem.channels)
        result = np.full((len(outputs), len(y)), np.nan)
        for s in range(len(at.edges) - 1):
            y[channels] += at.jump[s] / self.scale[channels]
            times = np.union1d(at.edges[s : s + 2], outputs[at.first[s] : at.first[s + 1]])
            data = np.concatenate([values, at.inflow[s], at.forcing[s]])
            solver = sksundae.cvode.CVODE(self.rhs, rtol=rtol, atol=atol, userdata=(data,), max_num_steps=100_000)
            found = solver.solve(times, y)
            if not found.success:
                return result
            shown = np.isin(times, outputs[at.first[s] : at.first[s + 1]])
            result[at.first[s] : at.first[s + 1]] = found.y[shown] * self.scale
            y = found.y[-1].copy()
        return result
