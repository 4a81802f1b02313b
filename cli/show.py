"""`nanomg show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example
from nanomg.formatting import format_number, span
from nanomg.units import unit_text

EXAMPLES = (
    Example("nanomg show mouse-mc38-iv", "a scenario: doses, limits, values"),
    Example("nanomg show Liposome", "a mechanism: states, signals, ports, parameters"),
    Example("nanomg show mc38", "a card: values, and how they are known"),
    Example("nanomg show tumour.volume", "a signal: unit, meaning, which mechanism computes it"),
    Example("nanomg show magnesium.GFR --json", "a parameter: its value on each card that gives it, as JSON"),
)

_PORT = {
    "molar_mass": "molar mass",
    "free": "port for the same Mg unencapsulated",
    "F": "bioavailability",
    "lag": "lag time",
    "rate": "modelled rate",
    "duration": "modelled duration",
}


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A scenario, mechanism, card, population or observation table, or a dotted name such as magnesium.GFR.",
            autocompletion=options.complete_names,
        ),
    ],
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Explain a name: a scenario, mechanism, card, parameter, signal and more."""
    from nanomg import models
    from nanomg.cli.describe import describe

    described = describe(name, models.library(*library or ()))
    if json:
        render.emit_json(described)
    else:
        _print(described)


def _print(described: Mapping[str, Any]) -> None:
    render.paragraph(f"{described['name']}, {described['kind']}: {described['title']}", style="bold")
    if described.get("description"):
        render.paragraph(" ".join(described["description"].split()))
    facts = {"species": described.get("species")}
    if "horizon_h" in described:
        facts["horizon"] = f"{format_number(described['horizon_h'])} h"
    facts["unit"] = " or ".join(unit_text(unit) for unit in _units(described))
    facts |= {key: ", ".join(described.get(key, ())) for key in ("mechanisms", "cards", "reads")}
    facts |= _facts_of_quantity(described)
    facts["can do without"] = ", ".join(
        f"{name} (then {format_number(v)})" for name, v in described.get("absent", {}).items()
    )
    for key, fact in facts.items():
        if fact:
            render.paragraph(f"{key}: {fact}")
    if described["kind"] == "scenario":
        _print_treatment(described)
    _print_declarations(described.get("declarations", ()))
    declared = ["states", "signals", "constants", "inputs", "ports", "outputs"]
    if described["kind"] == "mechanism":
        declared.append("parameters")
    for kind in declared:
        rows = [(name, unit_text(entry["unit"]), entry["text"]) for name, entry in described.get(kind, {}).items()]
        render.section(kind.capitalize(), ("", "unit", ""), "lll", rows, prose=True)
    headers = ("", "value", "unit", "5 % – 95 %", "basis", "source", "card", "note")
    values = [row for name, entry in described.get("parameters", {}).items() for row in _parameter_rows(name, entry)]
    render.section("Values", headers, "lrllllll", values, prose=True)
    if described["kind"] == "population":
        _print_population(described)
    _print_observations(described.get("observations", ()))


def _units(described: Mapping[str, Any]) -> list[str]:
    """The units of a quantity: one, unless mechanisms declare it differently."""
    units = [entry["unit"] for entry in described.get("declarations", ())] or [described.get("unit")]
    return [unit for unit in dict.fromkeys(units) if unit]


def _print_declarations(declarations: Sequence[Mapping[str, Any]]) -> None:
    """What each mechanism declares a name to be, where they differ: a model has one of them."""
    rows = [(entry["mechanism"], entry["kind"], unit_text(entry["unit"]), entry["text"]) for entry in declarations]
    if len({row[1:] for row in rows}) > 1:
        render.section("Declared by", ("", "kind", "unit", ""), "llll", rows, prose=True)


def _facts_of_quantity(described: Mapping[str, Any]) -> dict[str, str | None]:
    """What is particular to a dotted name."""
    facts: dict[str, str | None] = {"read by": ", ".join(described.get("read_by", ()))}
    for key, value in described.get("port", {}).items():
        if key == "into":
            facts["a dose becomes"] = ", ".join(
                f"{state} (x {share if isinstance(share, str) else format_number(share)})"
                for state, share in value.items()
            )
        else:
            facts[_PORT.get(key, key)] = str(value)
    for key, label in (("default", "where no scenario sets it"), ("at_most", "at most")):
        if described.get(key) is not None:
            facts[label] = format_number(described[key])
    facts["in scenarios"] = ", ".join(described.get("scenarios", ()))
    facts["set by scenarios"] = ", ".join(f"{name} ({value})" for name, value in described.get("set_by", {}).items())
    return facts


def _print_population(described: Mapping[str, Any]) -> None:
    """Covariates, what follows from them, and which draws are plausible."""
    rows = []
    for name, entry in described["covariates"].items():
        centre, spread = entry.get("median", entry.get("mean")), entry.get("cv", entry.get("sd"))
        known = [_or_empty(number) for number in (centre, spread)]
        limits = span(entry.get("low"), entry.get("high"))
        parameter, unit, basis, source = (entry.get(key, "") for key in ("parameter", "unit", "basis", "source"))
        rows.append((name, parameter, *known, unit_text(unit), limits, basis, source, entry.get("note", "")))
    headers = ("", "parameter", "centre", "CV or SD", "unit", "limits", "basis", "source", "note")
    render.section("Covariates", headers, "llrrlllll", rows, prose=True)
    effects = [
        (
            ", ".join([names] if isinstance(names := e["parameter"], str) else names),
            e["covariate"],
            _or_empty(e.get("exponent")),
        )
        for e in described["effects"]
    ]
    render.section("Effects", ("covariate", "exponent", "on"), "lrl", [(c, x, n) for n, c, x in effects], prose=True)
    correlated = [(_or_empty(c.get("rho")), " and ".join(c.get("between", ()))) for c in described["correlations"]]
    render.section("Correlations", ("rho", "between"), "rl", correlated, prose=True)
    rules = [
        (name, span(r.get("low"), r.get("high")), unit_text(r.get("unit", "")))
        for name, r in described["plausible"].items()
    ]
    render.section("Plausible", ("", "between", "unit"), "lll", rows=rules)


def _statistic(described: Mapping[str, Any], unit: str) -> str:
    """The statistic of a term or a limit, with its level and the function that is applied to it."""
    level = "" if described["level"] is None else f" {format_number(described['level'])} {unit_text(unit)}"
    function = f", {described['function']}" if described.get("function") else ""
    return f"{described['statistic']}{level}{function}"


def _or_empty(number: float | None) -> str:
    return "" if number is None else format_number(number)


def _print_observations(observations: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            _or_empty(row["value"]),
            unit_text(row["unit"]),
            span(row["low"], row["high"]),
            row["use"],
            row["source"],
            row["quantity"],
        )
        for row in observations
    ]
    render.section("Observations", ("value", "unit", "range", "use", "source", ""), "rlllll", rows, prose=True)


def _print_treatment(described: Mapping[str, Any]) -> None:
    """What a scenario does to the model: doses, inputs, and what may be optimised."""
    if any("evid" in dose for dose in described["doses"]):
        render.section("Doses", ("in words",), "l", [(line,) for line in described["regimen"]])
    else:
        headers = ("time [h]", "into", "amount", "unit", "over [h]")
        rows = [
            (
                format_number(d["time_h"]),
                d["cmt"],
                format_number(d["amt"]),
                unit_text(d["unit"]),
                format_number(d["duration_h"]),
            )
            for d in described["doses"]
        ]
        render.section("Doses", headers, "rlrlr", rows)
    render.section(
        "Inputs in time",
        ("", "value", "unit", "from [h]", "to [h]"),
        "lrlrr",
        [
            (
                w["name"],
                format_number(w["value"]),
                unit_text(w["unit"]),
                format_number(w["start"]),
                format_number(w["stop"]),
            )
            for w in described["windows"]
        ],
    )
    render.section(
        "Objective",
        ("", "statistic", "of", "weight"),
        "lllr",
        [
            (t["name"], _statistic(t, t["unit"]), t["signal"] or t["cmt"], format_number(t["weight"]))
            for t in described["objective"]
        ],
    )
    render.section(
        "Limits",
        ("", "signal", "statistic", "at least", "at most", "unit"),
        "lllrrl",
        [
            (
                c["name"],
                c["signal"],
                _statistic(c, c["level_unit"]),
                *(format_number(c[side]) if c[side] is not None else "" for side in ("minimum", "maximum")),
                unit_text(c["unit"]),
            )
            for c in described["limits"]
        ],
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
                unit_text(f["unit"]),
                span(*f["time"]),
                format_number(f["interval"]),
            )
            for f in described["free"]
        ],
    )


def _parameter_rows(name: str, entry: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """One row for each card that gives a value."""
    for i, v in enumerate(entry["values"]):
        label, spread = name if i == 0 else "", span(v["low"], v["high"])
        yield (
            label,
            format_number(v["value"]),
            unit_text(v["unit"]),
            spread,
            v["basis"],
            v["source"],
            v["card"],
            v["note"],
        )
