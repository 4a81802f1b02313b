"""What a page and the screen show of a sweep: the spread of each number kept, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nanomg.formatting import format_duration, format_number, percent, span
from nanomg.page.blocks import Block, Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.results.attributes import unit_of
from nanomg.units import unit_text

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


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
    rate, device = format_number(result.at("subjects_per_second"), 3), str(result.at("device") or "unknown device")
    device = device.removesuffix(" (cpu)")  # the kind that JAX gives every processor
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


def drivers(result: ResultReader) -> Iterator[Block]:
    """Rank correlations of each number kept with the axes and the values of the subjects."""
    from nanomg.jobs.sweep.ranks import rank_correlations  # slow to import, and the screen shows none

    yield from rank_correlations(result)


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
                over = f"{_long_name(data, axis)} from {low} to {high} {_shown(data[axis])}".strip()
                goes = f"goes from {first} to {last} {_shown(kept)}".strip()
                yield f"The {over}: the median of the {_long_name(data, str(name))} {goes}."


def _shown(quantity: xr.DataArray) -> str:
    return unit_text(unit_of(quantity.attrs)).replace("–", "")


def _median(values: np.ndarray) -> float:
    import numpy as np

    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else np.nan


def _long_name(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))
