"""What people bring as event tables: names, separators, comments, clock times, units, files and frames."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from event_reference import MODEL, one, read

from nanomg.dosing import cell_values, event_table
from nanomg.dosing.column_names import TableLayout
from nanomg.dosing.event_record import Subject
from nanomg.dosing.table_reading import TableReading
from nanomg.dosing.table_source import is_frame, read_text, table_of, text_of_frame
from nanomg.errors import InputError


def understood(text: str, **layout: Any) -> tuple[tuple[Subject, ...], TableReading]:
    subjects, reading = event_table.read_events(text, "doses.csv", MODEL, TableLayout(**layout))
    return subjects, reading.of(subjects)


# ---------------------------------------------------------------- names of columns
@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("ID TIME AMT DUR CMT", "7 1 100 10 2"),
        ("#ID TIME AMOUNT DURATION COMPARTMENT", "7 1 100 10 2"),
        ("@ID T AMT TINF CMT", "7 1 100 10 2"),
        ("subject time amt dur cmt", "7 1 100 10 PK.Central"),
        ("USUBJID TIME AMT DUR CMT", "7.0 1 100 10 pk.central"),
        ("SUBJID TIME ID AMT DUR CMT", "A1 1 7 100 10 2"),
    ],
)
def test_names_of_the_field_are_understood(header: str, row: str) -> None:
    subject = one(f"{header}\n{row}")
    (record,) = subject.records
    assert (subject.id, record.time, record.amt, record.duration, record.cmt) == ("7", 1.0, 100.0, 10.0, "pk.central")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("TIME DURATION TINF", "columns DURATION and TINF are the same"),
        ("TIME AMT AMOUNT", "columns AMT and AMOUNT are the same"),
        ("SUBJID USUBJID TIME", "columns SUBJID and USUBJID are the same"),
        ("ID,time (h),AMT", "no column TIME among ID, TIME .H., AMT; if TIME .H. holds the times"),
        ("ID HOURS AMT", "no column TIME among ID, HOURS, AMT; if HOURS holds the times, write TIME = 'HOURS'"),
    ],
)
def test_names_that_leave_a_doubt_are_refused(header: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(
            f"{','.join(header.split())}\n{','.join('1' for _ in header.split())}"
            if "," not in header
            else f"{header}\n1,1,1"
        )


def test_a_column_under_another_name_and_in_another_unit() -> None:
    layout = {"columns": {"TIME": "tafd", "AMT": "DOSE"}, "hours": {"TIME": 24.0, "II": 24.0}}
    ((subject,), reading) = understood("TAFD,TIME,DOSE,II,ADDL\n0.5,x,3,0.5,2\n2,y,,,\n", **layout)
    dose, seen = subject.records
    assert (dose.time, dose.amt, dose.ii, dose.addl, seen.time) == (12.0, 3.0, 12.0, 2, 48.0)
    assert reading.unused == ("TIME",)


# ---------------------------------------------------------------- IDs
def test_ids_are_text() -> None:
    """Numbers that agree in 15 digits are two subjects; 1.0 and 1e0 are the number 1, 01 is not."""
    ids = ["1234567890123456789", "1234567890123456788", "1.0", "01", "1.5", "S-1", "12E1"]
    subjects = read("ID,TIME\n" + "".join(f"{name},0\n" for name in ids))
    assert [s.id for s in subjects] == [*ids[:2], "1", "01", "1.5", "S-1", "120"]
    assert [s.id for s in read("ID,TIME\n1,0\n1.0,1\n1.000E+00,2\n")] == ["1"]


# ---------------------------------------------------------------- comments and what is missing
@pytest.mark.parametrize(
    ("text", "ignore", "comments"),
    [
        ("ID,TIME,AMT\n# a note, with commas, and more\n1,0,5\n  #1,1,5\n", "", 2),
        ("# made by hand\n#ID,TIME,AMT\n1,0,5\n", "", 0),
        ("@ID,TIME,AMT\nleft out,1\n1,0,5\n", "", 1),
        ("ID,TIME,AMT\nleft out\n@2,1,1\n1,0,5\n", "@", 2),
        ("ID,TIME,AMT\n!1,0,7\n1,0,5\n", "!", 1),
        ("C,ID,TIME,AMT\nC,1,0,9\n.,1,0,5\n", "", 1),
        ('"ID","TIME","AMT"\n#"2","0\n"1","0","5"\n', "", 1),
        ("TABLE NO.  1\n ID TIME AMT\n 1.0000E+00 0.0000E+00 5.0000E+00\n", "", 0),
        ("ID,TIME,AMT\n1,0,5\n,,\n\n , , \n", "", 0),
        ('"","ID","TIME","AMT"\n"1",1,0,5\n', "", 0),
    ],
)
def test_comments_and_empty_rows_are_skipped(text: str, ignore: str, comments: int) -> None:
    (subject,), reading = understood(text, ignore=ignore)
    assert subject.id == "1" and [(r.time, r.amt) for r in subject.records] == [(0.0, 5.0)]
    assert reading.comments == comments and reading.unused == ()
    assert any("skipped as comments" in note for note in reading.notes) == bool(comments)


def test_a_character_that_starts_no_comment() -> None:
    for mark in ("##", " ", "1"):
        with pytest.raises(InputError, match="--ignore: it is one character"):
            understood("TIME\n0", ignore=mark)


def test_missing_values_and_values_beyond_quantification() -> None:
    text = "ID,TIME,AMT,DV,WT\n1,0,5,NA,NA\n1,1,NA,BLQ,.\n1,2,.,<0.5,\n1,3,,< 0.5,70\n1,4,,> 9e2,x\n1,5,,<LLOQ,\n1,6,,2.5,\n"
    (subject,), reading = understood(text)
    assert [r.dv for r in subject.records] == [None] * 6 + [2.5]
    assert [r.evid for r in subject.records] == [1] + [0] * 6
    assert subject.records[0].covariates["WT"] is None and reading.unquantified == 5
    assert "5 values of DV are beyond a limit of quantification, and taken as missing." in reading.notes


# ---------------------------------------------------------------- separators
@pytest.mark.parametrize(
    "text",
    [
        "ID;TIME;AMT;WT\n1;0,5;5;70\n1;1,5;.;70,5\n",
        "ID\tTIME\tAMT\tWT\n1\t0.5\t5\t70\n1\t1.5\t\t70.5\n",
        "ID TIME AMT WT\n 1  0.5   5 70\n1 \t1.5 .   70.5\n",
        "ID, TIME, AMT, WT\r1, 0.5, 5, 70\r1, 1.5, ., 70.5\r",
        '"ID","TIME","AMT","WT"\r\n"1",0.5,5,70\r\n"1",1.5,NA,70.5\r\n',
    ],
)
def test_separators_and_decimal_commas(text: str) -> None:
    (subject,), _ = understood(text)
    assert [(r.time, r.amt, r.covariates["WT"]) for r in subject.records] == [(0.5, 5.0, 70.0), (1.5, 0.0, 70.5)]
    lines = "".join(event_table.rewritten(text, "x", TableLayout(), [subject], {"Y": np.array([0.25, np.nan])}))
    ((again,), _) = understood(lines)
    assert [r.covariates["Y"] for r in again.records] == [0.25, None]
    assert [r.covariates["WT"] for r in again.records] == [70.0, 70.5]


def test_a_decimal_comma_between_commas_is_another_cell() -> None:
    with pytest.raises(InputError, match="row 2: there are 3 cells under 2 columns"):
        understood("TIME,AMT\n0,5,5\n")


# ---------------------------------------------------------------- clock times and dates
@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("TIME\n08:30\n20:00\n23:59:30", [0.0, 11.5, 15.0 + 59.5 / 60 - 0.5]),
        ("TIME\n8:30 am\n12:00 PM\n8:45 pm", [0.0, 3.5, 12.25]),
        ("DATE,TIME\n2024-02-28,08:30\n2024-02-29,08:30\n2024-03-01,9", [0.0, 24.0, 48.5]),
        ("DATE,TIME\n02/28/2024,08:30\n03-01-2024,0:30", [0.0, 40.0]),
        ("DAT1,TIME\n28/02/2024,08:30\n01/03/2024,00:30", [0.0, 40.0]),
        ("DAT2,TIME\n2024/02/28,08:30\n2024/03/01,00:30", [0.0, 40.0]),
        ("DAT3,TIME\n2024/28/02,08:30\n2024/01/03,00:30", [0.0, 40.0]),
        ("DATE,TIME\n28FEB2024,08:30\n1-Mar-2024,00:30", [0.0, 40.0]),
        ("DATE,TIME\n1,23:00\n2,01:00", [0.0, 2.0]),
        ("TIME\n2024-02-28T08:30\n2024-02-29 08:30:00\n2024-03-01T9:00", [0.0, 24.0, 48.5]),
        ("TIME\n2024-02-28T08:30Z\n2024-02-28T11:30+02:00", [0.0, 1.0]),
        ("TIME\n20240228T0830\n20240228T1000", [0.0, 1.5]),
        ("DATE,TIME\n2024-02-28,0\n2024-02-29,24", [0.0, 24.0]),  # times that are numbers go without the dates
    ],
)
def test_clock_times_and_dates(text: str, hours: list[float]) -> None:
    ((subject,), reading) = understood(text)
    assert [r.time for r in subject.records] == pytest.approx(hours, abs=1e-12)
    assert bool(reading.clock) == (":" in text or "T0" in text.partition("\n")[2])


def test_each_subject_has_a_clock_of_its_own() -> None:
    """From the first record on, whatever the subject before; against the calendar of Python."""
    rng = np.random.default_rng(3)
    lines, expected = ["ID,TIME"], []
    for subject in range(20):
        start = datetime.datetime(2023, 12, 30) + datetime.timedelta(minutes=int(rng.integers(10_000)))
        for minutes in np.sort(rng.integers(1, 200_000, 5)) - 1:
            moment = start + datetime.timedelta(minutes=int(minutes))
            lines.append(f"{subject},{moment.isoformat()}")
            expected.append(minutes / 60)
    subjects, _ = understood("\n".join(lines))
    times = np.array([[r.time for r in s.records] for s in subjects])
    wanted = np.reshape(expected, (20, 5))
    assert times == pytest.approx(wanted - wanted[:, :1], abs=1e-9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "TIME\n23:00\n01:00",
            r"row 3, column TIME: time goes back from 0 h to -22 h .*a column DATE tells days apart",
        ),
        ("TIME\n8:00\n25:00", "row 3, column TIME: '25:00' is none of the clock times that other rows have"),
        ("TIME\n2024-03-01T08:00\n9:00", "row 3, column TIME: '9:00' is none of the dates with a time"),
        (
            "TIME\n2024-03-01T08:00Z\n2024-03-01T09:00",
            "row 3, column TIME: '2024-03-01T09:00' is none of the .* offset to UTC",
        ),
        ("DATE,TIME\n13/01/2024,8:00", r"row 2, column DATE: '13/01/2024' is not a date such as .* month/day/year"),
        ("DATE,TIME\n1/3/24,8:00", "row 2, column DATE: '1/3/24' is not a date .* four digits of the year"),
        ("DATE,TIME\n,8:00", "row 2, column DATE: the date is missing"),
        ("TIME,AMT,II,UNTIL\n8:00,5,12,48", "row 2, column UNTIL: until is a number, but the table has clock times"),
    ],
)
def test_clock_times_that_cannot_be_used(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        understood(text)


def test_a_date_that_can_be_read_in_two_ways_is_named() -> None:
    _, reading = understood("DATE,TIME\n03/01/2024,08:30\n03/02/2024,08:30")
    assert "Dates are read in NONMEM's order: 03/01/2024 as month/day/year" in " ".join(reading.notes)
    _, reading = understood("DATE,TIME\n03/21/2024,08:30\n03/22/2024,08:30")
    assert reading.notes == (
        "TIME holds clock times with the dates in DATE; time is counted from the first record of each subject.",
    )


def test_a_unit_of_time_beside_clock_times_is_refused() -> None:
    with pytest.raises(InputError, match="can give it no unit"):
        understood("TIME\n8:30", hours={"TIME": 24.0})


def test_labels_and_numbers_by_themselves() -> None:
    assert [cell_values.label_of(text) for text in ("1.", "-3.00", "0.0", "1e-1", "10e-1", "1.25e1", "1.25e2")] == [
        "1", "-3", "0", "1e-1", "10e-1", "1.25e1", "125"
    ]  # fmt: skip
    assert [cell_values.number_of(text, ",") for text in ("1,5", "1.5", "1.000,5", "1,000,5")] == [1.5, 1.5, None, None]


# ---------------------------------------------------------------- order
UNSORTED = "ID,TIME,AMT,CMT\n2,5,.,.\n1,3,.,.\n1,0,7,1\n2,0,9,2\n1,3,.,.\n"


def test_rows_out_of_order_are_sorted_on_request() -> None:
    with pytest.raises(InputError) as caught:
        understood(UNSORTED)
    assert str(caught.value).splitlines() == [
        "doses.csv: 3 rows of the table cannot be used:",
        "  row 4, column TIME: time goes back from 3 h to 0 h without a reset (EVID 3 or 4); --sort puts rows in order",
        "  row 5, column ID: subject 2 ended earlier; keep all rows of a subject together, or sort them (--sort)",
        "  row 6, column ID: subject 1 ended earlier; keep all rows of a subject together, or sort them (--sort)",
    ]
    (second, first), _ = understood(UNSORTED, sort=True)
    assert [(r.row, r.time, r.amt) for r in first.records] == [(4, 0, 7), (3, 3, 0), (6, 3, 0)]
    assert [(r.row, r.time, r.amt) for r in second.records] == [(5, 0, 9), (2, 5, 0)]
    lines = event_table.rewritten(
        UNSORTED, "x", TableLayout(sort=True), [second, first], {"Y": np.array([1.0, 2, 3, 4, 5])}
    )
    assert "".join(lines) == "ID,TIME,AMT,CMT,Y\n2,0,9,2,1.0\n2,5,.,.,2.0\n1,0,7,1,3.0\n1,3,.,.,4.0\n1,3,.,.,5.0\n"


def test_a_clock_that_starts_again_is_not_sorted() -> None:
    with pytest.raises(InputError, match="row 4: time goes back at a reset; with sorting, that cannot be told"):
        understood("TIME,EVID,AMT\n0,1,5\n9,0,.\n0,4,5\n", sort=True)


# ---------------------------------------------------------------- placebo
def test_a_dose_of_nothing_changes_nothing() -> None:
    rows = "0 1 0 . . . .\n1 4 0 . . . .\n2 1 0 . 12 3 .\n3 1 0 . 12 . 1\n4 1 0 -2 12 . 2\n5 . 0 . . . ."
    subject = one(f"TIME EVID AMT RATE II ADDL SS\n{rows}")
    assert [(r.evid, r.amt, r.rate, r.ii, r.addl, r.ss) for r in subject.records] == [
        (2, 0, 0, 0, 0, 0), (3, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 1), (2, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)
    ]  # fmt: skip
    assert [r.mdv for r in subject.records] == [1, 1, 1, 1, 1, 0]


# ---------------------------------------------------------------- what is said of a table
FIRST = "Doses without a compartment (CMT) go into pk.depot, the first state of the model."


@pytest.mark.parametrize(
    ("text", "warnings", "notes"),
    [
        ("ID,TIME,AMT,WT,SEX,DATE\n1,0,5,70,F,x\n", (), ("Columns of doses.csv that were not used: WT, SEX, DATE.", FIRST)),
        (
            "TIME,AMT,ROUTE\n0,5,iv\n",
            (),
            (
                "Columns of doses.csv that were not used: ROUTE.",
                f'{FIRST[:-1]}; if ROUTE names the compartments, write CMT = "ROUTE" under [columns].',
            ),
        ),
        ("TIME,AMT,CMT\n0,5,2\n1,.,.\n2,0,.\n", (), ()),
        ("ID,TIME,DV\n1,0,5\n2,0,5\n", ("No subject of doses.csv was given a dose: there is no column AMT.",), ()),
        (
            "TIME,DOSE\n0,5\n",
            ('The only subject of doses.csv was given no dose: there is no column AMT; if DOSE holds the amounts, '
             'write AMT = "DOSE" under [columns].',),
            ("Columns of doses.csv that were not used: DOSE.",),
        ),
        ("TIME,EVID,AMT\n0,1,0\n", ("The only subject of doses.csv was given no dose.",), ()),
        ("TIME,RATE,SS,AMT\n0,5,1,0\n", (), (FIRST,)),
    ],
)  # fmt: skip
def test_what_a_user_should_know(text: str, warnings: tuple[str, ...], notes: tuple[str, ...]) -> None:
    _, reading = understood(text)
    assert (reading.warnings, reading.notes) == (warnings, notes)


def test_all_bad_rows_are_listed_up_to_twenty() -> None:
    rows = "".join(f"{i},{'x' if i % 3 else 5}\n" for i in range(100))
    with pytest.raises(InputError) as caught:
        understood(f"TIME,AMT\n{rows}7\n")
    first, *lines = str(caught.value).splitlines()
    assert first == "doses.csv: 67 rows of the table cannot be used:" and len(lines) == 21
    assert lines[0] == "  row 3, column AMT: 'x' is not a finite number" and lines[-1] == "  and 47 more"


# ---------------------------------------------------------------- files and frames
TABLE = "ID,TIME,AMT,CMT\n1,0,5,pk.central\n1,1.5,.,.\n"


def test_compressed_tables_and_workbooks(tmp_path: Path) -> None:
    compressed = tmp_path / "doses.csv.gz"
    compressed.write_bytes(gzip.compress(TABLE.encode()))
    assert read_text(compressed) == TABLE
    book = tmp_path / "doses.xlsx"
    frame = pd.DataFrame(
        {
            "ID": [1, 1],
            "DATE": [datetime.datetime(2024, 2, 28), datetime.datetime(2024, 3, 1)],
            "TIME": [datetime.time(8, 30), datetime.time(0, 30)],
            "AMT": [5.25, None],
            "note": ["a, b", None],
        }
    )
    frame.to_excel(book, index=False)
    text = read_text(book)
    assert text.splitlines()[2] == "1,2024-03-01T00:00:00,00:30:00,,"
    ((subject,), _) = understood(text)
    assert [(r.time, r.amt) for r in subject.records] == [(0.0, 5.25), (40.0, 0.0)]


def test_frames_and_datasets() -> None:
    frame = pd.DataFrame(
        {"ID": ["a", "a"], "TIME": [0.0, 0.1 + 0.2], "AMT": [5.0, np.nan], "CMT": ["pk.central", None]}
    )
    data = xr.Dataset.from_dataframe(frame.drop(columns="ID"))
    assert is_frame(frame) and is_frame(data) and not is_frame("doses.csv")
    for text in (text_of_frame(frame), text_of_frame(frame.set_index(["ID", "TIME"])), text_of_frame(data)):
        ((subject,), _) = understood(text)
        assert [(r.time, r.amt, r.cmt) for r in subject.records] == [(0.0, 5.0, "pk.central"), (0.1 + 0.2, 0.0, "")]
    kept = frame.set_index("ID", drop=False)
    assert text_of_frame(kept) == text_of_frame(frame)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (pd.DataFrame({"TIME": pd.to_timedelta([0, 10], unit="h")}), "TIME holds durations .* numbers of hours"),
        (xr.Dataset({"TIME": ("row", [0.0, 60.0], {"units": "min"})}), "TIME has the attribute units = 'min'"),
        (xr.Dataset({"TIME": 0.0}), "the dataset cannot be made a table"),
    ],
)
def test_frames_that_leave_a_doubt_are_refused(source: pd.DataFrame | xr.Dataset, says: str) -> None:
    with pytest.raises(InputError, match=says):
        text_of_frame(source)


@pytest.mark.parametrize("source", [pd.Series([1.0], name="TIME"), xr.DataArray([1.0, 2.0])])
def test_one_column_is_no_table(source: pd.Series | xr.DataArray) -> None:
    assert not is_frame(source)
    with pytest.raises(InputError, match=r"a pandas frame or an xarray dataset, not (pandas|xarray)"):
        table_of(source)
