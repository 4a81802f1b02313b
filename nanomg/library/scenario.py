"""A scenario: its model, values, doses, limits, objective and outputs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanomg.analysis.readouts import AREA, CURVE, READ_OUTS, WHOLE_COURSE
from nanomg.dosing.dose import Dose, Window, movable
from nanomg.dosing.event_record import Subject
from nanomg.dosing.quantities import DosedUnit, per_body
from nanomg.dosing.table_reading import TableReading
from nanomg.equations.model import Model
from nanomg.errors import InputError, unknown
from nanomg.library.card import Card, Parameter

MAX, MIN = "max", "min"  # sides of a limit


@dataclasses.dataclass(frozen=True)
class ObjectiveTerm:
    """One term of an objective: a `function` of the `statistic` of `signal` (or of the doses into `cmt`) times `weight`.

    The signal is divided by `amount`, which converts it to the unit of the term, that of `level`, too; without a `function` the
    statistic itself counts.
    """

    name: str
    statistic: str
    weight: float
    signal: str = ""
    cmt: str = ""
    amount: float = 1.0
    level: float = 0.0
    function: str = ""


@dataclasses.dataclass(frozen=True)
class Limit:
    """A signal, or the `statistic` of one, that must stay at or below `bound`, or at or above it where `side` is `MIN`.

    `bound` and `level` are in the unit of the model, `bound` in that of the statistic.
    """

    name: str
    signal: str
    bound: float
    side: str = MAX
    statistic: str = ""
    level: float = 0.0

    @property
    def sign(self) -> float:
        """1 for an upper limit, -1 for a lower one."""
        return -1.0 if self.side == MIN else 1.0


@dataclasses.dataclass(frozen=True)
class FreeDose:
    """Doses into `cmt` that may be optimised: bounds on amounts [unit of the port] and times [h]."""

    cmt: str
    amount: tuple[float, float]
    time: tuple[float, float]
    interval: float
    total: float
    strength: float = 0.0  # amount per mL of what is injected; 0 where volume does not matter
    volume: float = 0.0  # mL


@dataclasses.dataclass(frozen=True)
class BoundColumn:
    """A column of an event table that sets a parameter: how it holds in time, and the factor to the parameter's unit."""

    name: str
    between: str
    factor: float


@dataclasses.dataclass(frozen=True)
class EventColumn:
    """What TIME, AMT and so on are called in event tables, and the unit of the numbers there; empty: the usual one."""

    name: str
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A checked scenario; times in h, values in the unit that the model declares."""

    name: str
    title: str
    description: str
    species: str
    path: Path
    model: Model
    parameters: Mapping[str, Parameter]
    cards: tuple[Card, ...]
    doses: tuple[Dose, ...]
    windows: tuple[Window, ...]
    horizon: float
    every: float
    outputs: Mapping[str, str]  # unit by signal or state
    terms: tuple[ObjectiveTerm, ...]
    limits: tuple[Limit, ...]
    free: tuple[FreeDose, ...]
    columns: Mapping[str, BoundColumn]  # by parameter
    event_columns: Mapping[str, EventColumn]  # by name in capitals
    config: Mapping[str, Any]
    weight: float | None = None  # of the body [kg]
    surface: float | None = None  # of the body [m2]
    subjects: tuple[Subject, ...] = ()  # of an event table whose records replace the doses
    control: str = ""  # name of the scenario that differs only in its Mg
    reading: TableReading | None = None  # what was understood of that table

    @property
    def kind(self) -> str:
        """`optimize` where the scenario has an objective and free doses, else `simulate`."""
        return "optimize" if self.terms and self.free else "simulate"

    @property
    def plain(self) -> bool:
        """Whether the regimen is single doses alone: no steady state, no reset, no rate that the port modifies."""
        return not self.subjects and movable(self.doses, self.model.ports)

    def needs_movable_doses(self, job: str) -> None:
        """Reject a regimen with doses that cannot be moved."""
        if len(self.subjects) > 1:
            message = f"{job} moves the doses of one regimen, but the table has {len(self.subjects)} subjects"
            raise InputError(f"{message}; choose one of them with --id", self.subjects[0].source)
        if not self.plain:
            raise InputError(
                f"{job} moves doses, so it takes only single doses: no steady state, no resets, no rates subject to F or a model, "
                "no columns that change parameters in time",
                f"scenario {self.name!r}",
            )

    @property
    def doses_changed(self) -> tuple[str, ...]:
        """A sentence for each port whose doses were replaced, added or removed when the scenario was read."""
        return tuple(self.config.get("doses_changed", ()))

    def dosed(self, cmt: str) -> DosedUnit:
        """What doses into a port or state are counted in. Raises `InputError` for an unknown name."""
        return counted_in(self.model, self.parameters, cmt, self.weight, self.surface)

    @property
    def per_body(self) -> set[str]:
        """What amounts of doses are written per, `"kg"` and `"m2"`; they are for the body of this scenario."""
        return per_body(json.dumps(self.config["file"].get("columns" if self.subjects else "dose")))

    @property
    def bound(self) -> dict[str, str]:
        """The columns of the event table that parameters follow, by parameter."""
        return {name: self.columns[name].name for name in self.subjects[0].bound} if self.subjects else {}

    @property
    def values(self) -> dict[str, float]:
        """Parameter values by dotted name."""
        return {name: p.value for name, p in self.parameters.items()}

    @property
    def config_hash(self) -> str:
        """SHA-256 of the resolved configuration."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()


def dosed_unit(model: Model, cmt: str) -> str:
    """The unit in which doses into a port or state are counted. Raises `InputError` for an unknown name."""
    for table in (model.ports, model.states):
        if cmt in table:
            return table[cmt].unit
    raise unknown("port or state to dose", cmt, [*model.ports, *model.states])


def counted_in(
    model: Model, parameters: Mapping[str, Parameter], cmt: str, weight: float | None, surface: float | None
) -> DosedUnit:
    """What doses into a port or state are counted in, in a body of this weight [kg] and surface [m2]."""
    unit = dosed_unit(model, cmt)
    mass = model.ports[cmt].molar_mass if cmt in model.ports else None
    return DosedUnit(unit, parameters[mass].to("mg/umol").value if mass else None, weight, surface)


_SMOOTH = {name: one for name, one in READ_OUTS.items() if one.smooth and (one.level or name in WHOLE_COURSE)}
STATISTICS = (  # of an objective's terms: read-outs with a slope, logarithms of those that grow with the signal; of doses
    *_SMOOTH,
    *(f"log {name}" for name, one in _SMOOTH.items() if one.kind in (CURVE, AREA) and not one.level),
    "amount",
    "visits",
)
LIMITED = tuple(_SMOOTH)  # statistics that may be limited
