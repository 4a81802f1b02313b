"""The effect of Mg as text: what the conclusion, a page and the screen say alike of one number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST_RISE = 1e-6  # mmol/L; the solver's error is of this size

_RESOLUTION = 0.05  # of hours per day and of percent, which are shown with one digit after the point


def is_long(hours: Mapping[Any, float]) -> bool:
    """Whether a level is exceeded for so many hours per day that it shows in one digit after the point."""
    return max(hours.values()) >= _RESOLUTION


def hours_text(hours: Mapping[Any, float]) -> str:
    """The range of hours per day that a level is exceeded; `0` only where it is not reached at all.

    Example:
        >>> hours_text({"H1": 4.21, "H2": 4.32}), hours_text({"H1": 0.0, "H2": 0.01}), hours_text({"H1": 0.0})
        ('4.2 to 4.3', 'less than 0.05', '0')
    """
    return f"less than {_RESOLUTION:g}" if max(hours.values()) > 0.0 and not is_long(hours) else _span(hours)


def gain_text(gain: Mapping[Any, float]) -> str:
    """The range of relative changes of T-cell competence, in percent.

    Example:
        >>> gain_text({"H1": 0.0024, "H3": 0.00004})
        '0 to +0.2'
    """
    return _span(gain, 100.0, "+")


def _span(values: Mapping[Any, float], scale: float = 1.0, sign: str = "") -> str:
    low, high = (_number(end(values.values()) * scale, sign) for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _number(value: float, sign: str = "") -> str:
    """One digit after the point; 0 below that resolution, without a sign."""
    return f"{value:{sign}.1f}" if abs(value) >= _RESOLUTION else "0"
