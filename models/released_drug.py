"""A drug in the liposome in place of Mg: release in a tumour was measured for doxorubicin, and not yet for Mg.

The payload is the drug; drug released in the tumour binds there and is lost slowly.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Scalar, Var, param


class ReleasedDrug(AbstractMechanism):
    """Released drug in the tumour, and the total with what is still encapsulated, as mass per mass of tumour."""

    name = "drug"
    states = {"drug.released": Var("umol", "released drug in the tumour")}
    signals = {
        "drug.total": Var("mg/g", "drug per mass of tumour, encapsulated or not"),
        "drug.free": Var("mg/g", "released drug per mass of tumour"),
        "drug.plasma": Var("mg/mL", "encapsulated drug per volume of plasma"),
    }
    reads = (
        "tumour.mass",
        "liposome.released",
        "liposome.delivered",
        "liposome.payload",
        "liposome.plasma",
    )

    MW: Scalar = param("mg/umol", "molar mass of the drug")
    k_loss: Scalar = param("1/h", "loss of released drug from the tumour")

    def evaluate(self, x):
        free = x["drug.released"] / x["tumour.mass"]
        encapsulated = x["liposome.delivered"] + x["liposome.plasma"] * x["liposome.payload"]
        return {
            "drug.total": self.MW * (free + encapsulated),
            "drug.free": self.MW * free,
            "drug.plasma": self.MW * x["liposome.payload"],
        }

    def fluxes(self, x):
        yield Flux(None, "drug.released", x["liposome.released"])
        yield Flux("drug.released", None, self.k_loss * x["drug.released"])
