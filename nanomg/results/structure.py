"""What a result file may consist of, so that one of another's making is neither followed elsewhere nor unpacked without end."""

from __future__ import annotations

import h5py

from nanomg.errors import InputError

_GROUPS, _DEPTH, _ENTRIES = 200, 4, 50_000  # of a file at most
_RATIO, _SMALL = (
    1100,
    2**20,
)  # compressed numbers become 1032 times as many at most; a size that is harmless in any case [bytes]


def check_structure(file: h5py.File, where: str) -> None:
    """Raise an `InputError` for links, groups or numbers that no file of nanomg has."""
    groups = [(file["/"], 0)]
    known = {_address(file["/"])}
    entries = 0
    while groups:
        group, depth = groups.pop()
        entries += len(group)
        if entries > _ENTRIES or len(known) > _GROUPS or depth > _DEPTH:
            raise InputError("the file has more groups or variables than a result of nanomg", where)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{name!r} is a link; a result file has none", where)
            entry = group[name]
            if isinstance(entry, h5py.Group):
                if _address(entry) in known:
                    raise InputError(f"the group {name!r} lies in more than one place", where)
                known.add(_address(entry))
                groups.append((entry, depth + 1))
            else:
                _check_dataset(name, entry, where)


def _check_dataset(name: str, entry: object, where: str) -> None:
    if not isinstance(entry, h5py.Dataset):
        raise InputError(f"{name!r} is neither a group nor a variable", where)
    if entry.is_virtual or entry.external:
        raise InputError(f"the numbers of {name!r} lie in other files", where)
    is_scale = "CLASS" in entry.attrs and entry.ndim == 1  # of a dimension; without a variable it has no numbers
    if not is_scale and entry.nbytes > max(_SMALL, _RATIO * entry.id.get_storage_size()):
        raise InputError(f"{name!r} holds fewer numbers than it declares", where)
    if not is_scale and entry.ndim and "DIMENSION_LIST" not in entry.attrs:
        raise InputError(f"the dimensions of {name!r} have no names", where)


def _address(group: h5py.Group) -> int:
    return int(h5py.h5o.get_info(group.id).addr)
