"""Stock diffrax: one solver call for each span between doses, in a scan, under vmap over the subjects."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from problem import Problem

from tools.base import Missing, settings

LANES = 16  # more lanes gain nothing, and a run of all 64 takes most of a minute


class Diffrax:
    """`solver` is the name of a diffrax class. Lanes have their own steps; the batch runs until the slowest is done."""

    settings = settings(4, 7, 1e-3)
    version = f"diffrax {diffrax.__version__}"

    def __init__(self, problem: Problem, scale: np.ndarray, solver: str):
        self.subjects = min(LANES, problem.subjects)
        spans = [problem.segments(i) for i in range(self.subjects)]
        edges, first = spans[0].edges, spans[0].first
        if not all(np.array_equal(edges, at.edges) for at in spans):
            raise Missing("the spans of all subjects must fall together")
        widest = int(np.diff(first).max())
        index = first[:-1, None] + np.arange(widest)
        held = index < first[1:, None]
        times = np.where(held, problem.outputs[np.minimum(index, first[-1] - 1)], edges[1:, None])
        self.span, self.column = np.nonzero(held)
        self.inputs = (
            np.array([problem.start(i) for i in range(self.subjects)]),
            np.array([problem.values(i) for i in range(self.subjects)]),
            *(np.array([getattr(at, name) for at in spans]) for name in ("jump", "inflow", "forcing")),
        )
        solve = _solve(problem, getattr(diffrax, solver)(), scale, edges, times)
        self.compiled = jax.jit(jax.vmap(solve, in_axes=(0, 0, 0, 0, 0, None, None)))
        self.run(1e-2, 1e-4)

    def run(self, rtol: float, atol: float) -> Any:
        """The batch."""
        return jax.block_until_ready(self.compiled(*self.inputs, rtol, atol))

    def states(self, result: Any) -> np.ndarray:
        """Outputs of all spans in one row."""
        return np.asarray(result[0])[:, self.span, self.column]

    def steps(self, result: Any) -> str:
        """Of the subject with most."""
        return f"{int(np.asarray(result[1]).max())} at most"


def _solve(problem: Problem, solver: Any, scale: np.ndarray, edges: np.ndarray, times: np.ndarray) -> Any:
    model, rows = problem.scenario.model, np.array(problem.channels)
    fixed = {n: float(v) for n, v in model.derive(problem.scenario.values).items()}

    def rates(t: Any, y: Any, data: Any) -> Any:
        values, inflow, forcing = data
        x = {**fixed, **dict(zip(problem.names, values, strict=True)), **dict(zip(model.inputs, forcing, strict=True))}
        dy = jnp.stack([jnp.asarray(r) for r in model.rates({**x, **dict(zip(model.states, y, strict=True))})])
        return dy.at[rows].add(inflow)

    def solve(y0: Any, values: Any, jump: Any, inflow: Any, forcing: Any, rtol: Any, atol: Any) -> Any:
        def one(y: Any, at: Any) -> Any:
            t0, t1, ts, jump, inflow, forcing = at
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(rates),
                solver,
                t0,
                t1,
                None,
                y.at[rows].add(jump),
                (values, inflow, forcing),
                saveat=diffrax.SaveAt(ts=ts, t1=True),
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol * scale),
                max_steps=1_000_000,
                throw=False,
            )
            return found.ys[-1], (found.ys[:-1], found.stats["num_steps"])

        spans = (edges[:-1], edges[1:], times, jump, inflow, forcing)
        _, (ys, steps) = jax.lax.scan(one, y0, jax.tree.map(jnp.asarray, spans))
        return ys, jnp.sum(steps)

    return solve
