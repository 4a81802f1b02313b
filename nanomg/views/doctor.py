"""Replay one failed trajectory of a result file by itself and say what stopped it.

The file holds what it was made from: the scenario, what was set, doses, event table, draws, the axes of a sweep. The lane is built
again from that and solved alone, by the engine of the file where that can run, so it may end otherwise than in the company of
others; the finding says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.dosing.dose import Dose
from nanomg.dosing.event_record import Subject
from nanomg.errors import InputError, unknown
from nanomg.jobs.sweep.keep import STATUS, SUBJECT
from nanomg.jobs.sweep.prepared import Recipe
from nanomg.jobs.sweep.regimens import REGIMEN
from nanomg.jobs.sweep.request import request_of
from nanomg.library import event_doses
from nanomg.library.card import Origin
from nanomg.library.library import Library
from nanomg.library.model_hash import model_hash
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.models import library as find_library
from nanomg.population.plausibility import impossible_quantities
from nanomg.results import file, parts
from nanomg.results.attributes import CONFIG, json_object
from nanomg.results.doubt import interprets
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import event_arms, event_runs, event_times
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.failure import Diagnosis, cause_of
from nanomg.simulation.subject_lanes import SubjectLanes
from nanomg.solver import engine
from nanomg.solver.status import Status


class StoppedTrajectory(NamedTuple):
    """Which trajectory of a file: subject (an ID, the number of a draw or that in a sweep), regimen and hypothesis, or the point of
    a sweep; `code` is its status."""

    subject: str
    regimen: str
    hypothesis: str
    code: int


@interprets
def diagnose(
    path: str | Path, subject: str | None = None, *, regimen: str | None = None, library: Library | None = None
) -> dict[str, Any]:
    """Diagnose a failed simulation: which trajectories of a result file failed, and what stopped the first of them.

    Args:
        path: a result file, or a folder of parts of a sweep.
        subject: ID of a subject, or number of a sample or trajectory; in a sweep 0 or more, the last dimension fastest
            [default: the first that failed].
        regimen: name of an arm, such as "without Mg" [default: any].
        library: mechanisms, cards and scenarios [default: the shipped library].

    Returns:
        `trajectories`, those that `failed`, and as `finding` the time [h], state and terms at which the chosen one stopped,
        None if none failed.

    Raises:
        InputError: the file cannot be replayed, or has no such subject or regimen.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt", output="run.h5")
        >>> nanomg.diagnose("run.h5")["finding"] is None
        True
    """
    attributes = file.read_attributes(path)
    if CONFIG not in attributes:
        raise InputError("this sweep is not finished; continue it with --resume", str(path))
    tree = file.open(path)
    config = json_object(attributes, CONFIG, str(path))
    if "file" not in config:
        raise InputError("this result is not one of a scenario, so there is nothing to replay", str(path))
    shelves = library or find_library()
    scenario = event_doses.rebuild_with_events(config, shelves)
    if parts.GROUP in tree:
        count, failed = _of_sweep(tree[parts.GROUP].to_dataset(), subject, regimen, str(path))
    else:
        every = list(_trajectories(tree, scenario, config))
        if not every:
            raise InputError("this result file has no trajectories", str(path))
        _check("subject", subject, (t.subject for t in every), str(path))
        _check("regimen", regimen, (t.regimen for t in every), str(path))
        count, failed = len(every), [t for t in every if t.code != Status.DONE]
    fits = [t for t in failed if subject in (None, t.subject) and regimen in (None, t.regimen)]
    finding = None
    with engine.using(engine.usable(str(attributes.get("engine", "")))):
        if fits and parts.GROUP in tree:
            finding = _finding(scenario, fits[0], *_replay_swept(config, int(fits[0].subject), shelves, str(path)))
        elif fits:
            finding = _finding(scenario, fits[0], *_replay(scenario, config, tree, fits[0]))
    return {
        "file": str(path),
        "scenario": scenario.name,
        "same_equations": _same_equations(attributes, scenario),
        "trajectories": count,
        "failed": [t._asdict() | {"reason": Status(t.code).reason} for t in failed],
        "finding": finding,
    }


def _same_equations(attributes: Mapping[str, Any], scenario: Scenario) -> bool | None:
    """Whether the file's equations are those of today; None for a file of schema 1, whose hash was of whole source files."""
    if attributes["nanomg_schema_version"] < 2:
        return None
    return bool(attributes["model_hash"] == model_hash(scenario.model))


def _check(what: str, asked: str | None, known: Iterable[str], where: str) -> None:
    names = dict.fromkeys(known) if asked is not None else ()
    if asked is not None and asked not in names:
        raise unknown(what, asked, names, where)


# ---------------------------------------------------------------- a sweep
def _of_sweep(
    data: xr.Dataset, subject: str | None, regimen: str | None, where: str
) -> tuple[int, list[StoppedTrajectory]]:
    """How many trajectories a sweep has, and those that failed."""
    status = data[STATUS]
    arms = [str(arm) for arm in data[REGIMEN].values] if REGIMEN in data.coords else [simulation_arms.AS_GIVEN]
    _check("regimen", regimen, arms, where)
    if subject is not None and not (subject.isdecimal() and int(subject) < status.size):
        raise InputError(f"trajectories have the numbers 0 to {status.size - 1}, and {subject!r} is none", where)
    codes = np.asarray(status.values)
    failed = []
    for at in zip(*np.nonzero(codes != Status.DONE), strict=True):
        place = dict(zip(status.dims, at, strict=True))
        number = np.ravel_multi_index(at, codes.shape)
        point = ", ".join(f"{dim} {_label(data, str(dim), i)}" for dim, i in place.items() if dim != REGIMEN)
        failed.append(StoppedTrajectory(str(number), arms[place.get(REGIMEN, 0)], point, int(codes[at])))
    return codes.size, failed


def _label(data: xr.Dataset, dim: str, i: int) -> str:
    """Where a trajectory lies along a dimension."""
    if dim not in data.coords or dim == SUBJECT:
        return str(i)
    value = data[dim].values[i]
    return str(value) if isinstance(value, str) else f"{value:.6g}"


def _replay_swept(config: Mapping[str, Any], number: int, library: Library, where: str) -> tuple[_Lane, Diagnosis]:
    request = dataclasses.replace(request_of(config, where), device="auto")
    batch = Recipe(config, request, ()).batch(library)
    lanes, found = batch.alone(number)
    lane = _Lane(batch.plan.model, lanes.values, batch.plan.timed)
    return lane, cause_of(*lane, int(np.asarray(found.status)[0]), found.stop)


# ---------------------------------------------------------------- the trajectories of a file
def _trajectories(tree: xr.DataTree, scenario: Scenario, config: Mapping[str, Any]) -> Iterator[StoppedTrajectory]:
    if "feasibility" in tree:
        status = tree["feasibility"].to_dataset()["status"]
        for draw, code in zip(status["draw"].values, status.values, strict=True):
            for regimen in (simulation_arms.AS_GIVEN, simulation_arms.WITHOUT):
                yield StoppedTrajectory(str(draw), regimen, simulation_arms.AS_SET, int(code))
    elif "simulation" in tree:
        status = tree["simulation"].to_dataset()["status"]
        names = [[str(v) for v in status[dim].values] for dim in status.dims]
        for at, code in np.ndenumerate(status.values):
            regimen, hypothesis, *rest = (values[i] for values, i in zip(names, at, strict=True))
            yield StoppedTrajectory(rest[0] if rest else "1", regimen, hypothesis, int(code))
    elif "events" in config:  # no common times: only the summary counts what failed
        found = event_runs.run(scenario, scenario.subjects, series=config.get("series", True))
        for (r, h, i), code in np.ndenumerate(found.status):
            yield StoppedTrajectory(found.subjects[i].id, list(found.arms)[r], found.hypotheses[h], int(code))


# ---------------------------------------------------------------- one lane again
class _Lane(NamedTuple):
    """What was solved again: its values, the rows of forcing after the inputs, and parameters that columns set."""

    model: Any
    values: Mapping[str, Any]
    held: tuple[str, ...]


def _replay(
    scenario: Scenario, config: Mapping[str, Any], tree: xr.DataTree, which: StoppedTrajectory
) -> tuple[_Lane, Diagnosis]:
    values: dict[str, Any] = dict(scenario.values)
    values |= {
        name: float(weight[0]) for name, weight in simulation_arms.weights_of([which.hypothesis], values).items()
    }
    if "feasibility" in tree:
        drawn = tree["feasibility"].to_dataset().sel(draw=int(which.subject))["value"]
        values |= {str(name): float(drawn.sel(parameter=name)) for name in drawn["parameter"].values}
        scenario = event_arms.until(scenario, float(config["horizon_h"]))
    precision = config.get("precision", "float64")
    if not scenario.plain:
        subjects = scenario.subjects or (event_arms.scenario_subject(scenario),)
        chosen = [i for i, subject in enumerate(subjects) if "feasibility" in tree or subject.id == which.subject]
        return _replay_subjects(scenario, subjects, chosen, which.regimen, values, precision)
    doses = _doses(scenario, tree, which)
    plan = simulation_lanes.plan_for(scenario.model, doses, precision=precision)
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, doses)
    lanes = simulation_lanes.lanes_for(plan, values, doses, scenario.windows, times)
    found = simulation_lanes.run(plan, lanes)
    lane = _Lane(scenario.model, values, ())
    return lane, cause_of(*lane, int(np.asarray(found.status)[0]), found.stop)


def _replay_subjects(
    scenario: Scenario,
    subjects: tuple[Subject, ...],
    chosen: Sequence[int],
    regimen: str,
    values: Mapping[str, Any],
    precision: str,
) -> tuple[_Lane, Diagnosis]:
    """The first of the chosen subjects in an arm that fails, else the last."""
    times, _ = event_times.common_times(scenario, subjects)
    arms = event_arms.arms_of(scenario, subjects)
    table = SubjectLanes(scenario, arms, times, at_records=True, precision=precision)
    arm = np.array([[*arms].index(regimen)])
    for i in chosen:
        lanes = table.lanes(values, np.array([i]), arm, times)
        found = simulation_lanes.run(table.plan, lanes, event_runs.RTOL)
        if (status := int(np.asarray(found.status)[0])) != Status.DONE:
            break
    lane = _Lane(table.plan.model, values, table.plan.timed)
    return lane, cause_of(*lane, status, found.stop)


def _doses(scenario: Scenario, tree: xr.DataTree, which: StoppedTrajectory) -> tuple[Dose, ...]:
    """The single doses of a regimen of the file."""
    if "doses" not in tree:
        return dict(simulation_arms.arms_of(scenario, scenario.doses))[which.regimen]
    rows = tree["doses"].to_dataset().sel(regimen=which.regimen)
    doses = []
    for d in range(rows.sizes["dose"]):
        row = {name: rows[name].values[d] for name in ("time_h", "amt", "duration_h", "cmt", "unit")}
        if np.isfinite(row["time_h"]):
            amt = units.convert(float(row["amt"]), str(row["unit"]), dosed_unit(scenario.model, str(row["cmt"])))
            doses.append(Dose(float(row["time_h"]), amt, str(row["cmt"]), float(row["duration_h"])))
    return tuple(doses)


# ---------------------------------------------------------------- what is said
def _finding(scenario: Scenario, which: StoppedTrajectory, lane: _Lane, found: Diagnosis) -> dict[str, Any]:
    model, unit = lane.model, lane.model.unit(found.state)
    owner = found.terms[0].mechanism if found.terms else ""
    return {
        **which._asdict(),
        "reason": Status(which.code).reason,
        "alone": found.status.reason,
        "solved_alone": found.status == Status.DONE,
        "time_h": found.time,
        "state": {
            "name": found.state,
            "text": model.states[found.state].text,
            "value": found.value,
            "unit": unit,
            "rate_per_h": found.rate,
        },
        "terms": [dataclasses.asdict(term) for term in found.terms],
        "impossible": [
            f"{name} {wrong}"
            for name, wrong in impossible_quantities(model, {n: float(np.ravel(v)[0]) for n, v in lane.values.items()})
        ],
        "undefined_signals": list(found.undefined),
        "outside_range": _outside(scenario, lane, owner),
    }


def _outside(scenario: Scenario, lane: _Lane, mechanism: str) -> list[dict[str, Any]]:
    """Parameters of the term's mechanism that lie outside the range of their card, or were set without one."""
    rows = []
    for name, parameter in scenario.parameters.items():
        if lane.model.owner[name].__name__ != mechanism:
            continue
        value, low, high = float(np.ravel(lane.values[name])[0]), parameter.low, parameter.high
        if (low is not None and value < low) or (high is not None and value > high) or parameter.origin is Origin.USER:
            rows.append({"name": name, "value": value, "low": low, "high": high, "unit": parameter.unit})
    return rows
