"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nanomg.errors import InputError

TEMPORARY = ".nanomg-"  # how the name of a half-written file begins


StrPath = str | os.PathLike[str]


def check_output(path: StrPath, force: bool = False) -> Path:
    """`path`, once it is sure that a result may be written there. Raises `InputError` of one sentence."""
    target, where = Path(path), str(path)
    if target.is_dir():
        raise InputError("this is a folder; name a file in it", where)
    if target.exists() and not target.is_file():
        raise InputError("this is not a regular file, so no result can replace it", where)
    if target.exists() and not force:
        raise InputError("the file exists; name another one, or overwrite it with --force (force=True)", where)
    if not target.parent.is_dir():
        raise InputError(f"the folder {str(target.parent)!r} does not exist; create it first", where)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"the folder {str(target.parent)!r} is not writable", where)
    return target


def replace_file(path: StrPath, image: Any) -> None:
    """Write bytes to a file, whole or not at all; what was there before is replaced, through a link if there is one."""
    with replacing(path) as file:
        file.write(image)


@contextlib.contextmanager
def replacing(path: StrPath, scratch: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write to and read from, which becomes that of `path` at the end, unless an exception is raised.

    Until then it lies in the folder `scratch` of the same file system, or beside its place. `OSError` becomes `InputError`.
    """
    target, where = Path(os.path.realpath(path)), str(path)
    temporary = (scratch or target.parent) / f"{TEMPORARY}{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(f"the file cannot be written ({error.strerror})", where) from None
    finally:
        temporary.unlink(missing_ok=True)
