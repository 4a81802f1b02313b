"""What a sweep says of itself when it is through: how its trajectories ended, what they came to, and who the subjects are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import RECORDS, SERIES, STATUS, SUBJECT
from nanomg.jobs.sweep.regimens import HYPOTHESIS, ID, POINT
from nanomg.population.population import draw
from nanomg.solver.status import Status

_SHOWN = 10_000  # subjects of whom the share turned away is told
_TALLIED = 100_000  # numbers of each kind of which quantiles are formed, about, where there are more
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: its multiples spread evenly, along every axis
_QUANTILES = (0.05, 0.5, 0.95)
_PLURAL = {
    SUBJECT: "subjects",
    ID: "subjects of the event table",
    POINT: "points",
    "regimen": "arms",
    HYPOTHESIS: "hypotheses",
}


class Tally:
    """What is known of the trajectories so far: how many, how they ended, and the numbers kept, or some of them."""

    def __init__(self, found: Trajectories):
        self.found = found
        self._numbers: dict[str, list[np.ndarray]] = {k.label: [] for k in found.kept if k.how not in (SERIES, RECORDS)}
        self._ends = dict.fromkeys(self._numbers, (np.inf, -np.inf))
        self._ended = np.zeros(len(Status), int)

    def add(self, start: int, arrays: Mapping[str, np.ndarray]) -> None:
        """A part, whose first trajectory is number `start`."""
        status = arrays[STATUS]
        self._ended += np.bincount(status, minlength=len(Status))
        counts = np.arange(start, start + len(status), dtype=np.uint64) * _GOLDEN <= self._share
        for name, parts in self._numbers.items():
            finite = np.isfinite(arrays[name])
            parts.append(arrays[name][finite & counts].astype(float))
            low, high = self._ends[name]
            there = arrays[name][finite]
            self._ends[name] = (min(low, there.min(initial=np.inf)), max(high, there.max(initial=-np.inf)))

    @property
    def _share(self) -> np.uint64:
        """The share of trajectories of which quantiles are formed, of 2^64."""
        return np.uint64(min(2**64 - 1, 2**64 * _TALLIED // max(self.found.total, 1)))

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
        """Of each number kept its range over all trajectories that were solved, and its quantiles, over many of them at least."""
        found = {}
        for keep in self.found.kept:
            if keep.label not in self._numbers:
                continue
            values = np.concatenate([*self._numbers[keep.label], np.zeros(0)])
            low, middle, high = np.quantile(values if len(values) else np.array([np.nan]), _QUANTILES)
            lowest, highest = self._ends[keep.label]
            found[keep.label] = {
                "unit": keep.unit,
                "min": float(lowest) if lowest <= highest else np.nan,
                "q05": float(low),
                "median": float(middle),
                "q95": float(high),
                "max": float(highest) if lowest <= highest else np.nan,
            }
        return found

    @property
    def one_distribution(self) -> bool:
        """Whether quantiles over all trajectories mean something: only subjects and sampled parameters vary."""
        design = self.found.design
        sampled = [name for name, coord in design.coords.items() if coord.dims == (POINT,)]
        designs = [n for n in sampled if n == HYPOTHESIS or n not in self.found.scenario.parameters]
        return not {*self.found.dims} - {SUBJECT, POINT} and not designs

    def sentence(self) -> str:
        """How many trajectories there are and how they ended."""
        what = " x ".join(f"{size:,} {_PLURAL.get(name, name)}" for name, size in self.found.dims.items())
        if not self.failed:
            return f"{what}: {self.done:,} trajectories, all solved."
        reasons = "; ".join(f"{n:,}: {reason}" for reason, n in self.reasons.items())
        return f"{what}: {self.failed:,} of {self.done:,} trajectories failed ({reasons}) and are NaN in the result."


def population(found: Trajectories) -> dict[str, Any] | None:
    """Who the subjects are, and the share of candidates that were not plausible, of the first subjects."""
    if not found.subjects:
        return None
    drawn = draw(found.scenario, found.population, found.seed, 0, min(found.subjects, _SHOWN))
    tried = int(drawn.attempts.sum())
    return {
        "name": found.population.name,
        "title": found.population.title,
        "varied": len(drawn.relative),
        "counted": len(drawn.attempts),
        "candidates": tried,
        "share_rejected": 1.0 - len(drawn.attempts) / tried,
        "rejected": dict(drawn.rejected),
    }
