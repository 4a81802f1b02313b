"""Figures of a result: `plot` gives the one that a file of this kind is first looked at by, `figures` all that a report shows.

    tree = nanomg.open("run.h5")
    nanomg.plot(tree, ["tumour.volume"]).savefig("volume.png")

Figures are matplotlib's; `plots.course(tree, signal, axis)` draws into an axis of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from nanomg import courses, drawing, kinds
from nanomg.courses import ARM, course
from nanomg.drawing import Picture, save
from nanomg.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["course", "figures", "plot", "save"]


def plot(tree: xr.DataTree, signals: Sequence[str] = (), *, log: bool | None = None, by: str = ARM) -> Figure:
    """The figure of a result of any kind; `signals` narrow it down to those, where a result has signals.

    `log` draws quantities on a logarithmic axis, or on a linear one if False; by default each as it spans. `by` "hypothesis" puts
    the hypotheses of a simulation beside each other. Raises `InputError` for an unknown signal and for a file of no kind.
    """
    return drawing.sheet(_pictures(tree, signals, log, by), str(tree.attrs.get("title", "")))


def figures(tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of a result, each by its title in words."""
    return {picture.title: drawing.sheet([picture]) for picture in _pictures(tree, (), None, ARM)}


def _pictures(tree: xr.DataTree, signals: Sequence[str], log: bool | None, by: str) -> list[Picture]:
    kind = kinds.kind_of(tree)
    if kind not in _OF:
        raise InputError(f"a result of {kind} has no figure")
    return _OF[kind](tree, signals, log, by)


_OF: Mapping[str, Callable[[xr.DataTree, Sequence[str], bool | None, str], list[Picture]]] = {
    kinds.SIMULATE: courses.pictures,
    kinds.OPTIMIZE: courses.pictures,
}
