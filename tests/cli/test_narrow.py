"""Tables on a terminal of 80 columns: a row takes one line, and what does not fit is named."""

from __future__ import annotations

from typing import Any

import pytest
from older_summaries import OLDER

from nanomg.cli import render
from nanomg.cli.blocks import show_blocks
from nanomg.jobs import job
from nanomg.page.result import ResultReader

ROW = OLDER["sensitivity"]["elasticities"][0] | {"parameter": "magnesium.reabsorption", "slope": None}
ENDS = {"elasticity": -0.00412, "value": 0.004417, "low": 0.0002083, "high": 0.004792, "range_effect": 0.1}
SENSITIVITY = OLDER["sensitivity"] | {
    "elasticities": [ROW | ENDS | {"basis": "measured", "unit": "umol/umol"}],
    "sobol": None,
}
VALUE = {"start": 0.004417, "estimate": 0.004792, "se": 0.00012, "low": 0.0044, "high": 0.004792, "unit": "mmol/L"}
CALIBRATION = OLDER["calibrate"] | {
    "parameters": {
        "interstitium.content_0": OLDER["calibrate"]["parameters"]["a.k"] | VALUE | {"bounds": [0.0001234, 0.01234]}
    }
}


@pytest.mark.parametrize(
    ("name", "summary", "left_out"),
    [("sensitivity", SENSITIVITY, "range"), ("calibrate", CALIBRATION, "bounds")],
)
def test_a_table_leaves_out_what_does_not_fit_and_says_so(
    name: str,
    summary: dict[str, Any],
    left_out: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parameter = next(iter(summary["parameters"])) if name == "calibrate" else ROW["parameter"]

    def shown(columns: int) -> tuple[str, list[str], str]:
        monkeypatch.setattr(render, "_edge", lambda: columns)
        show_blocks(job(name).page.blocks(ResultReader.of_summary(name, summary)))
        out = capsys.readouterr().out
        lines = out.splitlines()
        (at,) = (i for i, line in enumerate(lines) if line.startswith(parameter))
        return lines[at - 1], lines[at - 1 : at + 2], out

    headers, lines, out = shown(80)
    assert left_out not in headers.split() and max(map(len, lines)) <= 80
    assert not lines[2].startswith(" ")  # the row takes one line
    assert f"Not shown for lack of space: {left_out}" in out.replace("\n", " ")
    headers, _, out = shown(300)
    assert left_out in headers.split() and "Not shown" not in out
