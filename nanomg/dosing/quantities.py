"""Amounts, rates, times and counts as people write them in doses."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from nanomg import units
from nanomg.errors import InputError

LookUp = Callable[[str], tuple[str, float | None]]
Quantity = tuple[float, str]

MODELLED: Quantity = (-1.0, "modelled")

LETTER = r"[A-Za-z\u00b5\u03bc%]"  # with both signs for micro
_POWER = rf"{LETTER}+[0-9]{{0,2}}(?:\^-?[0-9])?"
UNIT = rf"(?:1\s*/\s*)?{_POWER}(?:\s*[/*]\s*{_POWER})*"


@contextlib.contextmanager
def located(where: str | None) -> Iterator[None]:
    """Add the place to an error that has none."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message, error.where or where) from None


def read_quantity(value: Any, what: str) -> tuple[float, str]:
    """A table's value as a number and its unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return finite(value, what), ""
    number, unit = units.split_quantity(value) if isinstance(value, str) else (0.0, "?")
    if unit and not re.fullmatch(UNIT, unit):
        raise InputError(f"{what} = {value!r} is not a number with a unit (write for example '20 min' or '4 g')")
    return number, unit


def finite(value: float, what: str) -> float:
    """The value, which must be a number and not infinite."""
    with contextlib.suppress(OverflowError):  # a whole number beyond the range of a float
        if math.isfinite(value):
            return float(value)
    raise InputError(f"{what} is not a finite number")


def not_negative(value: float, what: str, unit: str = "") -> float:
    """The value, which must be 0 or more."""
    if finite(value, what) < 0:
        raise InputError(f"{what} must not be negative, but is {f'{value:g} {unit}'.strip()}")
    return value


_TIMES = ("s", "sec", "min", "minute", "minutes", "h", "hr", "hour", "hours", "d", "day", "days", "wk", "week", "weeks")


def hours_of(value: float, unit: str, what: str) -> float:
    """A time [h], which must be 0 or more; without a unit it must be 0."""
    if value and not unit:
        raise InputError(f"units are required: {what} is {value:g} without one (write for example '{value:g} h')")
    spelled = unit.lower() if unit.lower() in _TIMES else unit
    return not_negative(units.convert(value, spelled, "h") if unit else value, what, "h")


def amount_in(text: str | float, unit: str, molar_mass: float | None, what: str, where: str | None = None) -> float:
    """A written amount in the unit of its port; a mass is taken where the molar mass [mg/umol] is known."""
    with located(where):
        return amount_of(*read_quantity(text, what), unit, molar_mass, what)


def amount_of(value: float, unit: str, to: str, molar_mass: float | None, what: str) -> float:
    """An amount in the unit of its port."""
    if not unit and units.dimension(to):
        raise InputError(f"units are required: {what} is {value:g} without one (write for example '{value:g} {to}')")
    not_negative(value, what, unit)
    if units.dimension(unit) == units.dimension("mg") and units.dimension(to) == units.dimension("umol"):
        if not molar_mass:
            raise InputError(f"{what} is a mass in {unit!r}, but its port counts {to!r} and no molar mass is known")
        value, unit = units.convert(value, unit, "mg") / molar_mass, "umol"
    return finite(units.convert(value, unit, to), what)


def is_rate(unit: str, to: str) -> bool:
    """Whether a unit is an amount per time, written so: `g/h`."""
    _, slash, per = unit.rpartition("/")
    return bool(slash) and units.dimension(unit) != units.dimension(to) and units.dimension(per) == units.dimension("h")


def rate_of(value: float, unit: str, to: str, molar_mass: float | None) -> float:
    """A rate in the unit of its port per hour."""
    if not is_rate(unit, to):
        raise InputError(f"{f'{value:g} {unit}'.strip()!r} is not a rate, such as one in {to + '/h'!r}")
    amount_unit, _, per = unit.rpartition("/")
    return amount_of(value, amount_unit, to, molar_mass, "the rate") / units.convert(1.0, per, "h")


def whole_number(number: float, unit: str, least: int, what: str) -> int:
    """A count, which must be `least` or more."""
    if unit or not number.is_integer() or number < least:
        raise InputError(f"{what} must be a whole number, {least} or more, not {f'{number:g} {unit}'.strip()}")
    return int(number)


def one_of(number: float, unit: str, allowed: tuple[int, ...], what: str) -> int:
    """A code such as that of `ss` or `evid`, which must be one of those allowed."""
    if unit or number not in allowed:
        shown = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
        raise InputError(f"{what} must be {shown}, not {f'{number:g} {unit}'.strip()}")
    return int(number)


def read_or_modelled(value: Any, what: str) -> Quantity:
    """A table's rate or duration, which may be left to a parameter."""
    if isinstance(value, str) and value.strip().lower() in ("modelled", "modeled"):
        return MODELLED
    return read_quantity(value, what)


def time_text(hours: float, digits: int = 12) -> str:
    """A time in whole days, hours or minutes where it is one, else in hours."""
    for unit, size in (("d", 24.0), ("h", 1.0), ("min", 1 / 60)):
        whole = round(hours / size)
        if math.isclose(hours, whole * size, rel_tol=1e-13) and (unit != "min" or hours < 2) and (whole or unit == "h"):
            return f"{whole} {unit}"
    return f"{hours:.{digits}g} h"
