"""Samples below the lower limit of quantification (LLOQ): what each of the usual rules makes of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

BlqRule = Literal["0 then missing", "0", "missing", "LLOQ/2"]

BLQ_RULES = {
    "0 then missing": "0 before the first quantifiable sample, excluded after it",
    "0": "count as 0",
    "missing": "excluded",
    "LLOQ/2": "count as half the limit",
}


def apply_blq_rule(c: np.ndarray, below: np.ndarray, limit: Any, rule: BlqRule) -> tuple[np.ndarray, np.ndarray]:
    """Concentrations (…, time) after the rule, and which of the samples `below` the limit are excluded; NaN stays NaN."""
    excluded = np.zeros(c.shape, bool)
    if rule == "missing":
        excluded = below
    elif rule == "0 then missing":
        excluded = below & np.logical_or.accumulate(~below & np.isfinite(c), axis=-1)
    value = limit / 2 if rule == "LLOQ/2" else 0.0
    return np.where(below & ~excluded, value, c), excluded
