"""The rise of tumour free Mg by a scenario's Mg, over the uncertainty of all parameters (prior predictive).

In each sample, every parameter with a range is drawn from a log-normal distribution whose 5 % and 95 % points are the card's `low`
and `high`. The regimen is simulated with and without Mg; the difference is the rise, with its parts from serum and local.
Like `nanomg.simulation.roles`, this module names biological quantities.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nanomg import files, units
from nanomg.analysis.readouts import READ_OUTS
from nanomg.errors import InputError
from nanomg.jobs.feasibility.paired_lanes import paired_doses, paired_subjects
from nanomg.jobs.feasibility.percentiles import PERCENTILES, percentiles
from nanomg.jobs.feasibility.request import DRAWS, FeasibilityRequest
from nanomg.jobs.feasibility.summary import FeasibilitySummary
from nanomg.jobs.request import about_scenario, on_engine
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.population.plausibility import unphysical
from nanomg.population.ranges import CARD, range_of
from nanomg.population.streams import normal
from nanomg.results import file
from nanomg.results.run import Run, finish
from nanomg.simulation import arms, event_arms, event_times, roles
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.roles import CONCENTRATION, DONNAN, SERUM
from nanomg.solver.status import Status

CHUNK = 256  # draws solved at once
TARGETS = roles.RELEVANT
POOR = "interstitium.C_poor"

PARTS = {
    "total": "rise of free Mg, mean over tumour interstitium",
    "poorly perfused": "rise of free Mg, poorly perfused tumour interstitium",
    "local": "rise of free Mg, mean over tumour interstitium, minus the part from serum",
    "local, poorly perfused": "rise of free Mg, poorly perfused tumour interstitium, minus the part from serum",
    "serum": "rise of serum ionised Mg times the Donnan ratio",
}
STATISTICS = {"peak": "max", "day": "max 24 h mean", "mean": "mean"}  # read-outs
QUANTITIES = {
    f"{part}, {name}": f"{text}: {READ_OUTS[readout].text}"
    for part, text in PARTS.items()
    for name, readout in STATISTICS.items()
}

Progress = Callable[[int, int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class Draws:
    """Sampled parameters by name, each (draw,), and how many of the `tried` samples each rule rejected."""

    values: Mapping[str, np.ndarray]
    tried: int
    rejected: Mapping[str, int]

    @property
    def share_rejected(self) -> float:
        """Share of the samples that were implausible and rejected."""
        return 1.0 - len(next(iter(self.values.values()))) / self.tried


def feasibility(
    scenario: str | Scenario,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    horizon: str | float | None = None,
    set: Mapping[str, str | float] | None = None,
    dose: Sequence[str] = (),
    events: Any = None,
    id: str | None = None,
    sort: bool = False,
    ignore: str = "",
    output: str | Path | None = None,
    force: bool = False,
    engine: str = "auto",
    library: Library | None = None,
    command: str = "",
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Run:
    """The rise of tumour free Mg by a regimen's Mg, over the uncertainty of all parameters that have a range.

    A parameter that is `set`, is 0 or has no range is fixed.

    Args:
        scenario: name of a scenario, path of a TOML file, or a loaded `Scenario`.
        draws: number of sampled parameter sets.
        seed: seed of the samples.
        horizon: end of the simulation [default: the scenario's].
        set: values of parameters, with units ("12 mL/h") or as numbers in the declared unit.
        dose: prescriptions that replace the doses into their ports ("liposome.iv: 1 mg q 7 d x 3", "pd1.iv: none").
        events: event table (path, pandas frame or xarray dataset) in place of the doses; rises are means over its subjects.
        id: ID of the only subject of the table that is used.
        sort: put the rows of each subject of the table together, in order of time.
        ignore: character that starts a comment in the table, as NONMEM\'s IGNORE.
        output: path of the result file (.h5); without it nothing is written.
        force: overwrite files that exist.
        engine: "auto" (native where it can run), "native" or "jax".
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.
        chunk: number of samples solved at once, which does not change the result.
        progress: called after each chunk.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`. Samples that
        cannot be solved are counted in the summary and NaN in the tree.

    Raises:
        InputError: something is wrong with the request, such as a scenario without a dose of Mg.

    Example:
        >>> import nanomg
        >>> run = nanomg.feasibility("mouse-mc38-iv", draws=4, horizon="2 d")
        >>> run.summary["status"]["trajectories"]
        4
    """
    request = FeasibilityRequest(
        scenario=scenario,
        draws=draws,
        seed=seed,
        horizon=horizon,
        set=set or {},
        dose=dose,
        events=events,
        id=id,
        sort=sort,
        ignore=ignore,
        output=output,
        force=force,
        engine=engine,
    )
    return run(request, library=library, command=command, chunk=chunk, progress=progress)


@on_engine
def run(
    request: FeasibilityRequest,
    *,
    library: Library | None = None,
    command: str = "",
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Run:
    """The feasibility of a request; `library` is one that was built already, and `progress` is called before each block."""
    path = files.check_result(request.output, request.force) if request.output is not None else None
    draws, seed = request.draws, request.seed
    chosen = _until(request.resolved(library), request.horizon)
    _check(chosen, draws, seed, chunk)
    sampled = sample(chosen, draws, seed)
    rise, status = _solve(chosen, sampled, draws, chunk, progress)
    summary = _summary(chosen, sampled, rise, status, seed, path)
    groups = {"feasibility": _dataset(chosen, sampled, rise, status)}
    return finish(
        groups,
        summary,
        path,
        job="feasibility",
        title=f"Feasibility: {chosen.title}",
        config={
            **chosen.config,
            "draws": draws,
            "horizon_h": chosen.horizon,
            "request": request.recorded(chosen),
        },
        seed=seed,
        model=chosen.model,
        command=command,
    )


def _until(scenario: Scenario, horizon: str | float | None) -> Scenario:
    """The scenario up to a shorter horizon; doses after it fall away."""
    event_times.check_one_clock(scenario.subjects)
    if horizon is None:
        return scenario
    hours = units.parse_quantity(horizon, "h", "--horizon")
    if not 0 < hours <= scenario.horizon:
        raise InputError(f"the horizon must be above 0 h and within the scenario's {scenario.horizon:g} h", "--horizon")
    return event_arms.until(scenario, hours)


def _check(scenario: Scenario, draws: int, seed: int, chunk: int) -> None:
    for name, value, least in (("--draws", draws, 1), ("--seed", seed, 0), ("chunk", chunk, 1)):
        if value < least:
            raise InputError(f"this must be a whole number, {least} or more, not {value}", name)
    where = f"scenario {scenario.name!r}"
    for name in (CONCENTRATION, POOR, SERUM, DONNAN):
        if name not in scenario.model.owner:
            raise InputError(f"the model has no {name!r}, so the rise of tumour free Mg is not defined", where)
    given = arms.any_mg(scenario.model, scenario.doses)
    if not given and not (scenario.subjects and event_arms.brings_mg(scenario, scenario.subjects)):
        raise InputError("no dose within the horizon contains Mg, so there is no rise", where)


# ---------------------------------------------------------------- drawing
def sample(scenario: Scenario, draws: int, seed: int) -> Draws:
    """The first `draws` plausible samples of a seed. Fixing one parameter does not change the samples of the others."""
    known = (p for p in scenario.parameters.values() if p.value != 0 and p.name not in scenario.bound)
    found = {p.name: range_of(p, CARD) for p in known}
    ranged = {name: span for name, span in found.items() if span and not span.uniform}
    if not ranged:
        raise InputError(
            "no parameter has a range in its card, so there is nothing to sample", f"scenario {scenario.name!r}"
        )
    count = draws
    while True:
        candidates: dict[str, np.ndarray] = {}
        for name, span in ranged.items():
            candidates[name] = span.at(normal(name, seed, np.arange(count)))
        broken = unphysical(scenario, candidates, count)
        passed = np.flatnonzero(~np.any(list(broken.values()), axis=0))
        if len(passed) >= draws:
            break
        if count > 1000 * draws:
            raise InputError(
                "hardly any sample is plausible; check the ranges of the cards", f"scenario {scenario.name!r}"
            )
        count *= 2
    chosen = passed[:draws]
    tried = int(chosen[-1]) + 1
    rejected = {rule: int(hit[:tried].sum()) for rule, hit in broken.items() if hit[:tried].any()}
    return Draws({name: values[chosen] for name, values in candidates.items()}, tried, rejected)


# ---------------------------------------------------------------- solving
def _solve(
    scenario: Scenario, sampled: Draws, draws: int, chunk: int, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rises (draw, quantity) [mmol/L], NaN where a draw failed, and the status (draw,).

    Over an event table a rise is the mean over its subjects, and the status the worst.
    """
    names = tuple(sampled.values)
    blocks = math.ceil(draws / chunk)
    size = math.ceil(draws / blocks)
    regimens = (paired_subjects if scenario.subjects else paired_doses)(scenario, names, size)
    rise, status = np.zeros((draws, len(QUANTITIES))), np.zeros(draws, np.int8)
    for number, (block, regimen) in enumerate(itertools.product(range(blocks), regimens)):
        if progress:
            progress(number, blocks * len(regimens), {})
        # the last block is filled up with draws that are not kept, so that all blocks share one compiled solve
        rows = np.arange(block * size, (block + 1) * size)
        values: dict[str, Any] = dict(scenario.values)
        for name in names:
            values[name] = np.tile(sampled.values[name][rows % draws], 2)
        lanes = regimen.lanes(values)
        solved = simulation_lanes.run(regimen.plan, lanes)
        found = simulation_lanes.observe(regimen.plan, lanes, solved, (CONCENTRATION, POOR, SERUM, DONNAN))
        change = {name: y[:, :size] - y[:, size:] for name, y in found.items()}
        serum = found[DONNAN][:, :size] * change[SERUM]
        total, poor = change[CONCENTRATION], change[POOR]
        ended = np.asarray(solved.status).reshape(2, size).max(0)
        wanted = rows < draws
        reduced = _parts(regimen.times, total, poor, serum)
        rise[rows[wanted]] += np.where(ended == Status.DONE, reduced, np.nan).T[wanted] / len(regimens)
        status[rows[wanted]] = np.maximum(status[rows[wanted]], ended[wanted])
    return rise, status


def statistics_of(times: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Peak, highest mean over 24 h and mean of `y` (time, lane), as (statistic, lane)."""
    return np.stack([READ_OUTS[name].formula(times, y, times[0], times[-1]) for name in STATISTICS.values()])


def _parts(times: np.ndarray, total: np.ndarray, poor: np.ndarray, serum: np.ndarray) -> np.ndarray:
    """The quantities (quantity, lane) of rises (time, lane). Means add up: a local one is the rest that serum leaves."""
    curves = dict(zip(PARTS, (total, poor, total - serum, poor - serum, serum), strict=True))
    parts = {part: statistics_of(times, y) for part, y in curves.items()}
    for local, whole in (("local", "total"), ("local, poorly perfused", "poorly perfused")):
        parts[local][-1] = parts[whole][-1] - parts["serum"][-1]
    return np.concatenate(list(parts.values()))


# ---------------------------------------------------------------- reporting
def _summary(
    scenario: Scenario, sampled: Draws, rise: np.ndarray, status: np.ndarray, seed: int, path: Path | None
) -> FeasibilitySummary:
    subjects = len(scenario.subjects)
    failed = int((status != Status.DONE).sum())
    worst = Status(int(status.max()))
    quantities = {}
    for (name, text), column in zip(QUANTITIES.items(), rise.T, strict=True):
        solved = column[np.isfinite(column)]
        targets = {label: _against(solved, target) for label, target in TARGETS.items()}
        quantities[name] = {"text": text, "unit": "mmol/L", "rise": percentiles(solved), "targets": targets}
    found = {
        "draws": len(status),
        "seed": seed,
        "failed": failed,
        "sampled": len(sampled.values),
        "tried": sampled.tried,
        "share_rejected": sampled.share_rejected,
        "rejected": dict(sampled.rejected),
        "horizon_h": scenario.horizon,
        "targets": {label: {"value": target, "unit": "mmol/L"} for label, target in TARGETS.items()},
        "quantities": quantities,
    }
    return FeasibilitySummary.of(
        {
            **about_scenario(scenario, path),
            "status": {"code": int(worst), "reason": worst.reason, "failed": failed, "trajectories": len(status)},
            "verdict": _sentence(found, subjects),
            "feasibility": found,
        }
    )


def _against(rise: np.ndarray, target: float) -> dict[str, Any]:
    """Shortfall factor, target / rise (infinite without a rise), and the share of samples that reach the target."""
    short = np.where(rise > 0, target / np.where(rise > 0, rise, 1.0), np.inf)
    return {"shortfall": percentiles(short), "share": float(np.mean(rise >= target)) if len(rise) else math.nan}


def _sentence(found: Mapping[str, Any], subjects: int) -> str:
    if found["failed"] == found["draws"]:
        return "No sample could be solved, so there is no result."
    day = found["quantities"]["total, day"]
    reached = [f"{100 * entry['share']:.3g} % reach +{label} mmol/L" for label, entry in day["targets"].items()]
    low, middle, high = (f"{day['rise'][str(q)]:.2g}" for q in PERCENTILES)
    failed = (
        f" {found['failed']} of {found['draws']} samples could not be solved and are excluded."
        if found["failed"]
        else ""
    )
    over = f", on average over {subjects} subjects," if subjects > 1 else ""
    return (
        f"Free Mg in the tumour rises{over} by {middle} mmol/L over the best 24 h "
        f"({low} to {high}, 5 to 95 % of {found['draws']} samples). Of the samples {' and '.join(reached)}.{failed}"
    )


def _dataset(scenario: Scenario, sampled: Draws, rise: np.ndarray, status: np.ndarray) -> xr.Dataset:
    names = list(sampled.values)
    values = np.stack([sampled.values[name] for name in names], axis=1)
    unit = np.array([scenario.parameters[name].unit for name in names], object)
    about = np.array(list(QUANTITIES.values()), object)
    return xr.Dataset(
        {
            "rise": (
                ("draw", "quantity"),
                rise,
                {"units": "mmol L-1", "long_name": "rise compared with the arm without Mg"},
            ),
            "text": (("quantity",), about, {"long_name": "what the quantity is"}),
            "status": file.flags(
                "draw", status, [s.reason for s in Status], "outcome of the sample, the worse of both arms"
            ),
            "value": (
                ("draw", "parameter"),
                values,
                {"units": "1", "long_name": "sampled value in the unit of `unit`"},
            ),
            "unit": (("parameter",), unit, {"long_name": "unit of the parameter"}),
        },
        {"draw": np.arange(len(status)), "quantity": list(QUANTITIES), "parameter": names},
    )
