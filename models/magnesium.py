"""Magnesium in the body: gut, extracellular fluid, fast and deep pools, red cells, kidney.

Model lineage: two-compartment PK of MgSO4 (Lu 2002, Salinger 2013), slow pools by 28Mg (Silver 1960, Avioli 1966), a renal
reabsorption threshold in proportion to GFR. Only the ionised part leaves the plasma for the tumour.

Disease and drugs. The kidney has its threshold from health: from the serum Mg, the intake and the GFR of the healthy subject. A
condition sets the remaining share of GFR, threshold, absorption and albumin; the steady-state serum Mg follows in closed form.
Drugs act in time, as inputs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share


def positive_root(a, b, c):
    """The positive root of `a x^2 + b x - c = 0` for `a > 0`, `c >= 0`, without cancellation for `b > 0`."""
    root = jnp.sqrt(b * b + 4.0 * a * c)
    return jnp.where(b > 0, 2.0 * c / (b + root), (root - b) / (2.0 * a))


def inverse_softplus(y):
    """The argument at which softplus is `y > 0`, without overflow."""
    return y + jnp.log(-jnp.expm1(-y))


class Magnesium(AbstractMechanism):
    """Whole-body Mg. Each subject starts at steady state at its baseline, which follows from health and the condition."""

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
        "magnesium.ionised_blood": Var("mmol/L", "whole-blood ionised Mg, by electrode"),
        "magnesium.albumin_bound": Var("mmol/L", "serum albumin-bound Mg"),
        "magnesium.complexed": Var("mmol/L", "serum Mg complexed by small anions"),
        "magnesium.corrected": Var("mmol/L", "serum total Mg corrected for albumin"),
        "magnesium.rbc_C": Var("mmol/L", "Mg per volume of red cells"),
        "magnesium.urine": Var("umol/h", "urinary excretion of Mg"),
        "magnesium.excreted": Var("1", "excreted share of filtered Mg"),
    }
    constants = {
        "magnesium.ionised_0": Var("mmol/L", "serum ionised Mg at the subject's own baseline"),
        "magnesium.ionised_healthy": Var("mmol/L", "serum ionised Mg of the healthy subject"),
        "magnesium.baseline": Var("mmol/L", "serum total Mg at the subject's own baseline"),
        # below 0 where the intake is so high that the kidney excretes at any Mg
        "magnesium.threshold": Var(
            "mmol/L", "ultrafilterable Mg above which the kidney excretes, without drugs", signed=True
        ),
    }
    inputs = {
        "magnesium.diet": Var("1", "dietary intake relative to the usual one", default=1.0),
        "magnesium.diuretic": Var("1", "effect of a diuretic on the kidney, 0 to 1", default=0.0),
        "magnesium.cisplatin": Var("1", "effect of cisplatin on the kidney, 0 to 1", default=0.0),
        "magnesium.anti_egfr": Var("1", "effect of an anti-EGFR antibody on the kidney, 0 to 1", default=0.0),
        "magnesium.ppi": Var("1", "effect of a proton-pump inhibitor on the gut, 0 to 1", default=0.0),
    }
    ports = {
        "magnesium.iv": Port(
            "umol",
            "Mg salt into a vein; a dose in g is of the salt (shipped cards: MgSO4.7H2O, 4.06 mmol of Mg per g)",
            {"magnesium.ecf": 1.0},
            molar_mass="magnesium.salt_MW",
        ),
        "magnesium.im": Port(
            "umol",
            "Mg salt into muscle; a dose in g is of the salt, as into a vein",
            {"magnesium.muscle": "magnesium.F_im"},
            molar_mass="magnesium.salt_MW",
        ),
        "magnesium.oral": Port(
            "umol",
            "Mg by mouth; a dose in mg is of the element, not of the salt (shipped cards: 41.1 mmol of Mg per g)",
            {"magnesium.gut": 1.0},
            uptake="absorbed",
            molar_mass="magnesium.oral_MW",
        ),
    }

    total_0: Scalar = param("mmol/L", "serum total Mg of the healthy subject")
    V1: Scalar = param("mL", "apparent volume of extracellular fluid")
    V2: Scalar = param("mL", "apparent volume of the fast soft-tissue pool")
    Q: Scalar = param("mL/h", "clearance between extracellular fluid and fast pool")
    V_deep: Scalar = param("mL", "apparent volume of the deep pool")
    Q_deep: Scalar = param("mL/h", "clearance between extracellular fluid and deep pool")
    albumin: Scalar = param("mmol/L", "serum albumin of the healthy subject")
    albumin_ref: Scalar = param("mmol/L", "serum albumin to which the corrected Mg refers")
    albumin_slope: Scalar = param("umol/umol", "serum total Mg per serum albumin in the correction formula")
    n_alb: Scalar = param("umol/umol", "Mg sites per albumin (weak-site lump)")
    Kd_alb: Scalar = param("mmol/L", "dissociation constant of Mg and albumin")
    kappa: Scalar = param("1", "complexed over ionised Mg")
    blood_ratio: Scalar = param("1", "ionised Mg by electrode in whole blood over that in serum")
    GFR: Scalar = param("mL/h", "glomerular filtration rate of the healthy subject")
    splay: Scalar = param("mmol/L", "width of the renal threshold")
    intake: Scalar = param("umol/h", "usual dietary Mg that the healthy subject absorbs")
    kidney: Scalar = param("1", "GFR left, relative to the healthy subject")
    reabsorption: Scalar = param("1", "renal threshold left, relative to the healthy subject")
    absorption: Scalar = param("1", "absorbed dietary and oral Mg, relative to the healthy subject")
    albumin_left: Scalar = param("1", "serum albumin left, relative to the healthy subject")
    e_diuretic: Scalar = share("share of the renal threshold that a diuretic takes away")
    e_cisplatin: Scalar = share("share of the renal threshold that cisplatin takes away")
    e_egfr: Scalar = share("share of the renal threshold that an anti-EGFR antibody takes away")
    e_ppi: Scalar = share("share of absorption that a proton-pump inhibitor takes away")
    ka: Scalar = param("1/h", "rate of dissolution and absorption of oral Mg")
    Amax: Scalar = param("umol", "saturable absorption capacity per oral dose")
    K_abs: Scalar = param("umol", "oral dose that gives half of the saturable absorption")
    meal: Scalar = param("umol", "Mg of the meal that an oral dose is taken with")
    f_lin: Scalar = share("linear (paracellular) absorbed fraction of an oral dose")
    F_salt: Scalar = share("share of the oral salt that dissolves in the gut")
    ka_im: Scalar = param("1/h", "absorption rate from muscle")
    F_im: Scalar = share("bioavailability from muscle")
    V_rbc: Scalar = param("mL", "volume of red cells")
    rbc_0: Scalar = param("mmol/L", "Mg per volume of red cells of the healthy subject")
    k_rbc: Scalar = param("1/h", "exchange rate of red-cell Mg")
    salt_MW: Scalar = param("mg/umol", "molar mass of the parenteral salt per mole of Mg")
    oral_MW: Scalar = param("mg/umol", "molar mass of the oral dose per mole of Mg")

    def carried_by(self, left=None):
        """Serum albumin: the subject's own, or of a subject with the share `left`."""
        return self.albumin * (self.albumin_left if left is None else left)

    def ionised(self, total, left=None):
        """Ionised from total Mg: the root of `total = x (1 + kappa) + n albumin x / (Kd + x)`."""
        free = 1.0 + self.kappa
        b = free * self.Kd_alb + self.n_alb * self.carried_by(left) - total
        return positive_root(free, b, self.Kd_alb * total)

    def bound(self, ionised, left=None):
        """Albumin-bound from ionised Mg."""
        return self.n_alb * self.carried_by(left) * ionised / (self.Kd_alb + ionised)

    def excess(self, excreted, GFR):
        """How far the ultrafilterable Mg is above the threshold [mmol/L] at this rate of excretion."""
        return self.splay * inverse_softplus(excreted / (GFR * self.splay))

    def absorbed(self, amount):
        """The absorbed part of an oral dose [umol]: once dissolved, it shares a saturable pathway with the meal, plus a linear one.

        A diseased gut reduces both by the same share as absorption of the diet.
        """
        dissolved = self.F_salt * amount
        saturable = self.Amax * self.K_abs / ((self.K_abs + self.meal) * (self.K_abs + self.meal + dissolved))
        return self.absorption * (saturable + self.f_lin) * dissolved

    def derive(self, x):
        free, healthy = 1.0 + self.kappa, self.ionised(self.total_0, left=1.0)
        usual = self.excess(self.intake, self.GFR)
        own = self.excess(self.absorption * self.intake, self.kidney * self.GFR)
        threshold = healthy * free - usual
        # as differences from health, which are exactly 0 in a healthy subject
        change = own - usual - (1.0 - self.reabsorption) * threshold
        ionised = healthy + change / free
        return {
            "magnesium.ionised_0": ionised,
            "magnesium.ionised_healthy": healthy,
            "magnesium.baseline": self.total_0 + change + (self.bound(ionised) - self.bound(healthy, left=1.0)),
            "magnesium.threshold": self.reabsorption * threshold,
        }

    def initial(self, x):
        return {
            "magnesium.gut": self.absorption * self.intake / self.ka,
            "magnesium.ecf": x["magnesium.baseline"] * self.V1,
            "magnesium.soft": x["magnesium.baseline"] * self.V2,
            "magnesium.deep": x["magnesium.baseline"] * self.V_deep,
            "magnesium.rbc": self.rbc_0 * self.V_rbc * x["magnesium.ionised_0"] / x["magnesium.ionised_healthy"],
        }

    def evaluate(self, x):
        total = x["magnesium.ecf"] / self.V1
        ionised = self.ionised(total)
        filtered = ionised * (1.0 + self.kappa)
        kept = (
            (1.0 - self.e_diuretic * x["magnesium.diuretic"])
            * (1.0 - self.e_cisplatin * x["magnesium.cisplatin"])
            * (1.0 - self.e_egfr * x["magnesium.anti_egfr"])
        )
        GFR = self.kidney * self.GFR
        urine = GFR * self.splay * jax.nn.softplus((filtered - kept * x["magnesium.threshold"]) / self.splay)
        return {
            "magnesium.total": total,
            "magnesium.ionised": ionised,
            "magnesium.ionised_blood": self.blood_ratio * ionised,
            "magnesium.albumin_bound": self.bound(ionised),
            "magnesium.complexed": self.kappa * ionised,
            "magnesium.corrected": total + self.albumin_slope * (self.albumin_ref - self.carried_by()),
            "magnesium.rbc_C": x["magnesium.rbc"] / self.V_rbc,
            "magnesium.urine": urine,
            "magnesium.excreted": urine / (GFR * filtered),
        }

    def fluxes(self, x):
        total = x["magnesium.total"]
        to_rbc = self.rbc_0 * x["magnesium.ionised"] / x["magnesium.ionised_healthy"] - x["magnesium.rbc_C"]
        absorbed, lost = self.ka * x["magnesium.gut"], self.e_ppi * x["magnesium.ppi"]
        yield Flux(None, "magnesium.gut", self.absorption * self.intake * x["magnesium.diet"])
        yield Flux("magnesium.gut", "magnesium.ecf", absorbed * (1.0 - lost))
        yield Flux("magnesium.gut", None, absorbed * lost)
        yield Flux("magnesium.muscle", "magnesium.ecf", self.ka_im * x["magnesium.muscle"])
        yield Flux("magnesium.ecf", "magnesium.soft", self.Q * (total - x["magnesium.soft"] / self.V2))
        yield Flux("magnesium.ecf", "magnesium.deep", self.Q_deep * (total - x["magnesium.deep"] / self.V_deep))
        yield Flux("magnesium.ecf", "magnesium.rbc", self.k_rbc * self.V_rbc * to_rbc)
        yield Flux("magnesium.ecf", None, x["magnesium.urine"])
