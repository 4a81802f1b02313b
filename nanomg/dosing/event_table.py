"""Event tables in NONMEM's columns: read and checked, one record per row.

A CSV file in UTF-8 with a header. Columns, in small or capital letters: TIME (needed), ID, EVID, AMT, CMT, RATE, II, ADDL, SS,
MDV, DV; `dur` (or `tinf`): how long an infusion lasts; `until`: doses strictly before this time, in place of ADDL. All other
columns are covariates. An empty cell or `.` is missing. Times are in h, amounts in the unit of the port or state. A first
column `C` with a letter in it makes its row a comment. Rows are numbered as lines of the file: the header is row 1.

What is missing: without ID there is one subject; without EVID a row with AMT or RATE is a dose, any other an observation; a dose
without CMT goes into state number 1. Rows of a subject stay together; time may go back where a reset starts a new clock: at
EVID 3 or 4, or at the row just after EVID 3. AMT = 0 with a RATE and SS is an infusion that has always been running.

With `dur` the duration is given and F scales the rate; with RATE > 0 the rate is given and F scales the duration.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nanomg.dosing import event_columns
from nanomg.dosing.event_record import Mode, Record, Subject
from nanomg.dosing.record_columns import Rows
from nanomg.dosing.series import MOST_DOSES, count_until
from nanomg.errors import InputError, unknown

if TYPE_CHECKING:
    from nanomg.equations.model import Model

_COLUMNS = ("ID", "TIME", "EVID", "AMT", "CMT", "RATE", "II", "ADDL", "SS", "MDV", "DV", "UNTIL", "DUR")
_ALIASES = {name: name for name in _COLUMNS} | {"TINF": "DUR"}

_EXTRAS = ("DUR", "TINF", "UNTIL")  # these columns are covariates where a parameter is bound to them
_LETTER = re.compile(r"[^\W\d_]")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # a file object of a text would hold all of it once more
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def read_events(path: str | Path, model: Model, bindings: Mapping[str, str] | None = None) -> tuple[Subject, ...]:
    """The subjects of the event table in a file, as `parse_events` reads it."""
    return parse_events(read_text(path), str(path), model, bindings)


def parse_events(
    text: str, source: str, model: Model, bindings: Mapping[str, str] | None = None
) -> tuple[Subject, ...]:
    """The subjects of an event table; `bindings` maps dotted names of parameters to columns, `source` is named in errors.

    Raises `InputError`, one sentence that names file, row and column.
    """
    lines = _lines(text, source)
    header_row, header = next(lines, (1, []))
    columns = _columns(header, f"{source}, row {header_row}")
    bound = _bound(bindings or {}, columns, model, source)
    return _at_once(lines, columns, bound, model, source) or _by_row(text, columns, bound, model, source)


def header_of(text: str, source: str) -> list[str]:
    """The columns of an event table as they are written."""
    return next(_lines(text, source), (1, []))[1]


def written_rows(text: str, source: str) -> Iterator[list[str]]:
    """The cells of each record of an event table as they are written."""
    lines = _lines(text, source)
    comments = next(lines)[1][:1] in (["C"], ["c"])
    return (cells for _, cells in lines if not (comments and _LETTER.search(cells[0])))


def _at_once(
    lines: Iterator[tuple[int, list[str]]],
    columns: tuple[str, ...],
    bound: Mapping[str, str],
    model: Model,
    source: str,
) -> tuple[Subject, ...]:
    """All subjects read by column; None if a row must be read by itself."""
    states = tuple(model.states)

    def cmt_of(text: str) -> str | None:
        if not _NUMBER.fullmatch(text):
            return text if text in model.states or text in model.ports else None
        number = float(text)
        if not number:
            return ""
        return states[int(number) - 1] if number.is_integer() and 0 < number <= len(states) else None

    meaning = _meaning(columns, bound.values())
    found = event_columns.read_columns(lines, columns, meaning, bound.values(), cmt_of, states[0])
    if found is None:
        return ()
    ids, bounds, table = found
    return tuple(
        Subject(name, Rows(table, int(start), int(stop)), bound, source)
        for name, start, stop in zip(ids, bounds, bounds[1:], strict=False)
    )


def _by_row(
    text: str, columns: tuple[str, ...], bound: Mapping[str, str], model: Model, source: str
) -> tuple[Subject, ...]:
    """All subjects read row by row; errors state what is wrong and where."""
    lines = _lines(text, source)
    next(lines)
    groups: dict[str, list[Record]] = {}
    label = ""
    for number, cells in lines:
        if columns[0] == "C" and _LETTER.search(cells[0]):
            continue
        if len(cells) != len(columns):
            raise InputError(f"there are {len(cells)} cells under {len(columns)} columns", f"{source}, row {number}")
        row = _Row(source, number, columns, cells, frozenset(bound.values()))
        name = row.label()
        if name in groups and name != label:
            row.fail("ID", f"subject {name} ended earlier; keep all rows of a subject together")
        label, records = name, groups.setdefault(name, [])
        records.append(_record(row, model))
        _check_time(row, records)
    if not groups:
        raise InputError("the table has a header but no records", source)
    subjects = tuple(Subject(name, tuple(records), bound, source) for name, records in groups.items())
    for subject in subjects:
        for column in bound.values():
            if all(record.covariates[column] is None for record in subject.records):
                raise InputError(f"subject {subject.id} has no value", subject.where(subject.records[0], column))
    return subjects


def read_text(path: str | Path) -> str:
    """The text of an event table."""
    source = str(path)
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} is not UTF-8; save the table as UTF-8 text", source) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the event table cannot be read ({reason})", source) from None


def _lines(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank with their number, each cell without the space around it."""
    if not text.strip():
        raise InputError("the event table is empty; a header with TIME and at least one record are needed", source)
    if (zero := text.find("\0")) >= 0:
        raise InputError("it contains a NUL character; save the table as plain text", f"{source}, character {zero + 1}")
    reader = csv.reader((line[0] for line in _LINE.finditer(text)), strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > 1 or any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"this is not a row of CSV ({error})", f"{source}, row {reader.line_num}") from None


def _columns(header: list[str], where: str) -> tuple[str, ...]:
    """The columns in capital letters."""
    columns = tuple(name.upper() for name in header)
    for i, column in enumerate(columns):
        if not column:
            raise InputError(f"column {i + 1} has no name", where)
        for other in columns[:i]:
            if _ALIASES.get(column, column) == _ALIASES.get(other, other):
                raise InputError(f"columns {other} and {column} are the same, keep one", where)
    if "TIME" not in columns:
        raise InputError(f"there is no column TIME among {', '.join(columns)}", where)
    return columns


def _bound(bindings: Mapping[str, str], columns: tuple[str, ...], model: Model, source: str) -> dict[str, str]:
    """The bindings with columns in capital letters."""
    for name, column in bindings.items():
        if name not in model.parameters:
            raise unknown("parameter", name, model.parameters, f"column {column!r} is bound to it")
        if column.upper() not in columns:
            raise unknown("column", column.upper(), columns, f"{source}, bound to {name}")
    return {name: column.upper() for name, column in bindings.items()}


def _meaning(columns: tuple[str, ...], bound: Collection[str]) -> dict[str, str]:
    """Which column TIME, AMT and so on are."""
    return {_ALIASES[c]: c for c in columns if c in _ALIASES and not (c in _EXTRAS and c in bound)}


class _Row:
    """The cells of one row by the plain name of their column."""

    def __init__(self, source: str, number: int, columns: tuple[str, ...], cells: list[str], bound: frozenset[str]):
        self.source, self.number, self.bound = source, number, bound
        self.cells = {c: "" if cell == "." else cell for c, cell in zip(columns, cells, strict=True)}
        self.column = _meaning(columns, bound)

    def where(self, name: str) -> str:
        return f"{self.source}, row {self.number}, column {self.column.get(name, name)}"

    def fail(self, name: str, message: str) -> NoReturn:
        raise InputError(message, self.where(name))

    def text(self, name: str) -> str:
        return self.cells.get(self.column.get(name, ""), "")

    def number_in(self, name: str, text: str) -> float:
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            self.fail(name, f"{text[:40]!r} is not a finite number")
        return value

    def value(self, name: str) -> float | None:
        text = self.text(name)
        return self.number_in(name, text) if text else None

    def amount(self, name: str) -> float:
        """A number that is not negative, 0 if missing."""
        value = self.value(name) or 0.0
        if value < 0:
            self.fail(name, f"{name} must not be negative, but is {value:g}")
        return value

    def one_of(self, name: str, allowed: range, missing: int = 0) -> int:
        value = self.value(name)
        if value is not None and value not in allowed:
            self.fail(name, f"{name} must be one of {', '.join(map(str, allowed))}, not {value:g}")
        return missing if value is None else int(value)

    def label(self) -> str:
        """The ID: a number in its plain form, or a word."""
        text = self.text("ID") if "ID" in self.column else "1"
        if not text:
            self.fail("ID", "the ID is missing")
        if not _NUMBER.fullmatch(text):
            return text
        return f"{self.number_in('ID', text):.15g}"

    def covariates(self) -> dict[str, float | None]:
        """The covariate columns and the bound ones; text in an unbound column counts as missing."""
        found: dict[str, float | None] = {}
        for column, text in self.cells.items():
            if column in self.bound or column not in self.column.values():
                numeric = column in self.bound or _NUMBER.fullmatch(text)
                found[column] = self.number_in(column, text) if text and numeric else None
        return found


def _record(row: _Row, model: Model) -> Record:
    """The record of one row, checked by itself."""
    time = row.value("TIME")
    if time is None:
        row.fail("TIME", "the time is missing")
    amt, duration, ii = row.amount("AMT"), row.amount("DUR"), row.amount("II")
    rate = row.value("RATE") or 0.0
    if rate < 0 and rate not in (-1, -2):
        row.fail("RATE", f"RATE must be positive, 0, -1 (modelled rate) or -2 (modelled duration), not {rate:g}")
    evid = row.one_of("EVID", range(5), missing=1 if amt or rate else 0)
    addl, ss = row.value("ADDL") or 0.0, row.one_of("SS", range(3))
    if addl < 0 or not addl.is_integer():
        row.fail("ADDL", f"ADDL must be a whole number, 0 or more, not {addl:g}")
    mdv, dv = row.value("MDV"), row.value("DV")
    if mdv is not None and not mdv.is_integer():
        row.fail("MDV", f"MDV must be a whole number, not {mdv:g}")
    record = Record(
        row=row.number,
        time=time,
        evid=evid,
        amt=amt,
        cmt=_target(row, evid, model),
        rate=rate,
        ii=ii,
        addl=_further(row, time, ii, addl) if evid in (1, 4) else int(addl),
        ss=ss,
        mdv=int(mdv) if mdv is not None else int(evid != 0),
        dv=dv,
        duration=duration,
        covariates=row.covariates(),
    )
    _check_dose(row, record)
    return record


def _further(row: _Row, time: float, ii: float, addl: float) -> int:
    """How many doses follow the first one, from ADDL or from `until`."""
    until = row.value("UNTIL")
    if until is not None:
        if addl:
            row.fail("UNTIL", "ADDL and until are both given; one follows from the other, keep one")
        if until <= time:
            row.fail("UNTIL", f"until ({until:g} h) must come after the dose at {time:g} h")
        if not ii:
            row.fail("II", "until needs the interval II between doses, above zero")
        addl = count_until(time, until, ii) - 1
    if addl >= MOST_DOSES:
        row.fail("ADDL" if until is None else "UNTIL", f"more than {MOST_DOSES} doses are asked for")
    if addl and not ii:
        row.fail("II", f"ADDL = {addl:g} needs the interval II between doses, above zero")
    return int(addl)


def _check_dose(row: _Row, record: Record) -> None:
    """Reject columns that contradict each other."""
    if not record.doses:
        for name in ("AMT", "RATE", "ADDL", "SS", "DUR", "UNTIL"):
            if row.value(name):
                row.fail(name, f"{name} is {row.text(name)}, but a record with EVID {record.evid} gives no dose")
        return
    if record.duration and record.rate:
        row.fail("DUR", "RATE and the duration are both given; one follows from the other, keep one")
    if record.amt == 0:
        if record.mode is not Mode.RATE or not record.ss:
            row.fail("AMT", "a dose needs AMT above zero; only with SS and a RATE may it be 0, for a constant infusion")
        for name, value in (("II", record.ii), ("ADDL", record.addl)):
            if value:
                row.fail(name, f"{name} must be 0 for the steady state of a constant infusion (AMT = 0), not {value:g}")
    elif record.ss and not record.ii:
        row.fail("II", f"SS = {record.ss} needs the interval II between doses, above zero")


def _target(row: _Row, evid: int, model: Model) -> str:
    """The port or state that CMT names or counts."""
    text, states = row.text("CMT"), tuple(model.states)
    if text and not _NUMBER.fullmatch(text):
        if text not in model.states and text not in model.ports:
            raise unknown("port or state", text, [*states, *model.ports], row.where("CMT"))
        return text
    number = row.number_in("CMT", text or "0")
    if not number and evid not in (1, 4):
        return ""
    number = number or 1.0  # 0 is the default, as where CMT is missing
    if not number.is_integer() or not 0 < number <= len(states):
        row.fail("CMT", f"CMT must be a name or a number from 1 to {len(states)}, not {text or '1'}")
    return states[int(number) - 1]


def _check_time(row: _Row, records: list[Record]) -> None:
    """Reject a time that decreases without a reset."""
    for before, record in itertools.pairwise(records[-2:]):
        if record.time < before.time and not record.resets and before.evid != 3:
            row.fail(
                "TIME", f"time goes back from {before.time:g} h to {record.time:g} h without a reset (EVID 3 or 4)"
            )
