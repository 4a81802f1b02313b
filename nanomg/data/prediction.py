"""The model's predictions for rows of observations: each run solved once, runs of one model as lanes of one solve.

    predict = Predictor(rows, free=("liposome.K_ext",))
    predict({"liposome.K_ext": np.array([0.01, 0.02])})      # (row, B) in the rows' units

The prediction is pure and differentiable in reverse mode in the values of `free` (jax.vjp, jax.jacrev); compile it with jax.jit
where it is called often. Runs may differ in everything but their mechanisms: doses are filled up with doses of 0, output
times with repeats, and every parameter that differs between lanes is a varied value of the plan.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.analysis.readouts import WINDOWED, Over
from nanomg.compute import programs
from nanomg.data.observations import Measure, ObservedRun, Row
from nanomg.dosing.dose import Dose, movable
from nanomg.dosing.event_record import subject_of
from nanomg.equations.model import Model, stack
from nanomg.errors import InputError, unknown
from nanomg.library.card import Origin
from nanomg.population.plausibility import check_possible
from nanomg.simulation import action_order, event_times, layout
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.dose_course import edges
from nanomg.simulation.layout import InputWindows
from nanomg.simulation.plan import Lanes, Plan, Trajectory, with_dependants
from nanomg.solver.status import Status

_PAD = 32  # output times are filled up to a multiple, so that similar tables share one compiled solve
_FINE = 64  # steps of a window over which a statistic is taken: even ones, and as many that grow from its start
_FIRST = 1e-4  # share of the window after which the growing ones begin


class Curves(NamedTuple):
    """Which curves are read, all (curve,): row of the signal, lane, window [h], and how the baseline enters."""

    signal: Any
    lane: Any
    start: Any
    stop: Any
    baseline: Any  # 0 not, 1 difference, 2 ratio


class Reading(NamedTuple):
    """What is read off the lanes of one model: static, but for `Curves`."""

    model: Model
    signals: tuple[str, ...]
    taken: tuple[tuple[str, int], ...]  # statistics in order, and how many curves each is taken of
    over: tuple[
        tuple[int, int, Over | None], ...
    ]  # of each measure: its first curve, how many they are, how they become one


class SeenCourses(NamedTuple):
    """Lanes at their output times, as in `Trajectory`."""

    y: jax.Array
    forcing: jax.Array
    bound: dict[str, jax.Array]
    output: jax.Array  # (time, lane) [h]


class Group(NamedTuple):
    """Runs of one model: what is compiled, their lanes, and what is read off them."""

    plan: Plan
    runs: Mapping[ObservedRun, slice]  # the lanes of each run
    lanes: Lanes
    order: Any  # of the events of all lanes, None where free parameters delay doses
    measures: tuple[Measure, ...]
    reading: Reading
    curves: Curves


@dataclasses.dataclass(frozen=True)
class Prediction:
    """`values` (row, B) in the rows' units, NaN where nothing is predicted; `status` of runs; and all solved courses."""

    values: Any
    status: Mapping[ObservedRun, np.ndarray]  # the worst of its subjects, (B,)
    courses: Mapping[
        tuple[ObservedRun, str], tuple[np.ndarray, np.ndarray]
    ]  # times (time,) and curve (time, subject), first of B

    def reason(self, row: Row) -> str:
        """Why a row has no prediction; empty where its runs were solved."""
        for measure in (row.measure, row.against):
            if measure is not None and (worst := Status(int(np.max(self.status[measure.run])))) != Status.DONE:
                return f"run {measure.run.name!r}: {worst.reason}"
        return ""


class Predictor:
    """The rows' predictions as a function of the values of `free` parameters.

    A free value acts in every run that has the parameter and does not `set` it. With `fine`, every run also has that
    many output times along its course, for figures. Raises `InputError` for a free parameter that no run has.
    """

    def __init__(self, rows: Sequence[Row], free: Sequence[str] = (), fine: int = 0):
        self.rows, self.free = tuple(rows), tuple(free)
        measures = dict.fromkeys(m for row in rows for m in (row.measure, row.against) if m is not None)
        runs = dict.fromkeys(m.run for m in measures)
        for run in runs:
            check_possible(run.scenario, where=f"run {run.name!r}")
        for name in free:
            known = {p for run in runs for p in run.scenario.parameters}
            if name not in known:
                raise unknown("parameter", name, known, "free")
            for run in runs:
                if name in run.scenario.bound:
                    message = (
                        f"{name!r} follows column {run.scenario.bound[name]} of the event table, so it cannot be free"
                    )
                    raise InputError(message, f"run {run.name!r}")
                if name in run.population.covarying and run.subjects:
                    message = f"{name!r} is a covariate on which other parameters depend, so it cannot be free alone"
                    raise InputError(message, f"population {run.population.name!r} of run {run.name!r}")
        kinds = dict.fromkeys(map(_kind, runs))
        self.groups = [
            _group([r for r in runs if _kind(r) == kind], [m for m in measures if _kind(m.run) == kind], free, fine)
            for kind in kinds
        ]
        self.measures = tuple(m for group in self.groups for m in group.measures)

    def __call__(self, values: Mapping[str, Any] | None = None) -> Any:
        """Predictions (row, B) in the rows' units for `values`, each (B,); without values those of the cards, B = 1.

        NaN where a run failed and for rows without a run.
        """
        return self._combined([seen for seen, _, _ in self._seen(values or {})])

    def predict(self, values: Mapping[str, Any] | None = None) -> Prediction:
        """The same for concrete values, with the runs' status and courses."""
        status: dict[ObservedRun, np.ndarray] = {}
        courses, measured = {}, []
        for group, (seen, curves, ended) in zip(self.groups, self._seen(values or {}), strict=True):
            measured.append(seen)
            lanes = np.asarray(ended).reshape(-1, group.lanes.output.shape[1])
            status.update((run, lanes[:, own].max(1)) for run, own in group.runs.items())
            for run, signal in {(m.run, m.signal) for m in group.measures}:
                own, i = group.runs[run], group.reading.signals.index(signal)
                courses[run, signal] = group.lanes.output[:, own.start], np.asarray(curves[i, :, own])
        return Prediction(np.asarray(self._combined(measured)), status, courses)

    def _seen(self, values: Mapping[str, Any]) -> list[tuple[Any, Any, Any]]:
        """Of each group: measures (measure, B), curves (signal, time, lane) and status (lane,)."""
        for name in values:
            if name not in self.free:
                raise unknown("free parameter", name, self.free)
        batch = next((np.shape(v)[0] for v in values.values()), 1)
        return [_solved(group, values, batch) for group in self.groups]

    def _combined(self, seen: Sequence[Any]) -> Any:
        """Rows from measures."""
        batch = seen[0].shape[1] if seen else 1
        found = jnp.concatenate([*seen, jnp.full((1, batch), jnp.nan)])
        index = {measure: i for i, measure in enumerate(self.measures)}
        own, other = (
            np.array([index.get(m, -1) for m in ms])
            for ms in zip(*((r.measure, r.against) for r in self.rows), strict=True)
        )
        how = np.array([row.how for row in self.rows])[:, None]
        value = found[own]
        reference = jnp.where(how == "", 1.0, found[other] * np.array([row.other for row in self.rows])[:, None])
        value = jnp.where(
            how == "difference", value - reference, value / jnp.where(how == "difference", 1.0, reference)
        )
        value = jnp.where(how == "change", value - 1.0, value)
        return value * np.array([row.factor for row in self.rows])[:, None]


# ---------------------------------------------------------------- what is fixed
def _kind(run: ObservedRun) -> Any:
    """What runs of one group have in common: the model, and the parameters that follow columns."""
    columns = run.scenario.columns
    return run.scenario.model, tuple((name, columns[name].between) for name in sorted(run.scenario.bound))


def _group(runs: Sequence[ObservedRun], measures: Sequence[Measure], free: Sequence[str], fine: int) -> Group:
    """All runs of one kind as lanes."""
    model, between = _kind(runs[0])
    counts = [run.lanes for run in runs]
    values = _values(runs, [name for name in free if name in model.parameters])
    times = [_times(run, [m for m in measures if m.run is run], fine) for run in runs]
    length = max(map(len, times))
    length += -length % _PAD
    output = np.stack([np.pad(t, (0, length - len(t)), "edge") for t in times], 1)
    given = [[d for d in run.scenario.doses if d.time <= t[-1]] for run, t in zip(runs, times, strict=True)]
    varied = tuple(name for name, v in values.items() if np.ndim(v))
    windows = _windows(model, runs)
    wide = lambda a: np.repeat(a, counts, -1)
    listed = not any(run.scenario.subjects for run in runs)
    if listed and all(movable(doses, model.ports) for doses in given):
        slots, doses = _slots(given)
        plan = simulation_lanes.plan_for(model, slots, varied)
        lanes = jax.tree.map(wide, _lanes(plan, doses, windows, output))._replace(values=values)
        order = None if _delays(plan, free) else simulation_lanes.edge_order(plan, lanes)
    else:
        tables = [
            run.scenario.subjects or (subject_of(doses, f"run {run.name!r}"),)
            for run, doses in zip(runs, given, strict=True)
        ]
        plan = layout.plan_of(model, [subject for table in tables for subject in table], varied, dict(between))
        if _delays(plan, free):
            raise InputError("a free parameter changes the times of doses; only single doses can be moved", "free")
        pairs = zip(runs, tables, strict=True)
        each = [subject for run, table in pairs for subject in table for _ in range(max(run.subjects, 1))]
        factors = {name: _factors(runs, name) for name, _ in between}
        given_windows = InputWindows(*map(wide, windows))
        lanes = layout.lanes_of(plan, values, each, wide(output), given_windows, factors=factors)
        lanes, order = lanes._replace(order=None), lanes.order
    ends = np.cumsum(counts)
    place = {run: slice(int(end) - count, int(end)) for run, count, end in zip(runs, counts, ends, strict=True)}
    ordered = tuple(sorted(measures, key=lambda m: list(WINDOWED).index(m.statistic)))
    reading, curves = _reading(plan.model, ordered, place)
    return Group(plan, place, lanes, order, ordered, reading, curves)


def _factors(runs: Sequence[ObservedRun], name: str) -> np.ndarray:
    """What multiplies the column of a parameter, (lane,)."""
    return np.concatenate([run.relative().get(name, np.ones(run.lanes)) for run in runs])


def _reading(model: Model, measures: Sequence[Measure], place: Mapping[ObservedRun, slice]) -> tuple[Reading, Curves]:
    """What to read for measures that are in the order of their statistics."""
    signals = tuple(dict.fromkeys(m.signal for m in measures))
    sizes = [m.run.lanes for m in measures]
    first = np.cumsum(sizes) - sizes
    taken: dict[str, int] = {}
    for m, size in zip(measures, sizes, strict=True):
        taken[m.statistic] = taken.get(m.statistic, 0) + size
    over = tuple((int(at), size, m.over) for m, at, size in zip(measures, first, sizes, strict=True))
    wide = lambda each: np.repeat(np.array([each(m) for m in measures]), sizes)
    curves = Curves(
        signal=wide(lambda m: signals.index(m.signal)),
        lane=np.concatenate([np.r_[place[m.run]] for m in measures]),
        start=wide(lambda m: m.start),
        stop=wide(lambda m: m.stop),
        baseline=wide(lambda m: ("", "difference", "ratio").index(m.baseline)),
    )
    return Reading(model, signals, tuple(taken.items()), over), curves


def _values(runs: Sequence[ObservedRun], free: Sequence[str]) -> dict[str, Any]:
    """Every parameter, a scalar where all lanes agree and it is not free, else (lane,)."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in runs[0].scenario.parameters}
    for run in runs:
        count = run.lanes
        for name, value in run.values().items():
            rows[name].append(np.broadcast_to(value, (count,)))
    values: dict[str, Any] = {}
    for name, parts in rows.items():
        lanes = np.concatenate(parts)
        values[name] = lanes if name in free or (lanes != lanes[0]).any() else lanes[0]
    return values


def _times(run: ObservedRun, measures: Iterable[Measure], fine: int) -> np.ndarray:
    """The output times of a run: the ends of every window, and times within those windows that a statistic is taken over."""
    first, last = min(m.start for m in measures), max(m.stop for m in measures)
    looks = [np.array([0.0, last]), np.linspace(0.0, last, fine + 1), np.linspace(first, last, fine + 1)]
    for start, stop, statistic in {(m.start, m.stop, m.statistic) for m in measures}:
        looks.append(np.array([start, stop]))
        if WINDOWED[statistic].along:
            growing = np.geomspace(_FIRST, 1.0, _FINE + 1)
            if run.scenario.subjects:
                probes = event_times.probes(run.scenario.subjects, stop)
                around = np.zeros(0) if probes is None else probes
            else:
                around = simulation_lanes.output_times(stop, stop, run.scenario.doses)
            looks += [start + (stop - start) * part for part in (np.linspace(0.0, 1.0, _FINE + 1), growing)]
            looks.append(around[around >= start])
    times = np.unique(np.concatenate(looks))
    exact = np.unique(np.concatenate([looks[0], *(np.array([m.start, m.stop]) for m in measures)]))
    near = np.abs(times[:, None] - exact[None]).min(1)
    return times[(near == 0) | (near > 1e-9)]


def _slots(given: Sequence[Sequence[Dose]]) -> tuple[list[Dose], list[list[Dose]]]:
    """Slots for the doses of all runs (port and kind), and each run's doses in these slots, filled up with doses of 0."""
    kind = lambda d: (d.cmt, d.duration > 0)
    most: dict[tuple[str, bool], int] = {}
    for doses in given:
        for key in dict.fromkeys(map(kind, doses)):
            most[key] = max(most.get(key, 0), sum(kind(d) == key for d in doses))
    slots = [Dose(0.0, 0.0, cmt, float(infused)) for (cmt, infused), n in sorted(most.items()) for _ in range(n)]
    filled = []
    for doses in given:
        own: list[Dose] = []
        for key, n in sorted(most.items()):
            mine = [d for d in doses if kind(d) == key]
            own += mine + [Dose(0.0, 0.0, key[0], float(key[1]))] * (n - len(mine))
        filled.append(own)
    return slots, filled


def _windows(model: Model, runs: Sequence[ObservedRun]) -> InputWindows:
    """The input windows of each run, filled up with windows that change nothing."""
    most = max(len(run.scenario.windows) for run in runs)
    found = []
    for run in runs:
        own = layout.windows_of(model, run.scenario.windows, 1)
        spare = [(0, most - len(own.start))]
        pad = lambda a, spare=spare: np.pad(a, spare + [(0, 0)] * (a.ndim - 1))
        found.append(InputWindows(pad(own.start), pad(own.stop), pad(own.change), own.base))
    return InputWindows(*(np.concatenate(parts, -1) for parts in zip(*found, strict=True)))


def _lanes(plan: Plan, doses: Sequence[Sequence[Dose]], windows: InputWindows, output: Any) -> Lanes:
    """One lane for each run, without its values."""
    each = [simulation_lanes.lanes_for(plan, {}, own, (), output[:, i]) for i, own in enumerate(doses)]
    lanes = jax.tree.map(lambda *parts: np.concatenate(parts, -1), *each)
    return lanes._replace(start=windows.start, stop=windows.stop, change=windows.change, base=windows.base)


def _delays(plan: Plan, free: Sequence[str]) -> bool:
    """Whether the times of events depend on a free parameter, so that their order is not known before."""
    what = ("lag",) if plan.records is None else ("lag", "F", "rate", "duration")
    ports = [port for name in plan.cmt if (port := plan.model.ports.get(name)) is not None]
    chosen = tuple(name for name in free if name in plan.model.parameters)
    return bool({getattr(port, name) for port in ports for name in what} & {*with_dependants(plan.model, chosen)})


# ---------------------------------------------------------------- the solve
def _solved(group: Group, values: Mapping[str, Any], batch: int) -> tuple[Any, Any, Any]:
    """Measures (measure, B), curves (signal, time, lane) and status (lane,), B lanes after B lanes."""
    known = dict(group.lanes.values)
    wide: dict[str, Any] = {name: np.tile(v, batch) for name, v in known.items() if np.ndim(v)}
    wide |= {name: _freed(group, name, jnp.asarray(free)) for name, free in values.items() if name in known}
    tile = lambda a: np.tile(a, (1,) * (np.ndim(a) - 1) + (batch,))
    lanes = jax.tree.map(tile, group.lanes._replace(values={}))._replace(values={**known, **wide})
    order = group.order
    if group.plan.records is not None:
        order = action_order.picked(group.order, np.tile(np.arange(group.lanes.output.shape[1]), batch))
    elif order is not None:
        order = tile(order)
    if any(isinstance(v, jax.core.Tracer) for v in values.values()):
        # constants are hidden from the compiler, which would spend long on folding them
        hidden, order = jax.lax.optimization_barrier((lanes._replace(values={}), order))
        lanes = hidden._replace(values=lanes.values)
        if order is None:
            order = jnp.argsort(jax.lax.stop_gradient(edges(group.plan, lanes)), axis=0, stable=True).astype(jnp.int32)
        solved = simulation_lanes.trajectory(group.plan, lanes, order, simulation_lanes.RTOL)
    else:
        laid_out = lanes if group.plan.records is None else lanes._replace(order=order)
        solved = simulation_lanes.run(group.plan, laid_out, defer=False)
    if isinstance(solved.y, np.ndarray) and simulation_lanes.independent(group.plan):
        found = _followed(group.plan, lanes, solved, group.reading.signals)
        with np.errstate(all="ignore"):
            measured = _measures(group.reading, batch, found, lanes.output, group.curves)
        return measured, found[:, 1:], solved.status
    seen = SeenCourses(solved.y, solved.forcing, solved.bound, lanes.output)
    measured, curves = _read(group.reading, batch, lanes.values, seen, group.curves)
    return measured, curves, solved.status


def _followed(plan: Plan, lanes: Lanes, solved: Trajectory, signals: Sequence[str]) -> np.ndarray:
    """Signals (signal, time, lane) before time 0, and at the output times."""
    first = {name: rows[0] for name, rows in solved.bound.items()}
    start = simulation_lanes.start_of(plan, {**lanes.values, **first}, solved.y.shape[2])
    twice = lambda a: np.concatenate([a[:1], a])
    bound = {name: twice(rows) for name, rows in solved.bound.items()}
    whole = solved._replace(y=np.concatenate([start[None], solved.y]), forcing=twice(solved.forcing), bound=bound)
    courses = simulation_lanes.observe(plan, lanes, whole, signals)
    return np.stack([courses[name] for name in signals])


def _freed(group: Group, name: str, free: Any) -> Any:
    """Values of a free parameter (lane,): subjects vary around it, and a run that sets the parameter keeps its setting."""
    wide = lambda each: np.repeat([each(run) for run in group.runs], [run.lanes for run in group.runs])
    own, typical = group.lanes.values[name], wide(lambda run: run.typical[name])
    relative = np.where(typical == 0, 1.0, own / np.where(typical == 0, 1.0, typical))
    most = wide(lambda run: group.plan.model.parameters[name].at_most if run.subjects else np.inf)
    kept = wide(lambda run: run.scenario.parameters[name].origin is Origin.USER)
    return jnp.where(kept, own, jnp.minimum(free[:, None] * relative, most)).ravel()


@programs.compiled(0, 1)
def _read(
    read: Reading, batch: int, values: dict[str, Any], seen: SeenCourses, curves: Curves
) -> tuple[jax.Array, jax.Array]:
    """Measures (measure, B) and curves (signal, time, lane)."""
    first = {name: rows[0] for name, rows in seen.bound.items()}
    start = stack(read.model.initial(read.model.derive({**values, **first})), (seen.y.shape[2],))
    y = jnp.concatenate([start[None], seen.y])  # before time 0, and at the output times
    bound = {name: jnp.concatenate([rows[:1], rows]) for name, rows in seen.bound.items()}
    forcing = jnp.concatenate([seen.forcing[:1], seen.forcing])
    x = simulation_lanes.observables(read.model, {**values, **bound}, y, forcing)
    found = stack([x[name] for name in read.signals], y[:, 0].shape)
    return _measures(read, batch, found, seen.output, curves), found[:, 1:]


def _measures(read: Reading, batch: int, found: Any, output: Any, curves: Curves) -> Any:
    """Measures (measure, B) of signals (signal, time, lane) before time 0 and at the output times (time, lane)."""
    xp = np if isinstance(found, np.ndarray) else jnp
    split = lambda a: a.reshape(*a.shape[:-1], batch, -1)
    chosen = xp.moveaxis(split(found)[curves.signal, :, :, curves.lane], 1, 0)  # (time, curve, B)
    times = xp.moveaxis(split(output)[:, :, curves.lane], 2, 1)
    before, chosen, how = chosen[0], chosen[1:], curves.baseline[:, None]
    chosen = chosen - xp.where(how == 1, before, 0.0)
    chosen = chosen / xp.where(how == 2, before, 1.0)
    parts, at = [], 0
    for name, count in read.taken:
        own = slice(at, at + count)
        window = curves.start[own][:, None], curves.stop[own][:, None]
        parts.append(WINDOWED[name].formula(times[:, own], chosen[:, own], *window))
        at += count
    each = xp.concatenate(parts)
    return xp.stack([_reduced(xp, each[first : first + n], over) for first, n, over in read.over])


def _reduced(xp: Any, each: Any, over: Over | None) -> Any:
    """Subjects (subject, B) as one number each."""
    if over is None:
        return each[0]
    reduce: dict[str, Any] = {
        "mean": xp.mean,
        "median": xp.median,
        "sd": functools.partial(xp.std, ddof=1),
        "quantile": functools.partial(xp.quantile, q=over.level),
        "above": lambda a, axis: xp.mean(a > over.level, axis) + 0.0 * xp.sum(a, axis),  # NaN stays NaN
        "below": lambda a, axis: xp.mean(a < over.level, axis) + 0.0 * xp.sum(a, axis),
    }
    return reduce[over.kind](each, axis=0)
