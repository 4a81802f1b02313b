"""What a page and the screen show of a result."""

from __future__ import annotations

from collections.abc import Iterator

from nanomg.page.blocks import Block, Table
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader


def sentence(result: ResultReader) -> str:
    """How far the body falls."""
    return f"The body falls {result.cell('depth', digits=3).text} m in {result.cell('seconds').text} s."


def blocks(result: ResultReader) -> Iterator[Block]:
    """The depth at the end."""
    yield Table(("", "value", "unit"), "lru", [("depth at the end", result.cell("depth"), "m")], "The fall")


def changes(result: ResultReader) -> Iterator[str]:
    """What would change the answer."""
    yield "Another planet."


def quantities(result: ResultReader) -> Numbers:
    """What is compared between runs."""
    yield Quantity("fall", "body", "depth", "m"), result.summary["depth"]
