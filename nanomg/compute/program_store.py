"""The folder of compiled programs: where it lies, what it holds, how an entry is written and read.

An entry is one line of JSON that says what it holds, and after it the program as nanomg.compute.programs pickled it. Reading a
pickle can run anything, so entries are taken only from a folder that belongs to the user and that nobody else may write to.
`NANOMG_CACHE` names another folder, or is `off`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

MOST_ENTRIES = 1000
MOST_BYTES = 1_000_000_000

_ENTRY, _PART = ".program", ".part"
_ABANDONED = 3600.0  # [s] age of a half-written entry whose writer is gone
_LONGEST_HEAD = 1_000_000  # bytes


class Entry(NamedTuple):
    """A kept program: what it is (as told by who wrote it), its size and when it was last used [s since the epoch]."""

    path: Path
    about: Mapping[str, Any]
    bytes: int
    used: float


def folder() -> Path | None:
    """Where programs are kept, whether it exists or not; None where they are not."""
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


def trusted() -> Path | None:
    """The folder, made where it is missing; None, with a warning, where others could have put something into it."""
    place = folder()
    if place is None:
        return None
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.stat()
    except OSError:
        return None
    if found.st_uid != os.geteuid():
        fault = "it belongs to another user"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        fault = "others may write to it (chmod go-w makes it yours)"
    else:
        return place
    warnings.warn(f"compiled programs are not kept in {str(place)!r}: {fault}", stacklevel=2)
    return None


def read(key: str) -> bytes | None:
    """The program kept under `key`; None where there is none or it is damaged."""
    place = trusted()
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
    place = trusted()
    if place is None:
        return
    head = json.dumps({**about, "sha256": hashlib.sha256(body).hexdigest()}, ensure_ascii=False).encode()
    part = None
    try:
        handle, name = tempfile.mkstemp(suffix=_PART, dir=place)
        part = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(head + b"\n" + body)
        part.replace(place / (key + _ENTRY))
    except OSError:
        if part is not None:
            _remove(part)
    _trim()


def entries() -> list[Entry]:
    """Every kept program, the last used first."""
    return [Entry(path, _head(path), status.st_size, status.st_mtime) for path, status in _files(_ENTRY)]


def _head(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            about = json.loads(file.readline(_LONGEST_HEAD))
    except (OSError, ValueError):
        about = None
    return about if isinstance(about, dict) else {}


def clear() -> tuple[int, int]:
    """Remove every kept program; how many were removed, and their bytes."""
    found = [*_files(_ENTRY), *_files(_PART)]
    removed = [status.st_size for path, status in found if _remove(path)]
    return len(removed), sum(removed)


def _files(suffix: str) -> list[tuple[Path, os.stat_result]]:
    """Files of the folder with their status, the last used first."""
    place, found = folder(), []
    with contextlib.suppress(OSError):
        for path in place.glob(f"*{suffix}") if place is not None else ():
            with contextlib.suppress(OSError):
                found.append((path, path.stat()))
    return sorted(found, key=lambda entry: -entry[1].st_mtime)


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
    for path, status in _files(_PART):
        if time.time() - status.st_mtime > _ABANDONED:
            _remove(path)
