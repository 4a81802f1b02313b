"""What a regimen makes of lanes with concrete values, in NumPy: the type of both ways, and what they share.

Lanes come first in every array here, as in the arrays of a native kernel. An array that is the same for all lanes has one row, so
that a sweep of subjects under one regimen has one list of intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nanomg.equations.model import Model
from nanomg.simulation.plan import Plan
from nanomg.solver.elementwise import elementwise


class HostCourse(NamedTuple):
    """Intervals `K`, channels `C`, rows of forcing `U`, looks `L`, states `N`, of `B` lanes or, in one row, of all of them."""

    y0: np.ndarray  # (B, N)
    length: np.ndarray  # (B, K) [h]
    keep: np.ndarray  # (B, K) what is left of every state at the start of an interval
    inflow: np.ndarray  # (B, K, C) amount per hour
    jump: np.ndarray  # (B, K, C) amount added at the start, after `keep`
    forcing: np.ndarray  # (B, K, U)
    largest: np.ndarray  # (B, N) amounts at the start and of all doses
    looks: np.ndarray  # (B, L) the interval that ends at each look
    bound: dict[str, np.ndarray]  # (B, L) values of parameters that columns hold


class Start(NamedTuple):
    """Values of lanes: `x` holds parameters and constants, (lane,) or of one row, and `y0` (lane, state) the state at time 0."""

    x: dict[str, np.ndarray]
    y0: np.ndarray


def constants_and_start(model: Model, values: Mapping[str, Any]) -> list[Any]:
    """The model's constants, in their order, then the amounts at time 0 in the order of its states."""
    x = model.derive(values)
    return [*(x[name] for name in model.constants), *model.initial(x)]


def with_constants(model: Model, values: Mapping[str, Any], engine: str) -> dict[str, np.ndarray]:
    """Parameters and the constants that follow from them, (lane,) each; `values` are numbers or (lane,)."""
    x, results = _evaluated(model, values, engine)
    return x | {name: results[:, i] for i, name in enumerate(model.constants)}


def _evaluated(model: Model, values: Mapping[str, Any], engine: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    given = {n: np.asarray(values[n], float) for n in (*model.parameters, *model.ramped)}
    x = {n: a.reshape(-1) for n, a in given.items()} | {n: np.full(1, v) for n, v in model.absent.items()}
    evaluate = elementwise(constants_and_start, len(model.constants) + len(model.states), model)
    return x, evaluate({n: a[:, None] for n, a in x.items()}, engine)[:, 0]


def start(plan: Plan, values: Mapping[str, Any], batch: int) -> Start:
    """Constants and the state at time 0 from values of parameters, each a number or (lane,); one row for all if none is by lane."""
    model = plan.model
    x, results = _evaluated(model, values, plan.engine)
    for i, name in enumerate(model.constants):
        column = results[:, i]
        x[name] = column if name in plan.varied else column[:1]
    y0 = results[:, len(model.constants) :]
    return Start(x, np.ascontiguousarray(np.broadcast_to(y0, (batch, len(model.states)))))


def shared(a: np.ndarray) -> np.ndarray:
    """Rows by lane (row, …, lane) with the lanes first; as one row where all lanes are equal."""
    first = np.moveaxis(np.asarray(a), -1, 0)
    if first.shape[0] > 1 and (first.strides[0] == 0 or bool((first == first[:1]).all())):
        return first[:1]
    return first


def taken(a: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The rows (lane, row, …) of each lane in an order (lane, row); either may be one for all lanes."""
    if len(order) == 1:
        return a[:, order[0]]
    if len(a) == 1:
        return a[0][order]
    return np.take_along_axis(a, order.reshape(*order.shape, *(1,) * (a.ndim - 2)), 1)


def following(a: np.ndarray) -> np.ndarray:
    """What holds after each edge, on the interval that it begins: nothing on the first one."""
    moved = np.zeros_like(a)
    moved[:, 1:] = a[:, :-1]
    return moved


def floor(model: Model, largest: np.ndarray) -> np.ndarray:
    """As `lanes.floor`, of largest amounts (lane, state)."""
    units = [var.unit for var in model.states.values()]
    order = np.array(sorted(range(len(units)), key=units.__getitem__))
    first = [i for i in range(len(order)) if i == 0 or units[order[i]] != units[order[i - 1]]]
    most = np.maximum.reduceat(largest[:, order], first, axis=1)
    group = np.zeros(len(units), int)
    group[order] = np.searchsorted(first, np.arange(len(units)), "right") - 1
    sizes = 1e-5 * most
    # where nothing gives a size, a millionth of the unit: else a read-out that starts at 0 is held to rounding errors
    return np.where(sizes > 0, sizes, 1e-6)[:, group]
