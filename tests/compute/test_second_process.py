"""Compiled programs from one process to the next, each in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from other_process import Cell

from nanomg.solver.engine import ENGINES, JAX

# A model and a gradient through its solve, in a module of their own: what a user might write.
DECAY = """
    import jax
    from nanomg.compute import programs
    from nanomg.simulation import lanes as simulation
    from nanomg import AbstractMechanism, Flux, Scalar, Var, param

    class Decay(AbstractMechanism):
        name = "decay"
        states = {"decay.A": Var("mg", "amount")}
        k: Scalar = param("1/h", "rate constant")

        def fluxes(self, x):
            yield Flux("decay.A", None, self.k * x["decay.A"])

    @programs.compiled(0)
    def slope(plan, lanes, order, amount):
        final = lambda a: simulation.trajectory(plan, lanes._replace(amount=a), order, 1e-6).y[-1].sum()
        return jax.grad(final)(amount)
"""
SOLVE = """
    import numpy as np
    from decay import Decay, slope
    from nanomg.simulation import lanes as simulation
    from nanomg.dosing.dose import Dose
    from nanomg.equations.model import Model

    doses = [Dose(0.0, 2.0, "decay.A", 0.0), Dose(3.0, 1.0, "decay.A", 2.0)]
    plan = simulation.plan_for(Model(Decay), doses)
    lanes = simulation.lanes_for(plan, {"decay.k": 0.3}, doses, [], np.linspace(0.0, 9.0, 4), 2)
    order = simulation.edge_order(plan, lanes)
    solved = simulation.run(plan, lanes)
    found = simulation.observe(plan, lanes, solved, ["decay.A"])
    for array in (solved.y, solved.accepted, found["decay.A"], slope(plan, lanes, order, lanes.amount)):
        print(np.asarray(array).tobytes().hex())
"""


# Something with a loop and branches that compiles at once, though to several kernels.
LOOP = """
    import jax, jax.numpy as jnp
    from nanomg.compute import programs

    @programs.compiled(0)
    def climb(top, x):
        def grow(c):
            rise, turn = lambda y: jnp.sort(y) + 1, lambda y: y[::-1].at[3].set(c[0] * 1.0)
            y = jax.lax.cond(c[0] % 2 == 0, rise, turn, jnp.sin(c[1]) * 1.5)
            return c[0] + 1, jnp.tanh(y + jnp.cumsum(c[1] ** 2) / c[1].size)

        return jax.lax.while_loop(lambda c: c[0] < top, grow, (0, x))
"""
CLIMB = """
    import jax.numpy as jnp, numpy as np
    from loop import climb

    print(np.asarray(climb(20, jnp.linspace(0.0, 1.0, 50))[1]).tobytes().hex())
"""


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return Cell(tmp_path)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_process_loads_every_program_and_finds_the_same_numbers(cell: Cell, engine: str) -> None:
    cell.module("decay", DECAY)
    first, second = (cell.run(SOLVE, NANOMG_ENGINE=engine) for _ in range(2))
    programs = {"decay.slope"}
    if engine == JAX:  # machine code lays out, solves and reads concrete lanes without a program
        programs |= {"nanomg.simulation.lanes._run", "nanomg.simulation.lanes._observe"}
        programs |= {"nanomg.solver.elementwise._evaluated"}
    assert (first.compiled, first.loaded) == (programs, set())
    assert (second.compiled, second.loaded) == (set(), programs)
    assert first.numbers == second.numbers
    assert len(first.numbers) == 4


def test_jax_keeps_nothing_beside_nanomg(cell: Cell) -> None:
    """What JAX takes from its own cache lacks parts when it is kept again."""
    cell.module("loop", LOOP)
    jax_cache = cell.folder / "jax"
    given = {"JAX_COMPILATION_CACHE_DIR": str(jax_cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    off = cell.run(CLIMB, NANOMG_CACHE="off", **given)
    there = sorted(jax_cache.iterdir())
    assert there
    first, again = (cell.run("    import jax; jax.numpy.ones(7)\n" + CLIMB, **given) for _ in range(2))
    assert first.compiled == again.loaded == {"loop.climb"}
    assert off.numbers == first.numbers == again.numbers
    jax_alone = cell.run(CLIMB, NANOMG_CACHE="off", **given)
    assert jax_alone.numbers == off.numbers
    assert {path.name for path in there} <= {path.name for path in jax_cache.iterdir()}


def test_another_source_file_is_another_program(cell: Cell) -> None:
    cell.module("loop", LOOP)
    first = cell.run(CLIMB)
    cell.module("loop", LOOP.replace("1.5", "1.6"))
    second = cell.run(CLIMB)
    assert first.compiled == second.compiled == {"loop.climb"}
    assert first.numbers != second.numbers


def test_the_command_loads_no_jax(cell: Cell) -> None:
    text = """
        import sys
        from nanomg.cli.main import app
        sys.argv = ["nanomg", "cache"]
        try:
            app()
        except SystemExit:
            print("jax" in sys.modules)
    """
    assert cell.run(text).numbers[-1] == "False"
