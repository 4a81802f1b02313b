"""The quantities of the science that the simulation code uses by name, and their roles."""

from __future__ import annotations

# Values outside of these describe no possible body or particle.
BELOW = {"interstitium.f_well": 0.98, "liposome.f_well": 0.98, "lnp.f_well": 0.98}
ORDERED = (
    ("interstitium.content_0", "interstitium.content_max"),
    ("interstitium.K_poor", "interstitium.K_well"),
    ("tcell.k_pro", "tcell.k_exit"),
    ("tumour.viable_0", "tumour.viable_max"),
)


AS_GIVEN, WITHOUT, FREE = "as given", "without Mg", "same Mg given free"  # arms
AS_SET = "as set"  # the hypothesis of weights that mix several, or of a model without LFA-1
SUBSTANCE, LABEL, TUMOUR = "Mg", "label", "tumour cell"
CONCENTRATION, RESPONSE = "interstitium.C", "lfa1.competence"
SERUM, DONNAN = "magnesium.ionised", "interstitium.gamma"
HYPOTHESES = {"H1": "lfa1.w_H1", "H2": "lfa1.w_H2", "H3": "lfa1.w_H3"}
RELEVANT = {
    "0.02": 0.02,
    "0.3": 0.3,
}  # rise of tumour free Mg [mmol/L]: by repletion, and of the order that cells respond to
HOURS = {f"hours_per_day_above_{label}": label for label in RELEVANT}  # keys of an effect

TISSUES = ("tumour", "lung")  # named in the declaration of CONCENTRATION
HYPOTHESIS_TEXTS = {
    "H1": "effector function follows free Mg along an empirical Hill curve",
    "H2": "Mg competes with Ca at the binding site of LFA-1",
    "H3": "that site is nearly saturated at the usual Mg, so that more Mg adds little",
}


def tissue_of(declared: str) -> str:
    """The tissue whose free Mg is declared in these words.

    Example:
        >>> tissue_of("free Mg concentration in lung interstitium"), tissue_of("free Mg of the spleen")
        ('lung', 'tissue')
    """
    return next((tissue for tissue in TISSUES if tissue in declared), "tissue")
