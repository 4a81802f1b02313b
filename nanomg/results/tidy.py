"""A result as tidy tables: a row for each point of the dimensions, a column for each of them and for each quantity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nanomg.results.attributes import unit_of

if TYPE_CHECKING:
    from pandas import DataFrame

_ROWS = 200_000  # that are made at a time
_ASKED = ("doses", "parameters")  # groups of what was asked for
_DIMENSIONS = {
    "regimen": "arm of the run",
    "hypothesis": "hypothesis about how Mg acts on LFA-1",
    "time": "time since the start",
    "parameter": "dotted name of a parameter",
    "output": "output of the model",
}


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """A column of a table: its name, the unit of its numbers, its type and what it holds. It is a line of the data dictionary."""

    table: str
    column: str
    unit: str
    type: str
    meaning: str


@dataclasses.dataclass(frozen=True)
class TidyTable:
    """The quantities of a group that lie along the same dimensions."""

    name: str
    data: xr.Dataset

    @property
    def dims(self) -> list[str]:
        """The dimensions, the slowest first."""
        return [str(dim) for dim in next(iter(self.data.data_vars.values())).dims]

    @property
    def rows(self) -> int:
        """Points of the dimensions."""
        return math.prod(self.data.sizes[dim] for dim in self.dims)

    def columns(self) -> list[TableColumn]:
        """What each column holds."""
        named = [
            *self.dims,
            *(str(name) for name in [*self.data.coords, *self.data.data_vars] if name not in self.dims),
        ]
        return [self._column(name) for name in named]

    def _column(self, name: str) -> TableColumn:
        if name not in self.data.variables:
            return TableColumn(self.name, name, "1", "whole number", _DIMENSIONS.get(name, "its number, from 0"))
        values = self.data[name]
        text = values.dtype.kind in "OUS" or "flag_meanings" in values.attrs
        kind = "text" if text else "whole number" if values.dtype.kind in "iub" else "number"
        meaning = str(values.attrs.get("long_name", _DIMENSIONS.get(name, "")))
        return TableColumn(self.name, name, "" if text else unit_of(values.attrs), kind, meaning)

    def frames(self, most: int = _ROWS) -> Iterator[DataFrame]:
        """The rows as data frames of about `most` rows each, with flags as words."""
        dims = self.dims
        data = self.data.assign_coords(
            {dim: np.arange(self.data.sizes[dim]) for dim in dims if dim not in self.data.coords}
        )
        if not dims:
            data, dims = data.expand_dims("_"), ["_"]
        step = max(1, most * data.sizes[dims[0]] // max(self.rows, 1))
        for start in range(0, data.sizes[dims[0]], step):
            part = data.isel({dims[0]: slice(start, start + step)}).load()
            frame = part.to_dataframe(dim_order=dims).reset_index()[[column.column for column in self.columns()]]
            for name, values in part.variables.items():
                if "flag_meanings" in values.attrs:
                    frame[name] = _words(values.attrs, frame[name].to_numpy())
            yield _without_filling(frame, [name for name in frame.columns if name not in part.coords])


def _words(attributes: Any, codes: np.ndarray) -> np.ndarray:
    meanings = [word.replace("_", " ") for word in str(attributes["flag_meanings"]).split()]
    known = dict(zip((int(code) for code in attributes["flag_values"]), meanings, strict=True))
    return np.array([known.get(int(code), "") for code in codes], object)


def _without_filling(frame: DataFrame, quantities: list[str]) -> DataFrame:
    """Without the rows that fill up lists of unequal length, such as doses: they have neither number nor text."""
    texts = [name for name in quantities if frame[name].dtype.kind == "O" or str(frame[name].dtype) == "str"]
    if not texts:
        return frame
    empty = frame[texts].isin(["", None]).all(axis=1)
    return frame[~(empty & frame[[name for name in quantities if name not in texts]].isna().all(axis=1))]


def tidy_tables(tree: xr.DataTree) -> dict[str, TidyTable]:
    """The tables of a result by name, what was computed before what was asked for.

    A group with quantities along different dimensions gives several tables. The one with most quantities, or with most
    dimensions of those, has the name of the group; the names of the others add their dimensions.

    Args:
        tree: a result, as `nanomg.open` returns it.

    Example:
        >>> import nanomg
        >>> table = tidy_tables(nanomg.simulate("textbook-1cpt").tree)["doses"]
        >>> table.rows, [(column.column, column.unit) for column in table.columns()][2:5]
        (5, [('time_h', 'h'), ('cmt', ''), ('amt', '1')])
    """
    tables: dict[str, TidyTable] = {}
    for group in sorted(tree.children, key=lambda name: name in _ASKED):
        data = tree[group].to_dataset()
        along: dict[tuple[Any, ...], list[Any]] = {}
        for name, variable in data.data_vars.items():
            along.setdefault(variable.dims, []).append(name)
        for i, (dims, names) in enumerate(sorted(along.items(), key=lambda item: (-len(item[1]), -len(item[0])))):
            name = "-".join([group, *map(str, dims)]) if i else group
            elsewhere = [coordinate for coordinate in data.coords if not set(data[coordinate].dims) <= set(dims)]
            tables[name] = TidyTable(name, data[names].drop_vars(elsewhere, errors="ignore"))
    return tables
