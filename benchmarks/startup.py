"""Seconds from the start of the installed command to its result: with empty caches, with what was kept, and for the help."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("nanomg")


def measure(scenario: str, repeats: int) -> dict[str, Any]:
    """Medians over fresh processes on all cores; the cold start is measured once, in an empty home."""
    if not COMMAND.exists():
        return {"failed": "the command nanomg is not installed beside this Python"}
    with tempfile.TemporaryDirectory() as home:
        dropped = ("JAX_COMPILATION_CACHE_DIR", "NANOMG_CACHE", "XDG_CACHE_HOME")
        environment = {k: v for k, v in os.environ.items() if k not in dropped} | {"HOME": home}

        def seconds(*arguments: str) -> float:
            begin = time.perf_counter()
            done = subprocess.run(
                [COMMAND, *arguments], cwd=home, env=environment, capture_output=True, text=True, timeout=300
            )
            if done.returncode:
                raise RuntimeError(f"nanomg {' '.join(arguments)} failed: {done.stderr.strip()[-200:]}")
            return time.perf_counter() - begin

        try:
            cold = seconds("simulate", scenario, "--json")
            warm = [seconds("simulate", scenario, "--json") for _ in range(repeats)]
            help_ = [seconds("--help") for _ in range(repeats)]
        except (RuntimeError, subprocess.SubprocessError) as error:
            return {"failed": str(error)}
    return {"cold": cold, "warm": statistics.median(warm), "help": statistics.median(help_)}
