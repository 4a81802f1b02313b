"""An invented model of 29 states written as plain rates in one mechanism: what a composed model is compared with.

A Mg liposome in plasma, macrophages and tumour, body Mg, killer cells, an antibody, transferred cells and tumour cells, in
relative units. Its values are invented: only size and stiffness matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nanomg.dosing.dose import Dose
from nanomg.equations.mechanism import AbstractMechanism, Flux, Values, Var, param
from nanomg.equations.model import Model

HORIZON, EVERY = 1008.0, 6.0  # [h]
VALUES = {
    "kel": 0.02, "Vmps": 0.35, "Kmps": 0.8, "kpl": 0.08, "klp": 0.12, "kdm": 0.03, "kcap": 0.01, "use": 0.04, "ktv": 0.5,
    "ktvo": 6.0, "kepr": 0.15, "Wepr": 0.5, "kback": 0.05, "kon": 10.0, "koff": 0.2, "kint": 0.15, "ksyn": 0.05, "krec": 0.02,
    "krelp": 0.01, "kreli": 0.06, "krelin": 0.3, "load": 0.8, "kst": 1.5, "kab": 0.25, "kgl": 0.35, "feed": 0.012, "kpi": 4.0,
    "kip": 2.5, "kf": 0.12, "Tm": 0.10, "Km": 0.9, "aad": 0.5, "kad": 0.01, "kis": 0.05, "ksi": 0.02, "kib": 4e-4, "kbi": 1e-4,
    "ktm": 1.5, "Vu": 0.6, "Ku": 1.2, "kue": 0.25, "dsens": 0.3, "ka": 2.0, "EC50": 1.1, "nh": 3.5, "sT": 0.01, "dT": 0.01,
    "ktr": 0.02, "pT": 0.03, "KT": 0.6, "kex": 0.02, "krei": 0.008, "dX": 0.006, "kelP": 0.0015, "kcp": 0.02, "kpc": 0.015,
    "konp": 4.0, "koffp": 0.05, "kcar": 0.045, "dC": 0.012, "kcm": 0.003, "kmc": 0.001, "dM": 2e-4, "g": 0.006, "Wmax": 6.0,
    "kkT": 0.05, "kkC": 0.08, "e0": 0.3, "eA": 1.5, "Kk": 0.4, "kclD": 0.02,
}  # fmt: skip
START = {
    "Mcap": 1.0, "Ag": 1.0, "Gut": 0.02, "Mgp": 0.8, "Mgi": 1.1, "Mgsoft": 2.5, "Mgbone": 4.4, "Mgti": 0.7, "Mgtc": 1.5, "Rad": 1.0,
    "A": 0.2, "Teb": 1.0, "Tet": 0.3, "Tx": 0.1, "W": 1.0, "D": 0.1,
}  # fmt: skip
STATES = (
    *(
        "Lp",
        "Lper",
        "Lmps",
        "Mcap",
        "Ltv",
        "Lti",
        "Ltb",
        "Ltin",
        "Ag",
        "Stom",
        "Gut",
        "Mgp",
        "Mgi",
        "Mgsoft",
        "Mgbone",
        "Mgti",
    ),
    *("Mgtc", "Rad", "A", "Teb", "Tet", "Tx", "Pc", "Pp", "Occ", "Ce", "Cm", "W", "D"),
)


def _rates(p: Any, s: dict[str, Any]) -> dict[str, Any]:
    Lp, W, A, Tet = s["Lp"], s["W"], s["A"], s["Tet"]
    taken = p.Vmps * Lp * s["Mcap"] / (p.Kmps + Lp)
    aside = p.kpl * Lp - p.klp * s["Lper"]
    vessel = p.ktv * Lp - p.ktvo * s["Ltv"]
    leak = p.kepr * s["Ltv"] * W / (p.Wepr + W) - p.kback * s["Lti"]
    bind = p.kon * s["Lti"] * s["Ag"] - p.koff * s["Ltb"]
    inside, freed = p.kint * s["Ltb"], p.krelin * s["Ltin"]
    spilt = p.krelp * Lp, p.kreli * s["Lti"], p.kreli * s["Ltb"]
    power = s["Mgti"] ** p.nh
    cleared = p.kf * s["Mgp"] - p.Tm * s["Rad"] * s["Mgp"] / (p.Km + s["Mgp"])
    uptake = p.Vu * s["Mgti"] / (p.Ku + s["Mgti"]) - p.kue * s["Mgtc"]
    tumour = p.ktm * (s["Mgi"] - s["Mgti"])
    tissue = p.kpi * s["Mgp"] - p.kip * s["Mgi"]
    soft, bone = p.kis * s["Mgi"] - p.ksi * s["Mgsoft"], p.kib * s["Mgi"] - p.kbi * s["Mgbone"]
    room, free = W / (p.KT + W), 1 - 0.7 * (1 - s["Occ"])
    homing = p.ktr * s["Teb"] * (1 + A) - 0.2 * p.ktr * Tet
    tired, woken = p.kex * (1 - s["Occ"]) * room * Tet, p.krei * s["Occ"] * s["Tx"]
    killed = (p.kkT * Tet * (p.e0 + p.eA * A) * free + p.kkC * s["Ce"] * (p.e0 + A)) * W / (p.Kk + W)
    antibody = p.kcp * s["Pc"] - p.kpc * s["Pp"]
    return {
        "Lp": -p.kel * Lp - taken - aside - 0.1 * vessel - spilt[0],
        "Lper": aside,
        "Lmps": taken - p.kdm * s["Lmps"],
        "Mcap": p.kcap * (1 - s["Mcap"]) - p.use * taken * s["Mcap"],
        "Ltv": vessel - leak,
        "Lti": leak - bind - spilt[1],
        "Ltb": bind - inside - spilt[2],
        "Ltin": inside - freed,
        "Ag": p.ksyn * (1 - s["Ag"]) - bind + p.krec * s["Ltb"],
        "Stom": p.feed - p.kst * s["Stom"],
        "Gut": p.kst * s["Stom"] - (p.kab + p.kgl) * s["Gut"],
        "Mgp": p.kab * s["Gut"] + p.load * (spilt[0] + p.kdm * s["Lmps"]) - tissue - cleared,
        "Mgi": 0.25 * tissue - soft - bone - 0.02 * tumour,
        "Mgsoft": soft,
        "Mgbone": bone,
        "Mgti": tumour + p.load * (spilt[1] + spilt[2]) - uptake,
        "Mgtc": 0.5 * uptake + p.load * freed - 0.1 * p.dsens * (s["Mgtc"] - 1.5),
        "Rad": p.kad * (1 + p.aad * (0.8 - s["Mgp"]) - s["Rad"]),
        "A": p.ka * (power / (p.EC50**p.nh + power) - A),
        "Teb": p.sT - p.dT * s["Teb"] - homing,
        "Tet": homing + p.pT * A * room * Tet * free - tired + woken - 1.5 * p.dT * Tet - 0.004 * Tet * Tet,
        "Tx": tired - woken - p.dX * s["Tx"],
        "Pc": -p.kelP * s["Pc"] - antibody,
        "Pp": antibody,
        "Occ": p.konp * s["Pc"] * (1 - s["Occ"]) - p.koffp * s["Occ"],
        "Ce": s["Ce"] * (p.kcar * room * (0.5 + A) - p.dC - p.kcm - 0.01 * s["Ce"]) + p.kmc * s["Cm"] * room,
        "Cm": p.kcm * s["Ce"] - (p.kmc * room + p.dM) * s["Cm"],
        "W": p.g * W * (1 - W / p.Wmax) - killed,
        "D": killed - p.kclD * s["D"],
    }


class Plain(AbstractMechanism):
    """All rates at once: no signals, no shared fluxes."""

    name = "plain"
    states = {f"plain.{n}": Var("1", n) for n in STATES}
    __annotations__ = dict.fromkeys(VALUES, "Any")
    locals().update({n: param("1", n) for n in VALUES})

    def initial(self, x: Values) -> Values:
        """Where the model starts."""
        return {f"plain.{n}": v for n, v in START.items()}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        """Each rate as a flux from outside."""
        for name, rate in _rates(self, {n: x[f"plain.{n}"] for n in STATES}).items():
            yield Flux(None, f"plain.{name}", rate)


MODEL = Model(Plain)
DOSES = (
    *(Dose(0.5 + 168 * k, 2.0, "plain.Lp", 1.0) for k in range(6)),
    *(Dose(24.25 + 504 * k, 1.0, "plain.Pc", 0.5) for k in range(2)),
    Dose(72.25, 0.3, "plain.Ce", 0.5),
    *(Dose(10.25 + 168 * k, 0.5, "plain.Stom", 0.1) for k in range(6)),
)
