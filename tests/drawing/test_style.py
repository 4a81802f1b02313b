"""The look that all figures share."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from nanomg.drawing import style


@pytest.mark.parametrize("start", [0.0, 700.0])
def test_a_time_axis_has_ticks_wherever_it_starts(start: float) -> None:
    axis = Figure().subplots()
    style.time_axis(axis, 24 * 730.0, 4.0, start=24 * start)
    assert axis.get_xlim() == (start, 730.0)
    assert len([tick for tick in axis.get_xticks() if start <= tick <= 730.0]) >= 3
