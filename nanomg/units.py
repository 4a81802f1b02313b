"""Unit strings: parse, convert, compare dimensions. The only importer of pint.

Amounts of countable things have their own dimensions, so that cells are never added to particles:
`Mcell` is 1e6 cells, `Gparticle` 1e9 particles, `Gsite` 1e9 binding sites, `TCID50` infectious units.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping

import pint

from nanomg.errors import InputError

_registry: pint.UnitRegistry = pint.UnitRegistry(cache_folder=None)
for _definition in (
    "cell = [cell_count]",
    "Mcell = 1e6 * cell",
    "particle = [particle_count]",
    "Gparticle = 1e9 * particle",
    "site = [site_count]",
    "Gsite = 1e9 * site",
    "TCID50 = [infectious_units]",
):
    _registry.define(_definition)

Dimension = tuple[tuple[str, float], ...]

BASE_DIMENSIONS = tuple(
    f"[{name}]"
    for name in ("length", "mass", "substance", "time", "cell_count", "particle_count", "site_count", "infectious_units")
)

# The unit strings the field writes and pint reads otherwise ("q 7 d" is a day, "M" is molar).
_ALIASES = {"": "", "1": "", "-": "", "fraction": "", "%": "percent", "M": "molar", "mM": "mmol/L", "uM": "umol/L"}
_TOKEN = re.compile(r"\b(mM|uM|nM|wk)\b")
_SPELLED = {"mM": "(mmol/L)", "uM": "(umol/L)", "nM": "(nmol/L)", "wk": "week"}


@functools.cache
def _unit(text: str) -> pint.Unit:
    cleaned = _ALIASES.get(text.strip(), text.strip()).replace("µ", "u").replace("μ", "u")
    cleaned = _TOKEN.sub(lambda m: _SPELLED[m.group()], cleaned)
    try:
        return _registry.Unit(cleaned)
    except Exception:  # pint raises half a dozen kinds for unreadable text
        raise InputError(f"{text!r} is not a unit that nanomg knows (write for example 'mL/h', 'mmol/L', 'mg', '1/d')") from None


@functools.cache
def dimension(unit: str) -> Dimension:
    """The exponents of the base dimensions, sorted: `dimension("L/h") == (("[length]", 3), ("[time]", -1))`."""
    dims = _registry.get_dimensionality(_unit(unit))
    return tuple(sorted((str(k), float(v)) for k, v in dims.items() if v))


@functools.cache
def factor(unit: str, to: str) -> float:
    """Multiply a number in `unit` by this to have it in `to`. Raises `InputError` naming both units if they differ in dimension."""
    if dimension(unit) != dimension(to):
        raise InputError(f"the unit {unit or '1'!r} cannot be converted to {to or '1'!r}: their dimensions differ")
    return float(_registry.Quantity(1.0, _unit(unit)).to(_unit(to)).magnitude)


def convert(value: float, unit: str, to: str, where: str | None = None) -> float:
    """`value` in `unit`, expressed in `to`."""
    try:
        return float(value) * factor(unit, to)
    except InputError as error:
        raise InputError(error.message, where) from None


_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


def split_quantity(text: str, where: str | None = None) -> tuple[float, str]:
    """`"0.03 L/h"` to `(0.03, "L/h")`; a bare number has the unit `""`."""
    match = _QUANTITY.match(text)
    if not match:
        raise InputError(f"{text!r} is not a number with a unit (write for example '0.03 L/h')", where)
    value = float(match[1])
    if not math.isfinite(value):
        raise InputError(f"{text!r} is not a finite number", where)
    return value, match[2]


def parse_quantity(text: str | float, to: str, where: str | None = None) -> float:
    """A number with a unit, expressed in `to`. A bare number is taken only where `to` has no dimension."""
    value, unit = (float(text), "") if isinstance(text, int | float) else split_quantity(text, where)
    if not math.isfinite(value):
        raise InputError(f"{text!r} is not a finite number", where)
    if not unit and dimension(to):
        raise InputError(f"{text!r} lacks its unit; {to!r} or another unit of the same dimension is needed", where)
    return convert(value, unit, to, where)


@functools.cache
def _to_base(unit: str) -> float:
    return float(_registry.Quantity(1.0, _unit(unit)).to_base_units().magnitude)


def scale_of(unit: str, base: Mapping[str, float]) -> float:
    """What a number in `unit` becomes where every base dimension is counted in another unit, `base[dimension]` times smaller
    than the SI one. Equations whose declared units are coherent are unchanged by it; a lost factor 1000 is not."""
    return _to_base(unit) * math.prod(base[name] ** power for name, power in dimension(unit))


_CF_TOKENS = {"Mcell": "1e6", "Gparticle": "1e9", "Gsite": "1e9", "cell": "1", "particle": "1", "site": "1", "d": "day", "TCID50": "1"}


@functools.cache
def cf(unit: str) -> str:
    """The unit as CF and UDUNITS write it: `"mmol/L"` to `"mmol L-1"`, counts as plain factors."""
    if not _ALIASES.get(unit, unit):
        return "1"
    numerator, *denominators = unit.replace("mM", "mmol/L").replace("(", "").replace(")", "").split("/")
    words = [_CF_TOKENS.get(w, w) for w in re.split(r"[*\s]+", numerator) if w not in ("", "1")]
    for group in denominators:
        for word in re.split(r"[*\s]+", group):
            match = re.fullmatch(r"([A-Za-z%0]+?)(\d*)", word)
            name, power = (match[1], match[2] or "1") if match else (word, "1")
            name = _CF_TOKENS.get(name, name)
            words.append(name if name == "1" else f"{name}-{power}" if name.isalpha() else f"({name})-{power}")
    return " ".join(words) or "1"
