"""How a trajectory ended."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """How a trajectory ended; `reason` is the sentence for the user."""

    DONE = 0
    NOT_FINITE = 1
    STEP_TOO_SMALL = 2
    TOO_MANY_STEPS = 3
    DEFERRED = 4
    NO_STEADY_STATE = 5
    NEGATIVE = 6
    IMPOSSIBLE = 7

    @property
    def reason(self) -> str:
        """The reason, in words."""
        return _REASONS[self]


_REASONS = {
    Status.DONE: "solved to the end",
    Status.NOT_FINITE: "a state became infinite or not a number",
    Status.STEP_TOO_SMALL: "the tolerance was not met at the smallest step",
    Status.TOO_MANY_STEPS: "the maximum number of steps was reached",
    Status.DEFERRED: "deferred to a separate block",
    Status.NO_STEADY_STATE: "no steady state was found",
    Status.NEGATIVE: "a state became negative, beyond the tolerance",
    Status.IMPOSSIBLE: "its values describe no possible body or particle",
}
