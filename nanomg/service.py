"""The main jobs from a scenario to a result: simulate and optimise. Command line and scripts call these."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nanomg import datasets, event_runs, results, simulation, summaries, units, verdict
from nanomg.datasets import BASELINE, OPTIMUM
from nanomg.dosing import Dose
from nanomg.errors import InputError
from nanomg.library import Library
from nanomg.models import library as find_library
from nanomg.records import read_text
from nanomg.scenario import Scenario, load
from nanomg.verdict import AS_GIVEN, Arms
from nanomg.wording import EXCEEDED, state_of_limit

if TYPE_CHECKING:
    from nanomg import search


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: the result as an xarray tree, what `--json` prints, and the file if one was written."""

    tree: xr.DataTree
    summary: dict[str, Any]
    path: Path | None


def finish(groups: Mapping[str, xr.Dataset], summary: dict[str, Any], path: Path | None, **about: Any) -> Run:
    """The run of these groups, written to `path` if there is one; `about` are further arguments of `results.root_attributes`."""
    attributes = results.root_attributes(summary=summary, **about)
    if path is not None:
        results.write(path, groups, attributes, force=True)
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs.update(attributes)
    return Run(tree, summary, path)


def resolve(
    scenario: str | Scenario, overrides: Mapping[str, str | float], dose: Sequence[str], library: Library | None
) -> Scenario:
    """A scenario by name, path, or as it is."""
    if isinstance(scenario, Scenario):
        if overrides or dose or library is not None:
            raise InputError(
                "set, dose and library act when a scenario is read; give its name or path with them", scenario.name
            )
        return scenario
    return load(scenario, library or find_library(), overrides, dose)


def simulate(
    scenario: str | Scenario,
    *,
    set: Mapping[str, str | float] | None = None,
    dose: Sequence[str] = (),
    events: str | Path | None = None,
    output: str | Path | None = None,
    records: str | Path | None = None,
    force: bool = False,
    precision: str = "float64",
    library: Library | None = None,
    command: str = "",
) -> Run:
    """Simulate a regimen with its paired arms under every LFA-1 hypothesis; write it to `output` if given.

    `set` maps parameters to values with units, `dose` replaces the scenario's regimen ("liposome.iv: 1 mg q 7 d x 3"). So does
    `events`, an event table in which each ID is a subject; `records` is the CSV file for the outputs at each of its records.
    `precision` is float64, or float32 where three figures are enough.
    Raises `InputError` for anything wrong with the request; a failed trajectory is marked in the result.
    """
    path, table = _check_files(events, output, records, force)
    if events is not None and dose:
        raise InputError("an event table replaces the regimen; give either that or doses, not both", "--events")
    simulation.tightest(precision)
    chosen = resolve(scenario, set or {}, dose, library)
    chosen = dataclasses.replace(chosen, config={**chosen.config, "precision": precision})
    if events is not None:
        return _simulate_events(chosen, Path(events), path, table, command)
    if chosen.plain:
        arms = verdict.run_arms(chosen, verdict.arms_of(chosen, chosen.doses), precision=precision)
        rows = None
    else:
        found = event_runs.run(chosen, (event_runs.subject_of(chosen),), precision)
        arms = found.of(0)
        rows = {name: datasets.record_rows(chosen, subjects, with_id=False) for name, subjects in found.arms.items()}
    mg, sentence = verdict.judge(chosen, arms)
    summary = {
        **_about(chosen, path),
        "status": summaries.of_status(arms.status),
        "signals": summaries.signals(chosen, arms, AS_GIVEN),
        "verdict": sentence,
        "mg": mg,
    }
    groups = {**datasets.of_arms(chosen, arms, rows), **datasets.of_verdict(mg, arms, AS_GIVEN)}
    return finish(groups, summary, path, **_origin(chosen, 0, command))


def _simulate_events(scenario: Scenario, events: Path, path: Path | None, table: Path | None, command: str) -> Run:
    """The simulation of an event table."""
    text = read_text(events)
    subjects = event_runs.subjects_in(scenario, text, str(events))
    taken = {name.upper() for name in subjects[0].records[0].cells} & {name.upper() for name in scenario.outputs}
    if table is not None and taken:
        raise InputError(f"the event table has a column {min(taken)} already, which is to be added", str(events))
    scenario = dataclasses.replace(scenario, config={**scenario.config, "events": {"name": events.name, "text": text}})
    found = event_runs.run(scenario, subjects, scenario.config["precision"])
    mg, effects, sentence = _judge_subjects(scenario, found)
    summary = {
        **_about(scenario, path),
        "events": str(events),
        "records": str(table) if table else None,
        "status": summaries.of_subjects(found),
        "signals": summaries.signals_of_subjects(scenario, found),
        "verdict": sentence,
        "mg": mg,
        "mg_of_subjects": effects,
    }
    names = [subject.id for subject in subjects]
    groups = {
        "records": datasets.records(scenario, subjects, found.seen),
        "doses": datasets.doses({arm: datasets.record_rows(scenario, given) for arm, given in found.arms.items()}),
        "parameters": datasets.parameters(scenario),
    }
    if len(found.times):
        groups["simulation"] = datasets.trajectories(
            scenario.model, list(found.arms), found.hypotheses, found.times, found.data, found.status, names
        )
    if mg is not None:
        groups |= datasets.of_verdict(mg, found.of(0), AS_GIVEN)
    if table is not None:
        results.replace_file(table, event_runs.table_of(scenario, found).encode())
    return finish(groups, summary, path, **_origin(scenario, 0, command))


def _judge_subjects(scenario: Scenario, found: event_runs.Found) -> tuple[dict[str, Any] | None, dict[str, Any], str]:
    """The verdict on one subject, or the verdicts by subject, with the sentence."""
    if not len(found.times):
        why = "time goes back at a reset, so there are no common times and values are at the records alone"
        return None, {}, f"No verdict: {why}."
    if not found.close:
        return (
            None,
            {},
            "No verdict: too many different times of doses to follow them closely; take fewer subjects or doses.",
        )
    if len(found.subjects) == 1:
        mg, sentence = verdict.judge(scenario, found.of(0))
        return mg, {}, sentence
    given = {s.id: found.of(i) for i, s in enumerate(found.subjects) if event_runs.brings_mg(scenario, s)}
    return None, *verdict.judge_each(scenario, given)


def _check_files(
    events: str | Path | None, output: str | Path | None, records: str | Path | None, force: bool
) -> tuple[Path | None, Path | None]:
    """The files to be written, once it is sure that they may be."""
    if records is not None and events is None:
        raise InputError("records are those of an event table; name it with --events", "--records")
    path = results.check_output(output, force) if output is not None else None
    table = results.check_output(records, force) if records is not None else None
    given = [Path(file).resolve() for file in (events, path, table) if file is not None]
    if len({*given}) < len(given):
        raise InputError("the event table, the output and the records must be different files", str(given[-1]))
    return path, table


def _origin(scenario: Scenario, seed: int, command: str) -> dict[str, Any]:
    """What a result came from."""
    return {
        "title": scenario.title,
        "config": scenario.config,
        "seed": seed,
        "model": scenario.model,
        "command": command,
    }


def _about(scenario: Scenario, path: Path | None) -> dict[str, Any]:
    return {"scenario": scenario.name, "title": scenario.title, "output": str(path) if path else None}


def optimize(
    scenario: str | Scenario,
    *,
    steps: int | None = None,
    seed: int = 0,
    set: Mapping[str, str | float] | None = None,
    dose: Sequence[str] = (),
    output: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    library: Library | None = None,
    command: str = "",
    progress: search.Progress | None = None,
) -> Run:
    """Optimise the free doses of a scenario, simulate baseline and optimum at tight tolerance, and judge the optimum.

    With `output`, a checkpoint beside it is kept up to date while the search runs; `resume` continues from it to the same end.
    """
    path = results.check_output(output, force) if output is not None else None
    if steps is not None and steps < 1:
        raise InputError(f"at least 1 step is needed, not {steps}", "steps")
    chosen = resolve(scenario, set or {}, dose, library)
    chosen.needs_plain("optimisation")
    checkpoint = path.with_name(path.name + ".checkpoint") if path else None
    if checkpoint is not None and not resume:
        checkpoint.unlink(missing_ok=True)
    from nanomg import search  # with Optax, which nothing else needs

    found = search.optimize(chosen, steps or search.STEPS, seed, checkpoint, resume, progress)
    arms = verdict.run_arms(
        chosen, {BASELINE: found.baseline, **verdict.arms_of(chosen, found.doses, OPTIMUM)}, simulation.TIGHT
    )
    mg, sentence = verdict.judge(chosen, arms, OPTIMUM)
    constraints = _constraints(chosen, arms, found.doses)
    feasible = found.feasible and not any(state_of_limit(c["limit"], c["slack"]) == EXCEEDED for c in constraints)
    if not feasible:
        sentence = f"No regimen was found that keeps every limit. {sentence}"
    sentence += _under_other_hypotheses(constraints)
    summary = {
        **_about(chosen, path),
        "status": summaries.of_status(arms.status),
        "feasible": feasible,
        "objective": found.objective,
        "baseline_objective": found.baseline_objective,
        "terms": {name: {BASELINE: before, OPTIMUM: after} for name, (before, after) in found.terms.items()},
        "constraints": constraints,
        "regimen": datasets.dose_rows(chosen, found.doses),
        "baseline_regimen": datasets.dose_rows(chosen, found.baseline),
        "starts": [{"objective": float(o), "violation": float(v), "feasible": bool(v <= 0)} for o, v in found.starts],
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "kkt_residual": found.residual,
        "converged": found.converged,
        "signals": summaries.signals(chosen, arms, OPTIMUM),
        "verdict": sentence,
        "mg": mg,
    }
    groups = {
        **datasets.of_arms(chosen, arms),
        **datasets.of_verdict(mg, arms, OPTIMUM),
        "optimization": datasets.optimization(found, constraints),
    }
    run = finish(groups, summary, path, **_origin(chosen, seed, command))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run


# ---------------------------------------------------------------- what a summary says
def _constraints(scenario: Scenario, arms: Arms, doses: Sequence[Dose]) -> list[dict[str, Any]]:
    """Every limit, bound on volume, total and interval with what the optimum reaches."""
    rows = []

    def add(name: str, limit: float, value: float, unit: str, at_most: bool = True) -> None:
        slack = limit - value if at_most else value - limit
        rows.append({"name": name, "limit": limit, "value": value, "slack": slack, "unit": unit})

    for limit in scenario.limits:
        scale = units.factor(scenario.model.unit(limit.signal), limit.unit)
        highest = {h: float(arms.pick(limit.signal, OPTIMUM, h).max()) * scale for h in arms.hypotheses}
        add(limit.name, limit.maximum * scale, highest[arms.hypotheses[0]], limit.unit)
        rows[-1]["value_by_hypothesis"] = highest
    for free in scenario.free:
        given = [d for d in doses if d.cmt == free.cmt]
        amounts, (unit, scale) = [d.amt for d in given] or [0.0], datasets.shown(scenario, free.cmt)
        if free.volume:
            to_uL = units.factor("mL", "uL")
            add(f"volume per dose, {free.cmt}", free.volume * to_uL, max(amounts) / free.strength * to_uL, "uL")
        if np.isfinite(free.total):
            add(f"total, {free.cmt}", free.total * scale, sum(amounts) * scale, unit)
        if free.interval and len(given) > 1:
            add(
                f"interval, {free.cmt}",
                free.interval,
                float(np.diff([d.time for d in given]).min()),
                "h",
                at_most=False,
            )
    return rows


def _under_other_hypotheses(constraints: list[dict[str, Any]]) -> str:
    """A sentence on limits that hold under the hypothesis of the search and not under another."""
    found = ""
    for row in constraints:
        limit = row["limit"]
        values = row.get("value_by_hypothesis", {})
        over = {h: v / limit - 1.0 for h, v in values.items() if state_of_limit(limit, limit - v) == EXCEEDED}
        if over and state_of_limit(limit, row["slack"]) != EXCEEDED:
            worst = max(over, key=lambda h: over[h])
            found += f" Under {worst} the limit {row['name']!r} is passed by {100 * over[worst]:.1f} %."
    return found
