"""The subjects of an event table as the regimen of a scenario.

Where single doses say all of a table of one subject, they take the place of the scenario's doses; else the scenario has subjects,
whose records do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanomg.dosing import event_table, record_columns
from nanomg.dosing.event_record import Record, Subject
from nanomg.dosing.record_columns import Columns, columns_of
from nanomg.errors import InputError, unknown
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.library.scenario_file import rebuild


def subjects_in(scenario: Scenario, text: str, source: str, columns: bool = True) -> tuple[Subject, ...]:
    """The subjects of an event table, their bound columns in the units of the parameters; without `columns` none is bound.

    Raises `InputError`, one sentence that names file, row and column.
    """
    names = {name: column.name for name, column in scenario.columns.items()} if columns else {}
    subjects = event_table.parse_events(text, source, scenario.model, names)
    bound = subjects[0].bound
    if not bound:
        return subjects
    converted = record_columns.changed(subjects, functools.partial(_converted, scenario, bound, subjects))
    return tuple(dataclasses.replace(subject, bound={name: name for name in bound}) for subject in converted)


def _converted(scenario: Scenario, bound: Mapping[str, str], subjects: Sequence[Subject], columns: Columns) -> Columns:
    """The records with each bound parameter in a column of its own."""
    with np.errstate(over="ignore"):
        converted = {name: columns.covariates[column] * scenario.columns[name].factor for name, column in bound.items()}
    for name, values in converted.items():
        declared = scenario.model.parameters[name]
        wrong = np.flatnonzero((values < 0) | (values > min(declared.at_most, np.finfo(float).max)))
        if len(wrong):
            limit = f"between 0 and {declared.at_most:g}" if declared.at_most < np.inf else "0 or more, and finite"
            message = f"{name} must be {limit}, not {values[wrong[0]]:g} {declared.unit}".rstrip(" 1")
            where = f"{subjects[0].source}, row {columns.row[wrong[0]]}, column {bound[name]}"
            raise InputError(message, where)
    return columns._replace(covariates={**columns.covariates, **converted})


# ---------------------------------------------------------------- in place of a scenario's doses
def with_events(
    scenario: Scenario, path: Path, library: Library, subject: str | None = None, records: bool = False
) -> Scenario:
    """The scenario with the regimen of the event table in a file in place of its own.

    Of the table all subjects, or the one whose ID is `subject`. With `records` the scenario has subjects in any case, so that
    they can be observed at their records. Raises `InputError` for a mistake in the table, and for an ID that it does not have.
    """
    table = {"name": path.name, "text": event_table.read_text(path), "subject": subject}
    chosen = _with_subjects(scenario, table, str(path))
    if not records and len(chosen.subjects) == 1 and _single_doses(chosen.subjects[0]):
        (only,) = chosen.subjects
        tables = [_table(scenario, r) for r in only.records if r.doses or r.resets]
        file = {**chosen.config["file"], "dose": tables}
        return rebuild({**scenario.config, "file": file, "dose": ()}, library)
    return chosen


def rebuild_with_events(config: Mapping[str, Any], library: Library) -> Scenario:
    """The scenario of a resolved configuration, with the subjects of its event table if it has one."""
    scenario = rebuild(config, library)
    return _with_subjects(scenario, config["events"], config["events"]["name"]) if "events" in config else scenario


def _with_subjects(scenario: Scenario, table: Mapping[str, Any], source: str) -> Scenario:
    """The scenario with the subjects of a table: its text, and the ID of the only subject or None."""
    text, only = table["text"], table.get("subject")
    header = {name.upper() for name in event_table.header_of(text, source)}
    bound = any(column.name.upper() in header for column in scenario.columns.values())
    subjects = subjects_in(scenario, text, source, bound)
    if only is not None:
        known = {subject.id: subject for subject in subjects}
        if only not in known:
            raise unknown("subject", only, known, source)
        subjects = (known[only],)
    title = f"{scenario.name} with the doses of {table['name']}"
    config = {**scenario.config, "file": {**scenario.config["file"], "title": title}, "events": dict(table)}
    return dataclasses.replace(scenario, title=title, doses=(), subjects=subjects, config=config)


def _single_doses(subject: Subject) -> bool:
    """Whether doses of a scenario say all of a subject's regimen: nothing changes in time, and time begins at 0 or later."""
    columns, _ = columns_of([subject])
    return not subject.bound and columns.time[0] >= 0 and bool((np.diff(columns.time) >= 0).all())


def _table(scenario: Scenario, record: Record) -> dict[str, Any]:
    """One record as a `[[dose]]` table."""
    hours = lambda value: f"{value!r} h"
    if not record.doses:
        return {"time": hours(record.time), "evid": 3}
    unit = dosed_unit(scenario.model, record.cmt)
    plain = unit in ("", "1")
    table: dict[str, Any] = {"cmt": record.cmt, "time": hours(record.time), "evid": record.evid}
    table["amt"] = record.amt if plain else f"{record.amt!r} {unit}"
    if record.rate:
        per_hour = f"{record.rate!r} 1/h" if plain else f"{record.rate!r} {unit}/h"
        table["rate"] = int(record.rate) if record.rate < 0 else per_hour
    if record.duration:
        table["duration"] = hours(record.duration)
    if record.ii:
        table |= {"ii": hours(record.ii), "addl": record.addl, "ss": record.ss}
    elif record.ss:
        table["ss"] = record.ss
    return table
