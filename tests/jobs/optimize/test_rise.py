"""An objective and a limit on the rise of free Mg over the arm without it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nanomg
from nanomg.errors import InputError
from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import arms, lanes

RISE = "interstitium.C.rise"
HIGHEST = 0.04  # mmol/L


def on_rise(**changes: Any) -> Scenario:
    """The depot, of which the mean rise is to be large and its highest value limited; anti-PD-1 is not free."""
    data = dict(scenario_file.load("mouse-mc38-depot", library()).config["file"])
    data["objective"] = {"rise": {"signal": RISE, "unit": "mmol/L", "statistic": "mean", "weight": -1.0}}
    data["limit"] = [{"name": "highest rise", "signal": RISE, "max": f"{1000 * HIGHEST} umol/L"}]
    data["free"] = [free for free in data["free"] if free["cmt"] == "liposome.intratumoral"]
    return scenario_file.compose("on-rise", data | changes, library())


def test_objective_and_excess_are_those_of_the_paired_arms() -> None:
    scenario = on_rise()
    problem = optimize_problem.problem_of(scenario)
    z = optimize_problem.encode(problem.design, scenario.doses)[:, None]
    found = optimize_problem.evaluate_many(problem, z, lanes.TIGHT)
    run = arms.run_arms(scenario, arms.arms_of(scenario, scenario.doses), lanes.TIGHT)
    rise = run.pick("interstitium.C", arms.AS_GIVEN, "H1") - run.pick("interstitium.C", arms.WITHOUT, "H1")
    np.testing.assert_array_equal(run.pick(RISE, arms.AS_GIVEN, "H1"), rise)
    highest = HIGHEST * (1.0 + float(jnp.max(found.excess)))
    assert highest == pytest.approx(rise.max(), rel=1e-3)
    mean = np.trapezoid(rise, run.times) / run.times[-1]
    assert -float(found.objective[0]) == pytest.approx(mean, rel=0.02)  # the rule of areas is not the trapezoidal one


def test_the_gradient_goes_through_both_arms() -> None:
    scenario = on_rise()
    problem = optimize_problem.problem_of(scenario)
    z = optimize_problem.encode(problem.design, scenario.doses)
    z[len(z) // 2 :] += 0.003  # off the regular times
    wide = optimize_problem.widen(problem.lanes, 1)

    def objective(z: jax.Array) -> jax.Array:
        order = optimize_problem.edge_order(problem.design, wide, start)
        return optimize_problem.evaluate(problem.design, wide, z, order, 1e-9).objective[0]

    start = jnp.asarray(z)[:, None]
    slope = np.asarray(jax.grad(objective)(start))[:, 0]
    step = 1e-5
    for i in (0, len(z) - 1):  # the first amount and the last time
        ends = np.stack([z, z], 1) + step * np.array([-1.0, 1.0]) * (np.arange(len(z)) == i)[:, None]
        low, high = np.asarray(optimize_problem.evaluate_many(problem, ends, 1e-9).objective)
        assert slope[i] == pytest.approx((high - low) / (2 * step), rel=5e-3, abs=1e-9)
    assert slope[0] < 0  # more of the first dose, a higher mean rise


def test_a_regimen_without_mg_has_no_rise() -> None:
    doses = [dose for dose in on_rise().config["file"]["dose"] if dose["cmt"] == "pd1.ip"]
    free = [{"cmt": "pd1.ip", "amount": ["0 mg", "0.3 mg"], "time": ["0 d", "24 d"]}]
    with pytest.raises(InputError, match="no dose contains Mg, so no quantity rises over the arm without it"):
        optimize_problem.problem_of(on_rise(dose=doses, free=free))


def test_the_optimum_keeps_a_limit_on_the_rise() -> None:
    run = nanomg.optimize(on_rise(), steps=24)
    (row,) = [row for row in run.summary["constraints"] if row["name"] == "highest rise"]
    assert row["unit"] == "mmol/L" and row["limit"] == pytest.approx(HIGHEST)
    data = run.tree["simulation"].to_dataset().isel(hypothesis=0)["interstitium.C"]
    rise = (data.sel(regimen="optimum") - data.sel(regimen="without Mg")).max()
    assert row["value"] == pytest.approx(float(rise), rel=1e-9)
    assert row["value"] <= HIGHEST * (1 + 1e-3) and run.summary["feasible"]
