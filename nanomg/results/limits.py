"""Whether a limit is active, exceeded or slack."""

from __future__ import annotations

import math

_ACTIVE, _ROUNDING = 0.01, 1e-9  # shares of a limit: a smaller room makes it active, a smaller excess is none

ACTIVE, EXCEEDED, UNKNOWN = "active", "exceeded", "unknown"


def state_of_limit(limit: float | None, slack: float | None) -> str:
    """Whether a limit with so much room is `ACTIVE` (it holds an optimum back), `EXCEEDED` or `UNKNOWN`, or else ""."""
    if slack is None or math.isnan(slack):
        return UNKNOWN
    scale = abs(limit or 0.0)
    if slack < -_ROUNDING * scale:
        return EXCEEDED
    return ACTIVE if slack <= _ACTIVE * scale else ""
