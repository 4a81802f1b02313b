"""What a sweep says of each point of its design: every number kept over the subjects in each arm, and paired differences.

Nothing is summed up over points, hypotheses or arms. Of a large design as many points are listed as a table can have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.jobs.sweep.axes import SweepDesign
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import RECORDS, SERIES
from nanomg.jobs.sweep.regimens import HYPOTHESIS, ID, REGIMEN
from nanomg.simulation.arms import AS_GIVEN, WITHOUT

_LISTED = 200  # points of a table
_TALLIED = 400_000  # numbers of each kind that are held: so many of the first subjects, who are as random as any others
_QUANTILES = (0.05, 0.5, 0.95)
_LEVEL = 0.95  # of the interval of a mean


class PointTally:
    """The numbers at the points that are listed, as they come."""

    def __init__(self, found: Trajectories):
        self.found = found
        design, self._subjects = found.design, max(found.subjects, 1)
        self._arms = design.dims.get(REGIMEN, 1)
        self._points = _listed(design, self._arms)  # numbers of the first arm
        shown = np.add.outer(self._points, np.arange(self._arms)).ravel()
        self._row = {int(number): row for row, number in enumerate(shown)}
        self._most = min(self._subjects, max(1, _TALLIED // len(shown)))
        kept = [keep for keep in found.kept if keep.how not in (SERIES, RECORDS)]
        self._kept = {keep.label: keep for keep in kept}
        self._values = {label: np.full((len(shown), self._most), np.nan) for label in self._kept}

    def add(self, start: int, arrays: Mapping[str, np.ndarray]) -> None:
        """A part, whose first trajectory is number `start`."""
        count = len(next(iter(arrays.values())))
        first, last = start // self._subjects, (start + count - 1) // self._subjects
        for point in range(first, last + 1) if last - first < len(self._row) else self._row:
            row, offset = self._row.get(point), point * self._subjects - start
            if row is None:
                continue
            low, high = max(offset, 0), min(offset + self._most, count)
            if low < high:
                for label, values in self._values.items():
                    values[row, low - offset : high - offset] = arrays[label][low:high]

    def points(self) -> list[dict[str, Any]]:
        """Each point that is listed, in order: where it is, its arms, and the differences of these where there are two."""
        arms = [AS_GIVEN, WITHOUT][: self._arms]
        listed = []
        for i, number in enumerate(self._points.tolist()):
            of = {label: values[i * self._arms : (i + 1) * self._arms] for label, values in self._values.items()}
            entry: dict[str, Any] = {
                "at": _place(self.found.design, number),
                "arms": {arm: {label: _quantiles(rows[k]) for label, rows in of.items()} for k, arm in enumerate(arms)},
            }
            if self._arms > 1:
                entry["differences"] = {label: _difference(rows[0] - rows[1]) for label, rows in of.items()}
            listed.append(entry)
        return listed

    @property
    def total(self) -> int:
        """How many points there are, each with all of its arms."""
        return self.found.design.points // self._arms


def _listed(design: SweepDesign, arms: int) -> np.ndarray:
    """Numbers of the points of which a table tells, those of the first arm: of long axes some values from the first to the last."""
    sizes = [size for dim, size in design.dims.items() if dim != REGIMEN]
    names = [dim for dim in design.dims if dim != REGIMEN]
    taken = list(sizes)
    while math.prod(taken) > _LISTED:
        thinned = [i for i, name in enumerate(names) if name != HYPOTHESIS and taken[i] > 2] or [*range(len(names))]
        longest = max(thinned, key=lambda i: taken[i])
        taken[longest] = max(1, (taken[longest] + 1) // 2)
    if not sizes:
        return np.zeros(1, int)
    along = [
        np.unique(np.linspace(0, size - 1, some).round().astype(int)) for size, some in zip(sizes, taken, strict=True)
    ]
    grid = np.meshgrid(*along, indexing="ij")
    return np.ravel_multi_index([axis.ravel() for axis in grid], tuple(sizes)) * arms


def _place(design: SweepDesign, number: int) -> dict[str, float | str]:
    """Where a point is: the value of each axis, the hypothesis, the subject of the event table."""
    where = (
        dict(zip(design.dims, np.unravel_index(number, tuple(design.dims.values())), strict=True))
        if design.dims
        else {}
    )
    place: dict[str, float | str] = {}
    for name, coord in design.coords.items():
        if name != REGIMEN and coord.dims[0] in where:
            value = coord.values[where[coord.dims[0]]]
            place[name] = str(value) if name in (HYPOTHESIS, ID) else float(value)
    return place


def _quantiles(values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    low, middle, high = np.quantile(known, _QUANTILES) if len(known) else (np.nan,) * 3
    return {"n": len(known), "q05": float(low), "median": float(middle), "q95": float(high)}


def _difference(values: np.ndarray) -> dict[str, Any]:
    """Quantiles of paired differences, and their mean with its interval; none of a single subject."""
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else np.nan
    half = np.nan
    if len(known) > 1:
        from scipy.special import stdtrit

        half = float(stdtrit(len(known) - 1, (1 + _LEVEL) / 2) * known.std(ddof=1) / math.sqrt(len(known)))
    return {**_quantiles(values), "mean": mean, "mean_low": mean - half, "mean_high": mean + half}
