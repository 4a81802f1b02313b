"""One regimen as single doses and as event records, by every job: the same numbers, and those of closed forms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textbook import MG, K, V, textbook

from nanomg.dosing.dose import Dose, Window
from nanomg.errors import InputError
from nanomg.jobs.sensitivity import run as sensitivity_run
from nanomg.jobs.simulate import run as simulate_run
from nanomg.jobs.sweep import axes
from nanomg.jobs.sweep import keep as sweep_keep
from nanomg.jobs.sweep import run as sweep_run
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import event_runs
from nanomg.simulation import lanes as simulation_lanes

SAME = 1e-9  # at one method, tolerance and set of output times
DEFAULTS = 1e-3  # where a job takes its own tolerance

INTERVAL = 12.0


@pytest.fixture(scope="module")
def two_compartments() -> Scenario:
    return scenario_file.load("textbook-2cpt", library())


def swept(scenario: Scenario, *texts: str, keep: tuple[str, ...], **options: Any) -> dict[str, np.ndarray]:
    laid = axes.lay_out(texts, scenario)
    made = Trajectories(scenario, laid, sweep_keep.kept_of(keep, scenario), **options)
    return made.solve(0, made.total)


# ---------------------------------------------------------------- the same by both ways
DOSES = (
    Dose(0.0, 100.0, "pk.depot"),
    Dose(5.0, 60.0, "pk.central", 3.0),
    Dose(7.0, 30.0, "pk.central", 4.0),
    Dose(24.0, 80.0, "pk.depot"),
    Dose(24.0, 50.0, "pk.central"),
)


@pytest.mark.parametrize("method", ["rodas5p", "rodas4"])
def test_a_list_of_doses_and_records_give_the_same(two_compartments: Scenario, method: str) -> None:
    """Boluses and infusions that overlap, a lag, a bioavailability and an input window, in lanes with parameters of their own."""
    model, times = two_compartments.model, np.linspace(0.0, 60.0, 25)
    values = {**two_compartments.values, "pk.Tlag_depot": 0.7, "pk.F_depot": 0.6, "pk.CL": np.array([2.0, 4.0, 9.0])}
    found = []
    for expanded in (False, True):
        plan = simulation_lanes.plan_for(model, DOSES, ("pk.CL",), expanded, method=method)
        lanes = simulation_lanes.lanes_for(plan, values, DOSES, (), times, 3)
        found.append(simulation_lanes.observe(plan, lanes, simulation_lanes.run(plan, lanes), list(model.states)))
    for name, listed in found[0].items():
        assert found[1][name] == pytest.approx(listed, rel=SAME, abs=SAME), name


def test_the_same_with_magnesium_and_a_diet(tmp_path: Path) -> None:
    path = tmp_path / "mg.toml"
    path.write_text(MG + '[[dose]]\ncmt = "magnesium.iv"\ntext = "5 umol over 2 h q 12 h x 3"\n', encoding="utf-8")
    found = scenario_file.load(str(path), library())
    windows = (Window("magnesium.diet", 0.2, 10.0, 30.0),)
    curves = []
    for expanded in (False, True):
        plan = simulation_lanes.plan_for(found.model, found.doses, expanded=expanded)
        lanes = simulation_lanes.lanes_for(plan, found.values, found.doses, windows, np.linspace(0.0, 48.0, 17))
        curves.append(simulation_lanes.observe(plan, lanes, simulation_lanes.run(plan, lanes), ["magnesium.total"]))
    assert curves[1]["magnesium.total"] == pytest.approx(curves[0]["magnesium.total"], rel=SAME)


@pytest.mark.parametrize(
    "texts",
    [
        ("dose.pk.depot.amount=50,100,300 mg", "pk.CL=2,4 L/h"),
        ("dose.pk.depot.start=0,30 h", "dose.pk.depot.interval=6,12,24 h"),  # passes the infusions, which stay
        ("dose.pk.central.duration=1,5 h", "dose.pk.central.scale=0,1"),
        ("dose.pk.depot.count=0,1,2",),
    ],
)
def test_a_sweep_of_records_gives_what_a_sweep_of_doses_gives(
    two_compartments: Scenario, texts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    doses = ["pk.depot: 100 mg q 12 h x 3", "pk.central: 60 mg over 3 h q 24 h x 2 from 5 h"]
    scenario = scenario_file.load("textbook-2cpt", library(), doses=doses)
    kept = ("pk.C:final", "pk.C:max", "pk.C:auc", "pk.C:series")
    listed = swept(scenario, *texts, keep=kept)
    monkeypatch.setattr(simulation_lanes, "movable", lambda *_: False)
    records = swept(scenario, *texts, keep=kept)
    assert not listed["status"].any()
    for name, values in listed.items():
        assert records[name] == pytest.approx(values, rel=SAME, abs=SAME), name


def test_a_simulation_of_an_event_table_gives_what_its_doses_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the defaults of both ways, and at one tolerance."""
    name = textbook(tmp_path, '[[dose]]\ncmt = "pk.depot"\ntext = "70 mg q 12 h x 3"\n')
    events = tmp_path / "doses.csv"
    events.write_text("TIME,AMT,CMT,II,ADDL\n0,70,pk.depot,12,2\n", encoding="utf-8")
    listed = simulate_run.simulate(name).tree["simulation"]["pk.C"].values[0, 0]
    loose = simulate_run.simulate(name, events=events).tree["simulation"]["pk.C"].values[0, 0, 0]
    assert loose == pytest.approx(listed, rel=DEFAULTS, abs=1e-6)
    monkeypatch.setattr(event_runs, "RTOL", simulation_lanes.RTOL)
    same = simulate_run.simulate(name, events=events).tree["simulation"]["pk.C"].values[0, 0, 0]
    assert same == pytest.approx(listed, rel=SAME, abs=SAME)


# ---------------------------------------------------------------- steady state in every job
def settled(folder: Path, text: str = "70 mg q 12 h ss") -> str:
    return textbook(folder, f'[[dose]]\ncmt = "pk.central"\ntext = "{text}"\n')


def test_a_sweep_at_steady_state_against_the_closed_form(tmp_path: Path) -> None:
    """Amounts and intervals of doses that have always been given, and clearances: just after the last dose, and long after it."""
    scenario = scenario_file.load(settled(tmp_path), library())
    kept = ("pk.central:initial", "pk.central:final")
    found = swept(scenario, "dose.amount=35,70,140 mg", "pk.CL=2,4,8 L/h", keep=kept, rtol=1e-8)
    amount, k = (a.ravel() for a in np.meshgrid([35.0, 70.0, 140.0], np.array([2.0, 4.0, 8.0]) / V, indexing="ij"))
    expected = amount / (1.0 - np.exp(-k * INTERVAL))
    assert not found["status"].any()
    assert found["pk.central:initial"] == pytest.approx(expected, rel=1e-6)
    assert found["pk.central:final"] == pytest.approx(expected * np.exp(-k * 48.0), rel=1e-6)
    found = swept(scenario, "dose.interval=6,24 h", "dose.scale=0,1", keep=kept, rtol=1e-8)
    factors = 1.0 / (1.0 - np.exp(-K * np.array([6.0, 24.0])))
    assert found["pk.central:initial"].reshape(2, 2) == pytest.approx(70.0 * np.outer(factors, [0.0, 1.0]), rel=1e-6)


def test_a_sweep_of_an_infusion_that_has_always_run(tmp_path: Path) -> None:
    scenario = scenario_file.load(settled(tmp_path, "8 mg/h ss"), library())
    found = swept(scenario, "dose.scale=0,1,3", keep=("pk.central:initial",), rtol=1e-8)
    assert found["pk.central:initial"] == pytest.approx(8.0 / K * np.array([0.0, 1.0, 3.0]), rel=1e-6, abs=1e-9)


def test_subjects_at_steady_state(tmp_path: Path) -> None:
    """Each starts at the steady state of its own clearance, whatever block it is solved in."""
    scenario = scenario_file.load(settled(tmp_path), library())
    spread = dataclasses.replace(scenario.parameters["pk.CL"], cv=0.3)
    scenario = dataclasses.replace(scenario, parameters={**scenario.parameters, "pk.CL": spread})
    made = Trajectories(
        scenario,
        axes.lay_out((), scenario),
        sweep_keep.kept_of(("pk.central:initial", "pk.CL"), scenario),
        subjects=20,
        rtol=1e-8,
    )
    found = made.solve(0, 20)
    assert found["pk.CL"].std() > 0.1
    expected = 70.0 / (1.0 - np.exp(-found["pk.CL"] / V * INTERVAL))
    assert found["pk.central:initial"] == pytest.approx(expected, rel=1e-6)
    assert made.solve(7, 9)["pk.central:initial"] == pytest.approx(expected[7:9], rel=1e-6)


def test_elasticities_at_steady_state_against_the_closed_form(tmp_path: Path) -> None:
    run = sensitivity_run.sensitivity(settled(tmp_path), of=["pk.central:final"])
    rows = {row["parameter"]: row["elasticity"] for row in run.summary["elasticities"]}
    q = np.exp(-K * INTERVAL)
    assert rows["dose.pk.central"] == pytest.approx(1.0, rel=1e-5)
    assert rows["pk.CL"] == pytest.approx(-K * 48.0 - K * INTERVAL * q / (1.0 - q), rel=1e-4)
    assert rows["pk.V"] == pytest.approx(-rows["pk.CL"], rel=1e-4)


def test_a_dose_at_a_rate_keeps_its_duration_where_its_amount_changes(tmp_path: Path) -> None:
    """Under bioavailability such a dose is a record. Its elasticity in a linear model is 1; a sweep is in proportion."""
    text = '[[dose]]\ncmt = "pk.central"\ntext = "70 mg rate 35 mg/h"\n[parameters]\n"pk.F_central" = 2\n'
    name = textbook(tmp_path, text)
    found = swept(scenario_file.load(name, library()), "dose.amount=35,70 mg", keep=("pk.central:final",), rtol=1e-8)
    assert found["pk.central:final"][0] == pytest.approx(0.5 * found["pk.central:final"][1], rel=1e-7)
    run = sensitivity_run.sensitivity(name, of=["pk.central:final"])
    rows = {row["parameter"]: row["elasticity"] for row in run.summary["elasticities"]}
    assert rows["dose.pk.central"] == pytest.approx(1.0, rel=1e-5)


# ---------------------------------------------------------------- the regimen of an event table
TABLE = """ID,TIME,AMT,CMT,RATE,II,ADDL,SS,EVID
7,0,100,pk.depot,.,12,2,.,1
7,5,60,pk.central,20,.,.,.,1
7,8,.,.,.,.,.,.,0
7,30,40,pk.central,.,8,.,1,1
"""


def test_a_sweep_of_subjects_over_an_event_table(tmp_path: Path) -> None:
    """A table gives the regimen of every subject, the same as its doses written out, and comes back from the file."""
    events = tmp_path / "doses.csv"
    events.write_text(TABLE, encoding="utf-8")
    asked: dict[str, Any] = {"vary": ["pk.CL=2,4 L/h"], "keep": ["pk.C:final"]}
    path = tmp_path / "sweep.h5"
    by_table = sweep_run.sweep("textbook-2cpt", events=events, output=path, **asked)
    alone = simulate_run.simulate("textbook-2cpt", events=events, set={"pk.CL": "4 L/h"})
    last = alone.tree["simulation"]["pk.C"].values[0, 0, 0, -1]
    assert by_table.tree["sweep"]["pk.C:final"].values[1] == pytest.approx(last, rel=DEFAULTS)
    config = json.loads(by_table.tree.attrs["config_json"])
    again = scenario_file.rebuild(config, library())
    assert [(d.time, d.amt, d.cmt, d.ss) for d in again.doses] == [
        (0.0, 100.0, "pk.depot", 0),
        (5.0, 60.0, "pk.central", 0),
        (12.0, 100.0, "pk.depot", 0),
        (24.0, 100.0, "pk.depot", 0),
        (30.0, 40.0, "pk.central", 1),
    ]


def test_elasticities_over_an_event_table(tmp_path: Path) -> None:
    events = tmp_path / "doses.csv"
    events.write_text("TIME,AMT,CMT,II,SS\n0,70,pk.central,12,1\n", encoding="utf-8")
    name = textbook(tmp_path)
    rows = [
        {r["parameter"]: r["elasticity"] for r in run.summary["elasticities"] if r["elasticity"] is not None}
        for run in (
            sensitivity_run.sensitivity(name, of=["pk.central:final"], events=events),
            sensitivity_run.sensitivity(name, of=["pk.central:final"], dose=["pk.central: 70 mg q 12 h ss"]),
        )
    ]
    assert rows[0] == pytest.approx(rows[1], rel=SAME)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("TIME,AMT\n500,5\n", "after the horizon"),
        ("TIME,AMT\n0,-5\n", "must not be negative"),
    ],
)
def test_what_one_regimen_cannot_be(text: str, told: str, tmp_path: Path) -> None:
    events = tmp_path / "doses.csv"
    events.write_text(text, encoding="utf-8")
    name = textbook(tmp_path, '[columns]\n"pk.CL" = "CLR"\n')
    with pytest.raises(InputError, match=told):
        sweep_run.sweep(name, vary=["pk.V=30,40 L"], events=events)
