"""What the benchmark hands to other solvers is the model itself."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanomg.equations import model as models_
from nanomg.library import scenario_file
from nanomg.library.library import Library

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def folder() -> Iterator[None]:
    """The modules of the folder can be imported."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    try:
        yield
    finally:
        sys.path.remove(str(FOLDER))
        for name in set(sys.modules) - before:
            if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.fixture(scope="module")
def problem(folder: None) -> Any:
    import problem as module

    return module


@pytest.mark.parametrize("name", ["mouse-mc38-depot", "human-nsclc-iv"])
def test_exported_code_gives_the_rates_of_the_model(problem: Any, name: str) -> None:
    import export

    case = problem.build(name, subjects=2)
    model, channels = case.scenario.model, list(case.channels)
    rng = np.random.default_rng(0)
    scale = np.exp(rng.normal(size=len(model.states)))
    rhs = export.python_function(export.python_source(case.program, case.channels, scale))
    fixed = model.derive(case.scenario.values)
    for subject in (0, 1):
        for _ in range(4):
            y = np.abs(case.start(subject)) + np.exp(rng.normal(-3, 3, len(scale)))
            inflow, forcing = rng.uniform(0, 1, len(channels)), rng.uniform(0, 1, len(model.inputs))
            values = case.values(subject)
            x = {**fixed, **dict(zip(case.names, values, strict=True)), **dict(zip(model.inputs, forcing, strict=True))}
            expected = np.array(model.rates({**x, **dict(zip(model.states, y, strict=True))}), float)
            expected[channels] += inflow
            found = np.empty_like(y)
            rhs(0.0, y / scale, found, np.concatenate([values, inflow, forcing]))
            np.testing.assert_allclose(found * scale, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["mouse-mc38-depot", "human-nsclc-iv"])
def test_segments_hold_the_doses_of_the_scenario(problem: Any, name: str) -> None:
    case = problem.build(name, subjects=2)
    model, doses = case.scenario.model, case.scenario.doses
    for subject in (0, 1):
        at = case.segments(subject)
        assert np.all(np.diff(at.edges) > 0)
        given = (at.jump + at.inflow * np.diff(at.edges)[:, None]).sum(0)
        x = {**model.derive(case.scenario.values), **dict(zip(case.names, case.values(subject), strict=True))}
        expected = dict.fromkeys(model.states, 0.0)
        for dose in doses:
            for state, share in model.ports[dose.cmt].into.items():
                expected[state] += dose.amt * (float(x[share]) if isinstance(share, str) else share)
        np.testing.assert_allclose(given, [list(expected.values())[row] for row in case.channels], rtol=1e-12)
        assert at.first[0] == 0 and at.first[-1] == len(case.outputs)


def test_every_subject_is_the_same_in_a_larger_batch(problem: Any, library: Library) -> None:
    scenario = scenario_file.load("mouse-mc38-depot", library)
    few, many = problem.draw(scenario, 3), problem.draw(scenario, 10)
    assert len(few) == problem.VARIED
    for name, values in few.items():
        np.testing.assert_array_equal(values, many[name][:3])
        assert np.ptp(many[name]) > 0
    y = stack_of(scenario, many)
    assert np.isfinite(y).all() and (y >= 0).all()


def stack_of(scenario: Any, values: dict[str, np.ndarray]) -> np.ndarray:
    x = scenario.model.derive({**scenario.values, **values})
    return np.asarray(models_.stack(scenario.model.initial(x), (10,)))


def test_relative_error_counts_what_is_lost(problem: Any) -> None:
    reference = np.array([[[1.0], [2.0], [0.0]]])
    assert problem.relative_error(reference, reference) == 0
    assert problem.relative_error(reference + np.array([[0.0], [0.02], [0.0]]), reference) == pytest.approx(
        0.02 / 2.002
    )
    assert problem.relative_error(reference * np.nan, reference) == np.inf


SWEPT = """
title = "Mg by vein in the mouse"
mechanisms = ["Magnesium"]
cards = ["mouse"]
horizon = "12 h"
"""


@pytest.mark.usefixtures("folder")
def test_a_sweep_is_measured_beside_its_solver(tmp_path: Path) -> None:
    import report
    import sweeps

    (tmp_path / "mouse.toml").write_text(SWEPT)
    row, kept = sweeps.Row("one thread", 16, part=8, repeats=1), ["magnesium.total:max"]
    sweeps.in_a_process(str(tmp_path / "mouse.toml"), kept, row)
    assert not row.failed and row.found["peak_mb"] > 100 and row.found["bytes"] > 1000 and row.found["steady"] > 0
    assert 0 < row.found["alone"][0] < row.found["seconds"][0]
    found = report.machine() | {"scenario": "mouse", "kept": kept, "quick": True, "load": 0.0}
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- {sweeps.MARK}: begin -->\nold\n<!-- {sweeps.MARK}: end -->\nafter\n")
    report.into_page(page, sweeps.text({**found, "rows": [dataclasses.asdict(row)]}), sweeps.MARK)
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")
    assert "| one thread | 16 |" in page.read_text() and "old" not in page.read_text()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("method", ["rodas4", "rodas5p"])
def test_counted_sums_are_those_of_the_generated_step(problem: Any, method: str) -> None:
    import roofline

    from nanomg.solver.native import graph, stages, straight
    from nanomg.solver.native.ir import Format, Module
    from nanomg.solver.rosenbrock import METHODS

    plan = problem.build("textbook-2cpt", subjects=1).plan(method=method)
    module = Module(Format("double", 4))
    code = straight.straight_of(module, graph.equations_of(plan.model), plan.channels)
    emitted = roofline.operations_of(stages.add_step(module, code, METHODS[method]).text)
    # the loops over states are there once; a product is outside of them, and the error norm is not in the step
    norm = roofline.ERROR_NORM
    counted = {name: number - norm[name] for name, number in roofline.sums_of(METHODS[method], 1).items()}
    assert emitted == {**counted, "multiply": counted["multiply"] + 1}


@pytest.mark.usefixtures("folder")
def test_operations_of_code_are_counted() -> None:
    import roofline

    text = """
  %a = fadd contract <4 x double> %x, %y
  %b = fmul <4 x double> %a, %y
  %c = call <4 x double> @llvm.fma.v4f64(<4 x double> %a, <4 x double> %b, <4 x double> %x)
  %d = fdiv <4 x double> %c, %b
  %e = call <4 x double> @llvm.sqrt.v4f64(<4 x double> %d)
  %f = fcmp olt <4 x double> %e, %d
  %g = load <4 x double>, ptr %at
"""
    assert roofline.operations_of(text) == {"add": 2, "multiply": 2, "divide": 2}


@pytest.mark.usefixtures("folder")
def test_a_target_is_reached_or_not() -> None:
    import report

    assert report.target("rate", [31.0, 32.0, 33.0], 20, 30, "x")[1:] == ["32 x (31-33)", "20 x", "30 x", "aim"]
    assert report.target("rate", [25.0], 20, None, "x")[2:] == ["20 x", "", "must"]
    assert report.target("start", [2.5], 2, None, "s, at most")[1:] == ["2.5 s", "2 s", "", "no"]
    assert report.target("GPU", [], 50, 500, "x")[1] == "not measured"


@pytest.mark.usefixtures("folder")
def test_targets_take_the_rows_that_they_name() -> None:
    import report
    import run

    rows = [dataclasses.asdict(row) for row in run.rows_of(quick=True, with_gpu=False)]
    assert len({row["label"] for row in rows}) == len(rows)
    seconds = {"lsoda": 1.0, "roadrunner": 2.0, "cvode": 4.0, "diffsol": 2.0, "diffrax": 3.0, "mrgsolve": 3.0}
    for row in rows:
        row["found"]["best"] = {"error": 1e-4, "median_error": 1e-5, "rtol": 1e-4, "steps": ""}
        row["found"]["subjects"] = 10
        row["seconds"] = [seconds.get(row["tool"], 0.1)]
        if row["tool"] == "nanomg":
            how = row["options"]
            row["found"]["subjects"] = 10 if how.get("alone") else how["subjects"]
            # subjects a second: 300 by the native engine, double in float32, more inside JAX, 50 of one at a time
            rate = {True: 50.0, False: 300.0}["alone" in how] * {"float64": 1, "float32": 2}[how["precision"]]
            rate = 9999.0 if "traced" in how else rate / {"native": 1, "jax": 10}[how["engine"]]
            row["seconds"] = [row["found"]["subjects"] / rate]
        row["rate"] = row["found"]["subjects"] / row["seconds"][0]
    by = {"primal": 0.1, "gradient": 0.35, "compile": 1.0, "ratios": [3.5]}
    found = report.machine() | {
        "scenario": "mouse",
        "quick": True,
        "subjects": 10,
        "rows": rows,
        "reference": {"tool": "lsoda", "change": 1e-9, "states": 3},
        "check": {"failed": "not there"},
        "precision": {"share_of_peak": 1e-5},
        "cores": {"threads": [1.95], "processes": [1.5]},
        "gradient": {
            "batch": 32,
            "doses": 16,
            "finite": True,
            "apart": 1e-9,
            "over_jax": [6.0],
            "engines": {"native": by, "jax": by},
        },
        "memory": {"first_mb": 100.0, "last_mb": 101.0, "kept_mb": 1.0},
        "startup": {"cold": 1.5, "warm": 0.9, "help": 0.1, "search": 12.0, "command": 14.0},
    }
    lines = [line.split(" | ") for line in report.text(found).splitlines() if line.startswith("| ")]
    measured = {line[0].removeprefix("| "): line[1] for line in lines}
    assert measured["native, B 256 or more, over compiled LSODA, float64"] == "30 x"
    assert measured["native, B 256 or more, over compiled LSODA, float32"] == "60 x"
    assert measured["the same over scikit-sundae, float64"] == "120 x"
    assert measured["the same over libRoadRunner, float64"] == "60 x"
    assert measured["the same over the JAX engine, float64"] == "10 x"
    assert measured["one warm subject over libRoadRunner"] == "10 x"
    assert measured["two cores over one, one process"] == "1.95 x"
    assert measured["gradient over its primal, B 32"] == "3.5 x"
    assert measured["search of `make run`, all cores"] == "12 s"
