"""The other end of a worker: start it, ask it, give up on it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "benchmarks"
CORES = sorted(os.sched_getaffinity(0))


class Failed(Exception):
    """A worker could not do what it was asked; the message says why."""


class Remote:
    """A worker process on `cores`. One that does not answer in time is ended and stays so."""

    def __init__(self, cores: list[int], scenario: str, subjects: int, platform: str = "cpu"):
        kept = {"JAX_COMPILATION_CACHE_DIR": str(CACHE / "jax"), "NANOMG_CACHE": str(CACHE / "programs")}
        self.over = ""
        self.process = subprocess.Popen(
            [sys.executable, HERE / "worker.py", ",".join(map(str, cores)), scenario, str(subjects)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | kept | {"JAX_PLATFORMS": platform},
        )

    def ask(self, do: str, limit: float = 300.0, **arguments: Any) -> dict[str, Any]:
        """The answer to one command within `limit` seconds."""
        if self.over:
            raise Failed(self.over)
        assert self.process.stdin and self.process.stdout
        try:
            print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)
            with selectors.DefaultSelector() as waiting:
                waiting.register(self.process.stdout, selectors.EVENT_READ)
                if not waiting.select(limit):
                    raise Failed(f"no answer to {do!r} within {limit:g} s")
            line = self.process.stdout.readline()
            if not line:
                raise Failed(f"the process ended during {do!r}, code {self.process.wait(10)}")
        except (Failed, OSError) as error:
            self.over = str(error)
            self.close()
            raise Failed(self.over) from error
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait(10)


def gpu() -> bool:
    """Whether JAX finds one."""
    try:
        found = subprocess.run(
            [sys.executable, "-c", "import jax; print(jax.default_backend())"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.SubprocessError:
        return False
    return found.stdout.strip() == "gpu"


def together(remotes: list[Remote], label: str) -> float:
    """Seconds of the slowest of several workers that do one timing at the same time."""
    with ThreadPoolExecutor(len(remotes)) as pool:
        return max(pool.map(lambda remote: remote.ask("time", label=label)["seconds"], remotes))
