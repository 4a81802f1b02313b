"""Doses: prescriptions, dose tables and their description, written out."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanomg.dosing.dose import Dose
from nanomg.dosing.dose_tables import parse_records
from nanomg.dosing.prescription import describe, parse_dose_option, parse_dose_options, parse_prescription
from nanomg.errors import InputError, unknown

SALT = 0.24647  # mg/umol, MgSO4 heptahydrate
PORTS = {
    "liposome.iv": ("mg", None),
    "magnesium.iv": ("umol", SALT),
    "depot.it": ("umol", None),
    "count.in": ("", None),
}


def port(cmt: str) -> tuple[str, float | None]:
    if cmt not in PORTS:
        raise unknown("port or state", cmt, PORTS)
    return PORTS[cmt]


def rows(doses: tuple[Dose, ...]) -> list[tuple[float, float, float]]:
    return [(dose.time, dose.amt, dose.duration) for dose in doses]


def table(**record: Any) -> tuple[Dose, ...]:
    return parse_records([{"cmt": "liposome.iv", **record}], port)


@pytest.mark.parametrize(
    ("text", "unit", "doses"),
    [
        ("2 mg", "mg", [(0, 2, 0)]),
        ("2mg once", "mg", [(0, 2, 0)]),
        ("30 umol q 7 d x 4", "umol", [(0, 30, 0), (168, 30, 0), (336, 30, 0), (504, 30, 0)]),
        ("30 µmol EVERY 7 Days 2 times", "umol", [(0, 30, 0), (168, 30, 0)]),
        ("1 g over 30 min q3wk x2", "mg", [(0, 1000, 0.5), (504, 1000, 0.5)]),
        ("1 g x 2 q 1 week over 30 min", "mg", [(0, 1000, 0.5), (168, 1000, 0.5)]),
        ("0.2 mg q 3 d x 3 from 7 d", "mg", [(168, 0.2, 0), (240, 0.2, 0), (312, 0.2, 0)]),
        ("0.2 mg at 7 d", "mg", [(168, 0.2, 0)]),
        ("1 g / h for 12 h", "g", [(0, 12, 12)]),
        ("60 mg/min for 0.5 h q 1 d x 2", "g", [(0, 1.8, 0.5), (24, 1.8, 0.5)]),
        ("4 g over 20 min then 1 g/h for 12 h", "g", [(0, 4, 1 / 3), (1 / 3, 12, 12)]),
        ("2 mg q 1 d x 2 then 1 mg q 12 h x 3", "mg", [(0, 2, 0), (24, 2, 0), (48, 1, 0), (60, 1, 0), (72, 1, 0)]),
        ("2 mg then 1 mg from 3 d then 5 mg", "mg", [(0, 2, 0), (72, 1, 0), (72, 5, 0)]),
        ("10 q 1 d x 2", "", [(0, 10, 0), (24, 10, 0)]),
        ("5e4 TCID50", "TCID50", [(0, 5e4, 0)]),
        ("10 1/h for 3 h", "", [(0, 30, 3)]),
    ],
)
def test_prescription_written_out(text: str, unit: str, doses: list[tuple[float, float, float]]) -> None:
    assert rows(parse_prescription(text, "x", unit)) == [pytest.approx(dose, rel=1e-14) for dose in doses]


def test_masses_become_amounts_of_substance_by_the_molar_mass() -> None:
    (loading, maintenance) = rows(parse_prescription("4 g over 20 min then 1 g/h for 12 h", "x", "umol", SALT))
    assert loading == pytest.approx((0.0, 4000 / SALT, 1 / 3))
    assert maintenance == pytest.approx((1 / 3, 12_000 / SALT, 12.0))
    assert rows(parse_prescription("1 mmol", "x", "umol", SALT)) == [(0.0, pytest.approx(1000.0), 0.0)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["ends where an amount"]),
        ("2 mg q", ["ends where a time is expected"]),
        ("2 mg q 7 d x 4 then", ["ends where an amount"]),
        ("2 mg bogus 7 d", ["word 3", "'bogus'"]),
        ("2 mg q 7 d x 4 daily", ["word 8", "'daily'"]),
        ("nan mg", ["word 1", "'nan'"]),
        ("1e999 mg", ["finite"]),
        ("2", ["units are required", "'2 mg'"]),
        ("2 mg q 7 x 4", ["units are required", "'7 h'"]),
        ("2 umol", ["'umol'", "'mg'"]),
        ("2 mg/kg", ["'mg/kg'", "weight"]),
        ("2 mg q 7 mL x 4", ["'mL'", "'h'"]),
        ("2 mg q 1 mo x 4", ["'mo'"]),
        ("-2 mg", ["negative"]),
        ("2 mg at -3 h", ["negative"]),
        ("2 mg over -3 h", ["negative"]),
        ("2 mg q 0 h x 4", ["interval above zero"]),
        ("2 mg q 7 d", ["number of doses"]),
        ("2 mg x 4", ["interval"]),
        ("2 mg q 7 d x 2.5", ["whole number"]),
        ("2 mg q 7 d x 0", ["whole number"]),
        ("2 mg q 7 d x 1e9", ["more than"]),
        ("2 mg q 7 d q 3 d x 4", ["twice"]),
        ("2 mg for 3 h", ["'over'"]),
        ("2 mg/h", ["for 12 h"]),
        ("2 mg q 7 d x 4 then 1 mg from 7 d", ["7 d", "28 d"]),
        ("2 mg ss", ["ss", "interval"]),
        ("2 mg q 0 h ss", ["ss", "interval"]),
        ("2 mg q 7 d x 2 ss ss2", ["'ss' twice"]),
        ("2 mg q 7 d ss 3", ["word 7", "'3'"]),
        ("0 mg q 7 d ss", ["zero", "rate"]),
        ("0 mg rate 1 mg/h", ["zero", "ss"]),
        ("0 mg over modelled q 7 d ss", ["modelled duration"]),
        ("2 mg/h q 7 d ss", ["for 12 h"]),
        ("2 mg/h rate modelled ss", ["for 12 h"]),
        ("2 mg/h ss x 2", ["interval"]),
        ("2 mg over 2 h rate 1 mg/h", ["'over' and 'rate'"]),
        ("2 mg rate 2 mg", ["not a rate"]),
        ("2 mg rate 0 mg/h", ["rate", "above zero"]),
        ("2 mg rate", ["a rate is expected"]),
        ("2 mg q modelled x 2", ["'modelled'", "a time is expected"]),
    ],
)
def test_unreadable_prescriptions_say_what_and_where(text: str, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        parse_prescription(text, "x", "mg", where="the dose")
    assert error.value.where == "the dose"
    assert all(part in error.value.message for part in parts), error.value.message


def test_a_mass_without_molar_mass_names_both_units() -> None:
    with pytest.raises(InputError, match=r"'g'.*'umol'.*molar mass"):
        parse_dose_option("depot.it: 1 g", port)


def test_dose_option() -> None:
    doses = parse_dose_option(" liposome.iv : 1 mg q 7 d x 3", port)
    assert doses == tuple(Dose(time, 1.0, "liposome.iv") for time in (0.0, 168.0, 336.0))
    for broken in ("1 mg q 7 d x 3", ": 1 mg", "liposme.iv: 1 mg"):
        with pytest.raises(InputError) as error:
            parse_dose_option(broken, port)
        assert broken in str(error.value)
    assert "did you mean 'liposome.iv'" in str(error.value)


@pytest.mark.parametrize(
    ("record", "doses"),
    [
        ({"amt": "2 mg"}, [(0, 2, 0)]),
        ({"AMT": "2 mg", "Time": "7 d", "TINF": "30 min"}, [(168, 2, 0.5)]),
        ({"amt": "2 mg", "time": 0, "dur": "2 h"}, [(0, 2, 2)]),
        ({"amt": "2 mg", "rate": "500 ug/h"}, [(0, 2, 4)]),
        ({"amt": "2 mg", "ii": "7 d", "addl": 2}, [(0, 2, 0), (168, 2, 0), (336, 2, 0)]),
        ({"amt": "2 mg", "ii": "7 d", "addl": 2.0}, [(0, 2, 0), (168, 2, 0), (336, 2, 0)]),
        ({"amt": "2 mg", "ii": "7 d", "until": "15 d"}, [(0, 2, 0), (168, 2, 0), (336, 2, 0)]),
        ({"amt": "2 mg", "ii": "0.1 h", "until": "0.3 h"}, [(0, 2, 0), (0.1, 2, 0), (0.2, 2, 0)]),
        ({"amt": "2 mg", "ii": "7 d"}, [(0, 2, 0)]),
        ({"text": "2 mg q 7 d x 2", "time": "1 d"}, [(24, 2, 0), (192, 2, 0)]),
    ],
)
def test_table_written_out(record: dict[str, Any], doses: list[tuple[float, float, float]]) -> None:
    assert rows(table(**record)) == [pytest.approx(dose) for dose in doses]


@pytest.mark.parametrize(
    ("text", "doses"),
    [
        ("2 mg q 12 h ss", [Dose(0, 2, "liposome.iv", ii=12, ss=1)]),
        ("2 mg q 12 h x 2 ss2 from 1 h", [Dose(1, 2, "liposome.iv", ii=12, ss=2), Dose(13, 2, "liposome.iv")]),
        ("6 mg over 3 h q 12 h ss", [Dose(0, 6, "liposome.iv", 3, ii=12, ss=1)]),
        ("2 mg/h for 3 h q 12 h ss", [Dose(0, 6, "liposome.iv", 3, ii=12, ss=1)]),
        ("2 mg/h ss at 5 h", [Dose(5, 0, "liposome.iv", ss=1, rate=2)]),
        ("0 mg rate modelled ss", [Dose(0, 0, "liposome.iv", ss=1, rate=-1)]),
        ("6 mg rate 2 mg/h", [Dose(0, 6, "liposome.iv", 3, rate=2)]),
        ("6 mg rate modelled", [Dose(0, 6, "liposome.iv", rate=-1)]),
        ("6 mg OVER modeled", [Dose(0, 6, "liposome.iv", rate=-2)]),
        ("6 mg q 1 d x 2 reset", [Dose(0, 6, "liposome.iv", evid=4), Dose(24, 6, "liposome.iv")]),
        (
            "2 mg q 1 d x 2 then 1 mg ss q 1 d from 9 d",
            [Dose(0, 2, "liposome.iv"), Dose(24, 2, "liposome.iv"), Dose(216, 1, "liposome.iv", ii=24, ss=1)],
        ),
    ],
)
def test_steady_state_resets_and_rates_in_words(text: str, doses: list[Dose]) -> None:
    assert list(parse_dose_option(f"liposome.iv: {text}", port)) == doses
    assert list(table(text=text)) == doses


@pytest.mark.parametrize(
    ("record", "dose"),
    [
        ({"amt": "2 mg", "ii": "12 h", "ss": 1}, Dose(0, 2, "liposome.iv", ii=12, ss=1)),
        ({"amt": "2 mg", "ii": "12 h", "SS": 2.0, "time": "1 h"}, Dose(1, 2, "liposome.iv", ii=12, ss=2)),
        ({"amt": "2 mg", "ii": "12 h", "ss": 0}, Dose(0, 2, "liposome.iv")),
        ({"amt": "0 mg", "rate": "2 mg/h", "ss": 1}, Dose(0, 0, "liposome.iv", ss=1, rate=2)),
        ({"amt": "0 mg", "rate": -1, "ss": 1}, Dose(0, 0, "liposome.iv", ss=1, rate=-1)),
        ({"amt": "6 mg", "rate": -1}, Dose(0, 6, "liposome.iv", rate=-1)),
        ({"amt": "6 mg", "rate": "Modelled"}, Dose(0, 6, "liposome.iv", rate=-1)),
        ({"amt": "6 mg", "rate": -2}, Dose(0, 6, "liposome.iv", rate=-2)),
        ({"amt": "6 mg", "duration": "modelled"}, Dose(0, 6, "liposome.iv", rate=-2)),
        ({"amt": "6 mg", "rate": "2 mg/h", "evid": 4}, Dose(0, 6, "liposome.iv", 3, rate=2, evid=4)),
        ({"amt": "6 mg", "evid": 1}, Dose(0, 6, "liposome.iv")),
    ],
)
def test_steady_state_resets_and_rates_in_tables(record: dict[str, Any], dose: Dose) -> None:
    assert table(**record) == (dose,)
    assert dose.plain == (record in ({"amt": "2 mg", "ii": "12 h", "ss": 0}, {"amt": "6 mg", "evid": 1}))


def test_a_reset_cancels_what_began_before_it() -> None:
    weekly = {"cmt": "liposome.iv", "amt": "2 mg", "ii": "7 d", "addl": 3}
    reset = {"evid": 3, "time": "14 d"}
    late = {"cmt": "liposome.iv", "amt": "1 mg", "time": "15 d", "ii": "1 d", "addl": 1}
    found = parse_records([late, reset, weekly], port)
    assert [(d.time / 24, d.evid) for d in found] == [(0, 1), (7, 1), (14, 1), (14, 3), (15, 1), (16, 1)]
    for again in ({"evid": 4}, {"ss": 1, "ii": "1 d"}):
        found = parse_records([weekly, {"cmt": "liposome.iv", "amt": "3 mg", "time": "8 d", **again}], port)
        assert [d.time / 24 for d in found] == [0, 7, 8]
    found = parse_records([weekly, {"cmt": "liposome.iv", "amt": "3 mg", "time": "8 d", "ss": 2, "ii": "1 d"}], port)
    assert [d.time / 24 for d in found] == [0, 7, 8, 14, 21]
    found = parse_dose_options(["liposome.iv: 2 mg q 7 d x 4", "reset at 8 d", "depot.it: 1 umol at 9 d"], port)
    assert [(d.time / 24, d.cmt) for d in found] == [(0, "liposome.iv"), (7, "liposome.iv"), (8, ""), (9, "depot.it")]


@pytest.mark.parametrize(
    "text", ["reset from", "reset q 7 d x 2", "reset at 2", "reset at 2 d x", "reset 2 d", "resets"]
)
def test_a_reset_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError):
        parse_dose_option(text, port)


def test_tables_are_sorted_by_time_and_equal_times_keep_their_order() -> None:
    doses = parse_records(
        [
            {"cmt": "magnesium.iv", "amt": "1 g", "time": "1 d"},
            {"cmt": "liposome.iv", "amt": "3 mg", "ii": "1 d", "addl": 1},
            {"cmt": "count.in", "amt": 7, "time": "1 d"},
        ],
        port,
    )
    assert [(dose.time, dose.cmt) for dose in doses] == [
        (0.0, "liposome.iv"),
        (24.0, "liposome.iv"),  # began before the others
        (24.0, "magnesium.iv"),
        (24.0, "count.in"),
    ]
    assert [dose.amt for dose in doses] == pytest.approx([3, 3, 1000 / SALT, 7])


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        ({"amt": "-2 mg"}, ["amt", "negative"]),
        ({"amt": math.nan}, ["amt", "finite"]),
        ({"amt": 10**400}, ["amt", "finite"]),
        ({"amt": "inf mg"}, ["inf mg"]),
        ({"amt": True}, ["amt", "True"]),
        ({"amt": "2 mg**9"}, ["amt", "2 mg**9"]),
        ({"amt": 2}, ["units are required", "amt"]),
        ({"amt": "2 h"}, ["'h'", "'mg'"]),
        ({"amt": "2 mg", "time": 7}, ["units are required", "time"]),
        ({"amt": "2 mg", "time": "-7 d"}, ["time", "negative"]),
        ({"amt": "2 mg", "time": "7 mg"}, ["'mg'", "'h'"]),
        ({"amt": "2 mg", "addl": 3}, ["addl", "ii"]),
        ({"amt": "2 mg", "addl": 3, "ii": 0}, ["interval above zero"]),
        ({"amt": "2 mg", "addl": 1.5, "ii": "7 d"}, ["addl", "whole number"]),
        ({"amt": "2 mg", "addl": -1, "ii": "7 d"}, ["addl", "whole number"]),
        ({"amt": "2 mg", "addl": 10**9, "ii": "7 d"}, ["more than"]),
        ({"amt": "2 mg", "ii": "1 s", "until": "9999 d"}, ["more than"]),
        ({"amt": "2 mg", "until": "7 d"}, ["until", "ii"]),
        ({"amt": "2 mg", "until": "7 d", "ii": 0}, ["until", "above zero"]),
        ({"amt": "2 mg", "until": "7 d", "ii": "1 d", "time": "8 d"}, ["until (7 d)", "8 d"]),
        ({"amt": "2 mg", "until": "7 d", "ii": "1 d", "addl": 3}, ["addl and until"]),
        ({"amt": "2 mg", "rate": "1 mg/h", "duration": "2 h"}, ["rate and duration"]),
        ({"amt": "2 mg", "rate": "0 mg/h"}, ["rate", "above zero"]),
        ({"amt": "2 mg", "rate": "-1 mg/h"}, ["rate", "negative"]),
        ({"amt": "2 mg", "rate": "1 mg"}, ["'1 mg'", "'mg/h'"]),
        ({"amt": "2 mg", "rate": "1 umol/h"}, ["'umol'", "'mg'"]),
        ({"amt": "2 mg", "dur": "1 h", "tinf": "1 h"}, ["duration is given twice"]),
        ({"amt": "2 mg", "ss": 1}, ["steady state", "interval"]),
        ({"amt": "2 mg", "ss": 3, "ii": "1 d"}, ["ss must be 0, 1 or 2, not 3"]),
        ({"amt": "2 mg", "ss": "1 h", "ii": "1 d"}, ["ss must be", "1 h"]),
        ({"amt": "0 mg", "ss": 1, "ii": "1 d"}, ["zero", "rate"]),
        ({"amt": "0 mg", "rate": "1 mg/h"}, ["zero", "ss"]),
        ({"amt": "0 mg", "rate": "1 mg/h", "ss": 1, "ii": "1 d"}, ["constant infusion", "no interval"]),
        ({"amt": "0 mg", "rate": -2, "ss": 1, "ii": "1 d"}, ["modelled duration"]),
        ({"amt": "2 mg", "rate": -3}, ["not a rate"]),
        ({"amt": "2 mg", "rate": -1, "dur": "1 h"}, ["rate and duration"]),
        ({"amt": "2 mg", "evid": 0}, ["evid must be 1, 3 or 4, not 0"]),
        ({"amt": "2 mg", "evid": 3}, ["evid = 3", "remove amt, cmt"]),
        ({"text": "2 mg", "evid": 4}, ["remove evid"]),
        ({"amt": "2 mg", "durration": "1 h"}, ["did you mean 'duration'"]),
        ({"text": "2 mg", "amt": "2 mg"}, ["remove amt"]),
        ({"text": 2}, ["prescription"]),
        ({"text": "2 mg q 7 d x bogus"}, ["word 7", "'bogus'"]),
        ({}, ["amt", "text"]),
        ({"cmt": 3, "amt": "2 mg"}, ["cmt"]),
        ({"cmt": "liposome.vi", "amt": "2 mg"}, ["did you mean 'liposome.iv'"]),
    ],
)
def test_broken_tables_are_refused_in_one_sentence(record: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        parse_records([{"cmt": "liposome.iv", "amt": "1 mg"}, {"cmt": "liposome.iv", **record}], port, "case.toml")
    assert error.value.where == "case.toml, [[dose]] number 2"
    assert all(part in error.value.message for part in parts), error.value.message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("records", [{"cmt": "liposome.iv"}, "2 mg", 3, [3]])
def test_doses_that_are_no_tables_are_refused(records: Any) -> None:
    with pytest.raises(InputError, match="table"):
        parse_records(records, port)


@pytest.mark.parametrize(
    "wrong",
    [{"time": -1.0}, {"amt": -1.0}, {"duration": math.nan}, {"ii": -1.0}, {"ss": 3}, {"rate": -3.0}, {"evid": 2}],
)
def test_a_dose_made_by_hand_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"liposome\.iv"):
        Dose(**{"time": 0.0, "amt": 1.0, "cmt": "liposome.iv", **wrong})


def lines(*doses: Dose, digits: int = 12) -> list[str]:
    return describe(doses, lambda cmt: PORTS[cmt][0], digits)


def test_describe() -> None:
    weekly = [Dose(168.0 * k, 2.0, "liposome.iv") for k in range(4)]
    loading = Dose(0.1 + 0.2, 0.5, "magnesium.iv", 1 / 3)
    assert lines(loading, *reversed(weekly)) == [
        "liposome.iv: 2 mg q 7 d x 4 from 0 h",
        "magnesium.iv: 0.5 umol over 20 min at 18 min",
    ]
    uneven = [Dose(time, 1 / 3, "count.in") for time in (1.0, 48.123456, 72.0, 96.0, 120.0, 120.0)]
    assert lines(*uneven, digits=4) == [
        "count.in: 0.3333 at 1 h",
        "count.in: 0.3333 at 48.12 h",
        "count.in: 0.3333 q 1 d x 3 from 3 d",
        "count.in: 0.3333 at 5 d",
    ]
    assert lines() == []


hours = st.floats(0.0, 1e4) | st.integers(0, 400).map(float)
positive = st.floats(0.01, 1e3) | st.integers(1, 200).map(float)


@settings(deadline=None)
@given(hours, positive, hours, positive, st.integers(0, 20))
def test_addl_equals_written_out_tables(time: float, amt: float, duration: float, ii: float, addl: int) -> None:
    record = {"amt": f"{amt!r} mg", "duration": f"{duration!r} h"}
    written = [{"cmt": "liposome.iv", **record, "time": f"{time + k * ii!r} h"} for k in range(addl + 1)]
    expanded = table(**record, time=f"{time!r} h", ii=f"{ii!r} h", addl=addl)
    assert expanded == parse_records(written, port)
    assert expanded == table(text=f"{amt!r} mg over {duration!r} h q {ii!r} h x {addl + 1} from {time!r} h")
    assert expanded == table(**record, time=f"{time!r} h", ii=f"{ii!r} h", until=f"{time + (addl + 0.5) * ii!r} h")


def test_describe_names_what_is_not_plain() -> None:
    doses = (
        Dose(0, 2, "liposome.iv", ii=12, ss=1),
        *(Dose(12.0 * k, 2, "liposome.iv") for k in range(1, 4)),
        Dose(40, 0, "", evid=3),
        Dose(48, 0, "liposome.iv", ss=2, rate=0.5),
        Dose(60, 6, "liposome.iv", 3, rate=2),
        Dose(84, 6, "liposome.iv", 3, rate=2),
        Dose(90, 6, "liposome.iv", rate=-1, evid=4),
        Dose(91, 6, "count.in", rate=-2),
    )
    assert lines(*doses) == [
        "liposome.iv: 2 mg q 12 h ss at 0 h",
        "liposome.iv: 2 mg q 12 h x 3 from 12 h",
        "reset at 40 h",
        "liposome.iv: 0.5 mg/h ss2 at 2 d",
        "liposome.iv: 6 mg rate 2 mg/h q 1 d x 2 from 60 h",
        "liposome.iv: 6 mg rate modelled reset at 90 h",
        "count.in: 6 over modelled at 91 h",
    ]
    assert parse_dose_options(lines(*doses), port) == doses


@st.composite
def regimens(draw: st.DrawFn) -> list[Dose]:
    """Rows of equal doses, and single ones among them, some at steady state, some resets."""
    doses: list[Dose] = []
    for _ in range(draw(st.integers(0, 4))):
        cmt = draw(st.sampled_from(sorted(PORTS)))
        time, amt, ii = draw(hours), draw(positive), draw(positive)
        rate = draw(st.sampled_from([0.0, 0.0, 0.0, -1.0, -2.0]) | positive)
        duration = amt / rate if rate > 0 else 0.0 if rate else draw(st.just(0.0) | positive)
        doses += [Dose(time + k * ii, amt, cmt, duration, rate=rate) for k in range(draw(st.integers(1, 6)))]
        ss, evid = draw(st.sampled_from([0, 0, 1, 2])), draw(st.sampled_from([1, 1, 1, 4]))
        doses.append(Dose(draw(hours), amt, cmt, duration, ii if ss else 0.0, ss, rate, evid))
        if draw(st.booleans()):
            doses += [Dose(draw(hours), 0.0, "", evid=3), Dose(draw(hours), 0.0, cmt, ss=1, rate=abs(rate) or -1.0)]
    return sorted(doses, key=lambda dose: dose.time)


@settings(deadline=None)
@given(regimens())
def test_a_described_regimen_reads_back_as_itself(doses: list[Dose]) -> None:
    def key(dose: Dose) -> tuple[Any, ...]:
        numbers = (dose.amt, dose.duration, dose.rate, dose.ii)
        return (dose.cmt, dose.evid, dose.ss, *(float(f"{value:.6g}") for value in numbers), dose.time)

    read = parse_dose_options(lines(*doses), port)
    assert [dose.evid for dose in read if dose.resets] == [dose.evid for dose in doses if dose.resets]
    assert len(read) == len(doses)
    for one, other in zip(sorted(read, key=key), sorted(doses, key=key), strict=True):
        assert (one.cmt, one.ss, one.evid) == (other.cmt, other.ss, other.evid)
        for name in ("time", "amt", "duration", "rate", "ii"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-10)


WORDS = (
    "2 0 -1 1e3 1e999 .5 4g mg umol/h g/h h d wk min q every x times over for then from at once"
    " ss ss2 reset rate modelled % ^ / TCID50 dB nan : é"
)
garbage = st.text(max_size=30) | st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(garbage, st.sampled_from(sorted(PORTS)))
def test_any_text_gives_doses_or_one_sentence(text: str, cmt: str) -> None:
    for call in (lambda: parse_dose_option(f"{cmt}: {text}", port), lambda: parse_dose_option(text, port)):
        with contextlib.suppress(InputError):
            assert all(isinstance(dose, Dose) for dose in call())


values = (
    garbage
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["2 mg", "7 d", "3 mg/h", "modelled", -2, -1, 0, 1, 2, 3, 4])
)
keys = st.sampled_from(
    ["cmt", "amt", "time", "duration", "dur", "rate", "ii", "addl", "until", "text", "SS", "ss", "evid"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(keys, values, max_size=5), max_size=3), st.sampled_from(sorted(PORTS)))
def test_any_table_gives_doses_or_one_sentence(records: list[dict[str, Any]], cmt: str) -> None:
    with contextlib.suppress(InputError):
        doses = parse_records([{"cmt": cmt, **record} for record in records], port)
        assert [dose.time for dose in doses] == sorted(dose.time for dose in doses)
