"""What a sweep varies: axes as written, the designs that they make, and the doses at their points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nanomg
from nanomg.errors import InputError
from nanomg.jobs.sweep import axes, regimens
from nanomg.library import scenario_file
from nanomg.library.scenario import Scenario
from nanomg.models import library


@pytest.fixture(scope="module")
def mouse() -> Scenario:
    return scenario_file.load("mouse-mc38-iv", library())


@pytest.fixture(scope="module")
def textbook() -> Scenario:
    doses = ["pk.central: 100 mg over 2 h q 24 h x 3 from 1 h", "pk.depot: none"]
    return scenario_file.load("textbook-1cpt", library(), doses=doses)


# ---------------------------------------------------------------- axes
@pytest.mark.parametrize(
    ("text", "unit", "values"),
    [
        ("pk.CL=1..4 L/h:4", "L/h", [1, 2, 3, 4]),
        ("pk.CL=1..100 L/h:log:3", "L/h", [1, 10, 100]),
        ("pk.CL = 1 .. 100 L/h : 3 : log", "L/h", [1, 10, 100]),
        ("pk.CL=1000..4000 mL/h:lin:2", "L/h", [1, 4]),
        ("pk.CL=1 L/h..4000 mL/h:2", "L/h", [1, 4]),
        ("pk.CL=1000,4000 mL/h", "L/h", [1, 4]),
        ("pk.CL=0, 3 ,2 L/h", "L/h", [0, 3, 2]),
        ("dose.amount=0.1,0.2 g", "mg", [100, 200]),
        ("dose.pk.central.scale=0.5,2", "1", [0.5, 2]),
        ("dose.interval=0.5..1 d:2", "h", [12, 24]),
    ],
)
def test_an_axis_is_in_the_unit_of_the_model_however_it_is_written(
    textbook: Scenario, text: str, unit: str, values: list[float]
) -> None:
    found = axes.lay_out([text], textbook)
    (coordinate,) = found.coords.values()
    assert coordinate.attrs["units"] == unit.replace("/h", " h-1")
    np.testing.assert_allclose(coordinate.values, values, rtol=1e-12)


def test_a_bare_number_has_the_unit_of_the_model(textbook: Scenario) -> None:
    own = textbook.model.parameters["pk.CL"].unit
    bare, named = (axes.lay_out([f"pk.CL=1,2{unit}"], textbook) for unit in ("", f" {own}"))
    np.testing.assert_array_equal(bare.columns["pk.CL"].values, named.columns["pk.CL"].values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pk.CL", "is not NAME="),
        ("pk.CL=", "is not NAME="),
        ("pk.Cl=1,2", "did you mean 'pk.CL'"),
        ("pk.CL=1..2", "the number of values"),
        ("pk.CL=1..2:cube:3", "neither 'log' nor 'lin'"),
        ("pk.CL=1..2:1", "2 to 1,000,000"),
        ("pk.CL=1..2:10²", "2 to 1,000,000"),
        ("pk.CL=1,2:3", "neither a spacing"),
        ("pk.CL=2..1:3", "must increase"),
        ("pk.CL=0..1:log:3", "begin above 0"),
        ("pk.CL=-1,1", "out of range"),
        ("pk.CL=1,1", "given twice"),
        ("pk.CL=1..2 mg:3", "cannot be converted"),
        ("pk.CL=one,two", "is not a number"),
        ("dose.volume=1,2", "property of a dose"),
        ("dose.pk.depot.amount=1,2 mg", "port with doses"),
        ("dose.amount=1,2 h", "cannot be converted"),
        ("hypothesis=H1,H2", "no LFA-1"),
    ],
)
def test_what_is_wrong_with_an_axis_is_one_sentence(textbook: Scenario, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        axes.lay_out([text], textbook)


def test_a_port_is_named_where_several_are_dosed(mouse: Scenario) -> None:
    with pytest.raises(InputError, match=r"doses go into liposome.iv, pd1.ip; name one"):
        axes.lay_out(["dose.amount=1,2 mg"], mouse)
    found = axes.lay_out(["dose.liposome.iv.amount=1,2 mg"], mouse)
    assert found.dims == {"dose.liposome.iv.amount": 2}


def test_nothing_is_varied_twice(textbook: Scenario) -> None:
    with pytest.raises(InputError, match="varied twice"):
        axes.lay_out(["pk.CL=1,2", "pk.CL=3,4"], textbook)
    with pytest.raises(InputError, match=r"'dose.pk.central.amount' is varied twice"):
        axes.lay_out(["dose.amount=1,2 mg", "dose.pk.central.amount=3,4 mg"], textbook)


# ---------------------------------------------------------------- designs
def test_a_grid_has_a_dimension_for_each_axis_and_the_last_runs_fastest(textbook: Scenario) -> None:
    found = axes.lay_out(["pk.CL=1,2 L/h", "pk.V=10,20,30 L"], textbook)
    assert found.dims == {"pk.CL": 2, "pk.V": 3} and found.points == 6
    at = found.at(np.arange(6))
    factor = at["pk.CL"][0]
    np.testing.assert_allclose(at["pk.CL"], np.repeat([1, 2], 3) * factor)
    np.testing.assert_allclose(at["pk.V"] / at["pk.V"][0], np.tile([1, 2, 3], 2))


@pytest.mark.parametrize("sample", ["sobol", "lhs"])
def test_samples_fill_the_box_evenly_and_again_the_same(textbook: Scenario, sample: str) -> None:
    texts = ["pk.CL=1..100 L/h:log", "pk.V=10..20 L", "dose.count=1,2,3"]
    found, again = (axes.lay_out(texts, textbook, sample, 64, seed=3) for _ in range(2))
    other = axes.lay_out(texts, textbook, sample, 64, seed=4)
    assert found.dims == {"point": 64}
    share = np.log10(found.coords["pk.CL"].values) / 2
    assert (np.bincount((share * 16).astype(int), minlength=16) == 4).all()
    for name, coordinate in found.coords.items():
        np.testing.assert_array_equal(coordinate.values, again.coords[name].values)
    assert (found.coords["pk.V"].values != other.coords["pk.V"].values).any()
    assert set(found.coords["dose.count"].values) == {1, 2, 3}


def test_samples_need_their_number_and_a_range_in_a_grid_takes_it(textbook: Scenario) -> None:
    with pytest.raises(InputError, match="the number of points"):
        axes.lay_out(["pk.CL=1..2"], textbook, "sobol")
    with pytest.raises(InputError, match="no number of values"):
        axes.lay_out(["pk.CL=1..2:5"], textbook, "lhs", 8)
    with pytest.raises(InputError, match="way to sample 'random'"):
        axes.lay_out(["pk.CL=1..2"], textbook, "random")
    assert axes.lay_out(["pk.CL=1..2"], textbook, points=5).dims == {"pk.CL": 5}


def test_hypotheses_are_an_axis_of_names(mouse: Scenario) -> None:
    found = axes.lay_out(["hypothesis=H3,H1"], mouse)
    assert list(found.coords["hypothesis"].values) == ["H3", "H1"]
    assert [list(found.columns[f"lfa1.w_{h}"].values) for h in ("H1", "H2", "H3")] == [[0, 1], [0, 0], [1, 0]]


def test_more_points_than_anyone_means_are_refused(textbook: Scenario) -> None:
    with pytest.raises(InputError, match="100,000,000 at most"):
        axes.lay_out(["pk.CL=1..2:100000", "pk.V=1..2:10000"], textbook)


# ---------------------------------------------------------------- doses
def doses_at(chosen: Scenario, *texts: str, paired: bool = False) -> regimens.Regimens:
    found = axes.lay_out(texts, chosen, paired=paired)
    return regimens.regimens(chosen, found.at(np.arange(found.points)), found.points)


@pytest.mark.parametrize(
    ("text", "what", "expected"),
    [
        ("dose.amount=50,200 mg", "amount", [[50] * 3, [200] * 3]),
        ("dose.scale=0,2", "amount", [[0] * 3, [200] * 3]),
        ("dose.count=0,2", "amount", [[0] * 3, [100, 100, 0]]),
        ("dose.start=0,5 h", "time", [[0, 24, 48], [5, 29, 53]]),
        ("dose.interval=12,36 h", "time", [[1, 13, 25], [1, 37, 73]]),
        ("dose.duration=1,4 h", "duration", [[1] * 3, [4] * 3]),
    ],
)
def test_properties_of_doses(textbook: Scenario, text: str, what: str, expected: list[Any]) -> None:
    np.testing.assert_allclose(getattr(doses_at(textbook, text), what), np.array(expected, float).T)


def test_properties_act_together(textbook: Scenario) -> None:
    found = doses_at(textbook, "dose.count=2,3", "dose.scale=1,3", "dose.amount=10,20 mg")
    np.testing.assert_allclose(found.amount[0], [10, 20, 30, 60] * 2)
    np.testing.assert_allclose(found.amount[2], [0] * 4 + [10, 20, 30, 60])


def test_a_dose_after_the_horizon_and_a_bolus_that_lasts_are_refused(textbook: Scenario, mouse: Scenario) -> None:
    with pytest.raises(InputError, match="after the horizon"):
        doses_at(textbook, "dose.interval=100 h,200 h")
    # of three doses from 1 h on, every 83.5 h, the last is at the horizon
    assert doses_at(textbook, "dose.interval=24,83.5 h").time.max() == textbook.horizon == 168.0
    with pytest.raises(InputError, match="at 169 h, after the horizon of 168 h"):
        doses_at(textbook, "dose.interval=24,84 h")
    with pytest.raises(InputError, match="a bolus has none"):
        doses_at(mouse, "dose.pd1.ip.duration=1,2 h")


@pytest.mark.parametrize("count", ["1.5,2", "2,4"])
def test_a_number_of_doses_is_whole_and_no_more_than_there_are(textbook: Scenario, count: str) -> None:
    with pytest.raises(InputError, match="a whole number, 0 to 3 here"):
        doses_at(textbook, f"dose.count={count}")


def test_the_arm_without_mg_keeps_what_brings_none(mouse: Scenario, textbook: Scenario) -> None:
    found = doses_at(mouse, paired=True)
    brings = np.array([dose.cmt == "liposome.iv" for dose in mouse.doses])
    assert (found.amount[brings, 1] == 0).all() and (found.amount[brings, 0] > 0).all()
    np.testing.assert_array_equal(found.amount[~brings, 0], found.amount[~brings, 1])
    with pytest.raises(InputError, match="no dose of this regimen contains Mg"):
        axes.lay_out([], textbook, paired=True)


def test_a_payload_of_another_drug_is_not_taken_for_mg() -> None:
    """Liposomal doxorubicin: the model holds no Mg, so there is no arm without it, alone or next to the regimen."""
    for asked in ({"paired": True}, {"keep": ["drug.free.rise:max"]}):
        with pytest.raises(InputError, match="no dose of this regimen contains Mg"):
            nanomg.sweep("mouse-doxorubicin", vary=["dose.scale=0.5,1"], **asked)
