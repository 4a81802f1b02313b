"""The engager: plasma kinetics in closed form, the bell of the bridge, killing that needs both arms."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import load
from nanomg.simulation import lanes as simulation_lanes

MOLAR = 54e6  # ng/umol


@pytest.fixture(scope="module")
def patient(library: Library) -> Scenario:
    return load("human-lbcl-blinatumomab", library)


def bridge(patient: Scenario, C: np.ndarray) -> np.ndarray:
    """The share of possible bridges at concentrations around the cells [mmol/L]."""
    return np.asarray(patient.model.mechanism_of("engager.bridge", patient.values).bridge(C))


def test_the_bridge_is_a_symmetric_bell_around_the_mean_of_the_affinities(patient: Scenario) -> None:
    x = patient.values
    target, tcell = x["engager.Kd_target"], x["engager.Kd_tcell"]
    middle = np.sqrt(target * tcell)
    away = np.logspace(0.0, 6.0, 25)
    right, left = bridge(patient, middle * away), bridge(patient, middle / away)
    assert right == pytest.approx(left, rel=1e-9)
    assert (np.diff(right) < 0).all()
    assert right[0] == pytest.approx((1 + np.sqrt(target / tcell)) ** -2, rel=1e-9)
    assert right[-1] < 1e-4


def test_nothing_is_bridged_without_engager_and_the_slope_is_finite(patient: Scenario) -> None:
    mechanism = patient.model.mechanism_of("engager.bridge", patient.values)
    assert bridge(patient, np.array(0.0)) == 0.0
    assert jax.grad(mechanism.bridge)(0.0) == pytest.approx(1.0 / patient.values["engager.Kd_target"])


def test_infusion_goes_to_rate_over_clearance_and_falls_with_the_half_life(patient: Scenario) -> None:
    """9 ug a day over 2 L/h is 188 pg/mL, 112 are 2333; clearance and volume give the half-life."""
    plan = simulation_lanes.plan_for(patient.model, patient.doses)
    last = 28 * 24.0
    times = np.array([0.0, 6 * 24.0, 20 * 24.0, last, last + 2.0, last + 6.0])
    lanes = simulation_lanes.lanes_for(plan, patient.values, patient.doses, patient.windows, times)
    found = simulation_lanes.observe(
        plan, lanes, simulation_lanes.run(plan, lanes), ("engager.C", "tumour.viable", "engager.effect")
    )
    C = 1e3 * found["engager.C"][:, 0]  # pg/mL
    assert C[1] == pytest.approx(9e6 / 24 / 2000, rel=1e-4)
    assert C[2] == pytest.approx(112e6 / 24 / 2000, rel=1e-4)
    assert np.log(C[4] / C[5]) / 4 == pytest.approx(2000 / 5000, rel=1e-3)
    assert found["tumour.viable"][2, 0] < found["tumour.viable"][0, 0]


def test_killing_needs_engager_and_is_lost_when_each_cell_has_its_own(patient: Scenario) -> None:
    """At the height of the bell the effect is full, far above it nothing is bridged; competence scales killing."""
    x = patient.values
    top = np.sqrt(x["engager.Kd_target"] * x["engager.Kd_tcell"]) * MOLAR * x["engager.V"] / x["engager.Kp"]
    amount = np.array([0.0, top, 1e9 * top])
    known = patient.model.derive(x)
    state = dict(zip(patient.model.states, patient.model.initial(known), strict=True))
    inputs = {name: var.default for name, var in patient.model.inputs.items()}

    def kill(competence: float) -> np.ndarray:
        at = {**known, **state, **inputs, "engager.central": amount, "lfa1.competence": competence}
        return np.asarray(patient.model.evaluate(at)["engager.kill"])

    nothing, full, flooded = kill(1.0)
    assert nothing == 0.0
    assert flooded < 0.01 * full
    assert kill(1.3) == pytest.approx(1.3 * kill(1.0))
