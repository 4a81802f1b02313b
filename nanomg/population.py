"""Virtual subjects: how far each of them lies from the typical one."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

import numpy as np

from nanomg.card import Parameter


def factors(parameters: Iterable[Parameter], count: int, seed: int) -> dict[str, np.ndarray]:
    """What each subject (count,) multiplies a parameter by: log-normal with the card's `cv`, its median the card's value.

    Each parameter has its own stream and each subject its place in it: neither other parameters nor a higher count change one.
    """
    found = {}
    for p in parameters:
        if p.cv and p.value:
            z = np.random.default_rng([seed, zlib.crc32(p.name.encode())]).standard_normal(count)
            found[p.name] = np.exp(math.sqrt(math.log1p(p.cv**2)) * z)
    return found
