"""Figures of a result: `plot` gives the one that a file of this kind is first looked at by, `figures` all that a report shows.

    tree = nanomg.open("run.h5")
    nanomg.plot(tree, ["tumour.volume"]).savefig("volume.png")

Figures are matplotlib's; `plots.course(tree, signal, axis)` draws into an axis of one's own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import xarray as xr

from nanomg.drawing import style
from nanomg.drawing.style import Picture, save
from nanomg.errors import InputError
from nanomg.jobs.calibrate import figure as calibrate_figure
from nanomg.jobs.feasibility import figure as feasibility_figure
from nanomg.jobs.optimize import figure as optimize_figure
from nanomg.jobs.sensitivity import figure as sensitivity_figure
from nanomg.jobs.simulate import figure
from nanomg.jobs.simulate.figure import ARM, course
from nanomg.jobs.sweep import figure as sweep_figure
from nanomg.jobs.validate import figure as validate_figure
from nanomg.results import kinds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["course", "figures", "plot", "save"]


def plot(
    tree: xr.DataTree,
    signals: Sequence[str] = (),
    *,
    log: bool | None = None,
    by: str = ARM,
    everything: bool = False,
) -> Figure:
    """The figure of a result of any kind; `signals` narrow it down to those, where a result has signals.

    `log` draws quantities on a logarithmic axis, or on a linear one if False; by default each as it spans. `by` "hypothesis" puts
    the hypotheses of a simulation beside each other; with `everything` all figures follow below each other.
    Raises `InputError` for an unknown signal, for a file of no kind, and for what the figure of its kind cannot take.
    """
    asked, kind = Asked(tuple(signals), log, by), kinds.kind_of(tree)
    for given, word, takers in (
        (asked.signals, "SIGNAL", _WITH_SIGNALS),
        (log is not None, "--log" if log else "--linear", _WITH_SIGNALS),
        (by != ARM, "--by", _WITH_ARMS),
    ):
        if given and kind not in takers:
            raise InputError(f"this is for results of {', '.join(takers)}, and the file is one of {kind}", word)
    pictures = _OF[kind](tree, asked, not everything)
    return style.sheet(pictures, str(tree.attrs.get("title", "")))


def figures(tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of a result, each by its title in words; of several with one title the second is `TITLE (2)`."""
    found: dict[str, Figure] = {}
    seen: Counter[str] = Counter()
    for picture in _OF[kinds.kind_of(tree)](tree, Asked(), False):
        seen[picture.title] += 1
        count = seen[picture.title]
        found[picture.title if count == 1 else f"{picture.title} ({count})"] = style.sheet([picture])
    return found


class Asked(NamedTuple):
    """How a figure is wanted."""

    signals: tuple[str, ...] = ()
    log: bool | None = None
    by: str = ARM


def _of_simulation(tree: xr.DataTree, asked: Asked, first: bool) -> list[Picture]:
    return figure.pictures(tree, *asked)


def _of_optimum(tree: xr.DataTree, asked: Asked, first: bool) -> list[Picture]:
    if asked.signals:
        return figure.pictures(tree, *asked)
    some = tuple(optimize_figure.signals_of(tree)) if first else ()
    return [*figure.pictures(tree, *asked._replace(signals=some)), *optimize_figure.pictures(tree, first)]


def _of_sweep(tree: xr.DataTree, asked: Asked, first: bool) -> list[Picture]:
    return sweep_figure.pictures(tree, asked.signals, asked.log, not first)


def _of_sensitivity(tree: xr.DataTree, asked: Asked, first: bool) -> list[Picture]:
    if "summary_json" not in tree.attrs:
        return [style.message("What the outputs depend on", "The file holds no summary to draw.")]
    return [sensitivity_figure.picture(json.loads(tree.attrs["summary_json"]))]


_OF: Mapping[str, Callable[[xr.DataTree, Asked, bool], list[Picture]]] = {
    kinds.SIMULATE: _of_simulation,
    kinds.OPTIMIZE: _of_optimum,
    kinds.SWEEP: _of_sweep,
    kinds.VALIDATE: lambda tree, asked, first: validate_figure.pictures(tree),
    kinds.CALIBRATE: lambda tree, asked, first: calibrate_figure.pictures(tree),
    kinds.FEASIBILITY: lambda tree, asked, first: feasibility_figure.pictures(tree),
    kinds.SENSITIVITY: _of_sensitivity,
}
_WITH_ARMS = (kinds.SIMULATE, kinds.OPTIMIZE)
_WITH_SIGNALS = (*_WITH_ARMS, kinds.SWEEP)
