"""An event table written again, with further columns of numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nanomg.dosing.table_cells import TableCells
from nanomg.formatting import harmless_cell


def with_columns(table: TableCells, rows: np.ndarray, added: Mapping[str, np.ndarray]) -> Iterator[str]:
    """The rows of a table by their numbers, with a column for each array of numbers (row,), as pieces of text.

    Cells are parted as in the table, and numbers have its decimal mark; one that is NaN is missing.
    """
    yield _joined(table, [(*table.header, *added)])
    columns = list(added.values())
    if (np.diff(rows) > 0).all():
        at = 0
        for numbers, cells in table.chunks():
            texts = [_texts(column[at : at + len(numbers)], table) for column in columns]
            yield _joined(table, zip(*cells, *texts, strict=True))
            at += len(numbers)
        return
    written = {row: i for i, row in enumerate(rows.tolist())}
    texts = [_texts(column, table) for column in columns]
    lines: list[Sequence[str]] = [()] * len(rows)
    for numbers, cells in table.chunks():
        for row, line in zip(numbers, zip(*cells, strict=True), strict=True):
            lines[written[row]] = (*line, *(column[written[row]] for column in texts))
    yield _joined(table, lines)


def _texts(column: np.ndarray, table: TableCells) -> list[str]:
    """Numbers with all digits."""
    texts = [repr(value) for value in column.tolist()]
    missing = "." if table.separator == " " else ""
    for i in np.flatnonzero(np.isnan(column)):
        texts[i] = missing
    return [text.replace(".", ",") for text in texts] if table.decimal_comma else texts


def _joined(table: TableCells, rows: Iterator[Sequence[str]] | list[tuple[str, ...]] | list[Sequence[str]]) -> str:
    """Rows as lines of text."""
    if table.separator != " ":  # which no spreadsheet opens as a table
        rows = [tuple(map(harmless_cell, row)) for row in rows]
    if not table.quoted:
        return "".join([f"{table.separator.join(row)}\n" for row in rows])
    text = io.StringIO()
    csv.writer(text, delimiter=table.separator, lineterminator="\n").writerows(rows)
    return text.getvalue()
