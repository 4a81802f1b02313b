"""What a simulation is compiled for, and what its lanes hold: the types shared by both ways to give a regimen.

A lane is one subject under one regimen with one set of values. Everything that differs between lanes is a traced value; a `Plan`
holds what a compiled program is made for, so changed amounts, dose times and parameters do not compile again.

A regimen is given in one of two ways. Doses are a list that may move: their times and amounts are traced, and only the order of
events is decided outside the compiled program. Event records may hold anything that a NONMEM table can, with steady state, resets
and time-varying columns; which actions happen, and in which order, is decided outside. Both give a `Course`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.dosing.schedule import Edges
from nanomg.equations.model import Model
from nanomg.simulation.disposition import SteadyTargets, alone, steady_targets
from nanomg.solver import sparsity
from nanomg.solver.engine import JAX
from nanomg.solver.intervals import Intervals
from nanomg.solver.problem import Problem, Stop


class RecordPlan(NamedTuple):
    """What is compiled for event records. `timed` includes the constants that depend on bound parameters."""

    timed: tuple[str, ...]  # values that change between intervals
    held: tuple[tuple[str, str], ...]  # bound parameters, each with nocb, locf or linear
    channels: tuple[int, ...]  # rows of the states that doses or steady states reach
    steady: tuple[str, ...] = ()  # ports or states that are dosed at steady state


class Plan(NamedTuple):
    """What a compiled simulation is made for: the model, the varied values, and how the regimen is given.

    `cmt` are the ports or states of the doses; with `records`, all those that any record doses. `varied` includes the constants
    that depend on varied parameters; with `linear` columns the model has their parameters among its states.
    """

    model: Model
    varied: tuple[str, ...]
    cmt: tuple[str, ...]
    bolus: tuple[bool, ...]  # of each dose
    max_steps: int = 20_000
    method: str = "rodas5p"
    precision: str = "float64"
    defer: bool = False  # lanes much slower than the others; see nanomg.simulation.blocks
    records: RecordPlan | None = None
    engine: str = JAX

    @property
    def timed(self) -> tuple[str, ...]:
        """Values that change between intervals."""
        return self.records.timed if self.records else ()

    @property
    def channels(self) -> tuple[int, ...]:
        """Rows of the states that doses reach."""
        return self.records.channels if self.records else channels(self.model, self.cmt)

    @property
    def drugs(self) -> SteadyTargets:
        """Which states are solved for doses at steady state, in groups."""
        return steady_targets(self.model, self.records.steady if self.records else (), self.cmt)

    @property
    def problem(self) -> Problem:
        """What is solved."""
        rows = {name: row for row, name in enumerate(self.model.states)}
        return Problem(
            self.model,
            self.varied,
            self.channels,
            self.method,
            self.max_steps,
            defer=self.defer,
            timed=self.timed,
            wiped=tuple(tuple(rows[name] for name in group) for group in self.drugs.groups),
            engine=self.engine,
        )

    def problem_alone(self, group: int) -> Problem:
        """What is solved for a steady state: the states of its group, the others held."""
        model = alone(self.model, self.drugs.groups[group])
        every = tuple(range(len(model.states)))
        return self.problem._replace(model=model, channels=every, defer=False, wiped=())


class RecordValues(NamedTuple):
    """What event records hold besides time, amount and duration. Records `R`, lanes `B`."""

    ii: Any  # (R, B) [h]
    rate: Any  # (R, B) as written, 0 where the amount is that of a constant infusion
    constant: Any  # (R, B) 1 where the amount is the rate of an infusion that has always run [per h], else 0
    gives: Any  # (R, B) 1 where a dose is given, else 0
    mode: Any  # (R, B), integers as `Mode`
    target: Any  # (R, B), integers: which of the plan's `cmt`; -1 where no dose is given
    bound: dict[str, Any]  # (R, B) by parameter


class Period(NamedTuple):
    """Steady states `N` of one group of states, and their actions `A`, integers throughout."""

    lane: Any  # (N,)
    record: Any  # (N,) the record at which it holds
    action: Any  # (N,) the action of the lane that sets it
    actions: Edges  # (A, N)
    used: Any


class Layout(NamedTuple):
    """What is decided of event records outside the compiled program, all integers. Actions `K`, lanes `B`."""

    actions: Edges  # (K, B)
    back: Any  # (K, B)
    before: Any  # (K, B)
    after: Any  # (K, B)
    looks: Any  # (L, B) the action at which each record, if they are observed, and each output is seen
    used: Any
    # by round and group: what a round depends on holds once the rounds before are solved; the first needs the start alone
    periods: tuple[tuple[Period, ...], ...]


class Lanes(NamedTuple):
    """Values of `B` lanes. Doses or records `D`, windows `W`, inputs `I`, outputs `T`."""

    values: dict[str, Any]  # every parameter, a scalar or (B,)
    time: Any  # (D, B) [h]
    amount: Any  # (D, B) [unit of the port]
    duration: Any  # (D, B) [h], 1 where a dose of a list is a bolus
    start: Any  # (W, B) [h]
    stop: Any  # (W, B) [h]
    change: Any  # (W, I, B)
    base: Any  # (I, B)
    output: Any  # (T, B) [h]
    records: RecordValues | None = None
    order: Any = None  # what is decided outside: of doses the order of their edges (edge, B), of records a `Layout`


class Course(NamedTuple):
    """What a regimen makes of lanes: state at the start, intervals, largest amounts (state, B), and where lanes are seen.

    A look is a record, where those are observed, or an output; outputs come last.
    """

    y0: jax.Array
    intervals: Intervals
    largest: jax.Array
    looks: jax.Array  # (look, B) the interval that ends at it
    bound: dict[str, jax.Array]  # (look, B) values of parameters that columns hold


class Trajectory(NamedTuple):
    """`y` (look, state, lane), `forcing` (look, input, lane), `status` and counts of steps (lane,); looks as in `Course`.

    Arrays are JAX's, or NumPy's where machine code has solved lanes with concrete values.
    """

    y: Any
    forcing: Any
    bound: dict[str, Any]  # (look, lane)
    status: Any
    residual: Any  # (lane,) how far one period moves the worst steady state, relative to its size
    accepted: Any
    rejected: Any
    stop: Stop  # where a lane failed


@functools.lru_cache(maxsize=256)
def with_dependants(model: Model, varied: tuple[str, ...]) -> tuple[str, ...]:
    """`varied` and the constants that depend on them."""
    names = list(model.parameters)
    constants = list(model.constants)

    def derived_constants(*values: Any) -> list[Any]:
        x = model.derive(dict(zip(names, values, strict=True)))
        return [jnp.asarray(x[name]) for name in constants]

    jaxpr = jax.make_jaxpr(derived_constants)
    depends = sparsity.dependencies(jaxpr(*np.ones(len(names))).jaxpr, [frozenset([i]) for i in range(len(names))])
    chosen = {names.index(v) for v in varied}
    return (*varied, *(c for c, on in zip(constants, depends, strict=True) if on & chosen))


@functools.lru_cache(maxsize=256)
def channels(model: Model, cmt: tuple[str, ...]) -> tuple[int, ...]:
    """Rows of the states that doses into these ports or states reach."""
    states = list(model.states)
    reached = {s for c in cmt for s in (model.ports[c].into if c in model.ports else (c,))}
    return tuple(i for i, state in enumerate(states) if state in reached) or (0,)
