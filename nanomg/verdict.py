"""What a regimen does to tumour free Mg and to T-cell competence, against the same regimen without Mg.

Arms are lanes of one block: the regimen as given, without its Mg, with the same Mg given free, each under the LFA-1 hypotheses.
This is one of the few modules of the machinery that know quantities of the science by name: docs/architecture.md lists them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanomg import analysis, simulation
from nanomg.dosing import Dose
from nanomg.model import Model
from nanomg.scenario import Scenario
from nanomg.wording import bounded

SUBSTANCE, TUMOUR = "Mg", "tumour cell"
CONCENTRATION, RESPONSE = "interstitium.C", "lfa1.competence"
SERUM, DONNAN = "magnesium.ionised", "interstitium.gamma"
HYPOTHESES = {"H1": "lfa1.w_H1", "H2": "lfa1.w_H2", "H3": "lfa1.w_H3"}
RELEVANT = {
    "0.02": 0.02,
    "0.3": 0.3,
}  # rise of tumour free Mg [mmol/L]: by repletion, and of the order that cells respond to
HOURS = {f"hours_per_day_above_{label}": label for label in RELEVANT}  # keys of an effect
AS_GIVEN, WITHOUT, FREE = "as given", "without Mg", "same Mg given free"
AS_SET = "as set"


@dataclasses.dataclass(frozen=True)
class Arms:
    """Trajectories of arms under hypotheses: `data[name]` and `status` are (regimen, scenario[, time])."""

    regimens: tuple[str, ...]
    hypotheses: tuple[str, ...]
    doses: Mapping[str, tuple[Dose, ...]]
    times: np.ndarray
    data: Mapping[str, np.ndarray]
    status: np.ndarray

    def pick(self, name: str, regimen: str, hypothesis: str) -> np.ndarray:
        """One trajectory (time,)."""
        return self.data[name][self.regimens.index(regimen), self.hypotheses.index(hypothesis)]


def hypotheses_of(scenario: Scenario) -> tuple[str, ...]:
    """The hypotheses to run; the one that the scenario's weights choose comes first. A mixture runs as set, too."""
    if not all(name in scenario.parameters for name in HYPOTHESES.values()):
        return (AS_SET,)
    weights = {h: scenario.parameters[name].value for h, name in HYPOTHESES.items()}
    chosen = [h for h, w in weights.items() if w > 0]
    rest = tuple(h for h in HYPOTHESES if len(chosen) > 1 or h not in chosen)
    return ((AS_SET,) if len(chosen) != 1 else tuple(chosen)) + rest


def carries(model: Model, cmt: str) -> list[str]:
    """The states that hold Mg among those that a dose into `cmt` reaches; none where it inoculates a tumour: no treatment."""
    held = {s: model.states[s].substance for s in (model.ports[cmt].into if cmt in model.ports else (cmt,))}
    return [] if TUMOUR in held.values() else [s for s, what in held.items() if what == SUBSTANCE]


def without_mg(model: Model, doses: Sequence[Dose]) -> tuple[Dose, ...]:
    """The regimen with every dose that brings Mg left out."""
    return tuple(d for d in doses if not carries(model, d.cmt))


def free_of(model: Model, x: Mapping[str, Any], cmt: str) -> tuple[str, float] | None:
    """The port that takes the Mg of a dose into `cmt` unencapsulated, and how much Mg one unit of dose brings; None if none is.

    `x` holds parameters and constants.
    """
    port = model.ports.get(cmt)
    if port is None or port.free not in {*model.ports, *model.states} or not carries(model, cmt):
        return None
    share = [port.into[s] for s in carries(model, cmt)]
    return port.free, sum(float(x[c]) if isinstance(c, str) else c for c in share)


def given_free(scenario: Scenario, doses: Sequence[Dose]) -> tuple[Dose, ...] | None:
    """The regimen with the Mg of every carrier given unencapsulated by the same route, or None where nothing is encapsulated."""
    x = simulation.derived(scenario.model, scenario.values)
    found = {cmt: free_of(scenario.model, x, cmt) for cmt in {dose.cmt for dose in doses}}
    if not any(found.values()):
        return None
    free = []
    for dose in doses:
        to = found[dose.cmt]
        free.append(dose if to is None else Dose(dose.time, dose.amt * to[1], to[0], dose.duration))
    return tuple(free)


def arms_of(scenario: Scenario, doses: Sequence[Dose], name: str = AS_GIVEN) -> dict[str, tuple[Dose, ...]]:
    """A regimen with its paired arms."""
    arms = {name: tuple(doses)}
    if any(carries(scenario.model, d.cmt) for d in doses):
        arms[WITHOUT] = without_mg(scenario.model, doses)
        if (free := given_free(scenario, doses)) is not None:
            arms[FREE] = free
    return arms


def run_arms(
    scenario: Scenario,
    arms: Mapping[str, tuple[Dose, ...]],
    rtol: float = simulation.RTOL,
    hypotheses: Sequence[str] | None = None,
    precision: str = "float64",
) -> Arms:
    """Solve every arm under every hypothesis as one block and return all states and signals."""
    hypotheses = tuple(hypotheses or hypotheses_of(scenario))
    regimens, model = tuple(arms), scenario.model
    doses = tuple(sorted({d for arm in arms.values() for d in arm}, key=lambda d: (d.time, d.cmt, d.amt, d.duration)))
    given = np.array([[d.amt * arms[r].count(d) for r in regimens for _ in hypotheses] for d in doses])
    batch = len(regimens) * len(hypotheses)
    known = set(hypotheses) & set(HYPOTHESES)
    plan = simulation.plan_for(model, doses, tuple(HYPOTHESES.values()) if known else (), precision=precision)
    times = simulation.output_times(scenario.horizon, scenario.every, doses)
    values: dict[str, Any] = dict(scenario.values)
    if known:
        for name in HYPOTHESES.values():
            weight = [values[name] if h == AS_SET else float(HYPOTHESES[h] == name) for h in hypotheses]
            values[name] = np.tile(weight, len(regimens))
    lanes = simulation.lanes_for(plan, values, doses, scenario.windows, times, batch, given.reshape(len(doses), batch))
    solved = simulation.run(plan, lanes, rtol)
    found = simulation.observe(plan, lanes, solved, [*model.states, *model.signals])
    shape = len(regimens), len(hypotheses)
    data = {name: np.moveaxis(rows.reshape(len(times), *shape), 0, -1) for name, rows in found.items()}
    return Arms(regimens, hypotheses, dict(arms), times, data, np.asarray(solved.status).reshape(shape))


def hours_above(times: np.ndarray, rise: np.ndarray, threshold: float) -> float:
    """Hours per day that a piecewise linear `rise` is above `threshold`, over the whole of `times` [h]."""
    return 24.0 * float(analysis.share_above(rise, times, threshold))


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
