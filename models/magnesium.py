"""Magnesium in the body: gut, extracellular fluid, fast and deep pools, red cells, kidney.

Model lineage: two-compartment PK of MgSO4 (Lu 2002, Salinger 2013), slow pools by 28Mg (Silver 1960, Avioli 1966), a renal
reabsorption threshold in proportion to GFR. Only the ionised part leaves the plasma for the tumour.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nanomg.mechanism import AbstractMechanism, Flux, Port, Scalar, Var, param, share


def positive_root(a, b, c):
    """The positive root of `a x^2 + b x - c = 0` for `a > 0`, `c >= 0`, without cancellation for `b > 0`."""
    root = jnp.sqrt(b * b + 4.0 * a * c)
    return jnp.where(b > 0, 2.0 * c / (b + root), (root - b) / (2.0 * a))


class Magnesium(AbstractMechanism):
    """Whole-body Mg. Each subject is steady at its own baseline: the renal threshold is solved from baseline and intake."""

    name = "magnesium"
    states = {
        "magnesium.gut": Var("umol", "Mg in the gut that will be absorbed", "Mg"),
        "magnesium.ecf": Var("umol", "Mg in extracellular fluid, bound and free", "Mg"),
        "magnesium.soft": Var("umol", "Mg in the fast exchangeable soft-tissue pool", "Mg"),
        "magnesium.deep": Var("umol", "Mg in the deep pool (muscle and bone)", "Mg"),
        "magnesium.rbc": Var("umol", "Mg in red blood cells", "Mg"),
        "magnesium.muscle": Var("umol", "Mg in an intramuscular injection depot", "Mg"),
    }
    signals = {
        "magnesium.total": Var("mmol/L", "serum total Mg"),
        "magnesium.ionised": Var("mmol/L", "serum ionised Mg"),
        "magnesium.albumin_bound": Var("mmol/L", "serum albumin-bound Mg"),
        "magnesium.complexed": Var("mmol/L", "serum Mg complexed by small anions"),
        "magnesium.corrected": Var("mmol/L", "serum total Mg corrected for albumin"),
        "magnesium.rbc_C": Var("mmol/L", "Mg per volume of red cells"),
        "magnesium.urine": Var("umol/h", "urinary excretion of Mg"),
    }
    constants = {
        "magnesium.ionised_0": Var("mmol/L", "serum ionised Mg at baseline"),
        "magnesium.threshold": Var("mmol/L", "ultrafilterable Mg above which the kidney excretes"),
    }
    inputs = {
        "magnesium.diet": Var("1", "dietary intake relative to the usual one", default=1.0),
        "magnesium.wasting": Var(
            "1", "fall of the renal threshold by diuretic, cisplatin or anti-EGFR antibody", default=0.0
        ),
    }
    ports = {
        "magnesium.iv": Port("umol", "Mg salt into a vein", {"magnesium.ecf": 1.0}, molar_mass="magnesium.salt_MW"),
        "magnesium.im": Port(
            "umol", "Mg salt into muscle", {"magnesium.muscle": "magnesium.F_im"}, molar_mass="magnesium.salt_MW"
        ),
        "magnesium.oral": Port(
            "umol", "Mg by mouth", {"magnesium.gut": 1.0}, uptake="absorbed", molar_mass="magnesium.oral_MW"
        ),
    }

    total_0: Scalar = param("mmol/L", "serum total Mg at baseline")
    V1: Scalar = param("mL", "apparent volume of extracellular fluid")
    V2: Scalar = param("mL", "apparent volume of the fast soft-tissue pool")
    Q: Scalar = param("mL/h", "clearance between extracellular fluid and fast pool")
    V_deep: Scalar = param("mL", "apparent volume of the deep pool")
    Q_deep: Scalar = param("mL/h", "clearance between extracellular fluid and deep pool")
    albumin: Scalar = param("mmol/L", "serum albumin")
    albumin_ref: Scalar = param("mmol/L", "serum albumin to which the corrected Mg refers")
    albumin_slope: Scalar = param("umol/umol", "serum total Mg per serum albumin in the correction formula")
    n_alb: Scalar = param("umol/umol", "Mg sites per albumin (weak-site lump)")
    Kd_alb: Scalar = param("mmol/L", "dissociation constant of Mg and albumin")
    kappa: Scalar = param("1", "complexed over ionised Mg")
    GFR: Scalar = param("mL/h", "glomerular filtration rate")
    splay: Scalar = param("mmol/L", "width of the renal threshold")
    intake: Scalar = param("umol/h", "usual dietary Mg that is absorbed")
    ka: Scalar = param("1/h", "oral absorption rate")
    Amax: Scalar = param("umol", "saturable absorption capacity per oral dose")
    K_abs: Scalar = param("umol", "oral dose that gives half of the saturable absorption")
    f_lin: Scalar = share("linear (paracellular) absorbed fraction of an oral dose")
    F_salt: Scalar = param("1", "absorption of the oral salt relative to food Mg")
    ka_im: Scalar = param("1/h", "absorption rate from muscle")
    F_im: Scalar = share("bioavailability from muscle")
    V_rbc: Scalar = param("mL", "volume of red cells")
    rbc_0: Scalar = param("mmol/L", "Mg per volume of red cells at baseline")
    k_rbc: Scalar = param("1/h", "exchange rate of red-cell Mg")
    salt_MW: Scalar = param("mg/umol", "molar mass of the parenteral salt per mole of Mg")
    oral_MW: Scalar = param("mg/umol", "molar mass of the oral dose per mole of Mg")

    def ionised(self, total):
        """Ionised from total Mg: the root of `total = x (1 + kappa) + n Alb x / (Kd + x)`."""
        free = 1.0 + self.kappa
        b = free * self.Kd_alb + self.n_alb * self.albumin - total
        return positive_root(free, b, self.Kd_alb * total)

    def absorbed(self, amount):
        """What of an oral dose [umol] is absorbed: saturable plus linear."""
        return self.F_salt * (self.Amax * amount / (self.K_abs + amount) + self.f_lin * amount)

    def derive(self, x):
        ionised = self.ionised(self.total_0)
        filtered = ionised * (1.0 + self.kappa)
        excess = jnp.log(jnp.expm1(self.intake / (self.GFR * self.splay)))
        return {"magnesium.ionised_0": ionised, "magnesium.threshold": filtered - self.splay * excess}

    def initial(self, x):
        return {
            "magnesium.gut": self.intake / self.ka,
            "magnesium.ecf": self.total_0 * self.V1,
            "magnesium.soft": self.total_0 * self.V2,
            "magnesium.deep": self.total_0 * self.V_deep,
            "magnesium.rbc": self.rbc_0 * self.V_rbc,
        }

    def evaluate(self, x):
        total = x["magnesium.ecf"] / self.V1
        ionised = self.ionised(total)
        threshold = x["magnesium.threshold"] * (1.0 - x["magnesium.wasting"])
        above = (ionised * (1.0 + self.kappa) - threshold) / self.splay
        return {
            "magnesium.total": total,
            "magnesium.ionised": ionised,
            "magnesium.albumin_bound": self.n_alb * self.albumin * ionised / (self.Kd_alb + ionised),
            "magnesium.complexed": self.kappa * ionised,
            "magnesium.corrected": total + self.albumin_slope * (self.albumin_ref - self.albumin),
            "magnesium.rbc_C": x["magnesium.rbc"] / self.V_rbc,
            "magnesium.urine": self.GFR * self.splay * jax.nn.softplus(above),
        }

    def fluxes(self, x):
        total = x["magnesium.total"]
        to_rbc = self.rbc_0 * x["magnesium.ionised"] / x["magnesium.ionised_0"] - x["magnesium.rbc_C"]
        yield Flux(None, "magnesium.gut", self.intake * x["magnesium.diet"])
        yield Flux("magnesium.gut", "magnesium.ecf", self.ka * x["magnesium.gut"])
        yield Flux("magnesium.muscle", "magnesium.ecf", self.ka_im * x["magnesium.muscle"])
        yield Flux("magnesium.ecf", "magnesium.soft", self.Q * (total - x["magnesium.soft"] / self.V2))
        yield Flux("magnesium.ecf", "magnesium.deep", self.Q_deep * (total - x["magnesium.deep"] / self.V_deep))
        yield Flux("magnesium.ecf", "magnesium.rbc", self.k_rbc * self.V_rbc * to_rbc)
        yield Flux("magnesium.ecf", None, x["magnesium.urine"])
