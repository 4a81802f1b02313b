"""What every job is asked with: a scenario by name, path, or as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nanomg.errors import InputError
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import load
from nanomg.models import library as find_library


def resolve(
    scenario: str | Scenario, overrides: Mapping[str, str | float], dose: Sequence[str], library: Library | None
) -> Scenario:
    """A scenario by name, path, or as it is."""
    if isinstance(scenario, Scenario):
        if overrides or dose or library is not None:
            raise InputError(
                "set, dose and library act when a scenario is read; give its name or path with them", scenario.name
            )
        return scenario
    return load(scenario, library or find_library(), overrides, dose)


def _origin(scenario: Scenario, seed: int, command: str) -> dict[str, Any]:
    """What a result came from."""
    return {
        "title": scenario.title,
        "config": scenario.config,
        "seed": seed,
        "model": scenario.model,
        "command": command,
    }


def _about(scenario: Scenario, path: Path | None) -> dict[str, Any]:
    return {"scenario": scenario.name, "title": scenario.title, "output": str(path) if path else None}
