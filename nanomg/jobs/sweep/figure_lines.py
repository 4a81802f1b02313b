"""Lines over the one axis of a sweep, with bands over the subjects."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import xarray as xr

from nanomg.analysis import across_subjects
from nanomg.drawing import style as drawing_style
from nanomg.drawing.style import COLOURS, GREY, LINES, Picture
from nanomg.jobs.sweep.figure_axes import ROW, scale_axes
from nanomg.jobs.sweep.figure_space import KeptNumber, Space, by_name
from nanomg.jobs.sweep.figure_words import axis_text
from nanomg.results.reading import BAND


def line_picture(data: xr.Dataset, space: Space, numbers: Sequence[KeptNumber], note: str) -> Picture:
    """Each number over the axis, a line for each category, with a band over the subjects."""
    along = space.numeric[0]
    columns = 1 if len(numbers) == 1 else 2
    rows = math.ceil(len(numbers) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for i, (axis, kept) in enumerate(itertools.zip_longest(axes, numbers)):
            if kept is None:
                axis.set_axis_off()
                continue
            for k, (label, values) in enumerate(by_name(kept.values, space.named)):
                handles.update(draw_line(axis, data[along], values, label, k))
            axis.set_title(drawing_style.wrapped(kept.text, 0.8 * drawing_style.WIDTH / columns))
            axis.set_ylabel(kept.label)
            scale_axes(axis, data[along], kept, drawing_style.WIDTH / columns, last=i + columns >= len(numbers))
        drawing_style.legend(part, [*handles.values()], note)

    return Picture(f"Over {axis_text(data[along])}", ROW * rows + 0.7, draw)


def draw_line(axis: Any, along: xr.DataArray, values: xr.DataArray, label: str, k: int) -> dict[str, Any]:
    """The k-th line, with a band over the subjects where there are any, and its entries in the legend."""
    colour, style = COLOURS[k % len(COLOURS)], LINES[k % len(LINES)]
    x = values[along.name].values if along.name in values.coords else along.values
    markers = {"marker": "o", "ms": 3.5} if len(x) <= 25 else {}
    if "subject" not in values.dims:
        axis.plot(x, values.values, color=colour, ls=style, **markers)
        return {
            label: drawing_style.key(
                color=colour, ls=style, **markers, label=drawing_style.literal(label) or "typical subject"
            )
        }
    low, middle, high = (
        across_subjects.quantiles(values.transpose(along.name, "subject"), BAND).transpose("quantile", ...).values
    )
    axis.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    axis.plot(x, middle, color=colour, ls=style, **markers)
    name = f"{drawing_style.literal(label)}, median" if label else "median of subjects"
    line = drawing_style.key(color=colour, ls=style, **markers, label=name)
    return {
        label: line,
        "band": drawing_style.block(color=GREY, alpha=0.3, label=f"5 to 95 % of {values.sizes['subject']:,} subjects"),
    }
