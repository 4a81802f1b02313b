"""From the best point of a search to an optimum that is shown to be one: sequential quadratic programming.

At each point the gradients of the objective and of the limits that are nearly reached, and the change of the gradient over a short
reach of each variable, give a local model: a quadratic function under linear constraints. Its minimum says how far the optimum
still is and what is to be gained there, which is the test of convergence. The scale of that test is what was measured near the
point; how the objective varies among other regimens plays no part in it, and neither does how far the last step went.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.optimize

from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.jobs.optimize.problem import DosingProblem, DosingSpec, Evaluation, Weights
from nanomg.simulation import lanes as simulation_lanes

TOLERANCE = 1e-3  # of the residual: a share of a variable's range, or the root of a relative gain
REACH, FAR = 5e-5, 1e-2  # shares of a variable's range over which curvature is measured
SMALL = (
    0.05  # an amount below this share of its range has a shorter reach, in proportion, but not below this share of it
)
FINE = 1e-9, 1e-7  # a step [share of the ranges] and a relative gain that are not worth another round
NEAR = 0.05  # a limit with a smaller relative slack is part of the local model
RTOL = 1e-8  # of the solver; the last point is evaluated at a tight tolerance
MARGIN = 1e-6  # of a limit: how far inside it the result should be
ROWS = 11  # limits in the local model at most, the nearest
KINK = 0.5  # relative difference of the curvatures on both sides of a variable from which there is a kink between them
ROUNDS, SECTIONS = 40, 14  # local models, and evaluations along a step
FINER, GRIDS, MOST_TIMES = 4.0, 4, 5_000  # a finer grid, how often it may become finer, regular times at most
EXCESS, MISSED = 5e-5, 1e-3  # relative to a limit and to the objective: what a grid may miss
LEVEL = 1e-2  # curvature of the level of the linear part, which needs one to be found, times the size of the objective
LEAST = 1e-6  # curvature at least, of the size of the objective per squared range, and of the largest curvature


class Refined(NamedTuple):
    """Where a refinement ended: variables, their evaluation at a tight tolerance, how far the optimum still is."""

    z: np.ndarray
    evaluation: Evaluation
    residual: float
    converged: bool
    evaluations: int


class _Point(NamedTuple):
    """A point (variable,) with what is measured there."""

    z: np.ndarray
    objective: float
    excess: float  # the largest, negative within every limit
    size: float  # of the objective: the sum of its terms' sizes
    slope: np.ndarray  # (variable,)
    rows: list[tuple[int, int]]  # limits and times that are nearly reached
    limits: np.ndarray  # (row,) excess
    slopes: np.ndarray  # (row, variable)


class _Step(NamedTuple):
    """The minimum of a local model: the step to it (variable,), the gain, and the multipliers of the limits (row,)."""

    step: np.ndarray
    gain: float
    multipliers: np.ndarray


def refine(problem: DosingProblem, z: np.ndarray) -> Refined:
    """Improve the variables `z` (variable,) until a local model predicts no gain."""
    return _Refinement(problem).run(z)


def with_finer_grid(problem: DosingProblem, refined: Refined) -> DosingProblem | None:
    """The same problem on a finer grid of times, where the one in use misses part of what the regimen does; else None."""
    scenario = problem.scenario
    every = scenario.every / FINER
    if scenario.horizon / every > MOST_TIMES:
        return None
    seen, whole = refined.evaluation, optimize_problem.evaluate_finely(problem, refined.z, every / FINER)
    excess = max(float(whole.excess.max()), 0.0) - max(float(seen.excess.max()), 0.0)
    missed = abs(float(whole.objective[0] - seen.objective)) / size_of(problem.design, seen)
    if not (excess > EXCESS or missed > MISSED):
        return None
    return optimize_problem.problem_of(dataclasses.replace(scenario, every=every), problem.lanes.output.shape[1])


def size_of(design: DosingSpec, evaluation: Evaluation) -> float:
    """The size of an objective: the sum of its terms' sizes; a logarithm counts as one unit at least."""
    terms = [
        max(abs(float(value)), abs(term.weight) if term.statistic.startswith("log ") else 0.0)
        for term, value in zip(design.terms, evaluation.terms, strict=True)
    ]
    return max(sum(terms), 1e-300)


def linear_constraints(design: DosingSpec) -> tuple[np.ndarray, np.ndarray]:
    """Bounds, totals and intervals as `matrix @ z <= bound`."""
    rows, bounds = [np.eye(design.size), -np.eye(design.size)], [np.ones(design.size), np.zeros(design.size)]
    at = 0
    for entry, members in zip(design.free, design.members, strict=True):
        n = len(members)
        width, span = entry.amount[1] - entry.amount[0], entry.time[1] - entry.time[0]
        if np.isfinite(entry.total) and width > 0:
            rows.append(np.zeros((1, design.size)))
            rows[-1][0, at : at + n] = 1.0
            bounds.append(np.array([(entry.total - n * entry.amount[0]) / width]))
        if span > 0 and n > 1:
            rows.append(np.zeros((n - 1, design.size)))
            rows[-1][:, at + n : at + 2 * n] = np.eye(n - 1, n) - np.eye(n - 1, n, 1)
            bounds.append(np.full(n - 1, -entry.interval / span))
        at += 2 * n
    return np.concatenate(rows), np.concatenate(bounds)


def fixed_variables(design: DosingSpec) -> np.ndarray:
    """Which variables have no range (variable,)."""
    fixed: list[bool] = []
    for entry, members in zip(design.free, design.members, strict=True):
        fixed += [low == high for low, high in (entry.amount, entry.time) for _ in members]
    return np.array(fixed, bool)


def least_quadratic(
    slope: np.ndarray, hessian: np.ndarray, matrix: np.ndarray, bound: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The step s (variable,) with the least `slope @ s + s @ hessian @ s / 2` where `matrix @ s <= bound`; multipliers (row,).

    None where no step keeps the constraints. The Hessian is positive definite. It is solved as a problem of least distance by
    non-negative least squares (Lawson and Hanson 1974).
    """
    used = matrix.any(1)
    multipliers, matrix, bound = np.zeros(len(bound)), matrix[used], bound[used]
    inverse = np.linalg.inv(np.linalg.cholesky(hessian))
    away = inverse @ slope
    size = max(float(np.linalg.norm(away)), 1e-30)
    rows, ends = -matrix @ inverse.T, -(bound + matrix @ inverse.T @ away) / size
    length = np.maximum(np.sqrt(np.sum(rows**2, 1) + ends**2), 1e-300)
    system = np.concatenate([rows, ends[:, None]], 1).T / length
    target = np.append(np.zeros(len(slope)), 1.0)
    weights, _ = scipy.optimize.nnls(system, target, maxiter=50 * system.shape[1])
    rest = system @ weights - target
    if not rest[-1] < 0.0:
        return None
    step = inverse.T @ (-rest[:-1] / rest[-1] * size - away)
    kept = (matrix @ step <= bound + 1e-5 * (np.abs(matrix) @ np.abs(step) + 1.0)).all()
    multipliers[used] = weights / length / -rest[-1] * size
    return (step, multipliers) if kept else None


class _Turn(NamedTuple):
    """How the slope turns when a variable moves, per step (variable, moved), and the slopes after it (variable, moved)."""

    turn: np.ndarray
    slopes: np.ndarray


class _Refinement:
    """A problem, its linear constraints, and the number of evaluations made."""

    def __init__(self, problem: DosingProblem) -> None:
        self.problem, self.design = problem, problem.design
        self.lanes = problem.lanes.output.shape[1]
        self.shape = max(len(self.design.limits), 1), problem.lanes.output.shape[0]
        self.matrix, self.bound = linear_constraints(self.design)
        self.amounts = optimize_problem.amounts_of(self.design)
        self.moves = ~fixed_variables(self.design)
        self.evaluations = 0

    def run(self, z: np.ndarray) -> Refined:
        """Rounds of a local model and a search along its step."""
        point = self.point(np.asarray(self.projected(z[:, None])[:, 0]))
        residual, price, ended = np.inf, 0.0, False
        for _ in range(ROUNDS if np.isfinite(point.objective) else 0):
            near = self.near(point)
            residual = self.residual(point, near)
            price = max(price, 2.0 * float(near.multipliers.sum()) + 0.1 * point.size)
            small = self.small(point, near)
            moved = None if small else self.searched(point, near, price)
            if moved is None:
                # a kink makes the curvature over a short reach large, so a longer one has to agree that nothing is to be gained
                far = self.far(point)
                moved = None if small and self.small(point, far) else self.searched(point, far, price)
            if moved is None:
                ended = True
                break
            point = self.point(moved)
        # what a tighter tolerance of the solver puts outside a limit is moved towards where the refinement began
        ends = self.projected(point.z[:, None] + np.array([0.0, 1e-3, 1e-2, 1e-1]) * (z - point.z)[:, None])
        _, found = self.evaluated(ends, rtol=simulation_lanes.TIGHT, margin=0.0)
        kept = next((i for i, e in enumerate(found) if e.excess.max() <= 0.0), 0)
        return Refined(ends[:, kept], found[kept], residual, ended and residual < TOLERANCE, self.evaluations)

    def residual(self, point: _Point, step: _Step) -> float:
        """How far the optimum still is: the largest step or the root of the relative gain predicted, or the excess over a limit."""
        root = float(np.sqrt(max(step.gain, 0.0) / point.size))
        return max(min(float(np.abs(step.step).max(initial=0.0)), root), point.excess, 0.0)

    def small(self, point: _Point, step: _Step) -> bool:
        """Whether a predicted step is not worth another round."""
        far, gain = np.abs(step.step).max(initial=0.0), step.gain
        return bool(point.excess <= 0.5 * MARGIN and (far <= FINE[0] or gain <= FINE[1] * point.size))

    # ------------------------------------------------------------ evaluation
    def projected(self, z: np.ndarray) -> np.ndarray:
        """The nearest allowed variables (variable, lane)."""
        return np.asarray(optimize_problem.project(self.design, jnp.asarray(self.wide(z))))[:, : z.shape[1]]

    def wide(self, columns: np.ndarray) -> np.ndarray:
        """As many columns as the compiled program has lanes, the last one repeated."""
        return np.concatenate([columns, np.repeat(columns[..., -1:], self.lanes - columns.shape[-1], -1)], -1)

    def evaluated(
        self,
        z: np.ndarray,
        objective: float = 1.0,
        plain: np.ndarray | None = None,
        rtol: float = RTOL,
        margin: float = MARGIN,
    ) -> tuple[np.ndarray, list[Evaluation]]:
        """The slope (variable, lane) of the weighted sum at each point, `plain` (limit, time, lane), and the evaluations.

        Limits are tighter by a margin, so that what keeps them here also keeps them at a tighter tolerance of the solver.
        """
        slopes, found = [], []
        for start in range(0, z.shape[1], self.lanes):
            part = slice(start, start + self.lanes)
            columns = z[:, part]
            count = columns.shape[1]
            excesses = np.zeros((*self.shape, count)) if plain is None else plain[..., part]
            weights = Weights(
                jnp.full(self.lanes, objective),
                jnp.zeros((*self.shape, self.lanes)),
                jnp.asarray(0.0),
                jnp.asarray(self.wide(excesses)),
            )
            points = self.wide(columns)
            order = optimize_problem.edge_order(self.design, self.problem.lanes, points)
            slope, evaluation = optimize_problem.gradient(
                self.design, self.problem.lanes, jnp.asarray(points), order, weights, jnp.asarray(rtol)
            )
            self.evaluations += self.lanes
            slopes.append(np.asarray(slope)[:, :count])
            evaluation = evaluation._replace(excess=evaluation.excess + margin)
            found += [Evaluation(*(np.asarray(a)[..., i] for a in evaluation)) for i in range(count)]
        return np.concatenate(slopes, 1), found

    def point(self, z: np.ndarray) -> _Point:
        """A point with its gradients: first of the objective alone, then of the limits that are near."""
        slopes, (found, *_) = self.evaluated(z[:, None])
        order = np.asarray(optimize_problem.edge_order(self.design, self.problem.lanes, self.wide(z[:, None])).outputs)
        rows = _near(np.asarray(found.excess), order[:, 0], len(self.design.limits))
        limits = np.array([found.excess[row] for row in rows])
        gradients = np.zeros((0, len(z)))
        if rows:
            plain = np.zeros((*self.shape, len(rows)))
            for i, row in enumerate(rows):
                plain[(*row, i)] = 1.0
            gradients = self.evaluated(np.repeat(z[:, None], len(rows), 1), 0.0, plain)[0].T
        size = size_of(self.design, found)
        return _Point(z, float(found.objective), float(found.excess.max()), size, slopes[:, 0], rows, limits, gradients)

    # ------------------------------------------------------------ local model
    def near(self, point: _Point) -> _Step:
        """The minimum of the local model within a short reach, on both sides of each variable.

        A kink nearby has other slopes on its other side. They are kept as planes below which the model cannot be, and the
        curvature of each variable is that of the side without the kink.
        """
        free, multipliers = self.free(point), self.multipliers(point)
        reach = self.reach(point)[free]
        forth, back = (self.turned(point, free, multipliers, side) for side in (reach, -reach))
        sizes = np.abs(forth.turn).sum(0), np.abs(back.turn).sum(0)
        kinked = np.abs(forth.turn - back.turn).sum(0) > KINK * np.maximum(*sizes)
        smoother = np.where(sizes[0] <= sizes[1], forth.turn, back.turn)
        turn = np.where(kinked, smoother, 0.5 * (forth.turn + back.turn))
        return self.solved(point, free, turn, np.concatenate([forth.slopes[:, kinked], back.slopes[:, kinked]], 1))

    def far(self, point: _Point) -> _Step:
        """The minimum of the local model within a longer reach of each variable, towards lower values, as if there was no kink."""
        free, multipliers = self.free(point), self.multipliers(point)
        side = np.where((point.slope + multipliers @ point.slopes)[free] > 0, -FAR, FAR)
        ends = point.z[free] + side
        measured = self.turned(point, free, multipliers, np.where((ends < 0.0) | (ends > 1.0), -side, side))
        return self.solved(point, free, measured.turn, np.zeros((len(free), 0)))

    def reach(self, point: _Point) -> np.ndarray:
        """The short reach of each variable (variable,), of amounts in proportion to what is given."""
        return np.where(self.amounts, REACH * np.clip(point.z, SMALL, 1.0), REACH)

    def free(self, point: _Point) -> np.ndarray:
        """The variables that the model may move: not those that their slope presses on a bound."""
        slope = point.slope + self.multipliers(point) @ point.slopes
        pressed = ((point.z <= 0.0) & (slope > 0)) | ((point.z >= 1.0) & (slope < 0))
        return np.flatnonzero(self.moves & ~pressed)

    def turned(self, point: _Point, free: np.ndarray, multipliers: np.ndarray, steps: np.ndarray) -> _Turn:
        """The slopes after a step of each free variable, and how much they turn."""
        count = len(free)
        if not count:
            return _Turn(np.zeros((0, 0)), np.zeros((0, 0)))
        probes = np.repeat(point.z[:, None], count, 1)
        probes[free, np.arange(count)] += steps
        plain = np.zeros((*self.shape, 1))
        for row, multiplier in zip(point.rows, multipliers, strict=True):
            plain[(*row, 0)] = multiplier
        slopes, _ = self.evaluated(probes, 1.0, np.repeat(plain, count, 2))
        away = (slopes - (point.slope + multipliers @ point.slopes)[:, None])[free]
        return _Turn(away / steps, away + point.slope[free][:, None])

    def solved(self, point: _Point, free: np.ndarray, turn: np.ndarray, planes: np.ndarray) -> _Step:
        """The minimum of a model with curvature `turn` (variable, variable) and further slopes `planes` (variable, plane)."""
        count, found = len(free), np.zeros(len(point.rows))
        if not count:
            return _Step(np.zeros(len(point.z)), 0.0, found)
        slopes = np.concatenate([point.slope[free][:, None], planes], 1).T
        linear = np.concatenate([self.matrix, point.slopes])[:, free]
        above = np.repeat([0.0, -1.0], [len(linear), len(slopes)])
        planar = np.concatenate([np.concatenate([linear, slopes]), above[:, None]], 1)
        inside = np.maximum(self.bound - self.matrix @ point.z, 0.0)
        values, directions = np.linalg.eigh(0.5 * (turn + turn.T))
        # of the excess that is to be removed, where no step removes all; and curvatures, where rounding errors leave no solution
        for least, share in ((LEAST, 1.0), (1e3 * LEAST, 1.0), *((LEAST, share) for share in (0.5, 0.2, 0.05))):
            raised = np.maximum(np.abs(values), least * max(point.size, np.abs(values).max(initial=0.0)))
            curved = directions @ np.diag(raised) @ directions.T
            slope, hessian, rows = slopes[0], curved, linear
            if len(slopes) > 1:
                # the last variable is the level of the linear part, at or above every plane; its own curvature hardly counts
                slope, hessian, rows = np.append(np.zeros(count), 1.0), np.zeros((count + 1, count + 1)), planar
                hessian[:-1, :-1], hessian[-1, -1] = curved, LEVEL / point.size
            aim = (1.0 - share) * np.maximum(point.limits, 0.0)
            bound = np.concatenate([inside, aim - point.limits, np.zeros(len(rows) - len(linear))])
            solved = least_quadratic(slope, hessian, rows, bound)
            if solved is not None:
                move, step = solved[0][:count], np.zeros(len(point.z))
                step[free] = move
                gain = -float((slopes @ move).max() + 0.5 * move @ curved @ move)
                return _Step(step, gain, solved[1][len(inside) : len(linear)])
        return _Step(np.full(len(point.z), np.inf), np.inf, found)

    def multipliers(self, point: _Point) -> np.ndarray:
        """Multipliers of the limits (row,) with which the gradients balance best, with those of active linear constraints."""
        if not point.rows:
            return np.zeros(0)
        free = self.moves
        active = self.matrix[self.bound - self.matrix @ point.z < 1e-6][:, free]
        reached = point.limits > -1e-3
        columns = np.concatenate([active, point.slopes[reached][:, free]]).T
        found = np.zeros(len(point.rows))
        if reached.any():
            found[reached] = scipy.optimize.nnls(columns, -point.slope[free], maxiter=100 * columns.shape[1])[0][
                len(active) :
            ]
        return found

    # ------------------------------------------------------------ along a step
    def searched(self, point: _Point, model: _Step, price: float) -> np.ndarray | None:
        """The best point along the step of a model, by repeated division; None where none is better.

        Points are compared by their objective, to which the largest excess over a limit adds its `price`.
        """
        if not np.isfinite(model.gain) or not model.step.any():
            return None
        start = point.objective + price * max(point.excess, 0.0)
        finest = 0.25 * float(np.min(self.reach(point) / np.maximum(np.abs(model.step), 1e-300)))
        shares, values = np.array([0.0]), np.array([start])
        trials = np.array([1.0, 0.5, 0.25, 0.1])
        for _ in range(SECTIONS):
            z = self.projected(point.z[:, None] + trials * model.step[:, None])
            _, found = self.evaluated(z)
            merits = np.array([e.objective + price * max(float(e.excess.max()), 0.0) for e in found])
            shares = np.append(shares, trials)
            values = np.append(values, np.where(np.isfinite(merits), merits, np.inf))
            order = np.argsort(shares)
            shares, values = shares[order], values[order]
            best = int(values.argmin())
            low, high = shares[max(best - 1, 0)], shares[min(best + 1, len(shares) - 1)]
            gain = start - values[best]
            if shares[best] >= 1.0 and best == len(shares) - 1 and gain > 1.2 * abs(model.gain):
                trials = shares[best] * np.array([2.0, 4.0, 16.0, 64.0])  # less curved than the model has it
                continue
            if gain >= 0.3 * abs(model.gain) or high - low < finest:
                break
            ends = [(low, shares[best]), (shares[best], high)]
            trials = np.unique(np.concatenate([a + (b - a) * np.array([0.3, 0.7]) for a, b in ends if b > a]))
            if best == 0:
                trials = high * np.array([0.01, 0.05, 0.2, 0.5])
        better = values[best] < start - 1e-2 * FINE[1] * point.size
        return self.projected(point.z[:, None] + shares[best] * model.step[:, None])[:, 0] if better else None


def _near(excess: np.ndarray, order: np.ndarray, limits: int) -> list[tuple[int, int]]:
    """Limits and times (limit, time) at which a limit is nearly reached: the peaks in time of each, the nearest first."""
    found: list[tuple[float, int, int]] = []
    for limit in range(limits):
        course = excess[limit][order]
        before, after = np.append(-np.inf, course[:-1]), np.append(course[1:], -np.inf)
        for i in np.flatnonzero((course > -NEAR) & (course >= before) & (course > after)):
            found.append((float(course[i]), limit, int(order[i])))
    return [(limit, time) for _, limit, time in sorted(found, reverse=True)[:ROWS]]
