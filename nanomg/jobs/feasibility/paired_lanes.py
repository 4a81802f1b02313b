"""Lanes of a regimen with and without its Mg: the first half of the lanes as given, the second without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanomg.library.scenario import Scenario
from nanomg.simulation import arms, event_arms, event_times
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.arms import AS_GIVEN
from nanomg.simulation.plan import Lanes, Plan
from nanomg.simulation.subject_lanes import SubjectLanes


class PairedRegimen(NamedTuple):
    """One regimen: its plan, its output times [h], and its lanes for values of parameters."""

    plan: Plan
    times: np.ndarray
    lanes: Callable[[Mapping[str, Any]], Lanes]


def paired_doses(scenario: Scenario, varied: Sequence[str], size: int) -> list[PairedRegimen]:
    """The scenario's doses, for `size` lanes of each half."""
    doses = scenario.doses
    plan = simulation_lanes.plan_for(scenario.model, doses, varied)
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, doses)
    brings = np.array([bool(arms.carries(scenario.model, d.cmt)) for d in doses])
    given = np.array([d.strength for d in doses])[:, None] * np.ones(2 * size)
    given[brings, size:] = 0.0

    def lanes(values: Mapping[str, Any]) -> Lanes:
        return simulation_lanes.lanes_for(plan, values, doses, scenario.windows, times, 2 * size, given)

    return [PairedRegimen(plan, times, lanes)]


def paired_subjects(scenario: Scenario, varied: Sequence[str], size: int) -> list[PairedRegimen]:
    """Each subject of the scenario's event table."""
    subjects = scenario.subjects
    times, _ = event_times.around_doses(scenario, subjects)
    both = {AS_GIVEN: subjects, **event_arms.without_mg(scenario, subjects)}
    table = SubjectLanes(scenario, both, times, varied)
    half = np.repeat([0, 1], size)

    def of(i: int) -> PairedRegimen:
        own = times[:, i]
        return PairedRegimen(table.plan, own, lambda values: table.lanes(values, np.full(2 * size, i), half, own))

    return [of(i) for i in range(len(subjects))]
