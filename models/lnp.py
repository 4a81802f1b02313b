"""Lipid nanoparticle with Mg in its core: PEG shedding, ApoE-driven liver uptake, endosomal trapping and escape.

The payload is small (an oil core with little water) and the liver takes most of it: the negative control among the carriers.
PEG-lipid leaves at a rate that its chain sets (C14 within an hour or two, C18 within weeks); a particle that has lost a share of
it binds ApoE and enters hepatocytes. Most of what cells take in stays in endosomes, and part of that returns to the blood.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share
from nanomg.models.vessels import extravasation


class LNP(AbstractMechanism):
    """Payload in plasma with and without PEG, in endosomes of the liver, in the tumour and in endosomes of tumour cells."""

    name = "lnp"
    states = {
        "lnp.plasma": Var("umol", "LNP Mg in plasma, PEG on", "Mg"),
        "lnp.shed": Var("umol", "LNP Mg in plasma, PEG shed", "Mg"),
        "lnp.liver": Var("umol", "LNP Mg in endosomes of the liver", "Mg"),
        "lnp.tumour": Var("umol", "LNP Mg in tumour interstitium", "Mg"),
        "lnp.endosome": Var("umol", "LNP Mg in endosomes of tumour cells", "Mg"),
    }
    signals = {
        "lnp.lipid": Var("mg/mL", "LNP lipid per volume of plasma"),
        "lnp.release": Var("umol/h", "Mg that LNP release into tumour interstitium"),
        "lnp.delivered": Var("umol/g", "LNP Mg per mass of tumour"),
        "lnp.escape": Var("umol/h", "Mg that escapes from endosomes into the cytosol, liver and tumour"),
    }
    constants = {
        "lnp.N_per_lipid": Var("Gparticle/mg", "LNP per mass of lipid"),
        "lnp.M_per_lipid": Var("umol/mg", "Mg payload per mass of lipid"),
        "lnp.M_per_N": Var("umol/Gparticle", "Mg payload per LNP"),
        "lnp.f_poor": Var("1", "share of the LNP in the poorly perfused part"),
    }
    ports = {
        "lnp.iv": Port("mg", "LNP into a vein, dose as lipid", {"lnp.plasma": "lnp.M_per_lipid"}, free="magnesium.iv")
    }
    reads = ("tumour.mass",)
    absent = {"magnesium.ecf": 0.0, "interstitium.well": 0.0, "interstitium.poor": 0.0, "interstitium.cell": 0.0}

    # the particle
    diameter: Scalar = param("cm", "outer diameter")
    f_water: Scalar = share("share of the particle's volume that is water")
    C_core: Scalar = param("mmol/L", "Mg concentration in the particle's water")
    density: Scalar = param("mg/mL", "mass of lipid per volume of the particle that is not water")
    particles: Scalar = param("Gparticle", "particles that one LNP counts as")
    # plasma and liver
    V: Scalar = param("mL", "volume of distribution in plasma")
    k_shed: Scalar = param("1/h", "shedding of PEG-lipid, set by its chain")
    f_shed: Scalar = share("share of the PEG-lipid whose loss opens a particle to ApoE")
    k_basal: Scalar = param("1/h", "uptake by the liver with PEG on")
    k_liver: Scalar = param("1/h", "ApoE-driven uptake by hepatocytes once PEG is shed")
    k_leak: Scalar = param("1/h", "leak of Mg in the circulation")
    k_return: Scalar = param("1/h", "return from endosomes of the liver to plasma")
    k_release: Scalar = param("1/h", "release of Mg in the liver")
    # tumour
    K_ext: Scalar = param("mL/g/h", "extravasation clearance per mass of a tumour of mass_ext")
    mass_ext: Scalar = param("g", "mass of tumour for which K_ext holds")
    thinning: Scalar = param("1", "power by which extravasation per mass falls with the tumour's mass")
    k_uptake: Scalar = param("1/h", "endocytosis by tumour cells")
    k_free: Scalar = param("1/h", "release of Mg from LNP in the interstitium")
    k_endosome: Scalar = param("1/h", "emptying of endosomes and lysosomes")
    f_escape: Scalar = share("share of the endosomal Mg that escapes into the cytosol")
    f_well: Scalar = share("share of the LNP in the well-perfused part")

    def derive(self, x):
        volume = jnp.pi / 6.0 * self.diameter**3
        lipid, payload = self.density * (1.0 - self.f_water) * volume, self.f_water * self.C_core * volume
        return {
            "lnp.N_per_lipid": self.particles / lipid,
            "lnp.M_per_lipid": payload / lipid,
            "lnp.M_per_N": payload / self.particles,
            "lnp.f_poor": 1.0 - self.f_well,
        }

    def evaluate(self, x):
        recycled = (1.0 - self.f_escape) * self.k_endosome * x["lnp.endosome"]
        emptied = self.k_release * x["lnp.liver"] + self.k_endosome * x["lnp.endosome"]
        return {
            "lnp.lipid": (x["lnp.plasma"] + x["lnp.shed"]) / x["lnp.M_per_lipid"] / self.V,
            "lnp.release": self.k_free * x["lnp.tumour"] + recycled,
            "lnp.delivered": (x["lnp.tumour"] + x["lnp.endosome"]) / x["tumour.mass"],
            "lnp.escape": self.f_escape * emptied,
        }

    def fluxes(self, x):
        into_fluid = {"interstitium.well": self.f_well, "interstitium.poor": x["lnp.f_poor"]}
        k_ext = extravasation(self.K_ext, x["tumour.mass"], self.mass_ext, self.thinning) / self.V
        yield Flux("lnp.plasma", "lnp.shed", self.k_shed / self.f_shed * x["lnp.plasma"])
        yield Flux("lnp.plasma", "lnp.liver", self.k_basal * x["lnp.plasma"])
        yield Flux("lnp.shed", "lnp.liver", self.k_liver * x["lnp.shed"])
        yield Flux("lnp.liver", "lnp.shed", self.k_return * x["lnp.liver"])
        yield Flux("lnp.plasma", "lnp.tumour", k_ext * x["lnp.plasma"])
        yield Flux("lnp.shed", "lnp.tumour", k_ext * x["lnp.shed"])
        yield Flux("lnp.plasma", "magnesium.ecf", self.k_leak * x["lnp.plasma"])
        yield Flux("lnp.shed", "magnesium.ecf", self.k_leak * x["lnp.shed"])
        yield Flux("lnp.liver", "magnesium.ecf", self.k_release * x["lnp.liver"])
        yield Flux("lnp.tumour", "lnp.endosome", self.k_uptake * x["lnp.tumour"])
        yield Flux("lnp.tumour", into_fluid, self.k_free * x["lnp.tumour"])
        yield Flux("lnp.endosome", into_fluid, (1.0 - self.f_escape) * self.k_endosome * x["lnp.endosome"])
        yield Flux("lnp.endosome", "interstitium.cell", self.f_escape * self.k_endosome * x["lnp.endosome"])
