"""Inoculation of tumour cells, which bring their own Mg and that of the fluid they come in."""

from __future__ import annotations

from nanomg import AbstractMechanism, Port, Var


class Inoculation(AbstractMechanism):
    """Tumour cells injected under the skin of a host without a tumour; cells and fluid hold as much Mg as untreated ones."""

    name = "inoculation"
    constants = {
        "inoculation.cell": Var("umol/Mcell", "Mg in inoculated cells"),
        "inoculation.well": Var("umol/Mcell", "free Mg in the fluid around them, well-perfused part"),
        "inoculation.poor": Var("umol/Mcell", "free Mg in the fluid around them, poorly perfused part"),
    }
    ports = {
        "inoculation.cells": Port(
            "Mcell",
            "tumour cells inoculated",
            {
                "tumour.viable": 1.0,
                "interstitium.cell": "inoculation.cell",
                "interstitium.well": "inoculation.well",
                "interstitium.poor": "inoculation.poor",
            },
        )
    }
    reads = (
        "tumour.density",
        "interstitium.content_0",
        "interstitium.ve",
        "interstitium.beta",
        "interstitium.f_well",
        "interstitium.f_poor",
        "interstitium.C_0",
    )

    def derive(self, x):
        fluid = (x["interstitium.ve"] + x["interstitium.beta"]) * x["interstitium.C_0"] / x["tumour.density"]
        return {
            "inoculation.cell": x["interstitium.content_0"] / x["tumour.density"],
            "inoculation.well": x["interstitium.f_well"] * fluid,
            "inoculation.poor": x["interstitium.f_poor"] * fluid,
        }
