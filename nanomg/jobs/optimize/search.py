"""The search for the best regimen: several starts, an augmented Lagrangian, Adam and then a projected quasi-Newton method.

Optax's Adam moves all starts at once through the flat and the steep parts of the landscape; nanomg.jobs.optimize.descent then
takes each start to a stationary point of its augmented Lagrangian. Every evaluation of a start, value and gradient together,
counts as one.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nanomg.compute import programs
from nanomg.dosing.dose import Dose
from nanomg.errors import SimulationError
from nanomg.jobs.optimize import checkpoint as search_checkpoint
from nanomg.jobs.optimize import descent, refinement
from nanomg.jobs.optimize import problem as optimize_problem
from nanomg.jobs.optimize.descent import Descent
from nanomg.jobs.optimize.problem import DosingProblem, DosingSpec, Evaluation, Weights, project, regimen_of
from nanomg.library.scenario import Scenario
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver.status import Status

STARTS = 4
CANDIDATES = 28  # random regimens of which the best become starts
STEPS = 96
EXPLORE = 0.4  # share of the steps that Adam takes
RATE = 0.08  # of Adam, in units of each variable's range; it falls to a tenth
INNER = 8  # steps between two updates of the multipliers
ENOUGH = 3e-2  # residual, with the objective in spreads among random regimens, at which a refinement takes over
PENALTY, PENALTY_GROWTH, PENALTY_MAX = 20.0, 1.3, 60.0
EXACT = 10.0  # spreads of the objective that an excess of the whole limit is worth, where points are compared
SHRINK = (1.0, 0.999, 0.998, 0.995, 0.99, 0.98, 0.96, 0.92)  # of all amounts, to end inside every limit

Progress = Callable[[int, int, dict[str, float]], None]


class Outcome(NamedTuple):
    """What an optimisation found. `starts` hold (objective, violation) of every start at the end."""

    doses: tuple[Dose, ...]
    baseline: tuple[Dose, ...]
    objective: float
    baseline_objective: float
    terms: dict[str, tuple[float, float]]  # baseline, optimum
    starts: np.ndarray
    start_doses: list[tuple[Dose, ...]]
    every: float  # [h] of the regular grid of times on which the optimum was found
    history: np.ndarray  # (step, start, 3): objective, largest excess, KKT residual
    evaluations: int
    seconds: float
    residual: float
    converged: bool
    feasible: bool


class _State(NamedTuple):
    step: int
    z: jax.Array  # the trial to evaluate next
    moments: Any
    descent: Descent
    multiplier: jax.Array
    penalty: jax.Array
    scale: jax.Array  # in which the objective is counted: its spread among random regimens
    best: jax.Array  # the best point of each start so far
    merit: jax.Array  # (start,) of the best points
    residual: jax.Array  # (start,) at the best points
    history: np.ndarray


def _starts(problem: DosingProblem, seed: int) -> tuple[jax.Array, jax.Array]:
    """The baseline and the best of some random regimens (variable, start), and the spread of the objective among them."""
    design = problem.design
    rng = np.random.default_rng(seed)
    baseline = project(design, jnp.asarray(optimize_problem.encode(design, problem.scenario.doses))[:, None])
    drawn = project(design, jnp.asarray(rng.random((design.size, CANDIDATES))))
    evaluation = optimize_problem.evaluate_many(problem, np.asarray(drawn))
    known = np.asarray(evaluation.objective)[np.isfinite(evaluation.objective)]
    spread = float(np.std(known)) if known.size > 1 else 0.0
    scale = jnp.asarray(spread if spread > 1e-12 else 1.0)
    ranked = merit(evaluation, scale)
    best = jnp.argsort(jnp.where(jnp.isfinite(ranked), ranked, jnp.inf))[: STARTS - 1]
    return jnp.concatenate([baseline, drawn[:, best]], 1), scale


def merit(evaluation: Evaluation, scale: Any) -> jax.Array:
    """What points are compared by, (lane,), less is better: the objective in its `scale`, and the largest excess over a limit."""
    return evaluation.objective / scale + EXACT * jnp.maximum(evaluation.excess.max((0, 1)), 0.0)


@programs.compiled(0)
def _residual(
    design: DosingSpec, z: jax.Array, slope: jax.Array, evaluation: Evaluation, multiplier: jax.Array
) -> jax.Array:
    """KKT residual per start: projected gradient step, excess over a limit, slack of a limit that a multiplier presses on."""
    move = jnp.abs(project(design, z - slope) - z).max(0)
    pressed = jnp.where(multiplier > 1e-6, jnp.abs(evaluation.excess), jnp.maximum(evaluation.excess, 0.0)).max((0, 1))
    return jnp.maximum(move, pressed)


def _initial(problem: DosingProblem, optimizer: Any, seed: int) -> _State:
    z, scale = _starts(problem, seed)
    shape = (max(len(problem.design.limits), 1), problem.lanes.output.shape[0], STARTS)
    never = jnp.full(STARTS, jnp.inf)
    moments, empty = optimizer.init(z), np.zeros((0, STARTS, 3))
    return _State(
        0, z, moments, descent.begin(z), jnp.zeros(shape), jnp.asarray(PENALTY), scale, z, never, never, empty
    )


def _weights(state: _State, multiplier: jax.Array, penalty: jax.Array) -> Weights:
    return Weights(jnp.broadcast_to(1.0 / state.scale, STARTS), multiplier, penalty, jnp.zeros_like(multiplier))


def _advance(problem: DosingProblem, optimizer: Any, state: _State, explore: int) -> _State:
    """Evaluate the trial of every start once, and decide on the next."""
    design, lanes = problem.design, problem.lanes
    order = optimize_problem.edge_order(design, lanes, state.z)
    rtol = jnp.asarray(optimize_problem.RTOL)
    weights = _weights(state, state.multiplier, state.penalty)
    slope, evaluation = optimize_problem.gradient(design, lanes, state.z, order, weights, rtol)
    residual = _residual(design, state.z, slope, evaluation, state.multiplier)
    row = np.stack(
        [np.asarray(evaluation.objective), np.asarray(evaluation.excess.max((0, 1))), np.asarray(residual)], -1
    )
    history = np.concatenate([state.history, row[None]])
    # of two points that are nearly as good, the one that meets the conditions of an optimum is the better one
    reached = merit(evaluation, state.scale) + jnp.minimum(residual, ENOUGH)
    better = reached < state.merit
    state = state._replace(
        best=jnp.where(better, state.z, state.best),
        merit=jnp.where(better, reached, state.merit),
        residual=jnp.where(better, residual, state.residual),
        history=history,
    )
    moments, multiplier, penalty, course = state.moments, state.multiplier, state.penalty, state.descent
    update = (state.step + 1) % INNER == 0
    if state.step < explore:
        updates, moments = optimizer.update(slope, moments)
        z = project(design, optax.apply_updates(state.z, updates))
        point = state.z
    else:
        fresh = state.step == explore or state.step % INNER == 0
        value = optimize_problem.lagrangian(evaluation, weights)
        course = descent.advance(design, course, state.z, slope, value, fresh)
        point = course.z
        # a changed Lagrangian is first evaluated where the last one stopped
        z = point if update else project(design, point + course.length * course.direction)
    if update:
        accepted = (point == state.z).all(0)
        raised = jnp.maximum(0.0, multiplier + penalty * evaluation.excess)
        multiplier = jnp.where(accepted, raised, multiplier)
        penalty = jnp.minimum(penalty * PENALTY_GROWTH, PENALTY_MAX)
    return state._replace(
        step=state.step + 1, z=z, moments=moments, descent=course, multiplier=multiplier, penalty=penalty
    )


def find_optimum(
    scenario: Scenario,
    steps: int = STEPS,
    seed: int = 0,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Search from several starts and return the best regimen that keeps every limit (or the least infeasible one).

    With `checkpoint`, the state is written there after every step, and `resume` goes on from it to the same end.
    """
    began = clock.perf_counter()
    problem = optimize_problem.problem_of(scenario, STARTS)
    explore = int(EXPLORE * steps) // INNER * INNER or min(steps, INNER)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, explore, alpha=0.1), b1=0.7, b2=0.9)
    state = _initial(problem, optimizer, seed)
    identity = {} if checkpoint is None else search_checkpoint.identity_of(scenario, steps, seed)
    if resume and checkpoint is not None:
        leaves, structure = jax.tree.flatten(state)
        state = jax.tree.unflatten(structure, search_checkpoint.read_state(checkpoint, identity, leaves))
        state = state._replace(step=int(state.step))
    while state.step < steps:
        state = _advance(problem, optimizer, state, explore)
        row = state.history[-1]
        if checkpoint is not None:
            search_checkpoint.write_state(checkpoint, identity, jax.tree.leaves(state))
        leader = int(jnp.argmin(state.merit))
        if progress is not None:
            progress(state.step, steps, {"objective": float(row[leader, 0]), "excess": float(row[leader, 1])})
        if state.step > explore + INNER and state.residual[leader] < ENOUGH:
            break
    return _conclude(problem, state, began)


def _conclude(problem: DosingProblem, state: _State, began: float) -> Outcome:
    """Pull the best point of each start just inside its limits, look at all at tight tolerance, and refine the best."""
    design, scenario = problem.design, problem.scenario
    z = np.repeat(np.asarray(state.best), len(SHRINK), 1)
    z[optimize_problem.amounts_of(design)] *= np.tile(SHRINK, STARTS)
    lowest = np.asarray(project(design, jnp.asarray(z)))
    baseline = optimize_problem.encode(design, scenario.doses)[:, None]
    points = np.concatenate([baseline, lowest], 1)
    evaluation = optimize_problem.evaluate_many(problem, points, simulation_lanes.TIGHT)
    solved = np.asarray(evaluation.status) == Status.DONE
    if not solved[1:].any():
        reason = Status(int(evaluation.status[1])).reason
        raise SimulationError(f"every trajectory of the search failed: {reason}", scenario.name)
    rank, *_ = _ranked(evaluation)
    # of each start the best inside every limit, else the least outside
    columns = 1 + np.arange(STARTS) * len(SHRINK) + rank[1:].reshape(STARTS, -1).argmin(1)
    winner = int(rank[columns].argmin())
    chosen = [0, *columns]
    points, evaluation = points[:, chosen], jax.tree.map(lambda a: a[..., np.array(chosen)], evaluation)
    taken = problem, refinement.refine(problem, points[:, 1 + winner])
    evaluations = taken[1].evaluations
    for _ in range(refinement.GRIDS):
        if (finer := refinement.with_finer_grid(*taken)) is None:
            break
        taken = finer, refinement.refine(finer, taken[1].z)
        evaluations += taken[1].evaluations
    refined, at = taken[1], 1 + winner
    if taken[0] is not problem:
        problem = taken[0]
        evaluation = optimize_problem.evaluate_many(problem, points, simulation_lanes.TIGHT)
    rank, objective, excess = _ranked(evaluation)
    terms, better = np.array(evaluation.terms), _ranked(refined.evaluation)
    converged = bool(refined.converged and better[0] <= rank[at])
    if better[0] <= rank[at]:
        points[:, at], terms[:, at] = refined.z, refined.evaluation.terms
        objective[at], excess[at] = better[1:]
    regimens = [regimen_of(problem, point) for point in points[:, 1:].T]
    return Outcome(
        doses=regimens[winner],
        baseline=scenario.doses,
        objective=float(objective[at]),
        baseline_objective=float(objective[0]),
        terms={t.name: (float(terms[i, 0]), float(terms[i, at])) for i, t in enumerate(design.terms)},
        starts=np.stack([objective, excess], 1)[1:],
        start_doses=regimens,
        every=problem.scenario.every,
        history=state.history,
        evaluations=state.step * STARTS + evaluations,
        seconds=clock.perf_counter() - began,
        residual=refined.residual,
        converged=converged,
        feasible=bool(excess[at] <= 0.0),
    )


def _ranked(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By what regimens are ranked, least first, their objective and their largest excess, each (regimen,)."""
    solved = np.asarray(evaluation.status) == Status.DONE
    objective = np.where(solved, np.asarray(evaluation.objective), np.inf)
    excess = np.where(solved, np.maximum(np.asarray(evaluation.excess.max((0, 1))), 0.0), np.inf)
    return np.where(excess > 0.0, 1e12 * (1.0 + excess), objective), objective, excess
