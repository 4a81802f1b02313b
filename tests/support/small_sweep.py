"""A sweep of made-up numbers, which its store writes in parts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from nanomg.errors import InputError
from nanomg.results import file as result_file
from nanomg.results import parts
from nanomg.results.parts import PartLayout, Variable
from nanomg.results.sweep_store import Store

IDENTITY = {"config_hash": "c" * 64, "versions": {"jax": "1.0", "nanomg": "0.1"}, "precision": "float32"}
ROOT = {
    "title": "t",
    "source": "nanomg",
    "nanomg_schema_version": result_file.SCHEMA_VERSION,
    "summary_json": '{"a": 1}',
}
GROUPS = {"doses": xarray.Dataset({"amt": ("dose", [1.0, 2.0])})}
TRAJECTORIES = 66


def layout(part: int = 7) -> PartLayout:
    status = result_file.flags("x", [0], ["solved", "step limit"], "status").attrs
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
    return PartLayout({"arm": 2, "carrier.k_release": 3, "subject": 11}, variables, part, {"time": 5}, coords)


def numbers(start: int, stop: int) -> dict[str, np.ndarray]:
    """What trajectories come to, each for itself."""
    streams = [np.random.default_rng(number) for number in range(start, stop)]
    return {
        "auc": np.array([rng.normal() if rng.random() > 0.1 else np.nan for rng in streams]),
        "tumour.volume": np.array([rng.lognormal(size=5) for rng in streams], dtype=np.float32),
        "status": np.array([rng.integers(2) for rng in streams], dtype=np.int8),
        "steps": np.array([rng.integers(10_000) for rng in streams], dtype=np.int32),
    }


def expected() -> xarray.Dataset:
    made = layout()
    found = xarray.Dataset(coords=dict(made.coords))
    for name, values in numbers(0, TRAJECTORIES).items():
        dims = made.dims_of(name)
        found[name] = (tuple(dims), values.reshape(tuple(dims.values())), dict(made.variables[name].attributes))
    return found


def write(store: Store, which: Iterable[int]) -> None:
    for part in which:
        store.write(part, numbers(*store.range(part)))


def begun(path: Path, *done: int) -> Path:
    """A folder with some parts of a sweep."""
    with Store.create(path, layout(), IDENTITY, force=True) as store:
        write(store, done)
    return parts.folder_of(path)


def sweep(path: Path) -> xarray.Dataset:
    return result_file.open(path)["sweep"].to_dataset().drop_attrs(deep=False)


def same(path: Path) -> None:
    xarray.testing.assert_identical(sweep(path), expected())


def told(path: Path, identity: Any = IDENTITY, made: PartLayout | None = None, **how: bool) -> str:
    with pytest.raises(InputError) as refusal:
        Store.create(path, made or layout(), identity, **how)
    return str(refusal.value)
