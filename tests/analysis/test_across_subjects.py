"""Quantiles over subjects, probability of target attainment, time above a threshold, and the scripts that show them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr

from nanomg import attainment, quantiles, time_above
from nanomg.analysis import noncompartmental
from nanomg.analysis.cdisc import CODES, PARTIAL
from nanomg.errors import InputError

DOCS = Path(__file__).resolve().parents[2] / "docs"


def population(count: int = 40, failed: int = 3) -> xr.DataArray:
    """Curves (subject, time), of which some failed and one lacks its end."""
    rng = np.random.default_rng(11)
    t = np.linspace(0.0, 24.0, 13)
    y = np.exp(0.3 * rng.standard_normal((count, 1))) * np.exp(-0.1 * t)
    y[:failed] = np.nan
    y[failed, 10:] = np.nan
    coords = {"time": ("time", t, {"units": "h"})}
    return xr.DataArray(
        y, dims=("subject", "time"), coords=coords, attrs={"units": "mmol L-1", "long_name": "serum Mg"}
    )


# ---------------------------------------------------------------- quantiles
def test_quantiles_are_those_of_numpy_without_the_failed() -> None:
    data, q = population(), (0.0, 0.05, 0.5, 0.95, 1.0)
    found = quantiles(data, q)
    assert found.dims == ("time", "quantile") and list(found["quantile"].values) == list(q)
    np.testing.assert_allclose(found, np.nanquantile(data, q, axis=0).T, rtol=1e-12)
    assert list(found.failed.values) == [3] * 10 + [4] * 3
    assert found.attrs == data.attrs and found.time.attrs["units"] == "h"


def test_quantiles_where_all_failed_are_nan() -> None:
    found = quantiles(population().where(lambda x: x.time < 10.0))
    assert found.sel(time=slice(10.0, None)).isnull().all() and found.sel(time=slice(0.0, 9.0)).notnull().all()
    assert (found.failed.sel(time=slice(10.0, None)) == 40).all()


def test_quantiles_of_a_table_count_the_failed_of_each_variable() -> None:
    rng = np.random.default_rng(1)
    table = xr.Dataset(
        {
            "CMAX": ("subject", rng.random(20), {"units": "mg L-1"}),
            "LAMZ": ("subject", np.where(np.arange(20) < 5, np.nan, 1.0)),
            "PPREASND": ("subject", np.zeros(20, np.int8), {"flag_values": np.arange(2, dtype=np.int8)}),
            "age": ("subject", np.arange(20)),
            "text": ("subject", ["a"] * 20),
            "other": 1.0,
        }
    )
    found = quantiles(table, (0.5,))
    assert set(found) == {"CMAX", "CMAX.failed", "LAMZ", "LAMZ.failed", "age", "age.failed"}
    assert int(found["LAMZ.failed"]) == 5 and int(found["CMAX.failed"]) == 0
    assert found.age.item() == 9.5 and found.CMAX.attrs["units"] == "mg L-1"


# ---------------------------------------------------------------- probability of target attainment
def test_attainment_counts_the_failed_apart() -> None:
    value = xr.DataArray([0.1, 0.2, 0.3, 0.4, np.nan, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, np.nan], dims="subject")
    found = attainment(value, 0.3)
    assert {k: float(v) for k, v in found.items()} == pytest.approx(  # Wilson's interval of 8 in 10
        {"probability": 0.8, "low": 0.490162, "high": 0.943318, "n": 10, "failed": 2}, rel=1e-6
    )
    assert float(attainment(value, 0.3, above=False).probability) == pytest.approx(0.3)


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, 0.277533), (10, 0.722467, 1.0)])
def test_all_or_none_leave_room_for_doubt(hits: int, low: float, high: float) -> None:
    found = attainment(xr.DataArray(np.arange(10) < hits, dims="subject").astype(float), 1.0)
    assert float(found.low) == pytest.approx(low, abs=1e-6) and float(found.high) == pytest.approx(high, abs=1e-6)


def test_a_wider_level_gives_a_wider_interval() -> None:
    value = xr.DataArray(np.arange(10.0), dims="subject")
    at = lambda level: attainment(value, 5, level=level)
    assert float(at(0.99).low) < float(at(0.8).low) < 0.5 < float(at(0.8).high) < float(at(0.99).high)


def test_several_targets_with_units_give_a_dimension() -> None:
    data = population().isel(time=0)
    found = attainment(data, ["500 umol/L", "1 mmol/L", "9 mmol/L"])
    assert found.probability.dims == ("target",) and list(found.target.values) == [0.5, 1.0, 9.0]
    assert found.target.attrs["units"] == "mmol L-1"
    assert (np.diff(found.probability) < 0).all() and int(found.failed) == 3
    assert float(found.probability[1]) == float((data >= 1.0).sum() / 37)


def test_no_subject_left_is_no_probability() -> None:
    found = attainment(xr.DataArray([np.nan, np.nan], dims="subject"), 1.0)
    assert np.isnan(found.probability) and np.isnan(found.low) and int(found.n) == 0 and int(found.failed) == 2


# ---------------------------------------------------------------- time above
def test_time_above_a_threshold_is_interpolated() -> None:
    coords = {"time": ("time", [0.0, 6.0, 24.0], {"units": "h"})}
    data = xr.DataArray(
        [[0.0, 0.8, 0.0], [1.0, 1.0, 1.0], [0.0, 0.1, 0.0], [0.0, np.nan, 1.0]],
        dims=("subject", "time"),
        coords=coords,
        attrs={"units": "mmol/L"},
    )
    found = time_above(data, "300 umol/L")
    assert found.values == pytest.approx([24 * (1 - 3 / 8), 24.0, 0.0, np.nan], nan_ok=True)
    assert found.attrs == {"units": "h", "long_name": "time above 300 umol/L"}


# ---------------------------------------------------------------- lazy data
@pytest.mark.parametrize(
    "of",
    [
        quantiles,
        lambda x: attainment(x, ["0.5 mmol/L", "1 mmol/L"]),
        lambda x: time_above(x, "0.5 mmol/L"),
        lambda x: quantiles(noncompartmental.nca(x), (0.5,)),
    ],
)
def test_lazy_data_give_the_same_lazily(of: Any) -> None:
    pytest.importorskip("dask")
    lazy = of(population().chunk(subject=9, time=5))
    assert lazy.chunks
    xr.testing.assert_allclose(lazy.compute(), of(population()), rtol=1e-14)


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda x: quantiles(x, dim="patient"),
            "quantiles: the data have no dimension 'patient'; they have subject, time",
        ),
        (lambda x: quantiles(x, (5, 50)), "quantiles must be between 0 and 1, not 5, 50"),
        (lambda x: attainment(x, "1 mmol/L", dim="patient"), "no dimension 'patient'"),
        (lambda x: attainment(x, 1.0), "lacks its unit"),
        (lambda x: attainment(x, "1 mg/L"), "cannot be converted"),
        (lambda x: time_above(x.isel(time=0), "1 mmol/L"), "no dimension 'time'"),
        (lambda x: time_above(x, "1 h"), "cannot be converted"),
    ],
)
def test_a_mistake_is_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        call(population())
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


# ---------------------------------------------------------------- the manual
def test_the_page_explains_every_code() -> None:
    rows = [line.split(" | ") for line in (DOCS / "analysis.md").read_text(encoding="utf-8").splitlines()]
    explained = {row[0].removeprefix("| "): row[1] for row in rows if len(row) == 3}
    assert {code: text for code, text in explained.items() if code.isupper()} == {
        code: entry.text for code, entry in {**CODES, **PARTIAL}.items()
    }


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    """What the cells of the notebook leave, without a screen."""
    matplotlib.use("Agg")
    return runpy.run_path(str(DOCS / "exposure.py"))


def test_the_notebook_runs_and_finds_the_clearance_of_every_subject(notebook: dict[str, Any]) -> None:
    assert notebook["exposure"].CLFO.sizes == {"dose.amount": 3, "subject": 100}
    assert float(notebook["error"].median()) < 1e-3 and float(notebook["error"].max()) < 1e-2


def test_the_script_shows_a_result(notebook: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    show = runpy.run_path(str(DOCS / "analysis.py"))["main"]
    path = str(notebook["folder"] / "sweep.h5")
    show([path, "pk.C", "--dose", "dose.amount", "--target", "CMAX=2 mg/L"])
    shown = capsys.readouterr().out
    assert "CLFO [L h-1]" in shown and "CMAX of 2 mg/L or more" in shown and "nan" not in shown.lower()
