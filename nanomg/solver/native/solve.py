"""The solve of lanes whose values are NumPy arrays, by a kernel in as many threads as cores are idle."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np

from nanomg.compute import process
from nanomg.solver.native import arrays, foreign, kernel, machine
from nanomg.solver.native.arrays import KernelInputs, KernelResults
from nanomg.solver.problem import Problem

_NO_LANE = 1 << 62  # a number that is beyond every lane
_counting = threading.Lock()
_busy = 0  # threads of this process that run kernels from here


def solved(problem: Problem, inputs: KernelInputs, precision: str) -> KernelResults:
    """The solve of all lanes. Raises `UnknownPrimitive` if the equations use an operation that has no machine code."""
    run, width = foreign.function(kernel.forward_kernel(problem, precision)), machine.host().lanes(precision)
    results = arrays.results(inputs, precision)
    operands = arrays.operands(problem, inputs, precision)
    addresses = [np.array([a.ctypes.data for a in some], np.uint64) for some in (operands, results)]
    sizes = np.array(arrays.sizes(inputs), np.int64)
    given = [a.ctypes.data for a in (*addresses, sizes)]

    def work(queue: ctypes.c_int64, held: object = (operands, results, addresses, sizes)) -> None:
        run(given[0], given[1], given[2], ctypes.addressof(queue))

    _share(work, -(-len(inputs.y0) // width))
    return results


def _share(work: Callable[[ctypes.c_int64], None], groups: int) -> None:
    """Do the work here, and at the same time in further threads: as many as have lanes to take and a core to run on.

    The work holds all memory that it uses: an interrupt may end this function, at any moment, before its threads.
    """
    queue = ctypes.c_int64(0)
    do = functools.partial(work, queue)
    more = _take(groups - 1)
    try:
        helpers = _helpers(do, more)
        try:
            do()
        finally:
            while helpers:  # they write to the same arrays, so an interrupt must wait too
                try:
                    wait(helpers)
                    break
                except BaseException:
                    queue.value = _NO_LANE
    finally:
        _give(more)
    for helper in helpers:
        helper.result()


def _helpers(do: Callable[[], None], count: int) -> list[Future[None]]:
    try:
        return [_pool().submit(do) for _ in range(count)]
    except RuntimeError:  # the interpreter is about to end
        return []


def _take(wanted: int) -> int:
    """How many threads besides this one may run: no more than wanted, nor than there are idle cores."""
    global _busy
    with _counting:
        more = max(0, min(wanted, process.threads() - _busy - 1))
        _busy += more + 1
    return more


def _give(more: int) -> None:
    global _busy
    with _counting:
        _busy -= more + 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(process.threads(), thread_name_prefix="nanomg")
