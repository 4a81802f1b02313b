"""What a sweep says of each point of its design: by hypothesis and arm, with paired differences and their interval."""

from __future__ import annotations

import json

import numpy as np
import pytest
from program import Program
from scipy import stats

import nanomg
from nanomg.results.run import Run

SUBJECTS, AMOUNTS, HYPOTHESES = 8, (0.5, 2.0), ("H1", "H3")
LABELS = ("tumour.volume:final", "interstitium.C:max")
DOSED = "dose.liposome.intratumoral.amount"


@pytest.fixture(scope="module")
def paired() -> Run:
    return nanomg.sweep(
        "mouse-mc38-depot",
        vary=[f"{DOSED}=0.5,2 mg", "hypothesis=H1,H3"],
        subjects=SUBJECTS,
        paired=True,
        keep=LABELS,
    )


def test_every_point_has_its_row_under_each_hypothesis_and_in_each_arm(paired: Run) -> None:
    data = paired.tree["sweep"].to_dataset()
    points = paired.summary["points"]
    assert [dict(point["at"]) for point in points] == [{DOSED: a, "hypothesis": h} for a in AMOUNTS for h in HYPOTHESES]
    assert paired.summary["points_in_all"] == 4
    assert paired.summary["axes"][DOSED]["unit"] == "mg"
    for point in points:
        for arm in ("as given", "without Mg"):
            for label in LABELS:
                values = data[label].sel({**point["at"], "regimen": arm}).values
                told = point["arms"][arm][label]
                assert told["n"] == SUBJECTS
                expected = np.quantile(values, (0.05, 0.5, 0.95))
                assert [told[key] for key in ("q05", "median", "q95")] == pytest.approx(expected, rel=1e-12)


def test_differences_are_paired_and_have_the_interval_of_student(paired: Run) -> None:
    data = paired.tree["sweep"].to_dataset()
    for point in paired.summary["points"]:
        for label in LABELS:
            given, without = (
                data[label].sel({**point["at"], "regimen": arm}).values for arm in ("as given", "without Mg")
            )
            told = point["differences"][label]
            assert told["median"] == pytest.approx(np.median(given - without), rel=1e-12)
            interval = stats.ttest_rel(given, without).confidence_interval(0.95)
            assert [told["mean_low"], told["mean_high"]] == pytest.approx([interval.low, interval.high], rel=1e-9)


def test_there_are_no_quantiles_over_arms_hypotheses_and_designs(paired: Run) -> None:
    for entry in paired.summary["sweep"].values():
        assert np.isnan([entry[key] for key in ("q05", "median", "q95")]).all()
        assert entry["min"] < entry["max"]


def test_subjects_alone_have_quantiles() -> None:
    run = nanomg.sweep("mouse-mc38-depot", subjects=SUBJECTS, keep=LABELS[:1])
    values = run.tree["sweep"][LABELS[0]].values
    assert run.summary["sweep"][LABELS[0]]["median"] == pytest.approx(np.median(values))


def test_of_a_long_axis_some_points_are_listed() -> None:
    run = nanomg.sweep("textbook-1cpt", vary=["pk.V=30..40 L:501"], keep=["pk.C:max"])
    points = run.summary["points"]
    assert 100 <= len(points) <= 200 and run.summary["points_in_all"] == 501
    assert points[0]["at"] == {"pk.V": 30.0} and points[-1]["at"] == {"pk.V": 40.0}
    at = {point["at"]["pk.V"]: point["arms"]["as given"]["pk.C:max"]["median"] for point in points}
    peaks = run.tree["sweep"]["pk.C:max"]
    assert [*at.values()] == pytest.approx(peaks.sel({"pk.V": [*at]}).values)


def test_the_screen_shows_a_row_for_each_point_and_no_overall_quantile(program: Program) -> None:
    arguments = (
        "--vary",
        f"{DOSED}=0.5,2 mg",
        "--vary",
        "hypothesis=H1,H3",
        "--subjects",
        "4",
        "--paired",
        "--keep",
        LABELS[0],
    )
    code, out, _ = program("sweep", "mouse-mc38-depot", *arguments)
    assert code == 0 and "Over all" not in out
    rows = [line.split()[:2] for line in out.splitlines()]
    assert [[a, h] for a in ("0.5", "2") for h in HYPOTHESES] == [
        row for row in rows if row[1:] and row[1] in HYPOTHESES
    ]
    assert "difference" in out and "95 % CI" in out
    told = json.loads(program("sweep", "mouse-mc38-depot", *arguments, "--json").out)
    assert len(told["points"]) == 4 and told["sweep"][LABELS[0]]["median"] is None


def test_sampled_points_have_the_range_of_each_arm(program: Program) -> None:
    arguments = ("--vary", "liposome.k_leak=1e-4..0.01 1/h:log", "--sample", "sobol", "--points", "8", "--paired")
    code, out, _ = program("sweep", "mouse-mc38-depot", *arguments, "--keep", LABELS[0])
    assert code == 0 and "Over 8 sampled points" in out
    assert sum(arm in out for arm in ("as given", "without Mg", "difference")) == 3
