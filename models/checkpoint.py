"""The PD-1 checkpoint and the antibodies that open it, against PD-1 or against PD-L1.

Two-compartment antibody with receptor occupancy in the tumour; its clearance falls with the time of exposure (Bajaj 2017).
Unoccupied PD-1 binds unoccupied PD-L1, which interferon-gamma induces; the complexes block killing and drive exhaustion by a
Hill function (Jafarnejad 2019).
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class AbstractAntibody(AbstractMechanism):
    """An IgG (mg) by vein or into the peritoneum. A subclass gives its name and its target; the equations are the same.

    A clock counts the time of exposure, so that the fall of clearance follows the time since the first dose.
    """

    target: ClassVar[str]

    CL: Scalar = param("mL/h", "clearance at the first dose")
    fall: Scalar = param("1", "how far the logarithm of clearance falls in the end")
    T50: Scalar = param("h", "exposure time at which clearance has fallen by half of its fall")
    n: Scalar = param("1", "Hill coefficient of the fall in time")
    clock_0: Scalar = param("h", "exposure time at the first dose")
    C_board: Scalar = param("mg/mL", "concentration at which exposure counts half")
    V: Scalar = param("mL", "central volume")
    Q: Scalar = param("mL/h", "intercompartmental clearance")
    V2: Scalar = param("mL", "peripheral volume")
    ka: Scalar = param("1/h", "absorption rate from the peritoneum")
    F: Scalar = share("bioavailability from the peritoneum")
    MW: Scalar = param("mg/umol", "molar mass")
    Kd: Scalar = param("mmol/L", "dissociation constant of antibody and target")
    Kp: Scalar = param("1", "tumour interstitial over plasma concentration")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        name, drug = cls.name, f"anti-{cls.target}"
        cls.states = {
            f"{name}.depot": Var("mg", f"{drug} in the peritoneum", drug),
            f"{name}.central": Var("mg", f"{drug} in the central compartment", drug),
            f"{name}.peripheral": Var("mg", f"{drug} in the peripheral compartment", drug),
            f"{name}.clock": Var("h", f"exposure time to {drug}"),
        }
        cls.signals = {
            f"{name}.C": Var("mg/mL", f"{drug} concentration in plasma"),
            f"{name}.CL_now": Var("mL/h", f"clearance of {drug} at this time"),
            f"{name}.RO": Var("1", f"{cls.target} occupancy in the tumour"),
        }
        cls.ports = {
            f"{name}.iv": Port("mg", f"{drug} into a vein", {f"{name}.central": 1.0}),
            f"{name}.ip": Port("mg", f"{drug} into the peritoneum", {f"{name}.depot": f"{name}.F"}),
        }

    def initial(self, x):
        return {f"{self.name}.clock": self.clock_0}

    def evaluate(self, x):
        C = x[f"{self.name}.central"] / self.V
        site = self.Kp * C / self.MW
        late = 1.0 / (1.0 + jnp.exp(-self.n * jnp.log(x[f"{self.name}.clock"] / self.T50)))
        return {
            f"{self.name}.C": C,
            f"{self.name}.CL_now": self.CL * jnp.exp(-self.fall * late),
            f"{self.name}.RO": site / (site + self.Kd),
        }

    def fluxes(self, x):
        depot, central, peripheral, clock = (f"{self.name}.{s}" for s in ("depot", "central", "peripheral", "clock"))
        C = x[f"{self.name}.C"]
        yield Flux(depot, central, self.ka * x[depot])
        yield Flux(central, None, x[f"{self.name}.CL_now"] * C)
        yield Flux(central, peripheral, self.Q * (C - x[peripheral] / self.V2))
        yield Flux(None, clock, C / (C + self.C_board))


class AntiPD1(AbstractAntibody):
    """Antibody against PD-1, such as pembrolizumab, nivolumab or RMP1-14."""

    name = "pd1"
    target = "PD-1"


class AntiPDL1(AbstractAntibody):
    """Antibody against PD-L1, such as atezolizumab."""

    name = "pdl1"
    target = "PD-L1"


class Checkpoint(AbstractMechanism):
    """PD-1:PD-L1 complexes on T cells in the tumour and what they inhibit."""

    name = "checkpoint"
    signals = {
        "checkpoint.complexes": Var("1/cm^2", "PD-1:PD-L1 complexes per area of synapse"),
        "checkpoint.block": Var("1", "share of killing that the checkpoint blocks"),
        "checkpoint.exhaustion": Var("1", "exhaustion relative to that under full PD-1 signal"),
    }
    absent = {"pd1.RO": 0.0, "pdl1.RO": 0.0, "tcell.ifng": 0.0}

    complexes_0: Scalar = param("1/cm^2", "complexes without antibody and without interferon-gamma")
    fold_ifng: Scalar = param("1", "fold induction of PD-L1 at full interferon-gamma signal")
    PD50: Scalar = param("1/cm^2", "complexes for half of the inhibition")
    n: Scalar = param("1", "Hill coefficient of the inhibition")
    h_max: Scalar = share("share of killing blocked under full PD-1 signal")
    q0: Scalar = share("share of exhaustion that does not need PD-1")

    def evaluate(self, x):
        induced = 1.0 + (self.fold_ifng - 1.0) * x["tcell.ifng"]
        complexes = self.complexes_0 * (1.0 - x["pd1.RO"]) * (1.0 - x["pdl1.RO"]) * induced
        signal = 1.0 / (1.0 + jnp.exp(-self.n * jnp.log(complexes / self.PD50)))
        return {
            "checkpoint.complexes": complexes,
            "checkpoint.block": self.h_max * signal,
            "checkpoint.exhaustion": self.q0 + (1.0 - self.q0) * signal,
        }
