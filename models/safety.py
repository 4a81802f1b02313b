"""Effects of serum Mg on the patient: fall of blood pressure, and the levels at which signs of too much or too little appear.

Haemodynamics: an effect compartment behind the serum (PK/PD of MgSO4 in pre-eclampsia, Lu 2002). Levels are those of clinical
tables; a flag turns from 0 to 1 around its level over a narrow width, so that it has a slope everywhere. A read-out, no advice.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nanomg import AbstractMechanism, Flux, Scalar, Var, param

SIGNS = ("warning", "therapeutic", "reflexes", "respiration", "conduction", "arrest")  # of too much Mg, by rising level


class Safety(AbstractMechanism):
    """Systolic pressure behind an effect compartment; flags and margins on serum total Mg."""

    name = "safety"
    states = {
        "safety.effect": Var("mmol/L", "serum total Mg above baseline where it lowers blood pressure", signed=True)
    }
    signals = {
        "safety.sbp_fall": Var("mmHg", "fall of systolic blood pressure"),
        "safety.grade": Var("1", "signs of hypermagnesaemia whose level is passed, 0 to 6"),
        "safety.low": Var("1", "flag of hypomagnesaemia, 0 to 1"),
        "safety.margin_reflexes": Var("mmol/L", "margin below the level at which tendon reflexes are lost"),
        "safety.margin_respiration": Var("mmol/L", "margin below the level at which breathing is depressed"),
        "safety.margin_conduction": Var("mmol/L", "margin below the level at which the heart's conduction changes"),
        "safety.margin_arrest": Var("mmol/L", "margin below the level of cardiac arrest"),
    }
    reads = ("magnesium.total", "magnesium.baseline")

    ke0: Scalar = param("1/h", "equilibration rate of serum and effect compartment")
    Emax: Scalar = param("mmHg", "highest fall of systolic blood pressure")
    EC50: Scalar = param("mmol/L", "serum total Mg above baseline with half of the highest fall")
    hypo: Scalar = param("mmol/L", "serum total Mg below which there is hypomagnesaemia")
    warning: Scalar = param("mmol/L", "serum total Mg above which first effects may appear")
    therapeutic: Scalar = param("mmol/L", "highest serum total Mg aimed at in eclampsia")
    reflexes: Scalar = param("mmol/L", "serum total Mg above which tendon reflexes are lost")
    respiration: Scalar = param("mmol/L", "serum total Mg above which breathing is depressed")
    conduction: Scalar = param("mmol/L", "serum total Mg above which cardiac conduction changes")
    arrest: Scalar = param("mmol/L", "serum total Mg above which the heart stops")
    width: Scalar = param("mmol/L", "width over which a flag turns")

    def evaluate(self, x):
        total, effect = x["magnesium.total"], x["safety.effect"]
        flag = lambda above: jax.nn.sigmoid(above / self.width)
        return {
            "safety.sbp_fall": self.Emax * effect / (self.EC50 + jnp.abs(effect)),
            "safety.grade": sum(flag(total - getattr(self, sign)) for sign in SIGNS),
            "safety.low": flag(self.hypo - total),
            **{f"safety.margin_{sign}": getattr(self, sign) - total for sign in SIGNS[2:]},
        }

    def fluxes(self, x):
        above = x["magnesium.total"] - x["magnesium.baseline"]
        yield Flux(None, "safety.effect", self.ke0 * (above - x["safety.effect"]))
