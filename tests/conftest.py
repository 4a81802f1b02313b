"""What the tests share: the shipped library and its scenarios, loaded once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nanomg import scenario as scenarios
from nanomg.library import Library
from nanomg.models import library as read_library
from nanomg.scenario import Scenario

if os.environ.get("NANOMG_CACHE") != "off":  # shared by the workers and kept between runs, but not the user's own
    os.environ["NANOMG_CACHE"] = str(Path(__file__).resolve().parents[1] / ".cache" / "programs")

SHIPPED = read_library()


@pytest.fixture(scope="session")
def library() -> Library:
    return SHIPPED


@pytest.fixture(scope="session", params=sorted(SHIPPED.scenarios))
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Every shipped scenario in turn."""
    return scenarios.load(request.param, SHIPPED)
