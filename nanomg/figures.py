"""Pictures of a validation: observed against predicted, and courses in time, as PNG files."""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from nanomg import results, units
from nanomg.observations import Row, Run, Table, courses_of

# Okabe and Ito's colours, which those who see few colours tell apart; with the markers they name more domains than colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^")
_DAYS_FROM = 72.0  # [h] a longer course is drawn in days
_COLUMNS, _LETTERS = 3, 44  # panels beside each other, and letters of a title above each
_DECADES = 30.0  # a course that spans more than this factor is drawn on a logarithmic axis

Point = tuple[str, Row, float]  # domain, row, prediction
Courses = Mapping[tuple[Run, str], tuple[np.ndarray, np.ndarray]]


def observed(path: Path, points: Sequence[Point]) -> None:
    """Observed against predicted with identity and twofold lines, and beside it how far off each row of a domain is."""
    shown = [(domain, row, p) for domain, row, p in points if p > 0 and row.value > 0 and not row.bound]
    domains = sorted({domain for domain, _, _ in shown})
    looks = dict(zip(domains, itertools.cycle(itertools.product(MARKERS, COLOURS)), strict=False))
    figure = Figure(figsize=(12.5, max(5.0, 0.36 * len(domains) + 1.6)), layout="constrained")
    whole, off = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    ends = [v for _, row, p in shown for v in (row.value, p)] or [1.0]
    line = np.array([min(ends) / 2, max(ends) * 2])
    for factor, style in ((1.0, "-"), (2.0, "--"), (0.5, "--")):
        whole.plot(line, factor * line, style, color="#666666", lw=0.9, zorder=1)
    for factor, style in ((1.0, "-"), (1.25, ":"), (0.8, ":"), (2.0, "--"), (0.5, "--")):
        off.axvline(factor, ls=style, color="#666666", lw=0.9, zorder=1)
    rng = np.random.default_rng(0)
    for i, domain in enumerate(domains):
        marker, colour = looks[domain]
        for use, face in (("validate", colour), ("calibrate", "white")):
            own = [(row.value, p) for d, row, p in shown if d == domain and row.use == use]
            if not own:
                continue
            x, y = np.array(own).T
            drawn = {
                "marker": marker,
                "s": 26,
                "facecolors": face,
                "edgecolors": colour,
                "linewidths": 1.1,
                "zorder": 2,
            }
            whole.scatter(x, y, **drawn)
            off.scatter(y / x, i + rng.uniform(-0.22, 0.22, len(x)), **drawn)
    for face, text in (("#444444", "validated"), ("white", "calibrated")):
        whole.scatter([], [], s=26, facecolors=face, edgecolors="#444444", label=text)
    whole.plot([], [], "--", color="#666666", lw=0.9, label="twofold")
    whole.legend(frameon=False, loc="upper left")
    whole.set(xscale="log", yscale="log", xlabel="observed, each row in its unit", ylabel="predicted")
    off.set(xscale="log", xlabel="predicted / observed", yticks=range(len(domains)), yticklabels=domains)
    off.set_xlim(min(0.4, 0.8 * off.get_xlim()[0]), max(2.5, 1.25 * off.get_xlim()[1]))
    ticks = [
        t for t in (0.01, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 100) if off.get_xlim()[0] <= t <= off.get_xlim()[1]
    ]
    off.set_xticks(ticks, [f"{t:g}" for t in ticks])
    off.xaxis.set_minor_formatter(NullFormatter())
    off.set_ylim(max(len(domains), 1) - 0.5, -0.5)
    save(figure, path)


def courses(path: Path, table: Table, solved: Courses) -> None:
    """One panel for each course of a table: points as published, the line as predicted; of subjects median and 5 to 95 %."""
    panels = courses_of(table.rows)
    columns = min(_COLUMNS, len(panels))
    count = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.1 * columns, 3.1 * count + 0.3), layout="constrained")
    axes = figure.subplots(count, columns, squeeze=False).ravel()
    for axis, rows in zip(axes, panels, strict=False):
        _course(axis, rows, solved)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(textwrap.fill(table.title, _LETTERS * columns), fontsize=11)
    save(figure, path)


def _course(axis: Any, rows: Sequence[Row], solved: Courses) -> None:
    measure = rows[0].measure
    assert measure is not None
    times, y = solved[measure.run, measure.signal]
    days = times[-1] > _DAYS_FROM
    scale = units.factor("h", "d") if days else 1.0
    y = y * rows[0].factor
    axis.plot(times * scale, np.median(y, 1), color=COLOURS[0], lw=1.6, zorder=2)
    if y.shape[1] > 1:
        low, high = np.quantile(y, (0.05, 0.95), axis=1)
        axis.fill_between(times * scale, low, high, color=COLOURS[0], alpha=0.2, lw=0)
    for row in rows:
        assert row.measure is not None
        ends = (row.low, row.high) if not math.isnan(row.low) else (row.value - row.sd, row.value + row.sd)
        bars = None if math.isnan(ends[0]) else np.abs(np.array(ends) - row.value)[:, None]
        face = "white" if row.use == "calibrate" else COLOURS[1] if row.use == "validate" else "#BBBBBB"
        drawn = {"mfc": face, "mec": COLOURS[1], "ecolor": COLOURS[1], "ms": 5, "elinewidth": 0.9, "capsize": 2}
        axis.errorbar(row.measure.stop * scale, row.value, bars, fmt="o", zorder=3, **drawn)
    values = [row.value for row in rows]
    if min(values) > 0 and max(values) / min(values) > _DECADES:
        axis.set_yscale("log")
        axis.set_ylim(min(values) / 5, max(values) * 5)
    when = [row.measure.stop * scale for row in rows if row.measure]
    axis.set_xlim(left=max(0.0, 1.3 * min(when) - 0.3 * max(when)))
    sources = ", ".join(dict.fromkeys(row.source for row in rows))
    axis.set_title(f"{measure.run.name} ({sources})", fontsize=9)
    axis.set_xlabel("time [d]" if days else "time [h]", fontsize=9)
    axis.set_ylabel(f"{measure.signal} [{rows[0].unit}]", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image)
    results.replace_file(path, image.getvalue())
