"""The percentiles of sampled values that summary and figure show alike."""

from __future__ import annotations

import math

import numpy as np

PERCENTILES = (5, 50, 95)


def percentiles(values: np.ndarray) -> dict[str, float]:
    """5, 50 and 95 % quantiles; each is a value that was sampled, so that an infinite shortfall is allowed.

    Example:
        >>> percentiles(np.array([1.0, 2.0, 4.0, np.inf]))
        {'5': 1.0, '50': 2.0, '95': inf}
    """
    if not len(values):
        return {str(q): math.nan for q in PERCENTILES}
    return {str(q): float(np.percentile(values, q, method="inverted_cdf")) for q in PERCENTILES}
