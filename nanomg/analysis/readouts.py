"""Read-outs: numbers computed from a time course. One table, `READ_OUTS`, is used by every job.

    READ_OUTS["auc"].formula(t, y, t[0], t[-1])        # the area, (…)
    READ_OUTS["auc"].unit("mg/L")                      # "mg/L h"

A formula takes times t (time, …) [h], values y (time, …) with common trailing axes, lanes or several, or t (time,) alone, and the
ends of a window (…) [h]. The times do not fall, they may repeat, and the ends of the window are among them.

Between two times a curve is exponential where it falls to a value above 0, and straight everywhere else: "linear-up log-down", as
noncompartmental analysis has it. Areas, means, moments and the time above a level are all those of this one curve.

NumPy arrays give NumPy arrays. JAX arrays, traced ones too, give JAX arrays; all formulas but `time of max` are differentiable.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nanomg import units

Formula = Callable[..., Any]

CURVE, AREA = "curve", "area"  # kinds of units: that of the curve, and that times an hour; others are units themselves
RULES = ("linear-up log-down", "linear", "log")
DAY = 24.0  # [h]
_CLOSE = 1e-9  # relative: times this near the end of a window belong to it
_NEAR = 0.1  # relative difference of two values below which a series is more exact than logarithms


@dataclasses.dataclass(frozen=True)
class ReadOut:
    """A number computed from a curve.

    `text` describes it and `short` is its column header. `kind` is `CURVE`, `AREA` or a unit. It reads the course `along` the
    window, or only its ends; it is differentiable where `smooth`; a `signed` one may be above or below 0 by nature. If `level` is
    true, the formula takes a level as well.
    """

    formula: Formula
    text: str
    short: str
    kind: str = CURVE
    along: bool = True
    smooth: bool = True
    signed: bool = False
    level: bool = False

    def unit(self, curve: str) -> str:
        """Its unit, of a curve in the unit `curve`."""
        plain = curve if curve not in ("", "1") else "1"
        if self.kind == AREA:
            return "h" if plain == "1" else f"{plain} h"
        return plain if self.kind == CURVE else self.kind


# ---------------------------------------------------------------- the curve between its times
def heights(a: Any, b: Any, rule: str = RULES[0]) -> Any:
    """The mean of a curve between two times at which it is `a` and then `b`."""
    return _each((_height, rule), a=a, b=b)


def _height(rule: str, of: Mapping[str, Any]) -> list[Any]:
    """One number of `heights`."""
    a, b = of["a"], of["b"]
    xp = _arrays(a, b)
    curved, high, low, x = _curved(xp, a, b, rule)
    series = xp.where(abs(x) < _NEAR, x, 0.0) ** 2
    mean = (
        (high + low) / 2 / (1 + series * (1 / 3 + series * (1 / 5 + series * (1 / 7 + series * (1 / 9 + series / 11)))))
    )
    far = xp.where(abs(x) < _NEAR, 2.0, high), xp.where(abs(x) < _NEAR, 1.0, low)
    logarithmic = (far[0] - far[1]) / (xp.log(far[0]) - xp.log(far[1]))
    return [xp.where(curved, xp.where(abs(x) < _NEAR, mean, logarithmic), (a + b) / 2)]


def between(a: Any, b: Any, share: Any, rule: str = RULES[0]) -> Any:
    """The value of a curve after a share of the time from `a` to `b`."""
    xp = _arrays(a, b, share)
    curved, _, _, _ = _curved(xp, a, b, rule)
    first, last = xp.where(curved, a, 1.0), xp.where(curved, b, 1.0)
    return xp.where(curved, first * (last / first) ** share, a + (b - a) * share)


def moments(t: Any, y: Any, rule: str = RULES[0]) -> Any:
    """The areas under t y in each interval, (interval, …): of t (time, …) and y (time, …)."""
    xp = _arrays(t, y)
    t = _like(t, y)
    a, b, step = y[:-1], y[1:], xp.diff(t, axis=0)
    curved, high, low, x = _curved(xp, a, b, rule)
    small = abs(x) < _NEAR
    fall = xp.log(high) - xp.log(low)
    # b (e^u - 1 - u) / u^2 is the moment since the start of an interval [h^2]; u is how far ln y falls
    u = xp.where(small, fall, 0.0)
    series = 1 / 40320 + u / 362880
    for term in (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2):
        series = term + u * series
    large = xp.where(small, 1.0, fall)
    since = xp.where(small, low * series, ((high - low) / large - low) / large)
    area = step * heights(a, b, rule)
    straight = step * (t[:-1] * a + t[1:] * b) / 2
    return xp.where(curved, t[:-1] * area + step**2 * since, straight)


def _curved(xp: Any, a: Any, b: Any, rule: str) -> tuple[Any, Any, Any, Any]:
    """Where a curve is exponential, its two values there (2 and 1 elsewhere), and their difference relative to their sum."""
    exponential = {RULES[0]: a > b, "linear": a != a, "log": a != b}[rule]
    curved = (a > 0) & (b > 0) & exponential
    high, low = xp.where(curved, a, 2.0), xp.where(curved, b, 1.0)
    return curved, high, low, (high - low) / (high + low)


# ---------------------------------------------------------------- formulas
def initial(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The value at `start`; at the time of a bolus the value just after it."""
    return at(t, y, start, start)


def at(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The value at `stop`; at the time of a bolus the value just after it."""
    xp = _arrays(t, y)
    late = _like(t, y) > stop + _CLOSE * (1.0 + stop)
    last = xp.maximum(xp.sum(~late, 0) - 1, 0)
    return xp.take_along_axis(y, xp.broadcast_to(last, y.shape[1:])[None], 0)[0]


def mean(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The mean over time."""
    return auc(t, y, start, stop) / (stop - start)


def highest(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The highest value."""
    xp = _arrays(t, y)
    return xp.max(xp.where(_inside(_like(t, y), start, stop), y, -xp.inf), 0)


def lowest(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The lowest value."""
    xp = _arrays(t, y)
    return xp.min(xp.where(_inside(_like(t, y), start, stop), y, xp.inf), 0)


def time_of_highest(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The time of the highest value [h], the first of them."""
    xp = _arrays(t, y)
    t = xp.broadcast_to(_like(t, y), y.shape)
    first = xp.argmax(xp.where(_inside(t, start, stop), y, -xp.inf), 0)
    return xp.take_along_axis(t, first[None], 0)[0]


def auc(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The area under the curve [unit × h]."""
    xp = _arrays(t, y)
    return xp.sum(_steps(xp, _like(t, y), start, stop) * heights(y[:-1], y[1:]), 0)


def time_above(t: Any, y: Any, start: Any, stop: Any, level: Any) -> Any:
    """How long the curve is above `level` [h]."""
    xp = _arrays(t, y)
    a, b = y[:-1], y[1:]
    above, below = xp.maximum(a - level, 0.0) + xp.maximum(b - level, 0.0), abs(a - level) + abs(b - level)
    straight = above / xp.where(below > 0, below, 1.0)
    crossed = (a > level) & (level > b) & (b > 0)
    high, middle, low = (xp.where(crossed, value, safe) for value, safe in ((a, 4.0), (level, 2.0), (b, 1.0)))
    share = xp.where(crossed, xp.log(high / middle) / xp.log(high / low), straight)
    return xp.sum(_steps(xp, _like(t, y), start, stop) * share, 0)


def time_below(t: Any, y: Any, start: Any, stop: Any, level: Any) -> Any:
    """How long the curve is at or below `level` [h]."""
    return stop - start - time_above(t, y, start, stop, level)


def area_above(t: Any, y: Any, start: Any, stop: Any, level: Any) -> Any:
    """The area between the curve and a `level` below it [unit × h]."""
    return auc(t, y, start, stop) - level * (stop - start) + area_below(t, y, start, stop, level)


def area_below(t: Any, y: Any, start: Any, stop: Any, level: Any) -> Any:
    """The area between the curve and a `level` above it [unit × h]."""
    xp = _arrays(t, y)
    a, b = y[:-1], y[1:]
    low = xp.minimum(a, b)
    crossed = (xp.maximum(a, b) > level) & (low < level)
    # the part of an interval that is below the level, and the mean of the curve in that part
    falls = crossed & (a > level) & (b > 0)
    high, middle, last = (xp.where(falls, value, safe) for value, safe in ((a, 4.0), (level, 2.0), (b, 1.0)))
    curved = xp.log(middle / last) / xp.log(high / last)
    straight = (level - low) / xp.where(crossed, abs(a - b), 1.0)
    share = xp.where(falls, curved, xp.where(crossed, straight, 1.0 * (low < level)))
    top = xp.where(crossed, level, xp.maximum(a, b))
    mean = xp.where(crossed & ~falls, (level + low) / 2, heights(xp.where(a > b, top, a), xp.where(a > b, b, top)))
    return xp.sum(_steps(xp, _like(t, y), start, stop) * share * (level - mean), 0)


def highest_day(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The highest mean over 24 h, or over all of a shorter window; the 24 h begin or end at one of the times."""
    xp = _arrays(t, y)
    t = _like(t, y)
    width = xp.minimum(DAY, stop - start)
    begins = xp.clip(xp.concatenate([t, t - width]), start, stop - width)
    area = xp.cumsum(xp.diff(t, axis=0) * heights(y[:-1], y[1:]), 0)
    area = xp.concatenate([xp.zeros_like(area[:1]), area])
    return xp.max(_area_until(xp, t, y, area, begins + width) - _area_until(xp, t, y, area, begins), 0) / width


def half_life(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The half-life [h] of the log-linear regression; NaN where the curve does not fall."""
    rate = slope(t, y, start, stop)
    return _ratio(_arrays(t, y), np.log(2.0), -rate, rate < 0)


def slope(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The slope of ln y [1/h]: of the straight line through it, every hour of the window counting the same. NaN unless y > 0."""
    xp = _arrays(t, y)
    t = _like(t, y)
    step = 0.5 * _steps(xp, t, start, stop)
    none = xp.zeros_like(step[:1])
    weight = xp.concatenate([none, step]) + xp.concatenate([step, none])
    counted = weight > 0
    log = xp.log(xp.where(counted & (y > 0), y, 1.0))
    since = t - xp.sum(weight * t, 0) / xp.sum(weight, 0)
    found = xp.sum(weight * since * log, 0) / xp.sum(weight * since**2, 0)
    return xp.where(xp.any(counted & ~(y > 0), 0), np.nan, found)


def change(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The value at the end relative to that at the start, less 1; NaN where it starts at 0."""
    before = initial(t, y, start, stop)
    return _ratio(_arrays(t, y), at(t, y, start, stop), before, before != 0) - 1.0


def mrt(t: Any, y: Any, start: Any, stop: Any) -> Any:
    """The mean residence time [h] since the start, within the window; NaN if the area is 0."""
    xp = _arrays(t, y)
    t = _like(t, y)
    inside = _inside(t, start, stop)
    within = inside[1:] & inside[:-1]
    moment, area = xp.sum(xp.where(within, moments(t - start, y), 0.0), 0), auc(t, y, start, stop)
    return _ratio(xp, moment, area, area != 0)


# ---------------------------------------------------------------- the table
READ_OUTS: Mapping[str, ReadOut] = {
    "initial": ReadOut(initial, "at time 0", "start", along=False),
    "final": ReadOut(at, "at the end", "end", along=False),
    "at": ReadOut(at, "at one time", "at one time", along=False),
    "mean": ReadOut(mean, "mean over time", "mean"),
    "max": ReadOut(highest, "highest value", "highest"),
    "min": ReadOut(lowest, "lowest value", "lowest"),
    "time of max": ReadOut(time_of_highest, "time of the highest value", "time of highest", "h", smooth=False),
    "auc": ReadOut(auc, "area under the curve", "AUC [× h]", AREA),
    "max 24 h mean": ReadOut(highest_day, "highest mean over 24 h", "highest 24 h mean"),
    "time above": ReadOut(time_above, "time above a level", "time above", "h", level=True),
    "time below": ReadOut(time_below, "time at or below a level", "time below", "h", level=True),
    "area above": ReadOut(area_above, "area above a level", "area above [× h]", AREA, level=True),
    "area below": ReadOut(area_below, "area below a level", "area below [× h]", AREA, level=True),
    "half-life": ReadOut(half_life, "half-life of the log-linear regression", "half-life", "h"),
    "slope": ReadOut(slope, "slope of the logarithm", "slope", "1/h", signed=True),
    "change": ReadOut(change, "change relative to the start", "change", "1", along=False, signed=True),
    "mrt": ReadOut(mrt, "mean residence time since the start", "mean residence time", "h"),
}
WINDOWED: Mapping[str, ReadOut] = {name: one for name, one in READ_OUTS.items() if not one.level}  # need a window alone
WHOLE_COURSE: Mapping[str, ReadOut] = {name: one for name, one in WINDOWED.items() if name != "at"}  # of a whole course
SUMMARISED = ("initial", "final", "min", "max", "auc")  # of each output, in the summary of a run

SPREAD = re.compile(r"q(\d{2})|share (above|below) (.+)")  # of several values: a quantile or a share, in words


@dataclasses.dataclass(frozen=True)
class Over:
    """How subjects become one number: `kind` is mean, median, sd, above, below or quantile with its `level`."""

    kind: str
    level: float = 0.0


def spread_of(text: str, unit: str, where: str) -> Over | None:
    """A quantile or a share in words, its limit in `unit`; None for other words. Raises `InputError` for a broken limit."""
    if (words := SPREAD.fullmatch(text)) is None:
        return None
    percent, side, limit = words.groups()
    return Over("quantile", int(percent) / 100) if percent else Over(side, units.parse_quantity(limit, unit, where))


# ---------------------------------------------------------------- arrays
def _arrays(*values: Any) -> Any:
    """NumPy where all values are NumPy's or plain numbers, else jax.numpy."""
    if all(isinstance(value, np.ndarray | np.generic | float | int) for value in values):
        return np
    import jax.numpy as jnp

    return jnp


def _each(function: tuple[Any, ...], **arrays: Any) -> Any:
    """`function`, and its fixed arguments, of each number of arrays (time, …) that may stand for each other's axes.

    JAX arrays go through it as they are. For NumPy's it becomes machine code, in double precision.
    """
    if _arrays(*arrays.values()) is not np:
        return function[0](*function[1:], arrays)[0]
    from nanomg.solver.elementwise import elementwise

    shape = np.broadcast_shapes(*(np.shape(a) for a in arrays.values()))
    if 0 in shape:
        return np.zeros(shape)
    columns = lambda a: np.broadcast_to(a, shape).reshape(*shape[:1], -1) if shape else np.full((1, 1), a)
    results = elementwise(function[0], 1, *function[1:])({name: columns(a).T for name, a in arrays.items()})
    return results[:, :, 0].T.reshape(shape)


def _like(t: Any, y: Any) -> Any:
    """Times with as many axes as the values."""
    return t.reshape(t.shape + (1,) * (y.ndim - t.ndim))


def _inside(t: Any, start: Any, stop: Any) -> Any:
    slack = _CLOSE * (1.0 + stop)
    return (t >= start - slack) & (t <= stop + slack)


def _steps(xp: Any, t: Any, start: Any, stop: Any) -> Any:
    """The length of each interval within the window [h], 0 outside."""
    inside = _inside(t, start, stop)
    return xp.where(inside[1:] & inside[:-1], xp.diff(t, axis=0), 0.0)


def _ratio(xp: Any, above: Any, below: Any, known: Any) -> Any:
    """A ratio where it is `known`, else NaN, in such a way that no gradient of another number becomes NaN."""
    return xp.where(known, above / xp.where(known, below, 1.0), np.nan)


def _area_until(xp: Any, t: Any, y: Any, area: Any, until: Any) -> Any:
    """The area from the first time up to `until` (look, …), of a curve with `area` (time, …) up to each of its times."""
    index = xp.clip(_count_until(xp, t, until) - 1, 0, t.shape[0] - 2)
    # the same rows of all lanes, where these share their times
    pick = lambda a: xp.take(a, index[:, 0], 0) if index.shape[1:] == (1,) else xp.take_along_axis(a, index, 0)
    first, a, b = pick(t), pick(y), pick(y[1:])
    return pick(area) + _each((_part_of_area,), since=until - first, step=pick(t[1:]) - first, a=a, b=b)


def _part_of_area(of: Mapping[str, Any]) -> list[Any]:
    """The area within an interval of a curve, `since` its start; at the ends of the interval, `step` long, it is `a` and `b`."""
    a, b, since, step = (of[name] for name in ("a", "b", "since", "step"))
    xp = _arrays(a, b)
    share = since / xp.where(step > 0, step, 1.0)
    curved, high, low, _ = _curved(xp, a, b, RULES[0])
    here = xp.where(curved, high * (low / high) ** share, a + (b - a) * share)
    return [since * _height(RULES[0], {"a": a, "b": here})[0]]


def _count_until(xp: Any, t: Any, until: Any) -> Any:
    """How many of the times (time, …) are at or before each `until` (look, …)."""
    columns = tuple(a.reshape(a.shape[0], -1) for a in (t, until))
    if xp is np:
        pairs = zip(*(column.T for column in columns), strict=True)
        counts = np.stack([np.searchsorted(times, looks, side="right") for times, looks in pairs], 1)
    else:
        import jax

        counts = jax.vmap(lambda a, b: xp.searchsorted(a, b, side="right"), 1, 1)(*columns)
    return counts.reshape(until.shape)
