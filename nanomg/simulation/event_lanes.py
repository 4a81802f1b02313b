"""Event records through a model by themselves, without a scenario: each subject is a lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanomg.dosing.dose import Window
from nanomg.dosing.event_record import Subject
from nanomg.equations.model import Model
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation import layout
from nanomg.simulation.plan import Lanes, Plan, Trajectory

RTOL = 1e-7  # tables are compared with closed forms and other programs, to 1e-6 down to a millionth of the peak


@dataclass(frozen=True)
class EventSolution:
    """Subjects that have been solved at their records and at common times; lanes in the order of the subjects."""

    plan: Plan
    lanes: Lanes
    subjects: tuple[Subject, ...]
    solved: Trajectory

    @property
    def status(self) -> np.ndarray:
        """How each lane ended, as `Status`."""
        return np.asarray(self.solved.status)

    @property
    def residual(self) -> np.ndarray:
        """How far one more period moves each lane's steady state, relative to its size; 0 without a steady state."""
        return np.asarray(self.solved.residual)

    def at_outputs(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """States, signals, inputs and parameters at the common times, each (time, lane)."""
        return {name: rows[len(self.lanes.time) :] for name, rows in self._observe(names).items()}

    def at_records(self, names: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """The same at the records of each lane, each (record,)."""
        found = self._observe(names)
        return [
            {name: rows[: len(subject.records), lane] for name, rows in found.items()}
            for lane, subject in enumerate(self.subjects)
        ]

    def _observe(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return simulation_lanes.observe(self.plan, self.lanes, self.solved, names)


def run(
    model: Model, values: Mapping[str, Any], subjects: Sequence[Subject], *, rtol: float = RTOL, **options: Any
) -> EventSolution:
    """Solve subjects as lanes of one block; `options` as for `prepare`. Raises `InputError` for records that make no sense."""
    plan, lanes = prepare(model, values, subjects, **options)
    return EventSolution(plan, lanes, tuple(subjects), simulation_lanes.solve_block(plan, lanes, rtol))


def prepare(
    model: Model,
    values: Mapping[str, Any],
    subjects: Sequence[Subject],
    *,
    outputs: Sequence[float] = (),
    windows: Sequence[Window] = (),
    between: Mapping[str, str] | None = None,
    varied: Sequence[str] = (),
    **options: Any,
) -> tuple[Plan, Lanes]:
    """The plan and the lanes of subjects.

    `values` gives every parameter, a number or one per lane where the name is in `varied`; `outputs` are further times [h] for all
    lanes; `between` is the interpolation of a bound parameter's column between rows, nocb by default.
    """
    plan = layout.plan_of(model, subjects, varied, between, **options)
    return plan, layout.lanes_of(plan, values, subjects, np.asarray(outputs, float), windows, at_records=True)
