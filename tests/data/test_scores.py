"""Scores of a row, and the noise between sources, by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import pytest

from nanomg.data import observations, scores
from nanomg.data.observations import Row
from nanomg.data.scores import Score

RELATIVE = observations.Measure(cast(Any, None), "a.b", "at", 0.0, 1.0, baseline="ratio")


def score(predicted: float, **keys: Any) -> Score:
    return Score("d", Row("a", keys.pop("use", "validate"), **keys), predicted)


@pytest.mark.parametrize(
    ("found", "fold", "within", "passes"),
    [
        (score(1.2, value=1.0), 1.2, None, True),
        (score(0.5, value=1.0), 2.0, None, False),
        (score(-0.5, value=1.0), 10.0, None, False),
        (score(1.5, value=1.0, sd=0.3), 1.5, True, True),
        (score(2.1, value=1.0, sd=0.9), 2.1, True, False),
        (score(1.1, value=1.0, sd=0.04), 1.1, False, False),
        (score(1.5, value=1.0, low=0.5, high=1.4), 1.5, False, False),
        (score(0.6, low=0.5, high=1.4), math.nan, True, True),
        (score(0.4, low=0.5, high=1.4), math.nan, False, False),
        (score(0.4, value=0.5, bound="upper"), math.nan, True, True),
        (score(0.6, value=0.5, bound="upper"), math.nan, False, False),
        (score(0.4, value=0.5, bound="lower"), math.nan, False, False),
        (score(0.05, value=0.0, sd=0.1), math.nan, True, True),
        (score(0.6, value=1.0, sd=0.6), 1 / 0.6, True, True),
        (score(0.6, value=1.0, sd=0.6, how="difference"), math.nan, True, True),
        (score(-30.0, value=-40.0, how="change"), 4 / 3, None, False),
        (score(0.9, sign=-1, how="ratio"), math.nan, None, True),
        (score(1.0, sign=-1, how="ratio"), math.nan, None, False),
        (score(0.9, sign=1, how="difference"), math.nan, None, True),
        (score(0.9, sign=1, measure=RELATIVE), math.nan, None, False),
        (score(0.9, sign=1, measure=dataclasses.replace(RELATIVE, statistic="slope")), math.nan, None, True),
        (score(9.0, value=1.0, use="look"), 9.0, None, True),
    ],
)
def test_scores(found: Score, fold: float, within: bool | None, passes: bool) -> None:
    assert found.fold == pytest.approx(fold, nan_ok=True)
    assert found.within is within
    assert found.passes is passes


def test_the_noise_floor_compares_sources() -> None:
    rows = [
        Row("a", "look", "L/h", value=2.0, thing="clearance", source="one"),
        Row("b", "look", "L/h", value=4.0, thing="clearance", source="two"),
        Row("c", "look", "L/h", value=8.0, thing="clearance", source="two"),
        Row("d", "look", "L/h", value=900.0, thing="clearance", source="three", quality="recalled"),
        Row("e", "look", "L/h", value=900.0, thing="clearance", source="four", quality="computed"),
        Row("f", "look", "L/h", value=900.0, thing="clearance", source="five", quality="secondary"),
        Row("g", "look", "L/h", value=900.0, thing="clearance", source="six", bound="upper"),
        Row("h", "look", "L/h", value=900.0, thing="", source="seven"),
    ]
    assert scores.noise_floor(rows) == pytest.approx(math.sqrt(2.0 * 4.0))
    in_another_unit = dataclasses.replace(rows[2], unit="mL/h", value=8000.0)
    assert scores.noise_floor([*rows[:2], in_another_unit]) == pytest.approx(math.sqrt(2.0 * 4.0))
    assert math.isnan(scores.noise_floor(rows[:1]))
