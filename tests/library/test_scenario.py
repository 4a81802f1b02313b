"""Scenario files: the shipped ones load, with their doses, windows, columns and values."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import pytest
from scenario_texts import DEPOT, LIBRARY, SHIPPED, SMALL, TEXTS, check, complaint, loaded

from nanomg.dosing.dose import Window
from nanomg.dosing.prescription import parse_dose_option
from nanomg.errors import InputError
from nanomg.library import scenario, scenario_file
from nanomg.library.card import Origin


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_loads(name: str) -> None:
    found = scenario_file.load(name, LIBRARY)
    check(found)
    assert found.kind == ("optimize" if "[objective]" in TEXTS[name] else "simulate") and found.name == name
    assert found.outputs and found.title and found.description
    assert found.species in ("mouse", "human") or (found.species == "any" and not name.startswith(("mouse", "human")))
    assert set(found.parameters) == set(found.model.parameters)
    for parameter in found.parameters.values():
        assert parameter.unit == found.model.unit(parameter.name)
        assert not parameter.source or parameter.source in LIBRARY.references
    for card in found.cards:
        assert card.species in (found.species, "any")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_regimen_of_a_shipped_scenario_keeps_its_own_bounds(name: str) -> None:
    found = scenario_file.load(name, LIBRARY)
    for free in found.free:
        given_here = [d for d in found.doses if d.cmt == free.cmt]
        assert all(
            free.amount[0] <= d.amt <= free.amount[1] and free.time[0] <= d.time <= free.time[1] for d in given_here
        )
        assert sum(d.amt for d in given_here) <= free.total * (1 + 1e-12)
        gaps = [b.time - a.time for a, b in itertools.pairwise(given_here)]
        assert all(gap >= free.interval for gap in gaps)


def test_a_path_and_a_name_give_the_same(tmp_path: Path) -> None:
    by_name = scenario_file.load(DEPOT, LIBRARY)
    path = tmp_path / f"{DEPOT}.toml"
    path.write_text(TEXTS[DEPOT], encoding="utf-8")
    by_path = scenario_file.load(str(path), LIBRARY)
    assert by_path.config_hash == by_name.config_hash and by_path.model == by_name.model


def test_values_in_the_file_and_set_by_the_user(tmp_path: Path) -> None:
    text = SMALL + '[parameters]\n"magnesium.GFR" = "0.3 mL/min"\n'
    found = loaded(text, tmp_path)
    assert found.values["magnesium.GFR"] == pytest.approx(18.0)
    assert found.parameters["magnesium.GFR"].note == "set in the scenario"
    assert found.parameters["magnesium.GFR"].origin is Origin.SCENARIO
    set_too = loaded(text, tmp_path, overrides={"magnesium.GFR": "0.012 L/h"})
    assert set_too.values["magnesium.GFR"] == pytest.approx(12.0)
    assert set_too.parameters["magnesium.GFR"].note == "set by the user"
    assert set_too.parameters["magnesium.GFR"].origin is Origin.USER
    assert {p.origin for name, p in set_too.parameters.items() if name != "magnesium.GFR"} == {Origin.CARD}
    assert set_too.config_hash != found.config_hash


def test_doses_of_the_user_replace_those_of_the_file(tmp_path: Path) -> None:
    found = loaded(SMALL, tmp_path, doses=("magnesium.iv: 1 umol at 3 h", "magnesium.im: 2 umol at 1 h"))
    assert [(d.time, d.amt, d.cmt) for d in found.doses] == [(1.0, 2.0, "magnesium.im"), (3.0, 1.0, "magnesium.iv")]


def test_a_line_replaces_the_doses_into_its_port_alone(tmp_path: Path) -> None:
    text = SMALL + '[[dose]]\nCMT = "magnesium.im"\namt = "7 umol"\ntime = "2 h"\n[[dose]]\nevid = 3\ntime = "5 h"\n'

    def given(*lines: str) -> list[tuple[float, float, str]]:
        return [(d.time, d.amt, d.cmt) for d in loaded(text, tmp_path, doses=lines).doses]

    iv, im, reset = given()
    assert given("magnesium.iv: 1 umol at 3 h", "magnesium.im: none") == [(3.0, 1.0, "magnesium.iv"), reset]
    assert given("magnesium.iv: 1 umol at 3 h", "magnesium.iv: 2 umol", "magnesium.im: none") == [
        (0.0, 2.0, iv[2]),
        (3.0, 1.0, iv[2]),
        reset,
    ]
    assert given("magnesium.iv: None") == [im, reset]
    assert given("reset at 4 h") == [iv, im, (4.0, 0.0, "")]
    assert given("reset: none") == [iv, im]
    assert given("magnesium.iv: none", "magnesium.im: none", "reset: none") == []


def test_a_configuration_holds_the_regimen_that_lines_gave(tmp_path: Path) -> None:
    found = scenario_file.load(DEPOT, LIBRARY, doses=["pd1.ip: 0.1 mg q 3 d x 2 from 7 d"])
    again = scenario_file.rebuild(found.config, LIBRARY)
    assert again.doses == found.doses and {d.cmt for d in again.doses} == {"pd1.ip", "liposome.intratumoral"}
    alone = scenario_file.load(DEPOT, LIBRARY, doses=["pd1.ip: none"])
    again = scenario_file.rebuild(alone.config, LIBRARY)
    assert again.doses == alone.doses and [f.cmt for f in again.free] == ["liposome.intratumoral"]
    # files of schema 1 hold the lines of a whole regimen
    older = {**scenario_file.load(DEPOT, LIBRARY).config, "dose": ["pd1.ip: 0.1 mg at 7 d"]}
    assert [(d.time, d.amt) for d in scenario_file.rebuild(older, LIBRARY).doses] == [(168.0, 0.1)]


def test_tables_of_doses_in_any_order_are_sorted(tmp_path: Path) -> None:
    found = loaded(SMALL + '[[dose]]\ncmt = "magnesium.iv"\namt = "5 umol"\ntime = "20 min"\n', tmp_path)
    assert [d.amt for d in found.doses] == [5.0, 10.0]


def test_windows_of_inputs(tmp_path: Path) -> None:
    text = SMALL + '[[input]]\nname = "magnesium.diet"\nvalue = 0.1\nfrom = "1 d"\nto = "36 h"\n'
    assert loaded(text, tmp_path).windows == (Window("magnesium.diet", 0.1, 24.0, 36.0),)


def test_columns_of_event_tables(tmp_path: Path) -> None:
    text = (
        SMALL
        + """[columns]
"magnesium.GFR" = "gfr"
"magnesium.F_im" = { column = "F", between = "locf" }
"magnesium.ka_im" = { column = "ka", unit = "1/d" }
"""
    )
    assert loaded(text, tmp_path).columns == {
        "magnesium.GFR": scenario.BoundColumn("gfr", "nocb", 1.0),
        "magnesium.F_im": scenario.BoundColumn("F", "locf", 1.0),
        "magnesium.ka_im": scenario.BoundColumn("ka", "nocb", pytest.approx(1 / 24)),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize(
    ("dose", "plain"),
    [
        ("magnesium.iv: 5 umol over 2 h q 1 d x 2", True),
        ("magnesium.iv: 5 umol rate 2 umol/h", True),
        ("magnesium.iv: 5 umol q 1 d ss", False),
        ("magnesium.iv: 5 umol rate modelled", False),
        ("magnesium.iv: 5 umol reset", False),
        ("reset at 1 d", False),
    ],
)
def test_what_is_more_than_single_doses(dose: str, plain: bool, tmp_path: Path) -> None:
    found = loaded(SMALL, tmp_path, doses=(dose,))
    assert found.plain == plain
    with (
        contextlib.nullcontext()
        if plain
        else pytest.raises(InputError, match="the job moves doses, so it takes only single doses")
    ):
        found.needs_movable_doses("the job")


def test_a_rate_into_a_port_with_bioavailability_is_more_than_a_single_dose() -> None:
    for how, plain in (("rate 2 mg/h", False), ("over 2 h", True)):
        assert scenario_file.load("textbook-1cpt", LIBRARY, doses=(f"pk.depot: 5 mg {how}",)).plain == plain


def test_a_reset_after_the_horizon(tmp_path: Path) -> None:
    assert "a reset at 72 h is after the horizon" in complaint(SMALL, tmp_path, doses=("reset at 3 d",))


@pytest.mark.parametrize(("hours", "late"), [(47.9, False), (48.0, False), (48.1, True), (60.0, True), (95.9, True)])
def test_a_dose_is_given_up_to_the_horizon_and_not_after(hours: float, late: bool, tmp_path: Path) -> None:
    """The horizon is two days: 48 h, whether the scenario or an option gives the dose, or the optimiser may move it there."""
    free = '[objective]\nMg = { signal = "magnesium.total", unit = "mM", statistic = "mean", weight = 1.0 }\n'
    free += f'[[free]]\ncmt = "magnesium.iv"\namount = ["0 umol", "9 umol"]\ntime = ["0 h", "{hours} h"]\n'
    ways: list[tuple[str, tuple[str, ...]]] = [
        (SMALL.replace('"1 h"', f'"{hours} h"'), ()),
        (SMALL, (f"magnesium.iv: 1 umol at {hours} h",)),
        (SMALL + free, ()),
    ]
    for text, doses in ways:
        if late:
            assert "the horizon" in complaint(text, tmp_path, doses=doses)
        else:
            loaded(text, tmp_path, doses=doses)


def test_an_unknown_scenario_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no scenario 'mouse-mc38-dept'; did you mean 'mouse-mc38-depot'"):
        scenario_file.load("mouse-mc38-dept", LIBRARY)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(InputError, match=r"none\.toml: there is no such scenario file"):
        scenario_file.load(str(missing), LIBRARY)
    with pytest.raises(InputError, match="no such scenario file"):
        scenario_file.load(str(tmp_path / "folder" / ".." / "x"), LIBRARY)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="no such scenario file"):
        scenario_file.load(str(tmp_path / "folder.toml"), LIBRARY)
    (tmp_path / "bytes.toml").write_bytes(b"title = '\xff\xfe'")
    with pytest.raises(InputError, match=r"cannot be read|not valid TOML"):
        scenario_file.load(str(tmp_path / "bytes.toml"), LIBRARY)


def test_an_option_is_read_with_the_units_of_its_port() -> None:
    model = scenario_file.load(DEPOT, LIBRARY).model
    doses = parse_dose_option("liposome.iv: 2 g at 1 d", lambda cmt: (scenario.dosed_unit(model, cmt), None))
    assert doses[0].amt == 2000.0 and doses[0].time == 24.0
