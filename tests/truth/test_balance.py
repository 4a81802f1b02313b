"""Mass balance: of every substance, what was there and went in equals what is there and went out."""

from __future__ import annotations

import numpy as np
import pytest

from nanomg.dosing.dose import Dose
from nanomg.equations.model import INLET, OUTLET, Model
from nanomg.library.scenario import Scenario
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes, Plan

HEAVY = 3.0  # times the scenario's doses, and as many of the typical amounts through every other port
TYPICAL = {
    "umol": 5.0,
    "mg": 1.0,
    "ng": 100.0,
    "Mcell": 1.0,
    "TCID50": 100.0,
}  # a dose through a port that the scenario leaves alone, in a mouse; a human gets 1000 times it


def regimen(scenario: Scenario) -> tuple[Dose, ...]:
    """The scenario's doses, then a bolus and an infusion through every port of the model."""
    size = 1000.0 if scenario.species == "human" else 1.0
    more = []
    for number, (name, port) in enumerate(scenario.model.ports.items()):
        at = scenario.horizon * (number + 1) / (len(scenario.model.ports) + 2) + 1.7
        amount = size * TYPICAL[port.unit]
        more += [Dose(at, amount, name), Dose(at + 30.0, amount, name, 4.0)]
    return (*scenario.doses, *more)


def brought(plan: Plan, lanes: Lanes, substance: str) -> np.ndarray:
    """What the doses of each lane bring of a substance (lane,), from the ports' declarations."""
    model = plan.model
    x = model.derive(lanes.values)
    content = dict(zip(model.states, model.contents(substance, x), strict=True))
    total = np.zeros(lanes.output.shape[1])
    for cmt, amount in zip(plan.cmt, np.asarray(lanes.amount), strict=True):
        port = model.ports[cmt]
        arrives = amount if port.uptake is None else getattr(model.mechanism_of(cmt, x), port.uptake)(amount)
        for state, share in port.into.items():
            total += np.asarray(arrives * (x[share] if isinstance(share, str) else share) * content[state])
    return total


def test_what_goes_in_is_inside_or_went_out(covering: Scenario) -> None:
    scenario = covering
    model = Model(*scenario.model.mechanisms, ledger=True)
    doses = regimen(scenario)
    plan = simulation_lanes.plan_for(model, doses)
    given = np.array([d.amt for d in doses]).reshape(-1, 1)
    own = np.arange(len(doses))[:, None] < len(scenario.doses)
    amount = np.hstack([0.0 * given, given * own, HEAVY * given])  # nothing, as the scenario says, everything and more
    horizon = np.array([0.0, 0.5 * scenario.horizon, scenario.horizon])
    lanes = simulation_lanes.lanes_for(plan, scenario.values, doses, scenario.windows, horizon, 3, amount)
    solved = simulation_lanes.run(plan, lanes)
    assert not np.asarray(solved.status).any()

    x = model.derive(scenario.values)
    y = np.asarray(solved.y)[-1]
    start = np.array([float(v) for v in model.initial(x)])[:, None]
    rows = list(model.states)
    assert model.substances
    for substance in model.substances:
        content = np.array([float(c) for c in model.contents(substance, x)])[:, None]
        inlet, outlet = (y[rows.index(f"ledger.{substance}{end}")] for end in (INLET, OUTLET))
        entered = (content * start).sum(0) + brought(plan, lanes, substance) + inlet
        assert entered - outlet == pytest.approx((content * y).sum(0), rel=0, abs=1e-8 * entered.max()), substance
        assert entered - outlet == pytest.approx((content * y).sum(0), rel=1e-8, abs=1e-13 * entered.max()), substance
