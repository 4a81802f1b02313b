"""The picture of a sensitivity: elasticities, what the output does over the ranges, and Sobol indices, as a PNG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.patches import Patch

from nanomg.drawing.asked import Asked
from nanomg.drawing.style import COLOURS, Picture, literal, log_axis, message, save, sheet
from nanomg.library.card import BASES
from nanomg.population.ranges import CARD
from nanomg.results.attributes import SUMMARY, json_object
from nanomg.units import unit_text

if TYPE_CHECKING:
    import xarray as xr

_FEWEST, _SHOWN = 4, 12  # bars that a panel has room for
_LITTLE = 0.01  # of the largest: smaller bars are left out
_MOST = 20.0  # of the logarithm of the output: what lies beyond is cut
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "|||")
_KNOWN = {
    basis: {"facecolor": colour, "hatch": hatch, "edgecolor": "white"}
    for basis, colour, hatch in zip((*BASES, "dosed", "column"), COLOURS, _HATCHES, strict=False)
}
_BAR, _PANEL = 0.24, 5.4  # [inch]

Rows = Sequence[Mapping[str, Any]]


def draw(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the picture of a summary of nanomg.jobs.sensitivity.run."""
    save(sheet([picture(summary)]), path)


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """One picture, of elasticities, effects of the ranges and Sobol indices."""
    if SUMMARY not in tree.attrs:
        return [message("What the outputs depend on", "The file has no summary to draw.")]
    return [picture(json_object(tree.attrs, SUMMARY))]


def picture(summary: Mapping[str, Any]) -> Picture:
    """One row of panels for each output of a summary of nanomg.jobs.sensitivity.run."""
    parts = [_Panels(output, *_shown(summary, output["output"])) for output in summary["outputs"]]
    heights = [_BAR * part.bars + 1.5 for part in parts]
    columns = 3 if summary["sobol"] else 2

    def draw(whole: Any) -> None:
        rows = whole.subfigures(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for row, part in zip(rows, parts, strict=True):
            axes = row.subplots(1, columns)
            _draw_elasticities(axes[0], part.elastic)
            _draw_ranges(axes[1], part.ranged, summary["over"])
            if summary["sobol"]:
                _draw_indices(axes[2], part.indices)
            for axis in axes:
                axis.set_ylim(part.bars - 0.4, -0.6)
            o = part.output
            row.suptitle(literal(f"{o['output']} = {o['value']:.4g} {unit_text(o['unit'])}: {o['text']}"), fontsize=10)

    return Picture("What the outputs depend on", sum(heights), draw, _PANEL * columns)


class _Panels(NamedTuple):
    """An output and the rows that its panels show."""

    output: Mapping[str, Any]
    elastic: Rows
    ranged: Rows
    indices: Rows

    @property
    def bars(self) -> int:
        """How many bars the fullest panel has."""
        return max(_FEWEST, *(len(rows) for rows in self[1:]))


def _shown(summary: Mapping[str, Any], output: str) -> tuple[Rows, Rows, Rows]:
    rows = [row for row in summary["elasticities"] if row["output"] == output]
    indices = [row for row in summary["sobol"]["indices"] if row["output"] == output] if summary["sobol"] else []
    return _largest(rows, "elasticity"), _largest(rows, "range_effect"), indices[:_SHOWN]


def _largest(rows: Rows, key: str) -> Rows:
    """The rows that a panel shows, the largest first."""
    size = lambda row: abs(row[key] or 0.0)
    ordered = sorted(rows, key=size, reverse=True)[:_SHOWN]
    return [row for row in ordered if size(row) > _LITTLE * size(ordered[0])]


def _draw_elasticities(axis: Any, rows: Rows) -> None:
    for i, row in enumerate(rows):
        axis.barh(i, row["elasticity"], **_KNOWN[row["basis"]])
    known = [basis for basis in _KNOWN if any(row["basis"] == basis for row in rows)]
    _finish(axis, rows, "elasticity [% of the output per % of the value]", 0.0, {b: _KNOWN[b] for b in known})


def _draw_ranges(axis: Any, rows: Rows, over: str) -> None:
    low, high = {"facecolor": COLOURS[5]}, {"facecolor": COLOURS[1], "hatch": "///", "edgecolor": "white"}
    for key, look in (("at_low", low), ("at_high", high)):
        fold = np.exp(np.clip([row[key] for row in rows], -_MOST, _MOST))
        axis.barh(range(len(rows)), fold - 1.0, left=1.0, **look)
    log_axis(axis, "x")
    what = "of the card's range" if over == CARD else "among subjects"
    looks = {f"low end {what}": low, "high end": high}
    _finish(axis, rows, "output at an end of the range / at the value [–]\n(linear estimate)", 1.0, looks)


def _draw_indices(axis: Any, rows: Rows) -> None:
    alone, total = COLOURS[0], COLOURS[5]
    for key, colour, shift in (("S1", alone, -0.2), ("ST", total, 0.2)):
        at, size = np.arange(len(rows)) + shift, np.array([row[key] for row in rows], float)
        error = np.array([row[f"{key}_conf"] for row in rows], float)
        axis.barh(at, size, 0.4, xerr=error, color=colour, ecolor="#444444", error_kw={"lw": 0.8, "capsize": 2})
    looks = {"alone (S1)": {"facecolor": alone}, "with interactions (ST)": {"facecolor": total}}
    _finish(axis, rows, "share of the variance, 95 % interval [–]", 0.0, looks)


def _finish(axis: Any, rows: Rows, label: str, middle: float, looks: Mapping[str, Mapping[str, Any]]) -> None:
    """One bar for each row, the first at the top, about a line in the middle; what the bars mean above."""
    axis.axvline(middle, color="#444444", lw=0.8)
    axis.set_yticks(range(len(rows)), [row["parameter"] for row in rows])
    axis.set_xlabel(label, fontsize=9)
    patches = [Patch(**look, label=text) for text, look in looks.items()]
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": max(len(patches), 1)}
    axis.legend(handles=patches, frameon=False, fontsize=8, **place)
    axis.tick_params(labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
