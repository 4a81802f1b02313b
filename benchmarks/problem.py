"""What every tool solves: a shipped scenario under a regimen of 16 doses, subjects that differ in 25 parameters.

Doses lie off the output grid, so that no tool's convention for an output at the time of a dose matters.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import export
import numpy as np

from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.dose_course import events_of
from nanomg.simulation.plan import Lanes, Plan, channels

SCENARIO = "mouse-mc38-depot"
REGIMEN = {
    "mouse-mc38-depot": ("liposome.intratumoral: 0.5 mg q 3 d x 8 from 25 h", "pd1.ip: 0.1 mg q 3 d x 8 from 51 h"),
}
VARIED = 25
SPREAD = 0.25  # standard deviation of the logarithm


class Segments(NamedTuple):
    """Of one subject, the spans between changes: `S` spans, `C` dosed states, `I` inputs in time."""

    edges: np.ndarray  # (S + 1,) [h]
    jump: np.ndarray  # (S, C) added at the start of each span
    inflow: np.ndarray  # (S, C) per hour
    forcing: np.ndarray  # (S, I)
    first: np.ndarray  # (S + 1,) index of the first output at or after each edge; all outputs at the end


@dataclasses.dataclass(frozen=True)
class Problem:
    """The scenario, its right-hand side as scalar code, and the subjects."""

    scenario: Scenario
    names: tuple[str, ...]  # values that differ between subjects: parameters, then constants that follow from them
    channels: tuple[int, ...]
    outputs: np.ndarray  # (T,) [h]
    program: export.Program
    subjects: int  # whose worst error counts

    @functools.cached_property
    def population(self) -> dict[str, np.ndarray]:
        """Values of the varied parameters of subjects 0, 1, ...; the first are the same however many are asked for."""
        return draw(self.scenario, self.subjects)

    def plan(self, **options: Any) -> Plan:
        """The plan of nanomg."""
        return simulation_lanes.plan_for(self.scenario.model, self.scenario.doses, tuple(self.population), **options)

    def lanes(self, plan: Plan, batch: int) -> Lanes:
        """The first `batch` subjects as lanes of nanomg."""
        s = self.scenario
        values = {**s.values, **draw(s, batch)}
        return simulation_lanes.lanes_for(plan, values, s.doses, s.windows, self.outputs, batch)

    @functools.cached_property
    def _measured(self) -> tuple[Any, dict[str, np.ndarray], np.ndarray]:
        plan, model = self.plan(), self.scenario.model
        lanes = self.lanes(plan, self.subjects)
        x = model.derive(lanes.values)
        wide = {n: np.broadcast_to(np.asarray(x[n], float), self.subjects) for n in self.names}
        start = np.array([np.broadcast_to(np.asarray(v, float), self.subjects) for v in model.initial(x)])
        return events_of(plan, lanes, x), wide, start

    def values(self, subject: int) -> np.ndarray:
        """What the code calls p0, p1, ..."""
        return np.array([self._measured[1][n][subject] for n in self.names])

    def start(self, subject: int) -> np.ndarray:
        """The state at time 0."""
        return self._measured[2][:, subject]

    def segments(self, subject: int) -> Segments:
        """The spans of one subject, worked out here rather than by nanomg.solver.intervals."""
        found = self._measured[0]
        time, duration = np.asarray(found.time)[:, subject], np.asarray(found.duration)[:, subject]
        amount = np.asarray(found.amount)[:, :, subject]
        bolus = np.asarray(found.bolus)
        stop = np.where(bolus, time, time + duration)
        on, off = np.asarray(found.start)[:, subject], np.asarray(found.stop)[:, subject]
        inner = np.unique(np.concatenate([time, stop, on, off]))
        end = self.outputs[-1]
        edges = np.concatenate([[0.0], inner[(inner > 0) & (inner < end)], [end]])
        middle = (edges[:-1] + edges[1:]) / 2
        runs = (time <= middle[:, None]) & (middle[:, None] < stop)
        acts = (on <= middle[:, None]) & (middle[:, None] < off)
        return Segments(
            edges=edges,
            jump=(np.isclose(edges[:-1, None], time, rtol=0, atol=1e-12) & bolus) @ amount,
            inflow=runs @ (amount / np.where(bolus, 1.0, duration)[:, None]),
            forcing=np.asarray(found.base)[:, subject] + acts @ np.asarray(found.change)[:, :, subject],
            first=np.append(np.searchsorted(self.outputs, edges[:-1]), len(self.outputs)),
        )


def build(name: str = SCENARIO, subjects: int = 64) -> Problem:
    """The benchmark's problem on a shipped scenario."""
    scenario = scenario_file.load(name, library(), doses=REGIMEN.get(name, ()))
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, tuple(draw(scenario, 1)))
    values = {n: float(v) for n, v in scenario.model.derive(scenario.values).items()}
    return Problem(
        scenario,
        plan.varied,
        channels(scenario.model, plan.cmt),
        simulation_lanes.output_times(scenario.horizon, scenario.every),
        export.program_of(scenario.model, values, plan.varied),
        subjects,
    )


def draw(scenario: Scenario, count: int) -> dict[str, np.ndarray]:
    """Every fifth parameter that has a range in its card: log-normal about the card's value, within the range."""
    ranged = [p for p in scenario.parameters.values() if p.low and p.high and p.high > p.low > 0 and p.value > 0]
    chosen = ranged[:: max(1, len(ranged) // VARIED)][:VARIED]
    z = np.random.default_rng(3).standard_normal((count, len(chosen)))
    return {
        p.name: np.clip(p.value * np.exp(SPREAD * z[:, i]), p.low, p.high)  # type: ignore[type-var]
        for i, p in enumerate(chosen)
    }


def relative_error(y: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Of each subject: max over time and state of |y - reference| / (|reference| + 1e-3 peak); both (subject, time, state)."""
    size = np.abs(reference)
    size = size + 1e-3 * size.max(1, keepdims=True) + 1e-300
    return np.nan_to_num(np.abs(y - reference) / size, nan=np.inf).max((1, 2))
