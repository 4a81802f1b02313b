"""Cells of tables of measurements: numbers, missing values, and values below the limit of quantification."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from nanomg.errors import InputError

MISSING_CELLS = frozenset(("", ".", "NA", "NaN", "nan", "na", "N/A", "n/a"))
_BELOW = re.compile(r"<\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)|<?\s*(?:BLQ|BLOQ|BQL|BLOD|LLOQ|LOQ|LOD)", re.IGNORECASE)
_FLAGS = {"": False, ".": False, "NA": False, "0": False, "N": False, "NO": False, "FALSE": False}
_FLAGS |= {"1": True, "Y": True, "YES": True, "TRUE": True, "BLQ": True, "BLOQ": True, "BQL": True}


class MeasuredValue(NamedTuple):
    """A measured value, NaN if it is missing or below a limit; whether it is below; the limit, NaN if the cell does not say it."""

    value: float
    below: bool = False
    limit: float = math.nan


def measured_value(text: str, where: str) -> MeasuredValue:
    """What the cell of a measured value holds: a number, `BLQ`, `<0.5`, or nothing (empty, `.`, `NA`)."""
    if text in MISSING_CELLS:
        return MeasuredValue(math.nan)
    if below := _BELOW.fullmatch(text):
        return MeasuredValue(math.nan, True, finite_number(below[1], where) if below[1] else math.nan)
    return MeasuredValue(finite_number(text, where))


def finite_number(text: str, where: str) -> float:
    """The finite number of a cell."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{text[:40]!r} is not a number", where)
    return value


def optional_number(text: str, where: str) -> float:
    """The finite number of a cell, NaN if it is missing."""
    return math.nan if text in MISSING_CELLS else finite_number(text, where)


def is_flagged(text: str, where: str) -> bool:
    """Whether a cell says yes: 1, yes, true, BLQ; no is 0, no, false or nothing."""
    if (found := _FLAGS.get(text.upper())) is None:
        raise InputError(f"{text[:40]!r} is not 0 or 1", where)
    return found
