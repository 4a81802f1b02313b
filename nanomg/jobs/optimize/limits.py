"""Limits as the search applies them: how far a value exceeds one, relative to its size."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nanomg.analysis.readouts import AREA, CURVE, READ_OUTS
from nanomg.equations.model import RISE
from nanomg.library.scenario import MAX, MIN, Limit, Scenario
from nanomg.simulation import lanes as simulation_lanes

# no time and no area on one side of a level: the curve stays on the other side of it, which is a limit with a slope
_NEVER = {"time above": MAX, "area above": MAX, "time below": MIN, "area below": MIN}


class AppliedLimit(NamedTuple):
    """A limit on a signal at every time, or on a `statistic` of it; `size` is what an excess is relative to."""

    signal: str
    bound: float  # [unit of the model]
    sign: float  # 1 for an upper limit, -1 for a lower one
    size: float
    statistic: str = ""
    level: float = 0.0

    def reading(self, times: Any, course: Any) -> Any:
        """The statistic (lane,) of courses (time, lane)."""
        readout = READ_OUTS[self.statistic]
        return readout.formula(times, course, times[0], times[-1], *((self.level,) if readout.level else ()))

    def excess(self, value: Any) -> Any:
        """How far a value exceeds the limit, relative to its size; negative within it."""
        return self.sign * (value - self.bound) / self.size


def applied(scenario: Scenario) -> tuple[AppliedLimit, ...]:
    """The limits of a scenario for its search."""
    return tuple(_applied(limit, scenario) for limit in scenario.limits)


def _applied(limit: Limit, scenario: Scenario) -> AppliedLimit:
    if limit.bound == 0 and limit.side == MAX and limit.statistic in _NEVER:
        side = _NEVER[limit.statistic]
        return _applied(Limit(limit.name, limit.signal, limit.level, side), scenario)
    return AppliedLimit(limit.signal, limit.bound, limit.sign, size_of(limit, scenario), limit.statistic, limit.level)


def size_of(limit: Limit, scenario: Scenario) -> float:
    """What an excess over a limit is relative to [unit of the model]: its bound, for a bound of 0 the size of what it limits."""
    if limit.bound:
        return abs(limit.bound)
    kind = READ_OUTS[limit.statistic].kind if limit.statistic else CURVE
    if kind == "h":
        return scenario.horizon
    if kind not in (CURVE, AREA):
        return 1.0
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses)
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, scenario.doses)
    lanes = simulation_lanes.lanes_for(plan, scenario.values, scenario.doses, scenario.windows, times)
    name = limit.signal.removesuffix(RISE) if scenario.model.is_rise(limit.signal) else limit.signal
    course = simulation_lanes.observe(plan, lanes, simulation_lanes.run(plan, lanes), [name])[name]
    highest = float(np.nanmax(np.abs(course), initial=0.0)) or 1.0
    return highest * scenario.horizon if kind == AREA else highest


def reached(limit: Limit, times: np.ndarray, course: np.ndarray) -> float:
    """What counts against a limit in one course (time,): its statistic, else the course's highest or lowest value."""
    name = limit.statistic or limit.side
    level = (limit.level,) if READ_OUTS[name].level else ()
    return float(READ_OUTS[name].formula(times, course, times[0], times[-1], *level))
