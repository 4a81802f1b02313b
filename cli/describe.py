"""What `nanomg show` says of a name, as the object that `--json` prints."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanomg.data.observations import ObservationTable
    from nanomg.equations.mechanism import AbstractMechanism, Port, Var
    from nanomg.library.card import Card, Parameter
    from nanomg.library.library import Library
    from nanomg.library.scenario import Limit, ObjectiveTerm, Scenario

_VALUE = ("value", "unit", "low", "high", "basis", "source", "place", "note", "card")
_ROW = ("quantity", "use", "unit", "value", "low", "high", "sd", "source", "place", "species", "quality", "reason")
_KINDS = ("states", "signals", "constants", "inputs", "ports")  # declarations of a mechanism, beside its parameters
_PORT = ("into", "molar_mass", "free", "F", "lag", "rate", "duration")


def describe(name: str, library: Library) -> dict[str, Any]:
    """What is known of a name.

    Args:
        name: of a scenario, mechanism, card, population or observation table, the path of a scenario, or the dotted name of a
            parameter, state, signal, input, port or constant.
        library: where to look.

    Returns:
        Its `name`, `kind` and `title`, and what belongs to that kind.

    Raises:
        InputError: nothing has that name.

    Example:
        >>> from nanomg import models
        >>> described = describe("magnesium.GFR", models.library())
        >>> described["kind"], described["unit"], described["mechanisms"]
        ('parameter', 'mL/h', ['Magnesium'])
    """
    from nanomg.data.observations import load as load_observations
    from nanomg.errors import unknown
    from nanomg.library.scenario_file import load

    if name in library.scenarios or name.endswith(".toml"):
        return _describe_scenario(load(name, library))
    if name in library.mechanisms:
        return _describe_mechanism(library.mechanisms[name], _cards(library))
    if name in library.cards:
        described = _describe_card(library.card(name))
        if name in library.observations:  # a table of the same name is what the card was made from
            described["observations"] = _rows(load_observations(name, library))
        return described
    if name in library.populations:
        return _describe_population(name, library)
    if name in library.observations:
        return _describe_observations(load_observations(name, library))
    if owners := _owners(name, library):
        return _describe_quantity(name, owners, library)
    raise unknown("name", name, _names(library))


def _cards(library: Library) -> list[Card]:
    return [library.card(card) for card in library.cards]


def _names(library: Library) -> set[str]:
    """Every name that can be described."""
    shelves = (library.scenarios, library.mechanisms, library.cards, library.populations, library.observations)
    dotted = (name for mechanism in library.mechanisms.values() for name, _, _ in _declarations(mechanism))
    return {*(name for shelf in shelves for name in shelf), *dotted}


def _declarations(mechanism: type[AbstractMechanism]) -> Iterator[tuple[str, str, Var | Port]]:
    """Name, kind and declaration of all that a mechanism declares."""
    for kind in _KINDS:
        for name, declared in getattr(mechanism, kind).items():
            yield name, kind.removesuffix("s"), declared
    for name, var in mechanism.parameters().items():
        yield name, "parameter", var


def _owners(name: str, library: Library) -> dict[str, dict[str, Var | Port]]:
    """The mechanisms that declare a dotted name: what kind of thing it is there, and its declaration."""
    described: dict[str, dict[str, Var | Port]] = {}
    for owner, mechanism in sorted(library.mechanisms.items()):
        for declared_name, kind, declared in _declarations(mechanism):
            if declared_name == name:
                described.setdefault(owner, {})[kind] = declared
    return described


def _describe_quantity(name: str, owners: dict[str, dict[str, Var | Port]], library: Library) -> dict[str, Any]:
    from nanomg.library.toml import load_toml

    declared = next(iter(next(iter(owners.values())).values()))
    # a state may be a port as well, and be a signal of another mechanism
    kind = " or ".join(dict.fromkeys(" and ".join(kinds) for kinds in owners.values()))
    port = next((kinds["port"] for kinds in owners.values() if "port" in kinds), None)
    described: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "title": declared.text,
        "unit": declared.unit,
        "mechanisms": [*owners],
        "declarations": [
            {"mechanism": owner, "kind": kind, "unit": d.unit, "text": d.text}
            for owner, kinds in owners.items()
            for kind, d in kinds.items()
        ],
        "read_by": sorted(m for m, read in library.mechanisms.items() if name in {*read.reads, *read.absent}),
    }
    if port is not None:
        described["port"] = {field: value for field in _PORT if (value := getattr(port, field)) is not None}
    if kind == "input":
        described["default"] = getattr(declared, "default", 0.0)
    if kind == "parameter":
        at_most = getattr(declared, "at_most", math.inf)
        described["at_most"] = at_most if math.isfinite(at_most) else None
        values = [_value(card.parameters[name]) for card in _cards(library) if name in card.parameters]
        described["parameters"] = {name: {"unit": declared.unit, "text": declared.text, "values": values}}
    files = {scenario: load_toml(path) for scenario, path in sorted(library.scenarios.items())}
    described["scenarios"] = [
        s for s, file in files.items() if not owners.keys().isdisjoint(file.get("mechanisms", ()))
    ]
    if kind == "parameter":
        described["set_by"] = {
            s: file["parameters"][name] for s, file in files.items() if name in file.get("parameters", ())
        }
    return described


def _describe_population(name: str, library: Library) -> dict[str, Any]:
    from nanomg.library.toml import load_toml

    file = load_toml(library.populations[name])
    return {
        "name": name,
        "kind": "population",
        "title": file.get("title", ""),
        "species": file.get("species", ""),
        "covariates": file.get("covariates", {}),
        "effects": file.get("effect", []),
        "correlations": file.get("correlation", []),
        "plausible": file.get("plausible", {}),
    }


def _describe_observations(table: ObservationTable) -> dict[str, Any]:
    return {"name": table.name, "kind": "observation table", "title": table.title, "observations": _rows(table)}


def _rows(table: ObservationTable) -> list[dict[str, Any]]:
    """The rows of an observation table; None for a number that a row does not have."""
    rows = [{field: getattr(row, field) for field in _ROW} for row in table.rows]
    return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]


def _describe_scenario(scenario: Scenario) -> dict[str, Any]:
    from nanomg.dosing.prescription import describe

    model = scenario.model

    def unit(cmt: str) -> str:
        return model.unit(cmt) if cmt else ""  # a reset has no port

    return {
        "name": scenario.name,
        "kind": "scenario",
        "title": scenario.title,
        "species": scenario.species,
        "description": scenario.description,
        "horizon_h": scenario.horizon,
        "mechanisms": [mechanism.__name__ for mechanism in model.mechanisms],
        "cards": [card.name for card in scenario.cards],
        "doses": [
            {"time_h": d.time, "cmt": d.cmt, "amt": d.amt, "unit": unit(d.cmt), "duration_h": d.duration}
            | ({} if d.plain else {"evid": d.evid, "ss": d.ss, "ii_h": d.ii, "rate_per_h": d.rate})
            for d in scenario.doses
        ],
        "regimen": describe(scenario.doses, unit),
        "windows": [dataclasses.asdict(window) | {"unit": model.unit(window.name)} for window in scenario.windows],
        "objective": [_term(term, scenario) for term in scenario.terms],
        "limits": [_limit(limit, model.unit(limit.signal)) for limit in scenario.limits],
        "free": [dataclasses.asdict(free) | {"unit": model.unit(free.cmt)} for free in scenario.free],
        "outputs": {
            name: {"unit": unit, "text": model.declaration(name).text} for name, unit in scenario.outputs.items()
        },
        "parameters": {
            name: {"text": model.parameters[name].text, "values": [_value(parameter)]}
            for name, parameter in scenario.parameters.items()
        },
    }


def _term(term: ObjectiveTerm, scenario: Scenario) -> dict[str, Any]:
    """A term as it is, with the unit and the level as the scenario writes them."""
    written = scenario.config["file"]["objective"][term.name]
    levelled = {"level": term.level if "level" in written else None, "unit": written.get("unit", "")}
    return dataclasses.asdict(term) | levelled


def _limit(limit: Limit, unit: str) -> dict[str, Any]:
    from nanomg.analysis.readouts import READ_OUTS
    from nanomg.library.scenario import MAX, MIN

    limited = READ_OUTS[limit.statistic].unit(unit) if limit.statistic else unit
    return {
        "name": limit.name,
        "signal": limit.signal,
        "statistic": limit.statistic,
        "level": limit.level if limit.statistic and READ_OUTS[limit.statistic].level else None,
        "level_unit": unit,
        "minimum": limit.bound if limit.side == MIN else None,
        "maximum": limit.bound if limit.side == MAX else None,
        "unit": limited,
    }


def _describe_mechanism(mechanism: type[AbstractMechanism], cards: Iterable[Card]) -> dict[str, Any]:
    values = [parameter for card in cards for parameter in card.parameters.values()]
    described: dict[str, Any] = {
        "name": mechanism.__name__,
        "kind": "mechanism",
        "title": (inspect.getdoc(mechanism) or "").partition("\n")[0],
    }
    for kind in _KINDS:
        table = getattr(mechanism, kind)
        described[kind] = {name: {"unit": entry.unit, "text": entry.text} for name, entry in table.items()}
    described["reads"] = list(mechanism.reads)
    described["absent"] = dict(mechanism.absent)
    described["parameters"] = {
        name: {"unit": var.unit, "text": var.text, "values": [_value(p) for p in values if p.name == name]}
        for name, var in mechanism.parameters().items()
    }
    return described


def _describe_card(card: Card) -> dict[str, Any]:
    parameters = {name: {"values": [_value(parameter)]} for name, parameter in card.parameters.items()}
    return {"name": card.name, "kind": "card", "title": card.title, "species": card.species, "parameters": parameters}


def _value(parameter: Parameter) -> dict[str, Any]:
    return {field: getattr(parameter, field) for field in _VALUE}
