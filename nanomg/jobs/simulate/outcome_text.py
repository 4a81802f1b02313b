"""The outcome in words: the first sentences of a conclusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nanomg.formatting import capital
from nanomg.jobs.simulate.effect_text import difference_text, over_text, share_text, span_text, unit_after
from nanomg.jobs.simulate.outcome import END, HIGHEST, MEAN, OutcomeNumbers, read_outs_of
from nanomg.library.scenario import Scenario
from nanomg.results.kinds import BASELINE, BASELINE_EFFECT, BASELINE_WITHOUT, CHANGE, FREE_EFFECT, MG_EFFECT, REST
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation.arms import WITHOUT
from nanomg.simulation.roles import CONCENTRATION, RESPONSE, SERUM, tissue_of

_CHANGED = 0.01  # of its start: a smaller change of serum Mg is not one that a disease or diet makes


def with_and_without(scenario: Scenario, found: OutcomeNumbers) -> str:
    """What the Mg changes, other doses being the same; nothing where the outcome is free Mg itself, or there is none."""
    if not _is_apart(found):
        return ""
    name, (read_out, _) = found.main[0], read_outs_of(found.units[found.main[0]])
    given, control = (found.typical(name, read_out, r) for r in (found.regimen, WITHOUT))
    by_mg = found.typical(name, read_out, MG_EFFECT)
    unit, what = unit_after(found.units[name]), _named(scenario, name, read_out)
    change, over = difference_text(by_mg.values(), found.size(name, read_out, MG_EFFECT)), over_text(by_mg)
    over += _of_subjects(found)
    with_it, without = (span_text(values.values(), 3) for values in (given, control))
    same = f"{with_it}{unit} with and without it"
    if change == "0":
        text = f"The Mg does not change {what}: {same}{over}."
    else:
        share = share_text(by_mg[h] / control[h] for h in by_mg if control[h])
        pair = same if with_it == without else f"{with_it}{unit} with it, {without}{unit} without"
        text = f"The Mg changes {what} by {change}{unit}{f' ({share})' if share else ''}{over}: {pair}."
    return text + _since_baseline(found, name, read_out)


def _since_baseline(found: OutcomeNumbers, name: str, read_out: str) -> str:
    """What the Mg of a baseline regimen does, and what all other changes from it do; nothing where there is none."""
    if REST not in found.compared:
        return ""
    unit = unit_after(found.units[name])
    before = found.typical(name, read_out, BASELINE)
    by_doses, by_mg = (
        difference_text(found.typical(name, read_out, of).values(), found.size(name, read_out, of))
        if of in found.compared
        else ""
        for of in (REST, BASELINE_EFFECT)
    )
    text = f"{span_text(before.values(), 3)}{unit}"
    if by_mg:
        text += f", which its own Mg changes by {by_mg}{unit}" if by_mg != "0" else ", the same without its Mg"
    bring = f"bring {by_doses}{unit}" if by_doses != "0" else "make no difference"
    return f" Compared with the baseline regimen ({text}), changes of other doses {bring}."


def given_free(scenario: Scenario, found: OutcomeNumbers) -> str:
    """What the same Mg given free does to the outcome, as the end of a sentence."""
    if not _is_apart(found) or FREE_EFFECT not in found.compared:
        return ""
    name, (read_out, _) = found.main[0], read_outs_of(found.units[found.main[0]])
    size, what = found.size(name, read_out, FREE_EFFECT), _named(scenario, name, read_out)
    change = difference_text(found.typical(name, read_out, FREE_EFFECT).values(), size)
    if change == "0":
        return f", and does not change {what}"
    return f", and changes {what} by {change}{unit_after(found.units[name])}"


def _is_apart(found: OutcomeNumbers) -> bool:
    """Whether there is an outcome other than the free Mg that the next sentence is about."""
    return bool(found.main) and found.main[0].partition(".")[0] != CONCENTRATION.partition(".")[0]


def without_dose(scenario: Scenario, found: OutcomeNumbers, course: Mapping[str, np.ndarray]) -> str:
    """The conclusion on a regimen that brings no Mg: the outcome, what Mg does without a dose, and what to compare with.

    `course` has Mg and competence (hypothesis[, subject], time) as far as the model has them.
    """
    text = _outcome(scenario, found)
    if not simulation_arms.has_free_mg(scenario.model):
        return text
    tissue = tissue_of(scenario.model.declaration(CONCENTRATION).text) if CONCENTRATION in course else ""
    drifts = SERUM in course and bool((np.abs(course[SERUM] / course[SERUM][..., :1] - 1.0) > _CHANGED).any())
    if BASELINE_WITHOUT in found.regimens:
        return f"{text} The {found.regimen} gives no Mg."
    label = any(simulation_arms.is_label(scenario.model, dose.cmt) for dose in scenario.doses)
    sentences = [text, _LABEL if label else "No dose of this regimen contains Mg."]
    if drifts:
        changes = [f"serum ionised Mg {_extreme(course[SERUM])}"]
        changes += [f"free Mg in the {tissue} {_extreme(course[CONCENTRATION])}"] if tissue else []
        changes += [f"T-cell competence {_extreme(course[RESPONSE])}"] if RESPONSE in course else []
        sentences = [text, f"No dose contains Mg, but Mg changes: {_listed(changes)}{over_text(found.hypotheses)}."]
    return " ".join(filter(None, [*sentences, _advice(scenario, drifts, tissue)]))


def _outcome(scenario: Scenario, found: OutcomeNumbers) -> str:
    if not found.main:
        return ""
    name = found.main[0]
    unit, over = unit_after(found.units[name]), over_text(found.hypotheses)
    by_read_out: dict[str, list[str]] = {}
    for read_out in read_outs_of(found.units[name]):
        number = span_text(found.typical(name, read_out, found.regimen).values(), 3)
        by_read_out.setdefault(number, []).append(_WHEN[read_out])
    numbers = [f"{number}{unit} {' and '.join(when)}" for number, when in by_read_out.items()]
    text = f"{capital(scenario.model.declaration(name).text)}: {' and '.join(numbers)}{over}{_of_subjects(found)}."
    if BASELINE in found.regimens:
        read_out = read_outs_of(found.units[name])[0]
        before, change = (found.typical(name, read_out, of) for of in (BASELINE, CHANGE))
        text += (
            f" Compared with the baseline regimen ({span_text(before.values(), 3)}{unit}), "
            f"{_named(scenario, name, read_out)} changes by "
            f"{difference_text(change.values(), found.size(name, read_out, CHANGE))}{unit}."
        )
    return text


def _of_subjects(found: OutcomeNumbers) -> str:
    many = found.subjects is not None and len(found.subjects) > 1
    return f", in the median of {len(found.subjects or ())} subjects" if many else ""


def _extreme(y: np.ndarray) -> str:
    """The largest relative change of courses (hypothesis[, subject], time) from their start, in words."""
    ratio = y / y[..., :1] - 1.0
    low, high = np.nanmin(ratio, -1), np.nanmax(ratio, -1)
    falls = np.nanmax(-low) >= np.nanmax(high)
    sizes = 100.0 * np.abs(low if falls else high).ravel()
    return f"{'falls' if falls else 'rises'} by up to {span_text(sizes.tolist(), 2)} %"


def _advice(scenario: Scenario, drifts: bool, tissue: str) -> str:
    """What to compare with, so that an effect of Mg shows."""
    if scenario.control:
        return f"Compare it with the scenario {scenario.control} (nanomg compare) to see what the change of Mg does."
    if drifts:
        return "Compare it with a run in which Mg does not change (nanomg compare) to see what that does."
    ports = [name for name in scenario.model.ports if simulation_arms.carries(scenario.model, name)]
    if not ports or not tissue:
        return ""
    return f"To see what Mg would add, give a dose of it (--dose) into {_listed(ports, 'or')}."


def _listed(texts: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


_LABEL = "The dose is a label, which is too little to change Mg."
_WHEN = {END: "at the end", MEAN: "on average", HIGHEST: "at its highest"}


def _named(scenario: Scenario, name: str, read_out: str) -> str:
    """A read-out of an output, within a sentence."""
    text = scenario.model.declaration(name).text
    return {END: f"{text} at the end", MEAN: f"mean {text}", HIGHEST: f"highest {text}"}[read_out]
