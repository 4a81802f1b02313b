"""One event table of several subjects by every job: the numbers of `simulate --events`, and those of closed forms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textbook import CL, MG, K, V, bolus, textbook, written

from nanomg.dosing.table_source import table_of
from nanomg.errors import InputError
from nanomg.jobs.optimize import run as optimize_run
from nanomg.jobs.sensitivity import run as sensitivity_run
from nanomg.jobs.sensitivity import sobol
from nanomg.jobs.simulate import run as simulate_run
from nanomg.jobs.sweep import axes
from nanomg.jobs.sweep import keep as sweep_keep
from nanomg.jobs.sweep import run as sweep_run
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.prepared import prepare
from nanomg.jobs.sweep.request import SweepRequest
from nanomg.library import event_doses, scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import event_runs
from nanomg.views import doctor

SAME = 1e-9  # at one method, tolerance and set of output times

COLUMNS = '[columns]\n"pk.CL" = "CLR"\n'
TABLE = """
ID TIME AMT CMT        RATE II ADDL SS EVID CLR
1  0    100 pk.depot   .    12 2    .  1    4
1  30   .   .          .    .  .    .  0    6
2  0    60  pk.central 20   .  .    .  1    2
2  5    .   .          .    .  .    .  0    3
2  24   80  pk.central .    8  .    1  1    3
3  3    50  pk.central .    .  .    .  1    5
3  60   .   .          .    .  .    .  0    5
"""


def of_table(folder: Path, table: str = TABLE, extra: str = COLUMNS, records: bool = False) -> Scenario:
    events = written(folder, table)
    scenario = scenario_file.load(textbook(folder, extra), library())
    return event_doses.with_events(scenario, table_of(events), library(), records=records)


def varying(scenario: Scenario) -> Scenario:
    """The scenario with clearances and volumes that differ between virtual subjects."""
    spread = {name: dataclasses.replace(scenario.parameters[name], cv=0.3) for name in ("pk.CL", "pk.V")}
    return dataclasses.replace(scenario, parameters={**scenario.parameters, **spread})


def swept(scenario: Scenario, *texts: str, keep: tuple[str, ...], **options: Any) -> Any:
    made = Trajectories(scenario, axes.lay_out(texts, scenario), sweep_keep.kept_of(keep, scenario), **options)
    return made, made.solve(0, made.total)


def test_a_sweep_over_a_table_gives_what_its_simulation_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steady state, additional doses, an infusion and a clearance that changes in time; at common times and at records."""
    monkeypatch.setattr(event_runs, "RTOL", 1e-11)
    scenario = of_table(tmp_path)
    kept = ("pk.central:final", "pk.central:initial", "pk.central:series", "pk.C:records")
    made, found = swept(scenario, keep=kept, rtol=1e-11, method="rodas5p")
    run = simulate_run.simulate(textbook(tmp_path, COLUMNS), events=tmp_path / "doses.csv")
    curve = run.tree["simulation"]["pk.central"].to_dataset(name="y").y[0, 0]
    assert made.dims == {"ID": 3} and not found["status"].any()
    expected = curve.sel(time=made.regular).values
    assert found["pk.central"] == pytest.approx(expected, rel=SAME, abs=SAME)
    assert found["pk.central:final"] == pytest.approx(expected[:, -1], rel=SAME)
    assert found["pk.central:initial"] == pytest.approx(expected[:, 0], rel=SAME)
    records = run.tree["records"].to_dataset()
    at_records = found["pk.C"][np.isfinite(found["pk.C"])]  # subject by subject
    assert at_records == pytest.approx(records["pk.C"].values, rel=SAME, abs=SAME)
    assert np.isnan(found["pk.C"]).sum(1).tolist() == [1, 0, 1]


def test_the_highest_value_and_the_area_are_those_of_the_subject_alone(tmp_path: Path) -> None:
    """Times follow the subject's own doses; the numbers of a subject do not depend on the others, nor on the block."""
    scenario = of_table(tmp_path)
    kept = ("pk.central:max", "pk.central:auc")
    _, together = swept(scenario, keep=kept, rtol=1e-11)
    for i, subject in enumerate("123"):
        alone = event_doses.with_events(
            scenario_file.load(textbook(tmp_path, COLUMNS, "60 h"), library()),
            table_of(tmp_path / "doses.csv"),
            library(),
            subject,
        )
        assert [s.id for s in alone.subjects] == [subject]
        _, found = swept(alone, "pk.V=35 L", keep=kept, rtol=1e-11)
        for label in kept:
            assert found[label] == pytest.approx(together[label][i : i + 1], rel=1e-8), label


def test_virtual_subjects_on_top_of_the_subjects_of_a_table(tmp_path: Path) -> None:
    """A virtual subject is the same for each subject of the table: its factor acts on the clearance of the column."""
    table = "ID TIME AMT CMT CLR\n1 0 70 pk.central 4\n1 48 . . 4\n2 0 70 pk.central 2\n2 48 . . 2"
    extra = COLUMNS + '[parameters]\n"pk.CL" = "8 L/h"\n'
    scenario = varying(of_table(tmp_path, table, extra))
    made, found = swept(scenario, keep=("pk.central:final", "pk.CL", "pk.V"), subjects=5, rtol=1e-8)
    assert made.dims == {"ID": 2, "subject": 5}
    clearance, volume = found["pk.CL"].reshape(2, 5), found["pk.V"].reshape(2, 5)
    assert volume[0] == pytest.approx(volume[1])
    assert clearance[0] == pytest.approx(2 * clearance[1]) and np.ptp(clearance[0]) > 0.1
    expected = 70 * np.exp(-clearance / volume * 48)
    assert found["pk.central:final"].reshape(2, 5) == pytest.approx(expected, rel=1e-5)
    assert made.solve(3, 8)["pk.central:final"] == pytest.approx(found["pk.central:final"][3:8], rel=1e-12)


def test_axes_over_the_doses_and_parameters_of_a_table(tmp_path: Path) -> None:
    table = "ID TIME AMT CMT II SS\n1 0 70 pk.central . .\n1 0 7 pk.depot . .\n2 0 35 pk.central 12 1"
    scenario = of_table(tmp_path, table, "")
    texts = ("dose.pk.central.scale=0,1,2", "pk.V=35,70 L")
    made, found = swept(scenario, *texts, keep=("pk.central:initial", "pk.central:final"), rtol=1e-8)
    assert made.dims == {"dose.pk.central.scale": 3, "pk.V": 2, "ID": 2}
    scale, k = np.meshgrid([0.0, 1.0, 2.0], [K, K / 2], indexing="ij")
    initial = found["pk.central:initial"].reshape(3, 2, 2)
    assert initial[..., 0] == pytest.approx(70 * scale)
    assert initial[..., 1] == pytest.approx(35 * scale / (1 - np.exp(-12 * k)), rel=1e-6)
    _, found = swept(scenario, "dose.pk.central.amount=35,70 mg", keep=("pk.central:initial",), rtol=1e-8)
    assert found["pk.central:initial"] == pytest.approx([35, 35 / (1 - bolus(12)), 70, 70 / (1 - bolus(12))], rel=1e-6)


def test_occasions_whose_clock_starts_again_are_observed_at_their_records(tmp_path: Path) -> None:
    table = """
    ID TIME AMT CMT        EVID
    1  0    70  pk.central 1
    1  9    .   .          0
    1  0    35  pk.central 4
    1  4    .   .          0
    2  2    10  pk.central 1
    """
    scenario = of_table(tmp_path, table, "")
    made, found = swept(scenario, "pk.V=35,70 L", keep=(), rtol=1e-8)  # the scenario's outputs, at the records
    assert list(found) == ["pk.C", "pk.central", "status"] and made.dims == {"pk.V": 2, "ID": 2}
    for amounts, k in zip(found["pk.central"].reshape(2, 2, 4), (K, K / 2), strict=True):
        assert amounts[0] == pytest.approx([70, 70 * bolus(9, k), 35, 35 * bolus(4, k)], rel=1e-6)
        assert amounts[1, 0] == pytest.approx(10) and np.isnan(amounts[1, 1:]).all()


# ---------------------------------------------------------------- files
def test_a_sweep_of_a_table_is_written_resumed_and_diagnosed(tmp_path: Path) -> None:
    name, events = textbook(tmp_path, COLUMNS), written(tmp_path, TABLE)
    path = tmp_path / "sweep.h5"
    keep = ["pk.C:max", "pk.C:records", "pk.C:final"]
    asked: dict[str, Any] = {"events": events, "vary": ["pk.V=20,35,70,90 L"], "keep": keep}
    run = sweep_run.sweep(name, output=path, **asked)
    data = run.tree["sweep"].to_dataset()
    assert dict(data.sizes) == {"pk.V": 4, "ID": 3, "record": 3}
    assert [str(i) for i in data["ID"].values] == ["1", "2", "3"]
    assert data["record_time"].values[1].tolist() == [0, 5, 24]
    assert "4 pk.V x 3 subjects of the event table: 12 trajectories, all solved" in run.summary["verdict"]
    assert set(run.summary["sweep"]) == {"pk.C:max", "pk.C:final"}
    assert run.tree["doses"]["subject"].values[0].tolist() == ["1", "2", "2", "3"]
    again = sweep_run.sweep(name, output=path, resume=True, **asked)
    assert again.summary["computed"] == run.summary["computed"] and again.tree["sweep"]["pk.C:max"].equals(
        data["pk.C:max"]
    )
    assert doctor.diagnose(path)["trajectories"] == 12
    config = json.loads(run.tree.attrs["config_json"])
    assert [s.id for s in event_doses.rebuild_with_events(config, library()).subjects] == ["1", "2", "3"]
    written(tmp_path, TABLE.replace("100", "90"))
    with pytest.raises(InputError, match="another sweep"):
        sweep_run.sweep(name, output=path, resume=True, **asked)


def test_worker_processes_read_the_table_from_the_configuration(tmp_path: Path) -> None:
    name, events = textbook(tmp_path, COLUMNS), written(tmp_path, TABLE)
    todo = prepare(SweepRequest(scenario=name, vary=["pk.V=20,35 L"], keep=["pk.C:final"], events=events))
    events.unlink()
    again = todo.recipe.batch(library())
    assert again.dims == {"pk.V": 2, "ID": 3}
    assert again.solve(0, 6)["pk.C:final"] == pytest.approx(todo.batch.solve(0, 6)["pk.C:final"], rel=1e-12)


def test_a_resolved_configuration_holds_the_table(tmp_path: Path) -> None:
    name, events = textbook(tmp_path, COLUMNS), written(tmp_path, TABLE)
    config = json.loads(simulate_run.simulate(name, events=events).tree.attrs["config_json"])
    events.unlink()
    run = simulate_run.simulate(config)
    assert [str(i) for i in run.tree["simulation"]["subject"].values] == ["1", "2", "3"]
    swept_again = sweep_run.sweep(config, vary=["pk.V=35,70 L"], keep=["pk.central:final"])
    last = run.tree["simulation"]["pk.central"].values[0, 0, :, -1]
    assert swept_again.tree["sweep"]["pk.central:final"].values[0] == pytest.approx(last, rel=1e-3)


def test_arms_without_magnesium_of_the_subjects_of_a_table(tmp_path: Path) -> None:
    """Amounts are those of the arm as given; the arm without Mg is that of a subject that is given nothing."""
    (tmp_path / "mg.toml").write_text(MG, encoding="utf-8")
    events = written(tmp_path, "ID TIME AMT CMT\n1 1 5 magnesium.iv\n2 1 9 magnesium.iv\n3 1 . .")
    asked: dict[str, Any] = {"events": events, "keep": ["magnesium.total:max"], "rtol": 1e-8}
    run = sweep_run.sweep(str(tmp_path / "mg.toml"), paired=True, vary=["dose.scale=1,2"], **asked)
    highest = run.tree["sweep"].to_dataset()["magnesium.total:max"]
    assert highest.dims == ("dose.scale", "ID", "regimen")
    without = highest.sel(regimen="without Mg").values
    assert without == pytest.approx(np.full((2, 3), float(highest.sel(ID="3", regimen="as given")[0])), rel=1e-6)
    rise = (highest.sel(regimen="as given") - without).values
    assert (rise[:, :2] > 0).all() and rise[1, 0] > rise[0, 1] > rise[0, 0]


def test_the_numbers_do_not_depend_on_the_parts(tmp_path: Path) -> None:
    scenario = varying(of_table(tmp_path))
    laid, kept = axes.lay_out((), scenario), sweep_keep.kept_of(("pk.C:max", "pk.C:final"), scenario)
    made = Trajectories(scenario, laid, kept, subjects=30)
    whole = made.solve(0, made.total)
    parts = [made.solve(start, start + 18) for start in range(0, 90, 18)]
    for label in ("pk.C:max", "pk.C:final"):
        assert np.concatenate([part[label] for part in parts]) == pytest.approx(whole[label], rel=1e-6), label


# ---------------------------------------------------------------- means over subjects
def test_elasticities_over_the_subjects_of_a_table_against_the_closed_form(tmp_path: Path) -> None:
    """The output is the mean of 70 exp(-k t) over two subjects; their clearances follow a column."""
    table = "ID TIME AMT CMT CLR\n1 0 70 pk.central 4\n1 48 . . 4\n2 0 70 pk.central 2\n2 48 . . 2"
    name, events = textbook(tmp_path, COLUMNS), written(tmp_path, table)
    run = sensitivity_run.sensitivity(name, of=["pk.central:final"], events=events)
    rows = {row["parameter"]: row for row in run.summary["elasticities"]}
    k = np.array([4.0, 2.0]) / V
    left = np.exp(-48 * k)
    assert run.summary["outputs"][0]["value"] == pytest.approx(70 * left.mean(), rel=1e-5)
    assert run.summary["outputs"][0]["text"].endswith("mean of 2 subjects")
    expected = -(48 * k * left).sum() / left.sum()
    assert rows["pk.CL"]["elasticity"] == pytest.approx(expected, rel=1e-4)
    assert (rows["pk.CL"]["value"], rows["pk.CL"]["basis"], rows["pk.CL"]["low"]) == (3.0, "column", None)
    assert rows["pk.V"]["elasticity"] == pytest.approx(-expected, rel=1e-4)
    assert rows["dose.pk.central"]["elasticity"] == pytest.approx(1.0, rel=1e-5)
    assert rows["dose.pk.central"]["value"] == 70.0
    one = sensitivity_run.sensitivity(name, of=["pk.central:final"], events=events, id="2")
    rows = {row["parameter"]: row for row in one.summary["elasticities"]}
    assert rows["pk.CL"]["elasticity"] == pytest.approx(-48 * k[1], rel=1e-4)


def test_outputs_of_sobol_indices_are_means_over_the_subjects(tmp_path: Path) -> None:
    scenario = of_table(tmp_path, "ID TIME AMT CMT\n1 0 70 pk.central\n2 0 35 pk.central", "")
    volumes = np.array([35.0, 70.0, 140.0])
    outputs = sweep_keep.kept_of(["pk.central:final"], scenario)
    found, status = sobol.solve_outputs(scenario, {"pk.V": volumes}, outputs)
    assert not status.any()
    assert found == pytest.approx(52.5 * np.exp(-48 * CL / volumes)[None], rel=1e-3)


# ---------------------------------------------------------------- what cannot be
CLOCKS = "ID TIME AMT CMT EVID\n1 5 5 pk.central 1\n1 0 5 pk.central 4\n2 0 5 pk.central 1"


@pytest.mark.parametrize(
    ("table", "asked", "told"),
    [
        (TABLE, {"vary": ["pk.CL=2,4 L/h"]}, "pk.CL follows column CLR"),
        (TABLE, {"vary": ["dose.pk.central.interval=6,12 h"]}, "keep their times"),
        (TABLE, {"vary": ["dose.scale=1,2"]}, "doses go into pk.depot, pk.central; name one"),
        (TABLE, {"values": {"pk.CL": [1.0, 2.0]}}, "pk.CL follows column CLR"),
        (TABLE, {"id": "7"}, "there is no subject '7'"),
        (CLOCKS, {"keep": ["pk.C:max"]}, "the time of subject 1 goes back .*--keep pk.C:records"),
        ("TIME AMT CMT RATE SS\n0 0 2 5 1\n0 0 2 7 2\n4 . . . .", {"vary": ["dose.amount=1,2 mg"]}, "no amount"),
    ],
)
def test_what_a_sweep_of_a_table_cannot_be(table: str, asked: dict[str, Any], told: str, tmp_path: Path) -> None:
    extra = COLUMNS if "CLR" in table else ""
    with pytest.raises(InputError, match=told):
        sweep_run.sweep(textbook(tmp_path, extra), events=written(tmp_path, table), **asked)


def test_what_other_jobs_refuse(tmp_path: Path) -> None:
    name = textbook(tmp_path)
    with pytest.raises(InputError, match="time of subject 1 goes back"):
        sensitivity_run.sensitivity(name, events=written(tmp_path, CLOCKS))
    with pytest.raises(InputError, match="the table has 3 subjects; choose one of them with --id"):
        optimize_run.optimize(name, events=written(tmp_path, TABLE))
    with pytest.raises(InputError, match="--id chooses a subject of an event table"):
        sensitivity_run.sensitivity(name, id="1")
    with pytest.raises(InputError, match="no records without an event table"):
        sweep_run.sweep(name, vary=["pk.V=30,40 L"], keep=["pk.C:records"])


def test_a_column_that_is_linear_in_time_in_sweeps_and_sensitivities(tmp_path: Path) -> None:
    """The clearance falls from 6 to 2 L/h over 20 h: what is left follows its integral, and the factor on it."""
    extra = '[columns]\n"pk.CL" = { column = "CLR", between = "linear" }\n'
    table = "ID TIME AMT CMT CLR\n1 0 70 pk.central 6\n1 20 . . 2\n2 0 35 pk.central 4\n2 20 . . 4"
    scenario = varying(of_table(tmp_path, table, extra))
    _, found = swept(scenario, keep=("pk.central:final", "pk.CL", "pk.V"), subjects=3, rtol=1e-9)
    clearance, volume = found["pk.CL"].reshape(2, 3), found["pk.V"].reshape(2, 3)
    assert clearance[0] == pytest.approx(1.5 * clearance[1])
    area = clearance / np.array([[6.0], [4.0]]) * np.array([[4.0 * 20 + 2 * 28], [4.0 * 48]])
    expected = np.array([[70.0], [35.0]]) * np.exp(-area / volume)
    assert found["pk.central:final"].reshape(2, 3) == pytest.approx(expected, rel=1e-6)
    run = sensitivity_run.sensitivity(
        textbook(tmp_path, extra), of=["pk.central:final"], events=tmp_path / "doses.csv", id="1"
    )
    rows = {row["parameter"]: row["elasticity"] for row in run.summary["elasticities"]}
    assert rows["pk.CL"] == pytest.approx(-(80 + 56) / V, rel=1e-4)
