"""Tumour growth: viable, dying and dead cells.

The growth law is the generalised logistic (Richards) family: `shape` near 0 is Gompertz, 1 is logistic. Proliferation needs
Mg: low interstitial Mg slows the primary tumour and lets more of its cells die, as in deficient rats (Mills 1984). That more Mg
than usual speeds growth a little follows from the same curve; it was not measured.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Scalar, Var, param


def relative_proliferation(C, C_0, K):
    """Proliferation at free Mg `C` relative to that at `C_0`; half of its maximum at `K`, all in one unit.

    Two Mg together, so that growth is nearly saturated at the Mg of plasma and falls steeply below it, as in culture.
    """
    return C * C / (C * C + K * K) * (C_0 * C_0 + K * K) / (C_0 * C_0)


class Tumour(AbstractMechanism):
    """Cells and mass of one tumour on a bed of host tissue; every killing mechanism adds a flux from viable to dying cells."""

    name = "tumour"
    states = {
        "tumour.viable": Var("Mcell", "viable tumour cells", "tumour cell", role="growth"),
        "tumour.dying": Var("Mcell", "dying tumour cells, membrane still closed", "tumour cell", role="growth"),
        "tumour.dead": Var("Mcell", "dead tumour cells not yet cleared", "tumour cell", role="growth"),
    }
    signals = {
        "tumour.mass": Var("g", "mass of the tumour with its bed"),
        "tumour.cell_mass": Var("g", "mass of cells that hold Mg, with the bed"),
        "tumour.lysis": Var("g/h", "mass of cells that lyse per hour"),
        "tumour.volume": Var("mL", "tumour volume"),
        "tumour.dead_share": Var("1", "share of the tumour's mass that is dead cells not yet cleared"),
    }
    constants = {
        "tumour.dying_0": Var("Mcell", "dying tumour cells at time 0, in step with growth"),
        "tumour.dead_0": Var("Mcell", "dead tumour cells at time 0, in step with growth"),
        "tumour.mass_0": Var("g", "mass of the tumour with its bed at time 0"),
        "tumour.cell_mass_0": Var("g", "mass of cells that hold Mg at time 0"),
    }
    absent = {"interstitium.C": 1.0, "interstitium.C_0": 1.0}

    viable_0: Scalar = param("Mcell", "viable tumour cells at time 0")
    g: Scalar = param("1/h", "growth rate constant of the Richards law")
    viable_max: Scalar = param("Mcell", "viable cells at which growth stops")
    shape: Scalar = param("1", "exponent of the Richards law: near 0 Gompertz, 1 logistic")
    K_g: Scalar = param("mmol/L", "free Mg for half of the maximum proliferation")
    k_turnover: Scalar = param("1/h", "spontaneous death rate of tumour cells at untreated Mg")
    k_lysis: Scalar = param("1/h", "rate at which dying cells lose their membrane")
    k_clear: Scalar = param("1/h", "clearance rate of dead cells")
    density: Scalar = param("Mcell/g", "tumour cells per mass")
    specific_mass: Scalar = param("g/mL", "mass per volume of tumour")
    bed: Scalar = param("g", "mass of the host tissue that the tumour sits in")

    def relative_growth(self, V):
        """Growth rate per cell [1/h] of the Richards law at `V` viable cells."""
        # the host tissue keeps the logarithm finite when no tumour is left
        return -self.g * jnp.expm1(self.shape * jnp.log((V + self.bed * self.density) / self.viable_max)) / self.shape

    def derive(self, x):
        net = self.relative_growth(self.viable_0) - self.k_turnover
        dying = self.k_turnover * self.viable_0 / (self.k_lysis + net)
        dead = self.k_lysis * dying / (self.k_clear + net)
        closed = (self.viable_0 + dying) / self.density + self.bed
        return {
            "tumour.dying_0": dying,
            "tumour.dead_0": dead,
            "tumour.mass_0": closed + dead / self.density,
            "tumour.cell_mass_0": closed,
        }

    def initial(self, x):
        return {"tumour.viable": self.viable_0, "tumour.dying": x["tumour.dying_0"], "tumour.dead": x["tumour.dead_0"]}

    def evaluate(self, x):
        closed = (x["tumour.viable"] + x["tumour.dying"]) / self.density
        dead = x["tumour.dead"] / self.density
        return {
            "tumour.mass": closed + dead + self.bed,
            "tumour.cell_mass": closed + self.bed,
            "tumour.lysis": self.k_lysis * x["tumour.dying"] / self.density,
            "tumour.volume": (closed + dead) / self.specific_mass,
            "tumour.dead_share": dead / (closed + dead + self.bed),
        }

    def fluxes(self, x):
        V = x["tumour.viable"]
        fed = relative_proliferation(x["interstitium.C"], x["interstitium.C_0"], self.K_g)
        yield Flux(None, "tumour.viable", self.relative_growth(V) * fed * V)
        yield Flux("tumour.viable", "tumour.dying", self.k_turnover * (1.0 + (1.0 - fed)) * V)
        yield Flux("tumour.dying", "tumour.dead", self.k_lysis * x["tumour.dying"])
        yield Flux("tumour.dead", None, self.k_clear * x["tumour.dead"])
