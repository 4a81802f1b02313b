"""How long a command takes when its programs are compiled already, and how much of the time of another checkout that is.

    python benchmarks/warm.py --against ../older simulate mouse-mc38-iv

Whole processes are timed, by the clock and by the processor, in turn with those of the other checkout. One run of each comes first
and fills its cache of programs. The ratio is taken pair by pair, so that a machine that is busy for a while slows both.
Without `--against` only this checkout is timed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
COMMAND = "from nanomg.cli.main import app; app()"
CLOCKS = "by the clock", "by the processor"


def timed(checkout: Path, cache: Path, arguments: Sequence[str]) -> tuple[float, float]:
    """The time [s] of a whole process that runs `nanomg` with these arguments from a checkout: by the clock, by the processor."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "NANOMG_CACHE": str(cache)}
    command = [sys.executable, "-P", "-c", COMMAND, *arguments]
    began, used = time.perf_counter(), _processor()
    done = subprocess.run(command, env=environment, cwd=cache, capture_output=True, check=False)
    taken = time.perf_counter() - began, _processor() - used
    if done.returncode:
        sys.exit(f"{checkout}: nanomg {' '.join(arguments)} failed: {done.stderr.decode()}")
    return taken


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(checkouts: Sequence[Path], arguments: Sequence[str], runs: int) -> list[list[tuple[float, float]]]:
    """For each checkout the times of `runs` runs, taken in turn."""
    with tempfile.TemporaryDirectory() as folder:
        caches = [Path(folder) / str(i) for i in range(len(checkouts))]
        for cache in caches:
            cache.mkdir(0o700)
        pairs = list(zip(checkouts, caches, strict=True))
        rounds = [[timed(*pair, arguments) for pair in pairs] for _ in range(runs + 1)]
    return [list(times) for times in zip(*rounds[1:], strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median and range of some numbers."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--runs", type=int, default=7, help="runs of each that count")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="those of nanomg; simulate mouse-mc38-iv without any"
    )
    asked = parser.parse_args()
    checkouts = [HERE, *([asked.against.resolve()] if asked.against else [])]
    times = measured(checkouts, asked.arguments or ["simulate", "mouse-mc38-iv"], asked.runs)
    for i, clock in enumerate(CLOCKS):
        for name, taken in zip(("here", "there"), times, strict=False):
            print(f"{name}, {clock}: {spread([t[i] for t in taken])} s")
        if asked.against:
            print(f"here / there, {clock}: {spread([a[i] / b[i] for a, b in zip(*times, strict=True)])}")


if __name__ == "__main__":
    main()
