"""Tables of published numbers: how they are read, what is refused, and the shipped ones."""

from __future__ import annotations

import numpy as np
import pytest
from shelf import Shelf, V, row

from nanomg import models
from nanomg.data import observations
from nanomg.data.prediction import Predictor
from nanomg.errors import InputError

SHIPPED = models.library()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (row(signal="pk.c"), "there is no state, signal, constant, input or parameter 'pk.c'; did you mean"),
        (row(run="bolsu", signal="pk.C", time="4 h"), "there is no run 'bolsu'; did you mean 'bolus'?"),
        (row(unti="mg"), "there is no key 'unti'; did you mean"),
        (row(unit="mg"), "their dimensions differ"),
        (row(use="validated"), "there is no use 'validated'; did you mean"),
        (row(use=None), "the key 'use' is missing"),
        (row(reason=None), "the key 'reason' is missing"),
        (row(quality="good"), "there is no quality 'good'"),
        (row(value=None), "a value, a range (low and high) or a sign is missing"),
        (row(value="1"), "value must be a finite number, not '1'"),
        (row(low=1), "low and high come together"),
        (row(value=0), "a value of 0 needs its spread"),
        (row(sd=1, cv=1), "the spread is given twice"),
        (row(sd=0), "sd must be above 0"),
        (row(cv=0), "cv must be above 0"),
        (row(n=2.5), "n must be a whole number, 1 or more, not 2.5"),
        (row(low=2, high=1), "low is above high"),
        (row(sign=1), "a sign and a value are both given"),
        (row(value=None, sign=1), "a sign needs `against`, `baseline`, or a slope or change"),
        (row(statistic="peak"), "there is no statistic 'peak'"),
        (row(statistic="max", time="4 h"), "takes `from` and `to`, not `time`"),
        (row(time="50 h"), "times must be within the run's 48 h"),
        (row(time="4"), "'4' lacks its unit"),
        (row(over="mean"), "'over' needs a run with subjects"),
        (row(against={"run": "infusion"}), "the key 'how' is missing; it is one of ratio, difference, change"),
        (row(against={"how": "ratio"}), "name another run, signal, time or window to compare with"),
        (row(against={"signal": "pk.central", "how": "difference"}), "their dimensions differ"),
        (row(divide_by="0 mg"), "divide_by must be above 0"),
        (row(divide_by=3), "divide_by must be text, not 3"),
        (row(run=["bolus"], signal="pk.C", time="4 h"), "run must be text"),
        (row(against={"run": ["infusion"], "how": "ratio"}), "run must be text"),
        (row(value=None, sign=1, baseline="ratio", statistic="auc"), "a sign needs `against`, `baseline`, or a slope or change"),
        (row(thing="a") + row(thing="a", signal="pk.central", unit="mg"), "their dimensions differ"),
        (row(use="calibrate", run=None, signal=None, time=None), "a row to calibrate needs a run"),
        ("", "there are no [[row]] tables"),
        ('\n[run.x]\nscenario = "textbook-4cpt"\n' + row(), "run 'x': there is no scenario 'textbook-4cpt'; did you mean"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\nset = {"pk.Cl" = "1 L/h"}\n' + row(), "there is no parameter 'pk.Cl'"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\ndoses = []\n' + row(), "there is no key 'doses'; did you mean"),
        ('\n[run.x]\nscenario = "textbook-1cpt"\nsubjects = 1\n' + row(), "subjects must be a whole number, 2 or more"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(shelf: Shelf, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        observations.load("textbook", shelf(text))
    assert said in caught.value.message if "run 'x'" not in said else said in str(caught.value)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("observations 'textbook'")


def test_an_unknown_domain(shelf: Shelf) -> None:
    with pytest.raises(InputError, match="did you mean 'textbook'"):
        observations.load("textbok", shelf(row()))


def test_units_of_rows(shelf: Shelf) -> None:
    texts = (
        row(unit="ug/mL"),
        row(unit="mg*min/L", statistic="auc"),
        row(unit="percent/L", divide_by="50 mg"),
        row(unit="percent", against={"run": "infusion", "how": "change"}),
        row(unit="1/L", against={"signal": "pk.central", "how": "ratio"}),
        row(unit="d", statistic="auc", baseline="ratio"),
        row(unit="1/d", statistic="slope"),
    )
    rows = observations.load("textbook", shelf(*texts)).rows
    assert [r.factor for r in rows] == pytest.approx([1, 60, 2, 100, 1, 1 / 24, 24])


BAG = """
from nanomg import AbstractMechanism, Scalar, Var, param


class Bag(AbstractMechanism):
    name = "bag"
    states = {"bag.clock": Var("1", "nothing")}
    signals = {"bag.all": Var("g", "all of it"), "bag.half": Var("mg", "half of it")}
    mass: Scalar = param("g", "mass")
    part: Scalar = param("mg", "half of the mass")

    def evaluate(self, x):
        return {"bag.all": self.mass, "bag.half": self.part}
"""


def test_what_is_compared_comes_to_one_unit(shelf: Shelf) -> None:
    half = lambda how: {"signal": "bag.half", "how": how}
    whole = {"run": "bag", "signal": "bag.all", "time": "1 h", "unit": "1"}
    texts = (
        row(**{**whole, "unit": "mg"}, against=half("difference")),
        row(**whole, against=half("change")),
        row(**whole, against=half("ratio")),
        row(**whole, against=half("difference"), value=None, sign=1),
    )
    run = '\n[run.bag]\nmechanisms = ["Bag"]\ncards = ["bag"]\nhorizon = "1 h"\n'
    folder = shelf(run, *texts).observations["textbook"].parents[1]
    (folder / "cards").mkdir()
    (folder / "bag.py").write_text(BAG, encoding="utf-8")
    (folder / "cards" / "bag.toml").write_text(
        'bag.mass = { value = 2, unit = "g", basis = "assumed", note = "an example" }\n'
        'bag.part = { value = 1, unit = "g", basis = "assumed", note = "an example" }\n'
    )
    predicted = Predictor(observations.load("textbook", models.library(folder)).rows)()[:, 0]
    np.testing.assert_allclose(predicted, [1000.0, 1.0, 2.0, 1.0], rtol=1e-6)


def test_a_run_replaces_what_its_scenario_says(shelf: Shelf) -> None:
    text = '\n[run.x]\nscenario = "textbook-1cpt"\nset = { "pk.CL" = "2 L/h" }\ndose = []\nhorizon = "5 h"\n'
    (found,) = observations.load("textbook", shelf(text, row(run="x", signal="pk.C", time="4 h"))).rows
    assert found.measure is not None
    made = found.measure.run.scenario
    assert (made.doses, made.horizon, made.values["pk.CL"], made.values["pk.V"]) == ((), 5.0, 2.0, V)


@pytest.mark.parametrize("name", sorted(SHIPPED.observations))
def test_a_shipped_table(name: str) -> None:
    table = observations.load(name, SHIPPED)
    for found in table.rows:
        assert found.source in SHIPPED.references, (found.quantity, found.source)
        assert found.quality, found.quantity
        if found.quality == "recalled":
            assert found.use == "look", found.quantity
    assert len({(r.quantity, r.source, r.measure, r.value) for r in table.rows}) == len(table.rows)
