"""Noncompartmental analysis of concentration curves, under the names of the CDISC terminology (codelist PKPARMCD).

All curves of an array are analysed at once, a few thousand at a time, so that memory stays flat. Rules are those of the common
programs: trapezoids, a terminal slope by the best adjusted R2, extrapolation from the last value.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.analysis import readouts
from nanomg.analysis.cdisc import CODES, Code, codes_of
from nanomg.analysis.exposure import after_single_dose, at_steady_state
from nanomg.errors import InputError, unknown

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

_AT_ONCE = 1 << 18  # values of a few thousand curves, which fit a processor's cache
_CLOSE = 1e-12  # relative: times this near are one


@dataclasses.dataclass(frozen=True)
class _Rules:
    """How curves are analysed; times [unit of the data] count from the dose."""

    route: Route
    method: Method
    duration: float
    tau: float | None
    points: int
    tolerance: float
    lloq: float | None
    missing: Missing

    def codes(self, dosed: bool) -> dict[str, Code]:
        """The parameters that are reported in this situation."""
        return codes_of(self.route, steady=self.tau is not None, dosed=dosed)

    @property
    def text(self) -> dict[str, str]:
        """The settings of the analysis, as attributes of the result."""
        below = "below 0 counts as 0"
        if self.lloq is not None:
            below += "; below the limit of quantification: 0 before the first quantifiable value, excluded after it"
        return {
            "title": "noncompartmental analysis" + ("" if self.tau is None else " at steady state"),
            "route": self.route,
            "method": f"trapezoids, {self.method}",
            "terminal_slope": f"of ln C over the last {self.points} or more samples after the peak: best adjusted R2, "
            f"then most samples within {self.tolerance:g} of it",
            "values": f"{below}; a NaN is {'a failed curve' if self.missing == 'failed' else 'a sample not taken'}",
        }


# ---------------------------------------------------------------------- the public function
def nca(
    C: xr.DataArray,
    *,
    dose: str | xr.DataArray | None = None,
    route: Route = "extravascular",
    duration: str | None = None,
    since: str | None = None,
    tau: str | None = None,
    method: Method = "linear-up log-down",
    points: int = 3,
    tolerance: float = 1e-4,
    baseline: str | xr.DataArray | None = None,
    lloq: str | None = None,
    missing: Missing = "failed",
    volume: str = "L",
) -> xr.Dataset:
    """Noncompartmental parameters of every curve, by CDISC code; docs/analysis.md lists codes and rules.

    Quantities are strings with a unit ("12 h").

    Args:
        C: concentrations with the dimension `time` and any others; it and `time` have the attribute `units` ("mmol L-1", "h").
        dose: the dose, also per kg, or an array of doses with `units`; needed for clearances and volumes.
        route: "iv bolus", "infusion" or "extravascular".
        duration: duration of the infusion.
        since: time of the dose [default: 0].
        tau: dosing interval, for an analysis at steady state.
        method: rule for areas, "linear-up log-down", "linear" or "log".
        points: minimum number of samples on the terminal line.
        tolerance: largest loss of adjusted R2 in exchange for more samples on the terminal line.
        baseline: subtracted first: a concentration, an array of them, or "predose", the last value before the dose.
        lloq: lower limit of quantification.
        missing: meaning of a NaN: the curve is "failed", or the sample is "skipped".
        volume: unit of volumes, also in clearances.

    Returns:
        A dataset with a variable for each code, with `units` and `long_name`; lazy if `C` is lazy. A parameter that cannot be
        computed is NaN, and the flag `PPREASND` gives the reason.

    Raises:
        InputError: units are missing or do not fit, times decrease, or arguments contradict each other.

    Example:
        >>> import numpy as np, xarray, nanomg
        >>> t = np.arange(0.0, 49.0)
        >>> time = ("time", t, {"units": "h"})
        >>> C = xarray.DataArray(4.0 * np.exp(-0.1 * t), {"time": time}, "time", attrs={"units": "mg L-1"})
        >>> exposure = nanomg.nca(C, dose="100 mg", route="iv bolus")
        >>> round(float(exposure.CLO), 6), exposure.CLO.units  # 100 mg / (4 mg/L / 0.1 1/h)
        (2.5, 'L h-1')
        >>> round(float(exposure.LAMZHL), 4), exposure.LAMZHL.units  # ln 2 / 0.1 1/h
        (6.9315, 'h')
    """
    if "time" not in C.coords:
        raise InputError("the data have no coordinate `time`", "nca")
    unit, clock = _unit_of(C, "the data lack"), _unit_of(C["time"], "the coordinate `time` lacks")
    rules = _Rules(
        route=_one_of(route, Route, "route"),
        method=_one_of(method, Method, "method"),
        duration=_time(duration, clock, "duration") or 0.0,
        tau=_time(tau, clock, "tau"),
        points=points,
        tolerance=tolerance,
        lloq=None if lloq is None else units.parse_quantity(lloq, unit, "nca: lloq"),
        missing=_one_of(missing, Missing, "missing"),
    )
    _check(rules)
    times = _times_of(C, _time(since, clock, "since") or 0.0)
    amount, per = _dose_of(dose, unit, volume)
    codes = rules.codes(dosed=dose is not None)
    taken = C.isel(time=times >= 0.0)
    found: xr.DataArray = xr.apply_ufunc(
        _analyse,
        taken.chunk(time=-1) if taken.chunks else taken,
        _baseline_of(baseline, C, times, unit, rules),
        amount,
        input_core_dims=[["time"], [], []],
        output_core_dims=[["code"]],
        kwargs={"t": times[times >= 0.0], "codes": tuple(codes), "rules": rules},
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"code": len(codes) + 1}},
    )
    spelled = {"C": unit, "t": clock, "V": units.cf(volume)}
    variables = {}
    for i, (name, code) in enumerate(codes.items()):
        kind = code.unit + per if "V" in code.unit else code.unit
        attributes = {"units": _compose(kind, spelled), "long_name": code.text}
        variables[name] = found.isel(code=i).assign_attrs(attributes)
    variables["LAMZNPT"] = variables["LAMZNPT"].astype(np.int32)
    variables["PPREASND"] = found.isel(code=-1).astype(np.int8)
    variables["PPREASND"].attrs = {
        "long_name": "Reason PK Parameter Not Calculated",
        "flag_values": np.arange(len(REASONS), dtype=np.int8),
        "flag_meanings": " ".join(reason.replace(" ", "_") for reason in REASONS),
    }
    given = {"dose": dose, "duration": duration, "since": since, "tau": tau, "baseline": baseline, "lloq": lloq}
    return xr.Dataset(variables, attrs=rules.text | {name: v for name, v in given.items() if isinstance(v, str)})


def _one_of(value: Any, choices: Any, what: str) -> Any:
    if value not in get_args(choices):
        raise unknown(what, str(value), get_args(choices), "nca")
    return value


def _unit_of(data: xr.DataArray, what: str) -> str:
    """The unit of an array as CF writes it."""
    unit = data.attrs.get("units")
    if not isinstance(unit, str):
        raise InputError(f"{what} the attribute `units`; set it, for example .attrs['units'] = 'mmol L-1'", "nca")
    return units.cf(unit) if set(unit) & set("/*^(") else unit


def _compose(kind: str, spelled: dict[str, str]) -> str:
    """The unit of a parameter: `"C t2"` to `"mg L-1 h2"`."""
    words = [spelled.get(word[0], word[0]) + word[1:] for word in kind.split()]
    return " ".join(word for word in words if word != "1") or "1"


def _time(text: str | None, clock: str, name: str) -> float | None:
    return None if text is None else units.parse_quantity(text, clock, f"nca: {name}")


def _check(rules: _Rules) -> None:
    if (rules.route == "infusion") != (rules.duration > 0):
        raise InputError("an infusion, and nothing else, takes a `duration` above 0", "nca")
    if rules.tau is not None and rules.tau <= 0:
        raise InputError("the dosing interval `tau` must be longer than 0", "nca")
    if rules.points < 3 or rules.tolerance < 0:
        raise InputError("a terminal slope takes `points` of 3 or more and a `tolerance` of 0 or more", "nca")


def _times_of(C: xr.DataArray, since: float) -> np.ndarray:
    """Times since the dose (time,); that of the dose is 0 exactly."""
    times = np.asarray(C["time"], float)
    falls = np.flatnonzero(~(np.diff(times) >= 0))
    if falls.size:
        first, then = times[falls[0] : falls[0] + 2]
        raise InputError(f"times must not decrease, and {then:g} comes after {first:g}", "nca")
    times = np.where(np.abs(times - since) <= _CLOSE * (1.0 + abs(since)), 0.0, times - since)
    if not (times >= 0.0).any():
        raise InputError("no sample is at or after the time of the dose", "nca: since")
    return times


def _dose_of(dose: Any, unit: str, volume: str) -> tuple[Any, str]:
    """The dose over the unit of concentration, in `volume`, and what that is per."""
    if dose is None:
        return np.nan, ""
    if isinstance(dose, xr.DataArray):
        dose_unit = _unit_of(dose, "the doses lack")
    else:
        dose, dose_unit = units.split_quantity(str(dose), "nca: dose")
    ratio = f"({dose_unit or '1'})/({unit})"
    for per, suffix in (("", ""), ("/kg", " kg-1")):
        if units.dimension(ratio) == units.dimension(volume + per):
            return dose * units.factor(ratio, volume + per), suffix
    raise InputError(
        f"a dose in {dose_unit!r} over a concentration in {unit!r} is not a volume, nor a volume per kg", "nca: dose"
    )


def _baseline_of(
    baseline: str | xr.DataArray | None, C: xr.DataArray, times: np.ndarray, unit: str, rules: _Rules
) -> Any:
    """The baseline that is subtracted from every value, in the unit of the data."""
    where = "nca: baseline"
    if baseline is None:
        return 0.0
    if isinstance(baseline, xr.DataArray):
        if "time" in baseline.dims:
            raise InputError("subtract a baseline that changes in time from the data first", where)
        baseline_unit = _unit_of(baseline, "the baselines lack")
        return baseline * units.factor(baseline_unit, unit)
    if baseline != "predose":
        return units.parse_quantity(baseline, unit, where)
    before = np.flatnonzero(times < 0.0 if rules.route == "iv bolus" else times <= 0.0)
    if not before.size:
        raise InputError("no sample is before the dose; give the baseline as a concentration", where)
    return C.isel(time=int(before[-1]), drop=True)


# ---------------------------------------------------------------------- arrays
def _analyse(C: Any, baseline: Any, dose: Any, *, t: np.ndarray, codes: tuple[str, ...], rules: _Rules) -> np.ndarray:
    """The parameters and the reason (..., code) of curves (..., time)."""
    shape = np.broadcast_shapes(C.shape[:-1], np.shape(baseline), np.shape(dose))
    curves = np.broadcast_to(C, (*shape, len(t))).reshape(-1, len(t))
    baseline, dose = (np.broadcast_to(a, shape).reshape(-1) for a in (baseline, dose))
    found = np.empty((len(curves), len(codes) + 1))
    step = max(_AT_ONCE // len(t), 1)
    for start in range(0, len(curves), step):
        part = slice(start, start + step)
        with np.errstate(all="ignore"):  # what has no value is NaN
            found[part] = _curves(t, curves[part].astype(float), baseline[part], dose[part], codes, rules)
    return found.reshape(*shape, -1)


def _curves(
    t: np.ndarray, c: np.ndarray, baseline: np.ndarray, dose: np.ndarray, codes: tuple[str, ...], rules: _Rules
) -> np.ndarray:
    """The same for curves (curve, time)."""
    t, c, n, failed = _samples(t, c, baseline, rules)
    covered = np.full(len(c), True)
    if rules.tau is not None:
        t, c, n, covered = _interval(t, c, n, rules)
    failed |= n == 0
    row, place = np.arange(len(c)), np.arange(c.shape[1])
    empty = ~(c > 0).any(1)
    top, last = c.argmax(1), c.shape[1] - 1 - (c > 0)[:, ::-1].argmax(1)
    p: dict[str, Any] = {"CMAX": c[row, top], "TMAX": np.where(empty, np.nan, t[row, top])}
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
    else:
        inside = np.where(place < n[:, None], c, np.inf)
        p["CMIN"], p["TMIN"] = inside.min(1), t[row, inside.argmin(1)]
        areas, _ = _trapezoids(t, c, p["C0"] if rules.route == "iv bolus" else p["CMIN"], rules.method)
        p["CTROUGH"] = c[row, np.maximum(n - 1, 0)]
        p |= at_steady_state(p, (areas * (place < n[:, None])).sum(1), dose, rules.tau)
    tests = (failed, empty, ~covered, slope.few, slope.parameters["LAMZNPT"] == 0)
    reason = np.select(tests, range(1, len(REASONS)), 0)
    found = np.stack([*(p[code] for code in codes), reason], -1)
    steady = np.array([*("steady" in CODES[code].when for code in codes), False])
    found[~covered[:, None] & steady] = np.nan
    found[failed, :-1] = np.nan
    found[failed, codes.index("LAMZNPT")] = 0
    return found


def _samples(
    t: np.ndarray, c: np.ndarray, baseline: np.ndarray, rules: _Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times and values that count (curve, time), how many of them, and which curves failed.

    They come first; the rest is filled with the last time and the value 0.
    """
    gone = ~np.isfinite(c)
    if rules.lloq is not None:
        quantifiable = c >= rules.lloq
        gone |= ~quantifiable & np.logical_or.accumulate(quantifiable, axis=1)
        c = np.where(quantifiable | gone, c, 0.0)
    failed = ~np.isfinite(c).all(1) if rules.missing == "failed" else ~np.isfinite(c).any(1)
    failed |= ~np.isfinite(baseline)
    c = np.maximum(c - baseline[:, None], 0.0)
    if rules.route == "iv bolus" and t[0] == 0.0 and len(t) > 1:
        gone[:, 0] |= c[:, 0] < c[:, 1]  # a bolus is there at once: this sample was drawn before it
    gone[failed] = True
    t = np.broadcast_to(t, c.shape)
    n = c.shape[1] - gone.sum(1)
    if gone.any():
        order = gone.argsort(1, kind="stable")
        t, c = (np.take_along_axis(x, order, 1) for x in (t, c))
        rest = np.arange(c.shape[1]) >= n[:, None]
        c = np.where(rest, 0.0, c)
        t = np.where(rest, t[np.arange(len(t)), np.maximum(n - 1, 0)][:, None], t)
    return t, c, n, failed


def _interval(
    t: np.ndarray, c: np.ndarray, n: np.ndarray, rules: _Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The curves up to the end of the dosing interval, with a value there, and whether there is one.

    A value at or after the end that a bolus has raised belongs to the next interval: the fall before it is continued.
    """
    assert rules.tau is not None
    row, place, end = np.arange(len(c)), np.arange(c.shape[1]), rules.tau
    before = ((t < end * (1.0 - _CLOSE)) & (place < n[:, None])).sum(1) - 1
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


def _trapezoids(t: np.ndarray, c: np.ndarray, start: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the curve and under its first moment, each up to a sample from the one before it, or from `start` at 0."""
    t = np.concatenate([np.zeros((len(t), 1)), t], 1).T
    c = np.concatenate([start[:, None], c], 1).T
    area = np.diff(t, axis=0) * readouts.heights(c[:-1], c[1:], method)
    return area.T, readouts.moments(t, c, method).T


class _Slope(NamedTuple):
    """The terminal line of each curve: its parameters, its value at the last sample, and whether there were too few points."""

    parameters: dict[str, np.ndarray]
    predicted: np.ndarray
    few: np.ndarray


def _terminal(t: np.ndarray, c: np.ndarray, top: np.ndarray, last: np.ndarray, rules: _Rules) -> _Slope:
    """The line of ln C over the last samples after the peak and after any infusion; the rule gives their number."""
    row = np.arange(len(c))
    used = (c > 0) & (np.arange(c.shape[1]) > top[:, None]) & (t >= rules.duration * (1.0 - _CLOSE))
    x = np.where(used, t - t[row, last][:, None], 0.0)
    y = np.where(used, np.log(np.where(used, c, 1.0) / np.where(used, c[row, last][:, None], 1.0)), 0.0)
    to_end = lambda a: np.cumsum(a[:, ::-1], axis=1)[:, ::-1]  # from each sample on
    n, sx, sy = to_end(used.astype(float)), to_end(x), to_end(y)
    sxx, sxy, syy = to_end(x * x) - sx * sx / n, to_end(x * y) - sx * sy / n, to_end(y * y) - sy * sy / n
    slope = sxy / sxx
    r2 = np.where(used & (n >= rules.points) & (slope < 0), 1 - (1 - slope * sxy / syy) * (n - 1) / (n - 2), -np.inf)
    best = r2.max(1)
    first = (r2 >= best[:, None] - rules.tolerance).argmax(1)
    known = lambda a: np.where(np.isfinite(best), a, np.nan)
    rate = known(-slope[row, first])
    parameters = {
        "LAMZ": rate,
        "LAMZHL": np.log(2.0) / rate,
        "LAMZNPT": np.where(np.isfinite(best), n[row, first], 0.0),
        "LAMZLL": known(t[row, first]),
        "LAMZUL": known(t[row, last]),
        "R2ADJ": known(r2[row, first]),
    }
    intercept = (sy[row, first] + rate * sx[row, first]) / n[row, first]
    return _Slope(parameters, c[row, last] * np.exp(intercept), used.sum(1) < rules.points)
