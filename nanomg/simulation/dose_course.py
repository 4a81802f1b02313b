"""A list of doses as intervals: vectorised over lanes, and differentiable in every time and amount.

Doses may move: only the order of their edges is decided outside the compiled program, by `nanomg.solver.intervals.order_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from nanomg.compute import programs
from nanomg.equations.mechanism import Port
from nanomg.equations.model import stack
from nanomg.simulation import possible
from nanomg.simulation.plan import Course, Lanes, Plan, channels
from nanomg.solver import intervals


def events_of(plan: Plan, lanes: Lanes, x: Mapping[str, Any]) -> intervals.Events:
    """Doses as amounts into states, lag and bioavailability applied; `x` holds parameters and constants."""
    model, rows = plan.model, channels(plan.model, plan.cmt)
    states = list(model.states)
    batch = lanes.output.shape[1]
    times, amounts = [], []
    for d, cmt in enumerate(plan.cmt):
        port = model.ports.get(cmt, Port("", "", {cmt: 1.0}))
        amount, time = jnp.asarray(lanes.amount[d]), jnp.asarray(lanes.time[d])
        if port.uptake is not None:
            amount = getattr(model.mechanism_of(cmt, x), port.uptake)(amount)
        if port.F is not None:
            amount = amount * x[port.F]
        if port.lag is not None:
            time = time + x[port.lag]
        share = {s: x[c] if isinstance(c, str) else c for s, c in port.into.items()}
        times.append(jnp.broadcast_to(time, (batch,)))
        amounts.append(stack([amount * share.get(states[row], 0.0) for row in rows], (batch,)))
    none = jnp.zeros((0, batch))
    return intervals.Events(
        bolus=np.array(plan.bolus, bool),
        time=jnp.stack(times) if times else none,
        duration=jnp.asarray(lanes.duration),
        amount=jnp.stack(amounts) if amounts else jnp.zeros((0, len(rows), batch)),
        start=jnp.asarray(lanes.start),
        stop=jnp.asarray(lanes.stop),
        change=jnp.asarray(lanes.change),
        base=jnp.asarray(lanes.base),
        output=jnp.asarray(lanes.output),
    )


def course(plan: Plan, lanes: Lanes) -> Course:
    """What the doses make of all lanes; `lanes.order` is the order of their edges (edge, lane)."""
    batch = lanes.output.shape[1]
    x = plan.model.derive(lanes.values)
    y0 = possible.start(plan.model, x, (batch,))
    events = events_of(plan, lanes, x)
    largest = jnp.abs(y0).at[np.array(plan.channels)].add(jnp.sum(events.amount, 0))
    looks = intervals.output_rows(lanes.order, lanes.output.shape[0])
    return Course(y0, intervals.intervals(events, lanes.order), largest, looks, {})


@programs.compiled(0)
def edges(plan: Plan, lanes: Lanes) -> Any:
    """The times of all edges (edge, lane), unsorted."""
    return intervals.edges(events_of(plan, lanes, plan.model.derive(lanes.values)))
