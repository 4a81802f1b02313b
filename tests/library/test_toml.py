"""TOML files are parsed once, and again as soon as they change."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.library.toml import load_toml
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
