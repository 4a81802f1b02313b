"""Compiled programs in the user's cache folder: what an entry holds, how it is written and read.

An entry is one line of JSON that describes it, followed by the program as pickled by nanomg.compute.programs. Reading a
pickle can run anything, so entries are taken only from a folder that nanomg.user_cache trusts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nanomg import user_cache

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


def read(key: str) -> bytes | None:
    """The program stored under `key`; None if it is missing or damaged."""
    place = user_cache.trusted()
    if place is None:
        return None
    path = place / (key + _ENTRY)
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        about = json.loads(head)
        if about["sha256"] != hashlib.sha256(body).hexdigest():
            return None
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return body


def write(key: str, about: Mapping[str, Any], body: bytes) -> None:
    """Keep a program under `key`, and drop the least recently used ones beyond the bounds. A full or read-only disk is no error."""
    place = user_cache.trusted()
    if place is None:
        return
    head = json.dumps({**about, "sha256": hashlib.sha256(body).hexdigest()}, ensure_ascii=False).encode()
    user_cache.write(place, key + _ENTRY, head + b"\n" + body)
    _trim()


def entries() -> list[Entry]:
    """Every stored program, the last used first."""
    return [Entry(path, _head(path), status.st_size, status.st_mtime) for path, status in _files(_ENTRY)]


def _head(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            about = json.loads(file.readline(_LONGEST_HEAD))
    except (OSError, ValueError):
        about = None
    return about if isinstance(about, dict) else {}


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
                files.append((path, path.stat()))
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
