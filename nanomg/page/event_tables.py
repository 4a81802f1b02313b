"""What a reader of a result should know of the event tables that it was made from."""

from __future__ import annotations

from collections.abc import Iterator

from nanomg.page.blocks import Items
from nanomg.page.result import ResultReader


def remarks(result: ResultReader) -> Iterator[Items]:
    """What makes a result doubtful, such as that no subject was dosed; then what else was understood, such as unused columns."""
    tables = result.at("event_tables") or ()
    for kind, tone in (("warnings", "warning"), ("notes", "note")):
        texts = dict.fromkeys(text for table in tables for text in table[kind])
        if texts:
            yield Items(tuple(texts), tone)
