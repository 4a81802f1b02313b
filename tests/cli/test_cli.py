"""The command line as its user meets it: options handed on, tables, JSON, terminals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray
from program import PROGRAM, Outcome, Program
from read_page import MAKERS

import nanomg
from nanomg import models
from nanomg.cli import render
from nanomg.equations.model import Model
from nanomg.jobs.optimize import run as optimize_run
from nanomg.jobs.simulate import run as simulate_run
from nanomg.results import file
from nanomg.results import run as results_run

SCENARIO = "mouse-mc38-depot"


MG = {
    "hours_per_day_above_0.02": {"H1": 4.21, "H2": 4.2, "H3": 4.19},
    "hours_per_day_above_0.3": {"H1": 0.51, "H2": 0.5, "H3": 0.49},
    "mean_competence_gain": {"H1": 0.0123, "H2": 0.1, "H3": -0.002},
    "share_local": 0.9,
    "share_serum": 0.1,
    "mean_rise": {"value": 0.0312, "unit": "mmol/L"},
    "peak_rise": {"value": 2.5, "unit": "mmol/L"},
}


def signal(unit: str, *values: float | None) -> dict[str, Any]:
    return dict(zip(("initial", "final", "min", "max", "auc"), values, strict=True)) | {
        "unit": unit,
        "auc_unit": f"{unit} h",
    }


STATUS = {"code": 0, "reason": "done", "failed": 0, "trajectories": 9}
SIGNALS = {
    "interstitium.C_poor": signal("mmol/L", 0.51, 0.512345, 0.5, 12.25, 1234.5),
    "tumour.volume": signal("mm^3", 100.0, 1.5e-7, None, 2345678.9, 1e5),
}
SIMULATED: dict[str, Any] = {
    "scenario": SCENARIO,
    "title": "A title",
    "output": None,
    "status": STATUS,
    "signals": SIGNALS,
    "verdict": "Mg raises [tumour] Mg for 4 h a day.",
    "mg": MG | {"free": MG | {"share_local": None, "free": None}},
}


def dose(time_h: float, amt: float, cmt: str = "pd1.ip") -> dict[str, Any]:
    return {"time_h": time_h, "cmt": cmt, "amt": amt, "unit": "mg", "duration_h": 0.0}


OPTIMIZED: dict[str, Any] = {
    "scenario": SCENARIO,
    "title": "A title",
    "output": None,
    "feasible": True,
    "objective": -1.25,
    "baseline_objective": 0.75,
    "terms": {"tumour": {"baseline": 0.5, "optimum": -1.5}, "visits": {"baseline": 0.25, "optimum": 0.25}},
    "constraints": [
        {"name": "local Mg", "limit": 20.0, "value": 20.0, "slack": 0.0, "unit": "mmol/L"},
        {"name": "serum Mg", "limit": 2.0, "value": 1.5, "slack": 0.5, "unit": "mmol/L"},
        {"name": "volume", "limit": 0.05, "value": 0.06, "slack": -0.01, "unit": "mL"},
    ],
    "regimen": [dose(30.5, 0.25), dose(24.0, 1.0, "liposome.intratumoral")],
    "baseline_regimen": [dose(24.0, 0.2), dose(48.0, 0.2), dose(24.0, 1.0, "liposome.intratumoral")],
    "starts": [
        {"objective": -1.25, "violation": 0.0, "feasible": True},
        {"objective": -1.0, "violation": 0.0, "feasible": True},
        {"objective": -9.0, "violation": 1.0, "feasible": False},
    ],
    "evaluations": 120,
    "seconds": 31.4,
    "kkt_residual": 1e-4,
    "converged": True,
    "status": STATUS,
    "signals": SIGNALS,
    "verdict": "The optimum is better.",
    "mg": MG | {"free": None},
}


SWEPT: dict[str, Any] = {
    "scenario": SCENARIO,
    "title": "A title",
    "output": None,
    "subjects": 900,
    "trajectories": 900,
    "dims": {"subject": 900},
    "failed": 0,
    "reasons": {},
    "seconds": 23.4,
    "computed": 900,
    "subjects_per_second": 38.46,
    "share_computing": 0.981,
    "device": "CPU (cpu)",
    "device_reason": "asked for",
    "population": {
        "name": "",
        "title": "every parameter independently",
        "varied": 50,
        "counted": 900,
        "candidates": 903,
        "share_rejected": 0.00332,
        "rejected": {},
    },
    "sweep": {
        "tumour.volume:final": {
            "unit": "mm^3",
            "min": 0.001058,
            "q05": 1.609,
            "median": 1361.2,
            "q95": 2377,
            "max": 3e3,
        }
    },
    "verdict": "900 trajectories, all solved.",
}


def write(path: Path, summary: dict[str, Any]) -> Path:
    model = Model(models.library().mechanisms["Magnesium"])
    job = next((job for key, job in MAKERS.items() if key in summary), "")
    attributes = file.root_attributes(title="t", config={}, seed=0, model=model, job=job, summary=summary)
    return file.write(path, {}, attributes)


def printed(job: str, summary: dict[str, Any], path: Path) -> dict[str, Any]:
    """What `--json` prints of the summary of a file."""
    return {"job": job, "summary_version": 1, **summary, "output": str(path)}


def run_of(summary: dict[str, Any], calls: list[dict[str, Any]]) -> Callable[..., results_run.Run]:
    """A stand-in for `service.simulate` and `service.optimize` that notes how it is called."""

    def call(scenario: str, **given: Any) -> results_run.Run:
        calls.append({"scenario": scenario, **given})
        return results_run.Run(summary, None, xarray.DataTree)

    return call


# ---------------------------------------------------------------- what the commands hand on
def test_simulate_hands_its_options_on(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(simulate_run, "simulate", run_of(SIMULATED, calls))
    arguments = ("--set", "a.b=1 L/h", "--dose", "c: 1 mg", "-o", "run.h5", "--force", "--json")
    events = (
        "--events",
        "doses.csv",
        "--records",
        "out.csv",
        "--add",
        "TAD",
        "--error",
        "y: 10 %",
        "--seed",
        "7",
        "--sort",
    )
    code, out, err = program("simulate", "s", *arguments)
    assert (code, err) == (0, "")
    assert json.loads(out) == SIMULATED
    (call,) = calls
    assert call.pop("library").scenarios
    assert call == {
        "scenario": "s",
        "set": {"a.b": "1 L/h"},
        "dose": ("c: 1 mg",),
        "events": None,
        "ignore": "",
        "sort": False,
        "output": Path("run.h5"),
        "records": None,
        "add": (),
        "error": (),
        "seed": 0,
        "series": None,
        "precision": "float64",
        "engine": "auto",
        "force": True,
        "command": "nanomg simulate s --set 'a.b=1 L/h' --dose 'c: 1 mg' -o run.h5 --force --json",
    }
    program("simulate", "s", *events)
    expected = {"events": Path("doses.csv"), "records": Path("out.csv"), "add": ("TAD",), "error": ("y: 10 %",)}
    assert calls[1].items() >= (expected | {"seed": 7, "sort": True}).items()


def test_optimize_hands_its_options_on(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(optimize_run, "optimize", run_of(OPTIMIZED, calls))
    code, out, err = program("optimize", "s", "--steps", "3", "--seed", "5", "--resume", "-o", "run.h5", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == OPTIMIZED
    expected = {"steps": 3, "seed": 5, "resume": True, "output": Path("run.h5"), "force": False, "progress": None}
    assert calls[0].items() >= expected.items()


def test_exit_codes_of_runs(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SIMULATED | {"status": {"code": 1, "reason": "too many steps", "failed": 2, "trajectories": 9}}
    monkeypatch.setattr(simulate_run, "simulate", run_of(failed, []))
    code, out, _ = program("simulate", "s")
    assert code == 1
    assert "2 of 9 trajectories failed: too many steps" in out
    monkeypatch.setattr(optimize_run, "optimize", run_of(OPTIMIZED | {"feasible": False}, []))
    code, out, _ = program("optimize", "s")
    assert code == 3
    assert "NOT FEASIBLE" in out


# ---------------------------------------------------------------- what is shown
def test_a_row_goes_on_where_the_terminal_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    headers, align = ("name", "value", "unit", "what it is"), "lrll"
    rows = [("magnesium.GFR", "15", "mL/h", "glomerular filtration, as healthy mice have it"), ("pd1.V", "1", "mL", "")]
    monkeypatch.setattr(render, "_edge", lambda: 50)
    render.table(headers, align, rows, prose=True)
    assert capsys.readouterr().out.splitlines() == [
        "name           value  unit",
        "  what it is",
        "magnesium.GFR     15  mL/h",
        "  glomerular filtration, as healthy mice have it",
        "pd1.V              1  mL",
    ]
    monkeypatch.setattr(render, "_edge", lambda: 56)
    render.table(headers, align, rows, prose=True)
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "magnesium.GFR     15  mL/h  glomerular filtration, as",
        "                            healthy mice have it",
    ]
    monkeypatch.setattr(render, "_edge", lambda: 24)
    render.table(headers, align, rows[:1])
    assert capsys.readouterr().out.splitlines()[3:] == [
        "magnesium.GFR     15",
        "  mL/h",
        "  glomerular filtration,",
        "  as healthy mice have",
        "  it",
    ]


def test_summary_of_a_sweep(program: Program, tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", SWEPT)
    code, out, err = program("summary", str(path))
    assert (code, err) == (0, "")
    assert out.startswith(SWEPT["verdict"])
    assert "0.3 % of the samples were implausible" in out
    assert "/s, CPU)" in out
    assert ["tumour.volume:final", "mm³", "0.001058", "1.609", "1361", "2377", "3000"] in map(
        str.split, out.splitlines()
    )
    assert json.loads(program("summary", str(path), "--json").out) == printed("sweep", SWEPT, path)


def test_summary_of_another_version(program: Program, tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", {**SWEPT, "sweep": {"tumour.volume:final": {"median": 1361.2}}})
    code, _, err = program("summary", str(path))
    assert code == 2
    assert "the field 'sweep.tumour.volume:final.unit' is missing" in err
    code, _, err = program("summary", str(write(tmp_path / "none.h5", {"scenario": "s"})))
    assert code == 2
    assert err.count("\n") == 1


def test_summary_of_a_simulation(program: Program, tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", SIMULATED)
    code, out, err = program("summary", str(path))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == SIMULATED["verdict"]
    (poor,) = (line.split() for line in lines if line.startswith("interstitium.C_poor"))
    assert poor == ["interstitium.C_poor", "mmol/L", "0.51", "0.5123", "0.5", "12.25", "1234"]
    hours = [line.split() for line in lines if "+0.02 mmol/L" in line]
    numbers = ["h/day", "above", "+0.02", "mmol/L", "4.21", "4.2", "4.19"]
    assert hours == [["as", "given:", *numbers], ["given", "free:", *numbers]]
    assert [line.split() for line in lines if line.startswith("given free ")] == [
        ["given", "free", "0.0312", "2.5", "mmol/L", "–", "10", "%"]
    ]
    assert max(len(line) for line in lines if str(path) not in line) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_summary_of_an_optimisation(program: Program, tmp_path: Path) -> None:
    path = write(tmp_path / "run.h5", OPTIMIZED)
    code, out, _ = program("summary", str(path))
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["total", "0.75", "-1.25"] in rows
    assert ["local", "Mg", "20", "20", "0", "mmol/L", "active"] in rows
    assert ["serum", "Mg", "2", "1.5", "0.5", "mmol/L"] in rows
    assert ["volume", "0.05", "0.06", "-0.01", "mL", "exceeded"] in rows
    assert ["pd1.ip", "30.5", "24", "0.25", "0.2", "mg", "0"] in rows
    assert ["pd1.ip", "–", "48", "–", "0.2", "mg", "0"] in rows
    assert "2 of 3 starts within every limit, objective -1.25 to -1, median -1.125" in out
    assert max(len(line) for line in out.splitlines() if str(path) not in line) <= 80


@pytest.mark.parametrize(("job", "summary"), [("simulate", SIMULATED), ("optimize", OPTIMIZED)])
def test_summary_in_json_is_that_of_the_run(
    program: Program, tmp_path: Path, job: str, summary: dict[str, Any]
) -> None:
    path = write(tmp_path / "run.h5", summary)
    assert json.loads(program("summary", str(path), "--json").out) == printed(job, summary, path)


def test_cite(program: Program) -> None:
    shelf = models.library()
    code, out, _ = program("cite", SCENARIO)
    assert code == 0
    entries = json.loads(program("cite", SCENARIO, "--json").out)
    assert 0 < len(entries) <= len(shelf.references)
    assert out.count("\n@") + 1 == len(entries)
    assert all(entry["bibtex"] == shelf.references[entry["key"]] for entry in entries)


# ---------------------------------------------------------------- on a terminal
def on_terminal(*arguments: str, **environment: str) -> str:
    """What the program writes to a terminal of 80 columns."""
    main, terminal = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    env = kept | {"TERM": "xterm-256color"} | environment
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=terminal, stderr=subprocess.PIPE, env=env)
    os.close(terminal)
    written = b""
    while True:
        try:
            chunk = os.read(main, 4096)
        except OSError:  # Linux tells the end so
            break
        if not chunk:
            break
        written += chunk
    os.close(main)
    assert process.communicate()[1] == b""
    assert process.returncode == 0
    return written.decode().replace("\r\n", "\n")


def test_terminal_has_style_unless_unwanted(tmp_path: Path) -> None:
    path = str(write(tmp_path / "run.h5", SIMULATED))
    assert "\x1b[" in on_terminal("summary", path)
    assert "\x1b" not in on_terminal("summary", path, NO_COLOR="1")
    assert "\x1b" not in on_terminal("summary", path, "--json")


def test_nothing_is_wider_than_the_terminal(tmp_path: Path) -> None:
    path = str(write(tmp_path / "run.h5", SWEPT | {"verdict": "It is all solved. " * 12}))
    shown = on_terminal("summary", path, NO_COLOR="1").splitlines()
    assert max(len(line) for line in shown if path not in line) <= 80
    assert not any(line.startswith("%") for line in shown)


# ---------------------------------------------------------------- with the engine
@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    path = tmp_path_factory.mktemp("cli") / "run.h5"
    done = subprocess.run(
        [*PROGRAM, "simulate", SCENARIO, "-o", str(path), "--json"], capture_output=True, text=True, check=False
    )
    return path, Outcome(done.returncode, done.stdout, done.stderr)


def test_simulate(simulated: tuple[Path, Outcome], program: Program) -> None:
    path, (code, out, err) = simulated
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert SIMULATED.keys() <= found.keys()
    assert found["output"] == str(path)
    assert found["status"]["failed"] == 0
    for signal in found["signals"].values():
        assert {"unit", "initial", "final", "min", "max", "auc", "auc_unit"} <= signal.keys()
    assert MG.keys() | {"free"} <= found["mg"].keys()
    assert json.loads(program("summary", str(path), "--json").out) == found
    compared = nanomg.compare({"one": path, "other": nanomg.open(path)})
    assert not compared.differences and not compared.table.change.fillna(0.0).any()
    assert found["verdict"] in program("summary", str(path)).out


def test_simulated_file(simulated: tuple[Path, Outcome]) -> None:
    """Variables carry units and names, flags their meanings."""
    tree = nanomg.open(simulated[0])
    simulation = tree["simulation"].to_dataset()
    for name, variable in simulation.variables.items():
        if variable.dtype.kind == "f":
            assert variable.attrs["units"], name
            assert variable.attrs["long_name"], name
    assert simulation["status"].dtype == "int8"
    assert simulation["status"].attrs["flag_meanings"]
    assert "nanomg simulate" in tree.attrs["history"]


def test_existing_output(simulated: tuple[Path, Outcome], program: Program) -> None:
    code, out, err = program("simulate", SCENARIO, "-o", str(simulated[0]))
    assert (code, out) == (2, "")
    assert "--force" in err
