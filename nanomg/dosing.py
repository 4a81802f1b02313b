"""Doses: what people write, expanded to single administrations.

The language of a prescription (words in any case, clauses of a part in any order, each at most once):

    prescription = part { "then" part }
    part         = amount [ "over" TIME ] { clause }      an amount: a bolus, or an infusion that lasts TIME
                 | rate "for" TIME { clause }             an infusion at a rate, such as "1 g/h for 12 h"
    clause       = ("q" | "every") TIME                   the interval between doses; needs a count
                 | ("x" | "times") COUNT | COUNT "times"  how many doses in all; more than one needs an interval
                 | "once"                                 the same as "x 1"
                 | ("from" | "at") TIME                   the first dose, counted from the start of the prescription

What follows `then` starts when the part before it ends: after its last interval if it has one ("q 7 d x 4" ends at
28 d), else when its infusion ends. A `from` there may wait longer, but not go back. Examples:

    4 g over 20 min then 1 g/h for 12 h
    200 mg over 30 min q 3 wk x 6
    0.2 mg q 3 d x 5 from 7 d

A `[[dose]]` table of a scenario has the keys of an event record, in small or capital letters: `cmt` (a port or state),
`amt`, `time` (0 if absent), `duration` (or `dur`, `tinf`) or `rate`, and for repeats `ii` with `addl` (further doses)
or with `until` (doses strictly before this time). Or it has `cmt`, `text` (a prescription) and `time` (its start).

A bare number is taken only for an amount whose unit has no dimension, for a count, and for a time of 0. A mass is taken
where the port counts an amount of substance, if its molar mass [mg/umol] is known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from nanomg import units
from nanomg.errors import InputError, unknown

LookUp = Callable[[str], tuple[str, float | None]]
Written = tuple[float, float, float]

MOST_DOSES = 100_000


@dataclasses.dataclass(frozen=True)
class Dose:
    """One administration: `amt` (in the unit of its port) into `cmt` at `time` [h] over `duration` [h] (0: bolus)."""

    time: float
    amt: float
    cmt: str
    duration: float = 0.0

    def __post_init__(self) -> None:
        with _at(f"dose into {self.cmt!r}"):
            for name in ("time", "amt", "duration"):
                _not_negative(getattr(self, name), name)


@dataclasses.dataclass(frozen=True)
class Window:
    """An input held at `value` from `start` to `stop` [h]."""

    name: str
    value: float
    start: float
    stop: float


def parse_prescription(
    text: str, unit: str, molar_mass: float | None = None, where: str | None = None
) -> tuple[Written, ...]:
    """Every dose of a prescription as (time [h], amount [`unit`], duration [h]), sorted by time."""
    reader = _Reader(text)
    doses: list[Written] = []
    ends = 0.0
    with _at(where):
        while True:
            written, ends = _part(reader, ends, unit, molar_mass)
            doses += written
            if not reader.kind():
                return tuple(sorted(doses, key=lambda dose: dose[0]))
            reader.take()  # then


def parse_dose_option(text: str, port: LookUp) -> tuple[Dose, ...]:
    """The doses of one line such as `"liposome.iv: 1 mg q 7 d x 3"`, sorted by time."""
    name, colon, prescription = text.partition(":")
    cmt = name.strip()
    with _at(f"dose {text!r}"):
        if not (cmt and colon):
            raise InputError("a dose is written as 'port: prescription', for example 'liposome.iv: 1 mg q 7 d x 3'")
        return tuple(Dose(time, amt, cmt, over) for time, amt, over in parse_prescription(prescription, *port(cmt)))


def parse_records(records: Iterable[Mapping[str, Any]], port: LookUp, where: str | None = None) -> tuple[Dose, ...]:
    """The doses of a scenario's `[[dose]]` tables, sorted by time; equal times keep the order of the tables.

    `port(cmt)` gives the unit and the molar mass [mg/umol] (or None) of a port or state; it raises for an unknown name.
    """
    if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
        raise InputError("doses are a list of tables, each headed [[dose]]", where)
    doses: list[Dose] = []
    for i, record in enumerate(records, 1):
        with _at(f"{where + ', ' if where else ''}[[dose]] number {i}"):
            doses += _record(record, port)
    return tuple(sorted(doses, key=lambda dose: dose.time))


_KEYS = {key: key for key in ("cmt", "amt", "time", "duration", "rate", "ii", "addl", "until", "text")}
_KEYS |= {"dur": "duration", "tinf": "duration"}


def _record(record: Mapping[str, Any], port: LookUp) -> list[Dose]:
    """The doses of one table."""
    values = _checked_keys(record)
    cmt, time = values["cmt"], _hours(*_number(values.get("time", 0), "time"), "time")
    unit, molar_mass = port(cmt)
    if "text" in values:
        if not isinstance(values["text"], str):
            raise InputError(f"text must be a prescription such as '2 mg q 7 d x 4', not {values['text']!r}")
        written = parse_prescription(values["text"], unit, molar_mass)
        return [Dose(time + after, amt, cmt, duration) for after, amt, duration in written]

    amt = _amount(*_number(values["amt"], "amt"), unit, molar_mass, "amt")
    hours = {key: _hours(*_number(values[key], key), key) for key in ("duration", "ii", "until") if key in values}
    duration, interval = hours.get("duration", 0.0), hours.get("ii")
    if "rate" in values:
        rate = _rate(*_number(values["rate"], "rate"), unit, molar_mass)
        if not rate:
            raise InputError("rate must be above zero; leave it out for a bolus")
        duration = amt / rate
    count = _whole(*_number(values["addl"], "addl"), 0, "addl") + 1 if "addl" in values else 1
    if "until" in hours:
        if hours["until"] <= time:
            raise InputError(f"until ({_time(hours['until'])}) must come after the first dose at {_time(time)}")
        if not interval:
            raise InputError("until needs the interval ii between doses, above zero")
        # The tolerance keeps a dose that would fall on `until` itself out, whatever the rounding.
        count = math.ceil(min((hours["until"] - time) / interval - 1e-9, 2.0 * MOST_DOSES))
    if count > 1 and interval is None:
        raise InputError(f"addl = {count - 1} needs the interval ii between doses")
    return [Dose(at, amt, cmt, over) for at, amt, over in _repeat(time, amt, duration, interval, count)]


def _checked_keys(record: Mapping[str, Any]) -> dict[str, Any]:
    """A table's values by the plain name of each key; combinations that make no sense are refused."""
    if not isinstance(record, Mapping):
        raise InputError(f"a dose is a table with the keys cmt and amt or text, not {record!r}")
    values: dict[str, Any] = {}
    for key, value in record.items():
        if str(key).lower() == "ss":
            raise InputError("a dose table takes no dosing at steady state (ss) yet; repeat the dose by ii and addl")
        name = _KEYS.get(str(key).lower())
        if name is None:
            raise unknown("key", str(key), _KEYS)
        if name in values:
            raise InputError(f"{name} is given twice")
        values[name] = value
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

_WORDS = {word: word for word in ("q", "x", "over", "for", "then", "from", "once")}
_WORDS |= {"every": "q", "times": "x", "\N{MULTIPLICATION SIGN}": "x", "at": "from"}
_AFTER = {"over": "a time", "for": "a time", "q": "a time", "from": "a time", "x": "a count"}
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

    def quantity(self, expected: str) -> tuple[float, str]:
        """A number and its unit; nothing where none follows or a count is expected."""
        if self.kind() != "number":
            self.fail(expected)
        number, unit = self.take(), ""
        if self.kind() == "unit" and expected != "a count":
            unit = self.take()
        return _finite(float(number), number), unit

    def clause(self) -> tuple[str, tuple[float, str]]:
        """A keyword and what belongs to it."""
        key = self.kind()
        if key == "number" and self.kind(1) == "x":  # "4 times"
            count = self.quantity("a count")
            self.take()
            return "x", count
        if key != "once" and key not in _AFTER:
            self.fail("one of over, for, q, x, once, from, at, then")
        self.take()
        return ("x", (1.0, "")) if key == "once" else (key, self.quantity(_AFTER[key]))

    def fail(self, expected: str) -> NoReturn:
        if not self.kind():
            raise InputError(f"{self.text!r} ends where {expected} is expected")
        word = self.words[self.position][1]
        raise InputError(f"{self.text!r} cannot be read at word {self.position + 1}, {word!r}: {expected} is expected")


def _part(reader: _Reader, starts: float, unit: str, molar_mass: float | None) -> tuple[list[Written], float]:
    """The doses of one part of a prescription that starts at `starts` at the earliest, and when the part ends."""
    value, value_unit = reader.quantity("an amount or a rate with its unit")
    clauses: dict[str, tuple[float, str]] = {}
    while reader.kind() not in ("", "then"):
        key, quantity = reader.clause()
        if key in clauses:
            raise InputError(f"{reader.text!r} gives {key!r} twice in one part")
        clauses[key] = quantity
    shown = f"{value:g} {value_unit}".strip()
    hours = {key: _hours(*quantity, f"the time of {key!r}") for key, quantity in clauses.items() if key != "x"}
    if _is_rate(value_unit, unit):
        if "for" not in hours or "over" in hours:
            raise InputError(f"the rate {shown!r} needs how long it runs, such as 'for 12 h'")
        duration = hours["for"]
        amount = _rate(value, value_unit, unit, molar_mass) * duration
    else:
        if "for" in hours:
            raise InputError(f"'for' belongs to a rate such as '1 g/h'; after the amount {shown!r} write 'over'")
        amount, duration = _amount(value, value_unit, unit, molar_mass, "the amount"), hours.get("over", 0.0)

    first, interval = hours.get("from", starts), hours.get("q")
    if first < starts:
        raise InputError(f"'from {_time(first)}' goes back before {_time(starts)}, where the part before 'then' ends")
    if interval is not None and "x" not in clauses:
        raise InputError(f"'q {_time(interval)}' needs a number of doses, such as 'x 4'")
    count = _whole(*clauses["x"], 1, "the number of doses") if "x" in clauses else 1
    if count > 1 and interval is None:
        raise InputError(f"'x {count}' needs an interval, such as 'q 7 d'")
    written = _repeat(first, amount, duration, interval, count)
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


def _repeat(time: float, amt: float, duration: float, interval: float | None, count: int) -> list[Written]:
    """`count` equal doses, `interval` apart."""
    if count > 1 and not interval:
        raise InputError(f"{count} doses need an interval above zero")
    if count > MOST_DOSES:
        raise InputError(f"more than {MOST_DOSES} doses are asked for")
    step = interval or 0.0
    for value, what in ((amt, "the amount"), (duration, "the duration"), (time + count * step, "the end of the doses")):
        _finite(value, what)
    return [(time + k * step, amt, duration) for k in range(count)]


# --- back to people ---------------------------------------------------------------------------------------------------


def describe(doses: Iterable[Dose], port_unit: Callable[[str], str], digits: int = 12) -> list[str]:
    """Lines such as `"liposome.iv: 2 mg q 7 d x 4 from 0 h"`, by first dose; each reads back by `parse_dose_option`.

    Equal doses into one port at equal intervals share a line. Numbers have up to `digits` significant digits.
    """
    series: dict[tuple[str, str, float], list[float]] = {}
    for dose in sorted(doses, key=lambda dose: dose.time):
        series.setdefault((dose.cmt, f"{dose.amt:.{digits}g}", dose.duration), []).append(dose.time)
    lines: list[tuple[float, str]] = []
    for (cmt, amt, duration), times in series.items():
        what = f"{cmt}: {f'{amt} {port_unit(cmt)}'.strip()}" + (f" over {_time(duration, digits)}" if duration else "")
        while times:
            count = _evenly(times, digits)
            interval = _time(times[1] - times[0], digits) if count > 1 else ""
            if count == 2 and ("." in interval or _evenly(times[1:], digits) > 2):
                count = 1  # no row by intention, or the second dose belongs to a longer one
            every = f" q {interval} x {count} from" if count > 1 else " at"
            lines.append((times[0], f"{what}{every} {_time(times[0], digits)}"))
            times = times[count:]
    return [line for _, line in sorted(lines, key=lambda line: line[0])]


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
