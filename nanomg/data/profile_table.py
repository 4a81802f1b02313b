"""Tables of measured concentrations: one row per sample, with doses as rows or in a column, in the field's names of columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nanomg import units
from nanomg.analysis.quantification import BLQ_RULES, BlqRule, apply_blq_rule
from nanomg.data.measured_cells import (
    check_cells,
    finite_number,
    is_flagged,
    measured_value,
    optional_number,
    read_measured_table,
)
from nanomg.data.profiles import ProfileDose, Profiles, profile_of
from nanomg.data.series import Line
from nanomg.dosing.cell_values import label_of
from nanomg.dosing.series import MOST_DOSES
from nanomg.errors import InputError, unknown

MEASURED_NAMES: Mapping[str, tuple[str, ...]] = {  # each column, and what else it may be called
    "ID": ("#ID", "@ID", "SUBJECT", "SUBJ", "SUBJID", "USUBJID"),
    "TIME": ("T",),
    "DV": ("CONC", "CONCENTRATION", "VALUE"),
    "MDV": (),
    "EVID": (),
    "AMT": ("AMOUNT",),
    "DOSE": (),
    "RATE": (),
    "DUR": ("DURATION", "TINF"),
    "II": ("TAU",),
    "ADDL": (),
    "SS": (),
    "BLQ": ("BLOQ", "BQL", "CENS"),
    "LLOQ": ("LOQ",),
}


class TableUnits(NamedTuple):
    """Units of a table of measurements, empty where they are not known: of concentrations, times, and doses."""

    concentration: str
    time: str = "h"
    dose: str = ""


def columns_by_name(header: Sequence[str], where: str, value: str | None = None) -> dict[str, str]:
    """The column of the table for each of `MEASURED_NAMES` that it has; `value` is the column of measured values.

    Raises `InputError` if there is no column of times or values, or two columns are the same.
    """
    found: dict[str, str] = {}
    for name, others in MEASURED_NAMES.items():
        for column in header:
            if column.upper() in (name, *others) and not (name == "DV" and value):
                if name in found:
                    raise InputError(f"columns {found[name]} and {column} are the same, keep one", where)
                found[name] = column
    if value:
        match = next((column for column in header if column.upper() == value.upper()), None)
        if match is None:
            raise unknown("column", value, header, where)
        found = {name: column for name, column in found.items() if column != match} | {"DV": match}
    for name, example in (("TIME", "TIME"), ("DV", "DV or CONC")):
        if name not in found:
            raise InputError(f"there is no column {example} among {', '.join(header)}", where)
    return found


def read_profiles(
    path: Path,
    given: TableUnits,
    *,
    value: str | None = None,
    amounts: bool = True,
    lloq: float = math.nan,
    blq: BlqRule = "0 then missing",
    since: float | None = None,
    tau: float | None = None,
) -> Profiles:
    """The profiles of a table, a subject each.

    Args:
        path: a table that `read_measured_table` reads, with the columns TIME and DV or CONC, and others of `MEASURED_NAMES`.
        given: units of the columns.
        value: the column of concentrations [default: DV or CONC].
        amounts: whether the amounts of doses are needed; their times are read in any case.
        lloq: lower limit of quantification, where the table does not say it [unit of concentrations].
        blq: rule for samples below the limit.
        since: time of the dose to analyse.
        tau: dosing interval.

    Returns:
        The profiles, with times since the dose of each subject.

    Raises:
        InputError: something is wrong with the table, or units are missing.
    """
    (header, rows), source = read_measured_table(path), str(path)
    column = columns_by_name(header, source, value)
    if not given.concentration:
        raise InputError(
            f"the table does not say the unit of {column['DV']}; give it with --unit, such as mg/L", source
        )
    for unit, option in zip(given, ("--unit", "--time-unit", "--dose-unit"), strict=True):
        units.checked(unit, option)
    check_cells(rows, column, source)
    by_id: dict[str, list[Line]] = {}
    for line, row in rows:
        by_id.setdefault(label_of(row[column["ID"]]) if "ID" in column else "1", []).append((line, row))
    dosed, low = False, 0
    members = []
    for label, lines in by_id.items():
        where = f"{source}, subject {label}" if "ID" in column else source
        doses = _doses(lines, column, source)
        dosed |= bool(doses)
        times, values, under = _samples(lines, column, source, lloq, blq)
        low += int(under.sum())
        if not len(times):
            raise InputError("there is no sample", where)
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        if (same := np.flatnonzero((np.diff(times) == 0) & np.isfinite(values[1:] + values[:-1]))).size:
            raise InputError(f"there are two values at one time ({times[same[0]]:g}); keep one, or their mean", where)
        members.append(profile_of({"ID": label}, times, values, doses, since, tau, where))
    dosed &= amounts
    if dosed and not given.dose:
        name = column.get("AMT") or column.get("DOSE")
        raise InputError(f"the table does not say the unit of {name}; give it with --dose-unit, such as mg", source)
    unused = [name for name in header if name not in column.values()]
    notes = [f"Samples below the limit of quantification: {low}; {BLQ_RULES[blq]}."] if low else []
    notes += [f"Doses: column {column.get('AMT') or column.get('DOSE')} [{given.dose}]."] if dosed else []
    notes += [f"Columns that were not used: {', '.join(unused)}."] if unused else []
    dose_unit = units.cf(given.dose) if dosed else ""
    return Profiles(
        column["DV"], units.cf(given.concentration), units.cf(given.time), dose_unit, tuple(members), tuple(notes)
    )


def _cell(row: Mapping[str, str], column: Mapping[str, str], name: str) -> str:
    return row[column[name]] if name in column else ""


def _number(line: Line, column: Mapping[str, str], name: str, source: str) -> float:
    """A number, NaN if it is missing or there is no such column."""
    at = f"{source}, row {line[0]}, column {column.get(name, name)}"
    return optional_number(_cell(line[1], column, name), at)


def _is_dose(line: Line, column: Mapping[str, str], source: str) -> bool:
    evid = _number(line, column, "EVID", source)
    return evid in (1, 4) if math.isfinite(evid) else _number(line, column, "AMT", source) > 0


def _doses(lines: Sequence[Line], column: Mapping[str, str], source: str) -> list[ProfileDose]:
    """The doses of a subject: its rows with an amount, else what the column DOSE says, at time 0."""
    found = []
    for line in lines:
        if _is_dose(line, column, source):
            read = lambda name, line=line: np.nan_to_num(_number(line, column, name, source))
            time, amount, rate = read("TIME"), read("AMT"), read("RATE")
            if rate < 0:
                raise InputError(
                    "a modelled rate or duration cannot be analysed; give the duration in a column DUR",
                    f"{source}, row {line[0]}, column {column['RATE']}",
                )
            if not (0 <= read("ADDL") < MOST_DOSES and read("ADDL") % 1 == 0):
                raise InputError(
                    f"ADDL must be a whole number from 0 to {MOST_DOSES - 1}, not {read('ADDL'):g}",
                    f"{source}, row {line[0]}, column {column['ADDL']}",
                )
            duration = read("DUR") or (amount / rate if rate > 0 else 0.0)
            times = time + read("II") * np.arange(int(read("ADDL")) + 1)
            steady = bool(read("SS"))
            found += [ProfileDose(float(t), float(amount), float(duration), steady) for t in times]
    if not found and "DOSE" in column:
        amounts = {_number(line, column, "DOSE", source) for line in lines}
        amounts = {amount for amount in amounts if math.isfinite(amount)}
        if len(amounts) > 1:
            at = f"{source}, row {lines[0][0]}, column {column['DOSE']}"
            raise InputError("a subject has several values; the column holds its one dose, at time 0", at)
        found = [ProfileDose(0.0, amount) for amount in amounts]
    return found


def _samples(
    lines: Sequence[Line], column: Mapping[str, str], source: str, lloq: float, blq: BlqRule
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times and concentrations of the rows that are samples, after the rule for those below the limit, and which these are."""
    times, values, below, limits = [], [], [], []
    for line in lines:
        number, row = line
        at = f"{source}, row {number}, column {column['DV']}"
        evid, mdv = (_number(line, column, name, source) for name in ("EVID", "MDV"))
        if evid > 0 or _is_dose(line, column, source):
            continue
        sample = measured_value(row[column["DV"]], at)
        flagged = is_flagged(_cell(row, column, "BLQ"), f"{source}, row {number}, column {column.get('BLQ')}")
        if mdv > 0 and not (sample.below or flagged):
            continue
        stated = _number(line, column, "LLOQ", source)
        limit = next((x for x in (sample.limit, stated, lloq) if math.isfinite(x)), math.nan)
        if flagged and not math.isfinite(limit):
            limit = sample.value
        is_below = sample.below or flagged or sample.value < limit
        if is_below and blq == "LLOQ/2" and not math.isfinite(limit):
            raise InputError("the limit of quantification is not known; write <0.5, or give --lloq", at)
        time = finite_number(row[column["TIME"]], f"{source}, row {number}, column {column['TIME']}")
        times.append(time)
        values.append(0.0 if is_below else sample.value)
        below.append(is_below)
        limits.append(limit)
    value, under = np.array(values, float), np.array(below, bool)
    value, excluded = apply_blq_rule(value, under, np.array(limits, float), blq)
    return np.array(times, float), np.where(excluded, np.nan, value), under
