"""The program in the process of a test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from nanomg.cli.main import app

PROGRAM = (sys.executable, "-P", "-c", "from nanomg.cli.main import app; app()")  # in a process of its own


class Outcome(NamedTuple):
    """The exit code, and what went to either stream."""

    code: int
    out: str
    err: str


Program = Callable[..., Outcome]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program in this process."""

    def run(*arguments: Any) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nanomg", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app()
        out, err = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), out, err)

    return run
