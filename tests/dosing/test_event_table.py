"""Event tables: what is read from them, and the sentence that refuses a broken one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from event_reference import one, read, simulate
from event_strategies import lags
from hypothesis import given, settings
from hypothesis import strategies as st

from nanomg.dosing import event_table
from nanomg.dosing.column_names import TableLayout
from nanomg.dosing.schedule import Kind, Schedule, dose_values, expand
from nanomg.dosing.table_source import read_text
from nanomg.errors import InputError


def test_a_table_is_read_with_all_its_columns() -> None:
    text = (
        "\ufeffC,Id,time,evid,AMT,cmt,Rate,ii,addl,ss,mdv,dv,dur,until,WT,note\r\n"
        "a comment\r\n"
        ".,1,0,.,100,2,,12,3,.,,.,,.,70,first\r\n"
        "\r\n"
        ".,1.0,1.5,,,,,,,,,4.25,,,NA,\r\n"
        "C,broken,row,,,,,,,,,,,,,\r\n"
        ".,b,-1.5,4,5,pk.iv,,8.5,,1,,,2,24,1e2,'x'\r\n"
    )
    subjects = read(text)
    assert [s.id for s in subjects] == ["1", "b"]
    dose, seen = subjects[0].records
    assert (dose.row, dose.time, dose.evid, dose.amt, dose.cmt) == (3, 0.0, 1, 100.0, "pk.central")
    assert (dose.ii, dose.addl, dose.ss, dose.mdv, dose.dv) == (12.0, 3, 0, 1, None)
    assert dose.covariates == {"C": None, "WT": 70.0, "NOTE": None}
    assert (seen.row, seen.evid, seen.cmt, seen.mdv, seen.dv, seen.covariates["WT"]) == (5, 0, "", 0, 4.25, None)
    plain = text.removeprefix("\ufeff")
    assert event_table.header_of(plain, "doses.csv", TableLayout())[:4] == ["C", "Id", "time", "evid"]
    lines = event_table.rewritten(plain, "doses.csv", TableLayout(), subjects, {"Y": np.array([0.1, np.nan, 2.0])})
    assert "".join(lines).splitlines() == [
        "C,Id,time,evid,AMT,cmt,Rate,ii,addl,ss,mdv,dv,dur,until,WT,note,Y",
        ".,1,0,.,100,2,,12,3,.,,.,,.,70,first,0.1",
        ".,1.0,1.5,,,,,,,,,4.25,,,NA,,",
        ".,b,-1.5,4,5,pk.iv,,8.5,,1,,,2,24,1e2,'x',2.0",
    ]
    (last,) = subjects[1].records
    assert (last.cmt, last.addl, last.duration, last.ss) == ("pk.iv", 2, 2.0, 1)


def test_what_is_missing_has_a_meaning() -> None:
    subject = one("TIME AMT RATE SS\n0 10 . .\n1 . . .\n2 0 5 1")
    assert subject.id == "1"
    assert [(r.evid, r.cmt) for r in subject.records] == [(1, "pk.depot"), (0, ""), (1, "pk.depot")]
    assert subject.records[2].constant


def test_time_may_go_back_where_a_reset_starts_a_new_clock() -> None:
    assert len(one("TIME EVID AMT\n0 1 5\n9 0 0\n0 4 5\n9 0 0\n12 3 0\n0 0 0").records) == 6


def test_columns_are_bound_to_parameters() -> None:
    subject = one("TIME AMT Dur wt\n0 5 2 70\n1 . 3 .", {"pk.k": "dur", "pk.ka": "WT"})
    assert subject.bound == {"pk.k": "DUR", "pk.ka": "WT"}
    assert subject.records[0].duration == 0 and subject.records[0].covariates == {"DUR": 2.0, "WT": 70.0}
    assert one("TIME AMT\n0 5\n1 0", {"pk.k": "amt"}).records[0].covariates == {"AMT": 5.0}
    for bindings, words in (
        ({"pk.k": "KEL"}, ["'KEL'", "events.csv", "pk.k"]),
        ({"pk.kk": "WT"}, ["parameter 'pk.kk'", "'pk.k'"]),
    ):
        with pytest.raises(InputError) as caught:
            one("TIME AMT WT\n0 5 70", bindings)
        assert all(word in str(caught.value) for word in words)
    with pytest.raises(InputError, match="column WT: subject 2 has no value"):
        one("ID TIME WT\n1 0 70\n2 0 .", {"pk.k": "WT"})


@pytest.mark.parametrize(
    ("table", "row", "column", "says"),
    [
        ("TIME AMT\n0 -5", 2, "AMT", "must not be negative"),
        ("TIME amt\n0 nan", 2, "AMT", "'nan' is not a finite number"),
        ("TIME AMT\n0 1e999", 2, "AMT", "not a finite number"),
        ("TIME AMT\n0 5 \n0 1_0", 3, "AMT", "not a finite number"),
        ("TIME AMT\n8:70 5", 2, "TIME", "not a finite number, nor a clock time (08:30)"),
        ("TIME AMT\n. 5", 2, "TIME", "the time is missing"),
        ("TIME AMT ADDL\n0 5 2", 2, "II", "needs the interval"),
        ("TIME AMT ADDL II\n0 5 2 0", 2, "II", "needs the interval"),
        ("TIME AMT ADDL II\n0 5 2 -1", 2, "II", "must not be negative"),
        ("TIME AMT ADDL II\n0 5 -1 8", 2, "ADDL", "whole number"),
        ("TIME AMT ADDL II\n0 5 1.5 8", 2, "ADDL", "whole number"),
        ("TIME AMT ADDL II\n0 5 100000 8", 2, "ADDL", "more than 100000"),
        ("TIME AMT SS\n0 5 1", 2, "II", "SS = 1 needs the interval"),
        ("TIME AMT SS II\n0 5 3 12", 2, "SS", "one of 0, 1, 2"),
        ("TIME EVID AMT\n0 9 5", 2, "EVID", "one of 0, 1, 2, 3, 4"),
        ("TIME EVID AMT\n0 0.5 5", 2, "EVID", "one of 0, 1, 2, 3, 4"),
        ("TIME EVID AMT\n0 1 .", 2, "AMT", "a dose needs AMT"),
        ("TIME EVID\n0 4", 2, "AMT", "a dose needs AMT"),
        ("TIME AMT RATE\n0 0 5", 2, "AMT", "RATE is 5, but AMT is 0"),
        ("TIME AMT RATE SS\n0 0 -2 1", 2, "II", "SS = 1 needs the interval"),
        ("TIME AMT RATE SS\n0 . -2 1", 2, "AMT", "a dose needs AMT"),
        ("TIME AMT RATE SS II\n0 0 5 1 12", 2, "II", "constant infusion"),
        ("TIME AMT RATE SS ADDL II\n0 0 5 1 3 12", 2, "II", "constant infusion"),
        ("TIME AMT RATE\n0 5 -3", 2, "RATE", "-1 (modelled rate)"),
        ("TIME AMT RATE dur\n0 5 5 1", 2, "DUR", "both given"),
        ("TIME AMT tinf\n0 5 -1", 2, "TINF", "must not be negative"),
        ("TIME AMT dur tinf\n0 5 1 1", 1, None, "DUR and TINF are the same"),
        ("TIME AMT ADDL II until\n0 5 1 8 24", 2, "UNTIL", "both given"),
        ("TIME AMT until\n0 5 24", 2, "II", "until needs the interval"),
        ("TIME AMT II until\n24 5 8 24", 2, "UNTIL", "must come after"),
        ("TIME AMT II until\n0 5 1e-9 24", 2, "UNTIL", "more than 100000"),
        ("TIME EVID AMT\n0 0 5", 2, "AMT", "gives no dose"),
        ("TIME EVID SS\n0 3 1", 2, "SS", "gives no dose"),
        ("TIME AMT CMT\n0 5 3", 2, "CMT", "a number from 1 to 2"),
        ("TIME AMT CMT\n0 5 -1", 2, "CMT", "a number from 1 to 2, not -1; NONMEM turns a compartment off"),
        ("TIME AMT CMT\n0 5 1.5", 2, "CMT", "a number from 1 to 2"),
        ("TIME AMT CMT\n0 5 pk.centrl", 2, "CMT", "did you mean 'pk.central'"),
        ("TIME AMT MDV\n0 5 .5", 2, "MDV", "whole number"),
        (
            "TIME DV\n0 low",
            2,
            "DV",
            "'low' is not a finite number, nor a value beyond quantification such as BLQ or <0.5",
        ),
        ("TIME EVID AMT\n0 101 5", 2, "EVID", "EVID 101 is a code of RxODE"),
        ("TIME EVID AMT\n0 5 5", 2, "EVID", "EVID 5 is rxode2's code for replacing an amount"),
        ("TIME EVID AMT\n0 8 5", 2, "EVID", "EVID 8 is mrgsolve's code for replacing an amount"),
        ("TIME AMT\n5 5\n4 5", 3, "TIME", "time goes back from 5 h to 4 h"),
        ("TIME EVID AMT\n5 4 5\n4 0 0", 3, "TIME", "time goes back from 5 h to 4 h"),
        ("ID TIME\n1 0\n2 0\n1 1", 4, "ID", "keep all rows of a subject together"),
        ("ID TIME\n. 0", 2, "ID", "the ID is missing"),
        ("TIME AMT time\n0 5 0", 1, None, "TIME and TIME are the same"),
        ("AMT CMT\n5 1", 1, None, "no column TIME"),
        ("TIME AMT\n0 5 6", 2, None, "3 cells under 2 columns"),
        ("TIME AMT\n0 5\n7", 3, None, "1 cells under 2 columns"),
    ],
)
def test_a_broken_table_is_refused_in_one_sentence(table: str, row: int, column: str | None, says: str) -> None:
    with pytest.raises(InputError) as caught:
        one(table)
    place = f"events.csv, row {row}" + (f", column {column}:" if column else ":")
    assert place in str(caught.value) and says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"TIME,AMT\n", "no records"),
        (b"TIME,AMT,\n0,5,\n", "column 3 has no name"),
        ("TIME,AMT\n0,5µ\n".encode("latin-1"), "is not UTF-8"),
        ("TIME,AMT\n0,5\n".encode("utf-16"), "is not UTF-8"),
        (b'TIME,AMT\n0,"5\n', "not a row of CSV"),
        (b"TIME,AMT\n0," + b"5" * 200_000, "is not a finite number"),
        (b"# a comment\n", "no header with TIME"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook of before 2007"),
        (b"PAR1\0", "a Parquet file; an event table is text"),
        (b"PK\x03\x04", "the Excel workbook cannot be read"),
        (b"\x1f\x8b\x08\0", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(table: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(table)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv", "a\0b"):
        with pytest.raises(InputError, match=r"cannot be read|is a folder"):
            read_text(path)


NUMBERS = ["", ".", "0", "1", "2", "0.5", "4", "12", "1e3"]
ODD = ["-1", "-2", "nan", "inf", "1e999", "x", "1e-300", "1e300", "99999", '"', "µ", " 7 "]
CELLS = {
    "ID": ["1", "1", "1", "2"],
    "TIME": ["0", "0", "1", "2.5", "12", "24"],
    "EVID": ["", "", "0", "1", "1", "2", "3", "4"],
    "CMT": ["", "1", "2", "pk.iv", "pk.central"],
    "RATE": ["", "", "0", "3", "-1", "-2"],
    "SS": ["", "", "", "0", "1", "2"],
    "ADDL": ["", "", "0", "2"],
    "AMT": ["", "5", "10"],
    "II": ["", "8", "12"],
}


@st.composite
def tables(draw: st.DrawFn) -> str:
    columns = draw(
        st.lists(st.sampled_from([*CELLS, "DV", "MDV", "dur", "until", "WT", "c"]), max_size=10, unique=True)
    )
    if draw(st.integers(0, 9)):
        columns = ["TIME", *(c for c in columns if c != "TIME")]
    odd = draw(st.sampled_from([0, 0, 3]))
    lines = [",".join(columns)]
    for _ in range(draw(st.integers(0, 6))):
        row = [draw(st.sampled_from(CELLS.get(c, NUMBERS) * 5 + ODD * (odd > 0))) for c in columns]
        lines.append(",".join(row[: draw(st.integers(len(row) - (odd > 0 and bool(row)), len(row)))]))
    if "TIME" in columns and odd == 0:
        i = columns.index("TIME")
        lines[1:] = sorted(lines[1:], key=lambda line: float(line.split(",")[i]))
    return "\n".join(lines)


OUTCOMES = {"read": 0, "refused": 0}


@settings(max_examples=1000, deadline=None)
@given(tables(), lags)
def test_a_random_table_gives_a_result_or_one_sentence(table: str, lag: float) -> None:
    refused = ""
    try:
        for subject in read(table, {"pk.k": "WT"} if "WT" in table and lag else {}):
            values = dose_values(subject, lag=lag, rate=2.0, duration=3.0)
            schedule: Schedule = expand(subject, values)
            assert sum(a.kind is Kind.OUTPUT for a in schedule.actions) == len(subject.records)
            assert np.isfinite(simulate(subject, lag=lag, rate=2.0, duration=3.0)).all()
    except InputError as error:
        refused = str(error)
    assert "\n" not in refused or "rows of the table cannot be used" in refused
    OUTCOMES["refused" if refused else "read"] += 1


def test_random_tables_came_out_both_ways() -> None:
    assert not sum(OUTCOMES.values()) or min(OUTCOMES.values()) > 100
