"""Series of equal doses, and their expansion to single doses."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

from nanomg.dosing.dose import Dose
from nanomg.dosing.quantities import MODELLED, DosedUnit, Quantity, finite, hours_of, rate_of
from nanomg.errors import InputError

MOST_DOSES = 100_000


class DoseSeries(NamedTuple):
    """Equal doses, `interval` [h] apart; steady state and reset belong to the first."""

    first: Dose
    interval: float = 0.0
    number: int = 1


def count_until(time: float, until: float, ii: float) -> int:
    """How many doses, `ii` apart from `time` on, come strictly before `until`; beyond MOST_DOSES the count is not exact."""
    # The tolerance keeps a dose that would fall on `until` itself out, whatever the rounding.
    return max(math.ceil(min((until - time) / ii - 1e-9, 2.0 * MOST_DOSES)), 1)


def delivery_of(amt: float, rate: Quantity | None, duration: Quantity | None, unit: DosedUnit) -> tuple[float, float]:
    """The rate (0: none is written, -1 and -2: modelled) and the duration [h] of a dose, of which one is given at most."""
    if rate in (MODELLED, (-1.0, "")):
        return -1.0, 0.0
    if duration == MODELLED or rate == (-2.0, ""):
        return -2.0, 0.0
    if rate is None:
        return 0.0, 0.0 if duration is None else hours_of(*duration, "the duration")
    per_hour = rate_of(*rate, unit)
    if not per_hour:
        raise InputError("rate must be above zero; leave it out for a bolus")
    return per_hour, amt / per_hour


def series_of(
    cmt: str,
    time: float,
    amt: float,
    rate: float,
    duration: float,
    ss: int,
    evid: int,
    interval: float | None,
    count: int,
) -> DoseSeries:
    """`count` equal doses, `interval` apart; contradictory values are rejected."""
    step = interval or 0.0
    if amt == 0 and rate == -2:
        raise InputError("a modelled duration needs an amount above zero")
    if amt == 0 and (ss or rate):
        if not (ss and rate):
            raise InputError("an amount of zero is only for a constant infusion, which needs a rate and ss")
        if step or count > 1:
            raise InputError("the steady state of a constant infusion takes no interval and no further doses")
    elif ss and not step:
        raise InputError("a dose at steady state (ss) needs the interval between doses, above zero")
    if count > 1 and not step:
        raise InputError(f"{count} doses need an interval above zero")
    if count > MOST_DOSES:
        raise InputError(f"more than {MOST_DOSES} doses are asked for")
    for value, what in ((amt, "the amount"), (duration, "the duration"), (time + count * step, "the end of the doses")):
        finite(value, what)
    return DoseSeries(Dose(time, amt, cmt, duration, step if ss else 0.0, ss, rate, evid), step, count)


def in_order(series: Iterable[DoseSeries]) -> tuple[Dose, ...]:
    """All doses by time, without those that a later reset cancels; a dose due at the time of a reset comes before it."""
    ordered = sorted(series, key=lambda one: one.first.time)
    cut, rows = math.inf, list[list[Dose]]()
    for first, interval, number in reversed(ordered):
        due = [first.time + k * interval for k in range(1, number)]
        rows.append([first, *(dataclasses.replace(first, time=t, ii=0.0, ss=0, evid=1) for t in due if t <= cut)])
        if first.resets:
            cut = first.time + 1e-9
    return tuple(sorted(itertools.chain(*reversed(rows)), key=lambda dose: dose.time))
