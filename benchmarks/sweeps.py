"""Sweeps beside the bare solver: by size of parts, threads, processes, precision and engine; in memory and on disk.

    python benchmarks/sweeps.py [--quick] [--million] [--scenario NAME] [-o FILE.json] [--page docs/performance.md]

Each row is a sweep in a fresh process, native unless it says otherwise. The first ones solve their lanes in turn with a loop
around the solver alone, whose lanes were laid out before, in the same blocks: what a sweep adds is drawing subjects, laying out,
keeping, writing and merging.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
from remote import CACHE, CORES, gpu

SCENARIO = "mouse-mc38-iv"
KEPT = ("tumour.volume:final", "interstitium.C:max", "lfa1.competence:mean")
MARK = "sweeps"
ALL_CORES = "as many threads as cores"
BY_JAX = f"{ALL_CORES}, JAX engine"


@dataclasses.dataclass
class Row:
    """One line of the table: how a sweep was run, and what came out. `repeats` are those of sweep and bare solver in turn."""

    label: str
    subjects: int
    cores: int = 1
    part: int | None = None
    workers: int | None = None
    precision: str = "float64"
    device: str = "cpu"
    engine: str = "native"
    repeats: int = 0
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    failed: str = ""


def rows_of(quick: bool, million: bool, with_gpu: bool) -> list[Row]:
    """All rows of a run; a unit of trajectories is some four seconds of a core."""
    unit, several = (64, 16) if quick else (16_384, 1024)
    many = (80, 800, 8000) if quick else (10_000, 100_000, 1_000_000)
    both, every = len(CORES[:2]), len(CORES)
    rows = [
        Row("one thread", 4 * unit, repeats=3),
        Row("one thread, float32", 4 * unit, precision="float32", repeats=3),
        *(Row(f"one thread, parts of {part:,}", unit, part=part) for part in (1024, 4096) if part <= unit),
        Row("two threads", 4 * unit, cores=both),
        Row("`--workers 1`", 2 * unit, cores=both, part=several, workers=1),
        Row("`--workers 2`", 4 * unit, cores=both, part=several, workers=2),
        *(Row(ALL_CORES, count, cores=every) for count in many[: 3 if million else 2]),
        Row(f"{ALL_CORES}, float32", many[1], cores=every, precision="float32"),
        Row(BY_JAX, unit, cores=every, part=several, engine="jax"),  # in parts as those of 100,000
    ]
    if with_gpu:
        rows += [
            Row(f"GPU, {precision}", count, cores=every, precision=precision, device="gpu", engine="jax")
            for count in many[1:]
            for precision in ("float64", "float32")
        ]
    return rows


# ---------------------------------------------------------------- one row, in a process of its own
def measure(scenario: str, kept: list[str], row: Row) -> dict[str, Any]:
    """Seconds, rates, bytes of one sweep, and of the bare solver on its lanes."""
    os.sched_setaffinity(0, CORES[: row.cores])
    from nanomg.jobs.sweep import batch, prepared
    from nanomg.jobs.sweep import run as sweep_run
    from nanomg.jobs.sweep.request import SweepRequest
    from nanomg.results import sweep_store

    asked = {
        "subjects": row.subjects,
        "keep": kept,
        "precision": row.precision,
        "device": row.device,
        "engine": row.engine,
    }
    todo = prepared.prepare(SweepRequest(scenario=scenario, workers=row.workers, **asked))
    todo = dataclasses.replace(todo, part=row.part or todo.part)
    found = todo.batch
    if row.workers is None:
        with tempfile.TemporaryDirectory() as folder:  # what is imported on the way
            few = SweepRequest(
                scenario=scenario,
                output=Path(folder) / "few.h5",
                **asked | {"subjects": 8, "engine": "auto", "device": "cpu"},
            )
            sweep_run.run_prepared(prepared.prepare(few), read=False)
        found.solve(0, min(todo.part, found.total))  # compiles
    spent = dict.fromkeys(("drawing", "writing", "merging"), 0.0)
    for owner, name, what in (
        (batch, "draw", "drawing"),
        (sweep_store.Store, "write", "writing"),
        (sweep_store.Store, "merge", "merging"),
    ):
        setattr(owner, name, _timed(getattr(owner, name), spent, what))
    alone, whole = [], []
    for _ in range(max(row.repeats, 1)):
        if row.repeats:
            alone.append(_alone(found, todo.part))
        for what in spent:
            spent[what] = 0.0
        with tempfile.TemporaryDirectory() as folder:
            seen: list[tuple[float, int]] = []
            began = time.perf_counter()
            request = dataclasses.replace(todo.request, output=Path(folder) / "sweep.h5")
            run = sweep_run.run_prepared(
                dataclasses.replace(todo, request=request),
                progress=lambda at, seen=seen: seen.append((time.perf_counter(), at.done)),
                read=False,
            )
            whole.append(time.perf_counter() - began)
            assert run.path is not None
            size = run.path.stat().st_size
    side = row.workers or row.cores
    (first, before), (last, done) = seen[min(side, len(seen)) - 1], seen[-1]  # from where each has done its first part
    return {
        "part": todo.part,
        "seconds": whole,
        "alone": alone,
        "steady": (done - before) / (last - first) if done > before else None,
        "failed": run.summary["failed"],
        "bytes": size,
        "peak_mb": _peak() / 1e6,
        "device": run.summary["device"],
        "block": found.block,
        **spent,
    }


def _timed(function: Any, spent: dict[str, float], what: str) -> Any:
    def run(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[what] += time.perf_counter() - began

    return run


def _alone(found: Any, part: int) -> float:
    """Seconds of the solver alone on all trajectories of a batch, one block after the other."""
    import jax

    from nanomg.jobs.sweep import batch
    from nanomg.simulation import blocks
    from nanomg.simulation import lanes as simulation_lanes

    devices = found.choice.devices
    seconds = 0.0
    for start in range(0, found.total, part):
        count = min(part, found.total - start)
        index = np.arange(start, start + count)
        lanes = found._lanes(index, found._subjects(index)[0]).lanes

        def solve(chosen: Any, defer: bool, lanes: Any = lanes, count: int = count) -> Any:
            some = simulation_lanes.some_of(lanes, chosen)
            solved = simulation_lanes.solve_block(found.plan._replace(defer=defer), some, found.rtol, devices)
            return batch._Reduced({}, jax.block_until_ready(solved).status)

        began = time.perf_counter()
        if found._independent:
            blocks.solve_in_turn(solve, count, found.block)
        else:
            blocks.solve_in_like_blocks(solve, count, found.block, min(found.block, batch._LATE * len(devices)))
        seconds += time.perf_counter() - began
    return seconds


def _peak() -> float:
    """The most memory that this process has held [byte]."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def in_a_process(scenario: str, kept: Sequence[str], row: Row) -> None:
    """Measure a row and note what came out, or why not."""
    asked = {k: v for k, v in dataclasses.asdict(row).items() if k not in ("found", "failed")}
    caches = {"JAX_COMPILATION_CACHE_DIR": str(CACHE / "jax"), "NANOMG_CACHE": str(CACHE / "programs")}
    platform = "cuda,cpu" if row.device == "gpu" else "cpu"
    done = subprocess.run(
        [sys.executable, __file__, "--scenario", scenario, *(f"--keep={k}" for k in kept), "--row", json.dumps(asked)],
        env=os.environ | caches | {"JAX_PLATFORMS": platform},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        row.failed = (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
    else:
        row.found = json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------- what is shown
def text(found: dict[str, Any]) -> str:
    """All of it, for the screen and the page."""
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("nanomg", "jax", "llvmlite", "numpy"))
    busy = found["load"] > 0.3 * found["cpus"]
    head = (
        f"{found['date']}, {found['processor']}, {found['cpus']} cores, Python {found['python']}, {versions}. Scenario "
        f"`{found['scenario']}`, read-outs: {', '.join(f'`{kept}`' for kept in found['kept'])}."
        f"{' QUICK RUN: not for figures.' if found['quick'] else ''}"
        + (f" The machine was NOT IDLE (load {found['load']:.1f} at the start): not for figures." if busy else "")
    )
    rows = [Row(**row) for row in found["rows"]]
    parts = [head, report.table(_HEAD, map(_line, rows)), report.table(report.TARGETS, _targets(rows))]
    if not any(row.device == "gpu" for row in rows):
        parts.append(
            "GPU: JAX finds none on this machine. On a machine with a GPU, after `pip install -e '.[cuda]'`, "
            "`python benchmarks/sweeps.py` measures it as well."
        )
    return "\n\n".join(parts) + "\n"


_HEAD = (
    *("sweep", "trajectories", "part", "per second, total", "per second, running", "over the bare solver"),
    *("peak memory [MB]", "file [MB]", "sampling [s]", "writing [s]", "merging [s]"),
)


def _line(row: Row) -> list[str]:
    if row.failed:
        return [row.label, f"{row.subjects:,}", "", f"not measured: {row.failed}", *[""] * 7]
    found = row.found
    here = row.workers is None
    return [
        row.label,
        f"{row.subjects:,}",
        f"{found['part']:,}",
        report.figure(_rate(row)),
        report.figure(found["steady"]) if found["steady"] else "",
        report.times(_shares(row)),
        report.figure(found["peak_mb"]) if here else "",
        f"{found['bytes'] / 1e6:.3g}",
        f"{found['drawing']:.2g}" if here else "",
        f"{found['writing']:.2g}",
        f"{found['merging']:.2g}",
    ]


def _rate(row: Row) -> float:
    """Trajectories a second, from the start of the sweep to its file."""
    return row.subjects / statistics.median(row.found["seconds"])


def _shares(row: Row) -> list[float]:
    """Seconds of the bare solver over those of the sweep, in each repeat."""
    return [
        alone / whole for alone, whole in zip(row.found.get("alone", ()), row.found.get("seconds", ()), strict=False)
    ]


def _targets(rows: list[Row]) -> list[list[str]]:
    named = {row.label: row for row in rows if row.found}
    steady = {label: row.found["steady"] for label, row in named.items() if row.found["steady"]}
    over = lambda a, b: [steady[a] / steady[b]] if a in steady and b in steady else []
    threads = [row for row in rows if row.found and row.label == ALL_CORES]
    peaks = [row.found["peak_mb"] for row in threads]
    growth = [100 * (peaks[-1] / peaks[0] - 1)] if len(peaks) > 1 else []
    share = [_shares(named[label]) if label in named else [] for label in ("one thread", "one thread, float32")]
    by_jax = named.get(BY_JAX)
    like = [row for row in threads if by_jax and row.found["part"] == by_jax.found["part"]][:1]
    over_jax = [_rate(row) / _rate(by_jax) for row in like if by_jax]
    gpu_rows = [row.subjects / min(row.found["seconds"]) for row in rows if row.found and row.device == "gpu"]
    many = f"{threads[-1].subjects:,} trajectories" if threads else "many trajectories"
    lines: list[tuple[str, list[float], float, float | None, str]] = [
        (f"native over JAX engine, {like[0].subjects if like else 100_000:,} trajectories", over_jax, 4, None, "x"),
        ("rate of a sweep over the bare solver's, float64", share[0], 0.8, 0.95, "x"),
        ("the same, float32", share[1], 0.8, 0.95, "x"),
        ("two threads over one", over("two threads", "one thread"), 1.8, 1.95, "x"),
        ("two worker processes over one", over("`--workers 2`", "`--workers 1`"), 1.8, 1.95, "x"),
        (f"peak memory of {many}", peaks[-1:], 700, None, "MB, at most"),
        (
            f"its growth from {threads[0].subjects:,} trajectories" if threads else "its growth",
            growth,
            10,
            1,
            "%, at most",
        ),
        ("GPU, per second", [max(gpu_rows)] if gpu_rows else [], 10_000, 50_000, "trajectories"),
    ]
    return [report.target(*line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few trajectories: does it run? Not for figures")
    parser.add_argument("--million", action="store_true", help="a row of 1,000,000 trajectories, some minutes")
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--keep", action="append", metavar="WHAT", help="what each trajectory leaves; repeatable")
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows whose label holds this text")
    parser.add_argument("-o", "--output", type=Path, help="write everything measured to this JSON file")
    parser.add_argument("--page", type=Path, help="write the tables into this page, between its marks")
    parser.add_argument("--from", dest="earlier", type=Path, help="show an earlier JSON file instead of measuring")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    kept = asked.keep or KEPT
    if asked.row:
        print(json.dumps(measure(asked.scenario, kept, Row(**json.loads(asked.row)))))
        return
    if asked.earlier:
        found = json.loads(asked.earlier.read_text())
    else:
        load = os.getloadavg()[0]
        rows = [r for r in rows_of(asked.quick, asked.million, gpu()) if asked.rows in r.label]
        for precision in ("float64", "float32"):  # compiled first, so that no row on all cores has that in its memory
            in_a_process(asked.scenario, kept, Row("compiles", 512, len(CORES), precision=precision))
        for row in rows:
            in_a_process(asked.scenario, kept, row)
            print(f"{row.label}, {row.subjects:,}: {row.failed or row.found['seconds']}", flush=True)
        found = report.machine() | {"scenario": asked.scenario, "kept": kept, "quick": asked.quick, "load": load}
        found["rows"] = [dataclasses.asdict(row) for row in rows]
    print(text(found), flush=True)
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1) + "\n")
    if asked.page:
        report.into_page(asked.page, text(found), MARK)


if __name__ == "__main__":
    main()
