"""Plausibility limits of a virtual subject."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.equations.model import Model
from nanomg.library.scenario import Scenario
from nanomg.simulation.roles import BELOW, ORDERED
from nanomg.solver import engine
from nanomg.solver.elementwise import elementwise


@dataclasses.dataclass(frozen=True)
class Rule:
    """The limits of a quantity at time 0 [unit of the model]; `text` states them."""

    name: str
    low: float
    high: float
    text: str


def unphysical(
    scenario: Scenario,
    candidates: Mapping[str, np.ndarray],
    count: int,
    typical: Mapping[str, float] | None = None,
    rules: Sequence[Rule] = (),
) -> dict[str, np.ndarray]:
    """Rule -> which of `count` sampled subjects break it. In addition to `rules`: shares below 1, values in order, initial amounts.

    `candidates` are values (count,) of the parameters that vary, `typical` those of all parameters, the scenario's if absent.
    """
    broken = {}
    for name, values in candidates.items():
        p, limit = scenario.parameters[name], scenario.model.parameters[name].at_most
        if limit < math.inf or (p.unit in ("1", "") and p.high is not None and p.high <= 1.0):
            limit = BELOW.get(name, limit if limit < math.inf else 1.0)
            broken[f"{name} < {limit:g}"] = values >= limit
    everything: dict[str, Any] = {**(typical or scenario.values), **candidates}
    for small, large in ORDERED:
        if small in everything and large in everything:
            broken[f"{small} < {large}"] = np.broadcast_to(everything[small] >= everything[large], (count,))
    sound, looked_at = _at_start(scenario.model, everything, tuple(candidates), [rule.name for rule in rules], count)
    broken["amounts at the start finite and not negative"] = ~sound
    for rule, found in zip(rules, looked_at, strict=True):
        broken[rule.text] = ~((rule.low <= found) & (found <= rule.high))
    return broken


def _at_start(
    model: Model, values: Mapping[str, Any], varied: tuple[str, ...], names: Iterable[str], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether amounts at time 0 are finite and not negative (count,), and what these quantities then are (name, count)."""
    wanted, states = tuple(names), len(model.states)
    given = {name: np.broadcast_to(values[name], count)[:, None] if name in varied else values[name] for name in values}
    results = elementwise(at_start, states + len(wanted), model, wanted)(given, engine.default())[:, 0]
    results = np.broadcast_to(results, (count, states + len(wanted)))
    amounts = results[:, :states]
    return (np.isfinite(amounts) & (amounts >= 0)).all(1), results[:, states:].T


def at_start(model: Model, names: tuple[str, ...], values: Mapping[str, Any]) -> list[Any]:
    """Amounts at time 0 in the order of the states, then these quantities."""
    x = model.derive(values)
    amounts = model.initial(x)
    defaults = {name: var.default for name, var in model.inputs.items()}
    x = model.evaluate({**x, **defaults, **dict(zip(model.states, amounts, strict=True))})
    return [*amounts, *(x[name] for name in names)]
