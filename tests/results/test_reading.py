"""What readers of a result say of it."""

from __future__ import annotations

import pytest
import xarray as xr

from nanomg.results import reading


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([0, 0], []),
        ([0, 2, 1, 2], ["1 trajectory: too short", "2 trajectories: not finite"]),
        ([3, -1], ["1 trajectory: code -1", "1 trajectory: code 3"]),
        ([2] * 1000, ["1,000 trajectories: not finite"]),
    ],
)
def test_failures_are_counted_by_their_reason(codes: list[int], said: list[str]) -> None:
    meanings = {"flag_meanings": "done too_short not_finite"}
    assert reading.failures(xr.Dataset({"status": ("trajectory", codes, meanings)})) == said


def test_a_result_without_status_has_no_failures() -> None:
    assert reading.failures(xr.Dataset()) == []
