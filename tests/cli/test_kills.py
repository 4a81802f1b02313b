"""Killed at a random moment, or by a full disk, every long command loses nothing, leaves nothing behind, and ends bit for bit.

Eight kills by default, one of each command; NANOMG_KILLS=100 makes a hundred. Moments and signals are drawn with a fixed seed.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import nanomg
from nanomg import files

KILLS = int(os.environ.get("NANOMG_KILLS", "8"))
START = "from nanomg.cli.start import start; start()"
AXES = ("--vary", "pk.V=30..40 L:80", "--vary", "pk.CL=3..5 L/h:80")
TABLE = "ID,TIME,value,unit,output\n1,1,2.2,mg/L,pk.C\n1,6,1.2,mg/L,pk.C\n2,2,2.0,mg/L,pk.C\n2,12,0.7,mg/L,pk.C\n"
COMMANDS = {
    "simulate": ("simulate", "mouse-mc38-iv"),
    "optimize": ("optimize", "human-nsclc-iv-mgso4", "--steps", "12"),
    "sweep": ("sweep", "textbook-1cpt", *AXES),
    "workers": ("sweep", "textbook-1cpt", *AXES, "--workers", "2"),
    "sensitivity": ("sensitivity", "textbook-1cpt"),
    "feasibility": ("feasibility", "mouse-mc38-depot", "--draws", "8", "--horizon", "7 d"),
    "validate": ("validate", "lnp"),
    "calibrate": (
        "calibrate",
        "textbook",
        "--data",
        "../data.csv",
        "--scenario",
        "textbook-1cpt",
        "--fit",
        "pk.CL=1..10 L/h",
    ),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MADE = {"r.h5": "the result", "r-observed.png": "a figure of validate"}
KEPT = {"r.h5.checkpoint", "r.h5.parts"}  # what a command goes on from


class Bench:
    """A folder to run commands in, and their undisturbed results."""

    def __init__(self, folder: Path):
        self.folder, self.seconds = folder, dict[str, float]()
        self.results: dict[str, dict[str, Any]] = {}
        (folder / "data.csv").write_text(TABLE)

    def started(self, where: Path, name: str, *more: str) -> subprocess.Popen[str]:
        """A command in a folder of its own, with one for temporary files next to it."""
        temporary = self.temporary(where)
        temporary.mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-c", START, *COMMANDS[name], *more, "-o", "r.h5"]
        return subprocess.Popen(
            command,
            cwd=where,
            env={**os.environ, "TMPDIR": str(temporary), "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def temporary(where: Path) -> Path:
        return where.with_name(where.name + "-tmp")

    def ended(self, where: Path, name: str) -> None:
        """Run a command to its end, from what is there of it."""
        resume = ("--resume",) if {file.name for file in where.iterdir()} & KEPT else ()
        began = time.monotonic()
        process = self.started(where, name, *resume)
        _, told = process.communicate(timeout=600)
        assert process.returncode == 0, (name, resume, told)
        if not resume:
            self.seconds[name] = min(time.monotonic() - began, self.seconds.get(name, 600.0))

    def reference(self, name: str) -> dict[str, Any]:
        """The result of a command that nothing disturbs."""
        if name not in self.results:
            where = self.folder / f"{name}-undisturbed"
            where.mkdir()
            self.ended(where, name)
            self.results[name] = numbers(where / "r.h5")
        return self.results[name]


def numbers(path: Path) -> dict[str, Any]:
    tree = nanomg.open(path).load()
    return {node.path: node.to_dataset(inherit=False) for node in tree.subtree}


def assert_whole(bench: Bench, where: Path, name: str) -> None:
    """The result is the undisturbed one, and nothing else is there."""
    found, expected = numbers(where / "r.h5"), bench.reference(name)
    assert found.keys() == expected.keys()
    for group, data in expected.items():
        assert found[group].equals(data), (name, group)
    assert {file.name for file in where.iterdir()} <= MADE.keys()
    left = {path.name for path in bench.temporary(where).rglob("*") if path.is_file()}
    assert left <= {"global.lock", "purge.lock"}  # of Dask, for all its clusters


def of_session(leader: int) -> list[int]:
    """The processes that a command has started and that are still there."""
    there = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                there.append(process.pid)
        except (OSError, psutil.Error):
            continue
    return there


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("killed"))


@pytest.mark.slow
def test_killed_commands_lose_nothing_and_end_bit_for_bit(bench: Bench) -> None:
    drawn, counts = random.Random(1), dict[Any, int]()
    for at, name in zip(range(KILLS), itertools.cycle(COMMANDS), strict=False):
        number = SIGNALS[(at + at // len(COMMANDS)) % len(SIGNALS)]
        bench.reference(name)
        where = bench.folder / f"{at}"
        where.mkdir()
        process = bench.started(where, name)
        try:
            _, told = process.communicate(timeout=drawn.uniform(0.3, 1.0) * bench.seconds[name])
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, told = process.communicate(timeout=120)
        counts[number.name, process.returncode] = counts.get((number.name, process.returncode), 0) + 1
        there = {file.name for file in where.iterdir()}
        if number is signal.SIGKILL:
            assert process.returncode in (0, -number), told
        else:
            # Python itself, before nanomg begins, ends at a signal without a word
            assert process.returncode in ((0, -number) if told == "" else (128 + number,)), told
            assert told == "" or (told.startswith("nanomg: interrupted") and told.count("\n") == 1), told
            assert not {file for file in there if file.startswith(files.TEMPORARY)}
        until = time.monotonic() + 30
        while of_session(process.pid):
            assert time.monotonic() < until, "processes are left"
            time.sleep(0.1)
        if process.returncode:
            if "r.h5" in there:  # all was written, but for figures
                for file in MADE.keys() & there:
                    (where / file).unlink()
            bench.ended(where, name)
        assert_whole(bench, where, name)
        shutil.rmtree(where)
        shutil.rmtree(bench.temporary(where))
    print(counts)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 kB, which only root can make."""
    where = tmp_path / "disk"
    where.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(where)]
    if os.geteuid() != 0 or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be made here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simulate", "optimize", "sweep", "validate"])
def test_a_full_disk_loses_nothing_and_ends_bit_for_bit(bench: Bench, small_disk: Path, name: str) -> None:
    bench.reference(name)
    process = bench.started(small_disk, name)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 2
    assert told.count("\n") == 1
    assert "No space left on device" in told
    there = {file.name for file in small_disk.iterdir()}
    assert there <= KEPT
    assert not list(small_disk.rglob(f"{files.TEMPORARY}*"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    bench.ended(small_disk, name)
    assert_whole(bench, small_disk, name)
