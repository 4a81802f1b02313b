"""Records expanded to actions: doses, steady states, resets and covariates against closed forms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from event_reference import K, one, response, simulate

from nanomg.dosing.record_columns import filled
from nanomg.dosing.schedule import Kind, action_times, covariate, delivery, dose_values, edges, expand
from nanomg.errors import InputError


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


def test_steady_records_at_one_time_are_taken_row_by_row() -> None:
    """Each SS = 1 wipes what the rows before it gave, each SS = 2 adds to it; intervals need no common multiple."""
    rows = {
        "48 1 10 . 24 . 1 .": (1, lambda t: 10 * math.exp(-K * (t - 48)) / -math.expm1(-K * 24)),
        "48 1 6 . 8.1 . 2 2": (2, lambda t: sum(response(6, 2, t - 48 - 8.1 * k) for k in range(-200, 1))),
        "48 1 3 . 12 . 1 30": (1, lambda t: sum(response(3, 30, t - 48 - 12 * k) for k in range(-200, 1))),
        "48 1 0 4 . . 2 .": (2, lambda t: 4 / K * math.exp(-K * (t - 48))),
    }
    times = (48.0, 49.0, 56.0, 80.0)
    for order in itertools.permutations(rows):
        subject = one(HEAD + "0 1 50 . . . . 60\n" + "\n".join(order) + at(*times))
        there = [lambda t: response(50, 60, t)]
        seen = []
        for row in order:
            ss, amount = rows[row]
            there = [amount] if ss == 1 else [*there, amount]
            seen.append(sum(one_amount(48.0) for one_amount in there))
        truth = [sum(one_amount(t) for one_amount in there) for t in times]
        assert simulate(subject)[1:] == pytest.approx([*seen, *truth], rel=1e-11), order


def test_steady_state_needs_a_lag_below_the_interval() -> None:
    subject = one(HEAD + "0 1 10 . 8 . 1 .")
    with pytest.raises(InputError, match=r"row 2, column SS: a steady state needs a lag below II = 8 h, not 8 h"):
        expand(subject, dose_values(subject, lag=8.0))


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
    assert [steady.record for steady in expand(subject, dose_values(subject)).steady] == [0, 1, 2]
    assert simulate(subject, outputs=(0.3,))[3] == pytest.approx(10 / -math.expm1(-K * 8))
    subject = one(HEAD + f"0.3 1 10 . 8 . 1 .\n{0.1 + 0.2} 1 10 . 8 . 2 .")
    assert simulate(subject, outputs=(0.3,))[2] == pytest.approx(20 / -math.expm1(-K * 8))
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
