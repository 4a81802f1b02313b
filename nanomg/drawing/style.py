"""How every figure looks: colours, lines, units, panels, and legends beside the data.

A `Picture` is drawn into a figure or a part of one, so that the same picture stands alone or on a sheet with others. Figures are
matplotlib's own objects without its pyplot, so nothing stays open. Colours are Okabe and Ito's, which those who see few colours
tell apart; each goes with a style of line or a marker of its own, so that a figure can be read in grey.
"""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullFormatter,
    NullLocator,
)

from nanomg import files, formatting
from nanomg.errors import InputError, visible
from nanomg.units import SUPERSCRIPTS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^")
GREY = "#666666"
MAP = "cividis"  # its lightness rises evenly, in grey as well

WIDTH = 9.0  # [inch] of a figure
FORMATS = ("png", "svg", "pdf")
_DOTS = 150  # [1/inch]
_LONGEST_TITLE = 300  # letters
_DAYS_FROM = 72.0  # [h] a longer course is drawn in days
_STEPS = (0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0)  # [h] or [d] between ticks of a time axis
_WEEKS = (7.0, 14.0, 28.0, 56.0, 84.0, 168.0, 364.0)  # [d]
_TICKS = 8
_NARROW = 4.0  # ticks of a logarithmic axis are evenly spaced where the ends differ by less than this factor
_LETTERS, _SMALL = 11.5, 22  # to an inch of a title; of a line beside a panel
_STYLE: Any = {
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.7,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "nanomg",
}


class Picture(NamedTuple):
    """Something to be seen: its title in words, its height and width [inch], and how it is drawn into a figure or a part of one.

    `centres` are the values of x and y of the fields of its maps: on an uneven axis they are not in the middles of the fields.
    """

    title: str
    height: float
    draw: Callable[[Any], None]
    width: float = WIDTH
    centres: tuple[np.ndarray, np.ndarray] | None = None


def sheet(pictures: Sequence[Picture], title: str = "") -> Figure:
    """Pictures below each other, each under its title where there are several, as one figure."""
    several = len(pictures) > 1
    width = max(picture.width for picture in pictures)
    head = [_heading(title, width, 12.0, "black")] if title else []
    stack = head + [
        p for picture in pictures for p in ([_heading(picture.title, width, 11.0, GREY)] * several + [picture])
    ]
    heights = [picture.height for picture in stack]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(stack), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, picture in zip(parts, stack, strict=True):
            picture.draw(part)
    return figure


def _heading(title: str, width: float, size: float, colour: str) -> Picture:
    """A line of text, or two, over what follows."""
    text = wrapped(visible(textwrap.shorten(title, _LONGEST_TITLE, placeholder="…")), 0.9 * width)
    draw = lambda part: part.text(0.01, 0.5, text, va="center", fontsize=size, weight="bold", color=colour)
    return Picture(title, 0.06 + 0.022 * size * (text.count("\n") + 1), draw)


def message(title: str, text: str) -> Picture:
    """A picture that says why there is none."""

    def draw(part: Any) -> None:
        axis = part.subplots()
        axis.set_axis_off()
        axis.text(0.5, 0.5, wrapped(text, 0.7 * WIDTH), ha="center", va="center", fontsize=11)

    return Picture(title, 1.6, draw)


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that its name ends with (PNG, SVG or PDF), whole or not at all.

    Raises `InputError` for another ending.
    """
    kind = format_of(path)
    undated: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    image = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(image, format=kind, dpi=_DOTS, metadata=undated)
    files.replace_file(path, image.getvalue())


def format_of(path: Path) -> str:
    """The format that a file's name asks for. Raises `InputError` for one that is not drawn."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"a figure ends with {', '.join('.' + f for f in FORMATS)}, not {path.suffix!r}", str(path))
    return kind


# ---------------------------------------------------------------- words and units
def literal(text: Any) -> str:
    """Text as it is: a dollar sign begins no formula."""
    return str(text).replace("$", r"\$")


def wrapped(text: Any, inches: float) -> str:
    """Text broken into lines that are about so wide."""
    return "\n".join(textwrap.wrap(literal(text), max(12, int(_LETTERS * inches)), break_on_hyphens=False))


# ---------------------------------------------------------------- axes
def in_days(hours: float) -> bool:
    """Whether a course of so many hours is drawn in days."""
    return hours > _DAYS_FROM


def time_scale(hours: float) -> float:
    """What times [h] are multiplied by on the axis of a course of so many hours."""
    return 1.0 / 24.0 if in_days(hours) else 1.0


def time_axis(axis: Any, hours: float, inches: float, label: bool = True, start: float = 0.0) -> None:
    """A time axis from `start` to `hours` [h] with round ticks; what is drawn on it is scaled by `time_scale(hours)`."""
    scale = time_scale(hours)
    span = (hours - start) * scale
    steps = _STEPS[2:4] + _WEEKS if in_days(hours) else _STEPS
    most = max(3.0, min(_TICKS, 2.0 * inches))
    step = next((s for s in steps if span / s <= most), None)
    if step is not None:
        axis.xaxis.set_major_locator(MultipleLocator(step))
    axis.set_xlim(start * scale, hours * scale)
    if label:
        axis.set_xlabel("time [d]" if in_days(hours) else "time [h]")


def log_axis(axis: Any, which: str = "y") -> None:
    """A logarithmic axis with plain numbers at few ticks, at least two of them."""
    getattr(axis, f"set_{which}scale")("log")
    low, high = sorted(getattr(axis, f"get_{which}lim")())
    scale_axis = getattr(axis, f"{which}axis")
    decades = math.log10(high / low) if low > 0 and math.isfinite(high) else 1.0
    if decades > 12 or not decades > 0:
        scale_axis.set_major_locator(LogLocator(numticks=6))
    else:
        scale_axis.set_major_locator(FixedLocator(_log_ticks(low, high)))
    scale_axis.set_minor_locator(NullLocator())
    scale_axis.set_major_formatter(
        FuncFormatter(lambda value, _: _tens().get(value) or formatting.format_number(value, 3))
    )
    scale_axis.set_minor_formatter(NullFormatter())


def _tens() -> Mapping[float, str]:
    return {10.0**p: f"10{str(p).translate(SUPERSCRIPTS)}" for p in (*range(-12, -3), *range(5, 13))}


def _log_ticks(low: float, high: float) -> list[float]:
    if high < _NARROW * low:
        return [float(t) for t in MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= t <= high]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**p for p in powers for m in parts if low * 0.999 <= m * 10.0**p <= high * 1.001]
        if len(ticks) <= 6:
            break
    return ticks[:: math.ceil(len(ticks) / 7)]


def legend(part: Any, handles: Sequence[Any], title: str = "") -> None:
    """What the lines mean, above all panels of a figure or of a part of one."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = max(1, min(len(handles), int(WIDTH / (0.078 * longest + 0.75))))
    if handles or title:
        place = {"loc": "outside upper left", "ncols": columns, "borderaxespad": 0.2, "alignment": "left"}
        text = wrapped(title, WIDTH) or None
        part.legend(handles=handles, title=text, title_fontsize=9.5, **place)


def key(**look: Any) -> Line2D:
    """A line or marker that a legend explains: its look and its label."""
    return Line2D([], [], **look)


def block(**look: Any) -> Patch:
    """A patch of colour that a legend explains."""
    return Patch(**look)


def beside(axis: Any, levels: Sequence[tuple[float, str]], inches: float) -> None:
    """Texts to the right of an axis that is so high, at these heights, moved apart where they would lie over each other."""
    where = [float((axis.transData + axis.transAxes.inverted()).transform((0.0, y))[1]) for y, _ in levels]
    order = sorted(range(len(levels)), key=lambda i: where[i])
    texts = [textwrap.fill(literal(text), _SMALL) for _, text in levels]
    need = [(0.135 * (text.count("\n") + 1) + 0.03) / inches for text in texts]
    placed = [min(max(y, 0.0), 1.0) for y in where]
    for below, i in itertools.pairwise(order):
        placed[i] = max(placed[i], placed[below] + (need[below] + need[i]) / 2)
    top = 1.08
    for i in reversed(order):
        placed[i] = min(placed[i], top - need[i] / 2)
        top = placed[i] - need[i] / 2
    for y, text in zip(placed, texts, strict=True):
        axis.text(1.02, y, text, transform=axis.transAxes, va="center", fontsize=8.5, linespacing=1.05)
