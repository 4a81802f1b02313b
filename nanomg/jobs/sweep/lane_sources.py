"""Where the lanes of a sweep come from: the scenario's doses, or the subjects of its event table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from nanomg.jobs.sweep.axes import SweepDesign
from nanomg.jobs.sweep.keep import RECORDS, SERIES, VALUE, Keep
from nanomg.jobs.sweep.regimens import ID, MOVING, REGIMEN, check_table, regimens, table_amounts
from nanomg.library.scenario import Scenario
from nanomg.simulation import event_arms, event_times
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.arms import AS_GIVEN
from nanomg.simulation.plan import Lanes, Plan
from nanomg.simulation.subject_lanes import SubjectLanes

_CHECKED = 1 << 16  # points whose doses are checked together


class SweptLanes(NamedTuple):
    """Lanes, the rows of their output times that a series shows (row, lane), and how many records each has (lane,)."""

    lanes: Lanes
    rows: np.ndarray
    records: np.ndarray


class LaneSource(Protocol):
    """What a sweep asks for lanes; `regular` are the times of a series [h], `most_records` the most that a lane has."""

    plan: Plan
    regular: np.ndarray
    most_records: int

    @property
    def bytes_each(self) -> int:
        """What a lane takes while it is solved, about."""

    def lanes(
        self, at: Mapping[str, np.ndarray], values: Mapping[str, Any], relative: Mapping[str, np.ndarray], count: int
    ) -> SweptLanes:
        """Lanes at the columns' values of a design; `relative` (lane,) are factors of subjects on parameters."""


def source_of(
    scenario: Scenario, design: SweepDesign, kept: Sequence[Keep], varied: Sequence[str], **options: Any
) -> LaneSource:
    """The source of a scenario's lanes. Raises `InputError` for doses, or for what is kept, that make no sense."""
    if scenario.subjects:
        return TableSource(scenario, design, kept, varied, **options)
    return DoseSource(scenario, design, kept, varied, **options)


# ---------------------------------------------------------------- the scenario's doses
class DoseSource:
    """Lanes of the scenario's doses, with the properties that a design gives them."""

    most_records = 0

    def __init__(
        self, scenario: Scenario, design: SweepDesign, kept: Sequence[Keep], varied: Sequence[str], **options: Any
    ):
        self.scenario = scenario
        self.plan = simulation_lanes.plan_for(scenario.model, scenario.doses, varied, **options)
        self.regular = simulation_lanes.output_times(scenario.horizon, scenario.every)
        self._along = any(keep.along for keep in kept)
        self._series = any(keep.how == SERIES for keep in kept)
        self._moving = any(name.endswith(MOVING) for name in design.columns)
        for first in range(0, design.points, _CHECKED):
            some = np.arange(first, min(first + _CHECKED, design.points))
            regimens(scenario, design.at(some), len(some))
        one = regimens(scenario, design.at(np.zeros(1, int)), 1)
        self._rows = len(self._times(one.time, one.duration)[0]) + 2 * len(scenario.doses) + 2 * len(scenario.windows)

    @property
    def bytes_each(self) -> int:
        """What a lane takes while it is solved, about."""
        model = self.plan.model
        return 8 * self._rows * (len(model.states) + 2 * len(self.scenario.doses) + len(model.inputs) + 1)

    def lanes(
        self, at: Mapping[str, np.ndarray], values: Mapping[str, Any], relative: Mapping[str, np.ndarray], count: int
    ) -> SweptLanes:
        """Lanes at the columns' values of a design."""
        doses = regimens(self.scenario, at, count)
        times, rows = self._times(doses.time, doses.duration)
        scenario = self.scenario
        lanes = simulation_lanes.lanes_for(
            self.plan, values, scenario.doses, scenario.windows, times, count, **doses._asdict()
        )
        return SweptLanes(lanes, np.broadcast_to(rows, (len(rows), count)), np.zeros(count, int))

    def _times(self, time: np.ndarray, duration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Output times (time, lane) [h] for doses at these times, and the rows among them that a series shows (row, lane)."""
        horizon, regular = self.scenario.horizon, self.regular
        if not self._along:
            return _unmoved(regular if self._series else np.array([0.0, horizon]))
        if not self._moving:
            times = simulation_lanes.output_times(horizon, self.scenario.every, self.scenario.doses)
            return times[:, None], _nearest(times, regular)[:, None]
        infused = np.array([dose.duration > 0 for dose in self.scenario.doses])
        return event_times.around_edges(regular, np.concatenate([time, (time + duration)[infused]]))


# ---------------------------------------------------------------- the subjects of a table
class TableSource:
    """Lanes of the subjects of the scenario's event table, with amounts that a design gives them."""

    def __init__(
        self, scenario: Scenario, design: SweepDesign, kept: Sequence[Keep], varied: Sequence[str], **options: Any
    ):
        self.scenario = scenario
        subjects = scenario.subjects
        for keep in kept:
            if keep.how not in (RECORDS, VALUE):
                event_times.check_one_clock(subjects, f"; keep values at the records (--keep {keep.name}:{RECORDS})")
        self._times, self._rows = self._looks(kept, bool(event_times.goes_back(subjects).any()))
        at_records = any(keep.how == RECORDS for keep in kept) or not len(self._times)
        arms = {AS_GIVEN: subjects}
        if REGIMEN in design.columns or any(keep.rise for keep in kept):
            arms |= event_arms.without_mg(scenario, subjects)
        self.table = SubjectLanes(scenario, arms, self._times, varied, at_records=at_records, **options)
        self.plan = self.table.plan
        self.most_records = int(self.table.records.max()) if at_records else 0
        check_table(scenario, design.columns)

    @property
    def bytes_each(self) -> int:
        """What a lane takes while it is solved, about."""
        return self.table.bytes_each

    def lanes(
        self, at: Mapping[str, np.ndarray], values: Mapping[str, Any], relative: Mapping[str, np.ndarray], count: int
    ) -> SweptLanes:
        """Lanes at the columns' values of a design."""
        none = np.zeros(count, int)
        who, arm = at.get(ID, none), at.get(REGIMEN, none)
        columns = self.scenario.bound
        amount = table_amounts(self.scenario, self.table, at, who, arm)
        factors = {name: factor for name, factor in relative.items() if name in columns}
        values = {**values, **{name: self.scenario.values[name] for name in columns}}
        pick = lambda a: a[:, who] if a.shape[1] > 1 else np.broadcast_to(a, (len(a), count))
        lanes = self.table.lanes(values, who, arm, pick(self._times), amount, factors)
        return SweptLanes(lanes, pick(self._rows), self.table.records[who])

    def _looks(self, kept: Sequence[Keep], back: bool) -> tuple[np.ndarray, np.ndarray]:
        """Output times (time, subject or 1) [h], and the rows among them that a series shows."""
        if back:
            self.regular = np.zeros(0)
            return _unmoved(self.regular)
        self.regular = event_times.regular_times(self.scenario, self.scenario.subjects)
        if any(keep.along for keep in kept):
            return event_times.around_doses(self.scenario, self.scenario.subjects)
        return _unmoved(self.regular if any(keep.how == SERIES for keep in kept) else self.regular[[0, -1]])


# ---------------------------------------------------------------- times
def _unmoved(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of all lanes (time, 1), each in a series."""
    return times[:, None], np.arange(len(times))[:, None]


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each time that is wanted the first one of those (in order) that are nearest."""
    after = np.searchsorted(times, wanted).clip(0, len(times) - 1)
    before = np.searchsorted(times, times[np.maximum(after - 1, 0)])
    return np.where(wanted - times[before] <= times[after] - wanted, before, after)
