"""Published numbers: how tables are read, what is read off a course, how rows are scored, and the shipped tables."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import nanomg
from nanomg import models
from nanomg.analysis import readouts
from nanomg.cli.main import commands
from nanomg.data import observations, scores
from nanomg.data.observations import Row
from nanomg.data.prediction import Predictor
from nanomg.data.scores import Score
from nanomg.drawing import style
from nanomg.errors import InputError
from nanomg.jobs.validate import figure as validate_figure
from nanomg.jobs.validate import page
from nanomg.jobs.validate import run as validate_run
from nanomg.library.card import Parameter
from nanomg.library.library import Library
from nanomg.population import streams
from nanomg.views import report

SHIPPED = models.library()
CL, V, AMOUNT = 4.0, 35.0, 100.0  # of the textbook's card, and the dose [mg]
K = CL / V
HEAD = """
title = "A drug of the textbook"

[run.bolus]
scenario = "textbook-1cpt"
dose = ["pk.central: 100 mg"]
horizon = "48 h"

[run.infusion]
scenario = "textbook-1cpt"
dose = ["pk.central: 100 mg over 2 h"]
horizon = "48 h"
"""


def row(**keys: Any) -> str:
    """One row as TOML, valid where nothing is said."""
    plain = {
        "quantity": "a",
        "source": "nobody2020",
        "use": "validate",
        "reason": "an example",
        "unit": "mg/L",
        "value": 1.0,
    }
    if "run" not in keys and keys.get("use") != "look":
        plain |= {"run": "bolus", "signal": "pk.C"} | ({} if "statistic" in keys else {"time": "4 h"})
    write = lambda v: (
        "{" + ", ".join(f"{k} = {json.dumps(x)}" for k, x in v.items()) + "}" if isinstance(v, dict) else json.dumps(v)
    )
    lines = [f"{k.rstrip('_')} = {write(v)}" for k, v in {**plain, **keys}.items() if v is not None]
    return "\n[[row]]\n" + "\n".join(lines) + "\n"


Shelf = Callable[..., Library]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Make a library with one table of this text."""

    def make(*texts: str, head: str = HEAD) -> Library:
        (tmp_path / "observations").mkdir(exist_ok=True)
        (tmp_path / "observations" / "textbook.toml").write_text(head + "".join(texts), encoding="utf-8")
        return models.library(tmp_path)

    return make


# ---------------------------------------------------------------- numbers read off a course
def test_statistics_of_a_falling_exponential() -> None:
    t = np.union1d(np.linspace(0, 48, 2001), [3.0, 20.0])[:, None]
    y = jnp.exp(-K * t)
    whole, part = (0.0, 48.0), (3.0, 20.0)
    known = {
        ("at", part): math.exp(-K * 20),
        ("mean", part): (math.exp(-K * 3) - math.exp(-K * 20)) / K / 17,
        ("max", part): math.exp(-K * 3),
        ("min", part): math.exp(-K * 20),
        ("time of max", part): 3.0,
        ("auc", whole): (1 - math.exp(-K * 48)) / K,
        ("half-life", part): math.log(2) / K,
        ("slope", part): -K,
        ("change", part): math.exp(-K * 17) - 1,
        ("mrt", whole): 1 / K - 48 * math.exp(-K * 48) / (1 - math.exp(-K * 48)),
    }
    assert {name for name, _ in known} == set(readouts.STATISTICS) == set(readouts.UNITS)
    for (name, (start, stop)), expected in known.items():
        assert readouts.STATISTICS[name](t, y, np.full(1, start), np.full(1, stop)) == pytest.approx(
            expected, rel=1e-4
        ), name


def test_statistics_have_finite_slopes_and_take_repeated_times() -> None:
    t = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0])[:, None]
    y = jnp.exp(-t)
    for name, read in readouts.STATISTICS.items():
        slope = jax.grad(lambda y, read=read: read(t, y, np.ones(1), np.full(1, 4.0))[0])(y)
        assert np.isfinite(slope).all(), name
        assert np.any(slope != 0) == (name != "time of max"), name


def test_what_does_not_fall_has_no_half_life() -> None:
    t = np.linspace(0, 4, 9)[:, None]
    assert np.isnan(readouts.half_life(t, np.exp(t), np.zeros(1), np.full(1, 4.0)))[0]


def test_virtual_subjects() -> None:
    cards = [Parameter("a.b", 2.0, "L", "assumed", cv=0.4), Parameter("a.c", 2.0, "L", "assumed")]
    many = streams.factors(cards, 4000, 1)
    assert list(many) == ["a.b"]
    assert np.median(many["a.b"]) == pytest.approx(1, rel=0.03)
    assert many["a.b"].std() / many["a.b"].mean() == pytest.approx(0.4, rel=0.05)
    np.testing.assert_array_equal(streams.factors(cards[:1], 10, 1)["a.b"], many["a.b"][:10])
    assert not np.array_equal(streams.factors(cards, 10, 2)["a.b"], many["a.b"][:10])


# ---------------------------------------------------------------- scores by hand
RELATIVE = observations.Measure(cast(Any, None), "a.b", "at", 0.0, 1.0, baseline="ratio")


def score(predicted: float, **keys: Any) -> Score:
    return Score("d", Row("a", keys.pop("use", "validate"), **keys), predicted)


@pytest.mark.parametrize(
    ("found", "fold", "within", "passes"),
    [
        (score(1.2, value=1.0), 1.2, None, True),
        (score(0.5, value=1.0), 2.0, None, False),
        (score(-0.5, value=1.0), 10.0, None, False),
        (score(1.5, value=1.0, sd=0.3), 1.5, True, True),
        (score(2.1, value=1.0, sd=0.9), 2.1, True, False),
        (score(1.1, value=1.0, sd=0.04), 1.1, False, False),
        (score(1.5, value=1.0, low=0.5, high=1.4), 1.5, False, False),
        (score(0.6, low=0.5, high=1.4), math.nan, True, True),
        (score(0.4, low=0.5, high=1.4), math.nan, False, False),
        (score(0.4, value=0.5, bound="upper"), math.nan, True, True),
        (score(0.6, value=0.5, bound="upper"), math.nan, False, False),
        (score(0.4, value=0.5, bound="lower"), math.nan, False, False),
        (score(0.05, value=0.0, sd=0.1), math.nan, True, True),
        (score(0.6, value=1.0, sd=0.6), 1 / 0.6, True, True),
        (score(0.6, value=1.0, sd=0.6, how="difference"), math.nan, True, True),
        (score(-30.0, value=-40.0, how="change"), 4 / 3, None, False),
        (score(0.9, sign=-1, how="ratio"), math.nan, None, True),
        (score(1.0, sign=-1, how="ratio"), math.nan, None, False),
        (score(0.9, sign=1, how="difference"), math.nan, None, True),
        (score(0.9, sign=1, measure=RELATIVE), math.nan, None, False),
        (score(0.9, sign=1, measure=dataclasses.replace(RELATIVE, statistic="slope")), math.nan, None, True),
        (score(9.0, value=1.0, use="look"), 9.0, None, True),
    ],
)
def test_scores(found: Score, fold: float, within: bool | None, passes: bool) -> None:
    assert found.fold == pytest.approx(fold, nan_ok=True)
    assert found.within is within
    assert found.passes is passes


def test_the_noise_floor_compares_sources() -> None:
    rows = [
        Row("a", "look", "L/h", value=2.0, thing="clearance", source="one"),
        Row("b", "look", "L/h", value=4.0, thing="clearance", source="two"),
        Row("c", "look", "L/h", value=8.0, thing="clearance", source="two"),
        Row("d", "look", "L/h", value=900.0, thing="clearance", source="three", quality="recalled"),
        Row("e", "look", "L/h", value=900.0, thing="clearance", source="four", quality="computed"),
        Row("f", "look", "L/h", value=900.0, thing="clearance", source="five", quality="secondary"),
        Row("g", "look", "L/h", value=900.0, thing="clearance", source="six", bound="upper"),
        Row("h", "look", "L/h", value=900.0, thing="", source="seven"),
    ]
    assert scores.noise_floor(rows) == pytest.approx(math.sqrt(2.0 * 4.0))
    in_another_unit = dataclasses.replace(rows[2], unit="mL/h", value=8000.0)
    assert scores.noise_floor([*rows[:2], in_another_unit]) == pytest.approx(math.sqrt(2.0 * 4.0))
    assert math.isnan(scores.noise_floor(rows[:1]))


# ---------------------------------------------------------------- tables
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (row(signal="pk.c"), "there is no state, signal, constant, input or parameter 'pk.c'; did you mean"),
        (row(run="bolsu", signal="pk.C", time="4 h"), "there is no run 'bolsu'; did you mean 'bolus'?"),
        (row(unti="mg"), "there is no key 'unti'; did you mean"),
        (row(unit="mg"), "their dimensions differ"),
        (row(use="validated"), "there is no use 'validated'; did you mean"),
        (row(use=None), "the key 'use' is missing"),
        (row(reason=None), "the key 'reason' is missing"),
        (row(quality="good"), "there is no quality 'good'"),
        (row(value=None), "a value, a range (low and high) or a sign is missing"),
        (row(value="1"), "value must be a finite number, not '1'"),
        (row(low=1), "low and high come together"),
        (row(value=0), "a value of 0 needs its spread"),
        (row(sd=1, cv=1), "the spread is given twice"),
        (row(sd=0), "sd must be above 0"),
        (row(cv=0), "cv must be above 0"),
        (row(n=2.5), "n must be a whole number, 1 or more, not 2.5"),
        (row(low=2, high=1), "low is above high"),
        (row(sign=1), "a sign stands in place of a value"),
        (row(value=None, sign=1), "a sign needs `against`, `baseline`, or a slope or change"),
        (row(statistic="peak"), "there is no statistic 'peak'"),
        (row(statistic="max", time="4 h"), "takes `from` and `to`, not `time`"),
        (row(time="50 h"), "times must lie within the run's 48 h"),
        (row(time="4"), "'4' lacks its unit"),
        (row(over="mean"), "'over' needs a run with subjects"),
        (row(against={"run": "infusion"}), "the key 'how' is missing; it is one of ratio, difference, change"),
        (row(against={"how": "ratio"}), "name another run, signal, time or window to compare with"),
        (row(against={"signal": "pk.central", "how": "difference"}), "their dimensions differ"),
        (row(divide_by="0 mg"), "divide_by must be above 0"),
        (row(divide_by=3), "divide_by must be text, not 3"),
        (row(run=["bolus"], signal="pk.C", time="4 h"), "run must be text"),
        (row(against={"run": ["infusion"], "how": "ratio"}), "run must be text"),
        (row(value=None, sign=1, baseline="ratio", statistic="auc"), "a sign needs `against`, `baseline`, or a slope or change"),
        (row(thing="a") + row(thing="a", signal="pk.central", unit="mg"), "their dimensions differ"),
        (row(use="calibrate", run=None, signal=None, time=None), "a row to calibrate needs a run"),
        ("", "there are no [[row]] tables"),
        ('\n[run.x]\nscenario = "textbook-4cpt"\n' + row(), "run 'x': there is no scenario 'textbook-4cpt'; did you mean"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\nset = {"pk.Cl" = "1 L/h"}\n' + row(), "there is no parameter 'pk.Cl'"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\ndoses = []\n' + row(), "there is no key 'doses'; did you mean"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\nsubjects = 1\n' + row(), "subjects must be a whole number, 2 or more"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\ndose = ["pk.central: 1 mg q 4 h ss"]\n' + row(), "takes single doses alone"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(shelf: Shelf, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        observations.load("textbook", shelf(text))
    assert said in caught.value.message if "run 'x'" not in said else said in str(caught.value)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("observations 'textbook'")


def test_an_unknown_domain(shelf: Shelf) -> None:
    with pytest.raises(InputError, match="did you mean 'textbook'"):
        observations.load("textbok", shelf(row()))


def test_units_of_rows(shelf: Shelf) -> None:
    texts = (
        row(unit="ug/mL"),
        row(unit="mg*min/L", statistic="auc"),
        row(unit="percent/L", divide_by="50 mg"),
        row(unit="percent", against={"run": "infusion", "how": "change"}),
        row(unit="1/L", against={"signal": "pk.central", "how": "ratio"}),
        row(unit="d", statistic="auc", baseline="ratio"),
        row(unit="1/d", statistic="slope"),
    )
    rows = observations.load("textbook", shelf(*texts)).rows
    assert [r.factor for r in rows] == pytest.approx([1, 60, 2, 100, 1, 1 / 24, 24])


BAG = """
from nanomg.equations.mechanism import AbstractMechanism, Scalar, Var, param


class Bag(AbstractMechanism):
    name = "bag"
    states = {"bag.clock": Var("1", "nothing")}
    signals = {"bag.all": Var("g", "all of it"), "bag.half": Var("mg", "half of it")}
    mass: Scalar = param("g", "mass")

    def evaluate(self, x):
        return {"bag.all": self.mass, "bag.half": 500.0 * self.mass}
"""


def test_what_is_compared_comes_to_one_unit(shelf: Shelf) -> None:
    half = lambda how: {"signal": "bag.half", "how": how}
    whole = {"run": "bag", "signal": "bag.all", "time": "1 h", "unit": "1"}
    texts = (
        row(**{**whole, "unit": "mg"}, against=half("difference")),
        row(**whole, against=half("change")),
        row(**whole, against=half("ratio")),
        row(**whole, against=half("difference"), value=None, sign=1),
    )
    run = '\n[run.bag]\nmechanisms = ["Bag"]\ncards = ["bag"]\nhorizon = "1 h"\n'
    folder = shelf(run, *texts).observations["textbook"].parents[1]
    (folder / "cards").mkdir()
    (folder / "bag.py").write_text(BAG, encoding="utf-8")
    (folder / "cards" / "bag.toml").write_text(
        'bag.mass = { value = 2, unit = "g", basis = "assumed", note = "an example" }'
    )
    predicted = Predictor(observations.load("textbook", models.library(folder)).rows)()[:, 0]
    np.testing.assert_allclose(predicted, [1000.0, 1.0, 2.0, 1.0], rtol=1e-6)


def test_a_run_replaces_what_its_scenario_says(shelf: Shelf) -> None:
    text = '\n[run.x]\nscenario = "textbook-1cpt"\nset = { "pk.CL" = "2 L/h" }\ndose = []\nhorizon = "5 h"\n'
    (found,) = observations.load("textbook", shelf(text, row(run="x", signal="pk.C", time="4 h"))).rows
    assert found.measure is not None
    made = found.measure.run.scenario
    assert (made.doses, made.horizon, made.values["pk.CL"], made.values["pk.V"]) == ((), 5.0, 2.0, V)


# ---------------------------------------------------------------- from a table to scores
INFUSED, FROM_3 = {"run": "infusion", "signal": "pk.C"}, {"from": "3 h"}
AGAINST = {"run": "infusion", "how": "ratio"}
TEXTS = (
    row(quantity="C", value=AMOUNT / V * math.exp(-4 * K), thing="C"),
    row(quantity="C too low", value=0.5 * AMOUNT / V * math.exp(-8 * K), time="8 h", thing="C", source="somebody2021"),
    row(quantity="C later", value=AMOUNT / V * math.exp(-20 * K), time="20 h", sd=0.01, use="calibrate"),
    row(quantity="AUC", statistic="auc", unit="mg/L*h", value=AMOUNT / CL * (1 - math.exp(-48 * K))),
    row(quantity="half-life", statistic="half-life", **FROM_3, **INFUSED, unit="h", value=math.log(2) / K),
    row(quantity="bolus / infusion", time="10 h", unit="1", value=2 * K / math.expm1(2 * K), against=AGAINST),
    row(quantity="less later", time="10 h", value=None, sign=-1, against={"time": "1 h", "how": "difference"}),
    row(quantity="injected", signal="pk.central", divide_by="100 mg", unit="percent", value=100 * math.exp(-4 * K)),
    row(quantity="rising", statistic="half-life", to="2 h", **INFUSED, unit="h", value=1.0),
    row(quantity="broken", run="broken", signal="pk.C", time="4 h"),
    row(quantity="not in the model", use="look", unit="bushel"),
)  # fmt: skip
BROKEN = '\n[run.broken]\nscenario = "textbook-1cpt"\ndose = ["pk.central: 1 mg"]\nset = { "pk.V" = "0 L" }\n'


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Library, Path]:
    folder = tmp_path_factory.mktemp("validation")
    (folder / "observations").mkdir()
    (folder / "observations" / "textbook.toml").write_text(HEAD + BROKEN + "".join(TEXTS), encoding="utf-8")
    library = models.library(folder)
    return validate_run.validate(["textbook"], output=folder / "v.h5", library=library), library, folder


def test_predictions_are_the_closed_form(finished: tuple[Any, Library, Path]) -> None:
    rows = finished[0].tree["rows"].to_dataset()
    exact = ~np.isin(rows.quantity, ["C too low", "less later", "rising", "broken", "not in the model"])
    np.testing.assert_allclose(rows.predicted[exact], rows.value[exact], rtol=5e-4)


def test_the_summary_by_hand(finished: tuple[Any, Library, Path]) -> None:
    found = finished[0].summary
    calibrated, validated = found["domains"]
    assert (calibrated["use"], calibrated["n"], calibrated["within_2sd"], calibrated["stands"]) == (
        "calibrate",
        1,
        1.0,
        None,
    )
    assert (validated["use"], validated["n"], validated["failed"]) == ("validate", 9, 2)
    assert validated["gmfe"] == pytest.approx(2 ** (1 / 6), rel=1e-3)
    assert validated["noise_floor"] == pytest.approx(2 * math.exp(4 * K))
    assert validated["within_1_25"] == pytest.approx(5 / 8) and validated["within_2sd"] != validated["within_2sd"]
    assert validated["stands"] is False  # runs failed
    assert found["signs"] == {"n": 1, "right": 1}
    assert found["rows"] == {"textbook": {"calibrate": 1, "validate": 9, "look": 1}}
    assert [look["quantity"] for look in found["looks"]] == ["not in the model"]


def test_what_fails_is_listed(finished: tuple[Any, Library, Path]) -> None:
    misses = {miss["quantity"]: miss for miss in finished[0].summary["misses"]}
    assert set(misses) == {"C too low", "rising", "broken"}
    assert misses["broken"]["reason"] == "run 'broken': a state became infinite or not a number"
    assert misses["rising"]["reason"] == "run 'infusion' has no such number"
    assert math.isnan(misses["broken"]["predicted"])


def test_files(finished: tuple[Any, Library, Path]) -> None:
    run, _, folder = finished
    assert sorted(p.name for p in folder.glob("v*")) == ["v-curves-textbook.png", "v-observed.png", "v.h5"]
    assert all((folder / p).read_bytes()[:4] == b"\x89PNG" for p in run.summary["figures"])
    tree = nanomg.open(folder / "v.h5")
    assert dict(tree["rows"].sizes) == {"row": len(TEXTS)}
    assert tree["rows"].use.attrs["flag_meanings"] == "calibrate validate look"
    assert tree["domains"].gmfe[1] == pytest.approx(run.summary["domains"][1]["gmfe"])


def test_the_command(finished: tuple[Any, Library, Path]) -> None:
    folder = str(finished[2])
    invoke = lambda *args: CliRunner().invoke(commands, [*args], catch_exceptions=False)
    printed = json.loads(invoke("validate", "textbook", "--library", folder, "--json").stdout)
    assert list(printed) == ["domains", "signs", "misses"]
    keys = ["name", "use", "n", "gmfe", "noise_floor", "within_1_25", "within_2", "within_2sd"]
    assert [list(entry) for entry in printed["domains"]] == [keys, keys]
    shown = invoke("summary", f"{folder}/v.h5")
    assert shown.exit_code == 0
    for text in (
        "1 calibrated, 9 validated, 1 looked at only",
        "FALLS SHORT (2 failed)",
        "Directions: 1 of 1 right",
        "Misses: 3",
    ):
        assert text in shown.stdout
    with pytest.raises(InputError, match="exists"):
        invoke("validate", "textbook", "--library", folder, "-o", f"{folder}/v.h5")


@pytest.mark.parametrize(
    ("text", "failed", "stands"),
    [
        (row(value=None, sign=-1, against={"time": "1 h", "how": "ratio"}), 0, None),
        (row(value=9.0, bound="upper"), 0, None),
        (TEXTS[0] + row(run="broken", signal="pk.C", time="4 h", value=None, sign=1, against=AGAINST), 1, False),
        (TEXTS[0] + row(run="broken", signal="pk.C", time="4 h", bound="upper"), 1, False),
        (row(run="broken", signal="pk.C", time="4 h", bound="upper"), 1, False),
    ],
)
def test_a_run_that_fails_counts_in_every_row(shelf: Shelf, text: str, failed: int, stands: bool | None) -> None:
    (domain,) = validate_run.validate(["textbook"], library=shelf(BROKEN, text)).summary["domains"]
    assert (domain["failed"], domain["stands"]) == (failed, stands)


def test_two_tables_of_one_name(shelf: Shelf, tmp_path: Path) -> None:
    library = shelf(row())
    other = tmp_path / "textbook.toml"
    other.write_text(HEAD + row(), encoding="utf-8")
    with pytest.raises(InputError, match="are one domain by their names"):
        validate_run.validate(["textbook", str(other)], library=library)


def test_figures_take_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(style, "save", lambda figure, path: drawn.append(figure))
    bound = Row("a", "validate", value=1.0, bound="upper")
    validate_figure.observed(tmp_path / "a.png", [("d", bound, 0.5)])  # without a warning, though nothing is drawn
    validate_figure.observed(tmp_path / "a.png", [("d", bound, 0.5), ("d", dataclasses.replace(bound, bound=""), 0.5)])
    assert [[len(axis.get_yticks()) for axis in figure.axes][1] for figure in drawn] == [0, 1]
    points = [len(c.get_offsets()) for c in drawn[1].axes[0].collections]
    assert sum(points) == 1
    measure = observations.Measure(cast(Any, None), "a.b", "at", 0.0, 1.0)
    course = [
        dataclasses.replace(bound, bound=b, measure=dataclasses.replace(measure, stop=t))
        for t, b in ((1, ""), (2, ""), (3, "upper"))
    ]
    assert not observations.courses_of(course)


# ---------------------------------------------------------------- the predictor
def test_gradients_and_lanes(shelf: Shelf) -> None:
    texts = [
        *TEXTS[:2],
        row(run="own", signal="pk.C", time="4 h"),
        row(run="many", signal="pk.C", time="4 h", over="q95"),
    ]
    runs = '\n[run.own]\nscenario = "textbook-1cpt"\ndose = ["pk.central: 100 mg"]\nset = { "pk.CL" = "4 L/h" }\n'
    runs += '\n[run.many]\nscenario = "textbook-1cpt"\ndose = ["pk.central: 100 mg"]\nsubjects = 3\n'
    predict = Predictor(observations.load("textbook", shelf(runs, *texts)).rows, free=("pk.CL",))
    clearance = np.array([CL, 2 * CL])
    value = predict({"pk.CL": clearance})
    slopes = jax.jit(jax.jacrev(lambda v: predict({"pk.CL": v}).sum(1)))(clearance)
    exact = AMOUNT / V * np.exp(-np.outer([4, 8, 4, 4], clearance) / V)
    exact[2] = exact[2, 0]  # a run that sets the parameter keeps it
    np.testing.assert_allclose(value, exact, rtol=1e-5)
    np.testing.assert_allclose(slopes, -np.array([[4], [8], [0], [4]]) / V * exact, rtol=1e-4)
    with pytest.raises(InputError, match="there is no parameter"):
        Predictor(predict.rows, free=("pk.Cl",))


def test_a_free_lag_moves_doses(shelf: Shelf) -> None:
    predict = Predictor(observations.load("textbook", shelf(*TEXTS[:2])).rows, free=("pk.Tlag_central",))
    lag = np.array([1.0, 5.0])  # the second dose comes after the first row
    given = lambda v: predict({"pk.Tlag_central": v})
    value, slopes = jax.jit(lambda v: (given(v), jax.jacrev(lambda v: given(v).sum(1))(v)))(lag)
    exact = AMOUNT / V * np.exp(-K * np.array([[3, np.inf], [7, 3]]))
    np.testing.assert_allclose(value, exact, rtol=1e-5)
    np.testing.assert_allclose(given(lag), exact, rtol=1e-5)
    np.testing.assert_allclose(slopes, K * exact, rtol=1e-4)


def test_virtual_subjects_of_a_run(shelf: Shelf) -> None:
    card = '[pk]\nV = { value = 35, unit = "L", cv = 0.3, basis = "assumed", note = "an example" }\n'
    text = '\n[run.x]\nscenario = "textbook-1cpt"\ndose = ["pk.central: 100 mg"]\nsubjects = 40\ncards = ["vary"]\n'
    at_once = {"run": "x", "signal": "pk.C", "time": "0 h"}
    overs = ("median", "mean", "sd", "q05", "share above 3 mg/L")
    library = shelf(text, *(row(**at_once, over=over, unit="1" if "share" in over else "mg/L") for over in overs))
    folder = library.observations["textbook"].parents[1] / "cards"
    folder.mkdir()
    (folder / "vary.toml").write_text(card, encoding="utf-8")
    rows = observations.load("textbook", models.library(folder.parent)).rows
    assert rows[0].measure is not None
    C = AMOUNT / (V * streams.factors(rows[0].measure.run.scenario.parameters.values(), 40, 1)["pk.V"])
    expected = [np.median(C), C.mean(), C.std(ddof=1), np.quantile(C, 0.05), np.mean(C > 3)]
    np.testing.assert_allclose(Predictor(rows)()[:, 0], expected, rtol=1e-6)


# ---------------------------------------------------------------- what is shipped
def test_where_no_row_is_validated_nothing_stands(shelf: Shelf) -> None:
    library = shelf(
        row(use="look", value=1.0), row(use="calibrate", value=K, unit="1/h", signal="pk.CL", divide_by="35 L")
    )
    calibrated, validated = validate_run.validate(["textbook"], library=library).summary["domains"]
    assert (validated["use"], validated["n"], validated["stands"]) == ("validate", 0, None)
    assert math.isnan(validated["gmfe"])
    assert [page.verdict_of(entry) for entry in (calibrated, validated)] == ["", "no validated row"]
    assert page.verdict_of({**validated, "n": 1}) == "directions and bounds only"
    assert page.verdict_of({**validated, "n": 1, "stands": True}) == "stands on 1 row"
    assert page.verdict_of({**validated, "n": 4, "stands": True}) == "stands on 4 rows"
    assert page.verdict_of({**validated, "n": 5, "stands": True}) == "stands"
    assert page.verdict_of({**validated, "n": 1, "stands": False}) == "FALLS SHORT"


@pytest.mark.parametrize("name", sorted(SHIPPED.observations))
def test_a_shipped_table(name: str) -> None:
    table = observations.load(name, SHIPPED)
    for found in table.rows:
        assert found.source in SHIPPED.references, (found.quantity, found.source)
        assert found.quality, found.quantity
        if found.quality == "recalled":
            assert found.use == "look", found.quantity
    assert len({(r.quantity, r.source, r.measure, r.value) for r in table.rows}) == len(table.rows)


# what docs/validation.md says of the shipped tables
FALL_SHORT: set[str] = set()
UNJUDGED = {"influenza", "lfa1", "lnp", "small-solute", "survival"}


@pytest.mark.slow
def test_the_shipped_model_stands_where_it_is_said_to() -> None:
    found = validate_run.validate().summary
    failed = [miss for miss in found["misses"] if miss["reason"].startswith("run ")]
    assert not failed
    assert found["signs"]["right"] == found["signs"]["n"] > 0
    assert {e["name"] for e in found["domains"] if e["stands"] is False} == FALL_SHORT
    assert {e["name"] for e in found["domains"] if e["use"] == "validate" and not e["n"]} == UNJUDGED
    assert not [miss["quantity"] for miss in found["misses"] if not miss["reason"]], "a miss without its reason"


def test_the_page_of_a_validation(finished: tuple[Any, Library, Path], tmp_path: Path) -> None:
    made = report.report(finished[0].tree, tmp_path / "page.html", library=finished[1])
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["kind"] == "validate" and "domains that are judged stand" in made["verdict"]
    assert f"Every miss: {len(finished[0].summary['misses'])}" in said and "can be drawn" not in said
