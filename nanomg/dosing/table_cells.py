"""The text of an event table, cut into cells.

Cells are separated by commas, semicolons, tabs or blanks, whichever separates the names of the columns. With semicolons and tabs,
numbers may have a decimal comma. The first row is the header; it may start with `#` or `@`. Rows are numbered as lines of the
file. A row that starts with `#` is a comment; so is one whose first character is that of NONMEM's IGNORE, and under a first
column `C` one with a letter there.
"""

from __future__ import annotations

import csv
import functools
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from nanomg.dosing.bad_rows import BadRow
from nanomg.errors import InputError

MISSING = frozenset(("", ".", "NA"))
TIMES = ("TIME", "T")

_CHUNK = 20_000  # rows that are held as text
_LETTER = re.compile(r"[^\W\d_]")
_BLANK = re.compile(r"[^\S\n\r]")
_MARKS = "#@"  # before the first name of a header
_TITLE = re.compile(r"\s*TABLE NO\.", re.IGNORECASE)  # what NONMEM writes above its tables

_COMMA, _POINT = re.compile(r"[0-9],[0-9]"), re.compile(r"[0-9]\.[0-9]")

Chunk = tuple[list[int], list[Sequence[str]]]  # numbers of rows, and their cells by column


class TableCells:
    """The cells of an event table: `header` as written, and the rows in chunks.

    Args:
        text: the table.
        source: its name, for errors.
        ignore: the first character of rows that are comments, as NONMEM's IGNORE: `@` stands for any letter and `@` itself.
        times: names of the column of times, in capitals, by which a header is known that starts with `#`.

    Raises:
        InputError: the table is empty, or its text is no table.
    """

    def __init__(self, text: str, source: str, ignore: str = "", times: Collection[str] = TIMES):
        self.source, self.ignore = source, ignore
        if len(ignore) > 1 or ignore.isspace() or ignore.isdigit():
            message = f"it is one character that starts a comment, such as # or @ (any letter), not {ignore!r}"
            raise InputError(message, "--ignore")
        if not text.strip():
            raise InputError("the event table is empty; a header with TIME and at least one record are needed", source)
        if (zero := text.find("\0")) >= 0:
            raise InputError(
                "it contains a NUL character; save the table as plain text", f"{source}, character {zero + 1}"
            )
        self._lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.skipped = 0  # comments in the chunks so far
        self.misfits: dict[int, int] = {}  # by row: how many cells there are, where that is not one for each column
        self._first, self.separator, self.header = self._find_header(times)
        self.decimal = "," if self.separator in (";", "\t") else "."  # numbers may have it
        self.commented = self.header[:1] in (["C"], ["c"])
        self.quoted, self._may_have_comments, self._has_blanks = '"' in text, "#" in text, bool(_BLANK.search(text))

    @functools.cached_property
    def decimal_comma(self) -> bool:
        """Whether numbers of the table have a decimal comma rather than a point."""
        rows = self._lines[self._first :]
        return self.decimal == "," and any(map(_COMMA.search, rows)) and not any(map(_POINT.search, rows))

    @property
    def header_row(self) -> int:
        """The line of the header."""
        return self._first

    @property
    def misfit_rows(self) -> list[BadRow]:
        """The rows so far that have not one cell for each column."""
        columns = len(self.header)
        return [BadRow(row, "", f"there are {n} cells under {columns} columns") for row, n in self.misfits.items()]

    def _find_header(self, times: Collection[str]) -> tuple[int, str, list[str]]:
        """The number of the line of the header, what parts its names, and the names."""
        for number, line in enumerate(self._lines, 1):
            if not line.strip() or _TITLE.match(line):
                continue
            plain = line.lstrip().lstrip(_MARKS) if line.lstrip()[0] in _MARKS else line
            separator = max((",", ";", "\t"), key=plain.count)
            separator = separator if separator in plain else (" " if len(plain.split()) > 1 else ",")
            names = next(self._by_csv(iter([(number, plain)]), separator), (number, [""]))[1]
            if plain is line or {name.upper() for name in names} & {*times}:
                mark = line.lstrip()[0] if plain is not line else ""
                return number, separator, [mark + names[0], *names[1:]]
        raise InputError("the event table has comments, but no header with TIME", self.source)

    def chunks(self) -> Iterator[Chunk]:
        """All rows but blank ones and comments, some at a time; `skipped` and `misfits` are complete at the end."""
        self.skipped, self.misfits = 0, {}
        rows: Iterator[tuple[int, str]] = iter(enumerate(self._lines[self._first :], self._first + 1))
        if self._may_have_comments or self._comment_test() is not None:
            rows = self._kept(rows)
        if self.quoted:
            yield from self._chunks_of_rows(self._by_csv(rows, self.separator))
            return
        while some := list(itertools.islice(rows, _CHUNK)):
            yield from self._chunk(some)

    def _kept(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """The lines that are no comments; a line within quotes is none."""
        comment, within = self._comment_test(), False
        for number, line in lines:
            if (not within and line.lstrip()[:1] == "#") or (not within and comment is not None and comment(line)):
                self.skipped += 1
            else:
                within ^= bool(line.count('"') % 2)
                yield number, line

    def _comment_test(self) -> Callable[[str], bool] | None:
        """Whether a line is a comment for another reason than `#`; None where no line is."""
        if self.commented:
            parted = None if self.separator == " " else self.separator
            return lambda line: bool(line.strip() and _LETTER.search(line.split(parted, 1)[0]))
        mark = self.ignore or ("@" if self.header[0][:1] == "@" else "")
        if not mark or mark == "#":
            return None
        if mark == "@":
            return lambda line: line.lstrip()[:1] == "@" or line.lstrip()[:1].isalpha()
        return lambda line: line.lstrip()[:1] == mark

    def _chunk(self, lines: list[tuple[int, str]]) -> Iterator[Chunk]:
        """Lines without quotes as one chunk."""
        width, separator = len(self.header), self.separator
        lines = [entry for entry in lines if entry[1] and not entry[1].isspace()]
        if separator == " ":
            yield from self._chunks_of_rows((number, line.split()) for number, line in lines)
        elif any(line.count(separator) != width - 1 for _, line in lines):
            yield from self._chunks_of_rows((number, line.split(separator)) for number, line in lines)
        elif lines:
            cells = separator.join([line for _, line in lines]).split(separator)
            columns = [_stripped(cells[i::width]) if self._has_blanks else cells[i::width] for i in range(width)]
            yield from self._not_empty([number for number, _ in lines], columns)

    def _chunks_of_rows(self, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Chunk]:
        """Rows of cells as chunks; those of another width are noted."""
        width = len(self.header)
        while some := list(itertools.islice(rows, _CHUNK)):
            fitting = []
            for number, cells in some:
                if len(cells) == width:
                    fitting.append((number, cells))
                elif any(cell.strip() for cell in cells):
                    self.misfits[number] = len(cells)
            if fitting:
                columns = list(map(_stripped, zip(*(cells for _, cells in fitting), strict=True)))
                yield from self._not_empty([number for number, _ in fitting], columns)

    def _not_empty(self, numbers: list[int], columns: list[Sequence[str]]) -> Iterator[Chunk]:
        """The rows of a chunk in which there is anything."""
        if any("" in column for column in columns) and all("" in column for column in columns):
            filled = [i for i, cells in enumerate(zip(*columns, strict=True)) if any(cells)]
            if len(filled) < len(numbers):
                numbers, columns = [numbers[i] for i in filled], [[column[i] for i in filled] for column in columns]
        if numbers:
            yield numbers, columns

    def _by_csv(self, lines: Iterator[tuple[int, str]], separator: str) -> Iterator[tuple[int, list[str]]]:
        """Rows that may have quotes, each with the number of its last line."""
        number = 0

        def texts() -> Iterator[str]:
            nonlocal number
            for number, line in lines:  # noqa: B007, the place of the row that is being read
                yield (" ".join(line.split()) if separator == " " else line) + "\n"

        reader = csv.reader(texts(), delimiter=separator, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield number, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise InputError(f"this is not a row of CSV ({error})", f"{self.source}, row {number}") from None


def _stripped(cells: Sequence[str]) -> Sequence[str]:
    """Cells without the space around them."""
    texts = {cell: cell.strip() for cell in {*cells}}
    return [texts[cell] for cell in cells] if any(cell != text for cell, text in texts.items()) else cells
