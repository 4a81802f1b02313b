"""Which states a drug at steady state has: those that its dose flows through, not what it acts on or what counts it.

From the equations, for a state without a declared role. A flux carries what it moves from its source to its target, and back
where its rate depends on the target; two sources of one flux belong together. A state is the drug's own if the dose reaches it this
way, in any mechanism, or if it leads to such a state and has the mechanism of a dosed one: the depot of a drug given into a vein.
A state on which none of the drug's own depends, itself included, is an accumulator (an area, an amount in urine), and is left out.

A declared role comes first: `disposition` is the drug's own wherever the dose has an influence, such as an effect compartment
that shall be at steady state as well; `effect`, `accumulator` and `growth` are not, and nothing is followed through them. Only a
dose at its site of action, into a state of the role `effect`, is solved with such states of that mechanism.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import columns_of
from nanomg.equations.mechanism import DISPOSITION, EFFECT
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library.scenario import Scenario
from nanomg.solver import sparsity

_Links = Mapping[str, frozenset[str]]  # from a state to others


class SteadyTargets(NamedTuple):
    """Which states are solved for doses at steady state into ports or states, in groups that several of them may share."""

    groups: tuple[tuple[str, ...], ...]
    number: Mapping[str, int]  # of the group, by port or state
    reaches: Mapping[str, frozenset[int]]  # the groups into which its doses go, by port or state


def dosed_states(model: Model, cmt: str) -> tuple[str, ...]:
    """The states that a dose into a port or state enters."""
    return tuple(model.ports[cmt].into) if cmt in model.ports else (cmt,)


@functools.lru_cache(maxsize=256)
def disposition(model: Model, cmt: str) -> tuple[str, ...]:
    """The states of the drug that is given into a port or state, in the order of the model.

    Raises `InputError` where a declared role says that a dosed state has no steady state.
    """
    flows, influence = _links(model)
    role = {name: var.role for name, var in model.states.items()}
    dosed = dosed_states(model, cmt)
    for name in dosed:
        if role[name] not in ("", DISPOSITION, EFFECT):
            raise InputError(f"a dose into {cmt} has no steady state, since {name} is declared as {role[name]!r}")
    open_ = {name for name in model.states if role[name] in ("", DISPOSITION)} - {*model.ramped}
    homes = {model.owner[name] for name in dosed}
    if any(role[name] == EFFECT for name in dosed):
        open_ |= {name for name in model.states if role[name] == EFFECT and model.owner[name] in homes}
    reached = _closure(dosed, flows, open_)
    nearby = {name for name in open_ if model.owner.get(name) in homes}
    backwards = {b: frozenset(a for a in flows if b in flows[a]) for b in flows}
    own = reached | (_closure(reached & nearby, backwards, nearby) if reached & nearby else set())
    while counted := {a for a in own - {*dosed} if not role[a] and not influence[a] & own}:
        own -= counted
    own |= {name for name in _closure(dosed, influence, model.states) if role[name] == DISPOSITION}
    return tuple(name for name in model.states if name in own)


@functools.lru_cache(maxsize=256)
def steady_targets(model: Model, steady: tuple[str, ...], cmt: tuple[str, ...]) -> SteadyTargets:
    """What is solved for doses at steady state into `steady`, of all the ports and states `cmt` that are dosed."""
    of = {name: disposition(model, name) for name in steady}
    groups = tuple(dict.fromkeys(of.values()))
    reaches = {
        name: frozenset(i for i, group in enumerate(groups) if {*group} & {*dosed_states(model, name)}) for name in cmt
    }
    return SteadyTargets(groups, {name: groups.index(group) for name, group in of.items()}, reaches)


@functools.lru_cache(maxsize=256)
def alone(model: Model, solved: tuple[str, ...]) -> Model:
    """The model in which only these states move."""
    held = tuple(name for name in model.states if name not in solved)
    return Model(*model.mechanisms, ledger=model.ledger, ramped=model.ramped, held=held)


@functools.lru_cache(maxsize=256)
def follows_held(model: Model, solved: tuple[str, ...]) -> bool:
    """Whether the rates of these states depend on the others, so that the steady state does."""
    _, influence = _links(model)
    return any(influence[name] & {*solved} for name in model.states if name not in {*solved, *model.ramped})


def solved_and_held(scenario: Scenario, subjects: Sequence[Subject] = ()) -> dict[str, dict[str, list[str]]] | None:
    """What doses at steady state solve and what they hold, by port or state; None without such doses.

    The doses are those of the subjects, or of the scenario.
    """
    names = {dose.cmt for dose in scenario.doses if dose.ss}
    if chosen := subjects or scenario.subjects:
        columns, _ = columns_of(chosen)
        names = {columns.names[code] for code in np.unique(columns.cmt[columns.doses & (columns.ss > 0)])}
    own = {name: disposition(scenario.model, name) for name in sorted(names)}
    held = lambda solved: [name for name in scenario.model.states if name not in solved]
    return {name: {"solved": [*solved], "held": held(solved)} for name, solved in own.items()} or None


# ---------------------------------------------------------------- what the equations say
@functools.lru_cache(maxsize=64)
def _links(model: Model) -> tuple[_Links, _Links]:
    """Where each state's contents flow, and the states whose rates depend on it."""
    names = list(model.states)
    others = dict.fromkeys([*model.parameters, *model.constants, *model.inputs], 1.0)
    ends: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def rates(*amounts: Any) -> list[Any]:
        x = model.evaluate({**others, **dict(zip(names, amounts, strict=True))})
        ends.clear()
        moved = []
        for _, flux in model.fluxes(x):
            source, target = (
                () if end is None else (end,) if isinstance(end, str) else tuple(end)
                for end in (flux.source, flux.target)
            )
            ends.append((source, target))
            moved.append(jnp.asarray(flux.rate))
        return moved

    jaxpr = jax.make_jaxpr(rates)(*np.ones(len(names))).jaxpr
    depends = sparsity.dependencies(jaxpr, [frozenset([i]) for i in range(len(names))])
    flows: dict[str, set[str]] = {name: set() for name in names}
    for (source, target), on in zip(ends, depends, strict=True):
        driving = {names[i] for i in on}
        for a in source:
            flows[a] |= {*target} | ({*source} - {a} if a in driving else set())
        for b in {*target} & driving:
            flows[b] |= {*source}
    influence: dict[str, set[str]] = {name: set() for name in names}
    for i, j in sparsity.pattern(model):
        influence[names[j]].add(names[i])
    return _frozen(flows), _frozen(influence)


def _frozen(links: Mapping[str, set[str]]) -> _Links:
    return {name: frozenset(to) for name, to in links.items()}


def _closure(start: Iterable[str], links: _Links, within: Iterable[str]) -> set[str]:
    """All states that links lead to from `start`, through those of `within` alone."""
    allowed, found = {*within}, {*start}
    left: Sequence[str] = [*found]
    while left:
        left = [b for a in left for b in links[a] if b in allowed and b not in found]
        found |= {*left}
    return found
