"""TOML files are parsed once, and again as soon as they change."""

from __future__ import annotations

import doctest
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanomg.errors import InputError
from nanomg.library import scenario_file, toml
from nanomg.library.toml import Reader, load_toml
from nanomg.models import library


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are parsed, in order."""
    names: list[str] = []
    plain = tomllib.load

    def load(file: Any) -> dict[str, Any]:
        names.append(Path(file.name).name)
        return plain(file)

    monkeypatch.setattr(tomllib, "load", load)
    return names


def test_a_second_scenario_reads_no_file_that_the_first_has_read(parsed: list[str]) -> None:
    scenario_file.load("mouse-mc38-iv", library())
    parsed.clear()
    found = scenario_file.load("mouse-mc38-iv", library(), {"magnesium.GFR": "12 mL/h"})
    assert parsed == []
    assert found.values["magnesium.GFR"] == pytest.approx(12.0)


def test_a_changed_file_is_read_again(tmp_path: Path, parsed: list[str]) -> None:
    path = tmp_path / "a.toml"
    path.write_text("x = 1")
    assert [load_toml(path), load_toml(path)] == [{"x": 1}, {"x": 1}]
    path.write_text("x = 23")  # another size
    assert load_toml(path) == {"x": 23}
    path.write_text("x = 45")
    os.utime(path, ns=(1, 1))  # another time
    assert load_toml(path) == {"x": 45}
    assert parsed == ["a.toml"] * 3
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        load_toml(path)


def test_what_a_caller_changes_stays_with_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("x = [1, { y = 2 }]\n[t]\nz = 3")
    mine = load_toml(path)
    mine["x"][1]["y"] = mine["t"]["z"] = 9
    mine["x"].append(4)
    assert load_toml(path) == {"x": [1, {"y": 2}], "t": {"z": 3}}


# ---------------------------------------------------------------- values
def test_the_example_of_the_reader() -> None:
    results = doctest.testmod(toml)
    assert results.failed == 0 and results.attempted > 0


ENTRY = {
    "name": " a ",
    "n": 3,
    "x": 2.5,
    "t": "2 d",
    "zero": 0,
    "many": ["a", "b"],
    "span": ["1 h", "1 d"],
    "on": True,
    "odd": "mg",
}


def test_values_by_kind() -> None:
    entry = Reader(ENTRY, "here", ENTRY, {"name"})
    assert (entry.text("name"), entry.text("no"), entry.texts("many")) == ("a", "", ["a", "b"])
    assert (entry.number("x"), entry.number("no"), entry.whole("n", 1, 0), entry.whole("no", 1, 7)) == (2.5, None, 3, 7)
    assert (entry.hours("t"), entry.hours("zero"), entry.positive("t", "h")) == (48.0, 0.0, 48.0)
    assert (entry.bounds("span"), entry.flag("on"), entry.flag("no")) == ((1.0, 24.0), True, False)
    assert (entry.one_of("name", ("a", "b")), entry.one_of("no", ("a",), "c")) == ("a", "c")
    assert (entry.above_zero("x"), entry.table("no"), entry.tables("no")) == (2.5, {}, [])


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda e: e.text("n"), "here: n must be text, not 3"),
        (lambda e: e.texts("name"), "here: 'name' must be a list of names"),
        (lambda e: e.number("name"), "here: name must be a finite number, not ' a '"),
        (lambda e: e.number("on"), "here: on must be a finite number, not True"),
        (lambda e: e.whole("x", 1, 1), "here: x must be a whole number, 1 or more, not 2.5"),
        (lambda e: e.whole("n", 4, 4), "here: n must be a whole number, 4 or more, not 3"),
        (lambda e: e.above_zero("zero"), "here: zero must be a number above 0, not 0"),
        (lambda e: e.positive("zero", "1"), "here, zero: this must be a number above 0 with a unit, not 0"),
        (lambda e: e.hours("odd"), "here, odd: 'mg' is not a number with a unit (write for example '0.03 L/h')"),
        (lambda e: e.hours("many"), "here, many: a time must not be negative; this is ['a', 'b']"),
        (
            lambda e: e.bounds("span", lambda v: -1.0),
            "here, span: the lowest must not be negative or above the highest, but it is ['1 h', '1 d']",
        ),
        (lambda e: e.bounds("x"), "here, x: this must be a list of two, the lowest and the highest"),
        (lambda e: e.one_of("odd", ("kg",), kind="unit"), "here: there is no unit 'mg'; known: kg"),
        (lambda e: e.flag("n"), "here: n must be true or false, not 3"),
        (lambda e: e.table("n"), "here: [n] must be a table"),
        (lambda e: e.tables("many"), "here: write [[many]] as a list of tables, with two brackets"),
        (lambda e: Reader(3, "there"), "there: this must be a table"),
        (lambda e: Reader({"odd": 1}, "there", ("a", "b")), "there: there is no key 'odd'; known: a, b"),
        (lambda e: Reader({}, "there", needed=("b", "a")), "there: the key 'a' is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(read: Callable[[Reader], Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(Reader(ENTRY, "here"))
    assert str(caught.value) == message
