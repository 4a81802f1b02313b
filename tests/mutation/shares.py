"""Print what became of the changes of a session, part by part: `python shares.py SESSION`."""

from __future__ import annotations

import collections
import sys

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome

PARTS = {"nanomg/dosing": "dosing", "nanomg/solver": "solver", "nanomg/jobs": "limits", "models": "models"}


def main(session: str) -> None:
    """One line for each part of the code, and one for all."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    with use_db(session, WorkDB.Mode.open) as database:
        for item, result in database.completed_work_items:
            path = str(item.mutations[0].module_path)
            part = next((part for start, part in PARTS.items() if path.startswith(start)), "storage")
            killed = result.test_outcome != TestOutcome.SURVIVED
            outcome = "survived" if not killed else "out of time" if result.output == "timeout" else "failed a test"
            for name in (part, "all"):
                counts[name][outcome] += 1
        print(f"{database.num_results} of {database.num_work_items} tested")
    for name in (*PARTS.values(), "storage", "all"):
        tested = counts[name].total()
        killed = tested - counts[name]["survived"]
        share = f"{killed / tested:.0%}" if tested else "none tested"
        print(
            f"{name:8} {share:>11}   {tested} tested, killed {killed}, of these by the time limit {counts[name]['out of time']}"
        )


if __name__ == "__main__":
    main(sys.argv[1])
