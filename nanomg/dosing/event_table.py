"""Event tables in NONMEM's columns: read and checked, one record per row.

Columns, in small or capital letters: TIME (needed), ID, EVID, AMT, CMT, RATE, II, ADDL, SS, MDV, DV; DUR: how long an infusion
lasts; UNTIL: doses strictly before this time, in place of ADDL; `nanomg.dosing.column_names` has other names for them. All other
columns are covariates. An empty cell, `.` and `NA` are missing. Times are in h, amounts in the unit of the port or state. Rows are
numbered as lines of the file.

What is missing: without ID there is one subject; without EVID a row with AMT or RATE is a dose, any other an observation; a dose
without CMT goes into state number 1. Rows of a subject stay together; time may go back where a reset starts a new clock: at
EVID 3 or 4, or at the row just after EVID 3. AMT = 0 with a RATE and SS is an infusion that has always been running; a dose with
any other AMT = 0 is placebo, a record that gives nothing.

With DUR the duration is given and F scales the rate; with RATE > 0 the rate is given and F scales the duration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nanomg.dosing import column_names, event_columns, event_row, table_lines
from nanomg.dosing.bad_rows import SHOWN, BadRow, refused
from nanomg.dosing.cell_values import CLOCKS
from nanomg.dosing.column_names import ColumnNames, TableLayout
from nanomg.dosing.event_columns import RawTable
from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import Columns, Rows, columns_of
from nanomg.dosing.table_cells import TableCells
from nanomg.dosing.table_reading import TableReading
from nanomg.errors import InputError

if TYPE_CHECKING:
    from nanomg.equations.model import Model


def parse_events(
    text: str, source: str, model: Model, bindings: Mapping[str, str] | None = None
) -> tuple[Subject, ...]:
    """The subjects of an event table; `bindings` maps dotted names of parameters to columns, `source` is named in errors.

    Raises `InputError`, which names file, row and column; one sentence if one row is wrong, else a line for each of the first 20.
    """
    return read_events(text, source, model, TableLayout(bindings or {}))[0]


def read_events(text: str, source: str, model: Model, layout: TableLayout) -> tuple[tuple[Subject, ...], TableReading]:
    """The subjects of an event table with a layout, and what was understood of it. Raises `InputError` as `parse_events` does."""
    table = _cells(text, source, layout)
    names = column_names.names_of(
        table.header, f"{source}, row {table.header_row}", source, layout, tuple(model.parameters)
    )
    raw = event_columns.read_raw(table, names, layout, lambda text: event_row.target_of(text, model))
    first = next(iter(model.states))
    columns, sound, unplaced = event_columns.meaning_of(raw, names, first)
    if not sound.all() or table.misfits:
        raise _refused(table, raw, names, sound, model)
    _check_order(raw, names, source, layout)
    starts = np.flatnonzero(raw.first)
    _check_bound(columns, raw, names, starts, source)
    bounds = [*starts, len(sound)]
    subjects = tuple(
        Subject(raw.labels[who], Rows(columns, int(start), int(stop)), names.bound, source)
        for who, start, stop in zip(raw.who[starts], bounds, bounds[1:], strict=False)
    )
    return subjects, _reading(table, raw, names, first if unplaced and len(model.states) > 1 else "")


def _reading(table: TableCells, raw: RawTable, names: ColumnNames, unplaced: str) -> TableReading:
    dates = [c for c in column_names.DATES if c in names.columns and c != raw.date and c not in names.bound.values()]
    return TableReading(
        source=table.source,
        columns=names.columns,
        unused=(*names.unused, *dates),
        alike=tuple(names.alike("AMT")),
        amounts="AMT" in names.place,
        unplaced=unplaced,
        sites=tuple(names.alike("CMT")),
        rows=len(raw.who),
        comments=table.skipped,
        unquantified=raw.unquantified,
        clock=raw.clock,
        date=raw.date,
        ambiguous=raw.ambiguous,
    )


def _cells(text: str, source: str, layout: TableLayout) -> TableCells:
    return TableCells(text, source, layout.ignore, column_names.time_names(layout))


# ---------------------------------------------------------------- what cannot be used
def _refused(table: TableCells, raw: RawTable, names: ColumnNames, sound: np.ndarray, model: Model) -> InputError:
    """The error for rows that cannot be used by themselves."""
    bad = table.misfit_rows
    wrong = raw.given["row"][~sound]
    explained = {*sorted(wrong.tolist())[:SHOWN]}
    for row, cells in _rows(table, explained):
        bad.append(event_row.explained(row, cells, names, model, raw.clock, raw.date, table.decimal))
    return refused(bad, len(table.misfits) + len(wrong), table.source)


def _rows(table: TableCells, chosen: set[int]) -> Iterator[tuple[int, Sequence[str]]]:
    """Some rows of a table, with their numbers."""
    for rows, cells in table.chunks():
        for i, row in enumerate(rows):
            if row in chosen:
                yield row, [column[i] for column in cells]


def _check_order(raw: RawTable, names: ColumnNames, source: str, layout: TableLayout) -> None:
    """Reject rows of a subject that are not together, and times that decrease without a reset."""
    row, time = raw.given["row"], raw.given["TIME"]
    starts = np.flatnonzero(raw.first)
    _, first = np.unique(raw.who[starts], return_index=True)
    apart = np.delete(starts, first)
    bad = [
        BadRow(
            int(row[i]),
            names.column("ID"),
            f"subject {raw.labels[raw.who[i]]} ended earlier; keep all rows of a subject together, or sort them (--sort)",
        )
        for i in apart[:SHOWN]
    ]
    back = event_columns.goes_back(raw) & ~event_columns.at_resets(raw.read("EVID"))
    dates = raw.clock == CLOCKS and not raw.date
    hint = "a column DATE tells days apart" if dates else "--sort puts rows in order"
    bad += [
        BadRow(
            int(row[i]),
            names.column("TIME"),
            f"time goes back from {time[i - 1]:g} h to {time[i]:g} h without a reset (EVID 3 or 4); {hint}",
        )
        for i in np.flatnonzero(back)[:SHOWN]
    ]
    if count := len(apart) + int(back.sum()):
        raise refused(bad, count, source)


def _check_bound(columns: Columns, raw: RawTable, names: ColumnNames, starts: np.ndarray, source: str) -> None:
    """Reject subjects that have no value in a column that a parameter follows."""
    bad: list[BadRow] = []
    for column in names.bound.values():
        missing = np.isnan(np.fmax.reduceat(columns.covariates[column], starts))
        for i in starts[missing]:
            bad.append(BadRow(int(columns.row[i]), column, f"subject {raw.labels[raw.who[i]]} has no value"))
    if bad:
        raise refused(bad, len(bad), source)


# ---------------------------------------------------------------- as it is written
def header_of(text: str, source: str, layout: TableLayout) -> list[str]:
    """The columns of an event table as they are written."""
    return _cells(text, source, layout).header


def rewritten(
    text: str, source: str, layout: TableLayout, subjects: Sequence[Subject], added: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """The rows of an event table as they are written, in the order of the subjects' records, with further columns (record,).

    Yields pieces of the text of the table, the header first. A number that is NaN is missing.
    """
    return table_lines.with_columns(_cells(text, source, layout), columns_of(subjects)[0].row, added)
