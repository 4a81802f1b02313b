"""Time courses: arms, hypotheses and subjects, with doses, limits and the rises of tumour Mg that matter."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import drawing, units
from nanomg.datasets import BASELINE, OPTIMUM
from nanomg.drawing import COLOURS, GREY, LINES, Picture
from nanomg.errors import unknown
from nanomg.verdict import AS_GIVEN, CONCENTRATION, FREE, RELEVANT, WITHOUT
from nanomg.wording import number

ARM, HYPOTHESIS = "arm", "hypothesis"
MOST = 9  # panels, where nothing is asked for
BAND = (0.05, 0.5, 0.95)  # quantiles over subjects

_SINGLE = 5  # so many subjects have a line each
_DECADES = 100.0  # a course that spans more than this factor is drawn on a logarithmic axis
_REACH = 1.2  # spans of the data within which a limit is drawn
_BURST = 3.0  # spans of the other arms above which an arm is cut off
_GUIDES = 60  # times of doses that panels mark
_PANEL, _STRIP = 2.05, 0.42  # [inch] heights
_ROUNDING = 1e-9  # [h] by which a dose may come after the reset at its time
_POOR = "interstitium.C_poor"
_CONSTANT, _MODELLED = "as the steady state of a constant infusion", "over a modelled time"

_LOOKS = {  # of an arm: colour, line, width
    AS_GIVEN: (COLOURS[0], LINES[0], 2.0),
    OPTIMUM: (COLOURS[0], LINES[0], 2.0),
    BASELINE: ("#8C8C8C", LINES[0], 2.6),
    WITHOUT: (COLOURS[1], LINES[1], 1.7),
    FREE: (COLOURS[2], LINES[2], 1.5),
}
_TEXTS = {OPTIMUM: "optimised regimen", BASELINE: "baseline regimen", WITHOUT: "same treatment without Mg"}


class Dose(NamedTuple):
    """Doses into one port: times and durations [h], amounts in `unit`, and how they are given where that is out of the ordinary.

    The steady state of a constant infusion has its rate for an amount, and no duration: at its time it is over.
    """

    port: str
    unit: str
    how: str
    times: np.ndarray
    durations: np.ndarray
    amounts: np.ndarray

    @property
    def text(self) -> str:
        """The port and what it is given."""
        low, high = self.amounts.min(), self.amounts.max()
        span = number(low, 3) if high <= low * 1.005 else f"{number(low, 3)}–{number(high, 3)}"
        times = f" × {len(self.times)}" if len(self.times) > 1 else ""
        return f"{self.port}: {span} {drawing.unit_text(self.unit)}{times}{self.how and f', {self.how}'}"


def pictures(tree: xr.DataTree, signals: Sequence[str], log: bool | None, by: str) -> list[Picture]:
    """The courses of a simulation or of the arms of an optimisation, as one picture."""
    if by not in (ARM, HYPOTHESIS):
        raise unknown("way to lay out courses", by, (ARM, HYPOTHESIS), "--by")
    if "simulation" not in tree.children:
        text = "The file holds no courses."
        if "records" in tree.children:
            text = "Time goes back at a reset, so there are no common times: values are at the records alone."
        return [drawing.message("Courses", text)]
    data, config = tree["simulation"].to_dataset(), config_of(tree)
    reasons = failures(data)
    if reasons and all_failed(data):
        return [drawing.message("Courses", f"Every trajectory failed: {'; '.join(reasons)}.")]
    names = chosen(data, signals, outputs_of(tree))
    if not names:
        return [drawing.message("Courses", "The file holds no signals.")]
    sides = list(data.scenario.values) if by == HYPOTHESIS else [data.scenario.values[0]]
    given = doses_of(tree, OPTIMUM if OPTIMUM in data.regimen.values else str(data.regimen.values[0]))
    columns = len(sides) if len(sides) > 1 else _columns(len(names))
    rows = len(names) if len(sides) > 1 else math.ceil(len(names) / columns)
    strip = _STRIP * len(given) + 0.1
    height = strip + _PANEL * rows + 0.9
    cells = list(itertools.product(names, sides))

    def draw(part: Any) -> None:
        inches = drawing.WIDTH / columns
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
        notes = [f"under hypothesis {sides[0]}"] if len(sides) == 1 and data.sizes["scenario"] > 1 else []
        notes += [f"left out: {'; '.join(reasons)}"] if reasons else []
        drawing.legend(part, [*handles.values()], "; ".join(notes))

    return [Picture("Courses", height, draw)]


def course(
    tree: xr.DataTree, signal: str, axis: Any, hypothesis: str | None = None, log: bool | None = None
) -> list[Any]:
    """Draw one signal of a simulation into an axis of one's own; gives back what a legend needs."""
    data, config = tree["simulation"].to_dataset(), config_of(tree)
    chosen(data, [signal], ())
    side = hypothesis or str(data.scenario.values[0])
    if side not in data.scenario.values:
        raise unknown("hypothesis", side, map(str, data.scenario.values))
    first = str(data.regimen.values[0])
    panel = _panel(axis, data, config, signal, side, doses_of(tree, first), 5.0, True)
    _heights([panel], log)
    panel.mark()
    return [*panel.handles.values()]


# ---------------------------------------------------------------- what there is
def config_of(tree: xr.DataTree) -> Mapping[str, Any]:
    """The scenario's file as the run read it; empty where the result holds none."""
    config = json.loads(tree.attrs.get("config_json", "{}"))
    return dict(config.get("file", {}))


def outputs_of(tree: xr.DataTree) -> list[str]:
    """The scenario's outputs, in the order in which the run told of them."""
    told = json.loads(tree.attrs.get("summary_json", "{}")).get("signals") or config_of(tree).get("outputs", {})
    return list(told)


def chosen(data: xr.Dataset, signals: Sequence[str], outputs: Iterable[str]) -> list[str]:
    """The signals to draw: those asked for, else the scenario's outputs. Raises `InputError` for one that is not there."""
    there = [str(name) for name, v in data.data_vars.items() if v.dtype.kind == "f"]
    for name in signals:
        if name not in there:
            raise unknown("signal in this file", name, there, "plot")
    return list(signals) or [name for name in outputs if name in there] or there[:MOST]


def failures(data: xr.Dataset) -> list[str]:
    """Why trajectories are missing, and how many for each reason: they failed, or were not computed."""
    if "status" not in data:
        return []
    meanings = str(data.status.attrs.get("flag_meanings", "")).split()
    codes, counts = np.unique(data.status.values, return_counts=True)
    text = lambda code: meanings[code].replace("_", " ") if 0 <= code < len(meanings) else f"code {code}"
    plural = lambda n: f"{n:,} trajectory" if n == 1 else f"{n:,} trajectories"
    return [f"{plural(int(n))}: {text(int(c))}" for c, n in zip(codes, counts, strict=True) if c]


def all_failed(data: xr.Dataset) -> bool:
    """Whether no trajectory reached its end."""
    return "status" in data and bool((data.status.values != 0).all())


def doses_of(tree: xr.DataTree, regimen: str) -> list[Dose]:
    """The doses of a regimen by port; those of all subjects together, each of a series by itself, none that a reset cancels."""
    if "doses" not in tree.children:
        return []
    data = tree["doses"].to_dataset()
    if regimen not in data.regimen.values:
        regimen = str(data.regimen.values[0])
    rows = data.sel(regimen=regimen)
    column = lambda name, default: rows[name].values if name in rows else np.full(rows.sizes["dose"], default)
    found: dict[tuple[str, str, str], set[tuple[float, float, float]]] = {}
    each = [_Row(*row) for row in zip(*(column(n, d) for n, d in _Row._field_defaults.items()), strict=True)]
    for row, until in zip(each, _until(each), strict=True):
        if not math.isfinite(row.time_h) or row.evid not in (1, 4):
            continue
        if row.amt > 0:
            how = _MODELLED if row.rate_per_h < 0 else ""
            lasts = row.amt / row.rate_per_h if row.rate_per_h > 0 else row.duration_h
            times = row.time_h + np.arange(row.addl + 1 if math.isfinite(row.addl) else 1) * row.ii_h
            given = {(float(t), min(lasts, until - t), row.amt) for t in times if t <= until + _ROUNDING}
            found.setdefault((str(row.cmt), str(row.unit), how), set()).update(given)
        elif row.rate_per_h > 0:
            given = {(row.time_h, 0.0, row.rate_per_h)}
            found.setdefault((str(row.cmt), f"{row.unit or 1}/h", _CONSTANT), set()).update(given)
    return [Dose(*key, *np.array(sorted(own)).T) for key, own in found.items()]


class _Row(NamedTuple):
    """A dose or reset as a file holds it; without these columns it is a plain one."""

    time_h: float = np.nan
    cmt: str = ""
    amt: float = np.nan
    unit: str = ""
    duration_h: float = 0.0
    rate_per_h: float = 0.0
    evid: float = 1.0
    ii_h: float = 0.0
    addl: float = 0.0
    ss: float = 0.0
    subject: str = ""


def _until(rows: Sequence[_Row]) -> list[float]:
    """The time of the next reset of its subject after each row [h], none where that starts a new clock."""
    resets: dict[str, float] = {}
    found = []
    for row in reversed(rows):
        reset = resets.get(row.subject, math.inf)
        found.append(math.inf if reset < row.time_h else reset)
        if row.evid in (3, 4) or row.ss == 1:
            resets[row.subject] = row.time_h
    return found[::-1]


def limits_of(name: str, config: Mapping[str, Any], unit: str) -> list[tuple[float, str]]:
    """The limits that a scenario sets to a signal: the value in this unit, and what it is."""
    found = []
    for limit in config.get("limit", ()):
        if limit.get("signal") == name:
            written, own = units.split_quantity(str(limit["max"]))
            value = written * drawing.factor(own, unit)
            found.append((value, f"limit {number(value, 3)}: {limit.get('name', name)}"))
    return found


# ---------------------------------------------------------------- drawing
def draw_doses(axis: Any, given: Sequence[Dose], hours: float) -> None:
    """A strip with a row for each port: when it is dosed, and with how much."""
    scale = drawing.time_scale(hours)
    axis.set(xlim=(0.0, hours * scale), ylim=(len(given) - 0.35, -0.9), yticks=[], xticks=[])
    axis.spines[:].set_visible(False)
    for i, dose in enumerate(given):
        marker = ("v", "D", "^", "s", "o", "P")[i % 6]
        here = dose.times <= hours
        axis.plot(dose.times[here] * scale, np.full(here.sum(), i), marker, color="black", ms=5.5, clip_on=False)
        for time, duration in zip(dose.times[here], dose.durations[here], strict=True):
            if duration > 0.004 * hours:
                axis.plot([time * scale, min(time + duration, hours) * scale], [i, i], color="black", lw=3, alpha=0.5)
        text = drawing.plain(dose.text)
        axis.text(0.0, i - 0.45, text, transform=axis.get_yaxis_transform(), fontsize=8.5, va="center")


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
            texts.append((top, f"↑ {number(float(self.curves[FREE].max()), 3)}: given free"))
        drawing.beside(self.axis, texts, _PANEL * 0.75)


def _panel(
    axis: Any,
    data: xr.Dataset,
    config: Mapping[str, Any],
    name: str,
    side: str,
    given: Sequence[Dose],
    inches: float,
    last: bool,
) -> _Panel:
    """One signal under one hypothesis, its vertical axis as it comes."""
    signal = data[name].sel(scenario=side)
    factor, unit = drawing.drawn_in(str(signal.attrs.get("units", "1")), config.get("outputs", {}).get(name))
    hours = float(data.time.values[-1])
    scale = drawing.time_scale(hours)
    times = data.time.values * scale
    every = {str(r): np.atleast_2d(signal.sel(regimen=r).values * factor) for r in data.regimen.values}
    curves = {r: known for r, y in every.items() if len(known := y[np.isfinite(y).all(1)])}
    axis.set_title(drawing.wrapped(signal.attrs.get("long_name", name), 0.72 * inches))
    axis.set_ylabel(f"[{drawing.unit_text(unit)}]")
    drawing.time_axis(axis, hours, inches, label=last)
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
    label = drawing.plain(_TEXTS.get(regimen, regimen))
    line = drawing.key(color=colour, ls=style, lw=width, label=label)
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
    return {regimen: line, "band": drawing.block(color=GREY, alpha=0.3, label="5 to 95 % of subjects")}


def _guides(axis: Any, given: Sequence[Dose], hours: float, scale: float) -> None:
    """Faint lines where a dose is given."""
    times = sorted({t for dose in given for t in dose.times if t <= hours})
    if len(times) <= _GUIDES:
        for time in times:
            axis.axvline(time * scale, color="#BBBBBB", lw=0.6, zorder=0)


def _levels(name: str, config: Mapping[str, Any], curves: Mapping[str, np.ndarray], unit: str) -> list[_Level]:
    """Limits of the scenario, and where tumour Mg is shown the rises that matter, over the arm without Mg; all in `unit`."""
    found = [_Level(value, LINES[1], text) for value, text in limits_of(name, config, unit)]
    if name in (CONCENTRATION, _POOR) and WITHOUT in curves and len(curves[WITHOUT]) == 1:
        without = curves[WITHOUT][0]
        scale = drawing.factor("mmol/L", unit)
        found += [_Level(without + rise * scale, LINES[3], f"+{text}") for text, rise in RELEVANT.items()]
    return found


def _heights(panels: Sequence[_Panel], log: bool | None) -> None:
    """The vertical axis that panels share: the arms, and what limits are near; an arm that bursts out of it is cut off."""
    panels = [panel for panel in panels if panel.curves]
    kept = [y for panel in panels for y in _kept(panel.curves).values()]
    if not kept:
        return
    low, high = min(y.min() for y in kept), max(y.max() for y in kept)
    positive = low > 0
    as_log = positive and (log or (log is None and high / low > _DECADES))
    if log and not positive and high > 0:
        low, as_log = min(y[y > 0].min() for y in kept if (y > 0).any()), True
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
            drawing.log_axis(axis)
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
