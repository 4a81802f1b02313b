"""A finished run: its result, its summary and its file."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanomg.results import file

if TYPE_CHECKING:
    import xarray as xr

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


def finish(groups: Groups | Callable[[], Groups], summary: dict[str, Any], path: Path | None, **about: Any) -> Run:
    """The run of these groups, or of those that a function makes, written to `path` if there is one.

    `about` are further arguments of `results.file.root_attributes`.
    """
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
