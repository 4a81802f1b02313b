"""How numbers are written for people: on the screen and on a page."""

from __future__ import annotations

import math

MISSING = "–"


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits: `0.01234`, `1.234e-5`; what is missing or not finite is a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    mantissa, exponent, power = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def percent(share: float | None) -> str:
    """A share in whole percent."""
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


def span(low: float | None, high: float | None) -> str:
    """A range, or nothing where neither end is known."""
    return "" if all(v is None or math.isnan(v) for v in (low, high)) else f"{number(low)} – {number(high)}"
