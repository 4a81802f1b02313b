"""Optimal regimens of a bolus model, against closed forms: steep and flat objectives, kinks, limits of every kind."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nanomg.jobs.optimize import search
from nanomg.library import scenario_file
from nanomg.models import library

K, V = 4.0 / 35.0, 35.0  # of the textbook's drug [1/h, L]
SPAN = {"mechanisms": ["OneCompartment"], "cards": ["textbook"], "horizon": "48 h", "every": "1 h"}
DOSE = {"cmt": "pk.central", "statistic": "amount", "amount": "1 g", "weight": 1.0}
LEVEL = {"signal": "pk.C", "unit": "mg/L"}
CLOSE = {"statistic": "final", "function": "(x - 2)**2"} | LEVEL
FINAL = 2.0 * V * math.exp(K * 48.0)  # the bolus [mg] after which 2 mg/L are left after 48 h
PEAKS = [10.0 * V, 10.0 * V * -math.expm1(-12.0 * K)]  # two boluses, 12 h apart, both with a peak of 10 mg/L


def optimised(objective: list[dict[str, Any]], limits: list[dict[str, Any]] = [], **free: Any) -> search.Outcome:  # noqa: B006
    count = free.pop("count", 1)
    data = SPAN | {
        "dose": [{"cmt": "pk.central", "text": f"50 mg q 12 h x {count}"}],
        "objective": {f"term {i}": term for i, term in enumerate(objective)},
        "limit": [{"name": f"limit {i}", "signal": "pk.C"} | limit for i, limit in enumerate(limits)],
        "free": [{"cmt": "pk.central", "amount": ["1 mg", "50 g"], "time": ["0 h", "0 h"]} | free],
    }
    return search.find_optimum(scenario_file.compose("bolus", data, library()), seed=3)


def amounts(outcome: search.Outcome) -> list[float]:
    assert outcome.converged and outcome.feasible
    return [dose.amt for dose in outcome.doses]


@pytest.mark.parametrize("weight", [1e6, 1e-6])
def test_neither_a_steep_nor_a_flat_objective_moves_the_optimum(weight: float) -> None:
    assert amounts(optimised([CLOSE | {"weight": weight}])) == pytest.approx([FINAL], rel=1e-6)


@pytest.mark.parametrize(
    ("sign", "limit", "truth"),
    [
        (1.0, {"statistic": "final", "min": "2 mg/L"}, FINAL),
        (1.0, {"statistic": "time above", "level": "2 mg/L", "min": "12 h"}, 2.0 * V * math.exp(12.0 * K)),
        (1.0, {"statistic": "time below", "level": "2 mg/L", "max": "36 h"}, 2.0 * V * math.exp(12.0 * K)),
        (-1.0, {"statistic": "auc", "max": "100 mg/L*h"}, 400.0 / -math.expm1(-48.0 * K)),
        (-1.0, {"statistic": "mean", "max": "2 mg/L"}, 384.0 / -math.expm1(-48.0 * K)),
        (-1.0, {"statistic": "area above", "level": "10 mg/L", "max": "0 mg/L*h"}, 10.0 * V),
        (-1.0, {"max": "10 mg/L"}, 10.0 * V),
        (1.0, {"statistic": "change", "min": 0.0}, None),
    ],
)
def test_a_limit_is_reached_exactly(sign: float, limit: dict[str, Any], truth: float | None) -> None:
    """The least dose above a lower limit, or the largest below an upper one."""
    if truth is None:  # the level starts at the dose and falls: it never ends where it began
        assert not optimised([DOSE | {"weight": sign}], [limit]).feasible
        return
    assert amounts(optimised([DOSE | {"weight": sign}], [limit])) == pytest.approx([truth], rel=1e-5)


def test_a_limit_far_away_changes_nothing() -> None:
    assert amounts(optimised([CLOSE | {"weight": 1.0}], [{"max": "1 g/L"}])) == pytest.approx([FINAL], rel=1e-6)


def test_limits_that_exclude_each_other_are_not_feasible_and_not_converged() -> None:
    found = optimised([DOSE], [{"max": "1 mg/L"}, {"statistic": "final", "min": "2 mg/L"}])
    assert not found.feasible and not found.converged


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_optimum_at_a_bound_is_one(sign: float) -> None:
    bound = 1.0 if sign > 0 else 50_000.0
    assert amounts(optimised([DOSE | {"weight": sign}])) == pytest.approx([bound], rel=1e-9)


@pytest.mark.parametrize(
    ("terms", "limits", "tolerance"),
    [
        ([], [{"max": "10 mg/L"}], 1e-5),
        ([{"statistic": "area above", "level": "10 mg/L", "weight": 1e4} | LEVEL], [], 1e-3),
        ([{"statistic": "max", "function": "max(0, x - 10)", "weight": 1e4} | LEVEL], [], 1e-3),
    ],
)
def test_two_doses_reach_their_peaks_at_a_limit_or_a_wall(
    terms: list[dict[str, Any]], limits: list[dict[str, Any]], tolerance: float
) -> None:
    """As much drug as possible; a penalty of ten thousand makes a wall as narrow as a limit."""
    two = {"count": 2, "time": ["0 h", "12 h"], "interval": "12 h", "amount": ["1 mg", "2 g"]}
    found = optimised([DOSE | {"weight": -1.0}, *terms], limits, **two)
    assert amounts(found) == pytest.approx(PEAKS, rel=tolerance)


def test_a_curved_valley_is_followed_to_its_end() -> None:
    """A level of 2 mg/L at the end with a dose of 200 mg: amount and time trade off along a steep, curved valley."""
    terms = [CLOSE | {"weight": 1e4}, DOSE | {"amount": "100 mg", "function": "(x - 2)**2"}]
    found = optimised(terms, time=["0 h", "47 h"], amount=["1 mg", "2 g"])
    assert amounts(found) == pytest.approx([200.0], rel=1e-3)
    assert found.doses[0].time == pytest.approx(48.0 - math.log(200.0 / V / 2.0) / K, abs=0.01)
