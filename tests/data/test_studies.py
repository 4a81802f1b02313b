"""Measurements of a study made into rows: statistics, baselines, controls and errors by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nanomg.data import series, studies
from nanomg.errors import InputError

TABLE = """mouse,arm,day,volume,sd
a,treated,0,100,10
b,treated,0,300,10
a,treated,1,200,20
b,treated,1.02,600,40
a,control,0,50,5
a,control,2,450,5
a,control,1,,5
"""


@pytest.fixture
def rows_of(tmp_path, library):
    """The rows of one series, with another of a control, as (value, unit, time [h], n)."""

    def read(text: str, where: str = '{ arm = "treated" }'):
        (tmp_path / "mice.csv").write_text(TABLE)
        (tmp_path / "mice.toml").write_text(
            """
            title = "Mice"
            source = "nobody2020"
            file = "mice.csv"
            columns = { time = "day", time_unit = "d", value = "volume", unit = "mg/L" }
            [run.treated]
            scenario = "textbook-1cpt"
            subjects = 2
            [run.control]
            scenario = "textbook-1cpt"
            [[series]]
            run = "treated"
            signal = "pk.C"
            """
            f'where = {where}\n{text}\n[[series]]\nrun = "control"\nwhere = {{ arm = ["control"] }}\n'
            'signal = "pk.C"\npart = "reference"\n'
        )
        study = studies.read(tmp_path / "mice.toml", tmp_path, library, "textbook")
        return [(d.row.value, d.row.unit, d.row.measure.stop, d.row.n) for d in study.data], study

    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(200, "mg/L", 0, 2), (200, "mg/L", 24, 1), (600, "mg/L", 24.48, 1)]),
        ('together = "1 h"', [(200, "mg/L", 0, 2), (400, "mg/L", 24.24, 2)]),
        (
            'together = "1 h"\naggregate = "geometric"\nover = "median"',
            [(30000**0.5, "mg/L", 0, 2), (120000**0.5, "mg/L", 24.24, 2)],
        ),
        ('aggregate = "none"\nto = "1 h"', [(100, "mg/L", 0, 1), (300, "mg/L", 0, 1)]),
        ('shift = "2 h"\nfrom = "3 h"\nto = "26 h"', [(200, "mg/L", 26, 1)]),
        ('aggregate = "share above 150 mg/L"\nto = "1 h"', [(0.5, "1", 0, 2)]),
        ('aggregate = "q25"\nto = "1 h"', [(150, "mg/L", 0, 2)]),
        ('statistic = "slope"\ntogether = "1 h"\nto = "25 h"', [(np.log(2) / 24.24, "1/h", 24.24, 4)]),
        (
            'statistic = "change"\nper = "mouse"\nto = "25 h"\ntogether = "1 h"\naggregate = "median"',
            [(1.0, "1", 24.24, 2)],
        ),
        ('statistic = "auc"\nper = "mouse"\nto = "30 h"\ntogether = "1 h"', [(7308.0, "mg/L h", 24.24, 2)]),
        ('statistic = "max"\nbaseline = "ratio"\ntogether = "1 h"', [(2.0, "1", 24.24, 4)]),
        ('statistic = "max"\nbaseline = "difference"\nper = "mouse"\ntogether = "1 h"', [(200.0, "mg/L", 24.24, 2)]),
        (
            'aggregate = "share above 1.5"\nbaseline = "ratio"\nper = "mouse"\ntogether = "1 h"\nsd = "0.1"',
            [(0.0, "1", 0, 2), (1.0, "1", 24.24, 2)],
        ),
        (
            'baseline = "ratio"\nagainst = { run = "control", how = "ratio" }\nto = "24.1 h"',
            [(1.0, "1", 0, 2), (0.2, "1", 24, 1)],
        ),
        ('against = { run = "control", how = "ratio" }\nto = "24.1 h"', [(4.0, "1", 0, 2), (0.8, "1", 24, 1)]),
        ('against = { run = "control", how = "difference" }\nto = "1 h"', [(150, "mg/L", 0, 2)]),
        ('baseline = "ratio"\nto = "24.1 h"', [(1.0, "1", 0, 2), (1.0, "1", 24, 1)]),
    ],
)
def test_measurements_become_rows(rows_of, text, expected):
    found, _ = rows_of(text)
    assert [row[1:] for row in found] == [pytest.approx(row[1:]) for row in expected]
    assert [row[0] for row in found] == pytest.approx([row[0] for row in expected])


@pytest.mark.parametrize(
    ("text", "sd", "relative"),
    [
        ("error = 0.1", 0.1, True),
        ('sd = "5 g/L"', 5000.0, False),
        ('columns = { sd = "sd" }', 10.0, False),
        ('columns = { sd = "sd" }\nbaseline = "ratio"\nto = "1 h"', 0.05, False),
        ('columns = { sd = "sd" }\nagainst = { run = "control", how = "change" }\nto = "1 h"', 0.2, False),
        ('columns = { sd = "sd" }\nagainst = { run = "control", how = "difference" }\nto = "1 h"', 10.0, False),
        ("", studies.ERROR, True),
    ],
)
def test_errors_of_measurements(rows_of, text, sd, relative):
    _, study = rows_of(text)
    assert study.data[0].error == studies.Error(pytest.approx(sd), relative)
    assert study.data[0].row.use == "calibrate" and study.data[0].row.source == "nobody2020"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('aggregate = "modal"', "there is no aggregate 'modal'"),
        ('statistic = "wobble"', "there is no statistic 'wobble'"),
        ('from = "9 d"', "no row with arm = 'treated' is in the window"),
        ('part = "all"', "there is no part 'all'"),
        ('unit = "mg/kg"', "cannot be converted"),
        ("error = 0", "error must be a number above 0, not 0"),
        ('file = "rats.csv"', "name the folder of raw data with --raw"),
        ('colour = "red"', "there is no key 'colour'"),
        ('against = { run = "treated", how = "ratio" }', "no series of run 'treated' has data"),
        ('columns = { value = "mouse" }', "'a' in column 'mouse' is not a number"),
        ('columns = "day"', "columns must be a table, not 'day'"),
        ("columns = { value = 3 }", "value must be text, not 3"),
        ('against = "control"', "against must be a table, not 'control'"),
        ('against = { run = ["control"], how = "ratio" }', "run must be text, not ['control']"),
        ("per = 3", "per must be text, not 3"),
        ('part = ["fit"]', "part must be text"),
        ('sd = "0 mg/L"', "must be above 0, not 0"),
        ('columns = { sd = "day" }', "line 2: a standard deviation must be above 0, not 0"),
        ('columns = { sd = "sd" }\naggregate = "q75"', "the column of standard deviations has no value for 'q75'"),
        ('columns = { sd = "sd" }\nstatistic = "max"', "the column of standard deviations has no value for 'max'"),
        ('baseline = "ratio"\naggregate = "q75"', "against the value at time 0, needs `per`"),
        ('statistic = "max"\naggregate = "share above 2 mg/L"', "'share above 2 mg/L' of a statistic"),
        ('statistic = "auc"\nper = "mouse"', "do not all reach from 0 to 24 h"),
        ('statistic = "auc"\nagainst = { run = "control", how = "ratio" }', "do not all reach from 0 to 24.48 h"),
        ('aggregate = "geometric"', "subjects of a run have no geometric value"),
        ('shift = "60 h"\nagainst = { run = "control", how = "ratio" }', "there are no data around 60 h"),
    ],
)
def test_a_mistake_in_a_series_is_one_sentence(rows_of, text, said):
    with pytest.raises(InputError) as caught:
        rows_of(text)
    assert said in caught.value.message and "\n" not in str(caught.value)


def test_a_statistic_is_held_against_that_of_the_same_window(rows_of):
    text = 'statistic = "auc"\nto = "50 h"\nagainst = { run = "control", how = "ratio" }'
    found, _ = rows_of(text, '{ arm = "control" }')
    assert found == [(pytest.approx(1.0), "1", 48, 2)]


@pytest.mark.parametrize(
    ("text", "kind"), [("", "mean"), ('aggregate = "median"', "median"), ('over = "median"', "median")]
)
def test_subjects_of_a_run_are_reduced_as_replicates_are(rows_of, text, kind):
    _, study = rows_of(text)
    assert {d.row.measure.over.kind for d in study.data} == {kind}


@pytest.mark.parametrize(("text", "said"), [("0,1\n\n2,0,5\n", "line 4 does"), ("0,1\n2\n", "line 3 does")])
def test_a_row_that_does_not_fit_the_heading_is_one_sentence(tmp_path, text, said):
    (tmp_path / "x.csv").write_text("time,value\n" + text)
    with pytest.raises(InputError, match=f"{said} not have as many cells"):
        series.read_csv(tmp_path / "x.csv")


def test_a_column_that_is_not_there_is_one_sentence(rows_of):
    with pytest.raises(InputError, match="there is no column 'organ'"):
        rows_of("", where='{ organ = "liver" }')
