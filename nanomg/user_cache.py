"""The user's cache folder: files that nanomg reuses in later processes. Everything in it can be made again.

It holds compiled programs (nanomg.compute.program_store) and tables, which are JSON of earlier results: the conversions of
units, the outlines of source files. Its content is trusted. So the folder must belong to the user, nobody else may write to
it, and the same holds of each file, which others may have left there before: it is judged once it is open, by owner, mode and
links, and by a checksum with its name. `NANOMG_CACHE` names another folder, or is `off`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from nanomg import sealed

TABLE, PART = ".table", ".part"  # how the names of a table and of a half-written file end
_NAME = "name"  # what a file says that it is called, so that none stands for another


def folder() -> Path | None:
    """The cache folder, whether it exists or not; None where nothing is kept."""
    chosen = os.environ.get("NANOMG_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "nanomg"
    try:
        return Path.home() / ".cache" / "nanomg"
    except RuntimeError:  # a user without a home
        return None


def trusted(create: bool = True) -> Path | None:
    """The folder, made where it is missing; None, with a warning, where others could have put something into it."""
    place = folder()
    if place is None:
        return None
    try:
        if create:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = place.stat()
    except OSError:
        return None
    if not hasattr(os, "geteuid"):  # Windows keeps others out of a user's folder by other means
        return place
    if status.st_uid != os.geteuid():
        fault = "it belongs to another user"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        fault = "others may write to it; clear it (nanomg cache --clear), then make it yours (chmod go-w)"
    else:
        return place
    warnings.warn(f"nothing is stored in {str(place)!r}: {fault}", stacklevel=2)
    return None


def open_own(path: Path) -> BinaryIO:
    """A file of the folder, open for reading. Raises `PermissionError` where it is not a file of the user's alone.

    A link is not followed, and a named pipe is not waited for.
    """
    flags = [getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")]
    file = os.fdopen(os.open(path, os.O_RDONLY | sum(flags)), "rb")
    status = os.fstat(file.fileno())
    alone = stat.S_ISREG(status.st_mode)
    if hasattr(os, "geteuid"):
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # one that is just being replaced has no name left
        alone = alone and status.st_uid == os.geteuid() and not others and status.st_nlink <= 1
    if not alone:
        file.close()
        raise PermissionError(errno.EPERM, "this is not a file of the user's alone", str(path))
    return file


def read(place: Path, name: str) -> tuple[dict[str, Any], bytes] | None:
    """What a file of the folder says of itself and its content; None where it is missing, damaged or may be of others."""
    try:
        with open_own(place / name) as file:
            about, body = sealed.unseal(file.read())
            if about.pop(_NAME, None) != name:
                return None
            # the descriptor rather than the name, which may be another file by now
            os.utime(file.fileno() if os.utime in os.supports_fd else place / name)
    except (OSError, sealed.Damaged):
        return None
    return about, body


def write(place: Path, name: str, about: Mapping[str, Any], body: bytes) -> None:
    """Write a file of the folder, whole or not at all. A full or read-only disk is no error."""
    part = None
    try:
        handle, text = tempfile.mkstemp(suffix=PART, dir=place)
        part = Path(text)
        with os.fdopen(handle, "wb") as file:
            file.write(sealed.seal({**about, _NAME: name}, body))
        part.replace(place / name)
    except OSError:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


class ValueTable:
    """JSON values by key, for many threads: read from the folder at first use, written back when the process ends.

    Args:
        name: of the file, without its ending.
        version: returns a text that names everything, except the keys, that the values depend on.
        most: values that are kept; of a fuller table only those used by this process remain.
        shipped: a JSON file of values that come with nanomg and are looked up first.
    """

    def __init__(self, name: str, version: Callable[[], str], most: int = 10_000, shipped: Path | None = None):
        self._file, self._version, self._most = name + TABLE, version, most
        self._shipped_file, self._shipped = shipped, dict[str, Any]() if shipped is None else None
        self._lock = threading.Lock()
        self._values: dict[str, Any] | None = None
        self._used: set[str] = set()
        self._changed = False

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The value of `key`; a missing one is made and stored. Two threads may make the same value."""
        if self._shipped is None:
            assert self._shipped_file is not None
            self._shipped = json.loads(self._shipped_file.read_bytes())
        if key in self._shipped:
            return self._shipped[key]
        values = self._loaded()
        self._used.add(key)
        if key not in values:
            values[key] = make()
            self._changed = True
        return values[key]

    def _loaded(self) -> dict[str, Any]:
        if self._values is None:
            with self._lock:
                if self._values is None:
                    self._values = self._read()
                    atexit.register(self.save)
        return self._values

    def _read(self) -> dict[str, Any]:
        place = trusted(create=False)
        entry = read(place, self._file) if place is not None else None
        if entry is None or entry[0].get("version") != self._version():
            return {}
        try:
            return dict(json.loads(entry[1]))
        except (ValueError, TypeError, RecursionError):
            return {}

    def save(self) -> None:
        """Write the table back, with what other processes added to it since it was read."""
        if not self._changed or self._values is None or (place := trusted()) is None:
            return
        values = {**self._read(), **self._values}
        if len(values) > self._most:
            values = {key: value for key, value in values.items() if key in self._used}
        write(place, self._file, {"version": self._version()}, json.dumps(values, ensure_ascii=False).encode())
        self._changed = False
