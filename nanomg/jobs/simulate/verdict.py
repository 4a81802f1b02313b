"""What Mg did in a regimen, next to the control arms, as numbers and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.analysis import across_subjects
from nanomg.formatting import bounded
from nanomg.library.scenario import Scenario
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT, Arms
from nanomg.simulation.roles import CONCENTRATION, DONNAN, HOURS, RELEVANT, RESPONSE, SERUM


def hours_above(times: np.ndarray, rise: np.ndarray, threshold: float) -> float:
    """Hours per day that a piecewise linear `rise` is above `threshold`, over the whole of `times` [h]."""
    return 24.0 * float(across_subjects.share_above(rise, times, threshold))


def _mean(times: np.ndarray, values: np.ndarray) -> float:
    return float(np.trapezoid(values, times) / (times[-1] - times[0]))


def _effect(arms: Arms, regimen: str, gamma: float) -> dict[str, Any]:
    """What one arm does against the arm without Mg, under each hypothesis."""
    times = arms.times
    out: dict[str, Any] = {key: {} for key in HOURS}
    gain, rises, peaks, serum = {}, [], [], []
    for h in arms.hypotheses:
        treated = {n: arms.pick(n, regimen, h) for n in (CONCENTRATION, RESPONSE, SERUM)}
        control = {n: arms.pick(n, WITHOUT, h) for n in (CONCENTRATION, RESPONSE, SERUM)}
        rise = treated[CONCENTRATION] - control[CONCENTRATION]
        for key, label in HOURS.items():
            out[key][h] = hours_above(times, rise, RELEVANT[label])
        gain[h] = _mean(times, treated[RESPONSE] / control[RESPONSE]) - 1.0
        rises.append(_mean(times, rise))
        peaks.append(float(rise.max()))
        serum.append(gamma * _mean(times, treated[SERUM] - control[SERUM]))
    through_serum = serum[0] / rises[0] if rises[0] > 1e-9 else None
    return {
        **out,
        "mean_competence_gain": gain,
        "mean_rise": {"value": rises[0], "unit": "mmol/L"},
        "peak_rise": {"value": peaks[0], "unit": "mmol/L"},
        "share_serum": through_serum,
        "share_local": None if through_serum is None else 1.0 - through_serum,
    }


def judge(scenario: Scenario, arms: Arms, regimen: str = AS_GIVEN) -> tuple[dict[str, Any] | None, str]:
    """The verdict on one arm, as numbers and as one plain sentence."""
    known = all(name in arms.data for name in (CONCENTRATION, RESPONSE, SERUM))
    if not known:
        return None, "This model has no tumour interstitium and no LFA-1, so nothing is said about tumour Mg."
    if WITHOUT not in arms.regimens:
        return None, "Nothing in this regimen brings Mg, so there is no Mg effect to judge."
    used = [arms.regimens.index(r) for r in (regimen, WITHOUT)]
    if arms.status[used].any():
        return None, "No verdict: a trajectory of this regimen or of its arm without Mg failed."
    gamma = scenario.parameters[DONNAN].value
    effect = _effect(arms, regimen, gamma)
    solved = FREE in arms.regimens and not arms.status[arms.regimens.index(FREE)].any()
    effect["free"] = _effect(arms, FREE, gamma) if solved else None
    return effect, _sentence(effect)


def judge_each(scenario: Scenario, arms: Mapping[str, Arms]) -> tuple[dict[str, Any], str]:
    """The verdicts on several subjects by ID, as numbers and as one sentence on the span over them."""
    judged = {subject: judge(scenario, found) for subject, found in arms.items()}
    effects = {subject: effect for subject, (effect, _) in judged.items() if effect is not None}
    if not effects:
        return {}, next(
            (sentence for _, sentence in judged.values()), "No subject is given Mg, so there is no Mg effect to judge."
        )
    over = {
        key: {(s, h): value for s, effect in effects.items() for h, value in effect[key].items()}
        for key in (*HOURS, "mean_competence_gain")
    }
    failed = len(judged) - len(effects)
    return effects, (
        f"{len(effects)} subjects with Mg: tumour free Mg is {_hours(over)}, "
        f"mean T-cell competence changed by {_span(over['mean_competence_gain'], 100.0, '+')} % against the arm without Mg, "
        f"over all of them and {', '.join(sorted({h for _, h in over['mean_competence_gain']}))}."
        + (f" {failed} more cannot be judged, because a trajectory failed." if failed else "")
    )


def _span(values: Mapping[Any, float], scale: float = 1.0, sign: str = "") -> str:
    low, high = min(values.values()) * scale, max(values.values()) * scale
    ends = f"{low:{sign}.1f}", f"{high:{sign}.1f}"
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _hours(effect: Mapping[str, Any]) -> str:
    return " and ".join(f"above +{label} mmol/L for {_span(effect[key])} h/day" for key, label in HOURS.items())


def _against_free(free: Mapping[str, Any] | None) -> str:
    if free is None:
        return ""
    key, label = next(iter(HOURS.items()))
    hours, peak = _span(free[key]), free["peak_rise"]["value"]
    return f" The same Mg given free: above +{label} mmol/L for {hours} h/day, at a peak of +{peak:.2g} mmol/L."


def local_share(effect: Mapping[str, Any]) -> float | None:
    """The share of the mean rise that is local, 0 to 1: where serum explains more than all of it or falls, that is 0 or all."""
    return bounded(effect.get("share_local"))


def _sentence(effect: Mapping[str, Any]) -> str:
    low, high = (effect[key] for key in HOURS)
    if max(high.values()) >= 12.0:
        head = "Tumour free Mg is held at a relevant level"
    elif max(low.values()) >= 12.0:
        head = "Tumour free Mg is raised a little for most of the time"
    elif max(low.values()) >= 1.0:
        head = "Tumour free Mg is raised for part of the time only"
    else:
        head = "Tumour free Mg is practically not raised"
    gain = effect["mean_competence_gain"]
    local = local_share(effect)
    source = "" if local is None else f"; {100 * local:.0f} % of the mean rise is local"
    return (
        f"{head}: {_hours(effect)}, mean T-cell competence changed by {_span(gain, 100.0, '+')} % against the arm without Mg, "
        f"across {', '.join(sorted(gain))}{source}." + _against_free(effect["free"])
    )
