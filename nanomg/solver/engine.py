"""Which engine solves: machine code generated for the model (`native`), or programs of JAX (`jax`), the reference."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar

from nanomg.compute import process
from nanomg.errors import InputError, unknown

NATIVE, JAX = "native", "jax"
ENGINES = (NATIVE, JAX)
AUTO = "auto"
ASKED = (AUTO, *ENGINES)
VARIABLE = "NANOMG_ENGINE"

_asked: ContextVar[str | None] = ContextVar("engine", default=None)  # of this thread


@contextlib.contextmanager
def using(engine: str) -> Iterator[None]:
    """Let plans that are made in the body have this engine; `auto` changes nothing.

    Raises `InputError` for an engine that does not exist or cannot run here.
    """
    if engine != AUTO:
        _check(engine, "--engine")
    token = _asked.set(_asked.get() if engine == AUTO else engine)
    try:
        yield
    finally:
        _asked.reset(token)


def default() -> str:
    """The engine of a new plan: what is asked for, here or by the variable `NANOMG_ENGINE`; else native where it can run.

    Raises `InputError` for an engine in the variable that does not exist or cannot run here.
    """
    if asked := _asked.get():
        return asked
    if (asked := os.environ.get(VARIABLE, AUTO)) not in ("", AUTO):
        _check(asked, VARIABLE)
        return asked
    return JAX if _hindrance() else NATIVE


def usable(engine: str) -> str:
    """The engine that another process used, where it can run here; else `auto`."""
    return engine if engine == JAX or (engine == NATIVE and not _hindrance()) else AUTO


def _check(engine: str, place: str) -> None:
    if engine not in ENGINES:
        raise unknown("engine", engine, ASKED, place)
    if engine == NATIVE and (reason := _hindrance()):
        raise InputError(f"the native engine {reason}; choose {JAX!r}", place)


def _hindrance() -> str:
    """Why the native engine cannot run here, or nothing."""
    if sys.platform == "win32":
        return "runs on Linux and macOS alone"  # its functions share cores by calls that Windows lacks
    if importlib.util.find_spec("llvmlite") is None:
        return "needs llvmlite, which is not installed"
    import jax

    process.check_platform()
    return "" if jax.default_backend() == "cpu" else "runs on CPUs alone, and JAX computes on a GPU here"
