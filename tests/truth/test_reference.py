"""Kind of truth: numbers published, or computed by hand from published ones, with the place that each comes from.

The mass balance of docs/feasibility.md is the reference for what a carrier does: payload by geometry, uptake as published,
release at a half-life of 24 h, washout by the transfer constant. Where the model leaves a factor of 2 around it, the mechanism
that makes the difference is named here and in docs/feasibility.md, and its size is tested.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from nanomg.dosing.dose import Dose, Window
from nanomg.equations.model import Model
from nanomg.library.scenario_file import load
from nanomg.models import library
from nanomg.models.antipeg import AntiPEG
from nanomg.models.coat import Coat
from nanomg.models.interstitium import Interstitium
from nanomg.models.lfa1 import LFA1
from nanomg.models.liposome import Liposome
from nanomg.models.magnesium import Magnesium
from nanomg.models.tumour import Tumour
from nanomg.simulation import lanes as simulation_lanes

DAY = 24.0
HALF_LIFE_24_H = np.log(2.0) / 24.0
MG_PER_UMOL = 0.024305  # Mg
UMOL_PER_G_SALT = 1e6 / 246.47  # MgSO4.7H2O


def within(factor: float, value: Any, reference: Any) -> bool:
    """Whether all values lie within a factor of their references."""
    ratio = np.asarray(value) / np.asarray(reference)
    return bool(np.all((ratio > 1.0 / factor) & (ratio < factor)))


@functools.cache
def values_of(scenario: str) -> dict[str, float]:
    return load(scenario, library()).values


def mechanism(model: Model, values: Mapping[str, float], name: str) -> tuple[Any, dict[str, Any]]:
    x = model.derive({n: values[n] for n in model.parameters})
    return model.mechanism_of(name, x), x


# ---------------------------------------------------------------- the particle
@pytest.mark.parametrize(("nm", "ug_per_mg"), [(80, 13.5), (100, 17.9), (150, 28.9)])
def test_payload_of_a_liposome(nm: float, ug_per_mg: float) -> None:
    """Geometry: a 5-nm bilayer of 0.44 nm2 and 726 g/mol a lipid around 300 mmol/L."""
    values = {**values_of("mouse-mc38-iv"), "liposome.diameter": nm * 1e-7}
    payload = load("mouse-mc38-iv", library()).model.derive(values)["liposome.M_per_lipid"]
    assert float(payload) * MG_PER_UMOL * 1000 == pytest.approx(ug_per_mg, rel=0.01)


def test_payload_of_a_lipid_nanoparticle() -> None:
    """About 1e4 Mg ions in 80 nm, 2.1 ug of Mg a mg of lipid: an eighth of a liposome's."""
    scenario = load("mouse-mc38-lnp", library())
    payload = float(scenario.model.derive(scenario.values)["lnp.M_per_lipid"]) * MG_PER_UMOL * 1000
    assert payload == pytest.approx(2.1, rel=0.02)


# ---------------------------------------------------------------- serum and kidney
BODY = Model(Magnesium)


@pytest.mark.parametrize(("total", "ionised"), [(0.70, 0.453), (0.85, 0.554), (1.3, 0.862), (2.0, 1.358), (3.0, 2.098)])
def test_speciation_of_serum(total: float, ionised: float) -> None:
    """Ionised share of 65 % at 0.85 and 70 % at 3 mmol/L, as ion-selective electrodes show."""
    body, _ = mechanism(BODY, values_of("human-nsclc-iv-mgso4"), "magnesium.ecf")
    assert float(body.ionised(total)) == pytest.approx(ionised, abs=1e-3)


def test_low_albumin_hides_normal_ionised_magnesium() -> None:
    """At 25 g/L of albumin a total of 0.85 mmol/L has 0.623 ionised."""
    values = {**values_of("human-nsclc-iv-mgso4"), "magnesium.albumin": 25.0 / 66.5}
    _, x = mechanism(BODY, values, "magnesium.ecf")
    assert float(x["magnesium.ionised_0"]) == pytest.approx(0.623, abs=1e-3)


def urine(values: Mapping[str, float], total: float) -> float:
    """Urinary Mg [umol/h] at a serum total [mmol/L]."""
    _, x = mechanism(BODY, values, "magnesium.ecf")
    state = {**dict.fromkeys(BODY.states, 0.0), "magnesium.ecf": total * values["magnesium.V1"]}
    inputs = {name: var.default for name, var in BODY.inputs.items()}
    return float(BODY.evaluate({**x, **state, **inputs})["magnesium.urine"])


def clearance(values: Mapping[str, float], total: float) -> float:
    """Further urine over rise of serum total [mL/h] between baseline and `total`."""
    base = values["magnesium.total_0"]
    return (urine(values, total) - urine(values, base)) / (total - base)


def test_renal_clearance() -> None:
    """5.0 mmol/d at 0.85 mmol/L; slope 1.58 L/h (Zhang 2016, supplements); 4.3 to 5.0 L/h of Mg by vein (Okusanya 2016)."""
    values = values_of("human-nsclc-iv-mgso4")
    assert urine(values, 0.85) * DAY / 1000 == pytest.approx(5.0, rel=1e-6)
    assert clearance(values, 0.851) / 1000 == pytest.approx(1.58, rel=0.1)
    for total, published in ((1.45, 4.2), (2.0, 4.9), (2.5, 5.2)):
        assert clearance(values, total) / 1000 == pytest.approx(published, rel=0.02)


class BodyRun(NamedTuple):
    times: np.ndarray
    total: np.ndarray  # (time, lane)
    urine: np.ndarray

    def at(self, hours: float, lane: int) -> float:
        return float(np.interp(hours, self.times, self.total[:, lane]))


LOAD_1, LOAD_2, SINGLE, DAILY, POOR_DIET, UNTREATED = range(6)


@pytest.fixture(scope="module")
def body_run() -> BodyRun:
    """4 g over 20 min then 1 or 2 g/h for 12 h; 400 mg once; 300 mg/d for 20 weeks; a tenth of the usual diet; nothing."""
    meals = [Dose(DAY * day + 8.0, 1.0, "magnesium.oral") for day in range(140)]
    load_dose, maintain = Dose(0.0, 1.0, "magnesium.iv", 1 / 3), Dose(1 / 3, 1.0, "magnesium.iv", 12.0)
    doses = (load_dose, maintain, Dose(0.0, 1.0, "magnesium.oral"), *meals)
    amount = np.zeros((len(doses), 6))
    amount[0, [LOAD_1, LOAD_2]] = 4 * UMOL_PER_G_SALT
    amount[1, [LOAD_1, LOAD_2]] = 12 * UMOL_PER_G_SALT, 24 * UMOL_PER_G_SALT
    amount[2, SINGLE] = 400 / MG_PER_UMOL
    amount[3:, DAILY] = 300 / MG_PER_UMOL
    times = np.concatenate([np.arange(0, 14, 0.1), np.arange(14, 140 * DAY + 1, 7.0)])
    values = {n: values_of("human-nsclc-iv-mgso4")[n] for n in BODY.parameters}
    plan = simulation_lanes.plan_for(BODY, doses)
    diet = (Window("magnesium.diet", 0.1, 0.0, 140 * DAY),)
    lanes = simulation_lanes.lanes_for(plan, values, doses, diet, times, 6, amount)
    lanes = lanes._replace(change=np.where(np.arange(6) == POOR_DIET, lanes.change, 0.0))
    solved = simulation_lanes.run(plan, lanes)
    assert not np.asarray(solved.status).any()
    found = simulation_lanes.observe(plan, lanes, solved, ("magnesium.total", "magnesium.urine"))
    return BodyRun(times, found["magnesium.total"], found["magnesium.urine"])


def test_intravenous_magnesium_sulfate(body_run: BodyRun) -> None:
    """Twice the baseline after the load (Okusanya 2016); 1.44 to 1.65 mmol/L at 12 h of 1 g/h (Salinger 2013); 2 to 3 of 2 g/h."""
    assert body_run.at(0.5, LOAD_1) / 0.85 == pytest.approx(2.0, rel=0.05)
    assert 1.44 < body_run.at(12.0, LOAD_1) < 1.65
    assert 2.0 < body_run.at(12.0, LOAD_2) < 3.0


def test_mean_level_under_magnesium_sulfate(body_run: BodyRun) -> None:
    """1.36 mmol/L over 12.33 h in Easterling 2018, whose volume of 65 L is an outlier."""
    during = body_run.times < 12.35
    mean = np.trapezoid(body_run.total[during, LOAD_1], body_run.times[during]) / 12.33
    assert mean == pytest.approx(1.36, rel=0.15)


def test_oral_magnesium(body_run: BodyRun) -> None:
    """400 mg raise serum by 0.041 to 0.053 mmol/L (Blancquaert 2019 and others); 300 mg/d by 0.02 to 0.06 (Zhang 2016)."""
    assert within(2.0, body_run.total[:140, SINGLE].max() - 0.85, [0.041, 0.053])
    last = body_run.times > 139 * DAY
    assert 0.02 < body_run.total[last, DAILY].mean() - 0.85 < 0.06
    more = (body_run.urine[last, DAILY].mean() - body_run.urine[last, UNTREATED].mean()) * DAY / 1000
    assert within(2.0, more, 1.52)  # mmol/d


def test_poor_diet(body_run: BodyRun) -> None:
    """A tenth of the usual intake: 0.735 mmol/L after one week, 0.67 after 20, by hand from the same renal threshold."""
    assert body_run.at(7 * DAY, POOR_DIET) == pytest.approx(0.735, rel=0.03)
    assert body_run.at(140 * DAY, POOR_DIET) == pytest.approx(0.67, rel=0.03)
    assert body_run.at(140 * DAY, UNTREATED) == pytest.approx(0.85, rel=1e-6)


# ---------------------------------------------------------------- LFA-1
LEVELS = np.array([0.20, 0.35, 0.55, 0.70, 0.85, 1.15])


@pytest.mark.parametrize(
    ("hypothesis", "EC50", "expected"),
    [
        (0, 0.8, [0.47, 0.68, 1, 1.23, 1.42, 1.71]),
        (0, 0.4, [0.45, 0.74, 1, 1.12, 1.20, 1.29]),
        (1, 0.8, [0.40, 0.67, 1, 1.23, 1.44, 1.83]),
        (2, 0.8, [0.79, 0.92, 1, 1.03, 1.06, 1.09]),
    ],
)
def test_lfa1_function(hypothesis: int, EC50: float, expected: Sequence[float]) -> None:
    """Function relative to 0.55 mmol/L: constants of Labadia 1998 and Griggs 1998 under H2, saturated under H3."""
    values = values_of("mouse-mc38-iv")
    fields = {n.removeprefix("lfa1."): values[n] for n in LFA1.parameters()}
    site = LFA1(**(fields | {"EC50": EC50}))
    found = np.array([float(site.functions(C)[hypothesis] / site.functions(0.55)[hypothesis]) for C in LEVELS])
    assert found == pytest.approx(np.array(expected), abs=0.011)


# ---------------------------------------------------------------- tumour: free Mg and liposomes
TUMOUR = Model(Magnesium, Interstitium, Tumour, Liposome, Coat, AntiPEG)
KTRANS = np.array([12.0, 1.2, 0.18])  # [mL/g/h] 0.2 /min well perfused, 0.02 poorly, 0.003 drainage alone
TIMES = np.concatenate([[0.0], np.geomspace(0.002, 60 * DAY, 160)])
LANES = 6  # and one without Mg
IV, DEPOT, INJECTION, SALT, HOLD = range(5)
DOSES = (
    Dose(0.0, 1.0, "liposome.iv"),
    Dose(0.0, 1.0, "liposome.intratumoral"),
    Dose(0.0, 1.0, "interstitium.injection"),
    Dose(0.0, 1.0, "magnesium.iv", 48.0),
    Dose(0.0, 1.0, "interstitium.injection", 48.0),
)
STILL = {
    "tumour.g": 0.0,
    "tumour.k_turnover": 0.0,
    "interstitium.J_max": 0.0,
    "interstitium.K_mix": 0.0,
    "liposome.k_free": HALF_LIFE_24_H,
    "liposome.k_inner": HALF_LIFE_24_H,
    "liposome.k_depot": HALF_LIFE_24_H,
    "liposome.phi_ec": 1.0,
    "liposome.thinning": 0.0,
}
OBSERVED = (
    "interstitium.C",
    "magnesium.ionised",
    "magnesium.total",
    "liposome.N_free",
    "coat.N_bound",
    "liposome.N_inner",
)


class TumourRun(NamedTuple):
    """Rises against no Mg, (time, lane) [mmol/L]: in the tumour, and what serum makes of it; and the tumour's uptake."""

    rise: np.ndarray
    serum: np.ndarray
    total: np.ndarray
    uptake: np.ndarray  # particles per g of tumour over those given
    values: Mapping[str, Any]
    constants: Mapping[str, Any]

    @property
    def local(self) -> np.ndarray:
        return self.rise - self.serum


def tumour_run(
    scenario: str,
    amounts: Mapping[int, Any],
    ktrans: Sequence[float] = (*KTRANS, *KTRANS),
    k_ext: Sequence[float] | None = None,
    changes: Mapping[str, float] | None = None,
) -> TumourRun:
    """Doses by lane into a tumour of constant mass without uptake by cells; release with a half-life of 24 h, all outside cells."""
    values: dict[str, Any] = {n: values_of(scenario)[n] for n in TUMOUR.parameters}
    values |= STILL | dict(changes or {})
    lanes = lambda row: np.append(row, row[0])
    values["interstitium.K_well"] = values["interstitium.K_poor"] = lanes(ktrans)
    values["liposome.K_ext"] = lanes(k_ext or [values["liposome.K_ext"]] * LANES)
    given = np.zeros((len(DOSES), LANES + 1))
    for dose, row in amounts.items():
        given[dose, :LANES] = row
    plan = simulation_lanes.plan_for(TUMOUR, DOSES, ("interstitium.K_well", "interstitium.K_poor", "liposome.K_ext"))
    block = simulation_lanes.lanes_for(plan, values, DOSES, (), TIMES, LANES + 1, given)
    solved = simulation_lanes.run(plan, block)
    assert not np.asarray(solved.status).any()
    found = simulation_lanes.observe(plan, block, solved, OBSERVED)
    x = TUMOUR.derive(values)
    change = {name: y[:, :LANES] - y[:, LANES:] for name, y in found.items()}
    particles = sum(change[name] for name in OBSERVED[-3:])
    dosed = np.maximum(given[IV, :LANES], 1e-30) * float(x["liposome.N_per_lipid"]) * float(x["tumour.mass_0"])
    return TumourRun(
        rise=change["interstitium.C"],
        serum=values["interstitium.gamma"] * change["magnesium.ionised"],
        total=found["magnesium.total"],
        uptake=particles / dosed,
        values=values,
        constants=x,
    )


def area(y: np.ndarray) -> np.ndarray:
    return np.trapezoid(y, TIMES, axis=0)


def time_to(y: np.ndarray, level: float) -> float:
    """When a curve that falls exponentially from the start reaches `level` [h]."""
    return float(np.interp(-np.log(level), -np.log(np.maximum(y[1:], 1e-12)), TIMES[1:]))


def eating(intake: float | None) -> dict[str, float]:
    """A usual intake [umol/h]. Where it is large, the kidney works far above its threshold and clears every rise in full."""
    return {} if intake is None else {"magnesium.intake": intake}


@functools.cache
def mouse_iv(intake: float | None = None) -> TumourRun:
    """0.96 and 4 mg of lipid, each at three transfer constants; K_ext as in the mouse alone (Harrington 2000)."""
    return tumour_run("mouse-mc38-iv", {IV: [0.96] * 3 + [4.0] * 3}, k_ext=[0.0055] * 6, changes=eating(intake))


@functools.cache
def human_iv(intake: float | None = None) -> TumourRun:
    """718 mg and uptake as in head and neck cancer; 2.44 g and uptake as in lung cancer (Harrington 2001)."""
    k_ext = [0.019] * 3 + [0.010] * 3
    return tumour_run("human-nsclc-iv", {IV: [718.0] * 3 + [2440.0] * 3}, k_ext=k_ext, changes=eating(intake))


def test_uptake_by_tumours() -> None:
    """5.5 % of the dose per g in mice at 24 h (Harrington 2000); 33 and 18.3 % per kg in patients (Harrington 2001)."""
    at_24_h = np.interp(24.0, TIMES, mouse_iv().uptake[:, 0])
    assert within(2.0, 100 * at_24_h, 5.5)
    low_dose = tumour_run("human-nsclc-iv", {IV: [718.0] * 6}, k_ext=[0.019] * 3 + [0.010] * 3)
    assert within(1.5, 1e5 * low_dose.uptake.max(0)[[0, 3]], [33.0, 18.3])


def test_default_uptake_in_the_mouse_is_the_published_one() -> None:
    """5.5 % of the dose per g at 24 h (Harrington 2000)."""
    run = tumour_run("mouse-mc38-iv", {IV: [0.96] * 3 + [4.0] * 3})
    at_24_h = np.interp(24.0, TIMES, run.uptake[:, 0])
    assert within(1.3, 100 * at_24_h, 5.5)


def test_local_part_of_a_liposome_by_vein() -> None:
    """Mass balance: uptake times release over transfer constant, [umol/L] at 0.2, 0.02 and 0.003 mL/g/min."""
    assert within(2.0, 1000 * mouse_iv().local.max(0), [0.12, 1.2, 7.7, 0.5, 4.8, 32.0])
    assert within(2.0, 1000 * human_iv().local.max(0), [0.13, 1.3, 8.7, 0.25, 2.5, 16.0])


def test_serum_part_of_a_liposome_by_vein() -> None:
    """Mass balance with a kidney that clears a rise as fast as a large one (5 L/h): six times the local area at 0.2 mL/g/min."""
    for run in (mouse_iv, human_iv):
        values = run().values
        linear = run(intake=5.0 * values["magnesium.GFR"] * values["magnesium.splay"])
        assert within(2.0, (area(linear.serum) / area(linear.local))[[0, 3]], 6.0)


def test_threshold_of_the_kidney_multiplies_the_serum_part() -> None:
    """Near its baseline the kidney gives most of a small rise back: 1.5 L/h against 5 L/h far above it in patients."""
    for run in (mouse_iv, human_iv):
        values = run().values
        splay = values["magnesium.GFR"] * values["magnesium.splay"]
        straight = {**values, "magnesium.intake": 5.0 * splay}
        fold = area(run(intake=5.0 * splay).serum)[0] / area(run().serum)[0]
        slopes = [clearance(v, 1.001 * values["magnesium.total_0"]) for v in (values, straight)]
        assert 2.0 < 1 / fold < 4.5
        assert within(1.25, fold, slopes[0] / slopes[1])


def test_rate_of_magnesium_sulfate_for_a_rise() -> None:
    """0.54 and 1.07 g/h for +0.3 and +0.6 mmol/L of ionised Mg at a clearance of 5 L/h; total 1.29 and 1.72 mmol/L."""
    rates = np.array([0.54, 1.07] * 3)
    run = tumour_run("human-nsclc-iv", {SALT: rates * 48.0 * UMOL_PER_G_SALT})
    last = np.searchsorted(TIMES, 48.0) - 1
    assert run.rise[last, :2] == pytest.approx([0.3, 0.6], rel=0.15)
    assert run.total[last, :2] == pytest.approx([1.29, 1.72], rel=0.05)


@functools.cache
def injected() -> TumourRun:
    """50 uL of 50 mmol/L into 0.1 g (lanes 0 to 2) and 2.5 mg of lipid as a depot (3 to 5), at three transfer constants."""
    return tumour_run(
        "mouse-mc38-iv",
        {INJECTION: [2.5] * 3 + [0.0] * 3, DEPOT: [0.0] * 3 + [2.5] * 3},
        changes={"liposome.k_ret": 0.0},
    )


def test_free_magnesium_into_the_tumour() -> None:
    """Peak 29 mmol/L in interstitium and injected volume together; half-lives 1.2, 12 and 81 min; above 0.3 mmol/L 8 min to 9 h."""
    run = injected()
    mass, ve = float(run.constants["tumour.mass_0"]), run.values["interstitium.ve"]
    local = run.local[:, :3]
    # the model does not widen the interstitium by what is injected, so its peak is that much higher
    widened = (ve * mass + 0.05) / (ve * mass)
    assert local[0] / widened == pytest.approx(29.0, rel=0.1)
    assert widened == pytest.approx(2.5, rel=0.05)
    half = [60 * time_to(local[:, i], local[0, i] / 2) for i in range(3)]
    assert half == pytest.approx([1.2, 12.0, 81.0], rel=0.1)
    lasting = [60 * time_to(local[:, i], 0.3) for i in range(3)]
    assert within(2.0, lasting, [8.0, 80.0, 540.0])


def test_depot_in_the_tumour() -> None:
    """2.5 mg of lipid (1.84 umol) are as much as 5 h at +0.3 mmol/L in 0.1 g at 0.2 mL/g/min; ten times that at 0.02."""
    hours = area(injected().local)[3:] / 0.3
    assert within(1.25, hours[:2], [5.0, 50.0])


def test_rate_that_holds_a_rise() -> None:
    """3.6, 0.36 and 0.054 umol/g/h hold +0.3 mmol/L at 0.2, 0.02 and 0.003 mL/g/min: rate over transfer constant."""
    run = tumour_run("mouse-mc38-iv", {HOLD: [*(0.3 * KTRANS * 0.0952 * 48.0), 0.0, 0.0, 0.0]})
    last = np.searchsorted(TIMES, 48.0) - 1
    assert run.local[last, :3] == pytest.approx(0.3, rel=0.03)


def test_correction_of_a_low_serum_level() -> None:
    """From 0.65 to 0.85 mmol/L of total Mg: +0.13 mmol/L of free Mg in the tumour."""
    values = values_of("human-nsclc-iv")
    body, _ = mechanism(BODY, values, "magnesium.ecf")
    rise = values["interstitium.gamma"] * float(body.ionised(0.85) - body.ionised(0.65))
    assert rise == pytest.approx(0.13, rel=0.1)
