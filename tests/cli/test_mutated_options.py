"""Options changed at random from a seed: every command has a result, or says in one line what is wrong."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from mutants import changed_text, fault_of, sentence_of
from program import Outcome, Program

TABLE = "ID,TIME,DV,AMT\n1,0,0,100\n1,1,2.2,.\n1,2,2.4,.\n1,4,2.0,.\n1,8,1.3,.\n1,24,0.3,.\n"
LINES = (
    ("simulate", "textbook-1cpt", "--set", "pk.CL=3 L/h", "--dose", "pk.depot: 100 mg q 24 h x 2"),
    ("simulate", "textbook-2cpt", "--dose", "pk.central: 100 mg over 2 h at 0, 12 h", "--set", "pk.V=20 L"),
    ("simulate", "textbook-1cpt", "--dose", "pk.central: 10 mg q 12 h x 4 ss", "--precision", "float32", "--engine", "auto"),
    ("sweep", "textbook-1cpt", "--vary", "pk.CL=1..10 L/h:log:4", "--keep", "pk.C:max", "--rtol", "3e-5", "--device", "cpu"),
    ("sweep", "textbook-1cpt", "--vary", "dose.amount=10,20 mg", "--keep", "pk.C:auc", "--memory", "500 MB", "--seed", "1"),
    ("sweep", "textbook-1cpt", "--vary", "dose.interval=6..24 h:3", "--keep", "time of max pk.C", "--keep", "pk.C:series"),
    ("nca", "table.csv", "--dose", "100 mg", "--route", "extravascular", "--interval", "0..4 h", "--lloq", "0.1 mg/L"),
    ("nca", "table.csv", "--dose", "100 mg", "--tau", "24 h", "--since", "0 h", "--method", "log", "--tolerance", "1e-4"),
    ("nca", "run.h5", "--port", "pk.depot", "--interval", "1..4 h"),
    ("compare", "run.h5", "other.h5"),
    ("doctor", "run.h5", "--regimen", "as given"),
    ("summary", "run.h5", "--top", "2"),
    ("show", "pk.CL"),
    ("list", "scenarios"),
    ("cite", "mouse"),
    ("schema", "simulate"),
)  # fmt: skip
WORDS = (
    "pk.C",
    "pk.CL",
    "pk.depot",
    "max",
    "auc",
    "H1",
    "as given",
    "mg",
    "textbook-2cpt",
    "mouse",
    "log",
    "native",
    "gpu",
    "none",
)
MORE = (*WORDS, "--json", "--force", "--id", "--events", "/dev/null", "--library", ".")


def mutant(rng: Random) -> list[str]:
    """A command line in which one or two words are changed, repeated, missing or too many."""
    line = list(rng.choice(LINES))
    for _ in range(rng.choice((1, 1, 2))):
        at, kind = rng.randrange(1, len(line)), rng.random()
        if kind < 0.75:
            line[at] = changed_text(line[at], rng, WORDS)
        elif kind < 0.85 and len(line) > 2:
            del line[at]
        else:
            line.insert(at, rng.choice(MORE if kind < 0.95 else line[1:]))
    return line


@pytest.mark.parametrize("mutants", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_a_command_has_a_result_or_one_line(
    mutants: int, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text(TABLE)
    for name, amount in (("run.h5", 100), ("other.h5", 50)):
        assert program("simulate", "textbook-1cpt", "--dose", f"pk.depot: {amount} mg", "-o", name).code == 0
    outcomes: list[Outcome] = []
    for seed in range(mutants):
        line = mutant(Random(seed))
        sentence_of(lambda line=line: outcomes.append(program(*line)), line)
        code, out, err = outcomes[-1]
        assert code in (0, 1, 2) and not (code == 2 and err.count("\n") != 1), (line, code, err)
        assert not fault_of(" ".join(err.splitlines())) and fault_of(" ".join(out.splitlines())) in ("", "too long"), (
            line
        )
    assert 0.02 * mutants < sum(outcome.code == 0 for outcome in outcomes) < 0.6 * mutants
