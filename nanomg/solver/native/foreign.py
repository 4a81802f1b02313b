"""Kernels of this process and of the user's cache folder: compiled once for all processes, by the key of what they depend on.

A kernel is a function `void name(ptr operands, ptr results, ptr sizes, ptr queue)`: addresses of the arrays, 64-bit sizes of which
the first is the number of lanes, and the number of the next lane to take, which the kernel raises. Several threads may run it on
the same arguments until no lane is left. Compiled programs call it by a name that contains the key; XLA must know this name
before it loads such a program.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.compute import program_key, program_store, programs
from nanomg.solver.native import handler, machine

log = logging.getLogger(__name__)
_FORMAT = "1"  # who changes how nanomg.solver.native.machine makes code changes this
_LEVEL = 1  # of LLVM's optimiser: the second takes longer and runs no faster
_lock = threading.RLock()  # held while a kernel is made or loaded
_codes: dict[str, machine.MachineCode] = {}
_known: set[Kernel] = set()  # to XLA
_here: dict[Any, str] = {}  # keys of what has no name in another process
_numbers = itertools.count()
_prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
_CALLED = re.compile(rb"nanomg_kernel/([0-9a-f]{64})/(\w+)")


class Kernel(NamedTuple):
    """A function of compiled code: the key of the code and the function's name in it."""

    key: str
    name: str

    @property
    def target(self) -> str:
        """Its name for XLA."""
        return f"nanomg_kernel/{self.key}/{self.name}"


def compiled(build: Callable[..., str], fixed: tuple[Any, ...], widths: dict[str, int]) -> list[Kernel]:
    """The kernels in the text that `build(*fixed)` writes for LLVM, compiled unless they are in memory or on disk.

    `widths` are lanes that each kernel takes at a time, by its name. The key holds everything that `build` reaches, as that of a
    compiled program does.
    """
    with _lock:
        try:
            made_by = _FORMAT, str(_LEVEL), machine.host().text, handler.with_handlers("", widths)
            key, subject = program_key.of(build, fixed, made_by)
        except program_key.Unnameable as reason:
            log.debug("a kernel is not stored: %s", reason)
            key, subject = _here.setdefault((build, fixed, *widths.items()), f"here-{next(_numbers)}"), ""
        if key not in _codes and not (subject and _load(key)):
            began = time.perf_counter()
            code = machine.object_code(handler.with_handlers(build(*fixed), widths), _LEVEL)
            seconds = time.perf_counter() - began
            log.debug("generated code of %d bytes in %.1f s", len(code), seconds)
            _codes[key] = machine.MachineCode(code, handler.SHARED)
            if subject:
                about = {"program": f"{build.__module__}.{build.__qualname__}", "of": subject}
                program_store.write(key, {**about, "processor": machine.host().cpu, "seconds": round(seconds, 2)}, code)
        kernels = [Kernel(key, name) for name in widths]
        for kernel in kernels:
            _introduce(kernel)
        return kernels


def call(
    kernel: Kernel,
    operands: Sequence[Any],
    shared: Collection[int],
    results: Sequence[jax.ShapeDtypeStruct],
    sizes: Sequence[int],
) -> list[jax.Array]:
    """The results of a kernel, as traced values.

    The last axis of every array is that of lanes, except in the operands with the numbers `shared`. In memory, lanes come
    first and the other axes after them in their order. The first of `sizes` is the number of lanes.
    """
    # XLA cannot give every array without elements a layout; one number stands for it, which no kernel reads
    given = [a if np.size(a) else np.zeros(1, a.dtype) for a in operands]
    made = [r if r.size else jax.ShapeDtypeStruct((1,), r.dtype) for r in results]
    first = lambda axes: (axes - 1, *range(axes - 1))
    run = jax.ffi.ffi_call(
        kernel.target,
        made,
        vmap_method="sequential",
        input_layouts=[None if i in shared else first(np.ndim(a)) for i, a in enumerate(given)],
        output_layouts=[first(len(r.shape)) for r in made],
    )
    found = run(*given, sizes=np.array(sizes, np.int64))
    return [a if r.size else jnp.zeros(r.shape, r.dtype) for a, r in zip(found, results, strict=True)]


@functools.cache
def function(kernel: Kernel) -> Callable[[Any, Any, Any, Any], None]:
    """A kernel as a function of the four addresses that it takes; other threads run Python meanwhile."""
    return _prototype(_codes[kernel.key].address(kernel.name))


def _introduce(kernel: Kernel) -> None:
    """Tell XLA of a kernel."""
    if kernel not in _known:
        address = _codes[kernel.key].address(kernel.name + handler.SUFFIX)
        jax.ffi.register_ffi_target(kernel.target, jax.ffi.pycapsule(address), platform="cpu")
        _known.add(kernel)


def _load(key: str) -> bool:
    """Take code from disk into memory, if it is there."""
    stored = program_store.read(key)
    if stored is None:
        return False
    _codes[key] = machine.MachineCode(stored[1], handler.SHARED)
    log.debug("loaded code of %d bytes", len(stored[1]))
    return True


def introduce_called(program: bytes) -> None:
    """Tell XLA of all kernels that a stored program calls, as far as their code is on disk: XLA refuses it where one is missing."""
    called = {Kernel(key.decode(), name.decode()) for key, name in _CALLED.findall(program)}
    for kernel in called - _known:
        with _lock:
            if kernel.key in _codes or _load(kernel.key):
                _introduce(kernel)


programs.before_loading.append(introduce_called)
