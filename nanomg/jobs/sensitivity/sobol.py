"""Sobol indices: the share of an output's variance that a parameter makes by itself, and with all its interactions.

Samples and indices are SALib's, the parameters' distributions those of nanomg.population.ranges, each independent of the
others. A base sample is a block of trajectories, two more than there are parameters. SALib needs whole blocks: one is left
out, with all of it, where a trajectory has values that no body or particle can have, or cannot be solved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.errors import InputError, SimulationError, unknown
from nanomg.jobs.sweep.axes import of_values
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import STATUS, Keep
from nanomg.library.scenario import Scenario
from nanomg.population.plausibility import unphysical
from nanomg.population.ranges import CV, Range, range_of
from nanomg.solver.status import Status

PARAMETERS = 10  # varied where none are named
SAMPLES = 1 << 20  # base samples at most
CONFIDENCE, _RESAMPLES = 0.95, 200
INDICES = ("S1", "S1_conf", "ST", "ST_conf")

_CHUNK = 2048  # trajectories between two reports of progress

Progress = Callable[[int, int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class Indices:
    """Sobol indices, each (output, parameter), with the half-width of their 95 % confidence interval; and where they come from.

    `blocks` counts the base samples that were asked for, `whole` those that the indices rest on.
    """

    ranges: Mapping[str, Range]
    values: Mapping[str, np.ndarray]  # of each parameter, (trajectory,)
    found: np.ndarray  # outputs (output, trajectory), NaN where it failed
    status: np.ndarray  # (trajectory,)
    blocks: int
    whole: int
    unphysical: Mapping[str, int]  # rule -> how many trajectories it turned away, before anything was solved
    S1: np.ndarray
    S1_conf: np.ndarray
    ST: np.ndarray
    ST_conf: np.ndarray

    @property
    def failed(self) -> int:
        """How many trajectories could not be solved."""
        return int((self.status != Status.DONE).sum())


def ranges_of(scenario: Scenario, names: Sequence[str], over: str) -> dict[str, Range]:
    """The ranges of these parameters. Raises `InputError` for a name that is unknown, given twice, or has no range."""
    found = {}
    for name in names:
        if name not in scenario.parameters:
            raise unknown("parameter", name, scenario.parameters, "--parameter")
        if name in found:
            raise InputError(f"{name!r} is named twice", "--parameter")
        if name in scenario.bound:
            message = f"{name!r} follows column {scenario.bound[name]} of the event table, so it has no range"
            raise InputError(message, "--parameter")
        span = range_of(scenario.parameters[name], over)
        if span is None:
            lacks = "variation between subjects (cv)" if over == CV else "range (low and high)"
            raise InputError(
                f"{name!r} has no {lacks}: its card has none, or its value is set by the user", "--parameter"
            )
        found[name] = span
    return found


def check(samples: int) -> None:
    """Raise `InputError` for a number of base samples that is no power of 2, or more than anyone means."""
    if not 2 <= samples <= SAMPLES or samples & (samples - 1):
        raise InputError(
            f"the number of base samples must be a power of 2, such as 256, and at most {SAMPLES:,}, not {samples:,}",
            "--sobol",
        )


def indices(
    scenario: Scenario,
    outputs: Sequence[Keep],
    ranges: Mapping[str, Range],
    samples: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> Indices:
    """Sobol indices of the outputs over these ranges, from `samples` base samples.

    Raises `InputError` as `check` does, `SimulationError` where too few are left.
    """
    check(samples)
    import SALib.analyze.sobol
    import SALib.sample.sobol

    size = len(ranges)
    problem = {"num_vars": size, "names": list(ranges), "bounds": [[0.0, 1.0]] * size}
    cube = SALib.sample.sobol.sample(problem, samples, calc_second_order=False, seed=seed)
    most = scenario.model.parameters
    values = {
        name: np.minimum(span.quantile(share), most[name].at_most)
        for (name, span), share in zip(ranges.items(), cube.T, strict=True)
    }
    broken = unphysical(scenario, values, len(cube))
    sound = _whole(~np.any(list(broken.values()), axis=0), size)
    values = {name: v[sound] for name, v in values.items()}
    found, status = solve_outputs(scenario, values, outputs, progress)
    solved = _whole((status == Status.DONE) & np.isfinite(found).all(0), size)
    whole = int(solved.sum()) // (size + 2)
    if whole < 2:
        raise SimulationError("hardly any base sample could be solved", f"scenario {scenario.name!r}")
    rows = [_analysed(SALib.analyze.sobol.analyze, problem, y, seed) for y in found[:, solved]]
    return Indices(
        dict(ranges),
        values,
        found,
        status,
        samples,
        whole,
        {rule: int(hit.sum()) for rule, hit in broken.items() if hit.any()},
        **{key: np.array([row[key] for row in rows]) for key in INDICES},
    )


def _whole(good: np.ndarray, size: int) -> np.ndarray:
    """Which trajectories belong to a base sample all of whose trajectories are good."""
    return np.repeat(good.reshape(-1, size + 2).all(1), size + 2)


def _analysed(
    analyze: Callable[..., Mapping[str, Any]], problem: Mapping[str, Any], y: np.ndarray, seed: int
) -> Mapping[str, Any]:
    """SALib's indices of one output, NaN where it does not vary."""
    if np.ptp(y) == 0:
        return dict.fromkeys(INDICES, np.full(problem["num_vars"], np.nan))
    return analyze(problem, y, calc_second_order=False, num_resamples=_RESAMPLES, conf_level=CONFIDENCE, seed=seed)


def solve_outputs(
    scenario: Scenario, values: Mapping[str, np.ndarray], outputs: Sequence[Keep], progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (output, trajectory) for `values` (trajectory,) of parameters, NaN where it failed; and the status (trajectory,).

    Over an event table an output is the mean over its subjects, and the status the worst.
    """
    batch = Trajectories(scenario, of_values(values, scenario), outputs)
    parts = []
    for start in range(0, batch.total, _CHUNK):
        if progress:
            progress(start, batch.total, {})
        parts.append(batch.solve(start, min(start + _CHUNK, batch.total)))
    wide = lambda name: np.concatenate([part[name] for part in parts]).reshape(-1, max(len(scenario.subjects), 1))
    return np.stack([wide(output.label).mean(1) for output in outputs]), wide(STATUS).max(1)


# ---------------------------------------------------------------- what is said of it
def summary_of(scenario: Scenario, outputs: Sequence[Keep], found: Indices, seed: int) -> dict[str, Any]:
    """The indices as JSON, the largest total of each output first and None where it does not vary, and how they were found."""
    names = list(found.ranges)
    known = lambda value: float(value) if np.isfinite(value) else None
    rows = [
        {"output": output.label, "parameter": names[i]} | {key: known(getattr(found, key)[o, i]) for key in INDICES}
        for o, output in enumerate(outputs)
        for i in np.argsort(-found.ST[o], kind="stable")
    ]
    varied = [
        {
            "parameter": name,
            "low": span.low,
            "high": span.high,
            "unit": scenario.parameters[name].unit,
            "distribution": "uniform" if span.uniform else "log-normal",
        }
        for name, span in found.ranges.items()
    ]
    return {
        "seed": seed,
        "samples": found.blocks,
        "complete": found.whole,
        "trajectories": len(found.status),
        "failed": found.failed,
        "unphysical": dict(found.unphysical),
        "confidence": CONFIDENCE,
        "parameters": varied,
        "indices": rows,
    }
