"""Plausibility limits of a virtual subject."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.compute import programs
from nanomg.equations.model import Model, stack
from nanomg.library.scenario import Scenario
from nanomg.simulation.roles import BELOW, ORDERED

_BLOCK = 1024  # sampled subjects that are evaluated together


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
    rows = np.stack([values[name] for name in varied]) if varied else np.empty((0, count))
    fixed = {name: value for name, value in values.items() if name not in varied}
    parts = []
    for begin in range(0, count, _BLOCK):
        block = rows[:, begin : begin + _BLOCK]
        full = np.pad(block, ((0, 0), (0, _BLOCK - block.shape[1])), "edge")  # one shape, one program
        parts.append(_start(model, varied, tuple(names), full, fixed))
    sound, found = (np.concatenate([np.asarray(p[i]) for p in parts], -1)[..., :count] for i in (0, 1))
    return sound, found


@programs.compiled(0, 1, 2)
def _start(
    model: Model, varied: tuple[str, ...], names: tuple[str, ...], rows: Any, fixed: dict[str, Any]
) -> tuple[jax.Array, jax.Array]:
    shape = rows.shape[1:]
    x = model.derive({**fixed, **dict(zip(varied, rows, strict=True))})
    amounts = stack(model.initial(x), shape)
    sound = jnp.all(jnp.isfinite(amounts) & (amounts >= 0), axis=0)
    defaults = {name: var.default for name, var in model.inputs.items()}
    x = model.evaluate({**x, **defaults, **dict(zip(model.states, amounts, strict=True))})
    return sound, stack([x[name] for name in names], shape) if names else jnp.empty((0, *shape))
