"""Whether a limit is active, exceeded or slack."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_ACTIVE, _ROUNDING = 0.01, 1e-9  # shares of a limit's size: a smaller slack makes it active, a smaller excess is none

ACTIVE, EXCEEDED, UNKNOWN = "active", "exceeded", "unknown"


def slack_of(limit: float, value: float, side: str = "max") -> float:
    """How far a value is within an upper limit (`max`) or a lower one (`min`); negative where it is beyond."""
    return value - limit if side == "min" else limit - value


def state_of_limit(limit: float | None, slack: float | None, size: float | None = None) -> str:
    """Whether a limit with so much room is `ACTIVE` (it holds an optimum back), `EXCEEDED` or `UNKNOWN`, or else "".

    `size` is what slack is relative to, if not the limit itself.
    """
    if slack is None or math.isnan(slack):
        return UNKNOWN
    scale = abs(limit or 0.0) if size is None else size
    if slack < -_ROUNDING * scale:
        return EXCEEDED
    return ACTIVE if slack <= _ACTIVE * scale else ""


# ---------------------------------------------------------------- rows of an optimisation's constraints
def size_of(constraint: Mapping[str, Any]) -> float:
    """What the slack of a constraint is relative to."""
    return float(constraint.get("size") or abs(constraint.get("limit") or 0.0))


def state_of(constraint: Mapping[str, Any], slack: float | None = math.inf) -> str:
    """The state of a constraint, by its own slack or by another."""
    slack = constraint.get("slack") if slack == math.inf else slack
    return state_of_limit(constraint.get("limit"), slack, size_of(constraint))


def slack_by_hypothesis(constraint: Mapping[str, Any]) -> dict[str, float]:
    """The slack of a constraint under each hypothesis; empty where it is no limit on a signal."""
    side, limit = constraint.get("side") or "max", constraint["limit"]
    values = constraint.get("value_by_hypothesis") or {}
    return {h: math.nan if value is None else slack_of(limit, value, side) for h, value in values.items()}
