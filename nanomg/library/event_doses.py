"""The regimen of an event table's only subject, as the doses of a scenario.

A job that solves a scenario for many values takes its regimen from a table in this way; other tables are rejected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nanomg.dosing.event_record import Record, Subject
from nanomg.dosing.event_table import header_of, parse_events, read_text
from nanomg.dosing.record_columns import columns_of
from nanomg.errors import InputError
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.library.scenario_file import rebuild


def with_events(scenario: Scenario, path: Path, library: Library) -> Scenario:
    """The scenario with the regimen of the event table in a file in place of its own.

    Raises `InputError` for a table of several subjects, for times that go back, and for columns that the scenario binds.
    """
    text, source = read_text(path), str(path)
    subjects = parse_events(text, source, scenario.model)
    if len(subjects) > 1:
        message = f"the table holds {len(subjects)} subjects, but this job takes the regimen of one; simulate takes all"
        raise InputError(message, source)
    header = {name.upper() for name in header_of(text, source)}
    for name, column in scenario.columns.items():
        if column.name.upper() in header:
            raise InputError(f"{name} follows column {column.name} in time, which only simulate can solve", source)
    (subject,) = subjects
    columns, _ = columns_of(subjects)
    if (np.diff(columns.time) < 0).any():
        raise InputError("time goes back at a reset, which only simulate can solve", source)
    tables = [_table(scenario, subject, r) for r in subject.records if r.doses or r.resets]
    config = {**scenario.config, "file": {**scenario.config["file"], "dose": tables}, "dose": ()}
    return rebuild(config, library)


def _table(scenario: Scenario, subject: Subject, record: Record) -> dict[str, Any]:
    """One record as a `[[dose]]` table."""
    if record.time < 0:
        raise InputError(f"a dose at {record.time:g} h is before 0 h", subject.where(record, "TIME"))
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
