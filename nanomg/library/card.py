"""Cards: parameter values in TOML, each with unit, source, place in the source, and how it is known.

    title = "C57BL/6 mouse, 25 g"
    species = "mouse"

    [magnesium]
    GFR = { value = 15, unit = "mL/h", low = 10, high = 20, cv = 0.2, basis = "recalled", source = "…", note = "0.25 mL/min" }

The table's name and the key together are the parameter's dotted name. `low` and `high` are the 5 % and 95 % points of its
uncertainty; `cv` is the between-subject coefficient of variation. `basis` is the origin of the value: `measured`, `fitted`,
`scaled`, `recalled` or `assumed`; the first two need a `source` (a key of references.bib), the last needs a `note` with the reason.

A parameter without its own value is scaled from another card by body weight to a power; both cards then state their `weight`:

    weight = "25 g"

    [magnesium]
    Q = { scaled_from = "human", exponent = 0.75 }
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nanomg import units
from nanomg.errors import InputError, unknown
from nanomg.library.toml import Reader, load_toml

BASES = ("measured", "fitted", "scaled", "recalled", "assumed")
_STEEPEST = 10  # exponent of body weight
LARGEST_CV = 100  # beyond it a log-normal quantity has no typical size
PROVENANCE = ("basis", "source", "place", "note")  # the fields on the origin of a value


class Origin(enum.Enum):
    """Who gives a parameter its value: a card, the scenario's own file, or the user who asks for a run."""

    CARD = "card"
    SCENARIO = "scenario"
    USER = "user"


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A value with its unit and source.

    `low` and `high` [unit] are its 5 % and 95 % points, None if unknown. `card` names the card, or the other place
    where the value was set; `origin` tells which.
    """

    name: str
    value: float
    unit: str
    basis: str
    low: float | None = None
    high: float | None = None
    cv: float = 0.0
    source: str = ""
    place: str = ""
    note: str = ""
    card: str = ""
    origin: Origin = Origin.CARD

    def to(self, unit: str) -> Parameter:
        """The same parameter expressed in another unit."""
        where = f"card {self.card!r}, {self.name}"
        change = lambda v: None if v is None else units.convert(v, self.unit, unit, where)
        return dataclasses.replace(
            self,
            value=units.convert(self.value, self.unit, unit, where),
            low=change(self.low),
            high=change(self.high),
            unit=unit,
        )


_HEADINGS = ("title", "species", "weight", "surface")
_FIELDS = {f.name for f in dataclasses.fields(Parameter)} - {"name", "card", "origin"}
_SCALED = {"scaled_from", "exponent", "note"}


@dataclasses.dataclass(frozen=True)
class Card:
    """A named set of parameters from one file. `weight` [kg] and `surface` [m2] are of the body that it describes."""

    name: str
    title: str
    species: str
    parameters: Mapping[str, Parameter]
    path: Path
    weight: float | None = None
    surface: float | None = None


def provenance(entry: Mapping[str, Any], where: str) -> dict[str, str]:
    """How an entry's numbers are known: basis, source, place and note. Raises `InputError` where one that it needs is missing."""
    basis = entry.get("basis")
    if basis not in BASES:
        raise InputError(f"basis must be one of {', '.join(BASES)}, not {basis!r}", where)
    if basis in ("measured", "fitted") and not entry.get("source"):
        raise InputError(f"a {basis} value needs its source (a key of references.bib)", where)
    if basis == "assumed" and not entry.get("note"):
        raise InputError("an assumed value needs a note that says why", where)
    return {key: str(entry.get(key, "")) for key in PROVENANCE}


def _parameter(name: str, table: Any, card: str) -> Parameter:
    where = f"card {card!r}, {name}"
    if not isinstance(table, Mapping):
        raise InputError("a parameter is a table with value, unit and basis", where)
    entry = Reader(table, where, _FIELDS, kind="field")
    value, low, high, cv = (entry.number(key) for key in ("value", "low", "high", "cv"))
    if value is None:
        raise entry.error("the value is missing")
    known = provenance(entry, where)
    if (low is not None and low > value) or (high is not None and high < value):
        raise InputError(f"the value {value:g} is outside its range {low} to {high}", where)
    if cv is not None and not 0 <= cv <= LARGEST_CV:
        raise InputError(f"cv must be between 0 and {LARGEST_CV}, where 0.2 is 20 %, but is {cv:g}", where)
    unit = units.checked(str(entry.get("unit", "")), where)
    basis, source, place, note = (known[key] for key in PROVENANCE)
    return Parameter(name, value, unit, basis, low, high, cv or 0.0, source, place, note, card)


def load_card(path: Path, other: Callable[[str, str], Card]) -> Card:
    """Read and check one card; `other` finds the cards that values are scaled from, by name and place of use."""
    data = load_toml(path)
    where = f"card {path.stem!r}"
    origins: dict[str, Card] = {}  # one card gives many values, and is read once

    def origin(name: str, at: str) -> Card:
        if name not in origins:
            origins[name] = other(name, at)
        return origins[name]

    size = Reader({key: data[key] for key in ("weight", "surface") if key in data}, where)
    weight = size.positive("weight", "kg") if "weight" in size else None
    surface = size.positive("surface", "m^2") if "surface" in size else None
    parameters = {}
    for group, table in data.items():
        if isinstance(table, Mapping):
            for key, entry in table.items():
                name = f"{group}.{key}"
                if isinstance(entry, Mapping) and "scaled_from" in entry:
                    parameters[name] = _scaled(name, entry, path.stem, weight, origin)
                else:
                    parameters[name] = _parameter(name, entry, path.stem)
        elif group not in _HEADINGS:
            raise unknown("key", group, _HEADINGS, where)
    return Card(
        path.stem, str(data.get("title", "")), str(data.get("species", "any")), parameters, path, weight, surface
    )


def _scaled(
    name: str, table: Mapping[str, Any], card: str, weight: float | None, other: Callable[[str, str], Card]
) -> Parameter:
    """The same parameter of another card times the ratio of body weights to the power `exponent`."""
    where = f"card {card!r}, {name}"
    entry = Reader(table, where, _SCALED, kind="field of a scaled value")
    exponent = entry.number("exponent")
    if exponent is None:
        raise InputError("a scaled value needs the exponent of body weight", where)
    if abs(exponent) > _STEEPEST:
        raise InputError(f"the exponent must be between -{_STEEPEST} and {_STEEPEST}, not {exponent:g}", where)
    origin = other(str(entry["scaled_from"]), where)
    if name not in origin.parameters:
        raise unknown(f"parameter of card {origin.name!r}", name, origin.parameters, where)
    if weight is None or origin.weight is None:
        raise InputError(
            f"card {(card if weight is None else origin.name)!r} must give its body weight for this", where
        )
    p = origin.parameters[name]
    factor = (weight / origin.weight) ** exponent if 0 < weight / origin.weight < math.inf else math.nan
    if not 0 < factor < math.inf or not abs(p.value * factor) < math.inf:
        raise InputError(f"body weights of {weight:g} and {origin.weight:g} kg are too far apart to scale by", where)
    grow = lambda v: None if v is None else v * factor
    amount = f"{p.value:g}" if p.unit in ("", "1") else f"{p.value:g} {p.unit}"
    weighted = f"scaled by body weight to the power {exponent:g}" if exponent else "the same at every body weight"
    how = f"{amount} of card {origin.name!r}, {weighted}"
    note = "; ".join(filter(None, (how, str(entry.get("note", "")))))
    scaled: dict[str, Any] = {"value": p.value * factor, "low": grow(p.low), "high": grow(p.high)}
    return dataclasses.replace(p, **scaled, basis="scaled", note=note, card=card)


def merge(cards: Iterable[Card]) -> dict[str, Parameter]:
    """All parameters of the cards; where two cards give the same name the later card holds."""
    merged: dict[str, Parameter] = {}
    for card in cards:
        merged.update(card.parameters)
    return merged
