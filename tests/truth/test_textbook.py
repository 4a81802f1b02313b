"""Tables of doses through the textbook's models, at the default tolerance, against sums of exponentials."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.integrate

from nanomg import AbstractMechanism
from nanomg.dosing.event_record import Record, Subject
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.models.textbook import OneCompartment, ThreeCompartments, TwoCompartments
from nanomg.simulation import event_lanes

EXACT = 1e-6  # relative, wherever the concentration is above a millionth of its peak
MODELS: Mapping[str, type[AbstractMechanism]] = {
    "textbook-1cpt": OneCompartment,
    "textbook-2cpt": TwoCompartments,
    "textbook-3cpt": ThreeCompartments,
}
CMT = ("pk.depot", "pk.central", "pk.peripheral", "pk.peripheral2")
LOOKS = (0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 12.0, 12.5, 16.0, 24.0, 25.0, 36.0, 60.0, 96.0)
PAST = 600  # doses that stand in for steady state


@functools.cache
def shipped(name: str) -> Scenario:
    return scenario_file.load(name, library())


# ---------------------------------------------------------------- the reference
class Given(NamedTuple):
    """A dose as it arrives; a bolus has no duration. It counts for looks from `since` up to `until`."""

    time: float
    amount: float
    cmt: str = "pk.central"
    duration: float = 0.0
    since: float = -np.inf
    until: float = np.inf


def matrix(p: Mapping[str, float], states: int) -> np.ndarray:
    """d(amounts)/dt = matrix @ amounts."""
    A = np.zeros((states, states))
    A[0, 0], A[1, 0], A[1, 1] = -p["pk.ka"], p["pk.ka"], -p["pk.CL"] / p["pk.V"]
    for row, (Q, V) in enumerate((("pk.Q", "pk.V2"), ("pk.Q2", "pk.V3"))[: states - 2], 2):
        A[1, 1] -= p[Q] / p["pk.V"]
        A[row, 1], A[1, row], A[row, row] = p[Q] / p["pk.V"], p[Q] / p[V], -p[Q] / p[V]
    return A


def concentration(p: Mapping[str, float], states: int, doses: list[Given], times: np.ndarray) -> np.ndarray:
    """The central concentration: each dose as a sum of exponentials, one for each eigenvalue."""
    rate, modes = np.linalg.eig(matrix(p, states))
    back = np.linalg.inv(modes)
    total = np.zeros(len(times))
    for dose in doses:
        weight = modes[1] * back[:, CMT.index(dose.cmt)] * dose.amount
        after = (times - dose.time)[:, None]
        if dose.duration:
            on, off = np.clip(after, 0.0, dose.duration), np.maximum(after - dose.duration, 0.0)
            left = np.expm1(rate * on) / rate * np.exp(rate * off) / dose.duration
        else:
            left = np.exp(rate * np.maximum(after, 0.0)) * (after >= 0)
        counts = (times >= dose.since) & (times < dose.until)
        total += counts * (left @ weight)
    return total / p["pk.V"]


# ---------------------------------------------------------------- cases
class Case(NamedTuple):
    """Records of doses, what of it arrives, and parameters that differ from the card's."""

    records: list[Record]
    arrives: list[Given]
    changes: Mapping[str, float] = {}


def dose(time: float, amt: float, cmt: str = "pk.central", **columns: Any) -> Record:
    return Record(2, time, columns.pop("evid", 1), amt, cmt, **columns)


def past(dose: Given, ii: float) -> list[Given]:
    """The dose with its history."""
    return [dose._replace(time=dose.time - k * ii, since=0.0) for k in range(PAST + 1)]


CASES: dict[str, Case] = {
    "bolus": Case([dose(0, 100)], [Given(0, 100)]),
    "two boluses": Case([dose(0, 100), dose(7.5, 40)], [Given(0, 100), Given(7.5, 40)]),
    "infusion by rate": Case([dose(0.5, 100, rate=40.0)], [Given(0.5, 100, duration=2.5)]),
    "infusion by duration": Case([dose(0.5, 100, duration=3.0)], [Given(0.5, 100, duration=3.0)]),
    "oral": Case([dose(0, 100, "pk.depot")], [Given(0, 100, "pk.depot")]),
    "oral, lag and F": Case(
        [dose(0, 100, "pk.depot")],
        [Given(0.7, 65, "pk.depot")],
        {"pk.Tlag_depot": 0.7, "pk.F_depot": 0.65},
    ),
    "F with a rate makes it shorter": Case(
        [dose(1, 100, rate=20.0)], [Given(1, 60, duration=3.0)], {"pk.F_central": 0.6}
    ),
    "F with a duration makes it slower": Case(
        [dose(1, 100, duration=5.0)], [Given(1, 60, duration=5.0)], {"pk.F_central": 0.6}
    ),
    "modelled rate": Case(
        [dose(1, 100, rate=-1.0)],
        [Given(1.25, 50, duration=2.0)],
        {"pk.rate_central": 25.0, "pk.F_central": 0.5, "pk.Tlag_central": 0.25},
    ),
    "modelled duration": Case(
        [dose(1, 100, "pk.depot", rate=-2.0)],
        [Given(1.25, 50, "pk.depot", duration=4.0)],
        {"pk.duration_depot": 4.0, "pk.F_depot": 0.5, "pk.Tlag_depot": 0.25},
    ),
    "additional doses": Case(
        [dose(0, 100, "pk.depot", ii=12.0, addl=3)], [Given(12.0 * k, 100, "pk.depot") for k in range(4)]
    ),
    "further infusions, lagged": Case(
        [dose(0, 100, ii=8.0, addl=4, rate=10.0)],
        [Given(8.0 * k + 0.4, 100, duration=10.0) for k in range(5)],
        {"pk.Tlag_central": 0.4},
    ),
    "steady state, bolus": Case([dose(0, 100, ii=12.0, ss=1)], past(Given(0, 100), 12.0)),
    "steady state, oral, lagged, then further": Case(
        [dose(0, 100, "pk.depot", ii=8.0, ss=1, addl=2)],
        [*past(Given(1.5, 80, "pk.depot"), 8.0), *(Given(1.5 + 8.0 * k, 80, "pk.depot") for k in (1, 2))],
        {"pk.Tlag_depot": 1.5, "pk.F_depot": 0.8},
    ),
    "steady state, infusion": Case([dose(0, 100, ii=12.0, ss=1, rate=50.0)], past(Given(0, 100, duration=2.0), 12.0)),
    "steady state, infusion longer than the interval": Case(
        [dose(0, 100, ii=6.0, ss=1, duration=15.0)], past(Given(0, 100, duration=15.0), 6.0)
    ),
    "steady state, constant infusion": Case(
        [dose(0, 0, ss=1, rate=7.0)], [Given(-20_000.0, 140_000.0, duration=20_000.0)]
    ),
    "steady state added to the current amounts": Case(
        [dose(0, 30), dose(5, 100, ii=12.0, ss=2)],
        [Given(0, 30), *(g._replace(since=5.0) for g in past(Given(5, 100), 12.0))],
    ),
    "reset cancels what is pending": Case(
        [dose(0, 100, ii=12.0, addl=3, duration=20.0), dose(2.5, 50, "pk.depot"), Record(2, 3.0, 3)],
        [Given(0, 100, duration=20.0, until=3.0)],
        {"pk.Tlag_depot": 1.0},
    ),
    "reset and dose": Case(
        [dose(0, 100, ii=12.0, addl=3), dose(2.5, 50, "pk.depot"), dose(3, 40, evid=4)],
        [Given(0, 100, until=3.0), Given(3, 40, since=3.0)],
        {"pk.Tlag_depot": 1.0},
    ),
}
NAMES = tuple(CASES)
PORTS = tuple(sorted({name for case in CASES.values() for name in case.changes}))


def subject(records: list[Record], looks: tuple[float, ...] = LOOKS, **columns: Any) -> Subject:
    """Doses, each before the looks of its time."""
    rows = sorted([*records, *(Record(3, t) for t in looks)], key=lambda r: r.time)
    return Subject("1", tuple(rows), **columns)


@functools.cache
def solved(name: str) -> event_lanes.EventSolution:
    """Every case as a lane of one block."""
    found = shipped(name)
    values = {
        **found.values,
        **{n: np.array([c.changes.get(n, found.values[n]) for c in CASES.values()]) for n in PORTS},
    }
    return event_lanes.run(found.model, values, [subject(c.records) for c in CASES.values()], varied=PORTS)


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("name", MODELS)
def test_doses_follow_their_closed_form(name: str, case: str) -> None:
    found, lane = solved(name), NAMES.index(case)
    assert found.status[lane] == 0 and found.residual[lane] < 3e-8  # before the last of Newton's steps
    rows = found.subjects[lane].records
    seen = np.array([r.row == 3 for r in rows])
    times = np.array([r.time for r in rows])[seen]
    C = found.at_records(["pk.C"])[lane]["pk.C"][seen]
    truth = concentration(shipped(name).values, len(MODELS[name].states), CASES[case].arrives, times)
    high = truth > EXACT * truth.max()
    assert high.sum() >= 3
    assert C[high] == pytest.approx(truth[high], rel=EXACT, abs=0)
    assert np.abs(C[~high]) == pytest.approx(truth[~high], rel=0, abs=EXACT**2 * truth.max())


def test_lanes_do_not_depend_on_their_neighbours() -> None:
    """What a case gives alone is what it gives in the block, within tolerance."""
    found = solved("textbook-2cpt")
    case = "steady state, infusion longer than the interval"
    alone = event_lanes.run(
        shipped("textbook-2cpt").model, shipped("textbook-2cpt").values, [subject(CASES[case].records)]
    )
    together = found.at_records(["pk.C"])[NAMES.index(case)]["pk.C"]
    assert alone.at_records(["pk.C"])[0]["pk.C"] == pytest.approx(together, rel=EXACT)


def test_the_order_of_compartments() -> None:
    assert tuple(shipped("textbook-1cpt").model.states) == CMT[:2]
    assert tuple(shipped("textbook-2cpt").model.states) == CMT[:3]
    assert tuple(shipped("textbook-3cpt").model.states) == CMT


def test_doses_into_every_compartment() -> None:
    name = "textbook-3cpt"
    subjects = [subject([dose(0, 100, cmt)]) for cmt in CMT]
    found = event_lanes.run(shipped(name).model, shipped(name).values, subjects)
    for cmt, rows in zip(CMT, found.at_records(["pk.C"]), strict=True):
        truth = concentration(shipped(name).values, 4, [Given(0, 100, cmt)], np.array([0.0, *LOOKS]))
        assert rows["pk.C"][2:] == pytest.approx(truth[2:], rel=EXACT), cmt


# ---------------------------------------------------------------- clearance that changes in time
CLEARANCES = ((0.0, 4.0), (3.0, 7.0), (10.0, 2.0), (24.0, 5.0), (36.0, 5.0))


def integral(how: str) -> Callable[[float], float]:
    """The integral of clearance over time from 0."""
    times, values = (np.array(a) for a in zip(*CLEARANCES, strict=True))

    def clearance(t: float) -> float:
        if how == "linear":
            return float(np.interp(t, times, values))
        place = np.searchsorted(times, t, "left" if how == "nocb" else "right")
        return float(values[min(place, len(values) - 1) if how == "nocb" else place - 1])

    return lambda t: scipy.integrate.quad(clearance, 0.0, t, points=times[times < t], limit=200, epsrel=1e-13)[0]


@pytest.mark.parametrize("how", ["nocb", "locf", "linear"])
def test_clearance_from_a_column(how: str) -> None:
    """A bolus and an infusion into one compartment; the sum in the exponent is the integral of clearance."""
    found, V = shipped("textbook-1cpt"), shipped("textbook-1cpt").values["pk.V"]
    rows = [Record(3, t, covariates={"CLI": value}) for t, value in CLEARANCES]
    rows = [dose(0, 100, covariates={"CLI": CLEARANCES[0][1]}), *rows, Record(3, 5.0, covariates={"CLI": None})]
    rows.sort(key=lambda r: r.time)
    if how == "linear":  # filled in between, and the same line
        assert rows[3].time == 5.0
    else:
        value = 2.0 if how == "nocb" else 7.0
        rows[3] = Record(3, 5.0, covariates={"CLI": value})
    between = Subject("1", tuple(rows), {"pk.CL": "CLI"})
    infused = Subject("2", (dose(0, 60, duration=12.0, covariates={"CLI": 4.0}), *rows[1:]), {"pk.CL": "CLI"})
    outputs = (0.5, 2.0, 4.5, 11.0, 30.0)
    values = {**found.values, "pk.CL": 1.0}
    solved = event_lanes.run(found.model, values, [between, infused], outputs=outputs, between={"pk.CL": how})
    gone = integral(how)
    times = np.array([r.time for r in rows])
    bolus = lambda t: 100 / V * np.exp(-gone(t) / V)
    part = lambda s, t: 5.0 / V * np.exp((gone(s) - gone(t)) / V)
    edges = [t for t, _ in CLEARANCES]

    def infusion(t: float) -> float:
        stops = [s for s in edges if s < min(t, 12.0)]
        return sum(
            scipy.integrate.quad(part, a, b, (t,), epsrel=1e-12)[0]
            for a, b in zip(stops, [*stops[1:], min(t, 12.0)], strict=True)
        )

    first, second = solved.at_records(["pk.C", "pk.CL"])
    assert not solved.status.any()
    assert first["pk.C"][1:] == pytest.approx([bolus(t) for t in times[1:]], rel=EXACT)
    assert second["pk.C"][2:] == pytest.approx([infusion(t) for t in times[2:]], rel=EXACT)
    assert first["pk.CL"] == pytest.approx([r.covariates["CLI"] or np.interp(5, (3, 10), (7, 2)) for r in rows])
    late = solved.at_outputs(["pk.C", "pk.CL"])
    assert late["pk.C"][:, 0] == pytest.approx([bolus(t) for t in outputs], rel=EXACT)
    assert late["pk.C"][:, 1] == pytest.approx([infusion(t) for t in outputs], rel=EXACT)
    expected = {"nocb": (7, 7, 2, 5, 5), "locf": (4, 4, 7, 2, 5)}
    if how in expected:
        assert late["pk.CL"][:, 0] == pytest.approx(expected[how])
