"""A study of a plain table of measured values: in the columns of NONMEM, or named `time` and `value`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanomg.data.measured_cells import (
    MISSING_CELLS,
    check_cells,
    finite_number,
    is_flagged,
    measured_value,
    optional_number,
    read_measured_table,
)
from nanomg.data.observations import ObservedRun
from nanomg.data.profile_table import columns_by_name
from nanomg.data.series import Line
from nanomg.data.studies import ERROR, Datum, FreeParameter, Study, datum_of, runs_with_card
from nanomg.dosing.cell_values import label_of
from nanomg.dosing.table_source import table_of
from nanomg.errors import InputError
from nanomg.library import event_doses, scenario_file
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.simulation import event_times

_OWN = ("SIGNAL", "UNIT", "SD", "RUN")  # columns beside those of every table of measured values
_DOSES = ("AMT", "RATE", "DUR", "II", "ADDL", "SS")
_PLACES = ("CMT", "COMPARTMENT", "UNTIL")  # columns of doses that no other table of measured values has
_KINDS = ("CMT", "DVID")  # columns that tell apart what was measured


def study_of_table(path: Path, scenario: str, free: Sequence[FreeParameter], library: Library, card: str) -> Study:
    """A study of a table with the columns TIME [h] and DV (or VALUE, CONC), and where needed ID, MDV, EVID, BLQ, LLOQ, signal,
    unit, sd and run (a scenario).

    Without the last ones a row means `scenario`, and the only signal that it shows, in the unit in which it is shown. Rows with
    doses replace those of the scenario, as in an event table.
    """
    (header, rows), where = read_measured_table(path), str(path)
    column = columns_by_name(header, where) | {c.upper(): c for c in header if c.upper() in _OWN}
    check_cells(rows, column, where)
    samples = [line for line in rows if _is_sample(line, column, where)]
    if not samples:
        raise InputError("the table has no sample", where)
    _check_kinds(samples, header, column, where)
    named = dict.fromkeys(_cell(row, column, "RUN") or scenario for _, row in samples)
    called = {name: Path(name).stem for name in named}  # a scenario may be the path of a file
    if len({*called.values()}) < len(named):
        called = dict(zip(named, named, strict=True))
    if "" in named:
        raise InputError("name the scenario with --scenario, or in a column 'run'", where)
    last = max(finite_number(row[column["TIME"]], _at(line, column, "TIME", where)) for line, row in samples)
    scenarios = {name: scenario_file.load(name, library) for name in named}
    horizons = {name: max(one.horizon, last) for name, one in scenarios.items()}
    entries = {called[name]: {"scenario": name, "horizon": f"{horizon!r} h"} for name, horizon in horizons.items()}
    runs = runs_with_card(entries, library, card, where, path.parent)
    shown = {called[name]: one.outputs for name, one in scenarios.items()}
    run_of = lambda row: called.get(_cell(row, column, "RUN") or scenario, "")
    named_rows = [(run_of(row), (line, row)) for line, row in rows if run_of(row)]
    dosed = _with_doses(runs, named_rows, column, path, library)
    regimen = [_regimen(name, run, runs[name]) for name, run in dosed.items()]
    data = [
        datum_of(_entry(line, column, run_of(line[1]), shown, path), dosed, f"{where}, row {line[0]}")
        for line in samples
    ]
    notes = [*filter(None, regimen), *_notes(header, column, data)]
    return Study(
        path.stem, f"data of {path.name}", path.stem, dosed, tuple(data), tuple(free), card, notes=tuple(notes)
    )


def _entry(
    line: Line, column: Mapping[str, str], run: str, shown: Mapping[str, Mapping[str, str]], path: Path
) -> dict[str, Any]:
    """A sample as a row of a study; `shown` are the outputs of the runs with their units."""
    number, row = line
    where = str(path)
    signal = _cell(row, column, "SIGNAL")
    if not signal and len(shown[run]) != 1:
        all_shown = ", ".join(shown[run]) or "none"
        raise InputError(
            f"name the signal in a column 'signal'; scenario {run!r} shows {all_shown}", f"{where}, row {number}"
        )
    signal = signal or next(iter(shown[run]))
    time = finite_number(row[column["TIME"]], _at(number, column, "TIME", where))
    return {
        "quantity": f"{signal} at {time:g} h",
        "series": f"{run}, {signal}",
        "run": run,
        "signal": signal,
        "time": f"{time!r} h",
        "unit": _cell(row, column, "UNIT") or shown[run].get(signal, ""),
        "source": path.stem,
        "subject": label_of(_cell(row, column, "ID")),
        **_value(line, column, where),
    }


def _cell(row: Mapping[str, str], column: Mapping[str, str], name: str) -> str:
    """A cell, empty if it is missing or there is no such column."""
    text = row[column[name]] if name in column else ""
    return "" if text in MISSING_CELLS else text


def _at(line: int, column: Mapping[str, str], name: str, where: str) -> str:
    return f"{where}, row {line}, column {column.get(name, name)}"


def _is_sample(line: Line, column: Mapping[str, str], where: str) -> bool:
    """Whether a row is one: no dose or other event, and no missing value."""
    number, row = line
    read = lambda name: optional_number(_cell(row, column, name), _at(number, column, name, where))
    evid, below = read("EVID"), measured_value(row[column["DV"]], _at(number, column, "DV", where))
    event = evid > 0 if math.isfinite(evid) else read("AMT") > 0
    unmeasured = math.isnan(below.value) and not below.below and not _flagged(line, column, where)
    return not (event or unmeasured or (read("MDV") > 0 and not below.below and not _flagged(line, column, where)))


def _flagged(line: Line, column: Mapping[str, str], where: str) -> bool:
    return is_flagged(_cell(line[1], column, "BLQ"), _at(line[0], column, "BLQ", where))


def _value(line: Line, column: Mapping[str, str], where: str) -> dict[str, Any]:
    """The value of a row and its error; a sample below the limit of quantification is a bound there."""
    number, row = line
    at = _at(number, column, "DV", where)
    sample = measured_value(row[column["DV"]], at)
    stated = optional_number(_cell(row, column, "LLOQ"), _at(number, column, "LLOQ", where))
    flagged = _flagged(line, column, where)
    limit = next((x for x in (sample.limit, stated, sample.value) if math.isfinite(x)), math.nan)
    if sample.below or flagged or sample.value < stated:
        if not limit > 0:
            raise InputError("the limit of quantification is not known; write <0.5, or add a column LLOQ", at)
        return {"value": limit, "bound": "upper", "sd": ERROR * limit}
    spread = optional_number(_cell(row, column, "SD"), _at(number, column, "SD", where))
    return {"value": sample.value} | ({"sd": spread} if math.isfinite(spread) else {})


def _check_kinds(samples: Sequence[Line], header: Sequence[str], column: Mapping[str, str], where: str) -> None:
    """Reject a table that holds several quantities without a column that names them."""
    for name in header:
        kinds = {row[name] for _, row in samples} - MISSING_CELLS
        if name.upper() in _KINDS and len(kinds) > 1 and "SIGNAL" not in column:
            listed = ", ".join(sorted(kinds))
            raise InputError(
                f"the samples are of several kinds ({name} {listed}); name each in a column 'signal'", where
            )


def _with_doses(
    runs: Mapping[str, ObservedRun],
    rows: Sequence[tuple[str, Line]],
    column: Mapping[str, str],
    path: Path,
    library: Library,
) -> dict[str, ObservedRun]:
    """The runs with the regimen of the table's rows in place of the scenario's, where it has doses; `rows` name their run.

    Raises `InputError` if the subjects of a run have different doses, or parameters that follow columns.
    """
    where = str(path)
    given: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    for run, (number, row) in rows:
        read = lambda name, row=row, number=number: optional_number(
            _cell(row, column, name), _at(number, column, name, where)
        )
        doses = given.setdefault(run, {}).setdefault(label_of(_cell(row, column, "ID")), [])
        if read("AMT") > 0:
            doses.append(tuple(np.nan_to_num([read(name) for name in ("TIME", *_DOSES)])))
    found = dict(runs)
    for run, regimens in given.items():
        if not any(regimens.values()):
            continue
        if len(given) > 1 and "" in regimens:
            raise InputError("a table with doses and several runs needs the column ID", where)
        first, *others = regimens
        if different := next((one for one in others if regimens[one] != regimens[first]), None):
            raise InputError(
                f"subjects {first} and {different} have different doses, and a run has one regimen; "
                "name a scenario for each in a column 'run'",
                where,
            )
        scenario = event_doses.with_events(runs[run].scenario, table_of(path), library, first or None, source=where)
        event_times.check_one_clock(scenario.subjects)
        if scenario.bound and others:
            names = ", ".join(sorted(scenario.bound))
            raise InputError(f"subjects cannot be pooled where parameters follow columns ({names})", where)
        found[run] = dataclasses.replace(runs[run], scenario=_read_once(scenario))
    return found


def _read_once(scenario: Scenario) -> Scenario:
    """The scenario without what the reading of its doses says of samples, which `_notes` says of the whole table."""
    if scenario.reading is None:
        return scenario
    return dataclasses.replace(scenario, reading=dataclasses.replace(scenario.reading, unused=(), unquantified=0))


def _regimen(name: str, run: ObservedRun, before: ObservedRun) -> str:
    """Whose doses a run has, if those are the table's."""
    if run is before:
        return ""
    scenario = run.scenario
    ports = {dose.cmt for dose in scenario.doses} | {
        record.cmt for subject in scenario.subjects for record in subject.records if record.doses
    }
    return f"The doses of run {name} are those of the table, into {', '.join(sorted(ports))}."


def _notes(header: Sequence[str], column: Mapping[str, str], data: Sequence[Datum]) -> list[str]:
    """What was made of the table."""
    below = sum(datum.row.bound == "upper" for datum in data)
    notes = []
    if below:
        notes.append(
            f"Samples below the limit of quantification: {below}; each counts only as far as its prediction is above the limit."
        )
    used = {column[name] for name in column if name != "DOSE"} | {name for name in header if name.upper() in _PLACES}
    if unused := [name for name in header if name not in used]:
        notes.append(f"Columns that were not used: {', '.join(unused)}.")
    return notes
