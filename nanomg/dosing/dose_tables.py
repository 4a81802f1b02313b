"""Doses written as `[[dose]]` tables of a scenario, in the columns of NONMEM."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nanomg.dosing.dose import (
    Dose,
    LookUp,
    _amount,
    _at,
    _delivery,
    _hours,
    _in_order,
    _number,
    _number_or_modelled,
    _one_of,
    _Series,
    _series,
    _time,
    _whole,
    count_until,
)
from nanomg.dosing.prescription import _prescription
from nanomg.errors import InputError, unknown


def parse_records(records: Iterable[Mapping[str, Any]], port: LookUp, where: str | None = None) -> tuple[Dose, ...]:
    """The doses of a scenario's `[[dose]]` tables, sorted by time.

    At equal times the doses of tables that began earlier come first, then the order is that of the tables.
    `port(cmt)` gives the unit and the molar mass [mg/umol] (or None) of a port or state; it raises for an unknown name.
    """
    if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
        raise InputError("doses are a list of tables, each headed [[dose]]", where)
    series: list[_Series] = []
    for i, record in enumerate(records, 1):
        with _at(f"{where + ', ' if where else ''}[[dose]] number {i}"):
            series += _record(record, port)
    return _in_order(series)


_KEYS = {
    key: key for key in ("cmt", "amt", "time", "duration", "rate", "ii", "addl", "until", "ss", "evid", "text")
} | {"dur": "duration", "tinf": "duration"}


def _record(record: Mapping[str, Any], port: LookUp) -> list[_Series]:
    """The doses of one table."""
    values = _checked_keys(record)
    time = _hours(*_number(values.get("time", 0), "time"), "time")
    evid = _one_of(*_number(values.get("evid", 1), "evid"), (1, 3, 4), "evid")
    if evid == 3:
        return [_Series(Dose(time, 0.0, "", evid=3))]
    cmt = values["cmt"]
    unit, molar_mass = port(cmt)
    if "text" in values:
        if not isinstance(values["text"], str):
            raise InputError(f"text must be a prescription such as '2 mg q 7 d x 4', not {values['text']!r}")
        written = _prescription(values["text"], cmt, unit, molar_mass)
        return [s._replace(first=dataclasses.replace(s.first, time=time + s.first.time)) for s in written]

    amt = _amount(*_number(values["amt"], "amt"), unit, molar_mass, "amt")
    given = {key: _number_or_modelled(values[key], key) for key in ("rate", "duration") if key in values}
    rate, duration = _delivery(amt, given.get("rate"), given.get("duration"), unit, molar_mass)
    hours = {key: _hours(*_number(values[key], key), key) for key in ("ii", "until") if key in values}
    interval = hours.get("ii")
    ss = _one_of(*_number(values.get("ss", 0), "ss"), (0, 1, 2), "ss")
    count = _whole(*_number(values["addl"], "addl"), 0, "addl") + 1 if "addl" in values else 1
    if "until" in hours:
        if hours["until"] <= time:
            raise InputError(f"until ({_time(hours['until'])}) must come after the first dose at {_time(time)}")
        if not interval:
            raise InputError("until needs the interval ii between doses, above zero")
        count = count_until(time, hours["until"], interval)
    if count > 1 and interval is None:
        raise InputError(f"addl = {count - 1} needs the interval ii between doses")
    return [_series(cmt, time, amt, rate, duration, ss, evid, interval, count)]


def _checked_keys(record: Mapping[str, Any]) -> dict[str, Any]:
    """A table's values by the plain name of each key; combinations that make no sense are refused."""
    if not isinstance(record, Mapping):
        raise InputError(f"a dose is a table with the keys cmt and amt or text, not {record!r}")
    values: dict[str, Any] = {}
    for key, value in record.items():
        name = _KEYS.get(str(key).lower())
        if name is None:
            raise unknown("key", str(key), _KEYS)
        if name in values:
            raise InputError(f"{name} is given twice")
        values[name] = value
    if values.get("evid") == 3:
        if extra := sorted(values.keys() - {"evid", "time"}):
            raise InputError(
                f"a reset (evid = 3) has nothing but its time; take out {', '.join(extra)}, or use evid = 4"
            )
        return values
    if not isinstance(values.get("cmt"), str):
        raise InputError("cmt must name the port or state that is dosed, for example cmt = 'liposome.iv'")
    if "text" not in values and "amt" not in values:
        raise InputError("either amt (for example '2 mg') or text (for example '2 mg q 7 d x 4') is needed")
    extra = sorted(values.keys() - {"cmt", "text", "time"})
    if "text" in values and extra:
        raise InputError(f"text says everything but cmt and time itself; take out {', '.join(extra)}")
    for one, other in (("rate", "duration"), ("addl", "until")):
        if one in values and other in values:
            raise InputError(f"{one} and {other} are both given; one follows from the other, keep one")
    return values
