"""All rows of an event table that cannot be used, in one error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nanomg.errors import InputError, one_line

SHOWN = 20  # rows that are listed
_LONGEST = 160  # [bytes] of what is said of one of them


class BadRow(NamedTuple):
    """What is wrong with a row; `column` is empty where that is about the whole of it."""

    row: int
    column: str
    message: str

    @property
    def place(self) -> str:
        """Where it is wrong."""
        return f"row {self.row}, column {self.column}" if self.column else f"row {self.row}"


class BadTable(InputError):
    """Several rows of a table that cannot be used: a sentence, and a line for each of the first rows."""

    def __init__(self, rows: Iterable[BadRow], count: int, source: str):
        super().__init__(f"{count:,} rows of the table cannot be used:", source)
        lines = [one_line(f"{bad.place}: {bad.message}", _LONGEST) for bad in rows]
        if count > len(lines):
            lines.append(f"and {count - len(lines):,} more")
        self.message = "\n  ".join([self.message, *lines])
        self.args = (f"{source}: {self.message}",)


def refused(rows: Iterable[BadRow], count: int, source: str) -> InputError:
    """The error for rows that cannot be used; one alone is one sentence."""
    first = sorted(rows)[:SHOWN]
    if count == 1:
        (bad,) = first
        return InputError(bad.message, f"{source}, {bad.place}")
    return BadTable(first, count, source)
