"""A Matplotlib figure as a picture of a page, with the values that a pointer over it reads off.

The picture is an SVG (a PNG where that is smaller than a heavy SVG). Its lines and dots are handed on as places on the picture
with their values, so that a few lines of script show the nearest one: whatever draws the figure need not know of it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from nanomg.page import Picture

_HEAVY = 300_000  # [bytes] of an SVG: above, a PNG is taken if it is smaller
_POINTS = 240  # that a line hands on at most
_DPI = 160


def picture(title: str, figure: Figure) -> Picture:
    """The figure as it stands, and what can be read off it."""
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": title}):
        image, kind = _saved(figure, "svg", metadata={"Date": None}), "svg+xml"
    if len(image) > _HEAVY and len(png := _saved(figure, "png", dpi=_DPI)) < len(image):
        image, kind = png, "png"
    uri = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    width, height = figure.get_size_inches() * 96  # CSS pixels
    panels = [panel for axes in figure.axes if (panel := _panel(axes))]
    return Picture(title, uri, round(width), round(height), panels)


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def _panel(axes: Axes) -> dict[str, Any] | None:
    """The frame of the axes as shares of the picture from its upper left corner, what they show, and the curves in them."""
    curves = list(_curves(axes)) if axes.get_visible() else []
    if not curves:
        return None
    (left, low), (right, high) = _on_picture(axes, axes.get_window_extent().get_points())
    return {
        "frame": [round(v, 4) for v in (left, high, right, low)],
        "title": _words(axes.get_title() or axes.get_title("left")),
        "x": _words(axes.get_xlabel()),
        "y": _words(axes.get_ylabel()),
        "curves": curves,
    }


def _curves(axes: Axes) -> Iterator[dict[str, Any]]:
    for line in axes.get_lines():
        if line.get_visible() and line.get_transform() == axes.transData and np.size(line.get_xdata()) > 2:
            values = np.column_stack([axes.convert_xunits(line.get_xdata()), axes.convert_yunits(line.get_ydata())])
            yield from _curve(axes, line, values, line.get_color())
    for dots in axes.collections:
        if dots.get_visible() and dots.get_offset_transform() == axes.transData and np.size(dots.get_offsets()):
            colours = dots.get_facecolor() if len(dots.get_facecolor()) else dots.get_edgecolor()
            yield from _curve(axes, dots, np.ma.filled(dots.get_offsets(), np.nan), colours[0] if len(colours) else "k")


def _curve(axes: Axes, artist: Artist, values: np.ndarray, colour: Any) -> Iterator[dict[str, Any]]:
    values = np.asarray(values, float)
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return
    values = values[np.unique(np.linspace(0, len(values) - 1, _POINTS).astype(int))]
    with np.errstate(all="ignore"):
        places = _on_picture(axes, axes.transData.transform(values))
    shown = np.isfinite(places).all(axis=1)
    label = str(artist.get_label())
    yield {
        "label": "" if label.startswith("_") else _words(label),
        "colour": to_hex(colour),
        "at": [[round(float(v), 4) for v in place] for place in places[shown]],
        "values": [[float(f"{v:.4g}") for v in value] for value in values[shown]],
    }


def _words(text: str) -> str:
    """A label in one line, as it was before Matplotlib was told to take no dollar sign for a formula."""
    return " ".join(text.replace(r"\$", "$").split())


def _on_picture(axes: Axes, pixels: np.ndarray) -> np.ndarray:
    """Pixels of the canvas as shares of the picture from its upper left corner."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    share = figure.transFigure.inverted().transform(pixels)
    return np.column_stack([share[:, 0], 1.0 - share[:, 1]])
