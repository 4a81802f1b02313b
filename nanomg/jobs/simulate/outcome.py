"""The outcome of a regimen and of its control arms under every hypothesis, and what of it is due to the Mg.

One table, computed here: the summary (`OutcomeTable`), the group `/outcome` of a file, the screen, the page, the conclusion and
comparisons all show it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nanomg import units
from nanomg.analysis.readouts import READ_OUTS
from nanomg.library.scenario import Scenario
from nanomg.results.kinds import (
    BASELINE,
    BASELINE_EFFECT,
    BASELINE_WITHOUT,
    CHANGE,
    FREE_EFFECT,
    MG_EFFECT,
    MINUS,
    REST,
)
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT, Arms
from nanomg.simulation.event_runs import EventRuns
from nanomg.simulation.roles import RESPONSE
from nanomg.solver.status import Status

END, MEAN, HIGHEST = "final", "mean", "max"

_MAIN = 3  # signals that are shown first
_LEAST = 1e-9  # of the largest value: what is below is a rest of rounding, and 0


@dataclasses.dataclass(frozen=True)
class OutcomeNumbers:
    """Read-outs of outputs, in the units that are declared.

    `values[signal][read-out]` is (regimen, hypothesis[, subject]), NaN where a trajectory failed;
    `differences[signal][read-out]` (comparison, hypothesis[, subject]), where `compared` has the two regimens of each comparison.
    """

    regimen: str
    regimens: tuple[str, ...]
    hypotheses: tuple[str, ...]
    subjects: tuple[str, ...] | None
    main: tuple[str, ...]
    units: Mapping[str, str]
    compared: Mapping[str, tuple[str, str]]
    values: Mapping[str, Mapping[str, np.ndarray]]
    differences: Mapping[str, Mapping[str, np.ndarray]]

    def typical(self, signal: str, read_out: str, of: str) -> dict[str, float]:
        """A regimen or a comparison under each hypothesis; of several subjects the median."""
        rows, names = (self.values, self.regimens) if of in self.regimens else (self.differences, tuple(self.compared))
        return dict(zip(self.hypotheses, _median(rows[signal][read_out][names.index(of)]), strict=True))

    def size(self, signal: str, read_out: str, comparison: str) -> float:
        """How large the numbers are that a difference is between, under any hypothesis."""
        values = [v for regimen in self.compared[comparison] for v in self.typical(signal, read_out, regimen).values()]
        return max((abs(value) for value in values if np.isfinite(value)), default=0.0)


def read_outs_of(unit: str) -> tuple[str, str]:
    """What is read off an output in this unit, the more telling first: of amounts and volumes the end, of all else the mean.

    Example:
        >>> read_outs_of("mm^3"), read_outs_of("mmol/L")
        (('final', 'mean'), ('mean', 'max'))
    """
    powers = [power for _, power in units.dimension(unit)]
    return (END, MEAN) if powers and min(powers) > 0 else (MEAN, HIGHEST)


def main_signals(scenario: Scenario) -> tuple[str, ...]:
    """The outputs that are shown first: the first one, those of the objective, and T-cell competence; none of a carrier itself."""
    carriers = {name.partition(".")[0] for name, port in scenario.model.ports.items() if port.free}
    outputs = [name for name in scenario.outputs if name.partition(".")[0] not in carriers]
    wanted = [*outputs[:1], *(term.signal for term in scenario.terms), RESPONSE]
    return tuple(dict.fromkeys(name for name in wanted if name in outputs))[:_MAIN] or tuple(scenario.outputs)[:1]


def of_arms(scenario: Scenario, arms: Arms, regimen: str = AS_GIVEN) -> OutcomeNumbers:
    """The outcome of the arms of one subject."""
    return _numbers(scenario, regimen, arms.regimens, arms.hypotheses, None, arms.times, arms.data, arms.status)


def of_subjects(scenario: Scenario, runs: EventRuns, chosen: Sequence[int]) -> OutcomeNumbers:
    """The outcome of the arms of some subjects of an event table, with differences within each subject."""
    data = {name: runs.data[name][:, :, chosen] for name in scenario.outputs}
    names = tuple(runs.subjects[i].id for i in chosen)
    regimens, status = tuple(runs.arms), runs.status[:, :, chosen]
    return _numbers(scenario, AS_GIVEN, regimens, runs.hypotheses, names, runs.times, data, status)


def _numbers(
    scenario: Scenario,
    regimen: str,
    regimens: tuple[str, ...],
    hypotheses: tuple[str, ...],
    subjects: tuple[str, ...] | None,
    times: np.ndarray,
    data: Mapping[str, np.ndarray],
    status: np.ndarray,
) -> OutcomeNumbers:
    compared = dict(_compared(regimen, regimens))
    pairs = [(regimens.index(one), regimens.index(other)) for one, other in compared.values()]
    values: dict[str, dict[str, np.ndarray]] = {}
    differences: dict[str, dict[str, np.ndarray]] = {}
    for name, unit in scenario.outputs.items():
        y = np.moveaxis(data[name], -1, 0)
        least = _LEAST * max(np.nanmax(np.abs(y), initial=0.0), 1.0 if unit == "1" else 0.0)
        values[name], differences[name] = {}, {}
        for read_out in read_outs_of(unit):
            found = np.asarray(READ_OUTS[read_out].formula(times, y, times[0], times[-1]), float)
            found = np.where(np.abs(found) < least, 0.0, found)
            found = np.where(status == Status.DONE, found, np.nan)
            values[name][read_out] = found
            differences[name][read_out] = np.array([found[a] - found[b] for a, b in pairs]).reshape(
                len(pairs), *found.shape[1:]
            )
    main, shown = main_signals(scenario), dict(scenario.outputs)
    return OutcomeNumbers(regimen, regimens, hypotheses, subjects, main, shown, compared, values, differences)


def _compared(regimen: str, regimens: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The differences that are of interest: what Mg does at otherwise equal doses, and what other changes do."""
    if WITHOUT in regimens:
        yield MG_EFFECT, (regimen, WITHOUT)
        if FREE in regimens:
            yield FREE_EFFECT, (FREE, WITHOUT)
    if BASELINE_WITHOUT in regimens:
        yield BASELINE_EFFECT, (BASELINE, BASELINE_WITHOUT)
    if BASELINE in regimens:
        now = WITHOUT if WITHOUT in regimens else regimen
        before = BASELINE_WITHOUT if BASELINE_WITHOUT in regimens else BASELINE
        if (now, before) != (regimen, BASELINE):
            yield REST, (now, before)
        yield CHANGE, (regimen, BASELINE)


def summary_of(found: OutcomeNumbers) -> dict[str, Any]:
    """The fields of `OutcomeTable`; of several subjects the median of each number, and the range of the differences."""
    return {
        "regimen": found.regimen,
        "regimens": found.regimens,
        "hypotheses": found.hypotheses,
        "main": found.main,
        "subjects": None if found.subjects is None else len(found.subjects),
        "compared": {name: f"{one}{MINUS}{other}" for name, (one, other) in found.compared.items()},
        "signals": {
            name: {
                "unit": unit,
                "by_regimen": _named(found, found.values[name], found.regimens),
                "differences": _named(found, found.differences[name], tuple(found.compared)),
                "ranges": None if found.subjects is None else _ranges(found, found.differences[name]),
            }
            for name, unit in found.units.items()
        },
    }


def _named(found: OutcomeNumbers, rows: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, Any]:
    return {
        read_out: {
            name: dict(zip(found.hypotheses, _median(row), strict=True)) for name, row in zip(names, array, strict=True)
        }
        for read_out, array in rows.items()
    }


def _ranges(found: OutcomeNumbers, rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    def ends(row: np.ndarray) -> dict[str, tuple[float, float]]:
        known = [values[np.isfinite(values)] for values in row]
        spans = [(float(v.min()), float(v.max())) if len(v) else (np.nan, np.nan) for v in known]
        return dict(zip(found.hypotheses, spans, strict=True))

    return {
        read_out: {name: ends(row) for name, row in zip(found.compared, array, strict=True)}
        for read_out, array in rows.items()
    }


def _median(row: np.ndarray) -> list[float]:
    """Numbers (hypothesis[, subject]) as one for each hypothesis."""
    if row.ndim == 1:
        return [float(value) for value in row]
    known = [values[np.isfinite(values)] for values in row]
    return [float(np.median(values)) if len(values) else np.nan for values in known]
