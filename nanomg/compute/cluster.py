"""Work in pieces on a Dask cluster: processes of this machine, or a scheduler that others have started.

Whoever may speak to a scheduler can run anything on its workers. Those of this machine speak TLS among themselves, with a
certificate that lives in their memory alone, so that other users of the machine are turned away.

The data that all pieces share is a separate task, so it is sent to each worker once and made again if a worker that held it dies.
A few pieces for each worker are submitted at a time, so memory does not grow with their number; a worker that dies is
replaced by its nanny and its pieces are computed again, by its replacement or by others.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from nanomg import extras
from nanomg.compute import process
from nanomg.errors import InputError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_AHEAD = 2  # pieces for each worker: one that it works at and one that waits
_DEATHS = 10  # workers that may die at one piece before the piece is to blame
_WAIT = 30  # [s] for a scheduler to answer
_KINDS = ("tcp", "tls", "ws", "wss", "ucx")  # of addresses
_SAME = ("nanomg", "jax", "jaxlib", "numpy")  # packages that change results with their version


def check_installed() -> None:
    """Raise `InputError` where Dask's part for clusters is not installed."""
    for package in ("distributed", "cryptography"):
        extras.need(package, "--workers, --scheduler")


def map_pieces(
    function: Callable[[Any, Piece], Result],
    shared: Any,
    pieces: Iterable[Piece],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[Piece, Result]]:
    """`function(shared, piece)` of each piece, as they are done, in any order; both must be importable by the workers.

    `workers` processes are started on this machine, for its CPU alone, or the cluster of `scheduler` (an address) is used. Raises
    `InputError` if Dask, the scheduler or workers are missing, if workers have other versions or keep dying at one
    piece, and if the scheduler disappears.
    """
    if scheduler is None and (workers is None or workers < 1):
        raise InputError(f"at least 1 worker is needed, not {workers}", "--workers")
    check_installed()
    import dask
    import distributed

    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        stack.enter_context(distributed.utils.silence_logging_cmgr(logging.CRITICAL))
        client = stack.enter_context(_client(distributed, workers, scheduler))
        try:
            yield from _done(distributed, client, function, shared, pieces)
        except (CancelledError, distributed.comm.core.CommClosedError):
            raise InputError(
                "the scheduler stopped; with an output file, finished parts are kept and --resume continues",
                scheduler,
            ) from None
        except distributed.KilledWorker as error:
            raise InputError(
                f"{error.allowed_failures + 1} workers died at one piece of the work; give them more memory", scheduler
            ) from None
        except ImportError as error:
            raise InputError(f"a worker cannot import what it needs ({error})", scheduler) from None


_SETTINGS = {
    "distributed.scheduler.allowed-failures": _DEATHS,
    "distributed.admin.large-graph-warning-threshold": "1 GB",
    **{f"distributed.{server}.http.routes": [] for server in ("scheduler", "worker")},  # pages that anyone may read
    "distributed.worker.memory.target": False,  # pieces are small: nothing is to be spilled to disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # programs do not release memory: a paused worker would wait for ever
    # without Dask's MALLOC_TRIM_THRESHOLD_: a solve that gives each block's memory back to the system takes 50 % longer
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}


# each worker would take most of a GPU's memory, and XLA's threads, as many as there are cores, would get in each other's way
_ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "1"}


def _done(
    distributed: Any,
    client: Any,
    function: Callable[[Any, Piece], Result],
    shared: Any,
    pieces: Iterable[Piece],
) -> Iterator[tuple[Piece, Result]]:
    """Pieces as they are done."""
    source = client.submit(_itself, shared, pure=False)
    waiting: dict[Any, Piece] = {}
    queue = iter(pieces)
    done = distributed.as_completed([], loop=client.loop)

    def more() -> None:
        ahead = _AHEAD * max(1, len(client.nthreads()))  # workers may come and go
        while len(waiting) < ahead and (piece := next(queue, None)) is not None:
            future = client.submit(_one, _versions(), function, source, piece, pure=False)
            waiting[future] = piece
            done.add(future)

    more()
    while waiting:
        future = next(done)
        piece = waiting.pop(future)
        result = future.result()
        more()
        yield piece, result


# ---------------------------------------------------------------------- what a worker does
def _itself(shared: Any) -> Any:
    return shared


def _one(versions: Mapping[str, str], function: Callable[[Any, Any], Any], shared: Any, piece: Any) -> Any:
    """The result of a piece. Raises `InputError` where the worker would compute other numbers."""
    for package, version in _versions().items():
        if version != versions[package]:
            raise InputError(f"a worker has {package} {version}, and here it is {versions[package]}; install the same")
    return function(shared, piece)


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _SAME}


# ---------------------------------------------------------------------- workers
@contextlib.contextmanager
def _client(distributed: Any, workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A client of a cluster of processes of this machine, or of a scheduler's.

    It is not the default one: xarray would take its locks from the cluster.
    """
    if scheduler is None:
        with (
            process.main_not_run_again(),
            _quiet_loop(distributed) as loop,
            distributed.LocalCluster(
                loop=loop,
                security=distributed.Security.temporary(),
                n_workers=workers,
                threads_per_worker=1,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
                env=_ENVIRONMENT,
            ) as cluster,
            distributed.Client(cluster, security=cluster.security, set_as_default=False) as client,
        ):
            yield client
        return
    from distributed.comm.addressing import parse_address, parse_host_port

    kind, place = parse_address(scheduler)
    if kind not in _KINDS:
        raise InputError(
            f"a scheduler's address begins with {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, not {kind!r}", scheduler
        )
    try:
        port = parse_host_port(place)[1]  # a client that cannot start takes a minute to end
        if not 0 < port < 1 << 16:
            raise ValueError(f"there is no port {port}")
        client = distributed.Client(scheduler, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"no Dask scheduler answers there ({' '.join(str(error).split())})", scheduler) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WAIT)
        except TimeoutError:
            raise InputError(f"the scheduler has had no worker for {_WAIT} s; start some first", scheduler) from None
        yield client


@contextlib.contextmanager
def _quiet_loop(distributed: Any) -> Iterator[Any]:
    """An event loop whose processes do not see Ctrl-C: this process ends them, without messages from them."""
    runner = distributed.utils.LoopRunner()
    with process.interrupts_blocked():
        runner.start()  # a thread, and what it starts, takes over what is blocked
    try:
        yield runner.loop
    finally:
        runner.stop()
