"""Quantities of a result that can be compared between runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    pass

Numbers = Iterator[tuple["Quantity", float | None]]


class Quantity(NamedTuple):
    """A number of a summary: `name` and `measure` within a group, and its unit."""

    group: str
    name: str
    measure: str
    unit: str
