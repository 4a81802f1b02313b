"""A library with a small table of observations of the textbook's one compartment."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanomg import models
from nanomg.library.library import Library

CL, V, AMOUNT = 4.0, 35.0, 100.0  # of the textbook's card, and the dose [mg]
K = CL / V
HEAD = """
title = "A drug of the textbook"

[run.bolus]
scenario = "textbook-1cpt"
dose = ["pk.central: 100 mg"]
horizon = "48 h"

[run.infusion]
scenario = "textbook-1cpt"
dose = ["pk.central: 100 mg over 2 h"]
horizon = "48 h"
"""


def row(**keys: Any) -> str:
    """One row as TOML, valid where nothing is said."""
    plain = {
        "quantity": "a",
        "source": "nobody2020",
        "use": "validate",
        "reason": "an example",
        "unit": "mg/L",
        "value": 1.0,
    }
    if "run" not in keys and keys.get("use") != "look":
        plain |= {"run": "bolus", "signal": "pk.C"} | ({} if "statistic" in keys else {"time": "4 h"})
    write = lambda v: (
        "{" + ", ".join(f"{k} = {json.dumps(x)}" for k, x in v.items()) + "}" if isinstance(v, dict) else json.dumps(v)
    )
    lines = [f"{k.rstrip('_')} = {write(v)}" for k, v in {**plain, **keys}.items() if v is not None]
    return "\n[[row]]\n" + "\n".join(lines) + "\n"


Shelf = Callable[..., Library]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Make a library with one table of this text."""

    def make(*texts: str, head: str = HEAD) -> Library:
        (tmp_path / "observations").mkdir(exist_ok=True)
        (tmp_path / "observations" / "textbook.toml").write_text(head + "".join(texts), encoding="utf-8")
        return models.library(tmp_path)

    return make


INFUSED, FROM_3 = {"run": "infusion", "signal": "pk.C"}, {"from": "3 h"}
AGAINST = {"run": "infusion", "how": "ratio"}
TEXTS = (
    row(quantity="C", value=AMOUNT / V * math.exp(-4 * K), thing="C"),
    row(quantity="C too low", value=0.5 * AMOUNT / V * math.exp(-8 * K), time="8 h", thing="C", source="somebody2021"),
    row(quantity="C later", value=AMOUNT / V * math.exp(-20 * K), time="20 h", sd=0.01, use="calibrate"),
    row(quantity="AUC", statistic="auc", unit="mg/L*h", value=AMOUNT / CL * (1 - math.exp(-48 * K))),
    row(quantity="half-life", statistic="half-life", **FROM_3, **INFUSED, unit="h", value=math.log(2) / K),
    row(quantity="bolus / infusion", time="10 h", unit="1", value=2 * K / math.expm1(2 * K), against=AGAINST),
    row(quantity="less later", time="10 h", value=None, sign=-1, against={"time": "1 h", "how": "difference"}),
    row(quantity="injected", signal="pk.central", divide_by="100 mg", unit="percent", value=100 * math.exp(-4 * K)),
    row(quantity="rising", statistic="half-life", to="2 h", **INFUSED, unit="h", value=1.0),
    row(quantity="broken", run="broken", signal="pk.C", time="4 h"),
    row(quantity="not in the model", use="look", unit="bushel"),
)  # fmt: skip
BROKEN = """
[run.broken]
scenario = "textbook-1cpt"
dose = ["pk.central: 1 mg"]
set = { "pk.V" = "1e-300 L", "pk.CL" = "1e300 L/h" }
"""
