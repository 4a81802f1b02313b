"""Exposure, clearance and volume of many curves, after a single dose and over a dosing interval at steady state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


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
    """Parameters after a single dose, extrapolated from the last value `c` at `t` with the terminal rate constant `rate`.

    `areas` and `moments` (curve, sample) count where `until` is true; `predicted` is the last value of the terminal line, and
    `duration` that of an infusion.
    """
    area, moment = (areas * until).sum(1), (moments * until).sum(1)
    whole, whole_moment = area + c / rate, moment + c * t / rate + c / rate**2
    residence = whole_moment / whole - duration / 2
    clearance = np.where(dose > 0, dose, np.nan) / whole
    return {
        "AUCLST": area,
        "AUCIFO": whole,
        "AUCIFP": area + predicted / rate,
        "AUCPEO": 100.0 * (1.0 - area / whole),
        "AUCPBEO": 100.0 * areas[:, 0] / whole,
        "AUMCLST": moment,
        "AUMCIFO": whole_moment,
        "AUMCPEO": 100.0 * (1.0 - moment / whole_moment),
        **dict.fromkeys(("MRTIBIFO", "MRTICIFO", "MRTEVIFO"), residence),
        **dict.fromkeys(("CLO", "CLFO"), clearance),
        **dict.fromkeys(("VZO", "VZFO"), clearance / rate),
        "VSSO": clearance * residence,
    }


def at_steady_state(
    p: Mapping[str, np.ndarray], area: np.ndarray, dose: np.ndarray, tau: float
) -> dict[str, np.ndarray]:
    """Parameters over a dosing interval at steady state."""
    clearance = np.where(dose > 0, dose, np.nan) / area
    return {
        "AUCTAU": area,
        "CAVG": area / tau,
        "FLUCP": 100.0 * (p["CMAX"] - p["CMIN"]) / (area / tau),
        "SWING": (p["CMAX"] - p["CMIN"]) / p["CMIN"],
        **dict.fromkeys(("CLTAU", "CLFTAU"), clearance),
        **dict.fromkeys(("VZTAU", "VZFTAU"), clearance / p["LAMZ"]),
    }
