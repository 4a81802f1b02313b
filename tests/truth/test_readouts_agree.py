"""Kind of truth: every job reads the same number off the same curve, and that number is the closed form to 1e-3."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nanomg
from nanomg.analysis.readouts import READ_OUTS, SUMMARISED, WHOLE_COURSE
from nanomg.data import observations
from nanomg.data.prediction import Predictor
from nanomg.jobs.feasibility import run as feasibility_run
from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.jobs.sensitivity import elasticities
from nanomg.jobs.simulate import verdict
from nanomg.jobs.sweep.axes import lay_out
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import keep_of
from nanomg.library.scenario import STATISTICS, Scenario
from nanomg.library.scenario_file import load
from nanomg.models import library
from nanomg.results.run import Run
from nanomg.simulation import lanes

NAMES = ("textbook-1cpt", "textbook-2cpt")
WHOLE = 7 * 24.0  # [h]
OBJECTIVE = """
title = "A textbook to optimise"
mechanisms = ["{mechanism}"]
cards = ["textbook"]
horizon = "7 d"
every = "2 h"

[outputs]
"pk.C" = "mg/L"

[[dose]]
cmt = "pk.depot"
text = "100 mg q 24 h x 5"

[[free]]
cmt = "pk.depot"
amount = ["10 mg", "200 mg"]
time = ["0 h", "96 h"]
"""
TERM = '\n[objective."{name}"]\nsignal = "pk.C"\nstatistic = "{name}"\nunit = "mg/L"\nweight = 1\n'
TERMS = [name for name in STATISTICS if name in WHOLE_COURSE]


@functools.cache
def scenario(name: str) -> Scenario:
    return load(name, library())


@functools.cache
def simulation(name: str) -> Run:
    return nanomg.simulate(name)


def concentration(name: str) -> xr.DataArray:
    group = next(node.to_dataset() for node in simulation(name).tree.subtree if "pk.C" in node.data_vars)
    return group["pk.C"].squeeze()


@functools.cache
def curve(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Times [h], concentrations [mg/L] and the summary of a plain simulation."""
    values = concentration(name)
    return values["time"].values, values.values, simulation(name).summary["signals"]["pk.C"]


def read(name: str) -> dict[str, float]:
    """Every read-out of the simulated curve."""
    t, y, _ = curve(name)
    return {how: float(one.formula(t, y, t[0], t[-1])) for how, one in WHOLE_COURSE.items()}


def simulated(name: str, path: Path) -> dict[str, float]:
    summary = curve(name)[2]
    return {how: summary[how] for how in SUMMARISED}


def swept(name: str, path: Path, **options: Any) -> dict[str, float]:
    one = scenario(name)
    kept = [keep_of(f"pk.C:{how}", one) for how in WHOLE_COURSE]
    batch = Trajectories(one, lay_out(["pk.CL=4"], one), kept, **options)
    return {keep.how: float(batch.solve(0, 1)[keep.label][0]) for keep in kept}


def sensitive(name: str, path: Path) -> dict[str, float]:
    outputs = elasticities.outputs_asked([f"pk.C:{how}" for how in TERMS], scenario(name))
    return dict(zip(TERMS, map(float, elasticities.slopes_of(scenario(name), outputs).value), strict=True))


def optimised(name: str, path: Path, rtol: float = optimize_problem.RTOL) -> dict[str, float]:
    mechanism = {"textbook-1cpt": "OneCompartment", "textbook-2cpt": "TwoCompartments"}[name]
    text = OBJECTIVE.format(mechanism=mechanism) + "".join(TERM.format(name=how) for how in TERMS)
    (path / "optimum.toml").write_text(text, encoding="utf-8")
    problem = optimize_problem.problem_of(load(str(path / "optimum.toml"), library()))
    baseline = optimize_problem.encode(problem.design, problem.scenario.doses)[:, None]
    terms = np.asarray(optimize_problem.evaluate_many(problem, baseline, rtol).terms)[:, 0]
    return dict(zip(TERMS, map(float, terms), strict=True))


def analysed(name: str, path: Path) -> dict[str, float]:
    found = nanomg.nca(concentration(name))
    return {"auc": float(found["AUCLST"]), "max": float(found["CMAX"]), "time of max": float(found["TMAX"])}


def possible(name: str, path: Path) -> dict[str, float]:
    t, y, _ = curve(name)
    numbers = feasibility_run.statistics_of(t, y[:, None])[:, 0]
    return dict(zip(feasibility_run.STATISTICS.values(), map(float, numbers), strict=True))


def validated(name: str, path: Path) -> dict[str, float]:
    ways = [how for how in WHOLE_COURSE if how not in ("time of max", "half-life", "slope", "change")]
    head = f'title = "x"\n\n[run.x]\nscenario = "{name}"\n'
    row = (
        '\n[[row]]\nquantity = "a"\nsource = "nobody"\nuse = "look"\nreason = "r"\nrun = "x"\nsignal = "pk.C"\n'
        'statistic = "{how}"\nvalue = 1\nunit = "{unit}"\n'
    )
    text = head + "".join(row.format(how=how, unit=WHOLE_COURSE[how].unit("mg/L")) for how in ways)
    (path / "rows.toml").write_text(text, encoding="utf-8")
    rows = observations.load(str(path / "rows.toml"), library()).rows
    return dict(zip(ways, map(float, np.asarray(Predictor(rows)())[:, 0]), strict=True))


# ---------------------------------------------------------------- one curve
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("job", [simulated, analysed, possible])
def test_what_reads_the_same_curve_agrees_to_1e_9(job: Any, name: str, tmp_path: Path) -> None:
    known, found = read(name), job(name, tmp_path)
    for how, value in found.items():
        assert value == pytest.approx(known[how], rel=1e-9, abs=1e-12), how


def test_time_above_is_one_number() -> None:
    t, y, _ = curve("textbook-1cpt")
    known = float(READ_OUTS["time above"].formula(t, y, t[0], t[-1], 1.0))
    assert float(nanomg.time_above(concentration("textbook-1cpt"), "1 mg/L")) == pytest.approx(known, rel=1e-9)
    assert verdict.hours_above(t, y, 1.0) == pytest.approx(24.0 * known / t[-1], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_jobs_agree_to_1e_9_with_one_method_tolerance_and_output_times(name: str, tmp_path: Path) -> None:
    known = read(name)
    tolerance = lanes.RTOL
    for found in (
        swept(name, tmp_path, method="rodas5p", rtol=tolerance),
        sensitive(name, tmp_path),
        optimised(name, tmp_path, tolerance),
    ):
        for how, value in found.items():
            assert value == pytest.approx(known[how], rel=1e-9, abs=1e-12, nan_ok=True), how


# ---------------------------------------------------------------- defaults
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("job", [simulated, swept, sensitive, optimised, analysed, possible, validated])
def test_jobs_agree_to_1e_3_at_their_defaults(job: Any, name: str, tmp_path: Path) -> None:
    known, found = read(name), job(name, tmp_path)
    for how, value in found.items():
        assert value == pytest.approx(known[how], rel=1e-3, abs=1e-9, nan_ok=True), how


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_the_closed_form_to_1e_3(name: str) -> None:
    t, y, _ = curve(name)
    p = scenario(name).values
    ka, CL, V = (p[f"pk.{key}"] for key in ("ka", "CL", "V"))
    A = np.array([[-ka, 0.0], [ka, -CL / V]])
    if name == "textbook-2cpt":
        Q, V2 = p["pk.Q"], p["pk.V2"]
        A = np.array([[-ka, 0.0, 0.0], [ka, -(CL + Q) / V, Q / V2], [0.0, Q / V, -Q / V2]])
    rates, vectors = np.linalg.eig(A)
    share = (
        vectors[1] * np.linalg.solve(vectors, np.eye(len(A))[0]) * 100.0 / V
    )  # of each exponential, per dose of 100 mg
    times = np.linspace(0.0, WHOLE, 200_001)
    exact = sum(
        np.where(times >= due, (share * np.exp(np.outer(np.maximum(times - due, 0.0), rates))).sum(1).real, 0.0)
        for due in 24.0 * np.arange(5)
    )
    area = sum((share * np.expm1(rates * (WHOLE - due)) / rates).sum().real for due in 24.0 * np.arange(5))
    found = read(name)
    assert found["auc"] == pytest.approx(area, rel=1e-3)
    assert found["mean"] == pytest.approx(area / WHOLE, rel=1e-3)
    assert found["max"] == pytest.approx(exact.max(), rel=1e-3)
    assert found["final"] == pytest.approx(exact[-1], rel=1e-4)
    hours = np.mean(exact > 1.0) * WHOLE
    assert float(READ_OUTS["time above"].formula(t, y, t[0], t[-1], 1.0)) == pytest.approx(hours, rel=1e-2)
    assert (
        np.isfinite(list(found.values())).sum() == len(found) - 3
    )  # a curve that starts at 0 has no slope and no change
