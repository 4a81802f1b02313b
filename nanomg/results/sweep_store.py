"""Where a sweep's numbers are kept while it runs: parts on disk, each written whole, and one file made of them at the end.

Beside `OUT.h5` lies the folder `OUT.h5.parts` (nanomg.results.parts). A sweep that was killed goes on from it; a part that cannot
be read is computed again. Merging reads part after part, so that its memory does not grow with the number of trajectories.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray

from nanomg import __version__, files
from nanomg.compute import process
from nanomg.errors import InputError
from nanomg.results import checksum, parts
from nanomg.results import file as result_file
from nanomg.results.parts import PartLayout, Parts, Variable

__all__ = ["PartLayout", "Store", "Variable"]

_CHUNK = 512 * 2**10  # [bytes] of a variable in the merged file that are compressed together
_MANIFEST = "manifest_json"  # the attribute of the group that says what a merged file was made from
_BUSY = "another process is writing this sweep; wait until it ends"


class Store:
    """The parts of one sweep, written by this process alone until the store is closed.

    `path` is the file to be, `layout` what was asked for, with the parts' size as it was when the sweep began, and `complete` is
    whether the sweep was finished already, so that nothing remains to be done.
    """

    def __init__(self, path: Path, there: Parts, manifest: Mapping[str, Any], lock: int | None):
        self.path, self.layout = path, there.layout
        self._parts, self._manifest, self._lock = there, manifest, lock
        self._missing = (
            {part for part in range(self.layout.parts) if not there.whole(part)} if lock is not None else set()
        )
        self.complete = lock is None or (there.finished and not self._missing)

    @property
    def at(self) -> Path:
        """Where a sweep that was complete already lies: the file, or the folder of its parts."""
        return self._parts.folder if self._parts.finished else self.path

    # ------------------------------------------------------------------ opening and closing
    @classmethod
    def create(
        cls,
        path: files.StrPath,
        layout: PartLayout,
        identity: Mapping[str, Any],
        *,
        resume: bool = False,
        force: bool = False,
    ) -> Store:
        """The store of a new sweep, or with `resume` of one that was begun, if there is one.

        `identity` is what must be equal for that; it goes through JSON. `force` discards what was begun, and a finished file is
        replaced at the end.
        Raises `InputError` where the file may not be written, an unfinished sweep is in the way, another process is at work, or
        the sweep to be resumed is another one.
        """
        for variable in layout.variables.values():
            if np.dtype(variable.dtype).kind not in "if":
                raise TypeError(f"a variable holds integers or floats, not {variable.dtype}")
        target = Path(os.path.realpath(files.check_result(path, force or resume)))
        folder = parts.folder_of(target)
        new = json.loads(result_file.to_json({"identity": identity, "layout": layout.described()}))
        lock = files.lock_folder(folder, _BUSY)
        try:
            if (folder / parts.MANIFEST).exists():
                if resume:
                    return cls._resumed(target, folder, layout, new, lock)
                if not force:
                    message = "an unfinished sweep is there: continue it with --resume, or discard it with --force"
                    if parts.manifest(folder)["finished"]:
                        message = (
                            "the parts of a finished sweep are there: name another file, or discard them with --force"
                        )
                    raise InputError(message, str(folder))
            elif resume and target.exists():
                manifest = _manifest_of(target)
                _check_same(manifest, new, str(target))
                _clear(folder)
                files.unlock_folder(folder, lock)
                return cls(target, Parts(folder, _as_begun(layout, manifest), ""), manifest, None)
            return cls._begun(target, folder, layout, new, lock)
        except BaseException:
            files.unlock_folder(folder, lock)
            raise

    @classmethod
    def _begun(cls, target: Path, folder: Path, layout: PartLayout, new: Mapping[str, Any], lock: int) -> Store:
        _clear(folder)
        manifest = {
            "format": parts.FORMAT,
            "finished": False,
            "key": parts.key_of(new),
            **new,
        }
        frame = {parts.GROUP: xarray.Dataset(coords=dict(layout.coords))}
        result_file.write(folder / parts.FRAME, frame, _attributes(f"unfinished sweep {target.name}"))
        _write_manifest(folder, manifest)  # last: without it the folder holds nothing
        return cls(target, Parts(folder, layout, manifest["key"]), manifest, lock)

    @classmethod
    def _resumed(cls, target: Path, folder: Path, layout: PartLayout, new: Mapping[str, Any], lock: int) -> Store:
        manifest = parts.manifest(folder)
        _check_same(manifest, new, str(folder))
        for abandoned in folder.glob(f"{files.TEMPORARY}*"):
            abandoned.unlink()
        return cls(
            target, Parts(folder, _as_begun(layout, manifest), manifest["key"], manifest["finished"]), manifest, lock
        )

    def close(self) -> None:
        """Let other processes go on; what was written stays."""
        if self._lock is not None:
            files.unlock_folder(self._parts.folder, self._lock)
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------------ parts
    def missing(self) -> list[int]:
        """The parts still to be computed, in order."""
        return sorted(self._missing)

    def range(self, part: int) -> tuple[int, int]:
        """The first trajectory of a part, and the one after its last."""
        return self.layout.range(part)

    def read(self, part: int) -> dict[str, np.ndarray]:
        """The variables of a part that is there. Raises `InputError` where it is damaged."""
        return {name: self._parts.read(part, name) for name in self.layout.variables}

    def write(self, part: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a part: every variable of the layout as an array (trajectory, …). It is there whole, or not at all.

        Raises `InputError` where the disk is full or fails, `ValueError` for arrays that are not those of the layout.
        """
        if set(arrays) != set(self.layout.variables):
            raise ValueError(f"a part holds {sorted(self.layout.variables)}, not {sorted(arrays)}")
        start, stop = self.range(part)
        data = xarray.Dataset(coords={"trajectory": np.arange(start, stop)})
        for name, variable in self.layout.variables.items():
            values = np.asarray(arrays[name]).astype(variable.dtype, casting="same_kind", copy=False)
            if values.shape != self.layout.shape_in(part, name):
                raise ValueError(f"{name} of part {part} is {self.layout.shape_in(part, name)}, not {values.shape}")
            attributes = {**variable.attributes, "sha256": self._parts.checksum(part, name, values)}
            data[name] = (("trajectory", *variable.dims), values, attributes)
        with _with_hint_to_resume(), process.interrupts_deferred():
            result_file.write(
                self._parts.path(part),
                {"/": data.assign_attrs(_attributes(f"part {part} of a sweep"))},
                {},
                force=True,
            )
            self._missing.discard(part)

    # ------------------------------------------------------------------ the end
    def merge(self, groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Path:
        """Make the one file: the parts as the group `sweep`, further groups and the root's attributes; then remove the parts.

        Raises `InputError` where it cannot be written, or a part has been damaged since; the parts stay.
        """
        self._check_whole()
        if self._lock is None:
            return self.path
        outline = self._outline(groups, attributes)
        with _with_hint_to_resume(), files.replacing(self.path, scratch=self._parts.folder) as file:
            file.write(outline)
            disk = files.DeferredErrors(file)
            try:
                with h5py.File(disk, "r+", rdcc_nbytes=4 * _CHUNK) as hdf:
                    for _ in self._pour(hdf[parts.GROUP]):
                        if disk.error is not None:
                            break
            finally:
                if disk.error is not None:
                    raise disk.error
            checksum.seal(file, len(outline))
        _clear(self._parts.folder)
        self.close()
        return self.path

    def finish(self, groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Path:
        """Leave the parts as the result, with further groups and root attributes beside them; `nanomg.open` reads the folder."""
        self._check_whole()
        folder = self._parts.folder
        if self._lock is not None:
            with _with_hint_to_resume():
                result_file.write(folder / parts.FRAME, self._framed(groups), attributes, force=True)
                _write_manifest(folder, {**self._manifest, "finished": True})
            self.close()
        return folder

    def _check_whole(self) -> None:
        if self._missing:
            raise ValueError(f"{len(self._missing)} of {self.layout.parts} parts are missing")

    def _framed(self, groups: Mapping[str, xarray.Dataset]) -> dict[str, xarray.Dataset]:
        data = groups.get(parts.GROUP, xarray.Dataset())
        return {**groups, parts.GROUP: data.assign_coords(dict(self.layout.coords))}

    def _outline(self, groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> bytes:
        """The file with everything but the numbers of the parts, for which there is a place."""
        framed = self._framed(groups)
        framed[parts.GROUP] = framed[parts.GROUP].assign_attrs({_MANIFEST: result_file.to_json(self._manifest)})
        file = io.BytesIO(result_file.image(framed, attributes))
        with h5netcdf.File(file, "a") as netcdf:
            group = netcdf[parts.GROUP]
            for name, variable in self.layout.variables.items():
                dims, dtype = self.layout.dims_of(name), np.dtype(variable.dtype)
                for dim, size in dims.items():
                    if dim not in group.dimensions:
                        group.dimensions[dim] = size
                chunks = parts.block_shape(tuple(dims.values()), dtype.itemsize, _CHUNK)
                fill = np.nan if dtype.kind == "f" else None
                made = group.create_variable(
                    name, tuple(dims), dtype, fillvalue=fill, chunks=chunks, **result_file.COMPRESSION
                )
                made.attrs.update(variable.attributes)
        return file.getvalue()

    def _pour(self, group: h5py.Group) -> Iterator[int]:
        """Write part after part to its place."""
        places = {name: group[name] for name in self.layout.variables}
        shape = tuple(self.layout.dims.values())
        for part in range(self.layout.parts):
            start, stop = self.range(part)
            for name, place in places.items():
                values, done = self._parts.read(part, name), 0
                for box in parts.boxes(shape, start, stop):
                    sizes = tuple(cut.stop - cut.start for cut in box)
                    count = int(np.prod(sizes))
                    place[box] = values[done : done + count].reshape(sizes + values.shape[1:])
                    done += count
            yield part


# ---------------------------------------------------------------------- the folder
@contextlib.contextmanager
def _with_hint_to_resume() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{error.message}; finished parts are kept, continue with --resume", error.where) from None


def _clear(folder: Path) -> None:
    """Remove what a store put into the folder, but the lock; the manifest first, since without it the rest is nothing."""
    (folder / parts.MANIFEST).unlink(missing_ok=True)
    for pattern in (parts.FRAME, "part-*.h5", f"{files.TEMPORARY}*"):
        for file in folder.glob(pattern):
            file.unlink()


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    files.replace_file(folder / parts.MANIFEST, result_file.to_json(manifest, indent=1).encode())


def _manifest_of(path: Path) -> dict[str, Any]:
    """The manifest from which a file was made."""
    result_file.read_attributes(path)
    with h5py.File(path, "r") as file:
        manifest = file[parts.GROUP].attrs.get(_MANIFEST) if parts.GROUP in file else None
    if manifest is None:
        raise InputError(
            "the file exists and is not of a sweep; name another one, or overwrite it with --force", str(path)
        )
    return dict(json.loads(manifest))


def _attributes(title: str) -> dict[str, Any]:
    return {
        "Conventions": "CF-1.11",
        "title": title,
        "source": f"nanomg {__version__}",
        "nanomg_schema_version": result_file.SCHEMA_VERSION,
    }


# ---------------------------------------------------------------------- the same sweep
def _as_begun(layout: PartLayout, manifest: Mapping[str, Any]) -> PartLayout:
    return replace(layout, part=manifest["layout"]["part"])


def _check_same(manifest: Mapping[str, Any], new: Mapping[str, Any], where: str) -> None:
    """Raise an `InputError` that names what differs. The size of the parts may: that of the beginning holds."""
    sized = {**new, "layout": {**new["layout"], "part": manifest["layout"]["part"]}}
    for key in ("identity", "layout"):
        difference = _difference(manifest[key], sized[key], "" if key == "identity" else "layout.")
        if difference:
            message = f"this folder has another sweep: {difference}; repeat its command, or discard it with --force"
            raise InputError(message, where)


def _difference(old: Any, new: Any, name: str) -> str | None:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        differences = (_difference(old.get(key), new.get(key), f"{name}{key}.") for key in {**old, **new})
        return next((text for text in differences if text), None)
    shown = [
        text if len(text) <= 40 else f"{text[:39]}…" for text in (result_file.to_json(old), result_file.to_json(new))
    ]
    return f"{name.removesuffix('.')} was {shown[0]} and is now {shown[1]}" if old != new else None
