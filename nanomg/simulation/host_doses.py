"""A list of doses as intervals, for lanes with concrete values: what `dose_course` and `solver.intervals` do, in NumPy.

Times and amounts that all lanes share are laid out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.equations.mechanism import Port
from nanomg.equations.model import Model
from nanomg.simulation.host_course import HostCourse, Start, shared, start, taken
from nanomg.simulation.plan import Lanes, Plan
from nanomg.solver.elementwise import elementwise

AMOUNT = "amount of a dose"  # a name that no parameter can have


def edge_order(plan: Plan, lanes: Lanes) -> np.ndarray:
    """The order in time of the edges of doses, windows and outputs (edge, lane)."""
    batch = lanes.output.shape[1]
    time, _ = _arrivals(plan, lanes, start(plan.model, lanes.values, batch, plan.engine).x)
    order = np.argsort(_edges(plan, lanes, time), axis=1, kind="stable").astype(np.int32)
    return np.ascontiguousarray(np.broadcast_to(order, (batch, order.shape[1])).T)


def _edges(plan: Plan, lanes: Lanes, time: np.ndarray) -> np.ndarray:
    """The times of all edges (lane, edge), unsorted; at one time they happen in this order."""
    bolus, end = np.array(plan.bolus, bool), time + shared(lanes.duration)
    windows_and_looks = map(shared, (lanes.stop, lanes.start, lanes.output))
    return _together([end[:, ~bolus], time[:, ~bolus], time[:, bolus], *windows_and_looks])


def course(plan: Plan, lanes: Lanes, given: Start) -> HostCourse:
    """What the doses make of all lanes."""
    time, amount = _arrivals(plan, lanes, given.x)
    bolus, duration = np.array(plan.bolus, bool), shared(lanes.duration)
    edges = _edges(plan, lanes, time)
    order = np.argsort(edges, axis=1, kind="stable")
    rank, count = np.argsort(order, axis=1, kind="stable"), edges.shape[1]
    times = taken(edges, order)
    lookless = edges.shape[1] - len(lanes.output)
    infused, windows = int((~bolus).sum()), len(lanes.start)

    def after_edge(*parts: tuple[int, np.ndarray]) -> np.ndarray:
        """What holds on the interval after each edge in order (lane, edge, …), from the edges at which something happens.

        Nothing holds on the first interval, and what happens at the last edge is beyond the end.
        """
        first = parts[0][1]
        if not first.shape[1]:  # nothing happens in any lane
            return np.zeros((1, count, *first.shape[2:]))
        holds = np.zeros((max(len(order), *(len(part) for _, part in parts)), count, *first.shape[2:]))
        for at, part in parts:
            place = (rank[:, at : at + part.shape[1]] + 1) % count
            if len(order) == 1:
                holds[:, place[0]] = part
            else:
                holds[np.arange(len(order))[:, None], place] = part
        holds[:, 0] = 0.0
        return holds

    if not (possible := np.isfinite(given.y0).all(1)).all():
        amount = np.where(possible[:, None, None], amount, 0.0)  # else the sums below meet what is no number
    rate = amount[:, ~bolus] / duration[:, ~bolus][:, :, None]
    inflow = after_edge((0, -rate), (infused, rate))
    jump = after_edge((2 * infused, amount[:, bolus]))
    change, base = shared(lanes.change), shared(lanes.base)
    after = len(bolus) + infused
    forcing = after_edge((after, -change), (after + windows, change))
    largest = np.abs(given.y0)
    largest[:, np.array(plan.channels)] += amount.sum(1)
    return HostCourse(
        y0=given.y0,
        length=np.diff(times, axis=1, prepend=0.0),
        keep=np.ones((1, count)),
        inflow=np.cumsum(inflow, axis=1),
        jump=jump,
        forcing=base[:, None] + np.cumsum(forcing, axis=1),
        largest=largest,
        looks=rank[:, lookless:],
        bound={},
    )


def arriving(model: Model, cmt: str, values: Mapping[str, Any]) -> list[Any]:
    """How much of a dose arrives through a port with saturable uptake."""
    return [getattr(model.mechanism_of(cmt, values), str(model.ports[cmt].uptake))(values[AMOUNT])]


def taken_up(plan: Plan, cmt: str, x: Mapping[str, np.ndarray], amount: np.ndarray) -> np.ndarray:
    """Amounts (lane, dose) as they arrive through a port with saturable uptake; `x` (lane, dose) by name, axes of 1 shared."""
    values = {AMOUNT: amount, **{n: x[n] for n in plan.model.owner[cmt].parameters()}}
    return elementwise(arriving, 1, plan.model, cmt)(values, plan.engine)[..., 0]


def _arrivals(plan: Plan, lanes: Lanes, x: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """When doses arrive (lane, dose), and how much of them in each channel (lane, dose, channel)."""
    model, states, channels = plan.model, list(plan.model.states), plan.channels
    time, amount = shared(lanes.time), shared(lanes.amount)
    times, amounts = [], []
    by_port = np.array([list(dict.fromkeys(plan.cmt)).index(cmt) for cmt in plan.cmt], int)
    for i, cmt in enumerate(dict.fromkeys(plan.cmt)):
        port, own = model.ports.get(cmt, Port("", "", {cmt: 1.0})), by_port == i
        when, size = time[:, own], amount[:, own]
        if port.uptake is not None:
            size = taken_up(plan, cmt, {n: a[:, None] for n, a in x.items()}, size)
        if port.F is not None:
            size = size * x[port.F][:, None]
        if port.lag is not None:
            when = when + x[port.lag][:, None]
        parts = {s: x[c] if isinstance(c, str) else np.full(1, c) for s, c in port.into.items()}
        rows = [parts.get(states[row], np.zeros(1)) for row in channels]
        share = np.zeros((max(map(len, rows)), len(rows)))
        for c, row in enumerate(rows):
            share[:, c] = row
        times.append(when)
        amounts.append(size[:, :, None] * share[:, None])
    back = np.argsort(np.argsort(by_port, kind="stable"), kind="stable")
    if not times:
        return np.zeros((1, 0)), np.zeros((1, 0, len(channels)))
    return _together(times)[:, back], _together(amounts)[:, back]


def _together(parts: list[np.ndarray]) -> np.ndarray:
    """Parts (lane, row, …) one after the other, with as many lanes as the widest."""
    lanes = max(map(len, parts))
    return np.concatenate([np.broadcast_to(part, (lanes, *part.shape[1:])) for part in parts], 1)
