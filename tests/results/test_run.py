"""What a finished run shows of itself: as text, as HTML in a notebook, as a table and as a figure."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

import nanomg
from nanomg.errors import InputError
from nanomg.results import run as results_run
from nanomg.results.run import Run


@pytest.fixture(scope="module")
def run(small_scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return nanomg.simulate(str(small_scenario), output=tmp_path_factory.mktemp("run") / "tiny.h5")


def test_a_run_says_what_it_is_and_what_it_gives(run: Run) -> None:
    first, second, answer = repr(run).splitlines()
    assert str(run.path) in first and second == "Simulate: Bone and $x$ <b>" and answer == run.summary.verdict


def test_a_run_in_a_notebook_holds_its_numbers_and_no_markup_of_others(run: Run) -> None:
    shown = run._repr_html_()
    assert "<b>" not in shown and "&lt;b&gt;" in shown
    assert "<th>pk.C</th>" in shown and f"<td>{run.summary.signals['pk.C'].max:.4g}</td>" in shown


def test_a_table_holds_every_value_of_the_result(run: Run) -> None:
    table, data = run.to_dataframe(), run.tree["simulation"].to_dataset()
    assert len(table) == data["pk.C"].size
    np.testing.assert_array_equal(table["pk.C"], data["pk.C"].values.ravel())
    assert table["time"].max() == 48.0
    with pytest.raises(InputError, match="no group in this result 'simulatoin'; did you mean 'simulation'"):
        run.to_dataframe("simulatoin")


def test_a_sweep_as_a_table_has_a_row_for_each_trajectory(small_scenario: Path) -> None:
    run = nanomg.sweep(str(small_scenario), vary=["dose.amount=10..100 mg:3", "pk.V=20,30 L"], keep=["pk.C:max"])
    table = run.to_dataframe()
    assert len(table) == 6 and {"dose.amount", "pk.V", "pk.C:max", "status"} == set(table.columns)
    assert "sweep" in run._repr_html_()


def test_a_run_draws_itself(run: Run) -> None:
    assert [axis.get_ylabel() for axis in run.plot(["pk.C"]).axes if axis.get_ylabel()] == ["[mg/L]"]


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(results_run).failed == 0
