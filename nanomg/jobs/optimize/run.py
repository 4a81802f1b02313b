"""From a scenario to an optimised, simulated and judged regimen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanomg import files, units
from nanomg.analysis.readouts import READ_OUTS
from nanomg.dosing.dose import Dose
from nanomg.errors import InputError
from nanomg.jobs.optimize import group as optimize_group
from nanomg.jobs.optimize import limits as optimize_limits
from nanomg.jobs.optimize.request import OptimizeRequest
from nanomg.jobs.optimize.summary import OptimizeSummary
from nanomg.jobs.request import about_scenario, on_engine, origin
from nanomg.jobs.simulate import group, measures, verdict
from nanomg.jobs.simulate import outcome as simulate_outcome
from nanomg.library.library import Library
from nanomg.library.scenario import MAX, MIN, Scenario, dosed_unit
from nanomg.results import groups as results_groups
from nanomg.results.kinds import BASELINE, BASELINE_WITHOUT, OPTIMUM
from nanomg.results.limits import EXCEEDED, size_of, slack_by_hypothesis, slack_of, state_of
from nanomg.results.run import Run, finish
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import lanes
from nanomg.simulation.arms import Arms

if TYPE_CHECKING:
    from nanomg.jobs.optimize import search

_RESOLUTION = 0.05  # percent of a limit: a smaller excess is said to be smaller


def optimize(
    scenario: str | Scenario,
    *,
    steps: int | None = None,
    seed: int = 0,
    set: Mapping[str, str | float] | None = None,
    dose: Sequence[str] = (),
    events: Any = None,
    id: str | None = None,
    sort: bool = False,
    ignore: str = "",
    output: str | Path | None = None,
    force: bool = False,
    engine: str = "auto",
    resume: bool = False,
    library: Library | None = None,
    command: str = "",
    progress: search.Progress | None = None,
) -> Run:
    """Optimise amounts and times of the free doses of a scenario, then simulate baseline and optimum with control arms.

    Args:
        scenario: name of a scenario, path of a TOML file, or a loaded `Scenario`.
        steps: maximum number of steps [default: 96].
        seed: seed of the random starts.
        set: values of parameters, with units ("12 mL/h") or as numbers in the declared unit.
        dose: prescriptions that replace the doses into their ports ("liposome.iv: 1 mg q 7 d x 3", "pd1.iv: none").
        events: event table (path, pandas frame or xarray dataset) in place of the doses; of one subject, or with an `id`.
        id: ID of the subject of the table whose doses are optimised.
        sort: put the rows of each subject of the table together, in order of time.
        ignore: character that starts a comment in the table, as NONMEM\'s IGNORE.
        output: path of the result file (.h5). While the search runs, its state is saved in `output.checkpoint`.
        force: overwrite files that exist.
        engine: "auto" (native where it can run), "native" or "jax".
        resume: continue from the checkpoint of an interrupted search.
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.
        progress: called with the state of the search after each step.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`.

    Raises:
        InputError: something is wrong with the request, such as a scenario without `[objective]` or `[[free]]`.

    Example:
        >>> import nanomg
        >>> run = nanomg.optimize("human-nsclc-iv-mgso4", steps=2)
        >>> run.summary["objective"] <= run.summary["baseline_objective"]
        True
    """
    request = OptimizeRequest(
        scenario=scenario,
        steps=steps,
        seed=seed,
        set=set or {},
        dose=dose,
        events=events,
        id=id,
        sort=sort,
        ignore=ignore,
        output=output,
        force=force,
        engine=engine,
        resume=resume,
    )
    return run(request, library=library, command=command, progress=progress)


@on_engine
def run(
    request: OptimizeRequest,
    *,
    library: Library | None = None,
    command: str = "",
    progress: search.Progress | None = None,
) -> Run:
    """The optimisation of a request; `library` is one that was built already, and `progress` is called after each step."""
    path = files.check_result(request.output, request.force) if request.output is not None else None
    steps = request.steps
    if steps is not None and steps < 1:
        raise InputError(f"at least 1 step is needed, not {steps}", "steps")
    chosen = request.resolved(library)
    chosen.needs_movable_doses("optimisation")
    checkpoint = path.with_name(path.name + ".checkpoint") if path else None
    if checkpoint is not None and checkpoint.exists() and not (request.resume or request.force):
        message = "an unfinished search is there: continue it with --resume, or discard it with --force"
        raise InputError(message, str(checkpoint))
    from nanomg.jobs.optimize import search  # with Optax, which nothing else needs

    outcome = search.find_optimum(chosen, steps or search.STEPS, request.seed, checkpoint, request.resume, progress)
    chosen = dataclasses.replace(chosen, every=outcome.every)
    arms = simulation_arms.run_arms(chosen, _arms(chosen, outcome), lanes.TIGHT)
    numbers = simulate_outcome.of_arms(chosen, arms, OPTIMUM)
    mg, sentence = verdict.judge(chosen, arms, OPTIMUM, numbers)
    constraints = _constraints(chosen, arms, outcome.doses)
    feasible = outcome.feasible and not any(state_of(c) == EXCEEDED for c in constraints)
    if not feasible:
        sentence = f"No regimen was found that keeps every limit. {sentence}"
    sentence += under_other_hypotheses(constraints)
    summary = OptimizeSummary.of(
        {
            **about_scenario(chosen, path),
            "status": measures.of_status(arms.status),
            "feasible": feasible,
            "objective": outcome.objective,
            "baseline_objective": outcome.baseline_objective,
            "terms": {name: {BASELINE: before, OPTIMUM: after} for name, (before, after) in outcome.terms.items()},
            "constraints": constraints,
            "regimen": results_groups.dose_rows(chosen, outcome.doses),
            "baseline_regimen": results_groups.dose_rows(chosen, outcome.baseline),
            "starts": [
                {"objective": float(o), "violation": float(v), "feasible": bool(v <= 0)} for o, v in outcome.starts
            ],
            "evaluations": outcome.evaluations,
            "seconds": outcome.seconds,
            "kkt_residual": outcome.residual,
            "converged": outcome.converged,
            "signals": measures.signals(chosen, arms, OPTIMUM),
            "verdict": sentence,
            "outcome": simulate_outcome.summary_of(numbers),
            "mg": mg,
        }
    )
    groups = {
        **group.of_arms(chosen, arms),
        **group.of_outcome(numbers),
        **group.of_verdict(mg, arms, OPTIMUM),
        "optimization": optimize_group.optimization(outcome, constraints),
    }
    finished = finish(groups, summary, path, job="optimize", **origin(chosen, request, request.seed, command))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return finished


def _arms(scenario: Scenario, outcome: search.Outcome) -> dict[str, tuple[Dose, ...]]:
    """Baseline and optimum with their control arms."""
    before = simulation_arms.arms_of(scenario, outcome.baseline, BASELINE)
    control = {BASELINE_WITHOUT: before[simulation_arms.WITHOUT]} if simulation_arms.WITHOUT in before else {}
    return {BASELINE: outcome.baseline, **control, **simulation_arms.arms_of(scenario, outcome.doses, OPTIMUM)}


def _constraints(scenario: Scenario, arms: Arms, doses: Sequence[Dose]) -> list[dict[str, Any]]:
    """Every limit, bound on volume, total and interval with what the optimum reaches."""
    rows: list[dict[str, Any]] = []

    def add(name: str, limit: float, value: float, unit: str, side: str = MAX, size: float | None = None) -> None:
        size = abs(limit) if size is None else size
        slack = slack_of(limit, value, side)
        rows.append({"name": name, "limit": limit, "value": value, "slack": slack, "unit": unit} | {"side": side})
        rows[-1] |= {} if size == abs(limit) else {"size": size}

    for limit in scenario.limits:
        unit = scenario.model.unit(limit.signal)
        limited = READ_OUTS[limit.statistic].unit(unit) if limit.statistic else unit
        courses = {h: arms.pick(limit.signal, OPTIMUM, h) for h in arms.hypotheses}
        reached = {h: optimize_limits.reached(limit, arms.times, course) for h, course in courses.items()}
        first, size = reached[arms.hypotheses[0]], optimize_limits.size_of(limit, scenario)
        add(limit.name, limit.bound, first, limited, limit.side, size)
        rows[-1]["value_by_hypothesis"] = reached
    for free in scenario.free:
        given = [d for d in doses if d.cmt == free.cmt]
        amounts, unit = [d.amt for d in given] or [0.0], dosed_unit(scenario.model, free.cmt)
        if free.volume:
            to_uL = units.factor("mL", "uL")
            add(f"volume per dose, {free.cmt}", free.volume * to_uL, max(amounts) / free.strength * to_uL, "uL")
        if np.isfinite(free.total):
            add(f"total, {free.cmt}", free.total, sum(amounts), unit)
        if free.interval and len(given) > 1:
            add(
                f"interval, {free.cmt}",
                free.interval,
                float(np.diff([d.time for d in given]).min()),
                "h",
                MIN,
            )
    return rows


def under_other_hypotheses(constraints: list[dict[str, Any]]) -> str:
    """A sentence on limits that hold under the hypothesis of the search and not under another."""
    sentences = ""
    for row in constraints:
        excess = {h: -slack for h, slack in slack_by_hypothesis(row).items() if state_of(row, slack) == EXCEEDED}
        if excess and state_of(row) != EXCEEDED:
            worst = max(excess, key=lambda h: excess[h])
            share = 100 * excess[worst] / size_of(row)
            beyond = "missed" if row.get("side") == MIN else "exceeded"
            by = f"{share:.1f} %" if share >= _RESOLUTION else f"less than {_RESOLUTION:g} %"
            sentences += f" Under {worst} the limit {row['name']!r} is {beyond} by {by}."
    return sentences
