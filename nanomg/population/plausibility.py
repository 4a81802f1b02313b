"""Plausibility limits of a virtual subject, and the check of the one subject of a single run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.equations.mechanism import Var
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library.card import Origin
from nanomg.library.scenario import Scenario
from nanomg.simulation import host_course, possible
from nanomg.simulation.roles import BELOW
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
    """Rule -> which of `count` sampled subjects break it. In addition to `rules`: shares below 1, values in order, and
    constants and initial amounts that are possible.

    `candidates` are values (count,) of the parameters that vary, `typical` those of all parameters, the scenario's if absent.
    """
    broken = {}
    for name, values in candidates.items():
        p, limit = scenario.parameters[name], scenario.model.parameters[name].at_most
        if limit < math.inf or (p.unit in ("1", "") and p.high is not None and p.high <= 1.0):
            limit = BELOW.get(name, limit if limit < math.inf else 1.0)
            broken[f"{name} < {limit:g}"] = values >= limit
    everything: dict[str, Any] = {**(typical or scenario.values), **candidates}
    for small, large in possible.orders(scenario.model):
        broken[f"{small} < {large}"] = np.broadcast_to(everything[small] >= everything[large], (count,))
    model, quantities = scenario.model, len(scenario.model.constants) + len(scenario.model.states)
    start = _at_start(model, everything, tuple(candidates), [rule.name for rule in rules], count)
    outside = possible.outside(model, start[:, :quantities])
    broken["amounts at the start finite and not negative"] = outside[:, len(model.constants) :].any(1)
    for name, column in zip(model.constants, outside.T, strict=False):
        if column.any():
            broken[f"{name} finite and not negative"] = column
    for rule, found in zip(rules, start[:, quantities:].T, strict=True):
        broken[rule.text] = ~((rule.low <= found) & (found <= rule.high))
    return broken


def _at_start(
    model: Model, values: Mapping[str, Any], varied: tuple[str, ...], names: Iterable[str], count: int
) -> np.ndarray:
    """Constants, amounts at time 0, and what these quantities then are, (subject, quantity)."""
    wanted, quantities = tuple(names), len(model.constants) + len(model.states)
    given = {name: np.broadcast_to(values[name], count)[:, None] if name in varied else values[name] for name in values}
    results = elementwise(at_start, quantities + len(wanted), model, wanted)(given, engine.default())[:, 0]
    return np.broadcast_to(results, (count, results.shape[1]))


def at_start(model: Model, names: tuple[str, ...], values: Mapping[str, Any]) -> list[Any]:
    """Constants and amounts at time 0, in the model's order, then these quantities."""
    x = model.derive(values)
    constants, amounts = [x[name] for name in model.constants], model.initial(x)
    defaults = {name: var.default for name, var in model.inputs.items()}
    x = model.evaluate({**x, **defaults, **dict(zip(model.states, amounts, strict=True))})
    return [*constants, *amounts, *(x[name] for name in names)]


# ---------------------------------------------------------------- a single run
def check_possible(scenario: Scenario, values: Mapping[str, float] | None = None, where: str = "") -> None:
    """Raise `InputError` with the quantity where these values describe no possible body or particle.

    Args:
        scenario: The model, its values, and what the user set of them.
        values: Values of all parameters in place of the scenario's.
        where: The place of the values, for the message.
    """
    model, values = scenario.model, values or scenario.values
    if found := impossible_quantities(model, values):
        others = "" if len(found) == 1 else f" (and {len(found) - 1} more that follow)"
        name, text = found[0]
        given = [p.name for p in scenario.parameters.values() if p.origin is Origin.USER]
        source = f"scenario {scenario.name!r}" + (f" with {', '.join(given[:3])} as set" if given else "")
        raise InputError(f"these values describe no possible body or particle: {name} {text}{others}", where or source)


def impossible_quantities(model: Model, values: Mapping[str, float]) -> list[tuple[str, str]]:
    """The impossible quantities of one subject by name, and what is wrong with each, first those that others follow from.

    Args:
        model: The model.
        values: A number for each parameter.

    Returns:
        Names with the end of a sentence; nothing for a possible body.

    Example:
        >>> from nanomg.library.scenario_file import load
        >>> from nanomg.models import library
        >>> from nanomg.population.plausibility import impossible_quantities
        >>> scenario = load("textbook-1cpt", library())
        >>> impossible_quantities(scenario.model, {**scenario.values, "pk.V": 0.0})[0]
        ('pk.V', '(volume of distribution) must be above 0')
    """
    found = []
    for name in model.parameters:
        if not 0.0 <= values[name] < math.inf:
            found.append((name, f"must not be negative, but is {values[name]:.3g}"))
        elif values[name] == 0.0 and name in possible.volumes(model):
            found.append((name, f"({model.parameters[name].text}) must be above 0"))
    for name, most in possible.limits_of_parameters(model).items():
        if values[name] > most:
            found.append((name, f"must be at most {most:g}, but is {values[name]:.3g}"))
    for small, large in possible.orders(model):
        if values[small] > values[large]:
            found.append((small, f"must not be above {large} ({values[large]:.3g}), but is {values[small]:.3g}"))
    declared = {**model.constants, **model.states}
    start = host_course.at_start(model, values, engine.default())[:1]
    for name, value, bad in zip(declared, start[0], possible.outside(model, start)[0], strict=True):
        if bad:
            found.append((name, f"({declared[name].text}) {_wrong(value, declared[name])}"))
    return found


def _wrong(value: float, declared: Var) -> str:
    unit = "" if declared.unit == "1" else f" {declared.unit}"
    if not math.isfinite(value):
        return "is infinite or not a number at the start"
    if value < 0:
        return f"must not be negative, but is {value:.3g}{unit} at the start"
    return f"must be at most {declared.at_most:g}{unit}, but is {value:.3g} at the start"
