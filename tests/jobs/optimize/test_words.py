"""What an optimisation says of limits under other hypotheses, and of its objective."""

from __future__ import annotations

from typing import Any

import pytest

import nanomg
from nanomg.jobs.optimize import page
from nanomg.jobs.optimize.run import under_other_hypotheses
from nanomg.page.blocks import Table
from nanomg.page.result import ResultReader


@pytest.mark.parametrize(
    ("side", "value", "said"),
    [
        ("max", 2.0001, "Under H2 the limit 'serum' is exceeded by less than 0.05 %."),
        ("max", 2.1, "Under H2 the limit 'serum' is exceeded by 5.0 %."),
        ("min", 1.5, "Under H2 the limit 'serum' is missed by 25.0 %."),
        ("max", 1.9, ""),
    ],
)
def test_a_limit_under_another_hypothesis(side: str, value: float, said: str) -> None:
    kept = 1.8 if side == "max" else 2.2
    row = {"name": "serum", "limit": 2.0, "slack": 0.2, "side": side, "value_by_hypothesis": {"H1": kept, "H2": value}}
    assert under_other_hypotheses([row]).strip() == said


def test_the_advice_on_steps_is_more_than_what_was_asked_for() -> None:
    """A search that stopped early has taken fewer steps than it was given."""
    run = nanomg.optimize("human-nsclc-iv-mgso4", steps=3)
    reader = ResultReader(run.tree)
    reader.summary.update(converged=False, evaluations=4)
    assert next(page.warnings(reader)).text.endswith("--steps 6 searches for longer.")


def test_a_term_below_the_error_of_the_solver_is_0() -> None:
    terms: dict[str, Any] = {
        "below": {"baseline": 0.0, "optimum": 4.7e-10, "weight": 1.0},
        "exposure": {"baseline": 0.2356, "optimum": 0.03269, "weight": 1.0},
    }
    summary = {"scenario": "s", "terms": terms, "objective": 0.03269, "baseline_objective": 0.2356, "status": {}}
    blocks = page.blocks(
        ResultReader.of_summary("optimize", {**summary, "evaluations": 1, "seconds": 1.0, "starts": ()})
    )
    (table,) = (block for block in blocks if isinstance(block, Table) and block.caption == "Objective and its terms")
    assert [cell.text for cell in table.rows[0][1:]] == ["0", "0"]
    assert [cell.text for cell in table.rows[1][1:]] == ["0.2356", "0.03269"]
