"""Exposure, clearance and volume of many curves, after a single dose and over a dosing interval at steady state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_MRT = ("IB", "IC", "EV")  # codes of the mean residence time after a bolus, an infusion and by other routes


def after_single_dose(
    t: np.ndarray,
    c: np.ndarray,
    areas: np.ndarray,
    moments: np.ndarray,
    until: np.ndarray,
    rate: np.ndarray,
    predicted: np.ndarray,
    dose: np.ndarray,
    duration: float,
) -> dict[str, np.ndarray]:
    """Parameters after a single dose, extrapolated with the terminal rate constant `rate` from the last value at `t`.

    That value is `c` as observed and `predicted` by the terminal line. `areas` and `moments` (curve, sample) count where `until`
    is true; `dose` is in units of volume times concentration, and `duration` that of an infusion.
    """
    dose = np.where(dose > 0, dose, np.nan)
    area, moment = (areas * until).sum(1), (moments * until).sum(1)
    found = {"AUCLST": area, "AUCALL": areas.sum(1), "AUMCLST": moment}
    found |= {f"MRT{way}LST": moment / area - duration / 2 for way in _MRT}
    for ending, last in (("O", c), ("P", predicted)):
        whole, whole_moment = area + last / rate, moment + last * t / rate + last / rate**2
        residence, clearance = whole_moment / whole - duration / 2, dose / whole
        found |= {
            f"AUCIF{ending}": whole,
            f"AUCPE{ending}": 100.0 * (1.0 - area / whole),
            f"AUCPBE{ending}": 100.0 * areas[:, 0] / whole,
            f"AUMCIF{ending}": whole_moment,
            f"AUMCPE{ending}": 100.0 * (1.0 - moment / whole_moment),
            **{f"MRT{way}IF{ending}": residence for way in _MRT},
            **{f"{code}{ending}": clearance for code in ("CL", "CLF")},
            **{f"{code}{ending}": clearance / rate for code in ("VZ", "VZF")},
            f"VSS{ending}": clearance * residence,
        }
    normalised = ("AUCLST", "AUCALL", "AUCIFO", "AUCIFP")
    return found | {f"{code}D": found[code] / dose for code in normalised}


def at_steady_state(
    p: Mapping[str, np.ndarray], area: np.ndarray, dose: np.ndarray, tau: float
) -> dict[str, np.ndarray]:
    """Parameters over a dosing interval at steady state."""
    dose = np.where(dose > 0, dose, np.nan)
    clearance = dose / area
    return {
        "AUCTAU": area,
        "AUCTAUD": area / dose,
        "CAVG": area / tau,
        "FLUCP": 100.0 * (p["CMAX"] - p["CMIN"]) / (area / tau),
        "SWING": (p["CMAX"] - p["CMIN"]) / p["CMIN"],
        **dict.fromkeys(("CLTAU", "CLFTAU"), clearance),
        **dict.fromkeys(("VZTAU", "VZFTAU"), clearance / p["LAMZ"]),
    }
