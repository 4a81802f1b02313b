"""What a page and the screen show of a sweep: the spread of each number kept, and what it depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from nanomg.formatting import format_duration, format_number, percent, span
from nanomg.jobs.sweep.keep import SUBJECT, VALUE
from nanomg.jobs.sweep.regimens import REGIMEN
from nanomg.page.blocks import Block, Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.ranks import Pairs, ranked
from nanomg.page.result import ResultReader
from nanomg.units import unit_text


def sentence(result: ResultReader) -> str:
    """The conclusion of the run."""
    return str(result.at("verdict") or "")


def blocks(result: ResultReader) -> Iterator[Block]:
    """How many trajectories, what they took, who the subjects are, and the spread of each number kept."""
    quantities = result.at("sweep") or {}
    yield Tiles(
        [
            Tile(
                "trajectories", Cell(f"{result.at('trajectories') or 0:,}", result.at("trajectories"), "trajectories")
            ),
            Tile("failed", Cell(f"{result.at('failed') or 0:,}", result.at("failed"), "failed")),
            *(
                Tile(f"{_kept(result, name).text}: median", _middle(result, name), entry["unit"])
                for name, entry in list(quantities.items())[:2]
            ),
        ],
        on_screen=False,
    )
    yield Text(f"{result.at('scenario')}: {_effort(result)}", "note")
    if result.at("population"):
        yield Text(_subjects(result), "note")
    keys = ("min", "q05", "median", "q95", "max")
    rows = [
        (_kept(result, name), entry["unit"], *(result.cell("sweep", name, key) for key in keys))
        for name, entry in quantities.items()
    ]
    headers = ("", "unit", "lowest", "5 %", "50 %", "95 %", "highest")
    yield Table(headers, "purrrrr", rows, "Over all trajectories that were solved")


def _effort(result: ResultReader) -> str:
    rate, device = format_number(result.at("subjects_per_second"), 3), result.at("device") or "unknown device"
    return f"{result.at('computed') or 0:,} simulations in {format_duration(result.at('seconds') or 0.0)} ({rate}/s, {device})"


def _subjects(result: ResultReader) -> str:
    """Who the subjects are, and how many samples were implausible and replaced."""
    who = result.at("population")
    counted, count = who.get("counted", 0), (result.at("dims") or {}).get("subject", 0)
    of = f" of the first {counted:,} subjects" if 0 < counted < count else ""
    resampled = f"{percent(who.get('share_rejected'))} of the samples{of} were implausible and were resampled"
    return f"Subjects: {who.get('title')}; {who.get('varied')} parameters vary between them; {resampled}."


def _middle(result: ResultReader, name: str) -> Cell:
    cell = result.cell("sweep", name, "median")
    return cell._replace(note=f"5–95 %: {span(*(result.at('sweep', name, q) for q in ('q05', 'q95')))}")


def _kept(result: ResultReader, label: str) -> Cell:
    """What a sweep keeps, in words."""
    group = result.group("sweep")
    text = group[label].attrs.get("long_name") if group is not None and label in group else None
    return Cell(str(text), name=label) if text else Cell(label)


_QUANTILES = {"q05": "5 %", "median": "50 %", "q95": "95 %"}


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared."""
    for name, entry in result.summary["sweep"].items():
        for key, text in _QUANTILES.items():
            yield Quantity("quantiles", name, text, entry["unit"]), entry[key]
    yield Quantity("trajectories", "computed", "number", "1"), result.summary["trajectories"]
    yield Quantity("trajectories", "failed", "number", "1"), result.summary["failed"]


_ENOUGH = 20_000  # trajectories that a rank correlation rests on at most


def drivers(result: ResultReader) -> Iterator[Block]:
    """Rank correlations of each number kept with the axes and the values of the subjects."""
    data = result.group("sweep")
    if data is None or "status" not in data:
        return
    if REGIMEN in data.dims:  # the other arm is without Mg
        data = data.isel({REGIMEN: 0})
    dims = [str(d) for d in data["status"].dims]
    kept = [str(k) for k, v in data.items() if v.dtype.kind == "f" and set(v.dims) == set(dims)]
    outputs = [k for k in kept if ":" in k and not k.endswith(f":{VALUE}")]
    some = _some(data[kept], dims)
    inputs = {k: some[k] for k in kept if k not in outputs}
    inputs |= {str(k): c for k, c in some.coords.items() if c.dtype.kind == "f" and c.dims == (_AT,)}
    yield from ranked(
        result, {_long(data, k): {name: _paired(x, some[k]) for name, x in inputs.items()} for k in outputs}
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


def _long(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))


def changes(result: ResultReader) -> Iterator[str]:
    """How the medians change along each axis."""
    data = result.group("sweep")
    if data is None:
        return
    for axis in (str(d) for d in data.sizes if d in data.coords and data[d].dtype.kind == "f" and d != "time"):
        for name, kept in data.items():
            if kept.dtype.kind == "f" and axis in kept.dims and "time" not in kept.dims and ":" in str(name):
                first, last = (format_number(_median(kept.isel({axis: i}).values)) for i in (0, -1))
                low, high = (format_number(float(data[axis][i])) for i in (0, -1))
                over = f"{_long(data, axis)} from {low} to {high} {_shown(data[axis])}".strip()
                yield (
                    f"The {over}: the median of the {_long(data, str(name))} goes from {first} to {last} {_shown(kept)}".strip()
                    + "."
                )


def _shown(quantity: xr.DataArray) -> str:
    return unit_text(str(quantity.attrs.get("units", "1"))).replace("–", "")


def _median(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else np.nan
