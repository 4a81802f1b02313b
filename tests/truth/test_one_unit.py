"""A quantity has one unit wherever it is read: that which its mechanism declares, for a mouse and for a patient."""

from __future__ import annotations

import pytest

import nanomg
from nanomg import units
from nanomg.jobs.sensitivity import elasticities
from nanomg.library import scenario_file
from nanomg.library.scenario import dosed_unit
from nanomg.models import library

SHIPPED = library()
QUICK = ("mouse-mc38-iv", "human-nsclc-iv-mgso4")
EVERY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(SHIPPED.scenarios)]


def test_the_volume_of_a_tumour_is_in_mL_in_every_scenario() -> None:
    scenarios = [scenario_file.load(name, SHIPPED) for name in SHIPPED.scenarios]
    found = {s.name: s.outputs["tumour.volume"] for s in scenarios if "tumour.volume" in s.outputs}
    assert {name.partition("-")[0] for name in found} >= {"mouse", "human"} and {*found.values()} == {"mL"}


@pytest.mark.parametrize("name", EVERY)
def test_every_way_out_has_the_declared_unit(name: str) -> None:
    scenario = scenario_file.load(name, SHIPPED)
    model = scenario.model
    assert scenario.outputs
    declared = {output: model.unit(output) for output in scenario.outputs}
    assert scenario.outputs == declared

    run = nanomg.simulate(name)
    assert {signal: entry["unit"] for signal, entry in run.summary["signals"].items()} == declared
    simulated = run.tree["simulation"].to_dataset()
    assert {o: simulated[o].attrs["units"] for o in declared} == {o: units.cf(unit) for o, unit in declared.items()}
    for output in declared:  # the same number in the summary and in the file
        course = simulated[output].isel(regimen=0, hypothesis=0)
        assert run.summary["signals"][output]["final"] == pytest.approx(float(course[-1]), rel=1e-12)
    doses = run.tree["doses"].to_dataset()
    given = {(str(c), str(u)) for c, u in zip(doses["cmt"].values.flat, doses["unit"].values.flat, strict=True) if c}
    assert all(unit == dosed_unit(model, cmt) for cmt, unit in given)
    drawn = {axis.get_ylabel() for axis in run.plot(list(declared)).axes}
    assert {f"[{units.unit_text(unit)}]" for unit in declared.values()} <= drawn

    varied = next(p for p in scenario.parameters.values() if p.value > 0 and model.parameters[p.name].at_most > 1)
    swept = nanomg.sweep(name, vary=[f"{varied.name}={varied.value!r},{1.01 * varied.value!r} {varied.unit}"])
    sweep = swept.tree["sweep"].to_dataset()
    assert sweep[varied.name].attrs["units"] == units.cf(varied.unit)
    for output, unit in declared.items():
        assert sweep[f"{output}:final"].attrs["units"] == units.cf(unit)
    assert [o.unit for o in elasticities.outputs_asked(list(declared), scenario)] == [*declared.values()]


def test_numbers_are_given_in_any_unit_and_come_back_in_the_declared_one() -> None:
    """A limit, an axis and a value in mm^3, of a tumour whose volume is declared in mL."""
    data = dict(scenario_file.load("mouse-mc38-iv", SHIPPED).config["file"])
    data["limit"] = [*data["limit"], {"name": "tumour", "signal": "tumour.volume", "max": "3000 mm^3"}]
    scenario = scenario_file.compose("limited", data, SHIPPED)
    assert scenario.limits[-1].bound == pytest.approx(3.0)
    run = nanomg.sweep(
        "mouse-mc38-iv",
        vary=["dose.liposome.iv.amount=500,1000 ug"],
        keep=["tumour.volume:final"],
        dose=["pd1.ip: none"],
    )
    amount = run.tree["sweep"]["dose.liposome.iv.amount"]
    assert amount.attrs["units"] == "mg" and list(amount.values) == pytest.approx([0.5, 1.0])
    assert run.tree["sweep"]["tumour.volume:final"].attrs["units"] == "mL"
    assert run.summary["sweep"]["tumour.volume:final"]["unit"] == "mL"
