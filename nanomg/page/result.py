"""A result file as a reader sees it: its summary, configuration and groups, the library's words for its names, what is missing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nanomg.errors import InputError
from nanomg.page.blocks import Cell, number_cell
from nanomg.results.attributes import CONFIG, SUMMARY, VERSIONS, json_object
from nanomg.results.file import OLDEST_SCHEMA_VERSION, SCHEMA_VERSION, to_json
from nanomg.results.kinds import JOB, OPTIMUM

if TYPE_CHECKING:  # the screen needs a summary alone, and none of what is slow to import
    import xarray as xr

    from nanomg.library.library import Library
    from nanomg.library.scenario import Scenario


class SummaryAlone(NamedTuple):
    """What stands in for the tree of a result where its summary alone is at hand."""

    attrs: Mapping[str, Any]
    children: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ResultReader:
    """A result file with the words of a library, which need not be the one that it was made with; without one names stay names."""

    tree: xr.DataTree | SummaryAlone
    library: Library | None = None
    checked: Mapping[str, Any] | None = None  # the summary, with every field of its job
    broken: str = ""  # what is wrong with the summary, which is left out then
    where: str = "this result"  # name of the file, for messages

    @classmethod
    def of_summary(cls, job: str, summary: Mapping[str, Any]) -> ResultReader:
        """A reader of the summary of a job alone, without the groups of its file."""
        return cls(SummaryAlone({JOB: job, "summary_json": to_json(summary)}, {}))

    @property
    def readable(self) -> bool:
        """Whether the file has a schema that this program reads; of any other nothing is known but its summary."""
        version = self.attribute("nanomg_schema_version")
        return version.isdecimal() and OLDEST_SCHEMA_VERSION <= int(version) <= SCHEMA_VERSION

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """The summary of the run; empty where the file holds none, or one that is broken."""
        if self.broken:
            return {}
        return json_object(self.tree.attrs, SUMMARY, self.where) if self.checked is None else dict(self.checked)

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """What was asked for; empty where the file does not say."""
        return json_object(self.tree.attrs, CONFIG, self.where)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the packages that made the file."""
        return json_object(self.tree.attrs, VERSIONS, self.where)

    @property
    def file(self) -> Mapping[str, Any]:
        """The scenario's file, as it was."""
        return self.config.get("file", {})

    @property
    def scenario(self) -> Scenario | None:
        """The scenario, built again with the library of now; None where that cannot be, and `not_rebuilt` says why."""
        return self._rebuilt[0]

    @property
    def not_rebuilt(self) -> str:
        """Why the scenario cannot be built again, as a sentence without its full stop; empty where it can."""
        return self._rebuilt[1]

    @functools.cached_property
    def _rebuilt(self) -> tuple[Scenario | None, str]:
        if self.library is None:
            return None, "there is no library"
        from nanomg.library.scenario_file import rebuild

        try:
            return rebuild(self.config, self.library), ""
        except InputError as error:
            return None, str(error)

    def attribute(self, name: str) -> str:
        """An attribute of the root as text; empty where there is none."""
        import numpy as np

        value = np.asarray(self.tree.attrs.get(name, ""))
        return str(value.reshape(-1)[0]) if value.size == 1 else str(value)

    def group(self, name: str) -> xr.Dataset | None:
        """The datasets of a group, None where the file has none."""
        node = self.tree.children.get(name)
        return None if node is None else node.to_dataset()

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
        known = self.library.mechanisms if self.library is not None else {}
        texts: dict[str, str] = {}
        for name in self.file.get("mechanisms") or list(known):
            if (mechanism := known.get(name)) is not None:
                shelves = mechanism.states, mechanism.signals, mechanism.inputs, mechanism.ports, mechanism.parameters()
                texts |= {key: declared.text for shelf in shelves for key, declared in shelf.items()}
        if (simulation := self.group("simulation")) is not None:
            texts |= {str(k): str(v.attrs["long_name"]) for k, v in simulation.items() if "long_name" in v.attrs}
        return texts

    def name(self, name: str) -> Cell:
        """A name in words, with the name itself."""
        return Cell(self.glossary[name], name=name) if name in self.glossary else Cell(name)

    # ------------------------------------------------------------------ parameters
    @functools.cached_property
    def parameters(self) -> list[dict[str, Any]]:
        """Every parameter with value, range, basis and source: of the file, or of the library of now where it holds none."""
        found = self.group("parameters")
        if found is None and self.scenario is not None:
            from nanomg.results import groups

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
        from nanomg.simulation.arms import AS_GIVEN

        for name in (OPTIMUM, AS_GIVEN):
            if any(
                name in group.get("regimen", ()) for group in (self.group("simulation"), self.group("doses")) if group
            ):
                return name
        return ""


def rows_of(dataset: xr.Dataset, dim: str) -> Iterator[dict[str, Any]]:
    """The variables of one dimension as rows; bytes become text."""
    columns = {str(k): v.values for k, v in dataset.variables.items() if v.dims == (dim,)}
    for i in range(dataset.sizes.get(dim, 0)):
        yield {k: _plain(column[i]) for k, column in columns.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if hasattr(value, "item") else value
