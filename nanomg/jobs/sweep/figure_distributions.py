"""Numbers of sampled points, of subjects and of single trajectories: scatters, distributions and dots."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.patheffects import withStroke

from nanomg.drawing import style as drawing_style
from nanomg.drawing.style import COLOURS, GREY, LINES, Picture
from nanomg.formatting import format_number
from nanomg.jobs.sweep.figure_axes import ROW, scale_y
from nanomg.jobs.sweep.figure_space import KeptNumber, Space, by_name
from nanomg.jobs.sweep.figure_words import axis_text, axis_unit, joined
from nanomg.results.reading import BAND

_POINTS = 4000  # dots of a scatter
_BINS = 40


def scatter_picture(data: xr.Dataset, space: Space, kept: KeptNumber, note: str) -> Picture:
    """A number over each coordinate of sampled points, in a colour for each category, sampled ones too.

    The running median is drawn where no other coordinate is of doses, so that regimens are not mixed.
    """
    columns = min(3, len(space.sampled))
    rows = math.ceil(len(space.sampled) / columns)
    curves = _by_category_of_points(data, space, by_name(kept.middle, space.named))
    points = data.sizes["point"]
    thin = slice(None, None, max(1, len(curves) * points // _POINTS))
    smooth = [name for name in space.sampled if not any(o.startswith("dose.") for o in space.sampled if o != name)]
    bright = [withStroke(linewidth=4.0, foreground="white")]
    looks = [{"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)], "lw": 2.0} for k in range(len(curves))]

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for i, (axis, name) in enumerate(itertools.zip_longest(axes, space.sampled)):
            if name is None:
                axis.set_axis_off()
                continue
            inches = drawing_style.WIDTH / columns
            x = data[name].values
            named = x.dtype.kind not in "iuf"
            if named:
                categories, x = np.unique(x, return_inverse=True)
                axis.set_xticks(range(len(categories)), categories)
                axis.margins(x=0.2)
            for look, (_, y) in zip(looks, curves, strict=True):
                dots = {"color": look["color"], "alpha": 0.4, "mew": 0, "rasterized": points > 1000}
                axis.plot(x[thin], y.values[thin], "o", ms=2.6, **dots)
            for look, (_, y) in zip(looks if name in smooth else [], curves, strict=False):
                median = _by_category(x, y.values) if named else _running(x, y.values)
                axis.plot(*median, **look | ({"ls": "", "marker": "D"} if named else {}), path_effects=bright)
            as_log = not named and x.min() > 0 and x.max() > 20 * x.min() and np.median(x) < (x.min() + x.max()) / 3
            axis.set_xlabel(drawing_style.wrapped(f"{axis_text(data[name])} [{axis_unit(data[name])}]", 0.85 * inches))
            if i % columns == 0:
                axis.set_ylabel(drawing_style.wrapped(f"{kept.text} {kept.label}", 2.0))
            if as_log:
                drawing_style.log_axis(axis, "x")
        for i, axis in enumerate(axes[: len(space.sampled)]):
            scale_y(axis, kept, named=i == columns - 1)
        lines = []
        for look, (label, _) in zip(looks, curves, strict=True):
            words = [drawing_style.literal(label), "running median" if smooth else ""]
            line = look if smooth else {"color": look["color"], "ls": "", "marker": "o", "ms": 4}
            if text := ", ".join(filter(None, words)):
                lines.append(drawing_style.key(**line, label=text))
        dot = drawing_style.key(ls="", marker="o", color=GREY, ms=4, label=f"{points:,} points")
        drawing_style.legend(part, [dot, *lines], note)

    return Picture(kept.text, ROW * rows + 0.8, draw)


def _by_category_of_points(
    data: xr.Dataset, space: Space, curves: Sequence[tuple[str, xr.DataArray]]
) -> list[tuple[str, xr.DataArray]]:
    """The curves of each category that was sampled, such as a hypothesis; points of the others are NaN."""
    for name in space.sampled:
        if data[name].dtype.kind not in "iuf":
            parts = [(value, data[name] == value) for value in np.unique(data[name].values)]
            curves = [(f"{value}{text and ', '}{text}", y.where(here)) for text, y in curves for value, here in parts]
    return list(curves)


def _running(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians of y in so many bins of equal count in x."""
    known = np.isfinite(y)
    order = np.argsort(x[known])
    count = max(2, min(15, known.sum() // 8))
    xs, ys = (np.array_split(v[known][order], count) for v in (x, y))
    pairs = [(np.median(a), np.median(b)) for a, b in zip(xs, ys, strict=True) if len(a)]
    return np.array(pairs).reshape(-1, 2).T[0], np.array(pairs).reshape(-1, 2).T[1]


def _by_category(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median of y at each value of x."""
    at = np.unique(x[np.isfinite(y)])
    return at, np.array([np.nanmedian(y[x == value]) for value in at])


def distribution_picture(space: Space, numbers: Sequence[KeptNumber], note: str) -> Picture:
    """How each number is distributed over the subjects, for each category."""
    columns = 1 if len(numbers) == 1 else 2
    rows = math.ceil(len(numbers) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for axis, kept in itertools.zip_longest(axes, numbers):
            if kept is None:
                axis.set_axis_off()
                continue
            lines = []
            for k, (label, values) in enumerate(by_name(kept.values, space.named)):
                y = values.values.ravel()
                y = y[np.isfinite(y)]
                if not len(y):
                    continue
                _histogram(axis, y, kept, k)
                low, middle, high = np.quantile(y, BAND)
                said = f"median {format_number(middle, 3)} ({format_number(low, 3)} to {format_number(high, 3)})"
                lines.append(f"{label}: {said}" if label else said)
                look = {"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)]}
                name = drawing_style.literal(label) or f"{len(y):,} subjects"
                handles[label] = drawing_style.key(**look, label=name)
            inches = drawing_style.WIDTH / columns
            axis.set_title(
                drawing_style.wrapped(kept.text, 0.8 * inches) + "\n" + "\n".join(map(drawing_style.literal, lines))
            )
            axis.set_xlabel(kept.label)
            axis.set_ylabel("share of subjects [%]")
            axis.set_ylim(bottom=0.0)
            for value, text in kept.limits:
                axis.axvline(value, color="black", lw=1.0, ls=LINES[1])
                handles[text] = drawing_style.key(color="black", lw=1.0, ls=LINES[1], label=drawing_style.literal(text))
            if kept.skewed:
                drawing_style.log_axis(axis, "x")
            else:
                axis.locator_params(axis="x", nbins=6)
        drawing_style.legend(part, [*handles.values()], joined("medians, and 5 to 95 % in brackets", note))

    return Picture("Over the subjects", (ROW + 0.3 * len(space.named)) * rows + 0.7, draw)


def bar_picture(space: Space, numbers: Sequence[KeptNumber], note: str) -> Picture:
    """Each number of the typical subject for each category."""
    columns = 1 if len(numbers) == 1 else 2
    rows = math.ceil(len(numbers) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for axis, kept in itertools.zip_longest(axes, numbers):
            if kept is None:
                axis.set_axis_off()
                continue
            entries = by_name(kept.values, space.named)
            for k, (_, value) in enumerate(entries):
                axis.plot(float(value), k, "o", color=COLOURS[0], ms=7)
            axis.set_yticks(range(len(entries)), [drawing_style.literal(label) for label, _ in entries])
            axis.set_ylim(len(entries) - 0.5, -0.5)
            axis.set_title(drawing_style.wrapped(kept.text, 0.8 * drawing_style.WIDTH / columns))
            axis.set_xlabel(kept.label)
            axis.ticklabel_format(axis="x", useOffset=False, style="plain")
            axis.locator_params(axis="x", nbins=5)
            axis.margins(x=0.15)
        drawing_style.legend(part, [], joined("typical subject", note))

    title = f"For each {' and '.join(space.named)}" if space.named else "What was kept"
    return Picture(title, 1.9 * rows + 0.7, draw)


def _histogram(axis: Any, y: np.ndarray, kept: KeptNumber, k: int) -> None:
    low, high = np.quantile(y, (0.001, 0.999)) if len(y) > 1000 else (y.min(), y.max())
    if not high > low:
        low, high = low - 0.1 * abs(low) - 1e-9, high + 0.1 * abs(high) + 1e-9
    bins = max(5, min(_BINS, int(2 * len(y) ** 0.4)))
    edges = np.geomspace(low, high, bins + 1) if kept.skewed else np.linspace(low, high, bins + 1)
    share = 100.0 * np.histogram(y, edges)[0] / len(y)
    look = {"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)], "lw": 1.6}
    axis.stairs(share, edges, **look)
    axis.stairs(share, edges, fill=True, color=look["color"], alpha=0.15)
