"""Optimisation: projection, the objective's parts, the search against a global one, interruption and checkpoints."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from nanomg.dosing.dose import Dose
from nanomg.errors import InputError, SimulationError
from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.jobs.optimize import run as optimize_run
from nanomg.jobs.optimize import search
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.simulation import lanes as simulation_lanes

MAIN = "mouse-mc38-depot"


@pytest.fixture(scope="module")
def main_scenario():
    return scenario_file.load(MAIN, library())


SMALL = """
title = "Anti-PD-1 alone"
mechanisms = ["Tumour", "TCells", "AntiPD1", "Checkpoint", "Magnesium"]
cards = ["mouse", "mc38", "checkpoint", "rmp1-14"]
horizon = "48 h"
every = "12 h"
[[dose]]
cmt = "pd1.ip"
text = "0.2 mg at 6 h"
[objective]
"tumour" = { signal = "tumour.volume", unit = "mm^3", statistic = "log mean", weight = 1.0 }
"drug" = { cmt = "pd1.ip", statistic = "amount", amount = "0.2 mg", weight = 0.02 }
[[free]]
cmt = "pd1.ip"
amount = ["0 mg", "0.3 mg"]
time = ["0 h", "47 h"]
interval = "1 h"
total = "0.3 mg"
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model of few parts, where nothing hangs on the whole one."""
    path = tmp_path_factory.mktemp("small") / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return scenario_file.load(str(path), library())


@pytest.fixture(scope="module")
def small_problem(small):
    return optimize_problem.problem_of(small, search.STARTS)


@pytest.fixture(scope="module")
def problem(main_scenario):
    return optimize_problem.problem_of(main_scenario, search.STARTS)


@pytest.fixture(scope="module")
def outcome(main_scenario):
    return search.find_optimum(main_scenario)


def regimen_arrays(problem, z):
    """Amounts and times by port, from scaled variables."""
    lanes = optimize_problem.widen(problem.lanes, z.shape[1])
    amount, time = optimize_problem.decode(
        problem.design, jnp.asarray(z), jnp.asarray(lanes.amount), jnp.asarray(lanes.time)
    )
    return [
        (f, np.asarray(amount)[list(m)], np.asarray(time)[list(m)])
        for f, m in zip(problem.design.free, problem.design.members, strict=True)
    ]


# ---------------------------------------------------------------- projection
def test_projection_keeps_every_bound_interval_and_total(problem):
    z = np.random.default_rng(1).normal(0.5, 2.0, (problem.design.size, 300))
    projected = np.asarray(optimize_problem.project(problem.design, jnp.asarray(z)))
    for free, amounts, times in regimen_arrays(problem, projected):
        assert amounts.min() >= free.amount[0] - 1e-9 and amounts.max() <= free.amount[1] + 1e-9
        assert times.min() >= free.time[0] - 1e-9 and times.max() <= free.time[1] + 1e-9
        assert np.diff(times, axis=0).min() >= free.interval - 1e-6
        assert amounts.sum(0).max() <= free.total + 1e-6


def test_projection_leaves_a_feasible_regimen_alone(problem, main_scenario):
    z = optimize_problem.encode(problem.design, main_scenario.doses)[:, None]
    np.testing.assert_allclose(optimize_problem.project(problem.design, jnp.asarray(z)), z, atol=1e-9)


def test_projection_is_the_nearest_point(problem):
    """Against a general solver on the block of times, which has bounds and intervals."""
    rng = np.random.default_rng(2)
    gap, n = 0.2, 4
    for _ in range(5):
        t = rng.normal(0.5, 0.5, n)
        found = np.asarray(optimize_problem._spaced(jnp.asarray(t)[:, None], gap))[:, 0]
        spaced = [{"type": "ineq", "fun": lambda s, i=i: s[i + 1] - s[i] - gap} for i in range(n - 1)]
        best = scipy.optimize.minimize(
            lambda s, t=t: np.sum((s - t) ** 2), np.linspace(0, 1, n), bounds=[(0, 1)] * n, constraints=spaced
        )
        np.testing.assert_allclose(found, best.x, atol=1e-4)


# ---------------------------------------------------------------- objective
def test_terms_add_up_to_the_objective(small_problem, small):
    z = optimize_problem.encode(small_problem.design, small.doses)[:, None]
    found = optimize_problem.evaluate_many(small_problem, z)
    assert found.terms.sum() == pytest.approx(float(found.objective[0]), rel=1e-12)


def test_a_failed_lane_is_infinitely_bad(small_problem, small):
    problem = small_problem
    z = np.repeat(optimize_problem.encode(problem.design, small.doses)[:, None], 2, 1)
    few = problem.design._replace(plan=problem.design.plan._replace(max_steps=3))
    lanes = optimize_problem.widen(problem.lanes, 2)
    order = optimize_problem.edge_order(few, lanes, z)
    found = optimize_problem._evaluate(few, lanes, jnp.asarray(z), order, jnp.asarray(1e-5))
    assert np.isinf(found.objective).all()
    assert (np.asarray(found.status) != 0).all()


def test_nothing_to_optimise_is_said(main_scenario):
    """Without doses into the ports of [[free]], as in a table of other doses; and without [[free]] in the file."""
    with pytest.raises(
        InputError, match=r"no dose goes into a port of \[\[free\]\] \(.*\), so there is nothing to optimise"
    ):
        optimize_problem.problem_of(dataclasses.replace(main_scenario, free=()))
    with pytest.raises(InputError, match=r"no \[objective\] or no \[\[free\]\] doses, so there is nothing to optimise"):
        optimize_problem.problem_of(dataclasses.replace(main_scenario, free=(), config={}))


def test_the_interval_of_an_optimum_is_the_shortest_between_its_doses(small):
    """12, 2 and 31 h apart, where 3 h are the least: short of them by one."""
    scenario = dataclasses.replace(small, free=(dataclasses.replace(small.free[0], interval=3.0),))
    doses = [Dose(time, 0.05, "pk.no") for time in (1.0, 1.5)]
    doses += [Dose(time, 0.05, "pd1.ip") for time in (0.0, 12.0, 14.0, 45.0)]
    rows = {row["name"]: row for row in optimize_run._constraints(scenario, None, doses)}
    assert (rows["interval, pd1.ip"]["value"], rows["interval, pd1.ip"]["slack"]) == (2.0, -1.0)
    assert rows["total, pd1.ip"]["value"] == pytest.approx(0.2) and rows["total, pd1.ip"]["slack"] == pytest.approx(0.1)


def test_doses_that_cannot_be_spaced_are_refused(main_scenario):
    tight = tuple(dataclasses.replace(f, interval=500.0) for f in main_scenario.free)
    with pytest.raises(InputError, match="do not fit"):
        optimize_problem.problem_of(dataclasses.replace(main_scenario, free=tight))


# ---------------------------------------------------------------- the search
@pytest.mark.slow
def test_optimum_keeps_every_limit_and_presses_on_one(outcome, main_scenario):
    assert outcome.feasible
    plan = simulation_lanes.plan_for(main_scenario.model, outcome.doses)
    times = simulation_lanes.output_times(main_scenario.horizon, 1.0, outcome.doses)
    lanes = simulation_lanes.lanes_for(plan, main_scenario.values, outcome.doses, (), times)
    solved = simulation_lanes.run(plan, lanes, simulation_lanes.TIGHT)
    highest = [
        simulation_lanes.observe(plan, lanes, solved, [x.signal])[x.signal].max() / x.bound
        for x in main_scenario.limits
    ]
    assert max(highest) <= 1 + 1e-4
    assert max(highest) > 0.99, "no path limit is active at the optimum"


@pytest.mark.slow
def test_a_dose_time_of_the_optimum_is_interior(outcome, main_scenario):
    """At least one dose time lies inside its bounds and intervals."""
    times = {f.cmt: [d.time for d in outcome.doses if d.cmt == f.cmt] for f in main_scenario.free}
    interior = []
    for free in main_scenario.free:
        own = times[free.cmt]
        for i, t in enumerate(own):
            gaps = [b - a for a, b in itertools.pairwise(own[max(i - 1, 0) : i + 2])]
            interior.append(free.time[0] + 1 < t < free.time[1] - 1 and all(gap > free.interval + 1 for gap in gaps))
    assert any(interior)


@pytest.mark.slow
def test_as_good_as_a_global_search_of_4000_evaluations(outcome, problem):
    """Differential evolution on the same problem, limits by an exact penalty; at most 400 gradient calls on our side."""
    assert outcome.evaluations <= 400
    count = 0

    def merit(z):
        nonlocal count
        z = np.asarray(optimize_problem.project(problem.design, jnp.asarray(z)))
        count += z.shape[1]
        found = optimize_problem.evaluate_many(problem, z)
        excess = np.maximum(np.asarray(found.excess).max((0, 1)), 0.0)
        return np.where(np.isfinite(found.objective), np.asarray(found.objective) + 10.0 * excess, 1e6)

    n = problem.design.size
    found = scipy.optimize.differential_evolution(
        merit,
        [(0.0, 1.0)] * n,
        popsize=80 // n,
        maxiter=49,
        init="sobol",
        vectorized=True,
        updating="deferred",
        polish=False,
        tol=0.0,
        seed=3,
    )
    assert 3500 <= count <= 8200
    assert outcome.objective <= found.fun + 1e-6


class Stop(Exception):
    pass


@pytest.mark.slow
def test_resumed_search_ends_like_an_uninterrupted_one(main_scenario, tmp_path):
    steps, checkpoint = 20, tmp_path / "run.checkpoint"
    whole = search.find_optimum(main_scenario, steps, seed=5)

    def interrupt(step, total, info):
        if step == 11:
            raise Stop

    with pytest.raises(Stop):
        search.find_optimum(main_scenario, steps, seed=5, checkpoint=checkpoint, progress=interrupt)
    rest = search.find_optimum(main_scenario, steps, seed=5, checkpoint=checkpoint, resume=True)
    assert rest.doses == whole.doses
    assert rest.objective == whole.objective
    np.testing.assert_array_equal(rest.history, whole.history)
    with pytest.raises(InputError, match=r"--seed 5, and now it is 6"):
        search.find_optimum(main_scenario, steps, seed=6, checkpoint=checkpoint, resume=True)


def test_an_unfinished_search_is_not_discarded_without_force(tmp_path):
    path = tmp_path / "best.h5.checkpoint"
    path.write_bytes(b"hours of work")
    with pytest.raises(InputError, match="an unfinished search is there: continue it with --resume"):
        optimize_run.optimize(MAIN, output=tmp_path / "best.h5")
    assert path.read_bytes() == b"hours of work" and len(list(tmp_path.iterdir())) == 1


def test_a_port_whose_doses_are_removed_is_not_free(main_scenario):
    ports = {dose.cmt for dose in main_scenario.doses} - {"pd1.ip"}
    given = scenario_file.load(
        MAIN, library(), doses=["pd1.ip: 0.2 mg q 3 d x 2", *(f"{port}: none" for port in ports)]
    )
    assert [f.cmt for f in given.free] == ["pd1.ip"]


def test_a_gradient_in_a_value_that_is_not_varied_is_an_error_not_a_zero(main_scenario):
    plan = simulation_lanes.plan_for(main_scenario.model, main_scenario.doses)
    lanes = simulation_lanes.lanes_for(plan, main_scenario.values, main_scenario.doses, (), np.array([0.0, 1.0]))
    order = simulation_lanes.edge_order(plan, lanes)

    def final(g):
        values = {**main_scenario.values, "tumour.g": g}
        return simulation_lanes.trajectory(plan, lanes._replace(values=values), order, 1e-5).y[-1].sum()

    with pytest.raises(ValueError, match="varied"):
        jax.grad(final)(0.003)


def test_a_search_in_which_everything_fails_is_an_error_and_no_success(small, monkeypatch):
    plan_for = simulation_lanes.plan_for
    monkeypatch.setattr(simulation_lanes, "plan_for", lambda *a, **k: plan_for(*a, **k, max_steps=3))
    with pytest.raises(SimulationError, match="every trajectory"):
        search.find_optimum(small, 1)


def test_means_do_not_depend_on_where_doses_fall_between_grid_times(small):
    """A bolus just before a time of the regular grid and one just after it have the same mean, but for the shift."""
    term = dataclasses.replace(small.terms[0], signal="magnesium.total", statistic="mean", amount=1.0)
    free = dataclasses.replace(small.free[0], cmt="magnesium.iv", amount=(0.0, 5.0), total=np.inf)
    doses = (Dose(11.9, 3.0, "magnesium.iv"),)
    problem = optimize_problem.problem_of(dataclasses.replace(small, doses=doses, terms=(term,), free=(free,)))
    z = np.repeat(optimize_problem.encode(problem.design, doses)[:, None], 2, 1)
    z[1] += [0.0, 0.2 / (free.time[1] - free.time[0])]
    early, late = np.asarray(optimize_problem.evaluate_many(problem, z).objective)
    assert early == pytest.approx(late, rel=2e-3)


def test_resuming_from_nothing_is_said(small, tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        search.find_optimum(small, 1, checkpoint=tmp_path / "none", resume=True)
