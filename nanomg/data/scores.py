"""Scores of predictions against observations."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable

from nanomg import units
from nanomg.data.observations import LIMIT, USES, Row

SCORED = USES[:2]
NEAR, TWICE, WRONG = (
    LIMIT,
    2.0,
    10.0,
)  # fold errors: the limit without a published spread, a second one shown with it, and that of a wrong sign


_SECOND_HAND = {"recalled", "computed", "secondary"}  # qualities of numbers that no study reports as measured
_LEAST = 1e-5  # of a ratio, change or slope [1/h]: ten times the solver's tolerance; smaller ones have no direction


@dataclasses.dataclass(frozen=True)
class Score:
    """A row with its prediction. `fold` is NaN and `within` None if the row has none; `failed`: why there is no prediction."""

    domain: str
    row: Row
    predicted: float
    failed: str = ""

    @property
    def fold(self) -> float:
        """The fold error."""
        row, ratio = self.row, self.predicted / self.row.value if self.row.value else math.nan
        if row.sign or row.bound or math.isnan(ratio) or (row.either_sign and _reaches_zero(row)):
            return math.nan
        return max(ratio, 1.0 / ratio) if ratio > 0 else WRONG

    @property
    def within(self) -> bool | None:
        """Whether the prediction is within the published spread."""
        row, p = self.row, self.predicted
        if row.bound:
            slack = 2.0 * _number(row.sd)
            return p <= row.value + slack if row.bound == "upper" else p >= row.value - slack
        if not math.isnan(row.low):
            return row.low <= p <= row.high
        return None if math.isnan(row.sd) or row.sign else abs(p - row.value) <= 2.0 * row.sd

    @property
    def right(self) -> bool:
        """Whether the direction is as published, of a row that has only that."""
        how = self.row.how or getattr(self.row.measure, "baseline", "")
        moved = self.row.sign * (self.predicted - self.row.unmoved)
        return moved > (0.0 if how == "difference" else _LEAST)

    @property
    def passes(self) -> bool:
        """Whether the row passes."""
        if self.failed or self.row.use not in SCORED:
            return not self.failed
        if self.row.sign:
            return self.right
        if self.within is not None:
            return self.within and not self.fold > TWICE
        off = abs(self.predicted - self.row.value) <= (NEAR - 1.0) * abs(self.row.value)
        return off if math.isnan(self.fold) else self.fold <= NEAR


def _reaches_zero(row: Row) -> bool:
    return row.low <= 0.0 <= row.high or abs(row.value) <= 2.0 * _number(row.sd)


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def noise_floor(rows: Iterable[Row]) -> float:
    """The geometric mean fold error between measurements of one thing from different sources; NaN without any."""
    measured = [r for r in rows if r.thing and r.value > 0 and not r.bound and r.quality not in _SECOND_HAND]
    folds = [
        abs(math.log(units.convert(a.value, a.unit, b.unit) / b.value))
        for a, b in itertools.combinations(measured, 2)
        if a.thing == b.thing and a.source != b.source
    ]
    return math.exp(sum(folds) / len(folds)) if folds else math.nan
