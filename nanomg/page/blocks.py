"""The words of a page: sections made of paragraphs, lists, tables, tiles, pictures and text as typed.

Nothing here is HTML: the template page.html turns it into a page and escapes every text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from nanomg.formatting import format_number


class Cell(NamedTuple):
    """A text of a table or tile. One that shows a number holds it in full, and says where in the summary it stands."""

    text: str
    value: float | None = None
    key: str = ""
    note: str = ""  # small print under it


def number_cell(value: Any, digits: int = 4, key: str = "") -> Cell:
    """A number as a cell."""
    value = None if value is None else float(value)
    return Cell(format_number(value, digits), value if value is not None and math.isfinite(value) else None, key)


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; `tone` is plain, lead, note, good, warning or bad."""

    kind: ClassVar[str] = "text"
    text: str
    tone: str = "plain"


@dataclasses.dataclass(frozen=True)
class Items:
    """A list of sentences."""

    kind: ClassVar[str] = "items"
    items: Sequence[str]
    tone: str = "plain"


@dataclasses.dataclass(frozen=True)
class Tile:
    """One number that matters, large, with what it is and its range."""

    label: str
    cell: Cell
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles side by side."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns aligned by `align`: "l" text, "r" numbers, "u" units, "p" running text that may be broken."""

    kind: ClassVar[str] = "table"
    headers: Sequence[str]
    align: str
    rows: Sequence[Sequence[Any]]  # of cells and texts
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Shares:
    """Parts of a whole as one bar with its legend: label and count."""

    kind: ClassVar[str] = "shares"
    parts: Sequence[tuple[str, int]]


@dataclasses.dataclass(frozen=True)
class CodeBlock:
    """Text as typed."""

    kind: ClassVar[str] = "code"
    text: str


@dataclasses.dataclass(frozen=True)
class PageImage:
    """A picture as a data URI, and what the pointer reads off it: see nanomg.page.hover."""

    kind: ClassVar[str] = "picture"
    title: str
    uri: str
    width: float
    height: float
    panels: Sequence[dict[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Folded:
    """What is there for those who open it."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Section:
    """A headline with what stands under it; one without blocks is not shown."""

    id: str
    title: str
    blocks: Sequence[Any]


# ---------------------------------------------------------------- how much is shown
_ROWS, _ITEMS = 500, 50
_LETTERS, _OF_A_CELL = 200_000, 2000  # of a table or text, and of one cell


def capped(block: Any) -> Any:
    """The block with the beginning of what is long, which says how much is left out: a page stays small whatever is in the file."""
    if isinstance(block, Folded):
        return dataclasses.replace(block, blocks=[capped(inner) for inner in block.blocks])
    if isinstance(block, Text | CodeBlock):
        return dataclasses.replace(block, text=_cut(block.text, _LETTERS))
    if isinstance(block, Items):
        left = [f"… and {len(block.items) - _ITEMS:,} more."] if len(block.items) > _ITEMS else []
        return dataclasses.replace(block, items=[*(_cut(item, _OF_A_CELL) for item in block.items[:_ITEMS]), *left])
    if isinstance(block, Table):
        rows = _beginning(block.rows)
        left_out = f" (the first {len(rows):,} of {len(block.rows):,} rows)" if len(rows) < len(block.rows) else ""
        return dataclasses.replace(block, rows=rows, caption=block.caption + left_out)
    return block


def _beginning(rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """The first rows, each cell cut, until they are many or long."""
    shown: list[Sequence[Any]] = []
    letters = 0
    for row in rows[:_ROWS]:
        shown.append([_short(cell) for cell in row])
        letters += sum(len(cell) if isinstance(cell, str) else len(cell.text) + len(cell.note) for cell in shown[-1])
        if letters > _LETTERS:
            break
    return shown


def _short(cell: Cell | str) -> Cell | str:
    if isinstance(cell, str):
        return _cut(cell, _OF_A_CELL)
    return cell._replace(text=_cut(cell.text, _OF_A_CELL), note=_cut(cell.note, _OF_A_CELL))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


_LARGE = 4  # outputs or values shown large
