"""Compartment models of the textbook, with first-order absorption and first-order elimination, and an indirect response.

They have closed forms to check a solve against, and take a table of doses as it is usually written: the states in this order are
compartments 1 (depot), 2 (central), 3 and 4 (peripheral), each with its own bioavailability, lag, and modelled rate and duration.
"""

from __future__ import annotations

from typing import ClassVar

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param

Exchange = tuple[str, str, str]  # a peripheral compartment, its clearance and its volume


def compartments(*names):
    """States of these names, and for each the port through which its doses arrive."""
    states = {f"pk.{n}": Var("mg", f"drug in the {n} compartment", "drug") for n in names}
    ports = {
        f"pk.{n}": Port(
            "mg",
            f"drug into the {n} compartment",
            {f"pk.{n}": 1.0},
            F=f"pk.F_{n}",
            lag=f"pk.Tlag_{n}",
            rate=f"pk.rate_{n}",
            duration=f"pk.duration_{n}",
        )
        for n in names
    }
    return states, ports


def bioavailability(name):
    """Declare the share of a dose that arrives in a compartment."""
    return param("1", f"bioavailability of doses into the {name} compartment")


def lag(name):
    """Declare how long a dose into a compartment is delayed."""
    return param("h", f"lag of doses into the {name} compartment")


def rate(name):
    """Declare the modelled rate of infusions into a compartment."""
    return param("mg/h", f"modelled rate of infusions into the {name} compartment; 0: there is none")


def duration(name):
    """Declare the modelled duration of infusions into a compartment."""
    return param("h", f"modelled duration of infusions into the {name} compartment; 0: there is none")


class OneCompartment(AbstractMechanism):
    """One compartment behind a depot."""

    name = "pk"
    states, ports = compartments("depot", "central")
    signals = {"pk.C": Var("mg/L", "concentration in the central compartment")}
    peripheral: ClassVar[tuple[Exchange, ...]] = ()

    ka: Scalar = param("1/h", "absorption rate")
    CL: Scalar = param("L/h", "clearance")
    V: Scalar = param("L", "volume of the central compartment")
    F_depot: Scalar = bioavailability("depot")
    F_central: Scalar = bioavailability("central")
    Tlag_depot: Scalar = lag("depot")
    Tlag_central: Scalar = lag("central")
    rate_depot: Scalar = rate("depot")
    rate_central: Scalar = rate("central")
    duration_depot: Scalar = duration("depot")
    duration_central: Scalar = duration("central")

    def evaluate(self, x):
        return {"pk.C": x["pk.central"] / self.V}

    def fluxes(self, x):
        yield Flux("pk.depot", "pk.central", self.ka * x["pk.depot"])
        yield Flux("pk.central", None, self.CL * x["pk.C"])
        for state, Q, V in self.peripheral:
            yield Flux("pk.central", state, getattr(self, Q) * (x["pk.C"] - x[state] / getattr(self, V)))


class TwoCompartments(OneCompartment):
    """A central and a peripheral compartment behind a depot."""

    states, ports = compartments("depot", "central", "peripheral")
    peripheral: ClassVar[tuple[Exchange, ...]] = (("pk.peripheral", "Q", "V2"),)

    Q: Scalar = param("L/h", "clearance between the central and the peripheral compartment")
    V2: Scalar = param("L", "volume of the peripheral compartment")
    F_peripheral: Scalar = bioavailability("peripheral")
    Tlag_peripheral: Scalar = lag("peripheral")
    rate_peripheral: Scalar = rate("peripheral")
    duration_peripheral: Scalar = duration("peripheral")


class ThreeCompartments(TwoCompartments):
    """A central and two peripheral compartments behind a depot."""

    states, ports = compartments("depot", "central", "peripheral", "peripheral2")
    peripheral: ClassVar[tuple[Exchange, ...]] = (*TwoCompartments.peripheral, ("pk.peripheral2", "Q2", "V3"))

    Q2: Scalar = param("L/h", "clearance between the central and the second peripheral compartment")
    V3: Scalar = param("L", "volume of the second peripheral compartment")
    F_peripheral2: Scalar = bioavailability("peripheral2")
    Tlag_peripheral2: Scalar = lag("peripheral2")
    rate_peripheral2: Scalar = rate("peripheral2")
    duration_peripheral2: Scalar = duration("peripheral2")


class InhibitedTurnover(AbstractMechanism):
    """A response whose production the drug inhibits: the indirect response model I of Dayneka, Garg and Jusko."""

    name = "response"
    states = {"response.R": Var("percent", "response, of its normal value")}
    signals = {"response.inhibition": Var("1", "share of the response's production that is inhibited")}
    reads = ("pk.C",)

    R0: Scalar = param("percent", "response without drug")
    kout: Scalar = param("1/h", "loss of the response")
    Imax: Scalar = param("1", "largest inhibition of the response's production", at_most=1.0)
    IC50: Scalar = param("mg/L", "concentration for half of the largest inhibition")

    def initial(self, x):
        return {"response.R": self.R0}

    def evaluate(self, x):
        return {"response.inhibition": self.Imax * x["pk.C"] / (x["pk.C"] + self.IC50)}

    def fluxes(self, x):
        yield Flux(None, "response.R", self.kout * self.R0 * (1.0 - x["response.inhibition"]))
        yield Flux("response.R", None, self.kout * x["response.R"])
