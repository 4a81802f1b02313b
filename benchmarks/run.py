"""nanomg beside other solvers on one shipped scenario, in one run, on one core, at the same achieved error.

    python benchmarks/run.py [--quick] [--scenario NAME] [--rows TEXT] [-o FILE.json] [--page docs/performance.md]

Every tool's tolerance is scanned and the fastest setting taken whose worst error over 64 subjects is at most 1e-3. Timings are
then repeated in turn, tool after tool, so that a slow spell of the machine meets them all. What is missing is a row that says why.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import report
import startup
from remote import CORES, Failed, Remote, gpu, together

SCENARIO = "mouse-mc38-depot"
ROW_SECONDS = 30.0  # a row that takes long is repeated less often


@dataclasses.dataclass
class Row:
    """One line of the table: a tool with its options, the worker that holds it, and what came out."""

    label: str
    worker: str
    tool: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: list[float] = dataclasses.field(default_factory=list)
    failed: str = ""


def rows_of(quick: bool, with_gpu: bool) -> list[Row]:
    """All rows of a run."""
    rows = []

    def ours(engine: str, batch: int, method: str, precision: str, where: str = "nanomg", **how: bool) -> None:
        inside = ", inside JAX" if how.get("traced") else ""
        label = f"{where} {engine} {method} {precision}, B {batch:,}{inside}"
        options = {"subjects": batch, "method": method, "precision": precision, "engine": engine, **how}
        rows.append(Row(label, where if engine == "native" else f"{where} {engine}", "nanomg", options))

    precisions, methods = ("float64", "float32"), ("rodas5p", "rodas4")
    largest = 256 if quick else 1024
    for method in methods:
        for precision in precisions:
            for batch in (64, largest):
                ours("native", batch, method, precision)
            ours("native", 1, method, precision, alone=True)
    for precision in precisions:
        ours("native", largest, "rodas4", precision, traced=True)
    for precision in precisions[:1] if quick else precisions:
        ours("jax", 64 if quick else largest, "rodas4", precision)
    if not quick:
        ours("jax", 1, "rodas5p", "float64", alone=True)
    if with_gpu:
        for batch in (10_000,) if quick else (10_000, 100_000, 1_000_000):
            for precision in precisions:
                ours("jax", batch, "rodas5p", precision, where="nanomg on GPU")
    rows.append(Row("LSODA, compiled (numbalsoda)", "lsoda", "lsoda"))
    rows.append(Row("libRoadRunner (CVODE)", "roadrunner", "roadrunner"))
    rows.append(Row("scikit-sundae (CVODE)", "cvode", "cvode"))
    rows.append(Row("pydiffsol (BDF)", "diffsol", "diffsol"))
    solver = "Kvaerno3"  # of those with a chance here: Kvaerno5 takes seven times as long, Tsit5 does not end
    rows.append(Row(f"diffrax {solver}, vmap, B {8 if quick else 16}", "diffrax", "diffrax", {"solver": solver}))
    rows.append(Row("mrgsolve", "lsoda", "mrgsolve"))
    return rows


class Bench:
    """One measurement from the reference to the last ratio."""

    def __init__(self, scenario: str, quick: bool, only: str, folder: Path):
        self.scenario, self.quick, self.folder = scenario, quick, folder
        self.subjects, self.repeats = (8, 2) if quick else (64, 5)
        self.rows = [r for r in rows_of(quick, gpu()) if only in r.label or r.tool == "lsoda"]
        self.path = str(folder / "reference.npz")
        self.remotes: dict[str, Remote] = {}

    def remote(self, name: str, cores: list[int] | None = None) -> Remote:
        """The worker of this name, started when first asked for."""
        if name not in self.remotes:
            platform = "cuda,cpu" if "GPU" in name else "cpu"
            self.remotes[name] = Remote(cores or CORES[:1], self.scenario, self.subjects, platform)
        return self.remotes[name]

    def reference(self) -> dict[str, Any]:
        """By compiled LSODA, else by CVODE."""
        try:
            return self.remote("lsoda").ask("make_reference", path=self.path, tool="lsoda")
        except Failed as error:
            say(f"LSODA cannot give the reference ({error}); CVODE does")
            return self.remote("cvode").ask("make_reference", path=self.path, tool="cvode")

    def prepare(self) -> None:
        """Set up and scan; nanomg on one core, the others beside it on a second one where there is one."""
        for row in self.rows:
            self.remote(row.worker, CORES[:1] if row.tool == "nanomg" else CORES[-1:])
        groups = [[r for r in self.rows if (r.tool == "nanomg") is ours] for ours in (True, False)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._prepare, groups))
        for remote in self.remotes.values():
            with contextlib.suppress(Failed):
                remote.ask("pin", core=CORES[0])

    def _prepare(self, rows: list[Row]) -> None:
        loosest: dict[str, float] = {}
        for row in rows:
            kind = " ".join(str(row.options.get(name)) for name in ("engine", "method", "precision"))
            start = {"loosest": loosest[kind]} if kind in loosest else {}
            try:
                row.found = self.remote(row.worker).ask(
                    "make", 120.0, label=row.label, tool=row.tool, path=self.path, **row.options
                )
                budget = 20.0 if self.quick else 45.0
                row.found |= self.remote(row.worker).ask("scan", 240.0, label=row.label, budget=budget, **start)
                # a subject comes out alike in blocks of any size: skip what is far too loose
                if row.tool == "nanomg":
                    loosest[kind] = 16 * row.found["best"]["rtol"]
                say(f"{row.label}: {row.found['best']}")
            except Failed as error:
                row.failed = str(error)
                say(f"{row.label}: {row.failed}")

    def interleave(self) -> None:
        """Time the rows in turn."""
        for repeat in range(self.repeats):
            say(f"repeat {repeat + 1} of {self.repeats}")
            for row in self.rows:
                if row.failed or repeat * row.found["best"]["seconds"] > ROW_SECONDS:
                    continue
                try:
                    row.seconds.append(self.remote(row.worker).ask("time", label=row.label)["seconds"])
                except Failed as error:
                    row.failed = str(error)

    def check(self) -> dict[str, Any]:
        """The reference against the other independent code."""
        row = next(r for r in self.rows if r.tool == "cvode")
        return {
            "tool": row.label,
            **self.remote("cvode").ask("check", label=row.label, rtol=1e-10, atol=1e-13, subjects=4),
        }

    def precision(self) -> dict[str, Any]:
        """How far float32 is from float64."""
        f64, f32 = (f"nanomg native rodas5p {p}, B 64" for p in ("float64", "float32"))
        return self.remote("nanomg").ask("distance", label=f32, other=f64)

    def cores(self) -> dict[str, Any]:
        """Two cores over one: two pinned processes, and one process that may use both."""
        if len(CORES) < 2:
            raise Failed("this machine has one core")
        label = f"nanomg native rodas4 float64, B {256 if self.quick else 1024:,}"
        row = next(r for r in self.rows if r.label == label)
        pair = [self.remote("nanomg"), self.remote("second", CORES[1:2])]
        both = self.remote("both", CORES[:2])
        for remote in (pair[1], both):
            remote.ask("make", label=label, tool=row.tool, path=self.path, **row.options)
            remote.ask("scan", label=label, budget=0.0, loosest=row.found["best"]["rtol"])
        ratios: dict[str, list[float]] = {"processes": [], "threads": []}
        for _ in range(2 if self.quick else 3):
            alone = pair[0].ask("time", label=label)["seconds"]
            ratios["processes"].append(2 * alone / together(pair, label))
            ratios["threads"].append(alone / both.ask("time", label=label)["seconds"])
        return ratios

    def gradient(self) -> dict[str, Any]:
        """By both engines, on one core, at the tolerance of the table's block of 64."""
        return self._fresh("gradient", path=self.path, batch=8 if self.quick else 32, repeats=2 if self.quick else 15)

    def memory(self) -> dict[str, Any]:
        """On one core, calls of one block."""
        return self._fresh("memory", batch=64 if self.quick else 256, blocks=4 if self.quick else 20)

    def _fresh(self, do: str, **arguments: Any) -> dict[str, Any]:
        rtol = next(r for r in self.rows if r.label == "nanomg native rodas5p float64, B 64").found["best"]["rtol"]
        return self.remote(do).ask(do, rtol=rtol, **arguments)

    def run(self) -> dict[str, Any]:
        """Everything, as what the JSON file holds."""
        found: dict[str, Any] = {"quick": self.quick, "scenario": self.scenario, "subjects": self.subjects}
        found["reference"] = self.reference()
        self.prepare()
        self.interleave()
        found["rows"] = [dataclasses.asdict(row) for row in self.rows]
        extra: dict[str, Callable[[], dict[str, Any]]] = {
            "check": self.check,
            "precision": self.precision,
            "cores": self.cores,
            "gradient": self.gradient,
            "memory": self.memory,
            "startup": lambda: startup.measure(self.scenario, 2 if self.quick else 5, not self.quick),
        }
        for name, job in extra.items():
            say(name)
            try:
                found[name] = job()
            except (Failed, StopIteration, KeyError) as error:
                found[name] = {"failed": str(error) or "the row that it needs is not there"}
        for row, kept in zip(self.rows, found["rows"], strict=True):
            if row.seconds:
                kept["rate"] = statistics.median(row.found["subjects"] / s for s in row.seconds)
        return found

    def close(self) -> None:
        """End all workers."""
        for remote in self.remotes.values():
            remote.close()


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="few subjects and small blocks: does it run? Not for figures"
    )
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows whose label holds this text, and LSODA")
    parser.add_argument("-o", "--output", type=Path, help="write everything measured to this JSON file")
    parser.add_argument("--page", type=Path, help="write the tables into this page, between its marks")
    parser.add_argument("--from", dest="earlier", type=Path, help="show an earlier JSON file instead of measuring")
    asked = parser.parse_args()
    if asked.earlier:
        found = json.loads(asked.earlier.read_text())
    else:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(asked.scenario, asked.quick, asked.rows, Path(folder))
            try:
                found = report.machine() | bench.run()
            except Failed as error:
                sys.exit(f"no reference to compare with: {error}; pip install -r benchmarks/requirements.txt")
            finally:
                bench.close()
    say(report.text(found))
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1) + "\n")
    if asked.page:
        report.into_page(asked.page, report.text(found))


if __name__ == "__main__":
    main()
