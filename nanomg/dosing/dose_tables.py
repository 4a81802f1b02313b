"""Doses written as `[[dose]]` tables of a scenario, in the columns of NONMEM."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nanomg.dosing.dose import Dose
from nanomg.dosing.prescription import describe, parse_dose_line, prescription_series
from nanomg.dosing.quantities import (
    DosedUnit,
    LookUp,
    amount_of,
    hours_of,
    located,
    one_of,
    read_or_modelled,
    read_quantity,
    time_text,
    whole_number,
)
from nanomg.dosing.series import DoseSeries, count_until, delivery_of, in_order, series_of
from nanomg.errors import InputError, unknown


def parse_records(records: Iterable[Mapping[str, Any]], port: LookUp, where: str | None = None) -> tuple[Dose, ...]:
    """The doses of a scenario's `[[dose]]` tables, sorted by time.

    At equal times the doses of tables that began earlier come first, then the order is that of the tables.
    `port(cmt)` gives what doses into a port or state are counted in; it raises for an unknown name.
    """
    if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
        raise InputError("doses are a list of tables, each headed [[dose]]", where)
    series: list[DoseSeries] = []
    for i, record in enumerate(records, 1):
        with located(f"{where + ', ' if where else ''}[[dose]] number {i}"):
            series += _record(record, port)
    return in_order(series)


def replace_doses(records: Iterable[Mapping[str, Any]], texts: Iterable[str], port: LookUp) -> list[Mapping[str, Any]]:
    """The `[[dose]]` tables with the doses of lines such as `"liposome.iv: 1 mg q 7 d x 3"` in place of those into the same port.

    Doses into other ports stay. `"liposome.iv: none"` removes the doses of a port, `"reset: none"` the resets without a dose.
    Raises `InputError` for doses of a drug into one port while those into another port of the drug would stay.
    """
    texts = list(texts)
    lines = [parse_dose_line(text, port) for text in texts]
    for text, line in zip(texts, lines, strict=True):
        if not line.series and sum(line.cmt == other.cmt for other in lines) > 1:
            what = f"doses into {line.cmt!r}" if line.cmt else "resets"
            raise InputError(f"another line gives {what}; leave one of the two out", f"dose {text!r}")
    replaced = {line.cmt for line in lines}
    pairs = [(str(_checked_keys(record).get("cmt", "")), record) for record in records]
    dosed = list(dict.fromkeys(cmt for cmt, _ in pairs if cmt))
    for text, line in zip(texts, lines, strict=True):
        drug = line.cmt.partition(".")[0]
        also = [cmt for cmt in dosed if cmt not in replaced and cmt.partition(".")[0] == drug]
        if also and line.series:
            raise InputError(
                f"the scenario gives {drug} by {also[0]!r} as well; remove those doses with '{also[0]}: none', or repeat them",
                f"dose {text!r}",
            )
    stay = [record for cmt, record in pairs if cmt not in replaced]
    return [*stay, *(table for line in lines for table in line.tables)]


def changes_of(before: Sequence[Dose], after: Sequence[Dose], unit: Callable[[str], str]) -> list[str]:
    """A sentence for each port whose doses are others after than before; `unit` is that of a port.

    Example:
        >>> changes_of([Dose(24.0, 2.0, "a.iv")], [], lambda port: "mg")
        ['The doses into a.iv are removed (2 mg at 24 h).']
    """
    sentences = []
    for cmt in dict.fromkeys(dose.cmt for dose in (*before, *after)):
        old, new = ([dose for dose in doses if dose.cmt == cmt] for doses in (before, after))
        if old == new:
            continue
        was, now = ("; ".join(line.removeprefix(f"{cmt}: ") for line in describe(d, unit, 4)) for d in (old, new))
        what = f"The doses into {cmt}" if cmt else "The resets"
        if not new:
            sentences.append(f"{what} are removed ({was}).")
        else:
            sentences.append(f"{what} are replaced: {now}, in place of {was}." if old else f"{what} are added: {now}.")
    return sentences


_KEYS = {
    key: key for key in ("cmt", "amt", "time", "duration", "rate", "ii", "addl", "until", "ss", "evid", "text")
} | {"dur": "duration", "tinf": "duration"}


def _record(record: Mapping[str, Any], port: LookUp) -> list[DoseSeries]:
    """The doses of one table."""
    values = _checked_keys(record)
    time = hours_of(*read_quantity(values.get("time", 0), "time"), "time")
    evid = one_of(*read_quantity(values.get("evid", 1), "evid"), (1, 3, 4), "evid")
    if evid == 3:
        return [DoseSeries(Dose(time, 0.0, "", evid=3))]
    cmt = values["cmt"]
    unit = DosedUnit(*port(cmt))
    if "text" in values:
        if not isinstance(values["text"], str):
            raise InputError(f"text must be a prescription such as '2 mg q 7 d x 4', not {values['text']!r}")
        written = prescription_series(values["text"], cmt, unit)
        return [s._replace(first=dataclasses.replace(s.first, time=time + s.first.time)) for s in written]

    amt = amount_of(*read_quantity(values["amt"], "amt"), unit, "amt")
    given = {key: read_or_modelled(values[key], key) for key in ("rate", "duration") if key in values}
    rate, duration = delivery_of(amt, given.get("rate"), given.get("duration"), unit)
    hours = {key: hours_of(*read_quantity(values[key], key), key) for key in ("ii", "until") if key in values}
    interval = hours.get("ii")
    ss = one_of(*read_quantity(values.get("ss", 0), "ss"), (0, 1, 2), "ss")
    count = whole_number(*read_quantity(values["addl"], "addl"), 0, "addl") + 1 if "addl" in values else 1
    if "until" in hours:
        if hours["until"] <= time:
            raise InputError(f"until ({time_text(hours['until'])}) must come after the first dose at {time_text(time)}")
        if not interval:
            raise InputError("until needs the interval ii between doses, above zero")
        count = count_until(time, hours["until"], interval)
    if count > 1 and interval is None:
        raise InputError(f"addl = {count - 1} needs the interval ii between doses")
    return [series_of(cmt, time, amt, rate, duration, ss, evid, interval, count)]


def _checked_keys(record: Mapping[str, Any]) -> dict[str, Any]:
    """A table's values by the plain name of each key; combinations that make no sense are rejected."""
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
            raise InputError(f"a reset (evid = 3) has only a time; remove {', '.join(extra)}, or use evid = 4")
        return values
    if not isinstance(values.get("cmt"), str):
        raise InputError("cmt must name the port or state that is dosed, for example cmt = 'liposome.iv'")
    if "text" not in values and "amt" not in values:
        raise InputError("either amt (for example '2 mg') or text (for example '2 mg q 7 d x 4') is needed")
    extra = sorted(values.keys() - {"cmt", "text", "time"})
    if "text" in values and extra:
        raise InputError(f"text gives everything except cmt and time; remove {', '.join(extra)}")
    for one, other in (("rate", "duration"), ("addl", "until")):
        if one in values and other in values:
            raise InputError(f"{one} and {other} are both given; one follows from the other, keep one")
    return values
