"""The key of a compiled program: a text that is the same in every process that would compile the same program.

It names the function, its static arguments, the syntax of all that these reach (nanomg.compute.reached), and what compiles and
runs the program. The standard library and installed packages of other names count by their versions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import hashlib
import os
import platform
import sys
import time
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import jax
import jaxlib.version

from nanomg.compute import process, reached
from nanomg.equations.mechanism import AbstractMechanism
from nanomg.equations.model import Model

_FORMAT = "2"  # of keys and entries
_BEGAN = time.time()
_settings: Any = jax.config


class Unnameable(Exception):
    """A program depends on something that another process cannot know by name."""


def of(function: Any, fixed: tuple[Any, ...], shapes: tuple[str, ...]) -> tuple[str, str]:
    """A hash for a function with its static arguments on arguments of these shapes, and the static arguments in words.

    Raises `Unnameable`.
    """
    roots = [_home(function)]
    subject = ", ".join(_text(value, roots) for value in fixed)
    if any(" at 0x" in shape for shape in shapes):
        raise Unnameable("the structure of an argument depends on an address in memory")
    name = f"{function.__module__}.{function.__qualname__}"
    sources = _sources(tuple(dict.fromkeys(roots)))
    parts = _FORMAT, name, subject, *shapes, str(_settings.jax_enable_x64), _machine(), sources
    return hashlib.sha256("\n".join(parts).encode()).hexdigest(), subject


def _text(value: Any, roots: list[reached.Name]) -> str:
    """A static argument in words; `roots` collects the definitions of its classes."""
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    if isinstance(value, type):
        theirs = (c for c in value.__mro__ if issubclass(c, AbstractMechanism) or not _installed(_module(c)))
        roots.extend(map(_home, theirs))
        return value.__qualname__
    if isinstance(value, FunctionType):
        roots.append(_home(value))
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Model):
        inner: Any = value.key
    elif isinstance(value, enum.Enum):
        inner = (value.name,)
    elif isinstance(value, tuple):
        inner = value
    elif dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        raise Unnameable(f"a {type(value).__name__} among the static arguments")
    name = "" if type(value) is tuple else _text(type(value), roots)
    return f"{name}({', '.join(_text(v, roots) for v in inner)})"


def _module(thing: Any) -> ModuleType | None:
    return sys.modules.get(thing.__module__)


def _home(thing: Any) -> reached.Name:
    """The module that a class or function is found in by its name, and the top-level definition that it belongs to."""
    module = _module(thing)
    if module is None or thing.__module__ == "__main__":  # a notebook's cells have no file, or an outdated one
        raise Unnameable(f"{thing.__qualname__} belongs to no module")
    member: Any = module
    for part in thing.__qualname__.split("."):
        member = getattr(member, part, None)
    if member is not thing:
        raise Unnameable(f"{thing.__qualname__} is not found by its name in {thing.__module__}")
    return thing.__module__, thing.__qualname__.partition(".")[0]


# ---------------------------------------------------------------- syntax
# what names, stores and loads programs is part of none of them; who changes what is stored changes _FORMAT
_STORAGE = {
    f"nanomg.compute.{name}" for name in ("outlines", "process", "program_key", "program_store", "programs", "reached")
}
_STORAGE.add("nanomg.user_cache")


def _installed(module: ModuleType | None) -> bool:
    """Whether a module is of the standard library or of an installed package, which change with their versions only."""
    file = getattr(module, "__file__", None)
    return not file or reached.installed(Path(file))


@functools.cache
def _sources(roots: tuple[reached.Name, ...]) -> str:
    """A hash of the syntax of these definitions and of all that they reach, except code that changes only with its version."""
    families = {module.partition(".")[0] for module, _ in roots}

    def followed(module: str, path: Path) -> bool:
        return module not in _STORAGE and (not reached.installed(path) or module.partition(".")[0] in families)

    try:
        digest, files = reached.reached(roots, followed)
        if max(path.stat().st_mtime for path in files) > _BEGAN:
            raise Unnameable("a source file has changed since this process started")
    except (reached.SourceMissing, OSError) as error:
        raise Unnameable(str(error)) from None
    return digest


# ---------------------------------------------------------------- what compiles and runs it
@functools.cache
def _machine() -> str:
    device = jax.devices()[0]
    flags = os.environ.get("XLA_FLAGS", ""), str(_settings.jax_default_matmul_precision)
    compiler = jax.__version__, jaxlib.version.__version__, device.client.platform_version
    return "|".join((*compiler, *flags, device.platform, device.device_kind, str(process.cores()), _processor()))


def _processor() -> str:
    """The processor's name and instruction sets."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = {line for line in lines if line.partition("\t")[0].strip(" :") in ("model name", "flags", "Features")}
        return " ".join(sorted(named))
    return f"{platform.machine()} {platform.processor()}"
