"""The result file: one HDF5 file per run, valid netCDF-4, written whole or not at all, opened by xarray, h5py, MATLAB and R.

Groups hold datasets; the root holds attributes that say what the file is, what made it and from which input. Strings are UTF-8 of
variable length, flags are int8 with `flag_values` and `flag_meanings`, attributes are str, int, float or 1-D arrays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import platform
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanomg import __version__
from nanomg.errors import InputError
from nanomg.files import StrPath, check_output, check_regular, named, replace_file
from nanomg.results import checksum, parts
from nanomg.results.attributes import SUMMARY, json_object
from nanomg.results.kinds import JOB
from nanomg.schema import to_json as to_json

if TYPE_CHECKING:
    import xarray

    from nanomg.equations.model import Model

SCHEMA_VERSION = 2  # 1: the dimension `hypothesis` was called `scenario`
OLDEST_SCHEMA_VERSION = 1


COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}

_COMPRESS_FROM = 16_384  # [bytes] a smaller variable costs more as a compressed chunk than it saves
_LAZY_FROM = 64 * 2**20  # [bytes] a larger file is not read into memory when it is opened
_LAZY_VARIABLE = 2**20  # [bytes] in such a file
_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "xarray", "h5netcdf", "h5py", "llvmlite", "pint")


# ---------------------------------------------------------------------- what goes in
def root_attributes(
    *,
    title: str,
    config: Mapping[str, Any],
    seed: int,
    model: Model | Sequence[Model],
    job: str = "",
    command: str = "",
    summary: Mapping[str, Any] | None = None,
    device: str = "",
    ended: datetime.datetime | None = None,
) -> dict[str, str | int]:
    """Attributes of the root: what the file is, when, by which job, command, software and input it was made.

    `job` is the name of a `nanomg.jobs.Job`, `model` what was solved, or each of several; `summary` the object that `--json`
    prints, which `nanomg summary` shows again without computing, `device` where it was computed if that is not where JAX
    computes by itself, and `ended` when (in UTC).
    """
    import jax  # a file is read without it and the equations

    from nanomg.library.model_hash import model_hash
    from nanomg.solver.native.kernel import engine_of

    models = tuple(model) if isinstance(model, Sequence) else (model,)
    now = (ended or datetime.datetime.now(datetime.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    config_json = to_json(config, sort_keys=True)
    first = jax.devices()[0]
    versions = {"python": platform.python_version(), "nanomg": __version__}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # what can be done without
            versions[name] = importlib.metadata.version(name)
    attributes: dict[str, str | int] = {
        "Conventions": "CF-1.11",
        "title": title,
        "source": f"nanomg {__version__}",
        "history": f"{now} {command or 'nanomg, called from Python'}",
        "id": str(uuid.uuid4()),
        "date_created": now,
        "nanomg_schema_version": SCHEMA_VERSION,
        "model_hash": model_hash(*models),
        "config_json": config_json,
        "config_hash": _sha256(config_json),
        "rng_seed": seed,
        "dtype": str(config.get("precision", jax.numpy.asarray(0.0).dtype)),
        "engine": engine_of(models),
        "device": device or f"{first.platform}: {first.device_kind}",
        "package_versions_json": to_json(versions),
    }
    attributes |= {JOB: job} if job else {}
    attributes |= {} if summary is None else {SUMMARY: to_json(summary)}
    # a file name that is not UTF-8 cannot be stored as it is
    readable = lambda value: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
    return {key: readable(value) for key, value in attributes.items()}


def flags(dims: str | Sequence[str], codes: Any, meanings: Sequence[str], long_name: str) -> xarray.Variable:
    """An int8 variable of codes 0, 1, 2, …, one per meaning. CF separates meanings by blanks, so blanks inside become `_`."""
    import xarray

    attributes = {
        "long_name": long_name,
        "flag_values": np.arange(len(meanings), dtype=np.int8),
        "flag_meanings": " ".join(meaning.replace(" ", "_") for meaning in meanings),
    }
    return xarray.Variable(dims, np.asarray(codes, dtype=np.int8), attributes)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(
    path: StrPath, groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any], force: bool = False
) -> Path:
    """Write the groups and the root's attributes to one file; what was there before stays until the new file is complete.

    A link is followed: its target is replaced and the link stays.
    Raises `InputError` where the file may not or cannot be written, `TypeError` for an attribute that other readers would not read.
    """
    target = check_output(path, force)
    # In memory first: an HDF5 library that meets a full disk leaves half a file and cannot close it.
    replace_file(path, image(groups, attributes))
    return target


def image(groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Any:
    """The bytes of a file of these groups and root attributes, with its checksum. Raises `TypeError` as `write` does."""
    import xarray

    from nanomg.results import netcdf

    root = {**attributes, checksum.CHECKSUM: checksum.PLACE}
    nodes = {"/": xarray.Dataset(attrs=root)} | {f"/{name.strip('/')}": ds for name, ds in groups.items()}
    for name, dataset in nodes.items():
        for holder, attrs in [(name, dataset.attrs), *((f"{name}/{v}", dataset[v].attrs) for v in dataset.variables)]:
            for key, value in attrs.items():
                _check_attribute(f"{holder}@{key}", value)
    encoding = {name: {str(v): _encoding(dataset, v) for v in dataset.variables} for name, dataset in nodes.items()}
    return checksum.sealed(netcdf.image(nodes, encoding))


def _check_attribute(where: str, value: Any) -> None:
    array = np.asarray(value)
    if isinstance(value, bool) or array.ndim > 1 or array.dtype.kind not in "iufU":
        raise TypeError(f"{where}: an attribute is str, int, float or a 1-D array of them, not {value!r}")


def _encoding(dataset: xarray.Dataset, name: Any) -> dict[str, Any]:
    variable = dataset[name]
    encoding: dict[str, Any] = {}
    if variable.dtype.kind in "iuf" and variable.nbytes >= _COMPRESS_FROM:
        encoding |= COMPRESSION
    if name in dataset.coords:
        encoding["_FillValue"] = None  # CF: a coordinate has no missing values
    return encoding


# ---------------------------------------------------------------------- reading
def open(path: StrPath, *, older: bool = False) -> xarray.DataTree:
    """Open a result file, or a folder of parts, as an xarray tree.

    Args:
        path: a result file (.h5), or the folder of parts of a sweep (.h5.parts).
        older: also open files of an older schema, for readers that can handle missing entries.

    Returns:
        The tree, with one group for each kind of result. A small file is read into memory and closed; the variables of a large one
        are dask arrays, read when needed, and `close` closes the file. Trajectories of missing parts are NaN, with the status
        `not_computed`.

    Raises:
        InputError: the file is missing, truncated, damaged, of another schema or not a result file.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt", output="run.h5")
        >>> simulation = nanomg.open("run.h5")["simulation"]
        >>> simulation["pk.C"].dims
        ('regimen', 'hypothesis', 'time')
        >>> simulation["pk.C"].units
        'mg L-1'
    """
    import h5py
    import xarray

    from nanomg.results.structure import check_structure

    version = read_attributes(path, older)["nanomg_schema_version"]
    folder = parts.read_folder(Path(path)) if Path(path).is_dir() else None
    try:
        with h5py.File(_head(path), "r") as hdf:
            check_structure(hdf, str(path))
        with contextlib.ExitStack() as opened:
            tree = xarray.open_datatree(_head(path), engine="h5netcdf")
            opened.callback(tree.close)
            tree.attrs.pop(checksum.CHECKSUM, None)
            if folder is not None:
                tree[parts.GROUP].update(folder.variables())
            _upgrade(tree, version)
            _check_times(tree, str(path))
            if tree.nbytes < _LAZY_FROM:
                return tree.load()
            _lazy(tree, str(path))
            opened.pop_all()
        return tree
    except InputError:
        raise
    except Exception:
        raise InputError("the file is damaged and cannot be read", str(path)) from None


def _upgrade(tree: xarray.DataTree, version: int) -> None:
    """Give the groups of an older file the names of today."""
    if version < 2:
        for node in tree.subtree:
            if "scenario" in node.dims:
                node.dataset = node.to_dataset(inherit=False).rename(scenario="hypothesis")


def _check_times(tree: xarray.DataTree, where: str) -> None:
    """Raise an `InputError` where the times of a group are not finite numbers in order."""
    for node in tree.subtree:
        if "time" in node.dims and "time" in node.coords:
            times = np.asarray(node.coords["time"].values)
            if times.dtype.kind not in "iuf" or not np.isfinite(times).all() or (np.diff(times) < 0).any():
                raise InputError(f"the file is damaged: the times of {node.path} are not numbers in order", where)


@dataclasses.dataclass(frozen=True)
class _Readable:
    """A variable of a file as dask slices it; a chunk that is damaged is an `InputError`."""

    variable: xarray.Variable
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.variable.shape

    @property
    def ndim(self) -> int:
        return self.variable.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.variable.dtype

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        try:
            return np.asarray(self.variable[index].values)
        except (OSError, RuntimeError):
            raise InputError("the file is damaged: a part of it cannot be read", self.where) from None


def _lazy(tree: xarray.DataTree, where: str) -> None:
    """Read what is small, and make the rest dask arrays."""
    import dask.array

    for node in tree.subtree:
        for name, variable in node.data_vars.items():
            if variable.nbytes < _LAZY_VARIABLE:
                variable.load()
            elif variable.chunks is None:
                sizes = parts.block_shape(variable.shape, variable.dtype.itemsize, parts.READ_AT_ONCE)
                data = dask.array.from_array(_Readable(variable.variable, where), chunks=sizes, name=False, fancy=False)
                node[str(name)] = variable.copy(data=data)


def _head(path: StrPath) -> Path:
    """The file that holds the root's attributes."""
    return Path(path) / parts.FRAME if Path(path).is_dir() else Path(path)


def read_attributes(path: StrPath, older: bool = False) -> dict[str, Any]:
    """The root's attributes of a result file or a folder of parts, after the checks of `open`."""
    import h5py

    where = str(path)
    if named(path).is_dir():
        parts.manifest(Path(path))
    path = _head(path)
    check_regular(path, where)
    try:
        has_checksum = checksum.compare(path, where)
    except FileNotFoundError:
        unfinished = parts.folder_of(path)
        hint = f"; the parts of an unfinished sweep are in {str(unfinished)!r}" if unfinished.is_dir() else ""
        raise InputError(f"there is no such file{hint}", where) from None
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where) from None
    if not h5py.is_hdf5(path):
        raise InputError("this is not a result file: it is not HDF5", where)
    try:
        with h5py.File(path, "r") as file:
            attributes = {key: _from_hdf5(value) for key, value in file.attrs.items()}
        for value in attributes.values():
            if isinstance(value, str):
                value.encode()  # HDF5 marks what is not UTF-8
    except InputError:
        raise
    except Exception as error:  # HDF5 and h5py raise many kinds for bytes that make no sense
        cut = "truncated" in str(error)
        raise InputError("the file is truncated" if cut else "the file is damaged and cannot be read", where) from None
    _check_schema(attributes.get("nanomg_schema_version"), attributes.get("source"), where, older)
    if not has_checksum and checksum.CHECKSUM in attributes:
        raise InputError("the file is damaged: its checksum cannot be read", where)
    if not has_checksum:
        checksum.say_without(where)
    return {key: value for key, value in attributes.items() if key != checksum.CHECKSUM}


def read_summary(path: StrPath) -> dict[str, Any]:
    """The summary that the run printed, as stored in its result file."""
    attributes = read_attributes(path)
    if SUMMARY not in attributes:
        raise InputError("this result file has no summary", str(path))
    return json_object(attributes, SUMMARY, str(path))


def read_groups(path: StrPath) -> list[str]:
    """The names of the groups of a result file or a folder of parts."""
    import h5py

    with h5py.File(_head(path), "r") as file:
        return [
            str(name)
            for name in file
            if file.get(name, getclass=True, getlink=True) is h5py.HardLink and isinstance(file[name], h5py.Group)
        ]


def _from_hdf5(value: Any) -> Any:
    """netCDF stores a lone number as an array of one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    return value.item() if isinstance(value, np.generic) and value.dtype.kind in "iuf" else value


def _check_schema(version: Any, source: Any, where: str, older: bool) -> None:
    if version is None:
        raise InputError("this HDF5 file was not written by nanomg (it has no nanomg_schema_version)", where)
    if not isinstance(version, int):
        raise InputError(f"the schema version of this result file is {version!r}, not a whole number", where)
    reads = f"this nanomg {__version__} reads {OLDEST_SCHEMA_VERSION} to {SCHEMA_VERSION}"
    if version > SCHEMA_VERSION:
        raise InputError(
            f"the file, made by {source}, has schema version {version} and {reads}; install a newer nanomg", where
        )
    if version < OLDEST_SCHEMA_VERSION and not older:
        raise InputError(f"the file, made by {source}, has schema version {version} and {reads}; make it again", where)
