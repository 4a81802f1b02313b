"""Answer of a sweep: tiles, tables, drivers and comparable quantities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nanomg.formatting import format_number, percent, span
from nanomg.jobs.sweep.keep import SUBJECT, VALUE
from nanomg.jobs.sweep.regimens import REGIMEN
from nanomg.page.blocks import Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.ranks import _Pairs, _ranked
from nanomg.page.result import ResultReader
from nanomg.units import unit_text

if TYPE_CHECKING:
    pass


def _sweep(facts: ResultReader) -> Iterator[Any]:
    quantities = facts.at("sweep") or {}
    yield Tiles(
        [
            Tile("trajectories", Cell(f"{facts.at('trajectories') or 0:,}", facts.at("trajectories"), "trajectories")),
            Tile("failed", Cell(f"{facts.at('failed') or 0:,}", facts.at("failed"), "failed")),
            *(
                Tile(f"{_kept(facts, n).text}: median", _middle(facts, n), q["unit"])
                for n, q in list(quantities.items())[:2]
            ),
        ]
    )
    rows = [
        (
            _kept(facts, name),
            each["unit"],
            *(facts.cell("sweep", name, key) for key in ("min", "q05", "median", "q95", "max")),
        )
        for name, each in quantities.items()
    ]
    yield Table(
        ("", "unit", "lowest", "5 %", "50 %", "95 %", "highest"),
        "purrrrr",
        rows,
        "Over all trajectories that were solved",
    )
    if who := facts.at("population"):
        turned = f"{percent(who.get('share_rejected'))} of the candidates were not plausible and were drawn again"
        yield Text(f"Subjects: {who.get('title')}; {who.get('varied')} parameters vary between them; {turned}.")


def _middle(facts: ResultReader, name: str) -> Cell:
    cell = facts.cell("sweep", name, "median")
    return Cell(
        cell.text, cell.value, cell.key, f"5–95 %: {span(*(facts.at('sweep', name, q) for q in ('q05', 'q95')))}"
    )


def _kept(facts: ResultReader, label: str) -> Cell:
    """What a sweep keeps, in words."""
    group = facts.group("sweep")
    text = group[label].attrs.get("long_name") if group is not None and label in group else None
    return Cell(str(text), note=label) if text else Cell(label)


_QUANTILES = {"q05": "5 %", "median": "50 %", "q95": "95 %"}


def _of_sweep(found: Mapping[str, Any]) -> Numbers:
    for name, entry in found["sweep"].items():
        for key, text in _QUANTILES.items():
            yield Quantity("quantiles", name, text, entry["unit"]), entry[key]
    yield Quantity("trajectories", "computed", "number", "1"), found["trajectories"]
    yield Quantity("trajectories", "failed", "number", "1"), found["failed"]


_ENOUGH = 20_000  # trajectories that a rank correlation rests on at most


def _drivers_of_sweep(facts: ResultReader) -> Iterator[Any]:
    data = facts.group("sweep")
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
    yield from _ranked(
        facts, {_long(data, k): {name: _paired(x, some[k]) for name, x in inputs.items()} for k in outputs}
    )
    total = int(np.prod([data.sizes[d] for d in dims]))
    if outputs and some[outputs[0]].size < total:
        yield Text(f"From {some[outputs[0]].size:,} of {total:,} trajectories, taken at random.", "note")


def _some(data: xr.Dataset, dims: Sequence[str]) -> xr.Dataset:
    """Some subjects at some points of the axes, (subject, point), or all of them; taken at random, the same at each call."""
    random = np.random.default_rng(0)
    axes = {d: data.sizes[d] for d in dims if d != SUBJECT}
    points, subjects = math.prod(axes.values()), data.sizes.get(SUBJECT, 1)
    most = min(subjects, max(math.isqrt(_ENOUGH), _ENOUGH // points))
    taken = lambda count, at_most: np.sort(random.choice(count, min(count, at_most), replace=False, shuffle=False))
    at = np.unravel_index(taken(points, _ENOUGH // most), tuple(axes.values())) if axes else ()
    where = {d: xr.DataArray(i, dims=_AT) for d, i in zip(axes, at, strict=True)}
    if SUBJECT in dims:
        where[SUBJECT] = xr.DataArray(taken(subjects, most), dims=SUBJECT)
    found = data.isel(where)
    missing = [d for d in (SUBJECT, _AT) if d not in found.dims]
    return found.expand_dims(missing).transpose(SUBJECT, _AT, ...).load()


_AT = "point of the axes"


def _paired(x: xr.DataArray, y: xr.DataArray) -> _Pairs:
    """Trajectories, or subjects where the input belongs to the subject alone: those by the median of their trajectories, since
    many rows of one subject would count as many subjects."""
    own, out = x.broadcast_like(y).transpose(*y.dims).values, y.values
    low, high = np.fmin.reduce(own, axis=1), np.fmax.reduce(own, axis=1)
    if len(own) > 1 and np.all((low == high) | np.isnan(low)):
        return _Pairs(low, np.median(out, axis=1), "subjects")
    return _Pairs(own.ravel(), out.ravel(), "trajectories")


def _long(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))


def _of_axes(facts: ResultReader) -> Iterator[str]:
    data = facts.group("sweep")
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
