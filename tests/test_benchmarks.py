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
