"""`nanomg doctor`: a failed trajectory is replayed, and time, state and term are those that are known to be at fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hostile import altered
from typer.testing import CliRunner

import nanomg
from nanomg.cli.main import commands
from nanomg.errors import InputError
from nanomg.models import library
from nanomg.views.doctor import diagnose

MECHANISM = '''
from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param


class Runaway(AbstractMechanism):
    """dx/dt = growth x^2, without end at 1 / (growth x), and a harmless loss."""

    name = "runaway"
    states = {"runaway.x": Var("mg", "what runs away"), "runaway.calm": Var("mg", "what stays")}
    signals = {"runaway.root": Var("mg*h", "what stays over its loss")}
    ports = {"runaway.in": Port("mg", "into what runs away", {"runaway.x": 1.0})}

    growth: Scalar = param("1/mg/h", "growth")
    k: Scalar = param("1/h", "loss")

    def initial(self, x):
        return {"runaway.calm": 1.0}

    def evaluate(self, x):
        return {"runaway.root": x["runaway.calm"] / self.k}

    def fluxes(self, x):
        yield Flux(None, "runaway.x", self.growth * x["runaway.x"] ** 2)
        yield Flux("runaway.x", None, self.k * x["runaway.x"])
        yield Flux("runaway.calm", None, self.k * x["runaway.calm"])
'''
CARD = """
title = "An example"
[runaway]
growth = { value = 0.1, unit = "1/mg/h", low = 0.05, high = 0.2, basis = "assumed", note = "an example" }
k = { value = 1e-6, unit = "1/h", low = 1e-7, high = 1e-5, basis = "assumed", note = "an example" }
"""
SCENARIO = """
title = "Runs away"
mechanisms = ["Runaway"]
cards = ["runaway"]
horizon = "20 h"
every = "1 h"
[outputs]
"runaway.x" = "mg"
[[dose]]
cmt = "runaway.in"
amt = "1 mg"
time = "2 h"
[columns]
"runaway.growth" = "GROWTH"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("runaway")
    for name, text in (("runaway.py", MECHANISM), ("cards/runaway.toml", CARD), ("scenarios/runaway.toml", SCENARIO)):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    return here


@pytest.fixture(scope="module")
def failed(folder: Path) -> Path:
    path = folder / "failed.h5"
    run = nanomg.simulate("runaway", output=path, library=library(folder))
    assert run.summary["status"]["failed"] == 1
    return path


def test_time_state_and_term_are_found(failed: Path, folder: Path) -> None:
    found = diagnose(failed, library=library(folder))
    finding = found["finding"]
    assert found["same_equations"] and not finding["solved_alone"]
    assert finding["time_h"] == pytest.approx(12.0, abs=1e-3)  # 2 h, then 1 / (0.1 * 1)
    assert finding["state"]["name"] == "runaway.x" and finding["state"]["value"] > 1e3
    assert finding["terms"][0]["mechanism"] == "Runaway" and finding["terms"][0]["source"] == "outside"
    assert finding["terms"][0]["amount"] == pytest.approx(finding["state"]["rate_per_h"], rel=1e-3)
    assert finding["outside_range"] == []


def test_the_equations_of_a_file_are_compared(failed: Path, folder: Path) -> None:
    changed = folder / "changed.h5"
    for key, value, same in (("model_hash", "0" * 64, False), ("nanomg_schema_version", [1], None)):
        shutil.copy(failed, changed)
        with altered(changed) as file:
            file.attrs[key] = value
        assert diagnose(changed, library=library(folder))["same_equations"] is same


def test_what_was_set_is_replayed_and_named(folder: Path) -> None:
    path = folder / "set.h5"
    nanomg.simulate(
        "runaway", set={"runaway.growth": "0.5 1/mg/h"}, dose=["runaway.in: 2 mg"], output=path, library=library(folder)
    )
    finding = diagnose(path, library=library(folder))["finding"]
    assert finding["time_h"] == pytest.approx(1.0, abs=1e-3)
    assert [row["name"] for row in finding["outside_range"]] == ["runaway.growth"]


def test_a_subject_of_an_event_table(folder: Path) -> None:
    table = folder / "doses.csv"
    table.write_text("ID,TIME,AMT,CMT,GROWTH\n1,0,1,1,1e-5\n2,0,1,1,0.2\n3,0,1,1,1e-5\n")
    path = folder / "events.h5"
    nanomg.simulate("runaway", events=table, output=path, library=library(folder))
    found = diagnose(path, "2", library=library(folder))
    assert [row["subject"] for row in found["failed"]] == ["2"]
    assert found["finding"]["time_h"] == pytest.approx(5.0, abs=1e-3)
    assert diagnose(path, "1", library=library(folder))["finding"] is None
    with pytest.raises(InputError, match="subject '4'"):
        diagnose(path, "4", library=library(folder))


def test_a_trajectory_of_a_sweep_over_an_event_table(folder: Path) -> None:
    table = folder / "swept.csv"
    table.write_text("ID,TIME,AMT,CMT,GROWTH\nA,0,1,1,1e-5\nB,0,1,1,0.2\n")
    path = folder / "table.h5"
    nanomg.sweep("runaway", vary=["dose.scale=0,1"], events=table, output=path, library=library(folder))
    found = diagnose(path, library=library(folder))
    assert [(row["subject"], row["hypothesis"]) for row in found["failed"]] == [("3", "dose.scale 1, ID B")]
    assert found["finding"]["time_h"] == pytest.approx(5.0, abs=1e-3)


def test_a_trajectory_of_a_sweep_by_its_number(folder: Path) -> None:
    path, shelves = folder / "sweep.h5", library(folder)
    vary = ["runaway.growth=0.001,0.1 1/mg/h", "dose.amount=0.1,1 mg"]
    for parts in (False, True):
        at = nanomg.sweep("runaway", vary=vary, output=path, force=True, parts=parts, library=shelves).path
        assert at is not None
        found = diagnose(at, library=shelves)
        assert found["trajectories"] == 4 and found["same_equations"]
        assert [(row["subject"], row["hypothesis"]) for row in found["failed"]] == [
            ("3", "runaway.growth 0.1, dose.amount 1")
        ]
        assert found["finding"]["time_h"] == pytest.approx(12.0, abs=1e-3)
        assert found["finding"]["state"]["name"] == "runaway.x" and not found["finding"]["solved_alone"]
    assert diagnose(path, "0", library=shelves)["finding"] is None
    assert diagnose(path, "3", library=shelves)["finding"] == found["finding"]
    for number in ("4", "-1", "one"):
        with pytest.raises(InputError, match="numbers 0 to 3"):
            diagnose(path, number, library=shelves)


def test_the_command(failed: Path, folder: Path, tmp_path: Path) -> None:
    arguments = ["doctor", str(failed), "--library", str(folder)]
    shown = CliRunner().invoke(commands, arguments)
    assert shown.exit_code == 0
    assert "runaway.x" in shown.stdout and "outside -> runaway.x" in shown.stdout and "12 h" in shown.stdout
    assert json.loads(CliRunner().invoke(commands, [*arguments, "--json"]).stdout)["finding"]["code"] in (1, 2)
    good = tmp_path / "good.h5"
    nanomg.simulate("runaway", dose=["runaway.in: 0.1 mg"], output=good, library=library(folder))
    assert (
        "There is nothing to diagnose."
        in CliRunner().invoke(commands, ["doctor", str(good), "--library", str(folder)]).stdout
    )
