"""A dose and an input window, and how amounts, rates, times and series of them are read."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nanomg import units
from nanomg.errors import InputError

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


def movable(doses: Iterable[Dose], ports: Mapping[str, Any]) -> bool:
    """Whether doses into these ports may be moved: no steady state, no reset, and no rate that a port changes."""
    return all(dose.plain and not (dose.rate and getattr(ports.get(dose.cmt), "F", None)) for dose in doses)


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


def count_until(time: float, until: float, ii: float) -> int:
    """How many doses, `ii` apart from `time` on, come strictly before `until`; beyond MOST_DOSES the count is not exact."""
    # The tolerance keeps a dose that would fall on `until` itself out, whatever the rounding.
    return max(math.ceil(min((until - time) / ii - 1e-9, 2.0 * MOST_DOSES)), 1)


_MODELLED: Quantity = (-1.0, "modelled")


# --- prescription text ------------------------------------------------------------------------------------------------

_OWN = ("q", "x", "over", "for", "then", "from", "once", "rate", "modelled", "ss2", "ss", "reset")
_WORDS = {word: word for word in _OWN} | {
    "every": "q",
    "times": "x",
    "\N{MULTIPLICATION SIGN}": "x",
    "at": "from",
    "modeled": "modelled",
}


_LETTER = r"[A-Za-z\u00b5\u03bc%]"  # with both signs for micro
_POWER = rf"{_LETTER}+[0-9]{{0,2}}(?:\^-?[0-9])?"
_UNIT = rf"(?:1\s*/\s*)?{_POWER}(?:\s*[/*]\s*{_POWER})*"


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


def _time(hours: float, digits: int = 12) -> str:
    """A time in whole days, hours or minutes where it is one, else in hours."""
    for unit, size in (("d", 24.0), ("h", 1.0), ("min", 1 / 60)):
        whole = round(hours / size)
        if math.isclose(hours, whole * size, rel_tol=1e-13) and (unit != "min" or hours < 2) and (whole or unit == "h"):
            return f"{whole} {unit}"
    return f"{hours:.{digits}g} h"
