"""Groups of arrays as the bytes of a netCDF-4 file, written with h5py alone.

netCDF-4 is HDF5 with rules. A dimension is a scale: the variable of its name or, where there is none, an empty one. Each variable
points to the scales of its dimensions, and `_Netcdf4Dimid` numbers the dimensions of the file. xarray says how values and
coordinates are encoded (CF); to write a hundred variables by itself takes it ten times as long.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import xarray

from nanomg import __version__

Encoding = Mapping[str, Any]
Scales = ChainMap[str, h5py.Dataset]

_TEXT = h5py.string_dtype()
_FILTERS = ("compression", "compression_opts", "shuffle", "fletcher32")
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable. {:9d}"  # what the netCDF library looks for


def image(nodes: Mapping[str, xarray.Dataset], encoding: Mapping[str, Mapping[str, Encoding]]) -> bytes:
    """The bytes of a file.

    Args:
        nodes: datasets by path, `/` first and known group after those that it lies in.
        encoding: by path and variable, in the words of h5py: filters, and `_FillValue` (None for none).
    """
    with h5py.File("image", "w", driver="core", backing_store=False, track_order=True) as hdf:
        made = f"version=2,nanomg={__version__},hdf5={h5py.version.hdf5_version},h5py={h5py.__version__}"
        hdf.attrs["_NCProperties"] = np.bytes_(made.encode())
        scales: dict[str, Scales] = {}
        for path, dataset in nodes.items():
            group = hdf if path == "/" else hdf.create_group(path, track_order=True)
            above = max((p for p in scales if p == "/" or path.startswith(f"{p}/")), key=len, default=None)
            scales[path] = scales[above].new_child() if above is not None else ChainMap()
            numbered = sum(len(known.maps[0]) for known in scales.values())
            _write_group(group, dataset, encoding.get(path, {}), scales[path], numbered)
        hdf.flush()
        return bytes(hdf.id.get_file_image())


def _write_group(
    group: h5py.Group, dataset: xarray.Dataset, encoding: Mapping[str, Encoding], scales: Scales, numbered: int
) -> None:
    """Write a dataset. `scales` are those of the dimensions above, and get those of the group; `numbered` of them have a number."""
    dataset = dataset.copy(deep=False)
    for name, chosen in encoding.items():
        dataset[name].encoding = dict(chosen)
    variables, attributes = xarray.conventions.cf_encoder(*xarray.conventions.encode_dataset_coordinates(dataset))
    for key, value in attributes.items():
        _set_attribute(group, key, value)
    new = [str(dim) for dim in dataset.sizes if dim not in scales]
    stored = {str(name): _write_variable(group, str(name), variable) for name, variable in variables.items()}
    for number, dim in enumerate(new, numbered):
        has_variable = dim in variables and variables[dim].dims == (dim,)
        if not has_variable:
            stored[dim] = group.create_dataset(dim, (dataset.sizes[dim],), ">f4", track_order=True)
        stored[dim].make_scale(dim if has_variable else _NO_VARIABLE.format(dataset.sizes[dim]))
        stored[dim].attrs["_Netcdf4Dimid"] = np.int32(number)
        scales[dim] = stored[dim]
    for name, variable in variables.items():
        for axis, dim in enumerate(variable.dims):
            if stored[str(name)] != scales[str(dim)]:
                h5py.h5ds.attach_scale(stored[str(name)].id, scales[str(dim)].id, axis)


def _write_variable(group: h5py.Group, name: str, variable: xarray.Variable) -> h5py.Dataset:
    values = np.asarray(variable.values)
    is_text = values.dtype.kind in "OU"
    options = {key: value for key, value in variable.encoding.items() if key in _FILTERS} if values.size else {}
    if not is_text and (fill := variable.attrs.get("_FillValue")) is not None:
        options["fillvalue"] = fill
    stored = group.create_dataset(
        name,
        data=values.astype(object) if is_text else values,
        dtype=_TEXT if is_text else None,
        track_order=True,
        **options,
    )
    for key, value in variable.attrs.items():
        _set_attribute(stored, key, value)
    return stored


def _set_attribute(holder: h5py.Group | h5py.Dataset, key: str, value: Any) -> None:
    """Text is UTF-8 of any length, and a number an array of one, as netCDF has them."""
    if isinstance(value, str):
        holder.attrs[key] = value
        return
    array = np.atleast_1d(value)
    if array.dtype.kind == "U":
        holder.attrs.create(key, array.astype(object), dtype=_TEXT)
    else:
        holder.attrs.create(key, array)
