"""Doses: what people write, expanded to single administrations.

The language of a prescription (words in any case, clauses of a part in any order, each at most once):

    prescription = part { "then" part }
    part         = amount [ "over" TIME | "rate" RATE ] { clause }   an amount: a bolus, or an infusion that lasts TIME
                 | rate "for" TIME { clause }             an infusion at a rate, such as "1 g/h for 12 h"
                 | rate "ss"                              an infusion that has always run and ends here
    clause       = ("q" | "every") TIME                   the interval between doses; needs a count or ss
                 | ("x" | "times") COUNT | COUNT "times"  how many doses in all; more than one needs an interval
                 | "once"                                 the same as "x 1"
                 | ("from" | "at") TIME                   the first dose, counted from the start of the prescription
                 | "ss" | "ss2"                           the first dose comes at steady state, in place of what was there
                                                          before or (ss2) on top of it; needs an interval
                 | "reset"                                every state becomes 0 just before the first dose

"over modelled" and "rate modelled" leave the duration or the rate to the port's own parameter. What follows `then` starts
when the part before it ends: after its last interval if it has one ("q 7 d x 4" ends at 28 d), else when its infusion ends. A
`from` there may wait longer, but not go back. Examples:

    4 g over 20 min then 1 g/h for 12 h
    200 mg over 30 min q 3 wk x 6
    100 mg q 12 h x 4 ss
    0.2 mg q 3 d x 5 from 7 d

A `[[dose]]` table of a scenario has the keys of an event record, in small or capital letters: `cmt` (a port or state),
`amt`, `time` (0 if absent), `duration` (or `dur`, `tinf`) or `rate`, and for repeats `ii` with `addl` (further doses)
or with `until` (doses strictly before this time). `ss` is 1 or 2 and needs `ii`, or amt = 0 with a rate: a constant infusion.
`rate` may be -1 or "modelled", -2 (or `duration` "modelled"). `evid` is 1, or 4 for a reset before the dose; a table with
evid = 3 is a reset by itself and has nothing but its `time`. Or a table has `cmt`, `text` (a prescription) and `time` (its
start).

A reset (evid 3 or 4, ss = 1) cancels the doses still to come of the tables and parts that began before it.

A bare number is taken only for an amount whose unit has no dimension, for a count, and for a time of 0. A mass is taken
where the port counts an amount of substance, if its molar mass [mg/umol] is known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from nanomg import units
from nanomg.errors import InputError, unknown

LookUp = Callable[[str], tuple[str, float | None]]
Quantity = tuple[float, str]

MOST_DOSES = 100_000


@dataclasses.dataclass(frozen=True)
class Dose:
    """One administration: `amt` (in the unit of its port) into `cmt` at `time` [h] over `duration` [h] (0: bolus).

    `rate` [per h] is set where the rate is what was written: bioavailability then changes the duration; -1 and -2 are the port's
    modelled rate and duration. `ss` with `ii` [h] puts the dose at steady state; `evid` 4 resets before the dose, 3 resets only.
    """

    time: float
    amt: float
    cmt: str
    duration: float = 0.0
    ii: float = 0.0
    ss: int = 0
    rate: float = 0.0
    evid: int = 1

    def __post_init__(self) -> None:
        with _at(f"dose into {self.cmt!r}"):
            for name in ("time", "amt", "duration", "ii"):
                _not_negative(getattr(self, name), name)
            if self.rate not in (-1, -2):
                _not_negative(self.rate, "rate")
            for name, allowed in (("ss", (0, 1, 2)), ("evid", (1, 3, 4))):
                _one_of(getattr(self, name), "", allowed, name)

    @property
    def plain(self) -> bool:
        """Whether the dose is just an amount at a time, with no steady state, reset or modelled rate."""
        return self.evid == 1 and not self.ss and self.rate >= 0

    @property
    def resets(self) -> bool:
        """Whether doses that began before have no effect from here on."""
        return self.evid in (3, 4) or self.ss == 1


@dataclasses.dataclass(frozen=True)
class Window:
    """An input held at `value` from `start` to `stop` [h]."""

    name: str
    value: float
    start: float
    stop: float


class _Series(NamedTuple):
    """Equal doses, `interval` [h] apart; steady state and reset belong to the first."""

    first: Dose
    interval: float = 0.0
    number: int = 1


def parse_prescription(
    text: str, cmt: str, unit: str, molar_mass: float | None = None, where: str | None = None
) -> tuple[Dose, ...]:
    """Every dose of a prescription into a port with this unit, sorted by time."""
    with _at(where):
        return _in_order(_prescription(text, cmt, unit, molar_mass))


def parse_dose_option(text: str, port: LookUp) -> tuple[Dose, ...]:
    """The doses of one line such as `"liposome.iv: 1 mg q 7 d x 3"`, sorted by time; `"reset at 2 d"` is a reset."""
    return parse_dose_options([text], port)


def parse_dose_options(texts: Iterable[str], port: LookUp) -> tuple[Dose, ...]:
    """The doses of several lines, sorted by time; equal times keep the order of the lines."""
    return _in_order(series for text in texts for series in _option(text, port))


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


def count_until(time: float, until: float, ii: float) -> int:
    """How many doses, `ii` apart from `time` on, come strictly before `until`; beyond MOST_DOSES the count is not exact."""
    # The tolerance keeps a dose that would fall on `until` itself out, whatever the rounding.
    return max(math.ceil(min((until - time) / ii - 1e-9, 2.0 * MOST_DOSES)), 1)


_KEYS = {key: key for key in ("cmt", "amt", "time", "duration", "rate", "ii", "addl", "until", "ss", "evid", "text")}
_KEYS |= {"dur": "duration", "tinf": "duration"}
_MODELLED: Quantity = (-1.0, "modelled")


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


# --- prescription text ------------------------------------------------------------------------------------------------

_OWN = ("q", "x", "over", "for", "then", "from", "once", "rate", "modelled", "ss2", "ss", "reset")
_WORDS = {word: word for word in _OWN}
_WORDS |= {"every": "q", "times": "x", "\N{MULTIPLICATION SIGN}": "x", "at": "from", "modeled": "modelled"}
_AFTER = {"over": "a time", "for": "a time", "q": "a time", "from": "a time", "x": "a count", "rate": "a rate"}
_ALONE: Mapping[str, tuple[str, Quantity]] = {
    "once": ("x", (1.0, "")),
    "ss": ("ss", (1.0, "")),
    "ss2": ("ss", (2.0, "")),
    "reset": ("reset", (1.0, "")),
}
_LETTER = r"[A-Za-z\u00b5\u03bc%]"  # with both signs for micro
_POWER = rf"{_LETTER}+[0-9]{{0,2}}(?:\^-?[0-9])?"
_UNIT = rf"(?:1\s*/\s*)?{_POWER}(?:\s*[/*]\s*{_POWER})*"
_TOKEN = re.compile(
    rf"(?P<keyword>(?i:{'|'.join(_WORDS)})(?!{_LETTER}|[/*^]))"
    r"|(?P<number>(?!1\s*/)[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    rf"|(?P<unit>{_UNIT})|(?P<other>\S+)"
)


class _Reader:
    """The words of a prescription, taken one after another."""

    def __init__(self, text: str):
        self.text, self.position = text.strip(), 0
        self.words = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(text)]

    def kind(self, ahead: int = 0) -> str:
        """What comes next: the plain name of a keyword, "number", "unit", "other", or "" at the end."""
        kind, word = self.words[self.position + ahead] if self.position + ahead < len(self.words) else ("", "")
        return _WORDS[word.lower()] if kind == "keyword" else kind

    def take(self) -> str:
        self.position += 1
        return self.words[self.position - 1][1]

    def quantity(self, expected: str) -> Quantity:
        """A number and its unit; nothing where none follows or a count is expected."""
        if self.kind() != "number":
            self.fail(expected)
        number, unit = self.take(), ""
        if self.kind() == "unit" and expected != "a count":
            unit = self.take()
        return _finite(float(number), number), unit

    def clause(self) -> tuple[str, Quantity]:
        """A keyword and what belongs to it."""
        key = self.kind()
        if key == "number" and self.kind(1) == "x":  # "4 times"
            count = self.quantity("a count")
            self.take()
            return "x", count
        if key not in _ALONE and key not in _AFTER:
            self.fail("one of over, for, rate, q, x, once, from, at, ss, ss2, reset, then")
        self.take()
        if key in _ALONE:
            return _ALONE[key]
        if key in ("over", "rate") and self.kind() == "modelled":
            self.take()
            return key, _MODELLED
        return key, self.quantity(_AFTER[key])

    def fail(self, expected: str) -> NoReturn:
        if not self.kind():
            raise InputError(f"{self.text!r} ends where {expected} is expected")
        word = self.words[self.position][1]
        raise InputError(f"{self.text!r} cannot be read at word {self.position + 1}, {word!r}: {expected} is expected")


def _option(text: str, port: LookUp) -> list[_Series]:
    """What one line gives: a prescription after the name of its port, or a reset."""
    name, colon, prescription = text.partition(":")
    cmt = name.strip()
    with _at(f"dose {text!r}"):
        reader = _Reader(text)
        if not colon and reader.kind() == "reset":
            reader.take()
            key, time = reader.clause() if reader.kind() else ("from", (0.0, ""))
            if key != "from" or reader.kind():
                raise InputError("a reset is written as 'reset at 2 d'")
            return [_Series(Dose(_hours(*time, "the time of 'reset'"), 0.0, "", evid=3))]
        if not (cmt and colon):
            raise InputError("a dose is written as 'port: prescription', for example 'liposome.iv: 1 mg q 7 d x 3'")
        return _prescription(prescription, cmt, *port(cmt))


def _prescription(text: str, cmt: str, unit: str, molar_mass: float | None) -> list[_Series]:
    """The doses of each part of a prescription."""
    reader, parts, ends = _Reader(text), list[_Series](), 0.0
    while True:
        part, ends = _part(reader, ends, cmt, unit, molar_mass)
        parts.append(part)
        if not reader.kind():
            return parts
        reader.take()  # then


def _part(reader: _Reader, starts: float, cmt: str, unit: str, molar_mass: float | None) -> tuple[_Series, float]:
    """The doses of one part of a prescription that starts at `starts` at the earliest, and when the part ends."""
    value, value_unit = reader.quantity("an amount or a rate with its unit")
    clauses: dict[str, Quantity] = {}
    while reader.kind() not in ("", "then"):
        key, quantity = reader.clause()
        if key in clauses:
            raise InputError(f"{reader.text!r} gives {key!r} twice in one part")
        clauses[key] = quantity
    shown = f"{value:g} {value_unit}".strip()
    hours = {k: _hours(*clauses[k], f"the time of {k!r}") for k in ("for", "q", "from") if k in clauses}
    ss, evid = int(clauses.get("ss", (0.0, ""))[0]), 4 if "reset" in clauses else 1
    rate = duration = amount = 0.0
    if _is_rate(value_unit, unit):
        if "over" in clauses or "rate" in clauses or ("for" not in hours and not (ss and "q" not in hours)):
            raise InputError(f"the rate {shown!r} needs how long it runs, such as 'for 12 h'")
        rate = _rate(value, value_unit, unit, molar_mass)
        if "for" in hours:
            duration = hours["for"]
            amount, rate = rate * duration, 0.0
    else:
        if "for" in hours:
            raise InputError(f"'for' belongs to a rate such as '1 g/h'; after the amount {shown!r} write 'over'")
        if "over" in clauses and "rate" in clauses:
            raise InputError("'over' and 'rate' are both given; one follows from the other, keep one")
        amount = _amount(value, value_unit, unit, molar_mass, "the amount")
        rate, duration = _delivery(amount, clauses.get("rate"), clauses.get("over"), unit, molar_mass)

    first, interval = hours.get("from", starts), hours.get("q")
    if first < starts:
        raise InputError(f"'from {_time(first)}' goes back before {_time(starts)}, where the part before 'then' ends")
    if interval is not None and "x" not in clauses and not ss:
        raise InputError(f"'q {_time(interval)}' needs a number of doses, such as 'x 4'")
    count = _whole(*clauses["x"], 1, "the number of doses") if "x" in clauses else 1
    if count > 1 and interval is None:
        raise InputError(f"'x {count}' needs an interval, such as 'q 7 d'")
    written = _series(cmt, first, amount, rate, duration, ss, evid, interval, count)
    return written, first + (duration if interval is None else count * interval)


# --- numbers, units and repeats ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _at(where: str | None) -> Iterator[None]:
    """Say in an error where it lies, unless it does so already."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message, error.where or where) from None


def _number(value: Any, what: str) -> tuple[float, str]:
    """A table's value as a number and its unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, what), ""
    number, unit = units.split_quantity(value) if isinstance(value, str) else (0.0, "?")
    if unit and not re.fullmatch(_UNIT, unit):
        raise InputError(f"{what} = {value!r} is not a number with a unit (write for example '20 min' or '4 g')")
    return number, unit


def _finite(value: float, what: str) -> float:
    with contextlib.suppress(OverflowError):  # a whole number beyond the range of a float
        if math.isfinite(value):
            return float(value)
    raise InputError(f"{what} is not a finite number")


def _not_negative(value: float, what: str, unit: str = "") -> float:
    if _finite(value, what) < 0:
        raise InputError(f"{what} must not be negative, but is {f'{value:g} {unit}'.strip()}")
    return value


_TIMES = ("s", "sec", "min", "minute", "minutes", "h", "hr", "hour", "hours", "d", "day", "days", "wk", "week", "weeks")


def _hours(value: float, unit: str, what: str) -> float:
    if value and not unit:
        raise InputError(f"units are required: {what} is {value:g} without one (write for example '{value:g} h')")
    spelled = unit.lower() if unit.lower() in _TIMES else unit
    return _not_negative(units.convert(value, spelled, "h") if unit else value, what, "h")


def amount_in(text: str | float, unit: str, molar_mass: float | None, what: str, where: str | None = None) -> float:
    """A written amount in the unit of its port; a mass is taken where the molar mass [mg/umol] is known."""
    with _at(where):
        return _amount(*_number(text, what), unit, molar_mass, what)


def _amount(value: float, unit: str, to: str, molar_mass: float | None, what: str) -> float:
    """An amount in the unit of its port."""
    if not unit and units.dimension(to):
        raise InputError(f"units are required: {what} is {value:g} without one (write for example '{value:g} {to}')")
    _not_negative(value, what, unit)
    if units.dimension(unit) == units.dimension("mg") and units.dimension(to) == units.dimension("umol"):
        if not molar_mass:
            raise InputError(f"{what} is a mass in {unit!r}, but its port counts {to!r} and no molar mass is known")
        value, unit = units.convert(value, unit, "mg") / molar_mass, "umol"
    return _finite(units.convert(value, unit, to), what)


def _is_rate(unit: str, to: str) -> bool:
    """Whether a unit is an amount per time, written so: `g/h`."""
    _, slash, per = unit.rpartition("/")
    return bool(slash) and units.dimension(unit) != units.dimension(to) and units.dimension(per) == units.dimension("h")


def _rate(value: float, unit: str, to: str, molar_mass: float | None) -> float:
    """A rate in the unit of its port per hour."""
    if not _is_rate(unit, to):
        raise InputError(f"{f'{value:g} {unit}'.strip()!r} is not a rate, such as one in {to + '/h'!r}")
    amount_unit, _, per = unit.rpartition("/")
    return _amount(value, amount_unit, to, molar_mass, "the rate") / units.convert(1.0, per, "h")


def _whole(number: float, unit: str, least: int, what: str) -> int:
    if unit or not number.is_integer() or number < least:
        raise InputError(f"{what} must be a whole number, {least} or more, not {f'{number:g} {unit}'.strip()}")
    return int(number)


def _one_of(number: float, unit: str, allowed: tuple[int, ...], what: str) -> int:
    if unit or number not in allowed:
        shown = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
        raise InputError(f"{what} must be {shown}, not {f'{number:g} {unit}'.strip()}")
    return int(number)


def _number_or_modelled(value: Any, what: str) -> Quantity:
    """A table's rate or duration, which may be left to a parameter."""
    if isinstance(value, str) and _WORDS.get(value.strip().lower()) == "modelled":
        return _MODELLED
    return _number(value, what)


def _delivery(
    amt: float, rate: Quantity | None, duration: Quantity | None, unit: str, molar_mass: float | None
) -> tuple[float, float]:
    """The rate (0: none is written, -1 and -2: modelled) and the duration [h] of a dose, of which one is given at most."""
    if rate in (_MODELLED, (-1.0, "")):
        return -1.0, 0.0
    if duration == _MODELLED or rate == (-2.0, ""):
        return -2.0, 0.0
    if rate is None:
        return 0.0, 0.0 if duration is None else _hours(*duration, "the duration")
    per_hour = _rate(*rate, unit, molar_mass)
    if not per_hour:
        raise InputError("rate must be above zero; leave it out for a bolus")
    return per_hour, amt / per_hour


def _series(
    cmt: str,
    time: float,
    amt: float,
    rate: float,
    duration: float,
    ss: int,
    evid: int,
    interval: float | None,
    count: int,
) -> _Series:
    """`count` equal doses, `interval` apart; what contradicts itself is refused."""
    step = interval or 0.0
    if amt == 0 and rate == -2:
        raise InputError("a modelled duration needs an amount above zero")
    if amt == 0 and (ss or rate):
        if not (ss and rate):
            raise InputError("an amount of zero is only for a constant infusion, which needs a rate and ss")
        if step or count > 1:
            raise InputError("the steady state of a constant infusion takes no interval and no further doses")
    elif ss and not step:
        raise InputError("a dose at steady state (ss) needs the interval between doses, above zero")
    if count > 1 and not step:
        raise InputError(f"{count} doses need an interval above zero")
    if count > MOST_DOSES:
        raise InputError(f"more than {MOST_DOSES} doses are asked for")
    for value, what in ((amt, "the amount"), (duration, "the duration"), (time + count * step, "the end of the doses")):
        _finite(value, what)
    return _Series(Dose(time, amt, cmt, duration, step if ss else 0.0, ss, rate, evid), step, count)


def _in_order(series: Iterable[_Series]) -> tuple[Dose, ...]:
    """All doses by time, without those that a later reset cancels; a dose due at the time of a reset comes before it."""
    ordered = sorted(series, key=lambda one: one.first.time)
    cut, rows = math.inf, list[list[Dose]]()
    for first, interval, number in reversed(ordered):
        due = [first.time + k * interval for k in range(1, number)]
        rows.append([first, *(dataclasses.replace(first, time=t, ii=0.0, ss=0, evid=1) for t in due if t <= cut)])
        if first.resets:
            cut = first.time + 1e-9
    return tuple(sorted(itertools.chain(*reversed(rows)), key=lambda dose: dose.time))


# --- back to people ---------------------------------------------------------------------------------------------------


def describe(doses: Iterable[Dose], port_unit: Callable[[str], str], digits: int = 12) -> list[str]:
    """Lines such as `"liposome.iv: 2 mg q 7 d x 4 from 0 h"`; together they read back by `parse_dose_options`.

    Equal doses into one port at equal intervals share a line, unless a reset lies between them. Lines are in the order of their
    first doses. Numbers have up to `digits` significant digits.
    """
    ordered = sorted(doses, key=lambda dose: dose.time)
    stretch = itertools.accumulate(int(dose.resets) for dose in ordered)
    lines: list[tuple[int, float, str]] = []
    series: dict[tuple[int, str, str], list[float]] = {}
    for part, dose in zip(stretch, ordered, strict=True):
        if dose.evid == 3:
            lines.append((part, dose.time, f"reset at {_time(dose.time, digits)}"))
            continue
        what = f"{dose.cmt}: {_how(dose, port_unit(dose.cmt), digits)}"
        if dose.ss or dose.evid == 4:
            lines.append((part, dose.time, f"{what} at {_time(dose.time, digits)}"))
        else:
            series.setdefault((part, dose.cmt, what), []).append(dose.time)
    for (part, _, what), times in series.items():
        while times:
            count = _evenly(times, digits)
            interval = _time(times[1] - times[0], digits) if count > 1 else ""
            if count == 2 and ("." in interval or _evenly(times[1:], digits) > 2):
                count = 1  # no row by intention, or the second dose belongs to a longer one
            every = f" q {interval} x {count} from" if count > 1 else " at"
            lines.append((part, times[0], f"{what}{every} {_time(times[0], digits)}"))
            times = times[count:]
    return [line for _, _, line in sorted(lines, key=lambda line: line[:2])]


def _how(dose: Dose, unit: str, digits: int) -> str:
    """An amount with the way it is given, its steady state and its reset, in the words of a prescription."""
    amt, rate = f"{dose.amt:.{digits}g} {unit}".strip(), f"{dose.rate:.{digits}g} {unit or 1}/h"
    if dose.ss and not dose.amt and dose.rate > 0:
        words = [rate]
    elif dose.rate:
        words = [amt, {-1: "rate modelled", -2: "over modelled"}.get(int(min(dose.rate, 0)), f"rate {rate}")]
    else:
        words = [amt, *([f"over {_time(dose.duration, digits)}"] if dose.duration else [])]
    if dose.ss:
        words += [f"q {_time(dose.ii, digits)}"] if dose.ii else []
        words.append("ss" if dose.ss == 1 else "ss2")
    return " ".join([*words, "reset"] if dose.evid == 4 else words)


def _evenly(times: list[float], digits: int) -> int:
    """How many of the sorted times, from the first on, lie at equal intervals above zero."""
    if len(times) < 2 or times[1] - times[0] <= 1e-9:
        return 1
    count, close = 2, 10.0 ** (1 - digits)
    while count < len(times) and math.isclose(times[count], times[0] + count * (times[1] - times[0]), rel_tol=close):
        count += 1
    return count


def _time(hours: float, digits: int = 12) -> str:
    """A time in whole days, hours or minutes where it is one, else in hours."""
    for unit, size in (("d", 24.0), ("h", 1.0), ("min", 1 / 60)):
        whole = round(hours / size)
        if math.isclose(hours, whole * size, rel_tol=1e-13) and (unit != "min" or hours < 2) and (whole or unit == "h"):
            return f"{whole} {unit}"
    return f"{hours:.{digits}g} h"
