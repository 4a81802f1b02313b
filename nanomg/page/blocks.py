"""What a view of a result is made of: paragraphs, lists, tables, tiles, pictures and text as typed.

Nothing here is HTML or knows a screen: the template page.html turns blocks into a page and escapes every text, and
`nanomg.cli.render` prints those with `on_screen` to a terminal. So a page and the screen show the same numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from nanomg.formatting import format_number

_ROWS, _ITEMS = 500, 50  # of a table and of a list that a page shows at most


class Cell(NamedTuple):
    """A text of a table or tile. One that shows a number holds it in full, and says where in the summary it stands.

    `name` is the dotted name of what the text describes: small print on a page, and shown in place of the text on a screen.
    """

    text: str
    value: float | None = None
    key: str = ""
    note: str = ""  # small print under it
    name: str = ""


def number_cell(value: Any, digits: int = 4, key: str = "") -> Cell:
    """A number with so many significant digits, which holds its full value and the place `key` of the summary it is from."""
    value = None if value is None else float(value)
    return Cell(format_number(value, digits), value if value is not None and math.isfinite(value) else None, key)


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; `tone` is plain, lead, note, good, warning or bad. A page shows it next to the answer if `leads` is true."""

    kind: ClassVar[str] = "text"
    text: str
    tone: str = "plain"
    on_screen: bool = True
    leads: bool = False


@dataclasses.dataclass(frozen=True)
class Items:
    """A list of sentences, next to the answer if `leads` is true."""

    kind: ClassVar[str] = "items"
    items: Sequence[str]
    tone: str = "plain"
    on_screen: bool = True
    leads: bool = False


LARGE = 4  # tiles of outputs or values that one result has at most


@dataclasses.dataclass(frozen=True)
class Tile:
    """One number that matters, large, with what it is and its range."""

    label: str
    cell: Cell
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles side by side, next to the answer of a page. Those that repeat numbers of a table need not be on the screen, too."""

    kind: ClassVar[str] = "tiles"
    leads: ClassVar[bool] = True
    tiles: Sequence[Tile]
    on_screen: bool = True


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns aligned by `align`: "l" text, "r" numbers, "u" units, "p" running text that may be broken.

    The most important rows come first: `most` are shown and the rest is counted, unless a page shows them to those who unfold it.
    A terminal that is too narrow leaves out the columns under the headers `spare`, one after the other until the table fits, or
    shows those under the headers `second` as a table of their own, after the first column.
    A page shows a table next to the answer if `leads` is true.
    """

    kind: ClassVar[str] = "table"
    headers: Sequence[str]
    align: str
    rows: Sequence[Sequence[Any]]  # of cells and texts
    caption: str = ""
    most: int = _ROWS
    on_screen: bool = True
    spare: Sequence[str] = ()
    second: Sequence[str] = ()
    leads: bool = False


@dataclasses.dataclass(frozen=True)
class Shares:
    """Parts of a whole as one bar with its legend: label and count."""

    kind: ClassVar[str] = "shares"
    parts: Sequence[tuple[str, int]]
    on_screen: bool = True


@dataclasses.dataclass(frozen=True)
class CodeBlock:
    """Text as typed."""

    kind: ClassVar[str] = "code"
    text: str
    on_screen: bool = True


@dataclasses.dataclass(frozen=True)
class PageImage:
    """A picture as a data URI, and what the pointer reads off it: see nanomg.page.hover."""

    kind: ClassVar[str] = "picture"
    on_screen: ClassVar[bool] = False
    title: str
    uri: str
    width: float
    height: float
    panels: Sequence[dict[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Folded:
    """What a page shows to those who open it, and the screen only where it is told to."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence[Any]
    on_screen: bool = False


@dataclasses.dataclass(frozen=True)
class Caution:
    """A warning, or with `well` the word that what was checked is well."""

    text: str
    well: bool = False


Block = Text | Items | Tiles | Table | Shares | CodeBlock | PageImage | Folded


@dataclasses.dataclass(frozen=True)
class Section:
    """A headline with what stands under it; one without blocks is not shown."""

    id: str
    title: str
    blocks: Sequence[Any]


# ---------------------------------------------------------------- how much is shown
_LETTERS, _OF_A_CELL = 200_000, 2000  # of a table or text, and of one cell


def capped(block: Any, folded: bool = False) -> Any:
    """The block with the beginning of what is long, which says how much is left out: a page stays small whatever is in the file."""
    if isinstance(block, Folded):
        return dataclasses.replace(block, blocks=[capped(inner, folded=True) for inner in block.blocks])
    if isinstance(block, Text | CodeBlock):
        return dataclasses.replace(block, text=_cut(block.text, _LETTERS))
    if isinstance(block, Items):
        left = [f"… and {len(block.items) - _ITEMS:,} more."] if len(block.items) > _ITEMS else []
        return dataclasses.replace(block, items=[*(_cut(item, _OF_A_CELL) for item in block.items[:_ITEMS]), *left])
    if isinstance(block, Table):
        rows = _beginning(block.rows[: _ROWS if folded else block.most])
        left_out = f" (the first {len(rows):,} of {len(block.rows):,} rows)" if len(rows) < len(block.rows) else ""
        return dataclasses.replace(block, rows=rows, caption=block.caption + left_out)
    return block


def _beginning(rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """The first rows, each cell cut, until they are many or long."""
    shown: list[Sequence[Any]] = []
    letters = 0
    for row in rows:
        shown.append([_short(cell) for cell in row])
        letters += sum(
            len(cell) if isinstance(cell, str) else len(cell.text) + len(cell.note + cell.name) for cell in shown[-1]
        )
        if letters > _LETTERS:
            break
    return shown


def _short(cell: Cell | str) -> Cell | str:
    if isinstance(cell, str):
        return _cut(cell, _OF_A_CELL)
    return cell._replace(text=_cut(cell.text, _OF_A_CELL), note=_cut(cell.note, _OF_A_CELL))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"
