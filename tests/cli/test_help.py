"""Help, exit codes and mistakes: one line for each, whatever the command."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from program import PROGRAM, Program
from typer.main import get_command

import nanomg
from nanomg import models
from nanomg.cli import options
from nanomg.cli.main import GROUPS, commands
from nanomg.errors import InputError
from nanomg.jobs.optimize import run as optimize_run
from nanomg.library import scenario_file
from nanomg.results import file

SCENARIO = "mouse-mc38-depot"
COMMANDS = (
    "simulate",
    "optimize",
    "sweep",
    "calibrate",
    "validate",
    "feasibility",
    "sensitivity",
    "list",
    "show",
    "summary",
    "nca",
    "compare",
    "cite",
    "doctor",
    "cache",
)


def test_help_is_quick() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([*PROGRAM, "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.6


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'jax', 'numpy', 'xarray', 'h5py', 'pint'}"
    code = f"import sys, nanomg.cli.main; print(', '.join({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_help_names_every_command(program: Program) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        code, out, err = program(*arguments)
        assert (code, err) == (0, "")
        assert all(f"\n  {command} " in out for command in COMMANDS)
        assert "..." not in out
        assert [line for line in out.splitlines() if line in ("Run:", "Look:", "Manage:")] == [
            "Run:",
            "Look:",
            "Manage:",
        ]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(program: Program, command: str) -> None:
    code, out, _ = program(command, "--help")
    assert code == 0
    assert f"Usage: nanomg {command}" in out
    assert "--json" in out


def test_version(program: Program) -> None:
    assert program("--version") == (0, f"nanomg {nanomg.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulat"], "Did you mean 'simulate'"),
        (["simulate"], "SCENARIO"),
        (["simulate", SCENARIO, "--jsn"], "--jsn"),
        (["optimize", SCENARIO, "--steps", "0"], "--steps"),
        (["optimize", SCENARIO, "--resume"], "-o"),
        (["simulate", SCENARIO, "--set", "magnesium.GFR"], "NAME=VALUE"),
        (["simulate", SCENARIO, "--set", "magnesium.GRF=12 mL/h"], "magnesium.GFR"),
        (["simulate", SCENARIO, "--set", "magnesium.GFR=12 mL"], "mL/h"),
        (["simulate", SCENARIO, "--set", "magnesium.GFR=12"], "mL/h"),
        (["simulate", SCENARIO, "--dose", "pd1.ipp: 1 mg"], "pd1.ip"),
        (["simulate", "mouse-mc38-depo"], f"did you mean '{SCENARIO}'"),
        (["simulate", "missing/folder.toml"], "no such"),
        (["simulate", SCENARIO, "-o", "missing/run.h5"], "does not exist"),
        (["simulate", SCENARIO, "--library", "missing"], "missing"),
        (["show", "Liposme"], "'Liposome'"),
        (["show", "magnesium.GRF"], "'magnesium.GFR'"),
        (["cite", "mouse-mc38-depo"], SCENARIO),
        (["summary", "missing.h5"], "no such file"),
        (["simulate", SCENARIO, "--records", "out.csv"], "--records: it needs an event table"),
        (["simulate", SCENARIO, "--no-series"], "--series: it is for an event table"),
        (["sensitivity", SCENARIO, "--over", "cards"], "no range 'cards'; did you mean 'card'"),
        (["sweep", SCENARIO, "--subjects", "2", "--memory", "-5 MB"], "--memory: the memory must be above 0"),
    ],
)
def test_a_mistake_is_one_line(program: Program, arguments: list[str], told: str) -> None:
    code, out, err = program(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("nanomg: ")
    assert err.count("\n") == 1
    assert told in err


def test_a_mistake_in_json(program: Program) -> None:
    code, out, err = program("summary", "missing.h5", "--json")
    assert (code, out) == (2, "")
    assert json.loads(err) == {"error": "there is no such file", "where": "missing.h5"}
    assert json.loads(program("simulat", "--json").err)["where"] is None


def test_a_bug_shows_its_traceback(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "read_summary", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        program("summary", "run.h5")


def test_interruption(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(file, "read_summary", interrupt)
    assert program("summary", "run.h5") == (130, "", "nanomg: interrupted\n")


@pytest.mark.parametrize("output", [(), ("-o", "run.h5")])
def test_interrupted_search(program: Program, monkeypatch: pytest.MonkeyPatch, output: tuple[str, ...]) -> None:
    def interrupt(scenario: str, **given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimize_run, "optimize", interrupt)
    code, out, err = program("optimize", "s", *output)
    assert (code, out) == (130, "")
    assert ("--resume" in err) == bool(output)


def test_assignments() -> None:
    assert options.parse_assignments(None) == {}
    assert options.parse_assignments(["a.b = 0.03 L/h", "c.d=1"]) == {"a.b": "0.03 L/h", "c.d": "1"}
    for wrong in (["a.b"], ["=1"], ["a.b="], ["a.b=1", "a.b=2"]):
        with pytest.raises(InputError):
            options.parse_assignments(wrong)


# ---------------------------------------------------------------- examples and groups
EXAMPLES = [
    (module, example.command) for modules in GROUPS.values() for module in modules for example in module.EXAMPLES
]


@pytest.mark.parametrize(("module", "line"), EXAMPLES, ids=lambda part: part if isinstance(part, str) else "")
def test_an_example_is_read(module: ModuleType, line: str) -> None:
    name, *words = shlex.split(line.partition(" > ")[0])[1:]
    assert name == module.__name__.rpartition(".")[2]
    group = get_command(commands)
    command = group.commands[name]  # type: ignore[attr-defined]
    read = command.make_context(name, words).params
    if chosen := read.get("scenario"):
        scenario_file.load(
            chosen, models.library(), options.parse_assignments(read.get("assignments")), read.get("doses") or ()
        )


@pytest.mark.parametrize("line", ["nanomg list", "nanomg show mc38", "nanomg cite mouse-mc38-iv", "nanomg cache"])
def test_an_example_runs(program: Program, line: str) -> None:
    assert line in {command.partition(" > ")[0] for _, command in EXAMPLES}
    code, out, err = program(*shlex.split(line)[1:])
    assert (code, err) == (0, "") and out


def test_no_line_of_a_help_page_is_wider_than_80_columns(program: Program) -> None:
    for command in COMMANDS:
        assert max(map(len, program(command, "--help").out.splitlines())) <= 80


def test_options_come_in_groups(program: Program) -> None:
    titles = [line for line in program("sweep", "--help").out.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == ["Arguments:", "What varies:", "What is kept:", "Model:", "Computation:", "Output:", "Examples:"]
