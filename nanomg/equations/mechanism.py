"""A mechanism: parameters are its fields, states and signals are declared with units, the equations are fluxes.

    class Carrier(AbstractMechanism):
        '''Antibody-coated, Mg-loaded liposome.'''

        name = "carrier"
        states = {"carrier.plasma": Var("umol", "encapsulated Mg in plasma", "Mg")}
        signals = {"carrier.C": Var("mmol/L", "encapsulated Mg per volume of plasma")}
        reads = ("tumour.mass",)

        V: Scalar = param("mL", "plasma volume")
        K_ext: Scalar = param("mL/g/h", "extravasation clearance per mass of tumour")

        def evaluate(self, x):
            return {"carrier.C": x["carrier.plasma"] / self.V}

        def fluxes(self, x):
            yield Flux("carrier.plasma", "interstitium.carrier", self.K_ext * x["tumour.mass"] * x["carrier.C"])

Everything is elementwise: a value is a scalar or a `(batch,)` array, so one set of equations runs on one subject and on many.
Time is in hours throughout. A mechanism does not depend on the solver.

Stoichiometry. A flux moves `rate` [unit of the source per hour] from `source` to `target`. Where one process consumes or yields
several states, or amounts in different units, `source` and `target` are mappings from state to coefficient: the state then
changes by coefficient times rate. `None` is the outside world (intake, urine).

Absence. `absent` gives quantities of other mechanisms the value that they have in a model without their mechanism, so that parts
of the science run alone: `absent = {"lfa1.competence": 1.0}`. A flux to or from an absent state crosses to the outside world.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, dataclass_transform

Scalar = Any  # a float, or an array of shape () or (batch,)
Values = Mapping[str, Any]
Ends = str | Mapping[str, Scalar] | None

# What a state is to a drug whose dose is given at steady state. Only disposition states are brought to it.
DISPOSITION, EFFECT = "disposition", "effect"
ROLES = (DISPOSITION, EFFECT, "accumulator", "growth")


class Var(NamedTuple):
    """Declaration of a state, signal, constant or input.

    `substance` is what a state holds, for balances: a name, or a mapping from substance to the amount of it per unit of state
    (a number, or the name of a parameter or constant). None: the state is a read-out that holds nothing. `role` is what a state is
    to a drug at steady state, one of `ROLES`; empty: as its fluxes say (`nanomg.simulation.disposition`).

    Parameters, constants and states are amounts, volumes, rates, concentrations and shares, which are not negative: values
    that make one of them negative describe no possible body or particle. `signed` declares a state or constant that may be
    negative by nature.
    """

    unit: str
    text: str
    substance: str | Mapping[str, float | str] | None = None
    default: float = 0.0
    at_most: float = math.inf  # of a parameter or constant
    role: str = ""  # of a state
    signed: bool = False  # of a state or constant


class Port(NamedTuple):
    """A way in for doses: an amount in `unit` becomes `into[state]` units of each state per unit of dose.

    A coefficient is a number or the name of a parameter or constant. `uptake` names a method of the mechanism that maps the
    amount of a dose to the amount that arrives (saturable absorption). `molar_mass` names the parameter through which a dose
    given as a mass is converted when `unit` is an amount of substance. `free` is the port or state that receives the same Mg
    when it is given unencapsulated by the same route. `F`, `lag`, `rate` and `duration` name parameters; the last two are the
    modelled rate and duration of an infusion (0: none). A port may carry the name of a state of the same mechanism: it
    defines how doses into that state arrive.
    """

    unit: str
    text: str
    into: Mapping[str, float | str]
    uptake: str | None = None
    molar_mass: str | None = None
    free: str | None = None
    F: str | None = None
    lag: str | None = None
    rate: str | None = None
    duration: str | None = None


class Flux(NamedTuple):
    """`rate` leaves `source` and enters `target`; see the stoichiometry note of this module."""

    source: Ends
    target: Ends
    rate: Any


def param(unit: str, text: str, at_most: float = math.inf) -> Any:
    """Declare a parameter of a mechanism; its value comes from a card.

    Args:
        unit: unit of the value in the equations.
        text: name of the parameter, for people.
        at_most: largest allowed value; none may be negative.

    Returns:
        The field of the mechanism's class.

    Raises:
        Nothing: names and units are checked when a model is composed.

    Example:
        >>> from nanomg import AbstractMechanism, param
        >>> class Drug(AbstractMechanism):
        ...     name = "drug"
        ...     CL: float = param("mL/h", "clearance")
        >>> Drug.parameters()["drug.CL"].unit
        'mL/h'
    """
    return dataclasses.field(metadata={"unit": unit, "text": text, "at_most": at_most})


def share(text: str, at_most: float = 1.0) -> Any:
    """Declare a parameter that is a fraction of a whole, such as an absorbed share.

    Args:
        text: name of the parameter, for people.
        at_most: largest allowed value.

    Returns:
        The field of the mechanism's class, with unit 1.

    Raises:
        Nothing: names and units are checked when a model is composed.

    Example:
        >>> from nanomg.equations.mechanism import AbstractMechanism, share
        >>> class Drug(AbstractMechanism):
        ...     name = "drug"
        ...     F: float = share("bioavailability")
        >>> Drug.parameters()["drug.F"].at_most
        1.0
    """
    return param("1", text, at_most)


@dataclass_transform(eq_default=False, kw_only_default=True, frozen_default=True, field_specifiers=(param, share))
class AbstractMechanism:
    """Base of every mechanism. Subclasses are final: no method is overridden twice. Each is made a dataclass."""

    name: ClassVar[str]
    states: ClassVar[Mapping[str, Var]] = {}
    signals: ClassVar[Mapping[str, Var]] = {}
    constants: ClassVar[Mapping[str, Var]] = {}
    inputs: ClassVar[Mapping[str, Var]] = {}
    ports: ClassVar[Mapping[str, Port]] = {}
    reads: ClassVar[tuple[str, ...]] = ()
    absent: ClassVar[Mapping[str, float]] = {}

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        dataclasses.dataclass(eq=False, repr=False, kw_only=True, frozen=True)(cls)

    def derive(self, x: Values) -> Values:
        """The `constants`: values that follow from parameters alone, computed once per subject, before the solve."""
        return {}

    def initial(self, x: Values) -> Values:
        """Amounts at time 0 from parameters and constants; states left out start at 0."""
        return {}

    def evaluate(self, x: Values) -> Values:
        """The `signals`, from states, inputs, constants and signals of other mechanisms."""
        return {}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        """The equations."""
        yield from ()

    @classmethod
    def parameters(cls) -> dict[str, Var]:
        """Declared parameters by dotted name."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # each subclass is a dataclass
        declared = {f"{cls.name}.{f.name}": f.metadata for f in fields if "unit" in f.metadata}
        return {name: Var(m["unit"], m["text"], at_most=m["at_most"]) for name, m in declared.items()}
