"""Work in pieces on a Dask cluster: processes of this machine, or a scheduler that others have started.

What a piece needs is sent to each worker once. A few pieces for each worker are under way at a time, so memory stays flat however
many there are; a worker that dies is replaced by its nanny and its pieces are done again, by itself or by others.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from nanomg.errors import InputError

Piece = TypeVar("Piece")
Found = TypeVar("Found")

_AHEAD = 2  # pieces for each worker: one that it works at and one that waits
_DEATHS = 10  # workers that may die at one piece before the piece is to blame
_WAIT = 30  # [s] for a scheduler to answer


def each(
    function: Callable[[Any, Piece], Found],
    shared: Any,
    pieces: Iterable[Piece],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[Piece, Found]]:
    """`function(shared, piece)` of each piece, as they are done, in any order; both must be importable by the workers.

    `workers` processes are started on this machine, or the cluster of `scheduler` (an address) is used. Raises `InputError` where
    there is no Dask, no scheduler or no worker, or where workers keep dying at one piece.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            "this needs Dask; install it with pip install 'nanomg[cluster]'", "--workers, --scheduler"
        ) from None
    import dask

    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        client = stack.enter_context(_client(distributed, workers, scheduler))
        source = client.scatter(shared, broadcast=True, hash=False)
        run = functools.partial(client.submit, function, source, pure=False)
        waiting: dict[Any, Piece] = {}
        queue = iter(pieces)
        done = distributed.as_completed([], loop=client.loop)

        def more() -> None:
            ahead = _AHEAD * max(1, len(client.nthreads()))  # workers may come and go
            while len(waiting) < ahead and (piece := next(queue, None)) is not None:
                future = run(piece)
                waiting[future] = piece
                done.add(future)

        more()
        while waiting:
            future = next(done)
            piece = waiting.pop(future)
            try:
                found = future.result()
            except distributed.KilledWorker:
                raise InputError(
                    f"{_DEATHS} workers died at one piece of work ({piece!r}); give them more memory"
                ) from None
            more()
            yield piece, found


_SETTINGS = {
    "distributed.scheduler.allowed-failures": _DEATHS,
    "distributed.admin.large-graph-warning-threshold": "1 GB",
    "distributed.worker.memory.target": False,  # pieces are small: nothing is to be spilled to disk
    "distributed.worker.memory.spill": False,
}


@contextlib.contextmanager
def _client(distributed: Any, workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A client of a cluster of processes of this machine, or of a scheduler's.

    It is not the default one: xarray would take its locks from the cluster.
    """
    if scheduler is None:
        with (
            distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"no Dask scheduler answers there ({' '.join(str(error).split())})", scheduler) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WAIT)
        except TimeoutError:
            raise InputError(f"the scheduler has had no worker for {_WAIT} s; start some first", scheduler) from None
        yield client
