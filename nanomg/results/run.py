"""A finished run: its result, its summary and its file."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanomg.results import file

if TYPE_CHECKING:
    import xarray as xr

    from nanomg.equations.model import Model

    Groups = Mapping[str, xr.Dataset]


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: the result as an xarray tree, what `--json` prints, and the file if one was written."""

    summary: dict[str, Any]
    path: Path | None
    make_tree: Callable[[], xr.DataTree] = dataclasses.field(repr=False)

    @functools.cached_property
    def tree(self) -> xr.DataTree:
        """Everything that was computed, made when it is asked for: the command line needs the summary alone."""
        return self.make_tree()


def finish(
    groups: Groups | Callable[[], Groups],
    summary: dict[str, Any],
    path: Path | None,
    *,
    job: str,
    title: str,
    config: Mapping[str, Any],
    seed: int = 0,
    model: Model | Sequence[Model] = (),
    command: str = "",
) -> Run:
    """The finished run of a job, written to a file if there is a path.

    Args:
        groups: datasets by the name of their group, or a function that makes them when they are needed.
        summary: what `--json` prints.
        path: the result file, which is replaced.
        job: the name of the job.
        title: of the result.
        config: what was asked for, resolved.
        seed: of random numbers.
        model: what was solved, or each of several, if anything was.
        command: the command line, for the history of the file.

    Returns:
        The run. Its tree is made when it is asked for.

    Raises:
        InputError: the file cannot be written.
    """
    about: dict[str, Any] = {
        "job": job,
        "title": title,
        "config": config,
        "seed": seed,
        "model": model,
        "command": command,
    }
    ended = datetime.datetime.now(datetime.UTC)

    @functools.cache
    def content() -> tuple[Groups, dict[str, Any]]:
        made = groups() if callable(groups) else groups
        return made, file.root_attributes(summary=summary, ended=ended, **about)

    def make_tree() -> xr.DataTree:
        import xarray as xr

        data, attributes = content()
        tree = xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in data.items()})
        tree.attrs.update(attributes)
        return tree

    if path is not None:
        file.write(path, *content(), force=True)
    return Run(summary, path, make_tree)
