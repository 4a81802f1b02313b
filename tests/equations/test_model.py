"""Composition of mechanisms: what is refused at construction, the order of signals, equality, values, the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param
from nanomg.equations.model import Model
from nanomg.errors import InputError


class Tank(AbstractMechanism):
    """A tank with an outflow in proportion to its level."""

    name = "tank"
    states = {"tank.water": Var("mL", "water", "water")}
    signals = {"tank.level": Var("cm", "level")}
    constants = {"tank.water_0": Var("mL", "water at time 0")}
    reads = ("pump.rate",)

    area: Scalar = param("cm^2", "cross-section")
    k: Scalar = param("1/h", "outflow rate")
    level_0: Scalar = param("cm", "level at time 0")

    def derive(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"tank.water_0": self.area * self.level_0}

    def initial(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"tank.water": x["tank.water_0"]}

    def evaluate(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"tank.level": x["tank.water"] / self.area}

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        yield Flux(None, "tank.water", x["pump.rate"])
        yield Flux("tank.water", None, self.k * x["tank.water"])


class Pump(AbstractMechanism):
    """A pump that follows the sum of its input and another signal."""

    name = "pump"
    signals = {"pump.rate": Var("mL/h", "delivery")}
    inputs = {"pump.command": Var("mL/h", "wanted delivery", default=2.0)}
    reads = ("valve.share",)

    def evaluate(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"pump.rate": x["pump.command"] * x["valve.share"]}


class Valve(AbstractMechanism):
    """A valve that is open at a fixed share."""

    name = "valve"
    signals = {"valve.share": Var("1", "share that is open")}

    opening: Scalar = param("1", "share that is open")

    def evaluate(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"valve.share": self.opening}


class Bottles(AbstractMechanism):
    """Bottles filled from the tank; a bottle holds a fixed volume of water and some glass."""

    name = "bottle"
    states = {
        "bottle.full": Var("1", "full bottles", {"water": "bottle.size", "glass": 3.0}),
        "bottle.empty": Var("1", "empty bottles", {"glass": 3.0}),
        "bottle.counter": Var("1", "bottles filled"),
    }
    ports = {"bottle.crate": Port("1", "crates of empty bottles", {"bottle.empty": 6.0})}
    reads = ("tank.water",)

    size: Scalar = param("mL", "volume of a bottle")
    k_fill: Scalar = param("1/h", "filling rate of an empty bottle")

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        rate = self.k_fill * x["bottle.empty"] * x["tank.water"] / (self.size + x["tank.water"])
        yield Flux({"bottle.empty": 1.0, "tank.water": self.size}, {"bottle.full": 1.0, "bottle.counter": 1.0}, rate)
        yield Flux("bottle.full", None, 0.25 * x["bottle.full"])


PLANT = (Tank, Pump, Valve, Bottles)
VALUES = {
    "tank.area": 4.0,
    "tank.k": 0.5,
    "tank.level_0": 3.0,
    "valve.opening": 0.25,
    "bottle.size": 2.0,
    "bottle.k_fill": 0.1,
}


def at(model: Model, **amounts: float) -> dict[str, Any]:
    x = model.derive(VALUES)
    x.update(zip(model.states, model.initial(x), strict=True))
    x.update({name: var.default for name, var in model.inputs.items()})
    return x | {name.replace("__", "."): v for name, v in amounts.items()}


def changed(mechanism: type[AbstractMechanism], **members: Any) -> type[AbstractMechanism]:
    """The mechanism with other declarations or methods."""
    return type(mechanism.__name__, (mechanism,), members | {"__module__": __name__, "__doc__": mechanism.__doc__})


def test_signals_are_evaluated_after_what_they_read_in_any_order_given() -> None:
    for order in (PLANT, PLANT[::-1], (Pump, Tank, Bottles, Valve)):
        x = at(Model(*order))
        full = Model(*order).evaluate(x)
        assert full["pump.rate"] == 2.0 * 0.25 and full["tank.level"] == 3.0


def test_rates_sum_all_fluxes_with_their_coefficients() -> None:
    model = Model(*PLANT)
    x = at(model, bottle__empty=5.0, bottle__full=8.0)
    filled = 0.1 * 5.0 * 12.0 / 14.0
    rates = dict(zip(model.states, model.rates(x), strict=True))
    assert rates["tank.water"] == pytest.approx(0.5 - 0.5 * 12.0 - 2.0 * filled, rel=1e-14)
    assert rates["bottle.empty"] == pytest.approx(-filled, rel=1e-14)
    assert rates["bottle.full"] == pytest.approx(filled - 0.25 * 8.0, rel=1e-14)
    assert rates["bottle.counter"] == pytest.approx(filled, rel=1e-14)


def test_values_may_be_batches() -> None:
    model = Model(*PLANT)
    batch = {name: np.full(3, value) for name, value in VALUES.items()}
    x = model.derive(batch)
    start = model.initial(x)
    assert [np.shape(v) for v in start] == [(3,), (), (), ()]
    x.update(zip(model.states, [np.broadcast_to(v, 3) for v in start], strict=True))
    rates = model.rates(x | {"pump.command": 2.0})
    assert np.allclose(rates[0], 0.5 - 6.0)


def test_the_ledger_adds_up_what_crosses_the_boundary() -> None:
    model = Model(*PLANT, ledger=True)
    assert [n for n in model.states if n.startswith("ledger.")] == [
        "ledger.glass.in",
        "ledger.glass.out",
        "ledger.water.in",
        "ledger.water.out",
    ]
    x = at(model, bottle__empty=5.0, bottle__full=8.0)
    rates = dict(zip(model.states, model.rates(x), strict=True))
    assert rates["ledger.water.in"] == pytest.approx(0.5)
    assert rates["ledger.water.out"] == pytest.approx(0.5 * 12.0 + 0.25 * 8.0 * 2.0)
    assert rates["ledger.glass.out"] == pytest.approx(0.25 * 8.0 * 3.0)
    for substance in model.substances:
        inside = sum(c * r for c, r in zip(model.contents(substance, x), model.rates(x), strict=True))
        across = rates[f"ledger.{substance}.in"] - rates[f"ledger.{substance}.out"]
        assert inside == pytest.approx(across, abs=1e-14)


def test_contents_are_given_per_unit_of_state() -> None:
    model = Model(*PLANT)
    assert model.substances == ("glass", "water")
    assert model.contents("water", at(model)) == [1.0, 2.0, 0.0, 0.0]
    assert model.contents("glass", at(model)) == [0.0, 3.0, 3.0, 0.0]


def test_a_model_is_what_its_mechanisms_are() -> None:
    assert Model(*PLANT) == Model(*PLANT) and hash(Model(*PLANT)) == hash(Model(*PLANT))
    assert Model(*PLANT) != Model(*PLANT[::-1])
    assert Model(*PLANT) != Model(*PLANT, ledger=True)
    assert Model(*PLANT) != "a model"


def test_declarations_are_found_by_name() -> None:
    model = Model(*PLANT)
    names = ("tank.water", "tank.level", "tank.water_0", "pump.command", "bottle.crate", "tank.k")
    assert [model.unit(n) for n in names] == ["mL", "cm", "mL", "mL/h", "1", "1/h"]
    with pytest.raises(InputError, match=r"'tank\.wate'; did you mean 'tank\.water'"):
        model.unit("tank.wate")


def test_a_name_declared_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"'tank\.water' is declared by both Tank and Tank"):
        Model(*PLANT, Tank)


def test_a_read_of_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"mechanism Tank reads it.*'pump\.rate'"):
        Model(Tank, Valve)
    with pytest.raises(InputError, match=r"mechanism Pump reads it.*'valve\.shape'; did you mean 'valve\.share'"):
        Model(Tank, Valve, changed(Pump, reads=("valve.shape",)))


def test_an_undeclared_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"Pump reads 'valve\.share'; add it to its `reads`"):
        Model(Tank, Valve, changed(Pump, reads=()))
    with pytest.raises(InputError, match=r"Bottles reads 'tank\.water'; add it to its `reads`"):
        Model(Tank, Pump, Valve, changed(Bottles, reads=()))


def test_a_read_of_a_name_that_no_one_declares_is_refused() -> None:
    lost = changed(Valve, evaluate=lambda self, x: {"valve.share": x["valve.open"]})
    with pytest.raises(InputError, match=r"mechanism Valve: there is no quantity 'valve\.open'"):
        Model(Tank, Pump, lost)


def test_a_circle_of_signals_is_refused() -> None:
    turned = changed(Valve, reads=("pump.rate",), evaluate=lambda self, x: {"valve.share": x["pump.rate"]})
    with pytest.raises(
        InputError, match=r"depend on each other in a circle: (Pump -> Valve -> Pump|Valve -> Pump -> Valve)"
    ):
        Model(Tank, Pump, turned)


def test_a_signal_that_reads_itself_is_refused() -> None:
    with pytest.raises(InputError, match=r"reads its own signal 'valve\.share'"):
        Model(Tank, Pump, changed(Valve, evaluate=lambda self, x: {"valve.share": x["valve.share"]}))


@pytest.mark.parametrize("out", [{}, {"valve.share": 1.0, "valve.more": 1.0}, {"valve.other": 1.0}])
def test_evaluate_returns_just_what_is_declared(out: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"Valve\.evaluate must return just what it declares"):
        Model(Tank, Pump, changed(Valve, evaluate=lambda self, x: out))


def test_derive_returns_just_what_is_declared() -> None:
    with pytest.raises(
        InputError, match=r"Valve\.derive must return just what it declares; these differ: valve\.extra"
    ):
        Model(Tank, Pump, changed(Valve, derive=lambda self, x: {"valve.extra": 1.0}))


@pytest.mark.parametrize(
    "flux", [Flux("bottle.ful", None, 1.0), Flux(None, {"bottle.full": 1.0, "bottle.ful": 1.0}, 1.0)]
)
def test_a_flux_into_an_unknown_state_is_refused(flux: Flux) -> None:
    with pytest.raises(InputError, match=r"a flux of Bottles.*'bottle\.ful'; did you mean 'bottle\.full'"):
        Model(Tank, Pump, Valve, changed(Bottles, fluxes=lambda self, x: iter([flux])))


def test_initial_gives_only_own_states() -> None:
    odd = changed(Bottles, initial=lambda self, x: {"tank.water": 1.0})
    with pytest.raises(InputError, match=r"Bottles\.initial"):
        at(Model(Tank, Pump, Valve, odd))


class Float(AbstractMechanism):
    """A float valve that can do without the tank that it drains into the drain, if there is one."""

    name = "float"
    states = {"float.water": Var("mL", "water in the float", "water")}
    signals = {"float.pull": Var("mL/h", "pull")}
    absent = {"tank.level": 4.0, "tank.water": 0.0}

    k: Scalar = param("cm^2/h", "rate")

    def evaluate(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"float.pull": self.k * x["tank.level"]}

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        yield Flux("tank.water", "float.water", x["float.pull"])


def test_what_is_absent_has_its_value_and_its_fluxes_cross_the_boundary() -> None:
    alone = Model(Float, ledger=True)
    assert alone.absent == {"tank.level": 4.0, "tank.water": 0.0}
    x = alone.derive({"float.k": 3.0})
    state = dict(zip(alone.states, alone.initial(x), strict=True))
    assert dict(zip(alone.states, alone.rates({**x, **state}), strict=True)) == {
        "float.water": 12.0,
        "ledger.water.in": 12.0,
        "ledger.water.out": 0.0,
    }
    assert all(flux.source is None for _, flux in alone.fluxes(alone.evaluate({**x, **state})))

    joined = Model(Float, Tank, Pump, Valve)
    assert joined.absent == {}
    x = joined.derive({"float.k": 3.0, "tank.area": 2.0, "tank.k": 0.5, "tank.level_0": 7.0, "valve.opening": 1.0})
    state = {"float.water": 0.0, "tank.water": 14.0, "pump.command": 2.0}
    assert dict(zip(joined.states, joined.rates({**x, **state}), strict=True)) == {
        "float.water": 21.0,
        "tank.water": 2.0 - 7.0 - 21.0,
    }


def test_two_views_of_what_is_absent_are_refused() -> None:
    class Other(AbstractMechanism):
        """Sees another level."""

        name = "other"
        absent = {"tank.level": 5.0}

    with pytest.raises(InputError, match=r"different values for 'tank.level'"):
        Model(Float, Other)


def test_a_flux_that_ends_partly_outside_is_refused() -> None:
    class Splash(AbstractMechanism):
        """Half of it misses."""

        name = "splash"
        states = {"splash.water": Var("mL", "water", "water")}
        absent = {"tank.water": 0.0}

        def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
            yield Flux(None, {"splash.water": 0.5, "tank.water": 0.5}, 1.0)

    with pytest.raises(InputError, match=r"partly outside, in 'tank.water'"):
        Model(Splash)
