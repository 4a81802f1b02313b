"""A process that holds tools on given cores and answers commands, one line of JSON each.

    python benchmarks/worker.py CORES SCENARIO SUBJECTS

Threads and cores are set before anything is imported, so that every tool gets the same.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_threads] = "1"

import numpy as np  # noqa: E402

LIMIT = 1e-3
LEAST = 0.2  # [s] a timing lasts at least this long: short runs are repeated


class Worker:
    """The problem, the reference once it is there, and tools by label."""

    def __init__(self, scenario: str, subjects: int):
        import problem

        self.problem, self.error_of = problem.build(scenario, subjects), problem.relative_error
        self.tools: dict[str, Any] = {}
        self.chosen: dict[str, tuple[float, float]] = {}
        self.reference, self.scale = np.zeros(0), np.zeros(0)

    def make_reference(self, path: str, tool: str) -> dict[str, Any]:
        """Solve the subjects tightly by `tool` and keep the result in a file."""
        from tools import find

        states = len(self.problem.scenario.model.states)
        first = find(tool)(self.problem, np.ones(states)).run(1e-8, 1e-14)
        peak = np.median(np.abs(first).max(1), 0)
        scale = np.where(peak > 0, peak, 1.0)
        solver = find(tool)(self.problem, scale)
        tight, less = solver.run(1e-12, 1e-15), solver.run(1e-11, 1e-14)
        np.savez(path, reference=tight, scale=scale)
        return {"tool": tool, "change": float(self.error_of(less, tight).max()), "states": states}

    def make(self, label: str, tool: str, path: str, **options: Any) -> dict[str, Any]:
        """Set a tool up: import, compile, warm up."""
        from tools import find

        self._load(path)
        begin = time.perf_counter()
        made = self.tools[label] = find(tool)(self.problem, self.scale, **options)
        return {"version": made.version, "subjects": made.subjects, "setup": time.perf_counter() - begin}

    def _load(self, path: str) -> None:
        with np.load(path) as kept:
            self.reference, self.scale = kept["reference"], kept["scale"]

    def pin(self, core: int) -> dict[str, Any]:
        """Move all threads to one core."""
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        return {}

    def check(self, label: str, rtol: float, atol: float, subjects: int) -> dict[str, Any]:
        """The distance of the reference from a tool that solves single lanes, at a tight tolerance."""
        y = np.stack([self.tools[label].lane(i, rtol, atol) for i in range(subjects)])
        return {"error": float(self.error_of(y, self.reference[:subjects]).max())}

    def scan(self, label: str, budget: float, loosest: float = np.inf) -> dict[str, Any]:
        """The fastest setting that keeps the limit; scanned from loose to tight until tighter ones only cost more."""
        tool, begin = self.tools[label], time.perf_counter()
        rows: list[dict[str, Any]] = []
        best: dict[str, Any] | None = None
        for rtol, atol in tool.settings:
            if rtol > loosest:
                continue
            result, seconds = self._shortest(tool, rtol, atol)
            y = tool.states(result)
            errors = self.error_of(y, self.reference[: len(y)])
            row = {"rtol": rtol, "atol": atol, "seconds": seconds, "steps": tool.steps(result)}
            rows.append(row | {"error": float(errors.max()), "median_error": float(np.median(errors))})
            if rows[-1]["error"] <= LIMIT and (best is None or seconds < best["seconds"]):
                best = rows[-1]
            if time.perf_counter() - begin > budget or (best and seconds > 1.3 * best["seconds"]):
                break
        if best is None:
            nearest = min(rows, key=lambda row: row["error"])
            raise RuntimeError(f"no setting tried reached {LIMIT:g}; the best error was {nearest['error']:.1e}")
        self.chosen[label] = best["rtol"], best["atol"]
        return {"best": best, "scan": rows}

    @staticmethod
    def _shortest(tool: Any, rtol: float, atol: float) -> tuple[Any, float]:
        """A result and the seconds it takes: of a short run the shortest of some."""
        seconds: list[float] = []
        while not seconds or (len(seconds) < 5 and sum(seconds) < LEAST):
            started = time.perf_counter()
            result = tool.run(rtol, atol)
            seconds.append(time.perf_counter() - started)
        return result, min(seconds)

    def time(self, label: str) -> dict[str, Any]:
        """Seconds of one run at the chosen setting."""
        tool, calls, begin = self.tools[label], 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - begin < LEAST:
            tool.run(*self.chosen[label])
            calls += 1
        return {"seconds": (time.perf_counter() - begin) / calls}

    def distance(self, label: str, other: str) -> dict[str, Any]:
        """Between two tools at the same tolerance, as a share of each state's peak."""
        rtol, atol = self.chosen[label]
        a, b = (self.tools[name].states(self.tools[name].run(rtol, atol)) for name in (label, other))
        return {"share_of_peak": float((np.abs(a - b) / np.abs(b).max(1, keepdims=True).clip(1e-300)).max())}

    def gradient(self, path: str, batch: int, rtol: float, repeats: int) -> dict[str, Any]:
        """One scalar by all dose amounts and times, beside the scalar alone."""
        import gradient

        self._load(path)
        return gradient.measure(self.problem, batch, rtol, repeats, self.scale)

    def memory(self, batch: int, blocks: int, rtol: float) -> dict[str, Any]:
        """The peak of this process after one and after more calls of which only the last states are kept."""
        import jax

        from nanomg.simulation import lanes as simulation_lanes

        plan = self.problem.plan()
        lanes = self.problem.lanes(plan, batch)
        kept, peaks = [], []
        for block in range(blocks):
            kept.append(np.array(jax.block_until_ready(simulation_lanes.run(plan, lanes, rtol)).y[-1]))
            if block in (1, blocks - 1):
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return {"first_mb": peaks[0], "last_mb": peaks[1], "kept_mb": sum(k.nbytes for k in kept) / 2**20}


def main() -> None:
    """Answer until the input ends. What tools print goes nowhere: only answers reach the other side."""
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.path.insert(0, str(Path(__file__).parent))
    worker: Worker | None = None
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        try:
            worker = worker or Worker(sys.argv[2], int(sys.argv[3]))
            act: Callable[..., dict[str, Any]] = getattr(worker, command.pop("do"))
            answer = act(**command)
        except Exception as error:
            answer = {"failed": str(error).strip().split("\n")[0][:200] or type(error).__name__}
            if isinstance(error, ModuleNotFoundError):
                answer = {"failed": f"{error.name} is not installed"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
