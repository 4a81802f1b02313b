"""Compiled programs that outlive the process.

Tracing and compiling a solve takes seconds, loading it a fraction of one. `compiled` replaces `jax.jit`: for each static
argument and each set of shapes and types it looks for the program in the folder of nanomg.compute.program_store, and keeps
there what it had to compile. The key holds everything that a program depends on: static arguments, shapes, types, source
files, versions, flags and processor. What cannot be named so, such as a mechanism defined in a function or a notebook, is
left to `jax.jit`.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

import jax
from jax.experimental import serialize_executable

from nanomg import user_cache
from nanomg.compute import compilation, process, program_key, program_store, result_tree

process.prepare_jax()

log = logging.getLogger(__name__)
_settings: Any = jax.config
_MOST = 128  # programs in memory: a large one is 400 pieces of mapped memory, and Linux grants a process 65,530
_RESULT = "result"  # what an entry says of the tree of results
before_loading: list[Callable[[bytes], None]] = []  # what needs to look at a stored program first
_used: OrderedDict[tuple[Any, Any], None] = OrderedDict()  # function and signature, the one used last at the end
_bookkeeping = threading.RLock()  # held while the two lists of programs in memory change

P = ParamSpec("P")
T = TypeVar("T")
Executable = Callable[[list[Any]], Any]  # from the leaves of the arguments to the result


def compiled(*static: int) -> Callable[[Callable[P, T]], Program[P, T]]:
    """Compile a function as `jax.jit` with these static positions does, and keep what was compiled on disk."""
    return lambda function: Program(function, static)


def forget() -> None:
    """Drop every compiled program in memory, JAX's own included; stored programs stay on disk and are loaded when needed."""
    with _bookkeeping:
        for program, _ in _used:
            program.compiled.clear()
        _used.clear()
    jax.clear_caches()


class Program(Generic[P, T]):
    """A function and what was compiled of it. Where only `jax.jit` can do it (under tracing, on other devices), it does."""

    def __init__(self, function: Callable[P, T], static: tuple[int, ...]):
        functools.update_wrapper(self, function)
        self.function: Any = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.static = sorted(static)
        self.jitted = jax.jit(function, static_argnums=static)
        self.compiled: dict[Any, Executable | None] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result."""
        leaves, tree = jax.tree.flatten([a for i, a in enumerate(args) if i not in self.static])
        if kwargs or not _ordinary(leaves):
            return self.jitted(*args, **kwargs)
        fixed = tuple(args[i] for i in self.static)
        signature = fixed, tree, tuple(jax.typeof(leaf) for leaf in leaves), _settings.jax_enable_x64
        try:
            run = self._again(signature)
        except KeyError:
            with process.compiling:
                try:
                    run = self._again(signature)  # another thread has compiled it meanwhile
                except KeyError:
                    run, result = self._first(fixed, tree, leaves)
                    self._remember(signature, run)
                    if run is not None:
                        return result
        return self.jitted(*args) if run is None else run(leaves)

    def _again(self, signature: Any) -> Executable | None:
        with _bookkeeping:
            run = self.compiled[signature]
            _used[self, signature] = None
            _used.move_to_end((self, signature))
        return run

    def _remember(self, signature: Any, run: Executable | None) -> None:
        with _bookkeeping:
            self.compiled[signature] = run
            _used[self, signature] = None
            while len(_used) > _MOST:
                (program, oldest), _ = _used.popitem(last=False)
                program.compiled.pop(oldest, None)

    def _first(self, fixed: tuple[Any, ...], tree: Any, leaves: list[Any]) -> tuple[Executable | None, Any]:
        """The program, loaded or compiled, and its first result; no program where it cannot be stored."""
        if user_cache.trusted() is None:
            return None, None
        types = [str(jax.typeof(leaf)) for leaf in leaves]
        try:
            key, subject = program_key.of(self, fixed, (str(tree), *types))
        except program_key.Unnameable as reason:
            log.debug("%s is not stored: %s", self.name, reason)
            return None, None
        if (stored := program_store.read(key)) is not None:
            try:
                run = _loaded(*stored, len(leaves))
                result = jax.block_until_ready(run(leaves))  # an incomplete program fails only here
            except Exception as error:  # whatever JAX and XLA raise
                log.debug("%s cannot be loaded: %r", self.name, error)
            else:
                log.debug("loaded %s", self.name)
                return run, result
        began = time.perf_counter()
        with compilation.announced(self.name, subject):
            run, stored = self._compile(fixed, tree, leaves)
        seconds = time.perf_counter() - began
        log.debug("compiled %s in %.1f s", self.name, seconds)
        if stored is not None:
            about = {"program": self.name, "of": subject, "arguments": types, "seconds": round(seconds, 2)}
            program_store.write(key, {**about, **stored[0]}, stored[1])
        return run, run(leaves)

    def _compile(
        self, fixed: tuple[Any, ...], tree: Any, leaves: list[Any]
    ) -> tuple[Executable, tuple[dict[str, Any], bytes] | None]:
        structure: Any = None

        # flat on both sides: a loaded program cannot rebuild classes in the tree of its arguments
        def flat(*leaves: Any) -> list[Any]:
            nonlocal structure
            args = jax.tree.unflatten(tree, leaves)
            for i, value in zip(self.static, fixed, strict=True):
                args.insert(i, value)
            out, structure = jax.tree.flatten(self.function(*args))
            return out

        flat.__name__ = self.function.__name__
        compiled = jax.jit(flat).lower(*leaves).compile()
        run = _runner(compiled, structure)
        try:
            example = jax.tree.unflatten(structure, range(structure.num_leaves))
            described = {_RESULT: result_tree.described(example)}
            program, inputs, outputs = serialize_executable.serialize(compiled)
            if (inputs, outputs) != _flat(len(leaves), structure.num_leaves):
                raise result_tree.Undescribed("arguments and results are no lists")
            return run, (described, program)
        except Exception as error:  # a backend or a program that cannot be serialised
            log.debug("%s cannot be stored: %r", self.name, error)
            return run, None


def _loaded(about: Mapping[str, Any], program: bytes, arguments: int) -> Executable:
    structure: Any = jax.tree.structure(result_tree.made(about[_RESULT]))
    for look in before_loading:
        look(program)
    flat, here = _flat(arguments, structure.num_leaves), jax.devices()[:1]
    compiled = serialize_executable.deserialize_and_load(program, *flat, execution_devices=here)
    return _runner(compiled, structure)


def _flat(arguments: int, results: int) -> tuple[Any, Any]:
    """The trees of a program's arguments and results: as many leaves side by side."""
    given = tuple(range(arguments)), dict[str, Any]()
    return jax.tree.structure(given), jax.tree.structure([*range(results)])


def _runner(compiled: Any, structure: Any) -> Executable:
    return lambda leaves: jax.tree.unflatten(structure, compiled(*leaves))


def _ordinary(leaves: list[Any]) -> bool:
    """Whether the arguments are concrete, on the default device, and nothing asks for another way to run."""
    if _settings.jax_disable_jit or _settings.jax_debug_nans or _settings.jax_default_device is not None:
        return False
    here = {jax.devices()[0]}
    return all(
        not isinstance(leaf, jax.core.Tracer) and (not isinstance(leaf, jax.Array) or leaf.devices() == here)
        for leaf in leaves
    )
