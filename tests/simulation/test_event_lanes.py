"""Event tables through the engine: gradients, steady states of nonlinear models, windows, clocks, what is refused."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.dosing.dose import Window
from nanomg.dosing.event_record import Record, Subject
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.models.magnesium import Magnesium
from nanomg.simulation import event_lanes
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.plan import Lanes, Plan
from nanomg.solver.native import foreign
from nanomg.solver.status import Status

CLOSE = 1e-5  # of a gradient, relative to its largest component of the kind
STEP = 3e-4
TIGHT = 1e-10


@functools.cache
def shipped(name: str) -> Scenario:
    return scenario_file.load(name, library())


def rows(*records: Record) -> tuple[Record, ...]:
    """Records in order of time; at one time, as given."""
    return tuple(sorted(records, key=lambda r: r.time))


# ---------------------------------------------------------------- gradients
PARAMETERS = ("pk.CL", "pk.Q", "pk.ka", "pk.F_central", "pk.F_depot", "pk.Tlag_central", "pk.Tlag_depot")
MODELLED = ("pk.rate_central", "pk.duration_depot")
WRITTEN = ("time", "amt", "ii", "rate", "duration")
LOOKS = tuple(Record(9, t) for t in (0.3, 4.0, 10.5, 13.1, 17.0, 22.7, 30.0))

REGIMENS: Mapping[str, tuple[Record, ...]] = {
    "plain": rows(
        Record(2, 0.5, 1, 90.0, "pk.central"),
        Record(2, 2.0, 1, 60.0, "pk.central", duration=3.0),
        Record(2, 3.0, 1, 50.0, "pk.depot", rate=20.0, ii=7.0, addl=2),
        Record(2, 8.0, 1, 40.0, "pk.central", rate=-1.0),
        Record(2, 9.0, 1, 30.0, "pk.depot", rate=-2.0),
        *LOOKS,
    ),
    "steady": rows(
        Record(2, 0.25, 1, 80.0, "pk.central", ii=6.0, ss=1),
        Record(2, 5.0, 1, 60.0, "pk.central", rate=5.0, ii=7.0, ss=2, addl=1),
        Record(2, 14.0, 1, 30.0, "pk.depot", ii=9.0, duration=2.5, ss=2),
        Record(2, 20.0, 1, 0.0, "pk.central", rate=3.0, ss=2),
        *LOOKS,
    ),
    "steady at one time": rows(
        Record(2, 1.0, 1, 50.0, "pk.depot", ii=7.0, addl=4),
        Record(2, 12.0, 1, 80.0, "pk.central", ii=6.0, ss=1),
        Record(2, 12.0, 1, 60.0, "pk.central", rate=5.0, ii=7.0, ss=1, addl=1),
        Record(2, 12.0, 1, 30.0, "pk.depot", ii=9.0, duration=2.5, ss=2),
        *LOOKS,
    ),
}
START = {
    "pk.F_central": 0.8,
    "pk.F_depot": 0.6,
    "pk.Tlag_central": 0.4,
    "pk.Tlag_depot": 0.7,
    "pk.rate_central": 15.0,
    "pk.duration_depot": 3.5,
}


COLUMNS = {"pk.V": "VC", "pk.V2": "VP"}  # the first holds back from row to row, the second moves along straight lines


def with_columns(records: tuple[Record, ...]) -> Subject:
    sizes = lambda t: {"VC": 35.0 + 10.0 * np.sin(t), "VP": 50.0 + 20.0 * np.cos(t)}
    return Subject("1", tuple(replace(r, covariates=sizes(r.time)) for r in records), COLUMNS)


def score(plan: Plan, lanes: Lanes, theta: Mapping[str, Any]) -> Any:
    """A weighted sum of the central amounts at all records, one for each lane."""
    records = lanes.records._replace(**{n: theta[n] for n in ("ii", "rate")}, bound={n: theta[n] for n in COLUMNS})
    written = {"time": theta["time"], "amount": theta["amt"], "duration": theta["duration"]}
    values = {**lanes.values, **{n: theta[n][0] for n in plan.varied if n in theta}}
    y = simulation_lanes.trajectory(
        plan, lanes._replace(**written, records=records, values=values), lanes.order, TIGHT
    ).y[:, 1]
    return jnp.tensordot(jnp.sin(1.0 + jnp.arange(len(y))), y, 1)


@pytest.mark.parametrize("regimen", REGIMENS)
def test_gradients_against_central_differences(regimen: str) -> None:
    """In times, amounts, intervals, rates and durations of the records, columns, lags, F and parameters; steady states included."""
    found, subject = shipped("textbook-2cpt"), with_columns(REGIMENS[regimen])
    names = (*PARAMETERS, *(MODELLED if regimen == "plain" else ()))
    values = {**found.values, **START}

    def prepared(count: int) -> tuple[Plan, Lanes]:
        wide = {n: np.full(count, values[n]) for n in names}
        return event_lanes.prepare(
            found.model, {**values, **wide}, [subject] * count, varied=names, between={"pk.V2": "linear"}
        )

    plan, lanes = prepared(1)
    written = {"time": lanes.time, "amt": lanes.amount, "duration": lanes.duration}
    written |= {"ii": lanes.records.ii, "rate": lanes.records.rate}
    theta = {n: jnp.asarray(written[n]) for n in WRITTEN}
    theta |= {n: jnp.asarray(lanes.records.bound[n]) for n in COLUMNS} | {n: jnp.full((1, 1), values[n]) for n in names}
    slopes = jax.jit(jax.grad(lambda t: score(plan, lanes, t)[0]))(theta)

    # every value that is used is moved up and down in lanes of its own
    count = len(subject.records)
    places = [(n, i) for n in theta for i in np.flatnonzero(np.asarray(theta[n][:count]) > 0)]
    many = {n: np.repeat(np.asarray(a), 2 * len(places), 1) for n, a in theta.items()}
    for lane, (n, i) in enumerate(places):
        many[n][i, 2 * lane : 2 * lane + 2] += np.array([STEP, -STEP])
    up, down = np.asarray(jax.jit(functools.partial(score, *prepared(2 * len(places))))(many)).reshape(-1, 2).T
    differences = (up - down) / (2.0 * STEP)
    for n in theta:
        mine = [k for k, place in enumerate(places) if place[0] == n]
        if mine:
            gradient = np.array([slopes[n][places[k][1], 0] for k in mine])
            moved = differences[mine]
            if n == "time":  # rows of one time keep their order, so only all of them together can be moved
                at_once = np.equal.outer(*[np.array([subject.records[places[k][1]].time for k in mine])] * 2) * 1.0
                gradient, moved = at_once @ gradient, at_once @ moved
            largest = np.abs(moved).max()
            assert largest > 1e-6, n
            assert gradient == pytest.approx(moved, rel=0, abs=CLOSE * largest), n


# ---------------------------------------------------------------- the same regimen as a list of doses
def test_plain_doses_come_out_as_by_the_dose_list() -> None:
    """A shipped scenario whose diet changes in windows: doses as records against doses as a list."""
    found = shipped("mouse-mc38-depot")
    times = np.append(np.arange(0.0, 400.0, 25.0), [30.0, 40.0, 200.0])
    times.sort()
    windows = (Window("magnesium.diet", 0.2, 30.0, 200.0), Window("magnesium.cisplatin", 1.0, 200.0, 1e4))
    doses = tuple(d for d in found.doses if d.time < 375.0)
    names = (
        "interstitium.C",
        "magnesium.total",
        "magnesium.urine",
        "magnesium.diet",
        "tumour.volume",
        "liposome.M_plasma",
    )

    plan = simulation_lanes.plan_for(found.model, doses)
    lanes = simulation_lanes.lanes_for(plan, found.values, doses, windows, times)
    listed = simulation_lanes.observe(plan, lanes, simulation_lanes.run(plan, lanes, TIGHT), names)

    records = rows(*(Record(2, d.time, 1, d.amt, d.cmt, duration=d.duration) for d in doses), Record(9, 375.0))
    solved = event_lanes.run(
        found.model, found.values, [Subject("1", records)], outputs=times, windows=windows, rtol=TIGHT
    )
    tabled = solved.at_outputs(names)
    for name in names:
        largest = np.abs(listed[name]).max()
        assert largest > 0
        assert tabled[name] == pytest.approx(listed[name], rel=1e-6, abs=1e-9 * largest), name
    assert tabled["magnesium.diet"][:, 0] == pytest.approx(np.where((times >= 30) & (times < 200), 0.2, 1.0))
    row = solved.at_records(["tumour.volume"])[0]["tumour.volume"][-1]
    assert row == pytest.approx(tabled["tumour.volume"][-1, 0], rel=1e-12)
    assert list(solved.at_records(["magnesium.total"])[0]["magnesium.total"].shape) == [len(records)]


# ---------------------------------------------------------------- steady states
def test_steady_state_of_magnesium_is_where_repeated_doses_lead() -> None:
    """The whole-body model is nonlinear: its kidney spills over. Slow pools are made faster, for the history to be short."""
    model = Model(Magnesium)
    values = {n: v for n, v in shipped("human-nsclc-iv-mgso4").values.items() if n in model.parameters}
    values |= {"magnesium.V_deep": values["magnesium.V2"], "magnesium.k_rbc": 0.1}
    ii, count = 12.0, 60
    looks = tuple(Record(9, t) for t in (0.0, 1.0, 3.0, 6.0, 11.5, 12.0))

    def both(duration: float) -> tuple[Subject, Subject]:
        dose = Record(2, 0.0, 1, 20_000.0, "magnesium.iv", duration=duration, ii=ii)
        later = (replace(r, time=r.time + count * ii) for r in looks)
        return Subject("1", (replace(dose, ss=1), *looks)), Subject("2", (replace(dose, addl=count), *later))

    solved = event_lanes.run(model, values, [*both(3.0), *both(30.0)])
    assert not solved.status.any() and (solved.residual < 1e-8).all()
    seen = [lane["magnesium.total"] for lane in solved.at_records(["magnesium.total"])]
    for settled, history in (seen[:2], seen[2:]):
        assert settled[1:] == pytest.approx(history[1:], rel=1e-6)
        assert settled[1] > 1.1 * values["magnesium.total_0"] and history[0] == values["magnesium.total_0"]


class Saturable(AbstractMechanism):
    """One compartment whose elimination saturates."""

    name = "pk"
    states: ClassVar[Mapping[str, Var]] = {"pk.central": Var("mg", "drug in the body", "drug")}

    most: Scalar = param("mg/h", "highest rate of elimination")
    half: Scalar = param("mg", "amount at half of the highest rate")

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        yield Flux("pk.central", None, self.most * x["pk.central"] / (self.half + x["pk.central"]))


def test_steady_state_of_a_saturable_elimination() -> None:
    """It follows 2 mg/h, and 8 mg/h slowly; more than the 10 mg/h that it can do has no steady state."""
    model, ii = Model(Saturable), 12.0
    looks = tuple(Record(9, t) for t in (0.0, 0.5, 3.0, 12.0))

    def dose(rate: float, **columns: Any) -> Record:
        return Record(2, 0.0, 1, rate * ii, "pk.central", ii=ii, **columns)

    settled = [
        Subject("1", (dose(rate, ss=1, **way), *looks)) for rate in (2.0, 8.0, 12.0) for way in ({}, {"duration": 30.0})
    ]
    later = tuple(replace(r, time=r.time + 60 * ii) for r in looks)
    history = [
        Subject("2", (dose(rate, addl=60, **way), *later)) for rate in (2.0, 8.0) for way in ({}, {"duration": 30.0})
    ]
    solved = event_lanes.run(model, {"pk.most": 10.0, "pk.half": 20.0}, [*settled, *history])
    assert solved.status.tolist() == [0, 0, 0, 0, *[Status.NO_STEADY_STATE] * 2, 0, 0, 0, 0]
    seen = [lane["pk.central"][1:] for lane in solved.at_records(["pk.central"])]
    for lane in range(4):
        assert seen[lane] == pytest.approx(seen[6 + lane], rel=1e-6), lane


def test_a_lane_without_a_steady_state_is_marked_and_the_others_are_not_touched() -> None:
    """Nothing leaves the body in the second lane; in the third an infusion never ends."""
    found = shipped("textbook-1cpt")
    bolus = Record(2, 0.0, 1, 100.0, "pk.central", ii=12.0, ss=1)
    endless = Record(2, 0.0, 1, 0.0, "pk.central", rate=5.0, ss=1)
    looks = tuple(Record(9, t) for t in (0.0, 5.0, 12.0))
    subjects = [Subject("1", (dose, *looks)) for dose in (bolus, bolus, endless, bolus, endless)]
    clearance = np.array([4.0, 0.0, 0.0, 2.0, 4.0])
    values = {**found.values, "pk.CL": clearance}
    solved = event_lanes.run(found.model, values, subjects, varied=("pk.CL",))
    no, yes = Status.NO_STEADY_STATE, Status.DONE
    assert solved.status.tolist() == [yes, no, no, yes, yes]
    seen = [lane["pk.C"] for lane in solved.at_records(["pk.C"])]
    assert np.isnan(seen[1]).all() and np.isnan(seen[2]).all()
    for lane in (0, 3):
        k = clearance[lane] / found.values["pk.V"]
        peak = 100.0 / found.values["pk.V"] / -np.expm1(-12.0 * k)
        assert seen[lane][1:] == pytest.approx(peak * np.exp(-k * np.array([0.0, 5.0, 12.0])), rel=1e-6)
    assert seen[4][1] == pytest.approx(5.0 / 4.0, rel=1e-6)

    plan, lanes = event_lanes.prepare(found.model, values, subjects, varied=("pk.CL",))
    last = lambda CL: jnp.nansum(
        simulation_lanes.trajectory(plan, lanes._replace(values={**values, "pk.CL": CL}), lanes.order, TIGHT).y[
            3, 1, np.array([0, 3])
        ]
    )
    slopes = jax.jit(jax.grad(last))(jnp.asarray(clearance))
    assert np.isfinite(slopes).all() and (np.asarray(slopes)[[0, 3]] < 0).all() and not np.asarray(slopes)[1:3].any()


# ---------------------------------------------------------------- clocks, windows, covariates, sizes
def test_a_new_clock_is_a_new_subject() -> None:
    found = shipped("textbook-2cpt")
    first = rows(Record(2, 1.0, 1, 100.0, "pk.depot", ii=8.0, addl=4), *(Record(9, t) for t in (2.0, 9.5, 11.0)))
    second = (Record(2, 0.5, 4, 40.0, "pk.central", duration=3.0), *(Record(9, t) for t in (1.0, 4.0, 30.0)))
    subjects = [Subject("1", first + second), Subject("2", first), Subject("3", second)]
    solved = event_lanes.run(found.model, found.values, subjects)
    whole, *parts = (lane["pk.C"] for lane in solved.at_records(["pk.C"]))
    assert whole == pytest.approx(np.concatenate(parts), rel=1e-6)
    assert whole[len(first)] == 0.0


def test_constants_follow_a_column() -> None:
    """Baseline Mg from a column: the renal threshold, which follows from it, changes as it does."""
    model = Model(Magnesium)
    values = {n: v for n, v in shipped("human-nsclc-iv-mgso4").values.items() if n in model.parameters}
    rows_ = tuple(Record(9, t, covariates={"BASE": b}) for t, b in ((0.0, 0.85), (24.0, 0.85), (240.0, 0.95)))
    bound = {"magnesium.total_0": "BASE"}
    (lane,) = event_lanes.run(model, values, [Subject("1", rows_, bound)]).at_records(
        ["magnesium.threshold", "magnesium.total"]
    )
    expected = [
        float(model.derive({**values, "magnesium.total_0": b})["magnesium.threshold"]) for b in (0.85, 0.85, 0.95)
    ]
    assert lane["magnesium.threshold"] == pytest.approx(expected)
    assert lane["magnesium.total"][:2] == pytest.approx(0.85, rel=1e-6) and lane["magnesium.total"][2] > 0.86
    with pytest.raises(InputError, match=r"linear.*magnesium.total_0.*magnesium.ionised_0 follows from it"):
        event_lanes.run(model, values, [Subject("1", rows_, bound)], between={"magnesium.total_0": "linear"})


@pytest.mark.parametrize("engine", ["native", "jax"])
def test_other_values_kinds_and_counts_of_records_do_not_compile_again(engine: str) -> None:
    found = shipped("textbook-1cpt")

    def solve(*records: Record) -> np.ndarray:
        subject = Subject("1", rows(*records, Record(9, 30.0)))
        return event_lanes.run(found.model, found.values, [subject], engine=engine).at_records(["pk.C"])[0]["pk.C"]

    def compiled() -> int:
        programs = simulation_lanes._run, simulation_lanes._observe
        return len(foreign._codes) + sum(len(one.compiled) + one.jitted._cache_size() for one in programs)

    both = [Record(2, 0.0, 1, 50.0, "pk.depot"), Record(2, 3.0, 1, 50.0, "pk.central")]
    solve(*both)
    before = compiled()
    fresh = solve(
        replace(both[1], time=1.0, ii=5.0, addl=3, duration=7.0),
        replace(both[0], amt=10.0),
        Record(9, 9.0),
        Record(2, 9.0, 4, 5.0, "pk.depot"),
    )
    assert fresh[-1] > 0
    assert compiled() == before


@pytest.mark.parametrize(
    ("records", "options", "says"),
    [
        (
            [Record(2, 5.0, 0, covariates={"W": 1.0}), Record(3, 0.0, 4, 5.0, "pk.depot")],
            {"outputs": [1.0]},
            "only its rows",
        ),
        (
            [Record(2, 5.0), Record(3, 0.0, 4, 5.0, "magnesium.iv")],
            {"windows": [Window("magnesium.diet", 0.0, 1.0, 2.0)]},
            "input windows are not possible",
        ),
        (
            [Record(2, 0.0, covariates={"W": -1.0})],
            {"bound": "pk.CL"},
            "row 2, column W: pk.CL must be from 0 to inf, not -1",
        ),
        ([Record(2, 0.0)], {"between": {"pk.CL": "locf"}}, "no parameter with a column 'pk.CL'"),
        (
            [Record(2, 0.0, covariates={"W": 1.0})],
            {"bound": "pk.CL", "between": {"pk.CL": "cubic"}},
            "no interpolation 'cubic'",
        ),
        ([Record(2, 0.0, 1, 5.0, "pk.depot", rate=-1.0)], {}, "modelled rate above zero, but pk.depot has 0"),
    ],
)
def test_what_makes_no_sense_is_refused(records: list[Record], options: dict[str, Any], says: str) -> None:
    found = shipped("human-nsclc-iv-mgso4" if "windows" in options else "textbook-1cpt")
    bound = {options.pop("bound"): "W"} if "bound" in options else {}
    with pytest.raises(InputError, match=says) as caught:
        event_lanes.run(found.model, found.values, [Subject("1", tuple(records), bound)], **options)
    assert "\n" not in str(caught.value)


def test_all_subjects_have_the_same_columns_for_parameters() -> None:
    found = shipped("textbook-1cpt")
    row = (Record(2, 0.0, covariates={"W": 1.0}),)
    with pytest.raises(InputError, match="subject 2 has other columns"):
        event_lanes.run(found.model, found.values, [Subject("1", row, {"pk.CL": "W"}), Subject("2", row)])
