"""The choice of the engine, and the native engine beside JAX."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from program import Program

import nanomg
from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.compute import programs
from nanomg.dosing.dose import Dose
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.simulation import lanes as simulation_lanes
from nanomg.solver import engine


class Saturating(AbstractMechanism):
    """A drug whose elimination saturates."""

    name = "saturating"
    states = {"saturating.A": Var("mg", "amount")}
    Vmax: Scalar = param("mg/h", "largest rate")
    Km: Scalar = param("mg", "amount at half of it")

    def fluxes(self, x):
        yield Flux("saturating.A", None, self.Vmax * x["saturating.A"] / (self.Km + x["saturating.A"]))


class Unusual(AbstractMechanism):
    """The same with an operation that has no machine code: the digamma function."""

    name = "unusual"
    states = {"unusual.A": Var("mg", "amount")}
    k: Scalar = param("1/h", "rate constant")

    def fluxes(self, x):
        yield Flux("unusual.A", None, self.k * jax.scipy.special.digamma(2.0 + x["unusual.A"]) * x["unusual.A"])


DOSES = [Dose(0.0, 5.0, "saturating.A", 0.0), Dose(6.0, 4.0, "saturating.A", 2.0), Dose(9.0, 3.0, "saturating.A", 0.0)]
VALUES = {"saturating.Vmax": np.array([0.5, 1.0, 2.0]), "saturating.Km": 1.5}


@pytest.fixture(autouse=True)
def _no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engine.VARIABLE, raising=False)


def solved(chosen: str, **options: str) -> simulation_lanes.Trajectory:
    plan = simulation_lanes.plan_for(Model(Saturating), DOSES, ("saturating.Vmax",), engine=chosen, **options)
    lanes = simulation_lanes.lanes_for(plan, VALUES, DOSES, [], np.linspace(0.0, 24.0, 13), 3)
    order = simulation_lanes.edge_order(plan, lanes)
    run = jax.jit(lambda lanes: simulation_lanes.trajectory(plan, lanes, order, 1e-8))
    return run(lanes._replace(order=None))


# ---------------------------------------------------------------- the choice
def test_machine_code_is_the_default_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.default() == "native"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert engine.default() == "jax"
    with pytest.raises(InputError, match="runs on CPUs alone"), engine.using("native"):
        pass


def test_without_llvmlite_jax_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert engine.default() == "jax"
    with pytest.raises(InputError, match="needs llvmlite"), engine.using("native"):
        pass


def test_who_is_nearer_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine.VARIABLE, "jax")
    assert engine.default() == "jax"
    with engine.using("native"):
        assert engine.default() == "native"
        with engine.using("auto"):
            assert simulation_lanes.plan_for(Model(Saturating), DOSES).engine == "native"
    assert simulation_lanes.plan_for(Model(Saturating), DOSES).engine == "jax"


def test_an_unknown_engine_is_named(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    code, _, err = program("simulate", "textbook-1cpt", "--engine", "nativ")
    assert code == 2
    assert "there is no engine 'nativ'; did you mean 'native'?" in err
    monkeypatch.setenv(engine.VARIABLE, "gpu")
    with pytest.raises(InputError, match="engine 'gpu'") as caught:
        engine.default()
    assert caught.value.where == "NANOMG_ENGINE"


# ---------------------------------------------------------------- both engines
def test_both_engines_take_the_same_steps() -> None:
    native, reference = solved("native"), solved("jax")
    for name in ("status", "accepted", "rejected"):
        np.testing.assert_array_equal(getattr(native, name), getattr(reference, name))
    np.testing.assert_allclose(native.y, reference.y, rtol=1e-11, atol=1e-12)
    for field, value in native.stop._asdict().items():
        np.testing.assert_allclose(value, getattr(reference.stop, field), rtol=1e-11, atol=1e-12)


def test_both_engines_in_single_precision() -> None:
    native, reference = (np.asarray(solved(e, precision="float32").y) for e in engine.ENGINES)
    assert native.dtype == np.float32
    np.testing.assert_allclose(native, reference, rtol=2e-4, atol=1e-4)


def test_gradients_by_both_engines() -> None:
    def total(chosen: str) -> np.ndarray:
        plan = simulation_lanes.plan_for(Model(Saturating), DOSES, ("saturating.Vmax",), engine=chosen)
        lanes = simulation_lanes.lanes_for(plan, VALUES, DOSES, [], np.linspace(0.0, 24.0, 13), 3)
        order = simulation_lanes.edge_order(plan, lanes)

        def of(amount: jax.Array, time: jax.Array, limit: jax.Array) -> jax.Array:
            given = lanes._replace(amount=amount, time=time, values={**VALUES, "saturating.Vmax": limit}, order=None)
            return jnp.sum(simulation_lanes.trajectory(plan, given, order, 1e-8).y[1:] ** 2)

        parts = jax.jit(jax.grad(of, (0, 1, 2)))(lanes.amount, lanes.time, jnp.asarray(VALUES["saturating.Vmax"]))
        return np.concatenate([np.ravel(part) for part in parts])

    native, reference = total("native"), total("jax")
    assert np.abs(reference).min() > 0
    np.testing.assert_allclose(native, reference, rtol=1e-9, atol=1e-9)


def test_what_has_no_machine_code_is_solved_by_jax_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nanomg")
    doses = [Dose(0.0, 5.0, "unusual.A", 0.0)]
    ends = []
    for chosen in engine.ENGINES:
        plan = simulation_lanes.plan_for(Model(Unusual), doses, engine=chosen)
        lanes = simulation_lanes.lanes_for(plan, {"unusual.k": 0.3}, doses, [], np.array([0.0, 8.0]))
        ends.append(np.asarray(simulation_lanes.run(plan, lanes).y)[-1].item())
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)
    assert [m for m in caplog.messages if "digamma" in m and "JAX" in m]


# ---------------------------------------------------------------- what a result says
def test_a_file_names_its_engine(tmp_path: Path, program: Program) -> None:
    named = {}
    for chosen in engine.ENGINES:
        out = tmp_path / f"{chosen}.h5"
        code, _, err = program("simulate", "textbook-1cpt", "--engine", chosen, "-o", out, "--json")
        assert (code, err) == (0, "")
        named[chosen] = nanomg.open(out).attrs["engine"]
    assert named == {"native": "native", "jax": "jax"}
    code, text, _ = program("compare", tmp_path / "native.h5", tmp_path / "jax.h5")
    assert code == 0
    assert "engine" in text


def test_verbose_says_what_is_compiled(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOMG_CACHE", str(tmp_path / "kept"))
    programs.forget()
    logger, before = logging.getLogger("nanomg"), logging.getLogger("nanomg").level
    try:
        code, _, err = program(
            "--verbose", "simulate", "textbook-1cpt", "--set", "pk.V=31 L", "--engine", "jax", "--json"
        )
    finally:
        logger.setLevel(before)
        logger.handlers.clear()
    assert code == 0
    assert "nanomg: compiled nanomg.simulation" in err
