"""Mistakes in event tables and in their options: one line that says where, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from program import Program
from textbook import MG, textbook, written

from nanomg.errors import InputError
from nanomg.jobs.simulate import run as simulate_run
from nanomg.simulation import event_runs

BROKEN = {
    "no such file": (None, r"doses\.csv: the event table cannot be read"),
    "unknown compartment": ("TIME AMT CMT CLR\n0 1 pk.centrl 4", r"row 2, column CMT: .*did you mean 'pk\.central'"),
    "negative amount": ("TIME AMT CMT CLR\n0 -1 2 4", r"row 2, column AMT: AMT must not be negative"),
    "time goes back": ("TIME AMT CMT CLR\n3 1 2 4\n0 . . 4", r"row 3, column TIME: time goes back"),
    "no value": ("TIME AMT CMT CLR\n0 1 2 .", r"row 2, column CLR: subject 1 has no value"),
    "no column": ("TIME AMT CMT WT\n0 1 2 70", r"bound to pk\.CL: there is no column 'CLR'"),
    "text in a bound column": ("TIME AMT CMT CLR\n0 1 2 much", r"row 2, column CLR: 'much' is not a finite number"),
    "negative parameter": ("TIME AMT CMT CLR\n0 1 2 4\n1 . . -4", r"row 3, column CLR: pk\.CL must be 0 or more"),
    "too large": ("TIME AMT CMT CLR\n0 1 2 1e308", r"row 2, column CLR: pk\.CL must be 0 or more, and finite"),
    "steady state without interval": ("TIME AMT CMT SS CLR\n0 1 2 1 4", r"row 2, column II: SS = 1 needs"),
    "no modelled rate": ("TIME AMT CMT RATE CLR\n0 1 2 -1 4", r"row 2, column RATE: RATE = -1 needs a modelled rate"),
    "no end": ("TIME AMT CMT CLR\n0 1 2 4\n1e9 . . .", r"more than 100000 steps"),
    "column to be added": ("TIME AMT CMT CLR PK.c\n0 1 2 4 1", r"doses\.csv: .*a column PK\.C already"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_mistake_in_a_table_is_one_line(what: str, program: Program, tmp_path: Path) -> None:
    text, told = BROKEN[what]
    events = written(tmp_path, text) if text else tmp_path / "doses.csv"
    name = textbook(tmp_path, '[columns]\n"pk.CL" = { column = "CLR", unit = "mL/s" }\n')
    code, out, err = program("simulate", name, "--events", events, "--records", tmp_path / "out.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(events) in err and re.search(told, err), err
    assert not (tmp_path / "out.csv").exists()


def test_a_value_above_the_highest_of_its_parameter(tmp_path: Path) -> None:
    (tmp_path / "mg.toml").write_text(MG + '[columns]\n"magnesium.F_im" = "ION"\n', encoding="utf-8")
    events = written(tmp_path, "TIME AMT CMT ION\n0 1 magnesium.iv 0.5\n1 . . 1.5")
    with pytest.raises(InputError, match=r"row 3, column ION: magnesium\.F_im must be between 0 and 1, not 1\.5"):
        simulate_run.simulate(str(tmp_path / "mg.toml"), events=events)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--events", "doses.csv", "--dose", "pk.depot: 1 mg"], "not both"),
        (["--records", "out.csv"], "--events"),
        (["--events", "doses.csv", "--records", "kept.csv"], "--force"),
        (["--events", "doses.csv", "-o", "kept.csv", "--force"], "a result is an HDF5 file"),
        (["--events", "doses.csv", "--records", "none/out.csv"], "does not exist"),
        (["--events", "doses.csv", "--records", "doses.csv", "--force"], "different files"),
        (["--events", "doses.csv", "-o", "./doses.csv", "--force"], "a result is an HDF5 file"),
        (["--events", "doses.csv", "--records", "out", "-o", "./out"], "different files"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str],
    told: str,
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(event_runs, "run", lambda *_: pytest.fail("checked only after computing"))
    for name in ("doses.csv", "kept.csv"):
        written(tmp_path, "TIME AMT CMT\n0 1 2", name)
    code, out, err = program("simulate", "textbook-1cpt", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert (tmp_path / "kept.csv").read_text() == (tmp_path / "doses.csv").read_text() == "TIME,AMT,CMT\n0,1,2\n"
