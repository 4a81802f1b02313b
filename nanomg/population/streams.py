"""Random numbers of virtual subjects: each parameter has its own stream, and each subject its place in it.

A stream is read in pages, so that any range of subjects is reached without those before it: a subject has the same numbers
whatever the range, and whatever else varies. A further attempt at a subject reads pages of its own.
"""

from __future__ import annotations

import functools
import math
import zlib

import numpy as np

PAGE = 4096  # subjects that share one random generator


def normal(name: str, seed: int, subjects: np.ndarray, attempt: int = 0) -> np.ndarray:
    """Standard normal numbers (subject,) of the stream `name` for subjects of these numbers, 0 and up."""
    pages, places = np.divmod(subjects, PAGE)
    numbers = np.empty(len(pages))
    for page in np.unique(pages):
        here = pages == page
        numbers[here] = _page(name, seed, int(page), attempt)[places[here]]
    return numbers


@functools.lru_cache(maxsize=512)  # parts of a sweep come to the same page in turn
def _page(name: str, seed: int, page: int, attempt: int) -> np.ndarray:
    key = [seed, zlib.crc32(name.encode()), page, *([attempt] if attempt else [])]
    return np.random.default_rng(key).standard_normal(PAGE)


def spread(cv: float) -> float:
    """Standard deviation of the logarithm of a log-normal quantity with this coefficient of variation."""
    return math.sqrt(math.log1p(cv**2))
