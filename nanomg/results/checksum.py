"""The checksum of a result file, which is compared before HDF5 reads the file: a damaged one is refused, not misread.

The attribute `content_sha256` of the root is `nanomg-sha256:HEAD:LENGTH:WHOLE:SIZE`: the SHA-256 of the file's first LENGTH bytes,
and of all its SIZE bytes, both taken with zeros in the places of the two sums. Of a file too large to be read when it is opened the
head is compared; the rest are compressed numbers, each chunk of which has a checksum of HDF5 that is compared when it is read.
Files of older versions have no checksum.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from nanomg.errors import InputError

CHECKSUM = "content_sha256"
WHOLE_UP_TO = 64 * 2**20  # [bytes] a larger file is not read whole when it is opened

_BLANK = "0" * 64
_WRITTEN = re.compile(rb"nanomg-sha256:([0-9a-f]{64}):(\d{16}):([0-9a-f]{64}):(\d{16})")
_PIECE = 2**20  # [bytes] read at once

Signature = tuple[str, int, int, int]  # path, time of change [ns], size [bytes], inode

_compared: set[Signature] = set()  # files that are as they were written
_said: set[str] = set()  # files of which a warning says that they have no checksum


PLACE = f"nanomg-sha256:{_BLANK}:{0:016d}:{_BLANK}:{0:016d}"  # the attribute's text before the file is sealed


def sealed(image: bytes) -> bytes:
    """A file's bytes with its checksum. Those without a place for it are returned as they are."""
    file = io.BytesIO(image)
    seal(file, len(image))
    return file.getvalue()


def seal(file: BinaryIO, head: int) -> None:
    """Write the checksum into an open file that has a place for it within its first `head` bytes."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    place = _WRITTEN.search(file.read(head))
    if place is None:
        return
    _write(file, place, (_BLANK, f"{head:016d}", _BLANK, f"{size:016d}"))
    file.seek(0)
    total = hashlib.sha256(file.read(head))
    first = total.hexdigest()
    while piece := file.read(_PIECE):
        total.update(piece)
    _write(file, place, (first, f"{head:016d}", total.hexdigest(), f"{size:016d}"))


def say_without(where: str) -> None:
    """Warn, once in a process, that damage to a file without a checksum is not noticed."""
    if where not in _said:
        _said.add(where)
        message = "the file has no checksum, like those of older versions, so damage to it is not noticed"
        warnings.warn(f"{where}: {message}", stacklevel=2)


def _write(file: BinaryIO, place: re.Match[bytes], texts: Iterable[str]) -> None:
    for group, text in enumerate(texts, 1):
        file.seek(place.start(group))
        file.write(text.encode())


def compare(path: Path, where: str) -> bool:
    """Whether a file has a checksum. Raises `InputError` for a file that is not as it was written."""
    status = path.stat()
    signature = str(path.absolute()), status.st_mtime_ns, status.st_size, status.st_ino
    if signature in _compared:
        return True
    with path.open("rb") as file:
        start = file.read(WHOLE_UP_TO)
        place = _WRITTEN.search(start)
        if place is None:
            return False
        if status.st_size < int(place[4]):
            raise InputError("the file is truncated", where)
        whole = status.st_size <= WHOLE_UP_TO
        left = status.st_size if whole else int(place[2])
        blank = _BLANK.encode()
        total = hashlib.sha256()
        for piece in (start[: place.start(1)], blank, start[place.end(1) : place.start(3)], blank):
            total.update(piece)
        total.update(memoryview(start)[place.end(3) : left])
        left -= len(start)
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            total.update(piece)
            left -= len(piece)
    if total.hexdigest().encode() != place[3 if whole else 1]:
        raise InputError("the file is damaged, or was changed after nanomg wrote it: its checksum differs", where)
    _compared.add(signature)
    return True
