"""Ctrl-C and its like: one line at any moment, and never amid an import."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanomg.cli import interrupts

MODULE = """
import signal
signal.raise_signal(signal.{name})
for i in range(1000):
    pass
whole = True
"""


@pytest.fixture(autouse=True)
def _a_lost_terminal_is_not_ignored() -> Iterator[None]:
    """Whatever runs the tests may ignore SIGHUP, as nohup does, and processes that they start would, too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def imported_and_waited(module: str) -> None:
    importlib.import_module(module)
    time.sleep(5)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_import_ends_before_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = f"interrupted_by_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(MODULE.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(getattr(signal, name))
    with interrupts.handled():
        with pytest.raises(KeyboardInterrupt):
            imported_and_waited(module)
        assert sys.modules[module].whole
        assert interrupts.received == getattr(signal, name)
    assert signal.getsignal(getattr(signal, name)) is before


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interrupts.handled():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.2])
def test_an_interrupt_is_one_line_from_the_start(number: signal.Signals, seconds: float) -> None:
    code = "import sys; from nanomg.cli import interrupts, start; print('here', flush=True); start.start()"
    command = [sys.executable, "-P", "-c", code, "validate"]
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    time.sleep(seconds)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (128 + number, "nanomg: interrupted\n")
