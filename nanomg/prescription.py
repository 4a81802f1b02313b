"""Doses as a clinician reads them: what is given by which way, how much, on which days, over how long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.datasets import BASELINE
from nanomg.facts import Facts
from nanomg.page import Cell, Folded, Table, Text, figure
from nanomg.wording import MISSING, number

_DAY = 24.0  # h
_MOST = 200  # rows of an event table that are shown
_WHOLE = 1e-3  # [h] what counts as no time

Row = Mapping[str, Any]


def blocks(facts: Facts) -> list[Any]:
    """The doses of the regimen that the answer is about; those of the other arms are folded away."""
    doses = facts.group("doses")
    if doses is None or "cmt" not in doses:
        return [Text("The file holds no table of doses.", "note")] if "parameters" in facts.tree.children else []
    regimens = {str(r): list(_given(doses, i)) for i, r in enumerate(np.atleast_1d(doses.get("regimen", [facts.arm])))}
    first = [name for name in (facts.arm, BASELINE) if name in regimens] or [next(iter(regimens))]
    rest = [name for name in regimens if name not in first]
    table = lambda name: _table(facts, regimens[name], f"Regimen “{name}”")
    shown = [*map(table, first), Text("Day 1 begins with the run; “day 3 + 6 h” is 6 h into the third day.", "note")]
    return shown + ([Folded(f"The other arms: {', '.join(rest)}", list(map(table, rest)))] if rest else [])


def _given(doses: Any, regimen: int) -> Iterator[Row]:
    columns = {str(k): v.values[regimen] for k, v in doses.items() if v.dims == ("regimen", "dose")}
    for i in range(doses.sizes.get("dose", 0)):
        row = {k: column[i] for k, column in columns.items()}
        if row.get("unit") or row.get("cmt") or row.get("evid", 0) > 2:
            yield row


def _table(facts: Facts, rows: Sequence[Row], caption: str) -> Any:
    if not rows:
        return Text(f"{caption}: nothing is given.")
    return _records(facts, rows, caption) if "evid" in rows[0] else _schedule(facts, rows, caption)


def _schedule(facts: Facts, rows: Sequence[Row], caption: str) -> Table:
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
                facts.name(cmt) if total is not None else "",
                figure(amount),
                unit,
                days(times),
                "at once" if not hours else f"over {number(hours, 3)} h",
                str(len(times)),
                Cell("") if total is None else figure(total),
            )
        )
    return Table(("what and how", "dose", "unit", "on", "given", "doses", "total"), "pruplrr", cells, caption)


def _records(facts: Facts, rows: Sequence[Row], caption: str) -> Table:
    """Records of an event table, as they stand."""
    headers = (
        "subject",
        "on",
        "what and how",
        "dose",
        "unit",
        "over [h]",
        "further doses",
        "every [h]",
        "steady state",
    )
    cells = [
        (
            str(row.get("subject", "")),
            days([float(row["time_h"])]),
            facts.name(str(row["cmt"])) if row["cmt"] else "everything back to its start",
            figure(row["amt"]) if row["cmt"] else "",
            str(row["unit"]),
            figure(row["duration_h"]) if row["duration_h"] else "",
            number(row["addl"]) if row["addl"] else "",
            figure(row["ii_h"]) if row["ii_h"] else "",
            "yes" if row["ss"] else "",
        )
        for row in rows[:_MOST]
    ]
    more = f" (the first {_MOST} of {len(rows)} records)" if len(rows) > _MOST else ""
    return Table(headers, "llprurrrl", cells, caption + more)


def days(times: Sequence[float]) -> str:
    """Times [h] as days, the first being day 1: `days 2, 9, 16, 23`, `day 3 + 14.4 h`; equal steps of many are summed up."""
    steps = np.diff(times)
    if len(times) > 4 and np.allclose(steps, steps[0]) and steps[0] > 0:
        step = f"{number(steps[0] / _DAY, 3)} d" if steps[0] >= _DAY else f"{number(steps[0], 3)} h"
        return f"{_day(times[0])} to {_day(times[-1])}, every {step}"
    if len(times) > 1 and all(time % _DAY < _WHOLE for time in times):
        return "days " + ", ".join(str(int(time // _DAY) + 1) for time in times)
    return "; ".join(map(_day, times))


def _day(time: float) -> str:
    if not math.isfinite(time):
        return MISSING
    day, rest = divmod(round(time, 3), _DAY)
    return f"day {int(day) + 1}" + (f" + {number(rest, 3)} h" if rest > _WHOLE else "")
