"""Time courses: doses, limits, arms, hypotheses and subjects of a simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from drawn_text import texts
from matplotlib.figure import Figure
from small_results import tree

from nanomg.errors import InputError
from nanomg.jobs.simulate import figure as simulate_figure
from nanomg.results import file
from nanomg.results import groups as results_groups
from nanomg.views import plots


def test_courses_show_doses_limits_and_the_scenarios_unit(simulated: xr.DataTree) -> None:
    said = texts(plots.plot(simulated, ["pk.C"]))
    assert any("pk.depot: 100 mg × 2" in text for text in said)
    assert any("limit 2.5" in text and "safe \\$y" in text for text in (t.replace("\n", " ") for t in said))
    assert "[mg/L]" in said
    assert "time [h]" in said


def test_log_and_linear_are_obeyed(simulated: xr.DataTree) -> None:
    scales = lambda log: {axis.get_yscale() for axis in plots.plot(simulated, ["pk.C"], log=log).axes}
    assert "log" in scales(True)
    assert scales(False) == {"linear"}


def test_arms_and_hypotheses_lie_side_by_side() -> None:
    times = np.linspace(0.0, 240.0, 25)
    y = np.stack([np.full((2, 25), 1.0 + 0.1 * i) for i in range(3)]) + 0.01 * times
    about = {"units": "mmol L-1", "long_name": "free Mg"}
    data = xr.Dataset(
        {"interstitium.C": (("regimen", "hypothesis", "time"), y, about)},
        {"regimen": ["as given", "without Mg", "same Mg given free"], "hypothesis": ["H1", "H2"], "time": times},
    )
    found = tree({"simulation": data})
    side = plots.plot(found, by="hypothesis")
    assert {"H1", "H2"} <= {*texts(side)}
    assert {"+0.02", "+0.3"} <= {*texts(plots.plot(found))}
    assert any("under hypothesis H1" in text for text in texts(plots.plot(found)))
    with pytest.raises(InputError, match="did you mean 'hypothesis'"):
        plots.plot(found, by="hypotheses")


@pytest.mark.parametrize("log", [None, True, False])
def test_hypotheses_of_a_row_share_one_axis(log: bool | None) -> None:
    times = np.linspace(0.0, 24.0, 25)
    y = np.stack([1.0 + 0.01 * times, np.geomspace(1.0, 1e4, 25), np.full(25, np.nan)])[None]
    coords = {"regimen": ["as given"], "hypothesis": ["H1", "H2", "H3"], "time": times}
    data = xr.Dataset({"C": (("regimen", "hypothesis", "time"), y, {"units": "mg L-1"})}, coords)
    row = [axis for axis in plots.plot(tree({"simulation": data}), by="hypothesis", log=log).axes if axis.lines][-2:]
    assert [axis.get_yscale() for axis in row] == ["linear" if log is False else "log"] * 2
    assert row[0].get_ylim() == row[1].get_ylim()
    assert row[0].get_ylim()[1] < 3e4


def test_subjects_are_a_median_and_a_band() -> None:
    times = np.linspace(0.0, 24.0, 9)
    y = np.random.default_rng(0).lognormal(0, 1, (1, 1, 20, 9))
    y[0, 0, 3] = np.nan
    status = np.zeros((1, 1, 20), np.int8)
    status[0, 0, 3] = 1
    dims = ("regimen", "hypothesis", "subject", "time")
    ended = file.flags(dims[:-1], status, ["done", "too many steps"], "outcome of the trajectory")
    coords = {"regimen": ["as given"], "hypothesis": ["as set"], "time": times}
    data = xr.Dataset({"C": (dims, y, {"units": "mg L-1"}), "status": ended}, coords)
    said = texts(plots.plot(tree({"simulation": data})))
    assert any("median of 19 subjects" in text for text in said)
    assert any("1 trajectory: too many steps" in text for text in said)


def test_a_course_goes_into_an_axis_of_ones_own(simulated: xr.DataTree) -> None:
    axis = Figure().subplots()
    handles = simulate_figure.course(simulated, "pk.C", axis)
    assert axis.lines
    assert [handle.get_label() for handle in handles]
    with pytest.raises(InputError, match=r"pk\.C"):
        simulate_figure.course(simulated, "pk.c", axis)


RECORD = {"time_h": 6.0, "evid": 1, "cmt": "pk.c", "amt": 100.0, "unit": "mg"}
RECORD |= {"duration_h": 0.0, "rate_per_h": 0.0, "ii_h": 0.0, "addl": 0, "ss": 0}
RESET = RECORD | {"time_h": 20.0, "evid": 3, "cmt": "", "amt": 0.0, "unit": ""}


@pytest.mark.parametrize(
    ("records", "bars", "said"),
    [
        ([RECORD], [], "pk.c: 100 mg"),
        ([RECORD | {"duration_h": 2.0}], [6.0, 8.0], "pk.c: 100 mg"),
        ([RECORD | {"rate_per_h": 10.0}], [6.0, 16.0], "pk.c: 100 mg"),
        ([RECORD | {"rate_per_h": -2.0}], [], "pk.c: 100 mg, over a modelled time"),
        (
            [RECORD | {"amt": 0.0, "rate_per_h": 2.0, "ss": 1}],
            [],
            "pk.c: 2 mg/h, as the steady state of a constant infusion",
        ),
        (
            [RECORD | {"rate_per_h": 10.0, "ii_h": 12.0, "addl": 2}, RESET],
            [6.0, 16.0, 18.0, 20.0],
            "pk.c: 100 mg × 2",
        ),
    ],
    ids=["bolus", "duration", "rate", "modelled", "constant", "reset"],
)
def test_infusions_are_as_long_as_they_last(
    simulated: xr.DataTree, records: list[dict[str, Any]], bars: list[float], said: str
) -> None:
    found = simulated.copy()
    found["doses"] = xr.DataTree(results_groups.doses({"as given": records}))
    figure = plots.plot(found, ["pk.C"])
    strip = figure.axes[0]
    assert said in texts(figure)
    assert [end for line in strip.lines if line.get_lw() == 3 for end in line.get_xdata()] == pytest.approx(bars)
