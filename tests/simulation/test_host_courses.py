"""Intervals laid out in NumPy for concrete lanes are those of the traced functions, for every scenario and for random regimens."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from event_strategies import bioavailabilities, lags, subjects
from hypothesis import given, settings
from hypothesis import strategies as st

from nanomg.dosing.dose import Dose, Window
from nanomg.dosing.event_record import Record, Subject
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import dose_course, host_course, host_doses, host_records, layout, record_course
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes, Plan
from nanomg.solver import intervals

ROUNDING = 1e-14  # of the largest number of an array
LANES = 3
SPREAD = np.array([1.0, 0.8, 1.3])  # of what is varied, by lane


@functools.cache
def shipped(name: str) -> Scenario:
    return scenario_file.load(name, library())


def assert_same(plan: Plan, lanes: Lanes) -> None:
    """The course and the floor of lanes by both ways."""
    traced = dose_course if plan.records is None else record_course
    host = host_doses if plan.records is None else host_records
    order = lanes.order
    if order is None:
        edges = intervals.edges(dose_course.events_of(plan, lanes, plan.model.derive(lanes.values)))
        order = intervals.order_of(np.asarray(edges))
        np.testing.assert_array_equal(host_doses.edge_order(plan, lanes), order)
    expected = traced.course(plan, lanes._replace(order=order))
    start = host_course.start(plan.model, lanes.values, LANES, plan.engine)
    found = host.course(plan, lanes, start)
    used = found.length.shape[1]
    assert used == expected.intervals.used
    between = {name: a[:used] for name, a in expected.intervals._asdict().items() if name != "used"}
    floor = simulation_lanes.floor(plan.model, expected.largest)
    for name, array in {**between, **expected._asdict(), **expected.bound, "floor": floor}.items():
        if name in ("intervals", "bound"):
            continue
        mine = (
            host_course.floor(plan.model, found.largest)
            if name == "floor"
            else {**found._asdict(), **found.bound}[name]
        )
        theirs = np.moveaxis(np.asarray(array), -1, 0)
        size = np.abs(theirs).max(initial=0.0)
        wide = np.broadcast_to(mine, theirs.shape)
        assert wide == pytest.approx(theirs, rel=0, abs=ROUNDING * size, nan_ok=True), name


def varied_of(scenario: Scenario) -> dict[str, Any]:
    """Every third parameter by lane."""
    most = {name: declared.at_most for name, declared in scenario.model.parameters.items()}
    chosen = [name for name in list(most)[::3] if scenario.values[name]]
    return {name: np.minimum(scenario.values[name] * SPREAD, most[name]) for name in chosen}


NAMES = sorted(library().scenarios)


@pytest.mark.parametrize(
    ("name", "expanded"), [*((name, False) for name in NAMES), *((name, True) for name in NAMES[::5])]
)
def test_every_scenario(name: str, expanded: bool) -> None:
    """Its doses as they are, and those of some as records."""
    scenario = shipped(name)
    by_lane = varied_of(scenario)
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, tuple(by_lane), expanded or None)
    times = np.linspace(0.0, scenario.horizon, 9)
    values = {**scenario.values, **by_lane}
    assert_same(plan, simulation_lanes.lanes_for(plan, values, scenario.doses, scenario.windows, times, LANES))


# ---------------------------------------------------------------- random lists of doses
halves = st.integers(0, 20).map(lambda n: n / 2)
doses = st.builds(
    Dose,
    halves,
    st.integers(0, 20).map(float),
    st.sampled_from(["pk.central", "pk.depot"]),
    st.sampled_from([0.0, 0.0, 0.5, 3.0]),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(doses, max_size=6), st.lists(lags, min_size=LANES, max_size=LANES), bioavailabilities, st.booleans())
def test_random_doses(given_doses: list[Dose], lag: list[float], F: float, moved: bool) -> None:
    """Lags by lane change the order of events; times by lane, too."""
    scenario = shipped("textbook-2cpt")
    values = {**scenario.values, "pk.Tlag_depot": np.array(lag), "pk.F_central": F * np.ones(LANES)}
    plan = simulation_lanes.plan_for(scenario.model, given_doses, ("pk.Tlag_depot", "pk.F_central"))
    times = np.array([d.time for d in given_doses], float)[:, None] * (SPREAD if moved else np.ones(LANES))
    output = np.array([0.0, 1.0, 3.0, 3.5, 8.0, 30.0])
    assert_same(plan, simulation_lanes.lanes_for(plan, values, given_doses, (), output, LANES, time=times))


def test_windows_and_doses_at_one_time() -> None:
    """Windows of an input that begin and end at doses and outputs."""
    scenario = shipped("human-nsclc-iv-mgso4")
    windows = [Window(name, var.default + 1.0, 2.0, 6.0) for name, var in scenario.model.inputs.items()]
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses)
    assert_same(
        plan,
        simulation_lanes.lanes_for(
            plan, scenario.values, scenario.doses, windows, np.array([0.0, 2.0, 4.0, 6.0, 700.0]), LANES
        ),
    )


# ---------------------------------------------------------------- random records
def record_lanes(who: Sequence[Subject], values: Mapping[str, Any], **options: Any) -> tuple[Plan, Lanes]:
    scenario = shipped("textbook-2cpt")
    between = {name: how for name, how in (("pk.V", "locf"), ("pk.V2", "linear")) if name in who[0].bound}
    varied = tuple(name for name, value in values.items() if np.ndim(value))
    plan = layout.plan_of(scenario.model, who, varied, between)
    return plan, layout.lanes_of(plan, {**scenario.values, **values}, who, at_records=True, **options)


@settings(max_examples=15, deadline=None)
@given(st.lists(subjects(), min_size=LANES, max_size=LANES), st.lists(lags, min_size=LANES, max_size=LANES))
def test_random_records(who: list[Subject], lag: list[float]) -> None:
    """Resets, steady states and infusions, in lanes with lags of their own; records at an interval's end and further outputs."""
    assert_same(*record_lanes(who, {"pk.Tlag_central": np.array(lag)}, output=np.array([])))


COLUMNS = {"pk.V": "VC", "pk.V2": "VP", "pk.Tlag_central": "LAG"}


@settings(max_examples=15, deadline=None)
@given(st.lists(subjects(), min_size=LANES, max_size=LANES))
def test_random_records_with_columns(who: list[Subject]) -> None:
    """Columns that hold on, that follow straight lines, and that set a lag."""
    sizes = lambda t: {"VC": 35.0 + 10.0 * np.sin(t), "VP": 50.0 + 20.0 * np.cos(t), "LAG": 0.25 * (1.0 + np.sin(t))}
    bound = [Subject(one.id, tuple(replace(r, covariates=sizes(r.time)) for r in one.records), COLUMNS) for one in who]
    assert_same(*record_lanes(bound, {"pk.CL": SPREAD}, output=np.array([])))


def test_modelled_rates_and_windows() -> None:
    """A rate and a duration that are parameters, and windows of inputs over the records."""
    who = Subject(
        "1",
        (
            Record(1, 0.0, 1, 40.0, "pk.central", rate=-1.0),
            Record(2, 3.0, 1, 30.0, "pk.depot", rate=-2.0, ii=5.0, addl=2),
            Record(3, 20.0),
        ),
    )
    values = {"pk.rate_central": 15.0 * SPREAD, "pk.duration_depot": 3.5 * SPREAD, "pk.F_depot": 0.6 * SPREAD}
    assert_same(*record_lanes([who] * LANES, values, output=np.array([1.0, 4.0, 19.0])))
