"""What a sweep varies, and the numbers that it keeps, as its figures show them.

Of a large sweep only as much is read as a figure can show: so many of the first subjects, which are as random as any others.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.analysis import across_subjects
from nanomg.jobs.sweep.figure_words import place_text
from nanomg.results import reading
from nanomg.results.attributes import unit_of

_READ = 1_000_000  # numbers of a variable that are read
_SIDE = 200  # values of an axis of a map
_DECADES = 100.0  # a number that spans more than this factor is drawn on a logarithmic axis
_SKEWED = 5.0  # and a distribution from this factor on
FIXED = ("subject", "time")


class Space(NamedTuple):
    """What varies: numeric axes, those of names (hypotheses, arms), points of a sample, subjects."""

    numeric: list[str]
    named: list[str]
    sampled: list[str]
    subjects: bool


def rising(data: xr.Dataset) -> xr.Dataset:
    """The data with its axes of numbers rising."""
    falling = [dim for dim in numeric_axes(data) if (np.diff(data[dim].values) < 0).any()]
    return data.sortby(falling) if falling else data


def without_single(data: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """The data without numeric axes of one value, and what these values are."""
    single = [dim for dim in numeric_axes(data) if data.sizes[dim] == 1]
    return data.isel(dict.fromkeys(single, 0)), [place_text(data[dim], data[dim].values[0]) for dim in single]


def numeric_axes(data: xr.Dataset) -> list[str]:
    """The axes of numbers."""
    there = [str(dim) for dim in data.sizes if dim not in FIXED]
    return [dim for dim in there if dim in data.coords and data[dim].dtype.kind in "iuf"]


def space_of(data: xr.Dataset) -> Space:
    """What varies in a sweep, the longest axis first."""
    dims, numeric = [str(dim) for dim in data.sizes if dim not in FIXED], numeric_axes(data)
    along = [str(name) for name, coord in data.coords.items() if coord.dims == ("point",) and name != "point"]
    return Space(
        numeric=sorted(numeric, key=lambda d: -data.sizes[d]),
        named=[d for d in dims if d != "point" and d not in numeric],
        sampled=along if "point" in dims else [],
        subjects="subject" in data.sizes,
    )


def read_shown(variable: xr.DataArray, space: Space) -> xr.DataArray:
    """As much of a variable as a figure shows, in memory."""
    for dim in space.numeric:
        if variable.sizes[dim] > _SIDE:
            variable = variable.isel({dim: np.linspace(0, variable.sizes[dim] - 1, _SIDE).round().astype(int)})
    if variable.size > _READ and "subject" in variable.dims:
        others = variable.size // variable.sizes["subject"]
        variable = variable.isel(subject=slice(0, max(100, _READ // others)))
    return variable.load()


class KeptNumber:
    """A number kept of each trajectory, with the words for it and the limits that it should keep."""

    def __init__(self, values: xr.DataArray, config: Mapping[str, Any], name: str, log: bool | None):
        self.values = values
        signal, _, how = name.rpartition(":")
        self.unit = unit_of(values.attrs)
        self.text = str(values.attrs.get("long_name", name))
        self.limits = reading.limits_of(signal, config, self.unit) if how == "max" else []
        known = values.values[np.isfinite(values.values)]
        low, high = np.quantile(known, (0.01, 0.99)) if len(known) else (0.0, 0.0)
        positive = bool(len(known)) and bool(known.min() > 0)
        self.log = positive and bool(log or (log is None and high > _DECADES * low))
        self.skewed = positive and bool(log or (log is None and known.max() > _SKEWED * low))

    @property
    def label(self) -> str:
        """Its unit, as an axis says it."""
        return f"[{units.unit_text(self.unit)}]"

    @property
    def middle(self) -> xr.DataArray:
        """The median over subjects, or the number itself."""
        if "subject" not in self.values.dims:
            return self.values
        return across_subjects.quantiles(self.values, (0.5,)).isel(quantile=0, drop=True)


def by_name(values: xr.DataArray, named: Sequence[str]) -> list[tuple[str, xr.DataArray]]:
    """The values of each combination of names, with its label."""
    if not named:
        return [("", values)]
    coords = [values[dim].values for dim in named]
    places = [dict(zip(named, c, strict=True)) for c in itertools.product(*coords)]
    return [(", ".join(map(str, at.values())), values.sel(at)) for at in places]


def hold_at_middle(values: xr.DataArray, dims: Sequence[str]) -> tuple[xr.DataArray, list[str]]:
    """The values in the middle of further axes, of names at the first, and where that is, in words."""
    texts = []
    for dim in dims:
        at = values[dim].isel({dim: values.sizes[dim] // 2 if values[dim].dtype.kind in "iuf" else 0})
        text = place_text(values[dim], at.values[()])
        texts.append(f"at {text}" if values[dim].dtype.kind in "iuf" else text)
        values = values.sel({dim: at})
    return values, texts


def at_most(values: np.ndarray, most: int) -> list[Any]:
    """At most so many values from the first to the last."""
    index = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return list(values[index])
