"""How far a parameter may differ from its value: its uncertainty, or between-subject variability."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from nanomg.errors import unknown
from nanomg.library.card import Parameter
from nanomg.population.streams import spread

CARD, CV = "card", "cv"
OVER = {CARD: "uncertainty of the cards", CV: "how subjects differ"}

_TAIL = float(special.ndtri(0.95))
_EDGE = 2.0**-31  # half a cell of a Sobol sequence: no share is 0 or 1


class Range(NamedTuple):
    """A log-normal by its 5 % and 95 % points or, where one of them is not above 0, what is uniform between its ends."""

    low: float
    high: float

    @property
    def uniform(self) -> bool:
        """Whether it is uniform rather than log-normal."""
        return self.low <= 0

    def at(self, z: Any) -> np.ndarray:
        """The values at standard normal scores."""
        if self.uniform:
            return np.asarray(self.low + (self.high - self.low) * special.ndtr(z))
        middle, sd = math.log(self.low * self.high) / 2, math.log(self.high / self.low) / (2 * _TAIL)
        return np.exp(middle + sd * np.asarray(z))

    def quantile(self, share: Any) -> np.ndarray:
        """The quantiles at these levels."""
        return self.at(special.ndtri(np.clip(share, _EDGE, 1 - _EDGE)))


def range_of(parameter: Parameter, over: str) -> Range | None:
    """The range of a parameter [its unit], None where it has none.

    `over` is `card`, its `low` and `high`, or `cv`, a log-normal about its value. Raises `InputError` for another word.
    """
    if over not in OVER:
        raise unknown("range", over, OVER, "--over")
    if over == CV:
        if not (parameter.cv and parameter.value):
            return None
        fold = math.exp(_TAIL * spread(parameter.cv))
        return Range(parameter.value / fold, parameter.value * fold)
    if parameter.low is None or parameter.high is None or not parameter.low < parameter.high:
        return None
    return Range(parameter.low, parameter.high)
