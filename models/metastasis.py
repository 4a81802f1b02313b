"""Metastasis: seeding by the primary tumour, growth, and surveillance by LFA-1-dependent lymphocytes.

Mg acts on it in three ways, with different signs: little Mg loosens the seeding barrier of the primary tumour, slows the growth of
metastatic cells, and takes LFA-1 function from the lymphocytes that keep single cells in check. Which one wins is a result. The
last two happen elsewhere in the body, where free Mg follows that of plasma.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.models.tumour import relative_proliferation


class Metastasis(AbstractMechanism):
    """Cells beyond the primary tumour, few enough to grow exponentially."""

    name = "metastasis"
    states = {"metastasis.cells": Var("Mcell", "metastatic tumour cells", "tumour cell", role="growth")}
    signals = {
        "metastasis.seeding": Var("Mcell/h", "cells that the primary tumour seeds"),
        "metastasis.growth": Var("1/h", "net growth rate of metastatic cells"),
    }
    reads = ("tumour.viable",)
    absent = {
        "lfa1.systemic": 1.0,
        "interstitium.C": 1.0,
        "interstitium.C_0": 1.0,
        "magnesium.ionised": 1.0,
        "magnesium.ionised_0": 1.0,
    }

    k_seed: Scalar = param("1/h", "share of the primary tumour's cells that settles elsewhere per hour")
    z: Scalar = param("1", "rise of the logarithm of seeding per relative fall of free Mg")
    g: Scalar = param("1/h", "growth rate of metastatic cells at untreated Mg")
    K_g: Scalar = param("mmol/L", "free Mg for half of the maximum growth")
    k_watch: Scalar = param("1/h", "rate at which lymphocytes remove metastatic cells at untreated competence")

    def evaluate(self, x):
        C, C_0 = x["interstitium.C"], x["interstitium.C_0"]
        loosened = jnp.exp(self.z * (1.0 - C / C_0))
        outside = C_0 * x["magnesium.ionised"] / x["magnesium.ionised_0"]
        growth = self.g * relative_proliferation(outside, C_0, self.K_g)
        return {
            "metastasis.seeding": self.k_seed * loosened * x["tumour.viable"],
            "metastasis.growth": growth - self.k_watch * x["lfa1.systemic"],
        }

    def fluxes(self, x):
        yield Flux("tumour.viable", "metastasis.cells", x["metastasis.seeding"])
        yield Flux(None, "metastasis.cells", x["metastasis.growth"] * x["metastasis.cells"])
