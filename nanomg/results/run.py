"""A finished run: its result, its summary and its file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from nanomg.results import file


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: the result as an xarray tree, what `--json` prints, and the file if one was written."""

    tree: xr.DataTree
    summary: dict[str, Any]
    path: Path | None


def finish(groups: Mapping[str, xr.Dataset], summary: dict[str, Any], path: Path | None, **about: Any) -> Run:
    """The run of these groups, written to `path` if there is one; `about` are further arguments of `results.root_attributes`."""
    attributes = file.root_attributes(summary=summary, **about)
    if path is not None:
        file.write(path, groups, attributes, force=True)
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs.update(attributes)
    return Run(tree, summary, path)
