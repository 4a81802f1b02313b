"""Lipid nanoparticle with Mg in its core: PEG shedding, ApoE-driven liver uptake, endosomal trapping.

The payload is small (an oil core with little water) and the liver takes most of it: the negative control among the carriers.
"""

from __future__ import annotations

from nanomg.mechanism import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class LNP(AbstractMechanism):
    """Payload in plasma with and without PEG, in the liver, in the tumour and in endosomes of tumour cells."""

    name = "lnp"
    states = {
        "lnp.plasma": Var("umol", "LNP Mg in plasma, PEG on", "Mg"),
        "lnp.shed": Var("umol", "LNP Mg in plasma, PEG shed", "Mg"),
        "lnp.liver": Var("umol", "LNP Mg in the liver", "Mg"),
        "lnp.tumour": Var("umol", "LNP Mg in tumour interstitium", "Mg"),
        "lnp.endosome": Var("umol", "LNP Mg in endosomes of tumour cells", "Mg"),
    }
    signals = {
        "lnp.release": Var("umol/h", "Mg that LNP release into tumour interstitium"),
        "lnp.delivered": Var("umol/g", "LNP Mg per mass of tumour"),
    }
    constants = {
        "lnp.M_per_lipid": Var("umol/mg", "Mg payload per mass of lipid"),
        "lnp.f_poor": Var("1", "share of the LNP that lies in the poorly perfused part"),
    }
    ports = {
        "lnp.iv": Port("mg", "LNP into a vein, dose as lipid", {"lnp.plasma": "lnp.M_per_lipid"}, free="magnesium.iv")
    }
    reads = ("tumour.mass", "magnesium.ecf", "interstitium.well", "interstitium.poor", "interstitium.cell")

    f_water: Scalar = share("share of the particle's volume that is water")
    C_core: Scalar = param("mmol/L", "Mg concentration in the particle's water")
    density: Scalar = param("mg/mL", "mass of lipid per volume of the particle that is not water")
    V: Scalar = param("mL", "volume of distribution in plasma")
    k_shed: Scalar = param("1/h", "shedding of PEG-lipid")
    k_liver: Scalar = param("1/h", "ApoE-driven uptake by hepatocytes once PEG is shed")
    k_leak: Scalar = param("1/h", "leak of Mg in the circulation")
    k_release: Scalar = param("1/h", "release of Mg in the liver")
    K_ext: Scalar = param("mL/g/h", "extravasation clearance per mass of tumour")
    k_uptake: Scalar = param("1/h", "endocytosis by tumour cells")
    k_free: Scalar = param("1/h", "release of Mg from LNP in the interstitium")
    k_endosome: Scalar = param("1/h", "emptying of endosomes and lysosomes")
    f_escape: Scalar = share("share of the endosomal Mg that escapes into the cytosol")
    f_well: Scalar = share("share of the LNP that lies in the well-perfused part")

    def derive(self, x):
        payload = self.f_water * self.C_core / (self.density * (1.0 - self.f_water))
        return {"lnp.M_per_lipid": payload, "lnp.f_poor": 1.0 - self.f_well}

    def evaluate(self, x):
        recycled = (1.0 - self.f_escape) * self.k_endosome * x["lnp.endosome"]
        return {
            "lnp.release": self.k_free * x["lnp.tumour"] + recycled,
            "lnp.delivered": (x["lnp.tumour"] + x["lnp.endosome"]) / x["tumour.mass"],
        }

    def fluxes(self, x):
        into_fluid = {"interstitium.well": self.f_well, "interstitium.poor": x["lnp.f_poor"]}
        k_ext = self.K_ext * x["tumour.mass"] / self.V
        yield Flux("lnp.plasma", "lnp.shed", self.k_shed * x["lnp.plasma"])
        yield Flux("lnp.shed", "lnp.liver", self.k_liver * x["lnp.shed"])
        yield Flux("lnp.plasma", "lnp.tumour", k_ext * x["lnp.plasma"])
        yield Flux("lnp.shed", "lnp.tumour", k_ext * x["lnp.shed"])
        yield Flux("lnp.plasma", "magnesium.ecf", self.k_leak * x["lnp.plasma"])
        yield Flux("lnp.shed", "magnesium.ecf", self.k_leak * x["lnp.shed"])
        yield Flux("lnp.liver", "magnesium.ecf", self.k_release * x["lnp.liver"])
        yield Flux("lnp.tumour", "lnp.endosome", self.k_uptake * x["lnp.tumour"])
        yield Flux("lnp.tumour", into_fluid, self.k_free * x["lnp.tumour"])
        yield Flux("lnp.endosome", into_fluid, (1.0 - self.f_escape) * self.k_endosome * x["lnp.endosome"])
        yield Flux("lnp.endosome", "interstitium.cell", self.f_escape * self.k_endosome * x["lnp.endosome"])
