"""Mistakes in one sentence, and the names that were probably meant."""

from __future__ import annotations

import doctest

import pytest

from nanomg import errors, models
from nanomg.errors import InputError, nearest, unknown

LIBRARY = models.library()


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("Mouse-MC38", "mouse-mc38-iv"),  # case does not count, and the shortest of several comes first
        ("mouse-mc38-dep", "mouse-mc38-depot"),
        ("mgso4", "human-mgso4"),
        ("human-nslc-iv", "human-nsclc-iv"),
        ("TEXTBOOK-2CPT", "textbook-2cpt"),
    ],
)
def test_the_scenario_that_was_meant(typed: str, first: str) -> None:
    assert nearest(typed, LIBRARY.scenarios)[0] == first


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("tumor", "tumour.g"),
        ("tumor.volume", "tumour.volume"),
        ("volume", "tumour.volume"),
        ("gfr", "magnesium.GFR"),
        ("magnesium.GRF", "magnesium.GFR"),
    ],
)
def test_the_quantity_that_was_meant(typed: str, first: str) -> None:
    names = {
        name
        for mechanism in LIBRARY.mechanisms.values()
        for table in (mechanism.parameters(), mechanism.states, mechanism.signals)
        for name in table
    }
    assert nearest(typed, names)[0] == first


def test_beginnings_come_before_names_that_are_merely_alike() -> None:
    assert nearest("mous", ["house", "mouse-ct26-anti-pd1", "moos"]) == ["mouse-ct26-anti-pd1"]


def test_the_sentence() -> None:
    assert (
        unknown("card", "b", ["ba", "bb", "bc", "bd"]).message
        == "there is no card 'b'; did you mean 'ba', 'bb' or 'bc'?"
    )
    assert unknown("card", "b", ["ba", "c"], "file").where == "file"
    assert unknown("card", "zz", []).message == "there is no card 'zz'; known: none"
    many = unknown("card", "9", [f"name{i:02}" for i in range(20)]).message
    assert "name11, …" in many and "name12" not in many
    assert isinstance(unknown("card", "", ["mouse"]), InputError)


def test_examples() -> None:
    assert doctest.testmod(errors).failed == 0
