"""What a calibration found: observed and predicted over time and against each other, residuals, fitted values with their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from nanomg.drawing import style
from nanomg.drawing.asked import Asked
from nanomg.drawing.style import COLOURS, GREY, LINES, Picture
from nanomg.formatting import format_number
from nanomg.results.attributes import SUMMARY, json_object
from nanomg.units import unit_text

_PARTS = {"fit": ("fitted", "o", COLOURS[0]), "judge": ("held out", "s", COLOURS[1])}
_DECADES = 20.0  # a panel that spans more than this factor is logarithmic
_PANEL, _BAR = 3.0, 0.42  # [inch]
_ABREAST, _MOST = 3, 12  # panels over time: next to each other, and in all
_THIN, _FAINT = 0.7, 0.5  # line of one subject
_EDGE = 0.02  # of the time axis, so that no marker is cut
_TAIL = 1.6448536269514722  # 95 % point of the standard normal


def _below_limit() -> Any:
    return style.key(ls="", marker="v", mfc="white", color=GREY, label="observed below this limit")


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """Observed and predicted over time, where data are points of curves, and against each other; residuals; the fitted values."""
    found = tree["calibration"].to_dataset()
    parameters = json_object(tree.attrs, SUMMARY).get("parameters", {})
    courses = [_over_time(found, tree["curves"].to_dataset())] if "curves" in tree.children else []
    return [*courses, _observed(found), _residuals(found), _values(found, parameters)]


def _over_time(found: xr.Dataset, curves: xr.Dataset) -> Picture:
    """Each fitted curve with the data that are points of it; values of one subject are joined by a thin line."""
    names = [str(name) for name in curves.curve.values]
    shown = names[:_MOST]
    columns = min(_ABREAST, len(shown))
    rows = math.ceil(len(shown) / columns)
    there = {str(p) for p in found.part.values[np.isin(found.curve_name.values, shown)]}
    subjects = {str(s) for s in found.subject.values} - {""}
    left = len(names) - len(shown)
    note = f"and {left} more curve{'s' if left > 1 else ''} in the file" if left else ""

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(shown) :]:
            axis.set_axis_off()
        for axis, name in zip(axes, shown, strict=False):
            _course(axis, name, found.isel(row=found.curve_name.values == name), curves.sel(curve=name), columns)
        handles = [
            style.key(ls="", marker=marker, color=colour, label=text)
            for name, (text, marker, colour) in _PARTS.items()
            if name in there
        ]
        if len(subjects) > 1:
            handles.append(
                style.key(color=COLOURS[0], lw=_THIN, alpha=_FAINT, label=f"one of {len(subjects)} subjects")
            )
        if bool(found.below.values.any()):
            handles.append(_below_limit())
        style.legend(part, [*handles, style.key(color="black", lw=1.6, label="predicted with the fitted values")], note)

    return Picture("Observed and predicted over time", _PANEL * rows + 0.6, draw)


def _course(axis: Any, name: str, rows: xr.Dataset, curve: xr.Dataset, columns: int) -> None:
    """One curve and its data."""
    known = np.isfinite(curve.time.values)
    hours = float(max(curve.time.values[known].max(), rows.time.values.max(initial=0.0)))
    scale = style.time_scale(hours)
    times, predicted = curve.time.values[known] * scale, curve.predicted.values[known]
    at, seen, below = rows.time.values * scale, rows.observed.values, rows.below.values.astype(bool)
    for subject in dict.fromkeys(map(str, rows.subject.values)):
        members = (rows.subject.values == subject) & ~below
        if subject:
            order = np.argsort(at[members], kind="stable")
            axis.plot(at[members][order], seen[members][order], color=COLOURS[0], lw=_THIN, alpha=_FAINT, zorder=1)
    for part, (_, marker, colour) in _PARTS.items():
        members = (rows.part.values == part) & ~below
        axis.plot(at[members], seen[members], marker, color=colour, ms=4.5, zorder=3)
    axis.plot(at[below], seen[below], "v", mfc="white", mec=GREY, ms=5, zorder=2)
    axis.plot(times, predicted, color="black", lw=1.6, zorder=2.5)
    style.time_axis(axis, hours, style.WIDTH / columns)
    axis.set_xlim(-_EDGE * hours * scale, (1.0 + _EDGE) * hours * scale)
    positive = np.concatenate([seen, predicted])
    positive = positive[positive > 0]
    if len(positive) and seen.min() > 0 and seen.max() > _DECADES * seen.min():
        axis.set_ylim(0.5 * seen.min(), 2.0 * positive.max())
        style.log_axis(axis)
    else:
        axis.set_ylim(bottom=min(0.0, float(seen.min())))
    called, _, unit = name.rpartition(" [")
    axis.set_title(style.wrapped(called, style.WIDTH / columns), fontsize=9)
    axis.set_ylabel(f"{called.rpartition(', ')[2]} [{unit_text(unit.rstrip(']'))}]")


def _observed(found: xr.Dataset) -> Picture:
    units = list(dict.fromkeys(map(str, found.unit.values)))
    failed = int((~np.isfinite(found.predicted.values)).sum())
    note = f"not drawn: {failed} of {found.sizes['row']} rows, whose prediction failed" if failed else ""
    columns = max(2, min(3, len(units)))
    rows = math.ceil(len(units) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(units) :]:
            axis.set_axis_off()
        for axis, unit in zip(axes, units, strict=False):
            _against(axis, found.isel(row=found.unit.values == unit), unit)
        there = {str(p) for p in found.part.values}
        handles = [
            style.key(ls="", marker=marker, color=colour, label=text)
            for name, (text, marker, colour) in _PARTS.items()
            if name in there
        ]
        handles.append(style.key(ls="", marker="o", mfc="white", color=GREY, label="before the fit"))
        handles.append(style.key(color=GREY, ls=LINES[1], lw=0.9, label="twofold"))
        if "below" in found and bool(found.below.values.any()):
            handles.append(_below_limit())
        style.legend(part, handles, note)

    return Picture("Observed against predicted", _PANEL * rows + 0.6, draw)


def _against(axis: Any, rows: xr.Dataset, unit: str) -> None:
    below = rows.below.values.astype(bool) if "below" in rows else np.full(rows.sizes["row"], False)
    seen, before, after = (rows[k].values for k in ("observed", "predicted_at_start", "predicted"))
    every = np.concatenate([seen, before, after])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    as_log = low > 0 and high > _DECADES * low
    room = 1.3 if as_log else 0.06 * (high - low) or 1.0
    ends = np.array([low / room, high * room] if as_log else [min(low - room, 0.0), high + room])
    axis.plot(ends, ends, color=GREY, lw=0.9, zorder=1)
    for factor in (0.5, 2.0):
        axis.plot(ends, factor * ends, color=GREY, lw=0.9, ls=LINES[1], zorder=1)
    axis.plot(seen[~below], before[~below], "o", mfc="white", mec=GREY, ms=4.5, zorder=2)
    axis.plot(seen[below], after[below], "v", mfc="white", mec=GREY, ms=5, zorder=2)
    for name, (_, marker, colour) in _PARTS.items():
        members = (rows.part.values == name) & ~below
        axis.plot(seen[members], after[members], marker, color=colour, ms=5, zorder=3)
    axis.set(xlim=ends, ylim=ends, box_aspect=0.75)
    if as_log:
        style.log_axis(axis, "x")
        style.log_axis(axis, "y")
    axis.set_xlabel(f"observed [{unit_text(unit)}]")
    axis.set_ylabel(f"predicted [{unit_text(unit)}]")


def _residuals(found: xr.Dataset) -> Picture:
    values, parts = found.residual.values, found.part.values
    what = [str(q) for q in found.quantity.values]

    def draw(part: Any) -> None:
        axis = part.subplots()
        for name, (_, marker, colour) in _PARTS.items():
            at = np.flatnonzero(parts == name)
            axis.vlines(at + 1, 0.0, values[at], color=colour, lw=0.9)
            axis.plot(at + 1, values[at], marker, color=colour, ms=4.5)
        axis.axhline(0.0, color="black", lw=0.8)
        axis.axhspan(-2.0, 2.0, color=GREY, alpha=0.12, lw=0)
        known = np.abs(values[np.isfinite(values)])
        axis.set_ylim(*(1.1 * max(3.0, float(known.max()) if len(known) else 3.0) * np.array([-1, 1])))
        axis.set_xlim(0.5, len(values) + 0.5)
        changes = [i for i in range(1, len(what)) if what[i] != what[i - 1]]
        for i in changes if 2 * len(changes) < len(what) else ():
            axis.axvline(i + 0.5, color="#CCCCCC", lw=0.6, zorder=0)
        axis.locator_params(axis="x", integer=True)
        axis.set_xlabel("row of the data")
        axis.set_ylabel("residual [SD]")
        there = [v for k, v in _PARTS.items() if (parts == k).any()]
        handles = [style.key(ls="", marker=marker, color=colour, label=text) for text, marker, colour in there]
        style.legend(part, [*handles, style.block(color=GREY, alpha=0.2, label="within two standard deviations (SD)")])

    return Picture("Residuals of the rows", 2.7, draw)


def _values(found: xr.Dataset, told: Mapping[str, Any]) -> Picture:
    """Each fitted value beside the card's, which is 1, with its 90 % interval, prior and bounds."""
    names = [name for name in map(str, found.parameter.values) if name in told]
    if not names:
        return style.message("Fitted values", "The file does not contain the values before the fit.")

    def draw(part: Any) -> None:
        axis = part.subplots()
        spans = []
        for i, name in enumerate(names):
            entry = told[name]
            start, estimate = entry["start"], entry["estimate"]
            unit = unit_text(entry["unit"])
            relative = lambda v, start=start: v / start if v is not None else math.nan
            low, high = relative(entry["low"]), relative(entry["high"])
            if entry.get("prior"):
                spread = math.exp(_TAIL * math.sqrt(math.log1p(entry["prior"]["cv"] ** 2)))
                middle = relative(entry["prior"]["value"])
                axis.barh(i, middle * spread - middle / spread, 0.5, left=middle / spread, color=COLOURS[5], alpha=0.45)
                spans += [middle / spread, middle * spread]
            axis.plot([low, high], [i, i], "|-", color=COLOURS[0], lw=2.0)
            axis.plot(relative(estimate), i, "o", color=COLOURS[0], ms=7)
            axis.plot([relative(b) for b in entry["bounds"]], [i, i], "|", color="black", ms=13, mew=1.2)
            spans += [relative(estimate)]
            text = f"{format_number(estimate, 3)} {unit} ({format_number(entry['low'], 3)} to {format_number(entry['high'], 3)})"
            text += f", at its {entry['bound']} bound" if entry["bound"] else ""
            axis.text(1.02, i, style.wrapped(text, 2.8), transform=axis.get_yaxis_transform(), va="center", fontsize=9)
        axis.axvline(1.0, color=GREY, lw=1.0, ls=LINES[1])
        axis.set_yticks(range(len(names)), [style.literal(name) for name in names])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(names) - 0.4, -0.6)
        ends = min([0.5, *spans]) / 2, max([2.0, *spans]) * 2
        axis.set_xlim(ends)
        style.log_axis(axis, "x")
        axis.set_xlabel("value as a multiple of the card's before the fit [–]")
        handles: list[Any] = [
            style.key(color=COLOURS[0], marker="o", label="fitted, with 90 % interval"),
            style.key(color="black", marker="|", ms=11, ls="", label="bounds of the search"),
        ]
        if any(told[name].get("prior") for name in names):
            handles.append(style.block(color=COLOURS[5], alpha=0.45, label="90 % of the prior"))
        style.legend(part, handles)

    return Picture("Fitted values", _BAR * len(names) + 1.2, draw)
