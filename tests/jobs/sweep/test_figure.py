"""Figures of sweeps: one for whatever is varied, with every quantity that is kept."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from drawn_text import axes_of, cut, overlaps, texts
from small_results import NAMES, tree, varied

import nanomg
from nanomg.drawing import style
from nanomg.results import file
from nanomg.views import plots

SPACES = (
    {"subject": 30},
    {"hypothesis": 3},
    {"ID": 3},
    {"ID": 40},
    {"ID": 4, "subject": 20},
    {"dose.a": 6, "ID": 40, "subject": 5},
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


def test_a_million_subjects_are_thinned_out(tmp_path: Path) -> None:
    count = 1_000_000
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=count)
    about = {"units": "mg L-1", "long_name": "highest concentration"}
    data = xr.Dataset(
        {"pk.C:max": ("subject", values, about), "a:final": ("subject", values), "b": ("subject", values)}
    )
    ended = file.flags("subject", np.zeros(count), ["done", "failed"], "outcome of the trajectory")
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
    assert any("ID 2" in text for text in said) == (0 < dims.get("ID", 0) < 6)
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
    assert any("3 of 12 read-outs" in text.replace("\n", " ") for text in texts(figure))
    every = plots.plot(found, everything=True)
    assert len(axes_of(every)) == 12
    assert not any("only drawn" in text for text in texts(every))
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


def test_sampled_hypotheses_have_a_colour_each_and_regimens_are_not_mixed() -> None:
    asked = {"sample": "sobol", "points": 16, "keep": ["tumour.volume:final"]}
    alone = nanomg.sweep(
        "mouse-mc38-depot", vary=["dose.liposome.intratumoral.scale=0.5..2", "hypothesis=H1,H2"], **asked
    )
    said = " ".join(texts(plots.plot(alone.tree)))
    assert "H1, running median" in said and "H2, running median" in said
    scales = [f"dose.{port}.scale=0.5..2" for port in ("liposome.intratumoral", "pd1.ip")]
    mixed = nanomg.sweep("mouse-mc38-depot", vary=scales, **asked)
    assert "running median" not in " ".join(texts(plots.plot(mixed.tree)))
