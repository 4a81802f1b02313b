"""Amounts, rates, times and counts as people write them in doses."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nanomg import units
from nanomg.errors import InputError

Quantity = tuple[float, str]


class DosedUnit(NamedTuple):
    """What doses into a port are counted in, and what other ways to write them need; None where that is not known.

    `molar_mass` [mg/umol] turns a mass into an amount of substance, the body's `weight` [kg] and `surface` [m2]
    a dose per kg or m2 into a whole one.
    """

    unit: str
    molar_mass: float | None = None
    weight: float | None = None
    surface: float | None = None


LookUp = Callable[[str], DosedUnit]  # of a port or state

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


_PER_BODY = re.compile(r"\s*/\s*(kg|m\^?2)(?![\w^])")


def split_body(unit: str) -> tuple[str, str]:
    """A unit without what counts per body, and that: `"mg/kg/h"` as `("mg/h", "kg")`; per surface `"m2"`, else `""`."""
    found = _PER_BODY.search(unit)
    if not found:
        return unit, ""
    return unit[: found.start()] + unit[found.end() :], found[1].replace("^", "")


def per_body(text: str) -> set[str]:
    """What the doses of a text are counted per: `"kg"`, `"m2"`, both or nothing.

    Example:
        >>> per_body("5 mg/kg q 7 d x 3"), per_body("5 mg q 7 d x 3")
        ({'kg'}, set())
    """
    return {found[1].replace("^", "") for found in _PER_BODY.finditer(text)}


def amount_in(text: str | float, to: DosedUnit, what: str, where: str | None = None) -> float:
    """A written amount in the unit of its port; a mass is taken where the molar mass is known, per body where its size is."""
    with located(where):
        return amount_of(*read_quantity(text, what), to, what)


def amount_of(value: float, unit: str, to: DosedUnit, what: str) -> float:
    """An amount in the unit of its port."""
    if not unit and units.dimension(to.unit):
        raise InputError(
            f"units are required: {what} is {value:g} without one (write for example '{value:g} {to.unit}')"
        )
    not_negative(value, what, unit)
    whole, per = split_body(unit)
    if per:
        value, unit = value * _size(per, to, f"{what} is in {unit!r}"), whole
    if units.dimension(unit) == units.dimension("mg") and units.dimension(to.unit) == units.dimension("umol"):
        if not to.molar_mass:
            raise InputError(
                f"{what} is a mass in {unit!r}, but its port counts {to.unit!r} and no molar mass is known"
            )
        value, unit = units.convert(value, unit, "mg") / to.molar_mass, "umol"
    return finite(units.convert(value, unit, to.unit), what)


def _size(per: str, to: DosedUnit, what: str) -> float:
    """Weight [kg] or surface [m2] of the body."""
    size, name, example = (
        (to.weight, "weight", "weight = '70 kg'") if per == "kg" else (to.surface, "surface", "surface = '1.8 m^2'")
    )
    if size is None:
        raise InputError(
            f"{what}, but neither the scenario nor its cards give the body's {name} (write {example} there)"
        )
    return size


def _amount_and_time(unit: str) -> tuple[str, str]:
    """What is given and per what time, of the unit of a rate: `"mg/h/kg"` as `("mg/kg", "h")`; no time where it is not one."""
    whole, per = split_body(unit)
    amount, slash, time = whole.rpartition("/")
    if not slash or units.dimension(time) != units.dimension("h"):
        return unit, ""
    return f"{amount}/{per}" if per else amount, time


def is_rate(unit: str, to: str) -> bool:
    """Whether a unit is an amount per time, written so: `g/h`."""
    return bool(_amount_and_time(unit)[1]) and units.dimension(split_body(unit)[0]) != units.dimension(to)


def rate_of(value: float, unit: str, to: DosedUnit) -> float:
    """A rate in the unit of its port per hour."""
    if not is_rate(unit, to.unit):
        raise InputError(f"{f'{value:g} {unit}'.strip()!r} is not a rate, such as one in {to.unit + '/h'!r}")
    amount, time = _amount_and_time(unit)
    return amount_of(value, amount, to, "the rate") / units.convert(1.0, time, "h")


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
