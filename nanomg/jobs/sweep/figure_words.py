"""The words of a sweep's figures: axes, their units, and values on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.formatting import format_number
from nanomg.results.attributes import unit_of


def axis_text(along: xr.DataArray) -> str:
    """What an axis is of, in words."""
    return str(along.attrs.get("long_name", along.name))


def axis_unit(along: xr.DataArray) -> str:
    """The unit of an axis, as the field writes it."""
    return units.unit_text(unit_of(along.attrs))


def joined(*notes: str) -> str:
    """The notes that say something, in one line."""
    return "; ".join(note for note in notes if note)


def place_text(along: xr.DataArray, value: Any) -> str:
    """A value of an axis in words."""
    if along.dtype.kind not in "iuf":
        return str(value)
    return f"{axis_text(along)} {value_text(value)} {axis_unit(along)}".removesuffix(" –")


def value_text(value: Any) -> str:
    """A number in three digits, or a name."""
    return format_number(float(value), 3) if isinstance(value, int | float | np.number) else str(value)
