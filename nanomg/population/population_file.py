"""Populations read from TOML."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanomg import units
from nanomg.dosing.quantities import per_body
from nanomg.errors import InputError, unknown
from nanomg.library.card import LARGEST_CV, PROVENANCE, Origin, provenance
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.toml import Reader, load_toml
from nanomg.population.plausibility import Rule
from nanomg.population.population import Covariate, Effect, Population, Spread, spreads_of
from nanomg.population.streams import spread

_TOP = ("title", "species", "covariates", "effect", "correlation", "plausible")
_COVARIATE = ("parameter", "median", "cv", "mean", "sd", "unit", "low", "high", *PROVENANCE)
_EFFECT = ("parameter", "covariate", "exponent", "reference", "card", "within_cv", *PROVENANCE)
_CORRELATION = ("between", "rho", "card", *PROVENANCE)
_RULE = ("low", "high", "unit", *PROVENANCE)


@dataclasses.dataclass(frozen=True)
class _Written:
    """A covariate as its file has it; `centre` and `spread` are None where the card of its parameter gives them."""

    parameter: str
    unit: str
    centre: float | None = None  # in `unit`
    spread: Spread | None = None


def load_population(name: str, library: Library, scenario: Scenario, varied: Sequence[str] = ()) -> Population:
    """A shipped population by name, or any by path, in a scenario. Entries that the scenario's model does not have are left out.

    `varied` are axes of a sweep, as they are written.
    Raises `InputError` for everything that is wrong with it, in one sentence with the place.
    """
    path = _find(name, library)
    where = f"population {path.stem!r}"
    data = Reader(load_toml(path), where, _TOP, ("title", "species"))
    species = data.text("species")
    if species != scenario.species and "any" not in (species, scenario.species):
        raise InputError(
            f"its subjects are of species {species!r}, but scenario {scenario.name!r} is of {scenario.species!r}", where
        )
    declared = _declared(library)
    written = {key: _covariate(entry, declared, f"{where}, {key}") for key, entry in data.table("covariates").items()}
    _check_doses(scenario, varied, written, where)
    tables = data.tables("effect")
    effects = [e for table in tables for e in _effects(table, written, declared, library, f"{where}, [[effect]]")]
    cards = {card.name for card in scenario.cards}
    correlated, root = _correlations(
        data.tables("correlation"), written, declared, library, cards, f"{where}, [[correlation]]"
    )
    rules = [_rule(key, entry, library, where) for key, entry in data.table("plausible").items()]
    return _in_scenario(
        Population(path.stem, data.text("title"), species, correlated=correlated, root=root),
        scenario,
        written,
        effects,
        rules,
    )


def _check_doses(scenario: Scenario, varied: Sequence[str], written: Mapping[str, _Written], where: str) -> None:
    """Reject doses per kg or m2, which are for one body, where that of the subjects varies."""
    size = {"kg": units.dimension("kg"), "m2": units.dimension("m^2")}
    for per in sorted(scenario.per_body | per_body(" ".join(varied))):
        for name, covariate in written.items():
            if units.dimension(covariate.unit) in size.values() and not covariate.parameter:
                raise InputError(
                    f"doses per {per} are for the body of scenario {scenario.name!r}, but {name} varies between these subjects; "
                    "write whole amounts",
                    where,
                )


def _find(name: str, library: Library) -> Path:
    if name in library.populations:
        return library.populations[name]
    if name.endswith(".toml"):
        return Path(name)
    raise unknown("population", name, library.populations)


def _declared(library: Library) -> dict[str, str]:
    """The unit of every parameter that some mechanism has."""
    classes = library.mechanisms.values()
    return {name: var.unit for mechanism in classes for name, var in mechanism.parameters().items()}


def _covariate(table: Any, declared: Mapping[str, str], where: str) -> _Written:
    entry = Reader(table, where, _COVARIATE)
    unit, parameter = entry.text("unit"), entry.text("parameter")
    if parameter and parameter not in declared:
        raise unknown("parameter", parameter, declared, where)
    unit = unit or declared.get(parameter, "")
    units.convert(1.0, unit, declared.get(parameter, unit), where)
    if parameter and entry.keys() <= {"parameter", "unit"}:
        return _Written(parameter, unit)
    provenance(entry, where)
    forms = [(a, b) for a, b in (("median", "cv"), ("mean", "sd")) if a in entry or b in entry]
    if len(forms) != 1 or forms[0][1] not in entry:
        raise InputError("give median and cv (log-normal) or mean and sd (normal)", where)
    middle, width = forms[0]
    logarithmic = middle == "median"
    value, low, high, size = (entry.number(key) for key in (middle, "low", "high", width))
    assert size is not None
    if not size > 0 or (value is not None and not value > 0):
        raise InputError(f"{middle} and {width} must be above 0", where)
    if logarithmic and size > LARGEST_CV:
        raise InputError(f"cv must be at most {LARGEST_CV}, where 0.2 is 20 %, but is {size:g}", where)
    if value is None:
        if not (parameter and logarithmic and low is None and high is None):
            raise InputError(
                f"the {middle} is missing; only an untruncated log-normal parameter takes it from its card", where
            )
        return _Written(parameter, unit, spread=Spread(spread(size)))
    if not (low is None or 0 < low < value) or not (high is None or value < high):
        raise InputError(f"low and high must be above 0 and enclose the {middle}", where)
    sd = spread(size) if logarithmic else size / value
    if not 0 < sd < math.inf:
        raise InputError(f"{middle} {value:g} and {width} {size:g} are too far apart for a distribution", where)
    score = (lambda v: math.log(v / value) / sd) if logarithmic else (lambda v: (v / value - 1.0) / sd)
    least = -math.inf if logarithmic else score(0.0)  # no quantity is negative
    cut = Spread(sd, logarithmic, least if low is None else score(low), math.inf if high is None else score(high))
    return _Written(parameter, unit, value, cut)


@dataclasses.dataclass(frozen=True)
class _WrittenEffect:
    """An effect as its file has it; `card` is empty where it acts whatever the cards."""

    effect: Effect
    card: str
    within_cv: bool


def _effects(
    table: Any, written: Mapping[str, _Written], declared: Mapping[str, str], library: Library, where: str
) -> list[_WrittenEffect]:
    """The effects of one table, which may name several parameters."""
    entry = Reader(table, where, _EFFECT, ("parameter", "covariate", "exponent", "reference"))
    provenance(entry, where)
    parameters = entry["parameter"] if isinstance(entry["parameter"], list) else [entry["parameter"]]
    name = entry.text("covariate")
    at = f"{where} of {name!r}"
    if name not in written:
        raise unknown("covariate", name, written, where)
    card, within_cv, exponent = _card(entry, library), entry.flag("within_cv"), entry.number("exponent")
    assert exponent is not None
    reference = units.parse_quantity(entry["reference"], written[name].unit, at)
    if not reference > 0:
        raise InputError("the reference must be above 0", at)
    found = []
    for parameter in parameters:
        if not isinstance(parameter, str) or parameter not in declared:
            raise unknown("parameter", str(parameter), declared, at)
        if any(w.parameter == parameter for w in written.values()):
            raise InputError(f"{parameter!r} is a covariate itself; give the two a correlation", at)
        found.append(_WrittenEffect(Effect(parameter, name, exponent, reference), card, within_cv))
    return found


def _card(entry: Reader, library: Library) -> str:
    """The card that an effect or correlation belongs to; empty where it acts whatever the cards."""
    return entry.one_of("card", library.cards) if entry.text("card") else ""


def _acts(card: str, cards: Container[str]) -> bool:
    """Whether what belongs to `card` acts in a scenario of these cards."""
    return not card or card in cards


def _correlations(
    entries: Sequence[Any],
    written: Mapping[str, _Written],
    declared: Mapping[str, str],
    library: Library,
    cards: Container[str],
    where: str,
) -> tuple[tuple[str, ...], np.ndarray]:
    """The correlated streams, and the Cholesky factor of their matrix; `cards` are those of the scenario."""
    pairs: dict[tuple[str, str], float] = {}
    for table in entries:
        entry = Reader(table, where, _CORRELATION, ("between", "rho"))
        provenance(entry, where)
        between, rho = entry["between"], entry.number("rho")
        if not isinstance(between, list) or len(between) != 2 or not all(isinstance(name, str) for name in between):
            raise InputError(f"'between' must be a list of two names, not {between!r}", where)
        for name in between:
            if name not in written and name not in declared:
                raise unknown("covariate or parameter", name, [*written, *declared], where)
        if rho is None or not -1.0 < rho < 1.0:
            raise InputError(f"rho must be between -1 and 1, not {rho!r}", where)
        if not _acts(_card(entry, library), cards):
            continue
        one, other = (_stream(name, written) for name in between)
        if one == other or (one, other) in pairs or (other, one) in pairs:
            raise InputError(f"{between[0]!r} and {between[1]!r} are the same, or have a correlation already", where)
        pairs[one, other] = rho
    names = tuple(dict.fromkeys(name for pair in pairs for name in pair))
    matrix = np.eye(len(names))
    for (one, other), rho in pairs.items():
        i, j = names.index(one), names.index(other)
        matrix[i, j] = matrix[j, i] = rho
    try:
        return names, np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InputError(
            "these correlations are not possible together: they are not positive definite", where
        ) from None


def _stream(name: str, written: Mapping[str, _Written]) -> str:
    """The stream of a covariate or parameter: a covariate that is a parameter has the parameter's."""
    return (written[name].parameter or name) if name in written else name


def _rule(name: str, table: Any, library: Library, where: str) -> Rule:
    at = f"{where}, [plausible] {name}"
    entry = Reader(table, at, _RULE, ("low", "high"))
    provenance(entry, at)
    low, high, unit = entry.number("low"), entry.number("high"), entry.text("unit")
    assert low is not None and high is not None
    if not low < high:
        raise InputError(f"low ({low:g}) must be below high ({high:g})", at)
    known = _quantities(library)
    if name not in known:
        raise unknown("quantity", name, known, where)
    text = f"{low:g} <= {name} <= {high:g}{'' if unit in ('', '1') else ' ' + unit}"
    return Rule(name, units.convert(low, unit, known[name], at), units.convert(high, unit, known[name], at), text)


def _quantities(library: Library) -> dict[str, str]:
    """The unit of every parameter, constant, state and signal that some mechanism has."""
    found = _declared(library)
    for mechanism in library.mechanisms.values():
        for table in (mechanism.constants, mechanism.states, mechanism.signals):
            found |= {name: var.unit for name, var in table.items()}
    return found


def _in_scenario(
    population: Population,
    scenario: Scenario,
    written: Mapping[str, _Written],
    effects: Sequence[_WrittenEffect],
    rules: Sequence[Rule],
) -> Population:
    """The part of a population's file that applies to the scenario's model."""
    model, cards = scenario.model, {card.name for card in scenario.cards}
    acting = [e for e in effects if scenario.values.get(e.effect.parameter) and _acts(e.card, cards)]
    used = {e.effect.covariate for e in acting}
    typical: dict[str, float] = {}
    spreads, covariates = spreads_of(scenario), {}
    for name, w in written.items():
        own, stream, centre = scenario.parameters.get(w.parameter), w.parameter or name, w.centre
        if own is None and name not in used:
            continue
        if own is not None:
            if centre is None or own.origin is not Origin.CARD:  # values set by the user are not changed
                centre = units.convert(own.value, own.unit, w.unit)
            else:
                typical[own.name] = units.convert(centre, w.unit, own.unit)
        if w.spread is not None and centre:
            spreads[stream] = w.spread
        if centre and stream in spreads:
            covariates[name] = Covariate(stream, centre, w.unit)
    acting = [e for e in acting if e.effect.covariate in covariates]
    within = [e.effect for e in acting if e.within_cv and e.effect.parameter in spreads]
    for parameter in {e.parameter for e in within}:
        explained = _explained(population, covariates, spreads, [e for e in within if e.parameter == parameter])
        spreads[parameter] = Spread(math.sqrt(max(spreads[parameter].sd ** 2 - explained, 0.0)))
    known = {*model.parameters, *model.constants, *model.states, *model.signals}
    return dataclasses.replace(
        population,
        typical=typical,
        spreads=spreads,
        covariates=covariates,
        effects=tuple(e.effect for e in acting),
        rules=tuple(rule for rule in rules if rule.name in known),
    )


def _explained(
    population: Population,
    covariates: Mapping[str, Covariate],
    spreads: Mapping[str, Spread],
    effects: Sequence[Effect],
) -> float:
    """The variance of a parameter's logarithm that comes from these effects, before covariates are cut."""
    streams = [covariates[e.covariate].stream for e in effects]
    matrix = population.root @ population.root.T
    place = {name: i for i, name in enumerate(population.correlated)}
    sizes = [e.exponent * spreads[s].sd for e, s in zip(effects, streams, strict=True)]
    rho = lambda a, b: 1.0 if a == b else matrix[place[a], place[b]] if a in place and b in place else 0.0
    pairs = ((i, j) for i in range(len(effects)) for j in range(len(effects)))
    return float(sum(sizes[i] * sizes[j] * rho(streams[i], streams[j]) for i, j in pairs))
