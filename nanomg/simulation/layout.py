"""Event records as lanes: the part on the host, from records to a plan and to arrays.

Everything here is decided on concrete values and is integers, padded to common sizes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nanomg.dosing.dose import Window
from nanomg.dosing.event_record import INTERPOLATIONS, Mode, Subject
from nanomg.dosing.record_columns import Columns, Rows, columns_of, filled
from nanomg.equations.model import Model
from nanomg.errors import InputError, unknown
from nanomg.simulation.action_order import ANY_SIZE, PAD, Sizes, order_actions, padded_to
from nanomg.simulation.disposition import steady_targets
from nanomg.simulation.plan import Lanes, Plan, RecordPlan, RecordValues, channels, with_dependants
from nanomg.solver import engine


class Moved(NamedTuple):
    """What replaces the columns of lanes' records, (record, lane) each, or None.

    An infusion at a rate keeps its duration where its amount is replaced; the amount of one that has always run is its rate.
    """

    time: np.ndarray | None = None  # [h]
    amount: np.ndarray | None = None
    duration: np.ndarray | None = None  # [h]
    ii: np.ndarray | None = None  # [h]


AS_WRITTEN = Moved()


def sizes_of(subjects: Sequence[Subject], output: np.ndarray, windows: Sequence[Window] = ()) -> Sizes:
    """Sizes for all of these subjects; where infusions overlap a steady state there may be more actions."""
    columns, bounds = columns_of(subjects)
    starts, count = bounds[:-1], np.diff(bounds)
    last = np.maximum(np.maximum.reduceat(columns.time, starts), np.max(output, initial=-np.inf))
    span = np.maximum(np.repeat(last, count) - columns.time, 0.0) / np.where(columns.addl > 0, columns.ii, 1.0)
    repeats = 1 + np.minimum(columns.addl, np.floor(np.minimum(span, columns.addl)) + 1)
    actions = np.where(columns.doses, repeats * (1 + (columns.mode != Mode.BOLUS)), 0) + columns.resets + columns.ss
    most = (count + np.add.reduceat(actions, starts)).max()
    return Sizes(int(count.max()), int(most) + len(output) + 2 * len(windows))


# ---------------------------------------------------------------- the plan
def plan_of(
    model: Model,
    subjects: Sequence[Subject],
    varied: Sequence[str] = (),
    between: Mapping[str, str] | None = None,
    **options: Any,
) -> Plan:
    """The plan of these subjects' records: bound parameters change in time, not between lanes.

    `between` is the interpolation of a bound parameter's column between rows, nocb by default.
    """
    columns, _ = columns_of(subjects)
    held = _held(subjects, between or {})
    linear = tuple(name for name, how in held if how == "linear")
    timed = with_dependants(model, tuple(name for name, _ in held if name not in linear))
    names = with_dependants(model, tuple(n for n in varied if n not in dict(held)))
    dosed = {columns.names[code] for code in np.unique(columns.cmt[columns.doses])}
    cmt = tuple(name for name in dict.fromkeys((*model.states, *model.ports)) if name in dosed)
    model = _ramped(model, linear) if linear else model
    states = list(model.states)
    settling = {columns.names[code] for code in np.unique(columns.cmt[columns.doses & (columns.ss > 0)])}
    steady = tuple(name for name in cmt if name in settling)
    moved = {*linear, *(name for group in steady_targets(model, steady, cmt).groups for name in group)}
    rows = tuple(sorted({*channels(model, cmt), *(states.index(name) for name in moved)}))
    options.setdefault("engine", engine.default())
    records = RecordPlan(timed, held, rows, steady)
    return Plan(model, tuple(n for n in names if n not in timed), cmt, (), records=records, **options)


def _held(subjects: Sequence[Subject], between: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The bound parameters, each with how its column goes from row to row."""
    bound = dict(subjects[0].bound)
    for subject in subjects:
        if dict(subject.bound) != bound:
            raise InputError(
                f"subject {subject.id} has other columns for parameters than the first one", subject.source
            )
    for name, how in between.items():
        if name not in bound:
            raise unknown("parameter with a column", name, bound)
        if how not in INTERPOLATIONS:
            raise unknown("interpolation", how, INTERPOLATIONS, name)
    return tuple((name, between.get(name, "nocb")) for name in sorted(bound))


@functools.lru_cache(maxsize=64)
def _ramped(model: Model, names: tuple[str, ...]) -> Model:
    """The model with these parameters among its states."""
    constants = with_dependants(model, names)[len(names) :]
    if constants:
        raise InputError(
            f"between = 'linear' is not possible for {names[0]}, since {constants[0]} follows from it; take nocb or locf"
        )
    return Model(*model.mechanisms, ledger=model.ledger, ramped=names)


# ---------------------------------------------------------------- the lanes
def lanes_of(
    plan: Plan,
    values: Mapping[str, Any],
    subjects: Sequence[Subject],
    output: np.ndarray,
    windows: Sequence[Window] | InputWindows = (),
    *,
    moved: Moved = AS_WRITTEN,
    at_records: bool = False,
    sizes: Sizes = ANY_SIZE,
    factors: Mapping[str, Any] = MappingProxyType({}),
) -> Lanes:
    """A lane for each of the subjects, which may be the same one many times over.

    `output` (time, lane) or (time,) are output times of every lane [h]; `at_records`: whether its records are, too; `factors`
    (lane,) multiply the columns of these parameters, up to what a parameter may be.
    Raises `InputError` for records that make no sense with these values.
    """
    if moved.time is not None:
        subjects, moved = _in_order(subjects, moved, np.argsort(moved.time, axis=0, kind="stable"))
    distinct = sorted({id(subject): subject for subject in subjects}.values(), key=_place)
    number = {id(subject): i for i, subject in enumerate(distinct)}
    which = np.array([number[id(subject)] for subject in subjects])
    columns, bounds = columns_of(distinct)
    count = np.diff(bounds)[which]
    rows = padded_to(max(int(count.max()), sizes.rows), PAD // 4)
    at = bounds[which] + np.minimum(np.arange(rows)[:, None], count - 1)
    assert plan.records is not None
    bound = {name: _bound(plan.model, columns, bounds, distinct, name, how)[at] for name, how in plan.records.held}
    for name in bound.keys() & factors.keys():
        bound[name] = np.minimum(bound[name] * factors[name], _most(plan.model, name))
    lanes = _given(plan, values, columns, at, np.arange(rows)[:, None] < count, moved, bound)
    given = windows if isinstance(windows, InputWindows) else windows_of(plan.model, windows, len(which))
    lanes = lanes._replace(
        start=given.start, stop=given.stop, change=given.change, base=given.base, output=wide(output, len(which))
    )
    return lanes._replace(order=order_actions(plan, lanes, columns, at, subjects, count, at_records, sizes))


def _in_order(subjects: Sequence[Subject], moved: Moved, order: np.ndarray) -> tuple[list[Subject], Moved]:
    """Records, and what replaces their columns, in this order (record, lane)."""
    known: dict[tuple[int, bytes], Subject] = {}
    permuted = []
    for b, subject in enumerate(subjects):
        key = id(subject), order[:, b].tobytes()
        if key not in known:
            known[key] = dataclasses.replace(subject, records=tuple(subject.records[i] for i in order[:, b].tolist()))
        permuted.append(known[key])
    return permuted, Moved(*(None if a is None else np.take_along_axis(a, order, 0) for a in moved))


def _place(subject: Subject) -> tuple[int, int]:
    """A sort key: table and position of a subject's records, so that those of one table follow each other."""
    rows = subject.records
    return (id(rows.table), rows.start) if isinstance(rows, Rows) else (0, 0)


def wide(rows: Any, lanes: int) -> np.ndarray:
    """Rows that all lanes share, or (row, lane) as they are."""
    rows = np.asarray(rows, float)
    return np.broadcast_to(rows if rows.ndim == 2 else rows[:, None], (len(rows), lanes))


class InputWindows(NamedTuple):
    """Input windows of lanes: start and stop (window, lane) [h], change (window, input, lane), and inputs outside (input, lane)."""

    start: np.ndarray
    stop: np.ndarray
    change: np.ndarray
    base: np.ndarray


def windows_of(model: Model, windows: Sequence[Window], lanes: int) -> InputWindows:
    """The same windows in all lanes."""
    inputs = model.inputs
    base = np.array([var.default for var in inputs.values()], float)
    change = np.array([[(w.value - inputs[n].default) * (n == w.name) for n in inputs] for w in windows], float)
    change = np.repeat(change.reshape(len(windows), len(inputs), 1), lanes, 2)
    start, stop = (np.array([getattr(w, name) for w in windows], float) for name in ("start", "stop"))
    return InputWindows(wide(start, lanes), wide(stop, lanes), change, wide(base, lanes))


def _given(
    plan: Plan,
    values: Mapping[str, Any],
    columns: Columns,
    at: np.ndarray,
    real: np.ndarray,
    moved: Moved,
    bound: dict[str, Any],
) -> Lanes:
    """The records of each lane, padded with rows that do nothing."""
    take = lambda column, fill=0: np.where(real, column[at], fill)
    of = lambda column, other: column if other is None else np.pad(other, [(0, len(at) - len(other)), (0, 0)])
    gives, mode, rate, amt = (
        take(columns.doses, False),
        take(columns.mode),
        take(columns.rate, 0.0),
        take(columns.amt, 0.0),
    )
    constant = gives & (amt == 0)
    amount = of(np.where(constant, rate, amt), moved.amount)
    rate = np.where(constant, 0.0, rate)
    if moved.amount is not None:
        rate = np.where((rate > 0) & (amt > 0), rate * amount / np.where(amt > 0, amt, 1.0), rate)
    code = np.array([plan.cmt.index(name) if name in plan.cmt else -1 for name in (*columns.names, "")])
    written = RecordValues(
        ii=of(take(columns.ii, 0.0), moved.ii),
        rate=rate,
        constant=constant.astype(float),
        gives=gives.astype(float),
        # a dose of nothing is a bolus: it must not divide by a rate
        mode=np.where(gives & (amount == 0), Mode.BOLUS, mode).astype(np.int32),
        target=np.where(gives, code[take(columns.cmt, -1)], -1).astype(np.int32),
        bound=bound,
    )
    none = np.zeros((0, at.shape[1]))
    time, duration = of(take(columns.time, 0.0), moved.time), of(take(columns.duration, 0.0), moved.duration)
    return Lanes(dict(values), time, amount, duration, none, none, none, none, none, written)


def _bound(
    model: Model, columns: Columns, bounds: np.ndarray, subjects: Sequence[Subject], name: str, how: str
) -> np.ndarray:
    """The column of a parameter, filled, (record,); values that the parameter cannot have are rejected."""
    column = subjects[0].bound[name]
    values = columns.covariates[column]
    if np.isnan(values).any():
        values = np.concatenate([filled(subject, column, how) for subject in subjects])
    most = _most(model, name)
    wrong = np.flatnonzero((values < 0) | (values > most))
    if len(wrong):
        who = int(np.searchsorted(bounds, wrong[0], "right")) - 1
        record = subjects[who].records[int(wrong[0] - bounds[who])]
        raise InputError(
            f"{name} must be from 0 to {most:g}, not {values[wrong[0]]:g}", subjects[who].where(record, column)
        )
    return values


def _most(model: Model, name: str) -> float:
    """The largest value that a parameter with a column may have."""
    return float((model.parameters.get(name) or model.states[name]).at_most)
