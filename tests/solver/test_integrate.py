"""The solver against closed forms: values, many lanes, lanes that fail, and gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, units
from nanomg.dosing.dose import Dose
from nanomg.dosing.prescription import parse_dose_option
from nanomg.equations.model import Model
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.dose_course import events_of
from nanomg.simulation.plan import Lanes, Plan, Trajectory, channels
from nanomg.solver import integrate
from nanomg.solver.intervals import intervals
from nanomg.solver.problem import Inputs, Problem, pack
from nanomg.solver.rosenbrock import METHODS
from nanomg.solver.status import Status

Values = Mapping[str, Any]


class Compartments(AbstractMechanism):
    """Two compartments with first-order absorption: the textbook's oral, bolus and infusion."""

    name = "pk"
    states = {
        "pk.gut": Var("mg", "drug in the gut", "drug"),
        "pk.central": Var("mg", "drug in the central compartment", "drug"),
        "pk.peripheral": Var("mg", "drug in the peripheral compartment", "drug"),
    }
    signals = {"pk.C": Var("mg/mL", "concentration")}
    ports = {
        "pk.oral": Port("mg", "by mouth", {"pk.gut": 1.0}, F="pk.F", lag="pk.Tlag"),
        "pk.iv": Port("mg", "into a vein", {"pk.central": 1.0}),
    }

    ka: Scalar = param("1/h", "absorption rate")
    CL: Scalar = param("mL/h", "clearance")
    V: Scalar = param("mL", "central volume")
    Q: Scalar = param("mL/h", "clearance between the compartments")
    V2: Scalar = param("mL", "peripheral volume")
    F: Scalar = param("1", "bioavailability")
    Tlag: Scalar = param("h", "lag")

    def evaluate(self, x: Values) -> dict[str, Any]:
        return {"pk.C": x["pk.central"] / self.V}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux("pk.gut", "pk.central", self.ka * x["pk.gut"])
        yield Flux("pk.central", None, self.CL * x["pk.C"])
        yield Flux("pk.central", "pk.peripheral", self.Q * (x["pk.C"] - x["pk.peripheral"] / self.V2))


class Explosive(AbstractMechanism):
    """dx/dt = growth x^2, which has no solution beyond 1 / (growth x_0), beside a quantity that only decays."""

    name = "boom"
    states = {"boom.x": Var("mg", "explosive"), "boom.y": Var("mg", "decaying")}
    inputs = {"boom.supply": Var("mg/h", "supply of the decaying quantity", default=0.0)}

    x_0: Scalar = param("mg", "explosive at time 0")
    growth: Scalar = param("1/mg/h", "growth")
    k: Scalar = param("1/h", "decay rate")

    def initial(self, x: Values) -> dict[str, Any]:
        return {"boom.x": self.x_0, "boom.y": 1.0}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux(None, "boom.x", self.growth * x["boom.x"] ** 2)
        yield Flux("boom.y", None, self.k * x["boom.y"])
        yield Flux(None, "boom.y", x["boom.supply"])


PK, BOOM = Model(Compartments), Model(Explosive)


PARAMETERS = {"pk.ka": 0.9, "pk.CL": 1.2, "pk.V": 4.0, "pk.Q": 0.8, "pk.V2": 7.0, "pk.F": 0.7, "pk.Tlag": 0.35}
VARIED = tuple(PARAMETERS)
EXPLOSIVE = {"boom.x_0": 0.1, "boom.growth": 1.0, "boom.k": 0.4}


# ---------------------------------------------------------------- closed forms
def exponentials(p: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Rates and coefficients of the central amount after a unit bolus into the central compartment."""
    k10, k12, k21 = p["pk.CL"] / p["pk.V"], p["pk.Q"] / p["pk.V"], p["pk.Q"] / p["pk.V2"]
    total = k10 + k12 + k21
    root = jnp.sqrt(total**2 - 4.0 * k10 * k21)
    alpha, beta = (total + root) / 2.0, (total - root) / 2.0
    return [alpha, beta], [(alpha - k21) / (alpha - beta), (k21 - beta) / (alpha - beta)]


def central(p: Mapping[str, Any], kind: str, t: Any, amount: Any, time: Any, duration: Any = None) -> Any:
    """Amount in the central compartment at `t` after one dose, by superposition; a bolus has no duration."""
    terms = list(zip(*exponentials(p), strict=True))
    if kind == "pk.oral":
        ka, after = p["pk.ka"], jnp.maximum(t - time - p["pk.Tlag"], 0.0)
        unit = sum(s * ka / (ka - r) * (jnp.exp(-r * after) - jnp.exp(-ka * after)) for r, s in terms)
        return p["pk.F"] * amount * unit
    after = jnp.maximum(t - time, 0.0)
    if duration is None:
        return jnp.where(t >= time, amount * sum(s * jnp.exp(-r * after) for r, s in terms), 0.0)
    rest = jnp.maximum(t - time - duration, 0.0)
    return amount / duration * sum(s / r * (jnp.exp(-r * rest) - jnp.exp(-r * after)) for r, s in terms)


# ---------------------------------------------------------------- lanes with values of their own
BATCH = 6
DOSES = (
    Dose(0.5, 10.0, "pk.oral"),
    Dose(2.0, 5.0, "pk.iv"),
    Dose(3.0, 8.0, "pk.iv", 2.0),
    Dose(4.0, 6.0, "pk.iv", 0.5),
)
OUTPUT = np.linspace(0.25, 24.0, 20)


class Case(NamedTuple):
    plan: Plan
    lanes: Lanes


@functools.cache
def textbook() -> Case:
    """Doses and parameters that differ in every lane, also in the order of the doses."""
    random = np.random.default_rng(0)
    plan = simulation_lanes.plan_for(PK, DOSES, VARIED)
    values = {name: value * np.exp(0.3 * random.standard_normal(BATCH)) for name, value in PARAMETERS.items()}
    lanes = simulation_lanes.lanes_for(plan, values, DOSES, (), OUTPUT, BATCH)
    vary = lambda a, width: np.asarray(a) * np.exp(width * random.standard_normal(np.shape(a)))
    changed = lanes._replace(
        time=vary(lanes.time, 0.6), amount=vary(lanes.amount, 0.4), duration=vary(lanes.duration, 0.4)
    )
    return Case(plan, changed)


def expected_central(lanes: Lanes, theta: Mapping[str, Any] | None = None) -> Any:
    """Closed form (output, lane); `theta` replaces values, time, amount or duration."""
    at = {
        "values": lanes.values,
        "time": lanes.time,
        "amount": lanes.amount,
        "duration": lanes.duration,
        **(theta or {}),
    }
    return sum(
        central(
            at["values"], d.cmt, lanes.output, at["amount"][i], at["time"][i], at["duration"][i] if d.duration else None
        )
        for i, d in enumerate(DOSES)
    )


def relative(found: Any, expected: Any) -> float:
    """Largest error relative to the largest value of each lane and to the value itself, whichever is larger by a part in 100."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.max(np.abs(found - expected) / (np.abs(expected) + 0.01 * np.abs(expected).max(0))))


def test_oral_bolus_and_infusion_in_lanes_of_their_own() -> None:
    plan, lanes = textbook()
    orders = simulation_lanes.edge_order(plan, lanes)
    assert any((orders[:, 0] != orders[:, lane]).any() for lane in range(BATCH))
    expected = expected_central(lanes)
    errors = {}
    for rtol in (simulation_lanes.RTOL, simulation_lanes.TIGHT):
        solved = simulation_lanes.run(plan, lanes, rtol)
        assert not np.asarray(solved.status).any()
        errors[rtol] = relative(solved.y[:, 1], expected)
    assert errors[simulation_lanes.RTOL] < 1e-6
    assert errors[simulation_lanes.TIGHT] < 1e-10


def test_one_compartment_is_the_limit_of_no_exchange() -> None:
    plan, lanes = textbook()
    alone = lanes._replace(values={**lanes.values, "pk.Q": np.zeros(BATCH)})
    p, t = alone.values, OUTPUT[:, None]
    k = p["pk.CL"] / p["pk.V"]
    start = alone.time[0] + p["pk.Tlag"]
    after = np.maximum(t - start, 0.0)
    oral = (
        alone.amount[0] * p["pk.F"] * p["pk.ka"] / (p["pk.ka"] - k) * (np.exp(-k * after) - np.exp(-p["pk.ka"] * after))
    )
    bolus = np.where(t >= alone.time[1], alone.amount[1] * np.exp(-k * np.maximum(t - alone.time[1], 0.0)), 0.0)
    infusions = sum(
        alone.amount[i]
        / alone.duration[i]
        / k
        * (
            np.exp(-k * np.maximum(t - alone.time[i] - alone.duration[i], 0.0))
            - np.exp(-k * np.maximum(t - alone.time[i], 0.0))
        )
        for i in (2, 3)
    )
    solved = simulation_lanes.run(plan, alone)
    assert relative(solved.y[:, 1], oral + bolus + infusions) < 1e-6


def test_what_went_in_is_inside_or_eliminated() -> None:
    plan, lanes = textbook()
    solved = simulation_lanes.run(plan, lanes._replace(values={**lanes.values, "pk.CL": np.zeros(BATCH)}))
    given = lanes.amount[1:].sum(0) + lanes.amount[0] * lanes.values["pk.F"]
    np.testing.assert_allclose(np.asarray(solved.y)[-1].sum(0), given, rtol=1e-12)


def test_every_lane_is_what_it_is_alone() -> None:
    plan, lanes = textbook()
    together = np.asarray(simulation_lanes.run(plan, lanes).y)
    for lane in (0, BATCH - 1):
        pick = lambda a, lane=lane: np.asarray(a)[..., lane : lane + 1]
        alone = np.asarray(simulation_lanes.run(plan, jax.tree.map(pick, lanes)).y)[..., 0]
        np.testing.assert_allclose(together[..., lane], alone, rtol=1e-5, atol=1e-6)


def test_the_same_lane_many_times_is_the_same() -> None:
    plan, lanes = textbook()
    copies = jax.tree.map(lambda a: np.repeat(np.asarray(a)[..., :1], BATCH, -1), lanes)
    y = np.asarray(simulation_lanes.run(plan, copies).y)
    np.testing.assert_array_equal(y, np.repeat(y[..., :1], BATCH, -1))


@pytest.mark.parametrize(
    ("text", "milligrams"),
    [("pk.iv: 2 g", 2000.0), ("pk.iv: 0.5 mg", 0.5), ("pk.iv: 300 ug", 0.3), ("pk.iv: 2 mg/min for 3 min", 6.0)],
)
def test_a_prescription_arrives_in_the_unit_of_its_port(text: str, milligrams: float) -> None:
    doses = parse_dose_option(text, lambda cmt: (PK.unit(cmt), None))
    plan = simulation_lanes.plan_for(PK, doses)
    values = {**PARAMETERS, "pk.CL": units.convert(0.02, "mL/min", "mL/h"), "pk.Q": 0.0}
    lanes = simulation_lanes.lanes_for(plan, values, doses, (), np.array([0.05, 1.0, 5.0]))
    y = np.asarray(simulation_lanes.run(plan, lanes).y)[:, 1, 0]
    k = 1.2 / 4.0
    assert doses[0].amt == pytest.approx(milligrams, rel=1e-14)
    expected = central(
        {**values, "pk.Q": 1e-12}, "pk.iv", np.array([1.0, 5.0]), milligrams, 0.0, doses[0].duration or None
    )
    np.testing.assert_allclose(y[1:], expected, rtol=1e-5)
    assert y[2] == pytest.approx(y[1] * np.exp(-4.0 * k), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_error_follows_the_tolerance(method: str) -> None:
    _, lanes = textbook()
    plan = simulation_lanes.plan_for(PK, DOSES, VARIED, method=method)
    expected = expected_central(lanes)
    errors = [relative(simulation_lanes.run(plan, lanes, rtol).y[:, 1], expected) for rtol in (1e-3, 1e-5, 1e-7, 1e-9)]
    for rtol, error in zip((1e-3, 1e-5, 1e-7, 1e-9), errors, strict=True):
        assert error < rtol
    assert errors[3] < 1e-4 * errors[0]


def test_intervals_of_length_zero_take_their_jumps() -> None:
    doses = [Dose(1.0, 2.0, "pk.iv"), Dose(1.0, 3.0, "pk.iv"), Dose(0.0, 1.0, "pk.iv"), Dose(4.0, 5.0, "pk.iv")]
    plan = simulation_lanes.plan_for(PK, doses)
    output = np.array([0.0, 0.0, 1.0, 1.0, 4.0])
    values = {**PARAMETERS, "pk.CL": 0.0, "pk.Q": 0.0}
    solved = simulation_lanes.run(plan, simulation_lanes.lanes_for(plan, values, doses, (), output))
    assert not np.asarray(solved.status).any()
    np.testing.assert_allclose(np.asarray(solved.y)[:, 1, 0], [1.0, 1.0, 6.0, 6.0, 11.0], rtol=1e-14)


def test_nothing_dosed_and_nothing_asked_for_but_time_zero() -> None:
    plan = simulation_lanes.plan_for(PK, ())
    solved = simulation_lanes.run(plan, simulation_lanes.lanes_for(plan, PARAMETERS, (), (), np.array([0.0])))
    assert np.asarray(solved.y).tolist() == [[[0.0]] * 3] and int(solved.status[0]) == Status.DONE


def test_a_model_in_which_no_rate_depends_on_a_state() -> None:
    class Inert(AbstractMechanism):
        """A quantity that only takes doses up."""

        name = "inert"
        states = {"inert.x": Var("mg", "amount")}

    doses = [Dose(1.0, 2.0, "inert.x"), Dose(2.0, 3.0, "inert.x", 2.0)]
    plan = simulation_lanes.plan_for(Model(Inert), doses)
    solved = simulation_lanes.run(plan, simulation_lanes.lanes_for(plan, {}, doses, (), np.array([0.5, 1.0, 3.0, 9.0])))
    np.testing.assert_allclose(np.asarray(solved.y)[:, 0, 0], [0.0, 2.0, 3.5, 5.0], rtol=1e-14)


# ---------------------------------------------------------------- lanes that fail
TIMES = np.array([0.0, 1.0, 4.0, 5.5, 8.0])


def explosive(x_0: Sequence[float], **options: Any) -> Case:
    """Lanes of the explosive model, each with its own decay rate."""
    plan = simulation_lanes.plan_for(BOOM, (), ("boom.x_0", "boom.growth", "boom.k"), **options)
    values = {**EXPLOSIVE, "boom.x_0": np.array(x_0), "boom.k": 0.4 + 0.1 * np.arange(len(x_0))}
    return Case(plan, simulation_lanes.lanes_for(plan, values, (), (), TIMES, len(x_0)))


def test_a_lane_that_blows_up_is_told_and_harms_no_other() -> None:
    x_0 = [0.05, 0.2, 0.01]
    plan, lanes = explosive(x_0)  # the second has its pole at 5 h
    solved = simulation_lanes.run(plan, lanes)
    y, status = np.asarray(solved.y), np.asarray(solved.status)
    assert status[[0, 2]].tolist() == [Status.DONE] * 2
    assert status[1] in (Status.NOT_FINITE, Status.STEP_TOO_SMALL)
    assert np.isnan(y[TIMES > 5.0, :, 1]).all()
    before = TIMES < 5.0
    exact = np.array([1.0 / (1.0 / x - TIMES) for x in x_0]).T
    np.testing.assert_allclose(y[before, 0], exact[before], rtol=1e-4)  # close to the pole errors grow
    np.testing.assert_allclose(y[:, 0, [0, 2]], exact[:, [0, 2]], rtol=1e-5)
    others = np.asarray(simulation_lanes.run(*explosive([0.05, 0.05, 0.01])).y)
    np.testing.assert_allclose(y[..., [0, 2]], others[..., [0, 2]], rtol=1e-5)


def test_a_lane_that_starts_with_a_state_that_is_no_number() -> None:
    plan, lanes = explosive([0.1, np.nan, np.inf])
    solved = simulation_lanes.run(plan, lanes)
    y, status = np.asarray(solved.y), np.asarray(solved.status)
    assert status.tolist() == [Status.DONE, Status.IMPOSSIBLE, Status.IMPOSSIBLE]
    assert np.isfinite(y[..., 0]).all() and np.isnan(y[1:, :, 1:]).all()


@pytest.mark.parametrize("most", [1, 4, 7])
def test_when_steps_run_out_the_rest_is_no_number_and_never_zero(most: int) -> None:
    full = np.asarray(simulation_lanes.run(*explosive([0.1, 0.12])).y)
    plan, lanes = explosive([0.1, 0.12], max_steps=most)
    solved = simulation_lanes.run(plan, lanes)
    y = np.asarray(solved.y)
    assert np.asarray(solved.status).tolist() == [Status.TOO_MANY_STEPS] * 2
    assert np.max(np.asarray(solved.accepted) + np.asarray(solved.rejected)) == most
    done = np.isfinite(y)
    assert not done[-1].any()
    np.testing.assert_allclose(y[done], full[done], rtol=1e-12)


def test_a_failed_lane_has_a_reason() -> None:
    for status in Status:
        assert status.reason and status.reason[0].islower()


# ---------------------------------------------------------------- gradients
def weighted(y: Any) -> Any:
    """One number of all outputs in which errors do not cancel."""
    return jnp.sum(y * jnp.cos(jnp.arange(y.shape[0]))[:, None])


def gradient_of(case: Case, observed: Callable[[Trajectory], Any]) -> Callable[[Any, float], Any]:
    order = simulation_lanes.edge_order(case.plan, case.lanes)

    def loss(theta: dict[str, Any], rtol: Any) -> Any:
        return observed(simulation_lanes.trajectory(case.plan, case.lanes._replace(**theta), order, rtol))

    return jax.jit(jax.grad(loss))


def test_gradients_in_doses_times_durations_and_parameters() -> None:
    plan, lanes = textbook()
    theta = {
        **{name: jnp.asarray(v) for name, v in lanes.values.items()},
        **{name: jnp.asarray(getattr(lanes, name)) for name in ("time", "amount", "duration")},
    }
    grouped = lambda t: {**{n: t[n] for n in ("time", "amount", "duration")}, "values": {n: t[n] for n in lanes.values}}
    expected = jax.grad(lambda theta: weighted(expected_central(lanes, grouped(theta))))(theta)
    gradient = gradient_of(Case(plan, lanes), lambda solved: weighted(solved.y[:, 1]))
    for rtol, allowed in ((simulation_lanes.RTOL, 1e-4), (simulation_lanes.TIGHT, 1e-8)):
        found = {n: v for n, v in gradient(grouped(theta), rtol).items() if n != "values"} | gradient(
            grouped(theta), rtol
        )["values"]
        assert not np.asarray(found["duration"])[[d.duration == 0 for d in DOSES]].any()
        # on the scale of the logarithm of each value, against the largest component of the lane
        scaled = {name: np.atleast_2d((found[name] - expected[name]) * theta[name]) for name in theta}
        largest = np.max([np.abs(np.atleast_2d(expected[name] * theta[name])).max(0) for name in theta], 0)
        for name, error in scaled.items():
            assert (np.abs(error) <= allowed * largest).all(), (name, np.abs(error / largest).max())


def test_gradients_of_initial_states_and_of_input_windows() -> None:
    """dy/dt = -k y + s on [start, stop]: closed form of a window's edges and height."""
    plan, lanes = explosive([1e-3, 2e-3])
    k = lanes.values["boom.k"]
    window: dict[str, Any] = {
        "start": np.array([[1.3, 0.9]]),
        "stop": np.array([[4.2, 6.1]]),
        "change": np.array([[[2.0, 3.0]]]),
    }
    lanes = lanes._replace(**window)

    def exact(theta: dict[str, Any]) -> Any:
        t = TIMES[:, None]
        since = lambda edge: jnp.maximum(t - edge, 0.0)
        flow = (
            theta["change"][0, 0] / k * (jnp.exp(-k * since(theta["stop"][0])) - jnp.exp(-k * since(theta["start"][0])))
        )
        return weighted(jnp.exp(-k * t) + flow) + weighted(1.0 / (1.0 / theta["values"]["boom.x_0"] - t))

    theta = {name: jnp.asarray(v) for name, v in window.items()} | {
        "values": {n: jnp.asarray(v) for n, v in lanes.values.items()}
    }
    found = gradient_of(Case(plan, lanes), lambda solved: weighted(solved.y[:, 1]) + weighted(solved.y[:, 0]))(
        theta, 1e-9
    )
    expected = jax.grad(exact)(theta)
    for name in window:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-7)
    np.testing.assert_allclose(found["values"]["boom.x_0"], expected["values"]["boom.x_0"], rtol=1e-7)


def test_a_dead_lane_leaves_the_gradients_of_the_living_as_they_are() -> None:
    def slopes(x_0: list[float]) -> Any:
        case = explosive(x_0)
        # the living alone count, but the dead one is in the sum as well where it is finite
        observed = lambda solved: jnp.sum(jnp.where(jnp.isfinite(solved.y), solved.y, 0.0)[1:])
        theta = {"values": {n: jnp.asarray(v) for n, v in case.lanes.values.items()}}
        return gradient_of(case, observed)(theta, 1e-7)["values"]

    found, alone = slopes([0.1, 0.2, 0.01]), slopes([0.1, 0.1, 0.01])
    for name in ("boom.x_0", "boom.k"):
        living = np.asarray(found[name])[[0, 2]]
        assert np.isfinite(found[name]).all()
        np.testing.assert_allclose(living, np.asarray(alone[name])[[0, 2]], rtol=1e-5)
    exact = sum(1.0 / (1.0 - 0.1 * t) ** 2 for t in TIMES[1:])
    assert float(found["boom.x_0"][0]) == pytest.approx(exact, rel=1e-5)


def test_a_gradient_in_a_fixed_value_is_refused() -> None:
    plan, lanes = textbook()
    problem = Problem(PK, (), channels(PK, plan.cmt))
    single = jax.tree.map(lambda a: np.asarray(a)[..., :1], lanes)
    values = {name: jnp.asarray(value) for name, value in PARAMETERS.items()}
    found = events_of(plan, single, values)
    between = intervals(found, jnp.asarray(simulation_lanes.edge_order(plan, single)))
    fixed, varied = pack(problem, values, 1)

    def last(fixed: Any) -> Any:
        inputs = Inputs(jnp.zeros((3, 1)), between, fixed, varied, jnp.ones((3, 1)), jnp.asarray(1e-5))
        return integrate.solve(problem, inputs).ends[0, 1, 0]

    with pytest.raises(ValueError, match=r"Problem\.varied"):
        jax.grad(last)(fixed)
