"""`nanomg nca`: tables of measured concentrations, and result files, against closed forms and WinNonlin."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from program import Program

import nanomg

LN2 = 0.6931471805599453
# Indometh, subjects 1 and 4, and what WinNonlin makes of a bolus of 25 mg: NonCompart-tests, validation.md (S. Han 2018).
INDOMETHACIN = {
    "1": (1.5, 0.94, 0.78, 0.48, 0.37, 0.19, 0.12, 0.11, 0.08, 0.07, 0.05),
    "4": (1.85, 1.39, 1.02, 0.89, 0.59, 0.4, 0.16, 0.11, 0.1, 0.07, 0.07),
}
SAMPLED = (0.25, 0.5, 0.75, 1, 1.25, 2, 3, 4, 5, 6, 8)


@pytest.fixture
def plasma(tmp_path: Path) -> Path:
    lines = ["ID,TIME,DV,AMT"]
    for subject, values in INDOMETHACIN.items():
        lines += [f"{subject},0,.,25", *(f"{subject},{t},{c},." for t, c in zip(SAMPLED, values, strict=True))]
    path = tmp_path / "plasma.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_table_as_winnonlin_has_it(program: Program, plasma: Path, tmp_path: Path) -> None:
    output = tmp_path / "parameters.csv"
    given = [
        plasma,
        "--unit",
        "mg/L",
        "--dose-unit",
        "mg",
        "--route",
        "iv bolus",
        "--include-cmax",
        "--method",
        "linear",
    ]
    code, out, _ = program("nca", *given, "--interval", "0..1 h", "-o", output, "--json")
    found = json.loads(out)
    first, fourth = found["curves"]
    assert code == 0 and first["labels"] == {"ID": "1"} and first["PPREASND"] == "calculated"
    assert (first["CLO"], first["VSSP"]) == pytest.approx((10.6100020, 35.1433309), rel=1e-7)
    assert (fourth["CLP"], fourth["VZP"], fourth["LAMZNPT"]) == pytest.approx((8.7551811, 19.2233361, 11), rel=1e-7)
    assert found["summary"]["CLO"]["n"] == 2
    assert found["parameters"]["CLO"] == {"name": "Total CL Obs", "unit": "L h-1"}
    rows = list(csv.DictReader(output.open(encoding="utf-8")))
    clearance = next(row for row in rows if row["ID"] == "4" and row["PPTESTCD"] == "CLP")
    assert float(clearance["PPORRES"]) == fourth["CLP"] and clearance["PPTEST"] == "Total CL Pred"
    partial = next(row for row in rows if row["PPTESTCD"] == "AUCINT")
    assert (partial["PPSTINT"], partial["PPENINT"]) == ("PT0H", "PT1H")
    assert float(partial["PPORRES"]) == first["AUCINT"]["0..1 h"]


def test_curves_next_to_each_other_on_the_screen(program: Program, plasma: Path) -> None:
    code, out, err = program("nca", plasma, "--unit", "mg/L", "--dose", "25 mg", "--route", "iv bolus")
    assert (code, err) == (0, "")
    assert out.startswith("Noncompartmental analysis of DV, 2 curves: iv bolus, dose 25 mg, trapezoids")
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert lines["CMAX"] == ["CMAX", "1.5", "1.85", "mg/L", "Max", "Conc"]
    assert lines["C0"][1:3] == ["2.39", "2.46"]


def test_many_curves_as_statistics(program: Program, tmp_path: Path) -> None:
    """Concentrations that are halved each hour from 1, 2, 4, 8 and 16: CMAX has the median and the geometric mean 4."""
    path = tmp_path / "many.csv"
    rows = [f"{i},{t},{2**i / 2**t}" for i in range(5) for t in range(5)]
    path.write_text("\n".join(["id,time,conc", *rows]), encoding="utf-8")
    out = program("nca", path, "--unit", "mg/L", "--route", "iv bolus").out
    assert out.splitlines()[0].startswith("Noncompartmental analysis of conc, 5 curves")
    line = next(line for line in out.splitlines() if line.startswith("CMAX "))
    assert line.split() == ["CMAX", "5", "6.2", "98", "%", "4", "4", "1", "16", "mg/L"]
    assert "Without clearance and volume: they need the dose (--dose, or a column AMT)." in out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nca") / "run.h5"
    nanomg.simulate("textbook-1cpt", output=path)  # 100 mg q 24 h x 5 by mouth; CL 4 L/h, V 35 L
    return path


def test_a_dosing_interval_of_a_result_file(program: Program, run: Path) -> None:
    found = json.loads(program("nca", run, "--tau", "24 h", "--interval", "0..12 h", "--json").out)
    (curve,) = found["curves"]
    assert curve["CLFTAU"] == pytest.approx(4.0, rel=2e-3) and curve["AUCTAUD"] == pytest.approx(0.25, rel=2e-3)
    assert "Dosing interval: 24 h after the dose at 96 h." in found["notes"]
    first = json.loads(program("nca", run, "--tau", "24 h", "--since", "0 h", "--json").out)["curves"][0]
    assert first["AUCTAU"] < curve["AUCTAU"]


def test_a_bolus_is_known_by_its_jump(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "bolus.h5"
    nanomg.simulate("textbook-1cpt", dose=["pk.central: 70 mg", "pk.depot: none"], output=path)
    out = program("nca", path, "--json").out
    found = json.loads(out)
    (curve,) = found["curves"]
    assert found["settings"]["route"] == "iv bolus" and curve["C0"] == pytest.approx(2.0, rel=1e-4)
    assert curve["CLO"] == pytest.approx(4.0, rel=1e-3) and curve["MRTIBIFO"] == pytest.approx(35 / 4, rel=1e-3)
    assert any("iv bolus, as the curve rises at once" in note for note in found["notes"])


def test_a_signal_that_no_dose_fits_has_no_clearance(program: Program, run: Path) -> None:
    """An amount in mg over time: its area has a unit, but a dose over it is no volume."""
    found = json.loads(program("nca", run, "pk.central", "--tau", "24 h", "--json").out)
    assert found["parameters"]["AUCTAU"]["unit"] == "mg h" and "CLFTAU" not in found["parameters"]
    assert any("a dose in mg over a signal in mg is no volume" in note for note in found["notes"])


def test_each_curve_of_a_sweep_has_its_own_dose(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    vary = ("--vary", "dose.amount=50,200 mg", "--vary", "pk.CL=2,8 L/h")
    made = program("sweep", "textbook-1cpt", "--dose", "pk.depot: 100 mg", *vary, "--keep", "pk.C:series", "-o", path)
    assert made.code == 0
    curves = json.loads(program("nca", path, "--json").out)["curves"]
    assert [curve["labels"] for curve in curves][1] == {"dose.amount": "50.0", "pk.CL": "8.0"}
    assert [curve["CLFO"] for curve in curves] == pytest.approx([2, 8, 2, 8], rel=0.12)  # a sample every 2 h
    header = next(line for line in program("nca", path).out.splitlines() if "pk.CL" in line)
    names = [f"dose.amount {amount}, pk.CL {CL}" for amount in (50, 200) for CL in (2, 8)]
    assert re.split("  +", header.strip()) == [*names, "unit"]


def test_curves_of_several_routes_are_not_mixed(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("ID,TIME,DV,AMT,DUR\n1,0,.,5,1\n1,2,3,.,.\n2,0,.,5,.\n2,2,3,.,.", encoding="utf-8")
    code, _, err = program("nca", path, "--unit", "mg/L", "--dose-unit", "mg")
    assert code == 2 and "some curves follow an infusion and others do not; give the route with --route" in err


def test_records_of_an_event_table(program: Program, tmp_path: Path) -> None:
    """Sampled every hour for two days; CL 4 L/h, and an area in proportion to the dose."""
    table, path = tmp_path / "events.csv", tmp_path / "records.h5"
    rows = [f"{i},0,1,{50 * i},2" for i in (1, 2)] + [f"{i},{t},0,.,." for i in (1, 2) for t in range(49)]
    rows.sort(key=lambda row: (row[0], float(row.split(",")[1])))
    table.write_text("\n".join(["ID,TIME,EVID,AMT,CMT", *rows]), encoding="utf-8")
    assert program("simulate", "textbook-1cpt", "--events", table, "--no-series", "-o", path).code == 0
    found = json.loads(program("nca", path, "--json").out)
    assert [curve["labels"] for curve in found["curves"]] == [{"subject": "1"}, {"subject": "2"}]
    assert [curve["CLO"] for curve in found["curves"]] == pytest.approx([4.0, 4.0], rel=1e-3)
    assert found["curves"][1]["AUCIFO"] == pytest.approx(25.0, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("RUN",), "there are 5 doses; give the dosing interval with --tau"),
        (("RUN", "pk.X"), "there is no signal 'pk.X'"),
        (("RUN", "--tau", "24 h", "--unit", "mg/L"), "--unit: it is for a table; a result file has its units"),
        (("RUN", "--tau", "24 h", "--port", "pk.iv"), "there is no port with doses 'pk.iv'"),
        (("CSV",), "does not say the unit of DV"),
        (("CSV", "--unit", "mg/L", "--dose", "25"), "nca: dose: the dose 25 lacks its unit"),
        (("CSV", "--unit", "mg/L", "--dose", "25 mg", "--route", "oral"), "--route: there is no route 'oral'"),
        (("CSV", "--unit", "mg/L", "--dose", "25 mg", "--blq", "half"), "--blq: there is no rule"),
        (("CSV", "--unit", "mg/L", "--dose", "25 mg", "-o", "p.h5"), "p.h5: the table of parameters ends in .csv"),
        (("missing.csv", "--unit", "mg/L"), "there is no such data file"),
    ],
)
def test_a_mistake_is_one_line(
    program: Program, run: Path, plasma: Path, arguments: tuple[str, ...], told: str
) -> None:
    files = {"RUN": str(run), "CSV": str(plasma)}
    code, out, err = program("nca", *(files.get(argument, argument) for argument in arguments))
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert told in err
