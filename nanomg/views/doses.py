"""Doses as a clinician reads them: what is given by which way, how much, on which days, over how long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.formatting import MISSING, format_number
from nanomg.page.blocks import Cell, Folded, Items, Table, Text, number_cell
from nanomg.page.result import ResultReader
from nanomg.results.attributes import unit_of
from nanomg.results.kinds import BASELINE
from nanomg.units import unit_text

_DAY = 24.0  # h
_MOST = 200  # rows of an event table that are shown
_LISTED = 8  # values of an axis that are listed one by one
_WHOLE = 1e-3  # [h] what counts as no time
_RESET_AND_DOSE = 4  # EVID

Row = Mapping[str, Any]


def blocks(result: ResultReader) -> list[Any]:
    """The doses of the regimen that the answer is about; those of the other arms are folded away.

    Of a sweep they are those of the scenario, and what the sweep varies of them stands above.
    """
    doses = result.group("doses")
    if doses is None or "cmt" not in doses:
        return [Text("The file has no table of doses.", "note")] if "parameters" in result.tree.children else []
    regimens = {str(r): list(_given(doses, i)) for i, r in enumerate(np.atleast_1d(doses.get("regimen", [result.arm])))}
    first = [name for name in (result.arm, BASELINE) if name in regimens] or [next(iter(regimens))]
    rest = [name for name in regimens if name not in first]
    varied = list(_varied(result))
    whose = ", the scenario's value, which the sweep varies" if varied else ""
    table = lambda name: _table(result, regimens[name], f"Regimen “{name}”{whose}")
    shown = [
        *([Items(changed)] if (changed := list(result.at("doses_changed") or ())) else []),
        *([Items(varied)] if varied else []),
        *map(table, first),
        Text("Day 1 begins with the run; “day 3 + 6 h” is 6 h into the third day.", "note"),
    ]
    return shown + ([Folded(f"The other arms: {', '.join(rest)}", list(map(table, rest)))] if rest else [])


def _varied(result: ResultReader) -> Iterator[str]:
    """What a sweep varies of the doses, and over which values."""
    data = result.group("sweep")
    known = {p["parameter"] for p in result.parameters}
    for name, axis in data.coords.items() if data is not None else ():
        if str(name).startswith("dose.") and name not in known:
            values, unit = np.unique(axis.values), unit_text(unit_of(axis.attrs)).replace(MISSING, "")
            shown = ", ".join(map(format_number, values))
            if len(values) > _LISTED:
                shown = f"{len(values):,} values from {format_number(values[0])} to {format_number(values[-1])}"
            yield f"The sweep varies the {axis.attrs.get('long_name', name)}: {shown} {unit}".rstrip() + "."


def _given(doses: Any, regimen: int) -> Iterator[Row]:
    columns = {str(k): v.values[regimen] for k, v in doses.items() if v.dims == ("regimen", "dose")}
    for i in range(doses.sizes.get("dose", 0)):
        row = {k: column[i] for k, column in columns.items()}
        if row.get("unit") or row.get("cmt") or row.get("evid", 0) > 2:
            yield row


def _table(result: ResultReader, rows: Sequence[Row], caption: str) -> Any:
    if not rows:
        return Text(f"{caption}: no doses.")
    return _records(result, rows, caption) if "evid" in rows[0] else _schedule(result, rows, caption)


def _schedule(result: ResultReader, rows: Sequence[Row], caption: str) -> Table:
    """Equal doses by the same way in one row, with the total of each way."""
    same: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        key = row["cmt"], row["unit"], float(f"{row['amt']:.4g}"), float(row["duration_h"])
        same.setdefault(key, []).append(float(row["time_h"]))
    totals = {row["cmt"]: sum(float(r["amt"]) for r in rows if r["cmt"] == row["cmt"]) for row in rows}
    order = {cmt: i for i, cmt in enumerate(totals)}
    cells = []
    for (cmt, unit, amount, hours), times in sorted(same.items(), key=lambda item: (order[item[0][0]], item[1][0])):
        total = totals.pop(cmt, None)
        cells.append(
            (
                result.name(cmt) if total is not None else "",
                number_cell(amount),
                unit,
                days(times),
                "at once" if not hours else f"over {format_number(hours, 3)} h",
                str(len(times)),
                Cell("") if total is None else number_cell(total),
            )
        )
    return Table(("what and how", "dose", "unit", "on", "given", "doses", "total"), "pruplrr", cells, caption)


def _records(result: ResultReader, rows: Sequence[Row], caption: str) -> Table:
    """Records of an event table, as they stand."""
    headers = (
        "subject",
        "on",
        "what and how",
        "dose",
        "unit",
        "given",
        "further doses",
        "every [h]",
        "steady state",
    )
    cells = [
        (
            str(row.get("subject", "")),
            days([float(row["time_h"])]),
            result.name(str(row["cmt"])) if row["cmt"] else _EMPTIED,
            number_cell(row["amt"]) if row["cmt"] and row["amt"] else "",
            str(row["unit"]),
            _given_how(result, row),
            format_number(row["addl"]) if row["addl"] else "",
            number_cell(row["ii_h"]) if row["ii_h"] else "",
            _STEADY.get(int(row["ss"]), ""),
        )
        for row in rows[:_MOST]
    ]
    more = f" (the first {_MOST} of {len(rows)} records)" if len(rows) > _MOST else ""
    return Table(headers, "llpruprrp", cells, caption + more)


_EMPTIED = "reset: every state is set to 0"
_STEADY = {1: "yes, replaces the current amounts", 2: "yes, added to the current amounts"}
_MODELLED = {-1.0: "at a modelled rate", -2.0: "over a modelled duration"}


def _given_how(result: ResultReader, row: Row) -> str:
    """Over how long a record gives its dose, and whether a reset comes before it."""
    if not row["cmt"]:
        return ""
    amount, rate, hours = (float(row[key]) for key in ("amt", "rate_per_h", "duration_h"))
    at = f"{format_number(rate)} {unit_text(str(row['unit']))}/h"
    if rate in _MODELLED:
        how = _MODELLED[rate]
    elif rate > 0 and not amount:
        how = f"at {at} all the time before, until now"
    elif rate > 0:
        times = ", times its bioavailability" if _is_scaled(result, str(row["cmt"])) else ""
        how = f"over {format_number(amount / rate, 3)} h{times}, at {at}"
    elif hours:
        how = f"over {format_number(hours, 3)} h"
    else:
        how = "at once" if amount else "nothing"
    return f"{how}, after a {_EMPTIED}" if row["evid"] == _RESET_AND_DOSE else how


def _is_scaled(result: ResultReader, cmt: str) -> bool:
    """Whether an infusion at a given rate into a port lasts longer or shorter by the port's bioavailability."""
    scenario = result.scenario
    share = scenario.model.ports[cmt].F if scenario is not None and cmt in scenario.model.ports else None
    if scenario is None or share is None:
        return False
    return share in scenario.columns or scenario.parameters[share].value != 1


def days(times: Sequence[float]) -> str:
    """Times [h] as days, the first being day 1: `days 2, 9, 16, 23`, `day 3 + 14.4 h`; equal steps of many are summed up."""
    steps = np.diff(times)
    if len(times) > 4 and np.allclose(steps, steps[0]) and steps[0] > 0:
        step = f"{format_number(steps[0] / _DAY, 3)} d" if steps[0] >= _DAY else f"{format_number(steps[0], 3)} h"
        return f"{_day(times[0])} to {_day(times[-1])}, every {step}"
    if len(times) > 1 and all(time % _DAY < _WHOLE for time in times):
        return "days " + ", ".join(str(int(time // _DAY) + 1) for time in times)
    return "; ".join(map(_day, times))


def _day(time: float) -> str:
    if not math.isfinite(time):
        return MISSING
    day, rest = divmod(round(time, 3), _DAY)
    return f"day {int(day) + 1}" + (f" + {format_number(rest, 3)} h" if rest > _WHOLE else "")
