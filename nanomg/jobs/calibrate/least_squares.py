"""Least squares within bounds from several starts, and what the data know about each parameter.

Everything here is in logarithms of parameters, `z`. The steps are those of optimistix's Levenberg-Marquardt, taken by all starts
at once: each step is shown residuals and their exact Jacobian at the point that it asks for. A step that leaves the bounds ends on
them, and a parameter that the data push out of its range is held there while the others move.

`uncertainty` reads the Fisher matrix at the optimum: standard errors, correlations, and the combinations of parameters that the
data leave open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

STEPS = 80  # of each start at most
TOLERANCE = 1e-4  # of z, and of residuals in their standard deviations, between two steps
GOOD = 0.75  # of the fall that a step promised: the next may be longer
PATIENCE, LITTLE = 6, 5e-3  # a start ends where so many steps lower half the sum of squares by less than this
CANDIDATES = 8  # points looked at for each start
FAILED = 1e3  # residual, in standard deviations, where there is no prediction
SAME = 0.02  # starts whose sums of squares differ by this share reached the same optimum
OPEN = 1e-3  # a direction is open where its scaled singular value is below this share of the largest
MEMBER = 0.1  # a parameter takes part in an open direction from this component on
WEAK = 1e-2  # [standard deviations] all that a parameter without influence changes when it grows e-fold
EXACT = 1e-6  # [standard deviations] no data are taken to be better than that
HIDDEN = 1e-6  # of a parameter, its share in what neither data nor priors see: more, and nothing is known of it

Values = Callable[[np.ndarray], np.ndarray]  # z (point, parameter) -> residuals (point, residual)
Slopes = Callable[
    [np.ndarray], tuple[np.ndarray, np.ndarray]
]  # the same with the Jacobian (point, residual, parameter)
Progress = Callable[[int, int, dict[str, float]], None]


class Optimum(NamedTuple):
    """Where the starts ended. `cost` is half the sum of squares; the first start is the point that was given."""

    z: np.ndarray  # (parameter,) the best
    residual: np.ndarray  # there
    jacobian: np.ndarray  # (residual, parameter) there
    begin: np.ndarray  # (start, parameter)
    end: np.ndarray
    begin_cost: np.ndarray  # (start,)
    cost: np.ndarray
    converged: np.ndarray
    same: np.ndarray  # whether the start reached the best optimum
    steps: int
    failed: int  # points looked at without a prediction for every residual


class Uncertainty(NamedTuple):
    """What is known at an optimum, in logarithms.

    A standard error is infinite where nothing is known and NaN for a parameter held at a bound; correlations are NaN for both.
    With `clusters` (subjects whose residuals may be correlated) they are those of the sandwich estimator, else there are 0.
    """

    fisher: np.ndarray  # (parameter, parameter), priors included
    se: np.ndarray  # (parameter,)
    correlation: np.ndarray
    singular: np.ndarray  # of the data's Jacobian with columns of unit length, those of held parameters left out
    rank: int
    no_influence: tuple[int, ...]
    open: tuple[tuple[tuple[int, float], ...], ...]  # parameters of each open direction, with its components
    residual_sd: float  # of the data, in their stated standard deviations
    freedom: float
    clusters: int = 0


# ---------------------------------------------------------------- the search
_SOLVER: Any = eqx.tree_at(
    lambda solver: solver.search,
    optimistix.LevenbergMarquardt(rtol=TOLERANCE, atol=TOLERANCE),
    optimistix.ClassicalTrustRegion(high_cutoff=GOOD),
)
_OPTIONS = {"jac": "bwd"}
_TAGS: frozenset[object] = frozenset()


def _tangent(z: Any, args: Any) -> tuple[Any, None]:
    """The residuals as the solver sees them: exact in value and slope at the one point where it looks."""
    at, residual, jacobian = args
    return residual + jacobian @ (z - at), None


@eqx.filter_jit
def _begin(z: Any, residual: Any, jacobian: Any) -> Any:
    def one(z: Any, residual: Any, jacobian: Any) -> Any:
        like = jax.eval_shape(lambda: residual)
        return _SOLVER.init(_tangent, z, (z, residual, jacobian), _OPTIONS, like, None, _TAGS)

    return eqx.filter_vmap(one)(z, residual, jacobian)


@eqx.filter_jit
def _step(z: Any, state: Any, residual: Any, jacobian: Any) -> Any:
    def one(z: Any, state: Any, residual: Any, jacobian: Any) -> Any:
        z, state, _ = _SOLVER.step(_tangent, z, (state.y_eval, residual, jacobian), _OPTIONS, state, _TAGS)
        return z, state

    return eqx.filter_vmap(one)(z, state, residual, jacobian)


def fit(
    values: Values,
    slopes: Slopes,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    starts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Optimum:
    """The least sum of squares of the residuals for `z` between `low` and `high` (parameter,).

    The first start is `start`; the others are the best of a Latin hypercube over the bounds. A residual that is not a finite
    number counts as `FAILED`, with no slope.
    """
    failed = 0

    def finite(residual: np.ndarray) -> np.ndarray:
        nonlocal failed
        bad = ~np.isfinite(residual)
        failed += int(bad.any(-1).sum())
        return np.where(bad, FAILED, residual)

    def look(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        residual, jacobian = slopes(point)
        known = np.isfinite(residual)[:, None] & np.isfinite(jacobian)
        return finite(residual), np.where(known, jacobian, 0.0)

    begin = np.clip(start, low, high)[None]
    if starts > 1:
        cube = low + (high - low) * _latin(CANDIDATES * starts, len(start), seed)
        order = np.argsort(_cost(finite(values(cube))), kind="stable")
        begin = np.concatenate([begin, cube[order[: starts - 1]]])

    trial, seen = begin, [look(point) for point in begin]
    residual, jacobian = _stacked(seen)
    z, state = jnp.asarray(begin), _begin(begin, residual, jacobian)
    costs, active, step = [_cost(residual)], np.full(len(begin), True), 0
    while active.any() and step < STEPS:
        residual, jacobian = _stacked(seen)
        downhill = -np.einsum("srp,sr->sp", jacobian, residual)
        held = ((trial <= low) & (downhill < 0)) | ((trial >= high) & (downhill > 0))
        state = eqx.tree_at(lambda s: s.y_eval, state, jnp.asarray(trial))
        z, state = _step(z, state, residual, np.where(held[:, None, :], 0.0, jacobian))
        step += 1
        costs.append(_cost(state.f_info.residual))
        active &= ~np.asarray(state.terminate)
        if step > PATIENCE:
            active &= costs[-1 - PATIENCE] - costs[-1] > LITTLE
        if progress:
            progress(step, STEPS, {"objective": float(costs[-1].min())})
        trial = np.where(active[:, None], np.clip(state.y_eval, low, high), trial)
        seen = [look(point) if on else old for point, on, old in zip(trial, active, seen, strict=True)]
    end, cost = np.asarray(z), costs[-1]
    best = int(np.argmin(cost))
    same = cost <= cost[best] * (1.0 + SAME) + TOLERANCE
    return Optimum(end[best], *look(end[best]), begin, end, costs[0], cost, ~active, same, step, failed)


def _stacked(seen: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    residual, jacobian = zip(*seen, strict=True)
    return np.stack(residual), np.stack(jacobian)


def _cost(residual: np.ndarray) -> np.ndarray:
    return 0.5 * np.sum(np.asarray(residual) ** 2, -1)


def _latin(points: int, dimensions: int, seed: int) -> np.ndarray:
    """Points (point, dimension) in the unit cube, one in each of `points` slices along every dimension."""
    random = np.random.default_rng(seed)
    slices = random.permuted(np.tile(np.arange(points), (dimensions, 1)), axis=1).T
    return (slices + random.random((points, dimensions))) / points


# ---------------------------------------------------------------- what is known
def uncertainty(
    residual: np.ndarray,
    jacobian: np.ndarray,
    held: np.ndarray,
    priors: int = 0,
    clusters: Sequence[str] | None = None,
) -> Uncertainty:
    """The Fisher matrix at an optimum and what follows from it; the last `priors` residuals are those of priors.

    The variance of the data is estimated from their residuals, where they are more than the parameters that they determine; that
    of the priors is taken as stated. Singular values are those of the data alone. A residual without value and slope, such as that
    of a published bound that is kept, does not count.

    `clusters` names the subject of each residual of the data, empty where it stands for itself. With two subjects or more, errors
    are clustered by subject: sums of scores within a subject replace the assumption that all residuals are independent.
    """
    count = len(residual) - priors
    data, prior = jacobian[:count], jacobian[count:]
    free = np.flatnonzero(~held)
    telling = int(np.count_nonzero((residual[:count] != 0) | (data != 0).any(axis=1)))
    freedom = telling - _determined(data[:, free], prior[:, free])
    residual_sd = float(np.sqrt(np.sum(residual[:count] ** 2) / freedom)) if freedom > 0.5 else 1.0
    data_sd = max(residual_sd, EXACT)
    fisher = data.T @ data / data_sd**2 + prior.T @ prior

    length = np.linalg.norm(data, axis=0)
    seen, none = free[length[free] > WEAK], free[length[free] <= WEAK]
    left, singular, directions = np.linalg.svd(data[:, seen] / length[seen])
    singular = np.pad(singular, (0, len(seen) - len(singular)))
    rank = int(np.sum(singular > OPEN * singular.max(initial=0.0)))
    nothing = []
    for direction in directions[rank:]:
        exponents = direction / length[seen]  # back from columns of unit length
        exponents = exponents / np.abs(exponents).max()
        nothing.append(tuple((int(seen[i]), float(exponents[i])) for i in np.flatnonzero(np.abs(exponents) > MEMBER)))

    determined = np.zeros_like(data)  # the data's Jacobian without what they leave open
    determined[:, seen] = (left[:, :rank] * singular[:rank]) @ directions[:rank] * length[seen]
    se, correlation = np.full(len(held), np.nan), np.full((len(held), len(held)), np.nan)
    whitened = np.concatenate([determined / data_sd, prior])[:, free]
    groups = _groups(clusters) if freedom > 0.5 else None
    scores = None if groups is None else _Scores(residual[:count] / data_sd, groups, telling, telling - freedom)
    se[free], correlation[np.ix_(free, free)] = _errors(whitened, scores)
    found = fisher, se, correlation, singular, rank, tuple(none.tolist()), tuple(nothing), residual_sd, freedom
    return Uncertainty(*found, 0 if scores is None else scores.clusters)


class _Scores(NamedTuple):
    """Residuals of the data in estimated standard deviations, the number of each one's cluster; how many residuals tell something,
    and how many parameters they determine."""

    residual: np.ndarray
    group: np.ndarray
    telling: int
    determined: float

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return int(self.group.max()) + 1

    def covariance(self, inverse: np.ndarray) -> np.ndarray:
        """The sandwich estimate, corrected for few clusters; `inverse` is that of the data's Jacobian (parameter, residual)."""
        moved = np.zeros((len(inverse), self.clusters))
        np.add.at(moved.T, self.group, (inverse * self.residual).T)
        correction = self.clusters / (self.clusters - 1) * (self.telling - 1) / (self.telling - self.determined)
        return correction * moved @ moved.T


def _groups(clusters: Sequence[str] | None) -> np.ndarray | None:
    """The number of each residual's cluster; None with fewer than two named ones."""
    if clusters is None or len({*clusters} - {""}) < 2:
        return None
    keys = [name or i for i, name in enumerate(clusters)]
    index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([index[key] for key in keys])


def _determined(data: np.ndarray, prior: np.ndarray) -> float:
    """How many parameters the data determine, each counted less the more its prior does."""
    own = data.T @ data
    return float(np.trace(own @ np.linalg.pinv(own + prior.T @ prior, hermitian=True)))


def _errors(jacobian: np.ndarray, scores: _Scores | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors and correlations from residuals of variance 1, or clustered; residuals of priors come last."""
    length = np.linalg.norm(jacobian, axis=0)
    length[length == 0] = 1.0
    scaled = jacobian / length
    inverse = np.linalg.pinv(scaled, rcond=1e-9)
    covariance = inverse @ inverse.T
    if scores is not None:
        data, prior = np.split(inverse, [len(scores.residual)], axis=1)
        covariance = scores.covariance(data) + prior @ prior.T
    hidden = 1.0 - np.einsum("pr,rp->p", inverse, scaled) > HIDDEN
    covariance[hidden], covariance[:, hidden] = np.nan, np.nan
    se = np.sqrt(np.diag(covariance))
    return np.where(hidden, np.inf, se / length), covariance / np.outer(se, se)
