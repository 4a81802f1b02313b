"""What a report knows of a result file: what it holds, the words of the library for its names, and what is missing."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from nanomg.errors import InputError
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import rebuild
from nanomg.page.blocks import Cell, number_cell
from nanomg.results import groups, kinds
from nanomg.simulation.arms import AS_GIVEN


@dataclasses.dataclass(frozen=True)
class ResultReader:
    """A result file as one reads it, with a library that need not be the one that it was made with."""

    tree: xr.DataTree
    library: Library

    @functools.cached_property
    def kind(self) -> str:
        """Which job made it, by its groups or else by its summary; empty where neither tells."""
        for found in (self.tree, self.summary):
            with contextlib.suppress(InputError):
                return kinds.kind_of(found)
        return ""

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """The summary of the run; empty where the file holds none."""
        return self._json("summary_json")

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """What was asked for; empty where the file does not say."""
        return self._json("config_json")

    @property
    def file(self) -> Mapping[str, Any]:
        """The scenario's file, as it was."""
        return self.config.get("file", {})

    @functools.cached_property
    def scenario(self) -> Scenario | None:
        """The scenario, built again with the library of now; None where that cannot be."""
        try:
            return rebuild(self.config, self.library)
        except (InputError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(str(self.tree.attrs.get(name, "{}")))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def attribute(self, name: str) -> str:
        """An attribute of the root as text; empty where there is none."""
        value = np.asarray(self.tree.attrs.get(name, ""))
        return str(value.reshape(-1)[0]) if value.size == 1 else str(value)

    def group(self, name: str) -> xr.Dataset | None:
        """The datasets of a group, None where the file has none."""
        return self.tree[name].to_dataset() if name in self.tree.children else None

    def cell(self, *path: str | int, digits: int = 4) -> Cell:
        """A number of the summary, which says where it stands."""
        return number_cell(self.at(*path), digits, "/".join(map(str, path)))

    def at(self, *path: str | int) -> Any:
        """What the summary holds at a place, None where it holds nothing."""
        found: Any = self.summary
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    # ------------------------------------------------------------------ words
    @functools.cached_property
    def glossary(self) -> dict[str, str]:
        """What each name of the scenario's mechanisms means; signals in the file have the words of their run."""
        used = self.file.get("mechanisms") or list(self.library.mechanisms)
        texts: dict[str, str] = {}
        for name in used:
            if (mechanism := self.library.mechanisms.get(name)) is not None:
                shelves = mechanism.states, mechanism.signals, mechanism.inputs, mechanism.ports, mechanism.parameters()
                texts |= {key: declared.text for shelf in shelves for key, declared in shelf.items()}
        if (simulation := self.group("simulation")) is not None:
            texts |= {str(k): str(v.attrs["long_name"]) for k, v in simulation.items() if "long_name" in v.attrs}
        return texts

    def name(self, name: str) -> Cell:
        """A name in words, with the name itself in small print."""
        return Cell(self.glossary[name], note=name) if name in self.glossary else Cell(name)

    # ------------------------------------------------------------------ parameters
    @functools.cached_property
    def parameters(self) -> list[dict[str, Any]]:
        """Every parameter with value, range, basis and source: of the file, or of the library of now where it holds none."""
        found = self.group("parameters")
        if found is None and self.scenario is not None:
            found = groups.parameters(self.scenario)
        return [] if found is None else list(rows_of(found, "parameter"))

    @property
    def parameters_are_of_now(self) -> bool:
        """Whether the parameters are those of the library of now."""
        return "parameters" not in self.tree.children

    # ------------------------------------------------------------------ arms
    @property
    def arm(self) -> str:
        """The regimen that the answer is about."""
        for name in (kinds.OPTIMUM, AS_GIVEN):
            if any(
                name in group.get("regimen", ()) for group in (self.group("simulation"), self.group("doses")) if group
            ):
                return name
        return ""


LACKING = (KeyError, TypeError)  # of a summary without a key, and of one with nothing where a number or table should be


def lacks(error: Exception) -> str:
    """What one of `LACKING` says of a summary."""
    what = f"no {error}" if isinstance(error, KeyError) else "not all that is needed"
    return f"the summary of this file holds {what}; another version of nanomg made it"


def rows_of(dataset: xr.Dataset, dim: str) -> Iterator[dict[str, Any]]:
    """The variables of one dimension as rows; bytes become text."""
    columns = {str(k): v.values for k, v in dataset.variables.items() if v.dims == (dim,)}
    for i in range(dataset.sizes.get(dim, 0)):
        yield {k: _plain(column[i]) for k, column in columns.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if isinstance(value, np.generic) else value
