"""Everything that nanomg changes in the process that it runs in, in one place.

| what | when | for whom |
| --- | --- | --- |
| JAX counts in float64 (`jax_enable_x64`) | once, when nanomg.compute.programs is imported | the whole process |
| JAX's own cache on disk is off | at the same time, unless `NANOMG_CACHE` is `off` | the whole process |
| programs are compiled one at a time | while one is compiled | threads of nanomg |
| XLA and LLVM know the kernels of models by name | from when one is compiled or loaded | the whole process |
| Ctrl-C, SIGTERM and SIGHUP wait for the end of a write | while a part of a sweep is written | the main thread alone |
| `__main__` is not run again by new processes | while workers of `--workers` live | the whole process |
| Ctrl-C is blocked | while the thread of a cluster starts | the calling thread, and threads that it starts |
| free memory goes back to the system | between parts of a sweep | the whole process |

Threads never undo and redo these changes independently of each other, so one process may run many jobs at a time, in as
many threads. What is shared elsewhere has a lock or is the command line's alone: the registry of units (nanomg.units), the import
of library files (nanomg.library.library), tables that are written when the process ends (nanomg.user_cache), and garbage
collection, which the command line makes rarer (nanomg.cli.main). Only figures are drawn by one thread at a
time, as matplotlib asks. The command line handles SIGINT, SIGTERM and SIGHUP itself (nanomg.cli.interrupts).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import FrameType
from typing import Any

from nanomg import user_cache
from nanomg.errors import InputError

compiling = threading.RLock()  # held while a program is compiled or loaded: threads share what the first of them makes

_starting = threading.Lock()
_apart = 0  # how many clusters of this process want `__main__` left alone
_main_spec: ModuleSpec | None = None


def prepare_jax() -> None:
    """Let JAX count in float64, and switch off its own cache on disk: a program that it loads from there is incomplete when
    nanomg stores it again."""
    import jax

    settings: Any = jax.config
    check_platform()
    settings.update("jax_enable_x64", True)  # amounts span ten decades; float32 is a choice to make, not a default
    if user_cache.folder() is not None and settings.jax_enable_compilation_cache:
        settings.update("jax_enable_compilation_cache", False)
        if settings.jax_compilation_cache_dir:  # JAX remembers whether it used its cache before
            from jax.experimental.compilation_cache import compilation_cache

            compilation_cache.reset_cache()


def check_platform() -> None:
    """Raise `InputError` where JAX is asked to compute on what it does not find here."""
    import jax

    settings: Any = jax.config
    asked = settings.jax_platforms
    if not asked or asked == "cpu":
        return
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        raise InputError(
            f"JAX cannot compute on {asked!r} here; set it to cpu, to cuda where there is a GPU, or to nothing",
            "JAX_PLATFORMS",
        ) from None


def cores() -> int:
    """Cores that this process may use: on a CPU, a block is solved on each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Threads that may compute at a time: one for each core, unless `PJRT_NPROC` limits those of XLA, which this heeds, too."""
    limit = os.environ.get("PJRT_NPROC", "")
    return min(cores(), int(limit)) if limit.isdecimal() and int(limit) else cores()


def trim() -> None:
    """Give free memory back to the system, if the C library can: arrays of many sizes fragment it."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # Windows has no library without a name
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C, and signals that are handled as it is, wait for the end of the body.

    Only the main thread gets them, so in other threads there is nothing to do.
    """
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late: list[tuple[int, FrameType | None]] = []
    for number in handlers:
        signal.signal(number, lambda *arguments: late.append(arguments))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number, frame in late[:1]:
        handlers[number](number, frame)


@contextlib.contextmanager
def main_not_run_again() -> Iterator[None]:
    """Let processes that are started meanwhile not run the user's script once more, so it needs no `if __name__ == "__main__"`."""
    global _apart, _main_spec
    main = sys.modules["__main__"]
    with _starting:
        if _apart == 0:
            _main_spec = main.__spec__
            main.__spec__ = ModuleSpec(
                "__main__", None
            )  # multiprocessing imports a main module by name, but not this one
        _apart += 1
    try:
        yield
    finally:
        with _starting:
            _apart -= 1
            if _apart == 0:
                main.__spec__ = _main_spec


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from this thread, and for good from the threads and processes that it starts meanwhile, if the system can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # when it starts it lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
