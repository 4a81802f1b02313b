"""Bodies and particles that cannot be are refused on every way in, and nothing negative is called solved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import nanomg
from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.population.plausibility import check_possible, impossible_quantities
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.problem import SLACK
from nanomg.solver.status import Status

ENGINES = ("native", "jax")
FACTORS = (0.0, 1e-4, 0.01, 0.3, 3.0, 100.0)  # by which each value of a card is multiplied


class Draining(AbstractMechanism):
    """A pool that loses the same amount every hour, whatever is left; a read-out may be negative."""

    name = "drain"
    states = {
        "drain.pool": Var("mg", "what is left"),
        "drain.debt": Var("mg", "what was lost, negative", signed=True),
    }
    constants = {"drain.rest": Var("mg", "what the first hour leaves")}

    A_0: Scalar = param("mg", "amount at time 0")
    rate: Scalar = param("mg/h", "loss")

    def derive(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"drain.rest": self.A_0 - self.rate}

    def initial(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"drain.pool": self.A_0}

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        yield Flux("drain.pool", None, self.rate)
        yield Flux("drain.debt", None, self.rate)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_state_that_falls_below_zero_is_a_failure_and_one_that_may_is_none(engine: str) -> None:
    model = Model(Draining)
    rates = np.array([0.5, 1.0, 2.0, 12.0])
    plan = simulation_lanes.plan_for(model, (), ("drain.rate",), engine=engine)
    times = np.array([0.0, 4.0, 9.0, 20.0])
    lanes = simulation_lanes.lanes_for(plan, {"drain.A_0": 10.0, "drain.rate": rates}, (), (), times, len(rates))
    solved = simulation_lanes.run(plan, lanes)
    status, y = np.asarray(solved.status), np.asarray(solved.y)
    # empty at 20 h, 10 h and 5 h; the first hour of the last one leaves less than nothing
    assert status.tolist() == [Status.DONE, Status.NEGATIVE, Status.NEGATIVE, Status.IMPOSSIBLE]
    np.testing.assert_allclose(y[:, 1, 0], -0.5 * times, rtol=1e-12)
    np.testing.assert_allclose(y[:3, 0, 1], [10.0, 6.0, 1.0], rtol=1e-12)
    assert np.isnan(y[3, :, 1]).all() and np.isnan(y[2:, :, 2]).all() and np.isnan(y[..., 3]).all()
    assert np.asarray(solved.stop.worst)[1:3].tolist() == [0, 0]
    assert (np.asarray(solved.stop.y)[0, 1:3] < 0).all()


# ---------------------------------------------------------------- every way in
ABSORPTION = ("magnesium.ionised_0", "-0.656 mmol/L")
LEAN = "mouse-low-mg-serum"


def _refused(call: Any, *words: str) -> None:
    with pytest.raises(InputError) as refused:
        call()
    for word in (*words, "possible body or particle"):
        assert word in str(refused.value)


def test_a_set_value_that_leaves_less_than_no_magnesium(tmp_path: Any) -> None:
    values = {"magnesium.absorption": 0.01}
    for job in (nanomg.simulate, nanomg.sensitivity):
        _refused(lambda job=job: job(LEAN, set=values), *ABSORPTION)
    _refused(lambda: nanomg.sweep(LEAN, set=values, subjects=2), *ABSORPTION)
    _refused(lambda: nanomg.feasibility("mouse-mc38-iv", set={"liposome.diameter": "8 nm"}), "liposome.M_per_lipid")
    _refused(lambda: nanomg.optimize("mouse-mc38-iv", set={"liposome.diameter": "8 nm"}), "liposome.M_per_lipid")
    _refused(lambda: nanomg.simulate(scenario_file.load(LEAN, library(), values)), *ABSORPTION)


def test_a_volume_of_nothing_and_values_out_of_order() -> None:
    _refused(lambda: nanomg.simulate(LEAN, set={"magnesium.V1": "0 mL"}), "magnesium.V1", "must be above 0")
    content = {"interstitium.content_0": "1000 umol/g"}
    _refused(lambda: nanomg.simulate("mouse-mc38-iv", set=content), "interstitium.content_max")
    _refused(lambda: nanomg.simulate("mouse-mc38-iv", set={"interstitium.f_well": 0.99}), "0.98")


def test_a_sweep_marks_impossible_points_and_counts_them(tmp_path: Any) -> None:
    run = nanomg.sweep("mouse-mc38-iv", vary=["liposome.diameter=8..40 nm:5"], keep=["liposome.delivered:final"])
    data = run.tree["sweep"].to_dataset()
    assert data["status"].values.tolist() == [Status.IMPOSSIBLE, 0, 0, 0, 0]
    assert np.isnan(data["liposome.delivered:final"].values).tolist() == [True, False, False, False, False]
    assert run.summary["failed"] == 1
    assert Status.IMPOSSIBLE.reason in str(run.summary)


# ---------------------------------------------------------------- all values of all cards
def test_values_of_cards_are_refused_or_solved_with_nothing_negative(covering: Scenario) -> None:
    names = [name for name in covering.parameters if name not in covering.bound]
    pairs = [(name, factor) for name in names for factor in FACTORS]
    values: dict[str, Any] = dict(covering.values)
    for name in names:
        column = np.full(len(pairs), values[name])
        rows = [i for i, (changed, _) in enumerate(pairs) if changed == name]
        column[rows] *= FACTORS
        values[name] = np.minimum(column, covering.model.parameters[name].at_most)
    plan = simulation_lanes.plan_for(covering.model, covering.doses, names, engine="native", max_steps=3000)
    times = np.linspace(0.0, covering.horizon, 9)
    lanes = simulation_lanes.lanes_for(plan, values, covering.doses, covering.windows, times, len(pairs))
    solved = simulation_lanes.run(plan, lanes)
    status, y = np.asarray(solved.status), np.asarray(solved.y)
    signed = np.array([var.signed for var in covering.model.states.values()])
    done = y[:, ~signed][:, :, status == Status.DONE]
    largest = np.maximum(np.abs(done).max(0), 1e-12)
    floor = np.array([np.abs(done[:, :, lane]).max() for lane in range(done.shape[2])])
    assert (done >= -10 * SLACK * simulation_lanes.RTOL * np.maximum(largest, floor)).all()
    for lane in range(0, len(pairs), 7):  # what one run is told is what a lane is
        single = {name: float(np.broadcast_to(v, len(pairs))[lane]) for name, v in values.items()}
        refused = bool(impossible_quantities(covering.model, single))
        assert refused == (status[lane] == Status.IMPOSSIBLE), (
            pairs[lane],
            impossible_quantities(covering.model, single),
        )
    assert (status == Status.DONE).mean() > 0.8


def test_shipped_scenarios_are_possible() -> None:
    shelves = library()
    for name in shelves.scenarios:
        check_possible(scenario_file.load(name, shelves))
