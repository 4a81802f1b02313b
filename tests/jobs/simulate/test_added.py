"""Time after dose, occasion and residual error in the records: against the moments of the error models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import Program
from textbook import ACCURATE, bolus, rows_of, textbook, written

import nanomg
from nanomg.errors import InputError

EVENTS = "ID TIME AMT CMT II ADDL\n1 0 70 2 12 1\n1 6 . . . .\n1 12 . . . .\n2 1 . . . ."


def test_time_after_dose_and_occasion_in_records(program: Program, tmp_path: Path) -> None:
    out, result = tmp_path / "out.csv", tmp_path / "run.h5"
    events = written(tmp_path, EVENTS)
    told = program(
        "simulate",
        textbook(tmp_path),
        "--events",
        events,
        "--records",
        out,
        "--add",
        "TAD",
        "--add",
        "OCC",
        "-o",
        result,
    )
    assert told.code == 0, told.err
    header, rows = rows_of(out)
    at = [header.index(name) for name in ("TAD", "OCC", "pk.C")]
    assert [[row[i] for i in at[:2]] for row in rows] == [["0.0", "1.0"], ["6.0", "1.0"], ["0.0", "2.0"], ["", "0.0"]]
    assert [float(row[at[2]]) for row in rows] == pytest.approx([2, 2 * bolus(6), 2 * bolus(12) + 2, 0], **ACCURATE)
    records = nanomg.open(result)["records"]
    assert records["TAD"].attrs["units"] == "h" and records["OCC"].values.tolist() == [1, 1, 2, 0]


@pytest.mark.parametrize(
    ("text", "relative", "additive"),
    [("15 %", 0.15, 0.0), ("0.1 mg/L", 0.0, 0.1), ("0.1 mg/L + 15%", 0.15, 0.1), ("100 ug/L", 0.0, 0.1)],
)
def test_a_residual_error_has_its_moments(text: str, relative: float, additive: float, tmp_path: Path) -> None:
    """4000 records of one value y: mean y and variance (relative y)^2 + additive^2, within four standard errors."""
    values = observed(tmp_path, f"pk.C: {text}")
    spread = np.hypot(relative * 2.0, additive)
    assert values.mean() == pytest.approx(2.0, abs=4 * spread / np.sqrt(len(values)))
    assert values.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * len(values)))


def test_a_log_normal_error_has_its_moments(tmp_path: Path) -> None:
    logs = np.log(observed(tmp_path, "pk.C: log 30 %") / 2.0)
    assert logs.mean() == pytest.approx(0.0, abs=4 * 0.3 / np.sqrt(len(logs)))
    assert logs.std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * len(logs)))


def observed(folder: Path, *errors: str, seed: int = 0) -> np.ndarray:
    """pk.C with residual error at 4000 subjects' first records, where it is 2 mg/L."""
    events = written(folder, "ID TIME AMT CMT\n" + "\n".join(f"{i} 0 70 2" for i in range(4000)))
    out = folder / "out.csv"
    nanomg.simulate(textbook(folder), events=events, records=out, error=errors, seed=seed, force=True)
    header, rows = rows_of(out)
    return np.array([float(row[header.index("pk.C.observed")]) for row in rows])


def test_the_same_seed_gives_the_same_errors(tmp_path: Path) -> None:
    first = observed(tmp_path, "pk.C: 15 %", seed=4)
    both = observed(tmp_path, "pk.central: 3 mg", "pk.C: 15 %", seed=4)
    assert first.tolist() == both.tolist() and (first != observed(tmp_path, "pk.C: 15 %", seed=5)).all()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"error": ["pk.C 15 %"]}, r"--error: 'pk.C 15 %' is not OUTPUT: ERROR"),
        ({"error": ["pk.D: 15 %"]}, r"--error: there is no output 'pk.D'; did you mean 'pk.C'"),
        ({"error": ["pk.C: 15 %", "pk.C: 1 mg/L"]}, r"the error of pk.C is there twice"),
        ({"error": ["pk.C: 15 % + 10 %"]}, r"there are two proportional errors"),
        ({"error": ["pk.C: log 1 mg/L"]}, r"a log-normal error is a percentage"),
        ({"error": ["pk.C: -15 %"]}, r"an error must be 0 or more"),
        ({"error": ["pk.C: 15 mg"]}, r"--error, pk.C: the unit 'mg' cannot be converted to 'mg/L'"),
        ({"error": ["pk.C: much"]}, r"'much' is not a number with a unit"),
        ({"add": ["TAD", "TAD"]}, r"--add: a column is there twice"),
        ({"add": ["OCCASION"]}, r"--add: there is no column to add 'OCCASION'; known: OCC, TAD"),
        ({"seed": -1}, r"--seed: a seed is a whole number"),
    ],
)
def test_what_cannot_be_added(asked: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        nanomg.simulate(textbook(tmp_path), events=written(tmp_path, EVENTS), **asked)


def test_columns_that_are_there_or_have_no_records(tmp_path: Path) -> None:
    for option, value in (("add", "TAD"), ("error", "pk.C: 15 %")):
        with pytest.raises(InputError, match=f"--{option}: it is for the records of an event table"):
            nanomg.simulate(textbook(tmp_path), **{option: [value]})  # type: ignore[arg-type]
    events = written(tmp_path, "TIME AMT CMT tad\n0 70 2 .")
    with pytest.raises(InputError, match="has a column TAD already"):
        nanomg.simulate(textbook(tmp_path), events=events, records=tmp_path / "out.csv", add=["TAD"])
