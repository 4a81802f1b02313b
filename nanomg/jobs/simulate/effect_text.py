"""The effect of Mg as text: what the conclusion, a page and the screen say alike of one number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from nanomg.formatting import MISSING, bounded, format_number
from nanomg.simulation.roles import HOURS, HYPOTHESES, RELEVANT
from nanomg.units import unit_text

LEAST_RISE = 1e-6  # mmol/L; the solver's error is of this size
LEAST_SHARE = 1e-5  # of a value: a difference between two arms below it is the solver's error

_NONE = "0"
_RESOLUTION = 0.05  # of hours per day and of percent, which are shown with one digit after the point


# ---------------------------------------------------------------- numbers
def hours_text(hours: Mapping[Any, float]) -> str:
    """The range of hours per day that a level is exceeded; `0` only where it is not reached at all.

    Example:
        >>> hours_text({"H1": 4.21, "H2": 4.32}), hours_text({"H1": 0.0, "H2": 0.01}), hours_text({"H1": 0.0})
        ('4.2 to 4.3', 'less than 0.05', '0')
    """
    most = max(hours.values())
    return f"less than {_RESOLUTION:g}" if 0.0 < most < _RESOLUTION else _span(hours.values())


def gain_text(gain: Mapping[Any, float]) -> str:
    """The range of relative changes of T-cell competence, in percent.

    Example:
        >>> gain_text({"H1": 0.0024, "H3": 0.00004}), gain_text({"H1": 0.0002}), gain_text({"H1": 1e-9})
        ('0 to +0.2', 'less than 0.05', '0')
    """
    most = max(map(abs, gain.values()))
    below = LEAST_SHARE <= most < _RESOLUTION / 100.0
    return f"less than {_RESOLUTION:g}" if below else _span(gain.values(), 100.0, "+")


def share_text(changes: Iterable[float]) -> str:
    """The range of relative changes in percent; what is below its resolution is said to be so.

    Example:
        >>> share_text([-0.28, 0.004]), share_text([0.0002])
        ('-28 to +0.4 %', 'less than 0.05 %')
    """
    known = [100.0 * value for value in changes if math.isfinite(value)]
    if not known:
        return ""
    if max(map(abs, known)) < _RESOLUTION:
        return f"less than {_RESOLUTION:g} %"
    return f"{_ends([_signed(value, 2, _RESOLUTION) for value in (min(known), max(known))])} %"


def span_text(values: Iterable[float], digits: int = 4) -> str:
    """A range of numbers; one number where both ends look alike.

    Example:
        >>> span_text([632.31, 573.1]), span_text([1.00001, 1.00002])
        ('573.1 to 632.3', '1')
    """
    known = [value for value in values if math.isfinite(value)]
    return _ends([format_number(end(known), digits) for end in (min, max)]) if known else MISSING


def difference_text(values: Iterable[float], size: float) -> str:
    """A range of differences between numbers as large as `size`, with signs; 0 below the error of the solver.

    Example:
        >>> difference_text([-160.2, 3.04], 1466.0), difference_text([1e-9], 1466.0)
        ('-160 to +3.04', '0')
    """
    known = [value for value in values if math.isfinite(value)]
    return _ends([_signed(end(known), 3, LEAST_SHARE * size) for end in (min, max)]) if known else MISSING


def signed_number(value: float | None, size: float, digits: int = 3) -> str:
    """A difference between numbers as large as `size`, with its sign; 0 below the error of the solver."""
    return MISSING if value is None or not math.isfinite(value) else _signed(value, digits, LEAST_SHARE * size)


def _signed(value: float, digits: int, least: float) -> str:
    if abs(value) < least or value == 0.0:
        return "0"
    return f"{'+' if value > 0 else ''}{format_number(value, digits)}"


def _ends(texts: list[str]) -> str:
    low, high = texts
    return low if low == high else f"{low} to {high}"


def _span(values: Iterable[float], scale: float = 1.0, sign: str = "") -> str:
    ends = [end(values) * scale for end in (min, max)]
    return _ends([f"{value:{sign}.1f}" if abs(value) >= _RESOLUTION else "0" for value in ends])


def unit_after(unit: str) -> str:
    """A unit as it stands after a number; nothing where there is none.

    Example:
        >>> unit_after("mm^3"), unit_after("1")
        (' mm³', '')
    """
    return "" if unit in ("", "1") else f" {unit_text(unit)}"


def over_text(hypotheses: Iterable[Any]) -> str:
    """Over which LFA-1 hypotheses a range is taken; nothing where there are none.

    Example:
        >>> over_text(["H1", "H2", "H3"]), over_text(["H2"]), over_text(["as set"])
        (' over H1 to H3', ' under H2', '')
    """
    named = sorted(h for h in hypotheses if h in HYPOTHESES)
    if len(named) < 2:
        return f" under {named[0]}" if named else ""
    return f" over {named[0]} to {named[-1]}"


# ---------------------------------------------------------------- sentences
def rise_sentence(effect: Mapping[str, Any]) -> str:
    """How far free Mg rises, and how many times short of the levels that matter that is."""
    peak, where = _peak(effect), f"Free Mg in the {effect['tissue']}"
    if peak < LEAST_RISE:
        return f"{where} does not rise."
    short = [
        f"{format_number(level / peak, 3)} times short of +{label} mmol/L"
        for label, level in RELEVANT.items()
        if peak < level
    ]
    text = f"{where} rises by at most {format_number(peak, 3)} mmol/L{', ' if short else ''}{' and '.join(short)}"
    reached = _reached(effect)
    return f"{text}; it is {reached}." if reached else f"{text}."


def free_rise_text(effect: Mapping[str, Any]) -> str:
    """The rise by the same Mg given free, as the end of a sentence."""
    peak, reached = _peak(effect), _reached(effect)
    if peak < LEAST_RISE:
        return "does not raise free Mg"
    return f"raises free Mg by at most {format_number(peak, 3)} mmol/L{f', {reached}' if reached else ''}"


def _reached(effect: Mapping[str, Any]) -> str:
    """For how long the levels are exceeded that are reached at all."""
    return " and ".join(
        f"above +{label} mmol/L for {hours_text(effect[key])} h/day"
        for key, label in HOURS.items()
        if max(effect[key].values()) > 0.0
    )


def competence_sentence(effect: Mapping[str, Any], over: str) -> str:
    """What the rise does to T cells."""
    gain = effect["mean_competence_gain"]
    if not gain:
        return "The model has no LFA-1, so what this does to T cells is not part of it."
    span = gain_text(gain)
    return (
        "T-cell competence does not change." if span == _NONE else f"Mean T-cell competence changes by {span} %{over}."
    )


def source_sentence(effect: Mapping[str, Any]) -> str:
    """How much of the mean rise comes from serum; nothing where there is no rise."""
    local = local_share(effect)
    if local is None or _peak(effect) < LEAST_RISE:
        return ""
    return f"Of the mean rise, {100 * (1.0 - local):.0f} % comes from serum and {100 * local:.0f} % is local."


def _peak(effect: Mapping[str, Any]) -> float:
    """The highest rise under any hypothesis [mmol/L]."""
    return max((effect.get("peak_rises") or {"": effect["peak_rise"]["value"]}).values())


def local_share(effect: Mapping[str, Any]) -> float | None:
    """The share of the mean rise that is local, between 0 and 1: 0 if serum explains more than the rise, 1 if serum falls."""
    return bounded(effect.get("share_local"))
