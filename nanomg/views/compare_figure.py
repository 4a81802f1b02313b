"""Figures of several results: their courses over each other, and each quantity relative to the first run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nanomg.drawing import style
from nanomg.drawing.style import COLOURS, GREY, LINES, MARKERS, Picture
from nanomg.results import reading
from nanomg.results.attributes import unit_of
from nanomg.results.kinds import OPTIMUM
from nanomg.units import convert_shown, unit_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL, _ROW, _MARGIN = 2.0, 0.24, 1.1  # [inch] heights
_MOST = 60  # rows: the quantities that change most
_CHANGED = 1e-3  # relative change from which on a quantity is drawn
_EDGE = 30.0  # ratios beyond it, or below its inverse, lie at the edge
_BAND = 0.18  # opacity of a range
_DECADES = 10.0  # ratios that span more than this factor are drawn on a logarithmic axis


def figure(table: xr.Dataset, runs: Mapping[str, xr.DataTree]) -> Figure:
    """Courses of the runs, where all have such, above the quantities that differ."""
    shown = [_courses(runs)] if all("simulation" in tree.children for tree in runs.values()) else []
    return style.sheet([*shown, _ratios(table)])


def _courses(runs: Mapping[str, xr.DataTree]) -> Picture:
    """A panel for each output of some run, with a line for each run."""
    names = list(dict.fromkeys(name for tree in runs.values() for name in reading.outputs_of(tree)))
    data = {run: tree["simulation"].to_dataset() for run, tree in runs.items()}
    names = [name for name in names if any(name in found for found in data.values())]
    hours = max(float(found.time.values[-1]) for found in data.values())
    if not names:
        return style.message("Time courses", "The files have no signals.")
    scale = style.time_scale(hours)
    columns = min(2, len(names))
    rows = math.ceil(len(names) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for i, axis in enumerate(axes):
            if i >= len(names):
                axis.set_axis_off()
                continue
            _panel(axis, names[i], data, scale)
            style.time_axis(axis, hours, style.WIDTH / columns, label=i + columns >= len(names))
        style.legend(part, [_handle(i, run) for i, run in enumerate(runs)], _note(data))

    return Picture("Time courses", _PANEL * rows + 0.8, draw)


def _panel(axis: Any, name: str, data: Mapping[str, xr.Dataset], scale: float) -> None:
    """One signal of every run that has it, in the unit of the first, with the range over hypotheses; of subjects the median."""
    unit = next(unit_of(found[name].attrs) for found in data.values() if name in found)
    for i, found in enumerate(data.values()):
        if name not in found:
            continue
        regimens = list(found.regimen.values)
        signal = found[name].isel(regimen=regimens.index(OPTIMUM) if OPTIMUM in regimens else 0)
        if "subject" in signal.dims:
            signal = signal.median("subject")
        y = signal.transpose("hypothesis", "time").values * convert_shown(unit_of(found[name].attrs), unit)
        colour, times = COLOURS[i % len(COLOURS)], found.time.values * scale
        axis.plot(times, y[0], color=colour, ls=LINES[i % len(LINES)])
        if len(y) > 1:
            axis.fill_between(times, y.min(0), y.max(0), color=colour, alpha=_BAND, lw=0)
        axis.set_title(style.wrapped(found[name].attrs.get("long_name", name), 3.2))
        axis.set_ylabel(f"[{unit_text(unit)}]")
    axis.locator_params(axis="y", nbins=5)


def _note(data: Mapping[str, xr.Dataset]) -> str:
    """What lines and bands are, where runs have several hypotheses."""
    chosen = {str(found.hypothesis.values[0]) for found in data.values() if found.sizes["hypothesis"] > 1}
    if not chosen:
        return ""
    return f"lines: under {' or '.join(sorted(chosen))}; bands: range over the LFA-1 hypotheses"


def _ratios(table: xr.Dataset) -> Picture:
    """A row for each quantity that changes, a marker for each run but the first."""
    value, change = table.value.values, table.change.values[:, 1:]
    known = np.isfinite(value[:, 1:]) & np.isfinite(value[:, :1])
    ratio = 1.0 + change * np.sign(value[:, :1])
    differs = known & ~(np.abs(change) <= _CHANGED)
    placed = differs & (ratio >= 0)
    most = np.where(placed, np.abs(change), 0.0).max(1, initial=0.0)
    order = [i for i in np.argsort(-most, kind="stable") if placed[i].any()]
    rows = sorted(order[:_MOST])
    first, *others = map(str, table.run.values)
    counts = {
        "that differ less than those shown": len(order) - len(rows),
        f"within {100 * _CHANGED:g} % of {first}": (known.any(1) & ~differs.any(1)).sum(),
        f"without a ratio, as {first} has 0 or another sign": (differs & ~placed).sum(),
        "not in all runs": (~known).any(1).sum(),
    }
    left_out = ", ".join(f"{count} {text}" for text, count in counts.items() if count)
    if not rows:
        return style.message("Relative change", f"There is no relative change to draw: {left_out or 'no quantities'}.")
    note = f"{f'Not drawn: {left_out}. ' if left_out else ''}< and >: beyond {_EDGE:g}-fold"
    labels = [", ".join(str(table[key].values[i]) for key in ("name", "measure")) for i in rows]

    def draw(part: Any) -> None:
        axis = part.subplots()
        axis.axvline(1.0, color=GREY, lw=1.0)
        for k in range(len(others)):
            y = np.arange(len(rows)) + 0.16 * (k - (len(others) - 1) / 2)
            x, colour = np.where(ratio[rows, k] >= 0, ratio[rows, k], np.nan), COLOURS[(k + 1) % len(COLOURS)]
            low, high = x < 1 / _EDGE, x > _EDGE
            for marker, here in {"<": low, ">": high, _marker(k): ~(low | high)}.items():
                axis.plot(np.clip(x, 1 / _EDGE, _EDGE)[here], y[here], marker, color=colour, ms=6)
        axis.set_yticks(range(len(rows)), [style.literal(label) for label in labels])
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.grid(axis="y", color="#E5E5E5", lw=0.6)
        axis.set_axisbelow(True)
        drawn = np.clip(ratio[rows][ratio[rows] >= 0], 1 / _EDGE, _EDGE)
        if drawn.max() / drawn.min() > _DECADES:
            style.log_axis(axis, "x")
        axis.set_xlabel(style.literal(f"value relative to {first} [–]"))
        part.supxlabel(style.wrapped(note, style.WIDTH), fontsize=8.5)
        style.legend(part, [_handle(k + 1, run, _marker(k)) for k, run in enumerate(others)])

    return Picture(f"What differs from {first}", _ROW * len(rows) + _MARGIN, draw)


def _marker(k: int) -> str:
    return MARKERS[(k + 1) % len(MARKERS)]


def _handle(i: int, run: str, marker: str | None = None) -> Any:
    line = "" if marker else LINES[i % len(LINES)]
    return style.key(color=COLOURS[i % len(COLOURS)], ls=line, marker=marker, label=style.literal(run))
