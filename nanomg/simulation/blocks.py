"""Many lanes as blocks: as many as a cache holds, and hard ones by themselves.

A block runs until its slowest lane has finished. Lanes that need far more steps than their neighbours are deferred by the solver
and solved here in blocks of their own, so that a few of them do not cost all the others time. On a CPU blocks run side by side on
its cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np

from nanomg.compute import devices, process
from nanomg.solver.status import Status

T = TypeVar("T", bound=Any)  # a named tuple: lanes along the last axis of each array, `status` among them, and counts
Solve = Callable[[np.ndarray, bool], T]

_FEWEST = 8  # lanes from which on deferring one can pay


def solve_in_blocks(solve: Solve[T], batch: int, defer: bool = True) -> T:
    """All `batch` lanes. `solve(lanes, defer)` solves the lanes of these numbers as one block; without `defer` none is deferred.

    Counts (arrays without axes) are added up over the blocks.
    """
    on_cpu = jax.default_backend() == "cpu"
    size = devices.ON_CPU if on_cpu else devices.ON_GPU
    if batch < _FEWEST:
        return solve(np.arange(batch), False)
    few = lambda late: min(size, max(4, 1 << (late - 1).bit_length()))
    return _with_late(solve, batch, min(batch, size), few, process.cores() if on_cpu else 1, defer)


def solve_in_like_blocks(solve: Solve[T], batch: int, size: int, late: int, workers: int = 1) -> T:
    """The same in blocks of `size` lanes and of `late` for those deferred: two programs for any `batch`; `workers` side by side."""
    return _with_late(solve, batch, size, lambda _: late, workers, size >= _FEWEST)


def solve_in_turn(solve: Solve[T], batch: int, size: int) -> T:
    """The same in blocks of at most `size` lanes, one after the other: for solves in which no lane waits for another."""
    parts = [solve(np.arange(start, min(start + size, batch)), False) for start in range(0, batch, size)]
    return jax.tree.map(lambda *a: _join(a, batch), *parts) if len(parts) > 1 else parts[0]


def _with_late(solve: Solve[T], batch: int, size: int, late_size: Callable[[int], int], workers: int, defer: bool) -> T:
    found = _together(solve, np.arange(batch), size, workers, defer)
    late = np.flatnonzero(np.asarray(found.status) == Status.DEFERRED)
    if not len(late):
        return found
    again = _together(solve, late, late_size(len(late)), workers, False)
    return jax.tree.map(lambda a, b: _put(a, late, b), found, again)


def _together(solve: Solve[T], lanes: np.ndarray, size: int, workers: int, defer: bool) -> T:
    blocks = list(_blocks(lanes, size))
    if len(blocks) == 1:
        found = solve(blocks[0], defer)
        return found if len(blocks[0]) == len(lanes) else jax.tree.map(lambda *a: _join(a, len(lanes)), found)
    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(lambda block: jax.block_until_ready(solve(block, defer)), blocks))
    return jax.tree.map(lambda *a: _join(a, len(lanes)), *parts)


def _blocks(lanes: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Blocks of one size; the last is filled up with its last lane."""
    for start in range(0, len(lanes), size):
        block = lanes[start : start + size]
        yield np.pad(block, (0, size - len(block)), mode="edge")


def _join(parts: tuple[Any, ...], count: int) -> np.ndarray:
    if np.ndim(parts[0]) == 0:
        return np.sum(parts)
    return np.concatenate([np.asarray(part) for part in parts], -1)[..., :count]


def _put(whole: Any, lanes: np.ndarray, part: Any) -> np.ndarray:
    if np.ndim(whole) == 0:
        return np.asarray(whole) + np.asarray(part)
    changed = np.array(whole)
    changed[..., lanes] = np.asarray(part)
    return changed
