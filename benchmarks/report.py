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
    for package in ("nanomg", "jax", "numpy", "diffrax", "numba", "libroadrunner", "scikit-sundae"):
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

    def best(tool: str, precision: str = "", least: int = 0, where: str = "") -> dict[str, Any] | None:
        """The fastest row of a tool."""
        chosen = [
            row
            for row in measured
            if row["tool"] == tool
            and where in row["worker"]
            and ("GPU" in row["worker"]) is ("GPU" in where)
            and (not precision or row["options"]["precision"] == precision)
            and row["found"]["subjects"] >= least
        ]
        return max(chosen, key=lambda row: row["rate"], default=None)

    large = 256 if found["quick"] else 1024
    one = next((r for r in measured if r["label"] == "nanomg rodas5p float64, B 1"), None)
    block = best("nanomg", "float64", large)
    single = best("nanomg", "float32", large)
    gradient, start, cores, memory = (found[name] for name in ("gradient", "startup", "cores", "memory"))
    growth = [100 * (memory["last_mb"] / memory["first_mb"] - 1)] if "last_mb" in memory else []
    shortest = ("cold", "warm", "help")
    seconds = {name: [start[name]] if name in start else [] for name in shortest}
    lines = [
        (f"B {large:,} or more over compiled LSODA, float64", ratio(block, best("lsoda")), 4, 20, "x"),
        (f"B {large:,} or more over compiled LSODA, float32", ratio(single, best("lsoda")), 8, 20, "x"),
        ("the same over libRoadRunner, float64", ratio(block, best("roadrunner")), 6, 30, "x"),
        ("the same over scikit-sundae, float64", ratio(block, best("cvode")), 30, 150, "x"),
        ("the same over the best stock diffrax under vmap, float64", ratio(block, best("diffrax")), 15, 60, "x"),
        ("one warm subject over libRoadRunner", ratio(one, best("roadrunner")), 0.3, 1, "x"),
        (f"gradient over primal, B {gradient.get('batch', 32)}", gradient.get("ratios", []), 8, 4, "x, at most"),
        ("first result of a fresh process, cold", seconds["cold"], 20, 10, "s, at most"),
        ("first result of a fresh process, stored program", seconds["warm"], 5, 3, "s, at most"),
        ("`nanomg --help`", seconds["help"], 0.6, 0.3, "s, at most"),
        ("two cores over one, two processes", cores.get("processes", []), 1.8, 1.95, "x"),
        ("two cores over one, one process", cores.get("threads", []), 1.8, 1.95, "x"),
        ("growth of peak memory over calls", growth, 10, 1, "%, at most"),
        ("GPU, B 100,000 or more over one CPU core", ratio(best("nanomg", "", 100_000, "GPU"), block), 50, 500, "x"),
    ]
    return table(TARGETS, (target(*line) for line in lines))


def target(what: str, values: Sequence[float], must: float, aim: float, unit: str) -> list[str]:
    """A target, what was measured, and whether that reaches it."""
    sort = unit.split(",")[0]
    limits = [f"{must:g} {sort}", f"{aim:g} {sort}"]
    if not values:
        return [what, "not measured", *limits, ""]
    middle = statistics.median(values)
    sign = -1 if "at most" in unit else 1
    reached = "aim" if sign * middle >= sign * aim else "must" if sign * middle >= sign * must else "no"
    spread = f" ({figure(min(values))}-{figure(max(values))})" if len(values) > 1 else ""
    return [what, f"{figure(middle)} {sort}{spread}", *limits, reached]


def _notes(found: dict[str, Any]) -> str:
    notes = []
    for name in ("check", "precision", "cores", "gradient", "memory", "startup"):
        if "failed" in found[name]:
            notes.append(f"- {name}: not measured ({found[name]['failed']})")
    if "share_of_peak" in found["precision"]:
        rows = {row["label"]: row for row in found["rows"] if row["seconds"]}
        pair = [rows.get(f"nanomg rodas5p {p}, B {256 if found['quick'] else 1024:,}") for p in ("float32", "float64")]
        notes.append(
            f"- float32 over float64 at the same batch: {times(ratio(*pair)) or 'not measured'}; "
            f"at B 64 and the same tolerance it is {found['precision']['share_of_peak']:.0e} of a state's peak away"
        )
    if "ratios" in found["gradient"]:
        g = found["gradient"]
        notes.append(
            f"- gradient in {g['doses']} amounts and {g['doses']} times: primal {g['primal']:.3g} s, "
            f"with gradient {g['gradient']:.3g} s, compiling {g['compile']:.0f} s"
            + ("" if g["finite"] else "; NOT FINITE")
        )
    if "last_mb" in found["memory"]:
        m = found["memory"]
        notes.append(
            f"- peak memory {m['first_mb']:.0f} MB early and {m['last_mb']:.0f} MB late, "
            f"of which {m['kept_mb']:.0f} MB are retained"
        )
    return "\n".join(notes)
