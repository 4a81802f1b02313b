"""Pictures of a validation: observed against predicted, domains beside what is allowed of them, and courses in time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.ticker import NullFormatter

from nanomg import units
from nanomg.data.observations import ObservationTable, ObservedRun, Row, courses_of
from nanomg.drawing import style as drawing_style
from nanomg.drawing.asked import Asked
from nanomg.drawing.style import COLOURS, GREY, LINES, MARKERS, Picture

_COLUMNS, _PANEL = 3, 4.1  # panels beside each other, and their width [inch]
_DECADES = 30.0  # a course that spans more than this factor is drawn on a logarithmic axis
_ROW, _WIDE = 0.36, 11.0  # [inch] of a domain, and of the figure
_FOLDS = (0.01, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 100)

Courses = Mapping[tuple[ObservedRun, str], tuple[np.ndarray, np.ndarray]]


class ScoredPoint(NamedTuple):
    """A published value with its prediction, in the same unit, its domain and its use."""

    domain: str
    observed: float
    predicted: float
    use: str


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """The pictures of a validation's file: its rows, and its domains."""
    rows = tree["rows"].to_dataset()
    uses = str(rows.use.attrs["flag_meanings"]).split()
    points = [
        ScoredPoint(str(domain), float(o), float(p), uses[int(use)])
        for domain, o, p, use, bound, sign in zip(
            *(rows[key].values for key in ("domain", "value", "predicted", "use", "bound", "sign")), strict=True
        )
        if not bound and not sign and uses[int(use)] != "look"
    ]
    found = (
        [against(points)] if points else [drawing_style.message("Observed against predicted", "No row has a value.")]
    )
    return [*found, *([_domains(tree["domains"].to_dataset())] if "domains" in tree.children else [])]


def observed(path: Path, points: Sequence[tuple[str, Row, float]]) -> None:
    """Write a picture of rows of these domains with their predictions."""
    known = [ScoredPoint(domain, row.value, p, row.use) for domain, row, p in points if not row.bound]
    drawing_style.save(drawing_style.sheet([against(known)]), path)


def against(points: Sequence[ScoredPoint]) -> Picture:
    """Observed against predicted with identity and twofold lines, and beside it how far off each row of a domain is."""
    shown = [point for point in points if not _why_not(point)]
    domains = sorted({point.domain for point in points})
    missing = Counter((point.domain, why) for point in points if (why := _why_not(point)))
    note = ", ".join(f"{count} of {domain} {why}" for (domain, why), count in sorted(missing.items()))
    looks = dict(zip(domains, itertools.cycle(itertools.product(MARKERS, COLOURS)), strict=False))

    def draw(part: Any) -> None:
        whole, off = part.subplots(1, 2, width_ratios=(1.25, 1.0))
        ends = [v for point in shown for v in (point.observed, point.predicted)] or [1.0]
        line = np.array([min(ends) / 2, max(ends) * 2])
        for factor, style in ((1.0, LINES[0]), (2.0, LINES[1]), (0.5, LINES[1])):
            whole.plot(line, factor * line, ls=style, color=GREY, lw=0.9, zorder=1)
        for factor, style in ((1.0, LINES[0]), (1.25, LINES[3]), (0.8, LINES[3]), (2.0, LINES[1]), (0.5, LINES[1])):
            off.axvline(factor, ls=style, color=GREY, lw=0.9, zorder=1)
        rng = np.random.default_rng(0)
        for i, domain in enumerate(domains):
            marker, colour = looks[domain]
            for use, face in (("validate", colour), ("calibrate", "white")):
                pairs = [(p.observed, p.predicted) for p in shown if p.domain == domain and p.use == use]
                if pairs:
                    x, y = np.array(pairs).T
                    edge = {"facecolors": face, "edgecolors": colour, "linewidths": 1.1}
                    whole.scatter(x, y, marker=marker, s=26, zorder=2, **edge)
                    off.scatter(y / x, i + rng.uniform(-0.22, 0.22, len(x)), marker=marker, s=26, zorder=2, **edge)
        whole.set(xlim=line, ylim=line, xlabel="observed [each row in its unit]", ylabel="predicted [in the same unit]")
        drawing_style.log_axis(whole, "x")
        drawing_style.log_axis(whole, "y")
        off.set(xscale="log", xlabel="predicted / observed [–]", yticks=range(len(domains)), yticklabels=domains)
        off.set_xlim(min(0.4, 0.8 * off.get_xlim()[0]), max(2.5, 1.25 * off.get_xlim()[1]))
        _fold_ticks(off)
        off.set_ylim(max(len(domains), 1) - 0.5, -0.5)
        dot = {"ls": "", "marker": "o", "mec": "#444444"}
        handles = [
            drawing_style.key(**dot, mfc="#444444", label="validated"),
            drawing_style.key(**dot, mfc="white", label="calibrated"),
            drawing_style.key(ls=LINES[1], color=GREY, lw=0.9, label="twofold"),
            drawing_style.key(ls=LINES[3], color=GREY, lw=0.9, label="1.25-fold"),
        ]
        drawing_style.legend(part, handles, f"Rows not drawn: {note}" if note else "")

    return Picture("Observed against predicted", max(5.0, _ROW * len(domains) + 1.6), draw, _WIDE)


def _why_not(point: ScoredPoint) -> str:
    """Why a point has no place on logarithmic axes; empty where it has."""
    if not math.isfinite(point.predicted):
        return "whose prediction failed"
    if point.predicted <= 0:
        return "prediction 0 or less"
    return "" if point.observed > 0 else "observation 0 or less"


def _fold_ticks(axis: Any) -> None:
    """Plain factors on a logarithmic axis, no more than have room."""
    low, high = axis.get_xlim()
    ticks = [t for t in _FOLDS if low <= t <= high]
    if high > 20 * low:
        ticks = [t for t in ticks if t not in (0.8, 1.25, 0.2)]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.xaxis.set_minor_formatter(NullFormatter())


def _domains(found: xr.Dataset) -> Picture:
    """Geometric mean fold errors of domains, beside what is allowed of those that are validated."""
    names = sorted({str(name) for name in found.name.values})
    looks = {"validate": (COLOURS[0], "validated"), "calibrate": ("white", "calibrated")}

    def draw(part: Any) -> None:
        axis = part.subplots()
        most = 1.0
        for name, use, error, allowed, n in zip(
            *(found[key].values for key in ("name", "use", "gmfe", "allowed", "n")), strict=True
        ):
            y = names.index(str(name)) + (0.16 if use == "calibrate" else -0.16 * (use != "validate"))
            if not math.isfinite(error):
                continue
            most = max(most, error, allowed if use == "validate" else 1.0)
            axis.plot([1.0, error], [y, y], color=COLOURS[0], lw=1.0, zorder=1)
            axis.plot(error, y, "o", mfc=looks[str(use)][0], mec=COLOURS[0], ms=6, zorder=2)
            if use == "validate":
                axis.plot(allowed, y, "|", color=COLOURS[1], ms=13, mew=2.2, zorder=3)
                text = f"{int(n)} row{'s' if n > 1 else ''}"
                axis.text(1.01, y, text, transform=axis.get_yaxis_transform(), va="center", fontsize=9)
        known = {str(name) for name, error in zip(found.name.values, found.gmfe.values, strict=True) if error > 0}
        for name in {*names} - known:
            axis.text(1.005, names.index(name), " no row has a fold error", va="center", fontsize=9, color=GREY)
        axis.set_yticks(range(len(names)), [drawing_style.literal(name) for name in names])
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(1.0, 1.15 * most)
        drawing_style.log_axis(axis, "x")
        axis.set_xlabel("geometric mean fold error [–]")
        handles = [
            *(drawing_style.key(ls="", marker="o", mfc=f, mec=COLOURS[0], label=text) for f, text in looks.values()),
            drawing_style.key(ls="", marker="|", color=COLOURS[1], ms=13, mew=2.2, label="allowed of validated rows"),
        ]
        drawing_style.legend(part, handles)

    return Picture("Fold errors of the domains", 0.3 * len(names) + 1.2, draw)


def courses(path: Path, table: ObservationTable, solved: Courses) -> None:
    """One panel for each course of a table: points as published, the line as predicted; of subjects median and 5 to 95 %."""
    panels = courses_of(table.rows)
    columns = min(_COLUMNS, len(panels))
    count = math.ceil(len(panels) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(count, columns, squeeze=False).ravel()
        for axis, rows in zip(axes, panels, strict=False):
            _course(axis, rows, solved)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)

    width = _PANEL * columns
    drawing_style.save(drawing_style.sheet([Picture(table.title, 3.1 * count, draw, width)], table.title), path)


def _course(axis: Any, rows: Sequence[Row], solved: Courses) -> None:
    measure = rows[0].measure
    assert measure is not None
    times, y = solved[measure.run, measure.signal]
    hours = float(times[-1])
    scale = drawing_style.time_scale(hours)
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
        axis.set_ylim(min(values) / 5, max(values) * 5)
        drawing_style.log_axis(axis)
    when = [row.measure.stop for row in rows if row.measure]
    drawing_style.time_axis(axis, hours, _PANEL, start=max(0.0, 1.3 * min(when) - 0.3 * max(when)))
    axis.set_xlim(right=1.03 * hours * scale)
    axis.xaxis.label.set_fontsize(9)
    sources = ", ".join(dict.fromkeys(row.source for row in rows))
    axis.set_title(drawing_style.wrapped(f"{measure.run.name} ({sources})", _PANEL), fontsize=9)
    axis.set_ylabel(drawing_style.literal(f"{measure.signal} [{units.unit_text(rows[0].unit)}]"), fontsize=9)
    axis.tick_params(labelsize=8)
