"""Random event tables, expanded and solved, against the sum over their doses and against tables that mean the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from event_reference import K, simulate, superposed
from event_strategies import bioavailabilities, doses, halves, lags, subjects
from hypothesis import given, settings
from hypothesis import strategies as st

from nanomg.dosing.event_record import Record, Subject
from nanomg.equations.model import Model
from nanomg.models.textbook import OneCompartment
from nanomg.simulation import event_lanes


@settings(max_examples=400, deadline=None)
@given(subjects(), lags, bioavailabilities)
def test_any_table_equals_the_sum_over_its_doses(subject: Subject, lag: float, F: float) -> None:
    assert simulate(subject, lag=lag, F=F) == pytest.approx(superposed(subject, lag, F), rel=1e-9, abs=1e-9)


def written_out(subject: Subject) -> Subject:
    """Every implied dose as a record of its own, before the rows of its time."""
    extra = [
        dataclasses.replace(r, row=-1, time=r.time + k * r.ii, addl=0, ss=0, evid=1)
        for r in subject.records
        for k in range(1, r.addl + 1)
    ]
    plain = [dataclasses.replace(r, addl=0) for r in subject.records]
    return dataclasses.replace(subject, records=tuple(sorted([*extra, *plain], key=lambda r: r.time)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(halves, doses(ss=False)), min_size=1, max_size=4),
    lags,
    bioavailabilities,
    st.sampled_from([0, 1, 2]),
)
def test_further_doses_equal_the_doses_written_out(
    given: list[tuple[float, Record]], lag: float, F: float, ss: int
) -> None:
    (first, *rest) = [dataclasses.replace(r, time=t) for t, r in sorted(given, key=lambda dose: dose[0])]
    records = [
        dataclasses.replace(first, ss=ss, row=0),
        *(dataclasses.replace(r, row=i) for i, r in enumerate(rest, 1)),
    ]
    looks = [Record(50 + i, t) for i, t in enumerate((12.0, 18.5, 30.0, 41.0))]
    subject = Subject("1", tuple(sorted([*records, *looks], key=lambda r: r.time)))
    other = written_out(subject)
    if ss == 1 and other.records[0].row == -1:
        return
    seen = dict(zip([r.row for r in subject.records], simulate(subject, lag=lag, F=F), strict=True))
    again = dict(zip([r.row for r in other.records], simulate(other, lag=lag, F=F), strict=True))
    assert [seen[r.row] for r in looks] == pytest.approx([again[r.row] for r in looks], rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(doses(ss=False), min_size=1, max_size=4), st.lists(doses(), max_size=3), st.randoms(), lags)
def test_the_order_of_doses_at_one_time_does_not_matter(
    plain: list[Record], steady: list[Record], random: Any, lag: float
) -> None:
    """Plain doses among themselves, and steady states that are added among themselves."""
    steady = [dataclasses.replace(r, evid=1, ss=2) for r in steady]
    looks = tuple(Record(0, t) for t in (6.0, 6.5, 9.0, 30.0))
    found = []
    for _ in range(2):
        rows = [dataclasses.replace(r, time=6.0) for r in (*steady, *plain)]
        found.append(simulate(Subject("1", (*rows, *looks)), lag=lag)[-4:])
        random.shuffle(plain)
        random.shuffle(steady)
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(doses(), st.sampled_from([0.25, 0.5]), lags, bioavailabilities)
def test_a_dose_may_be_split_over_two_records(dose: Record, part: float, lag: float, F: float) -> None:
    """Each part keeps the duration: its share of the rate, or a record of that duration."""
    shares = [
        dataclasses.replace(dose, amt=share * dose.amt, rate=share * dose.rate, evid=evid, ss=ss)
        for share, evid, ss in ((part, dose.evid, dose.ss), (1 - part, 1, 2 * (dose.ss > 0)))
    ]
    looks = tuple(Record(0, t) for t in (0.0, 0.5, 3.0, 12.0, 30.0))
    whole = simulate(Subject("1", (dose, *looks)), lag=lag, F=F)
    assert simulate(Subject("1", (*shares, *looks)), lag=lag, F=F)[1:] == pytest.approx(whole, rel=1e-9)


ENGINE = Model(OneCompartment)
PARAMETERS = dict.fromkeys(ENGINE.parameters, 0.0) | {"pk.ka": 1.0, "pk.CL": K, "pk.V": 1.0, "pk.F_depot": 1.0}
VARIED = ("pk.F_central", "pk.Tlag_central")
BLOCK = 12


# A lane that is larger than the others in every way, so that all blocks have one size and one compiled program.
LARGEST = Subject(
    "largest",
    (
        *(Record(i, 0.0, 1, 1.0, "pk.central", duration=24.0, ii=3.0, ss=2) for i in range(6)),
        *(Record(i, 0.5 + i, 1, 1.0, "pk.central", ii=3.0, ss=2) for i in range(16)),
        Record(99, 40.0, 1, 1.0, "pk.central", ii=0.25, addl=100),
        Record(99, 80.0),
    ),
)


def through_engine(cases: list[tuple[Subject, float, float]]) -> list[np.ndarray]:
    """The amount at the records of each subject with its lag and F, all as one block."""
    lag, F = (
        np.array([*column, fill]) for column, fill in zip(list(zip(*cases, strict=True))[1:], (0.0, 1.0), strict=True)
    )
    values = {**PARAMETERS, "pk.Tlag_central": lag, "pk.F_central": F}
    solved = event_lanes.run(ENGINE, values, [*(subject for subject, _, _ in cases), LARGEST], varied=VARIED)
    assert not solved.status.any()
    return [lane["pk.central"] for lane in solved.at_records(["pk.central"])[:-1]]


def alike(found: Any, expected: Any) -> Any:
    """Within a millionth, down to a billionth of the largest amount."""
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9 * max(1.0, *np.abs(expected)))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(subjects(), lags, bioavailabilities), min_size=BLOCK, max_size=BLOCK))
def test_any_table_through_the_engine_equals_the_sum_over_its_doses(cases: list[tuple[Subject, float, float]]) -> None:
    for found, case in zip(through_engine(cases), cases, strict=True):
        alike(found, superposed(*case))


AFTER = tuple(Record(50, t) for t in (18.5, 24.0, 30.0, 41.0))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Subject, Subject]:
    """Two tables that mean the same, with the records after all of their times in common."""
    kind = draw(st.sampled_from(["written out", "in another order", "split"]))
    if kind == "in another order":
        together = [dataclasses.replace(draw(doses(ss=False)), time=6.0) for _ in range(draw(st.integers(2, 4)))]
        return Subject("1", (*together, *AFTER)), Subject("1", (*draw(st.permutations(together)), *AFTER))
    dose = draw(doses(ss=kind == "split"))
    if kind == "written out":
        dose = dataclasses.replace(dose, ss=draw(st.sampled_from([0, 1, 2])))
        return Subject("1", (dose, *AFTER)), written_out(Subject("1", (dose, *AFTER)))
    part = draw(st.sampled_from([0.25, 0.5]))
    shares = [
        dataclasses.replace(dose, amt=share * dose.amt, rate=share * dose.rate, evid=evid, ss=ss)
        for share, evid, ss in ((part, dose.evid, dose.ss), (1 - part, 1, 2 * (dose.ss > 0)))
    ]
    return Subject("1", (dose, *AFTER)), Subject("1", (*shares, *AFTER))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(pairs(), lags, bioavailabilities), min_size=BLOCK // 2, max_size=BLOCK // 2))
def test_tables_that_mean_the_same_through_the_engine(
    cases: list[tuple[tuple[Subject, Subject], float, float]],
) -> None:
    """Implied doses written out, doses of one time in another order, a dose split over two records."""
    both = [(subject, lag, F) for pair, lag, F in cases for subject in pair]
    found = [
        [amount for amount, record in zip(amounts, subject.records, strict=True) if record.row == 50]
        for amounts, (subject, _, _) in zip(through_engine(both), both, strict=True)
    ]
    for one_, other in zip(found[::2], found[1::2], strict=True):
        alike(one_, other)
