"""What a summary says about trajectories: how they ended, and each output in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanomg.analysis.readouts import READ_OUTS, SUMMARISED
from nanomg.library.scenario import Scenario
from nanomg.simulation.arms import Arms
from nanomg.simulation.event_runs import EventRuns
from nanomg.solver.status import Status


def of_status(status: np.ndarray, reason: str = "") -> dict[str, Any]:
    """The worst ending, with a fuller reason if one is given, and how many trajectories did not reach their end."""
    worst = Status(int(status.max()))
    failed = int((status != Status.DONE).sum())
    return {"code": int(worst), "reason": reason or worst.reason, "failed": failed, "trajectories": int(status.size)}


def of_subjects(found: EventRuns) -> dict[str, Any]:
    """The same over all subjects, with the reason for each one that has a trajectory that failed."""
    some = np.flatnonzero((found.status != Status.DONE).any((0, 1))).tolist()
    failed = {found.subjects[i].id: {"failed": len(found.failures(i)), "reason": found.reason(i)} for i in some}
    return {**of_status(found.status, found.reason()), "subjects": len(found.subjects), "failed_subjects": failed}


def signals(scenario: Scenario, arms: Arms, regimen: str) -> dict[str, Any]:
    """Each output of one arm under the chosen hypothesis."""
    table = {}
    for name, unit in scenario.outputs.items():
        table[name] = _with_units(_measures(arms.pick(name, regimen, arms.hypotheses[0]), arms.times), unit)
    return table


def signals_of_subjects(scenario: Scenario, found: EventRuns) -> dict[str, Any]:
    """Each output as given under the chosen hypothesis: of one subject, or the median over those that were solved with
    their range. Where there are no common times, at the records alone."""
    table = {}
    solved = np.flatnonzero(found.status[0, 0] == Status.DONE).tolist()
    for name, unit in scenario.outputs.items():
        if len(found.times):
            rows = [_measures(found.data[name][0, 0, i], found.times) for i in solved]
        else:
            rows = [_measures(found.seen_by(i)[name], None) for i in solved]
        columns = {key: [row[key] for row in rows] or [np.nan] for key in SUMMARISED}
        table[name] = _with_units({key: float(np.median(column)) for key, column in columns.items()}, unit)
        if len(found.subjects) > 1:
            table[name]["range"] = {key: [min(column), max(column)] for key, column in columns.items()}
    return table


def _measures(y: np.ndarray, times: np.ndarray | None) -> dict[str, float]:
    """The read-outs of a curve (time,); without times those in order of the records alone, and no area."""
    t = np.arange(float(len(y))) if times is None else times
    measures = {name: float(READ_OUTS[name].formula(t, y, t[0], t[-1])) for name in SUMMARISED}
    return measures if times is not None else measures | {"auc": np.nan}


def _with_units(measures: dict[str, float], unit: str) -> dict[str, Any]:
    return {"unit": unit, **measures, "auc_unit": READ_OUTS["auc"].unit(unit)}
