"""Kind of truth: closed forms of what is drawn and counted; the same draws give the same numbers however they are solved."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import optimize

import nanomg
from nanomg.cli.main import app
from nanomg.errors import InputError
from nanomg.jobs.feasibility import run as feasibility_run
from nanomg.library.scenario_file import load
from nanomg.models import library
from nanomg.results.run import Run
from nanomg.simulation import lanes, roles
from nanomg.views import report

SCENARIO = "mouse-mc38-lnp"
SHORT: dict[str, Any] = {"draws": 10, "horizon": "3 d"}


@pytest.fixture(scope="module")
def run() -> Run:
    return feasibility_run.feasibility(SCENARIO, seed=3, **SHORT)


def table(run: Run) -> xr.Dataset:
    return run.tree.children["feasibility"].to_dataset()


# ---------------------------------------------------------------- regimens
def test_a_regimen_as_records_gives_the_same_rise(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one with steady state, resets or modelled rates is solved; the arm without Mg included."""
    monkeypatch.setattr(lanes, "movable", lambda *_: False)
    again = feasibility_run.feasibility(SCENARIO, seed=3, **SHORT)
    rise = table(run)["rise"].values
    assert table(again)["rise"].values == pytest.approx(rise, rel=1e-8, abs=1e-9 * np.abs(rise).max())


def test_a_rise_over_an_event_table_is_the_mean_of_its_subjects(tmp_path: Path) -> None:
    """Each subject alone is solved as single doses. What comes after the horizon has no effect."""
    events = tmp_path / "doses.csv"
    events.write_text("ID,TIME,AMT,CMT\n1,0,2,lnp.iv\n1,900,9,lnp.iv\n2,24,1,lnp.iv\n", encoding="utf-8")
    short: dict[str, Any] = {"draws": 3, "horizon": "2 d", "events": events}
    both = feasibility_run.feasibility(SCENARIO, **short)
    events.write_text("ID,TIME,AMT,CMT\n1,0,2,lnp.iv\n2,24,1,lnp.iv\n", encoding="utf-8")
    alone = [table(feasibility_run.feasibility(SCENARIO, **short, id=i))["rise"].values for i in "12"]
    expected = np.mean(alone, 0)
    assert np.abs(alone[0] - alone[1]).max() > 0.1 * np.abs(expected).max()
    assert table(both)["rise"].values == pytest.approx(expected, rel=1e-4, abs=1e-6 * np.abs(expected).max())
    assert "on average over 2 subjects" in both.summary["verdict"]


# ---------------------------------------------------------------- draws
def test_ranges_are_5_and_95_percent_points() -> None:
    scenario = load(SCENARIO, library())
    drawn = feasibility_run.sample(scenario, 4000, 0).values
    parameter = scenario.parameters["magnesium.V2"]  # no rule cuts its tails
    assert np.percentile(drawn["magnesium.V2"], [5, 95]) == pytest.approx([parameter.low, parameter.high], rel=0.05)
    middle = np.sqrt((parameter.low or 0) * (parameter.high or 0))
    assert np.median(drawn["magnesium.V2"]) == pytest.approx(middle, rel=0.03)


def test_what_has_no_range_stays() -> None:
    scenario = load(SCENARIO, library(), {"magnesium.GFR": "12 mL/h"})
    drawn = feasibility_run.sample(scenario, 5, 0).values
    assert not {"magnesium.GFR", "interstitium.beta", "lfa1.w_H1", "magnesium.salt_MW"} & set(drawn)


def test_draws_are_physical() -> None:
    scenario = load("mouse-mc38-iv", library())
    drawn = feasibility_run.sample(scenario, 2000, 0)
    for small, large in roles.ORDERED:
        assert np.all(drawn.values[small] < drawn.values[large])
    assert np.all(drawn.values["interstitium.f_well"] < 0.98)
    assert np.all(drawn.values["liposome.phi_ec"] < 1.0)
    assert 0.0 < drawn.share_rejected < 0.6
    assert drawn.tried == pytest.approx(2000 / (1 - drawn.share_rejected))
    assert sum(drawn.rejected.values()) >= drawn.tried - 2000


def test_more_draws_and_fixed_parameters_leave_the_rest_alone() -> None:
    few = feasibility_run.sample(load(SCENARIO, library()), 5, 1).values
    many = feasibility_run.sample(load(SCENARIO, library()), 50, 1).values
    fixed = feasibility_run.sample(load(SCENARIO, library(), {"magnesium.GFR": "12 mL/h"}), 5, 1).values
    other = feasibility_run.sample(load(SCENARIO, library()), 5, 2).values
    for name in fixed:
        assert np.array_equal(few[name], many[name][:5])
        assert np.array_equal(few[name], fixed[name])
        assert not np.array_equal(few[name], other[name])


# ---------------------------------------------------------------- statistics
def test_statistics_of_a_rise_and_an_exponential_fall() -> None:
    """Up from 0 to 1 in 10 h, then down with a time constant of 30 h: the best 24 h start where both ends are equally high."""
    times = np.union1d([0.0, 20.0, 30.0, 60.0, 100.0], np.arange(0, 100, 0.5))
    y = np.where(times <= 30, np.clip((times - 20) / 10, 0, 1), np.exp(-(times - 30) / 30))[:, None]
    peak, day, mean = feasibility_run.statistics_of(times, y)
    assert peak == pytest.approx(1.0)
    assert mean == pytest.approx((5.0 + 30.0 * (1 - np.exp(-70 / 30))) / 100.0, rel=1e-12)
    before = optimize.brentq(
        lambda s: 1 - s / 10 - np.exp(-(24 - s) / 30), 0.0, 10.0
    )  # hours of the best 24 h before the peak
    area = before * (2 - before / 10) / 2 + 30.0 * (1 - np.exp(-(24 - before) / 30))
    assert day == pytest.approx(area / 24.0, rel=1e-3)


def test_a_horizon_below_a_day_is_its_own_day() -> None:
    times = np.array([0.0, 6.0])
    peak, day, mean = feasibility_run.statistics_of(times, np.array([[0.0], [2.0]]))
    assert (peak[0], day[0], mean[0]) == (2.0, 1.0, 1.0)


# ---------------------------------------------------------------- the run
def test_numbers_do_not_depend_on_the_chunk(run: Run) -> None:
    in_parts = feasibility_run.feasibility(SCENARIO, seed=3, chunk=4, **SHORT)
    whole, parts = (table(r)["rise"].values for r in (run, in_parts))
    assert np.array_equal(table(run)["value"].values, table(in_parts)["value"].values)
    assert parts == pytest.approx(whole, rel=1e-3, abs=1e-9)


def test_parts_add_up(run: Run) -> None:
    rise = table(run)["rise"]
    total, local, serum = (rise.sel(quantity=f"{part}, mean").values for part in ("total", "local", "serum"))
    assert total == pytest.approx(local + serum, rel=1e-9)
    assert np.all(rise.sel(quantity="total, peak") >= rise.sel(quantity="total, day"))
    assert np.all(
        rise.sel(quantity="serum, day").values > 10 * rise.sel(quantity="local, day").values
    )  # the negative control


def test_summary_counts_what_the_result_holds(run: Run) -> None:
    found = run.summary["feasibility"]
    rise = table(run)["rise"].sel(quantity="total, day").values
    entry = found["quantities"]["total, day"]
    assert entry["rise"]["50"] in rise
    for label, target in (("0.02", 0.02), ("0.3", 0.3)):
        assert entry["targets"][label]["share"] == np.mean(rise >= target)
        assert entry["targets"][label]["shortfall"]["50"] in target / rise
    assert found["failed"] == 0
    assert run.summary["verdict"].startswith("Free Mg in the tumour rises by")


def test_failed_draws_are_counted_and_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    solve = lanes.run

    def third_fails(*args: Any) -> lanes.Trajectory:
        solved = solve(*args)
        status = np.array(solved.status)
        status[2] = 2
        return solved._replace(status=status)

    monkeypatch.setattr(lanes, "run", third_fails)
    with_failure = feasibility_run.feasibility(SCENARIO, seed=3, **SHORT)
    rise = table(with_failure)["rise"].values
    assert np.flatnonzero(np.isnan(rise).any(1)).tolist() == [2]
    assert with_failure.summary["feasibility"]["failed"] == with_failure.summary["status"]["failed"] == 1
    assert "1 of 10 samples could not be solved" in with_failure.summary["verdict"]
    assert table(with_failure)["status"].values[2] == 2


def test_nothing_solved_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = lanes.run
    failed = lambda *args: (s := solve(*args))._replace(status=np.ones_like(s.status))
    monkeypatch.setattr(lanes, "run", failed)
    summary = feasibility_run.feasibility(SCENARIO, seed=3, **SHORT).summary
    assert summary["verdict"] == "No sample could be solved, so there is no result."


def test_an_arm_that_never_rises_falls_short_without_end() -> None:
    found = feasibility_run._against(np.array([-1.0, 0.0, 0.1, 0.4]), 0.3)
    assert found["share"] == 0.25
    assert found["shortfall"]["95"] == np.inf
    assert found["shortfall"]["5"] == pytest.approx(0.75)


# ---------------------------------------------------------------- the command
def test_command_writes_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.h5"
    words = ["nanomg", "feasibility", SCENARIO, "--draws", "10", "--seed", "3", "--horizon", "3 d"]
    monkeypatch.setattr("sys.argv", [*words, "--json", "-o", str(path)])
    with pytest.raises(SystemExit) as ended:
        app()
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed["feasibility"]["draws"] == 10
    tree = nanomg.open(path)
    assert tree.children["feasibility"]["rise"].dims == ("draw", "quantity")
    assert json.loads(tree.attrs["summary_json"]) == printed
    assert tree.attrs["rng_seed"] == 3

    for arguments, shown in (
        (words, "share of samples above"),
        (["nanomg", "summary", str(path)], "10 samples of"),
    ):
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as ended:
            app()
        assert not ended.value.code
        assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"horizon": "12 h"}, "no dose within the horizon contains Mg"),
        ({"horizon": "90 d"}, "within the scenario's 672 h"),
        ({"horizon": "3 mg"}, "mg"),
        ({"draws": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
        ({"set": {"magnesium.GFRR": 1.0}}, "magnesium.GFR"),
    ],
)
def test_bad_input_is_one_sentence(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        feasibility_run.feasibility(SCENARIO, **arguments)
    assert "\n" not in str(caught.value)


def test_a_scenario_of_known_values_has_nothing_to_draw() -> None:
    scenario = load(SCENARIO, library())
    known = {n: dataclasses.replace(p, low=None, high=None) for n, p in scenario.parameters.items()}
    with pytest.raises(InputError, match="nothing to sample"):
        feasibility_run.feasibility(dataclasses.replace(scenario, parameters=known), draws=2)


def test_the_page_of_draws(run: Run, tmp_path: Path) -> None:
    made = report.report(run.tree, tmp_path / "page.html")
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["verdict"] == run.summary["verdict"] and "rank correlation" in said and "can be drawn" not in said
