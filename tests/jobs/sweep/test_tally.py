"""What a sweep says of itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from nanomg.jobs.sweep import tally
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import STATUS
from nanomg.solver.status import Status


def found(total: int, part: int, values: np.ndarray) -> dict[str, Any]:
    """Quantities of `values`, added in parts."""
    kept = SimpleNamespace(label="a:final", how="final", unit="mg")
    said = tally.Tally(cast(Trajectories, SimpleNamespace(total=total, kept=[kept], dims={"point": total})))
    for start in range(0, total, part):
        some = values[start : start + part]
        ended = np.where(np.isfinite(some), Status.DONE, Status.TOO_MANY_STEPS).astype(np.int8)
        said.add(start, {"a:final": some, STATUS: ended})
    assert said.done == total and said.failed == np.isnan(values).sum()
    return cast(dict[str, Any], said.quantities()["a:final"])


@pytest.mark.parametrize("part", [512, 1000, 40_000])
@pytest.mark.parametrize("period", [2, 3, 4, 8, 16, 1000])
def test_quantiles_follow_no_axis(monkeypatch: pytest.MonkeyPatch, period: int, part: int) -> None:
    """The last axis runs fastest: a number that hangs on it alone repeats, and each of its values counts alike."""
    monkeypatch.setattr(tally, "_TALLIED", 4000)
    values = (np.arange(40_000) % period).astype(float)
    said = found(40_000, part, values)
    assert said["min"] == 0 and said["max"] == period - 1
    exact = np.quantile(values, (0.05, 0.5, 0.95))
    off = np.abs(exact - [said[key] for key in ("q05", "median", "q95")])
    assert np.all(
        off <= [0.02 * period, max(0.02 * period, 1), 0.02 * period]
    )  # of two halves the median may be either


def test_range_is_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "_TALLIED", 100)
    values = np.zeros(10_000)
    values[[17, 4321, 99]] = -5.0, 7.0, np.nan
    said = found(10_000, 256, values)
    assert (said["min"], said["median"], said["max"]) == (-5.0, 0.0, 7.0)


def test_few_are_all_counted() -> None:
    values = np.random.default_rng(0).normal(size=999)
    said = found(999, 100, values)
    assert [said[key] for key in ("q05", "median", "q95")] == pytest.approx(
        np.quantile(values, (0.05, 0.5, 0.95)), rel=1e-12
    )


def test_nothing_is_known_where_all_failed() -> None:
    assert all(np.isnan(value) for key, value in found(10, 3, np.full(10, np.nan)).items() if key != "unit")
