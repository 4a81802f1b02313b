"""Doses at steady state where some states have none: the drug's own are solved, the others keep their value at the record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param
from nanomg.dosing.event_record import Record, Subject
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.library.library import Library
from nanomg.simulation import event_lanes
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.disposition import disposition, follows_held
from nanomg.solver.engine import ENGINES
from nanomg.solver.status import Status

K, G, KIN, KOUT, KE = 0.11, 0.03, 4.0, 0.2, 0.5
TIGHT = 1e-10


class Drug(AbstractMechanism):
    """One compartment behind a depot; what clears it grows, and several states only watch."""

    name = "drug"
    states: ClassVar[Mapping[str, Var]] = {
        "drug.depot": Var("mg", "drug to be absorbed"),
        "drug.central": Var("mg", "drug in the body"),
        "drug.urine": Var("mg", "drug in the urine"),
        "drug.auc": Var("mg*h", "area, weighted with the size of the tumour"),
        "drug.size": Var("1", "tumour, which grows without end and clears the drug"),
        "drug.response": Var("1", "turnover that the drug slows down"),
        "drug.site": Var("mg", "drug at its site of action"),
    }
    ports: ClassVar[Mapping[str, Port]] = {"drug.oral": Port("mg", "by mouth", {"drug.depot": 1.0}, lag="drug.lag")}

    ka: Scalar = param("1/h", "absorption rate")
    k: Scalar = param("1/h", "elimination rate at the start")
    growth: Scalar = param("1/h", "growth of the tumour")
    lag: Scalar = param("h", "lag of doses by mouth")

    def initial(self, x: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"drug.size": 1.0, "drug.response": KIN / KOUT}

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        central, size = x["drug.central"], x["drug.size"]
        yield Flux("drug.depot", "drug.central", self.ka * x["drug.depot"])
        yield Flux("drug.central", "drug.urine", self.k * size * central)
        yield Flux(None, "drug.auc", size * central)
        yield Flux(None, "drug.size", self.growth * size)
        yield Flux(None, "drug.response", KIN / (1.0 + central))
        yield Flux("drug.response", None, KOUT * x["drug.response"])
        yield Flux(None, "drug.site", KE * (central - x["drug.site"]))


class Other(AbstractMechanism):
    """A second drug."""

    name = "other"
    states: ClassVar[Mapping[str, Var]] = {"other.central": Var("mg", "the other drug in the body")}

    k: Scalar = param("1/h", "elimination rate")

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        yield Flux("other.central", None, self.k * x["other.central"])


def settles_at_its_site(role: str) -> type[Drug]:
    """The drug with a declared role of its site."""

    class Declared(Drug):
        states = {**Drug.states, "drug.site": Var("mg", "drug at its site of action", role=role)}

    return Declared


MODEL = Model(Drug, Other)
VALUES = {"drug.ka": 0.9, "drug.k": K, "drug.growth": G, "drug.lag": 0.0, "other.k": 0.05}
LOOKS = tuple(Record(99, t) for t in (10.0, 12.5, 30.0, 33.0, 41.0))


def test_a_drugs_own_states_follow_from_its_fluxes() -> None:
    for cmt in ("drug.oral", "drug.central", "drug.depot"):
        assert disposition(MODEL, cmt) == ("drug.depot", "drug.central"), cmt
    assert disposition(MODEL, "other.central") == ("other.central",)
    assert follows_held(MODEL, disposition(MODEL, "drug.oral"))
    assert not follows_held(MODEL, ("other.central",))


def test_a_declared_role_comes_first() -> None:
    assert disposition(Model(settles_at_its_site("disposition")), "drug.oral")[-1] == "drug.site"
    assert "drug.site" not in disposition(Model(settles_at_its_site("effect")), "drug.oral")
    assert disposition(Model(settles_at_its_site("effect")), "drug.site") == ("drug.site",)
    with pytest.raises(InputError, match=r"a dose into drug.site has no steady state.*declared as 'growth'"):
        disposition(Model(settles_at_its_site("growth")), "drug.site")
    with pytest.raises(InputError, match="no role 'grows'"):
        Model(settles_at_its_site("grows"))


def cleared(start: float, end: float) -> float:
    """The integral of the elimination rate while the tumour grows."""
    return K * (math.exp(G * end) - math.exp(G * start)) / G


def after_bolus(amount: float, ii: float, at: float) -> float:
    """The steady state with the tumour as it is at a time."""
    return amount / -math.expm1(-K * math.exp(G * at) * ii)


ROWS = (
    Record(2, 0.0, 1, 50.0, "drug.central"),
    Record(2, 10.0, 1, 100.0, "drug.central", ii=12.0, ss=1),
    Record(2, 30.0, 1, 60.0, "drug.central", ii=8.0, ss=2),
)


def sorted_rows(*records: Record) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda r: r.time))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_held_is_held_at_its_value_at_the_record(engine: str) -> None:
    """Closed forms: the size is exp(growth t), and what the drug loses is seen in the urine and under the weighted curve."""
    names = list(MODEL.states)
    subject = Subject("1", sorted_rows(*ROWS, *LOOKS))
    solved = event_lanes.run(MODEL, VALUES, [subject], engine=engine, rtol=TIGHT)
    assert not solved.status.any() and (solved.residual < 1e-8).all()
    seen = solved.at_records(names)[0]
    times = np.array([r.time for r in subject.records])
    assert seen["drug.size"] == pytest.approx(np.exp(G * times), rel=1e-7)
    first, second = after_bolus(100.0, 12.0, 10.0), after_bolus(60.0, 8.0, 30.0)
    before = first * math.exp(-cleared(10.0, 30.0))
    central = {
        0.0: 50.0,
        10.0: first,
        12.5: first * math.exp(-cleared(10.0, 12.5)),
        30.0: before + second,
        33.0: (before + second) * math.exp(-cleared(30.0, 33.0)),
        41.0: (before + second) * math.exp(-cleared(30.0, 41.0)),
    }
    assert seen["drug.central"] == pytest.approx([central[t] for t in times], rel=1e-6)
    # what was lost until each record; the drug of the steady state was not lost in this run
    lost = {0.0: 0.0, 10.0: 50.0 * -math.expm1(-cleared(0.0, 10.0))}
    lost |= {t: lost[10.0] + first * -math.expm1(-cleared(10.0, t)) for t in (12.5, 30.0)}
    lost |= {t: lost[30.0] + (before + second) * -math.expm1(-cleared(30.0, t)) for t in (33.0, 41.0)}
    expected = np.array([lost[t] for t in times])
    assert seen["drug.urine"] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert seen["drug.auc"] == pytest.approx(expected / K, rel=1e-6, abs=1e-9)
    # a record at steady state changes nothing of what is held: the rows at 10 h before and at it show the same
    for name in ("drug.response", "drug.site", "drug.urine"):
        at_ten = seen[name][times == 10.0]
        assert at_ten[0] == pytest.approx(at_ten[1], rel=1e-12) and at_ten[0] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_lags_and_infusions_with_what_is_held(engine: str) -> None:
    """Without growth, the steady state of the record equals a long history of doses, with a lag and overlapping infusions."""
    values = {**VALUES, "drug.growth": 0.0, "drug.lag": 1.5}
    looks = tuple(Record(99, t) for t in (300.0, 301.0, 304.0, 311.0))
    ways: tuple[dict[str, Any], ...] = ({}, {"rate": 10.0}, {"duration": 20.0})
    steady = [Subject("1", (Record(2, 300.0, 1, 80.0, "drug.oral", ii=8.0, ss=1, **way), *looks)) for way in ways]
    history = [Subject("2", (Record(2, -100.0, 1, 80.0, "drug.oral", ii=8.0, addl=50, **way), *looks)) for way in ways]
    solved = event_lanes.run(MODEL, values, [*steady, *history], engine=engine, rtol=TIGHT)
    seen = [lane["drug.central"][1:] for lane in solved.at_records(["drug.central"])]
    for i in range(len(ways)):
        assert seen[i] == pytest.approx(seen[len(ways) + i], rel=1e-6), i


@pytest.mark.parametrize("engine", ENGINES)
def test_another_drug_goes_on(engine: str) -> None:
    """SS = 1 wipes and cancels what belongs to its drug alone; a reset wipes everything."""
    rows = (
        Record(2, 0.0, 1, 40.0, "other.central", duration=20.0),
        Record(2, 1.0, 1, 30.0, "drug.central", ii=10.0, addl=9),
        *ROWS[1:2],
        Record(2, 33.0, 3),
    )
    subject = Subject("1", sorted_rows(*rows, *LOOKS))
    solved = event_lanes.run(MODEL, VALUES, [subject], engine=engine, rtol=TIGHT)
    seen = solved.at_records(["other.central", "drug.central"])[0]
    infused = lambda t: 2.0 / 0.05 * (math.exp(-0.05 * (t - min(t, 20.0))) - math.exp(-0.05 * t))
    for record, other in zip(subject.records, seen["other.central"], strict=True):
        wiped = record.time > 33.0 or record.evid == 3
        if record.time != 33.0 or wiped:
            assert other == pytest.approx(0.0 if wiped else infused(record.time), rel=1e-6, abs=1e-9)
    first = after_bolus(100.0, 12.0, 10.0)
    thirty = [r.time for r in subject.records].index(30.0)
    assert seen["drug.central"][thirty] == pytest.approx(first * math.exp(-cleared(10.0, 30.0)), rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_pass_through_what_is_held(engine: str) -> None:
    """Through growth until the record, the rate at it, the time of the record and its amounts, in two rounds."""
    names = ("drug.growth", "drug.k")
    subject = Subject("1", sorted_rows(*ROWS, Record(99, 41.0)))
    plan, lanes = event_lanes.prepare(
        MODEL, {**VALUES, **{n: np.full(1, VALUES[n]) for n in names}}, [subject], varied=names, engine=engine
    )

    def last(growth: Any, k: Any, amount: Any, time: Any) -> Any:
        values = {**lanes.values, "drug.growth": growth, "drug.k": k}
        some = lanes._replace(values=values, amount=amount, time=time)
        row = list(MODEL.states).index("drug.central")
        return simulation_lanes.trajectory(plan, some, lanes.order, TIGHT).y[3, row, 0]

    given = [np.full(1, G), np.full(1, K), np.asarray(lanes.amount), np.asarray(lanes.time)]
    value, slopes = jax.jit(jax.value_and_grad(last, argnums=(0, 1, 2, 3)))(*(jnp.asarray(a) for a in given))

    def closed(growth: float, k: float, one: float, two: float, t1: float, t2: float) -> float:
        rate = lambda t: k * math.exp(growth * t)
        gone = lambda a, b: (rate(b) - rate(a)) / growth
        first, second = one / -math.expm1(-rate(t1) * 12.0), two / -math.expm1(-rate(t2) * 8.0)
        return (first * math.exp(-gone(t1, t2)) + second) * math.exp(-gone(t2, 41.0))

    at = np.array([G, K, 100.0, 60.0, 10.0, 30.0])
    assert float(value) == pytest.approx(closed(*at), rel=1e-7)
    steps = 1e-5 * at
    truth = [(closed(*(at + move)) - closed(*(at - move))) / (2 * move.max()) for move in np.diag(steps)]
    found = [slopes[0][0], slopes[1][0], slopes[2][1, 0], slopes[2][2, 0], slopes[3][1, 0], slopes[3][2, 0]]
    assert np.array(found, float) == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_has_no_steady_state_is_named_with_its_record(engine: str) -> None:
    """Without elimination it is the central compartment, at the second record, whose lane is lost; the others are not touched."""
    k = np.array([K, 0.0, K])
    rows = sorted_rows(Record(2, 5.0, 1, 20.0, "other.central", ii=6.0, ss=1), *ROWS, *LOOKS)
    values = {**VALUES, "drug.k": k, "other.k": np.array([0.05, 0.05, 0.0])}
    solved = event_lanes.run(MODEL, values, [Subject("1", rows)] * 3, varied=("drug.k", "other.k"), engine=engine)
    none = Status.NO_STEADY_STATE
    assert solved.status.tolist() == [Status.DONE, none, none]
    stop = solved.solved.stop
    states = list(MODEL.states)
    assert [states[int(i)] for i in np.asarray(stop.worst)[1:]] == ["drug.central", "other.central"]
    assert np.asarray(stop.time)[1:] == pytest.approx([10.0, 5.0])


def test_a_shipped_antibody_with_a_growing_tumour(library: Library) -> None:
    """Two compartments with the clearance of the first dose, against the sum of two exponentials over all doses before."""
    scenario = scenario_file.load("human-nsclc-nivolumab", library, doses=["pd1.iv: 240 mg over 30 min q 14 d x 3 ss"])
    x = scenario.values
    assert disposition(scenario.model, "pd1.iv") == ("pd1.depot", "pd1.central", "pd1.peripheral")
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses)
    lanes = simulation_lanes.lanes_for(plan, x, scenario.doses, (), np.array([0.0, 0.5]))
    names = ("pd1.C", "pd1.clock")
    seen = simulation_lanes.observe(plan, lanes, simulation_lanes.run(plan, lanes, 1e-9), names)
    late = 1.0 / (1.0 + (x["pd1.clock_0"] / x["pd1.T50"]) ** -x["pd1.n"])
    CL = x["pd1.CL"] * math.exp(-x["pd1.fall"] * late)
    rates = np.array(
        [
            [-(CL + x["pd1.Q"]) / x["pd1.V"], x["pd1.Q"] / x["pd1.V2"]],
            [x["pd1.Q"] / x["pd1.V"], -x["pd1.Q"] / x["pd1.V2"]],
        ]
    )
    values, vectors = np.linalg.eig(rates)
    weights = vectors[0] * np.linalg.solve(vectors, [1.0, 0.0])
    infused = weights / -values * -np.expm1(0.5 * values) * 480.0  # at the end of an infusion of 240 mg in half an hour
    trough = np.sum(infused * np.exp(values * (336.0 - 0.5)) / -np.expm1(336.0 * values)) / x["pd1.V"]
    assert seen["pd1.C"][0, 0] == pytest.approx(trough, rel=1e-6)
    assert seen["pd1.clock"][0, 0] == pytest.approx(x["pd1.clock_0"])
