"""The names of units that nanomg reads: those of the field, each with the prefixes that the field uses.

A general reader of units takes any prefix before any unit: `hh` would be a hundred hours, `Mg` a tonne, `dd` a tenth of a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SMALL = ("m", "u", "n", "p", "f")
_PREFIXES = {  # short names of units, and what may stand before them
    "g": ("", "k", *_SMALL, "a"),
    "L": ("", "d", "c", *_SMALL),
    "l": ("", "d", "c", *_SMALL),
    "mol": ("", *_SMALL, "a"),
    "M": ("", *_SMALL),
    "m": ("", "k", "d", "c", *_SMALL),
    "s": ("", "m", "u", "n"),
    "Pa": ("", "k", "h"),
    "bar": ("", "m"),
    "J": ("", "k", "m"),
    "cal": ("", "k"),
    "Bq": ("", "k", "M", "G", "T"),
    "Ci": ("", "m", "u", "n"),
    "Gy": ("", "m", "c"),
    "Sv": ("", "m", "u"),
    "Da": ("", "k", "M"),
    "K": ("", "m"),
    "B": ("", "k", "M", "G", "T", "Ki", "Mi", "Gi"),  # of memory
}
_LONG_PREFIXES = ("", "deci", "centi", "milli", "micro", "nano", "pico", "femto")
_LONG = ("gram", "liter", "litre", "mole", "meter", "metre", "molar")
_PLURAL = ("sec", "second", "minute", "hr", "hour", "day", "wk", "week", "month", "yr", "year", "pound", "byte")
_COUNTED = ("cell", "Mcell", "particle", "Gparticle", "site", "Gsite")
_ALONE = (
    *("min", "mins", "h", "d", "kilogram", "kilograms", "mcg", "cc", "lb", "inch", "Å", "angstrom"),
    *("%", "percent", "permille", "ppm", "dimensionless", "TCID50", "N_A", "kelvin", "mmHg", "cmH2O", "torr", "atm"),
)
_WITH_OFFSET = ("degC", "°C", "degF", "°F", "celsius", "fahrenheit", "dB")  # refused because of the offset


def _known() -> Iterator[str]:
    yield from _ALONE
    yield from (prefix + name for name, prefixes in _PREFIXES.items() for prefix in prefixes)
    yield from (prefix + name + end for prefix in _LONG_PREFIXES for name in _LONG for end in ("", "s"))
    yield from (name + end for name in (*_PLURAL, *_COUNTED) for end in ("", "s"))


NAMES = frozenset(_known())
_NAME = re.compile(r"(?<![\w.])[^\W\d][\w%°]*|[%°Å][\w%°]*")


def strange_name(text: str) -> tuple[str, str] | None:
    """The first name in a unit's text that the field does not use, and the one that may be meant or ""; None if all are used.

    Args:
        text: a unit such as `mL/h`, with `u` for micro.

    Example:
        >>> strange_name("mL/hh"), strange_name("mL/h")
        (('hh', 'h'), None)
    """
    for name in _NAME.findall(text):
        if name not in NAMES and name not in _WITH_OFFSET:
            alike = [known for known in sorted(NAMES) if known.casefold() == name.casefold()]
            return name, alike[0] if alike else name[1:] if name[1:] in NAMES else ""
    return None
