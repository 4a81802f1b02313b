"""How near native solves come to what a core can compute: operations a step and lane, and the core's own peak.

    python benchmarks/roofline.py [--quick] [--scenario NAME] [-o FILE.json] [--page docs/performance.md]

Operations are counted in the code that LLVM gets, function by function: additions, multiplications and divisions of real numbers;
exp, log and powers are written out in it, and the work on each lane alone (doses, outputs) is not counted. Peaks are measured:
independent chains of fused multiply-adds in registers, each two operations. Divisions count as one each; their own peak
is measured in the same way, and gives the share of the time that they need at least.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import problem as benchmark
import report

from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.native import graph, kernel, machine, straight
from nanomg.solver.native.ir import Format, Function, Module
from nanomg.solver.native.stages import continues
from nanomg.solver.rosenbrock import METHODS, Tableau

MARK = "roofline"
ERROR_NORM = {
    "add": 5,
    "multiply": 4,
    "divide": 1,
}  # of each state: its size, its share of the error, whether all is finite
RTOL = {"rodas4": 3e-5, "rodas5p": 1e-4}  # about those of equal error in the first table
CHAINS, TURNS = 12, 20_000_000  # registers hold the chains; a turn is one operation of each


# ---------------------------------------------------------------- counting
def operations_of(text: str) -> dict[str, int]:
    """Additions, multiplications, divisions and square roots of real vectors in a function's text."""
    found = {"add": 0, "multiply": 0, "divide": 0}
    names = {"fadd": "add", "fsub": "add", "fmul": "multiply", "fdiv": "divide"}
    for line in text.splitlines():
        operation = re.search(r"= (fadd|fsub|fmul|fdiv)\b", line)
        if operation:
            found[names[operation[1]]] += 1
        elif "@llvm.sqrt" in line:
            found["divide"] += 1
        elif "@llvm.fma" in line or "@llvm.fmuladd" in line:
            found["add"] += 1
            found["multiply"] += 1
    return found


def sums_of(tableau: Tableau, states: int) -> dict[str, int]:
    """The same of the sums over stages of a step, without their zeros, and of its end and its error norm."""
    add = multiply = 0
    for s in range(len(tableau.m)):
        short = continues(tableau, s)
        argument = 0 if short else np.count_nonzero(tableau.A[s, :s])
        right = np.count_nonzero(tableau.C[s, :s])
        multiply += argument + right
        add += (1 if short else argument) + max(0, right - 1)
    return {
        "add": states * (add + 1 + ERROR_NORM["add"]),
        "multiply": states * (multiply + ERROR_NORM["multiply"]),
        "divide": states * ERROR_NORM["divide"],
    }


def step_of(plan: Any) -> dict[str, Any]:
    """Operations of one step of one lane by piece, and nodes of the graph."""
    equations = graph.equations_of(plan.model, plan.timed)
    module = Module(Format(kernel.REAL[plan.precision], machine.host().lanes(plan.precision)))
    code = straight.straight_of(module, equations, plan.channels)
    tableau = METHODS[plan.method]
    stages = len(tableau.m)
    pieces: list[tuple[str, Function, int]] = [
        ("rates and Jacobian entries", code.jacobian, 1),
        ("rates", code.rates, stages - 1),
        ("LU factors", code.factor, 1),
        ("substitutions", code.solve, stages),
    ]
    rows = [
        {"piece": name, "times": times, **{k: v * times for k, v in operations_of(made.text).items()}}
        for name, made, times in pieces
    ]
    rows.append({"piece": "sums and error norm", "times": 1, **sums_of(tableau, code.states)})
    live = [node for node in equations.entries if equations.graph.value(node) is None]
    return {
        "pieces": rows,
        "flops": sum(row[kind] for row in rows for kind in ("add", "multiply", "divide")),
        "divisions": sum(row["divide"] for row in rows),
        "rates": graph.operations(equations.graph, equations.rates),
        "both": graph.operations(equations.graph, [*equations.rates, *live]),
        "entries": len(equations.pattern),
        "factors": code.slots,
    }


# ---------------------------------------------------------------- measuring
def peak(precision: str, turns: int, divide: bool = False) -> float:
    """Operations a second of chains of fused multiply-adds, or of divisions, on this core."""
    width, real = machine.host().lanes(precision), kernel.REAL[precision]
    vector = f"<{width} x {real}>"
    suffix = f"v{width}f{64 if real == 'double' else 32}"
    fused = f"call {vector} @llvm.fma.{suffix}({vector} %x, {vector} %m, {vector} %m)"
    divided = f"fdiv {vector} %m, %x"
    x = range(CHAINS)
    text = "\n".join(
        [
            f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
            f"define void @chains(ptr %at, i64 %turns) {{\nentry:\n  %m = load {vector}, ptr %at, align 64",
            *(f"  %p{i} = getelementptr {vector}, ptr %at, i64 {i}\n  %s{i} = load {vector}, ptr %p{i}" for i in x),
            "  br label %turn\nturn:\n  %k = phi i64 [0, %entry], [%next, %turn]",
            *(f"  %x{i} = phi {vector} [%s{i}, %entry], [%y{i}, %turn]" for i in x),
            *(f"  %y{i} = {divided if divide else fused}".replace("%x", f"%x{i}") for i in x),
            "  %next = add i64 %k, 1\n  %more = icmp slt i64 %next, %turns\n  br i1 %more, label %turn, label %end\nend:",
            *(f"  store {vector} %y{i}, ptr %p{i}, align 64" for i in x),
            "  ret void\n}",
        ]
    )
    code = machine.MachineCode(machine.object_code(text))
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address("chains"))
    room = np.full(CHAINS * width + 64, 0.5, precision)
    start = room.ctypes.data + -room.ctypes.data % 64
    run(start, turns // 100)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        run(start, turns)
        seconds.append(time.perf_counter() - began)
    return (1.0 if divide else 2.0) * CHAINS * width * turns / min(seconds)


def solve(case: benchmark.Problem, method: str, precision: str, batch: int, repeats: int) -> dict[str, Any]:
    """Steps and seconds of a batch on this core, and operations of a step."""
    plan = case.plan(method=method, precision=precision, engine="native")
    lanes = case.lanes(plan, batch)
    found = simulation_lanes.run(plan, lanes, RTOL[method])
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        simulation_lanes.run(plan, lanes, RTOL[method])
        seconds.append(time.perf_counter() - began)
    steps = int(np.sum(found.accepted) + np.sum(found.rejected))
    return {
        "method": method,
        "precision": precision,
        "batch": batch,
        "steps": steps,
        "seconds": statistics.median(seconds),
        **step_of(plan),
    }


def measured(scenario: str, quick: bool) -> dict[str, Any]:
    """All of it."""
    case = benchmark.build(scenario, 1)
    turns = TURNS // (20 if quick else 1)
    peaks = {precision: peak(precision, turns) for precision in kernel.REAL}
    divisions = {precision: peak(precision, turns // 10, divide=True) for precision in kernel.REAL}
    solves = [
        solve(case, method, precision, 64 if quick else 1024, 2 if quick else 7)
        for method in METHODS
        for precision in kernel.REAL
        if method in RTOL
    ]
    host = machine.host()
    return report.machine() | {
        "scenario": scenario,
        "quick": quick,
        "states": len(case.scenario.model.states),
        "cpu": host.cpu,
        "register_bytes": host.register_bytes,
        "peaks": peaks,
        "division_peaks": divisions,
        "solves": solves,
    }


# ---------------------------------------------------------------- what is shown
def text(found: dict[str, Any]) -> str:
    """All of it, for the screen and the page."""
    first = found["solves"][0]
    peaks, divisions = (
        ", ".join(f"{report.figure(value / 1e9)} in {name}" for name, value in found[roof].items())
        for roof in ("peaks", "division_peaks")
    )
    head = (
        f"{found['date']}, {found['processor']} ({found['cpu']} to LLVM, registers of {found['register_bytes']} bytes), one core. "
        f"Scenario `{found['scenario']}`: {found['states']} states, {first['entries']} Jacobian entries, {first['factors']} LU "
        f"factors; {first['rates']} operations on states in the graph of the rates, {first['both']} with the Jacobian entries. "
        f"Peak of the core, GFLOP/s: {peaks}; of divisions: {divisions}.{' QUICK RUN: not for figures.' if found['quick'] else ''}"
    )
    pieces = [
        [
            found_by["method"],
            row["piece"],
            str(row["times"]),
            *(f"{row[kind]:,}" for kind in ("add", "multiply", "divide")),
        ]
        for found_by in found["solves"]
        if found_by["precision"] == "float64"
        for row in found_by["pieces"]
    ]
    solves = [
        [
            f"{s['method']} {s['precision']}, B {s['batch']:,}",
            f"{s['flops']:,}",
            f"{s['divisions']:,}",
            report.figure(s["steps"] / s["batch"]),
            report.figure(1e9 * s["seconds"] / s["steps"]),
            report.figure(s["flops"] * s["steps"] / s["seconds"] / 1e9),
            f"{100 * s['flops'] * s['steps'] / s['seconds'] / found['peaks'][s['precision']]:.0f} %",
            f"{100 * s['divisions'] * s['steps'] / s['seconds'] / found['division_peaks'][s['precision']]:.0f} %",
        ]
        for s in found["solves"]
    ]
    return "\n\n".join([head, report.table(_SOLVES, solves), report.table(_PIECES, pieces)]) + "\n"


_SOLVES = (
    *("solve", "operations a step and lane", "of which divisions", "steps a lane"),
    *("ns a step and lane", "GFLOP/s", "share of the peak", "share of the time for divisions"),
)
_PIECES = ("method", "piece of a step", "times", "additions", "multiplications", "divisions and roots")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few lanes: does it run? Not for figures")
    parser.add_argument("--scenario", default=benchmark.SCENARIO)
    parser.add_argument("-o", "--output", type=Path, help="write everything measured to this JSON file")
    parser.add_argument("--page", type=Path, help="write the tables into this page, between its marks")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = measured(asked.scenario, asked.quick)
    print(text(found), flush=True)
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1, default=float) + "\n")
    if asked.page:
        report.into_page(asked.page, text(found), MARK)


if __name__ == "__main__":
    main()
