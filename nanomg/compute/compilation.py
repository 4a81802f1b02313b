"""Which program is being compiled, and how long that took before: what a progress bar shows meanwhile.

with compilation.watched(show):  # `show` is called with a `Compilation`, and with None when it is done
    run()
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nanomg.compute import program_store


class Compilation(NamedTuple):
    """A function that is being compiled, and the median time of its stored programs [s], None where there are none.

    Programs of the same model and plan count alone, if there are some.
    """

    function: str
    seconds: float | None


Watcher = Callable[[Compilation | None], None]

_watchers: list[Watcher] = []


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Call `watcher` whenever a compilation begins and ends, in whatever thread that is, while the body runs."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


@contextlib.contextmanager
def announced(function: str, subject: str) -> Iterator[None]:
    """Tell every watcher that the body compiles a function for a subject: the text of its static arguments."""
    watchers = list(_watchers)
    if not watchers:  # no need to read what is stored
        yield
        return
    begun = Compilation(function, _earlier(function, subject))
    for watcher in watchers:
        watcher(begun)
    try:
        yield
    finally:
        for watcher in watchers:
            watcher(None)


def _earlier(function: str, subject: str) -> float | None:
    stored = [entry.about for entry in program_store.entries() if entry.about.get("program") == function]
    alike = [about for about in stored if about.get("of") == subject] or stored
    seconds = [about["seconds"] for about in alike if isinstance(about.get("seconds"), int | float)]
    return statistics.median(seconds) if seconds else None
