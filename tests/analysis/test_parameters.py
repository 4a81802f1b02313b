"""Parameters of noncompartmental analysis: as WinNonlin has them on measured data, by hand, and partial areas in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from nanomg import nca
from nanomg.analysis.cdisc import CODES, PARTIAL
from nanomg.errors import InputError

LN2 = np.log(2.0)


def curve(times: Any, values: Any, unit: str = "mg L-1") -> xr.DataArray:
    time = ("time", np.asarray(times, float), {"units": "h"})
    return xr.DataArray(np.asarray(values, float), {"time": time}, "time", attrs={"units": unit})


def numbers(found: xr.Dataset) -> dict[str, Any]:
    return {str(name): v.values.tolist() for name, v in found.items()}


def agree(found: xr.Dataset, expected: dict[str, float], rel: float = 1e-6) -> None:
    values = numbers(found)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=rel)


# ---------------------------------------------------------------- WinNonlin
# Theoph and Indometh come with R. Results of WinNonlin 6.3 and 7.0: NonCompart-tests, validation.md (S. Han 2018).
THEOPHYLLINE_1 = curve(
    (0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 24.37),
    (0.74, 2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28),
)
SAMPLED = (0.25, 0.5, 0.75, 1, 1.25, 2, 3, 4, 5, 6, 8)
INDOMETHACIN_1 = curve(SAMPLED, (1.5, 0.94, 0.78, 0.48, 0.37, 0.19, 0.12, 0.11, 0.08, 0.07, 0.05))
INDOMETHACIN_4 = curve(SAMPLED, (1.85, 1.39, 1.02, 0.89, 0.59, 0.4, 0.16, 0.11, 0.1, 0.07, 0.07))


def test_an_oral_dose_as_winnonlin_has_it() -> None:
    expected = {
        "CMAXD": 0.0328125,
        "TLAG": 0.0,
        "R2": 0.99999973,
        "AUCALL": 147.2347485,
        "AUCIFOD": 0.6716363,
        "AUCIFPD": 0.6716458,
        "AUCPEP": 31.4953518,
        "CLFP": 1.4888800,
        "VZFP": 30.7258003,
        "AUMCLST": 1499.1290852,
        "AUMCIFP": 4545.7288462,
        "AUMCPEP": 67.0211503,
        "MRTEVLST": 10.1818973,
        "MRTEVIFP": 21.1501401,
    }
    found = nca(THEOPHYLLINE_1, dose="320 mg")
    agree(found, expected)
    assert found.CMAXD.units == "mg L-1 mg-1" and found.AUCIFOD.units == "mg L-1 h mg-1"


def test_after_a_bolus_the_line_may_begin_at_cmax_as_in_winnonlin() -> None:
    expected = {
        "LAMZNPT": 11,
        "LAMZLL": 0.25,
        "LAMZ": 0.4554455,
        "R2": 0.8728249,
        "R2ADJ": 0.8586943,
        "C0": 2.4622302,
        "AUCIFO": 2.9389745,
        "AUCIFP": 2.8554521,
        "AUCPEP": 2.4575198,
        "AUCPBEP": 18.8771782,
        "CLP": 8.7551811,
        "VZP": 19.2233361,
        "AUMCIFP": 5.0973376,
        "MRTIBLST": 1.5732267,
        "MRTIBIFP": 1.7851245,
        "VSSO": 17.2181012,
        "VSSP": 15.6290886,
    }
    bolus: Any = {"dose": "25 mg", "route": "iv bolus", "method": "linear"}
    agree(nca(INDOMETHACIN_4, include_cmax=True, **bolus), expected)
    agree(nca(INDOMETHACIN_4, **bolus), {"LAMZNPT": 10, "LAMZ": 0.42907615, "LAMZLL": 0.5})


def test_an_infusion_as_winnonlin_has_it() -> None:
    found = nca(INDOMETHACIN_1, dose="25 mg", route="infusion", duration="15 min", method="linear")
    expected = {
        "AUCIFP": 2.0586347485226,
        "MRTICLST": 1.75367910983489,
        "MRTICIFO": 3.66319049340946,
        "MRTICIFP": 3.67121783380522,
        "VSSO": 44.5196226647266,
        "VSSP": 44.5831616964918,
    }
    agree(found, expected, rel=1e-9)


def test_codes_and_names_fit_the_variables_that_hold_them() -> None:
    """SDTM allows PPTESTCD 8 letters and digits, the first no digit, and PPTEST 40 letters (SDTMIG 3.3, domain PP)."""
    for code, entry in {**CODES, **PARTIAL}.items():
        assert len(code) <= 8 and code.isalnum() and code[0].isalpha() and len(entry.text) <= 40, code


# ---------------------------------------------------------------- by hand
def test_the_area_to_the_last_sample_and_the_lag() -> None:
    """Two samples at 0, up in a line to 8, down to 0: the last triangle belongs to AUCALL alone."""
    found = nca(curve((0, 1, 2, 3, 4, 6), (0, 0, 8, 4, 2, 0)))
    agree(found, {"TLAG": 1.0, "AUCLST": 4 + 6 / LN2, "AUCALL": 4 + 6 / LN2 + 2.0}, rel=1e-12)
    assert float(nca(curve((1, 2, 3, 4), (8, 4, 2, 1))).TLAG) == 0.0


def test_what_is_normalised_by_the_dose() -> None:
    halved = curve((0, 1, 2, 3), (8, 4, 2, 1))
    per_weight = nca(halved, dose="5 mg/kg", route="iv bolus", intervals=["0..2 h"])
    agree(per_weight, {"CMAXD": 1.6, "AUCLSTD": 7 / LN2 / 5, "AUCIFPD": 8 / LN2 / 5}, rel=1e-12)
    assert float(per_weight.AUCINTD[0]) == pytest.approx(6 / LN2 / 5, rel=1e-12)
    assert per_weight.CMAXD.units == "mg L-1 mg-1 kg" and per_weight.CLP.units == "L h-1 kg-1"
    in_grams = nca(halved, dose="0.005 g", tau="3 h", route="iv bolus")
    agree(in_grams, {"CMAXD": 1600.0, "AUCTAUD": 7 / LN2 / 0.005}, rel=1e-12)
    assert in_grams.AUCTAUD.units == "mg L-1 h g-1"


def test_a_sample_before_a_bolus_is_known_where_another_was_not_taken() -> None:
    found = nca(curve((0, 0.5, 1, 2, 3), (0, np.nan, 8, 4, 2)), route="iv bolus", missing="skipped")
    agree(found, {"C0": 16.0, "AUCALL": 14 / LN2}, rel=1e-12)


# ---------------------------------------------------------------- partial areas
def test_partial_areas_of_an_exponential_are_exact_within_samples_and_after_them() -> None:
    t = np.arange(0.0, 13.0, 2.0)
    found = nca(
        curve(t, 4 * np.exp(-0.1 * t)), route="iv bolus", intervals=["0..4 h", "1..7 h", "3 h..300 min", "10..40 h"]
    )
    area = lambda a, b: 40 * (np.exp(-0.1 * a) - np.exp(-0.1 * b))
    expected = [area(0, 4), area(1, 7), area(3, 5), area(10, 40)]
    assert found.AUCINT.values == pytest.approx(expected, rel=1e-12)
    assert found.AUCINT.interval.values.tolist() == ["0..4 h", "1..7 h", "3..5 h", "10..40 h"]
    assert found.AUCINT.interval_end.values.tolist() == [4, 7, 5, 40] and found.AUCINT.units == "mg L-1 h"


def test_partial_areas_of_straight_lines() -> None:
    """Up from (0, 0) to (4, 8), down to (8, 0): triangles."""
    up_and_down = curve((0, 4, 8), (0, 8, 0))
    found = nca(up_and_down, method="linear", intervals=["0..2 h", "2..6 h", "6..9 h"])
    assert found.AUCINT.values == pytest.approx([4, 24, 4], rel=1e-12)


def test_partial_areas_add_up_to_the_others() -> None:
    found = nca(THEOPHYLLINE_1, intervals=["0..10 h", "10..24.37 h", "24.37..2000 h"])
    assert found.AUCINT[:2].sum() == pytest.approx(float(found.AUCLST), rel=1e-12)
    assert found.AUCINT.sum() == pytest.approx(float(found.AUCIFO), rel=1e-12)
    steady = nca(INDOMETHACIN_1, tau="6 h", intervals=["0..2 h", "2..6 h"])
    assert steady.AUCINT.sum() == pytest.approx(float(steady.AUCTAU), rel=1e-12)


def test_an_area_beyond_the_samples_needs_a_terminal_slope() -> None:
    found = nca(curve((0, 1, 2), (1, 2, 1)), intervals=["0..2 h", "0..3 h"])
    assert np.isfinite(found.AUCINT[0]) and np.isnan(found.AUCINT[1])


# ---------------------------------------------------------------- below the limit of quantification
@pytest.mark.parametrize(
    ("rule", "area", "lag"),
    [
        ("0 then missing", 4 + 6 / LN2, 1.0),
        ("0", 4 + 6 / LN2 + 1.0, 1.0),
        ("missing", 0.5 * 2 * 8 + 6 / LN2, 0.0),
        ("LLOQ/2", 0.25 + 0.5 + 4.25 + 6 / LN2 + 1.5 / np.log(4), 0.0),
    ],
)
def test_each_rule_for_samples_below_the_limit(rule: Any, area: float, lag: float) -> None:
    """0.2, 0.4 | 8, 4, 2 | 0.3 with a limit of 1: the area to the last sample that counts."""
    found = nca(curve((0, 1, 2, 3, 4, 5), (0.2, 0.4, 8, 4, 2, 0.3)), lloq="1 mg/L", blq=rule)
    assert float(found.AUCALL) == pytest.approx(area - (0.25 if rule == "LLOQ/2" else 0.0), rel=1e-12)
    assert float(found.TLAG) == lag


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"dose": "320"}, "nca: dose: the dose 320 lacks its unit; write for example '320 mg' or '5 mg/kg'"),
        ({"dose": 320}, "the dose 320 lacks its unit"),
        ({"dose": "5 %"}, "the dose 5 % lacks its unit"),
        ({"dose": xr.DataArray([5.0], dims="subject", attrs={"units": "1"})}, "the doses lack their unit"),
        ({"C": curve((0, 1, 1, 2), (1, 2, 3, 1))}, "there are two values at one time (1); keep one, or their mean"),
        ({"include_cmax": True}, "only after an iv bolus may the terminal line begin at CMAX"),
        ({"intervals": ["4 h"]}, "'4 h' is not START..END with a unit, such as '0..4 h'"),
        ({"intervals": ["4..2 h"]}, "must start at 0 or later and end after that"),
        ({"intervals": ["0..30 h"], "tau": "12 h"}, "must end within the dosing interval `tau`"),
        ({"blq": "half"}, "there is no rule for samples below the limit 'half'"),
        ({"blq": "LLOQ/2"}, "needs the limit of quantification"),
    ],
    ids=str,
)
def test_a_mistake_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        nca(**{"C": THEOPHYLLINE_1} | given)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
