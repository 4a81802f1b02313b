"""Doses, input windows and output times become intervals: order of ties, what acts where, and how much arrives by when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from nanomg.dosing.dose import Dose
from nanomg.simulation import lanes
from nanomg.solver import intervals

Window = tuple[float, float, float]  # start, stop, change


class Table(NamedTuple):
    """Intervals of one lane and channel as plain arrays, and the interval at whose end each output lies."""

    length: np.ndarray
    inflow: np.ndarray
    jump: np.ndarray
    forcing: np.ndarray
    output: np.ndarray


def made_of(doses: Sequence[Dose], output: Sequence[float], windows: Sequence[Window] = (), base: float = 0.0) -> Any:
    column = lambda rows: jnp.asarray(rows, float).reshape(-1, 1)
    return intervals.Events(
        bolus=np.array([d.duration == 0 for d in doses], bool),
        time=column([d.time for d in doses]),
        duration=column([d.duration or 1.0 for d in doses]),
        amount=column([d.amt for d in doses])[:, None],
        start=column([w[0] for w in windows]),
        stop=column([w[1] for w in windows]),
        change=column([w[2] for w in windows])[:, None],
        base=jnp.array([[base]]),
        output=column(output),
    )


def table(doses: Sequence[Dose], output: Sequence[float], windows: Sequence[Window] = (), base: float = 0.0) -> Table:
    found = made_of(doses, output, windows, base)
    order = jnp.asarray(intervals.order_of(intervals.edges(found)))
    between = intervals.intervals(found, order)
    count = int(between.used)
    rows = intervals.output_rows(order, len(output))[:, 0]
    inflow, jump, forcing = (np.asarray(a)[:count, 0, 0] for a in (between.inflow, between.jump, between.forcing))
    return Table(np.asarray(between.length)[:count, 0], inflow, jump, forcing, np.asarray(rows))


def arrived(found: Table) -> np.ndarray:
    """What has come in at each output."""
    return np.cumsum(found.jump + found.inflow * found.length)[found.output]


def test_an_output_at_the_time_of_a_bolus_comes_after_it() -> None:
    found = table([Dose(2.0, 5.0, "x")], [0.0, 2.0, 3.0])
    assert arrived(found).tolist() == [0.0, 5.0, 5.0]
    assert found.length[found.output[1]] == 0.0


def test_an_output_at_the_end_of_an_infusion_has_all_of_it() -> None:
    found = table([Dose(1.0, 6.0, "x", 2.0)], [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(arrived(found), [0.0, 3.0, 6.0, 6.0], atol=1e-15)
    assert found.inflow[found.output[3]] == 0.0


def test_doses_at_one_time_add_up() -> None:
    found = table([Dose(2.0, 1.0, "x"), Dose(2.0, 2.0, "x"), Dose(2.0, 4.0, "x", 1.0)], [1.9, 2.0, 2.5])
    np.testing.assert_allclose(arrived(found), [0.0, 3.0, 5.0])


def test_an_infusion_ends_before_the_next_one_starts() -> None:
    found = table([Dose(0.0, 1.0, "x", 1.0), Dose(1.0, 2.0, "x", 1.0)], [3.0])
    assert sorted(set(found.inflow)) == [0.0, 1.0, 2.0]


def test_overlapping_infusions_flow_together() -> None:
    found = table([Dose(0.0, 4.0, "x", 4.0), Dose(1.0, 4.0, "x", 2.0)], [4.0])
    at = np.cumsum(found.length) - found.length / 2
    expected = np.where((at > 1) & (at < 3), 3.0, 1.0)
    held = found.length > 0
    np.testing.assert_allclose(found.inflow[held], expected[held])


def test_edges_of_windows_join_the_grid() -> None:
    found = table([], [10.0], windows=[(2.0, 5.0, 0.5), (4.0, 6.0, 1.0)], base=1.0)
    assert np.cumsum(found.length).tolist() == [2.0, 4.0, 5.0, 6.0, 10.0]
    assert found.forcing.tolist() == [1.0, 1.5, 2.5, 2.0, 1.0]


def test_windows_that_touch_do_not_add_up() -> None:
    found = table([], [6.0], windows=[(0.0, 3.0, 1.0), (3.0, 6.0, 2.0)])
    assert found.forcing[found.length > 0].tolist() == [1.0, 2.0]


def test_intervals_are_padded_to_a_multiple() -> None:
    found = made_of([Dose(1.0, 1.0, "x")], [0.0, 2.0, 3.0])
    between = intervals.intervals(found, jnp.asarray(intervals.order_of(intervals.edges(found))))
    assert int(between.used) == 4 and between.length.shape == (32, 1)
    for part in between[1:]:
        assert not np.asarray(part)[4:].any()
    many = made_of([], list(range(40)))
    assert intervals.intervals(many, jnp.asarray(intervals.order_of(intervals.edges(many)))).length.shape == (64, 1)


def test_each_lane_has_its_own_order() -> None:
    one = made_of([Dose(1.0, 1.0, "x"), Dose(2.0, 2.0, "x")], [3.0])
    both = one._replace(
        time=np.array([[1.0, 2.0], [2.0, 1.0]]),
        duration=np.ones((2, 2)),
        amount=np.repeat(one.amount, 2, 2),
        start=np.zeros((0, 2)),
        stop=np.zeros((0, 2)),
        change=np.zeros((0, 1, 2)),
        base=np.zeros((1, 2)),
        output=np.array([[3.0, 3.0]]),
    )
    between = intervals.intervals(both, jnp.asarray(intervals.order_of(intervals.edges(both))))
    assert np.asarray(between.jump)[:3, 0].tolist() == [[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]]


# Halves of an hour make ties frequent; numbers of doses and outputs are fixed, so that nothing compiles again.
TIMES = st.integers(0, 12).map(lambda n: n / 2)
AMOUNTS = st.integers(0, 9).map(float)
BOLUSES = st.lists(st.builds(Dose, TIMES, AMOUNTS, st.just("x")), min_size=2, max_size=2)
INFUSIONS = st.lists(
    st.builds(Dose, TIMES, AMOUNTS, st.just("x"), TIMES.map(lambda d: d + 0.5)), min_size=3, max_size=3
)


@settings(max_examples=100, deadline=None)
@given(
    doses=st.tuples(BOLUSES, INFUSIONS).map(lambda both: [*both[0], *both[1]]),
    output=st.lists(TIMES, min_size=4, max_size=4).map(sorted),
    windows=st.lists(st.tuples(TIMES, TIMES), min_size=2, max_size=2),
)
def test_what_has_arrived_by_each_output(
    doses: list[Dose], output: list[float], windows: list[tuple[float, float]]
) -> None:
    spans = [(min(w), max(w) + 0.5, 1.0) for w in windows]
    found = table(doses, output, spans)
    expected = [sum(d.amt * share_given(d, t) for d in doses) for t in output]
    np.testing.assert_allclose(arrived(found), expected, atol=1e-12)
    np.testing.assert_allclose(np.cumsum(found.length)[found.output], output, atol=1e-12)
    open_time = [sum(min(max(t - start, 0.0), stop - start) for start, stop, _ in spans) for t in output]
    np.testing.assert_allclose(np.cumsum(found.forcing * found.length)[found.output], open_time, atol=1e-12)


def share_given(dose: Dose, time: float) -> float:
    if dose.duration == 0:
        return float(time >= dose.time)
    return min(max((time - dose.time) / dose.duration, 0.0), 1.0)


def test_output_times_hold_the_grid_the_doses_and_just_before_them() -> None:
    times = lanes.output_times(48.0, 6.0, [Dose(10.0, 1.0, "x"), Dose(20.0, 1.0, "x", 2.5)])
    assert (np.diff(times) > 0).all() and times[0] == 0.0 and times[-1] == 48.0
    assert set(np.arange(0.0, 48.1, 6.0)) | {10.0, 20.0, 22.5} <= set(times)
    assert np.abs(times - (10.0 - 1e-6)).min() < 1e-9


@pytest.mark.parametrize("every", [5.0, 7.0, 100.0])
def test_the_grid_ends_at_the_horizon(every: float) -> None:
    times = lanes.output_times(48.0, every)
    assert times[-1] == 48.0 and (np.diff(times) > 0).all()
