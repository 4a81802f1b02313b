"""Antibody-coated, Mg-loaded liposome by vein or into the tumour.

Particles (N) and payload (M) are separate states that share the same rate coefficients, so leak never deletes particles and
nothing is 0/0 before a dose. The coat changes where in the tumour a particle goes, not how much arrives (Kirpotin 2006).
Payload per particle follows from the particle's design, so the design can be optimised like a dose.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg.mechanism import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class Liposome(AbstractMechanism):
    """Plasma with a peripheral space, saturable MPS with accelerated blood clearance, tumour, intratumoral depot."""

    name = "liposome"
    states = {
        "liposome.N_plasma": Var("Gparticle", "liposomes in plasma", "liposome"),
        "liposome.M_plasma": Var("umol", "encapsulated Mg in plasma", "Mg"),
        "liposome.N_peripheral": Var("Gparticle", "liposomes in the peripheral space", "liposome"),
        "liposome.M_peripheral": Var("umol", "encapsulated Mg in the peripheral space", "Mg"),
        "liposome.N_mps": Var("Gparticle", "liposomes in liver and spleen (MPS)", "liposome"),
        "liposome.M_mps": Var("umol", "encapsulated Mg in liver and spleen (MPS)", "Mg"),
        "liposome.N_free": Var("Gparticle", "unbound liposomes in tumour interstitium", "liposome"),
        "liposome.M_free": Var("umol", "encapsulated Mg in unbound liposomes in tumour interstitium", "Mg"),
        "liposome.N_bound": Var(
            "Gparticle", "liposomes bound to the coat's target", {"liposome": 1.0, "antigen": "liposome.sites"}
        ),
        "liposome.M_bound": Var("umol", "encapsulated Mg in bound liposomes", "Mg"),
        "liposome.N_inner": Var("Gparticle", "liposomes inside tumour cells and macrophages", "liposome"),
        "liposome.M_inner": Var("umol", "encapsulated Mg inside tumour cells and macrophages", "Mg"),
        "liposome.N_depot": Var("Gparticle", "liposomes in the intratumoral depot", "liposome"),
        "liposome.M_depot": Var("umol", "encapsulated Mg in the intratumoral depot", "Mg"),
        "liposome.antigen": Var("umol", "free target sites in the tumour", "antigen"),
        "liposome.igm_1": Var("1", "anti-PEG response, first transit"),
        "liposome.igm_2": Var("1", "anti-PEG response, second transit"),
        "liposome.igm": Var("1", "anti-PEG IgM relative to half-maximum effect"),
    }
    signals = {
        "liposome.lipid": Var("mg/mL", "liposomal lipid per volume of plasma"),
        "liposome.CL_mps": Var("mL/h", "clearance of liposomes by the MPS"),
        "liposome.release": Var("umol/h", "Mg that liposomes release into tumour interstitium"),
        "liposome.delivered": Var("umol/g", "encapsulated Mg per mass of tumour"),
    }
    constants = {
        "liposome.N_per_lipid": Var("Gparticle/mg", "liposomes per mass of lipid"),
        "liposome.M_per_lipid": Var("umol/mg", "Mg payload per mass of lipid"),
        "liposome.M_per_N": Var("umol/Gparticle", "Mg payload per liposome"),
        "liposome.f_poor": Var("1", "share of the liposomes that lies in the poorly perfused part"),
    }
    inputs = {"liposome.trigger": Var("1", "heat or ultrasound on the tumour, 0 off to 1 full", default=0.0)}
    ports = {
        "liposome.iv": Port(
            "mg",
            "liposomes into a vein, dose as lipid",
            {"liposome.N_plasma": "liposome.N_per_lipid", "liposome.M_plasma": "liposome.M_per_lipid"},
            free="magnesium.iv",
        ),
        "liposome.intratumoral": Port(
            "mg",
            "liposomes injected into the tumour, dose as lipid",
            {"liposome.N_depot": "liposome.N_per_lipid", "liposome.M_depot": "liposome.M_per_lipid"},
            free="interstitium.injection",
        ),
    }
    reads = (
        "tumour.mass",
        "tumour.cell_mass",
        "tumour.cell_mass_0",
        "interstitium.ve",
        "magnesium.ecf",
        "interstitium.well",
        "interstitium.poor",
        "interstitium.cell",
    )

    # the particle
    diameter: Scalar = param("cm", "outer diameter")
    bilayer: Scalar = param("cm", "thickness of the bilayer")
    C_core: Scalar = param("mmol/L", "Mg concentration in the core")
    area_lipid: Scalar = param("cm^2/umol", "area per lipid")
    MW_lipid: Scalar = param("mg/umol", "mean molar mass of the lipids")
    vesicles: Scalar = param("Gparticle", "particles that one vesicle counts as")
    # plasma and MPS
    V: Scalar = param("mL", "central volume of liposomes")
    k12: Scalar = param("1/h", "plasma to peripheral space")
    k21: Scalar = param("1/h", "peripheral space to plasma")
    Vmax: Scalar = param("mg/h", "maximum MPS uptake of lipid")
    Km: Scalar = param("mg/mL", "lipid in plasma for half of the maximum MPS uptake")
    CL_fold: Scalar = param("1", "fold change of MPS clearance by the coat")
    k_degrade: Scalar = param("1/h", "disappearance of empty particles")
    k_leak: Scalar = param("1/h", "leak of Mg in the circulation")
    k_mps: Scalar = param("1/h", "release of Mg in the MPS")
    # accelerated blood clearance
    abc_fold: Scalar = param("1", "fold rise of MPS clearance at full anti-PEG response")
    k_immune: Scalar = param("1/h", "strength of the anti-PEG response")
    lipid_lo: Scalar = param("mg/mL", "lipid in plasma for half of the anti-PEG stimulus")
    lipid_hi: Scalar = param("mg/mL", "lipid in plasma that blunts the anti-PEG stimulus by half")
    k_transit: Scalar = param("1/h", "transit rate of the anti-PEG response")
    k_igm: Scalar = param("1/h", "loss of anti-PEG IgM")
    # tumour
    K_ext: Scalar = param("mL/g/h", "extravasation clearance per mass of tumour")
    k_ret: Scalar = param("1/h", "return of extravasated liposomes to plasma")
    k_spread: Scalar = param("1/h", "spread from the depot into the interstitium")
    k_ns: Scalar = param("1/h", "non-specific uptake by tumour cells and macrophages")
    f_well: Scalar = share("share of the liposomes that lies in the well-perfused part")
    # coat
    ligands: Scalar = param("1", "targeting ligands per liposome")
    f_oriented: Scalar = share("share of the ligands that can bind")
    kon: Scalar = param("mL/umol/h", "association rate of one ligand and its target")
    koff: Scalar = param("1/h", "dissociation rate of one ligand and its target")
    avidity: Scalar = param("1", "fold slowing of detachment by multivalent binding")
    sites: Scalar = param("umol/Gparticle", "target sites taken by a bound liposome")
    target_content: Scalar = param("umol/g", "target sites per mass of tumour cells")
    k_target: Scalar = param("1/h", "turnover of the target")
    k_int: Scalar = param("1/h", "internalisation of bound liposomes")
    # release in the tumour
    k_free: Scalar = param("1/h", "release of Mg from liposomes in the interstitium, bound or not")
    k_inner: Scalar = param("1/h", "release of Mg from internalised liposomes")
    k_depot: Scalar = param("1/h", "release of Mg from the depot")
    phi_ec: Scalar = share("share of the Mg released inside cells that reaches the interstitium")
    trigger_fold: Scalar = param("1", "fold rise of release in the tumour under full trigger")

    def derive(self, x):
        outer, inner = self.diameter / 2.0, self.diameter / 2.0 - self.bilayer
        lipid = 4.0 * jnp.pi * (outer**2 + inner**2) / self.area_lipid * self.MW_lipid
        payload = 4.0 / 3.0 * jnp.pi * inner**3 * self.C_core
        return {
            "liposome.N_per_lipid": self.vesicles / lipid,
            "liposome.M_per_lipid": payload / lipid,
            "liposome.M_per_N": payload / self.vesicles,
            "liposome.f_poor": 1.0 - self.f_well,
        }

    def initial(self, x):
        return {"liposome.antigen": self.target_content * x["tumour.cell_mass_0"]}

    def evaluate(self, x):
        lipid = x["liposome.N_plasma"] / x["liposome.N_per_lipid"] / self.V
        immune = 1.0 + (self.abc_fold - 1.0) * x["liposome.igm"] / (1.0 + x["liposome.igm"])
        hot = 1.0 + (self.trigger_fold - 1.0) * x["liposome.trigger"]
        outside = self.k_free * (x["liposome.M_free"] + x["liposome.M_bound"]) + self.k_depot * x["liposome.M_depot"]
        held = x["liposome.M_free"] + x["liposome.M_bound"] + x["liposome.M_inner"] + x["liposome.M_depot"]
        return {
            "liposome.lipid": lipid,
            "liposome.CL_mps": self.Vmax / (self.Km + lipid) * self.CL_fold * immune,
            "liposome.release": hot * outside + self.phi_ec * self.k_inner * x["liposome.M_inner"],
            "liposome.delivered": held / x["tumour.mass"],
        }

    def fluxes(self, x):
        into_fluid = {"interstitium.well": self.f_well, "interstitium.poor": x["liposome.f_poor"]}
        k_mps = x["liposome.CL_mps"] / self.V
        k_ext = self.K_ext * x["tumour.mass"] / self.V
        k_off = self.koff / self.avidity
        sites = x["liposome.antigen"] / (x["interstitium.ve"] * x["tumour.mass"])
        k_on = self.ligands * self.f_oriented * self.kon * sites

        # particles; binding takes target sites along and gives them back
        N_plasma, N_free, N_bound = x["liposome.N_plasma"], x["liposome.N_free"], x["liposome.N_bound"]
        site = {"liposome.antigen": self.sites}
        yield Flux("liposome.N_plasma", "liposome.N_peripheral", self.k12 * N_plasma)
        yield Flux("liposome.N_peripheral", "liposome.N_plasma", self.k21 * x["liposome.N_peripheral"])
        yield Flux("liposome.N_plasma", "liposome.N_mps", k_mps * N_plasma)
        yield Flux("liposome.N_plasma", "liposome.N_free", k_ext * N_plasma)
        yield Flux("liposome.N_free", "liposome.N_plasma", self.k_ret * N_free)
        yield Flux("liposome.N_depot", "liposome.N_free", self.k_spread * x["liposome.N_depot"])
        yield Flux({"liposome.N_free": 1.0, **site}, "liposome.N_bound", k_on * N_free)
        yield Flux("liposome.N_bound", {"liposome.N_free": 1.0, **site}, k_off * N_bound)
        yield Flux("liposome.N_bound", {"liposome.N_inner": 1.0, **site}, self.k_int * N_bound)
        yield Flux("liposome.N_free", "liposome.N_inner", self.k_ns * N_free)
        yield Flux("liposome.N_mps", None, self.k_degrade * x["liposome.N_mps"])
        yield Flux("liposome.N_inner", None, self.k_degrade * x["liposome.N_inner"])

        # payload: the same moves
        M_plasma, M_free, M_bound = x["liposome.M_plasma"], x["liposome.M_free"], x["liposome.M_bound"]
        yield Flux("liposome.M_plasma", "liposome.M_peripheral", self.k12 * M_plasma)
        yield Flux("liposome.M_peripheral", "liposome.M_plasma", self.k21 * x["liposome.M_peripheral"])
        yield Flux("liposome.M_plasma", "liposome.M_mps", k_mps * M_plasma)
        yield Flux("liposome.M_plasma", "liposome.M_free", k_ext * M_plasma)
        yield Flux("liposome.M_free", "liposome.M_plasma", self.k_ret * M_free)
        yield Flux("liposome.M_depot", "liposome.M_free", self.k_spread * x["liposome.M_depot"])
        yield Flux("liposome.M_free", "liposome.M_bound", k_on * M_free)
        yield Flux("liposome.M_bound", "liposome.M_free", k_off * M_bound)
        yield Flux("liposome.M_bound", "liposome.M_inner", self.k_int * M_bound)
        yield Flux("liposome.M_free", "liposome.M_inner", self.k_ns * M_free)

        # release
        hot = 1.0 + (self.trigger_fold - 1.0) * x["liposome.trigger"]
        inside = self.k_inner * x["liposome.M_inner"]
        yield Flux("liposome.M_plasma", "magnesium.ecf", self.k_leak * M_plasma)
        yield Flux("liposome.M_peripheral", "magnesium.ecf", self.k_leak * x["liposome.M_peripheral"])
        yield Flux("liposome.M_mps", "magnesium.ecf", self.k_mps * x["liposome.M_mps"])
        yield Flux("liposome.M_free", into_fluid, self.k_free * hot * M_free)
        yield Flux("liposome.M_bound", into_fluid, self.k_free * hot * M_bound)
        yield Flux("liposome.M_depot", into_fluid, self.k_depot * hot * x["liposome.M_depot"])
        yield Flux("liposome.M_inner", into_fluid, self.phi_ec * inside)
        yield Flux("liposome.M_inner", "interstitium.cell", (1.0 - self.phi_ec) * inside)

        # target turnover and anti-PEG response
        supply = self.target_content * x["tumour.cell_mass"]
        lipid = x["liposome.lipid"]
        stimulus = lipid / (lipid + self.lipid_lo) * self.lipid_hi / (lipid + self.lipid_hi)
        yield Flux(None, "liposome.antigen", self.k_target * supply)
        yield Flux("liposome.antigen", None, self.k_target * x["liposome.antigen"])
        yield Flux(None, "liposome.igm_1", self.k_immune * stimulus)
        yield Flux("liposome.igm_1", "liposome.igm_2", self.k_transit * x["liposome.igm_1"])
        yield Flux("liposome.igm_2", "liposome.igm", self.k_transit * x["liposome.igm_2"])
        yield Flux("liposome.igm", None, self.k_igm * x["liposome.igm"])
