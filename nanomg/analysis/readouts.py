"""Numbers read off a curve: what a study reports of a course in time.

Each function takes times and values (time, …) with common trailing axes, lanes or several, and the ends of a window (…) [h]. The
times do not fall, the ends of the window are among them, and times may repeat. Between times the curve is straight; for areas it
is an exponential where it falls. All are differentiable in the values, `time of max` alone is not. `Over` is how several subjects
become one number.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from nanomg import units

Statistic = Callable[[Any, Any, Any, Any], jax.Array]

_CLOSE = 1e-9  # relative: what lies this near the end of a window belongs to it


def _inside(t: Any, start: Any, stop: Any) -> jax.Array:
    slack = _CLOSE * (1.0 + stop)
    return (t >= start - slack) & (t <= stop + slack)


def _weights(t: Any, start: Any, stop: Any) -> jax.Array:
    """What each time counts in an integral over the window [h]."""
    inside = _inside(t, start, stop)
    step = jnp.diff(t, axis=0) * (inside[1:] & inside[:-1])
    none = jnp.zeros_like(step[:1])
    return 0.5 * (jnp.concatenate([none, step]) + jnp.concatenate([step, none]))


def _trend(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """Slope [1/h] of the straight line through ln y, every hour of the window counting the same."""
    weight = _weights(t, start, stop)
    log = jnp.log(jnp.where(weight > 0, y, 1.0))
    total = jnp.sum(weight, 0)
    since = t - jnp.sum(weight * t, 0) / total
    return jnp.sum(weight * since * log, 0) / jnp.sum(weight * since**2, 0)


def at(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The value at `stop`; at the time of a bolus the value just after it."""
    late = t > stop + _CLOSE * (1.0 + stop)
    last = jnp.maximum(jnp.sum(~late, 0) - 1, 0)
    return jnp.take_along_axis(y, last[None], 0)[0]


def mean(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The mean over time."""
    return auc(t, y, start, stop) / (stop - start)


def highest(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The highest value."""
    return jnp.max(jnp.where(_inside(t, start, stop), y, -jnp.inf), 0)


def lowest(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The lowest value."""
    return jnp.min(jnp.where(_inside(t, start, stop), y, jnp.inf), 0)


def time_of_highest(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The time of the highest value [h]."""
    first = jnp.argmax(jnp.where(_inside(t, start, stop), y, -jnp.inf), 0)
    return jnp.take_along_axis(jnp.asarray(t), first[None], 0)[0]


def auc(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The area under the curve [unit × h], within the window: where it falls by more than a hundredth, as an exponential does."""
    inside = _inside(t, start, stop)
    a, b = y[:-1], y[1:]
    falls = (b > 0) & (a > 1.01 * b)
    ratio = jnp.where(falls, a, 2.0) / jnp.where(falls, b, 1.0)
    height = jnp.where(falls, (a - b) / jnp.log(ratio), (a + b) / 2)
    return jnp.sum(jnp.where(inside[1:] & inside[:-1], jnp.diff(t, axis=0) * height, 0.0), 0)


def half_life(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The half-life [h] of the log-linear regression; NaN where the curve does not fall."""
    slope = _trend(t, y, start, stop)
    return jnp.log(2.0) / jnp.where(slope < 0, -slope, jnp.nan)


def slope(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The slope of ln y [1/h]: a rate of growth."""
    return _trend(t, y, start, stop)


def change(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The value at the end relative to that at the start of the window, less 1."""
    return at(t, y, start, stop) / at(t, y, start, start) - 1.0


def mrt(t: Any, y: Any, start: Any, stop: Any) -> jax.Array:
    """The mean residence time [h] since the start, within the window."""
    return auc(t, y * (t - start), start, stop) / auc(t, y, start, stop)


STATISTICS: Mapping[str, Statistic] = {
    "at": at,
    "mean": mean,
    "max": highest,
    "min": lowest,
    "time of max": time_of_highest,
    "auc": auc,
    "half-life": half_life,
    "slope": slope,
    "change": change,
    "mrt": mrt,
}
UNITS: Mapping[str, str | None] = {  # None: that of the values
    **dict.fromkeys(("at", "mean", "max", "min")),
    **dict.fromkeys(("time of max", "half-life", "mrt"), "h"),
    "slope": "1/h",
    "change": "1",
    "auc": "h",  # times that of the values
}

SPREAD = re.compile(r"q(\d{2})|share (above|below) (.+)")  # of several values: a quantile or a share, in words


@dataclasses.dataclass(frozen=True)
class Over:
    """How subjects become one number: `kind` is mean, median, sd, above, below or quantile with its `level`."""

    kind: str
    level: float = 0.0


def spread_of(text: str, unit: str, where: str) -> Over | None:
    """A quantile or a share in words, its limit in `unit`; None for other words. Raises `InputError` for a broken limit."""
    if (found := SPREAD.fullmatch(text)) is None:
        return None
    percent, side, limit = found.groups()
    return Over("quantile", int(percent) / 100) if percent else Over(side, units.parse_quantity(limit, unit, where))
