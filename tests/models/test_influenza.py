"""Influenza: virus declines slowly and is lost at once by CD8+ T cells; low Mg delays the loss through LFA-1 alone."""

from __future__ import annotations

import numpy as np
import pytest

from nanomg.library.library import Library
from nanomg.library.scenario_file import load
from nanomg.simulation import lanes as simulation_lanes

DAYS = np.arange(0.0, 17.01, 0.25)  # of the infection
ARMS = ("as it is", "no CD8+ T cells", "LFA-1 blind to Mg", "no virus")


DIETS = ("mouse-influenza", "mouse-influenza-low-mg-diet")
Arms = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def courses(library: Library) -> dict[str, Arms]:
    return {name: infection(name, library) for name in DIETS}


def infection(name: str, library: Library) -> Arms:
    """Signals over the days of the infection in each arm."""
    scenario = load(name, library)
    own = scenario.values
    varied = {
        "influenza.prime": own["influenza.prime"] * np.array([1.0, 0.0, 1.0, 1.0]),
        "lfa1.f0": np.array([own["lfa1.f0"], own["lfa1.f0"], 1.0, own["lfa1.f0"]]),
    }
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, tuple(varied))
    times = scenario.doses[0].time + DAYS * 24.0
    amount = scenario.doses[0].amt * np.array([[1.0, 1.0, 1.0, 0.0]])
    lanes = simulation_lanes.lanes_for(
        plan, {**own, **varied}, scenario.doses, scenario.windows, times, len(ARMS), amount=amount
    )
    solved = simulation_lanes.run(plan, lanes)
    assert not np.asarray(solved.status).any()
    signals = ("influenza.log10", "influenza.effector", "magnesium.total", "lfa1.competence")
    found = simulation_lanes.observe(plan, lanes, solved, signals)
    return {arm: {signal: found[signal][:, i] for signal in signals} for i, arm in enumerate(ARMS)}


def lost(virus: np.ndarray) -> float:
    """The day from which on less than ten infectious units are left."""
    return float(DAYS[np.nonzero(virus > 1.0)[0][-1] + 1])


def test_virus_peaks_early_declines_slowly_and_is_lost_at_once(
    courses: dict[str, Arms],
) -> None:
    virus = courses["mouse-influenza"]["as it is"]["influenza.log10"]
    at = dict(zip(DAYS.tolist(), virus.tolist(), strict=True))
    assert DAYS[virus.argmax()] < 4
    assert virus.max() == pytest.approx(6.3, abs=0.5)
    assert 0.1 < (at[3.0] - at[6.0]) / 3 < 0.4  # decades a day
    assert 7 <= lost(virus) <= 9
    assert at[lost(virus) - 1.0] > 3


@pytest.mark.parametrize("diet", DIETS)
def test_without_cd8_t_cells_virus_stays(courses: dict[str, Arms], diet: str) -> None:
    assert courses[diet]["no CD8+ T cells"]["influenza.log10"][-1] > 4
    assert courses[diet]["no CD8+ T cells"]["influenza.effector"].max() == 0.0


@pytest.mark.parametrize("diet", DIETS)
def test_nothing_comes_of_nothing(courses: dict[str, Arms], diet: str) -> None:
    assert np.abs(courses[diet]["no virus"]["influenza.log10"]).max() == 0.0
    assert np.abs(courses[diet]["no virus"]["influenza.effector"]).max() == 0.0


def test_a_low_mg_diet_delays_the_loss_of_virus_through_lfa1_alone(
    courses: dict[str, Arms],
) -> None:
    normal, low = courses["mouse-influenza"], courses["mouse-influenza-low-mg-diet"]
    assert low["as it is"]["magnesium.total"][0] < 0.6 * normal["as it is"]["magnesium.total"][0]
    assert low["as it is"]["lfa1.competence"][0] < 0.8
    assert lost(low["as it is"]["influenza.log10"]) > lost(normal["as it is"]["influenza.log10"]) + 1.0
    blind = "LFA-1 blind to Mg"
    assert low[blind]["influenza.log10"] == pytest.approx(normal[blind]["influenza.log10"], abs=1e-4)
