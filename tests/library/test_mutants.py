"""Ten thousand files with something wrong in them, at random from a seed: each loads, or is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from mutants import mutant_of, sentence_of

import nanomg
from nanomg.data import observations, studies
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.population.population_file import load_population

LIBRARY = library()
NAMES = [f'"{name}"' for shelf in (LIBRARY.cards, LIBRARY.mechanisms, LIBRARY.scenarios) for name in shelf][::3]
NAMES += ['"pk.C"', '"pk.depot"', '"pk.CL"', '"magnesium.total"', '"tumour.volume"', '"magnesium.GFR"']
SUBJECTS_OF = {"mouse": "mouse-mc38-depot", "human": "human-nsclc-iv"}

# Doses of every form, limits and an objective, which the textbook's scenarios lack.
MORE = """
[[dose]]
cmt = "pk.central"
amt = "10 mg"
time = "6 h"
rate = "2 mg/h"
ii = "12 h"
addl = 2
ss = 1

[[dose]]
cmt = "pk.central"
text = "10 mg over 2 h q 8 h x 3 from 1 h"

[parameters]
"pk.CL" = "3 L/h"

[[limit]]
name = "low enough"
signal = "pk.C"
max = "2 mg/L"

[objective]
"exposure" = { signal = "pk.C", unit = "mg/L", statistic = "mean", weight = -1.0 }
"""


class Kind(NamedTuple):
    """Files of one kind, how one is read, and how many mutants of them are tried."""

    files: tuple[str, ...]
    read: Callable[[Path], Any]
    mutants: int


def population(path: Path) -> object:
    return load_population(str(path), LIBRARY, scenario_file.load(SUBJECTS_OF[path.stem.partition("-")[0]], LIBRARY))


KINDS = {
    "scenarios": Kind(
        ("textbook-1cpt", "textbook-2cpt", "mouse-mc38-depot", "human-mgso4", "human-lbcl-cart", "mouse-influenza"),
        lambda path: scenario_file.load(str(path), LIBRARY),
        5000,
    ),
    "cards": Kind(
        ("textbook", "mc38", "lfa1", "rmp1-14", "liposome-mouse", "organs-mouse"),
        lambda path: LIBRARY.card(str(path)),
        2500,
    ),
    "populations": Kind(("mouse-c57bl6", "human-adults", "human-cancer", "human-renal"), population, 1500),
    "observations": Kind(
        ("lfa1", "car-t", "diet", "small-solute"), lambda path: observations.load(str(path), LIBRARY), 900
    ),
}

STUDY = """
title = "Mice"
source = "nobody2020"
file = "mice.csv"
columns = { time = "day", time_unit = "d", value = "volume", unit = "mg/L", sd = "sd" }

[run.treated]
scenario = "textbook-1cpt"
dose = ["pk.depot: 100 mg q 24 h x 3"]

[run.control]
scenario = "textbook-1cpt"
set = { "pk.CL" = "3 L/h" }

[[series]]
run = "treated"
signal = "pk.C"
where = { arm = "treated" }
together = "30 min"
shift = "1 h"
aggregate = "mean"
error = 0.2

[[series]]
run = "control"
signal = "pk.C"
where = { arm = ["control"] }
statistic = "auc"
per = "mouse"
part = "judge"

[[row]]
quantity = "half-life"
run = "control"
signal = "pk.C"
statistic = "half-life"
from = "3 h"
value = 6.0
unit = "h"
reason = "an example"

[fit]
card = "textbook"
starts = 2
free = { "pk.CL" = { low = "1 L/h", high = "20 L/h", prior = { value = "4 L/h", cv = 0.3 } } }
"""
MICE = """mouse,arm,day,volume,sd
a,treated,0,1.0,0.1
b,treated,1.02,3.0,0.1
a,control,0.5,2.5,0.5
a,control,2,0.4,0.5
b,control,0.5,2.5,0.5
b,control,2,0.3,0.5
"""


@pytest.mark.parametrize("share", [0.02, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_loads_or_is_refused_in_one_sentence(kind: str, share: float, tmp_path: Path) -> None:
    files, read, mutants = KINDS[kind]
    shelf: Mapping[str, Path] = getattr(LIBRARY, kind)
    texts = {name: shelf[name].read_text(encoding="utf-8") for name in files}
    refused = 0
    for seed in range(round(share * mutants)):
        rng = Random(seed)
        name = rng.choice(files)
        path = tmp_path / f"{name}.toml"
        path.write_bytes(mutant_of(texts[name], rng, NAMES))
        refused += bool(sentence_of(lambda path=path: read(path), path.read_bytes()))
    assert 0.5 * share * mutants < refused < share * mutants  # some mutants are harmless


@pytest.mark.parametrize("mutants", [40, pytest.param(600, marks=pytest.mark.slow)])
def test_a_study_and_its_data_are_read_or_refused_in_one_sentence(mutants: int, tmp_path: Path) -> None:
    study, data = tmp_path / "mice.toml", tmp_path / "mice.csv"
    refused = 0
    for seed in range(mutants):
        rng = Random(seed)
        study.write_bytes(mutant_of(STUDY, rng, NAMES) if seed % 2 else STUDY.encode())
        data.write_bytes(MICE.encode() if seed % 2 else mutant_of(MICE, rng, ("treated", "control", "BLQ", "NA")))
        contents = study.read_bytes() + data.read_bytes()
        refused += bool(sentence_of(lambda: studies.read(study, tmp_path, LIBRARY), contents))
    assert mutants / 3 < refused < mutants


@pytest.mark.parametrize("mutants", [60, pytest.param(2500, marks=pytest.mark.slow)])
def test_what_loads_is_solved_or_refused_in_one_sentence(mutants: int, tmp_path: Path) -> None:
    texts = {
        name: LIBRARY.scenarios[name].read_text().replace('"7 d"', '"2 d"') + MORE
        for name in ("textbook-1cpt", "textbook-2cpt")
    }
    models = [scenario_file.load(name, LIBRARY).model for name in texts]
    solved = 0
    for seed in range(mutants):
        rng = Random(seed)
        path = tmp_path / "mutant.toml"
        path.write_bytes(mutant_of(texts[rng.choice(list(texts))], rng, NAMES))
        try:
            scenario = scenario_file.load(str(path), LIBRARY)
        except InputError:
            continue
        if scenario.model in models:  # another one would have to be compiled
            solved += not sentence_of(lambda scenario=scenario: nanomg.simulate(scenario), path.read_bytes())
    assert solved > mutants / 50
