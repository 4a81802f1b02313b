"""Dose amounts and dose times that minimise an objective under limits.

A scenario's `[objective]` is a sum of terms, its `[[limit]]` tables keep a signal, or a statistic of it, below or above a bound;
`[[free]]` tables say which doses may change, between which bounds, how far apart and how much in all. The bounds,
intervals and totals are kept exactly by projection; the limits by an augmented Lagrangian, one multiplier for each limit and each
time at which it is evaluated (the regular grid, and times after every dose that move with the dose). The search itself is in
nanomg.jobs.optimize.search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.analysis import expression
from nanomg.analysis.readouts import READ_OUTS
from nanomg.compute import programs
from nanomg.dosing.dose import Dose
from nanomg.equations.model import RISE
from nanomg.errors import InputError
from nanomg.jobs.optimize import limits as optimize_limits
from nanomg.jobs.optimize.limits import AppliedLimit
from nanomg.library.scenario import FreeDose, ObjectiveTerm, Scenario
from nanomg.simulation import arms, dose_course
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.lanes import PROBES
from nanomg.simulation.plan import Lanes, Plan
from nanomg.solver import intervals

RTOL = 1e-5  # while searching; the result is solved again at a tight tolerance


class DosingSpec(NamedTuple):
    """The static part of a problem: hashable, so that a compiled program belongs to it."""

    plan: Plan
    free: tuple[FreeDose, ...]
    members: tuple[tuple[int, ...], ...]  # doses of each entry of `free`
    terms: tuple[ObjectiveTerm, ...]
    limits: tuple[AppliedLimit, ...]
    regular: int  # output times on the regular grid; the rest follow doses

    @property
    def size(self) -> int:
        """Number of variables: an amount and a time for each free dose."""
        return 2 * sum(len(m) for m in self.members)


class DosingProblem(NamedTuple):
    """A design with the values that go into it."""

    design: DosingSpec
    scenario: Scenario
    lanes: Lanes  # of the baseline, with one lane for each start


class Order(NamedTuple):
    """Decided on concrete times: the order of all edges (edge, lane), and of the output times (time, lane)."""

    edges: Any
    outputs: Any


class Evaluation(NamedTuple):
    """Per lane: objective, its terms (term, lane), relative excess over each limit (limit, time, lane), status."""

    objective: Any
    terms: Any
    excess: Any
    status: Any


# ---------------------------------------------------------------- variables
def problem_of(scenario: Scenario, batch: int = 1, varied: Sequence[str] = ()) -> DosingProblem:
    """The optimisation problem of a scenario; `varied` parameters may differ between lanes and be differentiated.

    Raises `InputError` where the scenario has no objective, or nothing free, or doses that do not fit their bounds.
    """
    ports = [str(entry.get("cmt", "")) for entry in scenario.config.get("file", {}).get("free", ())]
    if scenario.terms and ports and not scenario.free:
        raise InputError(
            f"no dose goes into a port of [[free]] ({', '.join(ports)}), so there is nothing to optimise", scenario.name
        )
    if scenario.kind != "optimize":
        raise InputError(
            "this scenario has no [objective] or no [[free]] doses, so there is nothing to optimise", scenario.name
        )
    named = [*(term.signal for term in scenario.terms), *(limit.signal for limit in scenario.limits)]
    if any(map(scenario.model.is_rise, named)) and not arms.any_mg(scenario.model, scenario.doses):
        raise InputError("no dose contains Mg, so no quantity rises over the arm without it", scenario.name)
    members = tuple(tuple(i for i, d in enumerate(scenario.doses) if d.cmt == f.cmt) for f in scenario.free)
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, varied)
    regular = np.append(np.arange(0.0, scenario.horizon, scenario.every), scenario.horizon)
    edges = sum(1 if bolus else 2 for bolus in plan.bolus)  # the start of a dose, and the end of an infusion
    design = DosingSpec(plan, scenario.free, members, scenario.terms, optimize_limits.applied(scenario), len(regular))
    output = np.concatenate([regular, np.zeros(edges * len(PROBES))])
    lanes = simulation_lanes.lanes_for(plan, scenario.values, scenario.doses, scenario.windows, output, batch)
    problem = DosingProblem(design, scenario, lanes)
    for entry, doses in zip(scenario.free, members, strict=True):
        if (len(doses) - 1) * entry.interval > entry.time[1] - entry.time[0]:
            raise InputError(
                f"{len(doses)} doses into {entry.cmt!r} {entry.interval:g} h apart do not fit between the bounds on time",
                scenario.name,
            )
        if len(doses) * entry.amount[0] > entry.total:
            raise InputError(
                f"{len(doses)} doses into {entry.cmt!r} at the least amount exceed the total", scenario.name
            )
    return problem


def amounts_of(design: DosingSpec) -> np.ndarray:
    """Which variables are amounts (variable,)."""
    return np.concatenate([np.repeat([True, False], len(members)) for members in design.members])


def encode(design: DosingSpec, doses: Sequence[Dose]) -> np.ndarray:
    """Scaled variables (variable,) of a regimen: amounts, then times, of each free entry in turn."""
    parts = []
    for entry, members in zip(design.free, design.members, strict=True):
        for values, (low, high) in (
            ([doses[i].amt for i in members], entry.amount),
            ([doses[i].time for i in members], entry.time),
        ):
            parts.append((np.array(values) - low) / max(high - low, 1e-12))
    return np.concatenate(parts)


def decode(design: DosingSpec, z: Any, amount: Any, time: Any) -> tuple[Any, Any]:
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

    def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        over = jnp.clip(a - middle, 0.0, 1.0).sum(0) > total
        return jnp.where(over, middle, low), jnp.where(over, high, middle)

    _, high = jax.lax.fori_loop(0, 60, halve, (jnp.zeros(a.shape[1]), jnp.maximum(a.max(0), 1.0)))
    fits = jnp.clip(a, 0.0, 1.0).sum(0) <= total
    return jnp.clip(a - jnp.where(fits, 0.0, high), 0.0, 1.0)


def _spaced(t: jax.Array, gap: float) -> jax.Array:
    """Nearest point to `t` (dose, lane) in [0, 1] with successive doses at least `gap` apart."""
    n = t.shape[0]
    shift = gap * jnp.arange(n)[:, None]
    s = t - shift
    total = jnp.concatenate([jnp.zeros_like(s[:1]), jnp.cumsum(s, 0)])
    # isotonic regression by its max-min formula: the largest, over j up to i, of the least mean of j to k, over k from i
    j, i = np.arange(n)[:, None], np.arange(n)
    means = (total[None, 1:] - total[:-1, None]) / np.maximum(i + 1 - j, 1)[:, :, None]
    least = jax.lax.cummin(means, axis=1, reverse=True)
    rows = jnp.where((j <= i)[:, :, None], least, -jnp.inf).max(0)
    return jnp.clip(rows, 0.0, 1.0 - gap * (n - 1)) + shift


@programs.compiled(0)
def project(design: DosingSpec, z: jax.Array) -> jax.Array:
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
def place(design: DosingSpec, lanes: Lanes, z: Any) -> Lanes:
    """Lanes with the regimen of the variables `z`, and with the output times that follow its doses."""
    amount, time = decode(design, z, jnp.asarray(lanes.amount), jnp.asarray(lanes.time))
    regular = jnp.asarray(lanes.output)[: design.regular]
    infused = ~np.array(design.plan.bolus, bool)
    edges = jnp.concatenate([time, (time + jnp.asarray(lanes.duration))[infused]])
    around = (edges[:, None] + jnp.asarray(PROBES)[:, None]).reshape(-1, z.shape[1])
    output = jnp.concatenate([regular, jnp.clip(around, 0.0, regular[-1])])
    return lanes._replace(amount=amount, time=time, output=output)


def evaluate(design: DosingSpec, lanes: Lanes, z: Any, order: Order, rtol: Any) -> Evaluation:
    """Objective and limits of every lane; traced, differentiable in `z` and in the lanes' varied values."""
    placed = place(design, lanes, z)
    solved = simulation_lanes.trajectory(design.plan, placed, order.edges, rtol)
    good = solved.status == 0
    y = jnp.where(good, solved.y, jax.lax.stop_gradient(solved.y[:1]))
    x = simulation_lanes.observables(design.plan.model, lanes.values, y, solved.forcing)
    x |= _rises(design, lanes, placed, order, rtol, x)
    shape = y[:, 0].shape
    times = jnp.take_along_axis(placed.output, order.outputs, 0)
    course = lambda name: jnp.broadcast_to(x[name], shape)
    ordered = lambda name: jnp.take_along_axis(course(name), order.outputs, 0)
    terms = jnp.stack([_term(t, design.plan.cmt, placed.amount, times, ordered) for t in design.terms])
    excess = jnp.stack([_excess(x, times, course, ordered) for x in design.limits] or [jnp.full(shape, -1.0)])
    return Evaluation(jnp.where(good, terms.sum(0), jnp.inf), terms, excess, solved.status)


def _rises(
    design: DosingSpec, lanes: Lanes, placed: Lanes, order: Order, rtol: Any, x: Mapping[str, Any]
) -> dict[str, Any]:
    """The rises that objective and limits name: quantities `x` less those of the same regimen without its Mg."""
    rises = [name for name in _named(design) if design.plan.model.is_rise(name)]
    if not rises:
        return {}
    given = placed._replace(amount=placed.amount * _stays(design))
    solved = simulation_lanes.trajectory(design.plan, given, order.edges, rtol)
    without = simulation_lanes.observables(design.plan.model, lanes.values, solved.y, solved.forcing)
    return {name: x[name.removesuffix(RISE)] - without[name.removesuffix(RISE)] for name in rises}


def _named(design: DosingSpec) -> list[str]:
    """The quantities that objective and limits name, each once."""
    signals = [*(t.signal for t in design.terms if t.signal), *(limit.signal for limit in design.limits)]
    return list(dict.fromkeys(signals))


def _stays(design: DosingSpec) -> np.ndarray:
    """1 for the doses that the arm without Mg keeps, 0 for the others (dose, 1)."""
    return np.array([not arms.carries(design.plan.model, cmt) for cmt in design.plan.cmt], float)[:, None]


def _term(t: ObjectiveTerm, cmt: tuple[str, ...], amount: Any, times: Any, ordered: Callable[[str], Any]) -> Any:
    """A term (lane,) of amounts (dose, lane), times and courses in order of time (time, lane)."""
    if t.cmt:
        doses = amount[np.array([i for i, c in enumerate(cmt) if c == t.cmt], int)] / t.amount
        value = jnp.sum(doses if t.statistic == "amount" else -jnp.expm1(-doses), 0)
    else:
        readout = READ_OUTS[t.statistic.removeprefix("log ")]
        level = (t.level,) if readout.level else ()
        value = readout.formula(times, ordered(t.signal) / t.amount, times[0], times[-1], *level)
        value = jnp.log(value) if t.statistic.startswith("log ") else value
    return t.weight * (expression.evaluate(t.function, value) if t.function else value)


def _excess(limit: AppliedLimit, times: Any, course: Callable[[str], Any], ordered: Callable[[str], Any]) -> Any:
    """The relative excess (time, lane) over a limit; one on a number of the whole course is in the row of the first time."""
    values = course(limit.signal)
    if not limit.statistic:
        return limit.excess(values)
    reached = limit.reading(times, ordered(limit.signal))
    return jnp.full(values.shape, -1.0).at[0].set(limit.excess(reached))


def evaluate_finely(problem: DosingProblem, z: np.ndarray, every: float) -> Evaluation:
    """Evaluate a regimen `z` (variable,) on a regular grid `every` so many hours; concrete, for one lane."""
    design, scenario = problem.design, problem.scenario
    placed = place(design, widen(problem.lanes, 1), jnp.asarray(z)[:, None])
    grid = np.append(np.arange(0.0, scenario.horizon, every), scenario.horizon)
    times = np.union1d(grid, np.asarray(placed.output)[:, 0])
    amount, time = np.asarray(placed.amount), np.asarray(placed.time)
    lanes = simulation_lanes.lanes_for(
        design.plan, scenario.values, scenario.doses, scenario.windows, times, amount=amount, time=time
    )
    names = _named(design)
    rises = [name for name in names if scenario.model.is_rise(name)]
    plain = list(dict.fromkeys(name.removesuffix(RISE) if name in rises else name for name in names))
    solved = simulation_lanes.run(design.plan, lanes, simulation_lanes.TIGHT)
    courses = simulation_lanes.observe(design.plan, lanes, solved, plain)
    if rises:
        given = lanes._replace(amount=amount * _stays(design))
        paired = simulation_lanes.run(design.plan, given, simulation_lanes.TIGHT)
        without = simulation_lanes.observe(design.plan, given, paired, plain)
        courses |= {name: courses[name.removesuffix(RISE)] - without[name.removesuffix(RISE)] for name in rises}
    read = courses.__getitem__
    terms = np.stack([np.asarray(_term(t, design.plan.cmt, amount, times[:, None], read)) for t in design.terms])
    excess = [np.asarray(_excess(x, times[:, None], read, read)) for x in design.limits]
    return Evaluation(terms.sum(0), terms, np.stack(excess or [np.full((1, 1), -1.0)]), np.asarray(solved.status))


class Weights(NamedTuple):
    """What a sum of objective and excesses counts: an augmented Lagrangian, and a plain sum that may stand alone.

    Where `objective` and `penalty` are 0 only the plain sum is left.
    """

    objective: Any  # (lane,)
    multiplier: Any  # (limit, time, lane)
    penalty: Any
    plain: Any  # (limit, time, lane) of the excesses


def lagrangian(evaluation: Evaluation, weights: Weights) -> jax.Array:
    """The weighted sum of each lane (lane,)."""
    multiplier, penalty = weights.multiplier, weights.penalty
    raised = jnp.maximum(0.0, multiplier + penalty * evaluation.excess)
    safe = jnp.where(penalty > 0, penalty, 1.0)
    augmented = jnp.where(penalty > 0, jnp.sum(raised**2 - multiplier**2, (0, 1)) / (2.0 * safe), 0.0)
    return weights.objective * evaluation.objective + augmented + jnp.sum(weights.plain * evaluation.excess, (0, 1))


@programs.compiled(0)
def gradient(
    design: DosingSpec, lanes: Lanes, z: jax.Array, order: Order, weights: Weights, rtol: jax.Array
) -> tuple[jax.Array, Evaluation]:
    """Gradient (variable, lane) of each lane's Lagrangian, and the evaluation."""

    def total(z: jax.Array) -> tuple[jax.Array, Evaluation]:
        evaluation = evaluate(design, lanes, z, order, rtol)
        value = lagrangian(evaluation, weights)
        return jnp.sum(jnp.where(jnp.isfinite(value), value, 0.0)), evaluation

    slope, evaluation = jax.grad(total, has_aux=True)(z)
    return jnp.where(jnp.isfinite(slope), slope, 0.0), evaluation


@programs.compiled(0)
def _evaluate(design: DosingSpec, lanes: Lanes, z: jax.Array, order: Order, rtol: jax.Array) -> Evaluation:
    return evaluate(design, lanes, z, order, rtol)


@programs.compiled(0)
def _edges(design: DosingSpec, lanes: Lanes, z: jax.Array) -> jax.Array:
    return dose_course.edges(design.plan, place(design, lanes, z))


def edge_order(design: DosingSpec, lanes: Lanes, z: Any) -> Order:
    """The order of the edges and of the output times of the regimens of the variables `z`."""
    edges = intervals.order_of(np.asarray(_edges(design, lanes, jnp.asarray(z))))
    outputs = lanes.output.shape[0]
    first = len(edges) - outputs
    return Order(edges, np.stack([lane[lane >= first] - first for lane in edges.T], 1))


def evaluate_many(problem: DosingProblem, z: np.ndarray, rtol: float = RTOL) -> Evaluation:
    """Evaluate regimens `z` (variable, regimen), all in one block."""
    lanes = widen(problem.lanes, z.shape[1])
    design = problem.design
    return _evaluate(design, lanes, jnp.asarray(z), edge_order(design, lanes, z), jnp.asarray(rtol))


def widen(lanes: Lanes, batch: int) -> Lanes:
    """Lanes like the first one, `batch` of them."""
    repeat = lambda a: np.broadcast_to(np.asarray(a)[..., :1], (*np.shape(a)[:-1], batch))
    return jax.tree.map(repeat, lanes._replace(values={}))._replace(values=lanes.values)


def regimen_of(problem: DosingProblem, z: np.ndarray) -> tuple[Dose, ...]:
    """The regimen of variables `z` (variable,), with doses of nothing left out, sorted by time."""
    lanes = widen(problem.lanes, 1)
    amount, time = decode(problem.design, jnp.asarray(z)[:, None], jnp.asarray(lanes.amount), jnp.asarray(lanes.time))
    doses = problem.scenario.doses
    least = {f.cmt: 0.0 if f.amount[0] > 0 else 1e-3 * f.amount[1] for f in problem.scenario.free}
    candidates = [Dose(float(time[i, 0]), float(amount[i, 0]), d.cmt, d.duration) for i, d in enumerate(doses)]
    given = [d for d in candidates if d.amt > least.get(d.cmt, 0.0)]
    return tuple(sorted(given, key=lambda d: d.time))
