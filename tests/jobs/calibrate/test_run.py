"""Calibration: the search and what it says against closed forms, measurements made into rows, the card that follows."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nanomg.cli import calibrate as screen
from nanomg.cli.main import commands
from nanomg.data import series, studies
from nanomg.data.prediction import Predictor
from nanomg.errors import InputError, SimulationError
from nanomg.jobs.calibrate import least_squares, run
from nanomg.jobs.calibrate import problem as calibrate_problem
from nanomg.library import card_editing
from nanomg.models import library as read_library
from nanomg.results import file
from nanomg.views import report

RAW = Path(os.environ.get("NANOMG_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
needs_raw = pytest.mark.skipif(not RAW.is_dir(), reason=f"the raw data are not at {RAW} (set NANOMG_DATA)")


# ---------------------------------------------------------------- the search
def linear(A, b):
    """Residuals A z - b with their Jacobian, for many points and for one."""
    return lambda z: z @ A.T - b, lambda z: (A @ z - b, A)


def test_a_linear_problem_has_the_closed_form():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(12, 3)), rng.normal(size=12)
    found = least_squares.fit(*linear(A, b), np.zeros(3), np.full(3, -9.0), np.full(3, 9.0))
    exact, rss, *_ = np.linalg.lstsq(A, b)
    np.testing.assert_allclose(found.z, exact, atol=1e-5)
    known = least_squares.uncertainty(found.residual, found.jacobian, np.zeros(3, bool))
    covariance = rss[0] / (12 - 3) * np.linalg.inv(A.T @ A)
    np.testing.assert_allclose(known.se, np.sqrt(np.diag(covariance)), rtol=1e-4)
    np.testing.assert_allclose(known.correlation[0, 1], covariance[0, 1] / (known.se[0] * known.se[1]), rtol=1e-4)
    assert known.rank == 3 and known.freedom == pytest.approx(9) and not known.open and found.converged.all()


def test_a_parameter_that_is_pushed_out_is_held_at_its_bound_while_others_move():
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(8, 2)), rng.normal(size=8)
    free = np.linalg.lstsq(A, b)[0]
    high = np.array([free[0] - 0.3, 9.0])
    found = least_squares.fit(*linear(A, b), np.array([-5.0, 0.0]), np.full(2, -9.0), high)
    assert found.z[0] == high[0]
    np.testing.assert_allclose(found.z[1], np.linalg.lstsq(A[:, 1:], b - A[:, 0] * high[0])[0], atol=1e-4)
    known = least_squares.uncertainty(found.residual, found.jacobian, np.array([True, False]))
    assert np.isnan(known.se[0]) and np.isfinite(known.se[1]) and known.rank == 1


def test_a_prior_pulls_as_much_as_it_knows():
    """n data with sd s and mean m, and a prior with mean p and sd q: the mean of both, weighted by 1 / variance."""
    data, s, p, q = np.array([1.0, 1.4, 0.9, 1.1]), 0.5, 3.0, 0.4
    A, b = np.append(np.full(4, 1 / s), 1 / q)[:, None], np.append(data / s, p / q)
    found = least_squares.fit(*linear(A, b), np.zeros(1), np.array([-9.0]), np.array([9.0]))
    weights = np.array([4 / s**2, 1 / q**2])
    assert found.z[0] == pytest.approx(weights @ [data.mean(), p] / weights.sum(), abs=1e-5)
    known = least_squares.uncertainty(found.residual, found.jacobian, np.zeros(1, bool), priors=1)
    assert known.freedom == pytest.approx(4 - weights[0] / weights.sum())
    assert known.se[0] == pytest.approx((weights[0] / known.residual_sd**2 + weights[1]) ** -0.5, rel=1e-6)


def test_what_the_data_leave_open_is_found():
    """Parameters 0 and 1 act as their ratio, 2 as itself, 3 hardly at all."""
    rng = np.random.default_rng(2)
    ratio, own = rng.normal(size=(2, 9))
    J = np.stack([ratio, -ratio, own, 1e-6 * own], 1)
    known = least_squares.uncertainty(rng.normal(size=9), J, np.zeros(4, bool))
    assert known.rank == 2 and known.no_influence == (3,)
    (direction,) = known.open
    assert [i for i, _ in direction] == [0, 1] and direction[0][1] == pytest.approx(direction[1][1])
    assert np.isinf(known.se[[0, 1, 3]]).all() and np.isfinite(known.se[2])
    held = least_squares.uncertainty(
        np.append(rng.normal(size=9), 0.0), np.vstack([J, [2.0, 0, 0, 0]]), np.zeros(4, bool), 1
    )
    assert held.rank == 2 and np.isfinite(held.se[0])  # its prior knows what the data do not


@pytest.mark.filterwarnings("error")
def test_a_prior_and_a_ratio_that_strong_data_know_give_both_parameters():
    """Data that are 500 times as strong know 0 / 1; the prior of 0 alone knows 0, and so 1."""
    rng = np.random.default_rng(0)
    ratio, own, off = rng.normal(size=(3, 9))
    J = np.vstack([500 * np.stack([ratio, -ratio, own], 1), [1.2, 0, 0]])
    known = least_squares.uncertainty(np.append(off, 0.0), J, np.zeros(3, bool), 1)
    exact = np.linalg.inv(known.fisher)
    np.testing.assert_allclose(known.se, np.sqrt(np.diag(exact)), rtol=1e-6)
    assert known.se[0] == pytest.approx(1 / 1.2) and known.correlation[0, 1] == pytest.approx(1.0) and known.rank == 2


@pytest.mark.filterwarnings("error")
def test_rows_that_say_nothing_do_not_count_and_perfect_data_are_finite():
    rng = np.random.default_rng(5)
    residual, J = rng.normal(size=5), rng.normal(size=(5, 1))
    alone = least_squares.uncertainty(residual, J, np.zeros(1, bool))
    kept = least_squares.uncertainty(np.append(residual, np.zeros(45)), np.pad(J, ((0, 45), (0, 0))), np.zeros(1, bool))
    assert kept.freedom == alone.freedom == pytest.approx(4) and kept.residual_sd == pytest.approx(alone.residual_sd)
    perfect = least_squares.uncertainty(np.zeros(5), J, np.zeros(1, bool))
    assert perfect.residual_sd == 0 and 0 < perfect.se[0] < 1e-5
    nothing = least_squares.uncertainty(np.zeros(5), 0 * J, np.zeros(1, bool))
    assert np.isinf(nothing.se[0]) and nothing.no_influence == (0,)


def valleys(z):
    """Two optima, near 1.1 and -0.9; the second is the better."""
    return np.concatenate([z**2 - 1.0, 0.3 * (z + 1.5)], -1)


def valleys_at(z):
    return valleys(z), np.array([2.0 * z, [0.3]])


def test_several_starts_find_the_better_of_two_optima():
    low, high = np.array([-3.0]), np.array([3.0])
    alone = least_squares.fit(valleys, valleys_at, np.array([1.5]), low, high)
    assert alone.z[0] > 0.5
    found = least_squares.fit(valleys, valleys_at, np.array([1.5]), low, high, starts=4, seed=1)
    assert found.z[0] < -0.5 and found.cost.min() < 0.2 * alone.cost[0]
    assert not found.same[0] and 1 <= found.same.sum() < 4 and found.begin[0, 0] == 1.5


def test_points_without_a_prediction_are_counted_and_left():
    A, b = np.array([[2.0], [1.0]]), np.array([6.0, 3.0])
    wall = lambda z, r: np.where(z[..., :1] > 3.5, np.nan, r)
    values, slopes = linear(A, b)
    found = least_squares.fit(
        lambda z: wall(z, values(z)),
        lambda z: (wall(z, slopes(z)[0]), A),
        np.array([0.0]),
        np.array([-9.0]),
        np.array([9.0]),
        starts=3,
    )
    assert found.failed > 0 and found.z[0] == pytest.approx(3.0, abs=1e-4)


# ---------------------------------------------------------------- measurements
TABLE = """mouse,arm,day,volume,sd
a,treated,0,100,10
b,treated,0,300,10
a,treated,1,200,20
b,treated,1.02,600,40
a,control,0,50,5
a,control,2,450,5
a,control,1,,5
"""


@pytest.fixture
def rows_of(tmp_path, library):
    """The rows of one series, with another of a control, as (value, unit, time [h], n)."""

    def read(text: str, where: str = '{ arm = "treated" }'):
        (tmp_path / "mice.csv").write_text(TABLE)
        (tmp_path / "mice.toml").write_text(
            """
            title = "Mice"
            source = "nobody2020"
            file = "mice.csv"
            columns = { time = "day", time_unit = "d", value = "volume", unit = "mg/L" }
            [run.treated]
            scenario = "textbook-1cpt"
            subjects = 2
            [run.control]
            scenario = "textbook-1cpt"
            [[series]]
            run = "treated"
            signal = "pk.C"
            """
            f'where = {where}\n{text}\n[[series]]\nrun = "control"\nwhere = {{ arm = ["control"] }}\n'
            'signal = "pk.C"\npart = "reference"\n'
        )
        study = studies.read(tmp_path / "mice.toml", tmp_path, library, "textbook")
        return [(d.row.value, d.row.unit, d.row.measure.stop, d.row.n) for d in study.data], study

    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(200, "mg/L", 0, 2), (200, "mg/L", 24, 1), (600, "mg/L", 24.48, 1)]),
        ('together = "1 h"', [(200, "mg/L", 0, 2), (400, "mg/L", 24.24, 2)]),
        (
            'together = "1 h"\naggregate = "geometric"\nover = "median"',
            [(30000**0.5, "mg/L", 0, 2), (120000**0.5, "mg/L", 24.24, 2)],
        ),
        ('aggregate = "none"\nto = "1 h"', [(100, "mg/L", 0, 1), (300, "mg/L", 0, 1)]),
        ('shift = "2 h"\nfrom = "3 h"\nto = "26 h"', [(200, "mg/L", 26, 1)]),
        ('aggregate = "share above 150 mg/L"\nto = "1 h"', [(0.5, "1", 0, 2)]),
        ('aggregate = "q25"\nto = "1 h"', [(150, "mg/L", 0, 2)]),
        ('statistic = "slope"\ntogether = "1 h"\nto = "25 h"', [(np.log(2) / 24.24, "1/h", 24.24, 4)]),
        (
            'statistic = "change"\nper = "mouse"\nto = "25 h"\ntogether = "1 h"\naggregate = "median"',
            [(1.0, "1", 24.24, 2)],
        ),
        ('statistic = "auc"\nper = "mouse"\nto = "30 h"\ntogether = "1 h"', [(7308.0, "(mg/L) * h", 24.24, 2)]),
        ('statistic = "max"\nbaseline = "ratio"\ntogether = "1 h"', [(2.0, "1", 24.24, 4)]),
        ('statistic = "max"\nbaseline = "difference"\nper = "mouse"\ntogether = "1 h"', [(200.0, "mg/L", 24.24, 2)]),
        (
            'aggregate = "share above 1.5"\nbaseline = "ratio"\nper = "mouse"\ntogether = "1 h"\nsd = "0.1"',
            [(0.0, "1", 0, 2), (1.0, "1", 24.24, 2)],
        ),
        (
            'baseline = "ratio"\nagainst = { run = "control", how = "ratio" }\nto = "24.1 h"',
            [(1.0, "1", 0, 2), (0.2, "1", 24, 1)],
        ),
        ('against = { run = "control", how = "ratio" }\nto = "24.1 h"', [(4.0, "1", 0, 2), (0.8, "1", 24, 1)]),
        ('against = { run = "control", how = "difference" }\nto = "1 h"', [(150, "mg/L", 0, 2)]),
        ('baseline = "ratio"\nto = "24.1 h"', [(1.0, "1", 0, 2), (1.0, "1", 24, 1)]),
    ],
)
def test_measurements_become_rows(rows_of, text, expected):
    found, _ = rows_of(text)
    assert [row[1:] for row in found] == [pytest.approx(row[1:]) for row in expected]
    assert [row[0] for row in found] == pytest.approx([row[0] for row in expected])


@pytest.mark.parametrize(
    ("text", "sd", "relative"),
    [
        ("error = 0.1", 0.1, True),
        ('sd = "5 g/L"', 5000.0, False),
        ('columns = { sd = "sd" }', 10.0, False),
        ('columns = { sd = "sd" }\nbaseline = "ratio"\nto = "1 h"', 0.05, False),
        ('columns = { sd = "sd" }\nagainst = { run = "control", how = "change" }\nto = "1 h"', 0.2, False),
        ('columns = { sd = "sd" }\nagainst = { run = "control", how = "difference" }\nto = "1 h"', 10.0, False),
        ("", studies.ERROR, True),
    ],
)
def test_errors_of_measurements(rows_of, text, sd, relative):
    _, study = rows_of(text)
    assert study.data[0].error == studies.Error(pytest.approx(sd), relative)
    assert study.data[0].row.use == "calibrate" and study.data[0].row.source == "nobody2020"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('aggregate = "modal"', "there is no aggregate 'modal'"),
        ('statistic = "wobble"', "there is no statistic 'wobble'"),
        ('from = "9 d"', "no row with arm = 'treated' lies in the window"),
        ('part = "all"', "there is no part 'all'"),
        ('unit = "mg/kg"', "cannot be converted"),
        ("error = 0", "an error must be a number above 0, not 0"),
        ('file = "rats.csv"', "name the folder of raw data with --raw"),
        ('colour = "red"', "there is no key 'colour'"),
        ('against = { run = "treated", how = "ratio" }', "no series of run 'treated' has data"),
        ('columns = { value = "mouse" }', "'a' in column 'mouse' is not a number"),
        ('columns = "day"', "columns must be a table, not 'day'"),
        ("columns = { value = 3 }", "value must be text, not 3"),
        ('against = "control"', "against must be a table, not 'control'"),
        ('against = { run = ["control"], how = "ratio" }', "run must be text, not ['control']"),
        ("per = 3", "per must be text, not 3"),
        ('part = ["fit"]', "there is no part"),
        ('sd = "0 mg/L"', "must be above 0, not 0"),
        ('columns = { sd = "day" }', "line 2: a standard deviation must be above 0, not 0"),
        ('columns = { sd = "sd" }\naggregate = "q75"', "the column of standard deviations says nothing of 'q75'"),
        ('columns = { sd = "sd" }\nstatistic = "max"', "the column of standard deviations says nothing of 'max'"),
        ('baseline = "ratio"\naggregate = "q75"', "against the value at time 0, needs `per`"),
        ('statistic = "max"\naggregate = "share above 2 mg/L"', "'share above 2 mg/L' of a statistic"),
        ('statistic = "auc"\nper = "mouse"', "do not all reach from 0 to 24 h"),
        ('statistic = "auc"\nagainst = { run = "control", how = "ratio" }', "do not all reach from 0 to 24.48 h"),
        ('aggregate = "geometric"', "subjects of a run have no geometric value"),
        ('shift = "60 h"\nagainst = { run = "control", how = "ratio" }', "there are no data around 60 h"),
    ],
)
def test_a_mistake_in_a_series_is_one_sentence(rows_of, text, said):
    with pytest.raises(InputError) as caught:
        rows_of(text)
    assert said in caught.value.message and "\n" not in str(caught.value)


def test_a_statistic_is_held_against_that_of_the_same_window(rows_of):
    text = 'statistic = "auc"\nto = "50 h"\nagainst = { run = "control", how = "ratio" }'
    found, _ = rows_of(text, '{ arm = "control" }')
    assert found == [(pytest.approx(1.0), "1", 48, 2)]


@pytest.mark.parametrize(
    ("text", "kind"), [("", "mean"), ('aggregate = "median"', "median"), ('over = "median"', "median")]
)
def test_subjects_of_a_run_are_reduced_as_replicates_are(rows_of, text, kind):
    _, study = rows_of(text)
    assert {d.row.measure.over.kind for d in study.data} == {kind}


@pytest.mark.parametrize(("text", "said"), [("0,1\n\n2,0,5\n", "line 4 does"), ("0,1\n2\n", "line 3 does")])
def test_a_row_that_does_not_fit_the_heading_is_one_sentence(tmp_path, text, said):
    (tmp_path / "x.csv").write_text("time,value\n" + text)
    with pytest.raises(InputError, match=f"{said} not have as many cells"):
        series.read_csv(tmp_path / "x.csv")


def test_a_column_that_is_not_there_is_one_sentence(rows_of):
    with pytest.raises(InputError, match="there is no column 'organ'"):
        rows_of("", where='{ organ = "liver" }')


# ---------------------------------------------------------------- from data to card
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
    (where / "typo.csv").write_text("time,value,Sd\n1,2,0.1\n")
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
    written = ("-o", str(folder / "card.toml"), "--result", str(folder / "fit.h5"))
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


def test_a_scale_and_a_volume_are_told_to_be_inseparable(folder, library):
    """Of a dose by mouth only CL/F and V/F are known."""
    free = [studies.free_option(text) for text in ("pk.F_depot=0.1..1", "pk.CL=0.5 L/h..50 L/h", "pk.V=5..500 L")]
    study = studies.from_csv(folder / "oral.csv", "textbook-1cpt", free, library, "textbook")
    problem = calibrate_problem.problem_of(study, library.card("textbook"))
    z = np.log([0.5, 5.0, 40.0])
    residual, slopes = sensitivities(study, problem.names, z)
    known = least_squares.uncertainty(residual, slopes, np.zeros(3, bool))
    said = run._identifiability(problem, z, known)
    assert "The data determine 2 of 3 free parameters." in said
    assert "Not identifiable apart, only a combination of them is: pk.F_depot, pk.CL, pk.V." in said


def test_a_parameter_of_which_nearly_nothing_is_known_is_poorly_known(fitted, folder, library):
    free = [studies.free_option(text) for text in ("pk.ka=2..2000 1/h", "pk.CL=0.5..50 L/h")]
    problem = calibrate_problem.problem_of(
        studies.from_csv(folder / "oral.csv", "textbook-1cpt", free, library, "textbook"), library.card("textbook")
    )
    known = least_squares.uncertainty(np.ones(2), np.diag([1 / 60, 10.0]), np.zeros(2, bool))
    said = run._identifiability(problem, np.log([20.0, 5.0]), known)
    assert "Poorly known, with a coefficient of variation above 100 %: pk.ka." in said
    parameters = {name: {**fitted["parameters"][name], "cv": cv} for name, cv in (("pk.ka", 1e88), ("pk.CL", 0.1))}
    written = run._fitted(problem, library.card("textbook"), {**fitted, "parameters": parameters})
    assert "not identified by these data" in written["pk.ka"].note and written["pk.ka"].low is None
    assert "standard error 10 %" in written["pk.CL"].note and written["pk.CL"].low == parameters["pk.CL"]["low"]


def test_a_row_to_fit_that_cannot_be_predicted_ends_the_fit_and_a_judged_one_is_counted(folder, library):
    text = (folder / "pk.toml").read_text().replace("[run.bolus]", '[run.bolus]\nset = { "pk.V" = "0 L" }')
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
    screen.show_calibration({**fitted, "rows": rows}, False)
    shown = capsys.readouterr().out.split("Rows furthest from the data")[1]
    assert "lost" in shown and shown.index("lost") < shown.index("oral, pk.C at")


def test_a_card_that_cannot_be_written_is_refused_before_the_search(folder, library, monkeypatch):
    monkeypatch.setattr(run, "search", lambda *_: pytest.fail("searched"))
    text = library.cards["textbook"].read_text()
    line = next(line for line in text.splitlines() if line.startswith("CL = "))
    fields = line.removeprefix("CL = {").removesuffix("}").replace(", ", "\n")
    (folder / "split.toml").write_text(text.replace(line + "\n", "") + f"\n[pk.CL]\n{fields}\n")
    data = {"data": str(folder / "pk.toml"), "raw": folder}
    with pytest.raises(InputError, match=r"split\.toml: write each parameter of this card on a line of its own"):
        run.calibrate(str(folder / "split.toml"), **data, output=folder / "new.toml")
    with pytest.raises(InputError, match="names of their own"):
        run.calibrate("textbook", **data, output=folder / "new.toml", result=folder / "new.toml")


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
        run.calibrate("textbook", str(folder / "pk.toml"), output=folder / "card.toml")
    with pytest.raises(InputError, match=r"a card ends in \.toml"):
        run.calibrate("textbook", str(folder / "pk.toml"), output=folder / "card.h5")


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
        "GMFE at start",
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
        ({"data": "none.csv", "scenario": "textbook-1cpt"}, "there is no such file of data"),
        ({"data": "oral.csv", "fit": ["pk.CL=1..2 L/h"]}, "name the scenario with --scenario"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt"}, "nothing is free"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "card": None}, "name the card to fit"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1"]}, "is not NAME=LOW..HIGH"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=2..1 L/h"]}, "lower one below the upper"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 mg"]}, "dimensions differ"),
        ({"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.Cl=1..2 L/h"]}, "did you mean 'pk.CL'"),
        ({"data": "pk.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 L/h"]}, "there is no column 'time'"),
        (
            {"data": "oral.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 L/h", "pk.CL=1..3 L/h"]},
            "'pk.CL' is freed twice",
        ),
        ({"data": "typo.csv", "scenario": "textbook-1cpt", "fit": ["pk.CL=1..2 L/h"]}, "there is no column 'Sd'"),
        ({"data": "pk.toml", "scenario": "textbook-1cpt"}, "a study names its own scenarios"),
    ],
)
def test_a_mistake_is_one_sentence(folder, options, said):
    data = options["data"]
    path = str(folder / data) if "." in data else data
    with pytest.raises(InputError) as caught:
        run.calibrate(**{"card": "textbook", **options, "data": path})
    assert said in caught.value.message and "\n" not in str(caught.value)


# ---------------------------------------------------------------- the card's text
@pytest.mark.parametrize("name", sorted(read_library().cards))
def test_every_card_can_be_rewritten(name, library):
    text, card = library.cards[name].read_text(encoding="utf-8"), library.card(name)
    last = list(card.parameters.values())[-1]
    written = card_editing.rewrite(text, {last.name: last})
    changed = [(a, b) for a, b in zip(written.splitlines(), text.splitlines(), strict=True) if a != b]
    assert len(changed) <= 1


def test_a_comment_after_a_rewritten_value_stays(library):
    parameter = library.card("textbook").parameters["pk.CL"]
    rest = "  # as { before }\n\n[x]\ny = { value = 2 }\n"
    text = '[pk]  # all\nCL = { value = 1, unit = "L/h", basis = "assumed", note = "a } b" }' + rest
    written = card_editing.rewrite(text, {"pk.CL": parameter})
    assert written.endswith("}" + rest) and "value = 4" in written
    added = card_editing.rewrite("[x]\ny = { value = 2 }\n", {"pk.CL": parameter})
    assert added.startswith("[x]\ny = { value = 2 }\n") and "[pk]\nCL = { value = 4" in added
    with pytest.raises(InputError, match="on a line of its own"):
        card_editing.rewrite('[pk.CL]\nvalue = 1\nunit = "L/h"\n', {"pk.CL": parameter})


# ---------------------------------------------------------------- the raw data
@needs_raw
@pytest.mark.parametrize("study", sorted(read_library().studies))
def test_shipped_studies_find_their_data_and_their_card(study, library):
    found = studies.read(library.studies[study], RAW, library)
    assert {d.part for d in found.data} == {"fit", "judge"} and found.source in library.references


def refitted(study, library):
    """The study fitted again from the shipped values: what judged series say, by name."""
    found = run.calibrate(None, study, raw=RAW, starts=1).summary
    for name, entry in found["parameters"].items():  # the shipped card is what the fit gives
        assert entry["bound"] or not np.isfinite(entry["cv"]) or entry["low"] < entry["start"] < entry["high"], name
    return {(row["part"], row["quantity"]): row for row in found["rows"]}, found["errors"]


@needs_raw
@pytest.mark.slow
def test_particles_at_the_middle_dose_follow_from_the_low_one(library):
    rows, _ = refitted("shalgunov2017", library)
    for quantity in ("plasma half-life", "tumour at 24 h", "liver at 24 h"):
        assert rows["judge", quantity]["fold"] < 1.5, quantity


@needs_raw
@pytest.mark.slow
def test_amphotericin_in_spleen_and_at_24_h_follows_from_plasma_and_liver_to_8_h(library):
    rows, errors = refitted("kagan2013", library)
    judged = next(e for e in errors if e["part"] == "judge" and e["series"] is None)
    assert judged["gmfe"] < 1.5 and rows["judge", "ambisome, organ.liver at 24 h"]["fold"] < 1.5


@needs_raw
@pytest.mark.slow
def test_killing_at_one_to_ten_follows_from_one_to_five_and_one_to_twenty_five(library):
    """Cytolysis against wells without CAR-T cells, within ten points at 48 and 72 h."""
    rows, _ = refitted("carrgo", library)
    judged = [
        r for (part, name), r in rows.items() if part == "judge" and name.startswith("ten, dish.index against control")
    ]
    assert len(judged) >= 2 and all(abs(r["predicted"] - r["observed"]) < 0.10 for r in judged)


@needs_raw
@pytest.mark.slow
def test_growth_stands_still_after_the_transfer_of_t_cells_and_comes_back(library):
    """About 0 within 0.1 per day on days 3 to 5; day 7, which is not fitted, is larger again."""
    rows, _ = refitted("b16f10", library)
    day3, day5 = (rows["fit", f"transfer, tumour.volume at {t} h"]["predicted"] for t in (96, 144))
    day7 = rows["judge", "transfer, tumour.volume at 192 h"]
    assert abs(np.log(day5 / day3) / 2) < 0.1 and day7["predicted"] > day5 and day7["fold"] < 1.6


@needs_raw
@pytest.mark.slow
def test_growth_and_response_of_later_experiments_follow_from_earlier_ones(library):
    """Volumes under IgG and under the antibody, the ratio of both, and the share of mice without a tumour."""
    _, errors = refitted("mc38", library)
    judged = [e for e in errors if e["part"] == "judge"]
    assert len(judged) >= 3 and all(e["gmfe"] < 1.6 for e in judged), judged


def test_the_page_of_a_fit(fitted, folder, tmp_path):
    made = report.report(folder / "fit.h5", tmp_path / "page.html")
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["kind"] == "calibrate" and fitted["identifiability"] in made["verdict"] and "can be drawn" not in said
    for name, entry in fitted["parameters"].items():
        assert f'data-value="{entry["estimate"]!r}" data-key="parameters/{name}/estimate"' in said
