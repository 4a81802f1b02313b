"""The texts of a drawn figure, and where they lie."""

from __future__ import annotations

from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def texts(figure: Any) -> list[str]:
    """Everything that a figure says."""
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def axes_of(figure: Any) -> list[Any]:
    return [axis for axis in figure.axes if axis.axison and axis.get_visible()]


def overlaps(figure: Any) -> list[tuple[str, str]]:
    """Titles, labels and texts of a drawn figure that lie over each other."""
    said = [(text, box.padded(-2)) for text, box in boxes(figure)]
    return [(a, b) for i, (a, one) in enumerate(said) for b, other in said[i + 1 :] if one.overlaps(other) and a != b]


def cut(figure: Any) -> list[str]:
    """Texts of a drawn figure that reach beyond its edges."""
    whole = figure.bbox.padded(1)
    return [text for text, box in boxes(figure) if box.x0 < 0 or box.y0 < 0 or box.x1 > whole.x1 or box.y1 > whole.y1]


def boxes(figure: Any) -> list[tuple[str, Any]]:
    """Every text that a figure shows and where it lies."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    hidden = set()
    for axis in figure.axes:
        for own in (axis.xaxis, axis.yaxis):
            every = {id(label) for tick in own.get_major_ticks() for label in (tick.label1, tick.label2)}
            hidden |= every - ({id(tick.label1) for tick in own._update_ticks()} if axis.axison else set())
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in shown]
