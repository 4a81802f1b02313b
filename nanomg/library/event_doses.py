"""The subjects of an event table as the regimen of a scenario.

Where single doses say all of a table of one subject, they take the place of the scenario's doses; else the scenario has subjects,
whose records do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.dosing import event_table, record_columns
from nanomg.dosing.bad_rows import BadRow, refused
from nanomg.dosing.column_names import TableLayout
from nanomg.dosing.event_record import Record, Subject
from nanomg.dosing.record_columns import Columns, columns_of
from nanomg.dosing.table_reading import TableReading
from nanomg.errors import unknown
from nanomg.library.event_layout import in_port_units, layout_of
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.library.scenario_file import rebuild

EventTable = Mapping[str, Any]  # its name and text, and how it is read: `sort`, `ignore`, the ID of the only `subject`


def subjects_in(
    scenario: Scenario, table: EventTable, source: str, columns: bool = True
) -> tuple[tuple[Subject, ...], TableReading]:
    """The subjects of an event table, and what was understood of it; without `columns` none sets a parameter.

    Bound columns are in the units of the parameters, amounts in those of the ports. Raises `InputError` that names file, row and
    column.
    """
    layout = layout_in(scenario, table, columns)
    subjects, reading = event_table.read_events(table["text"], source, scenario.model, layout)
    scaled = functools.partial(in_port_units, scenario, layout.hours["TIME"], source)
    if scenario.event_columns:
        subjects = record_columns.changed(subjects, scaled)
    if bound := subjects[0].bound:
        subjects = record_columns.changed(subjects, functools.partial(_converted, scenario, bound, source))
        subjects = tuple(dataclasses.replace(subject, bound={name: name for name in bound}) for subject in subjects)
    return subjects, reading.of(subjects)


def layout_in(scenario: Scenario, table: EventTable, columns: bool = True) -> TableLayout:
    """How an event table is to be read for a scenario."""
    return layout_of(scenario, columns, bool(table.get("sort")), str(table.get("ignore") or ""))


def _converted(scenario: Scenario, bound: Mapping[str, str], source: str, columns: Columns) -> Columns:
    """The records with each bound parameter in a column of its own."""
    with np.errstate(over="ignore"):
        converted = {name: columns.covariates[column] * scenario.columns[name].factor for name, column in bound.items()}
    bad: list[BadRow] = []
    for name, values in converted.items():
        declared = scenario.model.parameters[name]
        limit = f"between 0 and {declared.at_most:g}" if declared.at_most < np.inf else "0 or more, and finite"
        for i in np.flatnonzero((values < 0) | (values > min(declared.at_most, np.finfo(float).max))):
            message = f"{name} must be {limit}, not {values[i]:g} {declared.unit}".rstrip(" 1")
            bad.append(BadRow(int(columns.row[i]), bound[name], message))
    if bad:
        raise refused(bad, len(bad), source)
    return columns._replace(covariates={**columns.covariates, **converted})


# ---------------------------------------------------------------- in place of a scenario's doses
def with_events(
    scenario: Scenario,
    table: EventTable,
    library: Library,
    subject: str | None = None,
    records: bool = False,
    source: str | None = None,
) -> Scenario:
    """The scenario with the regimen of an event table in place of its own.

    Of the table all subjects, or the one whose ID is `subject`. With `records` the scenario has subjects in any case, so that
    they can be observed at their records. Raises `InputError` for a mistake in the table, which `source` names, and for an ID
    that it does not have.
    """
    chosen = _with_subjects(scenario, {**table, "subject": subject}, source or table["name"])
    if not records and len(chosen.subjects) == 1 and _single_doses(chosen.subjects[0]):
        (only,) = chosen.subjects
        tables = [_table(scenario, r) for r in only.records if r.doses or r.resets]
        file = {**chosen.config["file"], "dose": tables}
        made = rebuild({**scenario.config, "file": file, "dose": ()}, library)
        return dataclasses.replace(made, reading=chosen.reading)
    return chosen


def rebuild_with_events(config: Mapping[str, Any], library: Library) -> Scenario:
    """The scenario of a resolved configuration, with the subjects of its event table if it has one."""
    scenario = rebuild(config, library)
    return _with_subjects(scenario, config["events"], config["events"]["name"]) if "events" in config else scenario


def _with_subjects(scenario: Scenario, table: EventTable, source: str) -> Scenario:
    """The scenario with the subjects of a table: its text, how it is read, and the ID of the only subject or None."""
    only = table.get("subject")
    header = {name.upper() for name in event_table.header_of(table["text"], source, layout_in(scenario, table))}
    bound = any(column.name.upper() in header for column in scenario.columns.values())
    subjects, reading = subjects_in(scenario, table, source, bound)
    if only is not None:
        known = {subject.id: subject for subject in subjects}
        if only not in known:
            raise unknown("subject", only, known, source)
        subjects = (known[only],)
    named = titled(scenario, table["name"])
    config = {**named.config, "events": dict(table)}
    return dataclasses.replace(named, doses=(), subjects=subjects, reading=reading.of(subjects), config=config)


def titled(scenario: Scenario, table: str) -> Scenario:
    """The scenario with a title that names the event table whose doses it has."""
    title = f"{scenario.name} with the doses of {table}"
    config = {**scenario.config, "file": {**scenario.config["file"], "title": title}}
    return dataclasses.replace(scenario, title=title, config=config)


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
