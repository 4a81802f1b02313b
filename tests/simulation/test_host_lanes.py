"""Lanes with concrete values by machine code, without JAX around it, against the same lanes by JAX."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanomg.dosing.dose import Window
from nanomg.dosing.event_record import Record, Subject
from nanomg.equations.mechanism import AbstractMechanism, Flux, Scalar, Values, Var, param
from nanomg.equations.model import Model
from nanomg.jobs.sweep import axes
from nanomg.jobs.sweep import keep as sweep_keep
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import event_lanes
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes, Plan, Trajectory

CLOSE = 1e-9  # of the peak of each state, at a tight tolerance
RTOL = 1e-9


@functools.cache
def shipped(name: str) -> Scenario:
    return scenario_file.load(name, library())


def both(plan: Plan, lanes: Lanes, rtol: float = RTOL) -> tuple[Trajectory, Trajectory]:
    """By machine code, and by JAX."""
    return tuple(
        simulation_lanes.solve_block(plan._replace(engine=engine), lanes, rtol) for engine in ("native", "jax")
    )


def assert_close(found: Any, expected: Any, close: float = CLOSE) -> None:
    """Rows (look, …, lane), relative to the peak of each over the looks."""
    expected = np.asarray(expected)
    size = np.abs(expected).max(0, keepdims=True) + 1e-300
    assert found / size == pytest.approx(expected / size, rel=0, abs=close, nan_ok=True)


def test_a_scenario_with_subjects_and_its_quantities() -> None:
    """States, signals and inputs at all looks, and where each lane was at the end."""
    scenario = shipped("mouse-mc38-iv")
    varied = {"magnesium.GFR": np.array([0.7, 1.0, 1.2, 1.3, 0.9]) * scenario.values["magnesium.GFR"]}
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, tuple(varied))
    times = np.linspace(0.0, scenario.horizon, 15)
    lanes = simulation_lanes.lanes_for(plan, {**scenario.values, **varied}, scenario.doses, (), times, 5)
    found, expected = both(plan, lanes)
    assert isinstance(found.y, np.ndarray) and not found.status.any()
    assert_close(found.y, expected.y)
    assert_close(found.forcing, expected.forcing)
    np.testing.assert_allclose(found.stop.time, expected.stop.time)
    names = [*scenario.model.signals, "magnesium.GFR", *scenario.model.inputs]
    seen = simulation_lanes.observe(plan, lanes, found, names)
    also = simulation_lanes.observe(plan._replace(engine="jax"), lanes, expected, names)
    for name in names:
        assert_close(seen[name], also[name], 1e-8)


class Growth(AbstractMechanism):
    """A state that grows with its square, faster while an input is on."""

    name = "boom"
    states = {"boom.x": Var("mg", "amount")}
    inputs = {"boom.on": Var("1", "how fast it grows", default=0.5)}
    x_0: Scalar = param("mg", "amount at the start")

    def initial(self, x: Values) -> dict[str, Any]:
        return {"boom.x": self.x_0}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux(None, "boom.x", x["boom.on"] * x["boom.x"] ** 2)


def test_where_a_lane_stops() -> None:
    """Time, state and inputs of lanes that reach their pole, run out of steps, or start as no number."""
    window = Window("boom.on", 1.0, 2.0, 7.0)
    for x_0, options in (([0.1, 0.3, np.nan], {}), ([0.1, 0.11, 0.12], {"max_steps": 7})):
        plan = simulation_lanes.plan_for(Model(Growth), (), ("boom.x_0",), **options)
        times = np.array([0.0, 1.0, 3.0, 8.0])
        lanes = simulation_lanes.lanes_for(plan, {"boom.x_0": np.array(x_0)}, (), (window,), times, 3)
        found, expected = both(plan, lanes, 1e-6)
        assert found.status.tolist() == np.asarray(expected.status).tolist()
        failed = np.flatnonzero(found.status)
        assert len(failed) == (2 if not options else 3)
        assert found.accepted.tolist() == np.asarray(expected.accepted).tolist()
        for name in found.stop._fields:
            mine, theirs = (np.asarray(getattr(one.stop, name))[..., failed] for one in (found, expected))
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, err_msg=name)


SETTLED = (
    Record(1, 0.25, 1, 80.0, "pk.central", ii=6.0, ss=1),
    Record(2, 5.0, 1, 60.0, "pk.central", rate=5.0, ii=7.0, ss=2, addl=1),
    Record(3, 14.0, 1, 30.0, "pk.depot", ii=9.0, duration=2.5, ss=2),
    Record(4, 20.0, 1, 0.0, "pk.central", rate=3.0, ss=2),
    *(Record(9, t) for t in (21.0, 22.7, 30.0)),
)


def test_steady_states_with_columns() -> None:
    """Periods of several doses, a constant infusion, a column that holds on and one that follows straight lines."""
    scenario = shipped("textbook-2cpt")
    sizes = lambda t: {"VC": 35.0 + 10.0 * np.sin(t), "VP": 50.0 + 20.0 * np.cos(t)}
    records = tuple(replace(r, covariates=sizes(r.time)) for r in SETTLED)
    columns = {"pk.V": "VC", "pk.V2": "VP"}
    who = [Subject("1", records, columns), Subject("2", records[4:], columns), Subject("3", records[2:], columns)]
    values = {**scenario.values, "pk.CL": np.array([3.0, 4.0, 9.0]), "pk.Tlag_depot": 0.7}
    plan, lanes = event_lanes.prepare(scenario.model, values, who, varied=("pk.CL",), between={"pk.V2": "linear"})
    found, expected = both(plan, lanes)
    assert not found.status.any() and found.residual[0] > 0 and found.residual[1] == 0
    assert found.residual.max() < 1e-8
    assert_close(found.y, expected.y, 1e-8)


def test_a_steady_state_that_does_not_exist() -> None:
    """Nothing leaves: that lane is lost, and no other."""
    scenario = shipped("textbook-1cpt")
    who = Subject("1", (Record(1, 0.0, 1, 10.0, "pk.central", ii=6.0, ss=1), Record(9, 3.0)))
    values = {**scenario.values, "pk.CL": np.array([4.0, 0.0])}
    plan, lanes = event_lanes.prepare(scenario.model, values, [who] * 2, varied=("pk.CL",))
    found, expected = both(plan, lanes)
    assert found.status.tolist() == np.asarray(expected.status).tolist()
    assert found.status[0] == 0 and found.status[1] > 0
    assert np.isnan(found.y[..., 1]).all() and np.isfinite(found.y[..., 0]).all()


# ---------------------------------------------------------------- sweeps
KEPT = ("pk.C:final", "pk.C:max", "pk.C:auc", "pk.C:max 24 h mean", "pk.C:series", "pk.CL")


@pytest.mark.parametrize("vary", [(), ("dose.pk.depot.start=0..6 h:3",), ("dose.pk.depot.scale=0.5,2",)])
def test_a_sweep_keeps_the_same(vary: tuple[str, ...]) -> None:
    """Read-outs, a series and the value of a parameter, in blocks that do not divide their number; doses that move, too."""
    scenario = shipped("textbook-1cpt")
    laid = axes.lay_out((*vary, "pk.CL=2..9 L/h:7"), scenario)
    kept = sweep_keep.kept_of(KEPT, scenario)
    sweeps = [Trajectories(scenario, laid, kept, rtol=1e-8, most=8) for _ in range(2)]
    sweeps[1].plan = sweeps[1].plan._replace(engine="jax")
    found, expected = (one.solve(0, one.total) for one in sweeps)
    assert found.keys() == expected.keys() and not found["status"].any()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-6, abs=1e-9), name


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 40), st.integers(1, 12))
def test_blocks_of_any_size_give_the_same_numbers(lanes: int, size: int) -> None:
    """Bit for bit: no lane knows of the others."""
    scenario = shipped("textbook-1cpt")
    kept = sweep_keep.kept_of(("pk.C:final", "pk.C:series"), scenario)
    sweep = Trajectories(scenario, axes.lay_out(("pk.CL=2..9 L/h:40",), scenario), kept)
    sweep.plan = sweep.plan._replace(engine="native")
    whole = sweep.solve(0, lanes)
    sweep.__dict__["block"] = size
    parts = sweep.solve(0, lanes)
    for name, values in whole.items():
        np.testing.assert_array_equal(parts[name], values)
