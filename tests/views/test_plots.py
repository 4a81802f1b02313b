"""Figures of every kind of result: there, in every format, labelled with units, and sensible where a file lacks something."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from typer.testing import CliRunner

import nanomg
from nanomg import units
from nanomg.cli.main import commands
from nanomg.drawing import style
from nanomg.errors import InputError
from nanomg.jobs.simulate import figure as simulate_figure
from nanomg.jobs.simulate import run as simulate_run
from nanomg.jobs.sweep import run as sweep_run
from nanomg.jobs.validate import figure as validate_figure
from nanomg.page import hover
from nanomg.results import file, kinds
from nanomg.results import groups as results_groups
from nanomg.views import plots

DOSED = ["dose.amount=10..1000 mg:log:4"]
TINY = """
title = "Bone and $x$ <b>"
description = "As many doses as fit."
mechanisms = ["OneCompartment"]
cards = ["textbook"]
horizon = "48 h"
every = "4 h"
outputs = { "pk.C" = "mg/L" }

[[dose]]
cmt = "pk.depot"
text = "100 mg q 24 h x 2"

[[limit]]
name = "safe $y"
signal = "pk.C"
max = "2.5 mg/L"

[[free]]
cmt = "pk.depot"
amount = ["0 mg", "200 mg"]
time = ["0 h", "40 h"]

[objective]
"exposure" = { signal = "pk.C", unit = "mg/L", statistic = "mean", weight = -1.0 }
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def simulated(scenario: Path) -> xr.DataTree:
    return simulate_run.simulate(str(scenario)).tree


@pytest.fixture(scope="module")
def optimum(simulated: xr.DataTree) -> xr.DataTree:
    """A simulation dressed up as the result of a search, which would take long."""
    arms = ["baseline", "optimum"]
    wide = lambda data: xr.concat([data.isel(regimen=0)] * 2, "regimen").assign_coords(regimen=arms)
    steps = np.geomspace(1.0, 1e-3, 5)[:, None] * np.array([1.0, 2.0])
    search = xr.Dataset(
        {
            **dict.fromkeys(("objective", "excess", "kkt_residual"), (("step", "start"), steps)),
            "limit": ("constraint", [2.5, 24.0]),
            "value": ("constraint", [2.49, 30.0]),
            "slack": ("constraint", [0.01, 6.0]),
            "constraint_unit": ("constraint", np.array(["mg/L", "h"], object)),
            "term_value": (("term", "regimen"), [[-1.0, -1.5], [0.1, 0.2]]),
        },
        {
            "step": range(5),
            "start": range(2),
            "constraint": ["safe $y", "interval"],
            "term": ["e", "f"],
            "regimen": arms,
        },
    )
    groups = {name: wide(simulated[name].to_dataset()) for name in ("simulation", "doses")}
    found = tree({**groups, "optimization": search})
    found.attrs.update(simulated.attrs)
    found.attrs["summary_json"] = json.dumps({**json.loads(simulated.attrs["summary_json"]), "objective": -1.3})
    return found


@pytest.fixture(scope="module")
def swept(scenario: Path) -> xr.DataTree:
    return sweep_run.sweep(
        str(scenario),
        vary=["dose.amount=10..100 mg:log:4", "dose.interval=6..24 h:4"],
        keep=["pk.C:max", "pk.C:series"],
    ).tree


def texts(figure: Any) -> list[str]:
    """Everything that a figure says."""
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def axes_of(figure: Any) -> list[Any]:
    return [axis for axis in figure.axes if axis.axison and axis.get_visible()]


def overlaps(figure: Any) -> list[tuple[str, str]]:
    """Titles, labels and texts of a drawn figure that lie over each other."""
    said = [(text, box.padded(-2)) for text, box in boxes(figure)]
    return [(a, b) for i, (a, one) in enumerate(said) for b, other in said[i + 1 :] if one.overlaps(other) and a != b]


def cut(figure: Any) -> list[str]:
    """Texts of a drawn figure that reach beyond its edges."""
    whole = figure.bbox.padded(1)
    return [text for text, box in boxes(figure) if box.x0 < 0 or box.y0 < 0 or box.x1 > whole.x1 or box.y1 > whole.y1]


def boxes(figure: Any) -> list[tuple[str, Any]]:
    """Every text that a figure shows and where it lies."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    hidden = set()
    for axis in figure.axes:
        for own in (axis.xaxis, axis.yaxis):
            every = {id(label) for tick in own.get_major_ticks() for label in (tick.label1, tick.label2)}
            hidden |= every - ({id(tick.label1) for tick in own._update_ticks()} if axis.axison else set())
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in shown]


# ---------------------------------------------------------------- results without solving
def feasible(draws: int = 40) -> xr.DataTree:
    rng = np.random.default_rng(0)
    names = [f"{part}, {s}" for part in ("total", "local", "serum") for s in ("peak", "day", "mean")]
    rise = xr.DataArray(
        rng.lognormal(-3, 1, (draws, len(names))), dims=("draw", "quantity"), coords={"quantity": names}
    )
    return tree({"feasibility": xr.Dataset({"rise": rise})})


def calibrated() -> xr.DataTree:
    rows, rng = 9, np.random.default_rng(1)
    seen = rng.lognormal(0, 1, rows)
    data = xr.Dataset(
        {
            "quantity": ("row", np.array(["C"] * rows, object)),
            "part": ("row", np.array(["fit"] * 6 + ["judge"] * 3, object)),
            "unit": ("row", np.array(["mg/L"] * 5 + ["1"] * 4, object)),
            "observed": ("row", seen),
            "predicted": ("row", seen * 1.1),
            "predicted_at_start": ("row", seen * 2.0),
            "residual": ("row", rng.normal(size=rows)),
        },
        {"parameter": ["pk.CL"]},
    )
    value = {
        "unit": "L/h",
        "start": 4.0,
        "estimate": 5.0,
        "low": 4.5,
        "high": 5.5,
        "bounds": [1.0, 20.0],
        "bound": None,
    }
    return tree({"calibration": data}, {"parameters": {"pk.CL": {**value, "prior": {"value": 4.0, "cv": 0.3}}}})


def validated() -> xr.DataTree:
    count, rng = 12, np.random.default_rng(2)
    seen = rng.lognormal(0, 2, count)
    rows = xr.Dataset(
        {
            "use": file.flags("row", [0, 1] * 6, ("calibrate", "validate", "look"), "use of the row"),
            "domain": ("row", np.array(["serum", "tumour"] * 6, object)),
            "value": ("row", seen),
            "predicted": ("row", seen * rng.lognormal(0, 0.3, count)),
            "bound": ("row", np.array([""] * count, object)),
            "sign": ("row", np.zeros(count)),
        }
    )
    domains = xr.Dataset(
        {
            "name": ("domain", np.array(["serum", "tumour"], object)),
            "use": ("domain", np.array(["calibrate", "validate"], object)),
            "gmfe": ("domain", [1.2, np.nan]),
            "allowed": ("domain", [np.nan, 1.25]),
            "n": ("domain", [6, 6]),
        }
    )
    return tree({"rows": rows, "domains": domains})


def tree(groups: dict[str, xr.Dataset], summary: Any = None) -> xr.DataTree:
    found = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    found.attrs["title"] = "A result of $5 & <b>"
    if summary is not None:
        found.attrs["summary_json"] = json.dumps(summary)
    return found


def sensitive() -> xr.DataTree:
    rows = [
        {
            "output": "C:max",
            "parameter": f"pk.p{i}",
            "elasticity": (-1.0) ** i / (i + 1),
            "at_low": -0.3 / (i + 1),
            "at_high": 0.4 / (i + 1),
            "range_effect": 0.7 / (i + 1),
            "basis": basis,
        }
        for i, basis in enumerate(("measured", "fitted", "assumed"))
    ]
    outputs = [{"output": "C:max", "value": 2.0, "unit": "mg/L", "text": "concentration, highest value"}]
    summary = {"outputs": outputs, "elasticities": rows, "sobol": None, "over": "card"}
    return tree({"sensitivity": xr.Dataset()}, summary)


MADE: dict[str, Callable[[], xr.DataTree]] = {
    kinds.FEASIBILITY: feasible,
    kinds.CALIBRATE: calibrated,
    kinds.VALIDATE: validated,
    kinds.SENSITIVITY: sensitive,
}


SPACES = (
    {"subject": 30},
    {"hypothesis": 3},
    {"hypothesis": 2, "subject": 30},
    {"dose.a": 6},
    {"dose.a": 5, "hypothesis": 2, "subject": 20},
    {"dose.a": 5, "dose.b": 4},
    {"dose.a": 5, "dose.b": 4, "dose.c": 3, "hypothesis": 2, "subject": 7},
    {"dose.a": 1},
    {"dose.a": 1, "dose.b": 12},
    {"point": 16},
    {"point": 16, "subject": 5},
    {"point": 16, "regimen": 2},
    {"point": 16, "regimen": 2, "subject": 5},
)
NAMES = {"hypothesis": ["H1", "H2", "H3"], "regimen": ["as given", "without Mg"]}


def varied(dims: dict[str, int]) -> xr.DataTree:
    """A sweep along these dimensions that keeps a number and a course, one trajectory of which failed; a limit lies between."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=tuple(dims.values()))
    if values.size > 1:
        values.flat[0] = np.nan
    about = {"units": "mg L-1", "long_name": "highest concentration"}
    data = xr.Dataset(
        {"C:max": (tuple(dims), values, about), "C": ((*dims, "time"), values[..., None] * np.arange(3), about)}
    )
    coords: dict[str, Any] = {"time": ("time", [0.0, 12.0, 24.0])}
    for name, size in dims.items():
        if name.startswith("dose"):
            coords[name] = (name, np.geomspace(1.0, 100.0, size), {"units": "mg", "long_name": f"amount, {name}"})
        elif name in NAMES:
            coords[name] = (name, np.array(NAMES[name][:size], object), {"long_name": name})
        elif name == "point":
            coords["dose.a"] = ("point", rng.lognormal(size=size), {"units": "mg", "long_name": "amount"})
            coords["hypothesis"] = ("point", np.array(["H1", "H2"] * (size // 2), object), {"long_name": "hypothesis"})
    status = np.isnan(values).astype(np.int8)
    ended = file.flags(tuple(dims), status, ["done", "too many steps"], "how the trajectory ended")
    found = tree({"sweep": data.assign_coords(coords).assign(status=ended)})
    found.attrs["config_json"] = json.dumps({"file": {"limit": [{"name": "safe", "signal": "C", "max": "1 mg/L"}]}})
    return found


# ---------------------------------------------------------------- tests
@pytest.mark.parametrize("kind", ["simulated", "optimum", "swept", *MADE])
def test_every_kind_has_a_figure_that_is_whole_and_says_its_units(kind: str, request: pytest.FixtureRequest) -> None:
    result = MADE[kind]() if kind in MADE else request.getfixturevalue(kind)
    began = time.perf_counter()
    figure = plots.plot(result)
    assert not cut(figure)
    assert not overlaps(figure)
    assert time.perf_counter() - began < 10.0
    for axis in axes_of(figure):
        for label in (axis.get_xlabel(), axis.get_ylabel()):
            assert not label or "[" in label or label in ("row of the data", "step of the search")
    every = plots.figures(result)
    assert every
    assert all(title and axes_of(f) for title, f in every.items())


def test_the_kinds_are_told_by_groups_and_by_summaries(
    simulated: xr.DataTree, optimum: xr.DataTree, swept: xr.DataTree
) -> None:
    for result, kind in ((simulated, "simulate"), (optimum, "optimize"), (swept, "sweep")):
        assert kinds.kind_of(result) == kind
        assert kinds.kind_of(json.loads(result.attrs["summary_json"])) == kind
    for kind, make in MADE.items():
        assert kinds.kind_of(make()) == kind
    with pytest.raises(InputError, match="holds nothing"):
        kinds.kind_of(xr.DataTree())


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
    ended = file.flags(dims[:-1], status, ["done", "too many steps"], "how the trajectory ended")
    coords = {"regimen": ["as given"], "hypothesis": ["as set"], "time": times}
    data = xr.Dataset({"C": (dims, y, {"units": "mg L-1"}), "status": ended}, coords)
    said = texts(plots.plot(tree({"simulation": data})))
    assert any("median of 19 subjects" in text for text in said)
    assert any("1 trajectory: too many steps" in text for text in said)


def test_a_file_that_lacks_something_says_so(simulated: xr.DataTree) -> None:
    failed = simulated.copy(deep=True)
    data = failed["simulation"].to_dataset()
    data["status"] = data.status + 1
    failed["simulation"] = xr.DataTree(data)
    assert any("failed" in text for text in texts(plots.plot(failed)))
    bare = tree({"simulation": simulated["simulation"].to_dataset()})
    assert axes_of(plots.plot(bare))
    records = tree({"records": xr.Dataset()})
    assert any("records" in text for text in texts(plots.plot(records)))
    nothing = feasible()
    nothing["feasibility"]["rise"][:] = np.nan
    assert any("No draw" in text for text in texts(plots.plot(nothing)))
    assert any("no summary" in text for text in texts(plots.plot(tree({"sensitivity": xr.Dataset()}))))


def test_a_course_goes_into_an_axis_of_ones_own(simulated: xr.DataTree) -> None:
    axis = Figure().subplots()
    handles = simulate_figure.course(simulated, "pk.C", axis)
    assert axis.lines
    assert [handle.get_label() for handle in handles]
    with pytest.raises(InputError, match=r"pk\.C"):
        simulate_figure.course(simulated, "pk.c", axis)


def test_a_million_subjects_are_thinned_out(tmp_path: Path) -> None:
    count = 1_000_000
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=count)
    about = {"units": "mg L-1", "long_name": "highest concentration"}
    data = xr.Dataset(
        {"pk.C:max": ("subject", values, about), "a:final": ("subject", values), "b": ("subject", values)}
    )
    ended = file.flags("subject", np.zeros(count), ["done", "failed"], "how the trajectory ended")
    data = data.assign(**{f"n{i}": data["a:final"] for i in range(6)}, status=ended)
    path = tmp_path / "big.h5"
    file.write(path, {"sweep": data}, {"nanomg_schema_version": 1, "title": "Big", "source": "nanomg"})
    opened = nanomg.open(path)
    assert opened["sweep"]["pk.C:max"].chunks
    began = time.perf_counter()
    style.save(plots.plot(opened, ["pk.C", "n0"]), tmp_path / "big.png")
    assert time.perf_counter() - began < 10.0
    opened.close()


@pytest.mark.parametrize("dims", SPACES, ids=lambda dims: ",".join(dims))
def test_whatever_a_sweep_varies_it_has_a_figure(dims: dict[str, int]) -> None:
    found = varied(dims)
    figure = plots.plot(found)
    assert not cut(figure)
    assert not overlaps(figure)
    said = [text.replace("\n", " ") for text in texts(figure)]
    data = found["sweep"].to_dataset()
    assert any("1 trajectory: too many steps" in text for text in said) == bool(data.status.any())
    assert any("limit 1: safe" in text for text in said)
    told = {name for name in NAMES["regimen"] if any(name in text for text in said)}
    assert told == ({*NAMES["regimen"]} if "regimen" in dims else set())
    found["sweep"] = xr.DataTree(data.assign(status=data.status * 0 + 1))
    assert any("No trajectory was solved" in text for text in texts(plots.plot(found)))


@pytest.mark.parametrize("dims", [{"dose.a": 1, "dose.b": 12}, {"dose.b": 12, "dose.a": 1, "subject": 20}])
def test_an_axis_of_one_value_counts_as_none(dims: dict[str, int]) -> None:
    figure = plots.plot(varied(dims), ["C:max"])
    (axis,) = axes_of(figure)
    assert axis.get_xlabel() == "amount, dose.b [mg]"
    assert any("at amount, dose.a 1 mg" in text.replace("\n", " ") for text in texts(figure))


def test_axes_rise_whatever_their_order() -> None:
    found = varied({"dose.a": 5})
    found["sweep"] = xr.DataTree(found["sweep"].to_dataset().isel({"dose.a": [3, 0, 2, 4, 1]}))
    (axis,) = axes_of(plots.plot(found, ["C:max"]))
    assert list(axis.lines[0].get_xdata()) == sorted(axis.lines[0].get_xdata())


def test_a_sweeps_quantity_is_drawn_in_every_way_that_it_is_kept() -> None:
    found = varied({"subject": 20})
    data = found["sweep"].to_dataset()
    found["sweep"] = xr.DataTree(data.assign({"C:final": data["C:max"] * 0.5}))
    shown = lambda *signals: sum(axis.get_xlabel().startswith("time") for axis in axes_of(plots.plot(found, signals)))
    panels = lambda *signals: sum(
        "share of subjects [%]" in axis.get_ylabel() for axis in axes_of(plots.plot(found, signals))
    )
    assert (shown("C"), panels("C")) == (1, 2)
    assert (shown("C:max"), panels("C:max")) == (0, 1)
    assert (shown("C", "C:max"), panels("C", "C:max")) == (1, 2)


def test_kept_numbers_beyond_nine_are_counted_or_drawn() -> None:
    found = varied({"dose.a": 6})
    data = found["sweep"].to_dataset().drop_vars("C")
    found["sweep"] = xr.DataTree(data.assign({f"n{i}:max": data["C:max"] for i in range(11)}))
    figure = plots.plot(found)
    assert len(axes_of(figure)) == 9
    assert any("3 of 12 numbers" in text.replace("\n", " ") for text in texts(figure))
    every = plots.plot(found, everything=True)
    assert len(axes_of(every)) == 12
    assert not any("numbers kept" in text for text in texts(every))
    assert sum(len(axes_of(figure)) for figure in plots.figures(found).values()) == 12


def test_figures_of_one_title_are_all_there() -> None:
    found = varied({"dose.a": 3, "dose.b": 4})
    data = found["sweep"].to_dataset()
    found["sweep"] = xr.DataTree(data[["C:max", "status"]].assign({"D:max": data["C:max"]}))
    titles = [f"highest concentration, as {what}" for what in ("a map", "lines")]
    assert list(plots.figures(found)) == [*titles, *(f"{title} (2)" for title in titles)]


def test_doses_that_a_sweep_varies_are_not_drawn(swept: xr.DataTree) -> None:
    said = [text.replace("\n", " ") for text in texts(plots.plot(swept, ["pk.C"]))]
    assert any("doses into pk.depot vary and are not shown" in text for text in said)
    assert not any("100 mg × 2" in text for text in said)
    other = swept["sweep"].to_dataset().drop_vars("dose.interval").rename({"dose.amount": "dose.pk.central.amount"})
    found = tree({"sweep": other, "doses": swept["doses"].to_dataset()})
    assert any("pk.depot: 100 mg × 2" in text for text in texts(plots.plot(found, ["pk.C"])))


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


@pytest.mark.parametrize(
    ("unit", "written", "said"),
    [
        ("mg L-1", "2500 ug/L", "limit 2.5: safe"),
        ("1e6 mL-1", "2.5 Mcell/mL", "limit 2.5: safe"),
        ("1e6 mL-1", "2500 cell/uL", "limit 2.5: safe"),
        ("1e9", "5e6 Gparticle", "limit 5e6: safe"),
    ],
)
def test_a_limit_is_in_the_unit_that_is_drawn(simulated: xr.DataTree, unit: str, written: str, said: str) -> None:
    config = json.dumps({"file": {"limit": [{"name": "safe", "signal": "C", "max": written}]}})
    run = tree({"simulation": simulated["simulation"].to_dataset()[["pk.C"]].rename({"pk.C": "C"})})
    run["simulation"]["C"].attrs["units"] = unit
    sweep = varied({"dose.a": 5})
    sweep["sweep"]["C:max"].attrs["units"] = unit
    for found, signal in ((run, "C"), (sweep, "C:max")):
        found.attrs["config_json"] = config
        assert any(said in text.replace("\n", " ") for text in texts(plots.plot(found, [signal])))


def test_predictions_without_a_place_are_counted() -> None:
    points = [
        validate_figure.ScoredPoint("serum", 1.0, predicted, "validate")
        for predicted in (1.1, 0.0, -1.0, float("nan"), float("inf"))
    ]
    points += [
        validate_figure.ScoredPoint("tumour", 1.0, float("nan"), "validate"),
        validate_figure.ScoredPoint("tumour", 0.0, 1.0, "calibrate"),
    ]
    figure = style.sheet([validate_figure.against(points)])
    said = " ".join(text.replace("\n", " ") for text in texts(figure))
    for text in (
        "2 of serum predicted to be 0 or less",
        "2 of serum whose prediction failed",
        "1 of tumour whose prediction failed",
        "1 of tumour observed to be 0 or less",
    ):
        assert text in said
    assert sum(len(dots.get_offsets()) for dots in figure.axes[0].collections) == 1
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["serum", "tumour"]
    assert "not drawn" not in " ".join(texts(style.sheet([validate_figure.against(points[:1])])))


def test_what_failed_is_counted_in_ranges_and_fits() -> None:
    draws, fit = feasible(), calibrated()
    draws["feasibility"]["rise"][:3] = np.nan
    assert any("of 37 draws; 3 that failed are left out" in text for text in texts(plots.plot(draws)))
    fit["calibration"]["predicted"][0] = np.nan
    assert any("not drawn: 1 of 9 rows" in text for text in texts(plots.plot(fit)))


@pytest.mark.parametrize("kind", [*MADE, "swept"])
@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"signals": ["pk.C"]}, "SIGNAL"),
        ({"log": True}, "--log"),
        ({"log": False}, "--linear"),
        ({"by": "hypothesis"}, "--by"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_kind_cannot_use_is_refused(
    kind: str, asked: dict[str, Any], where: str, request: pytest.FixtureRequest
) -> None:
    result = MADE[kind]() if kind in MADE else request.getfixturevalue(kind)
    if kind == "swept" and where != "--by":
        assert axes_of(plots.plot(result, **asked))
        return
    with pytest.raises(InputError, match="this is for results of simulate, optimize") as error:
        plots.plot(result, **asked)
    assert error.value.where == where
    assert f"is one of {kinds.kind_of(result)}" in str(error.value)


@pytest.mark.parametrize("start", [0.0, 700.0])
def test_a_time_axis_has_ticks_wherever_it_starts(start: float) -> None:
    axis = Figure().subplots()
    style.time_axis(axis, 24 * 730.0, 4.0, start=24 * start)
    assert axis.get_xlim() == (start, 730.0)
    assert len([tick for tick in axis.get_xticks() if start <= tick <= 730.0]) >= 3


@pytest.mark.parametrize(
    ("dims", "fields"), [({"dose.b": 5, "dose.a": 4, "hypothesis": 2}, 20), ({"dose.b": 60, "dose.a": 50}, 400)]
)
def test_a_pointer_reads_values_off_a_map(dims: dict[str, int], fields: int) -> None:
    found = varied(dims)
    panels = hover.picture("map", plots.figures(found)["highest concentration, as a map"]).panels
    assert len(panels) == dims.get("hypothesis", 1)
    seen = 0
    for panel, hypothesis in zip(panels, NAMES["hypothesis"], strict=False):
        assert (panel["x"], panel["y"]) == ("amount, dose.b [mg]", "highest concentration [mg/L]")
        values = found["sweep"]["C:max"]
        values = values.sel(hypothesis=hypothesis) if "hypothesis" in dims else values
        for curve in panel["curves"]:
            across = float(curve["label"].removeprefix("amount, dose.a [mg]: "))
            for along, shown in curve["values"]:
                there = values.sel({"dose.b": along, "dose.a": across}, method="nearest")
                assert float(there) == pytest.approx(shown, rel=1e-3)
                seen += 1
    assert seen == fields * len(panels) - 1


def test_a_pointer_reads_dots_shares_and_ranges() -> None:
    panels = lambda found, title: hover.picture(title, plots.figures(found)[title]).panels
    named = varied({"hypothesis": 3})
    (panel,) = panels(named, "For each hypothesis")
    values = named["sweep"]["C:max"].values
    assert [curve["values"] for curve in panel["curves"]] == [
        [[pytest.approx(values[i], rel=1e-3), f"H{i + 1}"]] for i in (1, 2)
    ]
    (panel,) = panels(varied({"subject": 50}), "Over the subjects")
    assert sum(at[1] for at in panel["curves"][0]["values"]) == pytest.approx(100, rel=0.01)
    draws = feasible()
    (panel,) = panels(draws, "Rise of tumour free Mg, by its parts")
    ends = draws["feasibility"].rise.sel(quantity="total, peak").quantile([0.05, 0.95]).values
    read = [at for curve in panel["curves"] for at in curve["values"]]
    assert all([pytest.approx(end, rel=1e-3), "total"] in read for end in ends)


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("mmol L-1", "mmol/L"),
        ("mm^3", "mm³"),
        ("1e6", "10⁶"),
        ("1e9 mL-1", "10⁹/mL"),
        ("umol/g", "µmol/g"),
        ("mg kg-1 h-1", "mg/kg/h"),
        ("h-1", "1/h"),
        ("cm2", "cm²"),
        ("1", "–"),
    ],
)
def test_units_are_written_as_the_field_writes_them(unit: str, text: str) -> None:
    assert units.unit_text(unit) == text


def test_the_command_draws_every_format_and_refuses_the_rest(simulated: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    groups = {name: node.to_dataset() for name, node in simulated.children.items()}
    file.write(path, groups, simulated.attrs)
    call = lambda *words: CliRunner().invoke(commands, ["plot", str(path), *map(str, words)])
    assert call().exit_code == 0
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert call("pk.C", "--log", "-o", tmp_path / "run.svg").exit_code == 0
    assert "<svg" in (tmp_path / "run.svg").read_text()
    again = call("-o", tmp_path / "run.pdf", "--json")
    assert json.loads(again.stdout) == {"figure": str(tmp_path / "run.pdf")}
    assert isinstance(call().exception, InputError)  # it is there
    assert "--force" in str(call().exception)
    assert isinstance(call("-o", tmp_path / "run.gif").exception, InputError)
    assert "did you mean 'pk.C'" in str(call("pk.c", "--force").exception)
