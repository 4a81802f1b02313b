"""Numbers, times, sizes and limits as text for people: on the screen, on a page and in a figure."""

from __future__ import annotations

import math

MISSING = "–"

_POWER = 5  # power of ten from which on a number is written with it
_PERCENT, _NOTHING = 0.01, 1e-6


def format_number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits: `0.01234`, `1.234e-5`, `1490`; what is missing or not finite is a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value + 0.0:.{digits}g}"  # no -0
    mantissa, exponent, power = text.partition("e")
    if exponent and 0 <= int(power) < _POWER:
        return f"{float(text):.0f}"
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def resolved(value: float | None, size: float, least: float = 1e-9) -> float | None:
    """A number, or 0 where it is below `least` of the size of the numbers that it is one of: rounding and solver leave such rests.

    Example:
        >>> resolved(-5e-17, 1.0), resolved(0.25, 1.0)
        (0.0, 0.25)
    """
    return 0.0 if value is not None and abs(value) < least * abs(size) else value


def percent(share: float | None) -> str:
    """A share in whole percent, or with one digit where it is less than one."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{100 * share:.1g} %" if _NOTHING < abs(share) < _PERCENT else f"{round(100 * share)} %"


def bounded(share: float | None) -> float | None:
    """A share between 0 and 1: of a sum with a part below 0, another part may be more than all."""
    return None if share is None else min(max(share, 0.0), 1.0)


def format_duration(seconds: float) -> str:
    """A time in the two units that suit it."""
    if seconds < 90:
        return f"{format_number(seconds, 2)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} d"


def size(count: float) -> str:
    """So many bytes in the unit that suits them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{format_number(count, 3)} {unit}"
        count /= 1000
    return f"{format_number(count, 3)} TB"


def span(low: float | None, high: float | None) -> str:
    """A range, or nothing where neither end is known."""
    return (
        "" if all(v is None or math.isnan(v) for v in (low, high)) else f"{format_number(low)} – {format_number(high)}"
    )


def format_factor(effect: float | None) -> str:
    """A change of a logarithm as what it multiplies by, or nothing where it is not known."""
    return "" if effect is None else f"× {format_number(math.exp(min(effect, 700.0)), 3)}"


def capital(text: str) -> str:
    """Text as it begins a sentence."""
    return text[:1].upper() + text[1:]


_RUN = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would run


def harmless_cell(text: str) -> str:
    """The text of a cell of a CSV file, with an apostrophe in front where a spreadsheet would run it as a formula.

    Args:
        text: What the cell holds; a number, also with a decimal comma, stays as it is.

    Returns:
        The cell.

    Raises:
        Nothing.

    Example:
        >>> from nanomg.formatting import harmless_cell
        >>> [harmless_cell(text) for text in ("=1+1", "-2.5", "subject 1")]
        ["'=1+1", '-2.5', 'subject 1']
    """
    if len(text) < 2 or not text.startswith(_RUN):
        return text
    try:
        float(text.replace(",", "."))
    except ValueError:
        return f"'{text}"
    return text
