"""Calibration from data to card: the estimates, what the data determine, and the card that is written."""

from __future__ import annotations

import contextlib
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from nanomg.cli import blocks
from nanomg.cli.main import commands
from nanomg.data import studies, study_table
from nanomg.data.prediction import Predictor
from nanomg.errors import InputError, SimulationError
from nanomg.jobs.calibrate import least_squares, run
from nanomg.jobs.calibrate import problem as calibrate_problem
from nanomg.models import library as read_library
from nanomg.results import file
from nanomg.views import report

TRUE = {"pk.ka": 0.9, "pk.CL": 5.0, "pk.V": 40.0}
TIMES = np.array([0.5, 1, 2, 3, 4, 6, 8, 12, 16, 20, 23])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of one compartment: 100 mg by mouth, measured with 10 % error; a bolus to judge by; and a table of the former."""
    where = tmp_path_factory.mktemp("calibration")
    ka, CL, V = TRUE.values()
    k = CL / V
    noise = np.exp(0.1 * np.random.default_rng(4).standard_normal(len(TIMES)))
    oral = 100 * ka / V / (ka - k) * (np.exp(-k * TIMES) - np.exp(-ka * TIMES)) * noise
    lines = [f"oral,{t},{c}" for t, c in zip(TIMES, oral, strict=True)]
    lines += [f"bolus,{t},{100 / V * np.exp(-k * t)}" for t in (1.0, 6.0, 12.0)]
    (where / "pk.csv").write_text("route,h,mg\n" + "\n".join(lines) + "\n")
    (where / "oral.csv").write_text(
        "time,value\n" + "\n".join(f"{t},{c}" for t, c in zip(TIMES, oral, strict=True)) + "\n"
    )
    (where / "pk.toml").write_text(
        """
        title = "A drug by mouth"
        source = "nobody2020"
        file = "pk.csv"
        columns = { time = "h", value = "mg", unit = "mg/L" }
        [run.oral]
        scenario = "textbook-1cpt"
        dose = ["pk.depot: 100 mg at 0 h"]
        horizon = "24 h"
        [run.bolus]
        scenario = "textbook-1cpt"
        dose = ["pk.central: 100 mg at 0 h"]
        horizon = "24 h"
        [[series]]
        run = "oral"
        signal = "pk.C"
        where = { route = "oral" }
        error = 0.1
        [[series]]
        run = "bolus"
        signal = "pk.C"
        where = { route = "bolus" }
        part = "judge"
        [[row]]
        quantity = "clearance"
        run = "bolus"
        signal = "pk.C"
        statistic = "auc"
        value = 18.7
        unit = "mg*h/L"
        part = "judge"
        [fit]
        card = "textbook"
        starts = 1
        [fit.free]
        "pk.ka" = { low = "0.1 1/h", high = "10 1/h" }
        "pk.CL" = { low = "0.5 L/h", high = "50 L/h" }
        "pk.V" = { low = "36 L", high = "500 L" }
        """
    )
    return where


@pytest.fixture(scope="module")
def fitted(folder, library):
    """What the command prints as JSON; it also writes card.toml and fit.h5. The card has lines as Windows ends them."""
    text = library.cards["textbook"].read_bytes()
    (folder / "textbook.toml").write_bytes(text.replace(b"\n", b"\r\n"))
    written = ("--card-out", str(folder / "card.toml"), "-o", str(folder / "fit.h5"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        commands(
            args=["calibrate", str(folder / "textbook.toml"), "--data", str(folder / "pk.toml"), *written, "--json"],
            standalone_mode=False,
        )
    return json.loads(out.getvalue())


def test_true_values_lie_within_their_standard_errors(fitted):
    for name, true in TRUE.items():
        entry = fitted["parameters"][name]
        assert entry["low"] < true < entry["high"] and abs(entry["estimate"] - true) < 2 * entry["se"]
        assert 0 < entry["cv"] < 0.4 and entry["bound"] is None and entry["start_outside"] == (name == "pk.V")
    assert fitted["rank"] == 3 and "all of 3" in fitted["identifiability"]
    assert 0.5 < fitted["residual_sd"] < 1.5 and fitted["degrees_of_freedom"] == pytest.approx(8)
    assert fitted["starts"]["same_optimum"] == fitted["starts"]["converged"] == 1


def test_errors_of_both_parts_are_told(fitted):
    errors = {(e["part"], e["series"]): e for e in fitted["errors"]}
    assert errors["fit", None]["n"] == 11 and errors["fit", None]["gmfe"] < 1.15 < errors["fit", None]["gmfe_at_start"]
    assert errors["judge", None]["n"] == 4 and errors["judge", None]["gmfe"] < 1.2
    assert errors["judge", "bolus, pk.C"]["rmse"] < 0.3 and errors["judge", None]["rmse"] is None


def sensitivities(study, names, z):
    """Residuals of the rows to fit, and their slopes by differences."""
    rows = [d for d in study.data if d.part == "fit"]
    predict, step = Predictor([d.row for d in rows], names), 1e-3
    points = np.exp(np.concatenate([z + step * np.eye(len(z)), z - step * np.eye(len(z)), z[None]]))
    found = np.asarray(calibrate_problem.residual(rows, predict(dict(zip(names, points.T, strict=True)))))
    return found[:, -1], (found[:, : len(z)] - found[:, len(z) : -1]) / (2 * step)


def test_the_fisher_matrix_is_that_of_the_residuals(fitted, folder, library):
    study = studies.read(folder / "pk.toml", folder, library, "textbook")
    z = np.log([fitted["parameters"][name]["estimate"] for name in TRUE])
    residual, slopes = sensitivities(study, tuple(TRUE), z)
    data = file.open(folder / "fit.h5")["calibration"]
    np.testing.assert_allclose(residual, data["residual"][: len(TIMES)], atol=1e-3)
    scale = np.sqrt(np.diag(data["fisher"]))
    exact = slopes.T @ slopes / fitted["residual_sd"] ** 2
    np.testing.assert_allclose(data["fisher"] / np.outer(scale, scale), exact / np.outer(scale, scale), atol=2e-3)


def with_prior(folder, library, centre):
    """A fit of F alone, with a prior of CV 5 %, to two concentrations after twice the dose that the run has."""
    text = (folder / "pk.toml").read_text()
    header, fit = text[: text.index("[run.oral]")], text[text.index("[fit]") : text.index("[fit.free]")]
    bolus = text[text.index("[run.bolus]") : text.index("[[series]]")]
    bolus += 'set = { "pk.CL" = "5 L/h", "pk.V" = "40 L" }\n'
    series = '[[series]]\nrun = "bolus"\nsignal = "pk.C"\nwhere = { route = "bolus" }\nerror = 0.1\n'
    free = f'[fit.free]\n"pk.F_central" = {{ low = "0.1", high = "10", prior = {{ value = "{centre}", cv = 0.05 }} }}\n'
    (folder / "prior.toml").write_text(header.replace("pk.csv", "double.csv") + bolus + series + fit + free)
    lines = [f"bolus,{t},{200 / 40 * np.exp(-5 / 40 * t)}" for t in (1.0, 6.0)]
    (folder / "double.csv").write_text("route,h,mg\n" + "\n".join(lines) + "\n")
    study = studies.read(folder / "prior.toml", folder, library, "textbook")
    return calibrate_problem.problem_of(study, library.card("textbook"))


@pytest.mark.parametrize("centre", [0.5, 4.0])
def test_a_prior_pulls_a_fit_towards_its_centre(centre, folder, library):
    """C is in proportion to F: ln F is the mean of that of the data (2) and that of the prior, weighted by 1 / variance."""
    found = calibrate_problem.search(with_prior(folder, library, centre), 1, 0)
    data, prior = 2 / 0.1**2, 1 / np.log1p(0.05**2)
    assert found.z == pytest.approx([(data * np.log(2.0) + prior * np.log(centre)) / (data + prior)], abs=1e-4)


def test_candidates_for_a_start_are_ranked_by_the_same_residuals(folder, library, monkeypatch):
    """Three standard deviations above the centre of a prior, by the function that ranks and by that with slopes."""
    monkeypatch.setattr(least_squares, "fit", lambda values, slopes, *_, **__: (values, slopes))
    values, slopes = calibrate_problem.search(with_prior(folder, library, 4.0), 1, 0)
    sd = np.sqrt(np.log1p(0.05**2))
    z = np.array([np.log(4.0) + 3.0 * sd])
    expected = [*[(z[0] - np.log(2.0)) / 0.1] * 2, 3.0]
    for residual in (values(z[None])[0], slopes(z)[0]):
        assert residual == pytest.approx(expected, rel=1e-4)
    assert slopes(z)[1][:, 0] == pytest.approx([10.0, 10.0, 1.0 / sd], rel=1e-4)


def test_a_scale_and_a_volume_are_told_to_be_inseparable(folder, library):
    """Of a dose by mouth only CL/F and V/F are known."""
    free = [studies.free_option(text) for text in ("pk.F_depot=0.1..1", "pk.CL=0.5 L/h..50 L/h", "pk.V=5..500 L")]
    study = study_table.study_of_table(folder / "oral.csv", "textbook-1cpt", free, library, "textbook")
    problem = calibrate_problem.problem_of(study, library.card("textbook"))
    z = np.log([0.5, 5.0, 40.0])
    residual, slopes = sensitivities(study, problem.names, z)
    known = least_squares.uncertainty(residual, slopes, np.zeros(3, bool))
    said = run._identifiability(problem, z, known)
    assert "The data determine 2 of 3 free parameters." in said
    assert "Only a combination of these is identifiable: pk.F_depot, pk.CL, pk.V." in said


def test_a_parameter_of_which_nearly_nothing_is_known_is_poorly_known(fitted, folder, library):
    free = [studies.free_option(text) for text in ("pk.ka=2..2000 1/h", "pk.CL=0.5..50 L/h")]
    problem = calibrate_problem.problem_of(
        study_table.study_of_table(folder / "oral.csv", "textbook-1cpt", free, library, "textbook"),
        library.card("textbook"),
    )
    known = least_squares.uncertainty(np.ones(2), np.diag([1 / 60, 10.0]), np.zeros(2, bool))
    said = run._identifiability(problem, np.log([20.0, 5.0]), known)
    assert "Poorly known, with a coefficient of variation above 100 %: pk.ka." in said
    parameters = {name: {**fitted["parameters"][name], "cv": cv} for name, cv in (("pk.ka", 1e88), ("pk.CL", 0.1))}
    written = run._fitted(problem, library.card("textbook"), {**fitted, "parameters": parameters})
    assert "not identified by these data" in written["pk.ka"].note and written["pk.ka"].low is None
    assert "standard error 10 %" in written["pk.CL"].note and written["pk.CL"].low == parameters["pk.CL"]["low"]


def test_a_row_to_fit_that_cannot_be_predicted_ends_the_fit_and_a_judged_one_is_counted(folder, library):
    text = (
        (folder / "pk.toml")
        .read_text()
        .replace("[run.bolus]", '[run.bolus]\nset = { "pk.V" = "1e-300 L", "pk.CL" = "1e300 L/h" }')
    )
    (folder / "judged.toml").write_text(text)
    (folder / "fitted.toml").write_text(text.replace('part = "judge"', 'part = "fit"'))
    outcome = SimpleNamespace(z=np.log([0.9, 5.0, 40.0]))
    at = lambda name: calibrate_problem.problem_of(
        studies.read(folder / name, folder, library), library.card("textbook")
    )
    problem = at("judged.toml")
    predicted, reasons = run._predict(problem, outcome)
    assert [bool(why) for why in reasons] == [False] * len(TIMES) + [True] * 4 and all(
        "'bolus'" in r for r in reasons[-4:]
    )
    errors = run._errors(problem.study.data, predicted, reasons)
    assert [e["failed"] for e in errors if e["series"] is None] == [0, 4]
    with pytest.raises(SimulationError, match=r"bolus, pk\.C at 1 h cannot be compared \(run 'bolus'"):
        run._predict(at("fitted.toml"), outcome)


def test_rows_that_failed_are_shown_first(fitted, capsys):
    rows = [*fitted["rows"], {**fitted["rows"][0], "quantity": "lost", "residual": None, "failed": "run 'a': no"}]
    blocks.show_result("calibrate", {**fitted, "rows": rows}, False)
    shown = capsys.readouterr().out.split("Rows of the data, furthest from the model first: ")[1]
    assert "lost" in shown and shown.index("lost") < shown.index("oral, pk.C at")


def test_a_card_that_cannot_be_written_is_refused_before_the_search(folder, library, monkeypatch):
    monkeypatch.setattr(run, "search", lambda *_: pytest.fail("searched"))
    text = library.cards["textbook"].read_text()
    line = next(line for line in text.splitlines() if line.startswith("CL = "))
    fields = line.removeprefix("CL = {").removesuffix("}").replace(", ", "\n")
    (folder / "split.toml").write_text(text.replace(line + "\n", "") + f"\n[pk.CL]\n{fields}\n")
    data = {"data": str(folder / "pk.toml"), "raw": folder}
    with pytest.raises(InputError, match=r"split\.toml: write each parameter of this card on one line"):
        run.calibrate(str(folder / "split.toml"), **data, card_out=folder / "new.toml")
    with pytest.raises(InputError, match="a result is an HDF5 file"):
        run.calibrate("textbook", **data, card_out=folder / "new.toml", output=folder / "new.toml")


def test_the_card_holds_the_estimates_and_all_else_as_it_was(fitted, folder, library):
    before = library.cards["textbook"].read_text().splitlines()
    after = (folder / "card.toml").read_text().splitlines()
    changed = [a.split(" =")[0] for a, b in zip(after, before, strict=True) if a != b]
    assert changed == ["ka", "CL", "V"] and (folder / "card.toml").read_bytes().count(b"\r\n") == len(after)
    card = read_library().card(str(folder / "card.toml"))
    for name, entry in fitted["parameters"].items():
        parameter = card.parameters[name]
        assert parameter.value == pytest.approx(entry["estimate"], rel=1e-5) and parameter.basis == "fitted"
        assert (parameter.low, parameter.high) == pytest.approx((entry["low"], entry["high"]), rel=1e-5)
        assert parameter.source == "nobody2020" and "n = 11" in parameter.note
    with pytest.raises(InputError, match="the file exists"):
        run.calibrate("textbook", str(folder / "pk.toml"), card_out=folder / "card.toml")
    with pytest.raises(InputError, match=r"a card ends in \.toml"):
        run.calibrate("textbook", str(folder / "pk.toml"), card_out=folder / "card.h5")


def test_the_result_file_holds_data_and_what_is_known(fitted, folder):
    data = file.open(folder / "fit.h5")["calibration"]
    assert data["fisher"].shape == (3, 3) and list(data["part"].values).count("judge") == 4
    rows = data["part"].values == "fit"
    np.testing.assert_allclose(
        np.log(data["predicted"] / data["observed"])[rows] / 0.1, data["residual"][rows], atol=1e-9
    )
    assert file.read_summary(folder / "fit.h5") == fitted and fitted["written"] == str(folder / "card.toml")


def test_the_summary_is_shown_again_as_tables(fitted, folder, capsys):
    commands(args=["summary", str(folder / "fit.h5")], standalone_mode=False)
    said = capsys.readouterr().out
    for words in (
        "textbook fitted to A drug by mouth",
        "pk.CL",
        "before  GMFE",
        "bolus, pk.C",
        "all of 3 free",
        "started from its nearest bound",
        "card.toml",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": "no-such-study"}, "there is no study 'no-such-study'"),
        ({"data": "none.csv", "scenario": "textbook-1cpt"}, "there is no such data file"),
        ({"data": "oral.csv", "fit": ["pk.CL=1..2 L/h"]}, "name the scenario with --scenario"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt"}, "no parameter is free"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "card": None}, "name the card to fit"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1"]}, "is not NAME=LOW..HIGH"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=2..1 L/h"]}, "lower one below the upper"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 mg"]}, "dimensions differ"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.Cl=1..2 L/h"]}, "did you mean 'pk.CL'"),
        (
            {"data": "pk.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 L/h"]},
            "there is no column TIME among route, h, mg",
        ),
        (
            {"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 L/h", "pk.CL=1..3 L/h"]},
            "'pk.CL' is freed twice",
        ),
        ({"data": "pk.toml", "scenario": "textbook-1cpt"}, "a study names its scenarios"),
    ],
)
def test_a_mistake_is_one_sentence(folder, options, said):
    data = options["data"]
    path = str(folder / data) if "." in data else data
    with pytest.raises(InputError) as caught:
        run.calibrate(**{"card": "textbook", **options, "data": path})
    assert said in caught.value.message and "\n" not in str(caught.value)


def test_the_page_of_a_fit(fitted, folder, tmp_path):
    made = report.report(folder / "fit.h5", tmp_path / "page.html")
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["kind"] == "calibrate" and fitted["identifiability"] in made["verdict"] and "can be drawn" not in said
    for name, entry in fitted["parameters"].items():
        assert f'data-value="{entry["estimate"]!r}" data-key="parameters/{name}/estimate"' in said
