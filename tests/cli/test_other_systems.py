"""Commands on systems that lack what Linux has, and on terminals that cannot show every letter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# what Python does not have on Windows, and some of it not on macOS
LACKING = """
import os, signal, sys
for name in "sched_getaffinity geteuid getgid O_DIRECTORY O_NOFOLLOW killpg sysconf".split():
    delattr(os, name)
for name in "pthread_sigmask SIGHUP SIGKILL".split():
    delattr(signal, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
"""
COMMANDS = """
import shlex, sys, traceback
from nanomg.cli.main import app
failed = []
for line in sys.argv[1:]:
    sys.argv = ["nanomg", *shlex.split(line)]
    try:
        app()
    except SystemExit as end:
        if end.code:
            failed.append(f"{line}: exit code {end.code}")
    except BaseException:
        failed.append(f"{line}: {traceback.format_exc()}")
sys.stdout.flush()
assert not failed, ascii(failed)
"""


def commands(folder: Path) -> list[str]:
    """Command lines of every kind, of which each takes seconds at most."""
    run, other, sweep = (folder / f"{name}.h5" for name in ("run", "other", "sweep"))
    return [
        "--help",
        "list",
        "list --cards",
        "show human-nsclc-iv",
        "show magnesium.GFR",
        "cite textbook-1cpt",
        "cache --list",
        "schema simulate",
        f"simulate textbook-1cpt -o {run}",
        "simulate textbook-1cpt --json",
        f"simulate textbook-1cpt -o {other} --set pk.CL='2 L/h'",
        f"sweep textbook-1cpt --vary 'pk.CL=1..5 L/h:lin:3' --keep pk.C:max -o {sweep}",
        f"sweep textbook-1cpt --vary 'pk.CL=1..5 L/h:lin:3' --keep pk.C:max -o {sweep} --force",
        "sensitivity textbook-1cpt --of pk.C:max",
        f"summary {run}",
        f"summary {sweep} --json",
        f"export {run} -o {folder / 'run.csv'}",
        f"nca {run} pk.C --tau '12 h'",
        f"report {run} -o {folder / 'run.html'}",
        f"plot {run} -o {folder / 'run.png'}",
        f"compare {run} {other}",
    ]


def told(before: str, folder: Path, *lines: str, **environment: str) -> str:
    """What the commands print to both streams, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", before + COMMANDS, *lines],
        env={**os.environ, "NANOMG_CACHE": str(folder / "cache"), **environment},
        capture_output=True,
        check=False,
        timeout=600,
    )
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, text[-4000:]
    assert "Traceback" not in text
    return text


def test_commands_run_without_what_only_linux_has(tmp_path: Path) -> None:
    told(LACKING, tmp_path, *commands(tmp_path))
    assert not (tmp_path / "sweep.h5.parts").exists()
    assert any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_letters_that_a_terminal_lacks_are_replaced(environment: dict[str, str], tmp_path: Path) -> None:
    text = told("", tmp_path, *commands(tmp_path), "show mouse-mc38-depot", "validate lfa1", **environment)
    assert "?" in text
