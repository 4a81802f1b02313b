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
    """Draw a result of any job.

    Args:
        tree: an open result, or the `tree` of a run.
        signals: states and signals to draw, for jobs that have them [default: the main ones].
        log: logarithmic axes if true, linear ones if false [default: logarithmic for a quantity that spans two decades].
        by: "arm", or "hypothesis" to show the hypotheses of a simulation side by side.
        everything: all figures of the result, one below the other.

    Returns:
        A matplotlib figure.

    Raises:
        InputError: a signal is unknown, no job made the tree, or its job has no figure with these options.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt")
        >>> nanomg.plot(run.tree, ["pk.C"]).savefig("concentration.png")
    """
    asked, job = Asked(tuple(signals), log, by, everything), jobs.job_of(tree)
    if job.groups[0] in job.missing(tree.children):
        raise InputError(
            f"the file is of {job.name} and has no {job.groups[0].partition('|')[0]}, so there is nothing to draw"
        )
    for given, word, name in (
        (asked.signals, "SIGNAL", "signals"),
        (log is not None, "--log" if log else "--linear", "log"),
        (by != ARM, "--by", "by"),
    ):
        if given and not _takes(job, name):
            takers = ", ".join(other.name for other in jobs.table().values() if _takes(other, name))
            raise InputError(f"this option is for results of {takers}; this file is a result of {job.name}", word)
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
