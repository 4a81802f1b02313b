"""How the numbers that a sweep keeps change along its axes, in sentences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr

from nanomg.formatting import format_number
from nanomg.jobs.sweep.figure_words import place_text
from nanomg.jobs.sweep.keep import SUBJECT
from nanomg.jobs.sweep.regimens import HYPOTHESIS, ID, REGIMEN
from nanomg.page.result import ResultReader
from nanomg.results.attributes import unit_of
from nanomg.units import unit_text


def axis_changes(result: ResultReader) -> Iterator[str]:
    """How the medians over the subjects change along each axis: as given, under each hypothesis, other axes at their middle."""
    data = result.group("sweep")
    if data is None:
        return
    if REGIMEN in data.dims:
        data = data.isel({REGIMEN: 0})
    axes = [str(d) for d in data.sizes if d in data.coords and data[d].dtype.kind in "iuf" and d != "time"]
    hypotheses = [*data[HYPOTHESIS].values] if HYPOTHESIS in data.dims else [None]
    for axis, hypothesis in itertools.product(axes, hypotheses):
        at = {d: data.sizes[d] // 2 for d in axes if d != axis} | ({ID: 0} if ID in data.dims else {})
        here = (data if hypothesis is None else data.sel({HYPOTHESIS: hypothesis})).isel(at)
        held = [place_text(data[d], data[d].values[at[d]]) for d in axes if d != axis]
        where = ", ".join(
            [*([f"under {hypothesis}"] if hypothesis is not None else []), *(f"at {text}" for text in held)]
        )
        for name, kept in here.items():
            if kept.dtype.kind == "f" and axis in kept.dims and "time" not in kept.dims and ":" in str(name):
                first, last = (format_number(_median(kept.isel({axis: i}).values)) for i in (0, -1))
                low, high = (format_number(float(data[axis][i])) for i in (0, -1))
                over = f"{_long_name(data, axis)} from {low} to {high} {_shown(data[axis])}".strip()
                goes = f"goes from {first} to {last} {_shown(kept)}".strip()
                whose = "median of the" if SUBJECT in kept.dims else ""
                yield f"The {over}: the {whose} {_long_name(data, str(name))} {goes}{where and f' {where}'}.".replace(
                    "  ", " "
                )


def _shown(quantity: xr.DataArray) -> str:
    return unit_text(unit_of(quantity.attrs)).replace("–", "")


def _median(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else np.nan


def _long_name(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))
