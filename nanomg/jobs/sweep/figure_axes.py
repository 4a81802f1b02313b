"""Scales of the axes of a sweep's figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nanomg.drawing import style as drawing_style
from nanomg.drawing.style import LINES
from nanomg.jobs.sweep.figure_space import KeptNumber
from nanomg.jobs.sweep.figure_words import axis_text, axis_unit

MOST_LINES = 5  # values of a second axis that have a line each
_UNEVEN = 3.0  # an axis is logarithmic where its last step is so many times the first
ROW = 2.4  # [inch]


def scale_axes(axis: Any, along: xr.DataArray, kept: KeptNumber, inches: float, last: bool) -> None:
    """Both axes of lines over an axis of the sweep; the lowest of a column, `last`, says what it is of."""
    if last:
        axis.set_xlabel(drawing_style.wrapped(f"{axis_text(along)} [{axis_unit(along)}]", 0.85 * inches))
    scale_y(axis, kept)
    if is_log(along.values):
        axis.set_xlim(along.values.min(), along.values.max())
        drawing_style.log_axis(axis, "x")


def scale_y(axis: Any, kept: KeptNumber, named: bool = True) -> None:
    """The vertical axis, with the limits that are near, `named` beside it."""
    bottom, top = axis.get_ylim()
    for value, _ in kept.limits:
        if value <= top + (top - bottom):
            axis.axhline(value, color="black", lw=1.0, ls=LINES[1], zorder=1.5)
    if kept.log:
        drawing_style.log_axis(axis)
    else:
        axis.ticklabel_format(axis="y", useOffset=False, style="plain")
        axis.locator_params(axis="y", nbins=5)
    bottom, top = axis.get_ylim()
    texts = [(value, text) if value <= top else (top, f"↑ {text}") for value, text in kept.limits]
    if named:
        drawing_style.beside(axis, texts, ROW * 0.7)


def is_log(x: np.ndarray) -> bool:
    """Whether values are spaced by factors rather than by differences."""
    steps = np.diff(np.sort(x))
    return bool(
        len(x) > 2 and x.min() > 0 and steps[-1] > _UNEVEN * steps[0] and np.ptp(np.diff(np.log(np.sort(x)))) < 0.7
    )
