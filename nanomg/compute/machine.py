"""The cores and the memory of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os


def cores() -> int:
    """Cores that this process may use: on a CPU, a block is solved on each."""
    return len(os.sched_getaffinity(0))


def trim() -> None:
    """Give memory that lies free back to the system, where the C library can: between arrays of many sizes it wears into pieces."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
