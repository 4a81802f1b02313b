"""Unit strings: parse, convert, compare dimensions. The only importer of pint.

Amounts of countable things have their own dimensions, so that cells are never added to particles:
`Mcell` is 1e6 cells, `Gparticle` 1e9 particles, `Gsite` 1e9 binding sites, `TCID50` infectious units.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanomg import user_cache
from nanomg.errors import InputError
from nanomg.unit_names import NAMES, strange_name

if TYPE_CHECKING:
    import pint

_DEFINITIONS = (
    "cell = [cell_count]",
    "Mcell = 1e6 * cell",
    "particle = [particle_count]",
    "Gparticle = 1e9 * particle",
    "site = [site_count]",
    "Gsite = 1e9 * site",
    "TCID50 = [infectious_units]",
    "@alias week = wk",
)
_pint_lock = threading.RLock()  # pint does not document its registry as thread-safe
SHIPPED = Path(__file__).with_name("units.json")  # conversions in the shipped library, written by docs/units.py


def version() -> str:
    """A text that names everything that conversions depend on."""
    return f"pint {importlib.metadata.version('pint')}, with {'; '.join(_DEFINITIONS)}, of {' '.join(sorted(NAMES))}"


_known = user_cache.ValueTable("units", version, shipped=SHIPPED)

Dimension = tuple[tuple[str, float], ...]

BASE_DIMENSIONS = tuple(
    f"[{name}]"
    for name in (
        "length",
        "mass",
        "substance",
        "time",
        "cell_count",
        "particle_count",
        "site_count",
        "infectious_units",
    )
)

_NO_UNIT = {"1", "-", "fraction"}  # written in the field for no unit

# pint evaluates numbers raised to powers, so a short text could keep it busy without end: only what follows reaches it.
_LONGEST = 100
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_PLAIN = re.compile(r"(?!.*\b(?:squared?|cub(?:ed|ic)|sq)\b)[A-Za-z0-9_%°Å.*/^()+\- ]*")
_POWER = re.compile(r"(?:\*\*|\^)")
_CF_POWER = re.compile(r"(?<![\w.])([A-Za-z%°Å]+)(-\d[\d.]*|[2-9])(?![\w.])")  # as in mmol L-1
_READ_POWER = re.compile(r"(?<=[A-Za-z0-9_%°Å])\s*(?:\*\*|\^)\s*[-+]?\d(?:\.\d+)?(?![\w.])(?!\s*(?:\*\*|\^))")


def _readable(text: str) -> str:
    """`text` as pint may see it. Raises `InputError` for what would take long to evaluate."""
    plain = text.strip().replace("µ", "u").replace("μ", "u")
    plain = _SUPERSCRIPT.sub(lambda m: "^" + m.group().translate(_RAISED), plain)
    plain = _CF_POWER.sub(r"\1^\2", plain)
    if len(plain) > _LONGEST or not _PLAIN.fullmatch(plain):
        raise _unreadable(text)
    if len(_POWER.findall(plain)) != len(_READ_POWER.findall(plain)):
        raise InputError(f"{text!r} is not a unit: a factor takes one power of at most 9, as in 'cm^2' or 'mL**0.75'")
    return "" if plain in _NO_UNIT else plain


def _unreadable(text: str, why: str = "") -> InputError:
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    hint = "" if why.endswith("?") else " (write for example 'mL/h', 'mmol/L', 'mg', '1/d')"
    return InputError(f"{shown!r} is not a unit that nanomg knows{why}{hint}")


@functools.cache
def _registry() -> pint.UnitRegistry:
    """Units with our own, made when a unit is met that was not converted before: pint takes as long to load as a simulation."""
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry(cache_folder=None)
    for definition in _DEFINITIONS:
        registry.define(definition)
    registry._build_cache()  # pint knows a particle as a part of a mole and would remember that
    return registry


def _unit(text: str) -> pint.Unit:
    plain = _readable(text)
    if strange := strange_name(plain):
        name, near = strange
        raise _unreadable(text, f": there is no {name!r}" + (f"; did you mean {near!r}?" if near else ""))
    try:
        unit = _registry().Unit("percent" if plain == "%" else plain)
    except Exception:  # pint raises half a dozen kinds for unreadable text
        raise _unreadable(text) from None
    if _registry().Quantity(0.0, unit).to_base_units().magnitude != 0.0:
        raise InputError(f"{text!r} has an offset or is a logarithm; nanomg takes units that scale, such as 'K'")
    return unit


@functools.cache
def dimension(unit: str) -> Dimension:
    """The exponents of the base dimensions, sorted: `dimension("L/h") == (("[length]", 3), ("[time]", -1))`."""
    powers = _known.get(f"dimension {unit}", lambda: _powers(unit))
    return tuple((name, power) for name, power in powers)


def checked(unit: str, where: str) -> str:
    """The unit itself; `InputError` that names the place where it cannot be read."""
    try:
        dimension(unit)
    except InputError as error:
        raise InputError(error.message, where) from None
    return unit


def _powers(unit: str) -> list[tuple[str, float]]:
    with _pint_lock:
        powers: Any = _registry().get_dimensionality(_unit(unit))
    return sorted((str(name), float(power)) for name, power in powers.items() if power)


@functools.cache
def factor(unit: str, to: str) -> float:
    """Multiply a number in `unit` by this to have it in `to`. Raises `InputError` naming both units if they differ in dimension."""
    if dimension(unit) != dimension(to):
        raise InputError(f"the unit {unit or '1'!r} cannot be converted to {to or '1'!r}: their dimensions differ")
    return float(_known.get(f"factor {unit} -> {to}", lambda: _magnitude(unit, to)))


def _magnitude(unit: str, to: str | None = None) -> float:
    """What 1 `unit` is in `to`, or in the base units of the registry."""
    with _pint_lock:
        one = _registry().Quantity(1.0, _unit(unit))
        return float((one.to_base_units() if to is None else one.to(_unit(to))).magnitude)


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
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise InputError(f"{text!r} is not a number with a unit (write for example '0.03 L/h')", where)
    if isinstance(text, int | float) and not abs(text) <= sys.float_info.max:  # also a whole number beyond a float
        raise InputError(f"{text!r} is not a finite number", where)
    value, unit = split_quantity(text, where) if isinstance(text, str) else (float(text), "")
    if not unit and dimension(to):
        raise InputError(f"{text!r} lacks its unit; {to!r} or another unit of the same dimension is needed", where)
    converted = convert(value, unit, to, where)
    if not math.isfinite(converted):
        raise InputError(f"{text!r} is too large to be expressed in {to!r}", where)
    return converted


def scale_of(unit: str, base: Mapping[str, float]) -> float:
    """The factor on a number in `unit` when every base dimension has another unit, `base[dimension]` times smaller than
    the SI one. Equations with coherent units do not change under it; a lost factor 1000 shows."""
    return float(_known.get(f"base {unit}", lambda: _magnitude(unit))) * math.prod(
        base[name] ** power for name, power in dimension(unit)
    )


_CF_COUNTS = {"Mcell": 6, "Gparticle": 9, "Gsite": 9, "cell": 0, "particle": 0, "site": 0, "TCID50": 0}  # powers of ten
_CF_COUNTS |= {f"{name}s": power for name, power in _CF_COUNTS.items()}
_CF_WORDS = {"d": {"day": 1}, "wk": {"week": 1}, "%": {"percent": 1}, "mcg": {"ug": 1}} | {
    f"{prefix}M": {f"{prefix}mol": 1, "L": -1} for prefix in ("", "m", "u", "n", "p")
}
_CF_PART = re.compile(r"([A-Za-z_%°Å][\w%°]*)(?:\s*(?:\*\*|\^)\s*([-+]?[\d.]+))?|([()/])")


@functools.cache
def cf(unit: str) -> str:
    """The unit as CF and UDUNITS write it: `"mmol/L"` to `"mmol L-1"`, counts as plain factors."""
    words: list[str] = []
    around, sign = [1], 1  # of the brackets that are open, of the next factor
    for name, exponent, mark in _CF_PART.findall(_readable(unit)):
        if mark == "(":
            around.append(sign)
        elif mark == ")":
            around.pop()
        elif not mark:
            power = sign * float(exponent or 1)
            if name in _CF_COUNTS:
                words += [f"1e{_CF_COUNTS[name] * power:g}"] if _CF_COUNTS[name] else []
            else:
                spelled = {w: p * power for w, p in _CF_WORDS.get(name, {name: 1}).items()}
                words += [w + (f"{p:g}" if p != 1 else "") for w, p in spelled.items()]
        sign = -around[-1] if mark == "/" else around[-1]
    return " ".join(words) or "1"


def counts(unit: str) -> bool:
    """Whether a unit counts things, such as cells, which CF and UDUNITS write as plain numbers."""
    return any(name in _CF_COUNTS for name, *_ in _CF_PART.findall(_readable(unit)))


SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_UNIT_TEXT = re.compile(r"^(1e)?(.*?)(?:\^|\*\*)?([-+]?\d+)?$")


def unit_text(unit: str) -> str:
    """A unit as the field writes it: `"mmol L-1"` and `"mmol/L"` as mmol/L, `"mm^3"` as mm³, `"1e6"` as 10⁶; `"1"` as a dash."""
    if unit in ("", "1"):
        return "–"
    if "/" in unit or "(" in unit:
        return re.sub(r"\^(-?\d+)", lambda m: m[1].translate(SUPERSCRIPTS), _micro(unit))
    above: list[str] = []
    below: list[str] = []
    for word in _micro(unit).split():
        ten, name, power = _UNIT_TEXT.fullmatch(word).groups()  # type: ignore[union-attr]
        if ten:
            name, power = "10", f"{name}{power or ''}"
            below_it = False
        else:
            below_it = (power or "").startswith("-")
            power = (power or "").lstrip("+-") if below_it else (power or "")
        (below if below_it else above).append(name + ("" if power in ("", "1") else power.translate(SUPERSCRIPTS)))
    return "/".join([" ".join(above) or "1", *below])


def _micro(unit: str) -> str:
    return re.sub(r"\bpercent\b", "%", re.sub(r"\bu(?=[gLmM])", "µ", unit))


def convert_shown(unit: str, to: str) -> float:
    """Multiply a number in `unit` by this to have it in `to`, each as it is written or as a file has it, with counts as numbers.

    Raises `InputError` where their dimensions differ.
    """
    if cf(to) == unit:
        return 1.0
    try:
        return factor(unit, to)
    except InputError:
        (own, of), (other, into) = _bare(unit), _bare(to)
        return own / other * factor(of, into)


def _bare(unit: str) -> tuple[float, str]:
    """A unit in which counts are plain numbers, as a power of ten and the rest."""
    words = unit.split() if "1e" in unit else cf(unit).split()
    tens = [word for word in words if word.startswith("1e")]
    return math.prod(map(float, tens)), " ".join(word for word in words if word not in tens) or "1"
