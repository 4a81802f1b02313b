"""A finished run in a notebook: its answer, and the tables of numbers that its summary holds."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

from nanomg.formatting import format_number
from nanomg.schema import JsonRecord

_ROWS = 12  # of a table
_ANSWERS = ("verdict", "identifiability")  # fields that are sentences on the whole

Table = tuple[str, list[tuple[str, Mapping[str, Any]]]]


def answer(summary: JsonRecord) -> str:
    """The sentence of a summary that is its answer; empty where it has none."""
    return next((str(summary[name]) for name in _ANSWERS if name in summary), "")


def page(heading: str, summary: JsonRecord) -> str:
    """A run as HTML: heading, answer, tables."""
    parts = [f"<h4>{html.escape(heading)}</h4>", f"<p>{html.escape(answer(summary))}</p>"]
    return "\n".join([*parts, *(_table(*table) for table in tables(summary))])


def tables(record: JsonRecord) -> Iterator[Table]:
    """The fields that hold several records: their name, and each record with the name of its row."""
    for name, value in record.items():
        if isinstance(value, JsonRecord):
            yield from tables(value)
        elif isinstance(value, Mapping) and value and all(isinstance(entry, JsonRecord) for entry in value.values()):
            yield name, list(value.items())
        elif isinstance(value, tuple) and value and all(isinstance(entry, JsonRecord) for entry in value):
            yield name, [(str(number + 1), entry) for number, entry in enumerate(value)]


def _table(name: str, rows: list[tuple[str, Mapping[str, Any]]]) -> str:
    columns = [key for key, value in rows[0][1].items() if not isinstance(value, Mapping | tuple)]
    head = "".join(f"<th>{html.escape(column)}</th>" for column in ["", *columns])
    body = [
        f"<tr><th>{html.escape(title)}</th>{''.join(f'<td>{_cell(row.get(c))}</td>' for c in columns)}</tr>"
        for title, row in rows[:_ROWS]
    ]
    more = f"<p>{len(rows) - _ROWS} more rows are in the summary.</p>" if len(rows) > _ROWS else ""
    return f"<h5>{html.escape(name)}</h5><table><tr>{head}</tr>{''.join(body)}</table>{more}"


def _cell(value: Any) -> str:
    return format_number(value) if isinstance(value, float) else html.escape("" if value is None else str(value))
