"""Calibration: parameters of a card fitted to the data of a study, what the data say of each, and the card that follows.

The problem is in nanomg.jobs.calibrate.problem, the search and its Fisher matrix in nanomg.jobs.calibrate.least_squares;
this is the job and what is said of it.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanomg import files, units
from nanomg.data import studies, study_table
from nanomg.data.measured_cells import TABLE_ENDINGS
from nanomg.data.prediction import Predictor
from nanomg.data.scores import Score
from nanomg.data.studies import P95, Datum, Study
from nanomg.errors import InputError, SimulationError, unknown
from nanomg.files import StrPath
from nanomg.jobs.calibrate import least_squares
from nanomg.jobs.calibrate.dataset import fitted_curves, fitted_rows
from nanomg.jobs.calibrate.least_squares import Optimum, Progress, Uncertainty
from nanomg.jobs.calibrate.problem import FitProblem, at_bound, free_in, problem_of, residual, search
from nanomg.jobs.calibrate.request import CalibrateRequest
from nanomg.jobs.calibrate.summary import CalibrateSummary
from nanomg.jobs.request import on_engine
from nanomg.jobs.summary import EventTableSummary
from nanomg.library import card_editing
from nanomg.library.card import Card, Parameter
from nanomg.library.library import Library
from nanomg.results.run import Run, finish

RAW = "NANOMG_DATA"  # environment variable: the folder of raw data
POOR = 1.0  # coefficient of variation from which on a parameter is called poorly known
HOPELESS = 10.0  # and from which on a card calls it not identified


def calibrate(
    card: str | None,
    data: str,
    *,
    raw: str | Path | None = None,
    scenario: str = "",
    fit: Sequence[str] = (),
    starts: int | None = None,
    seed: int = 0,
    output: str | Path | None = None,
    card_out: str | Path | None = None,
    force: bool = False,
    engine: str = "auto",
    library: Library | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Run:
    """Fit parameters of a card to measured data.

    Args:
        card: name or path of the card [None: the study's card].
        data: name of a study, path of its TOML file, or path of a table (.csv, .xlsx, …) with columns TIME [h] and DV or VALUE.
        raw: folder of the study's data [default: $NANOMG_DATA, or the study's folder].
        scenario: the scenario that a table was measured in, if it has no column `run`.
        fit: parameters to fit, with bounds ("pk.CL=1..10 L/h"); required for a table; replaces the study's free parameters.
        starts: number of starts [default: the study's, or 4].
        seed: seed of the random starts; the first start is the card's values.
        output: path of the result file (.h5).
        card_out: path of the card (.toml) to write with the fitted values.
        force: overwrite files that exist.
        engine: "auto" (native where it can run), "native" or "jax".
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.
        progress: called after each start.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`.

    Raises:
        InputError: something is wrong with the request.
        SimulationError: the fitted rows cannot be predicted.

    Example:
        >>> import math, pathlib, nanomg
        >>> rows = [f"{t},pk.C,{2.0 * math.exp(-0.2 * t)},mg/L" for t in (1, 4, 12)]  # 70 mg / 35 L, CL/V = 0.2 1/h
        >>> _ = pathlib.Path("plasma.csv").write_text("\\n".join(["time,signal,value,unit", *rows]))
        >>> scenario = pathlib.Path("bolus.toml")
        >>> _ = scenario.write_text('''
        ... title = "A bolus"
        ... mechanisms = ["OneCompartment"]
        ... cards = ["textbook"]
        ... horizon = "24 h"
        ... every = "1 h"
        ... outputs = { "pk.C" = "mg/L" }
        ... [[dose]]
        ... cmt = "pk.central"
        ... amt = "70 mg"
        ... ''')
        >>> run = nanomg.calibrate("textbook", "plasma.csv", scenario="bolus.toml", fit=["pk.CL=1..20 L/h"], starts=1)
        >>> round(run.summary["parameters"]["pk.CL"]["estimate"], 1)  # L/h
        7.0
    """
    request = CalibrateRequest(
        data=data,
        card=card,
        raw=raw,
        scenario=scenario,
        fit=fit,
        starts=starts,
        seed=seed,
        output=output,
        card_out=card_out,
        force=force,
        engine=engine,
    )
    return run(request, library=library, command=command, progress=progress)


@on_engine
def run(
    request: CalibrateRequest,
    *,
    library: Library | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Run:
    """The calibration of a request; `library` is one that was built already, and `progress` is called after each step."""
    shelf = request.shelves(library)
    starts, seed = request.starts, request.seed
    written = _check_card(request.card_out, request.force)
    path = files.check_result(request.output, request.force) if request.output is not None else None
    if seed < 0 or (starts is not None and starts < 1):
        raise InputError("the seed must be 0 or more, and starts 1 or more", "--seed" if seed < 0 else "--starts")
    study = _study(request, shelf)
    base = shelf.card(study.card)
    problem = problem_of(study, base)
    text = base.path.read_bytes().decode()
    rewrite = lambda parameters: card_editing.rewrite(text, parameters, str(base.path))
    if written is not None:
        rewrite(
            {name: base.parameters[name] for name in problem.names}
        )  # a card that cannot be is refused before the search
    found = search(problem, starts or study.starts, seed, progress)
    known = least_squares.uncertainty(
        found.residual,
        found.jacobian,
        at_bound(problem, found.z) != 0,
        len(problem.prior),
        [datum.subject for datum in problem.fitted],
    )
    predicted, reasons = _predict(problem, found)
    summary = CalibrateSummary.of(
        {
            **_summary(problem, base, found, known, predicted, reasons),
            "seed": seed,
            "written": str(written) if written else None,
            "output": str(path) if path else None,
            "event_tables": EventTableSummary.of_all(run.scenario for run in study.runs.values()),
        }
    )
    if written is not None:
        files.replace_file(written, rewrite(_fitted(problem, base, summary)).encode())
    groups = {"calibration": fitted_rows(problem, found, known, predicted)}
    if (curves := fitted_curves(problem, found)) is not None:
        groups["curves"] = curves
    models = tuple(dict.fromkeys(one.scenario.model for one in study.runs.values()))
    runs = {name: one.scenario.config for name, one in study.runs.items()}
    return finish(
        groups,
        summary,
        path,
        job="calibrate",
        title=f"Calibration: {study.title}",
        config={
            "card": base.name,
            "study": study.name,
            "free": list(problem.names),
            "runs": runs,
            "request": request.recorded(),
        },
        seed=seed,
        model=models,
        command=command,
    )


# ---------------------------------------------------------------- what is asked
def _check_card(output: StrPath | None, force: bool) -> Path | None:
    if output is None:
        return None
    if Path(output).suffix != ".toml":
        raise InputError("a card ends in .toml; name the HDF5 file with -o", str(output))
    return files.check_output(output, force)


def _study(request: CalibrateRequest, library: Library) -> Study:
    data, card, scenario = str(request.data), str(request.card or ""), request.scenario
    free = tuple(studies.free_option(text) for text in request.fit)
    if data.lower().endswith(TABLE_ENDINGS):
        study = study_table.study_of_table(Path(data), scenario, free, library, card)
    else:
        if data not in library.studies and not data.endswith(".toml"):
            raise unknown("study", data, library.studies, "--data")
        if scenario:
            raise InputError("a study names its scenarios; --scenario is for a table", "--scenario")
        path = library.studies.get(data, Path(data))
        study = studies.read(path, Path(request.raw or os.environ.get(RAW) or path.parent), library, card)
        study = dataclasses.replace(study, free=free or study.free)
    if not study.free:
        raise InputError("no parameter is free; name one with --fit NAME=LOW..HIGH", f"study {study.name!r}")
    return study


def _predict(problem: FitProblem, found: Optimum) -> tuple[np.ndarray, list[str]]:
    """All rows of the study (row, 2), before and after the fit, and why one has none after it."""
    data, free = problem.study.data, free_in(problem.study.data, problem.names)
    predictor = Predictor([d.row for d in data], free)
    before, after = (
        predictor.predict({name: values[[problem.names.index(name)]] for name in free})
        for values in (problem.start, np.exp(found.z))
    )
    values = np.concatenate([before.values, after.values], 1)
    off = np.asarray(residual(data, values[:, 1]))
    reasons = [after.reason(d.row) or _reason(d, v, r) for d, v, r in zip(data, values[:, 1], off, strict=True)]
    for datum, why in zip(data, reasons, strict=True):
        if why and datum.part == "fit":
            raise SimulationError(
                f"at the best values found {datum.row.quantity} cannot be compared ({why})",
                f"study {problem.study.name!r}",
            )
    return values, reasons


def _reason(datum: Datum, predicted: float, off: float) -> str:
    """Why a row of a run that was solved has no residual."""
    if math.isfinite(off) or datum.row.measure is None:
        return ""
    what = f"gives {predicted:g}, which has no relative error" if math.isfinite(predicted) else "has no such value"
    return f"run {datum.row.measure.run.name!r} {what}"


# ---------------------------------------------------------------- what is said of it
def _summary(
    problem: FitProblem, card: Card, found: Optimum, known: Uncertainty, predicted: np.ndarray, reasons: Sequence[str]
) -> dict[str, Any]:
    study = problem.study
    bound, spread = at_bound(problem, found.z), _quantile(known)
    stated = np.asarray(residual(study.data, predicted[:, 1]))
    parameters = {}
    for i, name in enumerate(problem.names):
        to = lambda v, i=i, name=name: units.convert(float(v), problem.units[i], card.parameters[name].unit)
        estimate, se = float(np.exp(found.z[i])), float(known.se[i])
        centre, sd = problem.prior.get(i, (math.nan, math.nan))
        parameters[name] = {
            "unit": card.parameters[name].unit,
            "start": to(problem.start[i]),
            "estimate": to(estimate),
            "se": to(estimate * se),
            "cv": math.sqrt(math.expm1(min(se, 20.0) ** 2)) if math.isfinite(se) else se,
            "low": to(estimate * math.exp(-spread * min(se, 50.0))),
            "high": to(estimate * math.exp(spread * min(se, 50.0))),
            "bounds": [to(problem.low[i]), to(problem.high[i])],
            "start_outside": not problem.low[i] <= problem.start[i] <= problem.high[i],
            "bound": {-1: "lower", 1: "upper"}.get(int(bound[i])),
            "prior": {"value": to(math.exp(centre)), "cv": math.sqrt(math.expm1(sd**2))}
            if i in problem.prior
            else None,
        }
    return {
        "study": study.name,
        "title": study.title,
        "source": study.source,
        "card": card.name,
        "parameters": parameters,
        "correlation": known.correlation,
        "rank": known.rank,
        "singular_values": known.singular,
        "pooled": {"subjects": len(study.subjects), "clustered": known.clusters > 0, "quantile": spread}
        if len(study.subjects) > 1
        else None,
        "notes": study.notes,
        "identifiability": _identifiability(problem, found.z, known),
        "residual_sd": known.residual_sd,
        "degrees_of_freedom": known.freedom,
        "errors": _errors(study.data, predicted, reasons),
        "rows": [
            {
                "quantity": d.row.quantity,
                "part": d.part,
                "unit": d.row.unit,
                "observed": d.row.value,
                "predicted": float(p[1]),
                "fold": Score("", d.row, float(p[1])).fold,
                "residual": float(r),
                "n": d.row.n,
                "subject": d.subject or None,
                "below": True if d.row.bound == "upper" else None,
                "failed": why or None,
            }
            for d, p, r, why in zip(study.data, predicted, stated, reasons, strict=True)
        ],
        "starts": {
            "n": len(found.cost),
            "same_optimum": int(found.same.sum()),
            "converged": int(found.converged.sum()),
            "cost": found.cost,
            "cost_at_start": found.begin_cost,
            "values": {name: np.exp(found.end[:, i]) for i, name in enumerate(problem.names)},
            "failed_evaluations": found.failed,
            "steps": found.steps,
        },
    }


def _quantile(known: Uncertainty) -> float:
    """Standard errors from an estimate to its 5 % and 95 % points: Student's, with one degree of freedom less than clusters."""
    if not known.clusters:
        return P95
    from scipy import stats

    return float(stats.t.ppf(0.95, known.clusters - 1))


def _errors(data: Sequence[Datum], predicted: np.ndarray, reasons: Sequence[str]) -> list[dict[str, Any]]:
    """For each part, and each of its series: rows, those that failed, geometric mean fold error before and after, and rms error."""
    entries = []
    for part in ("fit", "judge"):
        members = [i for i, d in enumerate(data) if d.part == part]
        for series in dict.fromkeys(["", *(data[i].series for i in members)]):
            rows = [i for i in members if series in ("", data[i].series)]
            if not rows:
                continue
            same = {data[i].row.unit for i in rows}
            off = [data[i].row.value - predicted[i, 1] for i in rows if not data[i].row.bound]
            entries.append(
                {
                    "part": part,
                    "series": series or None,
                    "n": len(rows),
                    "failed": sum(bool(reasons[i]) for i in rows),
                    "gmfe_at_start": _gmfe([Score("", data[i].row, predicted[i, 0]).fold for i in rows]),
                    "gmfe": _gmfe([Score("", data[i].row, predicted[i, 1]).fold for i in rows]),
                    "rmse": math.sqrt(np.mean(np.square(off))) if len(same) == 1 and off else None,
                    "unit": same.pop() if len(same) == 1 else None,
                }
            )
    return entries


def _gmfe(folds: Sequence[float]) -> float:
    logs = np.log([fold for fold in folds if math.isfinite(fold)])
    return float(np.exp(np.mean(logs))) if len(logs) else math.nan


def _identifiability(problem: FitProblem, z: np.ndarray, known: Uncertainty) -> str:
    """One paragraph: how many directions the data determine, and which parameters they leave open or hardly know."""
    names, bound = problem.names, at_bound(problem, z)
    moving = int((bound == 0).sum())
    said = [f"The data determine {'all' if known.rank == moving else known.rank} of {moving} free parameters."]
    if moving < len(names):
        ends = ", ".join(f"{names[i]} ({'upper' if bound[i] > 0 else 'lower'})" for i in np.flatnonzero(bound))
        said.append(f"Held at a bound: {ends}.")
    if known.no_influence:
        said.append(f"Without influence on these data: {', '.join(names[i] for i in known.no_influence)}.")
    for direction in known.open:
        members = [names[i] for i, _ in direction]
        (_, a), (_, b) = direction[0], direction[-1]
        what = "a combination"
        if len(direction) == 2 and math.isclose(abs(a), abs(b), rel_tol=0.05):
            what = "the ratio" if a * b > 0 else "the product"
        said.append(f"Only {what} of these is identifiable: {', '.join(members)}.")
    most = math.sqrt(math.log1p(POOR**2))
    poor = [name for name, se in zip(names, known.se, strict=True) if math.isfinite(se) and se > most]
    if poor:
        said.append(f"Poorly known, with a coefficient of variation above {100 * POOR:.0f} %: {', '.join(poor)}.")
    return " ".join(said)


def _fitted(problem: FitProblem, card: Card, summary: Mapping[str, Any]) -> dict[str, Parameter]:
    """The fitted parameters as the card will hold them."""
    error = next(e for e in summary["errors"] if e["part"] == "fit" and e["series"] is None)
    fitted = {}
    for name, entry in summary["parameters"].items():
        note = f"fit to {problem.study.title}: n = {error['n']}, mean fold error {error['gmfe']:.3g}"
        known = entry["cv"] < HOPELESS and not entry["bound"]
        if known:
            note += f", standard error {100 * entry['cv']:.2g} %"
        else:
            note += f"; at the {entry['bound']} bound" if entry["bound"] else "; not identified by these data"
        low, high = (entry["low"], entry["high"]) if known else (None, None)
        fitted[name] = dataclasses.replace(
            card.parameters[name],
            value=entry["estimate"],
            unit=entry["unit"],
            low=low,
            high=high,
            basis="fitted",
            source=problem.study.source,
            place="",
            note=note,
        )
    return fitted
