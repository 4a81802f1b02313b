"""The outcome table: what of an outcome is due to the Mg, and that screen, JSON, page and file show the same numbers."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nanomg
from nanomg import jobs, units
from nanomg.cli import render
from nanomg.cli.main import commands
from nanomg.dosing.dose import Dose
from nanomg.jobs.simulate import outcome, outcome_text
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.page.result import ResultReader
from nanomg.results.kinds import (
    BASELINE,
    BASELINE_EFFECT,
    BASELINE_WITHOUT,
    CHANGE,
    FREE_EFFECT,
    MG_EFFECT,
    OPTIMUM,
    REST,
)
from nanomg.results.run import Run
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT

VOLUME = "tumour.volume"


# ---------------------------------------------------------------- what is due to the Mg
@pytest.fixture(scope="module")
def optimised() -> tuple[Any, outcome.OutcomeNumbers]:
    """An optimum of mouse-mc38-depot next to the regimen that its search began with."""
    found = scenario_file.load("mouse-mc38-depot", library())
    given = ((0.0, 3.856), (48.0, 4.995), (96.0, 4.995), (144.0, 2.138))
    antibody = ((0.0, 0.2997), (117.4, 0.255), (281.3, 0.2209))
    unit = units.factor("mg", found.model.ports["pd1.ip"].unit)
    best = [Dose(t, a, "liposome.intratumoral") for t, a in given] + [Dose(t, unit * a, "pd1.ip") for t, a in antibody]
    before = simulation_arms.without_mg(found.model, found.doses)
    arms = {BASELINE: found.doses, BASELINE_WITHOUT: before, **simulation_arms.arms_of(found, best, OPTIMUM)}
    return found, outcome.of_arms(found, simulation_arms.run_arms(found, arms), OPTIMUM)


def test_the_drug_given_with_it_gets_its_own_share(optimised: tuple[Any, outcome.OutcomeNumbers]) -> None:
    """632 mm3 next to a baseline of 1466: without its Mg the optimum reaches 792, 797 and 769, with it 632, 573 and 772."""
    _, numbers = optimised
    to_mm3 = units.factor(numbers.units[VOLUME], "mm^3")
    ends = {arm: [to_mm3 * v for v in numbers.typical(VOLUME, "final", arm).values()] for arm in numbers.regimens}
    assert ends[OPTIMUM] == pytest.approx([632, 573, 772], abs=1.0)
    assert ends[WITHOUT] == pytest.approx([792, 797, 769], abs=1.0)
    assert ends[BASELINE][0] == pytest.approx(1466, abs=1.0)
    for name, (one, other) in {
        MG_EFFECT: (OPTIMUM, WITHOUT),
        FREE_EFFECT: (FREE, WITHOUT),
        BASELINE_EFFECT: (BASELINE, BASELINE_WITHOUT),
        REST: (WITHOUT, BASELINE_WITHOUT),
        CHANGE: (OPTIMUM, BASELINE),
    }.items():
        difference = [to_mm3 * v for v in numbers.typical(VOLUME, "final", name).values()]
        assert difference == pytest.approx(np.subtract(ends[one], ends[other]))
    parts = numbers.differences[VOLUME]["mean"]
    names = list(numbers.compared)
    with_mg, before, other, all_of_it = (parts[names.index(n)] for n in (MG_EFFECT, BASELINE_EFFECT, REST, CHANGE))
    assert with_mg - before + other == pytest.approx(all_of_it)


def test_the_headline_is_the_effect_of_the_mg_with_its_range(optimised: tuple[Any, outcome.OutcomeNumbers]) -> None:
    sentence = outcome_text.with_and_without(*optimised)
    headline, rest = sentence.split(". Compared with the baseline regimen ")
    numbers = [float(text) for text in re.findall(r"(?<![H\w])[-+]?\d+(?:\.\d+)?", headline)]
    assert headline.startswith("The Mg changes tumour volume at the end by -")
    assert numbers[0] == pytest.approx(numbers[4] - numbers[7], rel=0.01) or numbers[0] < -numbers[1]
    assert "over H1 to H3: " in headline and " with it, " in headline and "bring -0.6" in rest


def test_the_magnesium_of_the_baseline_is_not_another_change(tmp_path: Path) -> None:
    """Where the Mg alone is moved and sized, other doses bring nothing."""
    found = scenario_file.load("human-nsclc-iv-mgso4", library())
    more = [Dose(d.time, 1.5 * d.amt, d.cmt, d.duration) if d.cmt == "magnesium.iv" else d for d in found.doses]
    before = simulation_arms.without_mg(found.model, found.doses)
    arms = {BASELINE: found.doses, BASELINE_WITHOUT: before, **simulation_arms.arms_of(found, more, OPTIMUM)}
    numbers = outcome.of_arms(found, simulation_arms.run_arms(found, arms), OPTIMUM)
    assert list(numbers.typical(VOLUME, "final", REST).values()) == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    assert outcome_text.with_and_without(found, numbers).endswith("changes of other doses make no difference.")


def test_amounts_are_read_at_the_end_and_levels_on_average() -> None:
    assert {u: outcome.read_outs_of(u)[0] for u in ("mL", "Mcell", "mg")} == dict.fromkeys(
        ("mL", "Mcell", "mg"), "final"
    )
    levels = ("mmol/L", "1", "1/ug", "umol/h", "mmHg", "mg/kg")
    assert {u: outcome.read_outs_of(u)[0] for u in levels} == dict.fromkeys(levels, "mean")


def test_a_carrier_itself_is_no_outcome() -> None:
    assert outcome.main_signals(scenario_file.load("human-lnp", library())) == ("interstitium.C",)
    assert outcome.main_signals(scenario_file.load("mouse-mc38-depot", library())) == (VOLUME, "lfa1.competence")


# ---------------------------------------------------------------- one table everywhere
class Cells(HTMLParser):
    """The numbers of a page that say where in the summary they are from."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, float] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (key := given.get("data-key")) and given.get("data-value"):
            self.found[key] = float(str(given["data-value"]))


@pytest.fixture(scope="module", params=["simulate", "optimize", "events"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp(request.param)
    table = folder / "doses.csv"
    table.write_text("ID,TIME,AMT,CMT\n1,24,1,liposome.intratumoral\n2,24,.,.\n3,24,3,magnesium.im\n", encoding="utf-8")
    path = folder / "run.h5"
    if request.param == "optimize":
        return nanomg.optimize("human-nsclc-iv-mgso4", steps=2, output=path)
    return nanomg.simulate("mouse-mc38-depot", output=path, events=table if request.param == "events" else None)


def test_screen_json_page_and_file_show_the_same_outcome(run: Run, tmp_path: Path) -> None:
    assert run.path is not None
    printed = json.loads(CliRunner().invoke(commands, ["summary", str(run.path), "--json"]).stdout)["outcome"]
    screen = CliRunner().invoke(commands, ["summary", str(run.path)]).stdout
    nanomg.report(run.path, tmp_path / "page.html")
    page = Cells()
    page.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    group = nanomg.open(run.path)["outcome"].to_dataset()
    middle = lambda values: float(values.median("subject") if "subject" in values.dims else values)
    count = 0
    for name, signal in printed["signals"].items():
        assert str(group.unit.sel(signal=name).values) == signal["unit"]
        for key, variable, dim in (
            ("by_regimen", "value", "regimen"),
            ("differences", "difference", "comparison"),
        ):
            for read_out, rows in signal[key].items():
                for row, by_hypothesis in rows.items():
                    for h, value in by_hypothesis.items():
                        stored = group[variable].sel(signal=name, read_out=read_out, hypothesis=h, **{dim: row})
                        assert middle(stored) == pytest.approx(value, rel=1e-12, abs=1e-300)
                        place = f"outcome/signals/{name}/{key}/{read_out}/{row}/{h}"
                        if row != CHANGE or REST not in printed["compared"]:
                            assert page.found[place] == value
                            count += 1
    assert count > 50
    lines = [line.split() for line in screen.splitlines()]
    for name in printed["main"]:
        for read_out, word in (("final", "end,"), ("mean", "mean,"), ("max", "highest,")):
            for h in printed["hypotheses"] if read_out in printed["signals"][name]["by_regimen"] else ():
                values = [printed["signals"][name]["by_regimen"][read_out][r][h] for r in printed["regimens"]]
                shown = [f"{value:.4g}" for value in values]
                assert any(line[:2] == [word, h] and line[2 : 2 + len(shown)] == shown for line in lines), (name, h)


def test_eighty_columns_show_every_number_of_the_outcome(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is too wide is shown as two: the regimens, and the differences between them."""
    monkeypatch.setattr(render, "_edge", lambda: 80)
    screen = CliRunner().invoke(commands, ["summary", str(run.path)]).stdout
    found = run.summary["outcome"]
    assert "Not shown" not in screen
    rows = [line.split()[2:] for line in screen.splitlines() if line.startswith(("end, H1 ", "mean, H1 "))]
    columns = len(found["regimens"]), len(found["compared"]) - (REST in found["compared"])
    assert (len(rows[0]), len(rows[2])) == columns if columns[0] > 3 else len(rows[0]) == sum(columns)


def test_the_page_explains_its_words(run: Run, tmp_path: Path) -> None:
    assert run.path is not None
    nanomg.report(run.path, tmp_path / "page.html")
    text = re.sub(r"<[^>]+>", " ", (tmp_path / "page.html").read_text(encoding="utf-8"))
    said = ["H1: effector function", "H2: Mg competes with Ca", "H3: that site", "Without Mg: the same regimen"]
    said += ["Given free (unencapsulated): "] if FREE in run.summary["outcome"]["regimens"] else []
    said += ["Local: the part of the mean rise"] if run.summary["mg"] else []
    assert [words for words in said if words not in text] == []


def test_subjects_are_compared_with_themselves(tmp_path: Path) -> None:
    table = tmp_path / "doses.csv"
    table.write_text("ID,TIME,AMT,CMT\n1,24,1,liposome.intratumoral\n2,24,.,.\n3,24,3,magnesium.im\n", encoding="utf-8")
    run = nanomg.simulate("mouse-mc38-depot", events=table)
    found = run.summary["outcome"]
    assert found["subjects"] == 2  # those who are given Mg
    courses = run.tree["simulation"][VOLUME].sel(subject=["1", "3"]).isel(time=-1)
    within = (courses.sel(regimen=AS_GIVEN) - courses.sel(regimen=WITHOUT)).values
    for h, differences in zip(found["hypotheses"], within, strict=True):
        assert found["signals"][VOLUME]["differences"]["final"][MG_EFFECT][h] == pytest.approx(np.median(differences))
        ends = found["signals"][VOLUME]["ranges"]["final"][MG_EFFECT][h]
        assert list(ends) == pytest.approx([differences.min(), differences.max()])


# ---------------------------------------------------------------- a file that lacks something
def places(found: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the entries of an outcome table are, of its first signal alone."""
    for key, value in found.items() if isinstance(found, dict) else ():
        if at != ("signals",) or key == VOLUME:
            yield (*at, key)
            yield from places(value, (*at, key))


def test_a_table_without_an_entry_is_still_shown(run: Run) -> None:
    kind = run.summary.job
    summary = json.loads(json.dumps(run.summary.to_json()))
    page = jobs.job(kind).page
    for *inner, key in places(summary["outcome"]):
        less = copy.deepcopy(summary)
        holder = less["outcome"]
        for step in inner:
            holder = holder[step]
        del holder[key]
        assert [*page.blocks(ResultReader.of_summary(kind, less))]


def test_a_rest_of_rounding_is_0_and_the_lung_is_no_tumour() -> None:
    """At the end no lung cell makes virus any more: the solver leaves 1e-30 of them."""
    run = nanomg.simulate("mouse-influenza")
    ends = run.summary["outcome"]["signals"]["influenza.infected"]["by_regimen"]["final"][AS_GIVEN]
    assert set(ends.values()) == {0.0} and float(run.tree["simulation"]["influenza.infected"][..., -1].max()) > 0.0
    texts = [str(run.tree["simulation"][name].attrs["long_name"]) for name in run.summary["outcome"]["signals"]]
    assert not any("tumour" in text for text in [*texts, run.summary["verdict"]])


def test_a_label_of_mg_is_not_called_a_dose_without_mg() -> None:
    verdict = nanomg.simulate("human-mg28").summary["verdict"]
    assert verdict.startswith("Exchangeable Mg") and "The dose is a label, which is too little to change Mg." in verdict
    assert "contains Mg" not in verdict
