"""Event tables read from text, and what a one-compartment model makes of them, without the solver."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanomg.dosing.event_record import Subject
from nanomg.dosing.event_table import parse_events
from nanomg.dosing.schedule import Kind, action_times, delivery, dose_values, edges, expand
from nanomg.dosing.table_source import read_text
from nanomg.equations.mechanism import AbstractMechanism, Flux, Port, Scalar, Values, Var, param
from nanomg.equations.model import Model

K = 0.3  # elimination rate of the reference [1/h]


class Body(AbstractMechanism):
    """One compartment behind a depot."""

    name = "pk"
    states = {"pk.depot": Var("mg", "drug to be absorbed"), "pk.central": Var("mg", "drug in the body")}
    ports = {"pk.iv": Port("mg", "intravenous", {"pk.central": 1.0})}

    ka: Scalar = param("1/h", "absorption rate")
    k: Scalar = param("1/h", "elimination rate")

    def fluxes(self, x: Values) -> Any:
        yield Flux("pk.depot", "pk.central", self.ka * x["pk.depot"])
        yield Flux("pk.central", None, self.k * x["pk.central"])


MODEL = Model(Body)


def read(table: str | bytes, bindings: Mapping[str, str] | None = None) -> tuple[Subject, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        path.write_bytes(table if isinstance(table, bytes) else table.encode())
        return parse_events(read_text(path), str(path), MODEL, bindings)


def one(table: str, bindings: Mapping[str, str] | None = None) -> Subject:
    """The only subject of a table, whose rows may be parted by blanks for brevity."""
    (subject,) = read("\n".join(",".join(line.split()) for line in table.strip().splitlines()), bindings)
    return subject


def decay(y: float, inflow: float, length: float, k: float) -> float:
    return y * math.exp(-k * length) - inflow / k * math.expm1(-k * length)


def simulate(subject: Subject, k: Any = K, outputs: tuple[float, ...] = (), **values_given: Any) -> list[float]:
    """The amount at each record, then at each extra output; `k` may be a value for each action."""
    values = dose_values(subject, **values_given)
    schedule = expand(subject, values, outputs)
    jump, inflow, length = delivery([record.mode for record in subject.records], values)
    rates = np.broadcast_to(k(schedule) if callable(k) else k, (len(schedule.actions),))
    times = action_times(edges(schedule), np.concatenate([values.time, outputs]), values, length)

    def pass_period(steady: Any, y: float, k: float) -> float:
        since = action_times(edges(steady), np.zeros(len(values.time)), values, length)
        period = 1.0 if subject.records[steady.record].constant else values.ii[steady.record]
        rate = now = 0.0
        assert np.all(np.diff(since) >= -1e-9) and np.all((since >= 0) & (since <= period + 1e-9))
        for action, then in zip(steady.actions, since, strict=True):
            y, now = decay(y, rate, then - now, k), then
            y += jump[action.record] if action.kind is Kind.BOLUS else 0.0
            rate += {Kind.START: 1, Kind.END: -1}.get(action.kind, 0) * inflow[action.record]
        return decay(y, rate, period - now, k)

    seen, y, rate, now = {}, 0.0, 0.0, times[0]
    for action, then, keeps, back, k_now in zip(
        schedule.actions, times, edges(schedule).keep, schedule.jumps_back, rates, strict=True
    ):
        assert back or then - now >= -1e-9
        y, now = (keeps == 1) * decay(y, rate, 0.0 if back else max(then - now, 0.0), k_now), then
        if action.kind is Kind.STEADY:
            steady = schedule.steady[action.group]
            fixed = pass_period(steady, 0.0, k_now)
            y += fixed / (1.0 - (pass_period(steady, 1.0, k_now) - fixed))
        elif action.kind is Kind.BOLUS:
            y += jump[action.record]
        elif action.kind is Kind.OUTPUT:
            seen[action.at] = y
        else:
            rate += {Kind.START: 1, Kind.END: -1}.get(action.kind, 0) * inflow[action.record]
            if action.kind is Kind.RESET:
                assert rate == pytest.approx(0, abs=1e-9), "all infusions end at a reset"
    return [seen[i] for i in range(len(subject.records) + len(outputs))]


def response(amount: float, length: float, since: float, k: float = K) -> float:
    """What is left of one dose."""
    if since < 0:
        return 0.0
    if not length:
        return amount * math.exp(-k * since)
    return decay(decay(0.0, amount / length, min(since, length), k), 0.0, max(since - length, 0.0), k)


def superposed(subject: Subject, lag: float = 0.0, F: float = 1.0) -> list[float]:
    """The amount at each record as a sum over single doses, without `expand`; history stands in for steady state."""
    amounts = []
    for i, seen in enumerate(subject.records):
        total = 0.0
        wipes = (j for j, r in enumerate(subject.records[: i + 1]) if r.resets or (r.doses and r.ss == 1))
        for r in subject.records[max(wipes, default=0) : i + 1]:
            if not r.doses:
                continue
            since = seen.time - r.time
            if r.constant:
                total += r.rate / K * math.exp(-K * since)
                continue
            length = F * r.amt / r.rate if r.rate > 0 else r.duration
            for k in range(-300 if r.ss else 0, r.addl + 1):
                total += response(F * r.amt, length, since - (k * r.ii + lag))
        amounts.append(total)
    return amounts
