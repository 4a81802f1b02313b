"""Event tables: read, refused, and expanded to actions, against closed forms and a plain superposition of doses."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanomg.dosing.event_table import Record, Subject, filled, read_events
from nanomg.dosing.schedule import Kind, Schedule, action_times, covariate, delivery, dose_values, edges, expand
from nanomg.equations.mechanism import AbstractMechanism, Flux, Port, Scalar, Values, Var, param
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.models.textbook import OneCompartment
from nanomg.simulation import event_lanes

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
        return read_events(path, MODEL, bindings)


def one(table: str, bindings: Mapping[str, str] | None = None) -> Subject:
    """The only subject of a table, whose rows may be parted by blanks for brevity."""
    (subject,) = read("\n".join(",".join(line.split()) for line in table.strip().splitlines()), bindings)
    return subject


# --- the reference: one compartment, integrated exactly from action to action -----------------------------------------


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
        period = steady.multiple * values.ii[steady.base] or 1.0
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
        y, now = keeps * decay(y, rate, 0.0 if back else max(then - now, 0.0), k_now), then
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
        first = 0
        for j, r in enumerate(subject.records[: i + 1]):
            # A group of SS records acts at the first of its rows that no reset parts from it.
            start = max((g for g in range(j + 1) if subject.records[g].resets), default=0)
            group = [
                g
                for g in range(start, len(subject.records))
                if subject.records[g].ss and subject.records[g].time == r.time
            ]
            group = [g for g in group if not any(subject.records[h].resets for h in range(j + 1, g + 1))]
            if r.resets or (r.ss and j == group[0] and any(subject.records[g].ss == 1 for g in group)):
                first = j
        for j in range(first, len(subject.records)):
            r = subject.records[j]
            parted = any(subject.records[h].resets for h in range(i + 1, j + 1))
            grouped = (
                r.ss
                and not parted
                and r.time == seen.time
                and any(
                    subject.records[g].ss and subject.records[g].time == r.time and g >= first for g in range(i + 1)
                )
            )
            if not r.doses or not (j <= i or grouped):
                continue
            since = seen.time - r.time
            if r.constant:
                total += r.rate / K * math.exp(-K * since)
                continue
            length = F * r.amt / r.rate if r.rate > 0 else r.duration
            for k in range(-300 if r.ss else 0, (r.addl if j <= i else -1) + 1):
                total += response(F * r.amt, length, since - (k * r.ii + lag))
        amounts.append(total)
    return amounts


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_table_is_read_with_all_its_columns() -> None:
    subjects = read(
        "\ufeffC,Id,time,evid,AMT,cmt,Rate,ii,addl,ss,mdv,dv,dur,until,WT,note\r\n"
        "a comment\r\n"
        ".,1,0,.,100,2,,12,3,.,,.,,.,70,first\r\n"
        "\r\n"
        ".,1.0,1.5,,,,,,,,,4.25,,,.,\r\n"
        "C,broken,row,,,,,,,,,,,,,\r\n"
        ".,b,-1.5,4,5,pk.iv,,8.5,,1,,,2,24,1e2,'x'\r\n"
    )
    assert [s.id for s in subjects] == ["1", "b"]
    dose, seen = subjects[0].records
    assert (dose.row, dose.time, dose.evid, dose.amt, dose.cmt) == (3, 0.0, 1, 100.0, "pk.central")
    assert (dose.ii, dose.addl, dose.ss, dose.mdv, dose.dv) == (12.0, 3, 0, 1, None)
    assert dose.covariates == {"C": None, "WT": 70.0, "NOTE": None}
    assert (seen.row, seen.evid, seen.cmt, seen.mdv, seen.dv, seen.covariates["WT"]) == (5, 0, "", 0, 4.25, None)
    assert (
        list(dose.cells)[:4] == ["C", "Id", "time", "evid"]
        and dose.cells["evid"] == "."
        and dose.cells["note"] == "first"
    )
    (last,) = subjects[1].records
    assert (last.cmt, last.addl, last.duration, last.ss) == ("pk.iv", 2, 2.0, 1)


def test_what_is_missing_has_a_meaning() -> None:
    subject = one("TIME AMT RATE SS\n0 10 . .\n1 . . .\n2 0 5 1")
    assert subject.id == "1"
    assert [(r.evid, r.cmt) for r in subject.records] == [(1, "pk.depot"), (0, ""), (1, "pk.depot")]
    assert subject.records[2].constant


def test_time_may_go_back_where_a_reset_starts_a_new_clock() -> None:
    assert len(one("TIME EVID AMT\n0 1 5\n9 0 0\n0 4 5\n9 0 0\n12 3 0\n0 0 0").records) == 6


def test_columns_are_bound_to_parameters() -> None:
    subject = one("TIME AMT Dur wt\n0 5 2 70\n1 . 3 .", {"pk.k": "dur", "pk.ka": "WT"})
    assert subject.bound == {"pk.k": "DUR", "pk.ka": "WT"}
    assert subject.records[0].duration == 0 and subject.records[0].covariates == {"DUR": 2.0, "WT": 70.0}
    assert one("TIME AMT\n0 5\n1 0", {"pk.k": "amt"}).records[0].covariates == {"AMT": 5.0}
    for bindings, words in (
        ({"pk.k": "KEL"}, ["'KEL'", "events.csv", "pk.k"]),
        ({"pk.kk": "WT"}, ["parameter 'pk.kk'", "'pk.k'"]),
    ):
        with pytest.raises(InputError) as caught:
            one("TIME AMT WT\n0 5 70", bindings)
        assert all(word in str(caught.value) for word in words)
    with pytest.raises(InputError, match="column WT: subject 2 has no value"):
        one("ID TIME WT\n1 0 70\n2 0 .", {"pk.k": "WT"})


@pytest.mark.parametrize(
    ("table", "row", "column", "says"),
    [
        ("TIME AMT\n0 -5", 2, "AMT", "must not be negative"),
        ("TIME amt\n0 nan", 2, "AMT", "'nan' is not a finite number"),
        ("TIME AMT\n0 1e999", 2, "AMT", "not a finite number"),
        ("TIME AMT\n0 5 \n0 1_0", 3, "AMT", "not a finite number"),
        ("TIME AMT\n8:30 5", 2, "TIME", "not a finite number"),
        ("TIME AMT\n. 5", 2, "TIME", "the time is missing"),
        ("TIME AMT ADDL\n0 5 2", 2, "II", "needs the interval"),
        ("TIME AMT ADDL II\n0 5 2 0", 2, "II", "needs the interval"),
        ("TIME AMT ADDL II\n0 5 2 -1", 2, "II", "must not be negative"),
        ("TIME AMT ADDL II\n0 5 -1 8", 2, "ADDL", "whole number"),
        ("TIME AMT ADDL II\n0 5 1.5 8", 2, "ADDL", "whole number"),
        ("TIME AMT ADDL II\n0 5 100000 8", 2, "ADDL", "more than 100000"),
        ("TIME AMT SS\n0 5 1", 2, "II", "SS = 1 needs the interval"),
        ("TIME AMT SS II\n0 5 3 12", 2, "SS", "one of 0, 1, 2"),
        ("TIME EVID AMT\n0 5 5", 2, "EVID", "one of 0, 1, 2, 3, 4"),
        ("TIME EVID AMT\n0 0.5 5", 2, "EVID", "one of 0, 1, 2, 3, 4"),
        ("TIME EVID AMT\n0 1 0", 2, "AMT", "needs AMT above zero"),
        ("TIME EVID\n0 4", 2, "AMT", "needs AMT above zero"),
        ("TIME AMT RATE\n0 0 5", 2, "AMT", "needs AMT above zero"),
        ("TIME AMT RATE SS\n0 0 -2 1", 2, "AMT", "needs AMT above zero"),
        ("TIME AMT RATE SS II\n0 0 5 1 12", 2, "II", "constant infusion"),
        ("TIME AMT RATE SS ADDL II\n0 0 5 1 3 12", 2, "II", "constant infusion"),
        ("TIME AMT RATE\n0 5 -3", 2, "RATE", "-1 (modelled rate)"),
        ("TIME AMT RATE dur\n0 5 5 1", 2, "DUR", "both given"),
        ("TIME AMT tinf\n0 5 -1", 2, "TINF", "must not be negative"),
        ("TIME AMT dur tinf\n0 5 1 1", 1, None, "DUR and TINF are the same"),
        ("TIME AMT ADDL II until\n0 5 1 8 24", 2, "UNTIL", "both given"),
        ("TIME AMT until\n0 5 24", 2, "II", "until needs the interval"),
        ("TIME AMT II until\n24 5 8 24", 2, "UNTIL", "must come after"),
        ("TIME AMT II until\n0 5 1e-9 24", 2, "UNTIL", "more than 100000"),
        ("TIME EVID AMT\n0 0 5", 2, "AMT", "gives no dose"),
        ("TIME EVID SS\n0 3 1", 2, "SS", "gives no dose"),
        ("TIME AMT CMT\n0 5 3", 2, "CMT", "a number from 1 to 2"),
        ("TIME AMT CMT\n0 5 -1", 2, "CMT", "a number from 1 to 2"),
        ("TIME AMT CMT\n0 5 1.5", 2, "CMT", "a number from 1 to 2"),
        ("TIME AMT CMT\n0 5 pk.centrl", 2, "CMT", "did you mean 'pk.central'"),
        ("TIME AMT MDV\n0 5 .5", 2, "MDV", "whole number"),
        ("TIME DV\n0 BLQ", 2, "DV", "'BLQ' is not a finite number"),
        ("TIME AMT\n5 5\n4 5", 3, "TIME", "time goes back from 5 h to 4 h"),
        ("TIME EVID AMT\n5 4 5\n4 0 0", 3, "TIME", "time goes back from 5 h to 4 h"),
        ("ID TIME\n1 0\n2 0\n1 1", 4, "ID", "keep all rows of a subject together"),
        ("ID TIME\n. 0", 2, "ID", "the ID is missing"),
        ("TIME AMT time\n0 5 0", 1, None, "TIME and TIME are the same"),
        ("AMT CMT\n5 1", 1, None, "no column TIME"),
        ("TIME AMT\n0 5 6", 2, None, "3 cells under 2 columns"),
        ("TIME AMT\n0 5\n7", 3, None, "1 cells under 2 columns"),
    ],
)
def test_a_broken_table_is_refused_in_one_sentence(table: str, row: int, column: str | None, says: str) -> None:
    with pytest.raises(InputError) as caught:
        one(table)
    place = f"events.csv, row {row}" + (f", column {column}:" if column else ":")
    assert place in str(caught.value) and says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"TIME,AMT\n", "no records"),
        (b"TIME,AMT,\n0,5,\n", "column 3 has no name"),
        ("TIME,AMT\n0,5µ\n".encode("latin-1"), "is not UTF-8"),
        ("TIME,AMT\n0,5\n".encode("utf-16"), "is not UTF-8"),
        (b'TIME,AMT\n0,"5\n', "not a row of CSV"),
        (b"TIME,AMT\n0," + b"5" * 200_000, "not a row of CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(table: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(table)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv", "a\0b"):
        with pytest.raises(InputError, match="cannot be read"):
            read_events(path, MODEL, {})


# --- expansion: closed forms ------------------------------------------------------------------------------------------


def at(*times: float) -> str:
    return "".join(f"\n{t} 0 . . . . . ." for t in times)


HEAD = "TIME EVID AMT RATE II ADDL SS dur\n"


@pytest.mark.parametrize(
    ("dose", "given", "amount"),
    [
        ("0 1 10 . . . . .", {}, lambda t: response(10, 0, t)),
        ("0 1 10 . . . . .", {"F": 0.5, "lag": 1.5}, lambda t: response(5, 0, t - 1.5)),
        ("0 1 10 5 . . . .", {}, lambda t: response(10, 2, t)),
        ("0 1 10 5 . . . .", {"F": 0.5}, lambda t: response(5, 1, t)),
        ("0 1 10 . . . . 4", {"F": 0.5}, lambda t: response(5, 4, t)),
        ("0 1 10 -1 . . . .", {"rate": 4, "F": 0.5, "lag": 0.5}, lambda t: response(5, 1.25, t - 0.5)),
        ("0 1 10 -2 . . . .", {"duration": 4, "F": 0.5, "lag": 0.5}, lambda t: response(5, 4, t - 0.5)),
        ("0 1 10 5 . . . .", {"F": 0.0}, lambda t: 0.0),
        ("0 1 10 . 12 1 . .", {"lag": 3.0}, lambda t: response(10, 0, t - 3) + response(10, 0, t - 15)),
        ("0 1 10 . 8 . 1 .", {}, lambda t: 10 * math.exp(-K * t) / -math.expm1(-K * 8)),
        ("0 1 0 5 . . 1 .", {}, lambda t: 5 / K * math.exp(-K * t)),
        ("0 1 0 5 . . 2 .", {"lag": 9.0}, lambda t: 5 / K * math.exp(-K * t)),
        ("0 1 0 -1 . . 1 .", {"rate": 7.0}, lambda t: 7 / K * math.exp(-K * t)),
    ],
)
def test_single_doses_follow_their_closed_form(dose: str, given: dict[str, float], amount: Any) -> None:
    times = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 12.0, 15.0, 20.0)
    subject = one(HEAD + dose + at(*times))
    assert simulate(subject, **given)[1:] == pytest.approx([amount(t) for t in times], rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("lag", [0.0, 0.5, 3.0, 7.5])
@pytest.mark.parametrize("length", [0.0, 2.0, 8.0, 20.0, 24.0])
def test_steady_state_equals_a_long_history(lag: float, length: float) -> None:
    """Infusions shorter than, as long as and longer than the interval, from before the record too."""
    times = (50.0, 50.5, 51.0, 52.0, 53.0, 57.5, 58.0, 65.5, 66.0, 75.0, 90.0)
    steady = one(HEAD + f"0 1 99 . . . . 30\n50 1 10 . 8 2 1 {length}" + at(*times))
    found = simulate(steady, lag=lag, F=0.7)[2:]
    history = [sum(response(7, length, t - 50 - lag - 8 * k) for k in range(-200, 3)) for t in times]
    assert found == pytest.approx(history, rel=1e-11)
    added = one(HEAD + f"0 1 99 . . . . 30\n50 1 10 . 8 2 2 {length}" + at(*times))
    before = [response(0.7 * 99, 30, t - lag) for t in times]
    assert simulate(added, lag=lag, F=0.7)[2:] == pytest.approx(np.add(history, before), rel=1e-11)


def test_steady_records_at_one_time_are_solved_together_in_any_order() -> None:
    rows = ("48 1 10 . 24 . 1 .", "48 1 6 . 8 . 2 2", "48 1 3 . 12 . 1 30", "48 1 0 4 . . 1 .")
    times = (48.0, 49.0, 56.0, 80.0)
    truth = [
        sum(response(10, 0, t - 48 - 24 * k) + response(6, 2, t - 48 - 8 * k) for k in range(-200, 1))
        + sum(response(3, 30, t - 48 - 12 * k) for k in range(-200, 1))
        + 4 / K * math.exp(-K * (t - 48))
        for t in times
    ]
    for order in itertools.permutations(rows):
        subject = one(HEAD + "0 1 50 . . . . 60\n" + "\n".join(order) + at(*times))
        assert simulate(subject)[5:] == pytest.approx(truth, rel=1e-11)
        (steady,) = expand(subject, dose_values(subject)).steady
        assert steady.records == (1, 2, 3, 4) and steady.resets


def test_steady_state_needs_a_lag_below_the_interval() -> None:
    subject = one(HEAD + "0 1 10 . 8 . 1 .")
    with pytest.raises(InputError, match=r"row 2, column SS: a steady state needs a lag below II = 8 h, not 8 h"):
        expand(subject, dose_values(subject, lag=8.0))
    together = one(HEAD + "0 1 10 . 8 . 1 .\n0 1 10 . 8.14159 . 1 .")
    with pytest.raises(InputError, match="common"):
        expand(together, dose_values(together))


def test_a_reset_cancels_what_is_pending() -> None:
    """Running infusions, lagged and implied doses; a new clock, if time goes back."""
    rows = "0 1 10 . 12 5 . 30\n11 1 20 . . . . .\n"
    times = (13.0, 24.0, 60.0)
    for reset, fresh in (("12 3 . . . . . .", 0.0), ("12 4 7 . . . . .", 7.0)):
        found = simulate(one(HEAD + rows + reset + at(*times)), lag=2.0)
        assert found[2] == 0.0
        assert found[3:] == pytest.approx([response(fresh, 0, t - 14) for t in times], abs=1e-14)
        found = simulate(one(HEAD + rows + reset.replace("12", "3") + at(4.0, 9.0)), lag=2.0)
        assert found[1] == pytest.approx(response(10, 30, 9))
        assert found[3:] == pytest.approx([response(fresh, 0, t - 5) for t in (4.0, 9.0)], abs=1e-14)


def test_a_new_clock_may_start_just_after_a_reset() -> None:
    subject = one(HEAD + "0 1 10 . 12 5 . 30\n48 3 . . . . . .\n0 1 7 . . . . .\n5 0 . . . . . .")
    assert simulate(subject) == pytest.approx([0, 0, 7, response(7, 0, 5)])
    assert expand(subject, dose_values(subject)).jumps_back.count(True) == 1
    with pytest.raises(InputError, match="only its rows can be observed"):
        expand(subject, dose_values(subject), [1.0])


def test_rows_and_doses_at_one_time() -> None:
    """A row before the dose does not see it, unless the dose is implied or lagged; an infusion starts at its row."""
    table = (
        HEAD
        + "0 0 . . . . . .\n0 1 10 . 12 1 . .\n0 0 . . . . . .\n12 0 . . . . . .\n12 1 3 . . . . 1\n13 0 . . . . . ."
    )
    left = 10 * math.exp(-K * 12)
    assert simulate(one(table)) == pytest.approx(
        [0, 10, 10, 10 + left, 10 + left, response(10, 0, 1) + response(10, 0, 13) + response(3, 1, 1)]
    )
    assert simulate(one(table), lag=12.0)[:5] == pytest.approx([0, 0, 0, 10, 10])


def test_times_that_differ_by_rounding_are_one_time() -> None:
    assert 3 * 0.1 > 0.3
    subject = one(HEAD + f"0 1 10 . 8 . 1 .\n0.3 1 10 . 8 . 1 .\n{0.1 + 0.2} 1 10 . 8 . 1 .")
    assert [group.records for group in expand(subject, dose_values(subject)).steady] == [(0,), (1, 2)]
    assert simulate(subject, outputs=(0.3,))[3] == pytest.approx(20 / -math.expm1(-K * 8))
    subject = one(HEAD + f"0 1 10 . . . . .\n{0.1 + 0.2} 4 7 . . . . .")
    assert simulate(subject, outputs=(0.3,))[2] == 7.0
    subject = one(HEAD + "0 1 10 . 0.1 3 . .\n0.3 0 . . . . . .")
    assert simulate(subject, outputs=(0.3, 0.1 + 0.2))[1:] == pytest.approx(
        [sum(response(10, 0, 0.3 - 0.1 * k) for k in range(3)) + 10] * 3
    )


def test_the_order_of_actions_at_one_time() -> None:
    subject = one(HEAD + "0 1 10 . 12 1 . 12\n12 4 6 . 8 . 1 12")
    schedule = expand(subject, dose_values(subject), [12.0])
    names = [(a.kind.name, a.record, a.k) for a in schedule.actions]
    assert (
        names
        == [
            ("START", 0, 0),
            ("OUTPUT", 0, 0),
            ("END", 0, 0),
            ("START", 0, 1),
            ("END", 0, 1),
            ("RESET", 1, 0),
            ("STEADY", 1, 0),
            ("START", 1, -1),
            ("START", 1, 0),
            ("OUTPUT", 1, 0),
            ("OUTPUT", -1, 0),
        ]
        or names == []
    )
    assert schedule.before == (0, 0, *[0] * 8, 1) and schedule.after == (0, 0, *[1] * 9)
    constant = one(HEAD + "0 1 0 5 . . 1 .\n9 0 . . . . . .")
    kinds = [a.kind for a in expand(constant, dose_values(constant, lag=1.0)).actions]
    assert kinds == [Kind.STEADY, Kind.OUTPUT, Kind.OUTPUT]
    cut = schedule.actions[4]
    assert cut.at == 1 and not cut.shifted and not cut.ended


def test_extra_outputs_are_seen_among_the_rows() -> None:
    subject = one(HEAD + "5 1 10 . . . . .\n9 4 3 . . . . .")
    found = simulate(subject, outputs=(0.0, 5.0, 8.0, 9.0, 12.0))
    assert found[2:] == pytest.approx([0, 10, response(10, 0, 3), 3, response(3, 0, 3)])


def test_values_that_make_no_sense_are_refused() -> None:
    for rate, modelled, says in (
        ("-1", {}, "modelled rate above zero, but pk.depot has none"),
        ("-2", {"duration": 0.0}, "modelled duration above zero, but pk.depot has 0"),
        ("1", {"lag": -1.0}, "lag of pk.depot must be 0 or more, not -1"),
        ("1", {"F": math.nan}, "F of pk.depot"),
    ):
        with pytest.raises(InputError, match=says):
            dose_values(one(HEAD + f"0 1 10 {rate} . . . ."), **modelled)
    rows = one(HEAD + "0 0 . . . . . .\n1 1 10 . . . . .\n3 0 . . . . . .")
    assert simulate(rows, lag=[math.nan, 1, math.nan], F=[math.nan, 0.5, math.nan])[2] == pytest.approx(
        response(5, 0, 1)
    )
    for dose in ("1e308 1 10 . 1e308 1 . .", "0 1 1e200 1e-200 . . . .", "0 1 1e200 . . . . 1e-200"):
        subject = one(HEAD + dose)
        with pytest.raises(InputError, match=r"row 2, column (TIME|AMT)"):
            expand(subject, dose_values(subject))


# --- covariates -------------------------------------------------------------------------------------------------------


def test_covariates_hold_back_or_on_or_ramp() -> None:
    subject = one("TIME AMT KEL\n0 10 0.1\n4 . .\n8 . 0.3\n10 . 0.2")
    assert filled(subject, "KEL").tolist() == [0.1, 0.3, 0.3, 0.2]
    assert filled(subject, "KEL", "locf").tolist() == [0.1, 0.1, 0.3, 0.2]
    assert filled(subject, "KEL", "linear") == pytest.approx([0.1, 0.2, 0.3, 0.2])

    def rate(how: str) -> Any:
        return lambda schedule: covariate(subject, schedule, None, "KEL", how)[0]

    assert simulate(subject, rate("nocb")) == pytest.approx([10 * math.exp(-x) for x in (0, 1.2, 2.4, 2.8)])
    assert simulate(subject, rate("locf")) == pytest.approx([10 * math.exp(-x) for x in (0, 0.4, 0.8, 1.4)])

    values = dose_values(subject)
    schedule = expand(subject, values, [2.0, 9.0, 12.0])
    times = action_times(edges(schedule), np.append(values.time, [2.0, 9.0, 12.0]), values, 0 * values.time)
    starts, ends = covariate(subject, schedule, times, "KEL", "linear")
    assert times.tolist() == [0, 0, 2, 4, 8, 9, 10, 12]
    assert ends == pytest.approx([0.1, 0.1, 0.15, 0.2, 0.3, 0.25, 0.2, 0.2])
    assert starts == pytest.approx([0.1, 0.1, 0.1, 0.15, 0.2, 0.3, 0.25, 0.2])
    with pytest.raises(InputError, match="nocb"):
        filled(subject, "KEL", "nocf")
    with pytest.raises(InputError, match="has no value"):
        filled(subject, "WT")


def test_times_and_deliveries_are_differentiable() -> None:
    """The fixed part stays as it is while the values are traced, with lanes and without."""
    subject = one(HEAD + "0 1 10 5 12 1 . .")
    concrete = dose_values(subject, lag=1.0, F=0.5)
    fixed = edges(expand(subject, concrete, [40.0]))

    def times(values: Any) -> Any:
        length = delivery([r.mode for r in subject.records], values)[2]
        return action_times(fixed, jnp.concatenate([values.time, jnp.array([40.0])]), values, length)

    slopes = jax.jacobian(times)(jax.tree.map(jnp.asarray, concrete))
    assert [Kind(k).name for k in fixed.kind] == ["OUTPUT", "START", "END", "START", "END", "OUTPUT"]
    assert times(concrete) == pytest.approx([0, 1, 2, 13, 14, 40])
    assert slopes.ii.ravel().tolist() == [0, 0, 0, 1, 1, 0]
    assert slopes.lag.ravel().tolist() == [0, 1, 1, 1, 1, 0]
    assert slopes.F.ravel().tolist() == [0, 0, 2, 0, 2, 0]
    lanes = type(concrete)(*(np.stack([v, v], 1) for v in concrete))
    length = delivery([[r.mode] for r in subject.records], lanes)[2]
    both = action_times(fixed, np.concatenate([lanes.time, [[40.0, 40.0]]]), lanes, length)
    assert both.T.tolist() == [times(concrete).tolist()] * 2


# --- properties -------------------------------------------------------------------------------------------------------

halves = st.integers(0, 60).map(lambda n: n / 2)
lags = st.sampled_from([0.0, 0.5, 1.0, 2.5])
bioavailabilities = st.sampled_from([1.0, 0.5, 0.25])


@st.composite
def doses(draw: st.DrawFn, ss: bool = True) -> Record:
    """A dose whose times are exact in binary, so that ties are common."""
    amt, kind = float(draw(st.integers(1, 20))), draw(st.sampled_from(["bolus", "rate", "duration", "constant"]))
    steady = draw(st.sampled_from([0, 0, 1, 2])) if ss else 0
    if kind == "constant" and steady:
        return Record(0, 0.0, 1, 0.0, "pk.central", rate=amt, ss=steady)
    return Record(
        0,
        0.0,
        draw(st.sampled_from([1, 1, 1, 4])) if ss else 1,
        amt,
        "pk.central",
        rate=amt / draw(st.sampled_from([0.5, 4.0, 16.0])) if kind == "rate" else 0.0,
        duration=draw(st.sampled_from([0.5, 3.0, 24.0])) if kind == "duration" else 0.0,
        ii=draw(st.sampled_from([3.0, 6.0, 12.0])),
        addl=draw(st.integers(0, 3)),
        ss=steady,
    )


others = st.sampled_from([0, 0, 0, 2, 3]).map(lambda evid: Record(0, 0.0, evid))


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    found = draw(st.lists(st.one_of(doses(), others), min_size=1, max_size=7))
    times = sorted(draw(st.lists(halves, min_size=len(found), max_size=len(found))))
    rows = [dataclasses.replace(r, row=i, time=t) for i, (r, t) in enumerate(zip(found, times, strict=True))]
    return Subject("1", (*rows, Record(99, 40.0)))


@settings(max_examples=400, deadline=None)
@given(subjects(), lags, bioavailabilities)
def test_any_table_equals_the_sum_over_its_doses(subject: Subject, lag: float, F: float) -> None:
    assert simulate(subject, lag=lag, F=F) == pytest.approx(superposed(subject, lag, F), rel=1e-9, abs=1e-9)


def written_out(subject: Subject) -> Subject:
    """Every implied dose as a record of its own, before the rows of its time."""
    extra = [
        dataclasses.replace(r, row=-1, time=r.time + k * r.ii, addl=0, ss=0, evid=1)
        for r in subject.records
        for k in range(1, r.addl + 1)
    ]
    plain = [dataclasses.replace(r, addl=0) for r in subject.records]
    return dataclasses.replace(subject, records=tuple(sorted([*extra, *plain], key=lambda r: r.time)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(halves, doses(ss=False)), min_size=1, max_size=4),
    lags,
    bioavailabilities,
    st.sampled_from([0, 1, 2]),
)
def test_further_doses_equal_the_doses_written_out(
    given: list[tuple[float, Record]], lag: float, F: float, ss: int
) -> None:
    (first, *rest) = [dataclasses.replace(r, time=t) for t, r in sorted(given, key=lambda dose: dose[0])]
    records = [
        dataclasses.replace(first, ss=ss, row=0),
        *(dataclasses.replace(r, row=i) for i, r in enumerate(rest, 1)),
    ]
    looks = [Record(50 + i, t) for i, t in enumerate((12.0, 18.5, 30.0, 41.0))]
    subject = Subject("1", tuple(sorted([*records, *looks], key=lambda r: r.time)))
    other = written_out(subject)
    if ss == 1 and other.records[0].row == -1:
        return
    seen = dict(zip([r.row for r in subject.records], simulate(subject, lag=lag, F=F), strict=True))
    again = dict(zip([r.row for r in other.records], simulate(other, lag=lag, F=F), strict=True))
    assert [seen[r.row] for r in looks] == pytest.approx([again[r.row] for r in looks], rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(doses(ss=False), min_size=1, max_size=4), st.lists(doses(), max_size=3), st.randoms(), lags)
def test_the_order_of_doses_at_one_time_does_not_matter(
    plain: list[Record], steady: list[Record], random: Any, lag: float
) -> None:
    """Plain doses among themselves, and steady-state records among themselves."""
    steady = [dataclasses.replace(r, evid=1, ss=r.ss or 2) for r in steady]
    looks = tuple(Record(0, t) for t in (6.0, 6.5, 9.0, 30.0))
    found = []
    for _ in range(2):
        rows = [dataclasses.replace(r, time=6.0) for r in (*steady, *plain)]
        found.append(simulate(Subject("1", (*rows, *looks)), lag=lag)[-4:])
        random.shuffle(plain)
        random.shuffle(steady)
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(doses(), st.sampled_from([0.25, 0.5]), lags, bioavailabilities)
def test_a_dose_may_be_split_over_two_records(dose: Record, part: float, lag: float, F: float) -> None:
    """Each part keeps the duration: its share of the rate, or a record of that duration."""
    shares = [
        dataclasses.replace(dose, amt=share * dose.amt, rate=share * dose.rate, evid=evid)
        for share, evid in ((part, dose.evid), (1 - part, 1))
    ]
    looks = tuple(Record(0, t) for t in (0.0, 0.5, 3.0, 12.0, 30.0))
    whole = simulate(Subject("1", (dose, *looks)), lag=lag, F=F)
    assert simulate(Subject("1", (*shares, *looks)), lag=lag, F=F)[1:] == pytest.approx(whole, rel=1e-9)


# --- the same properties through the engine ---------------------------------------------------------------------------

ENGINE = Model(OneCompartment)
PARAMETERS = dict.fromkeys(ENGINE.parameters, 0.0) | {"pk.ka": 1.0, "pk.CL": K, "pk.V": 1.0, "pk.F_depot": 1.0}
VARIED = ("pk.F_central", "pk.Tlag_central")
BLOCK = 12
# A lane that is larger than the others in every way, so that all blocks have one size and one compiled program.
LARGEST = Subject(
    "largest",
    (
        *(Record(i, 0.0, 1, 1.0, "pk.central", duration=24.0, ii=3.0, ss=2) for i in range(6)),
        *(Record(i, 0.5 + i, 1, 1.0, "pk.central", ii=3.0, ss=2) for i in range(16)),
        Record(99, 40.0, 1, 1.0, "pk.central", ii=0.25, addl=100),
        Record(99, 80.0),
    ),
)


def through_engine(cases: list[tuple[Subject, float, float]]) -> list[np.ndarray]:
    """The amount at the records of each subject with its lag and F, all as one block."""
    lag, F = (
        np.array([*column, fill]) for column, fill in zip(list(zip(*cases, strict=True))[1:], (0.0, 1.0), strict=True)
    )
    values = {**PARAMETERS, "pk.Tlag_central": lag, "pk.F_central": F}
    solved = event_lanes.run(ENGINE, values, [*(subject for subject, _, _ in cases), LARGEST], varied=VARIED)
    assert not solved.status.any()
    return [lane["pk.central"] for lane in solved.at_records(["pk.central"])[:-1]]


def alike(found: Any, expected: Any) -> Any:
    """Within a millionth, down to a billionth of the largest amount."""
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9 * max(1.0, *np.abs(expected)))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(subjects(), lags, bioavailabilities), min_size=BLOCK, max_size=BLOCK))
def test_any_table_through_the_engine_equals_the_sum_over_its_doses(cases: list[tuple[Subject, float, float]]) -> None:
    for found, case in zip(through_engine(cases), cases, strict=True):
        alike(found, superposed(*case))


AFTER = tuple(Record(50, t) for t in (18.5, 24.0, 30.0, 41.0))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Subject, Subject]:
    """Two tables that mean the same, with the records after all of their times in common."""
    kind = draw(st.sampled_from(["written out", "in another order", "split"]))
    if kind == "in another order":
        together = [dataclasses.replace(draw(doses(ss=False)), time=6.0) for _ in range(draw(st.integers(2, 4)))]
        return Subject("1", (*together, *AFTER)), Subject("1", (*draw(st.permutations(together)), *AFTER))
    dose = draw(doses(ss=kind == "split"))
    if kind == "written out":
        dose = dataclasses.replace(dose, ss=draw(st.sampled_from([0, 1, 2])))
        return Subject("1", (dose, *AFTER)), written_out(Subject("1", (dose, *AFTER)))
    part = draw(st.sampled_from([0.25, 0.5]))
    shares = [
        dataclasses.replace(dose, amt=share * dose.amt, rate=share * dose.rate, evid=evid)
        for share, evid in ((part, dose.evid), (1 - part, 1))
    ]
    return Subject("1", (dose, *AFTER)), Subject("1", (*shares, *AFTER))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(pairs(), lags, bioavailabilities), min_size=BLOCK // 2, max_size=BLOCK // 2))
def test_tables_that_mean_the_same_through_the_engine(
    cases: list[tuple[tuple[Subject, Subject], float, float]],
) -> None:
    """Implied doses written out, doses of one time in another order, a dose split over two records."""
    both = [(subject, lag, F) for pair, lag, F in cases for subject in pair]
    found = [
        [amount for amount, record in zip(amounts, subject.records, strict=True) if record.row == 50]
        for amounts, (subject, _, _) in zip(through_engine(both), both, strict=True)
    ]
    for one_, other in zip(found[::2], found[1::2], strict=True):
        alike(one_, other)


NUMBERS = ["", ".", "0", "1", "2", "0.5", "4", "12", "1e3"]
ODD = ["-1", "-2", "nan", "inf", "1e999", "x", "1e-300", "1e300", "99999", '"', "µ", " 7 "]
CELLS = {
    "ID": ["1", "1", "1", "2"],
    "TIME": ["0", "0", "1", "2.5", "12", "24"],
    "EVID": ["", "", "0", "1", "1", "2", "3", "4"],
    "CMT": ["", "1", "2", "pk.iv", "pk.central"],
    "RATE": ["", "", "0", "3", "-1", "-2"],
    "SS": ["", "", "", "0", "1", "2"],
    "ADDL": ["", "", "0", "2"],
    "AMT": ["", "5", "10"],
    "II": ["", "8", "12"],
}


@st.composite
def tables(draw: st.DrawFn) -> str:
    columns = draw(
        st.lists(st.sampled_from([*CELLS, "DV", "MDV", "dur", "until", "WT", "c"]), max_size=10, unique=True)
    )
    if draw(st.integers(0, 9)):
        columns = ["TIME", *(c for c in columns if c != "TIME")]
    odd = draw(st.sampled_from([0, 0, 3]))
    lines = [",".join(columns)]
    for _ in range(draw(st.integers(0, 6))):
        row = [draw(st.sampled_from(CELLS.get(c, NUMBERS) * 5 + ODD * (odd > 0))) for c in columns]
        lines.append(",".join(row[: draw(st.integers(len(row) - (odd > 0 and bool(row)), len(row)))]))
    if "TIME" in columns and odd == 0:
        i = columns.index("TIME")
        lines[1:] = sorted(lines[1:], key=lambda line: float(line.split(",")[i]))
    return "\n".join(lines)


OUTCOMES = {"read": 0, "refused": 0}


@settings(max_examples=1000, deadline=None)
@given(tables(), lags)
def test_a_random_table_gives_a_result_or_one_sentence(table: str, lag: float) -> None:
    refused = ""
    try:
        for subject in read(table, {"pk.k": "WT"} if "WT" in table and lag else {}):
            values = dose_values(subject, lag=lag, rate=2.0, duration=3.0)
            schedule: Schedule = expand(subject, values)
            assert sum(a.kind is Kind.OUTPUT for a in schedule.actions) == len(subject.records)
            assert np.isfinite(simulate(subject, lag=lag, rate=2.0, duration=3.0)).all()
    except InputError as error:
        refused = str(error)
    assert "\n" not in refused
    OUTCOMES["refused" if refused else "read"] += 1


def test_random_tables_came_out_both_ways() -> None:
    assert not sum(OUTCOMES.values()) or min(OUTCOMES.values()) > 100
