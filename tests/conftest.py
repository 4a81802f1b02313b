"""What the tests share: the shipped library and its scenarios, loaded once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanomg.compute import programs
from nanomg.library import scenario_file
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.toml import load_toml
from nanomg.models import library as read_library

if os.environ.get("NANOMG_CACHE") != "off":  # shared by the workers and kept between runs, but not the user's own
    os.environ["NANOMG_CACHE"] = str(Path(__file__).resolve().parents[1] / ".cache" / "programs")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background jobs do not hear Ctrl-C, which tests raise
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["program", "shelf", "small_results"]  # in tests/support

SHIPPED = read_library()
MECHANISMS = {name: frozenset(load_toml(path)["mechanisms"]) for name, path in sorted(SHIPPED.scenarios.items())}

# one scenario of each composition of mechanisms, and the fewest of them in which every mechanism takes part
DISTINCT = [name for name, own in MECHANISMS.items() if name == next(n for n, m in MECHANISMS.items() if m == own)]


def _covering() -> list[str]:
    missing, chosen = set().union(*MECHANISMS.values()), []
    while missing:
        best = max(DISTINCT, key=lambda name: (len(MECHANISMS[name] & missing), -len(MECHANISMS[name])))
        chosen.append(best)
        missing -= MECHANISMS[best]
    return sorted(chosen)


COVERING = _covering()


@pytest.fixture(scope="session")
def library() -> Library:
    return SHIPPED


@pytest.fixture(scope="session", params=DISTINCT)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """A shipped scenario of each composition of mechanisms."""
    return scenario_file.load(request.param, SHIPPED)


@pytest.fixture(scope="session", params=COVERING)
def covering(request: pytest.FixtureRequest) -> Scenario:
    """The fewest shipped scenarios in which every mechanism takes part, for what takes a solve."""
    return scenario_file.load(request.param, SHIPPED)


@pytest.fixture(autouse=True, scope="module")
def _programs_of_one_file() -> Iterator[None]:
    """A worker that kept the programs of every file would run out of pieces of memory to map."""
    yield
    programs.forget()
