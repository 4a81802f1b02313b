"""Mg-loaded liposome by vein or into the tumour: the particle's design, plasma, macrophages, tumour, release.

Particles (N) and payload (M) are separate states that share the same rate coefficients, so leak never deletes particles and
nothing is 0/0 before a dose. Payload per particle and particles per mass of lipid follow from the design, so the design can be
optimised like a dose: `lumens` droplets of `C_core`, each in `walls` bilayers (one for a vesicle, half where foam-like
vesicles share theirs); a solid core is one of very high `C_core` that dissolves at the rates of release.

Coat, anti-PEG response and organs are mechanisms of their own, which read and feed the states here.
"""

from __future__ import annotations

import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share
from nanomg.models.vessels import extravasation


class Liposome(AbstractMechanism):
    """Plasma with a peripheral space, saturable uptake by macrophages (MPS), tumour, intratumoral depot, triggered release."""

    name = "liposome"
    states = {
        "liposome.N_plasma": Var("Gparticle", "liposomes in plasma", "liposome"),
        "liposome.M_plasma": Var("umol", "encapsulated Mg in plasma", "Mg"),
        "liposome.N_peripheral": Var("Gparticle", "liposomes in the peripheral space", "liposome"),
        "liposome.M_peripheral": Var("umol", "encapsulated Mg in the peripheral space", "Mg"),
        "liposome.M_mps": Var("umol", "encapsulated Mg in macrophages of liver, spleen and elsewhere (MPS)", "Mg"),
        "liposome.N_free": Var("Gparticle", "unbound liposomes in tumour interstitium", "liposome"),
        "liposome.M_free": Var("umol", "encapsulated Mg in unbound liposomes in tumour interstitium", "Mg"),
        "liposome.N_inner": Var("Gparticle", "liposomes inside tumour cells and macrophages", "liposome"),
        "liposome.M_inner": Var("umol", "encapsulated Mg inside tumour cells and macrophages", "Mg"),
        "liposome.N_depot": Var("Gparticle", "liposomes in the intratumoral depot", "liposome"),
        "liposome.M_depot": Var("umol", "encapsulated Mg in the intratumoral depot", "Mg"),
    }
    signals = {
        "liposome.lipid": Var("mg/mL", "liposomal lipid per volume of plasma"),
        "liposome.payload": Var("umol/mL", "encapsulated Mg per volume of plasma"),
        "liposome.CL_mps": Var("mL/h", "clearance of liposomes by the MPS"),
        "liposome.k_outside": Var("1/h", "rate of release from liposomes in tumour interstitium, with the trigger"),
        "liposome.release": Var("umol/h", "Mg that liposomes in the tissue release into tumour interstitium"),
        "liposome.released": Var("umol/h", "payload that liposomes release in the tumour, inside and outside cells"),
        "liposome.delivered": Var("umol/g", "encapsulated Mg per mass of tumour"),
        "liposome.tumour_lipid": Var("mg", "liposomal lipid in the tumour, with that of its blood"),
        "liposome.tumour": Var("mg/g", "liposomal lipid per mass of tumour, with that of its blood"),
    }
    constants = {
        "liposome.N_per_lipid": Var("Gparticle/mg", "liposomes per mass of lipid"),
        "liposome.M_per_lipid": Var("umol/mg", "Mg payload per mass of lipid"),
        "liposome.M_per_N": Var("umol/Gparticle", "Mg payload per liposome"),
        "liposome.f_poor": Var("1", "share of the liposomes in the poorly perfused part"),
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
    reads = ("tumour.mass",)
    absent = {
        "magnesium.ecf": 0.0,
        "interstitium.well": 0.0,
        "interstitium.poor": 0.0,
        "interstitium.cell": 0.0,
        "interstitium.K_well": 0.0,
        "interstitium.K_poor": 0.0,
        "interstitium.f_well": 0.0,
        "interstitium.f_poor": 0.0,
        "interstitium.gamma": 0.0,
        "coat.N_bound": 0.0,
        "coat.M_bound": 0.0,
        "antipeg.fold": 1.0,
        "organ.share": 0.0,
    }

    # the particle
    diameter: Scalar = param("cm", "outer diameter of a vesicle")
    bilayer: Scalar = param("cm", "thickness of the bilayer")
    walls: Scalar = param("1", "bilayers around each core")
    lumens: Scalar = param("1", "cores in a particle")
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
    k_degrade: Scalar = param("1/h", "disappearance of particles inside cells")
    k_leak: Scalar = param("1/h", "leak of Mg in the circulation")
    k_mps: Scalar = param("1/h", "release of Mg in the MPS")
    # tumour
    K_ext: Scalar = param("mL/g/h", "extravasation clearance per mass of a tumour of mass_ext")
    mass_ext: Scalar = param("g", "mass of tumour for which K_ext holds")
    thinning: Scalar = param("1", "power by which extravasation per mass falls with the tumour's mass")
    plasma: Scalar = param("mL/g", "plasma per mass of tumour")
    k_ret: Scalar = param("1/h", "return of extravasated liposomes to plasma")
    k_spread: Scalar = param("1/h", "spread from the depot into the interstitium")
    k_ns: Scalar = param("1/h", "non-specific uptake by tumour cells and macrophages")
    f_well: Scalar = share("share of the liposomes in the well-perfused part")
    # release in the tumour
    k_free: Scalar = param("1/h", "release of Mg from liposomes in the interstitium, bound or not")
    k_inner: Scalar = param("1/h", "release of Mg from internalised liposomes")
    k_depot: Scalar = param("1/h", "release of Mg from the depot")
    phi_ec: Scalar = share("share of the Mg released inside cells that reaches the interstitium")
    k_hot: Scalar = param("1/h", "further release outside cells and in the tumour's vessels under full trigger")
    transit: Scalar = param("h", "passage of plasma through the tumour's vessels")
    extraction: Scalar = share("share of free Mg that leaves plasma in one passage, at most")

    def derive(self, x):
        outer, inner = self.diameter / 2.0, self.diameter / 2.0 - self.bilayer
        lipid = self.walls * 4.0 * jnp.pi * (outer**2 + inner**2) / self.area_lipid * self.MW_lipid
        payload = 4.0 / 3.0 * jnp.pi * inner**3 * self.C_core
        return {
            "liposome.N_per_lipid": self.vesicles / (self.lumens * lipid),
            "liposome.M_per_lipid": payload / lipid,
            "liposome.M_per_N": self.lumens * payload / self.vesicles,
            "liposome.f_poor": 1.0 - self.f_well,
        }

    def evaluate(self, x):
        lipid = x["liposome.N_plasma"] / x["liposome.N_per_lipid"] / self.V
        hot = self.k_hot * x["liposome.trigger"]
        outside = (self.k_free + hot) * (x["liposome.M_free"] + x["coat.M_bound"])
        outside = outside + (self.k_depot + hot) * x["liposome.M_depot"]
        inside = self.k_inner * x["liposome.M_inner"]
        M = x["liposome.M_free"] + x["coat.M_bound"] + x["liposome.M_inner"] + x["liposome.M_depot"]
        N = x["liposome.N_free"] + x["coat.N_bound"] + x["liposome.N_inner"] + x["liposome.N_depot"]
        in_tumour = N / x["liposome.N_per_lipid"] + self.plasma * x["tumour.mass"] * lipid
        return {
            "liposome.lipid": lipid,
            "liposome.payload": x["liposome.M_plasma"] / self.V,
            "liposome.CL_mps": self.Vmax / (self.Km + lipid) * self.CL_fold * x["antipeg.fold"],
            "liposome.k_outside": self.k_free + hot,
            "liposome.release": outside + self.phi_ec * inside,
            "liposome.released": outside + inside,
            "liposome.delivered": M / x["tumour.mass"],
            "liposome.tumour_lipid": in_tumour,
            "liposome.tumour": in_tumour / x["tumour.mass"],
        }

    def fluxes(self, x):
        into_fluid = {"interstitium.well": self.f_well, "interstitium.poor": x["liposome.f_poor"]}
        k_mps = x["liposome.CL_mps"] / self.V
        k_ext = extravasation(self.K_ext, x["tumour.mass"], self.mass_ext, self.thinning) / self.V

        # particles
        N_plasma, N_free = x["liposome.N_plasma"], x["liposome.N_free"]
        yield Flux("liposome.N_plasma", "liposome.N_peripheral", self.k12 * N_plasma)
        yield Flux("liposome.N_peripheral", "liposome.N_plasma", self.k21 * x["liposome.N_peripheral"])
        yield Flux("liposome.N_plasma", None, (1.0 - x["organ.share"]) * k_mps * N_plasma)
        yield Flux("liposome.N_plasma", "liposome.N_free", k_ext * N_plasma)
        yield Flux("liposome.N_free", "liposome.N_plasma", self.k_ret * N_free)
        yield Flux("liposome.N_depot", "liposome.N_free", self.k_spread * x["liposome.N_depot"])
        yield Flux("liposome.N_free", "liposome.N_inner", self.k_ns * N_free)
        yield Flux("liposome.N_inner", None, self.k_degrade * x["liposome.N_inner"])

        # payload: the same transfers
        M_plasma, M_free = x["liposome.M_plasma"], x["liposome.M_free"]
        yield Flux("liposome.M_plasma", "liposome.M_peripheral", self.k12 * M_plasma)
        yield Flux("liposome.M_peripheral", "liposome.M_plasma", self.k21 * x["liposome.M_peripheral"])
        yield Flux("liposome.M_plasma", "liposome.M_mps", k_mps * M_plasma)
        yield Flux("liposome.M_plasma", "liposome.M_free", k_ext * M_plasma)
        yield Flux("liposome.M_free", "liposome.M_plasma", self.k_ret * M_free)
        yield Flux("liposome.M_depot", "liposome.M_free", self.k_spread * x["liposome.M_depot"])
        yield Flux("liposome.M_free", "liposome.M_inner", self.k_ns * M_free)

        # release
        hot = self.k_hot * x["liposome.trigger"]
        inside = self.k_inner * x["liposome.M_inner"]
        yield Flux("liposome.M_plasma", "magnesium.ecf", self.k_leak * M_plasma)
        yield Flux("liposome.M_peripheral", "magnesium.ecf", self.k_leak * x["liposome.M_peripheral"])
        yield Flux("liposome.M_mps", "magnesium.ecf", self.k_mps * x["liposome.M_mps"])
        yield Flux("liposome.M_free", into_fluid, x["liposome.k_outside"] * M_free)
        yield Flux("liposome.M_depot", into_fluid, (self.k_depot + hot) * x["liposome.M_depot"])
        yield Flux("liposome.M_inner", into_fluid, self.phi_ec * inside)
        yield Flux("liposome.M_inner", "interstitium.cell", (1.0 - self.phi_ec) * inside)

        # release in the tumour's vessels while they are heated: fed by flow, and it enters tissue as plasma Mg does
        freed = -jnp.expm1(-hot * self.transit) * x["liposome.payload"] * x["tumour.mass"]
        well = x["interstitium.K_well"] * x["interstitium.f_well"] * freed
        poor = x["interstitium.K_poor"] * x["interstitium.f_poor"] * freed
        gamma = x["interstitium.gamma"]
        yield Flux("liposome.M_plasma", "interstitium.well", gamma * well)
        yield Flux("liposome.M_plasma", "interstitium.poor", gamma * poor)
        yield Flux("liposome.M_plasma", "magnesium.ecf", (1.0 / self.extraction - gamma) * (well + poor))
