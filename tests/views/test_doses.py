"""Tables of doses in a report, and doses at the bounds of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from read_page import SHIPPED, facts_of, said, texts, warned

from nanomg.jobs.sweep import axes as sweep_axes
from nanomg.library import event_doses, scenario_file
from nanomg.library.toml import load_toml
from nanomg.page.blocks import Table
from nanomg.results import groups as results_groups
from nanomg.views import doses as views_doses


def bounded(amount: Sequence[Any], time: Sequence[Any], amounts: Sequence[float]) -> list[str]:
    """Warnings of an optimum of the textbook with doses of these amounts [mg], a day apart from 0 on."""
    data = dict(load_toml(SHIPPED.scenarios["textbook-1cpt"]))
    data["free"] = [{"cmt": "pk.depot", "amount": list(amount), "time": list(time)}]
    data["objective"] = {"level": {"signal": "pk.C", "unit": "mg/L", "statistic": "mean", "weight": 1.0}}
    config = scenario_file.compose("bounded", data, SHIPPED).config
    rows = [{"cmt": "pk.depot", "unit": "mg", "amt": a, "time_h": 24.0 * i} for i, a in enumerate(amounts)]
    facts = facts_of(config, {"objective": 1.0, "regimen": rows, "feasible": True})
    return [text for text in warned(facts) if "bound" in text]


@pytest.mark.parametrize(
    ("amount", "time", "amounts", "told"),
    [
        (["0 mg", "0.2 g"], ["0 d", "4 d"], (199.9, 120.0), ["1 of 2 doses", "upper bound of the amount (200 mg)"]),
        ([0, "200 mg"], ["0 d", "4 d"], (199.9, 199.9), ["2 of 2 doses", "upper bound of the amount (200 mg)"]),
        (["0 mg", "200 mg"], [0, "6 d"], (0.5, 100.0), []),
        (["50 mg", "200 mg"], [0, "6 d"], (50.5, 100.0), ["1 of 2 doses", "lower bound of the amount (50 mg)"]),
        (["5 mg", "5 mg"], [0, "6 d"], (5.0, 5.0), []),
        ([0, "200 mg"], [0, "1 d"], (20.0, 20.0), ["1 of 2 doses", "upper bound of the time (24 h)"]),
    ],
)
def test_doses_at_their_bounds_are_told(
    amount: list[Any], time: list[Any], amounts: tuple[float, ...], told: list[str]
) -> None:
    found = bounded(amount, time, amounts)
    assert len(found) == bool(told)
    assert all(part in found[0] for part in told)


def test_bounds_as_a_mass_of_salt_are_told() -> None:
    """24 g of MgSO4.7H2O are 97.4 mmol."""
    config = scenario_file.load("human-nsclc-iv-mgso4", SHIPPED).config
    dose = {"cmt": "magnesium.iv", "unit": "mmol", "amt": 97.0, "time_h": 24.0}
    found = warned(facts_of(config, {"objective": 1.0, "regimen": [dose]}))
    assert any("1 of 1 doses" in text and "upper bound of the amount (97.3" in text for text in found)


def test_bounds_that_cannot_be_read_are_told() -> None:
    config = {"file": {"free": [{"cmt": "a.b", "amount": [0, "1 mg"]}], "mechanisms": ["Gone"]}}
    assert any("Unknown whether" in text for text in warned(facts_of(config, {"objective": 1.0, "regimen": []})))


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([0.0], "day 1"),
        ([24.0, 192.0], "days 2, 9"),
        ([30.0], "day 2 + 6 h"),
        ([0.0, 30.0], "day 1; day 2 + 6 h"),
        ([24.0 * i for i in range(9)], "day 1 to day 9, every 1 d"),
        ([float(i) for i in range(6)], "day 1 to day 1 + 5 h, every 1 h"),
    ],
)
def test_days(times: list[float], told: str) -> None:
    assert views_doses.days(times) == told


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ("1,100,1,10,0,0,", ("100", "over 10 h, at 10 mg/h")),
        ("1,0,1,5,0,1,", ("", "at 5 mg/h all the time before, until now")),
        ("1,100,1,-1,0,0,", ("100", "at a modelled rate")),
        ("1,100,1,-2,0,0,", ("100", "over a modelled duration")),
        ("1,100,1,0,0,0,3", ("100", "over 3 h")),
        ("1,100,1,0,12,2,", ("100", "at once", "yes, added to the current amounts")),
        ("4,50,1,0,0,0,", ("50", "at once, after a reset: every state is set to 0")),
        ("3,,,,,,", ("reset: every state is set to 0",)),
        ("1,50,2,10,0,0,", ("50", "over 5 h, times its bioavailability, at 10 mg/h")),
    ],
)
def test_records_say_how_they_are_given(record: str, told: tuple[str, ...]) -> None:
    changes = {"pk.rate_depot": "5 mg/h", "pk.duration_depot": "2 h", "pk.F_central": 0.5}
    scenario = scenario_file.load("textbook-1cpt", SHIPPED, changes)
    table = f"TIME,EVID,AMT,CMT,RATE,II,SS,DUR\n0,{record}\n"
    subjects = event_doses.subjects_in(scenario, {"text": table}, "doses.csv")[0]
    doses = results_groups.doses({"as given": results_groups.record_rows(scenario, subjects)})
    facts = facts_of(scenario.config, {}, doses=doses, parameters=results_groups.parameters(scenario))
    (table_of_doses,) = (block for block in views_doses.blocks(facts) if isinstance(block, Table))
    cells = [*texts(table_of_doses.rows[0])]
    assert [text for text in told if text] == [cell for cell in cells if cell in told and cell]


@pytest.mark.parametrize(
    ("axis", "told"),
    [
        ("dose.amount=50,100 mg", "varies the amount of each dose into pk.depot: 50, 100 mg."),
        ("dose.scale=0.1..10:log:20", "varies the scale of doses into pk.depot: 20 values from 0.1 to 10."),
        ("pk.CL=1,2 L/h", ""),
    ],
)
def test_a_sweep_says_what_it_varies_of_the_doses(axis: str, told: str) -> None:
    scenario = scenario_file.load("textbook-1cpt", SHIPPED)
    laid = sweep_axes.lay_out([axis], scenario)
    status = xr.Variable(tuple(laid.dims), np.zeros(tuple(laid.dims.values()), np.int8))
    sweep = xr.Dataset({"status": status}, laid.coords)
    doses = results_groups.doses({"as given": results_groups.dose_rows(scenario, scenario.doses)})
    facts = facts_of(scenario.config, {}, sweep=sweep, doses=doses, parameters=results_groups.parameters(scenario))
    text = said(views_doses.blocks(facts))
    assert "100" in text and ("which the sweep varies" in text) == bool(told) and told in text
