"""One row of an event table, and the rows of one subject."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nanomg.dosing.dose import Dose

INTERPOLATIONS = ("nocb", "locf", "linear")


class Mode(enum.IntEnum):
    """How a dose is given: at once, at a rate (RATE or modelled), or over a time (`dur` or modelled)."""

    BOLUS = 0
    RATE = 1
    DURATION = 2


@dataclass(frozen=True)
class Record:
    """One row of an event table; `cmt` is the name of a port or state, and empty where none is given."""

    row: int
    time: float  # [h]
    evid: int = 0
    amt: float = 0.0
    cmt: str = ""
    rate: float = 0.0  # -1: the modelled rate, -2: the modelled duration
    ii: float = 0.0  # [h]
    addl: int = 0
    ss: int = 0
    mdv: int = 0
    dv: float | None = None
    duration: float = 0.0  # [h]
    covariates: Mapping[str, float | None] = field(default_factory=dict)  # by column in capitals; None: missing

    @property
    def doses(self) -> bool:
        """Whether the record gives a dose."""
        return self.evid in (1, 4)

    @property
    def resets(self) -> bool:
        """Whether the record empties every state."""
        return self.evid in (3, 4)

    @property
    def constant(self) -> bool:
        """Whether the record is the steady state of a constant infusion, which ends with it."""
        return self.doses and self.amt == 0

    @property
    def mode(self) -> Mode:
        """How the dose is given."""
        if self.rate > 0 or self.rate == -1:
            return Mode.RATE
        return Mode.DURATION if self.rate == -2 or self.duration > 0 else Mode.BOLUS


@dataclass(frozen=True)
class Subject:
    """The records of one ID in the order of the file; `bound` maps parameters to covariate columns."""

    id: str
    records: Sequence[Record]
    bound: Mapping[str, str] = field(default_factory=dict)
    source: str = "events"

    def where(self, record: Record, column: str) -> str:
        """The place of a record's column, for errors."""
        return f"{self.source}, row {record.row}, column {column}"


def subject_of(doses: Sequence[Dose], source: str = "doses") -> Subject:
    """Doses as the records of one subject, one for each; without any, one record that changes nothing."""
    records = tuple(_record(row, dose) for row, dose in enumerate(doses, 1)) or (Record(1, 0.0, 2),)
    return Subject("1", records, {}, source)


def _record(row: int, dose: Dose) -> Record:
    if not dose.amt and not dose.ss:
        return Record(row, dose.time, 3 if dose.resets else 2)
    duration = 0.0 if dose.rate else dose.duration
    return Record(row, dose.time, dose.evid, dose.amt, dose.cmt, dose.rate, dose.ii, ss=dose.ss, duration=duration)
