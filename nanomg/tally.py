"""What a sweep says of itself when it is through: how its trajectories ended, what they came to, and who the subjects are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.batch import SERIES, STATUS, SUBJECT, Batch
from nanomg.solver import Status
from nanomg.subjects import draw

_SHOWN = 10_000  # subjects of whom the share turned away is told
_TALLIED = 100_000  # numbers of each kind of which quantiles are formed, at least; beyond them every n-th counts
_QUANTILES = (0.05, 0.5, 0.95)
_PLURAL = {SUBJECT: "subjects", "point": "points", "regimen": "arms", "hypothesis": "hypotheses"}


class Tally:
    """What is known of the trajectories so far: how many, how they ended, and the numbers kept, thinned out where they are many."""

    def __init__(self, found: Batch):
        self.found = found
        self._thin = max(1, found.total // _TALLIED)
        self._numbers: dict[str, list[np.ndarray]] = {k.label: [] for k in found.kept if k.how != SERIES}
        self._ended = np.zeros(len(Status), int)

    def add(self, arrays: Mapping[str, np.ndarray]) -> None:
        """A part."""
        self._ended += np.bincount(arrays[STATUS], minlength=len(Status))
        for name, parts in self._numbers.items():
            parts.append(arrays[name][:: self._thin].astype(float))

    @property
    def done(self) -> int:
        """Trajectories that were computed."""
        return int(self._ended.sum())

    @property
    def failed(self) -> int:
        """Those of them that failed."""
        return self.done - int(self._ended[Status.DONE])

    @property
    def reasons(self) -> dict[str, int]:
        """Why trajectories failed, and how many for each reason."""
        return {s.reason: int(n) for s, n in zip(Status, self._ended, strict=True) if n and s != Status.DONE}

    def quantities(self) -> dict[str, Any]:
        """Of each number kept its range and quantiles over all trajectories that were solved."""
        found = {}
        for keep in self.found.kept:
            if keep.how == SERIES:
                continue
            values = np.concatenate(self._numbers[keep.label])
            values = values[np.isfinite(values)]
            some = values if len(values) else np.array([np.nan])
            low, middle, high = np.quantile(some, _QUANTILES)
            found[keep.label] = {
                "unit": keep.unit,
                "min": float(some.min()),
                "q05": float(low),
                "median": float(middle),
                "q95": float(high),
                "max": float(some.max()),
            }
        return found

    def sentence(self) -> str:
        """How many trajectories there are and how they ended."""
        what = " x ".join(f"{size:,} {_PLURAL.get(name, name)}" for name, size in self.found.dims.items())
        if not self.failed:
            return f"{what}: {self.done:,} trajectories, all solved."
        reasons = "; ".join(f"{n:,}: {reason}" for reason, n in self.reasons.items())
        return f"{what}: {self.failed:,} of {self.done:,} trajectories failed ({reasons}) and are NaN in the result."


def population(found: Batch) -> dict[str, Any] | None:
    """Who the subjects are, and the share of candidates that were not plausible, of the first subjects."""
    if not found.subjects:
        return None
    drawn = draw(found.scenario, found.population, found.seed, 0, min(found.subjects, _SHOWN))
    tried = int(drawn.attempts.sum())
    return {
        "name": found.population.name,
        "title": found.population.title,
        "varied": len(drawn.relative),
        "candidates": tried,
        "share_rejected": 1.0 - len(drawn.attempts) / tried,
        "rejected": dict(drawn.rejected),
    }
