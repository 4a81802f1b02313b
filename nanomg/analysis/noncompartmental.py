"""Noncompartmental analysis of concentration curves, under the names of the CDISC terminology (codelist PKPARMCD).

All curves of an array are analysed at once, a few thousand at a time, so that memory stays flat. Rules are those of the common
programs: trapezoids, a terminal slope by the best adjusted R2, extrapolation from the last value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.analysis.cdisc import PARTIAL, Code
from nanomg.analysis.profiles import CLOSE, REASONS, Method, Missing, Route, Rules, analyse
from nanomg.analysis.quantification import BlqRule
from nanomg.errors import InputError, unknown

_PER_DOSE = "D-1"  # in the unit of a parameter that is normalised by the dose


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
    include_cmax: bool = False,
    intervals: Sequence[str] = (),
    baseline: str | xr.DataArray | None = None,
    lloq: str | None = None,
    blq: BlqRule = "0 then missing",
    missing: Missing = "failed",
    volume: str = "L",
) -> xr.Dataset:
    """Noncompartmental parameters of every curve, by CDISC code; docs/analysis.md lists codes and rules.

    Quantities are strings with a unit ("12 h").

    Args:
        C: concentrations with the dimension `time` and any others; it and `time` have the attribute `units` ("mmol L-1", "h").
        dose: the dose with its unit, also per kg, or an array of doses with `units`; needed for clearances and volumes.
        route: "iv bolus", "infusion" or "extravascular".
        duration: duration of the infusion.
        since: time of the dose [default: 0].
        tau: dosing interval, for an analysis at steady state.
        method: rule for areas, "linear-up log-down", "linear" or "log".
        points: minimum number of samples on the terminal line.
        tolerance: largest loss of adjusted R2 in exchange for more samples on the terminal line.
        include_cmax: whether the terminal line may begin at CMAX after a bolus, as in WinNonlin.
        intervals: times since the dose between which AUCINT is computed, such as ["0..4 h", "4..12 h"].
        baseline: subtracted first: a concentration, an array of them, or "predose", the last value before the dose.
        lloq: lower limit of quantification.
        blq: rule for samples below it: "0 then missing" (0 before the first quantifiable one, excluded after it), "0", "missing"
            or "LLOQ/2".
        missing: meaning of a NaN: the curve is "failed", or the sample is "skipped".
        volume: unit of volumes, also in clearances.

    Returns:
        A dataset with a variable for each code, with `units` and `long_name`; lazy if `C` is lazy. A parameter that cannot be
        computed is NaN, and the flag `PPREASND` gives the reason. AUCINT has the dimension `interval`.

    Raises:
        InputError: units are missing or do not fit, times do not increase, or arguments contradict each other.

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
        >>> partial = nanomg.nca(C, route="iv bolus", intervals=["0..10 h"]).AUCINT
        >>> [round(float(area), 3) for area in partial]  # 4 mg/L / 0.1 1/h (1 - exp(-1))
        [25.285]
    """
    if "time" not in C.coords:
        raise InputError("the data have no coordinate `time`", "nca")
    unit, clock = _unit_of(C, "the data lack"), _unit_of(C["time"], "the coordinate `time` lacks")
    rules = Rules(
        route=_one_of(route, Route, "route"),
        method=_one_of(method, Method, "method"),
        duration=_time(duration, clock, "duration") or 0.0,
        tau=_time(tau, clock, "tau"),
        points=points,
        tolerance=tolerance,
        include_cmax=include_cmax,
        lloq=None if lloq is None else units.parse_quantity(lloq, unit, "nca: lloq"),
        blq=_one_of(blq, BlqRule, "rule for samples below the limit"),
        missing=_one_of(missing, Missing, "missing"),
        intervals=tuple(_ends_of(text, clock) for text in intervals),
    )
    _check(rules)
    times = _times_of(C, _time(since, clock, "since") or 0.0)
    given_dose = _dose_of(dose, unit, volume)
    codes = rules.codes(dosed=dose is not None)
    taken = C.isel(time=times >= 0.0)
    found: xr.DataArray = xr.apply_ufunc(
        analyse,
        taken.chunk(time=-1) if taken.chunks else taken,
        _baseline_of(baseline, C, times, unit, rules),
        given_dose.amount,
        input_core_dims=[["time"], [], []],
        output_core_dims=[["code"]],
        kwargs={"t": times[times >= 0.0], "codes": tuple(codes), "rules": rules},
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"code": len(codes) + len(rules.intervals) + 1}},
    )
    spelled = {"C": unit, "t": clock, "V": units.cf(volume), _PER_DOSE: given_dose.inverse}

    def describe(data: xr.DataArray, code: Code) -> xr.DataArray:
        kind = code.unit + given_dose.per if "V" in code.unit else code.unit
        return data.assign_attrs(units=_compose(kind, spelled), long_name=code.text)

    variables = {}
    for i, (name, code) in enumerate(codes.items()):
        scale = given_dose.volume if _PER_DOSE in code.unit else 1.0
        variables[name] = describe(found.isel(code=i) * scale, code)
    if rules.intervals:
        areas = _by_interval(found.isel(code=slice(len(codes), -1)), rules, clock)
        variables["AUCINT"] = describe(areas, PARTIAL["AUCINT"])
        if dose is not None:
            variables["AUCINTD"] = describe(areas / given_dose.amount * given_dose.volume, PARTIAL["AUCINTD"])
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


def _by_interval(areas: xr.DataArray, rules: Rules, clock: str) -> xr.DataArray:
    """Areas with the dimension `interval`: what each is called, and when it starts and ends."""
    start, end = np.array(rules.intervals).T
    named = [f"{a:g}..{b:g} {clock}" for a, b in rules.intervals]
    unit = {"units": clock}
    ends = {"interval_start": ("interval", start, unit), "interval_end": ("interval", end, unit)}
    return areas.rename(code="interval").assign_coords({"interval": named, **ends})


def _compose(kind: str, spelled: dict[str, str]) -> str:
    """The unit of a parameter: `"C t2"` to `"mg L-1 h2"`."""
    words = [spelled[word] if word == _PER_DOSE else spelled.get(word[0], word[0]) + word[1:] for word in kind.split()]
    return " ".join(word for word in words if word != "1") or "1"


def _time(text: str | None, clock: str, name: str) -> float | None:
    return None if text is None else units.parse_quantity(text, clock, f"nca: {name}")


def _ends_of(text: str, clock: str) -> tuple[float, float]:
    """`"0..4 h"` as two times; the first takes the unit of the second where it has none."""
    where = "nca: intervals"
    first, dots, last = (part.strip() for part in text.partition(".."))
    if not (first and dots and last):
        raise InputError(f"{text!r} is not START..END with a unit, such as '0..4 h'", where)
    unit = units.split_quantity(last, where)[1]
    first = first if units.split_quantity(first, where)[1] else f"{first} {unit}"
    start, end = (units.parse_quantity(one, clock, where) for one in (first, last))
    if not 0 <= start < end:
        raise InputError(f"{text!r} must start at 0 or later and end after that", where)
    return start, end


def _check(rules: Rules) -> None:
    if (rules.route == "infusion") != (rules.duration > 0):
        raise InputError("an infusion, and nothing else, takes a `duration` above 0", "nca")
    if rules.tau is not None and rules.tau <= 0:
        raise InputError("the dosing interval `tau` must be longer than 0", "nca")
    if rules.points < 3 or rules.tolerance < 0:
        raise InputError("a terminal slope takes `points` of 3 or more and a `tolerance` of 0 or more", "nca")
    if rules.include_cmax and rules.route != "iv bolus":
        raise InputError("only after an iv bolus may the terminal line begin at CMAX", "nca: include_cmax")
    if rules.blq == "LLOQ/2" and rules.lloq is None:
        raise InputError("the rule 'LLOQ/2' needs the limit of quantification, `lloq`", "nca: blq")
    if rules.tau is not None and any(end > rules.tau * (1.0 + CLOSE) for _, end in rules.intervals):
        raise InputError("the intervals must end within the dosing interval `tau`", "nca: intervals")


def _times_of(C: xr.DataArray, since: float) -> np.ndarray:
    """Times since the dose (time,); that of the dose is 0 exactly."""
    times = np.asarray(C["time"], float)
    falls = np.flatnonzero(~(np.diff(times) >= 0))
    if falls.size:
        first, then = times[falls[0] : falls[0] + 2]
        raise InputError(f"times must not decrease, and {then:g} comes after {first:g}", "nca")
    if (same := np.flatnonzero(np.diff(times) == 0)).size:
        raise InputError(f"there are two values at one time ({times[same[0]]:g}); keep one, or their mean", "nca")
    times = np.where(np.abs(times - since) <= CLOSE * (1.0 + abs(since)), 0.0, times - since)
    if not (times >= 0.0).any():
        raise InputError("no sample is at or after the time of the dose", "nca: since")
    return times


def volumes_of(dose_unit: str, unit: str, volume: str = "L") -> list[str]:
    """What a dose over a concentration may be, a volume ("") or a volume per kg ("/kg"); nothing if their units do not fit."""
    ratio = units.dimension(f"({dose_unit or '1'})/({unit})")
    return [per for per in ("", "/kg") if ratio == units.dimension(volume + per)]


class _Dose(NamedTuple):
    """A dose: over the unit of concentration, in units of volume; what the volume is per; the unit of 1 / dose; units of volume
    in a dose of 1."""

    amount: Any = np.nan
    per: str = ""
    inverse: str = "1"
    volume: float = 1.0


def _dose_of(dose: Any, unit: str, volume: str) -> _Dose:
    if dose is None:
        return _Dose()
    where = "nca: dose"
    if isinstance(dose, xr.DataArray):
        dose_unit, called = _unit_of(dose, "the doses lack"), "doses lack their"
    else:
        called = f"dose {dose} lacks its"
        dose, dose_unit = units.split_quantity(str(dose), where)
    alike = volumes_of(dose_unit, unit, volume)
    if alike == ["/kg"] and not set(dose_unit) & set("/-"):
        example = units.unit_text(unit).partition("/")[0]
        raise InputError(f"the {called} unit; write for example '320 {example}' or '5 {example}/kg'", where)
    for per in alike:
        scale = units.factor(f"({dose_unit or '1'})/({unit})", volume + per)
        return _Dose(dose * scale, " kg-1" if per else "", units.cf(f"1/({dose_unit or '1'})"), scale)
    raise InputError(
        f"a dose in {dose_unit!r} over a concentration in {unit!r} is not a volume, nor a volume per kg", where
    )


def _baseline_of(
    baseline: str | xr.DataArray | None, C: xr.DataArray, times: np.ndarray, unit: str, rules: Rules
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
