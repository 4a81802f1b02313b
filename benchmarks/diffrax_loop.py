"""The adaptive loop of nanomg.solver.integrate written as a solver and a step size controller of diffrax,
to measure one against the other.

The integration variable is the interval number plus the share of it that is done, so that steps end at whole numbers; the step
size is remembered in hours. What belongs to a lane (status, peak) travels in the solver's state, which diffrax keeps only
where a step is accepted. No sort and no callback enters the program: the controller knows the ends of the intervals itself.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nanomg.solver.problem import Inputs, Problem, rates_of
from nanomg.solver.rosenbrock import METHODS, StepPoint, step, step_adjoint
from nanomg.solver.sparsity import structure_of
from nanomg.solver.status import Status

_still = jax.lax.stop_gradient


class Ends(NamedTuple):
    """What both loops are compared in: `ends` (interval, state, batch), `status` (batch,), counts of steps."""

    ends: jax.Array
    status: jax.Array
    accepted: jax.Array
    rejected: jax.Array


class _Lanes(NamedTuple):
    """The solver's state: what is known of each lane, kept only where a step is accepted."""

    status: jax.Array
    peak: jax.Array
    died: jax.Array  # accepted steps when the lane failed
    accepted: jax.Array


class _Arguments(NamedTuple):
    inputs: Inputs
    longest: jax.Array  # (interval,) longest length of any lane [h]


class _Error(NamedTuple):
    worst: jax.Array
    failed: jax.Array


def _point(
    problem: Problem, inputs: Inputs, y: jax.Array, k: jax.Array, share: jax.Array, first: jax.Array, alive: jax.Array
) -> StepPoint:
    at = inputs.intervals
    y = jnp.where(first, y * at.keep[k], y)
    y = y.at[np.array(problem.channels)].add(jnp.where(first & alive, at.jump[k], 0.0))
    return StepPoint(y, jnp.where(alive, share * at.length[k], 0.0), at.inflow[k], at.forcing[k], inputs.varied)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _step(problem: Problem, fixed: jax.Array, p: StepPoint) -> tuple[jax.Array, jax.Array]:
    rates, channels = rates_of(problem, fixed), np.array(problem.channels)
    return step(METHODS[problem.method], structure_of(problem.model), rates, channels, p)


def _step_backward(
    problem: Problem, saved: tuple[jax.Array, StepPoint], bars: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, StepPoint]:
    fixed, p = saved
    rates, channels = rates_of(problem, fixed), np.array(problem.channels)
    bar = step_adjoint(METHODS[problem.method], structure_of(problem.model), rates, channels, p, bars[0])
    return jnp.zeros_like(fixed), bar


_step.defvjp(lambda problem, fixed, p: (_step(problem, fixed, p), (fixed, p)), _step_backward)


class _AtEnd(diffrax.AbstractLocalInterpolation):
    """No interpolation: states are only asked for at the ends of intervals, where a step ends too."""

    t0: Any
    t1: Any
    y1: Any
    alive: Any

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> jax.Array:
        """The state after the step, NaN for lanes that failed."""
        return jnp.where(self.alive, self.y1, jnp.nan)


class SharedStep(diffrax.AbstractAdaptiveSolver):
    """One Rosenbrock step of all lanes. What it hands on as error is already one number."""

    problem: Problem = eqx.field(static=True)
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Any] = _AtEnd

    def order(self, terms: Any) -> int:
        """Order of the method."""
        return METHODS[self.problem.method].order

    def error_order(self, terms: Any) -> int:
        """Order that the step size follows."""
        return self.order(terms)

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """Not used: the step knows its own rates."""
        return terms.vf(t0, y0, args)

    def init(self, terms: Any, t0: Any, t1: Any, y0: jax.Array, args: _Arguments) -> _Lanes:
        """All lanes alive."""
        batch = y0.shape[1]
        return _Lanes(
            jnp.zeros(batch, jnp.int8),
            _still(jnp.maximum(args.inputs.floor, jnp.abs(y0))),
            jnp.full(batch, self.problem.max_steps, jnp.int32),
            jnp.int32(0),
        )

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: jax.Array, args: _Arguments, solver_state: _Lanes, made_jump: Any
    ) -> Any:
        """As the body of nanomg.solver.integrate's loop, up to the choice of the next step."""
        lanes, inputs = _still(solver_state), args.inputs
        alive = lanes.status == Status.DONE
        k = t0.astype(jnp.int32)
        share = (t1 - t0).astype(y0.dtype)
        p = _point(self.problem, inputs, y0, k, share, t0 == k, alive)
        y1, error = _step(self.problem, inputs.fixed, p)

        start, end, error = _still((p.y, y1, error))
        finite = jnp.isfinite(end).all(0) & jnp.isfinite(error).all(0)
        peak = jnp.maximum(lanes.peak, jnp.abs(start))
        size = jnp.maximum(jnp.abs(start), jnp.abs(end)) + 1e-3 * peak + 1e-30
        lane_error = jnp.sqrt(jnp.mean((error / (inputs.rtol * size)) ** 2, 0))
        lane_error = jnp.where(alive, jnp.where(finite, lane_error, jnp.inf), 0.0)
        used = (t1 - t0) * args.longest[k]
        fails = alive & _tiny(self.problem, used) & ~(lane_error <= 1) & (used > 0)
        moves = alive & ~fails
        reason = jnp.where(finite, Status.STEP_TOO_SMALL, Status.NOT_FINITE).astype(jnp.int8)
        after = _Lanes(
            jnp.where(fails, reason, lanes.status),
            jnp.where(moves, jnp.maximum(peak, jnp.abs(end)), lanes.peak),
            jnp.where(fails, lanes.accepted, lanes.died),
            lanes.accepted + 1,
        )
        y1 = jnp.where(moves, y1, y0)
        shown = {"y1": y1, "alive": after.status == Status.DONE}
        return y1, _Error(lane_error.max(), fails.any() * 1.0), shown, after, diffrax.RESULTS.successful


def _tiny(problem: Problem, used: jax.Array) -> jax.Array:
    return used <= 1.5 * problem.min_step  # the integration variable rounds the smallest step


class HoursController(diffrax.AbstractStepSizeController):
    """Accepts and chooses steps; its state is the step size in hours."""

    problem: Problem = eqx.field(static=True)

    def wrap(self, direction: Any) -> HoursController:
        """Time only goes forwards."""
        return self

    def _next(self, args: _Arguments, t: jax.Array, h: jax.Array) -> jax.Array:
        k = t.astype(jnp.int32)
        left = 1 - (t - k)
        share = h / jnp.maximum(args.longest[k], 1e-30)
        even = jnp.where(share > 0.5 * left, 0.5 * left, share)
        return jnp.where(share >= left * 0.999, (k + 1).astype(t.dtype), t + even)

    def init(
        self, terms: Any, t0: jax.Array, t1: Any, y0: Any, dt0: Any, args: _Arguments, func: Any, error_order: Any
    ) -> tuple[jax.Array, jax.Array]:
        """End of the first step, and the step size [h]."""
        h = jnp.asarray(0.05, t0.dtype)
        return self._next(args, t0, h), h

    def adapt_step_size(
        self,
        t0: jax.Array,
        t1: jax.Array,
        y0: Any,
        y1_candidate: Any,
        args: _Arguments,
        y_error: _Error,
        error_order: int,
        controller_state: jax.Array,
    ) -> Any:
        """Whether the step is accepted, and the next one."""
        h, worst = controller_state, y_error.worst
        k = t0.astype(jnp.int32)
        longest = args.longest[k]
        used = (t1 - t0) * longest
        ok = (worst <= 1) | _tiny(self.problem, used)
        grow = jnp.clip(0.9 * jnp.maximum(worst, 1e-10) ** (-1.0 / error_order), 0.2, 5.0)
        proposed = jnp.where(ok & (t1 == k + 1), jnp.maximum(h, used * grow), used * grow)
        proposed = jnp.maximum(jnp.where(y_error.failed > 0, h, proposed), self.problem.min_step)
        h = jnp.where(longest > 0, proposed, h)
        t = jnp.where(ok, t1, t0)
        return ok, t, self._next(args, t, h), False, h, diffrax.RESULTS.successful


def _integrate(problem: Problem, inputs: Inputs, **options: Any) -> diffrax.Solution:
    time = jnp.result_type(float)  # of the integration variable, also where states are in single precision
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: y),
        SharedStep(problem),
        jnp.zeros((), time),
        inputs.intervals.used.astype(time),
        None,
        inputs.y0,
        args=_Arguments(inputs, _still(inputs.intervals.length.max(1)).astype(time)),
        stepsize_controller=HoursController(problem),
        max_steps=problem.max_steps,
        throw=False,
        **options,
    )


def _finish(solution: diffrax.Solution, ends: jax.Array) -> Ends:
    lanes = solution.solver_state
    ran_out = (solution.result != diffrax.RESULTS.successful) & (lanes.status == Status.DONE)
    status = jnp.where(ran_out, Status.TOO_MANY_STEPS, lanes.status).astype(jnp.int8)
    return Ends(ends, status, solution.stats["num_accepted_steps"], solution.stats["num_rejected_steps"])


def solve(problem: Problem, inputs: Inputs, adjoint: diffrax.AbstractAdjoint | None = None) -> Ends:
    """As `nanomg.solver.integrate.solve`, by diffrax; without an adjoint it has no reverse mode."""
    last = jnp.arange(1, inputs.intervals.length.shape[0] + 1)
    saveat = diffrax.SaveAt(ts=jnp.minimum(last, inputs.intervals.used).astype(float), solver_state=True)
    solution = _integrate(problem, inputs, saveat=saveat, adjoint=adjoint or diffrax.ForwardMode())
    reached = (last <= inputs.intervals.used) & jnp.isfinite(solution.ts)
    return _finish(solution, jnp.where(reached[:, None, None], solution.ys, jnp.nan))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def solve_recorded(problem: Problem, inputs: Inputs) -> Ends:
    """As `solve`; for reverse mode diffrax saves each step, and they are walked backwards."""
    return solve(problem, inputs)


def _forward(problem: Problem, inputs: Inputs) -> tuple[Ends, Any]:
    saveat = diffrax.SaveAt(t0=True, steps=True, solver_state=True)
    problem = problem._replace(max_steps=min(problem.max_steps, 2048 + 8 * len(inputs.intervals.length)))  # as nanomg
    solution = _integrate(problem, inputs, saveat=saveat, adjoint=diffrax.ForwardMode())
    lanes, time = solution.solver_state, solution.ts
    rows = jnp.searchsorted(time, jnp.arange(1.0, inputs.intervals.length.shape[0] + 1))
    reached = (rows <= lanes.accepted)[:, None] & (rows[:, None] <= lanes.died)
    found = _finish(solution, jnp.where(reached[:, None], solution.ys[rows], jnp.nan))
    return found, (inputs, solution.ys, time, lanes.died, lanes.accepted)


def _backward(problem: Problem, saved: Any, bars: Ends) -> tuple[Inputs]:
    inputs, states, time, died, accepted = saved
    at, channels = inputs.intervals, np.array(problem.channels)

    def body(c: tuple[jax.Array, Inputs]) -> tuple[jax.Array, Inputs]:
        i, total = c
        k = time[i].astype(jnp.int32)
        share, first, alive = (time[i + 1] - time[i]).astype(inputs.y0.dtype), time[i] == k, i < died
        y_bar = total.y0 + jnp.where(time[i + 1] == k + 1, bars.ends[k], 0.0)
        p = _point(problem, inputs, states[i], k, share, first, alive)
        _, bar = _step_backward(problem, (inputs.fixed, p), (jnp.where(alive, y_bar, 0.0), p.y))
        bar = jax.tree.map(lambda b: jnp.where(alive, b, 0.0), bar)
        between = total.intervals._replace(
            length=total.intervals.length.at[k].add(share * bar.h),
            inflow=total.intervals.inflow.at[k].add(bar.inflow),
            jump=total.intervals.jump.at[k].add(jnp.where(first, bar.y[channels], 0.0)),
            forcing=total.intervals.forcing.at[k].add(bar.forcing),
        )
        y_bar = jnp.where(first, at.keep[k] * bar.y, bar.y)
        return i - 1, total._replace(y0=y_bar, intervals=between, varied=total.varied + bar.varied)

    zero = jax.tree.map(jnp.zeros_like, inputs)
    total = jax.lax.while_loop(lambda c: c[0] >= 0, body, (accepted - 1, zero))[1]
    count: Any = np.zeros((), jax.dtypes.float0)
    return (total._replace(intervals=total.intervals._replace(used=count)),)


solve_recorded.defvjp(_forward, _backward)
