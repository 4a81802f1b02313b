"""A fit as a problem for least squares: free parameters with bounds and priors, residuals of the rows to fit, their Jacobian.

Rows that share no run are predicted apart. The Jacobian is exact, from one reverse pass with one lane for each residual:
lanes share nothing, so the gradients of all residuals come out of it side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg import units
from nanomg.data.prediction import Predictor
from nanomg.data.studies import Datum, Study
from nanomg.errors import InputError, unknown
from nanomg.jobs.calibrate import least_squares
from nanomg.jobs.calibrate.least_squares import Optimum, Progress
from nanomg.library.card import Card


class FitProblem(NamedTuple):
    """Rows to fit and free parameters, in the units that the models declare; `prior` holds the centre and sd of ln by place."""

    study: Study
    fitted: tuple[Datum, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    start: np.ndarray  # (parameter,)
    low: np.ndarray
    high: np.ndarray
    prior: Mapping[int, tuple[float, float]]


def problem_of(study: Study, card: Card) -> FitProblem:
    """The problem of a study; the free parameters start at the values of its runs."""
    where = f"study {study.name!r}, free"
    fitted = tuple(datum for datum in study.data if datum.part == "fit")
    if not fitted:
        raise InputError("there is no row to fit", f"study {study.name!r}")
    names = [free.name for free in study.free]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{twice!r} is freed twice", where)
    rows = []
    priors: dict[int, tuple[float, float]] = {}
    for i, free in enumerate(study.free):
        at = f"{where}, {free.name}"
        holding = [run.scenario for run in study.runs.values() if free.name in run.scenario.parameters]
        if not holding:
            raise unknown(
                "parameter", free.name, {p for r in study.runs.values() for p in r.scenario.parameters}, where
            )
        if free.name not in card.parameters:
            raise unknown(f"parameter of card {card.name!r}", free.name, card.parameters, where)
        parameter = next(
            (s.parameters[free.name] for s in holding if s.parameters[free.name].card == card.name),
            holding[0].parameters[free.name],
        )
        unit = parameter.unit
        low, high = (units.parse_quantity(text, unit, at) for text in (free.low, free.high))
        high = min(high, holding[0].model.parameters[free.name].at_most)
        if not 0 < low < high:
            raise InputError(
                f"the bounds must be above 0 and the lower one below the upper one, not {low:g} and {high:g}", at
            )
        if free.prior is not None:
            centre = units.parse_quantity(free.prior[0], unit, f"{at}, prior")
            if not centre > 0:
                raise InputError(f"the value of a prior must be above 0, not {centre:g}", at)
            priors[i] = math.log(centre), math.sqrt(math.log1p(free.prior[1] ** 2))
        rows.append((unit, parameter.value, low, high))
    unit_of, starts, lows, highs = zip(*rows, strict=True)
    return FitProblem(study, fitted, tuple(names), unit_of, np.array(starts), np.array(lows), np.array(highs), priors)


# ---------------------------------------------------------------- residuals
def residual(data: Sequence[Datum], predicted: Any) -> Any:
    """Residuals (row, …) of predictions (row, …), in stated standard deviations; of a bound only what is beyond it."""
    column = lambda values: np.array(values).reshape(-1, *(1,) * (np.ndim(predicted) - 1))
    value = column([d.row.value for d in data])
    sd = column([d.error.sd for d in data])
    relative = column([d.error.relative for d in data])
    beyond = column([{"upper": 1, "lower": -1}.get(d.row.bound, 0) for d in data])
    positive = jnp.where(predicted > 0, predicted, jnp.nan)
    log = jnp.log(jnp.where(relative, positive, 1.0)) - np.log(np.where(relative, value, 1.0))
    found = jnp.where(relative, log, predicted - value) / sd
    return jnp.where(beyond == 0, found, beyond * jnp.maximum(beyond * found, 0.0))


def parts_of(data: Sequence[Datum]) -> list[list[int]]:
    """Rows that share runs, directly or through others."""
    parts: list[tuple[set[Any], list[int]]] = []
    for i, datum in enumerate(data):
        runs = {id(m.run) for m in (datum.row.measure, datum.row.against) if m is not None}
        joined = [part for part in parts if part[0] & runs]
        parts = [part for part in parts if not part[0] & runs]
        parts.append((runs.union(*(r for r, _ in joined)), [*(j for _, rows in joined for j in rows), i]))
    return [sorted(rows) for _, rows in parts]


def free_in(data: Sequence[Datum], names: Sequence[str]) -> list[str]:
    """Those of the parameters that a run of these rows has."""
    runs = [m.run for d in data for m in (d.row.measure, d.row.against) if m is not None]
    return [name for name in names if any(name in run.scenario.parameters for run in runs)]


class Part:
    """Rows that share runs: their residuals, and the Jacobian with one lane for each."""

    def __init__(self, data: Sequence[Datum], names: Sequence[str]):
        self.data, self.names = data, names
        self.predictor = Predictor([d.row for d in data], free_in(data, names))
        self._slopes = jax.jit(self._pulled)

    def values(self, z: np.ndarray) -> np.ndarray:
        """Residuals (point, residual)."""
        return np.asarray(residual(self.data, self.predictor(self._spread(z)))).T

    def _spread(self, z: Any) -> dict[str, Any]:
        return {name: jnp.exp(z[:, self.names.index(name)]) for name in self.predictor.free}

    def _pulled(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        size = len(self.data)
        lanes = jnp.tile(z, (size, 1))
        found, pull = jax.vjp(lambda z: residual(self.data, self.predictor(self._spread(z))), lanes)
        return found[:, 0], pull(jnp.eye(size))[0]

    def slopes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals and Jacobian (residual, parameter) at one point."""
        found, jacobian = self._slopes(z)
        return np.asarray(found), np.asarray(jacobian)


def search(problem: FitProblem, starts: int, seed: int, progress: Progress | None = None) -> Optimum:
    """The fit of a problem, with the residuals of the priors last."""
    index = parts_of(problem.fitted)
    parts = [Part([problem.fitted[i] for i in rows], problem.names) for rows in index]
    back = np.argsort(np.concatenate(index))
    places, size = list(problem.prior), len(problem.names)
    centre, sd = np.array(list(problem.prior.values())).reshape(-1, 2).T
    pull = np.eye(size)[places] / sd[:, None]

    def values(z: np.ndarray) -> np.ndarray:
        found = np.concatenate([part.values(z) for part in parts], 1)[:, back]
        return np.concatenate([found, (z[:, places] - centre) / sd], 1)

    def slopes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, jacobian = (np.concatenate(each)[back] for each in zip(*(part.slopes(z) for part in parts), strict=True))
        return np.concatenate([found, (z[places] - centre) / sd]), np.concatenate([jacobian, pull])

    start, low, high = (np.log(np.maximum(v, np.finfo(float).tiny)) for v in (problem.start, problem.low, problem.high))
    return least_squares.fit(values, slopes, start, low, high, starts=starts, seed=seed, progress=progress)


def at_bound(problem: FitProblem, z: np.ndarray) -> np.ndarray:
    """-1 or 1 for a parameter that ended at its lower or upper bound, else 0."""
    low, high = np.log(problem.low), np.log(problem.high)
    return (z >= high).astype(int) - (z <= low)
