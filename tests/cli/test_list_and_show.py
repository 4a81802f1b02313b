"""`nanomg list` and `nanomg show`: what there is, and what each name means; the shell's completion of names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import Program

from nanomg import models

SCENARIO = "mouse-mc38-depot"


def test_list(program: Program, tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mine.toml").write_text('title = "My own"\nspecies = "rat"\n')
    arguments = ("list", "--library", str(tmp_path))
    entries = {entry["name"]: entry for entry in json.loads(program(*arguments, "--json").out)}
    assert entries["mine"] == {"name": "mine", "title": "My own", "species": "rat", "kind": "simulate"}
    assert entries[SCENARIO]["kind"] == "optimize"
    out = program(*arguments).out
    assert all(entry["title"] in out for entry in entries.values())
    assert [line for line in out.splitlines() if line in ("Human", "Mouse", "Rat")] == ["Human", "Mouse", "Rat"]
    assert out.partition("\nRat\n")[2].startswith("mine ")


@pytest.mark.parametrize("shelf", ["cards", "populations", "mechanisms"])
def test_list_of_other_things(program: Program, shelf: str) -> None:
    known = getattr(models.library(), shelf)
    entries = json.loads(program("list", f"--{shelf}", "--json").out)
    assert [entry["name"] for entry in entries] == sorted(known)
    out = program("list", f"--{shelf}").out
    assert all(f"\n{name} " in f"\n{out}" for name in known)


def test_list_of_signals(program: Program) -> None:
    shelf = models.library()
    entries = {entry["name"]: entry for entry in json.loads(program("list", "--signals", "--json").out)}
    assert entries.keys() == {name for mechanism in shelf.mechanisms.values() for name in mechanism.signals}
    volume = shelf.mechanisms["Tumour"].signals["tumour.volume"]
    assert entries["tumour.volume"]["unit"] == volume.unit
    assert "Tumour" in entries["tumour.volume"]["mechanisms"]
    (line,) = [line for line in program("list", "--signals").out.splitlines() if line.startswith("tumour.volume ")]
    assert volume.text in line
    assert "one list at a time" in program("list", "--signals", "--cards").err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (SCENARIO, ["Doses", "Outputs", "Objective", "Limits", "Free doses", "Values", "magnesium.GFR", "mL/h"]),
        ("AntiPD1", ["States", "pd1.central", "Signals", "pd1.RO", "Ports", "pd1.iv", "Parameters", "rmp1-14"]),
        ("rmp1-14", ["Values", "pd1.CL", "basis", "source"]),
    ],
)
def test_show(program: Program, name: str, words: list[str]) -> None:
    code, out, err = program("show", name)
    assert (code, err) == (0, "")
    assert all(word in out for word in words)
    found = json.loads(program("show", name, "--json").out)
    assert found["name"] == name
    value = next(iter(found["parameters"].values()))["values"][0]
    assert {"value", "unit", "low", "high", "basis", "source", "note", "card"} <= value.keys()


@pytest.mark.parametrize("kind", ["states", "signals", "constants", "inputs", "ports"])
def test_show_explains_every_declared_name(program: Program, kind: str) -> None:
    name, declared, owner = next(
        (name, declared, owner)
        for owner, mechanism in models.library().mechanisms.items()
        for name, declared in getattr(mechanism, kind).items()
        if name not in mechanism.states or kind == "states"
    )
    found = json.loads(program("show", name, "--json").out)
    assert kind.removesuffix("s") in found["kind"]
    assert (found["unit"], found["title"]) == (declared.unit, declared.text)
    assert owner in found["mechanisms"]
    assert declared.text in program("show", name).out


def test_show_has_every_declaration_of_a_name_with_its_unit(program: Program, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from nanomg import AbstractMechanism, Var\n\n\n"
        "class Mine(AbstractMechanism):\n"
        '    """A compartment whose drug is counted in moles."""\n\n'
        '    name = "mine"\n'
        '    states = {"pk.central": Var("umol", "drug of mine")}\n\n'
        "    def fluxes(self, x):\n"
        "        return []\n"
    )
    arguments = ("show", "pk.central", "--library", str(tmp_path))
    declared = {entry["mechanism"]: entry for entry in json.loads(program(*arguments, "--json").out)["declarations"]}
    assert (declared["Mine"]["unit"], declared["Mine"]["text"]) == ("umol", "drug of mine")
    assert declared["OneCompartment"]["unit"] == "mg"
    out = program(*arguments).out
    assert "unit: µmol or mg" in out and "drug of mine" in out and "drug in" in out
    assert "Declared by" not in program("show", "magnesium.GFR").out


def test_show_gives_a_parameter_from_each_card(program: Program) -> None:
    shelf = models.library()
    found = json.loads(program("show", "magnesium.GFR", "--json").out)
    given = {value["card"]: value["value"] for value in found["parameters"]["magnesium.GFR"]["values"]}
    cards = [shelf.card(name) for name in shelf.cards]
    assert given == {
        card.name: card.parameters["magnesium.GFR"].value for card in cards if "magnesium.GFR" in card.parameters
    }
    assert len(given) > 1
    assert SCENARIO in found["scenarios"]
    assert "textbook-1cpt" not in found["scenarios"]
    assert all(card in program("show", "magnesium.GFR").out for card in given)


def test_show_populations_and_observation_tables(program: Program) -> None:
    population = json.loads(program("show", "human-renal", "--json").out)
    assert population["covariates"]["weight"]["unit"] == "kg"
    assert "soares2013" in program("show", "human-renal").out
    table = json.loads(program("show", "t-cell", "--json").out)
    assert "halle2016" in {row["source"] for row in table["observations"]}
    out = program("show", "t-cell").out
    assert all(row["quantity"] in out for row in table["observations"])


def test_the_shell_completes_names_without_the_engine() -> None:
    code = "import sys, atexit; atexit.register(lambda: print('jax' in sys.modules)); "
    code += "from nanomg.cli.main import app; app()"

    def complete(line: str) -> list[str]:
        asked = {"_NANOMG_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert complete("nanomg simulate mouse-mc38-de") == [SCENARIO, "False"]
    assert {"human-renal", "human-mgso4", "human"} < {*complete("nanomg show human")}
    assert {"magnesium.GFR", "magnesium.total", "False"} < {*complete("nanomg show magnesium.")}
    of_scenario = complete("nanomg simulate textbook-1cpt --set pk.")
    assert {"pk.CL=", "pk.V="} < {*of_scenario}
    assert complete("nanomg simulate textbook-1cpt --set magnesium.") == ["False"]


def test_a_port_names_the_port_for_the_same_mg_unencapsulated(program: Program) -> None:
    assert "port for the same Mg unencapsulated: magnesium.iv\n" in program("show", "liposome.iv").out
