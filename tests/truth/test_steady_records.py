"""Steady-state records of event tables, several at one time and after others, in both engines, against sums of exponentials.

The rule is NONMEM's: records are taken row by row; SS = 1 and a reset wipe what rows before gave, SS = 2 adds to it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbook import written

from nanomg.dosing.event_record import Record, Subject
from nanomg.equations.model import Model
from nanomg.jobs.simulate.run import simulate
from nanomg.models.textbook import OneCompartment, TwoCompartments
from nanomg.simulation import event_lanes
from nanomg.solver.engine import ENGINES

KA, CL, V, Q, V2 = 1.1, 4.0, 35.0, 6.0, 50.0
VALUES = {"ka": KA, "CL": CL, "V": V, "Q": Q, "V2": V2}
MODELLED = {"rate_central": 8.0, "duration_depot": 3.5, "rate_depot": 5.0, "duration_central": 26.0}
DEPOT, CENTRAL = "pk.depot", "pk.central"


class Arrival(NamedTuple):
    """How doses into a compartment arrive."""

    F: float
    lag: float


class Exponentials(NamedTuple):
    """The central amount after a unit dose: sum of `parts` times exp(-rate t)."""

    parts: np.ndarray
    rates: np.ndarray

    def bolus(self, t: float) -> float:
        return float(np.sum(self.parts * np.exp(-self.rates * t))) if t >= 0 else 0.0

    def infused(self, t: float, length: float) -> float:
        """After an infusion of 1 per h that lasts `length` h."""
        on = min(t, length)
        if t < 0:
            return 0.0
        return float(np.sum(self.parts / self.rates * (np.exp(-self.rates * (t - on)) - np.exp(-self.rates * t))))

    def history(self, t: float, ii: float, length: float) -> float:
        """After doses of 1, or of 1 per h, that have always been given `ii` apart, the last of them `t` < `ii` ago."""
        if not length:
            return float(np.sum(self.parts * np.exp(-self.rates * t) / -np.expm1(-self.rates * ii)))
        running = math.ceil(length / ii)
        recent = sum(self.infused(t + k * ii, length) for k in range(running))
        since = t + running * ii - length
        rest = self.parts / self.rates * -np.expm1(-self.rates * length) * np.exp(-self.rates * since)
        return recent + float(np.sum(rest / -np.expm1(-self.rates * ii)))


def one_compartment() -> dict[str, Exponentials]:
    k = CL / V
    return {
        CENTRAL: Exponentials(np.array([1.0]), np.array([k])),
        DEPOT: Exponentials(KA / (KA - k) * np.array([1.0, -1.0]), np.array([k, KA])),
    }


def two_compartments() -> dict[str, Exponentials]:
    k10, k12, k21 = CL / V, Q / V, Q / V2
    total = k10 + k12 + k21
    root = math.sqrt(total**2 - 4 * k10 * k21)
    fast, slow = (total + root) / 2, (total - root) / 2
    central = np.array([(fast - k21) / (fast - slow), (k21 - slow) / (fast - slow)])
    rates = np.array([fast, slow])
    oral = KA * central / (KA - rates)
    return {
        CENTRAL: Exponentials(central, rates),
        DEPOT: Exponentials(np.append(oral, -oral.sum()), np.append(rates, KA)),
    }


MODELS = {
    "one compartment": (Model(OneCompartment), one_compartment()),
    "two compartments": (Model(TwoCompartments), two_compartments()),
}


def given_by(record: Record, unit: Exponentials, arrival: Arrival) -> Callable[[float], float]:
    """The central amount at a time because of one record, as long as nothing wipes it."""
    site = record.cmt.removeprefix("pk.")
    if record.constant:
        rate = record.rate if record.rate > 0 else MODELLED[f"rate_{site}"]
        return lambda t: rate * float(np.sum(unit.parts / unit.rates * np.exp(-unit.rates * (t - record.time))))
    size, length, amount = arrival.F * record.amt, record.duration, arrival.F * record.amt
    if record.rate > 0 or record.rate == -1:
        size = record.rate if record.rate > 0 else MODELLED[f"rate_{site}"]
        length = amount / size
    elif record.rate == -2 or length:
        length = length or MODELLED[f"duration_{site}"]
        size = amount / length
    one = (lambda t: unit.infused(t, length)) if length else unit.bolus

    def at(t: float) -> float:
        since = t - record.time - arrival.lag
        total = sum(one(since - k * record.ii) for k in range(record.addl + 1))
        if record.ss:
            # the doses before the record, of which the last was II - lag before it
            total += unit.history(since + record.ii, record.ii, length) if since >= -record.ii else 0.0
        return size * total

    return at


def row_by_row(records: Sequence[Record], units: dict[str, Exponentials], arrivals: dict[str, Arrival]) -> list[float]:
    """The central amount at each record."""
    there: list[Callable[[float], float]] = []
    seen = []
    for record in records:
        if record.resets or (record.doses and record.ss == 1):
            there = []
        if record.doses:
            there.append(given_by(record, units[record.cmt], arrivals[record.cmt]))
        seen.append(sum(amount(record.time) for amount in there))
    return seen


def through(engine: str, model: Model, subjects: Sequence[Subject], arrivals: dict[str, Arrival]) -> list[np.ndarray]:
    values = dict.fromkeys(model.parameters, 0.0)
    values |= {f"pk.{name}": value for name, value in {**VALUES, **MODELLED}.items() if f"pk.{name}" in values}
    for cmt, arrival in arrivals.items():
        site = cmt.removeprefix("pk.")
        values |= {f"pk.F_{site}": arrival.F, f"pk.Tlag_{site}": arrival.lag}
    solved = event_lanes.run(model, values, subjects, engine=engine)
    assert not solved.status.any()
    return [lane[CENTRAL] for lane in solved.at_records([CENTRAL])]


def alike(seen: np.ndarray, truth: Sequence[float]) -> None:
    """Within a millionth, down to a billionth of the largest amount."""
    assert seen == pytest.approx(truth, rel=1e-6, abs=1e-9 * max(1.0, *np.abs(truth)))


# ---------------------------------------------------------------- every case by hand
AS_GIVEN = {DEPOT: Arrival(0.6, 0.0), CENTRAL: Arrival(1.0, 0.0)}
LATE = {DEPOT: Arrival(0.6, 1.5), CENTRAL: Arrival(0.8, 0.5)}
LOOKS = tuple(Record(99, t) for t in (24.0, 24.25, 25.0, 26.0, 30.5, 36.0, 48.0, 60.0))


def ss(cmt: str, amt: float, ii: float = 0.0, way: int = 1, **more: float) -> Record:
    return Record(2, 24.0, int(more.pop("evid", 1)), amt, cmt, ii=ii, ss=way, addl=int(more.pop("addl", 0)), **more)


BEFORE = (Record(2, 0.0, 1, 70.0, DEPOT, ii=10.0, addl=9), Record(2, 20.0, 1, 90.0, CENTRAL, duration=30.0))
TIED = {
    "SS 1 twice": [ss(CENTRAL, 100.0, 24.0), ss(CENTRAL, 100.0, 24.0)],
    "SS 1 then SS 2": [ss(CENTRAL, 100.0, 24.0), ss(CENTRAL, 60.0, 8.0, 2)],
    "SS 2 then SS 1": [ss(CENTRAL, 60.0, 8.0, 2), ss(CENTRAL, 100.0, 24.0)],
    "intervals without a common multiple": [ss(CENTRAL, 60.0, 8.1, 2), ss(DEPOT, 50.0, 7.777, 2)],
    "two compartments": [ss(DEPOT, 100.0, 12.0), ss(CENTRAL, 40.0, 6.0, 2), ss(CENTRAL, 10.0, 5.0)],
    "infusions": [ss(CENTRAL, 100.0, 12.0, rate=5.0), ss(DEPOT, 30.0, 9.0, 2, duration=20.0)],
    "an infusion that a later row ends": [ss(CENTRAL, 100.0, 12.0, rate=5.0), ss(DEPOT, 30.0, 9.0)],
    "modelled rate and duration": [ss(CENTRAL, 50.0, 9.0, rate=-1.0), ss(CENTRAL, 50.0, 9.0, 2, rate=-2.0)],
    "modelled ones into the depot": [ss(DEPOT, 50.0, 9.0, rate=-2.0), ss(DEPOT, 50.0, 7.0, 2, rate=-1.0)],
    "infusions that have always run": [ss(CENTRAL, 0.0, rate=4.0), ss(DEPOT, 0.0, way=2, rate=2.0)],
    "one of them at a modelled rate": [ss(CENTRAL, 80.0, 8.0), ss(CENTRAL, 0.0, way=2, rate=-1.0)],
    "additional doses": [ss(CENTRAL, 90.0, 12.0, addl=3), ss(DEPOT, 60.0, 8.0, 2, addl=2)],
    "additional doses that a later row cancels": [ss(CENTRAL, 90.0, 12.0, addl=3), ss(DEPOT, 60.0, 8.0, addl=2)],
    "a plain dose between": [ss(CENTRAL, 90.0, 12.0), Record(2, 24.0, 1, 33.0, DEPOT), ss(CENTRAL, 20.0, 6.0, 2)],
    "a plain dose before": [Record(2, 24.0, 1, 33.0, DEPOT), ss(CENTRAL, 20.0, 6.0)],
    "a record between": [ss(CENTRAL, 90.0, 12.0, 2), Record(2, 24.0), ss(CENTRAL, 20.0, 6.0)],
    "a reset between": [ss(CENTRAL, 90.0, 12.0), Record(2, 24.0, 3), ss(CENTRAL, 20.0, 6.0, 2)],
    "a reset and SS 2 in one": [ss(CENTRAL, 90.0, 12.0), ss(DEPOT, 20.0, 6.0, 2, evid=4)],
    "a reset and SS 1 in one": [ss(CENTRAL, 90.0, 12.0, 2), ss(DEPOT, 20.0, 6.0, 1, evid=4)],
    "three": [ss(DEPOT, 9.0, 5.0, 2), ss(CENTRAL, 40.0, 24.0), ss(DEPOT, 70.0, 7.0, 2)],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("arrivals", [AS_GIVEN, LATE], ids=["no lag", "lags"])
@pytest.mark.parametrize("name", MODELS)
def test_records_at_one_time_are_taken_row_by_row(name: str, arrivals: dict[str, Arrival], engine: str) -> None:
    """After other doses, of which some are pending, and at the start of a table."""
    model, units = MODELS[name]
    tables = [(*before, *rows, *LOOKS) for rows in TIED.values() for before in ((), BEFORE)]
    found = through(engine, model, [Subject("1", table) for table in tables], arrivals)
    for seen, table in zip(found, tables, strict=True):
        alike(seen, row_by_row(table, units, arrivals))


# ---------------------------------------------------------------- any sequence
CMTS = st.sampled_from([DEPOT, CENTRAL])


@st.composite
def steady_records(draw: st.DrawFn) -> Record:
    """A record at steady state, sometimes a plain dose, a reset or no dose."""
    kind = draw(st.sampled_from(["bolus"] * 3 + ["rate", "duration", "modelled", "always", "plain", "reset", "none"]))
    if kind in ("reset", "none"):
        return Record(2, 0.0, 3 if kind == "reset" else 0)
    amt, cmt = float(draw(st.integers(1, 90))), draw(CMTS)
    if kind == "always":
        return Record(
            2, 0.0, 1, 0.0, cmt, rate=draw(st.sampled_from([3.0, 7.5, -1.0])), ss=draw(st.sampled_from([1, 2]))
        )
    record = Record(
        2,
        0.0,
        draw(st.sampled_from([1] * 5 + [4])),
        amt,
        cmt,
        ii=draw(st.sampled_from([4.0, 6.5, 12.0, 24.0])),
        addl=draw(st.sampled_from([0, 0, 1, 3])),
        ss=0 if kind == "plain" else draw(st.sampled_from([1, 2])),
    )
    if kind == "rate":
        return dataclasses.replace(record, rate=amt / draw(st.sampled_from([0.5, 5.0, 30.0])))
    if kind == "duration":
        return dataclasses.replace(record, duration=draw(st.sampled_from([0.5, 6.5, 30.0])))
    return dataclasses.replace(record, rate=draw(st.sampled_from([-1.0, -2.0]))) if kind == "modelled" else record


@st.composite
def tables(draw: st.DrawFn) -> tuple[Record, ...]:
    """Records of which many share a time, and looks."""
    records = draw(st.lists(steady_records(), min_size=1, max_size=5))
    times = sorted(draw(st.sampled_from([0.0, 0.0, 6.5, 24.0, 24.0, 31.0])) for _ in records)
    rows = [dataclasses.replace(r, time=t) for r, t in zip(records, times, strict=True)]
    looks = [Record(99, t) for t in (0.0, 3.0, 6.5, 24.0, 25.5, 40.0, 55.0)]
    return tuple(sorted([*rows, *looks], key=lambda r: r.time))


ARRIVALS = st.builds(Arrival, st.sampled_from([1.0, 0.4]), st.sampled_from([0.0, 0.5, 2.5]))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6, deadline=None)
@given(st.lists(tables(), min_size=12, max_size=12), ARRIVALS, ARRIVALS)
def test_any_sequence_of_steady_records(
    name: str, engine: str, rows: list[tuple[Record, ...]], depot: Arrival, central: Arrival
) -> None:
    (model, units), arrivals = MODELS[name], {DEPOT: depot, CENTRAL: central}
    found = through(engine, model, [Subject("1", table) for table in rows], arrivals)
    for seen, table in zip(found, rows, strict=True):
        alike(seen, row_by_row(table, units, arrivals))


# ---------------------------------------------------------------- as a user gives it
@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ("1 0 1 100 2 24 1\n1 0 1 100 2 24 1", (3.05376, 3.05376, 0.19662)),
        ("1 0 1 100 2 24 1\n1 0 1 100 2 24 2", (3.05376, 6.10752, 0.39324)),
        ("1 0 1 100 2 24 2\n1 0 1 100 2 24 1", (3.05376, 3.05376, 0.19662)),
    ],
)
def test_a_table_as_nonmem_gives_it(tmp_path: Path, rows: str, right: tuple[float, ...]) -> None:
    """NONMEM 7.6, ADVAN2 with CL 4 L/h and V 35 L."""
    events = written(tmp_path, f"ID TIME EVID AMT CMT II SS\n{rows}\n1 24 0 . . . .")
    simulate("textbook-1cpt", events=events, records=tmp_path / "out.csv")
    seen = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [float(row["pk.C"]) for row in seen] == pytest.approx(right, abs=2e-5)
