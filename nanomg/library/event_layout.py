"""`[columns]` of a scenario: which columns of an event table set parameters, and how TIME, AMT and so on are written in it.

[columns]
"pk.CL" = { column = "CLR", unit = "mL/min", between = "linear" }
TIME = { column = "TAFD", unit = "min" }
AMT = { unit = "ug" }
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg import units
from nanomg.dosing.column_names import CLOCKED, NAMES, TableLayout
from nanomg.dosing.event_record import INTERPOLATIONS
from nanomg.dosing.quantities import amount_of, per_body, rate_of
from nanomg.dosing.record_columns import Columns
from nanomg.equations.model import Model
from nanomg.errors import InputError, unknown
from nanomg.library.scenario import BoundColumn, EventColumn, Scenario
from nanomg.library.toml import Reader

_BODIES = {"kg": ("WT", "WEIGHT", "BW", "BWT", "WGT"), "m2": ("BSA",)}  # columns of the sizes of subjects
_WITH_UNIT = (*CLOCKED, "AMT", "RATE")


def bound_columns(model: Model, table: Mapping[str, Any], where: str) -> dict[str, BoundColumn]:
    """Parameters that columns of an event table set."""
    columns = {}
    for name, written in table.items():
        if name.upper() in NAMES:
            continue
        if name not in model.parameters:
            kind, known = ("parameter", model.parameters) if "." in name else ("parameter or column of events", NAMES)
            raise unknown(kind, name, known, where)
        entry = _entry(written, f"{where}, {name}", {"column", "between", "unit"}, {"column"})
        column, unit = entry.text("column"), model.parameters[name].unit
        if not column:
            raise entry.error("the name of the column is empty")
        between = entry.one_of("between", INTERPOLATIONS, INTERPOLATIONS[0], "interpolation")
        columns[name] = BoundColumn(column, between, units.convert(1.0, entry.text("unit", unit), unit, entry.where))
    return columns


def event_columns(table: Mapping[str, Any], where: str) -> dict[str, EventColumn]:
    """The columns of events that have another name or unit than usual, by their name in capitals."""
    columns: dict[str, EventColumn] = {}
    for name, written in table.items():
        plain = name.upper()
        if plain not in NAMES:
            continue
        if plain in columns:
            raise InputError(f"{plain} is there twice", where)
        keys = {"column", "unit"} if plain in _WITH_UNIT else {"column"}
        entry = _entry(written, f"{where}, {name}", keys, set())
        column, unit = entry.text("column", plain), entry.text("unit")
        if not column:
            raise entry.error("the name of the column is empty")
        if plain in CLOCKED and unit:
            units.convert(1.0, unit, "h", entry.where)
        elif unit:
            units.checked(unit, entry.where)
        columns[plain] = EventColumn(column, unit)
    return columns


def _entry(written: Any, where: str, keys: set[str], needed: set[str]) -> Reader:
    return Reader({"column": written} if isinstance(written, str) else written, where, keys, needed)


def layout_of(scenario: Scenario, bound: bool = True, sort: bool = False, ignore: str = "") -> TableLayout:
    """How event tables of a scenario are written; without `bound` no column sets a parameter."""
    given = scenario.event_columns
    usual = given["TIME"].unit if "TIME" in given else ""
    written = {name: given[name].unit if name in given else "" for name in CLOCKED}
    return TableLayout(
        bindings={name: column.name for name, column in scenario.columns.items()} if bound else {},
        columns={name: column.name for name, column in given.items() if column.name.upper() != name},
        hours={name: units.factor(unit or usual or "h", "h") for name, unit in written.items()},
        sort=sort,
        ignore=ignore,
    )


def in_port_units(scenario: Scenario, hours: float, source: str, columns: Columns) -> Columns:
    """The records with amounts and rates in the unit of their port, as `[columns]` says of AMT and RATE.

    A rate without a unit is one per unit of TIME, which is so many `hours`. Raises `InputError` for a dose whose unit cannot
    be converted.
    """
    given = scenario.event_columns
    amount, rate = (given[name].unit if name in given else "" for name in ("AMT", "RATE"))
    if not amount and not rate and hours == 1:
        return columns
    for body in per_body(f"{amount} {rate}"):
        if there := [name for name in columns.covariates if name in _BODIES[body]]:
            message = f"doses per {body} are those of the scenario's body, but the table has a column {there[0]}"
            raise InputError(f"{message}; write whole amounts", source)
    convert = functools.partial(_factors, scenario, amount, rate, hours)
    amounts, rates = np.ones(len(columns.names) + 1), np.ones(len(columns.names) + 1)
    for code, name in enumerate(columns.names):
        dosed = np.flatnonzero(columns.doses & (columns.cmt == code))
        if len(dosed):
            try:
                amounts[code], rates[code] = convert(name)
            except InputError as error:
                raise InputError(error.message, f"{source}, row {columns.row[dosed[0]]}, into {name}") from None
    with np.errstate(over="ignore"):
        amt = columns.amt * amounts[columns.cmt]
        at = np.where(columns.rate > 0, columns.rate * rates[columns.cmt], columns.rate)
    if len(wrong := np.flatnonzero(~np.isfinite(amt) | ~np.isfinite(at))):
        raise InputError("the amount or rate is too large", f"{source}, row {columns.row[wrong[0]]}")
    return columns._replace(amt=amt, rate=at)


def _factors(scenario: Scenario, amount: str, rate: str, hours: float, name: str) -> tuple[float, float]:
    """What a number of AMT and one of RATE are in the unit of a port, and in that per hour."""
    to = scenario.dosed(name)
    of_amount = amount_of(1.0, amount, to, "AMT") if amount else 1.0
    return of_amount, rate_of(1.0, rate, to) if rate else of_amount / hours
