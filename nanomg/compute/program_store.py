"""Compiled programs in the user's cache folder: what an entry holds, how it is written and read.

An entry is one line of JSON that describes it, with a checksum, followed by the program as JAX or LLVM wrote it. To load a
program is to run code, so entries are taken only as nanomg.user_cache reads them: from files of the user's alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nanomg import sealed, user_cache

MOST_ENTRIES = 1000
MOST_BYTES = 1_000_000_000

_ENTRY = ".program"
_ABANDONED = 3600.0  # [s] age from which a half-written entry counts as abandoned
_LONGEST_HEAD = 1_000_000  # bytes


class Entry(NamedTuple):
    """A stored program: what it is, as its writer describes it, its size and when it was last used [s since the epoch]."""

    path: Path
    about: Mapping[str, Any]
    bytes: int
    used: float


def read(key: str) -> tuple[Mapping[str, Any], bytes] | None:
    """What is said of the program under `key`, and the program; None if it is missing, damaged or may be of others."""
    place = user_cache.trusted()
    return None if place is None else user_cache.read(place, key + _ENTRY)


def write(key: str, about: Mapping[str, Any], body: bytes) -> None:
    """Keep a program under `key`, and drop the least recently used ones beyond the bounds. A full or read-only disk is no error."""
    place = user_cache.trusted()
    if place is None:
        return
    user_cache.write(place, key + _ENTRY, about, body)
    _trim()


def entries() -> list[Entry]:
    """Every stored program, the last used first."""
    return [Entry(path, _head(path), status.st_size, status.st_mtime) for path, status in _files(_ENTRY)]


def _head(path: Path) -> dict[str, Any]:
    try:
        with user_cache.open_own(path) as file:
            return sealed.described(file.readline(_LONGEST_HEAD))
    except OSError:
        return {}


def clear() -> tuple[int, int]:
    """Remove every stored program and table; how many programs were removed, and their bytes."""
    for path, _ in _files(user_cache.TABLE):
        _remove(path)
    removable = [*_files(_ENTRY), *_files(user_cache.PART)]
    removed = [status.st_size for path, status in removable if _remove(path)]
    return len(removed), sum(removed)


def _files(suffix: str) -> list[tuple[Path, os.stat_result]]:
    """Files of the folder with their status, the last used first."""
    place, files = user_cache.folder(), []
    with contextlib.suppress(OSError):
        for path in place.glob(f"*{suffix}") if place is not None else ():
            with contextlib.suppress(OSError):
                files.append((path, path.lstat()))
    return sorted(files, key=lambda entry: -entry[1].st_mtime)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _trim() -> None:
    """Keep the folder within its bounds."""
    total = 0
    for count, (path, status) in enumerate(_files(_ENTRY), 1):
        total += status.st_size
        if count > MOST_ENTRIES or total > MOST_BYTES:
            _remove(path)
    for path, status in _files(user_cache.PART):
        if time.time() - status.st_mtime > _ABANDONED:
            _remove(path)
