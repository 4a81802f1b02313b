"""The subjects of an event table as lanes of a scenario: one plan and one size for all, whichever are solved together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import columns_of
from nanomg.library.scenario import Scenario
from nanomg.simulation import layout
from nanomg.simulation.plan import Lanes


class Given(NamedTuple):
    """What the records of lanes give, (record, lane): amount, or rate of an infusion that has always run, and its target."""

    strength: np.ndarray
    cmt: np.ndarray  # names, empty where nothing is given


class SubjectLanes:
    """Arms of subjects, each a lane of one plan.

    `arms` by name hold the same subjects in the same order; `output` are times of lanes [h], (time,) or (time, subject), that have
    the most of them; `at_records`: whether lanes are also observed at their records.
    """

    def __init__(
        self,
        scenario: Scenario,
        arms: Mapping[str, Sequence[Subject]],
        output: np.ndarray,
        varied: Sequence[str] = (),
        *,
        at_records: bool = False,
        **options: Any,
    ):
        self.scenario, self.arms, self.at_records = scenario, tuple(arms.values()), at_records
        everyone = [subject for arm in self.arms for subject in arm]
        between = {name: scenario.columns[name].between for name in everyone[0].bound}
        self.plan = layout.plan_of(scenario.model, everyone, varied, between, **options)
        latest = np.full(len(output), np.max(output, initial=-np.inf))
        self.sizes = layout.sizes_of(everyone, latest, scenario.windows)

    @property
    def bytes_each(self) -> int:
        """What a lane takes while it is solved, about."""
        model = self.plan.model
        rows = len(model.states) + 2 * len(self.plan.channels) + len(model.inputs) + len(self.plan.timed) + 12
        return 8 * self.sizes.actions * rows

    @property
    def records(self) -> np.ndarray:
        """How many records each subject has."""
        return np.array([len(subject.records) for subject in self.arms[0]])

    def subjects(self, who: np.ndarray, arm: np.ndarray) -> list[Subject]:
        """The subjects of lanes, each a number of a subject and of an arm."""
        return [self.arms[a][i] for a, i in zip(arm.tolist(), who.tolist(), strict=True)]

    def given(self, who: np.ndarray, arm: np.ndarray) -> Given:
        """What the records of lanes give, filled up with nothing."""
        pairs, lane = np.unique(np.stack([arm, who]), axis=1, return_inverse=True)
        columns, bounds = columns_of(self.subjects(pairs[1], pairs[0]))
        count = np.diff(bounds)
        row = np.arange(count.max())[:, None]
        at, on = bounds[:-1] + np.minimum(row, count - 1), row < count
        given = columns.doses[at] & on
        strength = np.where(columns.amt > 0, columns.amt, columns.rate)[at]
        names = np.array([*columns.names, ""], object)[columns.cmt[at]]
        return Given(*(np.where(given, rows, none)[:, lane.ravel()] for rows, none in ((strength, 0.0), (names, ""))))

    def lanes(
        self,
        values: Mapping[str, Any],
        who: np.ndarray,
        arm: np.ndarray,
        output: np.ndarray,
        amount: np.ndarray | None = None,
        factors: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> Lanes:
        """Lanes of these subjects and arms, each (lane,), at `output` (time, lane) or (time,) [h].

        `amount` (record, lane) replaces what `given` says; `factors` (lane,) multiply the columns that set these parameters.
        """
        return layout.lanes_of(
            self.plan,
            values,
            self.subjects(who, arm),
            output,
            self.scenario.windows,
            moved=layout.Moved(amount=amount),
            at_records=self.at_records,
            sizes=self.sizes,
            factors=factors,
        )
