"""What Mg did in a regimen, compared with its control arms: numbers, and the conclusion in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanomg.analysis.readouts import DAY, READ_OUTS
from nanomg.jobs.simulate import effect_text, outcome, outcome_text
from nanomg.jobs.simulate.outcome import OutcomeNumbers
from nanomg.library.scenario import Scenario
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT, Arms
from nanomg.simulation.event_runs import EventRuns
from nanomg.simulation.roles import CONCENTRATION, DONNAN, HOURS, RELEVANT, RESPONSE, SERUM, tissue_of
from nanomg.solver.status import Status


def hours_above(times: np.ndarray, rise: np.ndarray, threshold: float) -> float:
    """Hours per day that `rise` is above `threshold`, over the whole of `times` [h]."""
    return DAY * _read("time above", times, rise, threshold) / float(times[-1] - times[0])


def _read(name: str, times: np.ndarray, values: np.ndarray, *level: float) -> float:
    """A read-out of a whole curve."""
    return float(READ_OUTS[name].formula(times, values, times[0], times[-1], *level))


def _effect(scenario: Scenario, arms: Arms, regimen: str) -> dict[str, Any]:
    """The effect of Mg in one arm compared with the arm without Mg, under each hypothesis."""
    times, donnan = arms.times, scenario.parameters.get(DONNAN)
    out: dict[str, Any] = {key: {} for key in HOURS}
    gain, rises, peaks, serum = {}, [], {}, []
    for h in arms.hypotheses:
        treated, control = (
            {n: arms.pick(n, r, h) for n in (CONCENTRATION, RESPONSE, SERUM) if n in arms.data}
            for r in (regimen, WITHOUT)
        )
        rise = treated[CONCENTRATION] - control[CONCENTRATION]
        for key, label in HOURS.items():
            out[key][h] = hours_above(times, rise, RELEVANT[label])
        if RESPONSE in treated:
            gain[h] = _read("mean", times, treated[RESPONSE] / control[RESPONSE]) - 1.0
        rises.append(_read("mean", times, rise))
        peaks[h] = _read("max", times, rise)
        serum.append(_read("mean", times, treated[SERUM] - control[SERUM]))
    through_serum = donnan.value * serum[0] / rises[0] if donnan is not None and rises[0] > 1e-9 else None
    return {
        **out,
        "mean_competence_gain": gain,
        "mean_rise": {"value": rises[0], "unit": "mmol/L"},
        "peak_rise": {"value": peaks[arms.hypotheses[0]], "unit": "mmol/L"},
        "peak_rises": peaks,
        "share_serum": through_serum,
        "share_local": None if through_serum is None else 1.0 - through_serum,
        "tissue": tissue_of(scenario.model.declaration(CONCENTRATION).text),
    }


def judge(
    scenario: Scenario, arms: Arms, regimen: str = AS_GIVEN, numbers: OutcomeNumbers | None = None
) -> tuple[dict[str, Any] | None, str]:
    """The conclusion on one arm, as numbers and in words; `numbers` is the outcome of the arms, where it is known already."""
    found = outcome.of_arms(scenario, arms, regimen) if numbers is None else numbers
    if WITHOUT not in arms.regimens:
        given = arms.regimens.index(regimen)
        course = {name: arms.data[name][given] for name in _ROLES if name in arms.data}
        return None, _FAILED_ALONE if arms.status[given].any() else outcome_text.without_dose(scenario, found, course)
    used = [arms.regimens.index(r) for r in (regimen, WITHOUT)]
    if arms.status[used].any():
        return None, _FAILED
    if not {CONCENTRATION, SERUM} <= arms.data.keys():
        return None, f"{outcome_text.with_and_without(scenario, found)} {_NO_TISSUE}".strip()
    effect = _effect(scenario, arms, regimen)
    solved = FREE in arms.regimens and not arms.status[arms.regimens.index(FREE)].any()
    effect["free"] = _effect(scenario, arms, FREE) if solved else None
    return effect, _sentence(scenario, found, effect)


def judge_each(
    scenario: Scenario, arms: Mapping[str, Arms], numbers: OutcomeNumbers | None = None
) -> tuple[dict[str, Any], str]:
    """The conclusions on several subjects by ID, as numbers, and one sentence on their range; `numbers` is their outcome."""
    judged = {subject: judge(scenario, found) for subject, found in arms.items()}
    effects = {subject: effect for subject, (effect, _) in judged.items() if effect is not None}
    first = "" if numbers is None else outcome_text.with_and_without(scenario, numbers)
    if not effects:
        if all(sentence == _FAILED for _, sentence in judged.values()):
            return {}, _FAILED
        return {}, " ".join(filter(None, (f"{len(judged)} subjects with Mg.", first, _NO_TISSUE)))
    over = {
        key: {(s, h): value for s, effect in effects.items() for h, value in effect[key].items()}
        for key in (*HOURS, "mean_competence_gain", "peak_rises")
    }
    failed, (one, *_) = len(judged) - len(effects), effects.values()
    span = f" over subjects and{effect_text.over_text({h for _, h in over['peak_rises']}).removeprefix(' over')}"
    sentences = [
        f"{len(effects)} subjects with Mg.",
        first,
        effect_text.rise_sentence({**over, "tissue": one["tissue"]}),
        effect_text.competence_sentence(over, span),
        f"{failed} more have no conclusion, because a trajectory failed." if failed else "",
    ]
    return effects, " ".join(filter(None, sentences))


def without_mg(scenario: Scenario, runs: EventRuns, numbers: OutcomeNumbers) -> str:
    """The conclusion on several subjects none of whom receives Mg."""
    solved = np.flatnonzero((runs.status[0] == Status.DONE).all(0))
    if not len(solved):
        return _FAILED_ALONE
    course = {name: runs.data[name][0][:, solved] for name in _ROLES if name in runs.data}
    return outcome_text.without_dose(scenario, numbers, course)


def _sentence(scenario: Scenario, found: OutcomeNumbers, effect: Mapping[str, Any]) -> str:
    sentences = [
        outcome_text.with_and_without(scenario, found),
        effect_text.rise_sentence(effect),
        effect_text.competence_sentence(effect, effect_text.over_text(found.hypotheses)),
        effect_text.source_sentence(effect),
    ]
    if effect["free"] is not None:
        sentences.append(
            f"The same Mg given free, without its carrier, {effect_text.free_rise_text(effect['free'])}"
            f"{outcome_text.given_free(scenario, found)}."
        )
    return " ".join(filter(None, sentences))


_ROLES = (CONCENTRATION, RESPONSE, SERUM)
_FAILED = "No conclusion: a trajectory of this regimen or of its control arm without Mg failed."
_FAILED_ALONE = "No conclusion: a trajectory of this regimen failed."
_NO_TISSUE = "The model has no tumour interstitium, so free Mg in a tumour and T cells are not part of the answer."
