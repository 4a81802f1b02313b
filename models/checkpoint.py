"""The PD-1 checkpoint and an antibody against PD-1.

Two-compartment antibody with receptor occupancy in the tumour; unoccupied PD-1 binds PD-L1, which interferon-gamma induces;
the complexes block killing and drive exhaustion by a Hill function (Jafarnejad 2019).
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg.mechanism import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class AntiPD1(AbstractMechanism):
    """Anti-PD-1 antibody (mg) by vein or into the peritoneum."""

    name = "pd1"
    states = {
        "pd1.depot": Var("mg", "anti-PD-1 in the peritoneum", "anti-PD-1"),
        "pd1.central": Var("mg", "anti-PD-1 in the central compartment", "anti-PD-1"),
        "pd1.peripheral": Var("mg", "anti-PD-1 in the peripheral compartment", "anti-PD-1"),
    }
    signals = {
        "pd1.C": Var("mg/mL", "anti-PD-1 concentration in plasma"),
        "pd1.RO": Var("1", "PD-1 receptor occupancy in the tumour"),
    }
    ports = {
        "pd1.iv": Port("mg", "anti-PD-1 into a vein", {"pd1.central": 1.0}),
        "pd1.ip": Port("mg", "anti-PD-1 into the peritoneum", {"pd1.depot": "pd1.F"}),
    }

    CL: Scalar = param("mL/h", "clearance")
    V: Scalar = param("mL", "central volume")
    Q: Scalar = param("mL/h", "intercompartmental clearance")
    V2: Scalar = param("mL", "peripheral volume")
    ka: Scalar = param("1/h", "absorption rate from the peritoneum")
    F: Scalar = share("bioavailability from the peritoneum")
    MW: Scalar = param("mg/umol", "molar mass")
    Kd: Scalar = param("mmol/L", "dissociation constant of antibody and PD-1")
    Kp: Scalar = param("1", "tumour interstitial over plasma concentration")

    def evaluate(self, x):
        C = x["pd1.central"] / self.V
        site = self.Kp * C / self.MW
        return {"pd1.C": C, "pd1.RO": site / (site + self.Kd)}

    def fluxes(self, x):
        yield Flux("pd1.depot", "pd1.central", self.ka * x["pd1.depot"])
        yield Flux("pd1.central", None, self.CL * x["pd1.C"])
        yield Flux("pd1.central", "pd1.peripheral", self.Q * (x["pd1.C"] - x["pd1.peripheral"] / self.V2))


class Checkpoint(AbstractMechanism):
    """PD-1:PD-L1 complexes on T cells in the tumour and what they inhibit."""

    name = "checkpoint"
    signals = {
        "checkpoint.complexes": Var("1/cm^2", "PD-1:PD-L1 complexes per area of synapse"),
        "checkpoint.block": Var("1", "share of killing that the checkpoint blocks"),
        "checkpoint.exhaustion": Var("1", "exhaustion relative to that under full PD-1 signal"),
    }
    reads = ("pd1.RO", "tcell.ifng")

    complexes_0: Scalar = param("1/cm^2", "complexes without antibody and without interferon-gamma")
    fold_ifng: Scalar = param("1", "fold induction of PD-L1 at full interferon-gamma signal")
    PD50: Scalar = param("1/cm^2", "complexes for half of the inhibition")
    n: Scalar = param("1", "Hill coefficient of the inhibition")
    h_max: Scalar = share("share of killing blocked under full PD-1 signal")
    q0: Scalar = share("share of exhaustion that does not need PD-1")

    def evaluate(self, x):
        induced = 1.0 + (self.fold_ifng - 1.0) * x["tcell.ifng"]
        complexes = self.complexes_0 * (1.0 - x["pd1.RO"]) * induced
        signal = 1.0 / (1.0 + jnp.exp(-self.n * jnp.log(complexes / self.PD50)))
        return {
            "checkpoint.complexes": complexes,
            "checkpoint.block": self.h_max * signal,
            "checkpoint.exhaustion": self.q0 + (1.0 - self.q0) * signal,
        }
