"""What stopped a trajectory: the state that failed, and the term of its equation that drives it.

A solve that fails leaves the last state it accepted. There every rate is taken apart into its fluxes: the state is the one with
the largest error, or where everything became not a number the one that changes fastest for its size; the term is the flux with
the largest part in it, or the one that is not finite itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nanomg.dosing.event_record import Subject
from nanomg.equations.model import Model
from nanomg.formatting import format_number
from nanomg.simulation.disposition import disposition
from nanomg.solver.problem import Stop
from nanomg.solver.status import Status


@dataclass(frozen=True)
class RateTerm:
    """One flux of a state's equation; `amount` [unit of the state per hour] is what it adds, negative where it takes."""

    mechanism: str
    source: str
    target: str
    amount: float


@dataclass(frozen=True)
class Diagnosis:
    """Where and why a trajectory ended."""

    status: Status
    time: float  # [h] since the start
    state: str
    value: float
    rate: float  # of the state [its unit per hour]
    terms: tuple[RateTerm, ...]  # of the state, the largest first
    undefined: tuple[str, ...]  # signals that are not finite there


def cause_of(model: Model, values: Mapping[str, Any], held: tuple[str, ...], status: int, stop: Stop) -> Diagnosis:
    """The diagnosis of the only lane of `stop`. `held` names the rows of its forcing after the model's inputs."""
    last = jax.tree.map(lambda a: np.asarray(a)[..., 0], stop)
    with np.errstate(all="ignore"):
        x: dict[str, Any] = {name: np.float64(np.ravel(value)[0]) for name, value in model.derive(values).items()}
        x |= dict(zip((*model.inputs, *held), last.forcing, strict=True))
        x |= dict(zip(model.states, last.y, strict=True))
        x = {name: float(value) for name, value in model.evaluate(x).items()}
        terms = _terms(model, x)
    rates = {name: sum(term.amount for term in found) for name, found in terms.items()}
    state = list(model.states)[int(last.worst)]
    if status == Status.NOT_FINITE:
        state = max(rates, key=lambda name: _pace(x[name], rates[name], model.unit(name), x, model))
    found = sorted(terms[state], key=lambda term: -_size(term.amount))
    undefined = tuple(name for name in model.signals if not np.isfinite(x[name]))
    return Diagnosis(Status(status), float(last.time), state, x[state], rates[state], tuple(found), undefined)


def without_steady_state(model: Model, subject: Subject, state: str, time: float, rows: bool) -> str:
    """Which state has no steady state under which record of a subject; `rows`: whether they are those of a table."""
    steady = [r for r in subject.records if r.doses and r.ss and state in disposition(model, r.cmt)]
    record = min(steady, key=lambda r: abs(r.time - time))
    row = f", row {record.row}" if rows else ""
    return f"{state} has none under the doses into {record.cmt} at {format_number(record.time)} h{row}"


def _terms(model: Model, x: Mapping[str, Any]) -> dict[str, list[RateTerm]]:
    """The fluxes of every state."""
    found: dict[str, list[RateTerm]] = {name: [] for name in model.states}
    for mechanism, flux in model.fluxes(x):
        ends = [{end: 1.0} if isinstance(end, str) else dict(end or {}) for end in (flux.source, flux.target)]
        source, target = (" + ".join(end) or "outside" for end in ends)
        for sign, end in zip((-1.0, 1.0), ends, strict=True):
            for state, coefficient in end.items():
                found[state].append(RateTerm(mechanism.__name__, source, target, sign * float(coefficient * flux.rate)))
    return found


def _size(amount: float) -> float:
    return abs(amount) if np.isfinite(amount) else np.inf


def _pace(value: float, rate: float, unit: str, x: Mapping[str, float], model: Model) -> float:
    """How fast a state changes for its size; one that is nearly empty counts as a millionth of the largest in its unit."""
    if not np.isfinite(rate) or not np.isfinite(value):
        return np.inf
    largest = max((abs(x[n]) for n, var in model.states.items() if var.unit == unit and np.isfinite(x[n])), default=0.0)
    return abs(rate) / max(abs(value), 1e-6 * largest, 1e-30)
