"""nanomg: all subjects as lanes of one call, the one that its commands use."""

from __future__ import annotations

import jax
import numpy as np
from problem import Problem

import nanomg
from nanomg.simulation import lanes
from nanomg.simulation.plan import Trajectory

_SETTINGS = [(m * 10.0**-e, 0.0) for e in range(2, 7) for m in (1.0, 0.5, 0.25)]


class Nanomg:
    """`subjects` lanes by `method` at `precision`. Blocks, and the floor of the error norm, are nanomg's own."""

    version = f"nanomg {nanomg.__version__}, jax {jax.__version__}"

    def __init__(self, problem: Problem, scale: np.ndarray, subjects: int, method: str, precision: str):
        self.plan = problem.plan(method=method, precision=precision)
        tightest = lanes.tightest(precision)
        self.settings = list(dict.fromkeys((max(rtol, tightest), atol) for rtol, atol in _SETTINGS))
        self.subjects, self.measured = subjects, problem.subjects
        self.lanes = problem.lanes(self.plan, subjects)
        self.run(1e-2, 0.0)

    def run(self, rtol: float, atol: float) -> Trajectory:
        """All lanes."""
        return jax.block_until_ready(lanes.run(self.plan, self.lanes, rtol))

    def states(self, result: Trajectory) -> np.ndarray:
        """The first lanes; one whose status is not 0 is NaN."""
        return np.asarray(result.y[:, :, : self.measured], float).transpose(2, 0, 1)

    def steps(self, result: Trajectory) -> str:
        """Of the slowest lane."""
        return f"{int(result.accepted.max())} + {int(result.rejected.max())} rejected"
