"""The cost of one scalar's gradient in all dose amounts and times, over the scalar alone, by both engines."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from problem import Problem

from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.engine import ENGINES

Doses = tuple[jax.Array, jax.Array]


def measure(problem: Problem, batch: int, rtol: float, repeats: int, scale: np.ndarray) -> dict[str, Any]:
    """Median seconds of all, run in turn. Every subject has the same doses; the scalar is a mean over states and subjects."""
    doses = len(problem.scenario.doses)
    x = jnp.ones(doses), jnp.zeros(doses)
    jobs: dict[tuple[str, str], Callable[[Doses], Any]] = {}
    for engine in ENGINES:
        scalar = _scalar(problem, engine, batch, rtol, scale)
        jobs[engine, "primal"], jobs[engine, "gradient"] = jax.jit(scalar), jax.jit(jax.value_and_grad(scalar))
    seconds: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    found: dict[tuple[str, str], Any] = {}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            begin = time.perf_counter()
            found[name] = jax.block_until_ready(job(x))
            seconds[name].append(time.perf_counter() - begin)
    first = {name: runs.pop(0) for name, runs in seconds.items()}
    middle = {name: statistics.median(runs) for name, runs in seconds.items()}
    by = {engine: np.concatenate([np.asarray(g) for g in found[engine, "gradient"][1]]) for engine in ENGINES}
    native, reference = (by[engine] for engine in ENGINES)
    over = lambda a, b: [x / y for x, y in zip(seconds[a], seconds[b], strict=True)]
    return {
        "batch": batch,
        "doses": doses,
        "finite": bool(np.isfinite(native).all() and np.isfinite(reference).all()),
        "apart": float(np.abs(native - reference).max() / np.abs(reference).max()),
        "over_jax": over(("jax", "gradient"), ("native", "gradient")),
        "engines": {
            engine: {
                "primal": middle[engine, "primal"],
                "gradient": middle[engine, "gradient"],
                "compile": first[engine, "gradient"] - middle[engine, "gradient"],
                "ratios": over((engine, "gradient"), (engine, "primal")),
            }
            for engine in ENGINES
        },
    }


def _scalar(problem: Problem, engine: str, batch: int, rtol: float, scale: np.ndarray) -> Callable[[Doses], jax.Array]:
    plan = problem.plan(engine=engine)
    lanes = problem.lanes(plan, batch)
    order = simulation_lanes.edge_order(plan, lanes)
    size = jnp.asarray(scale)[:, None]

    def scalar(x: Doses) -> jax.Array:
        moved = lanes._replace(amount=lanes.amount * x[0][:, None], time=lanes.time + x[1][:, None])
        return jnp.mean(simulation_lanes.trajectory(plan, moved, order, rtol).y[-1] / size)

    return scalar
