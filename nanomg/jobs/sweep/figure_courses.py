"""Time courses that a sweep keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nanomg.drawing import dose_strip
from nanomg.drawing import style as drawing_style
from nanomg.drawing.style import Picture
from nanomg.jobs.sweep.figure_axes import MOST_LINES, ROW, scale_y
from nanomg.jobs.sweep.figure_lines import draw_line
from nanomg.jobs.sweep.figure_space import FIXED, KeptNumber, Space, at_most, hold_at_middle, read_shown
from nanomg.jobs.sweep.figure_words import joined, place_text
from nanomg.results import reading
from nanomg.results.reading import DoseMark


def course_picture(
    tree: xr.DataTree, data: xr.Dataset, space: Space, name: str, log: bool | None, note: str
) -> Picture:
    """A course that is kept: bands over subjects, a line for some values of a category or of the longest axis."""
    given, varied = _common_doses(tree, data)
    lead = next(iter([*space.named, *space.numeric, *(["point"] if space.sampled else [])]), None)
    variable = data[name]
    at = at_most(np.arange(data.sizes[lead]), MOST_LINES) if lead is not None else []
    if lead is not None:
        variable = variable.isel({lead: at})
    variable, fixed = hold_at_middle(variable, [str(d) for d in variable.dims if d not in (lead, *FIXED)])
    kept = KeptNumber(read_shown(variable, space._replace(numeric=[])), reading.config_of(tree), f"{name}:max", log)
    lines = [("", kept.values)]
    if lead is not None:
        along = variable[lead] if lead in variable.coords else xr.DataArray(at, dims=lead, name=lead)
        lines = [(place_text(along, v), kept.values.isel({lead: i})) for i, v in enumerate(along.values)]
    strip = 0.42 * len(given) + 0.1

    def draw(part: Any) -> None:
        doses, axis = part.subplots(2, 1, gridspec_kw={"height_ratios": [strip, ROW]})
        hours = float(data.time.values[-1])
        dose_strip.draw_doses(doses, given, hours)
        times = xr.DataArray(data.time.values * drawing_style.time_scale(hours), dims="time", name="time")
        handles: dict[str, Any] = {}
        for k, (label, values) in enumerate(lines):
            handles.update(draw_line(axis, times, values.drop_vars("time"), label, k))
        drawing_style.time_axis(axis, hours, drawing_style.WIDTH)
        axis.set_ylabel(drawing_style.wrapped(f"{kept.text} {kept.label}", ROW))
        scale_y(axis, kept)
        where = ", ".join(fixed)
        drawing_style.legend(part, [*handles.values()], joined(where, varied, note))

    return Picture(kept.text, strip + ROW + 0.8, draw)


def _common_doses(tree: xr.DataTree, data: xr.Dataset) -> tuple[list[DoseMark], str]:
    """The doses that all trajectories have, and a note of those that are varied."""
    given = reading.doses_of(tree, "")
    axes = [str(name).split(".")[1:-1] for name in data.coords if str(name).startswith("dose.")]
    ports = {".".join(port) for port in axes}
    varied = [dose.port for dose in given if dose.port in ports or "" in ports]
    note = f"doses into {' and '.join(varied)} vary and are not shown" if varied else ""
    return [dose for dose in given if dose.port not in varied], note
