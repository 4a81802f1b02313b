"""The cost of one scalar's gradient in all dose amounts and times, over the scalar alone."""

from __future__ import annotations

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from problem import Problem

from nanomg.simulation import lanes as simulation_lanes


def measure(problem: Problem, batch: int, rtol: float, repeats: int, scale: np.ndarray) -> dict[str, Any]:
    """Median seconds of both, run in turn. Every subject has the same doses; the scalar is a mean over states and subjects."""
    plan = problem.plan()
    lanes = problem.lanes(plan, batch)
    order = simulation_lanes.edge_order(plan, lanes)
    size = jnp.asarray(scale)[:, None]

    def scalar(x: tuple[jax.Array, jax.Array]) -> jax.Array:
        moved = lanes._replace(amount=lanes.amount * x[0][:, None], time=lanes.time + x[1][:, None])
        return jnp.mean(simulation_lanes.trajectory(plan, moved, order, rtol).y[-1] / size)

    doses = len(problem.scenario.doses)
    x = jnp.ones(doses), jnp.zeros(doses)
    jobs = {"primal": jax.jit(scalar), "gradient": jax.jit(jax.value_and_grad(scalar))}
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            begin = time.perf_counter()
            result = jax.block_until_ready(job(x))
            seconds[name].append(time.perf_counter() - begin)
    finite = bool(np.isfinite(np.concatenate([np.asarray(g) for g in result[1]])).all())
    found: dict[str, Any] = {name: statistics.median(runs[1:]) for name, runs in seconds.items()}
    found["compile"] = seconds["gradient"][0] - found["gradient"]
    ratios = [g / p for g, p in zip(seconds["gradient"][1:], seconds["primal"][1:], strict=True)]
    return found | {"ratios": ratios, "batch": batch, "doses": doses, "finite": finite}
