"""Tables read by column and schedules sorted all at once are those of one row and one subject at a time."""

from __future__ import annotations

from collections.abc import Callable

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
01.0,30,2,.,0,.,.,.,.,.,.,.,72,F
two,-5,4,1e2,1,-1,.,.,.,.,.,.,60,M
two,3,1,0,pk.central,8,.,.,1,.,.,.,60,M
two,3,1,9,,,8,,2,1.5,,,60,M
"""


def by_row(text: str, bound: dict[str, str]) -> tuple[Subject, ...]:
    columns = tuple(name.upper() for name in event_table.header_of(text, "doses.csv"))
    return event_table._by_row(text, columns, bound, MODEL, "doses.csv")


@pytest.mark.parametrize("bound", [{}, {"pk.V": "WT"}])
def test_a_table_by_column_is_the_table_by_row(bound: dict[str, str]) -> None:
    at_once, one_by_one = event_table.parse_events(TABLE, "doses.csv", MODEL, bound), by_row(TABLE, bound)
    assert all(isinstance(subject.records, Rows) for subject in at_once)
    assert [subject.id for subject in at_once] == ["1", "two"]
    for fast, slow in zip(at_once, one_by_one, strict=True):
        assert (fast.id, fast.bound, tuple(fast.records)) == (slow.id, slow.bound, tuple(slow.records))
        assert fast.records == slow.records and fast.records[-1] == slow.records[-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",70,F", ",70,5"),  # one number among words
        lambda text: (
            text.replace("ID,time", "C,time").replace("\n1,", "\n.,").replace("two", "note").replace("01.0", ".")
        ),
    ],
)
def test_what_is_not_plain_is_read_row_by_row(change: Callable[[str], str]) -> None:
    text = change(TABLE)
    found = event_table.parse_events(text, "doses.csv", MODEL)
    assert not any(isinstance(subject.records, Rows) for subject in found)


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
