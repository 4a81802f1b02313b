"""Calibration to tables in NONMEM's columns: samples below the limit, and subjects that are pooled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from program import Program

from nanomg.data.study_table import study_of_table
from nanomg.drawing.asked import Asked
from nanomg.errors import InputError
from nanomg.jobs.calibrate import figure
from nanomg.library.library import Library
from nanomg.results import file
from nanomg.views import report

SCENARIO = """
title = "A bolus"
mechanisms = ["OneCompartment"]
cards = ["textbook"]
horizon = "24 h"
every = "1 h"
outputs = { "pk.C" = "mg/L" }
[[dose]]
cmt = "pk.central"
amt = "70 mg"
"""
CLEARANCES = (3.0, 4.0, 5.0, 6.5, 8.0)  # [L/h] of the subjects; 70 mg into 35 L
TIMES = (1.0, 3.0, 6.0, 12.0)
FIT = ("--fit", "pk.CL=1..30 L/h", "--starts", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bolus in five subjects without residual error, as NONMEM has it; below 0.4 mg/L nothing is quantified."""
    where = tmp_path_factory.mktemp("pooled")
    (where / "bolus.toml").write_text(SCENARIO, encoding="utf-8")
    lines = ["ID,TIME,AMT,CMT,EVID,MDV,DV,LLOQ,WT"]
    for i, CL in enumerate(CLEARANCES, 1):
        lines.append(f"{i},0,70,2,1,1,.,.,60")
        for t in TIMES:
            C = 2.0 * np.exp(-CL / 35 * t)
            lines.append(f"{i},{t},.,2,0,0,{'BLQ' if C < 0.4 else C},0.4,60")
    (where / "nonmem.csv").write_text("\n".join(lines), encoding="utf-8")
    return where


def read(folder: Path, text: str, library: Library):
    (folder / "table.csv").write_text("\n".join(text.split()), encoding="utf-8")
    return study_of_table(folder / "table.csv", str(folder / "bolus.toml"), (), library, "textbook")


def test_rows_of_a_nonmem_table(folder: Path, library: Library) -> None:
    study = study_of_table(folder / "nonmem.csv", str(folder / "bolus.toml"), (), library, "textbook")
    assert len(study.data) == 20 and study.subjects == ("1", "2", "3", "4", "5")
    first, last = study.data[0], study.data[-1]
    assert (
        first.row.value == pytest.approx(2 * np.exp(-3 / 35)) and first.error.relative and first.row.measure.stop == 1.0
    )
    assert (last.row.value, last.row.bound, last.error.sd, last.error.relative) == (0.4, "upper", 0.2 * 0.4, False)
    assert study.notes[0] == "The doses of run bolus are those of the table, into pk.central."
    assert study.notes[1].startswith("Samples below the limit of quantification: 3;")
    assert study.notes[2:] == ("Columns that were not used: WT.",)


def test_doses_of_the_table_replace_those_of_the_scenario(program: Program, folder: Path, library: Library) -> None:
    """35 mg at 2 h instead of 70 mg at 0 h: CL 7 L/h of 35 L halves 1 mg/L in ln 2 / 0.2 h."""
    table = folder / "half.csv"
    rows = ["1,2,35,2,.", *(f"1,{t},.,2,{np.exp(-0.2 * (t - 2))}" for t in (3, 5, 9, 14))]
    table.write_text("\n".join(["ID,TIME,AMT,CMT,DV", *rows]), encoding="utf-8")
    found = calibrate(program, folder, table)
    assert found["parameters"]["pk.CL"]["estimate"] == pytest.approx(7.0, rel=2e-3) and found["pooled"] is None
    assert "The doses of run bolus are those of the table, into pk.central." in found["notes"]


@pytest.mark.parametrize(
    ("cells", "value", "bound"),
    [
        ("1,0.7,0,.", 0.7, ""),
        ("1,<0.5,.,.", 0.5, "upper"),
        ("1,0.3,1,.", 0.3, "upper"),
        ("1,0.2,0,0.25", 0.25, "upper"),
    ],
)
def test_ways_to_say_below_the_limit(folder: Path, library: Library, cells: str, value: float, bound: str) -> None:
    (datum,) = read(folder, f"time,conc,CENS,LLOQ {cells}", library).data
    assert (datum.row.value, datum.row.bound) == (value, bound)


def test_missing_values_and_what_is_no_sample_are_skipped(folder: Path, library: Library) -> None:
    study = read(folder, "TIME,DV,MDV,EVID 1,2,0,0 2,NA,0,0 3,.,0,0 4,1,1,0 5,1,0,2 6,0.9,0,0", library)
    assert [datum.row.measure.stop for datum in study.data] == [1.0, 6.0]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("TIME,DV 1,BLQ", "the limit of quantification is not known; write <0.5, or add a column LLOQ"),
        ("TIME,DV,CMT 1,2,1 1,3,2", "the samples are of several kinds (CMT 1, 2); name each in a column 'signal'"),
        ("ID,TIME,DV,AMT 1,0,.,70 1,1,2,. 2,0,.,80 2,1,2,.", "subjects 1 and 2 have different doses"),
        ("TIME,DV,AMT 0,.,70", "the table has no sample"),
        ("TIME,DV 1,high", "row 2, column DV: 'high' is not a number"),
    ],
)
def test_a_mistake_is_one_sentence(folder: Path, library: Library, table: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        read(folder, table, library)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_said_of_a_table_with_doses_is_said_once(folder: Path, library: Library) -> None:
    """BLQ is used, and a value below the limit is fitted: the reading of the doses says nothing else."""
    study = read(folder, "ID,TIME,DV,AMT,CMT,BLQ,WT 1,0,.,70,2,0,60 1,1,2,.,.,0,60 1,9,<0.5,.,.,1,60", library)
    (run,) = study.runs.values()
    assert study.notes[2:] == ("Columns that were not used: WT.",)
    assert run.scenario.reading is not None and run.scenario.reading.notes == ()


def calibrate(program: Program, folder: Path, data: Path, *more: str) -> dict:
    scenario = ("--scenario", str(folder / "bolus.toml"))
    code, out, err = program("calibrate", "textbook", "--data", data, *scenario, *FIT, *more, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_errors_of_pooled_subjects_are_clustered(program: Program, folder: Path) -> None:
    """One parameter and no limit: the error by hand from residuals and slopes of the closed form, and without IDs the plain one."""
    rows = [(i, t, 2.0 * np.exp(-CL / 35 * t)) for i, CL in enumerate(CLEARANCES) for t in TIMES]
    pooled, plain = folder / "pooled.csv", folder / "plain.csv"
    pooled.write_text("\n".join(["ID,TIME,DV", *(f"{i},{t},{C}" for i, t, C in rows)]), encoding="utf-8")
    plain.write_text("\n".join(["TIME,DV", *(f"{t},{C}" for _, t, C in rows)]), encoding="utf-8")
    found, alone = calibrate(program, folder, pooled), calibrate(program, folder, plain)
    CL = found["parameters"]["pk.CL"]["estimate"]
    slope = np.array([-CL / 35 * t / 0.2 for _, t, _ in rows])  # of ln C / 0.2 by ln CL
    off = np.array([(np.log(2.0) - CL / 35 * t - np.log(C)) / 0.2 for _, t, C in rows])
    scores = (slope * off).reshape(5, 4).sum(1)
    assert scores.sum() == pytest.approx(0.0, abs=0.05 * np.abs(scores).sum())
    exact = np.sqrt(5 / 4 * 19 / 19 * (scores**2).sum()) / (slope**2).sum()
    assert found["parameters"]["pk.CL"]["se"] == pytest.approx(CL * exact, rel=1e-3)
    assert found["pooled"] == {"subjects": 5, "clustered": True, "quantile": pytest.approx(2.131847, rel=1e-6)}  # t, 4
    assert alone["pooled"] is None and alone["parameters"]["pk.CL"]["estimate"] == pytest.approx(CL, rel=1e-3)
    independent = np.sqrt((off**2).sum() / 19 / (slope**2).sum())
    assert alone["parameters"]["pk.CL"]["se"] == pytest.approx(CL * independent, rel=1e-3)
    assert found["parameters"]["pk.CL"]["se"] > 1.5 * alone["parameters"]["pk.CL"]["se"]


def test_what_is_pooled_is_said_everywhere(program: Program, folder: Path, tmp_path: Path) -> None:
    path = folder / "fit.h5"
    calibrate(program, folder, folder / "nonmem.csv", "-o", str(path))
    shown = program("summary", path).out
    assert "(5 subjects pooled)" in shown and "The data of 5 subjects are pooled: one value of each parameter" in shown
    assert "Standard errors are clustered by subject" in shown and "Columns that were not used: WT." in shown
    report.report(path, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "The data of 5 subjects are pooled" in page and "Observed and predicted over time" in page


def test_curves_over_time_go_through_the_predictions(program: Program, folder: Path) -> None:
    path = folder / "curves.h5"
    found = calibrate(program, folder, folder / "nonmem.csv", "-o", str(path))
    tree = file.open(path)
    curve = tree["curves"].to_dataset().isel(curve=0)
    rows = tree["calibration"].to_dataset()
    CL = found["parameters"]["pk.CL"]["estimate"]
    np.testing.assert_allclose(curve.predicted, 2.0 * np.exp(-CL / 35 * curve.time), rtol=2e-3)
    at = np.searchsorted(curve.time.values, rows.time.values - 1e-9)
    np.testing.assert_allclose(curve.predicted.values[at], rows.predicted, rtol=2e-3)
    assert set(rows.subject.values) == {"1", "2", "3", "4", "5"} and int(rows.below.sum()) == 3
    first, *_ = figure.pictures(tree, Asked())
    assert first.title == "Observed and predicted over time"
