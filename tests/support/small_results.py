"""A small result of every job: a few solved, the rest made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from nanomg.jobs.simulate import run as simulate_run
from nanomg.jobs.sweep import run as sweep_run
from nanomg.results import file

TINY = """
title = "Bone and $x$ <b>"
description = "As many doses as fit."
mechanisms = ["OneCompartment"]
cards = ["textbook"]
horizon = "48 h"
every = "4 h"
outputs = { "pk.C" = "mg/L" }

[[dose]]
cmt = "pk.depot"
text = "100 mg q 24 h x 2"

[[limit]]
name = "safe $y"
signal = "pk.C"
max = "2.5 mg/L"

[[free]]
cmt = "pk.depot"
amount = ["0 mg", "200 mg"]
time = ["0 h", "40 h"]

[objective]
"exposure" = { signal = "pk.C", unit = "mg/L", statistic = "mean", weight = -1.0 }
"""


@pytest.fixture(scope="session")
def small_scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def simulated(small_scenario: Path) -> xr.DataTree:
    return simulate_run.simulate(str(small_scenario)).tree


@pytest.fixture(scope="session")
def optimum(simulated: xr.DataTree) -> xr.DataTree:
    """A simulation dressed up as the result of a search, which would take long."""
    arms = ["baseline", "optimum"]
    wide = lambda data: xr.concat([data.isel(regimen=0)] * 2, "regimen").assign_coords(regimen=arms)
    steps = np.geomspace(1.0, 1e-3, 5)[:, None] * np.array([1.0, 2.0])
    search = xr.Dataset(
        {
            **dict.fromkeys(("objective", "excess", "kkt_residual"), (("step", "start"), steps)),
            "limit": ("constraint", [2.5, 24.0]),
            "value": ("constraint", [2.49, 30.0]),
            "slack": ("constraint", [0.01, 6.0]),
            "constraint_unit": ("constraint", np.array(["mg/L", "h"], object)),
            "term_value": (("term", "regimen"), [[-1.0, -1.5], [0.1, 0.2]]),
        },
        {
            "step": range(5),
            "start": range(2),
            "constraint": ["safe $y", "interval"],
            "term": ["e", "f"],
            "regimen": arms,
        },
    )
    groups = {name: wide(simulated[name].to_dataset()) for name in ("simulation", "doses")}
    found = tree({**groups, "optimization": search})
    found.attrs.update(simulated.attrs, nanomg_job="optimize")
    found.attrs["summary_json"] = json.dumps({**json.loads(simulated.attrs["summary_json"]), "objective": -1.3})
    return found


@pytest.fixture(scope="session")
def swept(small_scenario: Path) -> xr.DataTree:
    return sweep_run.sweep(
        str(small_scenario),
        vary=["dose.amount=10..100 mg:log:4", "dose.interval=6..24 h:4"],
        keep=["pk.C:max", "pk.C:series"],
    ).tree


def feasible(draws: int = 40) -> xr.DataTree:
    rng = np.random.default_rng(0)
    names = [f"{part}, {s}" for part in ("total", "local", "serum") for s in ("peak", "day", "mean")]
    rise = xr.DataArray(
        rng.lognormal(-3, 1, (draws, len(names))), dims=("draw", "quantity"), coords={"quantity": names}
    )
    return tree({"feasibility": xr.Dataset({"rise": rise})})


def calibrated() -> xr.DataTree:
    rows, rng = 9, np.random.default_rng(1)
    seen = rng.lognormal(0, 1, rows)
    data = xr.Dataset(
        {
            "quantity": ("row", np.array(["C"] * rows, object)),
            "part": ("row", np.array(["fit"] * 6 + ["judge"] * 3, object)),
            "unit": ("row", np.array(["mg/L"] * 5 + ["1"] * 4, object)),
            "observed": ("row", seen),
            "predicted": ("row", seen * 1.1),
            "predicted_at_start": ("row", seen * 2.0),
            "residual": ("row", rng.normal(size=rows)),
        },
        {"parameter": ["pk.CL"]},
    )
    value = {
        "unit": "L/h",
        "start": 4.0,
        "estimate": 5.0,
        "low": 4.5,
        "high": 5.5,
        "bounds": [1.0, 20.0],
        "bound": None,
    }
    return tree({"calibration": data}, {"parameters": {"pk.CL": {**value, "prior": {"value": 4.0, "cv": 0.3}}}})


def validated() -> xr.DataTree:
    count, rng = 12, np.random.default_rng(2)
    seen = rng.lognormal(0, 2, count)
    rows = xr.Dataset(
        {
            "use": file.flags("row", [0, 1] * 6, ("calibrate", "validate", "look"), "use of the row"),
            "domain": ("row", np.array(["serum", "tumour"] * 6, object)),
            "value": ("row", seen),
            "predicted": ("row", seen * rng.lognormal(0, 0.3, count)),
            "bound": ("row", np.array([""] * count, object)),
            "sign": ("row", np.zeros(count)),
        }
    )
    domains = xr.Dataset(
        {
            "name": ("domain", np.array(["serum", "tumour"], object)),
            "use": ("domain", np.array(["calibrate", "validate"], object)),
            "gmfe": ("domain", [1.2, np.nan]),
            "allowed": ("domain", [np.nan, 1.25]),
            "n": ("domain", [6, 6]),
        }
    )
    return tree({"rows": rows, "domains": domains})


def tree(groups: dict[str, xr.Dataset], summary: Any = None) -> xr.DataTree:
    found = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    found.attrs["title"] = "A result of $5 & <b>"
    if summary is not None:
        found.attrs["summary_json"] = json.dumps(summary)
    return found


def sensitive() -> xr.DataTree:
    rows = [
        {
            "output": "C:max",
            "parameter": f"interstitium.content_{i}",  # as long as names are
            "elasticity": (-1.0) ** i / (i + 1),
            "at_low": -0.3 / (i + 1),
            "at_high": 0.4 / (i + 1),
            "range_effect": 0.7 / (i + 1),
            "basis": basis,
        }
        for i, basis in enumerate(("measured", "fitted", "assumed"))
    ]
    outputs = [{"output": "C:max", "value": 2.0, "unit": "mg/L", "text": "concentration, highest value"}]
    summary = {"outputs": outputs, "elasticities": rows, "sobol": None, "over": "card"}
    return tree({"sensitivity": xr.Dataset()}, summary)


MADE: dict[str, Callable[[], xr.DataTree]] = {
    "feasibility": feasible,
    "calibrate": calibrated,
    "validate": validated,
    "sensitivity": sensitive,
}


NAMES = {
    "hypothesis": ["H1", "H2", "H3"],
    "regimen": ["as given", "without Mg"],
    "ID": [str(i) for i in range(40)],
}


def varied(dims: dict[str, int]) -> xr.DataTree:
    """A sweep along these dimensions that keeps a number and a course, one trajectory of which failed; a limit lies between."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=tuple(dims.values()))
    if values.size > 1:
        values.flat[0] = np.nan
    about = {"units": "mg L-1", "long_name": "highest concentration"}
    data = xr.Dataset(
        {"C:max": (tuple(dims), values, about), "C": ((*dims, "time"), values[..., None] * np.arange(3), about)}
    )
    coords: dict[str, Any] = {"time": ("time", [0.0, 12.0, 24.0])}
    for name, size in dims.items():
        if name.startswith("dose"):
            coords[name] = (name, np.geomspace(1.0, 100.0, size), {"units": "mg", "long_name": f"amount, {name}"})
        elif name in NAMES:
            coords[name] = (name, np.array(NAMES[name][:size], object), {"long_name": name})
        elif name == "point":
            coords["dose.a"] = ("point", rng.lognormal(size=size), {"units": "mg", "long_name": "amount"})
            coords["hypothesis"] = ("point", np.array(["H1", "H2"] * (size // 2), object), {"long_name": "hypothesis"})
    status = np.isnan(values).astype(np.int8)
    ended = file.flags(tuple(dims), status, ["done", "too many steps"], "outcome of the trajectory")
    found = tree({"sweep": data.assign_coords(coords).assign(status=ended)})
    found.attrs["config_json"] = json.dumps({"file": {"limit": [{"name": "safe", "signal": "C", "max": "1 mg/L"}]}})
    return found
