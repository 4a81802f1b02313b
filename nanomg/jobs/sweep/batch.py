"""The trajectories of a sweep, any range of them, solved block by block and reduced to what is kept.

    batch = Batch(scenario, design, kept=[keep_of("tumour.volume:final", scenario)], subjects=1000)
    batch.solve(0, 4096)["tumour.volume:final"]          # (trajectory,)

A trajectory is one subject at one point of the design; they are numbered with the subjects running fastest. What a range gives
depends on nothing but the numbers in it, so ranges can be solved anywhere and in any order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.analysis.readouts import WHOLE_COURSE
from nanomg.compute import devices, programs
from nanomg.errors import InputError
from nanomg.jobs.sweep.axes import SweepDesign
from nanomg.jobs.sweep.keep import RECORDS, SERIES, STATUS, SUBJECT, VALUE, Keep
from nanomg.jobs.sweep.lane_sources import SweptLanes, source_of
from nanomg.jobs.sweep.regimens import REGIMEN
from nanomg.library.scenario import Scenario
from nanomg.population.population import Population, check_columns, default_population, draw, values_of
from nanomg.simulation import blocks
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes, Plan, Trajectory
from nanomg.solver.rosenbrock import method_for
from nanomg.solver.status import Status

RTOL = 3e-5  # with its method the quickest whose worst error is below 1e-3 in benchmarks/


MEMORY = 5e8  # [bytes] of a core for trajectories under way
_MOST = 10_000_000_000  # trajectories of a sweep
_LATE = 64  # lanes of a block of those that would keep others waiting


class _Reduced(NamedTuple):
    """Lanes last in each: what is kept by label, (lane,) or (time, lane), and how each lane ended."""

    kept: dict[str, Any]
    status: Any


class SeenLanes(NamedTuple):
    """Lanes at their records, where these are observed, and at outputs, as in `Trajectory`; the rows that a series shows."""

    y: jax.Array
    forcing: jax.Array
    output: jax.Array  # (time, lane) [h]
    rows: jax.Array
    values: dict[str, Any]


class Trajectories:
    """All trajectories of a sweep. `subjects` 0: the typical subject alone, at each point of the design.

    `memory` [bytes] is what a core may use for trajectories under way; `most` how many are asked for at once, if that is known.
    Raises `InputError` where nothing varies, or for a regimen that a sweep cannot take.
    """

    def __init__(
        self,
        scenario: Scenario,
        design: SweepDesign,
        kept: Sequence[Keep],
        *,
        subjects: int = 0,
        population: Population | None = None,
        seed: int = 0,
        rtol: float = RTOL,
        precision: str = "float64",
        method: str | None = None,
        device: str = "auto",
        memory: float = MEMORY,
        most: int | None = None,
    ):
        if subjects < 0:
            raise InputError(f"the number of subjects must not be negative, but it is {subjects}", "--subjects")
        if not design.dims and not subjects:
            raise InputError("nothing varies; add an axis (--vary) or subjects (--subjects)", "sweep")
        if max(subjects, 1) * design.points > _MOST:
            raise InputError(f"these would be more than {_MOST:,} trajectories", "sweep")
        self.scenario, self.design = scenario, design
        self.kept = tuple(keep._replace(varied=keep.name in design.coords) for keep in kept)
        self.subjects, self.seed, self.rtol = subjects, seed, rtol
        self.population = population or default_population(scenario)
        self.typical = {**scenario.values, **(self.population.typical if subjects else {})}
        own = [name for name in design.columns if name in scenario.parameters]
        spread = draw(scenario, self.population, seed, 0, 1).relative if subjects else {}
        if subjects and not spread:
            raise InputError(
                "no parameter has between-subject variability (cv), so all subjects would be equal",
                f"scenario {scenario.name!r}",
            )
        varied = tuple(dict.fromkeys([*own, *spread]))
        self.memory, self.most = memory, most
        if subjects:
            check_columns(scenario, self.population)
        self.choice = devices.choose(device, self.total)
        chosen = method or method_for(rtol)
        self.source = source_of(scenario, design, self.kept, varied, method=chosen, precision=precision)
        self.plan = self.source.plan

    @property
    def dims(self) -> dict[str, int]:
        """The dimensions of the result, the last one fastest."""
        return {**self.design.dims, **({SUBJECT: self.subjects} if self.subjects else {})}

    @property
    def total(self) -> int:
        """How many trajectories there are."""
        return math.prod(self.dims.values())

    @property
    def regular(self) -> np.ndarray:
        """The times of a series [h]."""
        return self.source.regular

    @property
    def bytes_each(self) -> int:
        """What a trajectory takes in the result before it is compressed."""
        size = np.dtype(self.plan.precision).itemsize
        numbers = {SERIES: len(self.regular), RECORDS: self.source.most_records}
        return 1 + sum(size * numbers.get(keep.how, 1) for keep in self.kept)

    @functools.cached_property
    def block(self) -> int:
        """Lanes that are solved together."""
        needed = min(self.total, self.most or self.total)
        lanes = devices.ON_CPU
        if self._independent:  # the larger the blocks the less Python, but several for each core
            lanes = min(devices.INDEPENDENT, max(lanes, 1 << max(needed // 16, 1).bit_length() - 1))
        arms = 2 if self._rises else 1
        return devices.block_of(self.choice, arms * self.source.bytes_each, needed, self.memory, lanes)

    @property
    def _rises(self) -> bool:
        """Whether each trajectory is solved without its Mg, too."""
        return any(keep.rise for keep in self.kept)

    @property
    def _independent(self) -> bool:
        """Whether no lane of a block waits for another."""
        return simulation_lanes.independent(self.plan, self.choice.devices)

    # ------------------------------------------------------------ solving
    def solve(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """What is kept of trajectories `start` to `stop` - 1, (trajectory,), (trajectory, time) or (trajectory, record) by label,
        and `status`.

        NaN where a trajectory failed, and after the last of its records.
        """
        index = np.arange(start, stop)
        relative, covariates = self._subjects(index)
        lanes, rows, records = self._lanes(index, relative)
        without = self._lanes(index, relative, without=True).lanes if self._rises else None
        count = stop - start
        own = tuple(keep for keep in self.kept if keep.name not in covariates)

        def solve(chosen: np.ndarray, defer: bool) -> _Reduced:
            at, plan = rows[:, chosen], self.plan._replace(defer=defer)
            arms = [simulation_lanes.some_of(arm, chosen) for arm in (lanes, without) if arm is not None]
            with devices.using(self.choice):
                solved = [simulation_lanes.solve_block(plan, some, self.rtol, self.choice.devices) for some in arms]
                status = np.max([np.asarray(arm.status) for arm in solved], axis=0)
                if self._independent:
                    return _Reduced(_kept(plan, own, self.source.most_records, arms, solved, at), status)
                seen = [
                    SeenLanes(arm.y, arm.forcing, some.output, jnp.asarray(at), {**some.values, **arm.bound})
                    for some, arm in zip(arms, solved, strict=True)
                ]
                kept = _reduced(plan, own, self.source.most_records, seen)
            return _Reduced(jax.device_get(kept), status)

        if self._independent:
            found = blocks.solve_in_turn(solve, count, self.block)
        else:
            late = min(self.block, _LATE * len(self.choice.devices))
            found = blocks.solve_in_like_blocks(solve, count, self.block, late)
        good = found.status == Status.DONE
        kept = {**found.kept, **{keep.label: covariates[keep.name] for keep in self.kept if keep not in own}}
        real = self.plan.precision
        for keep in self.kept:
            if keep.how == RECORDS:
                there = np.arange(self.source.most_records)[:, None] < records
                kept[keep.label] = np.where(there, kept[keep.label], np.nan)
        kept = {name: np.where(good, values, np.nan).astype(real).T for name, values in kept.items()}
        return {**kept, STATUS: found.status.astype(np.int8)}

    def alone(self, number: int) -> tuple[Lanes, Trajectory]:
        """One trajectory by itself: its lane, and all of its course."""
        index = np.array([number])
        lanes = self._lanes(index, self._subjects(index)[0]).lanes
        return lanes, simulation_lanes.run(self.plan, lanes, self.rtol, defer=False)

    def _lanes(self, index: np.ndarray, relative: Mapping[str, np.ndarray], without: bool = False) -> SweptLanes:
        """Lanes of the trajectories of these numbers, or of the same without Mg."""
        at = self.design.at(index // max(self.subjects, 1))
        if without:
            at[REGIMEN] = np.ones(len(index), int)
        return self.source.lanes(at, self._values(at, relative), relative, len(index))

    def _values(self, at: Mapping[str, np.ndarray], relative: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Every parameter, a scalar or (lane,): a subject's own lies around the value of its point."""
        values: dict[str, Any] = dict(self.typical)
        values.update((name, v) for name, v in at.items() if name in values)
        return values_of(self.scenario, values, relative)

    def _subjects(self, index: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The subjects of trajectories, each drawn once: factors on parameters, and covariates at their points, (lane,)."""
        if not self.subjects:
            return {}, {}
        count, who = self.subjects, index % self.subjects
        first, last = int(who[0]), int(who[-1])
        spans = [(first, last + 1)] if first <= last else [(0, last + 1), (first, count)]
        if len(who) >= count:
            spans = [(0, count)]
        drawn = [draw(self.scenario, self.population, self.seed, *span) for span in spans]
        rows = np.searchsorted(np.concatenate([np.arange(*span) for span in spans]), who)
        joined = lambda parts: {name: np.concatenate([part[name] for part in parts])[rows] for name in parts[0]}
        covariates = [{name: values for name, (values, _) in part.covariates.items()} for part in drawn]
        at = self.design.at(index // count)
        times = {name: v / self.typical[name] for name, v in at.items() if self.typical.get(name)}
        return self.population.moved(times, joined([part.relative for part in drawn]), joined(covariates))


def _kept(
    plan: Plan,
    kept: tuple[Keep, ...],
    most_records: int,
    arms: Sequence[Lanes],
    solved: Sequence[Trajectory],
    rows: np.ndarray,
) -> dict[str, np.ndarray]:
    """What is kept of each lane, by label; `arms` are the lanes, and for a rise the same without Mg."""
    names = tuple(dict.fromkeys(keep.name for keep in kept))
    looks, *without = [simulation_lanes.observe(plan, *arm, names) for arm in zip(arms, solved, strict=True)]
    course = lambda keep: looks[keep.name] - without[0][keep.name] if keep.rise else looks[keep.name]
    return {keep.label: _value(keep, course(keep), most_records, arms[0].output, rows) for keep in kept}


@programs.compiled(0, 1, 2)
def _reduced(plan: Plan, kept: tuple[Keep, ...], most_records: int, arms: list[SeenLanes]) -> dict[str, jax.Array]:
    """The same of traced lanes."""
    seen, shape = arms[0], arms[0].y[:, 0].shape
    x, *without = [simulation_lanes.observables(plan.model, arm.values, arm.y, arm.forcing) for arm in arms]
    course = lambda keep: x[keep.name] - without[0][keep.name] if keep.rise else x[keep.name]
    value = lambda keep: _value(keep, jnp.broadcast_to(course(keep), shape), most_records, seen.output, seen.rows)
    return {keep.label: value(keep) for keep in kept}


def _value(keep: Keep, looks: Any, most_records: int, output: Any, rows: Any) -> Any:
    """What is kept of a quantity (look, lane), seen at the records, if those are observed, and at the output times."""
    curve = looks[len(looks) - len(output) :]
    if keep.how == SERIES:
        xp = np if isinstance(curve, np.ndarray) else jnp
        return xp.take_along_axis(curve, rows, 0)
    if keep.how == RECORDS:
        return looks[:most_records]
    if keep.how == VALUE:
        return looks[0]
    if isinstance(output, np.ndarray) and output.strides[-1] == 0:
        output = output[:, :1]  # all lanes have the same times
    return WHOLE_COURSE[keep.how].formula(output, curve, output[0], output[-1])
