"""Where liposomes end up in the body: liver, spleen and kidney, as measured per gram of organ.

Each organ takes its share of what macrophages clear, by its mass and its uptake per mass relative to the liver's, and loses what
it took (breakdown, or loss of the label that is counted). An organ is measured with the plasma that it holds.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Scalar, Var, param, share


class Organs(AbstractMechanism):
    """Liposomes in liver, spleen and kidney; read-outs per gram, and of the lung, which holds them only in its blood."""

    name = "organ"
    states = {
        "organ.N_liver": Var("Gparticle", "liposomes taken up by the liver", "liposome"),
        "organ.N_spleen": Var("Gparticle", "liposomes taken up by the spleen", "liposome"),
        "organ.N_kidney": Var("Gparticle", "liposomes taken up by the kidneys", "liposome"),
    }
    signals = {
        "organ.liver": Var("mg/g", "liposomal lipid per mass of liver"),
        "organ.spleen": Var("mg/g", "liposomal lipid per mass of spleen"),
        "organ.kidney": Var("mg/g", "liposomal lipid per mass of kidney"),
        "organ.lung": Var("mg/g", "liposomal lipid per mass of lung"),
        "organ.blood": Var("mg/g", "liposomal lipid per mass of blood"),
    }
    constants = {
        "organ.f_spleen": Var("1", "share of the MPS clearance that the spleen has"),
        "organ.f_kidney": Var("1", "share of the MPS clearance that the kidneys have"),
        "organ.share": Var("1", "share of the MPS clearance that these organs have"),
    }
    reads = ("liposome.N_plasma", "liposome.N_per_lipid", "liposome.lipid", "liposome.CL_mps", "liposome.V")

    f_liver: Scalar = share("share of the MPS clearance that the liver has")
    spleen_fold: Scalar = param("1", "uptake per mass of spleen over that of liver")
    kidney_fold: Scalar = param("1", "uptake per mass of kidney over that of liver")
    m_liver: Scalar = param("g", "mass of the liver")
    m_spleen: Scalar = param("g", "mass of the spleen")
    m_kidney: Scalar = param("g", "mass of the kidneys")
    plasma_liver: Scalar = param("mL/g", "plasma per mass of liver")
    plasma_spleen: Scalar = param("mL/g", "plasma per mass of spleen")
    plasma_kidney: Scalar = param("mL/g", "plasma per mass of kidney")
    plasma_lung: Scalar = param("mL/g", "plasma per mass of lung")
    plasma_blood: Scalar = param("mL/g", "plasma per mass of blood")
    k_liver: Scalar = param("1/h", "loss from the liver of what is counted")
    k_spleen: Scalar = param("1/h", "loss from the spleen of what is counted")
    k_kidney: Scalar = param("1/h", "loss from the kidneys of what is counted")

    def derive(self, x):
        spleen = self.f_liver * self.spleen_fold * self.m_spleen / self.m_liver
        kidney = self.f_liver * self.kidney_fold * self.m_kidney / self.m_liver
        return {
            "organ.f_spleen": spleen,
            "organ.f_kidney": kidney,
            "organ.share": self.f_liver + spleen + kidney,
        }

    def evaluate(self, x):
        lipid = x["liposome.lipid"]

        def measured(particles, mass, plasma):
            return particles / x["liposome.N_per_lipid"] / mass + plasma * lipid

        return {
            "organ.liver": measured(x["organ.N_liver"], self.m_liver, self.plasma_liver),
            "organ.spleen": measured(x["organ.N_spleen"], self.m_spleen, self.plasma_spleen),
            "organ.kidney": measured(x["organ.N_kidney"], self.m_kidney, self.plasma_kidney),
            "organ.lung": self.plasma_lung * lipid,
            "organ.blood": self.plasma_blood * lipid,
        }

    def fluxes(self, x):
        cleared = x["liposome.CL_mps"] / x["liposome.V"] * x["liposome.N_plasma"]
        yield Flux("liposome.N_plasma", "organ.N_liver", self.f_liver * cleared)
        yield Flux("liposome.N_plasma", "organ.N_spleen", x["organ.f_spleen"] * cleared)
        yield Flux("liposome.N_plasma", "organ.N_kidney", x["organ.f_kidney"] * cleared)
        yield Flux("organ.N_liver", None, self.k_liver * x["organ.N_liver"])
        yield Flux("organ.N_spleen", None, self.k_spleen * x["organ.N_spleen"])
        yield Flux("organ.N_kidney", None, self.k_kidney * x["organ.N_kidney"])
