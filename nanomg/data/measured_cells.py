"""Tables of measurements as cells: rows by column, numbers, missing values, and values below the limit of quantification."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nanomg.data.series import Line
from nanomg.dosing.bad_rows import BadRow, refused
from nanomg.dosing.cell_values import beyond_quantification, number_of, quantification_limit
from nanomg.dosing.table_cells import MISSING, TableCells
from nanomg.dosing.table_source import read_text
from nanomg.errors import InputError

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".tab", ".gz", ".xlsx")
MISSING_CELLS = MISSING | {"NaN", "nan", "na", "N/A", "n/a"}
_ABOVE = re.compile(r">|A|U", re.IGNORECASE)  # how a value begins that is above a limit
_COMMA = re.compile(r"[<>=\s]*[-+]?[0-9]*,[0-9]+(?:[eE][-+]?[0-9]+)?")
_NUMBERS = ("TIME", "MDV", "EVID", "AMT", "DOSE", "RATE", "DUR", "II", "ADDL", "SS", "LLOQ", "SD")
_FLAGS = {"": False, ".": False, "NA": False, "0": False, "N": False, "NO": False, "FALSE": False}
_FLAGS |= {"1": True, "Y": True, "YES": True, "TRUE": True, "BLQ": True, "BLOQ": True, "BQL": True}


class MeasuredTable(NamedTuple):
    """The columns of a table of measurements as written, and its rows with the numbers of their lines."""

    header: list[str]
    rows: list[Line]


class MeasuredValue(NamedTuple):
    """A measured value, NaN if it is missing or below a limit; whether it is below; the limit, NaN if the cell does not say it."""

    value: float
    below: bool = False
    limit: float = math.nan


def read_measured_table(path: Path) -> MeasuredTable:
    """The cells of a table of measurements, which is read as an event table is: separators, comments, compression, workbooks.

    Raises `InputError` for a file that is missing or no table.
    """
    source = str(path)
    if not path.exists():
        raise InputError("there is no such data file", source)
    text = read_text(path, "table of measurements")
    if not text.strip():
        raise InputError("the table is empty", source)
    table = TableCells(text, source)
    rows: list[Line] = []
    for numbers, columns in table.chunks():
        for number, cells in zip(numbers, zip(*columns, strict=True), strict=True):
            if table.decimal == ",":
                cells = tuple(cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell for cell in cells)
            rows.append((number, dict(zip(table.header, cells, strict=True))))
    if table.misfits:
        raise refused(table.misfit_rows, len(table.misfits), source)
    if not rows:
        raise InputError("the table has no rows", source)
    return MeasuredTable([name for name in table.header if not (table.commented and name in ("C", "c"))], rows)


def check_cells(rows: Sequence[Line], column: Mapping[str, str], source: str) -> None:
    """Refuse all cells that cannot be read, together; `column` is what each of TIME, DV and so on is called in the table."""
    readers: dict[str, Callable[[str, str], object]] = {name: optional_number for name in _NUMBERS if name in column}
    readers |= {"BLQ": is_flagged} if "BLQ" in column else {}
    bad: list[BadRow] = []
    for number, row in rows:
        wrong = len(bad)
        for name, read in readers.items():
            _note(bad, number, column[name], row, read)
        if len(bad) == wrong and not _is_event(row, column):
            _note(bad, number, column["DV"], row, measured_value)
    if bad:
        raise refused(bad, len({entry.row for entry in bad}), source)


def _note(
    bad: list[BadRow], number: int, name: str, row: Mapping[str, str], read: Callable[[str, str], object]
) -> None:
    try:
        read("" if row[name] in MISSING_CELLS else row[name], "")
    except InputError as error:
        bad.append(BadRow(number, name, error.message))


def _is_event(row: Mapping[str, str], column: Mapping[str, str]) -> bool:
    """Whether a row is a dose or another event, in which DV means nothing."""
    evid, amount = (optional_number(row.get(column.get(name, ""), ""), "") for name in ("EVID", "AMT"))
    return evid > 0 or amount > 0


def measured_value(text: str, where: str) -> MeasuredValue:
    """What the cell of a measured value holds: a number, `BLQ`, `<0.5`, or nothing (empty, `.`, `NA`)."""
    if text in MISSING_CELLS:
        return MeasuredValue(math.nan)
    if beyond_quantification(text):
        if _ABOVE.match(text):
            raise InputError(
                f"{text!r} is above a limit of quantification, which is not understood; leave it out", where
            )
        limit = quantification_limit(text)
        return MeasuredValue(math.nan, True, math.nan if limit is None else limit)
    return MeasuredValue(finite_number(text, where))


def finite_number(text: str, where: str) -> float:
    """The finite number of a cell."""
    if (value := number_of(text)) is None:
        raise InputError(f"{text[:40]!r} is not a number", where)
    return value


def optional_number(text: str, where: str) -> float:
    """The finite number of a cell, NaN if it is missing."""
    return math.nan if text in MISSING_CELLS else finite_number(text, where)


def is_flagged(text: str, where: str) -> bool:
    """Whether a cell says yes: 1, yes, true, BLQ; no is 0, no, false or nothing."""
    if (found := _FLAGS.get(text.upper())) is None:
        raise InputError(f"{text[:40]!r} is not 0 or 1", where)
    return found
