"""Units: conversion, dimensions, quantities, CF spelling, and text that is no unit."""

from __future__ import annotations

import json
import runpy
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import Program

from nanomg import unit_names, units
from nanomg.errors import InputError


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (0.03, "L/h", "mL/h", 30),
        (1, "mmol/L", "umol/mL", 1),
        (120, "mL/min", "mL/h", 7200),
        (2, "mM", "umol/mL", 2),
        (1, "M", "umol/mL", 1000),
        (3, "1/d", "1/h", 0.125),
        (1, "wk", "d", 7),
        (25, "%", "1", 0.25),
        (0.25, "fraction", "%", 25),
        (1, "g/mol", "mg/umol", 1e-3),
        (1, "µmol", "umol", 1),
        (1e6, "cell", "Mcell", 1),
        (1e9, "particle", "Gparticle", 1),
        (1, "1/(N_A*particle)", "umol/Gparticle", 1e15 / 6.02214076e23),
        (1, "cm²", "mm^2", 100),
        (1, "mmol L⁻¹", "mmol/L", 1),
        (0.44, "nm^2*N_A", "cm^2/umol", 0.44e-14 * 6.02214076e17),
    ],
)
def test_conversion(value: float, unit: str, to: str, expected: float) -> None:
    assert units.convert(value, unit, to) == pytest.approx(expected, rel=1e-12)


def test_conversion_of_two_dimensions_names_both_units_and_the_place() -> None:
    with pytest.raises(InputError, match=r"^card 'mouse', a\.b: .*'mL/h'.*'mg'") as caught:
        units.convert(1, "mL/h", "mg", "card 'mouse', a.b")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "other"),
    [("Mcell", "Gparticle"), ("particle", "mol"), ("Gparticle", "Gsite"), ("TCID50", "1"), ("cell", "1")],
)
def test_countable_things_are_never_added(unit: str, other: str) -> None:
    with pytest.raises(InputError, match="dimensions differ"):
        units.factor(unit, other)


def test_dimension() -> None:
    assert units.dimension("L/h") == (("[length]", 3), ("[time]", -1))
    assert units.dimension("mM^2") == (("[length]", -6), ("[substance]", 2))
    assert units.dimension("") == units.dimension("1") == units.dimension("%") == ()


@pytest.mark.parametrize(
    ("text", "to", "expected"),
    [
        ("0.03 L/h", "mL/h", 30),
        ("  1e-3L ", "mL", 1),
        (".5 %", "1", 0.005),
        ("-2 mg", "mg", -2),
        ("0.7", "1", 0.7),
        (3, "fraction", 3),
    ],
)
def test_quantity(text: str | float, to: str, expected: float) -> None:
    assert units.parse_quantity(text, to) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.03", "lacks its unit; 'mL/h'"),
        (0.03, "lacks its unit; 'mL/h'"),
        ("0.03 mg", "'mg' cannot be converted to 'mL/h'"),
        ("1e999 mL/h", "not a finite number"),
        (float("nan"), "not a finite number"),
        ("nan mL/h", "not a number with a unit"),
        ("mL/h", "not a number with a unit"),
        ("", "not a number with a unit"),
        ("1,5 mL/h", "is not a unit"),
        ("3 mL/hr/banana", "is not a unit"),
    ],
)
def test_quantity_that_is_refused(text: str | float, message: str) -> None:
    with pytest.raises(InputError, match=f"^here: .*{message}"):
        units.parse_quantity(text, "mL/h", "here")


@pytest.mark.parametrize(
    ("unit", "spelled"),
    [
        ("mmol/L", "mmol L-1"),
        ("umol/g/h", "umol g-1 h-1"),
        ("mmol/(L*h)*kg", "mmol L-1 h-1 kg"),
        ("mM^2", "mmol2 L-2"),
        ("1/cm^2", "cm-2"),
        ("1/d", "day-1"),
        ("Mcell/g", "1e6 g-1"),
        ("umol/Gparticle", "umol 1e-9"),
        ("particle/mL", "mL-1"),
        ("%", "percent"),
        ("1", "1"),
        ("", "1"),
        ("cell", "1"),
    ],
)
def test_cf(unit: str, spelled: str) -> None:
    assert units.cf(unit) == spelled


def test_scale_of_follows_coherent_units_and_sees_a_factor_of_a_thousand() -> None:
    base = dict.fromkeys(units.BASE_DIMENSIONS, 1.0) | {"[length]": 2.0, "[substance]": 5.0}
    assert units.scale_of("umol/mL", base) == pytest.approx(units.scale_of("umol", base) / units.scale_of("mL", base))
    assert units.scale_of("mmol/L", base) == pytest.approx(units.scale_of("umol/mL", base))
    assert units.scale_of("L", base) == pytest.approx(1000 * units.scale_of("mL", base))
    assert units.scale_of("cm", base) == pytest.approx(0.02)


@pytest.mark.parametrize(
    "text", ["mg**9**9**9", "(mg**9)**9", "((9^9)^9)^9", "mg^10", "cm²³", "mg**(9**9)", "m**1e5", "mg**2L"]
)
def test_power_of_a_power_is_refused(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(InputError, match="one power of at most 9") as caught:
        units.dimension(text)
    assert time.perf_counter() - began < 0.5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "mg squared squared squared squared",
        "__import__('os').system('true')",
        "lambda: 0",
        "mg;mg",
        "\x00",
        "mg\nmg",
        "(" * 90,
        "x" * 5000,
        "9" * 90,
        "9**9",
        "1e999999",
        "2 mg",
        "nan",
        "mg/",
        "mg)",
    ],
)
def test_text_that_is_no_unit(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(InputError, match="is not a unit") as caught:
        units.dimension(text)
    assert time.perf_counter() - began < 0.5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "strange", "meant"),
    [
        ("mL/hh", "hh", "h"),  # a hundred hours
        ("mL/kh", "kh", "h"),
        ("1/dd", "dd", "d"),
        ("dmin", "dmin", "min"),
        ("mwk", "mwk", "wk"),
        ("m%", "m%", "%"),
        ("hs", "hs", "s"),  # plurals of symbols, which pint reads
        ("Mg", "Mg", "mg"),  # a tonne
        ("ML/h", "ML", "mL"),
        ("Tcell", "Tcell", "cell"),  # 1e12 cells
        ("umol/kmonth", "kmonth", "month"),
        ("U/mL", "U", ""),  # umol/min, but a unit of insulin or heparin to whoever writes it
        ("1/a", "a", ""),
        ("hbar", "hbar", "bar"),
    ],
)
def test_names_that_the_field_does_not_use_are_refused(text: str, strange: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        units.dimension(text)
    expected = f"{text!r} is not a unit that nanomg knows: there is no {strange!r}"
    assert str(caught.value).startswith(expected + (f"; did you mean {meant!r}?" if meant else " (write"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "textbook-1cpt", "--set", "pk.CL=3 L/hh"),
        ("simulate", "textbook-1cpt", "--dose", "pk.depot: 5 Mg"),
        ("simulate", "textbook-1cpt", "--dose", "pk.depot: 5 mg q 12 hh x 3"),
        ("simulate", "{folder}/time.toml", "--events", "{folder}/doses.csv"),
        ("simulate", "{folder}/amount.toml", "--events", "{folder}/doses.csv"),
        ("simulate", "{folder}/horizon.toml"),
        ("simulate", "{folder}/card.toml"),
        ("sweep", "textbook-1cpt", "--vary", "pk.CL=1..3 L/hh:lin:3", "--keep", "pk.C:max"),
        ("sweep", "textbook-1cpt", "--vary", "pk.CL=1..3 L/h:lin:3", "--keep", "pk.C:max", "--memory", "1 hB"),
        ("nca", "{folder}/plasma.csv", "--unit", "mg/hL"),
        ("nca", "{folder}/plasma.csv", "--unit", "mg/L", "--time-unit", "hh"),
        ("nca", "{folder}/plasma.csv", "--unit", "mg/L", "--dose", "3 mg/Mg"),
    ],
)
def test_strange_units_are_refused_wherever_one_is_read(
    arguments: tuple[str, ...], program: Program, tmp_path: Path
) -> None:
    start = 'mechanisms = ["OneCompartment"]\noutputs = ["pk.C"]\n'
    texts = {
        "time.toml": start + 'cards = ["textbook"]\nhorizon = "2 d"\n[columns]\nTIME = { unit = "hh" }\n',
        "amount.toml": start + 'cards = ["textbook"]\nhorizon = "2 d"\n[columns]\nAMT = { unit = "Mg" }\n',
        "horizon.toml": start + 'cards = ["textbook"]\nhorizon = "2 dd"\n',
        "card.toml": start + f'cards = ["textbook", "{tmp_path}/mine.toml"]\nhorizon = "2 d"\n',
        "mine.toml": '[mine]\nCL = { value = 1, unit = "mL/hh", basis = "assumed", note = "an example" }\n',
        "doses.csv": "TIME,AMT,CMT\n0,1,1\n",
        "plasma.csv": "ID,TIME,DV\n1,0,0\n1,1,3\n1,2,2\n1,3,1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    told = program(*(argument.format(folder=tmp_path) for argument in arguments))
    assert told.code == 2 and told.err.count("\n") == 1
    assert "is not a unit that nanomg knows: there is no" in told.err


@pytest.mark.parametrize("unit", [*sorted(unit_names.NAMES), "mg/kg", "mg/m2", "umol/L", "µg", "% /h"])
def test_names_of_the_field_are_read(unit: str) -> None:
    assert units.factor(unit, unit) == 1.0


@pytest.mark.parametrize("unit", ["degC", "°C", "degF", "dB"])
def test_units_with_an_offset_are_refused(unit: str) -> None:
    with pytest.raises(InputError, match="offset"):
        units.convert(37, unit, "K")


@settings(max_examples=300, deadline=1000)
@given(st.text(alphabet="mgLhcol9120 */^()-.%µ²⁻e_", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_unit_or_one_sentence(text: str) -> None:
    message = ""
    try:
        units.dimension(text)
        units.cf(text)
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("mmol L-1", "mmol/L"),
        ("mm^3", "mm³"),
        ("1e6", "10⁶"),
        ("1e9 mL-1", "10⁹/mL"),
        ("umol/g", "µmol/g"),
        ("mg kg-1 h-1", "mg/kg/h"),
        ("h-1", "1/h"),
        ("cm2", "cm²"),
        ("1", "–"),
    ],
)
def test_units_are_written_as_the_field_writes_them(unit: str, text: str) -> None:
    assert units.unit_text(unit) == text


def test_shipped_conversions_are_those_of_pint_and_all_that_the_library_takes() -> None:
    shipped = json.loads(units.SHIPPED.read_text(encoding="utf-8"))
    program = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "units.py"))
    made = json.loads(json.dumps(program["conversions"]()))
    assert {key: made[key] for key in shipped} == shipped
    assert set(made) == set(shipped), "`make units` writes nanomg/units.json again"
