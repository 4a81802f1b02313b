"""What a regimen makes of lanes with concrete values, in NumPy: the type of both ways, and what they share.

Lanes come first in every array here, as in the arrays of a native kernel. An array that is the same for all lanes has one row, so
that a sweep of subjects under one regimen has one list of intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanomg.equations.model import Model
from nanomg.simulation import possible
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


class LaneValues(Mapping[str, np.ndarray]):
    """Parameters and constants by name, each (lane,), or of one row where all lanes have the same."""

    def __init__(self, model: Model, given: Mapping[str, float | np.ndarray], constants: np.ndarray):
        self._given, self._constants = given, constants
        self._place = {name: i for i, name in enumerate(model.constants)}

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._place:
            return self._constants[:, self._place[name]]
        value = self._given[name]
        return value[:, 0] if isinstance(value, np.ndarray) else np.full(1, value)

    def __iter__(self) -> Iterator[str]:
        yield from (*self._given, *self._place)

    def __len__(self) -> int:
        return len(self._given) + len(self._place)

    def first(self, names: Sequence[str]) -> np.ndarray:
        """The values of the first lane."""
        of = lambda name: self._constants[0, self._place[name]] if name in self._place else self._given[name]
        return np.array([value[0, 0] if isinstance(value, np.ndarray) else value for value in map(of, names)])

    def rows(self, names: Sequence[str], batch: int) -> np.ndarray:
        """The values of all lanes (lane, name)."""
        if batch == 1:
            return self.first(names)[None]
        found = np.empty((batch, len(names)))
        for i, name in enumerate(names):
            found[:, i] = self[name]
        return found


class Start(NamedTuple):
    """Values of lanes: parameters and constants `x`, and `y0` (lane, state) the state at time 0, NaN where that is impossible."""

    x: LaneValues
    y0: np.ndarray


def constants_and_start(model: Model, values: Mapping[str, Any]) -> list[Any]:
    """The model's constants, in their order, then the amounts at time 0 in the order of its states."""
    x = model.derive(values)
    return [*(x[name] for name in model.constants), *model.initial(x)]


def start(model: Model, values: Mapping[str, Any], batch: int, engine: str) -> Start:
    """Constants and the state at time 0 of `batch` lanes from values of parameters, each a number or (lane,)."""
    given = _given(model, values)
    results = _at_start(model, given, engine)
    y0 = np.ascontiguousarray(np.broadcast_to(results[:, len(model.constants) :], (batch, len(model.states))))
    x = LaneValues(model, given, results)
    flat = {name: value[:, 0] if isinstance(value, np.ndarray) else value for name, value in given.items()}
    impossible = np.broadcast_to(possible.impossible(model, flat, results), batch)
    if impossible.any():
        y0 = np.where(impossible[:, None], np.nan, y0)  # so that they take no step
    return Start(x, y0)


def at_start(model: Model, values: Mapping[str, Any], engine: str) -> np.ndarray:
    """Constants and amounts at time 0 (lane or 1, quantity) from values of parameters, each a number or (lane,)."""
    return _at_start(model, _given(model, values), engine)


def _given(model: Model, values: Mapping[str, Any]) -> dict[str, float | np.ndarray]:
    given: dict[str, float | np.ndarray] = dict(model.absent)
    for name in (*model.parameters, *model.ramped):
        value = values[name]
        given[name] = value if type(value) is float else number_or_column(value)
    return given


def _at_start(model: Model, given: Mapping[str, Any], engine: str) -> np.ndarray:
    evaluate = elementwise(constants_and_start, len(model.constants) + len(model.states), model)
    return evaluate(given, engine)[:, 0]


def number_or_column(value: Any) -> float | np.ndarray:
    """A number, or numbers (lane,) as (lane, 1)."""
    array = np.asarray(value, float)
    return array.reshape(-1, 1) if array.size > 1 else array.item()


def shared(a: np.ndarray) -> np.ndarray:
    """Rows by lane (row, …, lane) with the lanes first; as one row where all lanes are equal."""
    array = np.asarray(a)
    first = array.transpose(array.ndim - 1, *range(array.ndim - 1))
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
