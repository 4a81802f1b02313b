"""Thousands of damaged event tables: each gives records or one sentence, and both ways of checking a row agree."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from event_reference import MODEL
from mutated_tables import layout_options, mutated
from textbook import textbook

import nanomg
from nanomg.dosing import column_names, event_row, event_table
from nanomg.dosing.column_names import TableLayout
from nanomg.dosing.event_record import Subject
from nanomg.dosing.table_cells import TableCells
from nanomg.dosing.table_reading import TableReading
from nanomg.errors import InputError

LISTED = re.compile(r"doses\.csv: \d+ rows of the table cannot be used:(\n  (row \d+.*: .+|and [\d,]+ more))+")
FALLBACK = "a number is too large"  # what is said of a row in which nothing else is wrong


def check_rows(text: str, reading: TableReading, subjects: tuple[Subject, ...], layout: TableLayout) -> None:
    """Each row of a table that was read is one in which no mistake can be named, and all rows are records."""
    table = TableCells(text, "doses.csv", layout.ignore)
    names = column_names.names_of(table.header, "header", "doses.csv", layout, ())
    clock = reading.clock
    rows = [(row, cells) for numbers, columns in table.chunks() for row, *cells in zip(numbers, *columns, strict=True)]
    for row, cells in rows:
        bad = event_row.explained(row, cells, names, MODEL, clock, reading.date, table.decimal)
        assert bad.message == FALLBACK, (bad, text)
    assert sorted(record.row for subject in subjects for record in subject.records) == [row for row, _ in rows]


def is_sentence(message: str) -> bool:
    return bool(LISTED.fullmatch(message)) or "\n" not in message


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_tables_are_read_or_refused(count: int) -> None:
    rng = np.random.default_rng(count)
    sentences, known = list[str](), 0
    for _ in range(count):
        text, layout = mutated(rng), TableLayout(**layout_options(rng))
        try:
            subjects, reading = event_table.read_events(text, "doses.csv", MODEL, layout)
        except InputError as error:
            sentences.append(str(error))
            continue
        known += 1
        check_rows(text, reading, subjects, layout)
        assert all(is_sentence(note) for note in (*reading.of(subjects).warnings, *reading.notes))
    assert [s for s in sentences if not is_sentence(s) or max(map(len, s.splitlines())) > 1000] == []
    assert min(len(sentences), known) > count / 10


@pytest.mark.slow
def test_mutated_tables_are_solved_or_refused(tmp_path: Path) -> None:
    """From the text to the table of records: finite amounts, or a sentence."""
    rng = np.random.default_rng(5)
    scenario, out = textbook(tmp_path), tmp_path / "out.csv"
    sentences, solved = list[str](), 0
    for _ in range(1200):
        table = {"name": "doses.csv", "text": mutated(rng)}
        try:
            run = nanomg.simulate(
                scenario, events=table, records=out, add=["TAD", "OCC"], force=True, **layout_options(rng)
            )
        except InputError as error:
            sentences.append(str(error))
            continue
        solved += 1
        amounts = run.tree["records"]["pk.central"].values
        assert run.summary["status"]["failed"] or (np.isfinite(amounts).all() and (amounts > -1e-6).all()), table
    assert all(map(is_sentence, sentences)) and solved > 120
