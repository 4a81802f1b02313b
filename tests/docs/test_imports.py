"""The drawing of the imports in docs/architecture.md, against the imports of the source."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def imports() -> dict[str, Any]:
    """The script that draws."""
    return runpy.run_path(str(DOCS / "imports.py"))


def test_no_package_imports_itself_through_others(imports: dict[str, Any]) -> None:
    assert imports["cycles"]({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}) == [["a", "b", "c"]]
    assert imports["cycles"](imports["imports_of_packages"]()) == []


def test_the_drawing_is_of_the_imports_as_they_are(imports: dict[str, Any]) -> None:
    svg = (DOCS / "imports.svg").read_text(encoding="utf-8")
    now = imports["listed"](imports["imports_of_packages"]())
    assert imports["recorded"](svg).splitlines() == now.splitlines(), "draw it again: make imports"
    for floor in imports["floors"]():
        for package in floor:
            assert f">{package}</text>" in svg, f"{package} is missing: make imports"


def test_arrows_that_follow_from_others_are_left_out(imports: dict[str, Any]) -> None:
    assert imports["arrows"]({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == [("a", "b"), ("b", "c")]
