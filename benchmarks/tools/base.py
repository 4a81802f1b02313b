"""What the benchmark asks of a tool."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Missing(Exception):
    """The tool is not here, or cannot do what is asked; the message says why."""


class Tool(Protocol):
    """A tool set up for a problem. A setting is (relative, absolute tolerance), the latter of a state's peak."""

    version: str
    settings: Sequence[tuple[float, float]]
    subjects: int  # solved by one call of `run`

    def run(self, rtol: float, atol: float) -> Any:
        """Solve; the result is ready when this returns."""

    def states(self, result: Any) -> np.ndarray:
        """(subject, output, state) of the first subjects of a result."""

    def steps(self, result: Any) -> str:
        """Steps of a result in words; empty where the tool does not tell."""


class OneByOne(abc.ABC):
    """A tool that solves one subject after the other, by its `lane`."""

    subjects: int

    @abc.abstractmethod
    def lane(self, i: int, rtol: float, atol: float) -> np.ndarray:
        """(output, state) of one subject; NaN from where the solver gave up."""

    def run(self, rtol: float, atol: float) -> np.ndarray:
        """All subjects."""
        return np.stack([self.lane(i, rtol, atol) for i in range(self.subjects)])

    def states(self, result: np.ndarray) -> np.ndarray:
        """As it is."""
        return result

    def steps(self, result: np.ndarray) -> str:
        """Not told."""
        return ""


def settings(loose: int, tight: int, *floors: float) -> list[tuple[float, float]]:
    """Relative tolerances 1e-loose, 3e-(loose+1), ... 1e-tight, each with absolute ones in these proportions, loose to tight."""
    relative = [m * 10.0**-e for e in range(loose, tight) for m in (1.0, 0.3)] + [10.0**-tight]
    return [(r, f * r) for r in relative for f in floors]
