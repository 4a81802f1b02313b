"""What is wrong with one row of an event table, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from nanomg.dosing import cell_values
from nanomg.dosing.bad_rows import BadRow
from nanomg.dosing.cell_values import CLOCKS, ZONED, date_hint, number_of
from nanomg.dosing.column_names import ColumnNames
from nanomg.dosing.series import MOST_DOSES, count_until
from nanomg.dosing.table_cells import MISSING
from nanomg.equations.model import Model
from nanomg.errors import InputError, unknown

_CODES = range(5)  # of EVID
_OTHER_CODES = {
    5: "rxode2's code for replacing an amount",
    6: "rxode2's code for multiplying an amount",
    7: "rxode2's code for a dose into transit compartments",
    8: "mrgsolve's code for replacing an amount",
}
_RXODE = 100  # from here on codes of RxODE, which hold the number of the compartment


def explained(
    number: int, cells: Sequence[str], names: ColumnNames, model: Model, clock: str, date: str, decimal: str
) -> BadRow:
    """The first mistake of a row that cannot be used; `clock` says how the times of the table are written, `date` is the column
    of their dates."""
    row = _Row(cells, names, clock, date, decimal)
    try:
        row.check(model)
    except _Mistake as mistake:
        return BadRow(number, mistake.column, mistake.message)
    except InputError as error:  # of a name that does not exist
        return BadRow(number, str(error.where), error.message)
    return BadRow(number, "", "a number is too large")


def target_of(text: str, model: Model) -> str | None:
    """The port or state that a text of CMT names, empty where it names none, None where it is wrong."""
    if text in model.states or text in model.ports:
        return text
    number = number_of(text)
    if number is None:
        known = {name for name in (*model.states, *model.ports) if name.casefold() == text.casefold()}
        return known.pop() if len(known) == 1 else None
    if not number:
        return ""
    states = tuple(model.states)
    return states[int(number) - 1] if number.is_integer() and 0 < number <= len(states) else None


class _Mistake(Exception):
    """What is wrong, and in which column."""

    def __init__(self, column: str, message: str):
        super().__init__(message)
        self.column, self.message = column, message


class _Row:
    """The cells of one row by the plain name of their column."""

    def __init__(self, cells: Sequence[str], names: ColumnNames, clock: str, date: str, decimal: str):
        self.names, self.clock, self.date, self.decimal = names, clock, date, decimal
        self.cells = dict(zip(names.columns, cells, strict=True))

    def fail(self, name: str, message: str) -> NoReturn:
        raise _Mistake(self.names.column(name), message)

    def text(self, name: str) -> str:
        text = self.cells.get(self.names.column(name), "") if name in self.names.place else ""
        return "" if text in MISSING else text

    def number_in(self, name: str, text: str, also: str = "") -> float:
        value = number_of(text, self.decimal)
        if value is None:
            self.fail(name, f"{text[:40]!r} is not a finite number{also}")
        return value

    def value(self, name: str, also: str = "") -> float | None:
        text = self.text(name)
        return self.number_in(name, text, also) if text else None

    def amount(self, name: str) -> float:
        """A number that is not negative, 0 if missing."""
        value = self.value(name) or 0.0
        if value < 0:
            self.fail(name, f"{name} must not be negative, but is {value:g}")
        return value

    def check(self, model: Model) -> None:
        """Raise `_Mistake` for the first one."""
        if "ID" in self.names.place and not self.text("ID"):
            self.fail("ID", "the ID is missing")
        time = self.time()
        amt, duration, ii = self.amount("AMT"), self.amount("DUR"), self.amount("II")
        rate = self.value("RATE") or 0.0
        if rate < 0 and rate not in (-1, -2):
            self.fail("RATE", f"RATE must be positive, 0, -1 (modelled rate) or -2 (modelled duration), not {rate:g}")
        evid = self.evid(1 if amt or rate else 0)
        addl, ss = self.value("ADDL") or 0.0, self.one_of("SS", range(3))
        if addl < 0 or not addl.is_integer():
            self.fail("ADDL", f"ADDL must be a whole number, 0 or more, not {addl:g}")
        if not (self.value("MDV") or 0.0).is_integer():
            self.fail("MDV", f"MDV must be a whole number, not {self.value('MDV'):g}")
        if not cell_values.beyond_quantification(self.text("DV")):
            self.value("DV", ", nor a value beyond quantification such as BLQ or <0.5")
        self.check_target(evid, model)
        for column in self.names.bound.values():
            if (text := self.cells[column]) not in MISSING:
                self.number_in(column, text)
        if evid in (1, 4):
            self.check_dose(time, amt, rate, duration, ii, addl, ss)
            return
        for name in ("AMT", "RATE", "ADDL", "SS", "DUR", "UNTIL"):
            if self.value(name):
                self.fail(name, f"{name} is {self.text(name)}, but a record with EVID {evid} gives no dose")

    def time(self) -> float | None:
        """The time as it is written, None where the table has clock times."""
        text = self.text("TIME")
        if not text:
            self.fail("TIME", "the time is missing")
        if not self.clock:
            return self.number_in("TIME", text, ", nor a clock time (08:30) or a date with a time (2024-03-31T08:30)")
        read, dated = cell_values.clock_of(text), self.clock != CLOCKS
        number = None if dated else number_of(text, self.decimal)
        alike = number is not None if read is None else read.dated == dated and read.zoned == (self.clock == ZONED)
        if not alike:
            self.fail("TIME", f"{text[:40]!r} is none of the {self.clock} that other rows have")
        if self.date and cell_values.day_of(day := self.cells[self.date], self.date) is None:
            self.fail(self.date, f"{day[:40]!r} is not {date_hint(self.date)}" if day else "the date is missing")
        return None

    def evid(self, missing: int) -> int:
        """The kind of record."""
        value = self.value("EVID")
        if value is not None and value >= _RXODE:
            what = f"EVID {value:g} is a code of RxODE, which holds the compartment"
            self.fail("EVID", f"{what}; write EVID 1 and name the compartment in CMT (allowed are 0, 1, 2, 3, 4)")
        if value in _OTHER_CODES:
            self.fail("EVID", f"EVID {value:g} is {_OTHER_CODES[int(value)]}; allowed are 0, 1, 2, 3, 4")
        return missing if value is None else self.one_of("EVID", _CODES)

    def one_of(self, name: str, allowed: range) -> int:
        """One of some whole numbers, 0 if missing."""
        value = self.value(name)
        if value is not None and value not in allowed:
            self.fail(name, f"{name} must be one of {', '.join(map(str, allowed))}, not {value:g}")
        return int(value or 0)

    def check_target(self, evid: int, model: Model) -> None:
        """Reject a CMT that is no port or state."""
        text, states = self.text("CMT"), tuple(model.states)
        if not text or target_of(text, model) is not None:
            return
        number = number_of(text, self.decimal)
        if number is None:
            raise unknown("port or state", text[:40], [*states, *model.ports], self.names.column("CMT"))
        allowed = f"CMT must be a name or a number from 1 to {len(states)}, not {text}"
        off = "; NONMEM turns a compartment off by its negative number, nanomg does not"
        self.fail("CMT", allowed + (off if number < 0 else ""))

    def check_dose(
        self, time: float | None, amt: float, rate: float, duration: float, ii: float, addl: float, ss: int
    ) -> None:
        """Reject columns that contradict each other."""
        until = self.value("UNTIL")
        if until is not None:
            if addl:
                self.fail("UNTIL", "ADDL and until are both given; one follows from the other, keep one")
            if time is None:
                self.fail("UNTIL", "until is a number, but the table has clock times; use ADDL")
            if until <= time:
                self.fail("UNTIL", f"until ({until:g}) must come after the dose at {time:g}")
            if not ii:
                self.fail("II", "until needs the interval II between doses, above zero")
            addl = count_until(time, until, ii) - 1
        if addl >= MOST_DOSES:
            self.fail("ADDL" if until is None else "UNTIL", f"more than {MOST_DOSES} doses are asked for")
        if addl and not ii:
            self.fail("II", f"ADDL = {addl:g} needs the interval II between doses, above zero")
        if duration and rate:
            self.fail("DUR", "RATE and the duration are both given; one follows from the other, keep one")
        if amt == 0 and not self.text("AMT") and not (ss and (rate > 0 or rate == -1)):
            self.fail(
                "AMT",
                "a dose needs AMT: 0 for placebo; it may be missing with SS and a RATE, for a constant infusion",
            )
        if amt == 0 and rate > 0 and not ss:
            self.fail("AMT", f"RATE is {rate:g}, but AMT is 0; only with SS may it be, for a constant infusion")
        if amt == 0 and ss and (rate > 0 or rate == -1):
            for name, value in (("II", ii), ("ADDL", addl)):
                if value:
                    self.fail(name, f"{name} must be 0 where AMT is 0 with SS and a RATE: a constant infusion")
        elif ss and not ii:
            self.fail("II", f"SS = {ss} needs the interval II between doses, above zero")
