"""What a process loads before it does anything: little for help, and nothing that a warm run does not use."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from program import PROGRAM

HEAVY = {"jax", "numpy", "pint", "xarray", "pandas", "dask", "h5py", "matplotlib", "scipy", "equinox", "optax"}
COMMAND = """
import sys
from nanomg.cli.main import app
sys.argv = ["nanomg", *sys.argv[1:]]
try:
    app()
finally:
    print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def run(*arguments: str, **environment: str) -> set[str]:
    """The packages that a command has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.partition("loaded:")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("simulate", "--help"), ("cache",)])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not run(*arguments) & HEAVY


def test_help_takes_less_than_a_third_of_a_second() -> None:
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.3  # [s] of the processor, so that other processes do not matter


def test_a_simulation_loads_neither_pint_nor_xarray(tmp_path: Path) -> None:
    given = {"NANOMG_CACHE": str(tmp_path / "kept")}
    for _ in ("cold", "warm"):
        loaded = run("simulate", "textbook-1cpt", **given)
        assert "jax" in loaded
        assert not loaded & {"pint", "xarray", "pandas", "dask", "h5py", "matplotlib", "optax", "equinox", "scipy"}


def test_a_conversion_that_is_not_shipped_is_kept_for_the_next_process(tmp_path: Path) -> None:
    given = {"NANOMG_CACHE": str(tmp_path / "kept")}
    other = ("simulate", "textbook-1cpt", "--dose", "pk.depot: 3000000 ng at 1 h")
    assert "pint" in run(*other, **given)
    assert "pint" not in run(*other, **given)


def test_a_summary_is_read_without_the_engine(tmp_path: Path) -> None:
    file = str(tmp_path / "run.h5")
    run("simulate", "textbook-1cpt", "-o", file)
    assert not run("summary", file) & {
        "jax",
        "pint",
        "xarray",
        "pandas",
        "dask",
        "matplotlib",
        "equinox",
        "optax",
        "scipy",
    }


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("--help",)])
def test_output_that_cannot_be_printed_is_one_sentence(arguments: tuple[str, ...]) -> None:
    with FULL.open("w", encoding="utf-8") as full:
        done = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "the output cannot be printed (No space left on device)" in done.stderr


def test_a_reader_that_stops_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PROGRAM, "list"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_output_and_one_of_few_letters() -> None:
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *PROGRAM, "show", "tumour.volume"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (closed.returncode, closed.stderr) == (0, "")
    plain = subprocess.run(
        [*PROGRAM, "show", "human-mg28"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (plain.returncode, plain.stderr) == (0, "") and plain.stdout.isascii()
