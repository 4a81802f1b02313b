"""What was understood of an event table, and what its user should know of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import PurePath

import numpy as np

from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import columns_of

_SHOWN = 12  # columns that are named in a sentence


@dataclasses.dataclass(frozen=True)
class TableReading:
    """How an event table was read.

    Of its `columns`, `unused` changed nothing, and `alike` are those of them that may be meant for AMT, which has a column where
    there are `amounts`. Doses without CMT go into the state `unplaced`; `sites` are columns that may be meant for CMT.
    `comments` are rows that were skipped. `unquantified` values of DV are beyond a limit of quantification.
    `clock` says how times are written if not as numbers, `date` is the column of dates that they are joined with, and `ambiguous`
    a date in it that could be read in two ways. `dosed` subjects of all `subjects` are given a dose.
    """

    source: str
    columns: tuple[str, ...]
    unused: tuple[str, ...]
    alike: tuple[str, ...]
    amounts: bool
    unplaced: str
    sites: tuple[str, ...]
    rows: int
    comments: int
    unquantified: int
    clock: str
    date: str
    ambiguous: str
    dosed: int = 0
    subjects: int = 0

    def of(self, subjects: Sequence[Subject]) -> TableReading:
        """The same for some of the subjects."""
        columns, bounds = columns_of(subjects)
        given = columns.doses & ((columns.amt > 0) | (columns.rate > 0) | (columns.rate == -1))
        dosed = int(np.logical_or.reduceat(given, bounds[:-1]).sum())
        return dataclasses.replace(self, dosed=dosed, subjects=len(subjects))

    @property
    def name(self) -> str:
        """The name of the table without its folder."""
        return PurePath(self.source).name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes a result of the table doubtful."""
        return tuple(self._no_dose())

    @property
    def notes(self) -> tuple[str, ...]:
        """What else was understood of the table."""
        return tuple(self._understood())

    def _no_dose(self) -> Iterator[str]:
        if self.dosed:
            return
        whose = "No subject" if self.subjects > 1 else "The only subject"
        text = f"{whose} of {self.name} was given {'a' if self.subjects > 1 else 'no'} dose"
        if self.alike:
            text += f': there is no column AMT; if {self.alike[0]} holds the amounts, write AMT = "{self.alike[0]}" under [columns]'
        elif not self.amounts:
            text += ": there is no column AMT"
        yield f"{text}."

    def _understood(self) -> Iterator[str]:
        if self.unused:
            more = f" and {len(self.unused) - _SHOWN} more" if len(self.unused) > _SHOWN else ""
            yield f"Columns of {self.name} that were not used: {', '.join(self.unused[:_SHOWN])}{more}."
        if self.unplaced:
            hint = (
                f'; if {self.sites[0]} names the compartments, write CMT = "{self.sites[0]}" under [columns]'
                if self.sites
                else ""
            )
            yield f"Doses without a compartment (CMT) go into {self.unplaced}, the first state of the model{hint}."
        if self.comments:
            yield f"{self.comments:,} {'row was' if self.comments == 1 else 'rows were'} skipped as comments."
        if self.unquantified:
            values = "1 value of DV is" if self.unquantified == 1 else f"{self.unquantified:,} values of DV are"
            yield f"{values} beyond a limit of quantification, and taken as missing."
        if self.clock:
            joined = f" with the dates in {self.date}" if self.date else ""
            yield f"TIME holds {self.clock}{joined}; time is counted from the first record of each subject."
        if self.ambiguous:
            yield f"Dates are read in NONMEM's order: {self.ambiguous} (columns DAT1, DAT2 and DAT3 have other orders)."
