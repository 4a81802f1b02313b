"""The examples in the docstrings of public functions and classes give what they show."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import nanomg

PUBLIC = {name: getattr(nanomg, name) for name in nanomg.__all__ if callable(getattr(nanomg, name))}
FUNCTIONS = {name: found for name, found in PUBLIC.items() if inspect.isfunction(found)}
# these compile large programs
SLOW = {"optimize", "validate", "feasibility"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(PUBLIC)]
)
def test_the_example_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in found:
        failed: list[str] = []
        runner.run(test, out=failed.append, clear_globs=True)
        assert not runner.failures, "".join(failed)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_public_function_is_documented(name: str) -> None:
    function: Any = FUNCTIONS[name]
    text = inspect.getdoc(function) or ""
    sections = [line for line in text.splitlines() if line in ("Args:", "Returns:", "Raises:", "Example:")]
    assert sections == ["Args:", "Returns:", "Raises:", "Example:"]
    described = text.partition("Args:")[2].partition("Returns:")[0]
    for argument, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            assert f"    {argument}: " in described or f"`{argument}`" in described, argument
