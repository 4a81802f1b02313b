"""What the cells of an event table mean: numbers, IDs, observed values, clock times and dates."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nanomg.dosing.table_cells import MISSING

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_PLAIN = frozenset("0123456789+-.eE")  # of these alone float() makes the numbers that a table may hold
_WHOLE = re.compile(r"([-+]?)(0|[1-9][0-9]*)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]{1,2}))?")

_BEYOND = re.compile(r"[<>]=?\s*(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?|<?\s*(?:BLQ|BLOQ|BQL|LLOQ|LOQ|LOD)"
                     r"|>?\s*(?:ALQ|ALOQ|AQL|ULOQ)", re.IGNORECASE)  # fmt: skip

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]*)?))?(?:\s*([AaPp])\.?[Mm]\.?)?")
_MOMENT = re.compile(r"([0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}|[0-9]{8})[Tt ]\s*([0-9].*)")
_MIDNIGHT = re.compile(r"[Tt ]\s*0{1,2}:00(?::00(?:\.0*)?)?$")
_THREE = re.compile(r"([0-9]{1,4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,4})")
_NAMED = re.compile(r"([0-9]{1,2})[- ]?([A-Za-z]{3})[a-z]*[- ]?([0-9]{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ORDERS = {"DATE": "month/day/year", "DAT1": "day/month/year", "DAT2": "year/month/day", "DAT3": "year/day/month"}
_DAY = 86_400.0  # [s]

CLOCKS, MOMENTS = "clock times", "dates with a time"  # how a column of times may be written, other than as numbers
ZONED = f"{MOMENTS} and an offset to UTC"


# ---------------------------------------------------------------- numbers
def number_of(text: str, decimal: str = ".") -> float | None:
    """The finite number that a cell holds, None if it holds none."""
    if decimal == "," and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def numbers(cells: Sequence[str], read: Callable[[str], float | None]) -> tuple[np.ndarray, np.ndarray | None]:
    """Cells as numbers, NaN where they are missing, and which of them `read` makes nothing of: NaN, too."""
    texts = {*cells} - MISSING
    if not texts:
        return np.full(len(cells), np.nan), None
    if _PLAIN.issuperset("".join(texts)):
        try:
            column = np.array([math.nan if cell in MISSING else float(cell) for cell in cells])
        except ValueError:
            pass
        else:
            if not np.isinf(column).any():
                return column, None
    values = {text: read(text) for text in texts}
    column = np.array([values.get(cell) for cell in cells], float)
    wrong = {text for text in texts if values[text] is None}
    return column, np.array([cell in wrong for cell in cells]) if wrong else None


def beyond_quantification(text: str) -> bool:
    """Whether an observed value is one beyond a limit of quantification, such as `BLQ` or `<0.5`."""
    return bool(_BEYOND.fullmatch(text))


def quantification_limit(text: str) -> float | None:
    """The limit that such a value states, as in `<0.5`; None where it states none, as in `BLQ`."""
    return number_of(text.strip("<>= "), ",")


def label_of(text: str) -> str:
    """An ID: text, but a whole number that is written with decimals or an exponent is the same as without."""
    match = _WHOLE.fullmatch(text)
    if not match or not (match[3] or match[4] or text.endswith(".")):
        return text
    sign, digits, decimals, power = match[1], match[2], match[3] or "", int(match[4] or 0)
    digits, decimals = digits + decimals[: max(power, 0)], decimals[max(power, 0) :]
    if decimals.strip("0") or power < 0:
        return text
    digits += "0" * max(power - len(match[3] or ""), 0)
    return sign.replace("+", "") + (digits.lstrip("0") or "0")


# ---------------------------------------------------------------- clock times and dates
class TimeCell(NamedTuple):
    """A time of day [s], or with `dated` the seconds since the beginning of the calendar; `zoned` with an offset to UTC."""

    seconds: float
    dated: bool = False
    zoned: bool = False


def clock_of(text: str) -> TimeCell | None:
    """A clock time (08:30, 8:30 pm) or an ISO date with a time (2024-03-01T08:30), alone its beginning; None for other text."""
    if match := _CLOCK.fullmatch(text):
        hour, minute, second = int(match[1]), int(match[2]), float(match[3] or 0.0)
        if half := (match[4] or "").lower():
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if half == "p" else 0)
        if hour > 24 or minute > 59 or second >= 60 or (hour == 24 and (minute or second)):
            return None
        return TimeCell(3600.0 * hour + 60.0 * minute + second)
    if not (match := _MOMENT.fullmatch(text)):
        date = _THREE.fullmatch(text)
        day = day_of(text, "DAT2") if date and len(date[1]) == 4 else None
        return None if day is None else TimeCell(day, True)
    if (day := day_of(match[1], "DAT2")) is not None and (time := clock_of(match[2])) is not None and not time.dated:
        return TimeCell(day + time.seconds, True)
    try:  # with an offset to UTC, or without marks between the numbers
        moment = datetime.datetime.fromisoformat(text)
        zoned = moment.tzinfo is not None
        start = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC if zoned else None)
        return TimeCell((moment - start).total_seconds() + _DAY, True, zoned)
    except (ValueError, OverflowError):
        return None


def day_of(text: str, column: str) -> float | None:
    """The beginning of a day [s], from a date in the order of its column, or from the number of a day; None for other text."""
    text = _MIDNIGHT.sub("", text)
    number = number_of(text)
    if number is not None:
        return number * _DAY if number.is_integer() and abs(number) < 1e7 else None
    if named := _NAMED.fullmatch(text):
        month = named[2].lower()
        return _day(int(named[3]), _MONTHS.index(month) + 1, int(named[1])) if month in _MONTHS else None
    if not (match := _THREE.fullmatch(text)):
        return None
    first, second, third = (int(part) for part in match.groups())
    if len(match[1]) == 4:  # the year comes first
        return _day(first, third, second) if column == "DAT3" else _day(first, second, third)
    if len(match[3]) != 4 or column not in ("DATE", "DAT1"):
        return None
    return _day(third, first, second) if column == "DATE" else _day(third, second, first)


def _day(year: int, month: int, day: int) -> float | None:
    try:
        return _DAY * datetime.date(year, month, day).toordinal()
    except ValueError:
        return None


def date_hint(column: str) -> str:
    """What a column of dates may hold."""
    usual = f"a date such as 2024-03-31 or 31-Mar-2024, in {column} also {_ORDERS[column]}"
    return f"{usual} with four digits of the year, or a number of days"


def ambiguous(text: str, column: str) -> str | None:
    """How a date is read that could be read in two ways, None for others."""
    match = _THREE.fullmatch(text)
    if match and column == "DATE" and len(match[3]) == 4 and max(int(match[1]), int(match[2])) <= 12:
        return _ORDERS[column]
    return None
