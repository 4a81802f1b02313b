"""Tables read by column and schedules sorted all at once are those of one row and one subject at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nanomg.dosing import event_table, schedule
from nanomg.dosing.event_record import Record, Subject
from nanomg.dosing.many_schedules import Dosed, ordered
from nanomg.dosing.record_columns import Columns, Rows, changed, columns_of
from nanomg.library import scenario_file
from nanomg.models import library

MODEL = scenario_file.load("textbook-2cpt", library()).model
TIMES = np.array(
    [0.0, 1.0, 2.0, 2.5, 0.25, 0.75, 7.0, 12.0, 13.0, 24.0, 30.25]
)  # their sums are exact, so that ties are ties


# ---------------------------------------------------------------- reading
TABLE = """ID,time,EVID,AMT,CMT,RATE,II,ADDL,SS,dur,MDV,DV,WT,SEX
1,0,.,100,pk.depot,.,12,3,.,.,.,.,70,F
1,1.0,0,.,.,.,.,.,.,.,0,3.5,.,F
1,24,1,50,2,25,.,.,.,.,1,.,71,F
1.0,30,2,.,0,.,.,.,.,.,.,.,72,F
two,-5,4,1e2,1,-1,.,.,.,.,.,.,60,M
two,3,1,0,pk.central,8,.,.,1,.,.,.,60,M
two,3,1,9,,,8,,2,1.5,,,60,M
"""


def test_a_table_is_read_by_column() -> None:
    """Each record is what its row says, row by row."""
    first, second = event_table.parse_events(TABLE, "doses.csv", MODEL, {"pk.V": "WT"})
    assert (first.id, second.id) == ("1", "two") and first.bound == {"pk.V": "WT"}
    assert isinstance(first.records, Rows) and first.records[-1] == tuple(first.records)[-1]

    def record(row: int, time: float, weight: float | None, **what: Any) -> Record:
        return Record(row, time, covariates={"WT": weight, "SEX": None}, **what)

    assert tuple(first.records) == (
        record(2, 0.0, 70.0, evid=1, amt=100.0, cmt="pk.depot", ii=12.0, addl=3, mdv=1),
        record(3, 1.0, None, dv=3.5),
        record(4, 24.0, 71.0, evid=1, amt=50.0, cmt="pk.central", rate=25.0, mdv=1),
        record(5, 30.0, 72.0, evid=2, mdv=1),
    )
    assert tuple(second.records) == (
        record(6, -5.0, 60.0, evid=4, amt=100.0, cmt="pk.depot", rate=-1.0, mdv=1),
        record(7, 3.0, 60.0, evid=1, cmt="pk.central", rate=8.0, ss=1, mdv=1),
        record(8, 3.0, 60.0, evid=1, amt=9.0, cmt="pk.depot", ii=8.0, ss=2, duration=1.5, mdv=1),
    )


def test_columns_of_tables_and_of_single_records_are_joined() -> None:
    (first, second), alone = (
        event_table.parse_events(TABLE, "doses.csv", MODEL),
        Subject("3", (Record(9, 2.0, 1, 5.0, "pk.iv2"),)),
    )
    columns, bounds = columns_of([second, alone, first])
    assert bounds.tolist() == [0, 3, 4, 8]
    assert columns.row.tolist() == [6, 7, 8, 9, 2, 3, 4, 5]
    assert [columns.names[code] for code in columns.cmt[columns.doses]] == [
        "pk.depot", "pk.central", "pk.depot", "pk.iv2", "pk.depot", "pk.central"
    ]  # fmt: skip
    assert np.isnan(columns.covariates["WT"]).tolist() == [False, False, False, True, False, True, False, False]


def test_all_records_are_changed_at_once() -> None:
    def double(columns: Columns) -> Columns:
        return columns._replace(amt=2.0 * columns.amt)

    subjects = event_table.parse_events(TABLE, "doses.csv", MODEL)
    for before, after in zip(subjects, changed(subjects, double), strict=True):
        assert [r.amt for r in after.records] == [2.0 * r.amt for r in before.records] and after.id == before.id


# ---------------------------------------------------------------- schedules
def random_subject(rng: np.random.Generator, name: str) -> Subject:
    """Doses of every kind without reset or steady state; many things happen at one time."""
    records = []
    for time in np.sort(rng.choice(TIMES, rng.integers(1, 12))).tolist():
        dose = Record(
            1,
            time,
            1,
            float(rng.choice([1.0, 6.0])),
            "a",
            ii=float(rng.choice([0.25, 1, 2.5])),
            addl=int(rng.integers(4)),
        )
        kinds = (Record(1, time), dose, {"duration": 2.0}, {"rate": 3.0})
        kind = kinds[rng.integers(4)]
        records.append(Record(**{**vars(dose), **kind}) if isinstance(kind, dict) else kind)
    return Subject(name, tuple(records))


@pytest.mark.parametrize("outputs", [[], [0.0, 0.25, 2.5, 12.0, 24.0, 36.0]])
def test_schedules_all_at_once_are_those_of_each_subject(outputs: list[float]) -> None:
    rng = np.random.default_rng(7)
    subjects = [random_subject(rng, str(i)) for i in range(300)]
    values = [schedule.dose_values(subject, float(rng.choice([0.0, 0.5, 0.125, 2.0]))) for subject in subjects]
    columns, bounds = columns_of(subjects)
    count, rows = np.diff(bounds), int(np.diff(bounds).max())
    at = bounds[:-1] + np.minimum(np.arange(rows)[:, None], count - 1)
    wide = lambda name: np.concatenate([getattr(each, name) for each in values])[at]
    lengths = [schedule.delivery([r.mode for r in s.records], v)[2] for s, v in zip(subjects, values, strict=True)]
    many = ordered(
        Dosed(
            time=wide("time"),
            records=count,
            gives=columns.doses[at] & (np.arange(rows)[:, None] < count),
            mode=columns.mode[at],
            addl=columns.addl[at],
            ii=wide("ii"),
            lag=wide("lag"),
            length=np.concatenate(lengths)[at],
            further=np.repeat(np.array(outputs, float).reshape(-1, 1), len(subjects), 1),
            reached=np.ones((len(outputs), len(subjects)), bool),
        )
    )
    for b, (subject, own) in enumerate(zip(subjects, values, strict=True)):
        alone = schedule.expand(subject, own, outputs)
        edges, n = schedule.edges(alone), len(alone.actions)
        place = np.append(np.arange(count[b]), rows + np.arange(len(outputs)))[edges.at]
        assert many.used[b] == n
        for name, expected in edges._replace(at=place)._asdict().items():
            assert np.array_equal(getattr(many.edges, name)[:n, b], expected), (name, subject)
        assert many.before[:n, b].tolist() == list(alone.before) and many.after[:n, b].tolist() == list(alone.after)
