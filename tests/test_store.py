"""The store of a sweep: nothing that was finished is lost, and the dataset does not depend on how it came about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import xarray

from nanomg import results
from nanomg.store import Layout, Store, Variable

IDENTITY = {"config_hash": "c" * 64, "versions": {"jax": "1.0", "nanomg": "0.1"}, "precision": "float32"}
ROOT = {"title": "t", "source": "nanomg", "nanomg_schema_version": results.SCHEMA_VERSION}
GROUPS = {"doses": xarray.Dataset({"amt": ("dose", [1.0, 2.0])})}


def layout(part: int = 7) -> Layout:
    status = results.flags("x", [0], ["solved", "step limit"], "status").attrs
    variables = {
        "auc": Variable((), "float64", {"units": "umol h / mL", "long_name": "AUC"}),
        "tumour.volume": Variable(("time",), "float32", {"units": "cm3", "long_name": "tumour volume"}),
        "status": Variable((), "int8", status),
        "steps": Variable((), "int32"),
    }
    coords = {
        "arm": xarray.Variable("arm", ["as given", "without Mg, µ"]),
        "carrier.k_release": xarray.Variable("carrier.k_release", [0.1, 0.3, 1.0], {"units": "1/h"}),
        "time": xarray.Variable("time", np.linspace(0.0, 24.0, 5), {"units": "h"}),
        "weight": xarray.Variable("subject", np.linspace(60.0, 80.0, 11), {"units": "kg"}),
    }
    return Layout({"arm": 2, "carrier.k_release": 3, "subject": 11}, variables, part, {"time": 5}, coords)


def numbers(made: Layout, start: int, stop: int) -> dict[str, np.ndarray]:
    """What trajectories come to, each for itself."""
    rows = [np.random.default_rng(number) for number in range(start, stop)]
    return {
        "auc": np.array([rng.normal() if rng.random() > 0.1 else np.nan for rng in rows]),
        "tumour.volume": np.array([rng.lognormal(size=5) for rng in rows], dtype=np.float32),
        "status": np.array([rng.integers(2) for rng in rows], dtype=np.int8),
        "steps": np.array([rng.integers(10_000) for rng in rows], dtype=np.int32),
    }


def expected(made: Layout) -> xarray.Dataset:
    found = xarray.Dataset(coords=dict(made.coords))
    for name, values in numbers(made, 0, made.trajectories).items():
        dims, variable = made.dims_of(name), made.variables[name]
        found[name] = (tuple(dims), values.reshape(tuple(dims.values())), dict(variable.attributes))
    return found


def write(store: Store, which: Iterable[int]) -> None:
    for part in which:
        store.write(part, numbers(store.layout, *store.range(part)))


def same(path: Path, made: Layout) -> None:
    found = results.open(path)["sweep"].to_dataset()
    found.attrs.clear()
    xarray.testing.assert_identical(found, expected(made))


@pytest.mark.parametrize("part", [1, 7, 11, 60, 1000])
def test_merged_is_what_was_written(tmp_path: Path, part: int) -> None:
    made = layout(part)
    with Store.create(tmp_path / "out.h5", made, IDENTITY) as store:
        assert store.missing() == list(range(math.ceil(66 / part)))
        write(store, np.random.default_rng(0).permutation(store.missing()).tolist())
        assert store.merge(GROUPS, ROOT) == tmp_path / "out.h5"
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
    same(tmp_path / "out.h5", made)
