"""Many lanes at once: blocks, lanes that fail, lanes that are hard, and single precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.compute import devices
from nanomg.dosing.dose import Dose
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.models.magnesium import Magnesium
from nanomg.simulation import blocks
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Trajectory
from nanomg.solver.status import Status

Values = Mapping[str, Any]


class Trouble(AbstractMechanism):
    """dx/dt = growth x^2 ends at 1 / growth; an oscillator of high frequency goes on, in many small steps."""

    name = "trouble"
    states = {
        "trouble.x": Var("1", "explosive"),
        "trouble.u": Var("1", "position", signed=True),
        "trouble.v": Var("1", "velocity", signed=True),
    }

    growth: Scalar = param("1/h", "growth")
    frequency: Scalar = param("1/h", "frequency")

    def initial(self, x: Values) -> dict[str, Any]:
        return {"trouble.x": 1.0, "trouble.u": 1.0}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux(None, "trouble.x", self.growth * x["trouble.x"] ** 2)
        yield Flux(None, "trouble.u", self.frequency * x["trouble.v"])
        yield Flux(None, "trouble.v", -self.frequency * x["trouble.u"])


class Solved(NamedTuple):
    """What a block gives."""

    result: Any
    status: Any


LANES = 200
BAD = [17, 120]  # one per cent


def troubled(growth: Any = 0.0, frequency: Any = 0.0, **options: Any) -> tuple[Trajectory, list[str]]:
    """Magnesium in mice of different clearance, some of them in trouble."""
    shipped = scenario_file.load("mouse-mc38-iv", library())
    model, doses = Model(Magnesium, Trouble), [Dose(24.0 * day, 50.0, "magnesium.iv") for day in range(4)]
    varied = ("magnesium.GFR", "trouble.growth", "trouble.frequency")
    plan = simulation_lanes.plan_for(model, doses, varied, **options)
    values: dict[str, Any] = {name: shipped.values.get(name) for name in model.parameters}
    values |= {"trouble.growth": growth, "trouble.frequency": frequency}
    values["magnesium.GFR"] = values["magnesium.GFR"] * np.linspace(0.7, 1.3, LANES)
    lanes = simulation_lanes.lanes_for(plan, values, doses, (), np.linspace(0.0, 300.0, 31), LANES)
    return simulation_lanes.run(plan, lanes), list(model.states)


def some(value: float) -> np.ndarray:
    """`value` in the bad lanes, 0 in the others."""
    return np.where(np.isin(np.arange(LANES), BAD), value, 0.0)


@pytest.fixture(scope="module")
def undisturbed() -> np.ndarray:
    solved, _ = troubled()
    assert not np.asarray(solved.status).any()
    return np.asarray(solved.y)


def distance(y: np.ndarray, reference: np.ndarray) -> float:
    """The largest error relative to size, in which a state below a thousandth of its peak counts as that."""
    return float(np.max(np.abs(y - reference) / (np.abs(reference) + 1e-3 * np.abs(reference).max(0) + 1e-30)))


def test_lanes_that_blow_up_are_marked_and_the_others_are_as_without_them(undisturbed: np.ndarray) -> None:
    solved, _ = troubled(growth=some(1 / 100.0))
    y, status = np.asarray(solved.y), np.asarray(solved.status)
    assert set(np.flatnonzero(status)) == set(BAD)
    assert {Status(s) for s in status[BAD]} <= {Status.NOT_FINITE, Status.STEP_TOO_SMALL}
    times = np.linspace(0.0, 300.0, 31)
    assert np.isnan(y[times > 100.0][..., BAD]).all() and np.isfinite(y[times < 100.0][..., BAD]).all()
    good = np.setdiff1d(np.arange(LANES), BAD)
    assert distance(y[..., good], undisturbed[..., good]) < 1e-5


def test_hard_lanes_solved_by_machine_code_change_no_other(undisturbed: np.ndarray) -> None:
    solved, states = troubled(frequency=some(8.0))
    assert not solved.status.any()
    assert solved.accepted[BAD].min() > 10 * np.delete(solved.accepted, BAD).max()
    y = solved.y
    u = y[:, states.index("trouble.u")][:, BAD]
    assert np.abs(u - np.cos(8.0 * np.linspace(0.0, 300.0, 31))[:, None]).max() < 5e-2
    good = np.setdiff1d(np.arange(LANES), BAD)
    assert distance(y[..., good], undisturbed[..., good]) < 1e-5


def test_hard_lanes_get_a_block_of_their_own(undisturbed: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    inner = simulation_lanes._run

    def counted(*arguments: Any) -> Any:
        found = inner(*arguments)
        asked.append((found.status.shape[0], int(np.max(found.accepted)), int((np.asarray(found.status) == 4).sum())))
        return found

    monkeypatch.setattr(simulation_lanes, "_run", counted)
    solved, states = troubled(frequency=some(8.0), engine="jax")
    assert not np.asarray(solved.status).any()
    (many, few_steps, deferred), (few, many_steps, none) = asked
    assert (many, deferred, few, none) == (LANES, len(BAD), 4, 0)
    assert many_steps > 10 * few_steps
    y = np.asarray(solved.y)
    u = y[:, states.index("trouble.u")][:, BAD]
    assert np.abs(u - np.cos(8.0 * np.linspace(0.0, 300.0, 31))[:, None]).max() < 5e-2
    good = np.setdiff1d(np.arange(LANES), BAD)
    assert distance(y[..., good], undisturbed[..., good]) < 1e-5


@pytest.mark.parametrize("count", [8, 16, 40, 64, 128])
@pytest.mark.parametrize("late", [[5], [1, 2, 6], [0, 2, 3, 5, 6, 7]])
def test_deferred_lanes_keep_their_own_numbers(count: int, late: list[int]) -> None:
    """However many lanes there are, as many as a block of late ones too: each is solved with its own values."""
    values = np.arange(count) * 10.0

    def solve(lanes: np.ndarray, defer: bool) -> Solved:
        own = values[lanes]
        hard = np.isin(own, 10.0 * np.array(late))
        return Solved(own + 1.0, np.where(hard & defer, Status.DEFERRED, Status.DONE))

    for found in (
        blocks.solve_in_turn(lambda lanes, _: solve(lanes, False), count, 16),
        blocks.solve_in_blocks(solve, count),
        blocks.solve_in_like_blocks(solve, count, count, min(count, 64)),
    ):
        np.testing.assert_array_equal(found.result, 10.0 * np.arange(count) + 1.0)
        assert not found.status.any()


def test_blocks_of_any_size_give_the_same(undisturbed: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "ON_CPU", 64)
    solved, _ = troubled(engine="jax")
    assert np.asarray(solved.status).shape == (LANES,)
    assert distance(np.asarray(solved.y), undisturbed) < 1e-5


def test_single_precision_is_close(undisturbed: np.ndarray) -> None:
    solved, _ = troubled(precision="float32")
    y = np.asarray(solved.y)
    assert y.dtype == np.float32 and not np.asarray(solved.status).any()
    assert 0 < distance(y, undisturbed) < 1e-3  # at the tightest tolerance that single precision keeps


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="float16"):
        troubled(precision="float16")
