"""Leave a random sample of the changes in a session of Cosmic Ray: `python sample.py SESSION NUMBER SEED`."""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import WorkItem

# In place of arithmetic these raise an error on any number with a decimal point, so they would say nothing of the tests.
TRIVIAL = ("_BitAnd", "_BitOr", "_BitXor", "_LShift", "_RShift")

Spans = list[tuple[tuple[int, int], tuple[int, int]]]


def annotations(path: Path) -> Spans:
    """Where the types of a file stand: changes there are equivalent, since they are never evaluated."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    types = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in types
        if isinstance(node, ast.expr)
    ]


def main(session: str, number: int, seed: int) -> None:
    """Take `number` of the session's changes and drop the others."""
    spans: dict[Path, Spans] = {}

    def tells(item: WorkItem) -> bool:
        (change,) = item.mutations
        if change.operator_name.endswith(TRIVIAL):
            return False
        if change.module_path not in spans:
            spans[change.module_path] = annotations(change.module_path)
        return not any(start <= change.start_pos < end for start, end in spans[change.module_path])

    def place(item: WorkItem) -> tuple[str, str, int]:
        (change,) = item.mutations
        return str(change.module_path), change.operator_name, change.occurrence

    with use_db(session) as database:
        items = sorted(filter(tells, database.work_items), key=place)
        database.clear()
        database.add_work_items(random.Random(seed).sample(items, min(number, len(items))))
        print(f"{min(number, len(items))} of {len(items)} possible changes, seed {seed}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
