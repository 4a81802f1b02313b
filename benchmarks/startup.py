"""Seconds from the start of the installed command to its result: with empty caches, with what was kept, for help, for a search."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("nanomg")


def measure(scenario: str, repeats: int, search: bool) -> dict[str, Any]:
    """Medians over fresh processes on all cores; the cold start is measured once, in an empty home. `search`: also `make run`."""
    if not COMMAND.exists():
        return {"failed": "the command nanomg is not installed beside this Python"}
    with tempfile.TemporaryDirectory() as home:
        dropped = ("JAX_COMPILATION_CACHE_DIR", "NANOMG_CACHE", "XDG_CACHE_HOME")
        environment = {k: v for k, v in os.environ.items() if k not in dropped} | {"HOME": home}

        def ran(*arguments: str) -> tuple[float, str]:
            begin = time.perf_counter()
            done = subprocess.run(
                [COMMAND, *arguments], cwd=home, env=environment, capture_output=True, text=True, timeout=300
            )
            if done.returncode:
                raise RuntimeError(f"nanomg {' '.join(arguments)} failed: {done.stderr.strip()[-200:]}")
            return time.perf_counter() - begin, done.stdout

        try:
            cold = ran("simulate", scenario, "--json")[0]
            warm = [ran("simulate", scenario, "--json")[0] for _ in range(repeats)]
            help_ = [ran("--help")[0] for _ in range(repeats)]
            whole, told = ran("optimize", scenario, "-o", f"{home}/search.h5", "--json") if search else (0.0, "{}")
        except (RuntimeError, subprocess.SubprocessError) as error:
            return {"failed": str(error)}
    found = {"cold": cold, "warm": statistics.median(warm), "help": statistics.median(help_)}
    return found | ({"command": whole, "search": json.loads(told)["seconds"]} if search else {})
