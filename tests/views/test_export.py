"""Tables for R, Excel and SAS: read back by other readers, they hold the numbers of the result."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr
from program import Program
from pyarrow import parquet
from small_results import MADE, tree, varied

import nanomg
from nanomg import files
from nanomg.errors import InputError
from nanomg.results import tidy
from nanomg.results.tidy import TidyTable, tidy_tables

KINDS = ("simulated", "optimum", "swept", "feasibility", "calibrate", "validate", "trials")


@pytest.fixture(params=KINDS)
def result(request: pytest.FixtureRequest) -> xr.DataTree:
    """A small result of each kind."""
    if request.param == "trials":
        return varied({"hypothesis": 2, "dose.a": 3, "subject": 4})
    return MADE[request.param]() if request.param in MADE else request.getfixturevalue(request.param)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_number_of_each_kind_of_result_is_in_its_row(result: xr.DataTree, tmp_path: Path) -> None:
    for name, table in tidy_tables(result).items():
        written = nanomg.export(result, tmp_path / "table.csv", name, force=True)
        rows, dictionary = lines(written["table"]), lines(written["dictionary"])
        assert [entry["column"] for entry in dictionary] == list(rows[0])
        assert {entry["table"] for entry in dictionary} == {name}
        for label, variable in table.data.data_vars.items():
            if variable.dtype.kind in "OUS" or "flag_meanings" in variable.attrs:
                continue
            column = np.array([float(row[str(label)] or "nan") for row in rows])
            if len(rows) == table.rows:  # with no filling left out
                np.testing.assert_array_equal(column, variable.values.ravel().astype(float))
            else:
                np.testing.assert_array_equal(column, variable.values[~np.isnan(variable.values)])
        first = next(iter(table.data.data_vars.values()))
        for dim in table.dims:
            if dim in table.data.coords and len(rows) == table.rows:
                expected = table.data[dim].broadcast_like(first).transpose(*table.dims).values.ravel()
                assert [type(value)(row[dim]) for row, value in zip(rows, expected, strict=True)] == list(expected)


def test_units_and_meanings_are_in_the_dictionary(simulated: xr.DataTree, tmp_path: Path) -> None:
    written = nanomg.export(simulated, tmp_path / "run.csv")
    entries = {entry["column"]: entry for entry in lines(written["dictionary"])}
    assert written["dictionary"].name == "run.dictionary.csv"
    assert entries["pk.C"]["unit"] == "mg L-1" and entries["pk.C"]["meaning"]
    assert entries["time"]["unit"] == "h"
    assert (entries["regimen"]["type"], entries["pk.C"]["type"]) == ("text", "number")


def test_the_first_table_is_of_what_was_computed() -> None:
    along = {"slope": (("output", "parameter"), np.ones((1, 2))), "value": ("parameter", np.ones(2))}
    found = tidy_tables(tree({"doses": xr.Dataset({"amt": ("dose", [1.0])}), "sensitivity": xr.Dataset(along)}))
    assert list(found) == ["sensitivity", "sensitivity-parameter", "doses"]
    assert found["sensitivity"].dims == ["output", "parameter"]


def test_a_status_is_in_words(tmp_path: Path) -> None:
    written = nanomg.export(varied({"subject": 3}), tmp_path / "run.csv", "sweep")
    assert [row["status"] for row in lines(written["table"])] == ["too many steps", "done", "done"]


def test_parts_of_a_table_are_the_table(result: xr.DataTree) -> None:
    for table in tidy_tables(result).values():
        (whole,) = table.frames()
        parts = list(table.frames(most=3))
        assert len(parts) == 1 or len(parts) > 1 < table.rows
        pd.testing.assert_frame_equal(
            pd.concat(parts, ignore_index=True), whole.reset_index(drop=True), check_dtype=False
        )


def test_parquet_has_types_and_metadata(
    simulated: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "_ROWS", 5)  # several parts
    nanomg.export(simulated, tmp_path / "run.parquet", "simulation")
    frame = pd.read_parquet(tmp_path / "run.parquet")
    np.testing.assert_array_equal(frame["pk.C"], simulated["simulation"]["pk.C"].values.ravel())
    field = parquet.read_schema(tmp_path / "run.parquet").field("pk.C")
    assert str(field.type) == "double" and field.metadata[b"unit"] == b"mg L-1"
    assert (tmp_path / "run.dictionary.csv").is_file()


def test_excel_has_every_table_and_the_dictionary(simulated: xr.DataTree, tmp_path: Path) -> None:
    nanomg.export(simulated, tmp_path / "run.xlsx")
    book = openpyxl.load_workbook(tmp_path / "run.xlsx")
    assert book.sheetnames[0] == "simulation" and book.sheetnames[-1] == "dictionary"
    assert {"doses", "parameters"} < set(book.sheetnames)
    header, *rows = book["simulation"].iter_rows(values_only=True)
    column = [row[header.index("pk.C")] for row in rows]
    np.testing.assert_allclose(
        column, simulated["simulation"]["pk.C"].values.ravel(), rtol=1e-15
    )  # Excel has 16 digits


def test_text_is_no_formula_and_what_is_missing_is_empty(tmp_path: Path) -> None:
    ids = np.array(["=1+1", "b"], object)
    data = xr.Dataset({"id": ("row", ids), "value": ("row", [np.nan, np.inf])})
    nanomg.export(tree({"rows": data}), tmp_path / "run.xlsx")
    rows = list(openpyxl.load_workbook(tmp_path / "run.xlsx")["rows"].iter_rows(values_only=True))
    assert rows[1:] == [(0, "=1+1", None), (1, "b", "inf")]
    assert openpyxl.load_workbook(tmp_path / "run.xlsx")["rows"]["B2"].data_type == "s"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"output": "run.sas"}, r"run\.sas: a table is a \.csv, \.parquet, \.xlsx file"),
        (
            {"output": "run.csv", "table": "simulatoin"},
            "there is no table in this result 'simulatoin'; did you mean 'sim",
        ),
        ({"output": "nowhere/run.csv"}, "does not exist"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], expected: str, simulated: xr.DataTree, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        nanomg.export(simulated, **{**asked, "output": tmp_path / asked["output"]})
    assert not any(tmp_path.iterdir())


def test_files_that_exist_stay(simulated: xr.DataTree, tmp_path: Path) -> None:
    (tmp_path / "run.dictionary.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"run\.dictionary\.csv: the file exists"):
        nanomg.export(simulated, tmp_path / "run.csv")
    assert not (tmp_path / "run.csv").exists()


def test_a_sheet_that_is_too_long(simulated: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TidyTable, "rows", property(lambda self: 2_000_000))
    with pytest.raises(InputError, match=r"has 2000000 rows, but a sheet of Excel has 1048575; write \.csv"):
        nanomg.export(simulated, tmp_path / "run.xlsx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "name"), [("pyarrow", "run.parquet"), ("openpyxl", "run.xlsx")])
def test_a_package_that_is_missing(
    package: str, name: str, simulated: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs the package '{package}', .*pip install '\.\[tables\]'"):
        nanomg.export(simulated, tmp_path / name)


def test_the_command(program: Program, small_scenario: Path, tmp_path: Path) -> None:
    run, table = tmp_path / "run.h5", tmp_path / "run.csv"
    assert program("simulate", small_scenario, "-o", run).code == 0
    listed = program("export", run)
    assert listed.out.splitlines()[1].split()[0] == "simulation"
    assert program("export", run, "-o", table, "--table", "doses").code == 0
    assert [row["amt"] for row in lines(table)] == ["100.0", "100.0"]
    again = program("export", run, "-o", table)
    assert again.code == 2 and "--force" in again.err


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("out.csv", "nanomg export out.h5 -o out.csv"),
        ("out.xlsx", "nanomg export out.h5 -o out.xlsx"),
        ("out.tsv", "nanomg export out.h5 -o out.csv"),
        ("x.txt", "nanomg summary x.h5 > x.txt"),
        ("x.json", "nanomg summary x.h5 --json > x.json"),
        ("x.html", "nanomg report x.h5 -o x.html"),
        ("x.PNG", "nanomg plot x.h5 -o x.PNG"),
        ("run.2026", "nanomg summary run.h5 > run.2026"),
    ],
)
def test_a_result_is_not_written_under_another_format_s_name(name: str, advice: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        files.check_result(tmp_path / name)
    assert str(caught.value).endswith(advice)
    for good in ("run", "run.h5", "run.H5", "run.hdf5", "run.nc"):
        assert files.check_result(tmp_path / good) == tmp_path / good


@pytest.mark.parametrize("name", ["records.xlsx", "records.parquet", "records.h5"])
def test_records_are_not_written_under_another_format_s_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "doses.csv").write_text("ID,TIME,AMT,CMT\n1,0,3,pk.central\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}: the table of records is a CSV file"):
        nanomg.simulate("textbook-1cpt", events=tmp_path / "doses.csv", records=tmp_path / name)


JOBS = {
    "simulate": ["textbook-1cpt"],
    "optimize": ["mouse-mc38-depot"],
    "sweep": ["textbook-1cpt", "--vary", "pk.CL=1..5 L/h:lin:3", "--keep", "pk.C:max"],
    "sensitivity": ["mouse-mc38-iv", "--of", "tumour.volume:final"],
    "feasibility": ["mouse-mc38-iv"],
    "validate": ["diet"],
    "calibrate": ["human-mg-oral", "--data", "nothing.toml"],
}


@pytest.mark.parametrize("job", JOBS)
def test_every_job_refuses_a_csv_file_at_once(job: str, program: Program, tmp_path: Path) -> None:
    told = program(job, *JOBS[job], "-o", tmp_path / "out.csv")
    assert told.code == 2
    assert "nanomg export out.h5 -o out.csv" in told.err or (job == "calibrate" and "nothing.toml" in told.err)
