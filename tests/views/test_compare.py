"""Several results side by side: the same quantities in the same units, and what was asked of one and not of another."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from older_summaries import OLDER

import nanomg
import nanomg.views.compare
from nanomg import models
from nanomg.cli.compare import _numbers
from nanomg.cli.main import app
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.results import file

CONFIG: dict[str, Any] = {
    "scenario": "mine",
    "file": {"mechanisms": ["Magnesium", "LFA1"], "horizon": "7 d", "limit": [{"signal": "a.b", "max": "1 mg"}]},
    "set": {},
    "dose": [],
    "parameters": {"magnesium.GFR": [12.0, "mL/h"], "magnesium.V1": [5.5, "mL"]},
}
EFFECT = {
    "hours_per_day_above_0.02": {"H1": 4.21, "H2": 4.2},
    "hours_per_day_above_0.3": {"H1": 0.51, "H2": 0.5},
    "mean_competence_gain": {"H1": 0.0123, "H2": 0.1},
    "share_local": None,
    "share_serum": None,
    "mean_rise": {"value": 0.0312, "unit": "mmol/L"},
    "peak_rise": {"value": 2.5, "unit": "mmol/L"},
}
BEGIN = {"initial": 0.1, "min": 0.1}
SIMULATED: dict[str, Any] = OLDER["simulate"] | {
    "signals": {
        "interstitium.C": BEGIN
        | {"unit": "mmol/L", "auc_unit": "mmol/L h", "final": 0.51, "max": 12.25, "auc": 1234.5},
        "tumour.volume": BEGIN | {"unit": "mm^3", "auc_unit": "mm^3 h", "final": 0.15, "max": 2e6, "auc": 1e5},
    },
    "mg": EFFECT | {"free": EFFECT},
}
DOSE = {"time_h": 30.5, "amt": 0.25, "cmt": "pd1.ip", "unit": "mg", "duration_h": 0.0}
OPTIMIZED: dict[str, Any] = OLDER["optimize"] | {
    "signals": {},
    "mg": None,
    "objective": -1.25,
    "baseline_objective": 0.75,
    "terms": {"visits": {"baseline": 0.5, "optimum": 0.25}},
    "constraints": [{"name": "serum Mg", "limit": 2.0, "value": 1.5, "slack": 0.5, "unit": "mmol/L"}],
    "regimen": [DOSE],
}
GROUPS = {
    "objective": "optimization",
    "sweep": "sweep",
    "misses": "rows",
    "identifiability": "calibration",
    "feasibility": "feasibility",
    "elasticities": "sensitivity",
    "signals": "simulation",
}


def tree_of(summary: dict[str, Any], config: dict[str, Any] | None = None, seed: int = 0, amount: float = 1.0) -> Any:
    """A result as a job would make it, with little in its groups."""
    course = xr.DataArray(
        amount * np.ones((1, 1, 3)),
        dims=("regimen", "hypothesis", "time"),
        attrs={"units": "mm3", "long_name": "volume"},
    )
    times = xr.Variable("time", [0.0, 1.0, 2.0], {"units": "h"})
    simulation = xr.Dataset({"tumour.volume": course}, {"regimen": ["as given"], "hypothesis": ["H1"], "time": times})
    doses = xr.Dataset(
        {
            "time_h": (("regimen", "dose"), [[0.0, 24.0]]),
            "amt": (("regimen", "dose"), [[amount, amount]]),
            "duration_h": (("regimen", "dose"), [[0.0, 0.0]]),
            "cmt": (("regimen", "dose"), np.array([["pd1.ip", "pd1.ip"]], object)),
            "unit": (("regimen", "dose"), np.array([["mg", "mg"]], object)),
        },
        {"regimen": ["as given"]},
    )
    group = next(group for key, group in GROUPS.items() if key in summary)
    filled = {"simulation": simulation, "doses": doses} if group in ("simulation", "optimization") else {}
    tree = xr.DataTree.from_dict({group: xr.Dataset()} | filled)
    model = Model(models.library().mechanisms["Magnesium"])
    tree.attrs = file.root_attributes(title="t $x$", config=config or CONFIG, seed=seed, model=model, summary=summary)
    return tree


def value_of(found: nanomg.views.compare.Comparison, name: str, measure: str) -> np.ndarray:
    rows = (found.table.name == name) & (found.table.measure == measure)
    return found.table.value.values[rows.values][0]


@pytest.fixture(scope="module")
def other() -> dict[str, Any]:
    """The same simulation, its volume in another unit and twice as large, with one signal more and one less."""
    changed = copy.deepcopy(SIMULATED)
    volume = changed["signals"]["tumour.volume"]
    volume |= {"unit": "cm^3", "final": 3e-4, "max": 4e3, "auc": 200.0, "auc_unit": "cm^3 h"}
    changed["signals"]["pd1.RO"] = changed["signals"].pop("interstitium.C") | {"unit": "1", "auc_unit": "h"}
    return changed


def test_quantities_in_the_unit_of_the_first(other: dict[str, Any]) -> None:
    found = nanomg.compare([tree_of(SIMULATED), tree_of(other)])
    assert list(found.runs) == ["run 1", "run 2"] and not found.differences
    assert value_of(found, "tumour.volume", "final") == pytest.approx([0.15, 0.3])
    volume = found.table.sel(run="run 2").where(found.table.name == "tumour.volume", drop=True)
    assert list(volume.unit.values) == ["mm^3", "mm^3", "mm^3 h"]
    assert volume.change.values == pytest.approx([1.0, 1.0, 1.0])
    assert np.isnan(value_of(found, "interstitium.C", "max")[1])
    assert np.isnan(value_of(found, "pd1.RO", "max")[0])
    assert list(dict.fromkeys(found.table.group.values)) == ["signals", "magnesium"]
    assert value_of(found, "time above +0.02 mmol/L", "given free H2") == pytest.approx([4.2, 4.2])


def test_an_option_at_its_default_is_none_that_an_older_file_lacks() -> None:
    """Files of before an option was added have no entry for it."""
    new, old = (nanomg.simulate("textbook-1cpt").tree for _ in range(2))
    config = json.loads(old.attrs["config_json"])
    assert config["request"]["ignore"] == "" and config["request"]["sort"] is False
    config["request"] = {name: value for name, value in config["request"].items() if name not in ("ignore", "sort")}
    old.attrs["config_json"] = json.dumps(config)
    assert not nanomg.compare({"old": old, "new": new}).differences
    config["request"]["sort"] = True
    old.attrs["config_json"] = json.dumps(config)
    (found,) = nanomg.compare({"old": old, "new": new}).differences
    assert found.name == "request.sort"


def test_a_simulation_beside_an_optimisation() -> None:
    found = nanomg.compare({"before": tree_of(SIMULATED), "after": tree_of(OPTIMIZED)})
    assert value_of(found, "total", "optimum")[1] == -1.25 and np.isnan(value_of(found, "total", "optimum")[0])
    assert value_of(found, "serum Mg", "reached")[1] == 1.5
    lines = {d.name: d.values for d in found.differences if d.group == "optimised doses"}
    assert lines["pd1.ip: 0.25 mg at 30.5 h"] == (None, "yes")


def test_what_was_asked() -> None:
    config = copy.deepcopy(CONFIG)
    config["parameters"] = {"magnesium.GFR": [0.012, "L/h"], "magnesium.V1": [6.6, "mL"], "pd1.CL": [2.0, "1"]}
    config["file"] |= {"mechanisms": ["Magnesium", "AntiPD1"], "limit": [{"signal": "a.b", "max": "2 mg"}]}
    found = nanomg.compare([tree_of(SIMULATED), tree_of(SIMULATED, config, seed=3, amount=2.0)])
    values = {(d.group, d.name): d.values for d in found.differences}
    assert values == {
        ("run", "seed"): ("0", "3"),
        ("parameters", "magnesium.V1"): ("5.5 mL", "6.6 mL"),
        ("parameters", "pd1.CL"): (None, "2"),
        ("doses", "pd1.ip: 1 mg q 1 d x 2 from 0 h"): ("yes", None),
        ("doses", "pd1.ip: 2 mg q 1 d x 2 from 0 h"): (None, "yes"),
        ("configuration", "file.limit[1].max"): ("1 mg", "2 mg"),
        ("configuration", "file.mechanisms: LFA1"): ("yes", None),
        ("configuration", "file.mechanisms: AntiPD1"): (None, "yes"),
    }
    (volume,) = (d for d in found.differences if d.name == "magnesium.V1")
    assert volume.change == pytest.approx((0.0, 0.2))


ENDS = {"min": 0.0, "max": 9.0}
SWEPT = OLDER["sweep"] | {
    "sweep": {"a:max": ENDS | {"unit": "mg/L", "q05": 1.0, "median": 2.0, "q95": 4.0}},
    "trajectories": 9,
    "failed": 1,
}
SIMPLE: dict[str, tuple[dict[str, Any], tuple[str, str], float]] = {
    "sweep": (SWEPT, ("a:max", "50 %"), 2.0),
    "validate": (OLDER["validate"], ("d", "GMFE"), 1.5),
    "calibrate": (OLDER["calibrate"], ("a.k", "estimate"), 2.0),
    "feasibility": (OLDER["feasibility"], ("total, day", "reaches +0.3"), 0.0),
    "sensitivity": (
        OLDER["sensitivity"] | {"elasticities": [OLDER["sensitivity"]["elasticities"][0] | {"elasticity": -1.0}]},
        ("a.k", "a.C:max"),
        -1.0,
    ),
}


@pytest.mark.parametrize("kind", SIMPLE)
def test_every_kind(kind: str) -> None:
    summary, (name, measure), value = SIMPLE[kind]
    found = nanomg.compare([tree_of(summary)] * 2)
    assert found.kind == kind
    assert value_of(found, name, measure) == pytest.approx([value, value])
    assert (found.table.change.values == 0.0).all()


# ---------------------------------------------------------------- files and mistakes
@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, other: dict[str, Any]) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    for name, summary in {"a/run": SIMULATED, "b/run": other, "a/low": SIMULATED, "sweep": SWEPT}.items():
        tree = tree_of(summary)
        path = folder / f"{name}.h5"
        path.parent.mkdir(exist_ok=True)
        file.write(path, {str(group): node.to_dataset() for group, node in tree.children.items()}, tree.attrs)
    return folder


def test_names_are_short_and_tell_files_apart(files: Path) -> None:
    assert list(nanomg.compare([files / "a/run.h5", files / "a/low.h5"]).runs) == ["run", "low"]
    assert list(nanomg.compare([files / "a/run.h5", files / "b/run.h5"]).runs) == ["a/run.h5", "b/run.h5"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a/run.h5"], "two or more result files"),
        (["a/run.h5", "a/../a/run.h5"], "named twice"),
        (["a/run.h5", "sweep.h5"], "simulate made 'run' and sweep made 'sweep'"),
        (["a/run.h5", "missing.h5"], "no such file"),
    ],
)
def test_mistakes_are_one_sentence(files: Path, names: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        nanomg.compare([files / name for name in names])
    assert "\n" not in str(error.value)


def test_a_broken_summary_names_its_file_and_field(files: Path, tmp_path: Path) -> None:
    less = {key: value for key, value in SIMULATED.items() if key != "verdict"}
    with pytest.raises(
        InputError, match=r"^low: the summary of this result is broken: the field 'verdict' is missing$"
    ):
        nanomg.compare({"high": tree_of(SIMULATED), "low": tree_of(less)})


def test_equations_of_different_schemas_are_not_called_different() -> None:
    """Schema 1 hashed whole source files: its hash says nothing about one of today."""
    old, now = tree_of(SIMULATED), tree_of(SIMULATED)
    old.attrs |= {"nanomg_schema_version": 1, "model_hash": "0" * 64}
    found = nanomg.compare({"old": old, "now": now})
    assert not found.differences
    (sentence,) = found.unknowns
    assert sentence.startswith("Whether the equations are the same is not known: old has schema version 1")
    assert found.to_dict()["unknowns"] == [sentence]
    now.attrs |= {"nanomg_schema_version": 1, "model_hash": "1" * 64}
    both = nanomg.compare({"old": old, "now": now})
    assert [(d.name, d.values) for d in both.differences] == [("equations", ("0" * 8, "1" * 8))] and not both.unknowns


def test_every_hypothesis_is_compared_and_rests_of_rounding_are_0() -> None:
    """Virus and infected cells are gone at the end of both runs, and LFA-1 of a low-Mg diet depends on the hypothesis."""
    runs = {name: nanomg.simulate(name).tree for name in ("mouse-influenza", "mouse-influenza-low-mg-diet")}
    found = nanomg.compare(runs)
    rows = list(zip(found.quantities, found.table.value.values, strict=True))
    assert rows[0][0].group == "outcome"
    competence = {q.measure: values[1] for q, values in rows if q.group == "outcome" and q.name == "lfa1.competence"}
    assert competence["mean, H1"] < 0.6 < 0.9 < competence["mean, H3"]
    ends = {q.name: values for q, values in rows if q.measure == "final, H1"}
    assert (ends["influenza.infected"] == 0.0).all() and (ends["influenza.log10"] == 0.0).all()
    assert all(value == 0.0 or abs(value) > 1e-9 for q, values in rows if q.unit == "1" for value in values)


Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """`nanomg compare` in this process: its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nanomg", "compare", *arguments])
        with pytest.raises(SystemExit) as stop:
            app()
        return int(stop.value.code or 0), *capsys.readouterr()

    return run


def test_the_command(files: Path, program: Program, tmp_path: Path) -> None:
    picture = tmp_path / "figure.svg"
    pair = [str(files / "a/low.h5"), str(files / "b/run.h5")]
    code, out, err = program(*pair, "-o", str(picture))
    assert (code, err) == (0, "")
    assert picture.read_text().startswith("<?xml")
    rows = [line.split() for line in out.splitlines()]
    assert ["tumour.volume", "final", "mm³", "0.15", "0.3", "+100", "%"] in rows
    assert ["interstitium.C", "max", "mmol/L", "12.25", "–", "–"] in rows
    assert ["peak", "rise", "as", "given", "mmol/L", "2.5", "2.5", "="] in rows
    assert "Settings, parameters and doses are the same." in out
    found = json.loads(program(*pair, "--json")[1])
    assert [run["name"] for run in found["runs"]] == ["low", "run"] and found["figure"] is None
    (entry,) = (q for q in found["quantities"] if (q["name"], q["measure"]) == ("tumour.volume", "final"))
    assert entry["values"] == pytest.approx({"low": 0.15, "run": 0.3})
    assert program(*pair, "-o", str(picture))[0] == 2
    assert ".svg" in program(*pair, "-o", "figure.gif")[2]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (1.0, 1.0, "="),
        (1.0, 1.05, "+5.0 %"),
        (-1.0, -1.05, "-5.0 %"),
        (1.0, 20.0, "× 20"),
        (-0.01, -0.2, "× 20"),
        (2.0, 0.0, "-100 %"),
        (0.01, -0.2, "other sign"),
        (-0.01, 0.2, "other sign"),
        (-0.1, 0.05, "other sign"),
        (1.0, 1.0004, "0 %"),
        (1.0, 0.9996, "0 %"),
        (1.0, 1.0006, "+0.1 %"),
        (0.0, 1.0, "–"),
    ],
)
def test_changes_are_percent_factors_or_of_another_sign(before: float, after: float, said: str) -> None:
    summaries = [copy.deepcopy(SIMPLE["sensitivity"][0]) for _ in range(2)]
    for summary, value in zip(summaries, (before, after), strict=True):
        summary["elasticities"][0]["elasticity"] = value
    told = nanomg.compare([tree_of(summary) for summary in summaries]).to_dict()
    (row,) = (row for row in told["quantities"] if row["group"] == "elasticities")
    assert list(_numbers(row))[-1] == said


def test_the_figure_counts_what_it_leaves_out() -> None:
    def swept(values: dict[str, float]) -> Any:
        entry = lambda v: ENDS | {"unit": "mg", "q05": v, "median": 1.0, "q95": 1.0}
        return tree_of(SWEPT | {"sweep": {k: entry(v) for k, v in values.items()}, "failed": 0})

    many = {f"n{i}": 1.1 + 0.01 * i for i in range(63)}
    before = {**dict.fromkeys(many, 1.0), "zero": 0.0, "sign": 1.0, "gone": 1.0, "away": 1.0}
    after = {**many, "zero": 1.0, "sign": -1.0, "gone": 0.0}
    figure = nanomg.compare([swept(before), swept(after)]).figure()
    said = " ".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))).replace("\n", " ")
    equal = 2 * len(after) + 2  # medians, 95 %, trajectories and failures
    for text in (
        "4 that differ less than those shown",
        f"{equal} within 0.1 % of run 1",
        "2 without a ratio, as run 1 has 0 or another sign",
        "3 not in all runs",
    ):
        assert text in said
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert len(labels) == 60 and "gone, 5 %" in labels
    same = nanomg.compare([swept({"a": 1.0}), swept({"a": -1.0})]).figure()
    said = " ".join(t.get_text() for t in same.findobj(lambda a: hasattr(a, "get_text"))).replace("\n", " ")
    assert "1 without a ratio" in said


def test_the_figure_names_runs_and_leaves_what_is_equal_out(files: Path) -> None:
    figure = nanomg.compare([files / "a/low.h5", files / "b/run.h5"]).figure()
    texts = {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}
    assert {"low", "run", "volume", "[mm³]", "tumour.volume, max"} <= texts
    assert not any("mean rise" in text for text in texts)
