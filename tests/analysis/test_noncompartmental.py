"""Noncompartmental analysis: by hand, against another program on measured data, against closed forms of the textbook."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from nanomg import nca
from nanomg.analysis import profiles
from nanomg.dosing.dose import Dose
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.results import groups
from nanomg.simulation import arms as simulation_arms

LN2 = np.log(2.0)


def curves(times: Any, *values: Any, unit: str = "mg L-1") -> xr.DataArray:
    """Curves of subjects at common times [h]."""
    coords = {"time": ("time", np.asarray(times, float), {"units": "h"})}
    return xr.DataArray(np.array(values, float), dims=("subject", "time"), coords=coords, attrs={"units": unit})


def only(found: xr.Dataset) -> dict[str, float]:
    """The parameters of the first subject."""
    return {str(name): float(v[0]) for name, v in found.items()}


def reasons(found: xr.Dataset) -> list[str]:
    words = found.PPREASND.attrs["flag_meanings"].split()
    return [words[i] for i in found.PPREASND.values]


# ---------------------------------------------------------------- by hand
TIMES, VALUES = (0.0, 1.0, 2.0, 4.0, 8.0), (0.0, 8.0, 4.0, 1.0, 1 / 16)  # up in a line, then halved each hour


def test_by_hand_linear_up_log_down() -> None:
    found = only(nca(curves(TIMES, VALUES), dose="100 mg"))
    expected = {
        "CMAX": 8.0,
        "TMAX": 1.0,
        "CLST": 1 / 16,
        "TLST": 8.0,
        "LAMZ": LN2,
        "LAMZHL": 1.0,
        "LAMZNPT": 3,
        "LAMZLL": 2.0,
        "LAMZUL": 8.0,
        "R2ADJ": 1.0,
        "AUCLST": 4 + (8 - 1 / 16) / LN2,
        "AUCIFO": 4 + 8 / LN2,
        "AUCIFP": 4 + 8 / LN2,
        "AUCPEO": 100 / 16 / LN2 / (4 + 8 / LN2),
        "AUMCIFO": 4 + 8 * (1 / LN2 + 1 / LN2**2),
        "AUMCLST": 4 + 8 * (1 / LN2 + 1 / LN2**2) - (8 / LN2 + 1 / LN2**2) / 16,
        "CLFO": 100 / (4 + 8 / LN2),
        "VZFO": 100 / (4 + 8 / LN2) / LN2,
        "MRTEVIFO": (4 + 8 * (1 / LN2 + 1 / LN2**2)) / (4 + 8 / LN2),
        "PPREASND": 0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("method", "area"),
    [("linear", 4 + 6 + 5 + 2.125), ("log", 4 + (8 - 1 / 16) / LN2), ("linear-up log-down", 4 + (8 - 1 / 16) / LN2)],
)
def test_by_hand_each_rule(method: Any, area: float) -> None:
    assert only(nca(curves(TIMES, VALUES), method=method))["AUCLST"] == pytest.approx(area, rel=1e-12)


def test_a_logarithmic_rise_counts_for_the_log_rule_only() -> None:
    rising = curves((0.0, 1.0, 2.0), (1.0, 2.0, 4.0))
    assert only(nca(rising, method="log"))["AUCLST"] == pytest.approx(3 / LN2)
    assert only(nca(rising))["AUCLST"] == 4.5


def test_units_and_names_come_with_the_numbers() -> None:
    found = nca(curves(TIMES, VALUES, unit="mg/mL"), dose="0.1 g", volume="mL")
    shown = {str(name): v.attrs.get("units") for name, v in found.items()}
    assert shown["CMAX"] == "mg mL-1"
    assert shown["AUCIFO"] == "mg mL-1 h"
    assert shown["AUMCIFO"] == "mg mL-1 h2"
    assert shown["LAMZ"] == "h-1"
    assert shown["CLFO"] == "mL h-1"
    assert shown["VZFO"] == "mL"
    assert shown["AUCPEO"] == "%"
    assert shown["LAMZNPT"] == "1"
    assert only(found)["CLFO"] == pytest.approx(100 / (4 + 8 / LN2))
    assert all(v.attrs["long_name"] for v in found.values())
    assert found.attrs["method"] == "trapezoids, linear-up log-down" and found.attrs["dose"] == "0.1 g"


def test_a_dose_per_weight_gives_a_clearance_per_weight() -> None:
    found = nca(curves(TIMES, VALUES, unit="mmol L-1"), dose="50 mmol/kg")
    assert found.CLFO.attrs["units"] == "L h-1 kg-1" and found.VZFO.attrs["units"] == "L kg-1"
    assert only(found)["CLFO"] == pytest.approx(50 / (4 + 8 / LN2))


def test_doses_differ_between_subjects_and_none_has_no_clearance() -> None:
    doses = xr.DataArray([100.0, 200.0, 0.0], dims="subject", attrs={"units": "mg"})
    found = nca(curves(TIMES, VALUES, VALUES, VALUES), dose=doses)
    assert found.CLFO.values == pytest.approx(np.array([1.0, 2.0, np.nan]) * 100 / (4 + 8 / LN2), nan_ok=True)
    assert "CLFO" not in nca(curves(TIMES, VALUES))


def test_codes_follow_route_and_state() -> None:
    fall = curves((0.0, 1.0, 2.0, 4.0, 12.0), (16.0, 8.0, 4.0, 1.0, 1 / 256))
    of = lambda **given: set(map(str, nca(fall, dose="1 mg", **given)))
    assert {"C0", "CLO", "VZO", "VSSO", "MRTIBIFO", "AUCPBEO"} <= of(route="iv bolus")
    assert {"CLO", "VSSO", "MRTICIFO"} <= of(route="infusion", duration="30 min")
    assert {"CLFTAU", "VZFTAU", "AUCTAU", "CAVG", "CTROUGH", "FLUCP", "SWING"} <= of(tau="12 h")
    assert not {"AUCIFO", "CLFO", "MRTEVIFO", "CLTAU"} & of(tau="12 h")


# ---------------------------------------------------------------- another program, measured data
# Subject 1 of Theoph and of Indometh, which come with R, as the R package NonCompart analyses them (`down = "Log"`).
THEOPHYLLINE = curves(
    (0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 24.37),
    (0.74, 2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28),
)
INDOMETHACIN = curves(
    (0.25, 0.5, 0.75, 1, 1.25, 2, 3, 4, 5, 6, 8), (1.5, 0.94, 0.78, 0.48, 0.37, 0.19, 0.12, 0.11, 0.08, 0.07, 0.05)
)


def test_sparse_samples_after_an_oral_dose_as_another_program_has_them() -> None:
    expected = {
        "LAMZ": 0.0484569969657749,
        "LAMZLL": 9.05,
        "R2ADJ": 0.999999459349959,
        "AUCLST": 147.234748537004,
        "AUCIFO": 214.92363157523,
        "AUCIFP": 214.926654340821,
        "AUCPEO": 31.4943882820688,
        "AUMCIFO": 4545.59280107095,
        "AUMCPEO": 67.0201632489583,
        "VZFO": 30.726232470311,
        "CLFO": 1.48890095358356,
        "MRTEVIFO": 21.1498045503659,
    }
    found = only(nca(THEOPHYLLINE, dose="320 mg"))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert only(nca(THEOPHYLLINE, method="linear"))["AUCLST"] == pytest.approx(148.92305)


def test_sparse_samples_after_a_bolus_as_another_program_has_them() -> None:
    expected = {
        "C0": 2.3936170212766,
        "LAMZ": 0.158320482400297,
        "LAMZNPT": 3,
        "AUCLST": 2.00989843640473,
        "AUCIFO": 2.32571354283916,
        "AUCPBEO": 20.5542573329663,
        "AUMCIFO": 7.82610054595286,
        "CLO": 10.7493891829347,
        "VZO": 67.8963897782727,
        "VSSO": 36.1720388189024,
        "MRTIBIFO": 3.365032022129,
    }
    found = only(nca(INDOMETHACIN, dose="25 mg", route="iv bolus"))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------- closed forms
MODELS = {"textbook-1cpt": 96.0, "textbook-2cpt": 168.0, "textbook-3cpt": 672.0}  # with a horizon [h]
DOSE, DURATION, TAU = 100.0, 2.0, 12.0
PERIPHERAL = (("pk.Q", "pk.V2"), ("pk.Q2", "pk.V3"))


def arms(doses: int) -> dict[str, tuple[Dose, ...]]:
    """The same doses by each route."""
    into = {"iv bolus": ("pk.central", 0.0), "infusion": ("pk.central", DURATION), "extravascular": ("pk.depot", 0.0)}
    return {r: tuple(Dose(TAU * i, DOSE, cmt, d) for i in range(doses)) for r, (cmt, d) in into.items()}


@functools.cache
def simulated(name: str, horizon: float, doses: int = 1) -> tuple[Mapping[str, float], xr.DataArray]:
    """Parameters of a model, and its central concentration every 0.25 h, by route."""
    found = dataclasses.replace(scenario_file.load(name, library()), horizon=horizon, every=0.25)
    run = simulation_arms.run_arms(found, arms(doses))
    shown = groups.trajectories(found.model, run.regimens, run.hypotheses, run.times, run.data, run.status)
    return {k: float(v) for k, v in found.values.items()}, shown["pk.C"].isel(hypothesis=0)


def rates(p: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Exponents [1/h] and coefficients [1/L] of the central concentration after a bolus."""
    beside = [(Q, V) for Q, V in PERIPHERAL if Q in p]
    A = np.zeros((1 + len(beside),) * 2)
    A[0, 0] = -p["pk.CL"] / p["pk.V"]
    for i, (Q, V) in enumerate(beside, 1):
        A[0, 0] -= p[Q] / p["pk.V"]
        A[i, 0], A[0, i], A[i, i] = p[Q] / p["pk.V"], p[Q] / p[V], -p[Q] / p[V]
    values, modes = np.linalg.eig(A)
    return -values.real, (modes[0] * np.linalg.inv(modes)[:, 0]).real / p["pk.V"]


@pytest.mark.parametrize("route", ["iv bolus", "infusion", "extravascular"])
@pytest.mark.parametrize("name", MODELS)
def test_a_simulated_dose_gives_the_closed_forms(name: str, route: Any) -> None:
    """To 1e-3, with samples every 0.25 h; the last tolerance is for curves without noise."""
    p, C = simulated(name, MODELS[name])
    duration = DURATION if route == "infusion" else 0.0
    found = nca(
        C.sel(regimen=route),
        dose=f"{DOSE} mg",
        route=route,
        duration=f"{duration} h" if duration else None,
        tolerance=1e-6,
    )
    rate, share = rates(p)
    clearance, area = p["pk.CL"], DOSE / p["pk.CL"]
    steady = p["pk.V"] + sum(p[V] for _, V in PERIPHERAL if V in p)
    residence = steady / clearance + (1 / p["pk.ka"] if route == "extravascular" else 0.0)
    expected = {
        "AUCIFO": area,
        "AUCIFP": area,
        "AUMCIFO": area * (residence + duration / 2),
        "LAMZ": rate.min(),
        "LAMZHL": LN2 / rate.min(),
        "MRTEVIFO": residence,
        "MRTIBIFO": residence,
        "MRTICIFO": residence,
        **dict.fromkeys(("CLO", "CLFO"), clearance),
        **dict.fromkeys(("VZO", "VZFO"), clearance / rate.min()),
        "VSSO": steady,
        "C0": DOSE / p["pk.V"],
    }
    for code in expected.keys() & set(found):
        assert float(found[code]) == pytest.approx(expected[code], rel=1e-3), code
    extrapolated = {  # the share of the area after the horizon
        "iv bolus": 1.0,
        "infusion": np.expm1(rate * DURATION) / (rate * DURATION),
        "extravascular": p["pk.ka"] / (p["pk.ka"] - rate),
    }[route]
    left = DOSE * np.sum(extrapolated * share / rate * np.exp(-rate * MODELS[name])) / area
    assert 0 < left < 0.01
    assert float(found.AUCPEO) == pytest.approx(100 * left, rel=5e-3)


@pytest.mark.parametrize("route", ["iv bolus", "infusion", "extravascular"])
def test_the_last_of_many_doses_gives_the_steady_state(route: Any) -> None:
    p, C = simulated("textbook-1cpt", 108.0, 9)
    found = nca(
        C.sel(regimen=route),
        dose=f"{DOSE} mg",
        route=route,
        duration=f"{DURATION} h" if route == "infusion" else None,
        since="96 h",
        tau=f"{TAU} h",
        tolerance=1e-6,
    )
    k, a, V = p["pk.CL"] / p["pk.V"], p["pk.ka"], p["pk.V"]
    left = lambda r: np.exp(-r * TAU) / -np.expm1(-r * TAU)  # of all earlier doses, at the end of an interval
    trough = {
        "iv bolus": DOSE / V * left(k),
        "infusion": DOSE / V * left(k) * np.expm1(k * DURATION) / (k * DURATION),
        "extravascular": DOSE / V * a / (a - k) * (left(k) - left(a)),
    }[route]
    expected = {"AUCTAU": DOSE / p["pk.CL"], "CAVG": DOSE / p["pk.CL"] / TAU, "CTROUGH": trough}
    expected |= dict.fromkeys(("CLTAU", "CLFTAU"), p["pk.CL"])
    if route == "iv bolus":
        peak = trough + DOSE / V
        expected |= {"C0": peak, "CMAX": peak, "CMIN": trough, "TMIN": TAU, "SWING": peak / trough - 1}
        expected["FLUCP"] = 100 * (peak - trough) * p["pk.CL"] * TAU / DOSE
    for code in expected.keys() & set(found):
        assert float(found[code]) == pytest.approx(expected[code], rel=1e-3), code


def test_doses_may_have_a_dimension_of_their_own() -> None:
    _, C = simulated("textbook-1cpt", 96.0)
    doses = xr.DataArray([100.0, 50.0], dims="dose", coords={"dose": ["full", "half"]}, attrs={"units": "mg"})
    found = nca(C, dose=doses, route="iv bolus")
    assert float(found.CLO.sel(regimen="iv bolus", dose="half")) == pytest.approx(2.0, rel=1e-3)


# ---------------------------------------------------------------- what cannot be had
def test_each_reason_and_never_an_error() -> None:
    found = nca(
        curves(
            (0, 1, 2, 3, 4, 5),
            (0, 8, 4, 2, 1, 0.5),
            (0, 0, 0, 0, 0, 0),
            (0, 8, np.nan, 2, 1, 0.5),
            (np.nan,) * 6,
            (0, 1, 2, 4, 8, 4),
            (0, 9, 1, 2, 3, 4),
            (0, 8, 4, 2, 0, 0),
        ),
        dose="1 mg",
    )
    assert reasons(found) == [
        "calculated",
        "nothing_above_0",
        "no_curve",
        "no_curve",
        "too_few_points_after_the_peak",
        "does_not_fall",
        "too_few_points_after_the_peak",
    ]
    assert found.AUCLST.values[1] == 0 and np.isnan(found.TMAX.values[1]) and np.isnan(found.AUCIFO.values[1])
    assert np.isnan(found.CMAX.values[2:4]).all() and (found.LAMZNPT.values[2:4] == 0).all()
    assert found.AUCLST.values[4] == 0.5 + 1.5 + 3 + 6 + (8 - 4) / LN2 * 1
    assert found.TLST.values[6] == 3.0
    assert np.isnan(found.LAMZ.values[1:]).all() and np.isnan(found.CLFO.values[1:]).all()


def test_one_sample_and_a_constant_are_analysed() -> None:
    assert reasons(nca(curves((1.0,), (3.0,)), route="iv bolus")) == ["too_few_points_after_the_peak"]
    assert reasons(nca(curves(TIMES, (2.0,) * 5))) == ["does_not_fall"]


def test_a_dosing_interval_that_ends_too_early_is_said() -> None:
    found = nca(curves(TIMES, VALUES), tau="9 h", dose="1 mg")
    assert reasons(found) == ["dosing_interval_not_covered"]
    assert np.isnan(found.AUCTAU) and np.isnan(found.CLFTAU) and found.CMAX == 8


def test_no_sample_in_the_dosing_interval_is_no_curve() -> None:
    found = nca(curves(TIMES, VALUES).isel(time=slice(3, None)), tau="2 h")
    assert reasons(found) == ["no_curve"] and np.isnan(found.CMAX)


def test_the_end_of_a_dosing_interval_lies_between_samples() -> None:
    found = only(nca(curves(TIMES, VALUES), tau="6 h"))
    assert found["CTROUGH"] == pytest.approx(1 / 4)
    assert found["AUCTAU"] == pytest.approx(4 + (8 - 1 / 4) / LN2)
    assert found["CMIN"] == 0.0 and found["TMIN"] == 0.0


def test_the_peak_of_the_next_bolus_is_no_trough() -> None:
    found = only(nca(curves((0, 1, 2, 3, 4, 5), (16, 8, 4, 2, 17, 9)), route="iv bolus", tau="4 h"))
    assert found["CTROUGH"] == pytest.approx(1.0)
    assert found["AUCTAU"] == pytest.approx(15 / LN2) and found["CMAX"] == 16


# ---------------------------------------------------------------- samples
def test_a_sample_not_taken_is_skipped_where_asked_for() -> None:
    gaps = curves((*TIMES, 9.0), (*VALUES[:2], np.nan, *VALUES[3:], np.nan), (*VALUES, np.nan))
    found = nca(gaps, missing="skipped")
    assert found.AUCLST.values == pytest.approx(4 + (8 - 1 / 16) / LN2, rel=1e-12)
    assert list(found.LAMZNPT.values) == [0, 3] and list(found.TLST.values) == [8.0, 8.0]


def test_below_the_limit_of_quantification() -> None:
    """0 before the first quantifiable value; left out between such values, and after them."""
    given = curves((0, 1, 2, 3, 4, 5, 6, 7), (0.2, 0.4, 8, 4, 0.3, 1, 0.5, 0.1))
    found = only(nca(given, lloq="450 ug/L"))
    assert found["AUCLST"] == pytest.approx(4 + 4 / LN2 + 2 * 3 / np.log(4) + 0.5 / LN2)
    assert found["LAMZNPT"] == 3 and found["LAMZ"] == pytest.approx(LN2) and found["TLST"] == 6


def test_a_baseline_is_taken_off_and_what_lies_below_it_counts_as_nothing() -> None:
    raised = curves((-1.0, *TIMES), (0.5, *(0.5 + v for v in VALUES[:-1]), 0.3))
    found = nca(raised, baseline="predose")
    assert found.CMAX == 8 and found.TLST == 4.0
    assert float(found.AUCLST[0]) == pytest.approx(4 + 7 / LN2)
    xr.testing.assert_allclose(found, nca(raised, baseline="500 ug/L"))
    xr.testing.assert_allclose(
        found, nca(raised, baseline=xr.DataArray([5e-4], dims="subject", attrs={"units": "g/L"}))
    )


def test_a_later_dose_is_analysed_from_its_own_time() -> None:
    later = curves(np.array([-30.0, *TIMES]) + 48.0, (9.0, *VALUES))
    xr.testing.assert_allclose(nca(later, since="2 d"), nca(curves(TIMES, VALUES)))


def test_a_sample_drawn_before_a_bolus_is_not_its_start() -> None:
    found = only(nca(curves((0, 1, 2, 3, 4), (0, 8, 4, 2, 1)), route="iv bolus"))
    assert found["C0"] == pytest.approx(16.0)
    assert found["AUCIFO"] == pytest.approx(16 / LN2) and found["AUCPBEO"] == pytest.approx(50.0)


# ---------------------------------------------------------------- many curves
def many(count: int = 50) -> xr.DataArray:
    rng = np.random.default_rng(3)
    t = np.linspace(0.0, 48.0, 25)
    k = 0.1 * np.exp(0.4 * rng.standard_normal((count, 1)))
    y = (np.exp(-k * t) - np.exp(-10 * k * t)) * np.exp(0.05 * rng.standard_normal((count, len(t))))
    y[rng.random(y.shape) < 0.02] = np.nan
    return curves(t, *y)


def test_company_and_order_of_dimensions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    together = nca(many(), dose="1 mg", missing="skipped")
    xr.testing.assert_identical(nca(many().T, dose="1 mg", missing="skipped"), together)
    monkeypatch.setattr(profiles, "AT_ONCE", 60)
    xr.testing.assert_identical(nca(many(), dose="1 mg", missing="skipped"), together)


def test_lazy_curves_give_lazy_parameters() -> None:
    pytest.importorskip("dask")
    lazy = nca(many().chunk(subject=7, time=10), dose="1 mg", baseline="predose", missing="skipped")
    assert lazy.AUCIFO.chunks is not None
    xr.testing.assert_identical(lazy.compute(), nca(many(), dose="1 mg", baseline="predose", missing="skipped"))


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"C": curves((0, 2, 1), (1, 2, 3))}, "times must not decrease, and 1 comes after 2"),
        ({"C": curves((0, np.nan, 1), (1, 2, 3))}, "times must not decrease"),
        ({"C": curves(TIMES, VALUES).drop_attrs(deep=False)}, "the data lack the attribute `units`"),
        ({"C": curves(TIMES, VALUES).drop_vars("time")}, "no coordinate `time`"),
        ({"C": curves(TIMES, VALUES).assign_coords(time=list(TIMES))}, "coordinate `time` lacks the attribute `units`"),
        ({"route": "oral"}, "there is no route 'oral'"),
        ({"method": "lin"}, "there is no method 'lin'"),
        ({"route": "infusion"}, "takes a `duration` above 0"),
        ({"duration": "1 h"}, "takes a `duration` above 0"),
        ({"tau": "24"}, "nca: tau: '24' lacks its unit"),
        ({"tau": "-1 h"}, "must be longer than 0"),
        ({"dose": "5 mmol"}, "a dose in 'mmol' over a concentration in 'mg L-1' is not a volume"),
        ({"lloq": "1 mmol/L"}, "cannot be converted"),
        ({"points": 2}, "`points` of 3 or more"),
        ({"since": "9 h"}, "no sample is at or after"),
        ({"route": "iv bolus", "baseline": "predose"}, "no sample is before the dose"),
    ],
    ids=str,
)
def test_a_mistake_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        nca(**{"C": curves(TIMES, VALUES)} | given)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
