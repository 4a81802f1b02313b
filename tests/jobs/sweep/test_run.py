"""Whole sweeps: what the file holds, how a stopped one goes on, and what wrong requests are told."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nanomg
from nanomg.errors import InputError
from nanomg.jobs.sweep import run as sweep_run
from nanomg.jobs.sweep.prepared import PreparedSweep, prepare
from nanomg.jobs.sweep.request import SweepRequest
from nanomg.views import report

SCENARIO = """
title = "Mg by vein in the mouse"
mechanisms = ["Magnesium"]
cards = ["mouse"]
horizon = "12 h"
every = "3 h"

[outputs]
"magnesium.total" = "mmol/L"

[[dose]]
cmt = "magnesium.iv"
text = "5 umol at 1 h"
"""
ASKED = {
    "vary": ["dose.amount=1..10 umol:log:4"],
    "subjects": 300,
    "keep": ["magnesium.total:max", "magnesium.total:series", "magnesium.GFR"],
    "seed": 7,
}


def prepared(scenario: str, **asked: Any) -> PreparedSweep:
    return prepare(SweepRequest(scenario=scenario, **asked))


@pytest.fixture(scope="module")
def mouse(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scenario") / "mouse.toml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture(scope="module")
def whole(mouse: str, tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    """An undisturbed sweep of 1,200 trajectories in 4 parts and its file."""
    run = nanomg.sweep(mouse, output=tmp_path_factory.mktemp("whole") / "whole.h5", **ASKED)
    assert run.summary["failed"] == 0
    return nanomg.open(run.path)


def assert_equal(found: xr.DataTree, expected: xr.DataTree) -> None:
    """Bit for bit, NaN included."""
    one, other = found["sweep"].to_dataset(), expected["sweep"].to_dataset()
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values, strict=True)
        told = {key: value for key, value in one[name].attrs.items() if key != "sha256"}
        assert str(told) == str(other[name].attrs)


# ---------------------------------------------------------------- the file
def test_the_file_says_what_was_swept(whole: xr.DataTree) -> None:
    data = whole["sweep"].to_dataset()
    assert dict(data.sizes) == {"dose.amount": 4, "subject": 300, "time": 5}
    assert data["magnesium.total"].dims == ("dose.amount", "subject", "time")
    assert data["magnesium.total:max"].attrs["units"] == "mmol L-1"
    assert data["time"].attrs["units"] == "h" and data["dose.amount"].attrs["units"] == "umol"
    np.testing.assert_allclose(data["dose.amount"], np.geomspace(1, 10, 4))
    assert (data["status"] == 0).all() and "solved_to_the_end" in data["status"].attrs["flag_meanings"]
    assert (data["magnesium.total:max"].diff("dose.amount") > 0).all()
    assert {"doses", "parameters"} <= set(whole.children)
    summary, config = (json.loads(whole.attrs[name]) for name in ("summary_json", "config_json"))
    assert config["request"]["subjects"] == 300 and whole.attrs["rng_seed"] == 7
    found = summary["sweep"]["magnesium.total:max"]
    values = data["magnesium.total:max"].values
    assert found["max"] == values.max() and found["median"] is None  # four amounts
    medians = [point["arms"]["as given"]["magnesium.total:max"]["median"] for point in summary["points"]]
    assert medians == pytest.approx(np.median(values, axis=1))


def test_without_an_output_the_result_is_in_memory(mouse: str, whole: xr.DataTree) -> None:
    run = nanomg.sweep(mouse, **ASKED)
    assert run.path is None and run.summary["output"] is None
    assert_equal(run.tree, whole)


def test_the_file_need_not_be_read_again(mouse: str, whole: xr.DataTree, tmp_path: Path) -> None:
    run = nanomg.sweep(mouse, output=tmp_path / "a.h5", read=False, **ASKED)
    assert run.path is not None and not run.tree.children
    assert_equal(nanomg.open(run.path), whole)


def test_parts_left_as_they_are_are_read_as_one(mouse: str, whole: xr.DataTree, tmp_path: Path) -> None:
    run = nanomg.sweep(mouse, output=tmp_path / "a.h5", parts=True, **ASKED)
    assert run.path == tmp_path / "a.h5.parts" and not (tmp_path / "a.h5").exists()
    assert_equal(nanomg.open(run.path), whole)


def test_pairs_and_samples_are_dimensions(mouse: str) -> None:
    vary = ["magnesium.GFR=10..20 mL/h", "dose.amount=1..10 umol:log"]
    run = nanomg.sweep(mouse, vary=vary, points=4, sample="sobol", paired=True, keep=["magnesium.total:max"])
    data = run.tree["sweep"].to_dataset()
    assert dict(data.sizes) == {"point": 4, "regimen": 2}
    assert data["magnesium.GFR"].dims == ("point",) and list(data["regimen"].values) == ["as given", "without Mg"]
    given, without = data["magnesium.total:max"].transpose("regimen", "point").values
    assert (given > without).all()


# ---------------------------------------------------------------- stopped and resumed
class Stop(Exception):
    pass


def test_a_stopped_sweep_goes_on_where_it_was(mouse: str, whole: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"

    def stop(at: sweep_run.Progress) -> None:
        raise Stop

    with pytest.raises(Stop):
        nanomg.sweep(mouse, output=path, progress=stop, **ASKED)
    assert not path.exists()
    half = nanomg.open(f"{path}.parts")["sweep"].to_dataset()
    there = half["status"] == 0
    assert 0 < int(there.sum()) < 1200
    assert np.isfinite(half["magnesium.GFR"].values[there.values]).all()
    assert np.isnan(half["magnesium.GFR"].values[~there.values]).all()
    with pytest.raises(InputError, match="unfinished sweep"):
        nanomg.sweep(mouse, output=path, **ASKED)
    with pytest.raises(InputError, match="seed"):
        nanomg.sweep(mouse, output=path, resume=True, **{**ASKED, "seed": 8})
    seen: list[sweep_run.Progress] = []
    run = nanomg.sweep(mouse, output=path, resume=True, progress=seen.append, **ASKED)
    assert seen[0].before == int(there.sum()) and seen[-1].done == 1200
    assert run.summary["computed"] == 1200 - seen[0].before
    assert_equal(nanomg.open(path), whole)
    again = nanomg.sweep(mouse, output=path, resume=True, **ASKED)
    assert again.summary["computed"] == run.summary["computed"]  # nothing is left to do: it is shown again
    with pytest.raises(InputError, match="--force"):
        nanomg.sweep(mouse, output=path, **ASKED)


def test_a_population_that_was_changed_is_another_sweep(mouse: str, tmp_path: Path) -> None:
    who = tmp_path / "who.toml"
    who.write_text('title = "t"\nspecies = "any"\n')
    asked = {"subjects": 40, "population": str(who), "keep": ["magnesium.GFR"], "output": tmp_path / "a.h5"}
    nanomg.sweep(mouse, **asked)
    entry = '{ parameter = "magnesium.GFR", cv = 0.5, basis = "assumed", note = "a test" }'
    who.write_text(f'title = "t"\nspecies = "any"\n[covariates]\nGFR = {entry}\n')
    with pytest.raises(InputError, match="population_sha256 was"):
        nanomg.sweep(mouse, resume=True, **asked)


COMMAND = [
    *(sys.executable, "-P", "-c", "from nanomg.cli.main import app; app()", "sweep"),
    *("--vary", "dose.amount=1..10 umol:log:16", "--subjects", "300"),
    *("--keep", "magnesium.total:max", "--keep", "magnesium.GFR", "--seed", "7"),
]


@pytest.mark.slow
def test_a_sweep_killed_at_twenty_moments_ends_like_an_undisturbed_one(mouse: str, tmp_path: Path) -> None:
    command = [*COMMAND, mouse]
    for _ in range(2):  # the first run compiles, which the killed ones need not
        began = time.monotonic()
        subprocess.run([*command, "-o", str(tmp_path / "whole.h5"), "--force"], check=True, capture_output=True)
        took = time.monotonic() - began
    path, moments = tmp_path / "killed.h5", random.Random(1)
    killed = 0
    for attempt in itertools.count():
        assert attempt < 200
        process = subprocess.Popen(
            [*command, "-o", str(path), "--resume"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if killed < 20:
            try:
                process.wait(moments.uniform(0.2, 1.0) * took)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
                continue
        assert process.wait() == 0
        if killed == 20:
            break
        path.unlink()  # it was through before it could be killed
    assert_equal(nanomg.open(path), nanomg.open(tmp_path / "whole.h5"))


# ---------------------------------------------------------------- worker processes
KILLING = """
import sys
import psutil
import nanomg

def main():
    killed = []

    def kill(at):
        if not killed and at.done < at.total:
            worker = psutil.Process().children(recursive=True)[-1]
            killed.append(worker.pid)
            worker.kill()

    run = nanomg.sweep(sys.argv[1], output=sys.argv[2], workers=2, progress=kill, vary=["dose.amount=1..10 umol:log:16"],
        subjects=300, keep=["magnesium.total:max", "magnesium.GFR"], seed=7)
    assert killed and run.summary["failed"] == 0

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_worker_processes_give_the_same_and_one_that_dies_is_replaced(mouse: str, tmp_path: Path) -> None:
    script = tmp_path / "killing.py"
    script.write_text(KILLING)
    subprocess.run([sys.executable, "-P", str(script), mouse, str(tmp_path / "a.h5")], check=True)
    asked = {"vary": ["dose.amount=1..10 umol:log:16"], "subjects": 300, "seed": 7}
    here = nanomg.sweep(mouse, keep=["magnesium.total:max", "magnesium.GFR"], **asked)
    assert_equal(nanomg.open(tmp_path / "a.h5"), here.tree)


# ---------------------------------------------------------------- what is asked
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "nothing varies"),
        ({"subjects": 3, "population": "martians"}, "no population 'martians'"),
        ({"population": "mouse-c57bl6", "vary": ["dose.amount=1,2 umol"]}, "needs subjects"),
        ({"subjects": 3, "rtol": 2.0}, "between 0 and 1"),
        ({"subjects": 3, "precision": "float16"}, "precision"),
        ({"subjects": 3, "memory": "1 kB"}, "give more memory"),
        ({"subjects": 3, "resume": True}, "name the output"),
        ({"subjects": 3, "output": "a.h5", "resume": True, "force": True}, "give one of them"),
        ({"subjects": 3, "workers": 1, "scheduler": "tcp://127.0.0.1:1"}, "not both"),
        ({"subjects": 3, "sample": "lhs", "points": 50}, "nothing to sample"),
        ({"subjects": 3, "points": 50}, "remove it"),
        ({"vary": ["dose.amount=1,2 umol"], "points": 50}, "remove it"),
        ({"subjects": 3, "scheduler": "tcp://127.0.0.1:1"}, "no Dask scheduler"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    mouse: str, asked: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanomg.compute.cluster._WAIT", 1)
    with pytest.raises(InputError, match=says):
        nanomg.sweep(mouse, **asked)


def test_a_sweep_goes_on_only_where_it_was_computed(
    mouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"subjects": 300, "keep": ["magnesium.total:max"], "output": tmp_path / "a.h5"}
    with pytest.raises(RuntimeError):
        nanomg.sweep(mouse, progress=stop, **asked)
    todo = prepared(mouse, resume=True, **asked)
    monkeypatch.setattr(type(todo.batch.choice), "text", "GPU (another)")
    with pytest.raises(InputError, match="device"):
        sweep_run.run_prepared(todo)
    monkeypatch.undo()
    assert nanomg.sweep(mouse, resume=True, **asked).tree.attrs["device"] == todo.batch.choice.text


def stop(at: sweep_run.Progress) -> None:
    raise RuntimeError


@pytest.mark.parametrize("what", ["equations", "population"])
def test_a_worker_that_would_compute_something_else_is_refused(mouse: str, what: str) -> None:
    recipe = prepared(mouse, **ASKED).recipe
    assert recipe.batch().total == 1200
    with pytest.raises(InputError, match=f"other {what}"):
        recipe._replace(**{what: "0" * 64}).batch()


def test_the_estimate_is_the_size_of_the_sweep(mouse: str) -> None:
    found = sweep_run.estimate(prepared(mouse, **ASKED))
    assert found["trajectories"] == 1200 and found["bytes"] == 1200 * (1 + 8 * (1 + 5 + 1))
    assert found["seconds"] == pytest.approx(1200 / found["subjects_per_second"])


def test_parts_shrink_with_the_memory_and_the_numbers_stay(mouse: str, whole: xr.DataTree) -> None:
    large = prepared(mouse, **{**ASKED, "subjects": 100_000})
    small = prepared(mouse, memory="5 MB", **{**ASKED, "subjects": 100_000})
    assert small.part < large.part and small.part % small.batch.block == 0
    for name, values in small.batch.solve(0, 10).items():
        np.testing.assert_allclose(values, large.batch.solve(0, 10)[name], rtol=1e-9)


def test_the_page_of_a_sweep(whole: xr.DataTree, tmp_path: Path) -> None:
    made = report.report(whole, tmp_path / "page.html")
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["kind"] == "sweep" and "all solved" in made["verdict"] and made["verdict"] in said
    assert "can be drawn" not in said
