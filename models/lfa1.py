"""LFA-1 on CD8+ T cells as the sensor of free Mg, and the delayed T-cell competence that follows.

There are three hypotheses because the literature does not decide between them: H1 an empirical Hill response of
effector function, H2 Mg competing with Ca at the MIDAS site (Labadia 1998, Griggs 1998), H3 a site that is nearly saturated.
Weights choose one or mix them; a result is the range over all three. Ca and an antibody against LFA-1 are inputs in time.
T cells in the tumour see its interstitium; those in blood, nodes and other organs see a free Mg that follows ionised Mg of plasma.

Competence is 1 in every subject before treatment, also in one with long-standing low serum Mg: growth and T cells of a tumour
are those of the untreated subject. A loss of Mg has an effect if it happens during the simulation (a drug, a diet), and
repletion has one if the subject starts low.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Scalar, Var, param


class LFA1(AbstractMechanism):
    """Fold change of LFA-1 function against the subject's own untreated tumour, and competence lagging behind it."""

    name = "lfa1"
    states = {
        "lfa1.competence": Var("1", "Mg-set competence of T cells in the target tissue relative to untreated"),
        "lfa1.systemic": Var("1", "Mg-set competence of T cells outside the target tissue relative to untreated"),
    }
    signals = {
        "lfa1.gain_H1": Var("1", "LFA-1 function relative to untreated, empirical Hill (H1)"),
        "lfa1.gain_H2": Var("1", "LFA-1 function relative to untreated, Ca-competitive (H2)"),
        "lfa1.gain_H3": Var("1", "LFA-1 function relative to untreated, near-saturated (H3)"),
        "lfa1.gain": Var("1", "LFA-1 function relative to untreated, weighted over the hypotheses"),
        "lfa1.gain_systemic": Var("1", "the same outside the target tissue, where free Mg follows that of plasma"),
    }
    constants = {
        "lfa1.function_H1": Var("1", "LFA-1 function at the untreated concentration, H1"),
        "lfa1.function_H2": Var("1", "LFA-1 function at the untreated concentration, H2"),
        "lfa1.function_H3": Var("1", "LFA-1 function at the untreated concentration, H3"),
    }
    inputs = {
        "lfa1.calcium": Var("1", "ionised Ca of interstitial fluid relative to the usual one", default=1.0),
        "lfa1.blockade": Var("1", "share of LFA-1 that an antibody blocks", default=0.0),
    }
    reads = ("interstitium.C", "interstitium.C_0")
    absent = {"magnesium.ionised": 1.0, "magnesium.ionised_0": 1.0}

    EC50: Scalar = param("mmol/L", "free Mg for half of the Mg-dependent effector function (H1)")
    n: Scalar = param("1", "Hill coefficient (H1)")
    f0: Scalar = param("1", "Mg-independent floor of effector function (H1)")
    K_Mg: Scalar = param("mmol/L", "Mg affinity of LFA-1 without Ca (H2)")
    K_Ca: Scalar = param("mmol/L", "Ca affinity of the alphaL I domain (H2)")
    Ca: Scalar = param("mmol/L", "ionised Ca in interstitial fluid (H2)")
    K_sat: Scalar = param("mmol/L", "Mg affinity of a nearly saturated site (H3)")
    k_act: Scalar = param("1/h", "rate at which competence follows LFA-1")
    w_H1: Scalar = param("1", "weight of hypothesis H1")
    w_H2: Scalar = param("1", "weight of hypothesis H2")
    w_H3: Scalar = param("1", "weight of hypothesis H3")

    def functions(self, C, calcium=1.0, blockade=0.0):
        """Function at free Mg `C` [mmol/L] under H1, H2, H3, at relative Ca `calcium` and with a share `blockade` of LFA-1 blocked.

        The part of the function that does not depend on LFA-1 (the floor of H1) remains when it is blocked.
        """
        # Hill by way of the logarithm: finite gradients in n and C also where C is small
        occupied = 1.0 / (1.0 + jnp.exp(-self.n * jnp.log(C / self.EC50)))
        competed = self.K_Mg * (1.0 + calcium * self.Ca / self.K_Ca)
        free = 1.0 - blockade
        return self.f0 + (1.0 - self.f0) * occupied * free, C / (C + competed) * free, C / (C + self.K_sat) * free

    def derive(self, x):
        one, two, three = self.functions(x["interstitium.C_0"])
        return {"lfa1.function_H1": one, "lfa1.function_H2": two, "lfa1.function_H3": three}

    def initial(self, x):
        return {"lfa1.competence": 1.0, "lfa1.systemic": 1.0}

    def gains(self, x, C):
        """Function at free Mg `C` [mmol/L] relative to untreated under H1, H2, H3, and weighted over them."""
        found = self.functions(C, x["lfa1.calcium"], x["lfa1.blockade"])
        one, two, three = (now / x[f"lfa1.function_H{i}"] for i, now in enumerate(found, 1))
        total = self.w_H1 + self.w_H2 + self.w_H3
        return one, two, three, (self.w_H1 * one + self.w_H2 * two + self.w_H3 * three) / total

    def evaluate(self, x):
        one, two, three, local = self.gains(x, x["interstitium.C"])
        outside = x["interstitium.C_0"] * x["magnesium.ionised"] / x["magnesium.ionised_0"]
        return {
            "lfa1.gain_H1": one,
            "lfa1.gain_H2": two,
            "lfa1.gain_H3": three,
            "lfa1.gain": local,
            "lfa1.gain_systemic": self.gains(x, outside)[-1],
        }

    def fluxes(self, x):
        yield Flux(None, "lfa1.competence", self.k_act * (x["lfa1.gain"] - x["lfa1.competence"]))
        yield Flux(None, "lfa1.systemic", self.k_act * (x["lfa1.gain_systemic"] - x["lfa1.systemic"]))
