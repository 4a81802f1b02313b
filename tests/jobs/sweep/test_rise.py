"""`NAME.rise`, the difference from the arm without Mg at each time, is kept and asked for like any other quantity."""

from __future__ import annotations

import numpy as np
import pytest
from program import Program

import nanomg
from nanomg.errors import InputError
from nanomg.jobs.sensitivity import elasticities
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.simulation import lanes
from nanomg.views import plots

DEPOT = "mouse-mc38-depot"
KEPT = [f"{name}:{how}" for name in ("interstitium.C", "interstitium.C.rise") for how in ("series", "final", "max")]


@pytest.mark.parametrize("engine", ["native", pytest.param("jax", marks=pytest.mark.slow)])
def test_a_rise_is_the_difference_of_the_paired_arms(engine: str) -> None:
    asked = {"vary": ["dose.liposome.intratumoral.scale=0.5,2"], "subjects": 3, "keep": KEPT, "engine": engine}
    data = nanomg.sweep(DEPOT, paired=True, **asked).tree["sweep"].to_dataset()
    given, without = (data.sel(regimen=arm) for arm in ("as given", "without Mg"))
    rise = given["interstitium.C.rise"]
    assert rise.attrs["units"] == "mmol L-1" and "rise over the arm without Mg" in rise.attrs["long_name"]
    np.testing.assert_allclose(rise, given["interstitium.C"] - without["interstitium.C"], rtol=1e-9, atol=1e-12)
    final = given["interstitium.C:final"] - without["interstitium.C:final"]
    np.testing.assert_allclose(given["interstitium.C.rise:final"], final, rtol=1e-9, atol=1e-12)
    assert (given["interstitium.C.rise:max"] >= rise.max("time") - 1e-12).all()
    assert (without["interstitium.C.rise:max"] == 0).all()

    alone = nanomg.sweep(DEPOT, **asked).tree["sweep"].to_dataset()  # without the arm in the result
    np.testing.assert_allclose(alone["interstitium.C.rise:max"], given["interstitium.C.rise:max"], rtol=1e-12)


def test_without_mg_there_is_no_rise() -> None:
    with pytest.raises(
        InputError, match="no dose of this regimen contains Mg, so there is no arm without it and no rise"
    ):
        nanomg.sweep("mouse-mc38-anti-pd1", subjects=2, keep=["tumour.volume.rise:final"])
    with pytest.raises(InputError, match=r"no quantity 'tumour\.volum\.rise'"):
        nanomg.sweep(DEPOT, subjects=2, keep=["tumour.volum.rise:final"])


def test_the_slopes_of_a_rise_are_those_of_its_differences() -> None:
    text, name = "interstitium.C.rise:mean", "liposome.k_leak"
    scenario = scenario_file.load(DEPOT, library())
    found = elasticities.slopes_of(scenario, elasticities.outputs_asked([text], scenario), lanes.TIGHT)
    value = scenario.parameters[name].value
    unit = scenario.parameters[name].unit
    axis = f"{name}={','.join(repr(value * factor) for factor in (0.98, 1.0, 1.02))} {unit}"
    low, middle, high = nanomg.sweep(DEPOT, vary=[axis], keep=[text], rtol=1e-9).tree["sweep"][text].values
    assert found.value[0] == pytest.approx(middle, rel=1e-5)
    slope = found.parameter[0][list(scenario.parameters).index(name)]
    assert slope == pytest.approx((high - low) / (0.04 * value), rel=5e-3)


def test_a_rise_has_elasticities_and_figures(program: Program) -> None:
    code, out, err = program("sensitivity", DEPOT, "--of", "interstitium.C.rise:max")
    assert code == 0, err
    assert "interstitium.C.rise:max" in out
    run = nanomg.sweep(DEPOT, vary=["dose.liposome.intratumoral.scale=0.5,1,2"], keep=KEPT[3:], paired=True)
    titles = list(plots.figures(run.tree))
    assert any("rise over the arm without Mg" in title for title in titles)
    assert any("what the Mg changes" in title for title in titles)
