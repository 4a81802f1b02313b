"""Accelerated blood clearance: anti-PEG IgM after a first dose of PEG liposomes speeds the removal of the next.

Small first doses immunise, large ones blunt the response (Ishida 2006): the stimulus falls with the area under the lipid seen so
far, which is forgotten over weeks. The lag of some days is two linear transits.
"""

from __future__ import annotations

from nanomg import AbstractMechanism, Flux, Scalar, Var, param


class AntiPEG(AbstractMechanism):
    """Anti-PEG IgM relative to its half-maximum effect, and the exposure that blunts its production."""

    name = "antipeg"
    states = {
        "antipeg.seen": Var("mg*h/mL", "area under the lipid in plasma that the immune system remembers"),
        "antipeg.igm_1": Var("1", "response, first transit"),
        "antipeg.igm_2": Var("1", "response, second transit"),
        "antipeg.igm": Var("1", "anti-PEG IgM relative to half-maximum effect"),
    }
    signals = {"antipeg.fold": Var("1", "fold rise of the MPS clearance of PEG liposomes")}
    reads = ("liposome.lipid",)

    rise: Scalar = param("1", "fold rise of MPS clearance at full response")
    k_immune: Scalar = param("1/h", "strength of the response")
    lipid_lo: Scalar = param("mg/mL", "lipid in plasma for half of the stimulus")
    seen_hi: Scalar = param("mg*h/mL", "area under the lipid seen that blunts the stimulus by half")
    k_forget: Scalar = param("1/h", "loss of the blunting")
    k_transit: Scalar = param("1/h", "transit rate of the response")
    k_igm: Scalar = param("1/h", "loss of anti-PEG IgM")

    def evaluate(self, x):
        igm = x["antipeg.igm"]
        return {"antipeg.fold": 1.0 + (self.rise - 1.0) * igm / (1.0 + igm)}

    def fluxes(self, x):
        lipid, blunted = x["liposome.lipid"], x["antipeg.seen"] / self.seen_hi
        stimulus = lipid / (lipid + self.lipid_lo) / (1.0 + blunted**2)
        yield Flux(None, "antipeg.seen", lipid)
        yield Flux("antipeg.seen", None, self.k_forget * x["antipeg.seen"])
        yield Flux(None, "antipeg.igm_1", self.k_immune * stimulus)
        yield Flux("antipeg.igm_1", "antipeg.igm_2", self.k_transit * x["antipeg.igm_1"])
        yield Flux("antipeg.igm_2", "antipeg.igm", self.k_transit * x["antipeg.igm_2"])
        yield Flux("antipeg.igm", None, self.k_igm * x["antipeg.igm"])
