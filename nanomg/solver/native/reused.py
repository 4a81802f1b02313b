"""Large arrays whose memory is used again once nobody holds them: fresh memory costs a kernel's threads time, page by page."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np

_SMALLEST, _LARGEST = 1 << 20, 1 << 26  # [bytes] of memory that is worth keeping, and that may lie idle
# each operation on it is atomic: memory comes back from any thread, at any moment, and when there is much the oldest goes
_idle: deque[np.ndarray] = deque(maxlen=3)


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `numpy.empty`. The memory goes on to later arrays when the last view of this one is gone."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    memory = _taken(size)
    # views of an array over a memoryview refer to that array, not to what is below it
    array = np.frombuffer(memory.data[:size], dtype)
    weakref.finalize(array, _idle.append, memory).atexit = False
    return array.reshape(shape)


def _taken(size: int) -> np.ndarray:
    """Idle memory that is large enough and not twice as large, or else fresh memory."""
    for _ in range(len(_idle)):
        try:
            memory = _idle.popleft()
        except IndexError:  # another thread was faster
            break
        if size <= memory.nbytes <= 2 * size:
            return memory
        _idle.append(memory)
    return np.empty(size, np.uint8)
