"""Every subject stays at its own baseline where nothing is dosed and no tumour grows."""

from __future__ import annotations

import numpy as np
import pytest

from nanomg import units
from nanomg.library.card import Parameter
from nanomg.library.library import Library
from nanomg.library.scenario_file import load
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.status import Status

SUBJECTS = 64
DAYS = 30
EMPTY = {"tumour.viable_0": "0 Mcell", "tcell.blood_0": "0 Mcell", "tcell.tumour_0": "0 Mcell"}


def sampled(parameter: Parameter, rng: np.random.Generator) -> np.ndarray:
    """One value for each subject: between the ends of what is believed, and spread as subjects are."""
    low, high = parameter.low, parameter.high
    around = np.full(SUBJECTS, parameter.value)
    if low is not None and high is not None:
        around = np.exp(rng.uniform(np.log(low), np.log(high), SUBJECTS))
    drawn = around * np.exp(parameter.cv * rng.standard_normal(SUBJECTS))
    # a share stays a share
    return np.minimum(drawn, 0.95) if parameter.name == "interstitium.f_well" else drawn


@pytest.mark.parametrize(
    ("name", "GFR"), [("human-nsclc-iv", ("30 mL/min", "120 mL/min")), ("mouse-mc38-depot", ("5 mL/h", "25 mL/h"))]
)
def test_every_subject_stays_at_its_baseline(library: Library, name: str, GFR: tuple[str, str]) -> None:
    scenario = load(name, library, EMPTY)
    rng = np.random.default_rng(0)
    varied = tuple(n for n in scenario.parameters if n.startswith(("magnesium.", "interstitium.")))
    values = {**scenario.values, **{n: sampled(scenario.parameters[n], rng) for n in varied}}
    low, high = (units.parse_quantity(g, "mL/h") for g in GFR)
    values["magnesium.GFR"] = np.linspace(low, high, SUBJECTS)

    plan = simulation_lanes.plan_for(scenario.model, (), varied)
    times = np.array([0.0, 1.0, 24.0, 168.0, 24.0 * DAYS])
    lanes = simulation_lanes.lanes_for(plan, values, (), (), times, SUBJECTS)
    solved = simulation_lanes.run(plan, lanes)
    # values that are sampled one by one describe an impossible body now and then
    status = np.asarray(solved.status)
    real = status == Status.DONE
    assert (real | (status == Status.IMPOSSIBLE)).all() and real.mean() > 0.9

    y = np.asarray(solved.y)[..., real]
    away = np.abs(y - y[:1]).max(0)
    for row, state in enumerate(scenario.model.states):
        assert (away[row] <= 1e-6 * np.abs(y[0, row])).all(), (state, away[row].max())

    seen = simulation_lanes.observe(plan, lanes, solved, list(scenario.model.signals))
    signals = {signal: rows[:, real] for signal, rows in seen.items()}
    values = {n: v[real] if np.ndim(v) else v for n, v in values.items()}
    for signal, rows in signals.items():
        assert np.ptp(rows, axis=0) == pytest.approx(0, abs=1e-6 * np.abs(rows).max()), signal
    assert signals["magnesium.total"][-1] == pytest.approx(values["magnesium.total_0"], rel=1e-6)
    assert signals["magnesium.urine"][-1] == pytest.approx(values["magnesium.intake"], rel=1e-6)
    assert signals["lfa1.gain"][-1] == pytest.approx(1.0, rel=1e-6)
    assert signals["tumour.volume"] == pytest.approx(0, abs=1e-12)
