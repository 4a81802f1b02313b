"""Whose fault it is when a result file cannot be shown: that of the file, unless its checksum says that nanomg wrote it so."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from nanomg.errors import InputError, NanomgError
from nanomg.results import checksum, parts

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def interpreting(*results: Any) -> Iterator[None]:
    """While the body shows these results: an error becomes an `InputError` where one of them is a file without a checksum.

    Where all are as nanomg wrote them, or in memory, the error is a bug and is raised as it is.
    """
    try:
        yield
    except NanomgError:
        raise
    except Exception as error:
        for path in (Path(result) for result in results if isinstance(result, str | Path)):
            head = path / parts.FRAME if path.is_dir() else path
            if head.is_file() and not checksum.compare(head, str(path)):
                what = f"{type(error).__name__}: {error}"
                raise InputError(
                    f"the file is damaged: it lacks what a result of nanomg holds ({what})", str(path)
                ) from error
        raise


def interprets(function: Callable[P, T]) -> Callable[P, T]:
    """A function whose first argument is a result, or several of them, in `interpreting`."""

    @functools.wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> T:
        first = arguments[0] if arguments else next(iter(options.values()), None)
        several = first.values() if isinstance(first, Mapping) and not hasattr(first, "attrs") else first
        results = several if isinstance(several, Sequence) and not isinstance(several, str) else (several,)
        with interpreting(*results):
            return function(*arguments, **options)

    return checked
