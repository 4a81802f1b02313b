"""Figures of every kind of result: there, in every format, labelled with units, and sensible where a file lacks something."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from drawn_text import axes_of, cut, overlaps, texts
from small_results import MADE, calibrated, feasible, tree, varied
from typer.testing import CliRunner

from nanomg import jobs
from nanomg.cli.main import commands
from nanomg.drawing import style
from nanomg.errors import InputError
from nanomg.jobs.feasibility.percentiles import percentiles
from nanomg.jobs.validate import figure as validate_figure
from nanomg.results import file
from nanomg.views import plots


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


def test_the_whiskers_of_a_feasibility_are_the_percentiles_of_its_summary() -> None:
    result = feasible(draws=10)  # few, of which different definitions of a percentile differ
    rise = result["feasibility"]["rise"]
    lines = plots.plot(result).findobj(
        lambda artist: getattr(artist, "get_xdata", None) and len(artist.get_xdata()) == 2
    )
    drawn = {tuple(np.round(line.get_xdata(), 12)) for line in lines}
    for name in rise["quantity"].values:
        low, _, high = np.sort(rise.sel(quantity=name).values)[[0, 4, 9]]
        assert list(percentiles(rise.sel(quantity=name).values).values())[::2] == [low, high]
        assert any(np.isclose(ends, (low, high)).sum() >= 1 for ends in drawn), name


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
    assert any("No sample" in text for text in texts(plots.plot(nothing)))
    assert any("no summary" in text for text in texts(plots.plot(tree({"sensitivity": xr.Dataset()}))))


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
        "2 of serum prediction 0 or less",
        "2 of serum whose prediction failed",
        "1 of tumour whose prediction failed",
        "1 of tumour observation 0 or less",
    ):
        assert text in said
    assert sum(len(dots.get_offsets()) for dots in figure.axes[0].collections) == 1
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["serum", "tumour"]
    assert "not drawn" not in " ".join(texts(style.sheet([validate_figure.against(points[:1])])))


def test_what_failed_is_counted_in_ranges_and_fits() -> None:
    draws, fit = feasible(), calibrated()
    draws["feasibility"]["rise"][:3] = np.nan
    assert any("of 37 samples; 3 that failed are left out" in text for text in texts(plots.plot(draws)))
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
    with pytest.raises(InputError, match="this option is for results of simulate, optimize") as error:
        plots.plot(result, **asked)
    assert error.value.where == where
    assert f"is a result of {jobs.job_of(result).name}" in str(error.value)


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


def test_an_unknown_signal_names_those_that_are_like_it(simulated: xr.DataTree) -> None:
    with pytest.raises(InputError) as error:
        plots.plot(simulated, ["PK.C"])
    assert str(error.value) == "this file: there is no signal 'PK.C'; did you mean 'pk.C' or 'pk.central'?"
