"""A bispecific T-cell engager: plasma kinetics, the bridge between two cells, and the T cells that it directs at tumour cells.

At quasi-equilibrium a bridge (ternary complex) needs one arm on each cell. Too little engager leaves both arms empty, too
much fills each cell with engagers of its own: the bridge is bell-shaped in the logarithm of the concentration, highest at the
geometric mean of the two dissociation constants (Douglass 2013). Killing saturates at few bridges.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param


class Engager(AbstractMechanism):
    """One-compartment engager by vein and the T cells of any specificity that a tumour holds."""

    name = "engager"
    states = {
        "engager.central": Var("ng", "engager in the body", "engager"),
        "engager.tcell": Var("Mcell", "T cells in the tumour", "bystander T cell"),
    }
    signals = {
        "engager.C": Var("ng/mL", "engager concentration in plasma"),
        "engager.bridge": Var("1", "share of possible bridges between T cell and target"),
        "engager.effect": Var("1", "killing relative to its maximum"),
        "engager.engaged": Var("Mcell", "T cells in the tumour that meet a target and are switched on"),
        "engager.kill": Var("Mcell/h", "tumour cells killed by engaged T cells"),
    }
    ports = {"engager.iv": Port("ng", "engager into a vein", {"engager.central": 1.0})}
    reads = ("tumour.viable", "tumour.mass", "tumour.mass_0")
    absent = {"lfa1.competence": 1.0}

    CL: Scalar = param("mL/h", "clearance")
    V: Scalar = param("mL", "volume of distribution")
    MW: Scalar = param("ng/umol", "molar mass")
    Kp: Scalar = param("1", "tumour interstitial over plasma concentration")
    Kd_target: Scalar = param("mmol/L", "dissociation constant of the arm for the tumour cell")
    Kd_tcell: Scalar = param("mmol/L", "dissociation constant of the arm for the T cell")
    bridge_50: Scalar = param("1", "share of possible bridges for half of the killing")
    tcell_0: Scalar = param("Mcell/g", "T cells per mass of tumour without engager")
    k_turnover: Scalar = param("1/h", "exchange rate of T cells between tumour and body")
    rho: Scalar = param("1/h", "division rate of engaged T cells")
    k_death: Scalar = param("1/h", "death rate of engaged T cells")
    crowd: Scalar = param("Mcell/g", "engaged T cells per mass of tumour at which their division is halved")
    k_kill: Scalar = param("1/h", "target cells killed per engaged T cell and hour")
    h: Scalar = param("Mcell", "half-saturation of engagement in viable tumour cells")

    def bridge(self, C):
        """Share of possible bridges at engager concentration `C` [mmol/L] around the cells."""
        return C / (self.Kd_target + C) * self.Kd_tcell / (self.Kd_tcell + C)

    def initial(self, x):
        return {"engager.tcell": self.tcell_0 * x["tumour.mass_0"]}

    def evaluate(self, x):
        C, V, T = x["engager.central"] / self.V, x["tumour.viable"], x["engager.tcell"]
        bridge = self.bridge(self.Kp * C / self.MW)
        effect = bridge / (bridge + self.bridge_50)
        engaged = effect * T * V / (V + T + self.h)
        return {
            "engager.C": C,
            "engager.bridge": bridge,
            "engager.effect": effect,
            "engager.engaged": engaged,
            "engager.kill": self.k_kill * x["lfa1.competence"] * engaged,
        }

    def fluxes(self, x):
        engaged, mass = x["engager.engaged"], x["tumour.mass"]
        division = self.rho * x["lfa1.competence"] * engaged / (1.0 + engaged / (self.crowd * mass))
        yield Flux("engager.central", None, self.CL * x["engager.C"])
        yield Flux(None, "engager.tcell", self.k_turnover * (self.tcell_0 * mass - x["engager.tcell"]))
        yield Flux(None, "engager.tcell", division)
        yield Flux("engager.tcell", None, self.k_death * engaged)
        yield Flux("tumour.viable", "tumour.dying", x["engager.kill"])
