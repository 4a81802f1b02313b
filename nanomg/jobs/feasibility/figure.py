"""How far Mg rises over all that the cards hold possible: ranges of each part of the rise, and the share that reaches what."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nanomg.drawing import style
from nanomg.drawing.asked import Asked
from nanomg.drawing.style import COLOURS, LINES, Picture
from nanomg.formatting import format_number, percent
from nanomg.jobs.feasibility.percentiles import percentiles
from nanomg.results import reading
from nanomg.simulation.roles import RELEVANT

_DECADES = 1e-5  # of the highest rise: what is lower is drawn at the edge
_LOOKS = {"peak": ("s", COLOURS[1]), "day": ("o", COLOURS[0]), "mean": ("D", COLOURS[2])}
_TEXTS = {"peak": "highest value", "day": "highest mean over 24 h", "mean": "mean over the horizon"}
_SHOWN = "day"  # the statistic of the curves, as in the verdict


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """Ranges of the rise, and the share of samples that reach it."""
    found = tree["feasibility"].to_dataset()
    rise = found.rise
    if not np.isfinite(rise.values).any():
        why = "; ".join(reading.failures(found))
        return [style.message("Rise of tumour free Mg", f"No sample could be solved. {why}")]
    return [_ranges(rise), _reached(rise)]


def _parts(rise: xr.DataArray) -> dict[str, dict[str, np.ndarray]]:
    """The samples that were solved, by part of the rise and statistic."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in map(str, rise["quantity"].values):
        part, _, statistic = name.rpartition(", ")
        values = rise.sel(quantity=name).values
        found.setdefault(part, {})[statistic] = values[np.isfinite(values)]
    return found


def _ends(rise: xr.DataArray) -> tuple[float, float]:
    values = rise.values[np.isfinite(rise.values)]
    high = max(float(np.quantile(values, 0.999)), 2.0 * max(RELEVANT.values()))
    low = float(np.quantile(values[values > 0], 0.02)) if (values > 0).any() else high * _DECADES
    return max(high * _DECADES, min(low, min(RELEVANT.values()) / 3)), high * 1.5


def _ranges(rise: xr.DataArray) -> Picture:
    parts = _parts(rise)
    low, high = _ends(rise)
    solved = rise.notnull().any("quantity").values
    notes = [f"median and 5 to 95 % of {solved.sum():,} samples"]
    notes += [f"{(~solved).sum():,} that failed are left out"] if not solved.all() else []

    def draw(part: Any) -> None:
        axis = part.subplots()
        cut = False
        for i, (_, own) in enumerate(parts.items()):
            for k, (statistic, values) in enumerate(own.items()):
                marker, colour = _LOOKS.get(statistic, ("o", COLOURS[3]))
                y = i + 0.24 * (k - (len(own) - 1) / 2)
                ends = np.array(list(percentiles(values).values()))
                inside = (low <= ends) & (ends <= high)
                axis.plot(np.clip(ends[::2], low, high), [y, y], color=colour, lw=2.2)
                for end, look, there in zip(ends, ("|", marker, "|"), inside, strict=True):
                    if there:
                        axis.plot(end, y, look, color=colour, ms=6)
                cut |= not inside.all()
        axis.set_xlim(low, high)
        axis.set_yticks(range(len(parts)), [style.wrapped(name, 1.6) for name in parts])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(parts) - 0.5, -0.5)
        _targets(axis)
        axis.set_xlabel("rise of free Mg compared with the arm without Mg [mmol/L]")
        handles = [
            style.key(color=colour, marker=marker, lw=2.2, label=_TEXTS[name])
            for name, (marker, colour) in _LOOKS.items()
        ]
        style.legend(part, handles, "; ".join([*notes, *(["clipped whiskers extend beyond the axis"] if cut else [])]))

    return Picture("Rise of tumour free Mg, by its parts", 0.72 * len(parts) + 1.5, draw)


def _reached(rise: xr.DataArray) -> Picture:
    shown_parts = {part: by[_SHOWN] for part, by in _parts(rise).items() if _SHOWN in by}
    low, high = _ends(rise)

    def draw(part: Any) -> None:
        axis = part.subplots()
        handles = []
        for k, (name, values) in enumerate(shown_parts.items()):
            look = {"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)]}
            x = np.sort(values)
            axis.plot(np.clip(x, low, None), 100.0 * np.arange(len(x), 0, -1) / max(len(x), 1), **look)
            shares = ", ".join(percent(float((values >= t).mean())) for t in RELEVANT.values())
            handles.append(style.key(**look, label=f"{style.literal(name)}: {shares}"))
        axis.set(xlim=(low, high), ylim=(0.0, 102.0))
        _targets(axis)
        axis.set_xlabel("rise of free Mg over its best 24 h [mmol/L]")
        axis.set_ylabel("share of samples that reach it [%]")
        reach = " and ".join(f"+{format_number(t, 3)}" for t in RELEVANT.values())
        style.legend(part, handles, f"share of samples that reach {reach} mmol/L")

    return Picture("Share of samples that reach a rise", 3.6, draw)


def _targets(axis: Any) -> None:
    """The rises that matter, as lines named above the axis."""
    style.log_axis(axis, "x")
    for text, target in RELEVANT.items():
        axis.axvline(target, color="black", lw=1.0, ls=LINES[3], zorder=1)
        axis.text(target, 1.01, f"+{text}", transform=axis.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
