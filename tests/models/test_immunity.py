"""Tumour, T cells, LFA-1, antibodies and metastasis: what little Mg does and by which mechanism, and the published figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from nanomg.dosing.dose import Window
from nanomg.dosing.prescription import parse_dose_options
from nanomg.equations.model import Model
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.library.scenario_file import load
from nanomg.models.lfa1 import LFA1
from nanomg.population.population import default_population, draw
from nanomg.simulation import lanes as simulation_lanes

DAY = 24.0
Signals = dict[str, np.ndarray]


def lanes(
    scenario: Scenario,
    signals: Sequence[str],
    *arms: Mapping[str, float],
    doses: Sequence[str] | None = None,
    amount: Sequence[float] | None = None,
    windows: Sequence[Window] | None = None,
    every: float = 12.0,
) -> Signals:
    """Signals (time, lane) of arms that differ in parameters, and in the factor `amount` of their doses."""
    port = lambda cmt: (dosed_unit(scenario.model, cmt), None)
    regimen = scenario.doses if doses is None else parse_dose_options(doses, port)
    varied = sorted({name for arm in arms for name in arm})
    values = dict(scenario.values)
    for name in varied:
        values[name] = np.array([arm.get(name, scenario.values[name]) for arm in arms])
    plan = simulation_lanes.plan_for(scenario.model, regimen, varied)
    factor = np.ones(len(arms)) if amount is None else np.asarray(amount, float)
    given = np.array([d.amt * factor for d in regimen]).reshape(len(regimen), len(arms))
    times = np.arange(0.0, scenario.horizon + 1e-9, every)
    windows = scenario.windows if windows is None else windows
    batch = simulation_lanes.lanes_for(plan, values, regimen, windows, times, len(arms), given)
    done = simulation_lanes.run(plan, batch)
    assert not np.asarray(done.status).any()
    return simulation_lanes.observe(plan, batch, done, list(signals))


def without(scenario: Scenario, library: Library, *left_out: str) -> Scenario:
    """The scenario with a model that lacks some mechanisms."""
    kept = [name for name in scenario.config["file"]["mechanisms"] if name not in left_out]
    return dataclasses.replace(scenario, model=Model(*(library.mechanism(name) for name in kept)), windows=())


# ---------------------------------------------------------------- low-Mg diet: primary tumour and metastases
ARMS: Mapping[str, Mapping[str, float]] = {
    "as it is": {},
    "nothing but LFA-1": {"tumour.K_g": 0.0, "metastasis.K_g": 0.0, "metastasis.z": 0.0},
    "no surveillance": {"metastasis.k_watch": 0.0, "metastasis.z": 0.0},
}


@pytest.fixture(scope="module")
def llc(library: Library) -> dict[str, Signals]:
    """The arms on the usual and on the deficient diet."""
    scenario = load("mouse-llc-low-mg-diet", library)
    signals = ["tumour.volume", "metastasis.cells", "lfa1.competence", "magnesium.total"]
    run = lambda windows: lanes(scenario, signals, *ARMS.values(), windows=windows)
    return {"usual": run(()), "deficient": run(scenario.windows)}


def effect(llc: dict[str, Signals], arm: str, signal: str) -> float:
    """What the deficient diet does to a signal at the end, as a ratio."""
    lane = list(ARMS).index(arm)
    return float(llc["deficient"][signal][-1, lane] / llc["usual"][signal][-1, lane])


def test_low_mg_diet_slows_the_primary_tumour_and_lets_metastases_grow(llc: dict[str, Signals]) -> None:
    assert effect(llc, "as it is", "magnesium.total") < 0.5
    assert 0.3 <= effect(llc, "as it is", "tumour.volume") < 0.8
    assert effect(llc, "as it is", "metastasis.cells") > 1.2


def test_the_primary_tumour_slows_because_its_cells_need_mg(llc: dict[str, Signals]) -> None:
    assert effect(llc, "nothing but LFA-1", "tumour.volume") > 0.98


def test_metastases_grow_because_surveillance_needs_lfa1(llc: dict[str, Signals]) -> None:
    assert effect(llc, "nothing but LFA-1", "metastasis.cells") > effect(llc, "as it is", "metastasis.cells")
    assert effect(llc, "no surveillance", "metastasis.cells") < 1.0


def test_inoculated_cells_bring_their_mg(library: Library) -> None:
    """Some minutes after they arrive, cells and fluid of a mouse on its usual diet still hold what untreated ones do."""
    scenario = load("mouse-llc", library)
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses)
    times = np.array([0.0, 14 * DAY + 0.1, 21 * DAY])
    batch = simulation_lanes.lanes_for(plan, scenario.values, scenario.doses, (), times, 1)
    found = simulation_lanes.observe(
        plan, batch, simulation_lanes.run(plan, batch), ["interstitium.content", "interstitium.C_poor"]
    )
    for rows in found.values():
        before, after, later = rows[:, 0]
        assert after == pytest.approx(before, rel=0.01)
        assert 0.7 * before < later < before  # growth takes some


# ---------------------------------------------------------------- what Mg does with and without T cells and LFA-1
INFUSION = ["interstitium.injection: 10 umol over 7 d", "pd1.ip: 0.2 mg q 3 d x 3"]
NO_T_CELLS = {"tcell.blood_0": 0.0, "tcell.tumour_0": 0.0, "tcell.clone": 0.0}
NO_FEEDING = {"tumour.K_g": 0.0}  # proliferation that does not depend on Mg leaves the immune effect alone
HOSTS: Mapping[str, Mapping[str, float]] = {
    "both": {},
    "immune": NO_FEEDING,
    "nude": NO_T_CELLS,
    "neither": {**NO_T_CELLS, **NO_FEEDING},
    "blocked": NO_FEEDING,
}


@pytest.fixture(scope="module")
def of_mg(library: Library) -> dict[str, float]:
    """Relative change of MC38's volume after 8 d by Mg infused into it, under antibody against PD-1, in each host."""
    scenario = without(load("mouse-mc38-lnp", library), library, "LNP")
    regimen = parse_dose_options(INFUSION, lambda cmt: (dosed_unit(scenario.model, cmt), None))
    hosts = [host for host in HOSTS for _ in range(2)]
    varied = sorted({name for host in HOSTS.values() for name in host})
    values: dict[str, Any] = dict(scenario.values)
    for name in varied:
        values[name] = np.array([HOSTS[host].get(name, scenario.values[name]) for host in hosts])
    plan = simulation_lanes.plan_for(scenario.model, regimen, varied)
    mg = np.arange(len(hosts)) % 2
    amount = np.array([d.amt * (np.ones_like(mg) if d.cmt == "pd1.ip" else mg) for d in regimen])
    window = (Window("lfa1.blockade", 1.0, 0.0, 8 * DAY),)
    batch = simulation_lanes.lanes_for(plan, values, regimen, window, np.array([0.0, 8 * DAY]), len(hosts), amount)
    batch = batch._replace(change=batch.change * np.array([host == "blocked" for host in hosts]))
    done = simulation_lanes.run(plan, batch, 1e-8)
    volume = simulation_lanes.observe(plan, batch, done, ["tumour.volume"])["tumour.volume"][-1]
    return dict(zip(HOSTS, (volume[1::2] / volume[::2] - 1.0).tolist(), strict=True))


def test_mg_helps_t_cells_and_feeds_a_tumour_without_them(of_mg: dict[str, float]) -> None:
    assert of_mg["immune"] < -0.003
    assert of_mg["nude"] > 0.003
    assert of_mg["immune"] < of_mg["both"] < of_mg["nude"]


@pytest.mark.parametrize("host", ["neither", "blocked"])
def test_without_t_cells_or_lfa1_mg_has_no_immune_benefit(of_mg: dict[str, float], host: str) -> None:
    assert of_mg[host] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(("port", "low", "high"), [("interstitium.injection", 0.0, 0.2), ("magnesium.iv", 0.8, 1.2)])
def test_t_cells_elsewhere_follow_plasma_and_not_the_tumour(
    library: Library, port: str, low: float, high: float
) -> None:
    """What 5 umol over two days adds to competence elsewhere, as a share of what they add in the tumour."""
    scenario = dataclasses.replace(without(load("mouse-mc38-lnp", library), library, "LNP"), horizon=2 * DAY)
    found = lanes(
        scenario, ["lfa1.competence", "lfa1.systemic"], {}, {}, doses=[f"{port}: 5 umol over 2 d"], amount=[0.0, 1.0]
    )
    local, systemic = (np.ptp(rows[-1]) for rows in found.values())
    assert low * local < systemic < high * local


def test_calcium_matters_where_it_competes(library: Library) -> None:
    scenario = load("mouse-llc", library)
    lfa1 = LFA1(**{name.removeprefix("lfa1."): scenario.values[name] for name in LFA1.parameters()})
    usual, more = lfa1.functions(0.9), lfa1.functions(0.9, calcium=1.2)
    one, two, three = (float(b / a) for a, b in zip(usual, more, strict=True))
    assert one == three == 1.0
    assert 0.8 < two < 0.9


# ---------------------------------------------------------------- T cells
@pytest.fixture(scope="module")
def b16(library: Library) -> Signals:
    """Lanes: untreated, and 10 million T cells a day after time 0."""
    signals = ["tumour.volume", "tcell.density", "tcell.speed"]
    return lanes(load("mouse-b16-ctl", library), signals, {}, {}, amount=[0.0, 1.0], every=12.0)


def growth(volume: np.ndarray, start: int, stop: int) -> float:
    """Growth rate [1/d] between two days after the transfer."""
    first, last = volume[2 * (start + 1)], volume[2 * (stop + 1)]
    return float(np.log(last / first) / (stop - start))


def test_transferred_t_cells_halt_b16_for_some_days(b16: Signals) -> None:
    untreated, treated = b16["tumour.volume"].T
    assert growth(untreated, 1, 7) == pytest.approx(0.40, abs=0.05)
    assert growth(treated, 3, 5) == pytest.approx(0.0, abs=0.1)
    assert growth(treated, 5, 7) > 0.1
    assert growth(treated, 7, 10) > growth(treated, 3, 5)


def test_transferred_t_cells_come_and_go_as_counted(b16: Signals) -> None:
    one, three, five, seven, ten = b16["tcell.density"][[4, 8, 12, 16, 22], 1]  # thousand per mm3, as many days later
    assert one < 0.5
    assert [three, five, seven] == pytest.approx([10.7, 9.7, 4.5], rel=0.25)
    assert 0.45 < ten < 1.8  # counted: 0.9


def test_a_t_cell_kills_as_many_as_were_seen_and_never_more_than_the_limit(library: Library, b16: Signals) -> None:
    assert 2.0 <= DAY * b16["tcell.speed"].min() <= DAY * b16["tcell.speed"].max() <= 16.0
    scenario = load("mouse-mc38-anti-pd1", library)
    strong = {"tcell.k_kill": 1e3 / DAY}
    speed = DAY * lanes(scenario, ["tcell.speed"], {}, strong)["tcell.speed"]
    assert 2.0 <= speed[:, 0].min() <= speed[:, 0].max() <= 16.0
    assert speed[:, 1].max() <= 16.0


def test_antibody_splits_virtual_mice_into_responders_and_others(library: Library) -> None:
    scenario = load("mouse-mc38-anti-pd1", library)
    drawn = draw(scenario, default_population(scenario), 1, 0, 64).relative
    mice = [{name: scenario.values[name] * float(by[i]) for name, by in drawn.items()} for i in range(64)]
    volume = 1e3 * lanes(scenario, ["tumour.volume"], *mice, *mice, amount=[0.0] * 64 + [1.0] * 64)["tumour.volume"][24]
    control, treated = volume[:64], volume[64:]
    assert np.mean(control < 10) < 0.15
    assert 0.2 < np.mean(treated < 10) < 0.6
    assert np.median(treated) < 0.3 * np.median(control)
    assert np.quantile(treated, 0.9) > 300.0  # mm3: some grow on


# ---------------------------------------------------------------- antibodies
def test_clearance_of_nivolumab_falls_to_three_quarters(library: Library) -> None:
    scenario = load("human-nsclc-nivolumab", library)
    alone = dataclasses.replace(scenario, model=Model(library.mechanism("AntiPD1")), horizon=400 * DAY)
    found = lanes(alone, ["pd1.CL_now"], {}, doses=["pd1.iv: 240 mg over 30 min q 14 d x 28 from 7 d"], every=DAY)
    clearance = found["pd1.CL_now"][:, 0]
    assert clearance[7] == pytest.approx(clearance[0], rel=1e-9)  # the clock waits for the first dose
    assert clearance[-1] / clearance[0] == pytest.approx(0.745, rel=0.01)
    assert clearance[66] / clearance[0] == pytest.approx(np.exp(-0.295 / 2), rel=0.01)  # 1410 h after the first dose


@pytest.mark.parametrize("name", ["pd1", "pdl1"])
def test_occupancy_is_that_of_the_antibody_that_enters_the_tumour(name: str, library: Library) -> None:
    """Langmuir: half of the targets are occupied where the interstitial concentration, Kp of that in plasma, is Kd."""
    model = Model(library.mechanism({"pd1": "AntiPD1", "pdl1": "AntiPDL1"}[name]))
    x = dict.fromkeys(model.parameters, 1.0) | dict.fromkeys(model.states, 1.0)
    x |= {f"{name}.V": 4.0, f"{name}.MW": 150.0, f"{name}.Kd": 2e-6, f"{name}.Kp": 0.25}
    for times, share in ((0.0, 0.0), (1.0, 0.5), (3.0, 0.75), (9.0, 0.9)):
        plasma = times * 2e-6 / 0.25 * 150.0  # mg/mL
        found = model.evaluate(model.derive(x) | {f"{name}.central": plasma * 4.0})
        assert float(found[f"{name}.RO"]) == pytest.approx(share, rel=1e-12)


def test_interferon_raises_the_complexes_in_proportion(library: Library) -> None:
    """From those without it, linearly, to the fold induction at full signal; antibody leaves the unoccupied share."""
    model = Model(library.mechanism("Checkpoint"))
    x = dict.fromkeys(model.parameters, 0.5) | {"checkpoint.complexes_0": 10.0, "checkpoint.fold_ifng": 5.0}
    for ifng, occupied, complexes in ((0.0, 0.0, 10.0), (0.5, 0.0, 30.0), (1.0, 0.0, 50.0), (1.0, 0.9, 5.0)):
        found = model.evaluate(model.derive(x) | {"tcell.ifng": ifng, "pd1.RO": occupied, "pdl1.RO": 0.0})
        assert float(found["checkpoint.complexes"]) == pytest.approx(complexes, rel=1e-12)


def test_an_antibody_against_the_ligand_opens_the_checkpoint_too(library: Library) -> None:
    scenario = without(load("human-nsclc-atezolizumab", library), library, "Magnesium", "Interstitium", "LFA1")
    scenario = dataclasses.replace(scenario, horizon=42 * DAY)
    found = lanes(
        scenario,
        ["tumour.volume", "checkpoint.block", "pdl1.RO"],
        {},
        {},
        amount=[0.0, 1.0],
        every=DAY,
        doses=["pdl1.iv: 1200 mg over 60 min q 21 d x 2"],
    )
    assert found["pdl1.RO"][-1, 1] > 0.95
    assert found["checkpoint.block"][-1, 1] < 0.1 * found["checkpoint.block"][-1, 0]
    assert found["tumour.volume"][-1, 1] < found["tumour.volume"][-1, 0]
