"""What a compiled program is known by: a text that is the same in every process that would compile the same program.

It names the function, its static arguments, the source files that its equations come from, and what compiles and runs it. A source
file counts by its content: all of nanomg's own, those of the mechanisms, and those that these import beside the standard
library and installed packages of other names.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import enum
import functools
import hashlib
import importlib.util
import itertools
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jaxlib.version

from nanomg.equations.mechanism import AbstractMechanism
from nanomg.equations.model import Model

_BEGAN = time.time()
_settings: Any = jax.config


class Unnameable(Exception):
    """A program depends on something that another process cannot know by name."""


def of(function: Any, fixed: tuple[Any, ...], shapes: tuple[str, ...]) -> tuple[str, str]:
    """A hash for a function with its static arguments on arguments of these shapes, and the static arguments in words.

    Raises `Unnameable`.
    """
    modules = {_home(function)}
    subject = ", ".join(_text(value, modules) for value in fixed)
    if any(" at 0x" in shape for shape in shapes):
        raise Unnameable("the structure of an argument is told by an address")
    name = f"{function.__module__}.{function.__qualname__}"
    parts = name, subject, *shapes, str(_settings.jax_enable_x64), _machine(), _sources(frozenset(modules))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest(), subject


def _text(value: Any, modules: set[ModuleType]) -> str:
    """A static argument in words; `modules` collects where its classes come from."""
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    if isinstance(value, type):
        theirs = (c for c in value.__mro__ if issubclass(c, AbstractMechanism) or not _installed(_module(c)))
        modules.update(map(_home, theirs))
        return value.__qualname__
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
    name = "" if type(value) is tuple else _text(type(value), modules)
    return f"{name}({', '.join(_text(v, modules) for v in inner)})"


def _module(thing: Any) -> ModuleType | None:
    return sys.modules.get(thing.__module__)


def _home(thing: Any) -> ModuleType:
    """The module that a class or function is found in by its name."""
    module = _module(thing)
    if module is None or thing.__module__ == "__main__":  # a notebook's cells have no file, or an outdated one
        raise Unnameable(f"{thing.__qualname__} belongs to no module")
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not thing:
        raise Unnameable(f"{thing.__qualname__} is not found by its name in {thing.__module__}")
    return module


# ---------------------------------------------------------------- source files
_STANDARD = Path(sysconfig.get_path("stdlib"))


def _installed(module: ModuleType | None) -> bool:
    """Whether a module is of the standard library or of an installed package, which change with their versions only."""
    file = getattr(module, "__file__", None)
    if not file:
        return True
    path = Path(file)
    return path.is_relative_to(_STANDARD) or not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


@functools.cache
def _sources(modules: frozenset[ModuleType]) -> str:
    """A hash of the files of the modules and of all that these import and that may change without a version."""
    files: set[Path] = set()
    families = {module.__name__.partition(".")[0] for module in modules}
    todo = list(modules)
    while todo:
        module = todo.pop()
        path = Path(module.__file__ or "")
        if path.suffix != ".py":
            raise Unnameable(f"{module.__name__} has no source file")
        if path not in files:
            files.add(path)
            reached = (sys.modules[name] for name in _imports(module, path) if name in sys.modules)
            todo += [
                m for m in reached if not _installed(m) or (m.__name__.partition(".")[0] in families and m.__file__)
            ]
    try:
        if max(path.stat().st_mtime for path in files) > _BEGAN:
            raise Unnameable("a source file was changed since this process began")
        return " ".join(sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files))
    except OSError as error:
        raise Unnameable(f"a source file cannot be read ({error})") from None


def _imports(module: ModuleType, path: Path) -> Iterator[str]:
    """Names that a module may import, wherever in its text."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            if node.level:
                base = importlib.util.resolve_name(base, module.__package__ or None)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            yield from itertools.accumulate(name.split("."), "{}.{}".format)


# ---------------------------------------------------------------- what compiles and runs it
@functools.cache
def _machine() -> str:
    device = jax.devices()[0]
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )  # work is shared among them
    flags = os.environ.get("XLA_FLAGS", ""), str(_settings.jax_default_matmul_precision)
    compiler = jax.__version__, jaxlib.version.__version__, device.client.platform_version
    return "|".join((*compiler, *flags, device.platform, device.device_kind, str(cores), _processor()))


def _processor() -> str:
    """The processor's name and instruction sets."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        kept = {line for line in lines if line.partition("\t")[0].strip(" :") in ("model name", "flags", "Features")}
        return " ".join(sorted(kept))
    return f"{platform.machine()} {platform.processor()}"
