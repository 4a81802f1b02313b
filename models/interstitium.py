"""Free Mg in the tumour interstitium, well and poorly perfused, and the Mg of the tumour's cells.

Exchange with plasma follows Tofts (transfer constant per mass of tissue); the plasma side is ionised Mg times the Donnan
ratio. Cells take Mg up for growth and give it back when they lyse.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param, share


class Interstitium(AbstractMechanism):
    """A well and a poorly perfused part, each with free Mg in its fluid, and one Mg content of the cells."""

    name = "interstitium"
    states = {
        "interstitium.well": Var("umol", "free Mg in well-perfused tumour interstitium", "Mg", role="effect"),
        "interstitium.poor": Var("umol", "free Mg in poorly perfused tumour interstitium", "Mg", role="effect"),
        "interstitium.cell": Var("umol", "Mg in tumour cells", "Mg", role="growth"),
    }
    signals = {
        "interstitium.C_well": Var("mmol/L", "free Mg concentration, well-perfused tumour interstitium"),
        "interstitium.C_poor": Var("mmol/L", "free Mg concentration, poorly perfused tumour interstitium"),
        "interstitium.C": Var("mmol/L", "free Mg concentration, mean over tumour interstitium"),
        "interstitium.content": Var("umol/g", "Mg per mass of tumour cells"),
    }
    constants = {
        "interstitium.C_0": Var("mmol/L", "free Mg concentration of untreated tumour interstitium"),
        "interstitium.f_poor": Var("1", "share of the tumour that is poorly perfused"),
    }
    ports = {
        "interstitium.injection": Port(
            "umol",
            "free Mg injected into the tumour",
            {"interstitium.well": "interstitium.f_well", "interstitium.poor": "interstitium.f_poor"},
        )
    }
    reads = (
        "magnesium.ionised",
        "magnesium.ionised_0",
        "tumour.mass",
        "tumour.mass_0",
        "tumour.cell_mass",
        "tumour.cell_mass_0",
        "tumour.lysis",
    )

    f_well: Scalar = share("share of the tumour that is well perfused", at_most=0.99)
    ve: Scalar = param("mL/g", "interstitial volume per mass of tumour")
    beta: Scalar = param("mL/g", "extra volume of distribution by reversible binding to matrix")
    K_well: Scalar = param("mL/g/h", "transfer constant (Ktrans), well-perfused part")
    K_poor: Scalar = param("mL/g/h", "transfer constant (Ktrans), poorly perfused part")
    K_mix: Scalar = param("mL/g/h", "exchange between the parts per mass of tumour")
    gamma: Scalar = param("1", "Donnan ratio of interstitial to plasma ionised Mg")
    J_max: Scalar = param("umol/g/h", "maximum Mg influx into cells per mass of cells")
    Km: Scalar = param("mmol/L", "free Mg for half of the maximum influx")
    content_0: Scalar = param("umol/g", "Mg per mass of cells that rest at the untreated concentration")
    content_max: Scalar = param("umol/g", "Mg per mass of cells at which influx stops")

    def derive(self, x):
        return {"interstitium.C_0": self.gamma * x["magnesium.ionised_0"], "interstitium.f_poor": 1.0 - self.f_well}

    def initial(self, x):
        fluid = (self.ve + self.beta) * x["tumour.mass_0"] * x["interstitium.C_0"]
        return {
            "interstitium.well": self.f_well * fluid,
            "interstitium.poor": x["interstitium.f_poor"] * fluid,
            "interstitium.cell": self.content_0 * x["tumour.cell_mass_0"],
        }

    def evaluate(self, x):
        volume = (self.ve + self.beta) * x["tumour.mass"]
        well = x["interstitium.well"] / (self.f_well * volume)
        poor = x["interstitium.poor"] / (x["interstitium.f_poor"] * volume)
        return {
            "interstitium.C_well": well,
            "interstitium.C_poor": poor,
            "interstitium.C": self.f_well * well + x["interstitium.f_poor"] * poor,
            "interstitium.content": x["interstitium.cell"] / x["tumour.cell_mass"],
        }

    def uptake(self, x, C):
        """Net Mg influx per mass of cells [umol/g/h]; zero for cells at rest at the untreated concentration."""
        full, rest = x["interstitium.content"] / self.content_max, self.content_0 / self.content_max
        untreated = x["interstitium.C_0"] / (x["interstitium.C_0"] + self.Km) * (1.0 - rest)
        return self.J_max * (C / (C + self.Km) * (1.0 - full) - untreated * x["interstitium.content"] / self.content_0)

    def fluxes(self, x):
        well, poor = x["interstitium.C_well"], x["interstitium.C_poor"]
        mass, cells = x["tumour.mass"], x["tumour.cell_mass"]
        f_well, f_poor = self.f_well, x["interstitium.f_poor"]
        plasma, back = self.gamma * x["magnesium.ionised"], x["interstitium.content"] * x["tumour.lysis"]
        yield Flux("magnesium.ecf", "interstitium.well", self.K_well * f_well * mass * (plasma - well))
        yield Flux("magnesium.ecf", "interstitium.poor", self.K_poor * f_poor * mass * (plasma - poor))
        yield Flux("interstitium.well", "interstitium.poor", self.K_mix * mass * (well - poor))
        yield Flux("interstitium.well", "interstitium.cell", f_well * cells * self.uptake(x, well))
        yield Flux("interstitium.poor", "interstitium.cell", f_poor * cells * self.uptake(x, poor))
        yield Flux("interstitium.cell", {"interstitium.well": f_well, "interstitium.poor": f_poor}, back)
