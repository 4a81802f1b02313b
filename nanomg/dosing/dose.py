"""A dose and an input window."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nanomg.dosing.quantities import located, not_negative, one_of


@dataclasses.dataclass(frozen=True)
class Dose:
    """One administration: `amt` (in the unit of its port) into `cmt` at `time` [h] over `duration` [h] (0: bolus).

    `rate` [per h] is set where the rate is what was written: bioavailability then changes the duration; -1 and -2 are the port's
    modelled rate and duration. `ss` with `ii` [h] puts the dose at steady state; `evid` 4 resets before the dose, 3 resets only.
    """

    time: float
    amt: float
    cmt: str
    duration: float = 0.0
    ii: float = 0.0
    ss: int = 0
    rate: float = 0.0
    evid: int = 1

    def __post_init__(self) -> None:
        with located(f"dose into {self.cmt!r}"):
            for name in ("time", "amt", "duration", "ii"):
                not_negative(getattr(self, name), name)
            if self.rate not in (-1, -2):
                not_negative(self.rate, "rate")
            for name, allowed in (("ss", (0, 1, 2)), ("evid", (1, 3, 4))):
                one_of(getattr(self, name), "", allowed, name)

    @property
    def plain(self) -> bool:
        """Whether the dose is just an amount at a time, with no steady state, reset or modelled rate."""
        return self.evid == 1 and not self.ss and self.rate >= 0

    @property
    def strength(self) -> float:
        """The amount, or the rate of an infusion that has always run [per h]."""
        return self.rate if self.ss and not self.amt else self.amt

    @property
    def resets(self) -> bool:
        """Whether doses that began before have no effect from here on."""
        return self.evid in (3, 4) or self.ss == 1


def movable(doses: Iterable[Dose], ports: Mapping[str, Any]) -> bool:
    """Whether doses into these ports may be moved: no steady state, no reset, and no rate that a port changes."""
    return all(dose.plain and not (dose.rate and getattr(ports.get(dose.cmt), "F", None)) for dose in doses)


@dataclasses.dataclass(frozen=True)
class Window:
    """An input held at `value` from `start` to `stop` [h]."""

    name: str
    value: float
    start: float
    stop: float
