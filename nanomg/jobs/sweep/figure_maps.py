"""Maps over two axes of a sweep, and the same numbers as lines."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.patheffects import withStroke

from nanomg.drawing import style as drawing_style
from nanomg.drawing.style import GREY, LINES, Picture
from nanomg.jobs.sweep.figure_axes import MOST_LINES, ROW, is_log, scale_axes
from nanomg.jobs.sweep.figure_space import KeptNumber, Space, at_most, hold_at_middle
from nanomg.jobs.sweep.figure_words import axis_text, axis_unit, joined, place_text, value_text

_PANELS = 4  # values of a third axis, or of a category, that have a map each


def map_pictures(data: xr.Dataset, space: Space, kept: KeptNumber, note: str) -> list[Picture]:
    """A map over the two longest axes, for some values of the next or of a category, and the same as lines."""
    x, y, *rest = space.numeric
    spread = space.named[0] if space.named else rest[0] if rest else None
    middle, fixed = hold_at_middle(kept.middle, [d for d in [*rest, *space.named] if d != spread])
    ends = np.nanquantile(middle.values, (0.0, 1.0)) if np.isfinite(middle.values).any() else (0.0, 1.0)
    shown = at_most(middle[spread].values, _PANELS) if spread else [None]
    what = "median of the subjects" if space.subjects else "typical subject"
    where = ", ".join([what, *fixed])
    centres = middle[x].values, middle[y].values

    def draw(part: Any) -> None:
        axes = part.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        if ends[1] <= ends[0]:
            norm: Any = mpl.colors.Normalize(ends[0] - 0.5, ends[0] + 0.5)
        else:
            norm = mpl.colors.LogNorm(*ends) if kept.log else mpl.colors.Normalize(*ends)
        for i, (axis, value) in enumerate(zip(axes, shown, strict=True)):
            values = middle if value is None else middle.sel({spread: value})
            mesh = _map(axis, centres, values.transpose(y, x).values, norm, kept)
            for which, dim in (("x", x), ("y", y)):
                if is_log(data[dim].values):
                    drawing_style.log_axis(axis, which)
            axis.set_xlabel(
                drawing_style.wrapped(
                    f"{axis_text(data[x])} [{axis_unit(data[x])}]", 0.8 * drawing_style.WIDTH / len(shown)
                )
            )
            if i == 0:
                axis.set_ylabel(drawing_style.wrapped(f"{axis_text(data[y])} [{axis_unit(data[y])}]", 2.4))
            if spread is not None:
                axis.set_title(
                    drawing_style.wrapped(place_text(data[spread], value), 0.75 * drawing_style.WIDTH / len(shown)),
                    fontsize=9,
                )
        bar = part.colorbar(mesh, ax=list(axes), aspect=18, pad=0.015)
        bar.set_label(drawing_style.wrapped(f"{kept.text} {kept.label}", 2.6))
        if kept.log and ends[1] > ends[0]:
            drawing_style.log_axis(bar.ax)
        handles: list[Any] = []
        if np.isnan(middle.values).any():
            handles.append(drawing_style.block(facecolor="#DDDDDD", hatch="///", edgecolor=GREY, label="no result"))
        handles += [
            drawing_style.key(color="black", ls=LINES[1], label=drawing_style.literal(text)) for _, text in kept.limits
        ]
        drawing_style.legend(part, handles, joined(where, note))

    wide = Picture(f"{kept.text}, as a map", 3.6, draw, centres=centres)
    return [wide, _sections(data, x, y, middle, spread, kept, joined(where, note))]


def _map(axis: Any, centres: tuple[np.ndarray, np.ndarray], values: np.ndarray, norm: Any, kept: KeptNumber) -> Any:
    """A map of values (y, x), with a field around each pair of `centres` (x, y)."""
    axis.set_facecolor("#DDDDDD")
    axis.patch.set(hatch="///", edgecolor=GREY)
    edges = (_edges(at) for at in centres)
    mesh = axis.pcolormesh(*edges, values, norm=norm, cmap=drawing_style.MAP, rasterized=values.size > 4000)
    for value, _ in kept.limits:
        if np.nanmin(values) < value < np.nanmax(values):
            line = axis.contour(*centres, values, [value], colors="black", linestyles="--", linewidths=1.5)
            line.set_path_effects([withStroke(linewidth=3.5, foreground="white")])
    axis.spines[["top", "right"]].set_visible(True)
    return mesh


def _edges(at: np.ndarray) -> np.ndarray:
    """The ends of fields about the values of an axis, half-way as it is drawn."""
    as_log = is_log(at)
    at = np.log(at) if as_log else at
    middles = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middles[0]], middles, [2 * at[-1] - middles[-1]]])
    return np.exp(edges) if as_log else edges


def _sections(
    data: xr.Dataset, x: str, y: str, middle: xr.DataArray, spread: str | None, kept: KeptNumber, where: str
) -> Picture:
    """Lines over the longest axis at some values of the second."""
    values = middle if spread is None else middle.isel({spread: 0})
    at = at_most(values[y].values, MOST_LINES)
    if spread is not None:
        where = f"{where}, {place_text(data[spread], data[spread].values[0])}"

    def draw(part: Any) -> None:
        axis = part.subplots()
        handles = []
        for k, value in enumerate(at):
            look = {
                "color": mpl.colormaps[drawing_style.MAP](0.9 * k / max(len(at) - 1, 1)),
                "ls": LINES[k % len(LINES)],
            }
            axis.plot(values[x].values, values.sel({y: value}).values, **look)
            handles.append(
                drawing_style.key(**look, label=f"{value_text(value)} {axis_unit(data[y])}".removesuffix(" –"))
            )
        axis.set_ylabel(drawing_style.wrapped(f"{kept.text} {kept.label}", ROW))
        scale_axes(axis, data[x], kept, drawing_style.WIDTH, last=True)
        drawing_style.legend(part, handles, f"{where}; {axis_text(data[y])}:")

    return Picture(f"{kept.text}, as lines", ROW + 0.8, draw)
