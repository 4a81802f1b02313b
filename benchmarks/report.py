"""What was measured as Markdown tables: rates, then each target beside its ratio."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TARGETS = ("what", "measured", "must", "aim", "reached")


def machine() -> dict[str, Any]:
    """Processor, cores, versions and date."""
    try:
        lines = subprocess.run(["lscpu"], capture_output=True, text=True, timeout=10).stdout.splitlines()
    except OSError:
        lines = []
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    versions = {}
    for package in (
        "nanomg",
        "jax",
        "llvmlite",
        "numpy",
        "diffrax",
        "numba",
        "libroadrunner",
        "pydiffsol",
        "scikit-sundae",
    ):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": named.get("Model name", platform.processor()).strip(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.date.today().isoformat(),
    }


def text(found: dict[str, Any]) -> str:
    """All of it, for the screen and the page."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    head = (
        f"{found['date']}, {found['processor']}, {found['cpus']} cores (one used unless a row says otherwise), "
        f"Python {found['python']}, {versions}. Scenario `{found['scenario']}`, {found['reference']['states']} states, "
        f"worst of {found['subjects']} subjects.{' QUICK RUN: not for figures.' if found['quick'] else ''}"
    )
    parts = [head, _reference(found), _rates(found), _targets(found), _notes(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def into_page(path: Path, measured: str, mark: str = "measured") -> None:
    """Put the tables between the marks of a page."""
    begin, end = (f"<!-- {mark}: {which} -->" for which in ("begin", "end"))
    before, rest = path.read_text().split(begin, 1)
    path.write_text(f"{before}{begin}\n\n{measured}\n{end}{rest.split(end, 1)[1]}")


def _reference(found: dict[str, Any]) -> str:
    reference, check = found["reference"], found["check"]
    line = f"Reference: {reference['tool']} at 1e-12; at 1e-11 it differs by {reference['change']:.0e}"
    return line + (f", {check['tool']} by {check['error']:.0e}." if "error" in check else ".")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rates(found: dict[str, Any]) -> str:
    lsoda = next((r for r in found["rows"] if r["tool"] == "lsoda"), None)
    shown = []
    for row in found["rows"]:
        if "rate" not in row:
            shown.append([row["label"], f"not measured: {row['failed']}", "", "", "", "", ""])
            continue
        best, rates = row["found"]["best"], [row["found"]["subjects"] / s for s in row["seconds"]]
        shown.append(
            [
                row["label"],
                f"{figure(row['rate'])} ({figure(min(rates))}-{figure(max(rates))}, n {len(rates)})",
                times(ratio(row, lsoda)),
                f"{best['error']:.0e}",
                f"{best['median_error']:.0e}",
                f"{best['rtol']:.0e}",
                best["steps"],
            ]
        )
    head = ["solver", "subjects/s, median (range)", "over LSODA", "worst error", "median error", "rtol", "steps"]
    return table(head, shown)


def ratio(a: dict[str, Any] | None, b: dict[str, Any] | None) -> list[float]:
    """How many times the rate of `b` that of `a` is, in each round that timed both."""
    if not a or not b:
        return []
    rates = [[row["found"]["subjects"] / s for s in row["seconds"]] for row in (a, b)]
    return [x / y for x, y in zip(*rates, strict=False)]


def times(ratios: Sequence[float]) -> str:
    """The median of ratios and their range."""
    if not ratios:
        return ""
    middle = statistics.median(ratios)
    return f"{figure(middle)} x" + (f" ({figure(min(ratios))}-{figure(max(ratios))})" if len(ratios) > 1 else "")


def figure(value: float) -> str:
    """Three figures."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _targets(found: dict[str, Any]) -> str:
    measured = [row for row in found["rows"] if row["seconds"]]

    def best(tool: str, least: int = 0, where: str = "", **options: Any) -> dict[str, Any] | None:
        """The fastest row of a tool with these options."""
        chosen = [
            row
            for row in measured
            if row["tool"] == tool
            and ("GPU" in row["worker"]) is ("GPU" in where)
            and options.items() <= {"alone": False, "traced": False, **row["options"]}.items()
            and row["found"]["subjects"] >= least
        ]
        return max(chosen, key=lambda row: row["rate"], default=None)

    large = 256 if found["quick"] else 1024
    native = {p: best("nanomg", large, engine="native", precision=p, traced=False) for p in ("float64", "float32")}
    block = native["float64"]
    one = best("nanomg", engine="native", precision="float64", alone=True)
    by_jax = best("nanomg", engine="jax", precision="float64", alone=False)
    gradient, start, cores, memory = (found[name] for name in ("gradient", "startup", "cores", "memory"))
    growth = [100 * (memory["last_mb"] / memory["first_mb"] - 1)] if "last_mb" in memory else []
    seconds = {name: [start[name]] if name in start else [] for name in ("cold", "warm", "help", "search")}
    slope = gradient.get("engines", {}).get("native", {}).get("ratios", [])
    many, lsoda = f"native, B {large:,} or more", best("lsoda")
    lines: list[tuple[str, Sequence[float], float, float | None, str]] = [
        (f"{many}, over compiled LSODA, float64", ratio(block, lsoda), 20, 30, "x"),
        (f"{many}, over compiled LSODA, float32", ratio(native["float32"], lsoda), 40, 60, "x"),
        ("the same over scikit-sundae, float64", ratio(block, best("cvode")), 100, None, "x"),
        ("the same over libRoadRunner, float64", ratio(block, best("roadrunner")), 40, None, "x"),
        ("the same over stock diffrax under vmap, float64", ratio(block, best("diffrax")), 60, None, "x"),
        ("the same over the JAX engine, float64", ratio(block, by_jax), 4, None, "x"),
        ("one warm subject over libRoadRunner", ratio(one, best("roadrunner")), 3, None, "x"),
        ("two cores over one, one process", cores.get("threads", []), 1.9, None, "x"),
        ("two cores over one, two processes", cores.get("processes", []), 1.9, None, "x"),
        (f"gradient over its primal, B {gradient.get('batch', 32)}", slope, 4, None, "x, at most"),
        ("gradient by the JAX engine over native", gradient.get("over_jax", []), 5, None, "x"),
        ("search of `make run`, all cores", seconds["search"], 15, None, "s, at most"),
        ("first result of a fresh process, cold", seconds["cold"], 2, None, "s, at most"),
        ("first result of a fresh process, warm", seconds["warm"], 1, None, "s, at most"),
        ("`nanomg --help`", seconds["help"], 0.6, 0.3, "s, at most"),
        ("growth of peak memory over calls", growth, 10, 1, "%, at most"),
        (
            "GPU, B 100,000 or more over one CPU core, JAX engine",
            ratio(best("nanomg", 100_000, "GPU"), by_jax),
            50,
            500,
            "x",
        ),
    ]
    return table(TARGETS, (target(*line) for line in lines))


def target(what: str, values: Sequence[float], must: float, aim: float | None, unit: str) -> list[str]:
    """A target, what was measured, and whether that reaches it."""
    sort = unit.split(",")[0]
    limits = [f"{must:g} {sort}", "" if aim is None else f"{aim:g} {sort}"]
    if not values:
        return [what, "not measured", *limits, ""]
    middle = statistics.median(values)
    sign = -1 if "at most" in unit else 1
    best = aim is not None and sign * middle >= sign * aim
    reached = "aim" if best else "must" if sign * middle >= sign * must else "no"
    spread = f" ({figure(min(values))}-{figure(max(values))})" if len(values) > 1 else ""
    return [what, f"{figure(middle)} {sort}{spread}", *limits, reached]


def _notes(found: dict[str, Any]) -> str:
    notes = []
    for name in ("check", "precision", "cores", "gradient", "memory", "startup"):
        if "failed" in found[name]:
            notes.append(f"- {name}: not measured ({found[name]['failed']})")
    if "share_of_peak" in found["precision"]:
        rows = {row["label"]: row for row in found["rows"] if row["seconds"]}
        pair = [
            rows.get(f"nanomg native rodas5p {p}, B {256 if found['quick'] else 1024:,}")
            for p in ("float32", "float64")
        ]
        notes.append(
            f"- float32 over float64 at the same batch: {times(ratio(*pair)) or 'not measured'}; "
            f"at B 64 and the same tolerance it is {found['precision']['share_of_peak']:.0e} of a state's peak away"
        )
    if "engines" in found["gradient"]:
        g = found["gradient"]
        for engine, by in g["engines"].items():
            notes.append(
                f"- gradient in {g['doses']} amounts and {g['doses']} times, {engine}: primal {by['primal']:.3g} s, "
                f"with gradient {by['gradient']:.3g} s ({times(by['ratios'])}), compiling {by['compile']:.2g} s"
            )
        notes.append(
            f"- the two gradients differ by {g['apart']:.0e} of the largest" + ("" if g["finite"] else "; NOT FINITE")
        )
    if "command" in found["startup"]:
        notes.append(f"- `make run` as a whole, command and file: {found['startup']['command']:.3g} s")
    if "last_mb" in found["memory"]:
        m = found["memory"]
        notes.append(
            f"- peak memory {m['first_mb']:.0f} MB early and {m['last_mb']:.0f} MB late, "
            f"of which {m['kept_mb']:.0f} MB are retained"
        )
    return "\n".join(notes)
