"""Time after dose and occasion against a count of single doses, record by record."""

from __future__ import annotations

import math

import numpy as np
import pytest
from event_reference import one, read

from nanomg.dosing.event_record import Record, Subject
from nanomg.dosing.occasions import occasions_of


def counted(records: tuple[Record, ...]) -> tuple[list[float], list[int]]:
    """What a reader of the table counts: every dose is written out, and looked up for each record."""
    after, occasion = [], []
    given: list[float] = []  # since the last reset
    before: set[tuple[int, float]] = set()
    pending: list[float] = []
    part = 0
    for record in records:
        if record.resets or (record.doses and record.ss == 1):
            given, pending, part = [], [], part + 1
        for time in sorted(time for time in pending if time <= record.time + 1e-9):
            given.append(time)
            before.add((part, round(time, 6)))
            pending.remove(time)
        if record.doses:
            given.append(record.time)
            before.add((part, round(record.time, 6)))
            pending += [record.time + k * record.ii for k in range(1, record.addl + 1)]
        after.append(record.time - max(given) if given else math.nan)
        occasion.append(len(before))
    return after, occasion


def random_records(rng: np.random.Generator) -> tuple[Record, ...]:
    records, time = [], 0.0
    for _ in range(rng.integers(1, 12)):
        evid = int(rng.choice([0, 0, 0, 1, 1, 1, 2, 3, 4]))
        time = float(rng.choice([0, time])) if evid in (3, 4) else time + float(rng.choice([0, 0.5, 1, 2.5, 12]))
        ii = float(rng.choice([0.5, 2.5, 12.0]))
        dose = {"amt": 5.0, "cmt": "a", "ii": ii, "addl": int(rng.integers(5)), "ss": int(rng.choice([0, 0, 1, 2]))}
        records.append(Record(1, time, evid, **(dose if evid in (1, 4) else {})))  # type: ignore[arg-type]
    return tuple(records)


def test_random_subjects_all_at_once() -> None:
    rng = np.random.default_rng(11)
    subjects = [Subject(str(i), random_records(rng)) for i in range(2000)]
    found = occasions_of(subjects)
    expected = [counted(tuple(subject.records)) for subject in subjects]
    assert found.occasion.tolist() == [n for _, numbers in expected for n in numbers]
    times = np.array([time for times, _ in expected for time in times])
    assert found.time_after_dose == pytest.approx(times, abs=1e-9, nan_ok=True)
    assert np.isnan(times).sum() > 100 and (times > 0).sum() > 1000


def test_a_trough_before_the_dose_belongs_to_the_dose_before() -> None:
    doses = "-1 0 . . .\n0 1 5 12 1\n12 0 . . .\n24 0 . . .\n24 1 5 . .\n24 0 . . .\n30 3 . . .\n31 0 . . ."
    subject = one(f"TIME EVID AMT II ADDL\n{doses}")
    found = occasions_of([subject])
    assert np.nan_to_num(found.time_after_dose, nan=-1).tolist() == [-1, 0, 0, 12, 0, 0, -1, -1]
    assert found.occasion.tolist() == [0, 1, 2, 2, 3, 3, 3, 3]


def test_times_that_differ_by_rounding_are_one() -> None:
    """Three doses 0.1 h apart: the third is due at 0.30000000000000004 h."""
    subjects = read("ID,TIME,AMT,II,ADDL\n1,0,5,0.1,3\n1,0.3,.,.,.\n1,0.6,5,.,.\n1,0.7,.,.,.\n2,0.25,.,.,.\n")
    found = occasions_of(subjects)
    assert found.time_after_dose[:4] == pytest.approx([0, 0, 0, 0.1]) and found.time_after_dose[1] == 0
    assert found.occasion.tolist() == [1, 4, 5, 5, 0] and np.isnan(found.time_after_dose[4])
