"""Event tables by `simulate --events`, before and after a change: seconds, and peak memory by number of subjects.

    python benchmarks/events.py [--before CHECKOUT] [--scenario NAME] [--subjects 1000 10000] [--repeats 2] [--series] [--jax]

Every row is a fresh process, whose first run compiles or loads its program and is not counted. With `--before`, each row is
measured in turn with the other checkout's package. Tables have 30 records for each subject: doses at common times whose amounts
differ between subjects, and observations at times of their own. With `--series` the series and control arms are solved, too. With
`--jax` the JAX engine is measured beside the native one. mrgsolve solves the same table of `textbook-2cpt` where R has it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RECORDS = 30
DOSES = {  # by scenario: port, amount, hours over which it is infused, times of the doses, last observation [h]
    "textbook-2cpt": ("pk.depot", 100.0, 0.0, [24.0 * k for k in range(6)], 160.0),
    "human-nsclc-iv-mgso4": ("magnesium.iv", 32.0, 12.0, [24.0 + 504.0 * k for k in range(4)], 2000.0),
}


def table(scenario: str, subjects: int) -> str:
    """An event table in NONMEM's columns, the same for the same arguments."""
    port, amount, over, times, last = DOSES[scenario]
    rng = np.random.default_rng(0)
    lines = ["ID,TIME,EVID,AMT,CMT,DUR,MDV,DV"]
    for i in range(1, subjects + 1):
        given = amount * np.exp(0.2 * rng.standard_normal())
        rows = [(t, f"1,{given:.2f},{port},{over or '.'},1,.") for t in times]
        rows += [(t, "0,.,.,.,0,.") for t in np.sort(rng.uniform(1.0, last, RECORDS - len(times))).round(2)]
        lines += [f"{i},{t},{rest}" for t, rest in sorted(rows, key=lambda row: row[0])]
    return "\n".join(lines) + "\n"


def measure(scenario: str, events: str, folder: str, repeats: int, series: bool, engine: str) -> dict[str, Any]:
    """Seconds of the first and of each further run in this process, and its peak memory [MB]."""
    import inspect

    import nanomg

    seconds = []
    known = inspect.signature(nanomg.simulate).parameters
    wanted = {"series": series, "engine": engine}
    asked: dict[str, Any] = {name: value for name, value in wanted.items() if value and name in known}
    for _ in range(repeats + 1):
        began = time.perf_counter()
        nanomg.simulate(scenario, events=events, records=Path(folder) / "records.csv", force=True, **asked)
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"first": seconds[0], "warm": min(seconds[1:]), "peak_MB": peak}


def in_process(checkout: Path, *arguments: Any) -> dict[str, Any]:
    """What `measure` gives in a fresh process with the package of a checkout."""
    command = [sys.executable, "-P", __file__, "--measure", json.dumps(arguments)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


MRGSOLVE = """
suppressMessages(library(mrgsolve))
table <- read.csv(commandArgs(TRUE)[1], na.strings = ".")
table$CMT <- 1  # the depot
table$DUR <- table$DV <- table$MDV <- NULL
table$AMT[is.na(table$AMT)] <- 0
model <- mread("pk2cmt", modlib())
once <- function() as.data.frame(mrgsim_d(model, table))
once()
cat(min(replicate(3, system.time(once())["elapsed"])))
"""


def by_mrgsolve(events: str) -> str:
    """Seconds of mrgsolve's two compartments, differential equations, for a table that is in memory; or why there are none."""
    if shutil.which("Rscript") is None:
        return "not measured: Rscript is not installed"
    done = subprocess.run(["Rscript", "-e", MRGSOLVE, events], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"not measured: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}"
    return f"{float(done.stdout):.3g} s in memory, without reading and writing"


def main() -> None:
    """Print one line for each number of subjects, checkout and engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--scenario", choices=list(DOSES), default="textbook-2cpt")
    parser.add_argument("--subjects", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--series", action="store_true")
    parser.add_argument("--jax", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*json.loads(given.measure))))
        return
    here = Path(__file__).parents[1]
    runs = {"before": (given.before.resolve(), "")} if given.before else {}
    runs |= {"now": (here, "")} | ({"now, JAX engine": (here, "jax")} if given.jax else {})
    cores = len(os.sched_getaffinity(0))
    print(f"{given.scenario}, {RECORDS} records a subject, {cores} cores{', with series' if given.series else ''}")
    for subjects in given.subjects:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            events = Path(folder) / "events.csv"
            events.write_text(table(given.scenario, subjects), encoding="utf-8")
            for name, (checkout, engine) in runs.items():
                row = in_process(checkout, given.scenario, str(events), folder, given.repeats, given.series, engine)
                found[name] = row["warm"]
                print(
                    f"{subjects:>7,} subjects, {name}: {row['warm']:.3g} s (first {row['first']:.3g} s), "
                    f"peak {row['peak_MB']:.0f} MB",
                    flush=True,
                )
            if given.scenario == "textbook-2cpt":
                print(f"{subjects:>7,} subjects, mrgsolve: {by_mrgsolve(str(events))}", flush=True)
        for name in found.keys() - {"now"}:
            print(f"{'':>16} {found[name] / found['now']:.2f} times as fast as {name}")


if __name__ == "__main__":
    main()
