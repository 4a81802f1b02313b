"""Figures of a result: `plot` gives the ones that matter first, `figures` all that a report shows.

    tree = nanomg.open("run.h5")
    nanomg.plot(tree, ["tumour.volume"]).savefig("volume.png")

Figures are matplotlib's; `plots.course(tree, signal, axis)` draws into an axis of your own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from nanomg import jobs
from nanomg.drawing import style
from nanomg.drawing.asked import ARM, Asked
from nanomg.drawing.style import Picture, save
from nanomg.errors import InputError
from nanomg.jobs import Job
from nanomg.jobs.simulate.figure import course

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["course", "figures", "pictures", "plot", "save"]


def plot(
    tree: xr.DataTree,
    signals: Sequence[str] = (),
    *,
    log: bool | None = None,
    by: str = ARM,
    everything: bool = False,
) -> Figure:
    """The figure of a result of any job; `signals` narrow it down to those, where a result has signals.

    `log` draws quantities on a logarithmic axis, or on a linear one if False; by default each as it spans. `by` "hypothesis" puts
    the hypotheses of a simulation side by side; with `everything` all figures follow below each other.
    Raises `InputError` for an unknown signal, for a file of no job, and for what the figures of its job do not take.
    """
    asked, job = Asked(tuple(signals), log, by, everything), jobs.job_of(tree)
    for given, word, name in (
        (asked.signals, "SIGNAL", "signals"),
        (log is not None, "--log" if log else "--linear", "log"),
        (by != ARM, "--by", "by"),
    ):
        if given and not _takes(job, name):
            takers = ", ".join(other.name for other in jobs.table().values() if _takes(other, name))
            raise InputError(f"this is for results of {takers}, and the file is one of {job.name}", word)
    return style.sheet(job.figure.pictures(tree, asked), str(tree.attrs.get("title", "")))


def _takes(job: Job, name: str) -> bool:
    return name in getattr(job.figure, "TAKES", ())


def pictures(tree: xr.DataTree) -> Mapping[str, Picture]:
    """Every picture of a result, each by its title in words; of several with one title the second is `TITLE (2)`."""
    named: dict[str, Picture] = {}
    seen: Counter[str] = Counter()
    for picture in jobs.job_of(tree).figure.pictures(tree, Asked()):
        seen[picture.title] += 1
        count = seen[picture.title]
        named[picture.title if count == 1 else f"{picture.title} ({count})"] = picture
    return named


def figures(tree: xr.DataTree) -> Mapping[str, Figure]:
    """Every figure of a result, each by its title, as for `pictures`."""
    return {title: style.sheet([picture]) for title, picture in pictures(tree).items()}
