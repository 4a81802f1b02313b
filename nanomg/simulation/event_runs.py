"""Event tables through a scenario: every arm of every subject under every hypothesis, in blocks on all cores or GPUs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nanomg.compute import devices
from nanomg.dosing import event_table
from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import columns_of
from nanomg.errors import InputError
from nanomg.library import event_doses
from nanomg.library.event_doses import EventTable
from nanomg.library.scenario import Scenario
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import blocks
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.arms import AS_GIVEN, AS_SET, Arms
from nanomg.simulation.event_arms import arms_of
from nanomg.simulation.event_times import common_times
from nanomg.simulation.failure import without_steady_state
from nanomg.simulation.roles import CONCENTRATION, HYPOTHESES, RESPONSE, SERUM
from nanomg.simulation.subject_lanes import SubjectLanes
from nanomg.solver.status import Status

RTOL = 1e-7  # tables are compared with closed forms and other programs, to 1e-6 down to a millionth of the peak
MEMORY = 5e8  # [bytes] of a core for the lanes being solved
_PAD = 32  # times are filled up to a multiple, so that similar tables share one compiled solve
_LATE = 64  # lanes of a block of slow lanes


@dataclasses.dataclass(frozen=True)
class EventRuns:
    """Trajectories of the subjects' arms under hypotheses: `data` is (regimen, hypothesis, subject, time), `status` without time.

    `times` is empty if only the records were requested, or if a subject's time decreases; `close`: whether they follow every
    dose. `seen` has the outputs at each record of all subjects, (record,), as given and under the first
    hypothesis; subject `i` has those from `bounds[i]` up to `bounds[i + 1]`.
    """

    arms: Mapping[str, tuple[Subject, ...]]
    hypotheses: tuple[str, ...]
    times: np.ndarray
    close: bool
    data: Mapping[str, np.ndarray]
    status: np.ndarray
    seen: Mapping[str, np.ndarray]
    bounds: np.ndarray
    lacks: Mapping[tuple[int, int, int], str]  # by regimen, hypothesis and subject: what is without a steady state

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The subjects as given."""
        return self.arms[AS_GIVEN]

    def failures(self, i: int) -> list[Status]:
        """Why trajectories of one subject failed."""
        return [Status(int(code)) for code in self.status[:, :, i].ravel() if code != Status.DONE]

    def reason(self, i: int | None = None) -> str:
        """The worst reason of all trajectories, or of those of one subject; without a steady state, that of which state."""
        worst = Status(int(np.max(self.status if i is None else self.status[:, :, i])))
        lacks = [text for (_, _, subject), text in self.lacks.items() if i in (None, subject)]
        return f"{worst.reason}: {lacks[0]}" if worst == Status.NO_STEADY_STATE and lacks else worst.reason

    def seen_by(self, i: int) -> dict[str, np.ndarray]:
        """The outputs at the records of one subject."""
        return {name: values[self.bounds[i] : self.bounds[i + 1]] for name, values in self.seen.items()}

    def of(self, i: int) -> Arms:
        """The trajectories of one subject."""
        data = {name: y[:, :, i] for name, y in self.data.items()}
        return Arms(tuple(self.arms), self.hypotheses, {}, self.times, data, self.status[:, :, i])


class _Solved(NamedTuple):
    """Some lanes, last in each: how they ended, and quantities at the records (record, lane) and at the times (time, lane)."""

    status: Any
    stopped: Any  # [h]
    worst: Any  # row of the state with the largest error, or without a steady state
    at_records: dict[str, Any]
    at_times: dict[str, Any]


def run(
    scenario: Scenario,
    subjects: tuple[Subject, ...],
    precision: str = "float64",
    series: bool = True,
    most: float = np.inf,
) -> EventRuns:
    """Solve every arm of every subject under every hypothesis.

    Without `series` subjects are solved as given under the first hypothesis, and only at their records. Raises `InputError`
    for series of more than `most` numbers.
    """
    arms = arms_of(scenario, subjects) if series else {AS_GIVEN: subjects}
    bound = {name for subject in subjects for name in subject.bound}
    hypotheses = (AS_SET,) if bound & set(HYPOTHESES.values()) else simulation_arms.hypotheses_of(scenario)
    hypotheses = hypotheses if series else hypotheses[:1]
    times, close = common_times(scenario, subjects) if series else (np.array([]), False)
    shape = len(subjects), len(arms), len(hypotheses)
    if (numbers := math.prod(shape) * len(times) * len(_shown(scenario, len(subjects)))) > most:
        size = f"{numbers:.2g} numbers ({8 * numbers / 1e9:.2g} GB of memory)"
        message = f"the series of {len(subjects)} subjects hold {size}; leave them out with --no-series, or ask for them (--series)"
        raise InputError(message, subjects[0].source)
    solved = _solved(scenario, arms, hypotheses, times, precision)
    order = (1, 2, 0)  # from (subject, regimen, hypothesis)
    data = {
        name: y[: len(times)].reshape(len(times), *shape).transpose(*(axis + 1 for axis in order), 0)
        for name, y in solved.at_times.items()
    }
    columns, bounds = columns_of(subjects)
    count = np.diff(bounds)
    subject = np.repeat(np.arange(len(subjects)), count)
    record = np.arange(len(columns.time)) - np.repeat(bounds[:-1], count)
    seen = {
        name: solved.at_records[name][record, subject * shape[1] * shape[2]]  # the first arm and hypothesis come first
        for name in scenario.outputs
    }
    status, stopped, worst = (
        np.asarray(a).reshape(shape).transpose(order) for a in (solved.status, solved.stopped, solved.worst)
    )
    states = list(scenario.model.states)
    lacks = {}
    for r, h, i in zip(*np.nonzero(status == Status.NO_STEADY_STATE), strict=True):
        subject = [*arms.values()][r][i]
        lacks[int(r), int(h), int(i)] = without_steady_state(
            scenario.model,
            subject,
            states[worst[r, h, i]],
            stopped[r, h, i],
            bool(scenario.subjects or len(subjects) > 1),
        )
    return EventRuns(arms, hypotheses, times, close, data, status, seen, bounds, lacks)


def _solved(
    scenario: Scenario,
    arms: Mapping[str, tuple[Subject, ...]],
    hypotheses: tuple[str, ...],
    times: np.ndarray,
    precision: str,
) -> _Solved:
    """All lanes, numbered with the hypotheses running fastest, then the arms."""
    weights = simulation_arms.weights_of(hypotheses, scenario.values)
    output = np.pad(times, (0, -len(times) % _PAD), "edge") if len(times) else times
    table = SubjectLanes(scenario, arms, output, tuple(weights), at_records=True, precision=precision)
    plan = table.plan
    names = _shown(scenario, len(arms[AS_GIVEN])) if len(times) else []
    shape = len(arms[AS_GIVEN]), len(arms), len(hypotheses)

    def solve(chosen: np.ndarray, defer: bool) -> _Solved:
        who, arm, hypothesis = np.unravel_index(chosen, shape)
        values = {**scenario.values, **{name: weight[hypothesis] for name, weight in weights.items()}}
        with devices.using(choice):
            lanes = table.lanes(values, who, arm, output)
            solved = simulation_lanes.solve_block(plan._replace(defer=defer), lanes, RTOL, choice.devices)
            observed = simulation_lanes.observe(plan, lanes, solved, [*dict.fromkeys([*scenario.outputs, *names])])
        rows = len(lanes.time)
        return _Solved(
            np.asarray(solved.status),
            np.asarray(solved.stop.time),
            np.asarray(solved.stop.worst),
            {name: observed[name][:rows] for name in scenario.outputs},
            {name: observed[name][rows:] for name in names},
        )

    lanes = shape[0] * shape[1] * shape[2]
    choice = devices.choose("auto", lanes)
    if simulation_lanes.independent(plan, choice.devices):
        size = devices.block_of(choice, table.bytes_each, lanes, MEMORY, devices.INDEPENDENT)
        return blocks.solve_in_turn(solve, lanes, size)
    size = min(devices.block_of(choice, table.bytes_each, lanes, MEMORY), lanes)
    late = min(size, _LATE * len(choice.devices))
    return blocks.solve_in_like_blocks(solve, lanes, size, late, choice.side)


def _shown(scenario: Scenario, subjects: int) -> list[str]:
    """The quantities of the series: all for one subject; for several the outputs and those that findings are based on."""
    names = [*scenario.model.states, *scenario.model.signals]
    if subjects == 1:
        return names
    return [n for n in names if n in scenario.outputs or n in (CONCENTRATION, RESPONSE, SERUM)]


# ---------------------------------------------------------------- for other tools
def record_lines(
    scenario: Scenario, runs: EventRuns, further: Mapping[str, np.ndarray], table: EventTable, source: str
) -> Iterator[str]:
    """The records as text of a table: the columns of the event table unchanged, each output in its declared unit, and further
    columns (record,).

    A value of a trajectory that failed is missing.
    """
    solved = np.repeat(runs.status[0, 0] == Status.DONE, np.diff(runs.bounds))
    added = {name: np.where(solved, values, np.nan) for name, values in {**runs.seen, **further}.items()}
    layout = event_doses.layout_in(scenario, table)
    return event_table.rewritten(table["text"], source, layout, runs.subjects, added)
