"""Time courses: arms, hypotheses and subjects, with doses, limits and the rises of tumour Mg that matter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.drawing import style as drawing_style
from nanomg.drawing.asked import ARM, HYPOTHESIS, Asked
from nanomg.drawing.dose_strip import draw_doses
from nanomg.drawing.style import COLOURS, GREY, LINES, Picture
from nanomg.equations.model import RISE
from nanomg.errors import unknown
from nanomg.formatting import format_number
from nanomg.results.attributes import unit_of
from nanomg.results.kinds import BASELINE, BASELINE_WITHOUT, OPTIMUM
from nanomg.results.reading import (
    BAND,
    DoseMark,
    all_failed,
    chosen,
    config_of,
    doses_of,
    failures,
    limits_of,
    outputs_of,
)
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT
from nanomg.simulation.roles import CONCENTRATION, RELEVANT

TAKES = ("signals", "log", "by")


_SINGLE = 5  # so many subjects have a line each
_DECADES = 100.0  # a course that spans more than this factor is drawn on a logarithmic axis
_REACH = 1.2  # spans of the data within which a limit is drawn
_BURST = 3.0  # spans of the other arms above which an arm is cut off
_GUIDES = 60  # times of doses that panels mark
_PANEL, _STRIP = 2.05, 0.42  # [inch] heights


_POOR = "interstitium.C_poor"


_LOOKS = {  # of an arm: colour, line, width
    AS_GIVEN: (COLOURS[0], LINES[0], 2.0),
    OPTIMUM: (COLOURS[0], LINES[0], 2.0),
    BASELINE: ("#8C8C8C", LINES[0], 2.6),
    WITHOUT: (COLOURS[1], LINES[1], 1.7),
    FREE: (COLOURS[2], LINES[2], 1.5),
}
_TEXTS = {OPTIMUM: "optimised regimen", BASELINE: "baseline regimen", WITHOUT: "same treatment without Mg"}


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """The courses of a simulation or of the arms of an optimisation, as one picture."""
    signals, log, by, _ = asked
    if by not in (ARM, HYPOTHESIS):
        raise unknown("layout of time courses", by, (ARM, HYPOTHESIS), "--by")
    if "simulation" not in tree.children:
        text = "The file has no time courses."
        if "records" in tree.children:
            text = "Subjects were simulated at their records only, as requested or because a reset restarts the clock."
        return [drawing_style.message("Time courses", text)]
    data, config = tree["simulation"].to_dataset(), config_of(tree)
    reasons = failures(data)
    if reasons and all_failed(data):
        return [drawing_style.message("Time courses", f"Every trajectory failed: {'; '.join(reasons)}.")]
    names = chosen(data, signals, outputs_of(tree))
    if not names:
        return [drawing_style.message("Time courses", "The file has no signals.")]
    sides = list(data.hypothesis.values) if by == HYPOTHESIS else [data.hypothesis.values[0]]
    given = doses_of(tree, OPTIMUM if OPTIMUM in data.regimen.values else str(data.regimen.values[0]))
    columns = len(sides) if len(sides) > 1 else _columns(len(names))
    rows = len(names) if len(sides) > 1 else math.ceil(len(names) / columns)
    strip = _STRIP * len(given) + 0.1
    height = strip + _PANEL * rows + 0.9
    cells = list(itertools.product(names, sides))

    def draw(part: Any) -> None:
        inches = drawing_style.WIDTH / columns
        heights = [strip, *[_PANEL] * rows]
        axes = part.subplots(rows + 1, columns, squeeze=False, gridspec_kw={"height_ratios": heights})
        hours = float(data.time.values[-1])
        for i, axis in enumerate(axes[0]):
            draw_doses(axis, given, hours)
            if len(sides) > 1:
                axis.set_title(str(sides[i]), weight="bold")
        handles: dict[str, Any] = {}
        panels: list[_Panel] = []
        for i, axis in enumerate(axes[1:].ravel()):
            if i >= len(cells):
                axis.set_axis_off()
                continue
            name, side = cells[i]
            last = i + columns >= len(cells)
            panels.append(_panel(axis, data, config, name, str(side), given, inches, last))
            handles = {**panels[-1].handles, **handles}
            if len(sides) > 1 and i % columns:
                axis.set_ylabel("")
        for i in range(0, len(panels), len(sides)):
            _heights(panels[i : i + len(sides)], log)
        for panel in panels:
            panel.mark()
        notes = [f"under hypothesis {sides[0]}"] if len(sides) == 1 and data.sizes["hypothesis"] > 1 else []
        notes += [f"left out: {'; '.join(reasons)}"] if reasons else []
        drawing_style.legend(part, [*handles.values()], "; ".join(notes))

    return [Picture("Time courses", height, draw)]


def course(
    tree: xr.DataTree, signal: str, axis: Any, hypothesis: str | None = None, log: bool | None = None
) -> list[Any]:
    """Draw one signal of a simulation into an axis of one's own; gives back what a legend needs."""
    data, config = tree["simulation"].to_dataset(), config_of(tree)
    chosen(data, [signal], ())
    side = hypothesis or str(data.hypothesis.values[0])
    if side not in data.hypothesis.values:
        raise unknown("hypothesis", side, map(str, data.hypothesis.values))
    first = str(data.regimen.values[0])
    panel = _panel(axis, data, config, signal, side, doses_of(tree, first), 5.0, True)
    _heights([panel], log)
    panel.mark()
    return [*panel.handles.values()]


def _columns(panels: int) -> int:
    return 1 if panels == 1 else 2


class _Level(NamedTuple):
    """A limit or threshold: its height, a number or along time, its line, and what it is."""

    y: Any
    line: Any
    text: str


class _Panel(NamedTuple):
    """An axis with its arms drawn: what the legend says, and limits that are marked once its range is settled."""

    axis: Any
    times: np.ndarray
    curves: Mapping[str, np.ndarray]
    levels: Sequence[_Level]
    handles: dict[str, Any]

    def mark(self) -> None:
        """Draw the limits that are in reach, and write beside the axis what they are; arrows point at those that are not."""
        bottom, top = self.axis.get_ylim()
        texts = []
        for level in self.levels:
            y = np.broadcast_to(level.y, self.times.shape)
            if y.min() <= top and y.max() >= bottom:
                self.axis.plot(self.times, y, color="black", lw=1.0, ls=level.line, zorder=1.5)
                texts.append((float(y[-1]), level.text))
            else:
                above = y.max() > top
                texts.append((top if above else bottom, f"{'↑' if above else '↓'} {level.text}"))
        if FREE in self.curves and self.curves[FREE].max() > top:
            texts.append((top, f"↑ {format_number(float(self.curves[FREE].max()), 3)}: given free"))
        drawing_style.beside(self.axis, texts, _PANEL * 0.75)


def _panel(
    axis: Any,
    data: xr.Dataset,
    config: Mapping[str, Any],
    name: str,
    side: str,
    given: Sequence[DoseMark],
    inches: float,
    last: bool,
) -> _Panel:
    """One signal under one hypothesis, its vertical axis as it comes."""
    signal = data[name].sel(hypothesis=side)
    unit = unit_of(signal.attrs)
    hours = float(data.time.values[-1])
    scale = drawing_style.time_scale(hours)
    times = data.time.values * scale
    every = {str(r): np.atleast_2d(signal.sel(regimen=r).values) for r in data.regimen.values if r != BASELINE_WITHOUT}
    curves = {r: known for r, y in every.items() if len(known := y[np.isfinite(y).all(1)])}
    axis.set_title(drawing_style.wrapped(signal.attrs.get("long_name", name), 0.72 * inches))
    axis.set_ylabel(f"[{units.unit_text(unit)}]")
    drawing_style.time_axis(axis, hours, inches, label=last)
    if not curves:
        axis.text(0.5, 0.5, "failed", transform=axis.transAxes, ha="center")
        axis.set_yticks([])
        return _Panel(axis, times, {}, (), {})
    _guides(axis, given, hours, scale)
    handles = {}
    for i, regimen in enumerate(sorted(curves, key=lambda r: r != BASELINE)):
        handles.update(_curves(axis, times, curves[regimen], regimen, i))
    return _Panel(axis, times, curves, _levels(name, config, curves, unit), handles)


def _curves(axis: Any, times: np.ndarray, y: np.ndarray, regimen: str, i: int) -> dict[str, Any]:
    """The line of an arm, or what its subjects do."""
    colour, style, width = _LOOKS.get(regimen, (COLOURS[i % len(COLOURS)], LINES[i % len(LINES)], 1.7))
    label = drawing_style.literal(_TEXTS.get(regimen, regimen))
    line = drawing_style.key(color=colour, ls=style, lw=width, label=label)
    if len(y) == 1:
        axis.plot(times, y[0], color=colour, ls=style, lw=width)
        return {regimen: line}
    if len(y) <= _SINGLE:
        axis.plot(times, y.T, color=colour, ls=style, lw=0.9)
        line.set_label(f"{label}, {len(y)} subjects")
        return {regimen: line}
    low, middle, high = np.quantile(y, BAND, axis=0)
    axis.plot(times, middle, color=colour, ls=style, lw=width)
    axis.fill_between(times, low, high, color=colour, alpha=0.18, lw=0)
    line.set_label(f"{label}, median of {len(y):,} subjects")
    return {regimen: line, "band": drawing_style.block(color=GREY, alpha=0.3, label="5 to 95 % of subjects")}


def _guides(axis: Any, given: Sequence[DoseMark], hours: float, scale: float) -> None:
    """Faint lines where a dose is given."""
    times = sorted({t for dose in given for t in dose.times if t <= hours})
    if len(times) <= _GUIDES:
        for time in times:
            axis.axvline(time * scale, color="#BBBBBB", lw=0.6, zorder=0)


def _levels(name: str, config: Mapping[str, Any], curves: Mapping[str, np.ndarray], unit: str) -> list[_Level]:
    """Limits of the scenario, and where tumour Mg is shown the rises that matter, over the arm without Mg; all in `unit`."""
    found = [_Level(value, LINES[1], text) for value, text in limits_of(name, config, unit)]
    if WITHOUT in curves and len(curves[WITHOUT]) == 1:
        rises = limits_of(f"{name}{RISE}", config, unit)
        found += [_Level(curves[WITHOUT][0] + value, LINES[1], text) for value, text in rises]
    if name in (CONCENTRATION, _POOR) and WITHOUT in curves and len(curves[WITHOUT]) == 1:
        without = curves[WITHOUT][0]
        scale = units.convert_shown("mmol/L", unit)
        found += [_Level(without + rise * scale, LINES[3], f"+{text}") for text, rise in RELEVANT.items()]
    return found


def _heights(panels: Sequence[_Panel], log: bool | None) -> None:
    """The vertical axis that panels share: the arms, and what limits are near; an arm that bursts out of it is cut off."""
    panels = [panel for panel in panels if panel.curves]
    curves = [y for panel in panels for y in _kept(panel.curves).values()]
    if not curves:
        return
    low, high = min(y.min() for y in curves), max(y.max() for y in curves)
    positive = low > 0
    as_log = positive and (log or (log is None and high / low > _DECADES))
    if log and not positive and high > 0:
        low, as_log = min(y[y > 0].min() for y in curves if (y > 0).any()), True
        low = max(low, high * 1e-6)
    span = high - low
    for level in (level for panel in panels for level in panel.levels):
        ends = float(np.min(level.y)), float(np.max(level.y))
        near = ends[0] <= high + _REACH * span and ends[1] >= low - _REACH * span
        if near and not (as_log and ends[0] <= 0):
            low, high = min(low, ends[0]), max(high, ends[1])
    if as_log:
        room = (high / low) ** 0.06 if high > low else 1.5
        bottom, top = low / room, high * room
    else:
        room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        bottom, top = 0.0 if 0 <= low <= 0.35 * high else low - room, high + room
    for axis in (panel.axis for panel in panels):
        axis.set_ylim(bottom, top)
        if as_log:
            drawing_style.log_axis(axis)
        else:
            axis.ticklabel_format(axis="y", useOffset=False, style="plain")
            axis.locator_params(axis="y", nbins=5)


def _kept(curves: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The arms that an axis makes room for: Mg given free may be there in one burst."""
    rest = {r: y for r, y in curves.items() if r != FREE}
    if not rest or FREE not in curves:
        return curves
    low, high = min(y.min() for y in rest.values()), max(y.max() for y in rest.values())
    return rest if curves[FREE].max() > high + _BURST * max(high - low, 1e-9) else curves
