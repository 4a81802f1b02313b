"""Dose amounts and dose times that minimise an objective under limits.

A scenario's `[objective]` is a sum of terms, its `[[limit]]` tables keep a signal below a maximum at all times, its `[[free]]`
tables say which doses may change, between which bounds, how far apart and how much in all. The bounds, intervals and totals
are kept exactly by projection; the limits by an augmented Lagrangian, one multiplier for each limit and each time at which it
is looked at (the regular grid, and times after every dose that move with the dose). An Optax optimiser takes the steps, on
several starts at once as lanes of one block.
"""

from __future__ import annotations

import functools
import time as clock
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nanomg import simulation
from nanomg.dosing import Dose
from nanomg.errors import InputError
from nanomg.scenario import Free, Limit, Scenario, Term
from nanomg.simulation import Lanes, Plan

OFFSETS = (0.02, 0.25, 1.0, 3.0, 8.0, 20.0)  # when limits are looked at after a dose [h]
STARTS = 4
CANDIDATES = 28  # random regimens of which the best become starts
STEPS = 96
INNER = 12  # steps between two updates of the multipliers
RATE = 0.06  # of the optimiser, in units of each variable's range; it falls to a thirtieth
TOLERANCE = 1e-3  # of the KKT residual, and of a limit relative to its maximum
PENALTY, PENALTY_GROWTH, PENALTY_MAX = 20.0, 2.0, 2000.0

Progress = Callable[[int, int, dict[str, float]], None]


class Design(NamedTuple):
    """The static part of a problem: hashable, so that a compiled program belongs to it."""

    plan: Plan
    free: tuple[Free, ...]
    members: tuple[tuple[int, ...], ...]  # doses of each entry of `free`
    terms: tuple[Term, ...]
    limits: tuple[Limit, ...]
    regular: int  # output times on the regular grid; the rest follow doses

    @property
    def size(self) -> int:
        """Number of variables: an amount and a time for each free dose."""
        return 2 * sum(len(m) for m in self.members)


class Problem(NamedTuple):
    """A design with the values that go into it."""

    design: Design
    scenario: Scenario
    lanes: Lanes  # of the baseline, with one lane for each start


class Evaluation(NamedTuple):
    """Per lane: objective, its terms (term, lane), relative excess over each limit (limit, time, lane), status."""

    objective: jax.Array
    terms: jax.Array
    excess: jax.Array
    status: jax.Array


class Outcome(NamedTuple):
    """What an optimisation found. `starts` hold (objective, violation) of every start at the end."""

    doses: tuple[Dose, ...]
    baseline: tuple[Dose, ...]
    objective: float
    baseline_objective: float
    terms: dict[str, tuple[float, float]]  # baseline, optimum
    starts: np.ndarray
    start_doses: list[tuple[Dose, ...]]
    history: np.ndarray  # (step, start, 3): objective, largest excess, KKT residual
    evaluations: int
    seconds: float
    residual: float
    converged: bool
    feasible: bool


# ---------------------------------------------------------------- variables
def problem_of(scenario: Scenario, batch: int = STARTS, varied: Sequence[str] = ()) -> Problem:
    """The optimisation problem of a scenario; `varied` parameters may differ between lanes and be differentiated.

    Raises `InputError` where the scenario has no objective, or nothing free, or doses that do not fit their bounds.
    """
    if scenario.kind != "optimize":
        raise InputError("this scenario has no [objective] or no [[free]] doses, so there is nothing to optimise", scenario.name)
    members = tuple(tuple(i for i, d in enumerate(scenario.doses) if d.cmt == f.cmt) for f in scenario.free)
    plan = simulation.plan_for(scenario.model, scenario.doses, varied)
    regular = np.append(np.arange(0.0, scenario.horizon, scenario.every), scenario.horizon)
    extra = len(scenario.doses) * len(OFFSETS) if scenario.limits else 0
    design = Design(plan, scenario.free, members, scenario.terms, scenario.limits, len(regular))
    output = np.concatenate([regular, np.zeros(extra)])
    lanes = simulation.lanes_for(plan, scenario.values, scenario.doses, scenario.windows, output, batch)
    problem = Problem(design, scenario, lanes)
    for entry, doses in zip(scenario.free, members, strict=True):
        if (len(doses) - 1) * entry.interval > entry.time[1] - entry.time[0]:
            raise InputError(f"{len(doses)} doses into {entry.cmt!r} {entry.interval:g} h apart do not fit between the bounds on time", scenario.name)
        if len(doses) * entry.amount[0] > entry.total:
            raise InputError(f"{len(doses)} doses into {entry.cmt!r} at the least amount exceed the total", scenario.name)
    return problem


def encode(design: Design, doses: Sequence[Dose]) -> np.ndarray:
    """Scaled variables (variable,) of a regimen: amounts, then times, of each free entry in turn."""
    parts = []
    for entry, members in zip(design.free, design.members, strict=True):
        for values, (low, high) in (([doses[i].amt for i in members], entry.amount), ([doses[i].time for i in members], entry.time)):
            parts.append((np.array(values) - low) / max(high - low, 1e-12))
    return np.concatenate(parts)


def decode(design: Design, z: Any, amount: Any, time: Any) -> tuple[Any, Any]:
    """Amounts and times (dose, lane) with the free ones taken from `z` (variable, lane)."""
    at = 0
    for entry, members in zip(design.free, design.members, strict=True):
        rows, n = np.array(members), len(members)
        amount = amount.at[rows].set(entry.amount[0] + (entry.amount[1] - entry.amount[0]) * z[at : at + n])
        time = time.at[rows].set(entry.time[0] + (entry.time[1] - entry.time[0]) * z[at + n : at + 2 * n])
        at += 2 * n
    return amount, time


def _within_total(a: jax.Array, total: float) -> jax.Array:
    """Nearest point to `a` (dose, lane) in [0, 1] whose sum is at most `total`."""
    low, high = jnp.zeros(a.shape[1]), jnp.maximum(a.max(0), 1.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        over = jnp.clip(a - middle, 0.0, 1.0).sum(0) > total
        low, high = jnp.where(over, middle, low), jnp.where(over, high, middle)
    fits = jnp.clip(a, 0.0, 1.0).sum(0) <= total
    return jnp.clip(a - jnp.where(fits, 0.0, high), 0.0, 1.0)


def _spaced(t: jax.Array, gap: float) -> jax.Array:
    """Nearest point to `t` (dose, lane) in [0, 1] with successive doses at least `gap` apart."""
    n = t.shape[0]
    shift = gap * jnp.arange(n)[:, None]
    s = t - shift
    total = jnp.concatenate([jnp.zeros_like(s[:1]), jnp.cumsum(s, 0)])
    rows = []
    for i in range(n):  # isotonic regression by its max-min formula
        means = [
            jnp.stack([(total[k + 1] - total[j]) / (k + 1 - j) for k in range(i, n)]).min(0) for j in range(i + 1)
        ]
        rows.append(jnp.stack(means).max(0))
    return jnp.clip(jnp.stack(rows), 0.0, 1.0 - gap * (n - 1)) + shift


def project(design: Design, z: jax.Array) -> jax.Array:
    """Nearest variables (variable, lane) that keep bounds, intervals and totals."""
    parts, at = [], 0
    for entry, members in zip(design.free, design.members, strict=True):
        n = len(members)
        width = max(entry.amount[1] - entry.amount[0], 1e-12)
        room = (entry.total - n * entry.amount[0]) / width
        parts.append(_within_total(z[at : at + n], room) if room < n else jnp.clip(z[at : at + n], 0.0, 1.0))
        parts.append(_spaced(z[at + n : at + 2 * n], entry.interval / max(entry.time[1] - entry.time[0], 1e-12)))
        at += 2 * n
    return jnp.concatenate(parts)


# ---------------------------------------------------------------- objective and limits
def place(design: Design, lanes: Lanes, z: Any) -> Lanes:
    """Lanes with the regimen that `z` stands for, and with the output times that follow its doses."""
    amount, time = decode(design, z, jnp.asarray(lanes.amount), jnp.asarray(lanes.time))
    output = jnp.asarray(lanes.output)
    if design.limits:
        bolus = np.array(design.plan.bolus)[:, None]
        end = time + jnp.where(bolus, 0.0, jnp.asarray(lanes.duration))
        after = (end[:, None] + jnp.asarray(OFFSETS)[:, None]).reshape(-1, z.shape[1])
        output = jnp.concatenate([output[: design.regular], jnp.minimum(after, output[design.regular - 1])])
    return lanes._replace(amount=amount, time=time, output=output)


def evaluate(design: Design, lanes: Lanes, z: Any, order: Any, rtol: Any) -> Evaluation:
    """Objective and limits of every lane; traced, differentiable in `z` and in the lanes' varied values."""
    placed = place(design, lanes, z)
    solved = simulation.trajectory(design.plan, placed, order, rtol)
    good = solved.status == 0
    y = jnp.where(good, solved.y, jax.lax.stop_gradient(solved.y[:1]))
    x = simulation.observables(design.plan.model, lanes.values, y, solved.forcing)
    shape = y[:, 0].shape
    times = placed.output[: design.regular]

    def term(t: Term) -> jax.Array:
        if t.cmt:
            doses = placed.amount[np.array([i for i, c in enumerate(design.plan.cmt) if c == t.cmt])] / t.amount
            return t.weight * jnp.sum(doses if t.statistic == "amount" else -jnp.expm1(-doses), 0)
        signal = jnp.broadcast_to(x[t.signal], shape)[: design.regular] / t.amount
        mean = jnp.trapezoid(signal, times, axis=0) / (times[-1] - times[0])
        kinds = {"final": signal[-1], "mean": mean, "max": signal.max(0), "log final": signal[-1], "log mean": mean}
        value = kinds[t.statistic]
        return t.weight * (jnp.log(value) if t.statistic.startswith("log") else value)

    terms = jnp.stack([term(t) for t in design.terms])
    excess = jnp.stack([jnp.broadcast_to(x[l.signal], shape) / l.maximum - 1.0 for l in design.limits] or [jnp.full(shape, -1.0)])
    return Evaluation(jnp.where(good, terms.sum(0), jnp.inf), terms, excess, solved.status)


def _lagrangian(found: Evaluation, multiplier: jax.Array, penalty: jax.Array) -> jax.Array:
    raised = jnp.maximum(0.0, multiplier + penalty * found.excess)
    return found.objective + jnp.sum(raised**2 - multiplier**2, (0, 1)) / (2.0 * penalty)


@functools.partial(jax.jit, static_argnums=0)
def _value_and_gradient(
    design: Design, lanes: Lanes, z: jax.Array, order: jax.Array, multiplier: jax.Array, penalty: jax.Array, rtol: jax.Array
) -> tuple[jax.Array, Evaluation]:
    """Gradient (variable, lane) of each lane's Lagrangian, and the evaluation."""

    def total(z: jax.Array) -> tuple[jax.Array, Evaluation]:
        found = evaluate(design, lanes, z, order, rtol)
        value = _lagrangian(found, multiplier, penalty)
        return jnp.sum(jnp.where(jnp.isfinite(value), value, 0.0)), found

    gradient, found = jax.grad(total, has_aux=True)(z)
    return jnp.where(jnp.isfinite(gradient), gradient, 0.0), found


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(design: Design, lanes: Lanes, z: jax.Array, order: jax.Array, rtol: jax.Array) -> Evaluation:
    return evaluate(design, lanes, z, order, rtol)


def edge_order(design: Design, lanes: Lanes, z: Any) -> np.ndarray:
    """The order of the edges of the regimens that `z` stands for."""
    return simulation.edge_order(design.plan, place(design, lanes, jnp.asarray(z)))


def evaluate_many(problem: Problem, z: np.ndarray, rtol: float = simulation.RTOL) -> Evaluation:
    """Evaluate regimens `z` (variable, regimen), all in one block."""
    lanes = widen(problem.lanes, z.shape[1])
    design = problem.design
    return _evaluate(design, lanes, jnp.asarray(z), edge_order(design, lanes, z), jnp.asarray(rtol))


def widen(lanes: Lanes, batch: int) -> Lanes:
    """Lanes like the first one, `batch` of them."""
    repeat = lambda a: np.broadcast_to(np.asarray(a)[..., :1], (*np.shape(a)[:-1], batch))
    rows = {name: repeat(getattr(lanes, name)) for name in Lanes._fields if name != "values"}
    return Lanes(values=lanes.values, **rows)


# ---------------------------------------------------------------- the search
class _State(NamedTuple):
    step: int
    z: jax.Array
    moments: Any
    multiplier: jax.Array
    penalty: jax.Array
    history: np.ndarray


def _starts(problem: Problem, seed: int) -> jax.Array:
    """Baseline and the best of random regimens, far from each other only by chance: (variable, start)."""
    design = problem.design
    rng = np.random.default_rng(seed)
    baseline = project(design, jnp.asarray(encode(design, problem.scenario.doses))[:, None])
    drawn = project(design, jnp.asarray(rng.random((design.size, CANDIDATES))))
    found = evaluate_many(problem, np.asarray(drawn))
    merit = found.objective + 10.0 * jnp.maximum(found.excess.max((0, 1)), 0.0)
    best = jnp.argsort(jnp.where(jnp.isfinite(merit), merit, jnp.inf))[: STARTS - 1]
    return jnp.concatenate([baseline, drawn[:, best]], 1)


def _residual(design: Design, z: jax.Array, gradient: jax.Array, found: Evaluation, multiplier: jax.Array) -> jax.Array:
    """KKT residual per lane: projected gradient step, excess, and slack that a multiplier holds."""
    move = jnp.abs(project(design, z - gradient) - z).max(0)
    slack = jnp.abs(jnp.minimum(multiplier, -found.excess)).max((0, 1))
    return jnp.maximum(move, jnp.where(multiplier.max() > 0, slack, jnp.maximum(found.excess.max((0, 1)), 0.0)))


def optimize(
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
    problem = problem_of(scenario)
    design, lanes = problem.design, problem.lanes
    rate = optax.cosine_decay_schedule(RATE, steps, alpha=1.0 / 30.0)
    optimizer = optax.adam(rate, b1=0.8, b2=0.95)
    state = _read(checkpoint, problem, optimizer, steps, seed) if resume and checkpoint and checkpoint.exists() else None
    if state is None:
        z = _starts(problem, seed)
        shape = (max(len(design.limits), 1), lanes.output.shape[0], STARTS)
        state = _State(0, z, optimizer.init(z), jnp.zeros(shape), jnp.asarray(PENALTY), np.zeros((0, STARTS, 3)))
    rtol = jnp.asarray(simulation.RTOL)
    while state.step < steps:
        order = edge_order(design, lanes, state.z)
        gradient, found = _value_and_gradient(design, lanes, state.z, order, state.multiplier, state.penalty, rtol)
        residual = _residual(design, state.z, gradient, found, state.multiplier)
        row = np.stack([np.asarray(found.objective), np.asarray(found.excess.max((0, 1))), np.asarray(residual)], -1)
        updates, moments = optimizer.update(gradient, state.moments)
        z = project(design, optax.apply_updates(state.z, updates))
        multiplier, penalty = state.multiplier, state.penalty
        if (state.step + 1) % INNER == 0:
            multiplier = jnp.maximum(0.0, multiplier + penalty * found.excess)
            penalty = jnp.minimum(penalty * PENALTY_GROWTH, PENALTY_MAX)
        state = _State(state.step + 1, z, moments, multiplier, penalty, np.concatenate([state.history, row[None]]))
        if checkpoint is not None:
            _write(checkpoint, state, steps, seed, scenario.config_hash)
        if progress is not None:
            best = int(np.argmin(np.where(row[:, 1] <= TOLERANCE, row[:, 0], np.inf)))
            progress(state.step, steps, {"objective": float(row[best, 0]), "excess": float(row[best, 1])})
        if row[:, 2].max() < TOLERANCE and state.step > INNER:
            break
    return _conclude(problem, state, clock.perf_counter() - began)


def _conclude(problem: Problem, state: _State, seconds: float) -> Outcome:
    """Pull each start just inside its limits, look at all at tight tolerance, and take the best."""
    design, scenario = problem.design, problem.scenario
    amounts = np.zeros(design.size, bool)
    at = 0
    for members in design.members:
        amounts[at : at + len(members)] = True
        at += 2 * len(members)
    shrink = np.array([1.0, 0.999, 0.998, 0.995, 0.99, 0.98, 0.96, 0.92])
    z = np.repeat(np.asarray(state.z), len(shrink), 1)
    z[amounts] *= np.tile(shrink, STARTS)
    lowest = np.asarray(project(design, jnp.asarray(z)))
    baseline = encode(design, scenario.doses)[:, None]
    found = evaluate_many(problem, np.concatenate([baseline, lowest], 1), simulation.TIGHT)
    objective, excess = np.asarray(found.objective), np.asarray(found.excess.max((0, 1)))
    inside = np.where(excess[1:] <= 0.0, objective[1:], np.inf).reshape(STARTS, -1)
    chosen = np.where(np.isfinite(inside.min(1)), inside.argmin(1), 0)
    columns = 1 + np.arange(STARTS) * len(shrink) + chosen
    starts = np.stack([objective[columns], np.maximum(excess[columns], 0.0)], 1)
    feasible = starts[:, 1] <= 0.0
    winner = int(np.argmin(np.where(feasible, starts[:, 0], 1e12 * (1.0 + starts[:, 1]))))
    column = int(columns[winner])
    names = [t.name for t in design.terms]
    terms = np.asarray(found.terms)
    residual = float(state.history[-1, winner, 2]) if len(state.history) else float("inf")
    return Outcome(
        doses=regimen_of(problem, lowest[:, column - 1]),
        baseline=scenario.doses,
        objective=float(objective[column]),
        baseline_objective=float(objective[0]),
        terms={name: (float(terms[i, 0]), float(terms[i, column])) for i, name in enumerate(names)},
        starts=starts,
        start_doses=[regimen_of(problem, lowest[:, c - 1]) for c in columns],
        history=state.history,
        evaluations=state.step * STARTS,
        seconds=seconds,
        residual=residual,
        converged=residual < TOLERANCE,
        feasible=bool(feasible[winner]),
    )


def regimen_of(problem: Problem, z: np.ndarray) -> tuple[Dose, ...]:
    """The regimen of variables `z` (variable,), with doses of nothing left out, sorted by time."""
    lanes = widen(problem.lanes, 1)
    amount, time = decode(problem.design, jnp.asarray(z)[:, None], jnp.asarray(lanes.amount), jnp.asarray(lanes.time))
    doses = problem.scenario.doses
    largest = {f.cmt: f.amount[1] for f in problem.scenario.free}
    found = [Dose(float(time[i, 0]), float(amount[i, 0]), d.cmt, d.duration) for i, d in enumerate(doses)]
    kept = [d for d in found if d.amt > 1e-3 * largest.get(d.cmt, 0.0)]
    return tuple(sorted(kept, key=lambda d: d.time))


# ---------------------------------------------------------------- checkpoints
def _write(path: Path, state: _State, steps: int, seed: int, config_hash: str) -> None:
    leaves = {f"moment_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state.moments))}
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        np.savez(
            file,
            step=state.step,
            z=np.asarray(state.z),
            multiplier=np.asarray(state.multiplier),
            penalty=np.asarray(state.penalty),
            history=state.history,
            plan=np.array([steps, seed]),
            config=np.array(config_hash),
            **leaves,
        )
    temporary.replace(path)


def _read(path: Path, problem: Problem, optimizer: Any, steps: int, seed: int) -> _State:
    try:
        with np.load(path) as saved:
            data = {name: saved[name] for name in saved.files}
        same = str(data["config"]) == problem.scenario.config_hash and list(data["plan"]) == [steps, seed]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"this checkpoint cannot be read ({error})", str(path)) from None
    if not same:
        raise InputError("this checkpoint belongs to another scenario, --steps or --seed; remove it to start anew", str(path))
    z = jnp.asarray(data["z"])
    like = optimizer.init(z)
    leaves = [jnp.asarray(data[f"moment_{i}"]) for i in range(len(jax.tree.leaves(like)))]
    moments = jax.tree.unflatten(jax.tree.structure(like), leaves)
    multiplier, penalty = jnp.asarray(data["multiplier"]), jnp.asarray(data["penalty"])
    return _State(int(data["step"]), z, moments, multiplier, penalty, data["history"])
