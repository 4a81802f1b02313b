"""Whether the units that a model declares fit together: equations have no units, so a lost volume or factor of 1000 is silent.

Every base unit is replaced by another one, at random. Where all equations are coherent, each constant, signal, flux and port then
changes as its own unit does. Each is computed from quantities that changed as their units do, so that a fault is named where it is,
not where it has effects.

The shipped mechanisms are checked by tests; those of a user's library when a scenario that uses them is read. The result is stored
in the user's cache folder under the hash of the equations, so that the same equations are checked once.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanomg import units, user_cache
from nanomg.compute import process
from nanomg.equations.mechanism import AbstractMechanism, Flux, Values
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library.model_hash import model_hash

_SAME = 1e-7  # relative difference to which a quantity must change as its unit does
_DRAWS = 2  # of base units and amounts, in all of which a quantity must differ to be reported
_START = " at time 0"
_fitting: set[Model] = set()  # what this process has checked and found right
_stored = user_cache.ValueTable(
    "coherence",
    lambda: f"{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}, with the units of {units.version()}",
    most=1000,
)


class Misfit(NamedTuple):
    """A quantity that does not change as its declared unit does, and by how much.

    `ratio` is the number that the declared units give, divided by that of the equation; NaN where their dimensions differ.
    """

    mechanism: type[AbstractMechanism]
    name: str
    unit: str
    ratio: float

    def sentence(self) -> str:
        """What is wrong, for people."""
        what = f"{self.name} must be {'without a unit' if self.unit == '1' else 'in ' + self.unit}"
        if 0 < self.ratio < math.inf:
            size = f"{max(self.ratio, 1 / self.ratio):.6g} times too {'small' if self.ratio > 1 else 'large'}"
            advice = "declare all in coherent units, such as h, mL, umol, without factors between units"
            return f"{what}, but is {size} as its quantities are declared; {advice}"
        return (
            f"{what}, but its quantities are declared in units that give another one, or a number in it lacks its unit"
        )


def read_units(model: Model) -> None:
    """Raise `InputError` that names mechanism and quantity where a declared unit cannot be read."""
    for name, mechanism in model.owner.items():
        units.checked(model.unit(name), f"mechanism {mechanism.__name__}, {name}")


def check(model: Model, values: Mapping[str, float]) -> None:
    """Raise `InputError` where the units that mechanisms declare do not fit their equations.

    Args:
        model: the mechanisms, any of which may be shipped.
        values: of its parameters, in their declared units.

    Raises:
        InputError: one sentence that names the flux, signal or port and its mechanism.
    """
    if model in _fitting:
        return
    if all(getattr(sys.modules.get(mechanism.__module__), "__file__", None) for mechanism in model.mechanisms):
        faults = _stored.get(model_hash(model), lambda: list(_faults(model, values)))
    else:  # of a notebook, whose source may not be known
        faults = list(_faults(model, values))
    if faults:
        message, mechanism = faults[0]
        more = f" ({len(faults) - 1} more after it)" if len(faults) > 1 else ""
        raise InputError(message + more, f"mechanism {mechanism}")
    _fitting.add(model)


def _faults(model: Model, values: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Sentences on what is wrong, with the names of mechanisms."""
    process.prepare_jax()
    for misfit in [*port_misfits(model), *misfits(model, values)]:
        yield misfit.sentence(), misfit.mechanism.__name__


def port_misfits(model: Model) -> Iterator[Misfit]:
    """Parameters of ports that are not in the unit in which doses are computed."""
    for name, port in model.ports.items():
        needed = {port.F: "1", port.lag: "h", port.duration: "h", port.rate: f"{port.unit or 1}/h"}
        for parameter, unit in needed.items():
            if parameter is not None:
                declared = model.unit(parameter)
                same = units.dimension(declared) == units.dimension(unit)
                ratio = units.factor(declared, unit) if same else math.nan
                if not math.isclose(ratio, 1.0, rel_tol=_SAME):
                    yield Misfit(model.owner[parameter], f"{parameter}, which port {name} takes,", unit, ratio)


def misfits(model: Model, values: Mapping[str, float], seed: int = 0) -> list[Misfit]:
    """What does not change as its unit does when all base units are replaced.

    Args:
        model: whose equations are checked.
        values: of its parameters, in their declared units.
        seed: of the new base units and of the amounts of states.

    Returns:
        The misfits in the order of constants, amounts at time 0, signals, fluxes and ports; none where all units fit.
    """
    draws = [_ratios(model, values, [seed, draw]) for draw in range(_DRAWS)]
    found = []
    for key, first in draws[0].items():
        ratios = [draw[key] for draw in draws]
        if all(abs(ratio - 1.0) > _SAME for ratio in ratios):  # False of NaN: what is not finite cannot be judged
            constant = max(ratios) - min(ratios) <= _SAME * max(map(abs, ratios))
            found.append(Misfit(*key, first if constant else math.nan))
    return found


Key = tuple[type[AbstractMechanism], str, str]  # mechanism, name and unit of a quantity


def _ratios(model: Model, values: Mapping[str, float], seed: list[int]) -> dict[Key, float]:
    """Each quantity in new base units, divided by what it should be."""
    rng = np.random.default_rng(seed)
    base = {name: float(np.exp(rng.uniform(-2.0, 2.0))) for name in units.BASE_DIMENSIONS}
    # a parameter at 0 would hide the term that it belongs to
    known = model.derive({n: values[n] or rng.uniform(0.1, 0.9) for n in model.parameters})
    inputs = {n: rng.uniform(0.1, 0.9) for n in model.inputs}
    here = model.evaluate({**known, **plausible_state(model, known, rng), **inputs})
    there = {n: v if n in model.absent else v * units.scale_of(_unit(model.unit(n)), base) for n, v in here.items()}
    before, after = dict(_quantities(model, here)), dict(_quantities(model, there, base))
    ratios = {}
    for key, value in before.items():
        if key[1].endswith(_START) and float(value) == float(after[key]):
            continue  # a number that the mechanism writes: it is in the declared unit
        expected = float(value) * units.scale_of(key[2], base)
        ratios[key] = 1.0 if expected == 0 == float(after[key]) else float(np.divide(float(after[key]), expected))
    return ratios


def plausible_state(model: Model, known: Values, rng: np.random.Generator) -> dict[str, float]:
    """Positive amounts around those at time 0; a state that starts empty gets a part of the median amount in its unit."""
    start = dict(zip(model.states, (float(v) for v in model.initial(known)), strict=True))
    typical: dict[str, list[float]] = {}
    for name, value in start.items():
        if value > 0:
            typical.setdefault(model.unit(name), []).append(value)
    median = {unit: float(np.median(values)) for unit, values in typical.items()}
    size = {name: value or 0.3 * median.get(model.unit(name), 1.0) for name, value in start.items()}
    return {name: value * rng.uniform(0.5, 1.5) for name, value in size.items()}


def _quantities(model: Model, x: Values, base: Mapping[str, float] | None = None) -> Iterator[tuple[Key, Any]]:
    """Constants, amounts at time 0, signals, what every flux does to every state, and what every port delivers."""
    for mechanism in model.mechanisms:
        for name, value in model.build(mechanism, x).derive(x).items():
            yield (mechanism, f"constant {name}", _unit(model.unit(name))), value
    for name, value in zip(model.states, model.initial(x), strict=True):
        if name in model.owner:  # not a state of the ledger
            yield (model.owner[name], f"{name}{_START}", _unit(model.unit(name))), value
    for mechanism in model.mechanisms:
        for name, value in model.build(mechanism, x).evaluate(x).items():
            yield (mechanism, f"signal {name}", _unit(model.unit(name))), value
    count: dict[type[AbstractMechanism], int] = {}
    for mechanism, flux in model.fluxes(x):
        count[mechanism] = count.get(mechanism, 0) + 1
        label = f"flux {count[mechanism]} ({_text(flux.source)} -> {_text(flux.target)})"
        for (name, unit), rate in _changes(model, flux).items():
            yield (mechanism, f"{label}, the change of {name}," if name else label, unit), rate
    for name, port in model.ports.items():
        unit = _unit(port.unit)
        if port.uptake is not None:
            dose = 1.0 if base is None else units.scale_of(unit, base)
            uptake = getattr(model.mechanism_of(name, x), port.uptake)
            yield (model.owner[name], f"uptake of port {name}", unit), uptake(dose)
        for into, share in port.into.items():
            share = x[share] if isinstance(share, str) else share
            yield (model.owner[name], f"port {name} into {into}", f"{_unit(model.unit(into))}/({unit})"), share


def _unit(unit: str) -> str:
    return unit or "1"


def _changes(model: Model, flux: Flux) -> dict[tuple[str, str], Any]:
    """What a flux does to the states at its ends, by state and unit; by unit alone where it is the flux itself."""
    changes = {}
    for end in (flux.source, flux.target):
        ends = end if isinstance(end, Mapping) else {end: None} if end else {}
        for name, coefficient in ends.items():
            named, size = ("", 1.0) if coefficient is None else (name, coefficient)
            changes[named, f"{_unit(model.unit(name))}/h"] = size * flux.rate
    return changes


def _text(end: Any) -> str:
    return "outside" if not end else end if isinstance(end, str) else " + ".join(end)
