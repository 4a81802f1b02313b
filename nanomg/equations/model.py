"""Model: a checked composition of mechanisms. It holds names, units and equations; values are passed in.

A model is fixed by its mechanism classes, is hashable by them, and is a static argument of everything that is compiled.
Values come as a mapping from dotted parameter name to a scalar or a `(batch,)` array.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from nanomg.equations.mechanism import ROLES, AbstractMechanism, Ends, Flux, Port, Values, Var
from nanomg.errors import InputError, unknown

INLET, OUTLET = (
    ".in",
    ".out",
)  # suffixes of the ledger's states: total inflow from, and outflow to, the outside world
RISE = (
    ".rise"  # suffix of a state or signal: its difference, at each time, from the same in an arm that is paired with it
)


class _Recorder(dict[str, Any]):
    """A mapping that notes which names a mechanism reads, and has a missing signal evaluated by its owner."""

    def __init__(self, known: Mapping[str, Any], provide: Callable[[str], Any]):
        super().__init__(known)
        self.provide, self.seen = provide, set[str]()

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return super().__getitem__(name) if name in self else self.provide(name)


class Model:
    """Mechanisms composed by name.

    Attributes `states`, `signals`, `constants`, `inputs`, `ports` and `parameters` map dotted names to their declarations; `absent`
    holds the values of quantities that no mechanism here has and that those who read them can do without.
    Raises `InputError` for a name declared twice, a read of an unknown name, an undeclared read, a flux into an unknown state
    and a cycle among signals. With `ledger`, two further states per substance add up what crosses the model's boundary. Parameters
    in `ramped` become states of zero rate, which whoever solves may move within an interval; no constant may depend on them. States
    in `held` become inputs: they keep the value that they are given.
    """

    def __init__(
        self,
        *mechanisms: type[AbstractMechanism],
        ledger: bool = False,
        ramped: tuple[str, ...] = (),
        held: tuple[str, ...] = (),
    ):
        self.mechanisms, self.ledger, self.ramped, self.held = mechanisms, ledger, ramped, held
        self.states: dict[str, Var] = {}
        self.signals: dict[str, Var] = {}
        self.constants: dict[str, Var] = {}
        self.inputs: dict[str, Var] = {}
        self.ports: dict[str, Port] = {}
        self.parameters: dict[str, Var] = {}
        self.owner: dict[str, type[AbstractMechanism]] = {}
        for mechanism in mechanisms:
            for kind in ("states", "signals", "constants", "inputs", "ports"):
                self._declare(mechanism, getattr(self, kind), getattr(mechanism, kind))
            self._declare(mechanism, self.parameters, mechanism.parameters())
        self.absent: dict[str, float] = {}
        for mechanism in mechanisms:
            for name in mechanism.reads:
                if name not in self.owner:
                    raise unknown("quantity", name, self.owner, f"mechanism {mechanism.__name__} reads it")
            for name, value in mechanism.absent.items():
                if name not in self.owner and self.absent.setdefault(name, value) != value:
                    raise InputError(f"two mechanisms take different values for {name!r}, which no mechanism here has")
        self._derive_order = self._order("derive", self.parameters)
        self._evaluate_order = self._order(
            "evaluate", {**self.parameters, **self.constants, **self.states, **self.inputs}
        )
        if ledger:
            for substance in sorted({s for var in self.states.values() for s in _contents(var)}):
                for end in (INLET, OUTLET):
                    self.states[f"ledger.{substance}{end}"] = Var(
                        "1", f"{substance}, total{end.replace('.', ' ')}", signed=True
                    )
        for name in ramped:
            self.states[name] = self.parameters.pop(name)
        for name, var in self.states.items():
            if var.role and var.role not in ROLES:
                raise unknown("role", var.role, ROLES, f"state {name}")
        self.inputs |= {name: self.states.pop(name) for name in held}
        self._check_fluxes()

    @property
    def key(self) -> tuple[Any, ...]:
        """The key of a model: models of equal keys are the same model."""
        return self.mechanisms, self.ledger, self.ramped, self.held

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.key == other.key

    def _declare(self, mechanism: type[AbstractMechanism], table: dict[str, Any], entries: Mapping[str, Any]) -> None:
        for name, entry in entries.items():
            stands_for_state = table is self.ports and name in mechanism.states
            if name in self.owner and not stands_for_state:
                raise InputError(f"{name!r} is declared by both {self.owner[name].__name__} and {mechanism.__name__}")
            self.owner[name] = mechanism
            table[name] = entry

    # ------------------------------------------------------------------ checks at construction
    def _order(self, method: str, known: Mapping[str, Any]) -> tuple[type[AbstractMechanism], ...]:
        """The order in which the mechanisms' `method` can run, found by running it once on traced ones."""
        order: list[type[AbstractMechanism]] = []

        def dry_run(ones: dict[str, Any]) -> list[Any]:
            found: dict[str, Any] = {}
            stack: list[type[AbstractMechanism]] = []
            built = {m: self.build(m, ones) for m in self.mechanisms}

            def run(mechanism: type[AbstractMechanism]) -> None:
                if mechanism in stack:
                    path = " -> ".join(m.__name__ for m in [*stack[stack.index(mechanism) :], mechanism])
                    raise InputError(f"the signals of these mechanisms depend on each other in a circle: {path}")
                if mechanism in order:
                    return
                stack.append(mechanism)
                x = _Recorder({**self.absent, **ones, **found}, lambda name: provide(mechanism, name))
                out = getattr(built[mechanism], method)(x)
                self._check_reads(mechanism, x.seen)
                self._check_declared(mechanism, method, out)
                found.update(out)
                stack.pop()
                order.append(mechanism)

            def provide(reader: type[AbstractMechanism], name: str) -> Any:
                owner = self.owner.get(name)
                if owner is None or name not in {**owner.signals, **owner.constants}:
                    return self._missing(reader, name)
                if owner is reader:
                    raise InputError(f"{reader.__name__} reads its own signal {name!r} before computing it")
                run(owner)
                return found[name]

            for mechanism in self.mechanisms:
                run(mechanism)
            return list(found.values())

        jax.eval_shape(dry_run, dict.fromkeys(known, 1.0))
        return tuple(order)

    def _missing(self, reader: type[AbstractMechanism], name: str) -> Any:
        raise unknown("quantity", name, self.owner, f"mechanism {reader.__name__}")

    def _check_reads(self, mechanism: type[AbstractMechanism], seen: set[str]) -> None:
        for name in sorted(seen):
            if self.owner.get(name) is not mechanism and name not in {*mechanism.reads, *mechanism.absent}:
                raise InputError(f"{mechanism.__name__} reads {name!r}; add it to its `reads`")

    def _check_declared(self, mechanism: type[AbstractMechanism], method: str, out: Mapping[str, Any]) -> None:
        declared = set(mechanism.constants if method == "derive" else mechanism.signals)
        if set(out) != declared:
            odd = ", ".join(sorted(set(out) ^ declared))
            raise InputError(f"{mechanism.__name__}.{method} must return just what it declares; these differ: {odd}")

    def _check_fluxes(self) -> None:
        def dry_run(ones: dict[str, Any]) -> Any:
            x = {**self.absent, **ones}
            for mechanism in self._evaluate_order:
                x.update(self.build(mechanism, x).evaluate(x))
            rates = []
            for mechanism in self.mechanisms:
                recorder = _Recorder(x, functools.partial(self._missing, mechanism))
                for flux in self.build(mechanism, x).fluxes(recorder):
                    for end in (flux.source, flux.target):
                        missing = [state for state in _ends(end) if state not in {*self.states, *self.held}]
                        for state in missing:
                            if state not in mechanism.absent:
                                raise unknown("state", state, self.states, f"a flux of {mechanism.__name__}")
                        if missing and len(missing) < len(_ends(end)):
                            raise InputError(f"a flux of {mechanism.__name__} ends partly outside, in {missing[0]!r}")
                    rates.append(flux.rate)
                self._check_reads(mechanism, recorder.seen)
            return rates

        names = [*self.parameters, *self.constants, *self.states, *self.inputs]
        jax.eval_shape(dry_run, dict.fromkeys(names, 1.0))

    # ------------------------------------------------------------------ values
    def build(self, mechanism: type[AbstractMechanism], x: Values) -> AbstractMechanism:
        """A mechanism with its parameters from `x`."""
        prefix = len(mechanism.name) + 1
        return mechanism(**{name[prefix:]: x[name] for name in mechanism.parameters()})

    def derive(self, parameters: Values) -> dict[str, Any]:
        """Parameters and the constants that follow from them."""
        x = {**self.absent, **parameters}
        for mechanism in self._derive_order:
            x.update(self.build(mechanism, x).derive(x))
        return x

    def initial(self, x: Values) -> list[Any]:
        """Amounts at time 0 in the order of `states`, from the values that `derive` returns."""
        start: dict[str, Any] = {name: x[name] for name in self.ramped}
        for mechanism in self.mechanisms:
            given = self.build(mechanism, x).initial(x)
            if unexpected := set(given) - set(mechanism.states):
                raise unknown("state", min(unexpected), mechanism.states, f"{mechanism.__name__}.initial")
            start.update(given)
        return [start.get(name, 0.0) for name in self.states]

    def evaluate(self, x: Values) -> dict[str, Any]:
        """Everything in `x` (states, inputs, parameters, constants) and all signals."""
        full = {**self.absent, **x}
        for mechanism in self._evaluate_order:
            full.update(self.build(mechanism, full).evaluate(full))
        return full

    def fluxes(self, x: Values) -> Iterator[tuple[type[AbstractMechanism], Flux]]:
        """Every flux with its mechanism; `x` as `evaluate` returns it. Ends in absent states are the outside world."""
        for mechanism in self.mechanisms:
            for source, target, rate in self.build(mechanism, x).fluxes(x):
                yield mechanism, Flux(self._present(source), self._present(target), rate)

    def _present(self, end: Ends) -> Ends:
        return None if any(state in self.absent for state in _ends(end)) else end

    def rates(self, x: Values) -> list[Any]:
        """d(state)/dt [unit of the state per hour] in the order of `states`."""
        x = self.evaluate(x)
        total: dict[str, Any] = dict.fromkeys(self.states, 0.0)
        for _, flux in self.fluxes(x):
            crossing: dict[str, Any] = {}
            for sign, end in ((-1.0, flux.source), (1.0, flux.target)):
                for state, coefficient in _ends(end).items():
                    if state not in total:
                        continue  # it is held
                    amount = sign * coefficient * flux.rate if coefficient is not None else sign * flux.rate
                    total[state] = total[state] + amount
                    if self.ledger:
                        for substance, content in _contents(self.states[state], x).items():
                            crossing[substance] = crossing.get(substance, 0.0) + content * amount
            if self.ledger and (flux.source is None or flux.target is None):
                end = INLET if flux.source is None else OUTLET
                for substance, amount in crossing.items():
                    total[f"ledger.{substance}{end}"] += amount if end == INLET else -amount
        return list(total.values())

    def contents(self, substance: str, x: Values) -> list[Any]:
        """How much of `substance` one unit of each state holds, in the order of `states`."""
        return [_contents(var, x).get(substance, 0.0) for var in self.states.values()]

    def mechanism_of(self, name: str, x: Values) -> AbstractMechanism:
        """The mechanism that declares `name`, with its parameters from `x`."""
        return self.build(self.owner[name], x)

    @property
    def substances(self) -> tuple[str, ...]:
        """Every substance that some state holds."""
        return tuple(sorted({s for var in self.states.values() for s in _contents(var)}))

    def unit(self, name: str) -> str:
        """The unit of a state, signal, constant, input, port or parameter. Raises `InputError` for an unknown name."""
        return self.declaration(name).unit

    def declaration(self, name: str) -> Var | Port:
        """The declaration of any dotted name of the model; a rise has that of its quantity."""
        for table in (self.states, self.signals, self.constants, self.inputs, self.ports, self.parameters):
            if name in table:
                return table[name]
        if self.is_rise(name):
            return self.declaration(name.removesuffix(RISE))
        raise unknown("quantity", name, self.owner)

    def is_rise(self, name: str) -> bool:
        """Whether a name is that of the rise of a state or signal."""
        return name.endswith(RISE) and name.removesuffix(RISE) in {**self.states, **self.signals}


def _ends(end: Ends) -> dict[str, Any]:
    """A flux's end as state -> coefficient; None means 1."""
    if end is None:
        return {}
    return {end: None} if isinstance(end, str) else dict(end)


def _contents(var: Var, x: Values | None = None) -> dict[str, Any]:
    if var.substance is None:
        return {}
    if isinstance(var.substance, str):
        return {var.substance: 1.0}
    return {s: (x[c] if x is not None else 1.0) if isinstance(c, str) else c for s, c in var.substance.items()}


def stack(values: list[Any], shape: tuple[int, ...]) -> jax.Array:
    """Rows broadcast to `shape` and stacked: `(row, *shape)`."""
    return jnp.stack([jnp.broadcast_to(jnp.asarray(v), shape) for v in values])
