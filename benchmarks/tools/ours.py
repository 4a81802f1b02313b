"""nanomg by either engine: all subjects as lanes of one call, the one that its commands use, or one subject a call."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from problem import Problem

import nanomg
from nanomg.simulation import lanes
from nanomg.simulation.plan import Lanes, Trajectory
from nanomg.solver.engine import NATIVE
from tools.base import Missing

_SETTINGS = [(m * 10.0**-e, 0.0) for e in range(2, 7) for m in (1.0, 0.5, 0.25)]


class Nanomg:
    """`subjects` lanes by `method` at `precision`. Blocks, and the floor of the error norm, are nanomg's own.

    `alone`: all measured subjects, each by a call of its own. `traced`: within a program of JAX, as gradients and limits have it.
    """

    version = f"nanomg {nanomg.__version__}, jax {jax.__version__}"

    def __init__(
        self,
        problem: Problem,
        scale: np.ndarray,
        subjects: int,
        method: str,
        precision: str,
        engine: str,
        alone: bool = False,
        traced: bool = False,
    ):
        self.plan = problem.plan(method=method, precision=precision, engine=engine)
        if engine == NATIVE and not lanes.independent(self.plan):
            raise Missing("the native engine does not run here")
        tightest = lanes.tightest(precision)
        self.settings = list(dict.fromkeys((max(rtol, tightest), atol) for rtol, atol in _SETTINGS))
        self.subjects, self.measured = problem.subjects if alone else subjects, problem.subjects
        whole = problem.lanes(self.plan, self.subjects)
        size = 1 if alone else self.subjects
        self.parts = [lanes.some_of(whole, np.arange(start, start + size)) for start in range(0, self.subjects, size)]
        self.solve: Any = _traced(self.plan, whole) if traced else functools.partial(lanes.run, self.plan)
        self.run(1e-2, 0.0)

    def run(self, rtol: float, atol: float) -> list[Trajectory]:
        """All lanes, part by part."""
        return [jax.block_until_ready(self.solve(part, rtol)) for part in self.parts]

    def states(self, result: list[Trajectory]) -> np.ndarray:
        """The first lanes; one whose status is not 0 is NaN."""
        joined = np.concatenate([np.asarray(part.y, float) for part in result], -1)
        return joined[:, :, : self.measured].transpose(2, 0, 1)

    def steps(self, result: list[Trajectory]) -> str:
        """Of the slowest lane."""
        most = [int(max(np.max(getattr(part, name)) for part in result)) for name in ("accepted", "rejected")]
        return f"{most[0]} + {most[1]} rejected"


def _traced(plan: Any, whole: Lanes) -> Any:
    program = jax.jit(functools.partial(lanes.trajectory, plan))
    order = jax.tree.map(jax.numpy.asarray, lanes.edge_order(plan, whole))
    return lambda part, rtol: program(part._replace(order=None), order, rtol)
