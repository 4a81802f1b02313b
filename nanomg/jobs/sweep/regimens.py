"""Doses that differ between the trajectories of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from nanomg.dosing.dose import movable
from nanomg.dosing.record_columns import columns_of
from nanomg.errors import InputError, unknown
from nanomg.library.scenario import Scenario
from nanomg.simulation import arms, event_arms
from nanomg.simulation.subject_lanes import SubjectLanes

HYPOTHESIS, REGIMEN, POINT, ID = "hypothesis", "regimen", "point", "ID"
DOSE_PROPERTIES = ("amount", "scale", "start", "interval", "duration", "count")
MOVING = (".start", ".interval", ".duration")
_OF_TABLES = ("amount", "scale")


def dosed(name: str, scenario: Scenario, where: str) -> tuple[str, str]:
    """Port and property that `dose[.PORT].PROPERTY` names."""
    *port, what = name.split(".")[1:]
    if what not in DOSE_PROPERTIES:
        raise unknown("property of a dose", what, DOSE_PROPERTIES, where)
    if scenario.subjects and what not in _OF_TABLES:
        raise InputError("doses of an event table keep their times; vary their amount or scale", where)
    ports = _ports(scenario)
    cmt = ".".join(port) or (ports[0] if len(ports) == 1 else "")
    if not ports:
        raise InputError("the scenario has no doses", where)
    if not cmt:
        raise InputError(f"doses go into {', '.join(ports)}; name one, as in 'dose.{ports[0]}.{what}'", where)
    if cmt not in ports:
        raise unknown("port with doses", cmt, ports, where)
    return cmt, what


def _ports(scenario: Scenario) -> list[str]:
    """The ports and states that doses go into."""
    if not scenario.subjects:
        return list(dict.fromkeys(dose.cmt for dose in scenario.doses if dose.strength))
    columns, _ = columns_of(scenario.subjects)
    codes = columns.cmt[columns.doses & ((columns.amt > 0) | (columns.rate > 0))]
    return [columns.names[code] for code in dict.fromkeys(codes.tolist())]


def brings_mg(scenario: Scenario) -> bool:
    """Whether any dose contains Mg."""
    if scenario.subjects:
        return event_arms.brings_mg(scenario, scenario.subjects)
    return arms.any_mg(scenario.model, scenario.doses)


class Regimens(NamedTuple):
    """Doses of lanes, (dose, lane) each: `time` [h], `amount` [unit of the port], `duration` [h], `ii` at steady state [h].

    The amount of an infusion that has always run is its rate [per h].
    """

    time: np.ndarray
    amount: np.ndarray
    duration: np.ndarray
    ii: np.ndarray


def regimens(scenario: Scenario, at: Mapping[str, np.ndarray], lanes: int) -> Regimens:
    """The scenario's doses with the properties that a design gives them at its points. Raises `InputError` for a dose too late."""
    doses = scenario.doses
    wide = lambda rows: np.repeat(np.array(rows, float).reshape(-1, 1), lanes, 1)
    found = Regimens(
        wide([d.time for d in doses]),
        wide([d.strength for d in doses]),
        wide([d.duration or 1.0 for d in doses]),
        wide([d.ii for d in doses]),
    )
    for name in _properties(scenario, at):
        cmt, what = dosed(name, scenario, name)
        own = sorted((i for i, d in enumerate(doses) if d.cmt == cmt and d.strength), key=lambda i: doses[i].time)
        _set(found, what, np.array(own), scenario, np.asarray(at[name], float), name)
    if REGIMEN in at:
        brings = np.array([bool(arms.carries(scenario.model, d.cmt)) for d in doses])
        found.amount[brings[:, None] & (at[REGIMEN] == 1)] = 0.0
    late = found.time > scenario.horizon
    if late.any():
        raise InputError(
            f"a dose would be given at {found.time[late].max():g} h, after the horizon of {scenario.horizon:g} h",
            f"scenario {scenario.name!r}",
        )
    return found


def _properties(scenario: Scenario, at: Iterable[str]) -> list[str]:
    """The properties of doses among these names, in the order in which they act."""
    named = [name for name in at if name.startswith("dose.") and name not in scenario.parameters]
    return sorted(named, key=lambda name: DOSE_PROPERTIES.index(name.rpartition(".")[2]))


# ---------------------------------------------------------------- the records of an event table
def table_amounts(
    scenario: Scenario, table: SubjectLanes, at: Mapping[str, np.ndarray], who: np.ndarray, arm: np.ndarray
) -> np.ndarray | None:
    """Amounts of the records of lanes (record, lane) as a design gives them; None where it leaves them as they are."""
    properties = _properties(scenario, at)
    if not properties:
        return None
    given = table.given(who, arm)
    amount = given.strength.copy()
    for name in properties:
        cmt, what = dosed(name, scenario, name)
        own, value = (given.cmt == cmt) & (given.strength > 0), np.asarray(at[name], float)
        amount = np.where(own, value if what == "amount" else value * amount, amount)
    return amount


def check_table(scenario: Scenario, design: Iterable[str]) -> None:
    """Raise `InputError` where a design gives an amount to an infusion that has always run."""
    columns, _ = columns_of(scenario.subjects)
    for name in _properties(scenario, design):
        cmt, what = dosed(name, scenario, name)
        own = columns.cmt == (columns.names.index(cmt) if cmt in columns.names else -1)
        if what == "amount" and (own & columns.doses & (columns.amt == 0)).any():
            raise InputError(_NO_AMOUNT, f"--vary {name}")


_NO_AMOUNT = "an infusion at steady state has no amount; vary its scale"


def _set(found: Regimens, what: str, own: np.ndarray, scenario: Scenario, value: np.ndarray, name: str) -> None:
    doses = scenario.doses
    if what == "amount":
        if not all(doses[i].amt for i in own):
            raise InputError(_NO_AMOUNT, f"--vary {name}")
        found.amount[own] = value
    elif what == "scale":
        found.amount[own] *= value
    elif what == "start":
        found.time[own] += value - found.time[own[0]]
    elif what == "interval":
        found.time[own] = found.time[own[0]] + np.arange(len(own))[:, None] * value
        if any(doses[i].ii for i in own) and not (value > 0).all():
            raise InputError("doses at steady state need an interval above 0", f"--vary {name}")
        found.ii[own] = np.where(found.ii[own] > 0, value, 0.0)
    elif what == "duration":
        if not all(doses[i].duration for i in own) or not (value > 0).all():
            raise InputError("a duration above 0 is for infusions; a bolus has none", f"--vary {name}")
        if not movable(doses, scenario.model.ports) and any(doses[i].rate for i in own):
            raise InputError("these infusions are given at a rate, from which their duration follows", f"--vary {name}")
        found.duration[own] = value
    else:
        if not ((value % 1 == 0) & (value <= len(own))).all():
            raise InputError(f"a number of doses is a whole number, 0 to {len(own)} here", f"--vary {name}")
        found.amount[own] *= np.arange(len(own))[:, None] < value
