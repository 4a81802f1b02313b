"""What a calibration found: observed against predicted before and after, residuals, and the fitted values with their ranges."""

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
_TAIL = 1.6448536269514722  # 95 % point of the standard normal


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """Observed against predicted, residuals, and the fitted values."""
    found = tree["calibration"].to_dataset()
    parameters = json_object(tree.attrs, SUMMARY).get("parameters", {})
    return [_observed(found), _residuals(found), _values(found, parameters)]


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
        before = style.key(ls="", marker="o", mfc="white", color=GREY, label="before the fit")
        twofold = style.key(color=GREY, ls=LINES[1], lw=0.9, label="twofold")
        style.legend(part, [*handles, before, twofold], note)

    return Picture("Observed against predicted", _PANEL * rows + 0.6, draw)


def _against(axis: Any, rows: xr.Dataset, unit: str) -> None:
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
    axis.plot(seen, before, "o", mfc="white", mec=GREY, ms=4.5, zorder=2)
    for name, (_, marker, colour) in _PARTS.items():
        members = rows.part.values == name
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
