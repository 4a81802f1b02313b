"""Event tables through a scenario: its subjects, their arms and hypotheses as lanes, and what becomes of each.

Arms are made by changing records, so that every arm has the same rows: a record that brings Mg becomes one that changes nothing,
or at steady state the steady state without any dose; given free, it brings the same Mg through the other port.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanomg import units
from nanomg.dosing.dose import Dose
from nanomg.dosing.event_table import Record, Subject, filled, parse_events
from nanomg.errors import InputError
from nanomg.library.scenario import Scenario
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import event_lanes
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.arms import AS_GIVEN, AS_SET, FREE, WITHOUT, Arms
from nanomg.simulation.roles import CONCENTRATION, HYPOTHESES, RESPONSE, SERUM
from nanomg.solver.status import Status

_MOST_LANES = 256  # solved at once
_MOST_EDGES = 300  # times of doses around which the series is looked at more closely
_MOST_TIMES = 100_000
_PAD = 32  # times are filled up to a multiple, so that similar tables share one compiled solve


@dataclasses.dataclass(frozen=True)
class EventRuns:
    """Trajectories of the subjects' arms under hypotheses: `data` is (regimen, hypothesis, subject, time), `status` without time.

    `times` is empty where some subject's time goes back, and `close` says whether they follow every dose. `seen` has the
    outputs in their display units at each record of a subject, as given and under the first hypothesis.
    """

    arms: Mapping[str, tuple[Subject, ...]]
    hypotheses: tuple[str, ...]
    times: np.ndarray
    close: bool
    data: Mapping[str, np.ndarray]
    status: np.ndarray
    seen: tuple[Mapping[str, np.ndarray], ...]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The subjects as given."""
        return self.arms[AS_GIVEN]

    def failures(self, i: int) -> list[Status]:
        """Why trajectories of one subject failed."""
        return [Status(int(code)) for code in self.status[:, :, i].ravel() if code != Status.DONE]

    def of(self, i: int) -> Arms:
        """The trajectories of one subject."""
        data = {name: y[:, :, i] for name, y in self.data.items()}
        return Arms(tuple(self.arms), self.hypotheses, {}, self.times, data, self.status[:, :, i])


# ---------------------------------------------------------------- subjects
def subjects_in(scenario: Scenario, text: str, source: str) -> tuple[Subject, ...]:
    """The subjects of an event table, their bound columns in the units of the parameters.

    Raises `InputError`, one sentence that names file, row and column.
    """
    names = {name: column.name for name, column in scenario.columns.items()}
    return tuple(_converted(scenario, s) for s in parse_events(text, source, scenario.model, names))


def _converted(scenario: Scenario, subject: Subject) -> Subject:
    """The subject with each bound parameter in a column of its own."""
    records = []
    for record in subject.records:
        own: dict[str, float | None] = {}
        for name, column in subject.bound.items():
            written, declared = record.covariates[column], scenario.model.parameters[name]
            own[name] = None if written is None else written * scenario.columns[name].factor
            if not 0.0 <= (own[name] or 0.0) <= min(declared.at_most, np.finfo(float).max):
                limit = f"between 0 and {declared.at_most:g}" if declared.at_most < np.inf else "0 or more, and finite"
                message = f"{name} must be {limit}, not {own[name]:g} {declared.unit}".rstrip(" 1")
                raise InputError(message, subject.where(record, column))
        records.append(dataclasses.replace(record, covariates={**record.covariates, **own}))
    return dataclasses.replace(subject, records=tuple(records), bound={name: name for name in subject.bound})


def subject_of(scenario: Scenario) -> Subject:
    """The scenario's own regimen as the records of one subject."""
    records = tuple(_record(row, dose) for row, dose in enumerate(scenario.doses, 1))
    return Subject("1", records, {}, f"scenario {scenario.name!r}, doses in order of time")


def _record(row: int, dose: Dose) -> Record:
    if not dose.amt and not dose.ss:
        return Record(row, dose.time, 3 if dose.resets else 2)
    duration = 0.0 if dose.rate else dose.duration
    return Record(row, dose.time, dose.evid, dose.amt, dose.cmt, dose.rate, dose.ii, ss=dose.ss, duration=duration)


# ---------------------------------------------------------------- arms
def brings_mg(scenario: Scenario, subject: Subject) -> bool:
    """Whether any dose of a subject carries Mg."""
    return any(r.doses and simulation_arms.carries(scenario.model, r.cmt) for r in subject.records)


def arms_of(scenario: Scenario, subjects: tuple[Subject, ...]) -> dict[str, tuple[Subject, ...]]:
    """The subjects as given, and their paired arms if anyone is given Mg."""
    arms = {AS_GIVEN: subjects}
    if any(brings_mg(scenario, subject) for subject in subjects):
        arms[WITHOUT] = tuple(_without_mg(scenario, subject) for subject in subjects)
        free = tuple(_given_free(scenario, subject) for subject in subjects)
        if free != subjects:
            arms[FREE] = free
    return arms


def _without_mg(scenario: Scenario, subject: Subject) -> Subject:
    def without(record: Record) -> Record:
        if not record.doses or not simulation_arms.carries(scenario.model, record.cmt):
            return record
        nothing = dataclasses.replace(record, amt=0.0, rate=0.0, duration=0.0, ii=0.0, addl=0)
        if record.ss == 1:
            return nothing
        return dataclasses.replace(nothing, evid=3 if record.resets else 2, ss=0)

    return dataclasses.replace(subject, records=tuple(map(without, subject.records)))


def _given_free(scenario: Scenario, subject: Subject) -> Subject:
    """The subject with the Mg of every carrier given unencapsulated; a dose at a modelled rate stays as it is."""
    model = scenario.model
    bound = [filled(subject, name, scenario.columns[name].between) for name in subject.bound]
    known: dict[tuple[float, ...], Mapping[str, Any]] = {}
    records = []
    for i, record in enumerate(subject.records):
        if record.doses and record.rate >= 0 and simulation_arms.carries(model, record.cmt):
            own = tuple(float(values[i]) for values in bound)
            if own not in known:
                known[own] = model.derive({**scenario.values, **dict(zip(subject.bound, own, strict=True))})
            if (to := simulation_arms.free_of(model, known[own], record.cmt)) is not None:
                cmt, share = to
                record = dataclasses.replace(record, cmt=cmt, amt=record.amt * share, rate=record.rate * share)
        records.append(record)
    return dataclasses.replace(subject, records=tuple(records))


# ---------------------------------------------------------------- the run
def run(scenario: Scenario, subjects: tuple[Subject, ...], precision: str = "float64") -> EventRuns:
    """Solve every arm of every subject under every hypothesis."""
    arms = arms_of(scenario, subjects)
    bound = {name for subject in subjects for name in subject.bound}
    hypotheses = (AS_SET,) if bound & set(HYPOTHESES.values()) else simulation_arms.hypotheses_of(scenario)
    times, close = times_of(scenario, subjects)
    model = scenario.model
    names = [*model.states, *model.signals]
    if len(subjects) > 1:  # what is shown and what is judged
        names = [n for n in names if n in scenario.outputs or n in (CONCENTRATION, RESPONSE, SERUM)]
    at_once = max(_MOST_LANES // (len(arms) * len(hypotheses)), 1)
    blocks = []
    for i in range(0, len(subjects), at_once):
        part = {name: all_[i : i + at_once] for name, all_ in arms.items()}
        if i:  # filled up with repeats, since a block of another size is another compiled program
            part = {name: (*some, *some[-1:] * (at_once - len(some))) for name, some in part.items()}
        blocks.append(_solve(scenario, part, hypotheses, times, names, precision))
    count = len(subjects)
    data = {name: np.concatenate([b[0][name] for b in blocks], 2)[:, :, :count] for name in names if len(times)}
    status = np.concatenate([block[1] for block in blocks], 2)[:, :, :count]
    seen = tuple(rows for block in blocks for rows in block[2])[:count]
    return EventRuns(arms, hypotheses, times, close, data, status, seen)


def _solve(
    scenario: Scenario,
    arms: Mapping[str, tuple[Subject, ...]],
    hypotheses: tuple[str, ...],
    times: np.ndarray,
    names: Sequence[str],
    precision: str,
) -> tuple[dict[str, np.ndarray], np.ndarray, list[Mapping[str, np.ndarray]]]:
    """Data, status and values at the records of one block of subjects."""
    count = len(arms[AS_GIVEN])
    shape = len(arms), len(hypotheses), count
    lanes = [subject for arm in arms.values() for _ in hypotheses for subject in arm]
    values: dict[str, Any] = dict(scenario.values)
    varied = tuple(HYPOTHESES.values()) if hypotheses != (AS_SET,) else ()
    for name in varied:
        weights = [values[name] if h == AS_SET else float(HYPOTHESES[h] == name) for h in hypotheses]
        values[name] = np.broadcast_to(np.array(weights)[:, None], shape).ravel()
    solved = event_lanes.run(
        scenario.model,
        values,
        lanes,
        outputs=np.pad(times, (0, -len(times) % _PAD), "edge") if len(times) else times,
        windows=scenario.windows,
        between={name: scenario.columns[name].between for name in lanes[0].bound},
        varied=varied,
        precision=precision,
    )
    data = {}
    if len(times):
        found = solved.at_outputs(names)
        data = {name: np.moveaxis(y[: len(times)].reshape(len(times), *shape), 0, -1) for name, y in found.items()}
    factors = {name: units.factor(scenario.model.unit(name), unit) for name, unit in scenario.outputs.items()}
    seen: list[Mapping[str, np.ndarray]] = [
        {name: np.asarray(rows[name]) * factor for name, factor in factors.items()}
        for rows in solved.at_records(list(scenario.outputs))[:count]  # the first arm and hypothesis come first
    ]
    return data, np.asarray(solved.status).reshape(shape), seen


def times_of(scenario: Scenario, subjects: Sequence[Subject]) -> tuple[np.ndarray, bool]:
    """The common times of the series, from the first record or 0 to the last record or the horizon, and whether they follow
    every dose; no times where a subject's time goes back."""
    rows = [[record.time for record in subject.records] for subject in subjects]
    if any(b < a for times in rows for a, b in itertools.pairwise(times)):
        return np.array([]), False
    first = min(0.0, *(times[0] for times in rows))
    last = max(scenario.horizon, *(times[-1] for times in rows))
    if not (last - first) / scenario.every <= _MOST_TIMES:
        raise InputError(
            f"from {first:g} h to {last:g} h there are more than {_MOST_TIMES} steps of {scenario.every:g} h; make `every` longer",
            subjects[0].source,
        )
    regular = np.arange(np.floor(first / scenario.every), np.ceil(last / scenario.every)) * scenario.every
    edges = _edges(subjects, last)
    close = len(edges) <= _MOST_EDGES
    probes = np.add.outer(sorted(edges), simulation_lanes.PROBES).ravel() if close else np.array([])
    times = np.union1d(np.append(regular, (first, last)), probes)
    times = times[(times >= first) & (times <= last)]
    return times[np.append(True, np.diff(times) > 1e-9)], close


def _edges(subjects: Sequence[Subject], last: float) -> set[float]:
    """When doses begin and end, as far as the records say; more than can be followed are not gathered."""
    edges: set[float] = set()
    for subject in subjects:
        for record in subject.records:
            if not record.doses:
                continue
            length = record.amt / record.rate if record.rate > 0 else record.duration
            for k in range(record.addl + 1):
                due = record.time + k * record.ii
                if due > last or len(edges) > _MOST_EDGES:
                    break
                edges |= {due, due + length}
    return edges


# ---------------------------------------------------------------- for other tools
def table_of(scenario: Scenario, found: EventRuns) -> str:
    """The records as a CSV table: their own columns as they stand, and each output in the unit in which it is shown.

    A value of a trajectory that failed is an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*found.subjects[0].records[0].cells, *scenario.outputs])
    for i, subject in enumerate(found.subjects):
        solved = found.status[0, 0, i] == Status.DONE
        for j, record in enumerate(subject.records):
            values = [repr(float(found.seen[i][name][j])) if solved else "" for name in scenario.outputs]
            writer.writerow([*record.cells.values(), *values])
    return text.getvalue()
