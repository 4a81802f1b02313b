"""Which engine solves: machine code generated for the model (`native`), or programs of JAX (`jax`), the reference."""

from __future__ import annotations

import importlib.util
import os

from nanomg.errors import unknown

NATIVE, JAX = "native", "jax"
ENGINES = (NATIVE, JAX)
VARIABLE = "NANOMG_ENGINE"


def default() -> str:
    """The engine where none is asked for: that of the variable `NANOMG_ENGINE`; else native on a CPU, if llvmlite is installed.

    Raises `InputError` for a variable that names no engine.
    """
    if wish := os.environ.get(VARIABLE):
        return checked(wish, VARIABLE)
    import jax

    return NATIVE if jax.default_backend() == "cpu" and importlib.util.find_spec("llvmlite") is not None else JAX


def checked(engine: str, place: str | None = None) -> str:
    """The engine, if there is one of this name. Raises `InputError`, at this place, if not."""
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, place)
    return engine
