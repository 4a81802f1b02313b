"""Kinds of truth: a closed form and its derivatives, central differences, and a function whose Sobol indices are known."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nanomg
from nanomg import models
from nanomg.cli.main import app
from nanomg.errors import InputError, SimulationError
from nanomg.jobs.sensitivity import elasticities, sobol
from nanomg.jobs.sensitivity import run as sensitivity_run
from nanomg.library.card import Parameter
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import load
from nanomg.population import ranges
from nanomg.results.run import Run
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.status import Status
from nanomg.views import report

FILES = {
    "ishigami.py": '''
import jax.numpy as jnp
from nanomg import AbstractMechanism, Flux, Scalar, Var, param


class Ishigami(AbstractMechanism):
    """The function whose indices Ishigami and Homma give in closed form, beside a state that only decays."""

    name = "ishigami"
    states = {"ishigami.rest": Var("mg", "a state that decays")}
    signals = {"ishigami.y": Var("1", "the function")}

    x1: Scalar = param("1", "first argument")
    x2: Scalar = param("1", "second argument")
    x3: Scalar = param("1", "third argument")
    a: Scalar = param("1", "weight of the second argument")
    b: Scalar = param("1", "weight of the third argument")
    k: Scalar = param("1/h", "decay")

    def evaluate(self, x):
        return {
            "ishigami.y": jnp.sin(self.x1 - jnp.pi) * (1.0 + self.b * (self.x3 - jnp.pi) ** 4)
            + self.a * jnp.sin(self.x2 - jnp.pi) ** 2
        }

    def fluxes(self, x):
        yield Flux("ishigami.rest", None, self.k * x["ishigami.rest"])
''',
    "cards/ishigami.toml": f"""
title = "Arguments between -pi and pi, pi added to each: a parameter is not negative"
species = "any"

[ishigami]
x1 = {{ value = {math.pi}, unit = "", low = 0, high = {2 * math.pi}, basis = "assumed", note = "as published" }}
x2 = {{ value = {math.pi}, unit = "", low = 0, high = {2 * math.pi}, basis = "assumed", note = "as published" }}
x3 = {{ value = {math.pi}, unit = "", low = 0, high = {2 * math.pi}, basis = "assumed", note = "as published" }}
a = {{ value = 7, unit = "", basis = "assumed", note = "as published" }}
b = {{ value = 0.1, unit = "", basis = "assumed", note = "as published" }}
k = {{ value = 1, unit = "1/h", basis = "assumed", note = "anything" }}
""",
    "cards/ranged.toml": """
title = "A drug of the textbook whose values are not all known well"
species = "any"

[pk]
CL = { value = 4.0, unit = "L/h", low = 2.0, high = 6.0, cv = 0.3, basis = "assumed", note = "an example" }
V = { value = 35, unit = "L", low = 30, high = 50, basis = "assumed", note = "an example" }
Tlag_depot = { value = 0.5, unit = "h", low = 0, high = 1, basis = "assumed", note = "an example" }
F_depot = { value = 0.8, unit = "", low = 0.5, high = 0.9, cv = 0.1, basis = "assumed", note = "an example" }
""",
    "scenarios/ishigami.toml": """
title = "A function of three arguments"
mechanisms = ["Ishigami"]
cards = ["ishigami"]
horizon = "1 h"
every = "1 h"
[outputs]
"ishigami.y" = "1"
""",
    "scenarios/ranged.toml": """
title = "Two doses into one compartment"
mechanisms = ["OneCompartment"]
cards = ["textbook", "ranged"]
horizon = "24 h"
every = "15 min"
[outputs]
"pk.C" = "ug/L"
[[dose]]
cmt = "pk.central"
text = "100 mg"
[[dose]]
cmt = "pk.depot"
text = "50 mg at 6 h"
""",
}
INDICES = {"x1": (0.3139, 0.5576), "x2": (0.4424, 0.4424), "x3": (0.0, 0.2437)}  # for a = 7, b = 0.1
HOWS = ("initial", "final", "max", "min", "mean", "auc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("library")
    for name, text in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def ranged(folder: Path) -> Scenario:
    return load("ranged", models.library(folder))


@pytest.fixture(scope="module")
def table(ranged: Scenario) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Rows by output and parameter."""
    outputs = elasticities.outputs_asked([f"pk.C:{how}" for how in HOWS], ranged)
    rows = elasticities.elasticity_rows(ranged, outputs, elasticities.slopes_of(ranged, outputs), "card")
    return {(row["output"], row["parameter"]): row for row in rows}


@pytest.fixture(scope="module")
def ishigami(folder: Path) -> Run:
    parameters = [f"ishigami.{x}" for x in INDICES]
    return sensitivity_run.sensitivity("ishigami", samples=1024, parameters=parameters, library=models.library(folder))


# ---------------------------------------------------------------- elasticities
def concentration(x: Mapping[str, Any], t: Any, bolus: Any = 100.0, oral: Any = 50.0) -> Any:
    """Both doses [mg/L], in closed form."""
    k, since = x["pk.CL"] / x["pk.V"], t - 6.0 - x["pk.Tlag_depot"]
    first = bolus * x["pk.F_central"] * jnp.exp(-k * (t - x["pk.Tlag_central"]))
    rise = oral * x["pk.F_depot"] * x["pk.ka"] / (x["pk.ka"] - k)
    return (first + jnp.where(since > 0, rise * (jnp.exp(-k * since) - jnp.exp(-x["pk.ka"] * since)), 0.0)) / x["pk.V"]


def test_slopes_at_the_end_are_those_of_the_closed_form(ranged: Scenario, table: Mapping[Any, Any]) -> None:
    y, slopes = jax.value_and_grad(lambda x: concentration(x, 24.0))(ranged.values)
    for name, slope in slopes.items():
        row = table["pk.C:final", name]
        assert row["slope"] == pytest.approx(float(slope), rel=1e-5, abs=1e-6 * float(y))
        if ranged.values[name]:
            assert row["elasticity"] == pytest.approx(float(slope) * ranged.values[name] / float(y), rel=1e-5, abs=1e-6)


def test_doses_of_a_linear_model_share_the_output(ranged: Scenario, table: Mapping[Any, Any]) -> None:
    parts = [float(concentration(ranged.values, 24.0, *amounts)) for amounts in ((100.0, 0.0), (0.0, 50.0))]
    for port, own, total in (("pk.central", parts[0], 100.0), ("pk.depot", parts[1], 50.0)):
        row = table["pk.C:final", f"dose.{port}"]
        assert (row["value"], row["unit"], row["basis"]) == (total, "mg", "dosed")
        assert row["elasticity"] == pytest.approx(own / sum(parts), rel=1e-5)
    for how in HOWS[1:]:
        both = [table[f"pk.C:{how}", f"dose.{port}"]["elasticity"] for port in ("pk.central", "pk.depot")]
        assert sum(both) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("how", HOWS)
def test_elasticities_agree_with_central_differences(ranged: Scenario, table: Mapping[Any, Any], how: str) -> None:
    """The statistic of the closed form, each parameter moved up and down: at the output times, or its true area."""
    t = simulation_lanes.output_times(ranged.horizon, ranged.every, ranged.doses)
    areas = how in ("mean", "auc")
    t = np.union1d(t, np.linspace(t[0], t[-1], 20_001)) if areas else t
    read: dict[str, Callable[[Any], Any]] = {
        "initial": lambda y: y[0],
        "final": lambda y: y[-1],
        "max": np.max,
        "min": np.min,
        "mean": lambda y: np.trapezoid(y, t) / t[-1],
        "auc": lambda y: np.trapezoid(y, t),
    }
    for name in ("pk.CL", "pk.V", "pk.F_depot", "pk.ka"):
        up, down = (
            math.log(float(read[how](np.asarray(concentration({**ranged.values, name: ranged.values[name] * f}, t)))))
            for f in (math.exp(1e-4), math.exp(-1e-4))
        )
        assert table[f"pk.C:{how}", name]["elasticity"] == pytest.approx(
            (up - down) / 2e-4, rel=1e-3 if areas else 1e-4, abs=1e-3 if areas else 1e-6
        )


def test_what_is_0_has_a_slope_and_no_elasticity(ranged: Scenario, table: Mapping[Any, Any]) -> None:
    row = table["pk.C:final", "pk.Tlag_central"]
    k = 4.0 / 35.0
    assert row["elasticity"] is None
    # a bolus that comes later is higher at the end
    assert row["slope"] == pytest.approx(100.0 / 35.0 * k * math.exp(-24.0 * k), rel=1e-5)


def test_effect_of_the_range(table: Mapping[Any, Any]) -> None:
    row = table["pk.C:auc", "pk.CL"]
    assert row["range_effect"] == pytest.approx(row["elasticity"] * math.log(6.0 / 2.0))
    assert row["at_low"] == pytest.approx(row["elasticity"] * math.log(2.0 / 4.0))
    lag = table["pk.C:auc", "pk.Tlag_depot"]  # its range begins at 0: along the value, not its logarithm
    auc = table["pk.C:auc", "pk.V"]["slope"] * 35.0 / table["pk.C:auc", "pk.V"]["elasticity"]
    assert lag["range_effect"] == pytest.approx(lag["slope"] / auc)
    assert table["pk.C:auc", "pk.ka"]["range_effect"] is None


def test_other_outputs_need_no_other_program(ranged: Scenario, table: Mapping[Any, Any]) -> None:
    before = len(elasticities._pulled.compiled)
    outputs = elasticities.outputs_asked(
        [f"{name}:mean" for name in ("pk.C", "pk.central", "pk.depot")] + ["pk.C"] * 3, ranged
    )
    assert [o.label for o in outputs] == ["pk.C:mean", "pk.central:mean", "pk.depot:mean", "pk.C:final"]
    elasticities.slopes_of(ranged, [*outputs, *outputs])
    assert len(elasticities._pulled.compiled) == before


@pytest.mark.slow
def test_elasticities_of_a_whole_model_agree_with_central_differences() -> None:
    scenario = load("mouse-mc38-iv", models.library())
    names = ("tumour.g", "tcell.k_kill", "tcell.crowd", "lfa1.K1", "magnesium.GFR", "liposome.k_release", "pd1.CL")
    names = tuple(name for name in names if name in scenario.parameters)
    assert len(names) > 4
    outputs = elasticities.outputs_asked(["tumour.volume", "interstitium.C:mean", "magnesium.total:max"], scenario)
    slopes = elasticities.slopes_of(scenario, outputs, simulation_lanes.TIGHT)
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, names)
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, scenario.doses)
    step, count = 1e-3, len(names)
    moves = np.concatenate([np.eye(count), -np.eye(count)]) * step
    values = {**scenario.values, **{n: scenario.values[n] * np.exp(moves[:, i]) for i, n in enumerate(names)}}
    lanes = simulation_lanes.lanes_for(plan, values, scenario.doses, scenario.windows, times, 2 * count)
    solved = simulation_lanes.run(plan, lanes, simulation_lanes.TIGHT)
    seen = simulation_lanes.observe(plan, lanes, solved, [o.name for o in outputs])
    read = {"final": lambda y: y[-1], "max": lambda y: y.max(0), "mean": lambda y: np.trapezoid(y, times, axis=0)}
    index = list(scenario.parameters)
    for o, output in enumerate(outputs):
        up, down = np.split(np.log(read[output.how](seen[output.name])), 2)
        own = [slopes.parameter[o, index.index(n)] * scenario.values[n] / slopes.value[o] for n in names]
        assert own == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-7)


# ---------------------------------------------------------------- ranges
def test_a_range_of_a_card_is_log_normal_by_its_5_and_95_percent_points() -> None:
    p = Parameter("a.b", 3.0, "L", "assumed", low=2.0, high=8.0, cv=0.5)
    span = ranges.range_of(p, "card")
    assert span is not None and not span.uniform
    assert span.quantile([0.05, 0.5, 0.95]) == pytest.approx([2.0, 4.0, 8.0])
    assert np.isfinite(np.log(span.quantile([0.0, 1.0]))).all()
    draws = np.log(ranges.range_of(p, "cv").quantile((np.arange(100_000) + 0.5) / 100_000))  # type: ignore[union-attr]
    assert np.exp(np.mean(draws)) == pytest.approx(3.0)
    assert math.sqrt(math.expm1(np.var(draws))) == pytest.approx(0.5, rel=1e-3)


def test_a_range_that_is_not_above_0_is_uniform() -> None:
    span = ranges.Range(-1.0, 3.0)
    assert span.uniform
    assert span.quantile([0.0, 0.25, 1.0]) == pytest.approx([-1.0, 0.0, 3.0])


@pytest.mark.parametrize("p", [Parameter("a.b", 3.0, "L", "assumed"), Parameter("a.b", 0.0, "L", "assumed", cv=0.2)])
def test_what_is_known_or_does_not_differ_has_no_range(p: Parameter) -> None:
    assert ranges.range_of(p, "card") is None and ranges.range_of(p, "cv") is None


# ---------------------------------------------------------------- Sobol indices
def test_indices_of_a_known_function(ishigami: Run) -> None:
    found = ishigami.summary["sobol"]
    assert found["trajectories"] == 1024 * 5 and found["complete"] == found["samples"] == 1024
    assert {entry["distribution"] for entry in found["parameters"]} == {"uniform"}
    for row in found["indices"]:
        first, total = INDICES[row["parameter"].split(".")[1]]
        assert row["S1"] == pytest.approx(first, abs=row["S1_conf"])
        assert row["ST"] == pytest.approx(total, abs=row["ST_conf"])
        assert max(row["S1_conf"], row["ST_conf"]) < 0.12
    assert [row["parameter"][-2:] for row in found["indices"]] == ["x1", "x2", "x3"]


def test_an_output_of_0_has_slopes(ishigami: Run) -> None:
    rows = {row["parameter"]: row for row in ishigami.summary["elasticities"]}
    assert ishigami.summary["outputs"][0]["value"] == 0.0
    assert all(row["elasticity"] is None and row["range_effect"] is None for row in rows.values())
    assert rows["ishigami.x1"]["slope"] == pytest.approx(1.0)
    assert rows["ishigami.x2"]["slope"] == rows["ishigami.a"]["slope"] == 0.0


def test_a_base_sample_is_left_out_whole(ranged: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = elasticities.outputs_asked((), ranged)
    spans = sobol.ranges_of(ranged, ["pk.CL", "pk.F_depot"], "card")
    solve = sobol.solve_outputs
    clean = sobol.indices(ranged, outputs, spans, 32, seed=1)
    cut = sum(clean.unphysical.values())
    assert cut > 0 and list(clean.unphysical) == ["pk.F_depot < 1"]  # a share
    assert clean.whole * 4 == len(clean.status) < 32 * 4 and clean.failed == 0
    assert np.all(clean.values["pk.F_depot"] < 1)

    def third_fails(*args: Any) -> tuple[np.ndarray, np.ndarray]:
        found, status = solve(*args)
        found[:, 2], status[2] = np.nan, Status.STEP_TOO_SMALL
        return found, status

    monkeypatch.setattr(sobol, "solve_outputs", third_fails)
    failed = sobol.indices(ranged, outputs, spans, 32, seed=1)
    assert failed.whole == clean.whole - 1 and failed.failed == 1
    assert np.isfinite(failed.S1).all()

    def all_fail(*args: Any) -> tuple[np.ndarray, np.ndarray]:
        found, status = solve(*args)
        return np.full_like(found, np.nan), np.full_like(status, Status.STEP_TOO_SMALL)

    monkeypatch.setattr(sobol, "solve_outputs", all_fail)
    with pytest.raises(SimulationError, match="hardly any base sample could be solved"):
        sobol.indices(ranged, outputs, spans, 32, seed=1)


def test_samples_depend_on_the_seed_alone(ranged: Scenario) -> None:
    outputs, spans = elasticities.outputs_asked((), ranged), sobol.ranges_of(ranged, ["pk.CL", "pk.F_depot"], "cv")
    one, same, other = (sobol.indices(ranged, outputs, spans, 32, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.found, same.found) and np.array_equal(one.S1_conf, same.S1_conf)
    assert not np.array_equal(one.found, other.found)


def test_without_names_those_of_the_largest_effect_vary(ranged: Scenario) -> None:
    run = sensitivity_run.sensitivity(ranged, samples=32, over="cv")
    assert {entry["parameter"] for entry in run.summary["sobol"]["parameters"]} == {"pk.CL", "pk.F_depot"}
    rows = {row["parameter"]: row for row in run.summary["elasticities"]}
    assert rows["pk.CL"]["low"] * rows["pk.CL"]["high"] == pytest.approx(4.0**2)
    assert rows["pk.V"]["low"] is None


# ---------------------------------------------------------------- the command
def test_command_writes_a_result_and_shows_it_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, picture = tmp_path / "run.h5", tmp_path / "tornado.png"
    words = ["nanomg", "sensitivity", "ranged", "--of", "pk.C", "--library", str(folder)]

    def told(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", list(arguments))
        with pytest.raises(SystemExit) as ended:
            app()
        assert not ended.value.code
        return capsys.readouterr().out

    varied = ["--parameter", "pk.CL", "--parameter", "pk.F_depot", "--sobol", "32"]
    printed = json.loads(told(*words, *varied, "-o", str(path), "--figure", str(picture), "--json"))
    assert printed["sobol"]["samples"] == 32 and printed["output"] == str(path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    tree = nanomg.open(path)
    assert json.loads(tree.attrs["summary_json"]) == printed
    held = tree["sensitivity"].to_dataset()
    first = printed["elasticities"][0]
    assert float(held["elasticity"].sel(output="pk.C:final", parameter=first["parameter"])) == first["elasticity"]
    assert all({"long_name"} <= set(held[name].attrs) for name in held.data_vars)
    assert tree["sobol"]["S1"].dims == ("output", "parameter")
    assert tree["sobol"]["value"].dims == ("trajectory", "parameter")

    shown = told(*words, "--of", "pk.C:max", "--top", "2")
    assert "pk.C:max = " in shown and "mg/L" in shown and "more: nanomg summary --top" in shown
    again = told("nanomg", "summary", str(path))
    assert "Sobol indices" in again and "pk.Tlag_central" in again
    assert json.loads(told("nanomg", "summary", str(path), "--json")) == printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"of": ["pk.Cc"]}, "pk.C"),
        ({"of": ["pk.C:series"]}, "statistic with a slope"),
        ({"of": ["pk.CL"]}, "depends on nothing"),
        ({"over": "cards"}, "card"),
        ({"samples": 100}, "power of 2"),
        ({"samples": 1 << 40}, "at most 1,048,576"),
        ({"samples": 8, "parameters": ["pk.ka"]}, "no range"),
        ({"samples": 8, "parameters": ["pk.V"], "over": "cv"}, "no variation between subjects"),
        ({"samples": 8, "parameters": ["pk.V", "pk.V"]}, "twice"),
        ({"samples": 8, "parameters": ["pk.VV"]}, "pk.V"),
        ({"parameters": ["pk.V"]}, "--sobol"),
        ({"figure": "tornado.pdf"}, "PNG"),
        ({"figure": "tornado.png", "output": "./tornado.png"}, "a result is an HDF5 file; write tornado.h5"),
    ],
)
def test_bad_input_is_one_sentence(ranged: Scenario, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        sensitivity_run.sensitivity(ranged, **arguments)
    assert "\n" not in str(caught.value)


def test_where_nothing_has_a_range_there_is_nothing_to_vary(ranged: Scenario) -> None:
    known = {n: dataclasses.replace(p, low=None, high=None) for n, p in ranged.parameters.items()}
    with pytest.raises(InputError, match="nothing to vary"):
        sensitivity_run.sensitivity(dataclasses.replace(ranged, parameters=known), samples=8)


def test_what_cannot_be_solved_is_said(ranged: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = elasticities._pulled
    broken = lambda *args: (f := pulled(*args)) and (f[0], f[1].at[0].set(int(Status.NOT_FINITE)), *f[2:])
    monkeypatch.setattr(elasticities, "_pulled", broken)
    with pytest.raises(SimulationError, match="infinite or not a number"):
        sensitivity_run.sensitivity(ranged)


def test_the_page_of_a_sensitivity(ishigami: Run, tmp_path: Path) -> None:
    made = report.report(ishigami.tree, tmp_path / "page.html")
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["kind"] == "sensitivity" and "steepest slopes" in made["verdict"] and "Sobol indices" in said
    assert "can be drawn" not in said
