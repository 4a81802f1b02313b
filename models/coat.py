"""Targeting ligands on the liposome: binding to an antigen of the tumour, and the fate of bound particles.

The coat changes where in the tumour a particle goes, not how much arrives (Kirpotin 2006). A bound particle is held by several
bonds: the more targets its ligands can reach, the slower it comes off. Targets turn over with their cells or matrix; a target may
also sit on T cells and come with them.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Scalar, Var, param, share


class Coat(AbstractMechanism):
    """Bound liposomes and the free target sites of the tumour."""

    name = "coat"
    states = {
        "coat.N_bound": Var("Gparticle", "liposomes bound to the target", {"liposome": 1.0, "antigen": "coat.sites"}),
        "coat.M_bound": Var("umol", "encapsulated Mg in bound liposomes", "Mg"),
        "coat.antigen": Var("umol", "free target sites in the tumour", "antigen"),
    }
    signals = {"coat.avidity": Var("1", "factor by which further bonds slow detachment")}
    constants = {"coat.sites": Var("umol/Gparticle", "target sites taken by a bound liposome")}
    reads = (
        "tumour.mass",
        "tumour.cell_mass",
        "tumour.cell_mass_0",
        "interstitium.ve",
        "liposome.N_free",
        "liposome.M_free",
        "liposome.N_inner",
        "liposome.M_inner",
        "liposome.k_outside",
        "liposome.f_well",
        "liposome.f_poor",
    )
    absent = {
        "interstitium.well": 0.0,
        "interstitium.poor": 0.0,
        "tcell.tumour": 0.0,
        "tcell.tumour_0": 0.0,
    }

    ligands: Scalar = param("1", "targeting ligands per liposome")
    f_oriented: Scalar = share("share of the ligands that can bind")
    kon: Scalar = param("mL/umol/h", "association rate of one ligand and its target")
    koff: Scalar = param("1/h", "dissociation rate of one ligand and its target")
    K_cross: Scalar = param("mL/umol", "equilibrium constant of a further bond of a bound liposome")
    bonds: Scalar = param("1", "bonds that hold a liposome")
    site: Scalar = param("umol/Gparticle", "amount that one bond per liposome counts as")
    target_content: Scalar = param("umol/g", "target sites per mass of tumour cells")
    target_tcell: Scalar = param("umol/Mcell", "target sites per T cell in the tumour")
    k_target: Scalar = param("1/h", "turnover of the target")
    k_int: Scalar = param("1/h", "internalisation of bound liposomes")

    def derive(self, x):
        return {"coat.sites": self.bonds * self.site}

    def initial(self, x):
        content = self.target_content * x["tumour.cell_mass_0"] + self.target_tcell * x["tcell.tumour_0"]
        return {"coat.antigen": content}

    def within_reach(self, x):
        """Free targets per volume of interstitium times the ligands that can bind [umol/mL]."""
        return self.ligands * self.f_oriented * x["coat.antigen"] / (x["interstitium.ve"] * x["tumour.mass"])

    def evaluate(self, x):
        return {"coat.avidity": (1.0 + self.K_cross * self.within_reach(x)) ** (self.bonds - 1.0)}

    def fluxes(self, x):
        N_bound, M_bound = x["coat.N_bound"], x["coat.M_bound"]
        k_on = self.kon * self.within_reach(x)
        k_off = self.koff / x["coat.avidity"]
        # binding takes target sites along and gives them back
        site = {"coat.antigen": x["coat.sites"]}
        yield Flux({"liposome.N_free": 1.0, **site}, "coat.N_bound", k_on * x["liposome.N_free"])
        yield Flux("coat.N_bound", {"liposome.N_free": 1.0, **site}, k_off * N_bound)
        yield Flux("coat.N_bound", {"liposome.N_inner": 1.0, **site}, self.k_int * N_bound)
        yield Flux("liposome.M_free", "coat.M_bound", k_on * x["liposome.M_free"])
        yield Flux("coat.M_bound", "liposome.M_free", k_off * M_bound)
        yield Flux("coat.M_bound", "liposome.M_inner", self.k_int * M_bound)
        into_fluid = {"interstitium.well": x["liposome.f_well"], "interstitium.poor": x["liposome.f_poor"]}
        yield Flux("coat.M_bound", into_fluid, x["liposome.k_outside"] * M_bound)
        supply = self.target_content * x["tumour.cell_mass"] + self.target_tcell * x["tcell.tumour"]
        yield Flux(None, "coat.antigen", self.k_target * supply)
        yield Flux("coat.antigen", None, self.k_target * x["coat.antigen"])
