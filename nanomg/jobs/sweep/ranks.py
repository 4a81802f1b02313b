"""Rank correlations of what a sweep keeps with its axes and with the values of its subjects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from nanomg.jobs.sweep.keep import SUBJECT, VALUE
from nanomg.jobs.sweep.regimens import HYPOTHESIS, REGIMEN
from nanomg.page.blocks import Block, Text
from nanomg.page.ranks import Pairs, ranked
from nanomg.page.result import ResultReader

_ENOUGH = 20_000  # trajectories that a rank correlation rests on at most


def rank_correlations(result: ResultReader) -> Iterator[Block]:
    """Rank correlations of each number kept with the axes and the values of the subjects."""
    data = result.group("sweep")
    if data is None or "status" not in data:
        return
    if REGIMEN in data.dims:  # the other arm is without Mg
        data = data.isel({REGIMEN: 0})
    hypotheses = [str(h) for h in data[HYPOTHESIS].values] if HYPOTHESIS in data.dims else []
    for hypothesis in hypotheses:
        yield from _correlations(result, data.sel({HYPOTHESIS: hypothesis}), f", under {hypothesis}")
    if not hypotheses:
        yield from _correlations(result, data, "")


def _correlations(result: ResultReader, data: xr.Dataset, under: str) -> Iterator[Block]:
    """The correlations of one arm under one hypothesis."""
    dims = [str(d) for d in data["status"].dims]
    kept = [str(k) for k, v in data.items() if v.dtype.kind == "f" and set(v.dims) == set(dims)]
    outputs = [k for k in kept if ":" in k and not k.endswith(f":{VALUE}")]
    some = _some(data[kept], dims)
    inputs = {k: some[k] for k in kept if k not in outputs}
    inputs |= {str(k): c for k, c in some.coords.items() if c.dtype.kind == "f" and c.dims == (_AT,)}
    yield from ranked(
        result,
        {f"{_long_name(data, k)}{under}": {name: _paired(x, some[k]) for name, x in inputs.items()} for k in outputs},
    )
    total = int(np.prod([data.sizes[d] for d in dims]))
    if outputs and some[outputs[0]].size < total:
        yield Text(f"From {some[outputs[0]].size:,} of {total:,} trajectories, sampled at random.", "note")


def _some(data: xr.Dataset, dims: Sequence[str]) -> xr.Dataset:
    """Subjects at points of the axes, (subject, point): all of them, or a random sample that is the same at each call."""
    random = np.random.default_rng(0)
    axes = {d: data.sizes[d] for d in dims if d != SUBJECT}
    points, subjects = math.prod(axes.values()), data.sizes.get(SUBJECT, 1)
    most = min(subjects, max(math.isqrt(_ENOUGH), _ENOUGH // points))
    taken = lambda count, at_most: np.sort(random.choice(count, min(count, at_most), replace=False, shuffle=False))
    at = np.unravel_index(taken(points, _ENOUGH // most), tuple(axes.values())) if axes else ()
    where = {d: xr.DataArray(i, dims=_AT) for d, i in zip(axes, at, strict=True)}
    if SUBJECT in dims:
        where[SUBJECT] = xr.DataArray(taken(subjects, most), dims=SUBJECT)
    sample = data.isel(where)
    missing = [d for d in (SUBJECT, _AT) if d not in sample.dims]
    return sample.expand_dims(missing).transpose(SUBJECT, _AT, ...).load()


_AT = "point of the axes"


def _paired(x: xr.DataArray, y: xr.DataArray) -> Pairs:
    """Trajectories, or subjects where the input belongs to the subject alone: those by the median of their trajectories, since
    many rows of one subject would count as many subjects."""
    inputs, outputs = x.broadcast_like(y).transpose(*y.dims).values, y.values
    low, high = np.fmin.reduce(inputs, axis=1), np.fmax.reduce(inputs, axis=1)
    if len(inputs) > 1 and np.all((low == high) | np.isnan(low)):
        return Pairs(low, np.median(outputs, axis=1), "subjects")
    return Pairs(inputs.ravel(), outputs.ravel(), "trajectories")


def _long_name(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))
