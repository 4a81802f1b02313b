"""The exposure invariant: what raises interstitial Mg is what is released per gram over the transfer constant, however released.

The area under (C - gamma x) above its own baseline equals Mg released per g / Ktrans, with tumour mass constant, no uptake by
cells and no death; it does not depend on the rate, the route or the shape of the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from nanomg.dosing.dose import Dose, Window
from nanomg.equations.mechanism import AbstractMechanism, Flux, Values, Var
from nanomg.equations.model import Model
from nanomg.library.library import Library
from nanomg.library.scenario_file import load
from nanomg.simulation import lanes as simulation_lanes

DAYS = 120
EXACT = 1e-4  # relative; 2 % would do for the claim, but nothing in the equations allows any difference
QUIET = {
    "tumour.g": "0 1/d",
    "tumour.k_turnover": "0 1/d",
    "tcell.blood_0": "0 Mcell",
    "tcell.tumour_0": "0 Mcell",
    "interstitium.J_max": "0 umol/g/h",
    "liposome.transit": "0 h",  # release in heated vessels is no release in tissue
}


START = 1.0  # of the meter's states: their error counts relative to it, not to the rounding that they see before a dose


class Meter(AbstractMechanism):
    """Integrals along the way: release into the fluid, and the excess over plasma in each part and in the mean."""

    name = "meter"
    states: ClassVar[Mapping[str, Var]] = {
        "meter.released": Var("umol", "Mg released into tumour interstitium"),
        "meter.well": Var("umol*h/mL", "area under the excess, well-perfused part"),
        "meter.poor": Var("umol*h/mL", "area under the excess, poorly perfused part"),
        "meter.mean": Var("umol*h/mL", "area under the excess, mean"),
    }
    reads = (
        "interstitium.gamma",
        "magnesium.ionised",
        "interstitium.C_well",
        "interstitium.C_poor",
        "interstitium.C",
        "liposome.release",
    )

    def initial(self, x: Values) -> Values:
        return dict.fromkeys(self.states, START)

    def fluxes(self, x: Values) -> Iterator[Flux]:
        plasma = x["interstitium.gamma"] * x["magnesium.ionised"]
        yield Flux(None, "meter.released", x["liposome.release"])
        yield Flux(None, "meter.well", x["interstitium.C_well"] - plasma)
        yield Flux(None, "meter.poor", x["interstitium.C_poor"] - plasma)
        yield Flux(None, "meter.mean", x["interstitium.C"] - plasma)


EXCHANGE = {"interstitium.K_well", "interstitium.K_poor", "interstitium.K_mix"}
PARTS = 1.0  # mL/g/h, where the parts are alike

# each lane: what is changed of the parameters, and the amounts of the four doses below
LANES: tuple[tuple[Mapping[str, float], tuple[float, ...]], ...] = (
    ({}, (1.0, 0, 0, 0)),
    ({"liposome.k_depot": 0.003, "liposome.k_free": 0.004, "liposome.k_inner": 0.01}, (1.0, 0, 0, 0)),
    ({"liposome.k_depot": 1.0, "liposome.k_free": 0.5}, (1.0, 0, 0, 0)),
    ({"liposome.k_depot": 30.0}, (0.2, 0, 0, 0)),
    ({"interstitium.beta": 0.8}, (1.0, 0, 0, 0)),
    ({}, (0, 1.0, 0, 0)),
    ({}, (0, 0, 0.3, 0)),
    ({}, (0, 0, 0, 0.3)),
    ({"liposome.k_depot": 0.1}, (0.5, 1.0, 0.1, 0.2)),
)
DOSES = (
    Dose(24.0, 1.0, "liposome.intratumoral"),
    Dose(30.0, 1.0, "liposome.iv"),
    Dose(50.0, 1.0, "interstitium.injection"),
    Dose(60.0, 1.0, "interstitium.injection", 20.0),
)


def exposures(library: Library, changes: Mapping[str, float]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The meter's states at the end (lane,), and the values that were used."""
    scenario = load("mouse-mc38-depot", library, QUIET)
    model = Model(*scenario.model.mechanisms, Meter)
    varied = sorted({name for lane, _ in LANES for name in lane} | EXCHANGE)
    base = {**scenario.values, **changes}
    values = {**base, **{n: np.array([lane.get(n, base[n]) for lane, _ in LANES]) for n in varied}}
    plan = simulation_lanes.plan_for(model, DOSES, varied)
    amount = np.array([given for _, given in LANES]).T
    heat = Window("liposome.trigger", 1.0, 100.0, 101.0)
    times = np.array([0.0, 24.0 * DAYS])
    lanes = simulation_lanes.lanes_for(plan, values, DOSES, (heat,), times, len(LANES), amount)
    # only the first and the last lane are heated
    lanes = lanes._replace(change=lanes.change * np.isin(np.arange(len(LANES)), [0, len(LANES) - 1]))
    solved = simulation_lanes.run(plan, lanes, rtol=1e-7)
    assert not np.asarray(solved.status).any()
    found = simulation_lanes.observe(
        plan, lanes, solved, [*Meter.states, "tumour.mass", "liposome.M_depot", "liposome.release"]
    )
    assert np.ptp(found["tumour.mass"]) == pytest.approx(0, abs=1e-9)
    assert (found["liposome.release"][-1] < 1e-3 * found["meter.released"][-1] / 24).all()
    injected = amount[2] + amount[3]
    end = {name: found[name][-1] - START for name in Meter.states}
    end["released"] = (end["meter.released"] + injected) / found["tumour.mass"][-1]
    return end, values


def test_exposure_is_release_over_transfer_constant(library: Library) -> None:
    found, _ = exposures(library, {"interstitium.K_well": PARTS, "interstitium.K_poor": PARTS})
    assert (found["released"] > 0.03).all()
    assert found["meter.mean"] == pytest.approx(found["released"] / PARTS, rel=EXACT)


def test_each_part_has_its_own_exposure(library: Library) -> None:
    found, values = exposures(library, {"interstitium.K_mix": 0.0})
    # particles and injections are shared as the parts are
    assert values["liposome.f_well"] == values["interstitium.f_well"]
    assert found["meter.well"] == pytest.approx(found["released"] / values["interstitium.K_well"], rel=EXACT)
    assert found["meter.poor"] == pytest.approx(found["released"] / values["interstitium.K_poor"], rel=EXACT)


def test_mixing_between_the_parts_moves_exposure_without_losing_any(library: Library) -> None:
    found, values = exposures(library, {"interstitium.K_mix": 0.5})
    f_well = values["interstitium.f_well"]
    left = values["interstitium.K_well"] * f_well * found["meter.well"]
    left = left + values["interstitium.K_poor"] * (1.0 - f_well) * found["meter.poor"]
    assert left == pytest.approx(found["released"], rel=EXACT)
