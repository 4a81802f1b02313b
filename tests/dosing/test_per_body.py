"""Doses per body weight and body surface: in lines, tables, event tables, axes of sweeps and free doses."""

from __future__ import annotations

from pathlib import Path

import pytest

import nanomg
from nanomg import models
from nanomg.dosing.dose_tables import parse_records
from nanomg.dosing.prescription import parse_dose_option
from nanomg.dosing.quantities import DosedUnit, per_body, split_body
from nanomg.errors import InputError
from nanomg.jobs.sweep import prepared
from nanomg.jobs.sweep.request import SweepRequest
from nanomg.library.event_doses import with_events
from nanomg.library.scenario_file import load, rebuild

LIBRARY = models.library()
PORTS = {
    "mass": DosedUnit("mg", None, 70.0, 1.8),
    "salt": DosedUnit("umol", 0.25, 70.0, 1.8),
    "light": DosedUnit("mg", None, None, 1.8),
    "bare": DosedUnit("mg"),
}


@pytest.mark.parametrize(
    ("line", "amount", "duration"),
    [
        ("mass: 5 mg/kg", 350.0, 0.0),
        ("mass: 5 mg / kg q 7 d x 1", 350.0, 0.0),
        ("mass: 75 mg/m2 over 1 h", 135.0, 1.0),
        ("mass: 75 mg/m^2 over 1 h", 135.0, 1.0),
        ("mass: 2 mg/kg/h for 3 h", 420.0, 3.0),
        ("mass: 2 mg/h/kg for 3 h", 420.0, 3.0),
        ("mass: 15 ug/m2/d for 2 d", 0.054, 48.0),
        ("mass: 5 mg/kg rate 1 mg/kg/min", 350.0, 5 / 60),
        ("salt: 50 mg/kg", 50 * 70 / 0.25, 0.0),  # a mass by the molar mass
        ("salt: 0.1 mmol/kg", 7000.0, 0.0),
        ("light: 10 mg/m2", 18.0, 0.0),
    ],
)
def test_a_line(line: str, amount: float, duration: float) -> None:
    (dose,) = parse_dose_option(line, PORTS.__getitem__)
    assert dose.duration == pytest.approx(duration)
    assert dose.amt == pytest.approx(amount)


def test_a_table() -> None:
    (dose,) = parse_records([{"cmt": "mass", "amt": "2 mg/kg", "rate": "10 mg/m2/h"}], PORTS.__getitem__)
    assert (dose.amt, dose.rate, dose.duration) == pytest.approx((140.0, 18.0, 140 / 18))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("light: 5 mg/kg", r"the amount is in 'mg/kg', but neither the scenario nor its cards give the body's weight"),
        ("bare: 5 mg/m2", r"give the body's surface \(write surface = '1\.8 m\^2' there\)"),
        ("mass: 5 mL/kg", r"'mL' cannot be converted to 'mg'"),
        ("mass: 5 mg/g", r"'mg/g' cannot be converted to 'mg'"),
        ("mass: 5 mg/kgg", "is not a unit"),
        ("mass: 5 mg/m3", "cannot be converted"),
    ],
)
def test_what_is_refused(line: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_dose_option(line, PORTS.__getitem__)


def test_the_part_that_counts_per_body() -> None:
    assert split_body("mg/kg/h") == ("mg/h", "kg") and split_body("mg/m^2") == ("mg", "m2")
    assert split_body("mg/mL") == ("mg/mL", "") and split_body("mL/min") == ("mL/min", "")
    assert per_body("4 g over 20 min then 1 mg/kg/h for 2 h") == {"kg"}


def written(tmp_path: Path, extra: str = "", head: str = "") -> Path:
    path = tmp_path / "body.toml"
    path.write_text(
        f'{head}\nmechanisms = ["OneCompartment"]\ncards = ["textbook"]\nhorizon = "2 d"\n'
        f'outputs = {{ "pk.C" = "mg/L" }}\n{extra}',
        encoding="utf-8",
    )
    return path


DOSE = '[[dose]]\ncmt = "pk.central"\namt = "2 mg/kg"\n'


def test_weight_and_surface_of_a_scenario(tmp_path: Path) -> None:
    path = written(tmp_path, DOSE, 'weight = "60 kg"\nsurface = "1.7 m^2"')
    found = load(str(path), LIBRARY)
    assert (found.weight, found.surface) == (60.0, 1.7)
    assert [dose.amt for dose in found.doses] == [120.0]
    again = rebuild(found.config, LIBRARY)
    assert again.doses == found.doses and again.weight == 60.0
    other = load(str(path), LIBRARY, doses=["pk.central: 10 mg/m2"])
    assert [dose.amt for dose in other.doses] == [17.0]
    run = nanomg.simulate(str(path))
    assert run.summary.signals["pk.C"].max == pytest.approx(120 / 35, rel=1e-6)  # V of the textbook: 35 L


def test_the_weight_of_cards_is_used_and_the_scenario_s_comes_first(tmp_path: Path) -> None:
    human = load("human-nsclc-nivolumab", LIBRARY, doses=["pd1.iv: 3 mg/kg over 30 min"])
    assert human.weight == 70.0 and [dose.amt for dose in human.doses] == [pytest.approx(210.0)]
    mouse = load("mouse-mc38-depot", LIBRARY, doses=["pd1.ip: 8 mg/kg"])
    assert [dose.amt for dose in mouse.doses if dose.cmt == "pd1.ip"] == [pytest.approx(0.2)]  # of 25 g
    with pytest.raises(InputError, match="neither the scenario nor its cards give the body's weight"):
        load(str(written(tmp_path, DOSE)), LIBRARY)


def test_an_event_table(tmp_path: Path) -> None:
    columns = '[columns]\nAMT = { unit = "mg/kg" }\n'
    found = load(str(written(tmp_path, columns, 'weight = "50 kg"')), LIBRARY)
    table = {"name": "doses.csv", "text": "ID,TIME,AMT,CMT\n1,0,3,pk.central\n1,24,1,pk.central\n"}
    given = with_events(found, table, LIBRARY)
    assert [dose.amt for dose in given.doses] == [150.0, 50.0]


def test_free_doses_and_axes(tmp_path: Path) -> None:
    free = '[[free]]\ncmt = "pk.central"\namount = ["0 mg/kg", "4 mg/kg"]\ntime = ["0 h", "24 h"]\ntotal = "8 mg/kg"\n'
    goal = '[objective]\na = { signal = "pk.C", unit = "mg/L", statistic = "mean", weight = -1.0 }\n'
    path = written(tmp_path, DOSE + free + goal, 'weight = "50 kg"')
    (entry,) = load(str(path), LIBRARY).free
    assert (entry.amount, entry.total) == ((0.0, 200.0), 400.0)
    asked = SweepRequest(scenario=str(path), vary=["dose.amount=1..3 mg/kg:lin:3"], keep=["pk.C:max"])
    points = prepared.prepare(asked).batch.design.columns["dose.amount"].values
    assert list(points) == pytest.approx([50.0, 100.0, 150.0])


@pytest.mark.parametrize(
    "asked",
    [
        {"dose": ["pd1.iv: 3 mg/kg q 14 d x 2"]},
        {"vary": ["dose.pd1.iv.amount=1..3 mg/kg:lin:2"]},
    ],
)
def test_subjects_of_different_weights_are_not_given_the_dose_of_one(asked: dict[str, list[str]]) -> None:
    request = SweepRequest(
        scenario="human-nsclc-nivolumab", subjects=5, population="human-cancer", keep=["pd1.C:max"], **asked
    )
    with pytest.raises(InputError, match=r"^population 'human-cancer': doses per kg are for the body of scenario"):
        prepared.prepare(request)
