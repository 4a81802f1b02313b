"""Noncompartmental analysis of arrays: the parameters of many concentration-time profiles, a few thousand at a time."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np

from nanomg.analysis import readouts
from nanomg.analysis.cdisc import CODES, Code, codes_of
from nanomg.analysis.exposure import after_single_dose, at_steady_state
from nanomg.analysis.quantification import BLQ_RULES, BlqRule, apply_blq_rule

Route = Literal["iv bolus", "infusion", "extravascular"]
Method = Literal["linear-up log-down", "linear", "log"]
Missing = Literal["failed", "skipped"]

REASONS = (
    "calculated",
    "no curve",
    "nothing above 0",
    "dosing interval not covered",
    "too few points after the peak",
    "does not fall",
)

CLOSE = 1e-12  # relative: times this near are one
AT_ONCE = 1 << 18  # values of a few thousand curves, which fit a processor's cache


@dataclasses.dataclass(frozen=True)
class Rules:
    """How curves are analysed; times [unit of the data] count from the dose."""

    route: Route
    method: Method
    duration: float
    tau: float | None
    points: int
    tolerance: float
    include_cmax: bool
    lloq: float | None
    blq: BlqRule
    missing: Missing
    intervals: tuple[tuple[float, float], ...]

    def codes(self, dosed: bool) -> dict[str, Code]:
        """The parameters that are reported in this situation, without those of `intervals`."""
        return codes_of(self.route, steady=self.tau is not None, dosed=dosed)

    @property
    def text(self) -> dict[str, str]:
        """The settings of the analysis, as attributes of the result."""
        below = "below 0 counts as 0"
        if self.lloq is not None:
            below += f"; below the limit of quantification: {BLQ_RULES[self.blq]}"
        start = "from the peak on" if self.include_cmax else "after the peak"
        return {
            "title": "noncompartmental analysis" + ("" if self.tau is None else " at steady state"),
            "route": self.route,
            "method": f"trapezoids, {self.method}",
            "terminal_slope": f"of ln C over the last {self.points} or more samples {start}: best adjusted R2, "
            f"then most samples within {self.tolerance:g} of it",
            "values": f"{below}; a NaN is {'a failed curve' if self.missing == 'failed' else 'a sample not taken'}",
        }


def analyse(C: Any, baseline: Any, dose: Any, *, t: np.ndarray, codes: tuple[str, ...], rules: Rules) -> np.ndarray:
    """The parameters, the areas of `rules.intervals` and the reason (..., code) of curves (..., time)."""
    shape = np.broadcast_shapes(C.shape[:-1], np.shape(baseline), np.shape(dose))
    curves = np.broadcast_to(C, (*shape, len(t))).reshape(-1, len(t))
    baseline, dose = (np.broadcast_to(a, shape).reshape(-1) for a in (baseline, dose))
    found = np.empty((len(curves), len(codes) + len(rules.intervals) + 1))
    step = max(AT_ONCE // len(t), 1)
    for start in range(0, len(curves), step):
        part = slice(start, start + step)
        with np.errstate(all="ignore"):  # what has no value is NaN
            found[part] = _curves(t, curves[part].astype(float), baseline[part], dose[part], codes, rules)
    return found.reshape(*shape, -1)


def _curves(
    t: np.ndarray, c: np.ndarray, baseline: np.ndarray, dose: np.ndarray, codes: tuple[str, ...], rules: Rules
) -> np.ndarray:
    """The same for curves (curve, time)."""
    t, c, n, failed = _samples(t, c, baseline, rules)
    covered = np.full(len(c), True)
    if rules.tau is not None:
        t, c, n, covered = _interval(t, c, n, rules)
    failed |= n == 0
    row, place = np.arange(len(c)), np.arange(c.shape[1])
    empty = np.asarray(~(c > 0).any(1))
    top, last = c.argmax(1), c.shape[1] - 1 - (c > 0)[:, ::-1].argmax(1)
    p: dict[str, Any] = {"CMAX": c[row, top], "TMAX": np.where(empty, np.nan, t[row, top])}
    p["CMAXD"] = p["CMAX"] / np.where(dose > 0, dose, np.nan)
    slope = _terminal(t, c, top, last, rules)
    p |= slope.parameters
    p["C0"] = _initial(t, c)
    if rules.tau is None:
        start = p["C0"] if rules.route == "iv bolus" else np.zeros(len(c))
        areas, moments = _trapezoids(t, c, start, rules.method)
        until = place <= np.where(empty, -1, last)[:, None]
        p |= after_single_dose(
            t[row, last], c[row, last], areas, moments, until, p["LAMZ"], slope.predicted, dose, rules.duration
        )
        p["CLST"], p["TLST"] = (np.where(empty, np.nan, x[row, last]) for x in (c, t))
        p["TLAG"] = _lag(t, c, empty)
    else:
        inside = np.where(place < n[:, None], c, np.inf)
        p["CMIN"], p["TMIN"] = inside.min(1), t[row, inside.argmin(1)]
        start = p["C0"] if rules.route == "iv bolus" else p["CMIN"]
        areas, _ = _trapezoids(t, c, start, rules.method)
        areas = areas * (place < n[:, None])
        p["CTROUGH"] = c[row, np.maximum(n - 1, 0)]
        p |= at_steady_state(p, areas.sum(1), dose, rules.tau)
    partial = [_area(t, c, n, start, areas, p["LAMZ"], ends, rules.method) for ends in rules.intervals]
    tests = (failed, empty, ~covered, slope.few, slope.parameters["LAMZNPT"] == 0)
    reason = np.select(tests, range(1, len(REASONS)), 0)
    found = np.stack([*(p[code] for code in codes), *partial, reason], -1)
    steady = ["steady" in CODES[code].when for code in codes] + [rules.tau is not None] * len(partial)
    found[~covered[:, None] & np.array([*steady, False])] = np.nan
    found[failed, :-1] = np.nan
    found[failed, codes.index("LAMZNPT")] = 0
    return found


def _samples(
    t: np.ndarray, c: np.ndarray, baseline: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times and values that count (curve, time), how many of them, and which curves failed.

    They come first; the rest is filled with the last time and the value 0.
    """
    gone = ~np.isfinite(c)
    if rules.lloq is not None:
        c, excluded = apply_blq_rule(c, c < rules.lloq, rules.lloq, rules.blq)
        gone |= excluded
    failed = ~np.isfinite(c).all(1) if rules.missing == "failed" else ~np.isfinite(c).any(1)
    failed |= ~np.isfinite(baseline)
    gone[failed] = True
    t, c, n = _packed(np.broadcast_to(t, c.shape), np.maximum(c - baseline[:, None], 0.0), gone)
    if rules.route == "iv bolus" and c.shape[1] > 1:
        drawn_before = (t[:, 0] == 0.0) & (n > 1) & (c[:, 0] < c[:, 1])  # a bolus is there at once
        if drawn_before.any():
            place = np.arange(c.shape[1])
            t, c, n = _packed(t, c, (place >= n[:, None]) | (drawn_before[:, None] & (place == 0)))
    return t, c, n, failed


def _packed(t: np.ndarray, c: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times and values with those that are `gone` at the end, as the last time and the value 0; and how many others."""
    n = c.shape[1] - gone.sum(1)
    if gone.any():
        order = gone.argsort(1, kind="stable")
        t, c = (np.take_along_axis(x, order, 1) for x in (t, c))
        rest = np.arange(c.shape[1]) >= n[:, None]
        c = np.where(rest, 0.0, c)
        t = np.where(rest, t[np.arange(len(t)), np.maximum(n - 1, 0)][:, None], t)
    return t, c, n


def _interval(
    t: np.ndarray, c: np.ndarray, n: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The curves up to the end of the dosing interval, with a value there, and whether there is one.

    A value at or after the end that a bolus has raised belongs to the next interval: the fall before it is continued.
    """
    assert rules.tau is not None
    row, place, end = np.arange(len(c)), np.arange(c.shape[1]), rules.tau
    before = ((t < end * (1.0 - CLOSE)) & (place < n[:, None])).sum(1) - 1
    here, next_, back = np.maximum(before, 0), np.minimum(before + 1, c.shape[1] - 1), np.maximum(before - 1, 0)
    covered = (before >= 0) & (before + 1 < n)
    raised = (rules.route == "iv bolus") & (c[row, next_] > c[row, here])
    first, then = np.where(raised, back, here), np.where(raised, here, next_)
    share = (end - t[row, first]) / (t[row, then] - t[row, first])
    low, high = c[row, then], c[row, first]
    falls = (low < high) & (low > 0) & (rules.method != "linear")
    value = np.where(falls, high * (low / high) ** share, high + (low - high) * np.where(raised, 1.0, share))
    last = place == next_[:, None]
    c = np.where(place <= before[:, None], c, np.where(last & covered[:, None], value[:, None], 0.0))
    return np.minimum(t, end), c, before + 1 + covered, covered


def _initial(t: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The concentration just after a bolus: the line of ln C through the first two values; the first value where they rise."""
    first = c[np.arange(len(c)), (c > 0).argmax(1)]
    if c.shape[1] < 2:
        return first
    back = c[:, 0] * (c[:, 0] / c[:, 1]) ** (t[:, 0] / (t[:, 1] - t[:, 0]))
    return np.where((c[:, 0] > c[:, 1]) & (c[:, 1] > 0), back, first)


def _lag(t: np.ndarray, c: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """The time of the sample before the first one above 0; 0 where that is the first sample."""
    first = (c > 0).argmax(1)
    before = t[np.arange(len(t)), np.maximum(first - 1, 0)]
    return np.where(empty, np.nan, np.where(first > 0, before, 0.0))


def _trapezoids(t: np.ndarray, c: np.ndarray, start: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the curve and under its first moment, each up to a sample from the one before it, or from `start` at 0."""
    t = np.concatenate([np.zeros((len(t), 1)), t], 1).T
    c = np.concatenate([start[:, None], c], 1).T
    area = np.diff(t, axis=0) * readouts.heights(c[:-1], c[1:], method)
    return np.ascontiguousarray(area.T), readouts.moments(t, c, method).T  # sums do not depend on the block


def _area(
    t: np.ndarray,
    c: np.ndarray,
    n: np.ndarray,
    start: np.ndarray,
    areas: np.ndarray,
    rate: np.ndarray,
    ends: tuple[float, float],
    method: Method,
) -> np.ndarray:
    """The area between two times; after the last of `n` samples the curve falls from it at the terminal `rate`."""
    row, zero = np.arange(len(t)), np.zeros((len(t), 1))
    t, c = np.concatenate([zero, t], 1), np.concatenate([start[:, None], c], 1)
    until = np.concatenate([zero, areas.cumsum(1)], 1)

    def up_to(time: float) -> np.ndarray:
        inside = np.arange(t.shape[1]) <= n[:, None]
        at = ((t <= time * (1.0 + CLOSE)) & inside).sum(1) - 1
        then = np.minimum(at + 1, n)
        passed, step = np.maximum(time - t[row, at], 0.0), t[row, then] - t[row, at]
        value = readouts.between(c[row, at], c[row, then], passed / np.where(step > 0, step, 1.0), method)
        within = passed * readouts.heights(c[row, at], value, method)
        after = np.where((c[row, at] > 0) & (passed > 0), c[row, at] * -np.expm1(-rate * passed) / rate, 0.0)
        return until[row, at] + np.where(at < n, within, after)

    return up_to(ends[1]) - up_to(ends[0])


class _Slope(NamedTuple):
    """The terminal line of each curve: its parameters, its value at the last sample, and whether there were too few points."""

    parameters: dict[str, np.ndarray]
    predicted: np.ndarray
    few: np.ndarray


def _terminal(t: np.ndarray, c: np.ndarray, top: np.ndarray, last: np.ndarray, rules: Rules) -> _Slope:
    """The line of ln C over the last samples after the peak and after any infusion; the rule gives their number."""
    row, place = np.arange(len(c)), np.arange(c.shape[1])
    fall = place >= top[:, None] if rules.include_cmax else place > top[:, None]
    used = (c > 0) & fall & (t >= rules.duration * (1.0 - CLOSE))
    x = np.where(used, t - t[row, last][:, None], 0.0)
    y = np.where(used, np.log(np.where(used, c, 1.0) / np.where(used, c[row, last][:, None], 1.0)), 0.0)
    to_end = lambda a: np.cumsum(a[:, ::-1], axis=1)[:, ::-1]  # from each sample on
    n, sx, sy = to_end(used.astype(float)), to_end(x), to_end(y)
    sxx, sxy, syy = to_end(x * x) - sx * sx / n, to_end(x * y) - sx * sy / n, to_end(y * y) - sy * sy / n
    slope = sxy / sxx
    r2 = slope * sxy / syy
    adjusted = np.where(used & (n >= rules.points) & (slope < 0), 1 - (1 - r2) * (n - 1) / (n - 2), -np.inf)
    best = adjusted.max(1)
    first = (adjusted >= best[:, None] - rules.tolerance).argmax(1)
    known = lambda a: np.where(np.isfinite(best), a, np.nan)
    rate = known(-slope[row, first])
    parameters = {
        "LAMZ": rate,
        "LAMZHL": np.log(2.0) / rate,
        "LAMZNPT": np.where(np.isfinite(best), n[row, first], 0.0),
        "LAMZLL": known(t[row, first]),
        "LAMZUL": known(t[row, last]),
        "R2": known(r2[row, first]),
        "R2ADJ": known(adjusted[row, first]),
    }
    intercept = (sy[row, first] + rate * sx[row, first]) / n[row, first]
    return _Slope(parameters, c[row, last] * np.exp(intercept), used.sum(1) < rules.points)
