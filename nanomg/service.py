"""The main jobs from a scenario to a result: simulate and optimise. Command line and scripts call these."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nanomg import results, search, simulation, units, verdict
from nanomg.dosing import Dose
from nanomg.errors import InputError
from nanomg.library import Library
from nanomg.models import library as find_library
from nanomg.scenario import Scenario, dosed_unit, load
from nanomg.solver import Status
from nanomg.verdict import AS_GIVEN, Arms

BASELINE, OPTIMUM = "baseline", "optimum"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: the result as an xarray tree, what `--json` prints, and the file if one was written."""

    tree: xr.DataTree
    summary: dict[str, Any]
    path: Path | None


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
    output: str | Path | None = None,
    force: bool = False,
    library: Library | None = None,
    command: str = "",
) -> Run:
    """Simulate a regimen with its paired arms under every LFA-1 hypothesis; write it to `output` if given.

    `set` maps parameters to values with units, `dose` replaces the scenario's regimen ("liposome.iv: 1 mg q 7 d x 3").
    Raises `InputError` for anything wrong with the request; a failed trajectory is marked in the result.
    """
    path = results.check_output(output, force) if output is not None else None
    chosen = resolve(scenario, set or {}, dose, library)
    arms = verdict.run_arms(chosen, verdict.arms_of(chosen, chosen.doses))
    mg, sentence = verdict.judge(chosen, arms)
    summary = {
        "scenario": chosen.name,
        "title": chosen.title,
        "output": str(path) if path else None,
        "status": _status(arms),
        "signals": _signals(chosen, arms, AS_GIVEN),
        "verdict": sentence,
        "mg": mg,
    }
    groups = {**_groups(chosen, arms), **_verdict(mg, arms, AS_GIVEN)}
    return _finish(chosen, groups, summary, path, command, seed=0)


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
    checkpoint = path.with_name(path.name + ".checkpoint") if path else None
    if checkpoint is not None and not resume:
        checkpoint.unlink(missing_ok=True)
    found = search.optimize(chosen, steps or search.STEPS, seed, checkpoint, resume, progress)
    arms = verdict.run_arms(
        chosen, {BASELINE: found.baseline, **verdict.arms_of(chosen, found.doses, OPTIMUM)}, simulation.TIGHT
    )
    mg, sentence = verdict.judge(chosen, arms, OPTIMUM)
    constraints = _constraints(chosen, arms, found.doses)
    feasible = found.feasible and all(c["slack"] >= -1e-9 * abs(c["limit"]) for c in constraints)
    if not feasible:
        sentence = f"No regimen was found that keeps every limit. {sentence}"
    sentence += _under_other_hypotheses(constraints)
    summary = {
        "scenario": chosen.name,
        "title": chosen.title,
        "output": str(path) if path else None,
        "status": _status(arms),
        "feasible": feasible,
        "objective": found.objective,
        "baseline_objective": found.baseline_objective,
        "terms": {name: {BASELINE: before, OPTIMUM: after} for name, (before, after) in found.terms.items()},
        "constraints": constraints,
        "regimen": _regimen(chosen, found.doses),
        "baseline_regimen": _regimen(chosen, found.baseline),
        "starts": [{"objective": float(o), "violation": float(v), "feasible": bool(v <= 0)} for o, v in found.starts],
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "kkt_residual": found.residual,
        "converged": found.converged,
        "signals": _signals(chosen, arms, OPTIMUM),
        "verdict": sentence,
        "mg": mg,
    }
    groups = {**_groups(chosen, arms), **_verdict(mg, arms, OPTIMUM), "optimization": _optimization(found, constraints)}
    run = _finish(chosen, groups, summary, path, command, seed)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run


# ---------------------------------------------------------------- what a summary says
def _status(arms: Arms) -> dict[str, Any]:
    worst = Status(int(arms.status.max()))
    failed = int((arms.status != Status.DONE).sum())
    return {"code": int(worst), "reason": worst.reason, "failed": failed, "trajectories": int(arms.status.size)}


def _signals(scenario: Scenario, arms: Arms, regimen: str) -> dict[str, Any]:
    """Each output of one arm under the chosen hypothesis, in its display unit."""
    table = {}
    for name, unit in scenario.outputs.items():
        y = arms.pick(name, regimen, arms.hypotheses[0]) * units.factor(scenario.model.unit(name), unit)
        table[name] = {
            "unit": unit,
            "initial": float(y[0]),
            "final": float(y[-1]),
            "min": float(y.min()),
            "max": float(y.max()),
            "auc": float(np.trapezoid(y, arms.times)),
            "auc_unit": "h" if unit in ("1", "") else f"{unit} h",
        }
    return table


def _shown(scenario: Scenario, cmt: str) -> tuple[str, float]:
    """The unit in which doses into `cmt` are shown, and the factor to it."""
    own = dosed_unit(scenario.model, cmt)
    unit = scenario.shown.get(cmt, own)
    return unit, units.factor(own, unit)


def _regimen(scenario: Scenario, doses: Sequence[Dose]) -> list[dict[str, Any]]:
    rows = []
    for dose in doses:
        unit, scale = _shown(scenario, dose.cmt)
        rows.append(
            {"time_h": dose.time, "cmt": dose.cmt, "amt": dose.amt * scale, "unit": unit, "duration_h": dose.duration}
        )
    return rows


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
        amounts, (unit, scale) = [d.amt for d in given] or [0.0], _shown(scenario, free.cmt)
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
        over = {h: v / row["limit"] - 1.0 for h, v in row.get("value_by_hypothesis", {}).items() if v > row["limit"]}
        if row["slack"] >= 0 and over:
            worst = max(over, key=lambda h: over[h])
            found += f" Under {worst} the limit {row['name']!r} is passed by {100 * over[worst]:.1f} %."
    return found


# ---------------------------------------------------------------- the groups of a result file
def _groups(scenario: Scenario, arms: Arms) -> dict[str, xr.Dataset]:
    model = scenario.model
    dims = ("regimen", "scenario", "time")
    status = results.flags(dims[:2], arms.status, [s.reason for s in Status], "how the trajectory ended")
    variables: dict[str, Any] = {"status": status}
    for name, y in arms.data.items():
        attributes = {"units": units.cf(model.unit(name)), "long_name": model.declaration(name).text}
        variables[name] = (dims, y, attributes)
    coordinates = {
        "regimen": list(arms.regimens),
        "scenario": list(arms.hypotheses),
        "time": ("time", arms.times, {"units": "h", "long_name": "time since the start"}),
    }
    return {
        "simulation": xr.Dataset(variables, coordinates),
        "doses": _doses(scenario, arms),
        "parameters": _parameters(scenario),
    }


def _verdict(mg: dict[str, Any] | None, arms: Arms, regimen: str) -> dict[str, xr.Dataset]:
    """The numbers behind the verdict, for the regimen and for the same Mg given free; nothing where there is no verdict."""
    if mg is None:
        return {}
    rows = {regimen: mg} if mg["free"] is None else {regimen: mg, verdict.FREE: mg["free"]}
    by_hypothesis = {
        "hours_per_day_above_0.02": ("h", "hours per day with tumour free Mg raised above 0.02 mmol/L"),
        "hours_per_day_above_0.3": ("h", "hours per day with tumour free Mg raised above 0.3 mmol/L"),
        "mean_competence_gain": ("1", "mean gain of T-cell competence over the arm without Mg"),
    }
    variables: dict[str, Any] = {
        name: (("regimen", "scenario"), [[r[name][h] for h in arms.hypotheses] for r in rows.values()], _about(*about))
        for name, about in by_hypothesis.items()
    }
    shares = {
        "share_local": "share of the mean rise that is local",
        "share_serum": "share of the mean rise through serum",
    }
    for name, text in shares.items():
        variables[name] = (("regimen",), np.array([r[name] for r in rows.values()], float), _about("1", text))
    for name, text in {
        "mean_rise": "mean rise of tumour free Mg",
        "peak_rise": "highest rise of tumour free Mg",
    }.items():
        variables[name] = (("regimen",), [r[name]["value"] for r in rows.values()], _about("mmol L-1", text))
    return {"verdict": xr.Dataset(variables, {"regimen": list(rows), "scenario": list(arms.hypotheses)})}


def _about(unit: str, text: str) -> dict[str, str]:
    return {"units": unit, "long_name": text}


def _doses(scenario: Scenario, arms: Arms) -> xr.Dataset:
    width = max(len(doses) for doses in arms.doses.values())
    shape = len(arms.regimens), width
    table: dict[str, np.ndarray] = {key: np.full(shape, np.nan) for key in ("time_h", "amt", "duration_h")}
    text = {key: np.full(shape, "", dtype=object) for key in ("cmt", "unit")}
    for r, regimen in enumerate(arms.regimens):
        for d, row in enumerate(_regimen(scenario, arms.doses[regimen])):
            for key, values in (*table.items(), *text.items()):
                values[r, d] = row[key]
    about = {
        "time_h": ("h", "time of the dose"),
        "amt": ("1", "amount in the unit of `unit`"),
        "duration_h": ("h", "duration, 0 is a bolus"),
    }
    dims = ("regimen", "dose")
    variables = {k: (dims, v, {"units": about[k][0], "long_name": about[k][1]}) for k, v in table.items()}
    words = {"cmt": "port or state dosed", "unit": "unit of the amount"}
    return xr.Dataset(
        {**variables, **{k: (dims, v, {"long_name": words[k]}) for k, v in text.items()}},
        {"regimen": list(arms.regimens)},
    )


def _parameters(scenario: Scenario) -> xr.Dataset:
    rows = list(scenario.parameters.values())
    number = lambda v: np.nan if v is None else v
    numbers = {key: [number(getattr(p, key)) for p in rows] for key in ("value", "low", "high", "cv")}
    text = {key: [getattr(p, key) for p in rows] for key in ("unit", "basis", "source", "card")}
    dims = ("parameter",)
    names = {
        "value": "value",
        "low": "5 % point",
        "high": "95 % point",
        "cv": "between-subject coefficient of variation",
    }
    return xr.Dataset(
        {k: (dims, np.array(v, float), {"long_name": names[k], "units": "1"}) for k, v in numbers.items()}
        | {k: (dims, np.array(v, object), {"long_name": k}) for k, v in text.items()},
        {"parameter": [p.name for p in rows]},
    )


def _optimization(found: search.Outcome, constraints: list[dict[str, Any]]) -> xr.Dataset:
    steps, starts = found.history.shape[:2]
    columns = ("objective", "excess", "kkt_residual")
    about = ("objective", "largest excess over a limit, relative", "KKT residual in scaled variables")
    history = {
        c: (("step", "start"), found.history[:, :, i], {"units": "1", "long_name": a})
        for i, (c, a) in enumerate(zip(columns, about, strict=True))
    }
    limits = {
        key: (("constraint",), np.array([c[key] for c in constraints], float), {"long_name": key, "units": "1"})
        for key in ("limit", "value", "slack")
    }
    terms = np.array(list(found.terms.values())).reshape(-1, 2)
    return xr.Dataset(
        {
            **history,
            **limits,
            "constraint_unit": (
                ("constraint",),
                np.array([c["unit"] for c in constraints], object),
                {"long_name": "unit of limit, value and slack"},
            ),
            "final_objective": (
                ("start",),
                found.starts[:, 0],
                {"units": "1", "long_name": "objective at the end of each start"},
            ),
            "final_excess": (
                ("start",),
                found.starts[:, 1],
                {"units": "1", "long_name": "largest excess at the end of each start"},
            ),
            "term_value": (("term", "regimen"), terms, {"units": "1", "long_name": "weighted term of the objective"}),
        },
        {
            "step": np.arange(steps),
            "start": np.arange(starts),
            "constraint": [c["name"] for c in constraints],
            "term": list(found.terms),
            "regimen": [BASELINE, OPTIMUM],
        },
    )


def _finish(
    scenario: Scenario,
    groups: dict[str, xr.Dataset],
    summary: dict[str, Any],
    path: Path | None,
    command: str,
    seed: int,
) -> Run:
    attributes = results.root_attributes(
        title=scenario.title, config=scenario.config, seed=seed, model=scenario.model, command=command, summary=summary
    )
    if path is not None:
        results.write(path, groups, attributes, force=True)
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs.update(attributes)
    return Run(tree, summary, path)
