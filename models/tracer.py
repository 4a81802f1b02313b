"""A labelled Mg isotope that is too little to matter, in the pools of `Magnesium`.

Label leaves a pool with the same share per hour as the Mg in it. An extra dose of ordinary Mg would not do as a tracer: the kidney
excretes most of the Mg above its threshold, but of a label the same share as of all Mg. Label also moves without net Mg: the Mg
of cells is constant while its ions exchange with those of serum, one for one (the third of the pools of Avioli 1966).
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param

POOLS = ("ecf", "soft", "deep", "rbc")


class Tracer(AbstractMechanism):
    """Label in extracellular fluid, soft tissue, deep pool and red cells, and in cells with constant Mg."""

    name = "tracer"
    states = {f"tracer.{pool}": Var("umol", f"label in the pool magnesium.{pool}", "label") for pool in POOLS} | {
        "tracer.cells": Var("umol", "label in cells that exchange Mg with serum without net flux", "label")
    }
    signals = {
        "tracer.specific": Var("1", "label as a share of Mg in serum and urine"),
        "tracer.urine": Var("umol/h", "urinary excretion of label"),
        "tracer.retained": Var("umol", "label in the body"),
        "tracer.exchanged": Var("umol", "exchangeable Mg: label in the body over the label per Mg of serum"),
        "tracer.share": Var("1", "exchangeable Mg as a share of all Mg in the body"),
        "tracer.fast": Var("umol", "Mg of the fast-exchanging pools: extracellular fluid, soft tissue, cells"),
    }
    ports = {"tracer.iv": Port("umol", "label into a vein", {"tracer.ecf": 1.0}, molar_mass="tracer.MW")}
    reads = (
        *(f"magnesium.{pool}" for pool in POOLS),
        *(f"magnesium.{name}" for name in ("urine", "total", "V1", "V2", "V_deep", "Q", "Q_deep")),
        *(f"magnesium.{name}" for name in ("V_rbc", "k_rbc", "rbc_0", "ionised", "ionised_healthy")),
    )

    body: Scalar = param("umol", "Mg of the whole body")
    MW: Scalar = param("mg/umol", "molar mass of the labelled isotope")
    cells_0: Scalar = param("umol", "Mg of cells that exchange it with serum without net flux")
    exchange: Scalar = param("mL/h", "serum volume whose Mg exchanges with that of these cells per hour")

    def evaluate(self, x):
        specific = x["tracer.ecf"] / x["magnesium.ecf"]
        retained = sum(x[state] for state in self.states)
        # the label is 0 before it is given
        exchanged = retained / jnp.where(x["tracer.ecf"] > 0, specific, 1.0)
        return {
            "tracer.specific": specific,
            "tracer.urine": x["magnesium.urine"] * specific,
            "tracer.retained": retained,
            "tracer.exchanged": exchanged,
            "tracer.share": exchanged / self.body,
            "tracer.fast": x["magnesium.ecf"] + x["magnesium.soft"] + self.cells_0,
        }

    def fluxes(self, x):
        ecf = x["tracer.ecf"]
        yield Flux("tracer.ecf", None, x["tracer.urine"])
        for pool, Q, V in (("soft", "Q", "V2"), ("deep", "Q_deep", "V_deep")):
            clearance = x[f"magnesium.{Q}"]
            yield Flux("tracer.ecf", f"tracer.{pool}", clearance * ecf / x["magnesium.V1"])
            yield Flux(f"tracer.{pool}", "tracer.ecf", clearance * x[f"tracer.{pool}"] / x[f"magnesium.{V}"])
        swapped = self.exchange * x["magnesium.total"]
        yield Flux("tracer.ecf", "tracer.cells", swapped * x["tracer.specific"])
        yield Flux("tracer.cells", "tracer.ecf", swapped * x["tracer.cells"] / self.cells_0)
        into = x["magnesium.rbc_0"] * x["magnesium.ionised"] / x["magnesium.ionised_healthy"]
        yield Flux(
            "tracer.ecf", "tracer.rbc", x["magnesium.k_rbc"] * x["magnesium.V_rbc"] * into * x["tracer.specific"]
        )
        yield Flux("tracer.rbc", "tracer.ecf", x["magnesium.k_rbc"] * x["tracer.rbc"])
