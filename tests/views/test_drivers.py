"""Rank correlations with the numbers of a result, and what would change it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from read_page import facts_of, said
from scipy.stats import spearmanr

from nanomg.page.blocks import Table
from nanomg.page.result import ResultReader
from nanomg.views import drivers


def swept(sizes: dict[str, int], **values: np.ndarray) -> ResultReader:
    """A sweep over these axes, each from 0 to 1, which keeps these numbers."""
    data = xr.Dataset(
        {name: (tuple(sizes), v) for name, v in values.items()},
        {d: np.linspace(0.0, 1.0, n) for d, n in sizes.items() if d != "subject"},
    )
    data["status"] = tuple(sizes), np.zeros(tuple(sizes.values()), np.int8)
    return facts_of({}, {}, sweep=data)


def going_with(facts: ResultReader) -> dict[str, tuple[float, str]]:
    """Rank correlation and number of pairs by name."""
    tables = [b for b in drivers.drivers(facts) if isinstance(b, Table) and "rank correlation" in b.headers]
    return {row[0].text: (row[1].value, row[2]) for table in tables for row in table.rows}


def test_no_axis_of_a_large_grid_is_lost() -> None:
    sizes = dict.fromkeys("abcd", 30)
    axes = np.meshgrid(*[np.linspace(0.0, 1.0, 30)] * 4, indexing="ij", sparse=True)
    facts = swept(sizes, **{"y:max": sum(axes) + 0.0})
    found = going_with(facts)
    assert set(found) == set("abcd") and {n for _, n in found.values()} == {"20,000 trajectories"}
    assert all(0.4 < rho < 0.6 for rho, _ in found.values())  # four of equal weight: about 1/2 each
    assert "From 20,000 of 810,000 trajectories" in said(drivers.drivers(facts))


def test_a_value_of_a_subject_is_counted_once_for_each_subject() -> None:
    random = np.random.default_rng(1)
    weight = np.broadcast_to(random.normal(size=12), (5, 12))
    y = random.normal(size=(5, 12))
    y[2, 3] = np.nan  # failed
    rho, n = going_with(swept({"a": 5, "subject": 12}, weight=weight, **{"y:max": y}))["weight"]
    assert n == "11 subjects"
    solved = np.arange(12) != 3
    assert rho == pytest.approx(spearmanr(weight[0, solved], np.median(y, axis=0)[solved]).statistic)


def test_of_many_subjects_and_points_some_of_both_are_taken() -> None:
    random = np.random.default_rng(1)
    weight = random.normal(size=200)
    dose = np.linspace(0.0, 1.0, 100)
    y = (dose[:, None, None] + 0.0 * dose[:, None] + weight).astype(np.float32)
    facts = swept(
        {"a": 100, "b": 100, "subject": 200},
        weight=np.broadcast_to(weight, y.shape),
        **{"y:max": y, "a:value": np.broadcast_to(dose[:, None, None], y.shape)},
    )
    found = going_with(facts)
    assert found["weight"] == (pytest.approx(1.0), "141 subjects")
    assert found["a"][1] == "19,881 trajectories" and found["a:value"][0] == pytest.approx(found["a"][0])
    assert abs(found["b"][0]) < 0.05 < found["a"][0]


def test_the_arm_without_mg_goes_with_nothing() -> None:
    dose = np.linspace(0.0, 1.0, 10)
    y = np.stack([dose, -dose], 1)
    data = swept({"a": 10, "regimen": 2}, **{"y:max": y}).tree["sweep"].to_dataset()
    facts = facts_of({}, {}, sweep=data.assign_coords(regimen=["as given", "without Mg"]))
    assert going_with(facts) == {"a": (pytest.approx(1.0), "10 trajectories")}


def test_starts_that_agree_ask_for_no_longer_search() -> None:
    start = {"objective": 1.25, "feasible": True}
    for second, told in ((1.25, False), (1.5, True)):
        summary = {"objective": 1.25, "starts": [start, start | {"objective": second}]}
        text = said(drivers.changes(facts_of({}, summary, optimization=xr.Dataset())))
        assert ("A longer search" in text) == told


def test_a_large_gain_is_written_out() -> None:
    summary = {"signals": {}, "mg": {"mean_competence_gain": {"H1": 1.2, "H3": -0.05}}}
    assert "+120 % under H1, -5 % under H3" in said(drivers.changes(facts_of({}, summary, simulation=xr.Dataset())))
