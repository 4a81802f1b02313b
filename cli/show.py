"""`nanomg show`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example
from nanomg.formatting import format_number, span

if TYPE_CHECKING:
    from nanomg.equations.mechanism import AbstractMechanism
    from nanomg.library.card import Card, Parameter
    from nanomg.library.library import Library
    from nanomg.library.scenario import Limit, Scenario

_VALUE = ("value", "unit", "low", "high", "basis", "source", "place", "note", "card")

EXAMPLES = (
    Example("nanomg show mouse-mc38-iv", "a scenario: doses, limits, values"),
    Example("nanomg show Liposome", "a mechanism: states, signals, ports, parameters"),
    Example("nanomg show mc38", "a card: values, and how they are known"),
)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A scenario, a mechanism or a card.")],
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Show what a scenario, mechanism or card is made of."""
    from nanomg import models

    found = _describe(name, models.library(*library or ()))
    if json:
        render.emit_json(found)
    else:
        _print(found)


# ---------------------------------------------------------------------- the object that --json prints
def _describe(name: str, library: Library) -> dict[str, Any]:
    from nanomg.errors import unknown
    from nanomg.library.scenario_file import load

    if name in library.scenarios or name.endswith(".toml"):
        return _describe_scenario(load(name, library))
    if name in library.mechanisms:
        return _describe_mechanism(library.mechanisms[name], [library.card(card) for card in library.cards])
    if name in library.cards:
        return _describe_card(library.card(name))
    known = [*library.scenarios, *library.mechanisms, *library.cards]
    raise unknown("scenario, mechanism or card", name, known)


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
        "objective": [dataclasses.asdict(term) for term in scenario.terms],
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


def _limit(limit: Limit, unit: str) -> dict[str, Any]:
    from nanomg.units import convert

    maximum = convert(limit.maximum, unit, limit.unit)
    return {"name": limit.name, "signal": limit.signal, "maximum": maximum, "unit": limit.unit}


def _describe_mechanism(mechanism: type[AbstractMechanism], cards: Iterable[Card]) -> dict[str, Any]:
    values = [parameter for card in cards for parameter in card.parameters.values()]
    described: dict[str, Any] = {
        "name": mechanism.__name__,
        "kind": "mechanism",
        "title": (inspect.getdoc(mechanism) or "").partition("\n")[0],
    }
    for kind in ("states", "signals", "constants", "inputs", "ports"):
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


# ---------------------------------------------------------------------- the same on the screen
def _print(found: Mapping[str, Any]) -> None:
    render.paragraph(f"{found['name']}, {found['kind']}: {found['title']}", style="bold")
    if found.get("description"):
        render.paragraph(" ".join(found["description"].split()))
    facts = {"species": found.get("species")}
    if "horizon_h" in found:
        facts["horizon"] = f"{format_number(found['horizon_h'])} h"
    facts |= {key: ", ".join(found.get(key, ())) for key in ("mechanisms", "cards", "reads")}
    facts["can do without"] = ", ".join(
        f"{name} (then {format_number(v)})" for name, v in found.get("absent", {}).items()
    )
    for key, fact in facts.items():
        if fact:
            render.paragraph(f"{key}: {fact}")
    if found["kind"] == "scenario":
        _print_treatment(found)
    declared = ["states", "signals", "constants", "inputs", "ports", "outputs"]
    if found["kind"] == "mechanism":
        declared.append("parameters")
    for kind in declared:
        rows = [(name, entry["unit"], entry["text"]) for name, entry in found.get(kind, {}).items()]
        render.section(kind.capitalize(), ("", "unit", ""), "lll", rows, prose=True)
    headers = ("", "value", "unit", "5 % – 95 %", "basis", "source", "card", "note")
    values = [row for name, entry in found["parameters"].items() for row in _parameter_rows(name, entry)]
    render.section("Values", headers, "lrllllll", values, prose=True)


def _print_treatment(found: Mapping[str, Any]) -> None:
    """What a scenario does to the model: doses, inputs, and what may be optimised."""
    if any("evid" in dose for dose in found["doses"]):
        render.section("Doses", ("in words",), "l", [(line,) for line in found["regimen"]])
    else:
        headers = ("time [h]", "into", "amount", "unit", "over [h]")
        rows = [
            (format_number(d["time_h"]), d["cmt"], format_number(d["amt"]), d["unit"], format_number(d["duration_h"]))
            for d in found["doses"]
        ]
        render.section("Doses", headers, "rlrlr", rows)
    render.section(
        "Inputs in time",
        ("", "value", "unit", "from [h]", "to [h]"),
        "lrlrr",
        [
            (w["name"], format_number(w["value"]), w["unit"], format_number(w["start"]), format_number(w["stop"]))
            for w in found["windows"]
        ],
    )
    render.section(
        "Objective",
        ("", "statistic", "of", "weight"),
        "lllr",
        [(t["name"], t["statistic"], t["signal"] or t["cmt"], format_number(t["weight"])) for t in found["objective"]],
    )
    render.section(
        "Limits",
        ("", "signal", "at most", "unit"),
        "llrl",
        [(c["name"], c["signal"], format_number(c["maximum"]), c["unit"]) for c in found["limits"]],
    )
    render.section(
        "Free doses",
        ("into", "amount", "in all", "unit", "time [h]", "apart [h]"),
        "lrrlrr",
        [
            (
                f["cmt"],
                span(*f["amount"]),
                format_number(f["total"]),
                f["unit"],
                span(*f["time"]),
                format_number(f["interval"]),
            )
            for f in found["free"]
        ],
    )


def _parameter_rows(name: str, entry: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """One row for each card that gives a value."""
    for i, v in enumerate(entry["values"]):
        label, spread = name if i == 0 else "", span(v["low"], v["high"])
        yield label, format_number(v["value"]), v["unit"] or "1", spread, v["basis"], v["source"], v["card"], v["note"]
