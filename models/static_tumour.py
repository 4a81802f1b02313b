"""A tumour that does not grow: for the fate of carriers over days, without growth and death of cells."""

from __future__ import annotations

from nanomg import AbstractMechanism, Scalar, Var, param


class StaticTumour(AbstractMechanism):
    """Constant mass; replaces `Tumour` under the same names."""

    name = "tumour"
    constants = {
        "tumour.mass": Var("g", "mass of the tumour"),
        "tumour.mass_0": Var("g", "mass of the tumour at time 0"),
        "tumour.cell_mass": Var("g", "mass of cells that hold Mg"),
        "tumour.cell_mass_0": Var("g", "mass of cells that hold Mg at time 0"),
        "tumour.lysis": Var("g/h", "mass of cells that lyse per hour"),
    }

    size: Scalar = param("g", "mass of the tumour and of its cells")

    def derive(self, x):
        same = ("tumour.mass", "tumour.mass_0", "tumour.cell_mass", "tumour.cell_mass_0")
        return dict.fromkeys(same, self.size) | {"tumour.lysis": 0.0}
