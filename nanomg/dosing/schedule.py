"""From event records to the primitive actions that a solve passes through, in order.

What is fixed and what is traced. `expand` decides on concrete values, outside any compiled program: which actions happen, which a
reset cancels, and their order with all ties. Its `Schedule` holds integers and flags only; the times, amounts, rates, intervals,
lags and F themselves stay in `Values`, which may be traced: `delivery` and `action_times` compute with any array type, so
gradients pass through them while the schedule stays as it is.

The order. Resets (EVID 3 and 4) divide the records into stretches that share nothing: doses and infusions pending from the stretch
before are cancelled; SS = 1 cancels those that go into the states that it solves (`Drugs`). Within a stretch actions are sorted by
time. At one time, what is due from earlier rows comes first (implied and lagged doses, ends of infusions), then row by row: reset,
steady state, infusions that steady state leaves running, the row's own dose if nothing delays it, the row itself as an output.
Outputs that belong to no row come last. Times that differ by rounding alone are one time; an interval between them may come out as
-1e-16 h and is then empty.

Steady state. Each SS record is a `Steady` of its own, also where several have one time: they are taken row by row. The state is
the fixed point of the map over one period that starts at the record, in which `Steady.actions` happen. With SS = 1 it replaces
what is there of the drug, that of earlier rows included; with SS = 2 it is added.

Covariates. A value read from a record holds by default back to the record before (`nocb`), or on to the next (`locf`), or is
joined by straight lines (`linear`). These are exact: `covariate` gives the value at both ends of each interval, which differ for
`linear` alone. A missing value is filled in the same manner. Lag, F and modelled rates are those of the record that gives the dose.
"""

from __future__ import annotations

import bisect
import enum
import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from nanomg.dosing.event_record import Mode, Subject
from nanomg.dosing.record_columns import filled
from nanomg.dosing.series import MOST_DOSES
from nanomg.errors import InputError

_MOST_AT_ONCE = 1000  # infusions that overlap at steady state


class Values(NamedTuple):
    """What may be traced, one entry per record: (record,) or (record, lane).

    Rates and durations are 1 where not used; lag and F are 0 where a record gives no dose.
    """

    time: Any  # [h]
    amt: Any
    ii: Any  # [h]
    lag: Any  # [h]
    F: Any
    rate: Any  # RATE, or the modelled rate [amount per h]
    duration: Any  # `dur`, or the modelled duration [h]


class Kind(enum.IntEnum):
    """What an action does."""

    RESET = 0  # every state becomes 0
    STEADY = 1  # the state becomes, or is increased by, a steady state
    BOLUS = 2  # the jump of its record
    START = 3  # the inflow of its record is switched on
    END = 4  # and off again
    OUTPUT = 5  # the state is observed


class Action(NamedTuple):
    """One primitive action.

    Its time is `time[at]`, plus `k * ii[record] + lag[record]` if `shifted`, plus the length of the infusion if `ended`. Extra
    outputs have record -1 and count on after the records: `at` = number of records + number of the output.
    """

    kind: Kind
    record: int  # the record that gives the dose, or the row that is observed
    at: int  # the record that sets the base of its time: its own, or the reset that cuts an infusion off
    k: int = 0  # which dose of the record: 0 its own, above 0 implied by ADDL, below 0 from before a steady state
    shifted: bool = False
    ended: bool = False
    group: int = -1  # which steady state


class Drugs(NamedTuple):
    """Which group of states a steady state solves, and into which groups doses go, by port or state; else the only one."""

    number: Mapping[str, int] = MappingProxyType({})
    reaches: Mapping[str, frozenset[int]] = MappingProxyType({})

    def cancels(self, steady: str, other: str) -> bool:
        """Whether a steady state with SS = 1 of one port or state cancels the doses into another."""
        return self.number.get(steady, 0) in self.reaches.get(other, (0,))


ONE_DRUG = Drugs()


class Steady(NamedTuple):
    """An SS record. The period is its II; that of an infusion that has always run may have any length."""

    record: int
    resets: bool
    group: int  # which states it solves
    actions: tuple[Action, ...]  # by their time since the start of the period, which leaves out `time[at]`


@dataclass(frozen=True)
class Schedule:
    """The actions of one subject in order. Each closes an interval that began at the action before it."""

    actions: tuple[Action, ...]
    jumps_back: tuple[bool, ...]  # the interval is between two clocks and has no length
    before: tuple[int, ...]  # the last row passed when the interval begins
    after: tuple[int, ...]  # the first row at its end or later
    steady: tuple[Steady, ...]


class Edges(NamedTuple):
    """Actions as arrays (action,). `keep` is what an action leaves: 1 all, 0 nothing, 2 + i all but the states of group i."""

    kind: np.ndarray
    record: np.ndarray
    at: np.ndarray
    k: np.ndarray
    shifted: np.ndarray
    ended: np.ndarray
    group: np.ndarray
    keep: np.ndarray


def edges(of: Schedule | Steady) -> Edges:
    """The actions as arrays."""
    columns = np.array([tuple(map(int, action)) for action in of.actions], int).reshape(-1, len(Action._fields)).T
    wipes = {i: 2 + one.group for i, one in enumerate(of.steady) if one.resets} if isinstance(of, Schedule) else {}
    keep = [0 if a.kind is Kind.RESET else wipes.get(a.group, 1) for a in of.actions]
    return Edges._make([*columns, np.array(keep, float)])


def delivery(mode: Any, values: Values) -> tuple[Any, Any, Any]:
    """By record: the jump of a bolus, the inflow of an infusion [per h], and how long it lasts [h]; `mode` broadcasts to values."""
    mode = np.asarray(mode) if isinstance(mode, list) else mode
    at_rate, timed = (mode == Mode.RATE) * 1.0, (mode == Mode.DURATION) * 1.0
    amount = values.F * values.amt
    jump = (mode == Mode.BOLUS) * amount
    inflow = at_rate * values.rate + timed * amount / values.duration
    return jump, inflow, at_rate * amount / values.rate + timed * values.duration


def action_times(actions: Edges, base: Any, values: Values, length: Any, take: Any = operator.getitem) -> Any:
    """When each action happens on the clock of its stretch [h], (action,) or (action, lane).

    `base` holds the times of the records, then of the extra outputs; zeros give times since the start of a period. Where lanes
    have actions of their own, `take` picks rows by index for each of them.
    """
    record = actions.record.clip(0)
    wide = (-1,) + (1,) * (np.ndim(length) - 1) if np.ndim(actions.k) == 1 else np.shape(actions.k)
    shifted, ended, k = (a.reshape(wide) for a in (actions.shifted, actions.ended, actions.k))
    later = shifted * (k * take(values.ii, record) + take(values.lag, record)) + ended * take(length, record)
    return take(base, actions.at) + later


def given(subject: Subject) -> tuple[Values, np.ndarray]:
    """The columns of a subject as written, before lag, F and modelled rates; and the mode of each record."""
    columns = (
        [getattr(r, name) for r in subject.records]
        for name in ("time", "amt", "ii", "doses", "doses", "rate", "duration")
    )
    return Values(*(np.array(column, float) for column in columns)), np.array([r.mode for r in subject.records], int)


def arriving(written: Values, mode: Any, lag: Any, F: Any, rate: Any, duration: Any, where: Any = np.where) -> Values:
    """The values of a subject from its columns as `given` and from lag, F, modelled rate and duration of each record."""
    rates = where(written.rate == -1, rate, where(mode == Mode.RATE, written.rate, 1.0))
    durations = where(written.rate == -2, duration, where(mode == Mode.DURATION, written.duration, 1.0))
    gives = written.F > 0
    return written._replace(lag=where(gives, lag, 0.0), F=where(gives, F, 0.0), rate=rates, duration=durations)


def dose_values(
    subject: Subject, lag: Any = 0.0, F: Any = 1.0, rate: Any = math.nan, duration: Any = math.nan
) -> Values:
    """The concrete values of a subject. Lag, F, modelled rate and duration are numbers or one per record; NaN if missing."""
    written, mode = given(subject)
    rows = (np.broadcast_to(np.asarray(value, float), mode.shape) for value in (lag, F, rate, duration))
    return checked(subject, arriving(written, mode, *rows))


def checked(subject: Subject, values: Values) -> Values:
    """The values, if every dose can be given with them. Raises `InputError` where one cannot."""
    for i, record in enumerate(subject.records):
        if not record.doses:
            continue
        for name, value in (("lag", values.lag[i]), ("F", values.F[i])):
            if not 0 <= value < math.inf:
                raise InputError(
                    f"{name} of {record.cmt} must be 0 or more, not {value:g}", subject.where(record, "CMT")
                )
        for what, value in (("rate", values.rate[i]), ("duration", values.duration[i])):
            if not 0 < value < math.inf:
                has = "has none" if math.isnan(value) else f"has {value:g}"
                message = f"RATE = {record.rate:g} needs a modelled {what} above zero, but {record.cmt} {has}"
                raise InputError(message, subject.where(record, "RATE"))
    return values


def expand(subject: Subject, values: Values, outputs: Sequence[float] = (), drugs: Drugs = ONE_DRUG) -> Schedule:
    """The actions of a subject with concrete values. `outputs` are further times [h] at which the state is observed.

    Raises `InputError` for a lag that is not below II at steady state, and for what cannot be computed.
    """
    return _Expansion(subject, values, outputs, drugs).schedule()


def _same(a: float, b: float) -> bool:
    """Whether two times differ by rounding alone."""
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)


class _Expansion:
    """The expansion of one subject: stretch by stretch, each sorted by time, then by the row that an action comes from."""

    def __init__(self, subject: Subject, values: Values, outputs: Sequence[float], drugs: Drugs):
        self.subject, self.records, self.values, self.drugs = subject, subject.records, values, drugs
        with np.errstate(over="ignore"):
            *gives, self.length = delivery([record.mode for record in self.records], values)
        self.time: list[float] = []
        for t in values.time:  # times that differ by rounding become one
            self.time.append(self.time[-1] if self.time and _same(t, self.time[-1]) else float(t))
        self.outputs = [float(t) for t in outputs]
        self.steady: list[Steady] = []
        self.placed: list[tuple[float, Action]] = []
        self.moments: list[float] = []  # of the rows and outputs of the stretch, in order
        if sum(record.addl + 1 for record in self.records if record.doses) > MOST_DOSES:
            raise InputError(f"subject {subject.id} has more than {MOST_DOSES} doses", subject.source)
        for i, record in enumerate(self.records):
            if record.doses and not math.isfinite(self.due(i, record.addl) + self.length[i]):
                self.fail(i, "TIME", "the end of the doses is beyond any finite time")
            if record.doses and not all(math.isfinite(size[i]) for size in gives):
                self.fail(i, "AMT", "the dose is too large to compute with")
        self.back = [i > 0 and self.time[i] < self.time[i - 1] for i in range(len(self.records))]
        if self.outputs and any(self.back):
            raise InputError(
                f"the time of subject {subject.id} goes back at a reset; only its rows can be observed", subject.source
            )

    def fail(self, i: int, column: str, message: str) -> NoReturn:
        raise InputError(message, self.subject.where(self.records[i], column))

    def due(self, i: int, k: int) -> float:
        """The time of dose `k` of record `i`."""
        return self.time[i] + k * float(self.values.ii[i]) + float(self.values.lag[i])

    def schedule(self) -> Schedule:
        count, clocks = len(self.records), [i for i, r in enumerate(self.records) if i == 0 or r.resets or self.back[i]]
        actions: list[Action] = []
        jumps_back: list[bool] = []
        for start, stop in itertools.pairwise([*clocks, count]):
            found = self.stretch(start, stop)
            actions += found
            jumps_back += [self.back[start], *[False] * (len(found) - 1)]
        rows = [a.record if a.kind is Kind.OUTPUT and a.record >= 0 else -1 for a in actions]
        before = list(itertools.accumulate([0, *rows[:-1]], max))
        # Rows are passed in order, so the next one is one further than the last one.
        passed = itertools.accumulate([-1, *rows[:-1]], max)
        after = [min(row + 1, count - 1) for row in passed]
        return Schedule(tuple(actions), tuple(jumps_back), tuple(before), tuple(after), tuple(self.steady))

    def stretch(self, start: int, stop: int) -> list[Action]:
        """The actions of the records from `start` up to `stop`, in order."""
        self.placed = []
        self.moments = self.time[start:stop]
        observed = [(self.snap(self.outputs[j]), j) for j in self.observed(start, stop)]
        self.moments = sorted([*self.moments, *(time for time, _ in observed)])
        last: int | None = None
        if stop < len(self.records):
            last = stop - 1 if self.back[stop] else stop
        wiping = [i for i in range(start, stop) if self.records[i].doses and self.records[i].ss == 1]
        for i in range(start, stop):
            record, now = self.records[i], self.time[i]
            cancelling = (j for j in wiping if j > i and self.drugs.cancels(self.records[j].cmt, record.cmt))
            cut = next(cancelling, last)
            limit = self.moments[-1] if cut is None else self.time[cut]
            if record.resets:
                self.place(now, Action(Kind.RESET, i, i))
            if record.doses and record.ss:
                self.place(now, Action(Kind.STEADY, i, i, group=len(self.steady)))
                self.steady.append(self.period(i))
                for k in range(-self.running(i), 0):
                    self.place(now, Action(Kind.START, i, i, k))
                    self.end(i, k, limit, cut)
            if record.doses and not record.constant:
                self.dose(i, limit, cut)
            self.place(now, Action(Kind.OUTPUT, i, i))
        for time, j in observed:
            self.place(time, Action(Kind.OUTPUT, -1, len(self.records) + j))
        return [action for _, action in sorted(self.placed, key=lambda entry: entry[0])]

    def observed(self, start: int, stop: int) -> list[int]:
        """The extra outputs in a stretch: not before its start, unless it is the first."""

        def reached(i: int, t: float) -> bool:
            return i < len(self.records) and (i == 0 or t >= self.time[i] or _same(t, self.time[i]))

        return [j for j, t in enumerate(self.outputs) if reached(start, t) and not reached(stop, t)]

    def place(self, time: float, action: Action) -> None:
        """Put an action at a time, after what has been put there before."""
        self.placed.append((time, action))

    def snap(self, time: float) -> float:
        """The first row or output that a time equals but for rounding, else the time itself."""
        place = bisect.bisect_left(self.moments, time)
        return next((t for t in self.moments[max(place - 1, 0) : place + 1] if _same(t, time)), time)

    def dose(self, i: int, limit: float, cut: int | None) -> None:
        """The doses of a record that are due before its stretch ends."""
        bolus = self.records[i].mode is Mode.BOLUS
        for k in range(self.records[i].addl + 1):
            due = self.due(i, k)
            if due > limit and not _same(due, limit):
                return
            self.place(self.snap(due), Action(Kind.BOLUS if bolus else Kind.START, i, i, k, shifted=True))
            if not bolus:
                self.end(i, k, limit, cut)

    def end(self, i: int, k: int, limit: float, cut: int | None) -> None:
        """The end of an infusion; where the stretch ends first, the infusion is cut off there."""
        end = self.due(i, k) + float(self.length[i])
        if end <= limit or _same(end, limit):
            self.place(self.snap(end), Action(Kind.END, i, i, k, shifted=True, ended=True))
        elif cut is not None:
            self.place(limit, Action(Kind.END, i, cut, k))

    # ------------------------------------------------------------------ steady state
    def running(self, i: int) -> int:
        """How many infusions from before a steady-state record still run at it."""
        if self.records[i].mode is Mode.BOLUS or self.records[i].constant:
            return 0
        intervals = (self.values.lag[i] + self.length[i]) / self.values.ii[i]
        if intervals > _MOST_AT_ONCE:
            self.fail(i, "II", f"more than {_MOST_AT_ONCE} infusions overlap at steady state")
        return max(math.ceil(intervals - 1e-9) - 1, 0)

    def period(self, i: int) -> Steady:
        """What happens in one period of a steady-state record."""
        found: list[tuple[float, Action]] = []

        def add(since: float, action: Action) -> None:
            found.append((since, action))

        ii, lag, bolus = float(self.values.ii[i]), float(self.values.lag[i]), self.records[i].mode is Mode.BOLUS
        if self.records[i].constant:
            add(0.0, Action(Kind.START, i, i))
        else:
            if lag >= ii:
                self.fail(i, "SS", f"a steady state needs a lag below II = {ii:g} h, not {lag:g} h")
            running = self.running(i)
            for k in range(-running, 0):
                add(0.0, Action(Kind.START, i, i, k))
            add(lag, Action(Kind.BOLUS if bolus else Kind.START, i, i, shifted=True))
            if not bolus:
                ending = Action(Kind.END, i, i, -running, shifted=True, ended=True)
                add(lag - running * ii + self.length[i], ending)
        actions = tuple(action for _, action in sorted(found, key=lambda entry: entry[0]))
        group = self.drugs.number.get(self.records[i].cmt, 0)
        return Steady(i, self.records[i].ss == 1, group, actions)


def covariate(subject: Subject, schedule: Schedule, times: Any, column: str, how: str = "nocb") -> np.ndarray:
    """A column's value at the start and at the end of the interval that each action closes, (2, action).

    `times` are those of the actions, needed for `linear` alone. The value that belongs to a row itself is that of `filled`.
    """
    ends = np.zeros(len(schedule.actions)) if times is None else np.asarray(times, float)
    starts = np.concatenate([ends[:1], ends[:-1]])
    time = np.array([record.time for record in subject.records])
    rows = np.array(schedule.before), np.array(schedule.after)
    return np.stack(held(filled(subject, column, how), how, time, *rows, starts, ends))


def held(
    values: Any,
    how: str,
    time: Any,
    before: Any,
    after: Any,
    starts: Any,
    ends: Any,
    where: Any = np.where,
    take: Any = operator.getitem,
) -> tuple[Any, Any]:
    """A column's value at the start and at the end of intervals, from its `filled` values and the times of the rows.

    `take` picks rows by index.
    """
    if how != "linear":
        constant = take(values, after if how == "nocb" else before)
        return constant, constant
    last, due = take(values, after), take(time, after)
    span = due - take(time, before)  # not above zero outside all rows and between two clocks
    slope = where(span > 0, last - take(values, before), 0.0) / where(span > 0, span, 1.0)
    return last - slope * (due - starts), last - slope * (due - ends)
