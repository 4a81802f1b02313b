"""Scenarios as text, and what is said of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nanomg.errors import InputError
from nanomg.library import scenario, scenario_file
from nanomg.models import library

LIBRARY = library()
SHIPPED = sorted(LIBRARY.scenarios)
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in LIBRARY.scenarios.items()}
DEPOT = "mouse-mc38-depot"


SMALL = """
title = "Mg by vein"
species = "mouse"
mechanisms = ["Magnesium"]
cards = ["mouse"]
horizon = "2 d"
every = "6 h"

[outputs]
"magnesium.total" = "mmol/L"

[[dose]]
cmt = "magnesium.iv"
amt = "10 umol"
time = "1 h"
"""


def loaded(text: str, folder: Path, **options: object) -> scenario.Scenario:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return scenario_file.load(str(path), LIBRARY, **options)  # type: ignore[arg-type]


def complaint(text: str, folder: Path, **options: object) -> str:
    """The sentence that this file earns."""
    with pytest.raises(InputError) as caught:
        loaded(text, folder, **options)
    sentence = str(caught.value)
    assert "Traceback" not in sentence and sentence.count("\n") == 0 and len(sentence) < 1000
    return sentence


def check(found: scenario.Scenario) -> None:
    """What every scenario that loads keeps."""
    assert 0 < found.horizon < math.inf and 0 < found.every < math.inf
    assert all(math.isfinite(p.value) for p in found.parameters.values())
    assert all(
        0 <= d.time <= found.horizon and 0 <= d.amt < math.inf and 0 <= d.duration < math.inf for d in found.doses
    )
    assert [d.time for d in found.doses] == sorted(d.time for d in found.doses)
    assert all(w.start < w.stop and math.isfinite(w.value) for w in found.windows)
    assert all(math.isfinite(t.weight) and 0 < t.amount < math.inf for t in found.terms)
    assert all(math.isfinite(limit.bound) and limit.side in ("max", "min") for limit in found.limits)
    assert all(0 <= f.amount[0] <= f.amount[1] and 0 <= f.time[0] <= f.time[1] <= found.horizon for f in found.free)
