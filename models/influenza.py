"""Influenza in the lung: target cells, an eclipse, virus, and the CD8+ T cells that clear infected cells left by innate defence.

Target-cell-limited model with an eclipse phase (Baccam 2006) and killing that saturates in infected cells, which turns a slow
decline into a sudden loss of virus (Smith 2018, Myers 2021). CD8+ T cells reach the lung after a chain of stages. Mg-set
competence multiplies their priming and their killing.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param


class LungInterstitium(AbstractMechanism):
    """Free Mg in the interstitium of a well-perfused tissue: within minutes it is ionised Mg times the Donnan ratio."""

    name = "interstitium"
    signals = {"interstitium.C": Var("mmol/L", "free Mg concentration in lung interstitium")}
    constants = {"interstitium.C_0": Var("mmol/L", "free Mg concentration in lung interstitium at baseline")}
    reads = ("magnesium.ionised", "magnesium.ionised_0")

    gamma: Scalar = param("1", "Donnan ratio of interstitial to plasma ionised Mg")

    def derive(self, x):
        return {"interstitium.C_0": self.gamma * x["magnesium.ionised_0"]}

    def evaluate(self, x):
        return {"interstitium.C": self.gamma * x["magnesium.ionised"]}


class Influenza(AbstractMechanism):
    """Lung cells, virus and virus-specific CD8+ T cells."""

    name = "influenza"
    states = {
        "influenza.target": Var("Mcell", "lung cells that virus can infect", "lung cell", role="growth"),
        "influenza.eclipse": Var("Mcell", "infected lung cells that do not yet make virus", "lung cell", role="growth"),
        "influenza.infected": Var("Mcell", "infected lung cells that make virus", "lung cell", role="growth"),
        "influenza.virus": Var("TCID50", "infectious virus in the lung", "virus", role="growth"),
        "influenza.primed": Var("Mcell", "CD8+ T cells primed in the lymph node", "T cell", role="growth"),
        "influenza.dividing": Var("Mcell", "CD8+ T cells dividing in the lymph node", "T cell", role="growth"),
        "influenza.leaving": Var("Mcell", "CD8+ T cells on their way to the lung", "T cell", role="growth"),
        "influenza.effector": Var("Mcell", "effector CD8+ T cells in the lung", "T cell", role="growth"),
    }
    signals = {
        "influenza.log10": Var("1", "decadic logarithm of 1 + infectious virus over the detection limit"),
        "influenza.lost": Var("1", "share of target cells that is lost"),
        "influenza.kill": Var("Mcell/h", "infected cells killed by CD8+ T cells"),
    }
    ports = {"influenza.nose": Port("TCID50", "virus into the nose", {"influenza.eclipse": "influenza.cells_per_dose"})}
    absent = {"lfa1.competence": 1.0}

    target_0: Scalar = param("Mcell", "lung cells that virus can infect at time 0")
    cells_per_dose: Scalar = param("Mcell/TCID50", "cells infected per infectious unit given")
    beta: Scalar = param("1/TCID50/h", "infection rate per infectious virus")
    k_eclipse: Scalar = param("1/h", "rate at which infected cells begin to make virus")
    production: Scalar = param("TCID50/Mcell/h", "virus made per infected cell")
    c: Scalar = param("1/h", "loss of infectious virus")
    delta: Scalar = param("1/h", "loss of infected cells without CD8+ T cells")
    detect: Scalar = param("TCID50", "detection limit of virus in the lung")
    prime: Scalar = param("Mcell/h", "CD8+ T cells primed per hour in full infection")
    K_prime: Scalar = param("Mcell", "infected cells for half of the priming")
    k_stage: Scalar = param("1/h", "rate of each stage from priming to the lung")
    k_death: Scalar = param("1/h", "loss of effector CD8+ T cells in the lung")
    k_kill: Scalar = param("1/h", "most infected cells that a CD8+ T cell kills per hour")
    K_kill: Scalar = param("Mcell", "infected cells for half of the killing")

    def initial(self, x):
        return {"influenza.target": self.target_0}

    def evaluate(self, x):
        infected = x["influenza.infected"]
        found = infected / (self.K_kill + infected)
        return {
            "influenza.log10": jnp.log1p(x["influenza.virus"] / self.detect) / jnp.log(10.0),
            "influenza.lost": 1.0 - x["influenza.target"] / self.target_0,
            "influenza.kill": self.k_kill * x["lfa1.competence"] * x["influenza.effector"] * found,
        }

    def fluxes(self, x):
        infected, virus = x["influenza.infected"], x["influenza.virus"]
        priming = self.prime * x["lfa1.competence"] * infected / (self.K_prime + infected)
        yield Flux("influenza.target", "influenza.eclipse", self.beta * virus * x["influenza.target"])
        yield Flux("influenza.eclipse", "influenza.infected", self.k_eclipse * x["influenza.eclipse"])
        yield Flux("influenza.infected", None, self.delta * infected + x["influenza.kill"])
        yield Flux(None, "influenza.virus", self.production * infected)
        yield Flux("influenza.virus", None, self.c * virus)
        yield Flux(None, "influenza.primed", priming)
        yield Flux("influenza.primed", "influenza.dividing", self.k_stage * x["influenza.primed"])
        yield Flux("influenza.dividing", "influenza.leaving", self.k_stage * x["influenza.dividing"])
        yield Flux("influenza.leaving", "influenza.effector", self.k_stage * x["influenza.leaving"])
        yield Flux("influenza.effector", None, self.k_death * x["influenza.effector"])
