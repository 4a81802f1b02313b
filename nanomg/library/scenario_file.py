"""A scenario: one TOML file with mechanisms, cards, doses, outputs and what is optimised.

    title = "…"                       species = "mouse"
    mechanisms = ["Magnesium", …]     cards = ["mouse", …]          later cards win
    horizon = "28 d"                  every = "6 h"                 the regular output times
    weight = "70 kg"                  surface = "1.8 m^2"           of the body, for doses per kg or m2; else those of the cards
    control = "human-lbcl-cart"       the scenario that differs only in its Mg, to compare results with
    outputs = ["tumour.volume", …]                                  signals and states to show, in the unit that is declared
    [parameters]                      "tumour.viable_0" = "20 Mcell"
    [[dose]]                          see nanomg.dosing.prescription
    [columns]                         see nanomg.library.event_layout
    [[input]]                         name, value, from, to
    [objective], [[limit]], [[free]]  see nanomg.jobs.optimize.problem

Overrides (`--set`) act on parameters last of all.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanomg import units
from nanomg.analysis import expression
from nanomg.analysis.readouts import READ_OUTS
from nanomg.dosing.dose import Window
from nanomg.dosing.dose_tables import changes_of, parse_records, replace_doses
from nanomg.dosing.quantities import LookUp, amount_in
from nanomg.equations.mechanism import AbstractMechanism
from nanomg.equations.model import Model
from nanomg.errors import InputError, unknown
from nanomg.files import named
from nanomg.library import event_layout
from nanomg.library.card import Card, Origin, Parameter, merge
from nanomg.library.library import Library
from nanomg.library.scenario import (
    LIMITED,
    MAX,
    MIN,
    STATISTICS,
    FreeDose,
    Limit,
    ObjectiveTerm,
    Scenario,
    counted_in,
)
from nanomg.library.toml import Reader, load_toml

_KEYS = {
    "title",
    "description",
    "species",
    "mechanisms",
    "cards",
    "horizon",
    "every",
    "weight",
    "surface",
    "control",
    "outputs",
    "parameters",
    "columns",
    "dose",
    "input",
    "objective",
    "limit",
    "free",
}
_LONG = 120  # letters of a title that names the doses


def load(
    name: str, library: Library, overrides: Mapping[str, str | float] | None = None, doses: Sequence[str] = ()
) -> Scenario:
    """Read a shipped scenario by name, or any by path. `doses` (prescriptions) replace the file's doses into the same ports.

    Raises `InputError` for everything that is wrong with it, in one sentence with the place.
    """
    path = find(name, library)
    return _build(path, load_toml(path), library, overrides or {}, doses)


def compose(
    name: str,
    data: Mapping[str, Any],
    library: Library,
    overrides: Mapping[str, str | float] | None = None,
    doses: Sequence[str] = (),
) -> Scenario:
    """The scenario that a mapping describes as a file would, under a name of its own."""
    return _build(Path(f"{name}.toml"), data, library, overrides or {}, doses)


def rebuild(config: Mapping[str, Any], library: Library) -> Scenario:
    """The scenario of a resolved configuration, as result files hold it, with the parameter values of then.

    Raises `InputError` for a configuration that lacks something, and where the library has changed so that it no longer fits.
    """
    if "file" not in config:
        raise InputError("the configuration has no scenario, so it cannot be rebuilt")
    if missing := [key for key in ("scenario", "set", "dose", "parameters") if key not in config]:
        raise InputError(f"the configuration has no {missing[0]!r}, so its scenario cannot be rebuilt")
    name = str(config["scenario"])
    path = library.scenarios.get(name, Path(f"{name}.toml"))
    file = config["file"]
    if config["dose"]:  # files of schema 1: these lines were the whole regimen
        file = {**file, "dose": []}
    scenario = _build(path, file, library, config["set"], config["dose"], replaced=True)
    parameters = dict(scenario.parameters)
    for name, (value, unit) in config["parameters"].items():
        if name in parameters:
            parameters[name] = dataclasses.replace(
                parameters[name], value=units.convert(value, unit, parameters[name].unit)
            )
    changes = config.get("doses_changed", [])
    return dataclasses.replace(scenario, parameters=parameters, config={**scenario.config, "doses_changed": changes})


def _build(
    path: Path,
    data: Mapping[str, Any],
    library: Library,
    overrides: Mapping[str, str | float],
    doses: Sequence[str],
    replaced: bool = False,
) -> Scenario:
    """The scenario that a file's content describes; if its regimen is `replaced`, a port of `[[free]]` may have no dose."""
    where = f"scenario {path.stem!r}"
    file = Reader(data, where, _KEYS, ("mechanisms", "cards", "horizon"))
    title, description, species, control = (file.text(key) for key in ("title", "description", "species", "control"))
    if control and not replaced and control not in library.scenarios:
        raise unknown("scenario", control, library.scenarios, f"{where}, control")
    model = _model(tuple(library.mechanism(name, where) for name in file.texts("mechanisms")))
    cards = tuple(library.card(name, where) for name in file.texts("cards"))
    if outside := _from_outside(model):
        from nanomg.library import coherence

        coherence.read_units(model)
    parameters = _parameters(model, cards, file.table("parameters"), overrides, where)
    if outside:
        coherence.check(model, {name: parameter.value for name, parameter in parameters.items()})
    horizon, every = file.positive("horizon", "h"), file.positive("every", "h", "6 h")
    if horizon / every > 100_000:
        raise InputError(f"horizon / every gives {horizon / every:.0f} output times; 100000 at most", where)

    weight = file.positive("weight", "kg") if "weight" in file else _last(cards, "weight")
    surface = file.positive("surface", "m^2") if "surface" in file else _last(cards, "surface")
    port = lambda cmt: counted_in(model, parameters, cmt, weight, surface)
    regimen = parse_records(file.tables("dose"), port, where)
    changes: list[str] = []
    if doses:
        data, written = {**data, "dose": replace_doses(file.tables("dose"), doses, port)}, regimen
        regimen = parse_records(data["dose"], port, where)
        changes = [] if replaced else changes_of(written, regimen, lambda cmt: port(cmt).unit)
    if changes:  # title and description are about the doses that were written
        title, description = _about_other_doses(path.stem, doses, changes, description)
        data = {**data, "title": title, "description": description}
    for dose in regimen:
        if dose.time > horizon:
            what = f"a dose into {dose.cmt!r}" if dose.cmt else "a reset"
            raise InputError(f"{what} at {dose.time:g} h is after the horizon of {horizon:g} h", where)
    outputs = _outputs(model, file)
    windows = tuple(_window(model, w, f"{where}, [[input]]") for w in file.tables("input"))
    for one, other in itertools.combinations(windows, 2):
        if one.name == other.name and one.start < other.stop and other.start < one.stop:
            spans = f"{one.start:g} to {one.stop:g} h and {other.start:g} to {other.stop:g} h"
            raise InputError(f"two windows of {one.name!r} overlap: {spans}", f"{where}, [[input]]")
    terms = _terms(model, file.get("objective", {}), port, f"{where}, [objective]")
    limits = tuple(limit for entry in file.tables("limit") for limit in _limits(model, entry, f"{where}, [[limit]]"))
    free = tuple(_free(port, entry, horizon, f"{where}, [[free]]") for entry in file.tables("free"))
    if len({entry.cmt for entry in free}) < len(free):
        raise InputError("a port has two [[free]] tables; one for each port is allowed", where)
    given = {d.cmt for d in regimen}
    for entry in free:
        if entry.cmt not in given and not (doses or replaced):
            raise InputError(f"[[free]] names {entry.cmt!r}, which has no dose to optimise", where)
    free = tuple(entry for entry in free if entry.cmt in given)
    config = {
        "scenario": path.stem,
        "file": data,
        "set": {k: str(v) for k, v in overrides.items()},
        "dose": [],
        "doses_changed": changes,
        "parameters": {p.name: [p.value, p.unit] for p in parameters.values()},
    }
    return Scenario(
        name=path.stem,
        title=title or path.stem,
        description=description,
        species=species or "any",
        path=path,
        model=model,
        parameters=parameters,
        cards=cards,
        doses=regimen,
        windows=windows,
        horizon=horizon,
        every=every,
        outputs=outputs,
        terms=terms,
        limits=limits,
        free=free,
        columns=event_layout.bound_columns(model, file.table("columns"), f"{where}, [columns]"),
        event_columns=event_layout.event_columns(file.table("columns"), f"{where}, [columns]"),
        config=config,
        weight=weight,
        surface=surface,
        control=control,
    )


def _about_other_doses(name: str, lines: Sequence[str], changes: Sequence[str], description: str) -> tuple[str, str]:
    """Title and description of a scenario with other doses than those that its own words are about."""
    title = f"{name} with other doses ({'; '.join(' '.join(line.split()) for line in lines)})"
    if len(title) > _LONG:
        title = f"{name} with other doses"
    before = f" The scenario as written: {description}" if description else ""
    return title, f"{' '.join(changes)}{before}"


@functools.lru_cache(maxsize=256)
def _model(mechanisms: tuple[type[AbstractMechanism], ...]) -> Model:
    """Many scenarios share one composition, and its checks take time."""
    return Model(*mechanisms)


def _last(cards: Sequence[Card], size: str) -> float | None:
    """Weight [kg] or surface [m2] of the last card that has it."""
    return next((found for card in reversed(cards) if (found := getattr(card, size)) is not None), None)


def _from_outside(model: Model) -> bool:
    """Whether a mechanism is of a user's library. The units of shipped ones are checked by tests."""
    return not all(mechanism.__module__.startswith("nanomg.models.") for mechanism in model.mechanisms)


def find(name: str, library: Library) -> Path:
    """The file of a shipped scenario by name, or of any by path. Raises `InputError` if it does not exist."""
    if name in library.scenarios:
        return library.scenarios[name]
    path = Path(name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if not named(path).is_file():
            raise InputError("there is no such scenario file", name)
        return path
    raise unknown("scenario", name, library.scenarios)


def _parameters(
    model: Model, cards: Sequence[Card], table: Mapping[str, Any], overrides: Mapping[str, Any], where: str
) -> dict[str, Parameter]:
    known = merge(cards)
    values = {}
    for name, declared in model.parameters.items():
        if name not in known:
            raise InputError(f"no card gives the parameter {name!r} ({declared.text}, [{declared.unit}])", where)
        values[name] = known[name].to(declared.unit)
    for origin, source, changes in ((Origin.SCENARIO, where, table), (Origin.USER, "--set", overrides)):
        for name, text in changes.items():
            if name not in values:
                raise unknown("parameter", name, values, source)
            value = units.parse_quantity(text, values[name].unit, f"{source}, {name}")
            note = "set in the scenario" if origin is Origin.SCENARIO else "set by the user"
            values[name] = dataclasses.replace(
                values[name],
                value=value,
                low=None,
                high=None,
                basis="assumed",
                source="",
                place="",
                note=note,
                card=source,
                origin=origin,
            )
    for name, parameter in values.items():
        highest = model.parameters[name].at_most
        if not 0.0 <= parameter.value <= highest:
            allowed = "must not be negative" if highest == math.inf else f"must be between 0 and {highest:g}"
            source = f"card {parameter.card!r}" if parameter.origin is Origin.CARD else parameter.card
            raise InputError(f"{name} {allowed}, but is {parameter.value:g} {parameter.unit}".rstrip(" 1"), source)
    return values


def _outputs(model: Model, file: Reader) -> dict[str, str]:
    """The declared units of the signals and states to show. A table, as in older files, has units that are checked and not used."""
    written = file.get("outputs", {})
    listed = not isinstance(written, Mapping)
    table = dict.fromkeys(file.texts("outputs")) if listed else written
    known = [*model.signals, *model.states, *(() if listed else model.ports)]
    for name, unit in table.items():
        where = f"{file.where}, outputs"
        if name not in known:
            raise unknown("signal or state", name, known, where)
        if unit is not None:
            units.convert(1.0, str(unit), model.unit(name), f"{where}, {name}")
    return {name: model.unit(name) for name in table if name in model.signals or name in model.states}


def _window(model: Model, table: Mapping[str, Any], where: str) -> Window:
    keys = ("name", "value", "from", "to")
    entry = Reader(table, where, keys, keys)
    name = entry.text("name")
    if name not in model.inputs:
        raise unknown("input", name, model.inputs, where)
    value = units.parse_quantity(entry["value"], model.inputs[name].unit, where)
    start, stop = entry.hours("from"), entry.hours("to")
    if stop <= start:
        raise entry.error(f"'to' ({stop:g} h) must be later than 'from' ({start:g} h)")
    return Window(name, value, start, stop)


def _terms(model: Model, objective: Any, port: LookUp, where: str) -> tuple[ObjectiveTerm, ...]:
    if not isinstance(objective, Mapping):
        raise InputError("[objective] is a table of terms", where)
    terms = []
    common = {"statistic", "weight", "function"}
    for name, table in objective.items():
        at = f"{where}, {name}"
        entry = Reader(table, at, {*common, "signal", "cmt", "amount", "unit", "level"}, {"statistic", "weight"})
        statistic = entry.one_of("statistic", STATISTICS)
        weight = units.parse_quantity(entry["weight"], "1", f"{at}, weight")
        function = expression.checked(entry.text("function"), at) if "function" in entry else ""
        if statistic in ("amount", "visits"):
            entry = Reader(table, at, {*common, "cmt", "amount"}, {"cmt", "amount"})
            cmt = entry.text("cmt")
            amount = amount_in(entry["amount"], port(cmt), "amount", at)
            if not amount > 0:
                raise entry.error("amount must be above 0")
            terms.append(ObjectiveTerm(name, statistic, weight, cmt=cmt, amount=amount, function=function))
        else:
            levelled = _levelled(statistic)
            entry = Reader(table, at, {*common, "signal", "unit", *levelled}, {"signal", "unit", *levelled})
            signal, unit = _signal(model, entry), entry.text("unit")
            amount = units.convert(1.0, unit, model.unit(signal), at)
            level = units.parse_quantity(entry["level"], unit, f"{at}, level") if levelled else 0.0
            terms.append(
                ObjectiveTerm(name, statistic, weight, signal=signal, amount=amount, level=level, function=function)
            )
    return tuple(terms)


def _levelled(statistic: str) -> set[str]:
    """The key that a statistic needs for its level, if it has one."""
    return {"level"} if statistic in READ_OUTS and READ_OUTS[statistic].level else set()


def _signal(model: Model, entry: Reader) -> str:
    """The signal or state that an entry names, or its rise over the arm without Mg."""
    name = entry.text("signal")
    if name not in model.signals and name not in model.states and not model.is_rise(name):
        raise unknown("signal or state", name, [*model.signals, *model.states], entry.where)
    return name


def _limits(model: Model, table: Mapping[str, Any], where: str) -> Iterator[Limit]:
    """The upper limit, the lower one, or both of a table."""
    entry = Reader(table, where, {"name", "signal", "statistic", "level", MAX, MIN}, {"name", "signal"})
    statistic = entry.one_of("statistic", LIMITED) if "statistic" in entry else ""
    levelled = _levelled(statistic)
    entry = Reader(table, where, {"name", "signal", "statistic", MAX, MIN, *levelled}, {"name", "signal", *levelled})
    name, signal = entry.text("name"), _signal(model, entry)
    unit = model.unit(signal)
    level = units.parse_quantity(entry["level"], unit, f"{where}, {name}, level") if levelled else 0.0
    limited = READ_OUTS[statistic].unit(unit) if statistic else unit
    sides = [side for side in (MAX, MIN) if side in entry]
    if not sides:
        raise entry.error(f"the limit {name!r} needs max, min or both")
    bounds = []
    for side in sides:
        bound = units.parse_quantity(entry[side], limited, f"{where}, {name}")
        title = name if len(sides) == 1 else f"{name}, {side}"
        bounds.append(bound)
        yield Limit(title, signal, bound, side, statistic, level)
    if bounds != sorted(bounds, reverse=True):
        raise entry.error(f"min is above max in the limit {name!r}")


def _free(port: LookUp, table: Mapping[str, Any], horizon: float, where: str) -> FreeDose:
    allowed = {"cmt", "amount", "time", "interval", "total", "strength", "volume"}
    entry = Reader(table, where, allowed, {"cmt", "amount", "time"})
    cmt = entry.text("cmt")
    counted = port(cmt)
    amount = entry.bounds("amount", lambda value: amount_in(value, counted, "amount", where))
    time = entry.bounds("time")
    if time[1] > horizon:
        raise entry.error(f"doses may be given up to {time[1]:g} h, but the horizon is {horizon:g} h")
    interval = entry.hours("interval")
    total = amount_in(entry["total"], counted, "total", where) if "total" in entry else float("inf")
    strength, volume = 0.0, 0.0
    if "strength" in entry or "volume" in entry:
        entry = Reader(table, where, allowed, {"strength", "volume"})
        strength, volume = entry.positive("strength", f"{counted.unit}/mL"), entry.positive("volume", "mL")
        amount = amount[0], min(amount[1], strength * volume)
    return FreeDose(cmt, amount, time, interval, total, strength, volume)
