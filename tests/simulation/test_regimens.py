"""Doses as TOML, as text and in columns of a table, against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from textbook import ACCURATE, K, V, bolus, textbook, written

from nanomg.errors import InputError
from nanomg.jobs.optimize import run as optimize_run
from nanomg.jobs.simulate import run as simulate_run

BOUND = "TIME AMT CMT CLR\n0 70 2 50\n4 . . 100\n10 . . 25"
MINUTES = 60 / 1000  # L/h in one mL/min


@pytest.mark.parametrize(
    ("between", "clearance"),
    [
        ("nocb", lambda t: 100 * min(t, 4) + 25 * (t - min(t, 4))),
        ("locf", lambda t: 50 * min(t, 4) + 100 * (t - min(t, 4))),
        ("linear", lambda t: 75 * 4 + (100 + 25) / 2 * 6 if t == 10 else 75 * 4),
    ],
)
def test_a_column_sets_a_parameter_in_time(between: str, clearance: Callable[[float], float], tmp_path: Path) -> None:
    name = textbook(tmp_path, f'[columns]\n"pk.CL" = {{ column = "clr", between = "{between}", unit = "mL/min" }}\n')
    run = simulate_run.simulate(name, events=written(tmp_path, BOUND))
    expected = [70.0, *(70 * math.exp(-clearance(t) * MINUTES / V) for t in (4, 10))]
    assert run.tree["records"]["pk.central"].values == pytest.approx(expected, rel=5e-6)


def test_a_column_by_its_name_is_in_the_declared_unit(tmp_path: Path) -> None:
    name = textbook(tmp_path, '[columns]\n"pk.CL" = "CLR"\n"pk.F_central" = "BIO"\n')
    events = written(tmp_path, "ID TIME AMT CMT CLR BIO\n1 0 70 2 7 0.5\n1 5 . . . .\n2 0 70 2 3.5 1\n2 5 . . . .")
    run = simulate_run.simulate(name, events=events)
    expected = [35.0, 35 * bolus(5, 0.2), 70.0, 70 * bolus(5, 0.1)]
    assert run.tree["records"]["pk.central"].values == pytest.approx(expected, **ACCURATE)


def test_columns_do_nothing_without_a_table(tmp_path: Path) -> None:
    extra = '[columns]\n"pk.CL" = "CLR"\n[[dose]]\ncmt = "pk.central"\namt = "70 mg"\nss = 1\nii = "12 h"\n'
    run = simulate_run.simulate(textbook(tmp_path, extra))
    assert run.summary["signals"]["pk.central"]["initial"] == pytest.approx(70 / -math.expm1(-12 * K), **ACCURATE)


REGIMENS: dict[str, tuple[str, Callable[[float], float]]] = {
    "a bolus at steady state": (
        'cmt = "pk.central"\namt = "70 mg"\nii = "12 h"\nss = 1\naddl = 1',
        lambda t: 70 * (bolus(t) / -math.expm1(-12 * K) + bolus(t - 12)),
    ),
    "the same in words": (
        'cmt = "pk.central"\ntext = "70 mg q 12 h x 2 ss"',
        lambda t: 70 * (bolus(t) / -math.expm1(-12 * K) + bolus(t - 12)),
    ),
    "a constant infusion that ends": (
        'cmt = "pk.central"\namt = "0 mg"\nrate = "8 mg/h"\nss = 1',
        lambda t: 8 / K * bolus(t),
    ),
    "a reset": (
        'cmt = "pk.central"\ntext = "70 mg q 6 h x 4"\n[[dose]]\nevid = 3\ntime = "8 h"',
        lambda t: (70 * (bolus(t) + bolus(t - 6))) * (t < 8),
    ),
    "a reset and a dose": (
        'cmt = "pk.central"\ntext = "70 mg then 7 mg reset from 8 h"',
        lambda t: 70 * bolus(t) if t < 8 else 7 * bolus(t - 8),
    ),
    "a modelled rate": (
        'cmt = "pk.central"\namt = "70 mg"\nrate = "modelled"\n[parameters]\n"pk.rate_central" = "35 mg/h"',
        lambda t: 35 / K * (bolus(max(t - 2, 0)) - bolus(t)),
    ),
    "a modelled duration": (
        'cmt = "pk.central"\ntext = "70 mg over modelled"\n[parameters]\n"pk.duration_central" = "2 h"',
        lambda t: 35 / K * (bolus(max(t - 2, 0)) - bolus(t)),
    ),
    "a rate under bioavailability": (
        'cmt = "pk.central"\ntext = "70 mg rate 35 mg/h"\n[parameters]\n"pk.F_central" = 2',
        lambda t: 35 / K * (bolus(max(t - 4, 0)) - bolus(t)),
    ),
}


@pytest.mark.parametrize("what", REGIMENS)
def test_regimens_against_closed_forms(what: str, tmp_path: Path) -> None:
    text, expected = REGIMENS[what]
    name = textbook(tmp_path, f"[[dose]]\n{text}\n")
    run = simulate_run.simulate(name)
    assert not run.summary["status"]["failed"]
    series = run.tree["simulation"].to_dataset()["pk.central"][0, 0]
    at = [float(t) for t in series.time.values if t not in (2.0, 8.0)]
    values = [float(series.sel(time=t)) for t in at]
    assert values == pytest.approx([expected(t) for t in at], rel=1e-6, abs=1e-6)
    with pytest.raises(InputError, match="takes only single doses"):
        optimize_run.optimize(name)
