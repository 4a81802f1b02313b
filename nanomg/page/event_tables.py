"""What a reader of a result should know of the event tables that it was made from."""

from __future__ import annotations

from collections.abc import Iterator

from nanomg.page.blocks import Items
from nanomg.page.result import ResultReader


def warnings(result: ResultReader) -> Iterator[Items]:
    """What makes the result doubtful, such as that no subject was dosed."""
    yield from _remarks(result, "warnings", "warning")


def notes(result: ResultReader) -> Iterator[Items]:
    """What else was understood of the tables, such as columns that were not used."""
    yield from _remarks(result, "notes", "note")


def _remarks(result: ResultReader, key: str, tone: str) -> Iterator[Items]:
    texts = dict.fromkeys(text for table in result.at("event_tables") or () for text in table[key])
    if texts:
        yield Items(tuple(texts), tone)
