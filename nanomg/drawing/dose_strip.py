"""Doses drawn as a strip along the time axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nanomg.drawing import style
from nanomg.results.reading import DoseMark


def draw_doses(axis: Any, given: Sequence[DoseMark], hours: float) -> None:
    """A strip with a row for each port: when it is dosed, and with how much."""
    scale = style.time_scale(hours)
    axis.set(xlim=(0.0, hours * scale), ylim=(len(given) - 0.35, -0.9), yticks=[], xticks=[])
    axis.spines[:].set_visible(False)
    for i, dose in enumerate(given):
        marker = ("v", "D", "^", "s", "o", "P")[i % 6]
        here = dose.times <= hours
        axis.plot(dose.times[here] * scale, np.full(here.sum(), i), marker, color="black", ms=5.5, clip_on=False)
        for time, duration in zip(dose.times[here], dose.durations[here], strict=True):
            if duration > 0.004 * hours:
                axis.plot([time * scale, min(time + duration, hours) * scale], [i, i], color="black", lw=3, alpha=0.5)
        text = style.literal(dose.text)
        axis.text(0.0, i - 0.45, text, transform=axis.get_yaxis_transform(), fontsize=8.5, va="center")
