"""Files written whole or not at all and by one run at a time, files that keep their first error, and locks on folders."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO

from nanomg.errors import InputError

fcntl: Any = None
with contextlib.suppress(ImportError):  # of Windows
    import fcntl

TEMPORARY = ".nanomg-"  # how the names of a half-written file and of its lock begin
_LOCK = "lock"
_reserved: ContextVar[frozenset[Path]] = ContextVar("reserved", default=frozenset())  # what this run alone writes


StrPath = str | os.PathLike[str]


def named(path: StrPath) -> Path:
    """`path` as one that the system can look up. Raises `InputError` for a name that is too long or has a NUL character."""
    try:
        Path(path).exists()
    except (OSError, ValueError) as error:
        raise InputError(f"no file can have this name ({getattr(error, 'strerror', error)})", str(path)) from None
    return Path(path)


def check_regular(path: Path, where: str) -> None:
    """Raise an `InputError` for a folder, and for a device or a pipe, which might be read without end; not for a missing file."""
    if path.is_dir():
        raise InputError("this is a folder; name a file in it", where)
    if path.exists() and not path.is_file():
        raise InputError("this is a device or a pipe, not a regular file", where)


def check_output(path: StrPath, force: bool = False) -> Path:
    """`path`, once it is sure that a result may be written there. Raises `InputError` of one sentence."""
    target, where = named(path), str(path)
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


RESULTS = (".h5", ".hdf5", ".hdf", ".he5", ".nc", ".nc4")  # how the name of a result file may end
_MAKERS = (  # of other files from a result file
    ((".csv", ".parquet", ".xlsx"), "nanomg export {result} -o {made}"),
    ((".tsv", ".xls", ".rds", ".sas7bdat"), "nanomg export {result} -o {stem}.csv"),
    ((".png", ".svg", ".pdf"), "nanomg plot {result} -o {made}"),
    ((".html", ".htm"), "nanomg report {result} -o {made}"),
    ((".json",), "nanomg summary {result} --json > {made}"),
    (("",), "nanomg summary {result} > {made}"),
)


def check_result(path: StrPath, force: bool = False) -> Path:
    """`path`, once it is sure that a result file may be written there: its name has no ending, or one of HDF5."""
    named = Path(path)
    suffix = named.suffix.lower()
    if suffix and suffix not in RESULTS:
        result = named.with_suffix(".h5").name
        command = next(text for endings, text in _MAKERS if suffix in endings or "" in endings)
        made = command.format(result=result, made=named.name, stem=named.stem)
        raise InputError(f"a result is an HDF5 file; write {result}, and then make this from it: {made}", str(path))
    return check_output(path, force)


def replace_file(path: StrPath, image: Any) -> None:
    """Write bytes to a file, whole or not at all; what was there before is replaced, through a link if there is one."""
    with replacing(path) as file:
        file.write(image)


@contextlib.contextmanager
def replacing(path: StrPath, scratch: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write to and read from, which becomes that of `path` at the end, unless an exception is raised.

    Until then it is in the folder `scratch` of the same file system, or in the folder of `path`. `OSError` becomes `InputError`.
    """
    target, where = Path(os.path.realpath(path)), str(path)
    with reserved(path):
        # where the target is this run's alone, a killed one has left at most this name
        mark = _mark(target) if target in _reserved.get() else uuid.uuid4().hex
        temporary = (scratch or target.parent) / f"{TEMPORARY}{mark}.tmp"
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise InputError(f"the file cannot be written ({error.strerror})", where) from None
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def reserved(*paths: StrPath | None) -> Iterator[None]:
    """Let no other run write these files until the body ends, whether they exist or not; None is no file.

    A lock lies beside each. It ends with the process, and a killed process leaves an empty file, which the next run removes.
    Where there can be no lock, such as in a folder that does not exist, there is none. Raises `InputError` where another run,
    of this process or another, has reserved one of them.
    """
    with contextlib.ExitStack() as stack:
        for path in paths:
            if path is not None:
                stack.enter_context(_reserved_alone(path))
        yield


@contextlib.contextmanager
def _reserved_alone(path: StrPath) -> Iterator[None]:
    target = Path(os.path.realpath(path))
    lock = None if target in _reserved.get() else _lock_beside(target, str(path))
    if lock is None:
        yield
        return
    _reserved.set(_reserved.get() | {target})
    try:
        yield
    finally:
        _reserved.set(_reserved.get() - {target})
        _give_up(_lock_of(target), lock)


def _lock_beside(target: Path, where: str) -> int | None:
    """The lock on a file, None where there can be none."""
    place = _lock_of(target)
    while True:
        try:
            lock = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError:
            return None
        try:
            _take(lock)
        except (BlockingIOError, PermissionError):
            os.close(lock)
            message = "another run is writing this file; wait until it ends, or name another file"
            raise InputError(message, where) from None
        except OSError:  # a file system without locks
            _give_up(place, lock)
            return None
        if os.fstat(lock).st_nlink:
            return lock
        os.close(lock)  # a run that ended meanwhile has removed the file


def _lock_of(target: Path) -> Path:
    return target.parent / f"{TEMPORARY}{_mark(target)}.lock"


def _mark(target: Path) -> str:
    """A short name for a file among those of its folder, as its own may be as long as a name can be."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]


def _sync_folder(folder: Path) -> None:
    """Let the name of a file survive a power cut, where the system opens folders."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class DeferredErrors(io.RawIOBase):
    """A file that reports success after its first error, which it keeps in `error`.

    HDF5 cannot close a file to which it cannot write: on a full disk it would end the process.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: BaseException | None = None
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place of the file, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}
        self._at = offset + (base[whence] if whence in base else self.file.seek(0, os.SEEK_END))
        return self._at

    def tell(self) -> int:
        """The place at which the file is."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and return how many bytes were read."""
        self.file.seek(self._at)
        read = self.file.readinto(buffer)  # type: ignore[attr-defined]
        self._at += read
        return int(read)

    def write(self, data: Any) -> int:
        """Write bytes, unless there was an error before."""
        self._try(self.file.seek, self._at)
        self._try(self.file.write, data)
        self._at += len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut the file or lengthen it, unless there was an error before."""
        self._try(self.file.truncate, size)
        return size or 0

    def flush(self) -> None:
        """Hand everything to the operating system, unless there was an error before."""
        self._try(self.file.flush)

    def _try(self, act: Callable[..., Any], *arguments: Any) -> None:
        try:
            if self.error is None:
                act(*arguments)
        except BaseException as error:  # an interrupt, too, would leave HDF5 unable to close
            self.error = error


def lock_folder(folder: Path, busy: str) -> int:
    """The lock on a folder, which is made where it is missing; `busy` is the message where another process holds it.

    The lock ends with the process, or with `unlock_folder`.
    """
    while True:
        try:
            folder.mkdir(exist_ok=True)
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                continue  # a process that ended meanwhile has removed the folder
        except OSError as error:
            raise InputError(f"the folder cannot be written to ({error.strerror})", str(folder)) from None
        try:
            _take(lock)
        except (BlockingIOError, PermissionError):
            os.close(lock)
            raise InputError(busy, str(folder)) from None
        except OSError:
            return lock  # a file system without locks
        if os.fstat(lock).st_nlink:
            return lock
        os.close(lock)  # the file was removed by a process that ended meanwhile


def _take(lock: int) -> None:
    """Lock an open file. Raises `BlockingIOError` or `PermissionError` where another process has it, `OSError` without locks."""
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif sys.platform == "win32":
        import msvcrt

        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)


def unlock_folder(folder: Path, lock: int) -> None:
    """Give up the lock, and the folder if there is nothing else in it."""
    _give_up(folder / _LOCK, lock, folder.rmdir)


def _give_up(place: Path, lock: int, also: Callable[[], None] = lambda: None) -> None:
    """Remove the file of a lock and let the lock go, and meanwhile do something else that may fail."""
    if fcntl is None:  # Windows keeps the name of an open file; elsewhere the name goes before others can lock the file
        os.close(lock)
    with contextlib.suppress(OSError):
        place.unlink()
        also()
    if fcntl is not None:
        os.close(lock)
