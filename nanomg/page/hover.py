"""A Matplotlib figure as a picture of a page, with the values that a pointer over it reads off.

The picture is an SVG (a PNG where that is smaller than a heavy SVG). Its lines, dots, bars and fields are handed on as places on it
with their values, so that a few lines of script show the nearest one: whatever draws the figure need not know of it.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import StepPatch

from nanomg.page.blocks import PageImage

Centres = tuple[np.ndarray, np.ndarray]

_HEAVY = 300_000  # [bytes] of an SVG: above, a PNG is taken if it is smaller
_POINTS = 240  # that a line hands on at most
_SIDE = 20  # rows and columns of a map that are handed on at most
_DPI = 160
_CSS = 96  # pixels of an inch
_NAME = re.compile("[A-Za-z]{2}|[A-DF-Za-df-z]")  # what no number holds


def page_image(title: str, figure: Figure, centres: Centres | None = None) -> PageImage:
    """The figure as it stands, and what can be read off it; `centres` are the values of x and y of the fields of its maps."""
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": title}):
        image, kind = _saved(figure, "svg", metadata={"Date": None}), "svg+xml"
    if len(image) > _HEAVY and len(png := _saved(figure, "png", dpi=_DPI)) < len(image):
        image, kind = png, "png"
    uri = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    width, height = figure.get_size_inches() * _CSS
    below = {axes.get_xlim(): axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()}
    legend = _legend(figure)
    panels = [panel for axes in figure.axes if axes.get_visible() for panel in _panels(axes, below, legend, centres)]
    return PageImage(title, uri, round(width), round(height), panels)


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def _legend(figure: Figure) -> dict[str, str]:
    """The meaning of each colour, where the legends give it a single one."""
    meanings: dict[str, set[str]] = {}
    for legend in figure.findobj(Legend):
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=False):
            colour = getattr(handle, "get_color", getattr(handle, "get_facecolor", None))
            if colour is not None and np.ndim(colour()) < 2:
                meanings.setdefault(to_hex(colour()), set()).add(_words(text.get_text()))
    return {colour: texts.pop() for colour, texts in meanings.items() if len(texts) == 1}


def _panels(
    axes: Axes, below: Mapping[Any, str], legend: Mapping[str, str], centres: Centres | None
) -> Iterator[dict[str, Any]]:
    """The frame of the axes as shares of the picture from its upper left corner, what they show, and the curves in them.

    `below` are labels of x axes by their ends, for panels that leave them to the one beneath; `legend` are meanings of colours.
    """
    title, y = (_words(text) for text in (axes.get_title() or axes.get_title("left"), axes.get_ylabel()))
    if not (title or y or axes.get_xlabel()) or not len(axes.get_xticks()):
        return
    (left, low), (right, high) = _on_picture(axes, axes.get_window_extent().get_points())
    frame = {
        "frame": [round(v, 4) for v in (left, high, right, low)],
        "x": _words(axes.get_xlabel() or below.get(axes.get_xlim(), "")),
    }
    if curves := [{**curve, "label": curve["label"] or legend.get(curve["colour"], "")} for curve in _curves(axes)]:
        yield {**frame, "y": f"{title} {y}".strip() if y.startswith("[") or not y else y, "curves": curves}
    if centres is not None:
        for mesh, what in _maps(axes):
            yield {**frame, "y": what, "curves": list(_rows(axes, mesh, *centres))}


def _maps(axes: Axes) -> Iterator[tuple[QuadMesh, str]]:
    """The maps in the axes, each with what the label of its colour bar says."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    bars = {id(mesh.norm): mesh.colorbar for mesh in figure.findobj(QuadMesh) if mesh.colorbar is not None}
    for mesh in axes.collections:
        if isinstance(mesh, QuadMesh) and (bar := bars.get(id(mesh.norm))) is not None and bar.ax is not axes:
            yield mesh, _words(bar.ax.get_ylabel())


def _rows(axes: Axes, mesh: Any, x: np.ndarray, y: np.ndarray) -> Iterator[dict[str, Any]]:
    """The rows of a map, each with what its fields show; the label is where it lies."""
    beside = axes.get_shared_y_axes().get_siblings(axes)
    name = next((_words(other.get_ylabel()) for other in beside if other.get_ylabel()), "")
    fields = np.ma.filled(mesh.get_array(), np.nan)
    for j in _some(len(y), _SIDE):
        some = _some(len(x), _SIDE)
        places = np.column_stack([x[some], np.full(len(some), y[j]), fields[j, some]])
        yield from _curve(axes, f"{name}: {y[j]:.4g}", places, "k")


def _some(count: int, most: int) -> np.ndarray:
    """The numbers of at most so many, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, most).astype(int))


def _curves(axes: Axes) -> Iterator[dict[str, Any]]:
    for line in axes.get_lines():
        tells = np.size(line.get_xdata()) > 2 or line.get_marker() not in (None, "", " ", "none", "None")
        if line.get_visible() and line.get_transform() == axes.transData and tells:
            x, y = axes.convert_xunits(line.get_xdata()), axes.convert_yunits(line.get_ydata())
            yield from _curve(axes, line.get_label(), np.column_stack([x, y]), line.get_color())
    for dots in axes.collections:
        if dots.get_visible() and dots.get_offset_transform() == axes.transData and np.size(dots.get_offsets()):
            colours = [*dots.get_facecolor(), *dots.get_edgecolor(), "k"]
            yield from _curve(axes, dots.get_label(), np.ma.filled(dots.get_offsets(), np.nan), colours[0])
    for steps in axes.patches:
        if isinstance(steps, StepPatch) and not steps.get_fill():
            heights, edges, _ = steps.get_data()
            middles = (edges[1:] + edges[:-1]) / 2
            yield from _curve(axes, steps.get_label(), np.column_stack([middles, heights]), steps.get_edgecolor())
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            ends = [_end(bar, bars.orientation == "horizontal") for bar in bars]
            yield from _curve(
                axes, bars.get_label(), np.reshape(ends, (-1, 2)), bars[0].get_facecolor() if len(bars) else "k"
            )


def _end(bar: Any, lying: bool) -> tuple[float, float]:
    """The middle of a bar's far side."""
    x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
    return (x + width, y + height / 2) if lying else (x + width / 2, y + height)


def _curve(axes: Axes, label: Any, values: np.ndarray, colour: Any) -> Iterator[dict[str, Any]]:
    """Points (x, y), or (x, y, what is shown there in place of y)."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return
    values = values[_some(len(values), _POINTS)]
    with np.errstate(all="ignore"):
        places = _on_picture(axes, axes.transData.transform(values[:, :2]))
    shown = np.isfinite(places).all(axis=1)
    x, y = _names(axes.xaxis), _names(axes.yaxis) if values.shape[1] == 2 else {}
    yield {
        "label": "" if str(label).startswith("_") else _words(str(label)),
        "colour": to_hex(colour),
        "at": [[round(float(v), 4) for v in place] for place in places[shown]],
        "values": [[_read(x, row[0]), _read(y, row[-1])] for row in values[shown]],
    }


def _names(axis: Any) -> Mapping[float, str]:
    """The names that stand along an axis of names, by their places; none of an axis of numbers."""
    labels = [_words(label.get_text()) for label in axis.get_ticklabels()]
    names = sum(bool(_NAME.search(label)) for label in labels)
    return dict(zip(axis.get_majorticklocs(), labels, strict=False)) if 2 * names > len(labels) else {}


def _read(names: Mapping[float, str], value: float) -> float | str:
    """A value in four figures, or the name nearest to it."""
    return names[min(names, key=lambda at: abs(at - value))] if names else float(f"{value:.4g}")


def _words(text: str) -> str:
    """A label in one line, as it was before Matplotlib was told to take no dollar sign for a formula."""
    return " ".join(text.replace(r"\$", "$").split())


def _on_picture(axes: Axes, pixels: np.ndarray) -> np.ndarray:
    """Pixels of the canvas as shares of the picture from its upper left corner."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    share = figure.transFigure.inverted().transform(pixels)
    return np.column_stack([share[:, 0], 1.0 - share[:, 1]])
