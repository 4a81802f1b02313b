"""A folder of parts: many trajectories on disk, each part one HDF5 file of consecutive ones, read as one dataset.

Trajectories are numbered in C order over the axes of the layout. `manifest.json` says what is computed and how it is laid out,
`frame.h5` holds the axes and what belongs to the whole, `part-000012.h5` the variables of one part, each with its checksum.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanomg.errors import InputError
from nanomg.schema import to_json

if TYPE_CHECKING:
    import xarray

FORMAT = 1
GROUP = "sweep"  # where the variables lie in the one dataset
MANIFEST, FRAME = "manifest.json", "frame.h5"
NOT_COMPUTED = "not_computed"  # the meaning of a flag where a part is missing

READ_AT_ONCE = 64 * 2**20  # [bytes] of a variable, by a lazy array


@dataclass(frozen=True)
class Variable:
    """A number (int or float) or an array of them per trajectory; `dims` are those after the trajectory's."""

    dims: tuple[str, ...] = ()
    dtype: str = "float64"
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PartLayout:
    """How trajectories are numbered, what is kept of each, and how many make a part.

    `dims` are the axes in order with their sizes, whose C order is the trajectory's number; `sizes` those of further dimensions.
    """

    dims: Mapping[str, int]
    variables: Mapping[str, Variable]
    part: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    coords: Mapping[str, xarray.Variable] = field(default_factory=dict)

    @property
    def trajectories(self) -> int:
        """How many there are."""
        return math.prod(self.dims.values())

    @property
    def parts(self) -> int:
        """How many parts hold them."""
        return -(-self.trajectories // self.part)

    def range(self, part: int) -> tuple[int, int]:
        """The first trajectory of a part, and the one after its last."""
        return part * self.part, min((part + 1) * self.part, self.trajectories)

    def dims_of(self, name: str) -> dict[str, int]:
        """The dimensions of a variable of the whole, with their sizes."""
        return {**self.dims, **{dim: self.sizes[dim] for dim in self.variables[name].dims}}

    def shape_in(self, part: int, name: str) -> tuple[int, ...]:
        """The shape of a variable in a part."""
        start, stop = self.range(part)
        return (stop - start, *(self.sizes[dim] for dim in self.variables[name].dims))

    def described(self) -> dict[str, Any]:
        """What a manifest says of it: everything but the coordinates."""
        variables = {
            name: {"dims": list(v.dims), "dtype": np.dtype(v.dtype).name, "attributes": dict(v.attributes)}
            for name, v in self.variables.items()
        }
        pairs = lambda sizes: [[dim, int(size)] for dim, size in sizes.items()]
        return {"dims": pairs(self.dims), "sizes": pairs(self.sizes), "variables": variables, "part": int(self.part)}

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> PartLayout:
        """The layout of a manifest. A list of numbers is of the variable's type, as CF asks of `flag_values`."""
        variables = {}
        for name, v in described["variables"].items():
            typed = lambda value, dtype=v["dtype"]: (
                np.asarray(value, dtype) if isinstance(value, list) and not isinstance(value[0], str) else value
            )
            attributes = {key: typed(value) for key, value in v["attributes"].items()}
            variables[name] = Variable(tuple(v["dims"]), v["dtype"], attributes)
        return cls(dict(described["dims"]), variables, described["part"], dict(described["sizes"]))


# ---------------------------------------------------------------------- numbers and boxes
def boxes(shape: Sequence[int], start: int, stop: int) -> Iterator[tuple[slice, ...]]:
    """The elements `start` to `stop` (not included) of an array in C order, as the fewest slices of it, in that order."""
    if start >= stop:
        return
    inner = math.prod(shape[1:])
    first, last = -(-start // inner), stop // inner  # whole rows
    if first > last:  # all within one row
        first = last + 1
        yield from _in_row(shape, last, start, stop)
        return
    yield from _in_row(shape, first - 1, start, first * inner)
    if first < last:
        yield slice(first, last), *(slice(0, size) for size in shape[1:])
    yield from _in_row(shape, last, last * inner, stop)


def _in_row(shape: Sequence[int], row: int, start: int, stop: int) -> Iterator[tuple[slice, ...]]:
    before = row * math.prod(shape[1:])
    for box in boxes(shape[1:], start - before, stop - before):
        yield slice(row, row + 1), *box


def block_shape(shape: Sequence[int], itemsize: int, most: int) -> tuple[int, ...]:
    """The shape of blocks of at most `most` bytes, each of consecutive elements in C order.

    The dimension that is cut is cut to a power of two, so that a large block consists of whole small ones.
    """
    room, sizes = max(1, most // itemsize), []
    for size in reversed(shape):
        cut = size if size <= room else 2 ** (room.bit_length() - 1)
        room = room // size if size <= room else 1
        sizes.append(cut)
    return tuple(reversed(sizes))


# ---------------------------------------------------------------------- a folder
@dataclass(frozen=True)
class Parts:
    """The parts of a folder. `key` is what distinguishes them from those of another sweep; a part is whole or of no use."""

    folder: Path
    layout: PartLayout
    key: str
    finished: bool = False

    def path(self, part: int) -> Path:
        """The file of a part."""
        return self.folder / f"part-{part:06d}.h5"

    def checksum(self, part: int, name: str, values: np.ndarray) -> str:
        """SHA-256 of a variable's numbers, and of where they belong."""
        sha = hashlib.sha256(f"{self.key} {part} {name} {values.dtype.str} {values.shape}".encode())
        sha.update(np.ascontiguousarray(values).data)
        return sha.hexdigest()

    def read(self, part: int, name: str) -> np.ndarray:
        """A variable of a part, (trajectory, …). Raises `InputError` where it is missing, damaged or of another sweep."""
        import h5py

        path = self.path(part)
        try:
            with h5py.File(path, "r") as file:
                values, checksum = file[name][...], file[name].attrs["sha256"]
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            gone = isinstance(error, FileNotFoundError)
            message = "this part is missing" if gone else "this part is damaged; --resume computes it again"
            raise InputError(message, str(path)) from None
        if self.checksum(part, name, values) != checksum:
            raise InputError("this part is damaged or of another sweep; --resume computes it again", str(path))
        return values

    def whole(self, part: int) -> bool:
        """Whether every variable of a part can be read."""
        try:
            return all(self.read(part, name) is not None for name in self.layout.variables)
        except InputError:
            return False

    def variables(self) -> dict[str, xarray.Variable]:
        """The variables of the whole, read when needed; those parts that are not there now are NaN, and flags say so."""
        import dask.array  # most files are read without it
        import xarray

        there = frozenset(part for part in range(self.layout.parts) if self.path(part).exists())
        variables = {}
        for name, variable in self.layout.variables.items():
            fill, attributes = _absent(variable)
            if len(there) == self.layout.parts:
                attributes = dict(variable.attributes)
            view = _View(self, name, there, fill)
            blocks = block_shape(view.shape, view.dtype.itemsize, READ_AT_ONCE)
            data = dask.array.from_array(view, chunks=blocks, name=False, fancy=False)
            variables[name] = xarray.Variable(tuple(self.layout.dims_of(name)), data, attributes)
        return variables


def _absent(variable: Variable) -> tuple[Any, dict[str, Any]]:
    """The value that marks missing numbers, and the attributes that declare it."""
    attributes, dtype = dict(variable.attributes), np.dtype(variable.dtype)
    if dtype.kind == "f":
        return np.nan, attributes
    if "flag_meanings" not in attributes:
        return np.iinfo(dtype).min, attributes
    meanings = attributes["flag_meanings"].split()
    codes = [int(code) for code in attributes["flag_values"]]
    if NOT_COMPUTED not in meanings:
        meanings, codes = [*meanings, NOT_COMPUTED], [*codes, max(codes) + 1]
        attributes |= {"flag_meanings": " ".join(meanings), "flag_values": np.asarray(codes, dtype)}
    return codes[meanings.index(NOT_COMPUTED)], attributes


@dataclass(frozen=True)
class _View:
    """A variable of the whole as dask slices it."""

    parts: Parts
    name: str
    there: frozenset[int]
    fill: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.parts.layout.dims_of(self.name).values())

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.parts.layout.variables[self.name].dtype)

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        layout = self.parts.layout
        axes, further = index[: len(layout.dims)], index[len(layout.dims) :]
        # the numbers of the wanted trajectories, in the shape in which they are wanted
        numbers = np.zeros((), np.int64)
        for size, wanted in zip(layout.dims.values(), axes, strict=True):
            numbers = np.add.outer(numbers * size, np.arange(size)[wanted])
        rows = numbers.reshape(-1)
        shape = np.empty(self.shape[len(layout.dims) :], np.int8)[further].shape
        view = np.full((rows.size, *shape), self.fill, self.dtype)
        parts = rows // layout.part
        for part in self.there.intersection(np.unique(parts).tolist()):
            here = parts == part
            values = self.parts.read(part, self.name)[(slice(None), *further)]
            view[here] = values[rows[here] - part * layout.part]
        return view.reshape(numbers.shape + shape)


def folder_of(path: Path) -> Path:
    """Where the parts of a file to be lie."""
    return path.with_name(f"{path.name}.parts")


def key_of(described: Mapping[str, Any]) -> str:
    """What distinguishes a sweep of this identity and layout from others."""
    return hashlib.sha256(to_json(described, sort_keys=True).encode()).hexdigest()


def manifest(folder: Path) -> dict[str, Any]:
    """What a folder of parts says of itself; raises `InputError` for another folder."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = content["format"]
        described = {key: content.get(key) for key in ("identity", "layout")}
    except FileNotFoundError:
        raise InputError(f"this folder holds no sweep (it has no {MANIFEST})", str(folder)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{MANIFEST} cannot be read", str(folder)) from None
    if version != FORMAT:
        raise InputError(
            f"the parts have format {version!r} and this nanomg reads {FORMAT}; make them again", str(folder)
        )
    if content.get("key") != key_of(described) or not isinstance(content.get("finished"), bool):
        raise InputError(f"{MANIFEST} is damaged; make the sweep again", str(folder))
    return dict(content)


def read_folder(folder: Path) -> Parts:
    """The parts of a folder, finished or not."""
    content = manifest(folder)
    return Parts(folder, PartLayout.from_description(content["layout"]), content["key"], content["finished"])
