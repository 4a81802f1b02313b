"""The adaptive loop of nanomg.solver.integrate against the same loop in diffrax, and what composing a model costs: Markdown tables.

    taskset -c 0 python benchmarks/loops.py [--quick]

Both loops take the same step of nanomg.solver.rosenbrock. First they are checked to agree, in results and gradients, on
lanes that are all alike; then each repeat draws new parameter values and runs every program once in turn. Milliseconds are
CPU time, the median of five repeats (three of the largest block), with half their range in per cent of it.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

os.environ["EQX_ON_ERROR"] = "nan"  # no host callbacks in diffrax

import diffrax
import diffrax_loop
import jax
import jax.numpy as jnp
import numpy as np
import plain_model
from jax.interpreters import partial_eval

from nanomg.dosing.dose import Dose
from nanomg.equations.model import Model, stack
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.dose_course import events_of
from nanomg.simulation.plan import Plan, channels
from nanomg.solver import integrate, intervals
from nanomg.solver.problem import Inputs, Problem, pack, rates_of
from nanomg.solver.rosenbrock import METHODS
from nanomg.solver.sparsity import structure_of

VARIED, SPREAD, RTOL = 25, 0.2, 1e-5
_FREE = {"broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "copy", "stop_gradient"}  # no arithmetic


class Case(NamedTuple):
    """A model under a regimen, and the values that its lanes vary."""

    name: str
    model: Model
    doses: Sequence[Dose]
    values: dict[str, float]
    output: np.ndarray

    @property
    def plan(self) -> Plan:
        """Every n-th parameter above 0 is varied."""
        names = [n for n, v in self.values.items() if v > 0]
        return simulation_lanes.plan_for(self.model, self.doses, names[:: max(1, len(names) // VARIED)][:VARIED])

    @property
    def problem(self) -> Problem:
        """What both loops are compiled for."""
        plan = self.plan
        return Problem(self.model, plan.varied, channels(self.model, plan.cmt), plan.method)

    def inputs(self, batch: int, seed: int, alike: bool = False) -> Inputs:
        """Lanes with values drawn from a seed, all with the same ones if `alike`."""
        plan, problem, rng = self.plan, self.problem, np.random.default_rng(seed)
        values: dict[str, Any] = dict(self.values)
        for name in [n for n in plan.varied if n in values]:
            spread = np.exp(SPREAD * rng.standard_normal(1 if alike else batch))
            values[name] = np.broadcast_to(
                np.minimum(values[name] * spread, self.model.parameters[name].at_most), batch
            )
        lanes = simulation_lanes.lanes_for(plan, values, self.doses, (), self.output, batch)
        x = self.model.derive(values)
        found = events_of(plan, lanes, x)
        between = intervals.intervals(found, intervals.order_of(np.asarray(intervals.edges(found))))
        y0 = stack(self.model.initial(x), (batch,))
        largest = jnp.abs(y0).at[np.array(problem.channels)].add(jnp.sum(found.amount, 0))
        floor = simulation_lanes.floor(self.model, largest)
        return Inputs(y0, between, *pack(problem, x, batch), floor, jnp.asarray(RTOL))


def shipped(name: str) -> Case:
    """A scenario that comes with nanomg."""
    s = scenario_file.load(name, library())
    return Case(name, s.model, s.doses, dict(s.values), simulation_lanes.output_times(s.horizon, s.every))


def plain() -> Case:
    """The model of plain rates."""
    output = simulation_lanes.output_times(plain_model.HORIZON, plain_model.EVERY)
    values = {f"plain.{n}": v for n, v in plain_model.VALUES.items()}
    return Case("plain rates", plain_model.MODEL, plain_model.DOSES, values, output)


Program = Callable[[Any], Any]


def gradient(solve: Program) -> Program:
    """Gradient of one weighted sum of all ends of intervals in start, lengths, doses and varied values."""

    def total(parts: tuple[jax.Array, ...], inputs: Inputs) -> jax.Array:
        y0, varied, *between = parts
        names = ("length", "inflow", "jump", "forcing")
        changed = inputs.intervals._replace(**dict(zip(names, between, strict=True)))
        ends = solve(inputs._replace(y0=y0, varied=varied, intervals=changed)).ends
        weight = jnp.cos(jnp.arange(ends.shape[1]))[:, None] / (1e5 * inputs.floor + 1e-3)
        used = jnp.arange(ends.shape[0])[:, None, None] < inputs.intervals.used
        return jnp.sum(jnp.where(used, weight * ends, 0.0))

    def slope(inputs: Inputs) -> Any:
        at = inputs.intervals
        return jax.grad(total)((inputs.y0, inputs.varied, at.length, at.inflow, at.jump, at.forcing), inputs)

    return slope


def loops(problem: Problem) -> dict[str, Program]:
    """Primal programs."""
    return {"nanomg": lambda i: integrate.solve(problem, i), "diffrax": lambda i: diffrax_loop.solve(problem, i)}


def gradients(problem: Problem) -> dict[str, Program]:
    """Gradient programs; the last one keeps diffrax's loop but not its adjoint."""
    checkpointed = lambda i: diffrax_loop.solve(problem, i, diffrax.RecursiveCheckpointAdjoint())
    return {
        "nanomg": gradient(lambda i: integrate.solve(problem, i)),
        "diffrax": gradient(checkpointed),
        "diffrax, recorded": gradient(lambda i: diffrax_loop.solve_recorded(problem, i)),
    }


class Compiled(NamedTuple):
    """A program for one number of lanes, and whether it holds a sort or a host callback, which defeat a stored executable."""

    seconds: float
    megabytes: float
    run: Any
    sorts: bool


def build(program: Program, inputs: Inputs) -> Compiled:
    """Compile for lanes of this shape."""
    begin = time.perf_counter()
    run = jax.jit(program).lower(inputs).compile()
    seconds, text = time.perf_counter() - begin, run.as_text()
    sorts = " sort(" in text or "callback" in text
    return Compiled(seconds, run.memory_analysis().temp_size_in_bytes / 2**20, run, sorts)


class Timed(NamedTuple):
    """CPU milliseconds of each repeat, and the last result."""

    ms: list[float]
    result: Any

    @property
    def median(self) -> float:
        """Median of the repeats."""
        return float(np.median(self.ms))

    def __str__(self) -> str:
        half = 50 * (max(self.ms) - min(self.ms)) / self.median
        return f"{self.median:.1f} ± {half:.0f} %"


def measure(compiled: dict[str, Compiled], inputs: Callable[[int], Inputs], repeats: int) -> dict[str, Timed]:
    """Each program once per repeat, in turn, on new lanes."""
    ms: dict[str, list[float]] = {name: [] for name in compiled}
    result: dict[str, Any] = {}
    for repeat in range(repeats + 1):
        lanes = inputs(repeat)
        for name, program in compiled.items():
            begin = time.process_time()
            result[name] = jax.block_until_ready(program.run(lanes))
            ms[name].append(1e3 * (time.process_time() - begin))
    return {name: Timed(taken[1:], result[name]) for name, taken in ms.items()}


def difference(a: Any, b: Any) -> float:
    """Largest difference of two results in parts of the largest entry of each array."""

    def one(x: Any, y: Any) -> float:
        x, y = np.asarray(x, float), np.asarray(y, float)
        if x.size == 0:
            return 0.0
        return float(np.nanmax(np.abs(x - y)) / (np.nanmax(np.abs(y)) + 1e-300))

    return max(jax.tree.leaves(jax.tree.map(one, a, b)))


def turns(solution: Any) -> int:
    """Turns of the loop: accepted and rejected steps, of the slowest lane where lanes step by themselves."""
    return int(np.max(np.asarray(solution.accepted) + np.asarray(solution.rejected)))


def compare(case: Case, batches: Sequence[int], slopes: Sequence[int], repeats: int) -> None:
    """The tables of one case."""
    problem = case.problem
    print(f"\n### {case.name}: {len(case.model.states)} states, {len(case.plan.varied)} values varied\n")
    print("| lanes | loop | compile [s] | turns | primal [ms] | lanes/s | nanomg's gain |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    primal: dict[int, float] = {}
    for batch in batches:
        compiled = {n: build(p, case.inputs(batch, 0)) for n, p in loops(problem).items()}
        same = {n: c.run(case.inputs(batch, 99, alike=True)) for n, c in compiled.items()}
        check("ends", difference(same["diffrax"].ends, same["nanomg"].ends))
        found = measure(compiled, functools.partial(case.inputs, batch), min(repeats, 3) if batch > 1000 else repeats)
        primal[batch] = found["nanomg"].median
        for name, timed in found.items():
            gain = f"{100 * (timed.median / primal[batch] - 1):+.0f} %" if name != "nanomg" else ""
            rate, steps = 1e3 * batch / timed.median, turns(timed.result)
            print(
                f"| {batch} | {name} | {compiled[name].seconds:.1f} | {steps} | {timed} | {rate:.0f} | {gain} |",
                flush=True,
            )
    head = (
        "lanes | gradient by | compile [s] | gradient [ms] | over nanomg's primal | memory [MB] | sort | nanomg's gain"
    )
    print(f"\n| {head} |\n" + "| --- " * 8 + "|")
    for batch in slopes:
        programs = gradients(problem)
        if batch != slopes[0]:
            programs = {"nanomg": programs["nanomg"]}
        compiled = {n: build(p, case.inputs(batch, 0)) for n, p in programs.items()}
        own = build(loops(problem)["nanomg"], case.inputs(batch, 0))
        same = {n: c.run(case.inputs(batch, 99, alike=True)) for n, c in compiled.items()}
        for name in list(compiled)[1:]:
            check("gradient", difference(same[name], same["nanomg"]))
        jobs = {"primal": own, **compiled}
        found = measure(jobs, functools.partial(case.inputs, batch), repeats)
        base, best = found.pop("primal").median, found["nanomg"].median
        for name, timed in found.items():
            gain = f"{100 * (timed.median / best - 1):+.0f} %" if name != "nanomg" else ""
            seconds, megabytes, _, sorts = compiled[name]
            row = f"{timed} | {timed.median / base:.1f} | {megabytes:.0f} | {'yes' if sorts else 'no'} | {gain}"
            print(f"| {batch} | {name} | {seconds:.1f} | {row} |", flush=True)


def check(what: str, apart: float) -> None:
    """Stop where two loops that took the same steps differ."""
    if not apart < 1e-7:
        raise SystemExit(f"the loops differ in {what} by {apart:.1e}")


def operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Arithmetic operations of a function of scalars, what no output needs left out."""

    def count(jaxpr: Any) -> int:
        jaxpr, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
        total = 0
        for eqn in jaxpr.eqns:
            inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
            total += count(getattr(inner, "jaxpr", inner)) if inner is not None else eqn.primitive.name not in _FREE
        return total

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def construction(cases: Sequence[Case], batch: int, repeats: int) -> None:
    """Operations of one step, and the time of each on one lane."""
    print(f"\n### What a step costs, {batch} lanes\n")
    print(
        "| model | states | rates | Jacobian | colours | LU | substitution | stage | step | chunks | ns | ns/operation |"
    )
    print("| --- " * 12 + "|")
    for case in cases:
        print(f"| {case.name} | {len(case.model.states)} | {_cost(case, batch, repeats)} |", flush=True)


def _cost(case: Case, batch: int, repeats: int) -> str:
    problem, structure, inputs = case.problem, structure_of(case.model), case.inputs(batch, 0)
    rates, n = rates_of(problem, inputs.fixed), len(case.model.states)
    point = [list(np.ones(size)) for size in (n, len(case.model.inputs), len(problem.varied))]

    def entries(y: list[Any], forcing: list[Any], varied: list[Any]) -> list[Any]:
        return structure.jacobian(lambda rows: rates(rows, forcing, varied), y)

    def arithmetic(chunks: Any) -> int:
        return 2 * int(np.sum(chunks.left != structure.one - 1)) + n  # multiply-adds, and a scaling per row

    one, jacobian = operations(rates, *point), operations(entries, *point)
    lu, substitution = arithmetic(structure.factorisation), arithmetic(structure.forward)
    stages = len(METHODS[problem.method].m)
    stage = 4 * stages * n + 5 * n  # two combinations of all stages, the state and the right side
    step = jacobian + lu + stages * (one + substitution + stage)
    chunks = len(structure.factorisation.row) + stages * len(structure.forward.row)
    compiled = {"nanomg": build(loops(problem)["nanomg"], inputs)}
    timed = measure(compiled, functools.partial(case.inputs, batch), repeats)["nanomg"]
    ns = min(timed.ms) * 1e6 / batch / turns(timed.result)
    counts = (one, jacobian, len(structure.groups), lu, substitution, stage, step, chunks)
    return " | ".join(map(str, counts)) + f" | {ns:.0f} | {ns / step:.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few lanes, one repeat, one gradient")
    quick = parser.parse_args().quick
    jax.config.update("jax_enable_compilation_cache", False)
    big, small = shipped("mouse-mc38-depot"), shipped("textbook-2cpt")
    repeats = 1 if quick else 5
    compare(big, (1, 8) if quick else (1, 64, 256, 1024), (4,) if quick else (32, 4, 64), repeats)
    compare(small, (1, 8) if quick else (1, 64, 1024), (4,) if quick else (32,), repeats)
    construction((plain(), shipped("mouse-mc38-lnp"), big), 8 if quick else 256, 1 if quick else 3)


if __name__ == "__main__":
    main()
