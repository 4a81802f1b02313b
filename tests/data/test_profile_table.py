"""Tables of measured concentrations: doses and samples by the field's names of columns, and values below the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanomg.data.measured_cells import measured_value
from nanomg.data.profile_table import TableUnits, read_profiles
from nanomg.data.profiles import Profiles
from nanomg.errors import InputError

UNITS = TableUnits("mg/L", "h", "mg")


def read(tmp_path: Path, text: str, given: TableUnits = UNITS, **how: Any) -> Profiles:
    path = tmp_path / "plasma.csv"
    path.write_text("\n".join(text.split()), encoding="utf-8")
    return read_profiles(path, given, **how)


def test_doses_in_rows_and_times_since_them(tmp_path: Path) -> None:
    table = """ID,TIME,DV,MDV,EVID,AMT,RATE,WT
    1,10,.,1,1,25,.,70
    1,9,0.1,0,0,.,.,70
    1,11,2,0,0,.,.,70
    1,12,1,0,0,.,.,70
    b,0,.,1,1,50,100,80
    b,3,NA,0,0,.,.,80
    b,1,4,0,0,.,.,80"""
    found = read(tmp_path, table)
    first, second = found.members
    assert first.labels == {"ID": "1"} and first.dose == 25 and first.start == 10
    assert first.time.tolist() == [-1, 1, 2] and first.value.tolist() == [0.1, 2, 1]
    assert second.labels == {"ID": "b"} and second.dose == 50 and second.duration == 0.5
    assert second.time.tolist() == [1, 3] and np.isnan(second.value[1])
    assert found.unit == "mg L-1" and found.dose_unit == "mg"
    assert found.notes == ("Doses: column AMT [mg].", "Columns that were not used: WT.")


def test_a_dose_in_a_column(tmp_path: Path) -> None:
    found = read(
        tmp_path, "Subject,Dose,Time,conc 1,4.02,0,0.74 1,4.02,1,9 2,4.4,1,8", TableUnits("mg/L", "h", "mg/kg")
    )
    assert [profile.dose for profile in found.members] == [4.02, 4.4] and found.dose_unit == "mg kg-1"


LIMITED = "TIME,DV,BLQ,LLOQ 0,BLQ,.,1 1,0.4,0,1 2,8,0,1 3,<2,.,1 4,1,1,. 5,3,0,1"


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("0 then missing", [0, 0, 8, np.nan, np.nan, 3]),
        ("0", [0, 0, 8, 0, 0, 3]),
        ("missing", [np.nan, np.nan, 8, np.nan, np.nan, 3]),
        ("LLOQ/2", [0.5, 0.5, 8, 1, 0.5, 3]),
    ],
)
def test_values_below_the_limit(tmp_path: Path, rule: Any, values: list[float]) -> None:
    """As text, by the column BLQ with the limit in DV, and by the column LLOQ; of `<2` the limit is 2."""
    found = read(tmp_path, LIMITED, blq=rule)
    np.testing.assert_array_equal(found.members[0].value, values)
    assert "below the limit of quantification: 4" in found.notes[0]


@pytest.mark.parametrize("text", ["BLQ", "<BLQ", "bloq", "BQL", "<LLOQ", "LOQ", "< 0.5", "<5e-1"])
def test_what_is_below_a_limit(text: str) -> None:
    found = measured_value(text, "here")
    assert found.below and np.isnan(found.value) and (found.limit == 0.5 or "5" not in text)


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_other_separators_comments_and_decimal_commas(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "plasma.txt"
    comma = "," if separator != " " else "."
    lines = [["#ID", "TIME", "CONC"], ["# a comment"], ["1.0", f"0{comma}5", f"<0{comma}2"], ["1", "2", f"3{comma}25"]]
    path.write_text("\n".join(separator.join(line) for line in lines), encoding="utf-8")
    (profile,) = read_profiles(path, UNITS, blq="LLOQ/2").members
    assert profile.labels == {"ID": "1"}
    assert profile.time.tolist() == [0.5, 2.0] and profile.value.tolist() == [0.1, 3.25]


MANY = "TIME,DV,AMT,II,ADDL 0,.,100,12,2 1,2,.,.,. 25,4,.,.,. 30,3,.,.,. 36,2,.,.,."


def test_the_last_of_many_doses_whose_interval_is_sampled(tmp_path: Path) -> None:
    assert read(tmp_path, MANY, tau=12.0).members[0].start == 24
    assert read(tmp_path, MANY, tau=18.0).members[0].start == 12
    assert read(tmp_path, MANY, tau=12.0, since=0.0).members[0].time.tolist() == [1, 25, 30, 36]


@pytest.mark.parametrize(
    ("table", "given", "how", "sentence"),
    [
        ("TIME,DV 1,2", TableUnits(""), {}, "does not say the unit of DV; give it with --unit"),
        ("TIME,DV,AMT 0,.,5 1,2,.", TableUnits("mg/L"), {}, "does not say the unit of AMT; give it with --dose-unit"),
        ("TIME,X 1,2", UNITS, {}, "there is no column DV or CONC among TIME, X"),
        ("TIME,DV,CONC 1,2,3", UNITS, {}, "columns DV and CONC are the same, keep one"),
        ("TIME,DV 1,2", UNITS, {"value": "plasma"}, "there is no column 'plasma'"),
        ("TIME,DV 1,>9", UNITS, {}, "'>9' is above a limit of quantification, which is not understood"),
        ("TIME,DV 1,2,3", UNITS, {}, "row 2: there are 3 cells under 2 columns"),
        ("TIME,DV 1,high", UNITS, {}, "row 2, column DV: 'high' is not a number"),
        ("ID,TIME,DV 7,1,2 7,1,3", UNITS, {}, "subject 7: there are two values at one time (1)"),
        ("TIME,DV,BLQ 1,2,maybe", UNITS, {}, "column BLQ: 'maybe' is not 0 or 1"),
        ("TIME,DV 1,BLQ 2,3", UNITS, {"blq": "LLOQ/2"}, "the limit of quantification is not known; write <0.5"),
        (MANY, UNITS, {}, "there are 3 doses; give the dosing interval with --tau"),
        (MANY, UNITS, {"since": 12.0}, "further doses follow the one at 12"),
        (MANY, UNITS, {"since": 13.0, "tau": 12.0}, "there is no dose at 13"),
        ("TIME,DV,AMT,II,ADDL 0,.,5,1,1e12 1,2,.,.,.", UNITS, {}, "ADDL must be a whole number from 0 to"),
        ("TIME,DV,AMT,RATE 0,.,5,-2 1,2,.,.", UNITS, {}, "a modelled rate or duration cannot be analysed"),
        (
            "TIME,DV,AMT,SS,II 0,.,5,1,12 1,2,.,.,.",
            UNITS,
            {},
            "the dose is given at steady state (SS); give the dosing",
        ),
        ("TIME,DV,DOSE 1,2,5 2,1,6", UNITS, {}, "a subject has several values"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, table: str, given: TableUnits, how: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as raised:
        read(tmp_path, table, given, **how)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_all_rows_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    """Cells of DV in rows with doses mean nothing."""
    with pytest.raises(InputError) as raised:
        read(tmp_path, "TIME,DV,AMT,BLQ 0,none,5,. x,2,.,0 2,high,.,0 3,1,y,maybe 4,>9,.,. 5,.,.,.")
    assert str(raised.value).splitlines()[0].endswith("plasma.csv: 4 rows of the table cannot be used:")
    assert str(raised.value).splitlines()[1:] == [
        "  row 3, column TIME: 'x' is not a number",
        "  row 4, column DV: 'high' is not a number",
        "  row 5, column AMT: 'y' is not a number",
        "  row 5, column BLQ: 'maybe' is not 0 or 1",
        "  row 6, column DV: '>9' is above a limit of quantification, which is not understood; leave it out",
    ]
