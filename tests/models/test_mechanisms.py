"""What holds for every mechanism, composed as in each shipped scenario: dimensions, finite values and gradients, declarations."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import units
from nanomg.equations.mechanism import AbstractMechanism, Flux, Port, Scalar, Values, Var, param
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library import coherence
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import load
from nanomg.models.checkpoint import AntiPD1
from nanomg.models.liposome import Liposome
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.dose_course import events_of
from nanomg.simulation.plan import channels


# ---------------------------------------------------------------- dimensions
@pytest.mark.parametrize("seed", range(3))
def test_equations_do_not_depend_on_the_units_they_are_counted_in(scenario: Scenario, seed: int) -> None:
    assert list(coherence.port_misfits(scenario.model)) == []
    assert coherence.misfits(scenario.model, scenario.values, seed) == []


class LostVolume(AntiPD1):
    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux("pd1.depot", "pd1.central", self.ka * x["pd1.depot"])
        yield Flux("pd1.central", None, self.CL * x["pd1.central"])  # lost: / V


class LostThousand(AntiPD1):
    V: Scalar = param("L", "central volume, where the other volumes are in mL")


class AddedShare(AntiPD1):
    def evaluate(self, x: Values) -> Values:
        return {**super().evaluate(x), "pd1.C": x["pd1.central"] / self.V + self.F}


class LostVolumeOfPlasma(Liposome):
    def fluxes(self, x: Values) -> Iterator[Flux]:
        for flux in super().fluxes(x):
            if flux.source == "liposome.M_plasma" and flux.target == "liposome.M_mps":
                flux = flux._replace(rate=flux.rate * self.V)
            yield flux


class LostPayload(Liposome):
    ports = {"liposome.iv": Port("mg", "as payload", {"liposome.M_plasma": 1.0})}


@pytest.mark.parametrize(
    ("mutant", "named", "times"),
    [
        (LostVolume, "flux 2 (pd1.central -> outside)", None),
        (LostThousand, "signal pd1.C", 1e-3),
        (AddedShare, "signal pd1.C", None),
        (LostVolumeOfPlasma, "flux 11 (liposome.M_plasma -> liposome.M_mps)", None),
        (LostPayload, "port liposome.iv into liposome.M_plasma", None),
    ],
)
def test_a_lost_factor_is_found_and_named(
    library: Library, mutant: type[AbstractMechanism], named: str, times: float | None
) -> None:
    shipped = load("mouse-mc38-depot", library)
    model = Model(*(mutant if issubclass(mutant, m) else m for m in shipped.model.mechanisms))
    first = coherence.misfits(model, shipped.values, seed=0)[0]
    assert (first.mechanism, first.name) == (mutant, named)
    assert first.ratio == pytest.approx(times) if times else math.isnan(first.ratio)


# ---------------------------------------------------------------- values and gradients
@functools.cache
def jacobians(model: Model) -> Any:
    """Rates and signals (row,) and their gradients in every parameter and state, as a compiled function of both."""

    def everything(parameters: jax.Array, state: jax.Array, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        known = model.derive(dict(zip(model.parameters, parameters, strict=True)))
        x = known | dict(zip(model.states, state, strict=True)) | dict(zip(model.inputs, inputs, strict=True))
        full = model.evaluate(x)
        rows = jnp.stack([jnp.asarray(v, float) for v in [*model.rates(x), *(full[s] for s in model.signals)]])
        return rows, rows

    return jax.jit(jax.jacfwd(everything, argnums=(0, 1), has_aux=True))


def test_rates_signals_and_their_gradients_are_finite(covering: Scenario) -> None:
    scenario = covering
    model, values = scenario.model, scenario.values
    parameters = np.array([values[n] for n in model.parameters])
    known = model.derive(values)
    rows = [*(f"rate of {n}" for n in model.states), *(f"signal {n}" for n in model.signals)]
    calculate = jacobians(model)
    before = np.array([float(v) for v in model.initial(known)])
    plan = simulation_lanes.plan_for(model, scenario.doses)
    lanes = simulation_lanes.lanes_for(plan, values, scenario.doses, scenario.windows, np.array([0.0]))
    brought = np.asarray(events_of(plan, lanes, known).amount).sum((0, 2))
    dosed = before.copy()
    dosed[np.array(channels(model, plan.cmt))] += brought
    rng = np.random.default_rng(0)
    filled = np.array(list(coherence.plausible_state(model, known, rng).values()))
    points = {"before doses": before, "with all doses in": dosed, "with every state filled": filled}
    for forced in (0.0, 1.0):
        inputs = np.full(len(model.inputs), forced)
        for when, state in points.items():
            (in_parameters, in_states), found = calculate(parameters, state, inputs)
            for row, name in enumerate(rows):
                assert np.isfinite(found[row]), (name, when)
                for names, gradient in ((model.parameters, in_parameters), (model.states, in_states)):
                    odd = [n for n, g in zip(names, gradient[row], strict=True) if not np.isfinite(g)]
                    assert odd == [], (name, when)


def test_every_state_takes_part(scenario: Scenario) -> None:
    """No state is left without a flux."""
    model = scenario.model
    known = model.derive(scenario.values)
    rng = np.random.default_rng(1)
    state = coherence.plausible_state(model, known, rng)
    inputs = dict.fromkeys(model.inputs, 0.5)
    x = model.evaluate({**known, **state, **inputs})
    touched = set()
    for _, flux in model.fluxes(x):
        for end in (flux.source, flux.target):
            touched |= {end} if isinstance(end, str) else set(end or {})
    assert set(model.states) - touched == set()


# ---------------------------------------------------------------- declarations
def declarations(library: Library) -> Iterator[tuple[str, Var | Port]]:
    for mechanism in library.mechanisms.values():
        for table in (mechanism.states, mechanism.signals, mechanism.constants, mechanism.inputs, mechanism.ports):
            yield from table.items()
        yield from mechanism.parameters().items()


def test_every_declaration_has_a_text_a_unit_and_the_name_of_its_mechanism(library: Library) -> None:
    for mechanism in library.mechanisms.values():
        assert mechanism.__doc__ and mechanism.__doc__ is not AbstractMechanism.__doc__, mechanism
    for name, declared in declarations(library):
        assert declared.text.strip(), name
        units.dimension(declared.unit)
        assert any(name.startswith(f"{m.name}.") for m in library.mechanisms.values()), name


def test_every_parameter_says_how_it_is_known(scenario: Scenario) -> None:
    for name, parameter in scenario.parameters.items():
        assert parameter.basis, name
        assert parameter.source or parameter.note or parameter.basis == "recalled", name


def test_ports_lead_to_states_and_name_what_exists(scenario: Scenario) -> None:
    model = scenario.model
    for name, port in model.ports.items():
        assert set(port.into) <= set(model.states), name
        named = [*port.into.values(), port.molar_mass, port.F, port.lag, port.rate, port.duration]
        assert {n for n in named if isinstance(n, str)} <= {*model.parameters, *model.constants}, name
        here = port.free is not None and port.free.split(".")[0] in {m.name for m in model.mechanisms}
        assert not here or port.free in {*model.ports, *model.states}, name
        assert port.uptake is None or callable(getattr(model.owner[name], port.uptake)), name


class Tank(AbstractMechanism):
    """A tank that empties."""

    name = "tank"
    states: ClassVar[Mapping[str, Var]] = {"tank.amount": Var("umol", "content", "Mg")}
    signals: ClassVar[Mapping[str, Var]] = {"tank.C": Var("umol/mL", "concentration")}
    V: Scalar = param("mL", "volume")

    def evaluate(self, x: Values) -> Values:
        return {"tank.C": x["tank.amount"] / self.V}

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux("tank.amount", None, self.V * x["tank.C"])


class Twin(Tank):
    """Declares the names of another."""


class Peeking(AbstractMechanism):
    """Reads a signal without saying so."""

    name = "peeking"
    signals: ClassVar[Mapping[str, Var]] = {"peeking.C": Var("umol/mL", "what it saw")}

    def evaluate(self, x: Values) -> Values:
        return {"peeking.C": x["tank.C"]}


class PeekingFlux(AbstractMechanism):
    """Reads a state in its fluxes without saying so."""

    name = "peeking"

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux(None, "tank.amount", x["tank.C"])


class Astray(AbstractMechanism):
    """Sends a flux to a state that no mechanism has."""

    name = "astray"
    reads = ("tank.amount",)

    def fluxes(self, x: Values) -> Iterator[Flux]:
        yield Flux("tank.amount", "tank.amuont", x["tank.amount"])


class Reader(AbstractMechanism):
    """Reads what no mechanism has."""

    name = "reader"
    reads = ("tank.amuont",)


class Left(AbstractMechanism):
    """Needs the signal of its counterpart."""

    name = "left"
    signals: ClassVar[Mapping[str, Var]] = {"left.s": Var("1", "signal")}
    reads = ("right.s",)

    def evaluate(self, x: Values) -> Values:
        return {"left.s": x["right.s"]}


class Right(AbstractMechanism):
    """Needs the signal of its counterpart."""

    name = "right"
    signals: ClassVar[Mapping[str, Var]] = {"right.s": Var("1", "signal")}
    reads = ("left.s",)

    def evaluate(self, x: Values) -> Values:
        return {"right.s": x["left.s"]}


class Silent(AbstractMechanism):
    """Declares a signal that it does not return."""

    name = "silent"
    signals: ClassVar[Mapping[str, Var]] = {"silent.s": Var("1", "signal")}


@pytest.mark.parametrize(
    ("mechanisms", "message"),
    [
        ((Tank, Peeking), "Peeking reads 'tank.C'; add it to its `reads`"),
        ((Tank, PeekingFlux), "PeekingFlux reads 'tank.C'; add it to its `reads`"),
        ((Tank, Twin), "'tank.amount' is declared by both Tank and Twin"),
        ((Tank, Astray), "a flux of Astray: there is no state 'tank.amuont'; did you mean 'tank.amount'"),
        ((Tank, Reader), "mechanism Reader reads it: there is no quantity 'tank.amuont'; did you mean 'tank.amount'"),
        ((Left, Right), "circle: Left -> Right -> Left"),
        ((Silent,), "Silent.evaluate must return just what it declares; these differ: silent.s"),
    ],
)
def test_a_model_refuses(mechanisms: tuple[type[AbstractMechanism], ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Model(*mechanisms)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_of_the_same_mechanisms_are_one_key() -> None:
    assert Model(Tank) == Model(Tank)
    assert hash(Model(Tank)) == hash(Model(Tank))
    assert Model(Tank) != Model(Tank, ledger=True)
