"""Predictions of rows and their gradients, against closed forms."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from shelf import AMOUNT, CL, TEXTS, K, Shelf, V, row

from nanomg import models
from nanomg.data import observations
from nanomg.data.prediction import Predictor
from nanomg.errors import InputError
from nanomg.jobs.sweep.axes import lay_out
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import keep_of
from nanomg.library.scenario_file import load
from nanomg.population.population_file import load_population
from nanomg.population.streams import normal


@pytest.mark.parametrize("population", ["", "human-adults"])
def test_the_subjects_of_a_run_are_those_of_a_sweep(shelf: Shelf, population: str) -> None:
    named = f'population = "{population}"\n' if population else ""
    run = f'\n[run.x]\nscenario = "human-mgso4"\nsubjects = 200\nseed = 3\n{named}'
    quantiles = [f"q{q:02d}" for q in range(5, 100, 5)]
    texts = [row(run="x", signal="magnesium.total", time="6 h", over=q, unit="mmol/L") for q in quantiles]
    library = shelf(run, *texts, head="")
    predicted = Predictor(observations.load("textbook", library).rows)()[:, 0]
    scenario = load("human-mgso4", library)
    people = load_population(population, library, scenario) if population else None
    until = dataclasses.replace(scenario, horizon=6.0, doses=tuple(d for d in scenario.doses if d.time <= 6.0))
    keep = keep_of("magnesium.total:final", until)
    swept = Trajectories(until, lay_out([], until), [keep], subjects=200, population=people, seed=3, rtol=1e-6)
    found = swept.solve(0, 200)[keep.label]
    np.testing.assert_allclose(predicted, np.quantile(found, np.arange(5, 100, 5) / 100), rtol=1e-4)


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


def test_runs_at_steady_state_and_their_gradients(shelf: Shelf) -> None:
    """Beside a run of single doses, in lanes of one solve; a free parameter that moves events is refused."""
    interval, times = 12.0, np.array([4.0, 8.0])
    runs = '\n[run.ss]\nscenario = "textbook-1cpt"\ndose = ["pk.central: 100 mg q 12 h ss"]\n'
    rows = [row(run="ss", signal="pk.C", time=f"{t:g} h") for t in times]
    predict = Predictor(observations.load("textbook", shelf(runs, *TEXTS[:1], *rows)).rows, free=("pk.CL",))
    clearance = np.array([CL, 2 * CL])
    value = predict({"pk.CL": clearance})
    slopes = jax.jit(jax.jacrev(lambda v: predict({"pk.CL": v}).sum(1)))(clearance)
    k = clearance / V
    left = np.exp(-k * interval)
    settled = AMOUNT / V * np.exp(-np.outer(times, k)) / (1.0 - left)
    np.testing.assert_allclose(value[0], AMOUNT / V * np.exp(-4.0 * k), rtol=1e-5)
    np.testing.assert_allclose(value[1:], settled, rtol=1e-5)
    np.testing.assert_allclose(slopes[1:], -settled * (times[:, None] + interval * left / (1.0 - left)) / V, rtol=1e-4)
    with pytest.raises(InputError, match="the times of doses"):
        Predictor(predict.rows, free=("pk.Tlag_central",))


def test_runs_over_an_event_table_and_their_gradients(shelf: Shelf) -> None:
    """Two subjects with clearances of a column that changes, next to a run of single doses; one number for both by `over`."""
    runs = '\n[run.table]\nscenario = "mine.toml"\nevents = "doses.csv"\nhorizon = "48 h"\n'
    table = {"run": "table", "signal": "pk.C"}
    rows = [
        row(**table, time="10 h", over="mean"),
        row(**table, statistic="max", over="median"),
        row(**table, time="10 h", over="mean", baseline="difference"),
    ]
    library = shelf(runs.replace("mine.toml", "@"), *TEXTS[:1], *rows)
    folder = library.observations["textbook"].parent
    mine = 'mechanisms = ["OneCompartment"]\ncards = ["textbook"]\nhorizon = "48 h"\n[columns]\n"pk.CL" = "CLR"\n'
    (folder / "mine.toml").write_text(mine, encoding="utf-8")
    content = "ID,TIME,AMT,CMT,CLR\n1,0,70,pk.central,4\n1,4,.,.,4\n1,12,.,.,2\n2,0,35,pk.central,8\n"
    (folder / "doses.csv").write_text(content, encoding="utf-8")
    text = library.observations["textbook"]
    text.write_text(text.read_text().replace("@", str(folder / "mine.toml")), encoding="utf-8")
    predict = Predictor(observations.load("textbook", library).rows, free=("pk.V",))
    assert sorted(group.lanes.output.shape[1] for group in predict.groups) == [1, 2]
    volumes = np.array([35.0, 70.0])
    both = np.array([70 * np.exp(-(4 * 4 + 6 * 2) / volumes), 35 * np.exp(-8 * 10 / volumes)]) / volumes
    value = predict({"pk.V": volumes})
    np.testing.assert_allclose(value[0], AMOUNT / volumes * np.exp(-CL * 4 / volumes), rtol=1e-5)
    np.testing.assert_allclose(value[1], both.mean(0), rtol=1e-5)
    np.testing.assert_allclose(value[2], 52.5 / volumes, rtol=1e-5)
    np.testing.assert_allclose(value[3], both.mean(0), rtol=1e-5)
    slope = jax.jit(jax.jacrev(lambda v: predict({"pk.V": v})[1].sum()))(volumes)
    areas = np.array([28.0, 80.0])[:, None]
    np.testing.assert_allclose(slope, (both * (areas / volumes**2 - 1 / volumes)).mean(0), rtol=1e-4)
    with pytest.raises(InputError, match=r"pk\.CL' follows column CLR"):
        Predictor(predict.rows, free=("pk.CL",))


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
    C = AMOUNT / (V * np.exp(np.sqrt(np.log1p(0.3**2)) * normal("pk.V", 1, np.arange(40))))
    expected = [np.median(C), C.mean(), C.std(ddof=1), np.quantile(C, 0.05), np.mean(C > 3)]
    np.testing.assert_allclose(Predictor(rows)()[:, 0], expected, rtol=1e-6)
