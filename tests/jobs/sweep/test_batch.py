"""Trajectories of a sweep: what each of them is, whatever the range that is solved."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.errors import InputError
from nanomg.jobs.sweep import axes
from nanomg.jobs.sweep import keep as sweep_keep
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.prepared import prepare
from nanomg.jobs.sweep.request import SweepRequest
from nanomg.library import scenario_file
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.models import library
from nanomg.population import population as populations
from nanomg.population import population_file
from nanomg.solver.status import Status

BOLUS = ["pk.depot: none", "pk.central: 100 mg"]
KEPT = [
    "pk.C:initial",
    "pk.C:final",
    "pk.C:max",
    "pk.C:min",
    "pk.C:mean",
    "pk.C:auc",
    "pk.C:time of max",
    "pk.C:series",
    "pk.CL",
]


@pytest.fixture(scope="module")
def textbook() -> Scenario:
    return scenario_file.load("textbook-1cpt", library(), doses=BOLUS)


def batch_of(
    chosen: Scenario, *texts: str, keep: list[str] = KEPT, laid: Mapping[str, Any] = {}, **options: Any
) -> Trajectories:
    return Trajectories(chosen, axes.lay_out(texts, chosen, **laid), sweep_keep.kept_of(keep, chosen), **options)


# ---------------------------------------------------------------- what is kept
def test_what_is_kept_agrees_with_the_closed_form(textbook: Scenario) -> None:
    made = batch_of(textbook, "pk.CL=2,4,8 L/h", rtol=1e-8)
    found = made.solve(0, 3)
    CL, V, t, T = np.array([2.0, 4.0, 8.0]), 35.0, made.regular, 168.0
    C = 100 / V * np.exp(-CL[:, None] / V * t)
    area = 100 / CL * (1 - np.exp(-CL / V * T))
    assert (found["status"] == Status.DONE).all()
    np.testing.assert_allclose(found["pk.C"], C, rtol=1e-5, atol=1e-7)
    for how, expected in {"initial": C[:, 0], "max": C[:, 0], "final": C[:, -1], "min": C[:, -1]}.items():
        np.testing.assert_allclose(found[f"pk.C:{how}"], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found["pk.C:auc"], area, rtol=1e-4)
    np.testing.assert_allclose(found["pk.C:mean"], found["pk.C:auc"] / T, rtol=1e-12)
    np.testing.assert_allclose(found["pk.C:time of max"], 0.0, atol=1e-6)
    np.testing.assert_allclose(found["pk.CL:value"], CL, rtol=1e-12)


def test_moving_doses_are_followed_to_their_peaks(textbook: Scenario) -> None:
    found = batch_of(textbook, "dose.start=0.9,30.3,99.7 h", rtol=1e-8).solve(0, 3)
    np.testing.assert_allclose(found["pk.C:max"], 100 / 35.0, rtol=1e-6)
    np.testing.assert_allclose(found["pk.C:time of max"], [0.9, 30.3, 99.7], rtol=1e-6)
    late = np.searchsorted(np.arange(0.0, 169.0, 2.0), 99.7)
    assert (found["pk.C"][2, :late] == 0).all() and (found["pk.C"][2, late:] > 0).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pk.D", "no quantity 'pk.D'"),
        ("pk.C:median", "no statistic 'median'"),
        ("pk.CL:max", "no statistic 'max'"),
        ("pk.C:value", "no statistic 'value'"),
    ],
)
def test_what_cannot_be_kept_is_one_sentence(textbook: Scenario, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        sweep_keep.keep_of(text, textbook)


def test_nothing_is_kept_twice_and_the_outputs_are_kept_by_default(textbook: Scenario) -> None:
    with pytest.raises(InputError, match="twice"):
        sweep_keep.kept_of(["pk.C", "pk.C:final"], textbook)
    assert [keep.label for keep in sweep_keep.kept_of([], textbook)] == ["pk.C:final"]


def test_something_must_vary(textbook: Scenario) -> None:
    with pytest.raises(InputError, match="nothing varies"):
        batch_of(textbook)
    with pytest.raises(InputError, match="more than 10,000,000,000 trajectories"):
        batch_of(textbook, "pk.CL=1,2", subjects=10**20)
    with pytest.raises(InputError, match="all subjects would be equal"):
        batch_of(textbook, subjects=3)


# ---------------------------------------------------------------- subjects and ranges
@pytest.fixture(scope="module")
def mouse() -> Scenario:
    data = {"mechanisms": ["Magnesium"], "cards": ["mouse"], "horizon": "12 h", "every": "3 h"}
    return scenario_file.compose("mouse", data, library(), doses=["magnesium.iv: 5 umol at 1 h"])


@pytest.fixture(scope="module")
def swept(mouse: Scenario) -> Trajectories:
    """A batch of four points and 75 subjects, in blocks that do not fit them."""
    keep = ["magnesium.total:series", "magnesium.total:max", "magnesium.GFR"]
    return batch_of(mouse, "dose.amount=1..10 umol:log:4", keep=keep, subjects=75, seed=5)


def test_a_trajectory_does_not_depend_on_the_range_that_is_solved(swept: Trajectories) -> None:
    assert swept.dims == {"dose.amount": 4, "subject": 75}
    whole = swept.solve(0, 300)
    for start, stop in ((0, 1), (60, 90), (149, 151), (37, 300)):
        part = swept.solve(start, stop)
        for name, values in part.items():
            np.testing.assert_allclose(values, whole[name][start:stop], rtol=1e-9)
    again = swept.solve(60, 90)
    for name, values in swept.solve(60, 90).items():
        np.testing.assert_array_equal(values, again[name])


def test_a_subject_is_the_same_at_every_point(swept: Trajectories, mouse: Scenario) -> None:
    found = swept.solve(0, 300)
    own = found["magnesium.GFR"].reshape(4, 75)
    drawn = populations.draw(mouse, populations.default_population(mouse), 5, 0, 75)
    np.testing.assert_allclose(
        own, np.tile(mouse.values["magnesium.GFR"] * drawn.relative["magnesium.GFR"], (4, 1)), rtol=1e-12
    )
    highest = found["magnesium.total:max"].reshape(4, 75)
    assert (np.diff(highest, axis=0) > 0).all()


def test_a_varied_parameter_is_the_typical_value_of_its_subjects(mouse: Scenario) -> None:
    made = batch_of(mouse, "magnesium.GFR=5,10 mL/h", keep=["magnesium.GFR"], subjects=40)
    low, high = made.solve(0, 80)["magnesium.GFR:value"].reshape(2, 40)
    np.testing.assert_allclose(high, 2 * low, rtol=1e-12)
    assert 4 < np.median(low) < 6 and np.std(np.log(low)) > 0.05


def test_covariates_of_a_population_are_kept(mouse: Scenario) -> None:
    population = population_file.load_population("mouse-c57bl6", library(), mouse)
    kept = sweep_keep.kept_of(["weight", "magnesium.GFR"], mouse, population)
    made = Trajectories(mouse, axes.lay_out(["dose.amount=1,2 umol"], mouse), kept, subjects=30, population=population)
    found = made.solve(20, 60)
    drawn = populations.draw(mouse, population, 0, 0, 30)
    np.testing.assert_array_equal(found["weight"], np.tile(drawn.covariates["weight"][0], 2)[20:])
    assert made.kept[0].unit == drawn.covariates["weight"][1]
    with pytest.raises(InputError, match="no quantity 'weight'"):
        sweep_keep.kept_of(["weight"], mouse)


def test_what_follows_a_covariate_follows_it_along_an_axis(textbook: Scenario, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("""
title = "Who clears more holds more"
species = "any"
[covariates]
clearance = { parameter = "pk.CL", cv = 0.3, basis = "assumed", note = "an example" }
[[effect]]
parameter = "pk.V"
covariate = "clearance"
exponent = 0.5
reference = "4 L/h"
basis = "assumed"
note = "an example"
""")
    population = population_file.load_population(str(tmp_path / "own.toml"), library(), textbook)
    kept = sweep_keep.kept_of(["clearance", "pk.CL", "pk.V"], textbook, population)
    made = Trajectories(textbook, axes.lay_out(["pk.CL=1,9 L/h"], textbook), kept, subjects=5, population=population)
    found = {name: values.reshape(2, 5) for name, values in made.solve(0, 10).items()}
    np.testing.assert_allclose(found["clearance"], found["pk.CL:value"], rtol=1e-12)
    np.testing.assert_allclose(found["pk.V"][1], 3 * found["pk.V"][0], rtol=1e-12)
    volume = textbook.values["pk.V"] * np.sqrt(found["clearance"] / 4)
    np.testing.assert_allclose(found["pk.V"], volume, rtol=1e-12)


def test_values_of_ones_own_are_points(mouse: Scenario) -> None:
    values = {"magnesium.GFR": np.array([5.0, 7.0, 9.0])}
    made = Trajectories(mouse, axes.of_values(values, mouse), sweep_keep.kept_of(["magnesium.GFR"], mouse))
    np.testing.assert_allclose(made.solve(0, 3)["magnesium.GFR:value"], values["magnesium.GFR"])
    with pytest.raises(InputError, match="same number of values"):
        axes.of_values({"magnesium.GFR": np.ones(2), "magnesium.V1": np.ones(3)}, mouse)
    with pytest.raises(InputError, match=r"no parameter 'magnesium.V'"):
        axes.of_values({"magnesium.V": np.ones(3)}, mouse)
    with pytest.raises(InputError, match="cannot be combined with axes or arms"):
        prepare(SweepRequest(scenario=mouse, values=values, paired=True))


def test_single_precision_keeps_three_figures(mouse: Scenario) -> None:
    texts, keep = ["dose.amount=1,10 umol"], ["magnesium.total:max"]
    wide, narrow = (batch_of(mouse, *texts, keep=keep, precision=p).solve(0, 2) for p in ("float64", "float32"))
    assert narrow["magnesium.total:max"].dtype == np.float32
    np.testing.assert_allclose(narrow["magnesium.total:max"], wide["magnesium.total:max"], rtol=1e-3)


def test_single_precision_solves_what_double_precision_solves() -> None:
    """Within a day's interval a step just after a dose may be far below what single precision resolves at the interval's end."""
    depot = scenario_file.load("mouse-mc38-depot", library())
    wide, narrow = (
        batch_of(depot, keep=["tumour.volume:final"], subjects=64, precision=p).solve(0, 64)
        for p in ("float64", "float32")
    )
    assert (wide["status"] == Status.DONE).all() and (narrow["status"] == Status.DONE).all()
    np.testing.assert_allclose(narrow["tumour.volume:final"], wide["tumour.volume:final"], rtol=1e-3)


# ---------------------------------------------------------------- failures
class Burst(AbstractMechanism):
    """dx/dt = growth x^2: ends at 1 / growth."""

    name = "burst"
    states = {"burst.x": Var("1", "explosive")}
    growth: Scalar = param("1/h", "growth")

    def initial(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"burst.x": 1.0}

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        yield Flux(None, "burst.x", self.growth * x["burst.x"] ** 2)


def test_a_trajectory_that_fails_is_marked_and_spoils_no_other(tmp_path: Any) -> None:
    card = tmp_path / "card.toml"
    card.write_text(
        'title = "t"\n[burst]\ngrowth = { value = 0.01, unit = "1/h", basis = "assumed", note = "a test" }\n'
    )
    shelves = Library({"Burst": Burst}, {"burst": card}, {}, {})
    data = {"mechanisms": ["Burst"], "cards": ["burst"], "horizon": "10 h", "every": "1 h"}
    chosen = scenario_file.compose("burst", data, shelves)
    growth = np.full(40, 0.01)
    growth[[3, 30]] = 1.0
    kept = sweep_keep.kept_of(["burst.x", "burst.x:initial"], chosen)
    found = Trajectories(chosen, axes.of_values({"burst.growth": growth}, chosen), kept).solve(0, 40)
    bad = growth == 1.0
    assert (found["status"] != Status.DONE).tolist() == bad.tolist()
    assert np.isnan(found["burst.x:final"][bad]).all() and np.isnan(found["burst.x:initial"][bad]).all()
    np.testing.assert_allclose(found["burst.x:final"][~bad], 1 / (1 - 0.1), rtol=1e-4)


# ---------------------------------------------------------------- devices
def test_a_gpu_that_is_not_there_is_one_sentence(mouse: Scenario) -> None:
    made = batch_of(mouse, "magnesium.GFR=5,10 mL/h", keep=["magnesium.GFR"])
    if made.choice.platform == "cpu":
        with pytest.raises(InputError, match="no GPU"):
            batch_of(mouse, "magnesium.GFR=5,10 mL/h", keep=["magnesium.GFR"], device="gpu")
    with pytest.raises(InputError, match="no device 'tpu'"):
        batch_of(mouse, "magnesium.GFR=5,10 mL/h", keep=["magnesium.GFR"], device="tpu")


SHARED = """
import jax, numpy as np
from nanomg.jobs.sweep import axes, batch, keep
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.simulation import lanes
data = {"mechanisms": ["Magnesium"], "cards": ["mouse"], "horizon": "12 h", "every": "3 h"}
chosen = scenario_file.compose("mouse", data, library(), doses=["magnesium.iv: 5 umol at 1 h"])
laid = axes.lay_out(["dose.amount=1..10 umol:log:4"], chosen)
kept = ["magnesium.total:series", "magnesium.total:max", "magnesium.GFR"]
made = batch.Trajectories(chosen, laid, keep.kept_of(kept, chosen), subjects=75, seed=5)
assert len(made.choice.devices) == 2 == len(jax.devices()), made.choice
found = made.solve(0, 300)
np.savez("{path}", **found)
lanes.movable = lambda *_: False  # the same doses as records
records = batch.Trajectories(chosen, laid, keep.kept_of(kept, chosen), subjects=75, seed=5).solve(0, 300)
for name, values in found.items():
    np.testing.assert_allclose(records[name], values, rtol=1e-9)
"""


def test_two_devices_share_the_lanes_and_give_the_same(
    swept: Trajectories, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("NANOMG_CACHE", "off")
    path = tmp_path / "shared.npz"
    subprocess.run([sys.executable, "-P", "-c", SHARED.replace("{path}", str(path))], check=True)
    whole, shared = swept.solve(0, 300), np.load(path)
    for name, values in whole.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-9)
