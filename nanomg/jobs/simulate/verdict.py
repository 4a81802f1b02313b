"""What Mg did in a regimen, next to the control arms, as numbers and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.analysis.readouts import DAY, READ_OUTS
from nanomg.formatting import bounded, format_number
from nanomg.jobs.simulate.effect_text import LEAST_RISE, gain_text, hours_text, is_long
from nanomg.library.scenario import Scenario
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT, Arms
from nanomg.simulation.roles import CONCENTRATION, DONNAN, HOURS, RELEVANT, RESPONSE, SERUM


def hours_above(times: np.ndarray, rise: np.ndarray, threshold: float) -> float:
    """Hours per day that `rise` is above `threshold`, over the whole of `times` [h]."""
    return DAY * _read("time above", times, rise, threshold) / float(times[-1] - times[0])


def _read(name: str, times: np.ndarray, values: np.ndarray, *level: float) -> float:
    """A read-out of a whole curve."""
    return float(READ_OUTS[name].formula(times, values, times[0], times[-1], *level))


def _effect(arms: Arms, regimen: str, gamma: float) -> dict[str, Any]:
    """The effect of Mg in one arm compared with the arm without Mg, under each hypothesis."""
    times = arms.times
    out: dict[str, Any] = {key: {} for key in HOURS}
    gain, rises, peaks, serum = {}, [], [], []
    for h in arms.hypotheses:
        treated = {n: arms.pick(n, regimen, h) for n in (CONCENTRATION, RESPONSE, SERUM)}
        control = {n: arms.pick(n, WITHOUT, h) for n in (CONCENTRATION, RESPONSE, SERUM)}
        rise = treated[CONCENTRATION] - control[CONCENTRATION]
        for key, label in HOURS.items():
            out[key][h] = hours_above(times, rise, RELEVANT[label])
        gain[h] = _read("mean", times, treated[RESPONSE] / control[RESPONSE]) - 1.0
        rises.append(_read("mean", times, rise))
        peaks.append(_read("max", times, rise))
        serum.append(gamma * _read("mean", times, treated[SERUM] - control[SERUM]))
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
    """The conclusion on one arm, as numbers and in words."""
    known = all(name in arms.data for name in (CONCENTRATION, RESPONSE, SERUM))
    if not known:
        return None, "This model has no tumour interstitium and no LFA-1, so there is no conclusion about tumour Mg."
    if WITHOUT not in arms.regimens:
        return None, "No dose of this regimen contains Mg."
    used = [arms.regimens.index(r) for r in (regimen, WITHOUT)]
    if arms.status[used].any():
        return None, "No conclusion: a trajectory of this regimen or of its control arm without Mg failed."
    gamma = scenario.parameters[DONNAN].value
    effect = _effect(arms, regimen, gamma)
    solved = FREE in arms.regimens and not arms.status[arms.regimens.index(FREE)].any()
    effect["free"] = _effect(arms, FREE, gamma) if solved else None
    return effect, _sentence(effect)


def judge_each(scenario: Scenario, arms: Mapping[str, Arms]) -> tuple[dict[str, Any], str]:
    """The conclusions on several subjects by ID, as numbers, and one sentence on their range."""
    judged = {subject: judge(scenario, found) for subject, found in arms.items()}
    effects = {subject: effect for subject, (effect, _) in judged.items() if effect is not None}
    if not effects:
        return {}, next((sentence for _, sentence in judged.values()), "No subject receives Mg.")
    over = {
        key: {(s, h): value for s, effect in effects.items() for h, value in effect[key].items()}
        for key in (*HOURS, "mean_competence_gain")
    }
    failed, hypotheses = len(judged) - len(effects), ", ".join(sorted({h for _, h in over["mean_competence_gain"]}))
    return effects, (
        f"{len(effects)} subjects with Mg: tumour free Mg is {_hours(over)}. "
        f"{_competence(over['mean_competence_gain'], f'range over subjects and {hypotheses}')}."
        + (f" {failed} more have no conclusion, because a trajectory failed." if failed else "")
    )


def _hours(effect: Mapping[str, Any]) -> str:
    return " and ".join(_time_above(effect[key], label) for key, label in HOURS.items())


def _time_above(hours: Mapping[Any, float], label: str) -> str:
    never = max(hours.values()) <= 0.0
    return f"never above +{label} mmol/L" if never else f"above +{label} mmol/L for {hours_text(hours)} h/day"


def _competence(gain: Mapping[Any, float], over: str) -> str:
    span = gain_text(gain)
    return "T-cell competence does not change" if span == "0" else f"T-cell competence changes by {span} % ({over})"


def _unencapsulated(free: Mapping[str, Any] | None) -> str:
    if free is None:
        return ""
    return f" The same Mg unencapsulated: a rise of at most {format_number(free['peak_rise']['value'], 3)} mmol/L, {_hours(free)}."


def local_share(effect: Mapping[str, Any]) -> float | None:
    """The share of the mean rise that is local, between 0 and 1: 0 if serum explains more than the rise, 1 if serum falls."""
    return bounded(effect.get("share_local"))


def _sentence(effect: Mapping[str, Any]) -> str:
    peak, (label, relevant) = effect["peak_rise"]["value"], max(RELEVANT.items(), key=lambda level: level[1])
    if peak < LEAST_RISE:
        rise = "Free Mg in the tumour does not rise."
    else:
        short = f", {format_number(relevant / peak, 3)}-fold short of +{label} mmol/L" if peak < relevant else ""
        rise = f"Free Mg in the tumour rises by at most {format_number(peak, 3)} mmol/L{short}."
    if any(is_long(effect[key]) for key in HOURS):
        rise += f" It is {_hours(effect)}."
    gain, local = effect["mean_competence_gain"], local_share(effect)
    source = (
        ""
        if local is None or peak < LEAST_RISE
        else f" Of the mean rise, {100 * (1.0 - local):.0f} % comes from serum."
    )
    return f"{rise} {_competence(gain, ', '.join(sorted(gain)))}.{source}{_unencapsulated(effect['free'])}"
