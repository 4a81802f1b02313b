"""What the verdict says about magnesium: closed forms, paired arms, and what each shipped way of giving it comes to."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from nanomg.dosing.dose import Dose
from nanomg.jobs.simulate import effect_text, verdict
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import roles
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT, Arms
from nanomg.solver.status import Status

SHIPPED = ("human-nsclc-iv", "human-nsclc-iv-mgso4", "mouse-mc38-depot", "mouse-mc38-iv", "mouse-mc38-lnp")


@functools.cache
def shipped(name: str) -> Scenario:
    return scenario_file.load(name, library())


@functools.cache
def arms(name: str) -> Arms:
    return simulation_arms.run_arms(shipped(name), simulation_arms.arms_of(shipped(name), shipped(name).doses))


@functools.cache
def judged(name: str) -> dict:
    numbers, _ = verdict.judge(shipped(name), arms(name))
    assert numbers is not None
    return numbers


def magnesium(found: Scenario, doses: tuple[Dose, ...]) -> float:
    """The Mg [umol] that a regimen brings, through the ports' coefficients."""
    x = found.model.derive(found.values)
    contents = dict(zip(found.model.states, found.model.contents("Mg", x), strict=True))
    total = 0.0
    for dose in doses:
        port = found.model.ports.get(dose.cmt)
        for state, share in (port.into if port else {dose.cmt: 1.0}).items():
            total += dose.amt * float(x[share] if isinstance(share, str) else share) * float(contents[state])
    return total


# ---------------------------------------------------------------- hours above
def test_hours_above_a_ramp() -> None:
    times = np.array([0.0, 10.0, 48.0])
    rise = np.array([0.0, 1.0, 1.0])
    assert verdict.hours_above(times, rise, 0.25) == pytest.approx(24.0 * (7.5 + 38.0) / 48.0, rel=1e-14)
    assert verdict.hours_above(times, -rise, -0.25) == pytest.approx(24.0 * 2.5 / 48.0, rel=1e-14)


def test_hours_above_a_straight_rise_and_an_exponential_fall_on_any_grid() -> None:
    peak, threshold = 0.8, 0.3
    hours = 6.0 * (1 - threshold / peak) + np.log(peak / threshold) / 0.1
    for points in (3, 5, 50, 1001):
        times = np.union1d(np.linspace(0.0, 24.0, points), [6.0])
        rise = peak * np.where(times <= 6.0, times / 6.0, np.exp(-0.1 * (times - 6.0)))
        assert verdict.hours_above(times, rise, threshold) == pytest.approx(hours, rel=1e-12)


def test_hours_above_an_exponential() -> None:
    times = np.linspace(0.0, 72.0, 5)
    rise = 0.5 * np.exp(-0.1 * times)
    assert verdict.hours_above(times, rise, 0.02) == pytest.approx(8.0 * np.log(25.0) / 2.4, rel=1e-12)


def test_hours_above_what_is_always_or_never() -> None:
    times = np.array([0.0, 1.0, 5.0])
    assert verdict.hours_above(times, np.ones(3), 0.02) == 24.0
    assert verdict.hours_above(times, np.zeros(3), 0.02) == 0.0
    assert verdict.hours_above(times, np.full(3, 0.02), 0.02) == 0.0


# ---------------------------------------------------------------- arms
@pytest.mark.parametrize("name", SHIPPED)
def test_arms_hold_the_same_magnesium_or_none(name: str) -> None:
    found = shipped(name)
    made = simulation_arms.arms_of(found, found.doses)
    given = magnesium(found, found.doses)
    assert made[AS_GIVEN] == found.doses and given > 0
    assert magnesium(found, made[WITHOUT]) == 0.0
    assert set(made[WITHOUT]) == {d for d in found.doses if d.cmt.startswith("pd1.")}
    if name == "human-nsclc-iv-mgso4":
        assert FREE not in made
        return
    assert magnesium(found, made[FREE]) == pytest.approx(given, rel=1e-12)
    assert [(d.time, d.duration) for d in made[FREE]] == [(d.time, d.duration) for d in found.doses]
    assert not any(d.cmt.startswith(("liposome", "lnp")) for d in made[FREE])


def test_equal_doses_at_one_time_both_count(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text('mechanisms = ["Magnesium"]\ncards = ["human"]\nhorizon = "6 h"\nevery = "6 h"\n', encoding="utf-8")
    small = scenario_file.load(str(path), library())
    one, both = Dose(1.0, 1000.0, "magnesium.iv"), Dose(1.0, 2000.0, "magnesium.iv")
    made = {"twice": (one, one), "double": (both,)}
    known = simulation_arms.run_arms(small, made)
    highest = known.data["magnesium.total"][:, 0].max(-1)
    assert highest[0] == pytest.approx(highest[1], rel=1e-6)


def test_a_regimen_without_magnesium_has_nothing_to_judge() -> None:
    found = shipped("human-nsclc-iv-mgso4")
    antibody = tuple(d for d in found.doses if d.cmt == "pd1.iv")
    made = simulation_arms.arms_of(found, antibody)
    assert list(made) == [AS_GIVEN]
    numbers, sentence = verdict.judge(found, simulation_arms.run_arms(found, made))
    assert numbers is None and sentence.startswith("Tumour volume: 38.6 mL at the end")
    assert "No dose of this regimen contains Mg. To see what Mg would add, give a dose of it (--dose)" in sentence


def test_the_hypothesis_that_the_weights_choose_comes_first() -> None:
    library_ = library()
    pick = lambda **weights: scenario_file.load(
        "mouse-mc38-depot", library_, {f"lfa1.{n}": w for n, w in weights.items()}
    )
    assert simulation_arms.hypotheses_of(shipped("mouse-mc38-depot")) == ("H1", "H2", "H3")
    assert simulation_arms.hypotheses_of(pick(w_H1=0.0, w_H3=1.0)) == ("H3", "H1", "H2")
    assert simulation_arms.hypotheses_of(pick(w_H2=1.0)) == ("as set", "H1", "H2", "H3")


# ---------------------------------------------------------------- what is said
@pytest.mark.parametrize("lane", [(0, 0), (1, 2)])
def test_a_failed_trajectory_gets_no_verdict(lane: tuple[int, int]) -> None:
    known = arms("mouse-mc38-depot")
    status = known.status.copy()
    status[lane] = Status.STEP_TOO_SMALL
    numbers, sentence = verdict.judge(shipped("mouse-mc38-depot"), dataclasses.replace(known, status=status))
    assert numbers is None and sentence.startswith("No conclusion")


def test_a_model_without_a_tumour_is_judged_by_its_outcome() -> None:
    known = arms("mouse-mc38-depot")
    data = {n: v for n, v in known.data.items() if n != roles.CONCENTRATION}
    only = dataclasses.replace(shipped("mouse-mc38-depot"), outputs={"magnesium.total": "mmol/L"})
    numbers, sentence = verdict.judge(only, dataclasses.replace(known, data=data))
    assert numbers is None and sentence.startswith("The Mg changes mean serum total Mg by ")
    assert sentence.endswith("T cells are not part of the answer.")


def test_a_model_without_lfa_1_has_a_rise_and_no_t_cells() -> None:
    found = shipped("human-lnp")
    numbers, sentence = verdict.judge(
        found, simulation_arms.run_arms(found, simulation_arms.arms_of(found, found.doses))
    )
    assert numbers is not None and numbers["mean_competence_gain"] == {} and numbers["peak_rise"]["value"] > 0
    assert "times short of +0.3 mmol/L" in sentence and "The model has no LFA-1" in sentence


def test_a_payload_of_another_drug_has_no_arm_without_magnesium() -> None:
    for name in ("mouse-doxorubicin", "human-biodistribution", "mouse-biodistribution"):
        assert list(simulation_arms.arms_of(shipped(name), shipped(name).doses)) == [AS_GIVEN]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_arm_of_a_shipped_scenario_is_solved_and_judged(name: str) -> None:
    known, numbers = arms(name), judged(name)
    assert not known.status.any() and known.hypotheses == ("H1", "H2", "H3")
    assert all(np.isfinite(rows).all() for rows in known.data.values())
    for effect in filter(None, (numbers, numbers["free"])):
        for label in ("0.02", "0.3"):
            assert set(effect[f"hours_per_day_above_{label}"]) == {"H1", "H2", "H3"}
            assert all(0.0 <= h <= 24.0 for h in effect[f"hours_per_day_above_{label}"].values())
        assert effect["share_local"] + effect["share_serum"] == pytest.approx(1.0)
        assert effect["peak_rise"]["value"] >= effect["mean_rise"]["value"] > 0
    _, sentence = verdict.judge(shipped(name), known)
    assert f"by at most {max(numbers['peak_rises'].values()):.3g} mmol/L" in sentence and sentence.count("\n") == 0
    assert not re.search(r"[+-]0\.0\b|\de-\d\d", sentence) and sentence.endswith(".")


def test_below_the_resolution_nothing_changes() -> None:
    """The sentences of a rise of the solver's error, and of one 100-fold below the level that matters."""
    known = {key: {"H1": 0.0, "H2": 0.0} for key in roles.HOURS} | {"tissue": "tumour", "share_local": 0.07}
    known |= {"mean_competence_gain": {"H1": 1e-9, "H2": 1e-9}}
    of_peak = lambda peak: {**known, "peak_rise": {"value": peak, "unit": "mmol/L"}}
    assert effect_text.rise_sentence(of_peak(1e-9)) == "Free Mg in the tumour does not rise."
    assert effect_text.source_sentence(of_peak(1e-9)) == ""
    assert effect_text.competence_sentence(of_peak(1e-9), " over H1 to H2") == "T-cell competence does not change."
    short = "6.67 times short of +0.02 mmol/L and 100 times short of +0.3 mmol/L."
    assert effect_text.rise_sentence(of_peak(0.003)) == f"Free Mg in the tumour rises by at most 0.003 mmol/L, {short}"
    assert effect_text.source_sentence(of_peak(0.003)) == "Of the mean rise, 93 % comes from serum and 7 % is local."


@pytest.mark.parametrize("name", ["mouse-mc38-depot", "mouse-mc38-iv"])
def test_a_level_is_either_reached_for_a_time_or_fallen_short_of(name: str) -> None:
    effect, sentence = verdict.judge(shipped(name), arms(name))
    dosed, _, _ = sentence.partition(" The same Mg given free")
    for label, level in roles.RELEVANT.items():
        reached = max(effect["peak_rises"].values()) > level
        assert (f"above +{label} mmol/L for" in dosed) == reached
        assert (f"times short of +{label} mmol/L" in dosed) == (not reached)


def test_a_short_time_above_a_level_is_less_than_the_resolution() -> None:
    assert effect_text.hours_text({"H1": 0.0, "H2": 0.01}) == "less than 0.05"
    assert effect_text.hours_text({"H1": 0.0, "H2": 0.0}) == "0"


def test_the_lung_is_not_called_a_tumour() -> None:
    found = scenario_file.load("mouse-influenza", library(), doses=["magnesium.iv: 10 umol at 29 d"])
    _, sentence = verdict.judge(found, simulation_arms.run_arms(found, simulation_arms.arms_of(found, found.doses)))
    assert "Free Mg in the lung rises by at most" in sentence and "tumour" not in sentence


def test_the_mean_rise_is_the_integral_of_the_difference() -> None:
    known, numbers = arms("mouse-mc38-depot"), judged("mouse-mc38-depot")
    rise = [known.pick(roles.CONCENTRATION, regimen, "H1") for regimen in (AS_GIVEN, WITHOUT)]
    over = rise[0] - rise[1]
    steps = zip(np.diff(known.times), over[:-1], over[1:], strict=True)
    area = sum(h * ((a - b) / np.log(a / b) if a > b * 1.000001 > 0 else (a + b) / 2) for h, a, b in steps)
    assert numbers["mean_rise"]["value"] == pytest.approx(area / known.times[-1], rel=1e-9)
    assert numbers["peak_rise"]["value"] == pytest.approx((rise[0] - rise[1]).max(), rel=1e-12)


def test_hypotheses_only_differ_in_what_they_say_of_t_cells() -> None:
    known = arms("mouse-mc38-depot")
    gains = judged("mouse-mc38-depot")["mean_competence_gain"]
    assert min(gains["H1"], gains["H2"]) > gains["H3"] > 0  # H3 is nearly saturated
    start = known.data[roles.CONCENTRATION][..., 0]
    np.testing.assert_allclose(start, start[0, 0], rtol=1e-12)


def test_magnesium_sulfate_by_vein_acts_through_serum() -> None:
    assert judged("human-nsclc-iv-mgso4")["share_serum"] == pytest.approx(1.0, abs=0.1)
    assert judged("human-nsclc-iv-mgso4")["free"] is None


def test_a_depot_acts_locally() -> None:
    assert judged("mouse-mc38-depot")["share_local"] > 0.6


def test_a_depot_raises_the_tumour_more_than_the_same_by_vein() -> None:
    depot, vein = judged("mouse-mc38-depot"), judged("mouse-mc38-iv")
    assert depot["mean_rise"]["value"] > 3 * vein["mean_rise"]["value"]
    assert depot["share_local"] > vein["share_local"]


def test_lipid_nanoparticles_bring_less_than_liposomes() -> None:
    lnp, liposome = judged("mouse-mc38-lnp"), judged("mouse-mc38-iv")
    assert lnp["mean_rise"]["value"] < 0.5 * liposome["mean_rise"]["value"]
    for hypothesis, gain in lnp["mean_competence_gain"].items():
        assert gain < liposome["mean_competence_gain"][hypothesis]


def test_without_magnesium_serum_and_tumour_stay_where_they_were() -> None:
    for name in SHIPPED:
        serum = arms(name).pick(roles.SERUM, WITHOUT, "H1")
        np.testing.assert_allclose(serum, serum[0], rtol=0.02)
