"""Kind of truth: closed forms of what is drawn; the same subject however it is reached; what was published about such people."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import nanomg.models
from nanomg.errors import InputError
from nanomg.library.card import provenance
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import compose, load
from nanomg.library.toml import load_toml
from nanomg.population.population import ATTEMPTS, Drawn, Population, default_population, draw
from nanomg.population.population_file import load_population
from nanomg.population.streams import PAGE, normal
from nanomg.simulation import lanes as simulation_lanes

FOLDER = Path(str(resources.files(nanomg.models))) / "populations"
MANY = 20_000
ALONE = {"mechanisms": ["Magnesium"], "cards": ["human"], "species": "human", "horizon": "28 d"}

Write = Callable[..., Population]

PEOPLE = """
title = "People of a test"
species = "human"
[covariates]
weight = { median = 80, cv = 0.3, unit = "kg", low = 50, high = 110, basis = "assumed", note = "test" }
GFR = { parameter = "magnesium.GFR", cv = 0.3, unit = "mL/min", basis = "assumed", note = "test" }
[covariates.albumin]
parameter = "magnesium.albumin"
mean = 0.6
sd = 0.1
unit = "mmol/L"
low = 0.5
high = 0.8
basis = "assumed"
note = "test"
"""
SIZE = """
[[effect]]
parameter = ["magnesium.V1", "magnesium.Q"]
covariate = "weight"
exponent = 0.75
reference = "70 kg"
basis = "assumed"
note = "test"
"""
TOGETHER = """
[[correlation]]
between = ["weight", "GFR"]
rho = 0.6
basis = "assumed"
note = "test"
[[correlation]]
between = ["weight", "magnesium.V2"]
rho = -0.5
basis = "assumed"
note = "test"
"""


def rule(low: float, high: float, name: str = "magnesium.total", unit: str = "mmol/L") -> str:
    return (
        f'[plausible]\n"{name}" = {{ low = {low}, high = {high}, unit = "{unit}", basis = "assumed", note = "test" }}\n'
    )


@pytest.fixture(scope="module")
def alone(library: Library) -> Scenario:
    return compose("magnesium-alone", ALONE, library)


@pytest.fixture(scope="module")
def write(library: Library, alone: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Write:
    folder = tmp_path_factory.mktemp("populations")

    def written(text: str, scenario: Scenario = alone) -> Population:
        path = folder / "people.toml"
        path.write_text(text, encoding="utf-8")
        return load_population(str(path), library, scenario)

    return written


def values(scenario: Scenario, population: Population, drawn: Drawn) -> dict[str, Any]:
    """Parameter values of the drawn subjects, as a sweep has them."""
    found: dict[str, Any] = {**scenario.values, **population.typical}
    for name, factor in drawn.relative.items():
        found[name] = np.minimum(found[name] * factor, scenario.model.parameters[name].at_most)
    return found


def baseline(scenario: Scenario, population: Population, count: int) -> dict[str, np.ndarray]:
    drawn = draw(scenario, population, 0, 0, count)
    x = scenario.model.derive(values(scenario, population, drawn))
    return {name: np.asarray(x[f"magnesium.{name}"]) for name in ("baseline", "ionised_0")}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


# ---------------------------------------------------------------- streams
def test_a_subject_has_the_same_numbers_whatever_the_range() -> None:
    everyone = normal("a.b", 7, np.arange(2 * PAGE + 10))
    for start, stop in ((0, 5), (PAGE - 3, PAGE + 3), (2 * PAGE, 2 * PAGE + 10), (100, 2 * PAGE + 1)):
        np.testing.assert_array_equal(normal("a.b", 7, np.arange(start, stop)), everyone[start:stop])
    some = np.array([2 * PAGE + 5, 3, PAGE])
    np.testing.assert_array_equal(normal("a.b", 7, some), everyone[some])
    assert abs(correlation(everyone[:PAGE], everyone[PAGE : 2 * PAGE])) < 4 / math.sqrt(PAGE)


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_the_first_page_is_the_plain_stream(seed: int) -> None:
    plain = np.random.default_rng([seed, zlib.crc32(b"pd1.CL")]).standard_normal(PAGE)
    np.testing.assert_array_equal(normal("pd1.CL", seed, np.arange(PAGE)), plain)


def test_names_seeds_and_attempts_have_their_own_numbers() -> None:
    keys = [("a.b", 1, 0), ("a.c", 1, 0), ("a.b", 2, 0), ("a.b", 1, 1), ("a.b", 1, 2)]
    drawn = [normal(name, seed, np.arange(PAGE), attempt) for name, seed, attempt in keys]
    for i, one in enumerate(drawn):
        assert abs(one.mean()) < 4 / math.sqrt(PAGE) and one.std() == pytest.approx(1, rel=0.05)
        assert all(abs(correlation(one, other)) < 4 / math.sqrt(PAGE) for other in drawn[:i])


# ---------------------------------------------------------------- what is drawn
def test_without_a_population_subjects_vary_as_the_cards_say(alone: Scenario) -> None:
    drawn = draw(alone, default_population(alone), 3, 0, 4000)
    varying = [p for p in alone.parameters.values() if p.cv and p.value]
    plain = {p.name: np.exp(math.sqrt(math.log1p(p.cv**2)) * normal(p.name, 3, np.arange(4000))) for p in varying}
    first = drawn.attempts == 1
    assert drawn.relative.keys() == plain.keys() and not drawn.covariates
    assert 0.99 < first.mean() < 1
    for name, factor in drawn.relative.items():
        np.testing.assert_array_equal(factor[first], plain[name][first])
        assert alone.values[name] * factor.max() < alone.model.parameters[name].at_most


def test_subjects_do_not_depend_on_the_range(alone: Scenario, write: Write) -> None:
    population = write(PEOPLE + SIZE + TOGETHER + rule(0.8, 0.95))
    whole = draw(alone, population, 5, 0, 3000)
    assert whole.attempts.max() > 3
    for start, stop in ((0, 1), (999, 1001), (1024, 2048), (2990, 3000)):
        part = draw(alone, population, 5, start, stop)
        np.testing.assert_array_equal(part.attempts, whole.attempts[start:stop])
        for name, factor in part.relative.items():
            np.testing.assert_array_equal(factor, whole.relative[name][start:stop])
        for name, (value, unit) in part.covariates.items():
            np.testing.assert_array_equal(value, whole.covariates[name][0][start:stop])
            assert unit == whole.covariates[name][1]
    other = draw(alone, population, 6, 0, 10)
    assert not np.any(other.relative["magnesium.GFR"] == whole.relative["magnesium.GFR"][:10])


def test_correlations_and_variation_are_those_of_the_file(alone: Scenario, write: Write) -> None:
    population = write(PEOPLE.replace("low = 50, high = 110, ", "") + SIZE + TOGETHER)
    drawn = draw(alone, population, 1, 0, MANY)
    weight, unit = drawn.covariates["weight"]
    GFR = drawn.covariates["GFR"][0]
    assert (unit, drawn.covariates["GFR"][1]) == ("kg", "mL/min")
    for found, median, cv in ((weight, 80, 0.3), (GFR, 120, 0.3), (drawn.relative["magnesium.V_deep"], 1, 0.3)):
        assert np.median(found) == pytest.approx(median, rel=0.01)
        assert np.log(found).std() == pytest.approx(math.sqrt(math.log1p(cv**2)), rel=0.02)
    close = 4 / math.sqrt(MANY)
    assert correlation(np.log(weight), np.log(GFR)) == pytest.approx(0.6, abs=close)
    V2 = np.log(drawn.relative["magnesium.V2"])
    assert correlation(np.log(weight), V2) == pytest.approx(-0.5, abs=close)
    assert correlation(np.log(GFR), V2) == pytest.approx(0, abs=close)
    np.testing.assert_allclose(drawn.relative["magnesium.GFR"], GFR / 120, rtol=1e-12)


def test_a_cut_leaves_the_distribution_between_its_ends(alone: Scenario, write: Write) -> None:
    drawn = draw(alone, write(PEOPLE + SIZE), 1, 0, MANY)
    weight, albumin = (drawn.covariates[name][0] for name in ("weight", "albumin"))
    sd = math.sqrt(math.log1p(0.3**2))
    shapes = {
        "weight": (np.log(weight / 80) / sd, math.log(50 / 80) / sd, math.log(110 / 80) / sd),
        "albumin": ((albumin - 0.6) / 0.1, -1.0, 2.0),
    }
    for name, (score, low, high) in shapes.items():
        assert low < score.min() and score.max() < high, name
        assert stats.kstest(score, stats.truncnorm(low, high).cdf).pvalue > 0.01, name
    # so no subjects pile up at an end
    assert np.mean(weight > 109) < 0.02 and np.mean(albumin < 0.505) < 0.03


def test_effects_act_as_stated(alone: Scenario, write: Write) -> None:
    without, with_effect = (draw(alone, write(PEOPLE + text), 1, 0, 1000) for text in ("", SIZE))
    assert "weight" not in without.covariates, "nothing in this model follows weight"
    own = (with_effect.covariates["weight"][0] / 70) ** 0.75
    for name, factor in with_effect.relative.items():
        on = own if name in ("magnesium.V1", "magnesium.Q") else 1.0
        np.testing.assert_allclose(factor, without.relative[name] * on, rtol=1e-12)


def test_an_effect_within_the_variation_of_the_card_adds_none(alone: Scenario, write: Write) -> None:
    uncut = PEOPLE.replace("low = 50, high = 110, ", "")
    inner = (
        SIZE + "within_cv = true\n" + SIZE.replace('"weight"', '"GFR"').replace("70 kg", "2 L/h") + "within_cv = true\n"
    )
    drawn = draw(alone, write(uncut + inner + TOGETHER), 1, 0, MANY)
    total = math.sqrt(math.log1p(0.59**2))  # of the card's Q
    assert np.log(drawn.relative["magnesium.Q"]).std() == pytest.approx(total, rel=0.02)
    # V1 varies less than what these two say together, so nothing else is left of it
    explained = np.log(drawn.relative["magnesium.V1"])
    own = 0.75 * (np.log(drawn.covariates["weight"][0] / 70) + np.log(drawn.covariates["GFR"][0] / (2000 / 60)))
    np.testing.assert_allclose(explained, own, rtol=1e-9)


def test_subjects_are_drawn_again_until_they_are_plausible(alone: Scenario, write: Write) -> None:
    # total_0 varies log-normally about 0.85, so half of the candidates pass
    population = write(PEOPLE + rule(0.85, 5.0))
    drawn = draw(alone, population, 2, 0, MANY)
    text = "0.85 <= magnesium.total <= 5 mmol/L"
    assert drawn.relative["magnesium.total_0"].min() >= 1
    assert next(iter(drawn.rejected)) == text
    assert sum(drawn.rejected.values()) == (drawn.attempts - 1).sum()
    assert drawn.rejected[text] / drawn.attempts.sum() == pytest.approx(0.5, abs=4 / math.sqrt(MANY))
    counts = np.bincount(drawn.attempts)[1:5] / MANY
    assert counts == pytest.approx([1 / 2, 1 / 4, 1 / 8, 1 / 16], abs=0.015)
    # those who pass at first are not moved
    free = draw(alone, write(PEOPLE), 2, 0, MANY)
    same = (drawn.attempts == 1) & (free.attempts == 1)
    np.testing.assert_array_equal(drawn.relative["magnesium.V1"][same], free.relative["magnesium.V1"][same])


def test_a_rule_that_nobody_keeps_is_named(alone: Scenario, write: Write) -> None:
    with pytest.raises(
        InputError, match=f"after {ATTEMPTS} attempts 3 of 3 .*: 4 <= magnesium.total <= 5 mmol/L"
    ) as caught:
        draw(alone, write(PEOPLE + rule(4, 5)), 0, 0, 3)
    assert "\n" not in str(caught.value)


def test_a_model_without_variation_has_one_subject(library: Library, write: Write) -> None:
    textbook = load("textbook-1cpt", library)
    population = write(PEOPLE + SIZE + TOGETHER + rule(0.1, 5), textbook)
    drawn = draw(textbook, population, 0, 0, 10)
    assert not drawn.relative and not drawn.covariates and not population.rules
    assert (drawn.attempts == 1).all()


# ---------------------------------------------------------------- baselines
def test_every_subject_stays_at_its_own_baseline(library: Library, alone: Scenario) -> None:
    population = load_population("human-renal", library, alone)
    own = values(alone, population, draw(alone, population, 0, 0, 50))
    plan = simulation_lanes.plan_for(alone.model, (), tuple(n for n, v in own.items() if np.ndim(v)))
    lanes = simulation_lanes.lanes_for(plan, own, (), (), np.array([0.0, 24.0, 28 * 24.0]), 50)
    solved = simulation_lanes.run(plan, lanes)
    assert not np.asarray(solved.status).any()
    seen = simulation_lanes.observe(plan, lanes, solved, ["magnesium.total", "magnesium.ionised", "magnesium.rbc_C"])
    for signal, course in seen.items():
        np.testing.assert_allclose(course[1:], np.broadcast_to(course[0], course[1:].shape), rtol=1e-6, err_msg=signal)
        assert course[0].std() / course[0].mean() > 0.03, signal


def test_adults_have_the_serum_of_the_survey_that_they_were_made_from(library: Library, alone: Scenario) -> None:
    total = baseline(alone, load_population("human-adults", library, alone), 5000)["baseline"]
    # men 0.71 to 0.93, women 0.70 to 0.91 mmol/L
    assert np.percentile(total, [2.5, 97.5]) == pytest.approx([0.705, 0.92], abs=0.01)


def test_failing_kidneys_raise_ionised_magnesium_as_was_measured(library: Library, alone: Scenario) -> None:
    """Chronic renal failure: 0.57, SD 0.05 mmol/L ionised (PMID 9736811), which nothing here was fitted to."""
    ionised = baseline(alone, load_population("human-renal", library, alone), 5000)["ionised_0"]
    healthy = baseline(alone, load_population("human-adults", library, alone), 5000)["ionised_0"]
    assert ionised.mean() == pytest.approx(0.57, abs=0.03)
    assert ionised.std() == pytest.approx(0.05, abs=0.01)
    assert ionised.mean() > healthy.mean() + 0.03


# ---------------------------------------------------------------- what ships
def entries(data: dict[str, Any]) -> list[dict[str, Any]]:
    tables = [*data["covariates"].values(), *data.get("plausible", {}).values()]
    return [*tables, *data.get("effect", []), *data.get("correlation", [])]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_population_fits_every_scenario_of_its_species(library: Library, path: Path) -> None:
    data = load_toml(path)
    for entry in entries(data):
        if entry.keys() - {"parameter", "unit"}:
            known = provenance(entry, path.stem)
            assert known["basis"] not in ("measured", "fitted") or known["place"], (
                "say where in the source the value stands"
            )
            assert not known["source"] or known["source"] in library.references
            assert known["basis"] != "recalled" or known["source"] or known["note"]
    scenarios = [load(name, library) for name in library.scenarios if name.startswith(data["species"])]
    assert len(scenarios) > 10
    used, acting = set[str](), set[tuple[str, str]]()
    for scenario in scenarios:
        population = load_population(path.stem, library, scenario)
        used |= set(population.covariates)
        acting |= {(e.parameter, e.covariate) for e in population.effects}
        assert set(population.typical) <= set(population.spreads)
    assert used == set(data["covariates"]), "a covariate that no scenario has"
    every = [(e["parameter"], e["covariate"]) for e in data["effect"]]
    assert acting == {(p, c) for on, c in every for p in (on if isinstance(on, list) else [on])}


def test_effects_of_an_antibody_come_with_its_card(library: Library) -> None:
    found = {}
    for drug in ("pembrolizumab", "nivolumab"):
        scenario = load(f"human-nsclc-{drug}", library)
        effects = load_population("human-cancer", library, scenario).effects
        found[drug] = {e.covariate: e.exponent for e in effects if e.parameter == "pd1.CL"}
    assert found["pembrolizumab"] == {"weight": 0.595, "albumin": -0.907, "GFR": 0.135, "tumour_burden": 0.029}
    assert found["nivolumab"] == {"weight": 0.566, "GFR": 0.186}


def test_a_correlation_of_an_antibody_comes_with_its_card(library: Library) -> None:
    between = {}
    for drug in ("pembrolizumab", "nivolumab"):
        scenario = load(f"human-nsclc-{drug}", library)
        scores = load_population("human-cancer", library, scenario).scores(1, np.arange(MANY), 0)
        between[drug] = correlation(scores["pd1.CL"], scores["pd1.V"])
    assert between["nivolumab"] == pytest.approx(0.352, abs=4 / math.sqrt(MANY))
    assert between["pembrolizumab"] == pytest.approx(0.0, abs=4 / math.sqrt(MANY))


def test_what_a_user_sets_stays(library: Library) -> None:
    scenario = load("human-mg-oral", library, {"magnesium.total_0": "0.6 mmol/L"})
    population = load_population("human-adults", library, scenario)
    assert "magnesium.total_0" not in population.typical and "magnesium.GFR" in population.typical
    drawn = draw(scenario, population, 0, 0, 1000)
    assert np.median(drawn.covariates["serum_Mg"][0]) == pytest.approx(0.6, abs=0.01)


# ---------------------------------------------------------------- what is wrong
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'species = "human"',
            'species = "mouse"',
            "its subjects are of species 'mouse', but scenario 'magnesium-alone' is of 'human'",
        ),
        ('title = "People of a test"', "", "the key 'title' is missing"),
        ("[covariates]", "[covariate]", "there is no key 'covariate'; did you mean 'covariates'?"),
        ("median = 80", "mean = 80", "give median and cv"),
        ("median = 80, ", "", "the median is missing"),
        ("median = 80", "median = 120", "low and high must be above 0 and enclose the median"),
        ("cv = 0.3", "cv = 0", "median and cv must be above 0"),
        ("mean = 0.6", "mean = true", "mean must be a finite number"),
        ("low = 0.5", "least = 0.5", "there is no key 'least'"),
        ('"kg", low', '"kgs2", low', "not a unit"),
        ('unit = "mL/min"', 'unit = "mL"', "GFR: the unit 'mL' cannot be converted to 'mL/h'"),
        ("magnesium.GFR", "magnesium.GFT", "there is no parameter 'magnesium.GFT'; did you mean 'magnesium.GFR'"),
        ('basis = "assumed", note = "test" }', 'basis = "assumed" }', "an assumed value needs a note"),
        ('basis = "assumed", note = "test" }', 'basis = "measured" }', "a measured value needs its source"),
        ("magnesium.V1", "magnesium.V9", "there is no parameter 'magnesium.V9'"),
        ("magnesium.V1", "magnesium.albumin", "'magnesium.albumin' is a covariate itself"),
        ('covariate = "weight"', 'covariate = "height"', "there is no covariate 'height'; did you mean 'weight'"),
        ('covariate = "weight"', 'covariate = "weight"\ncard = "humans"', "there is no card 'humans'"),
        ('covariate = "weight"', 'covariate = "weight"\nwithin_cv = 1', "within_cv must be true or false"),
        ("70 kg", "70 mL", "'mL' cannot be converted to 'kg'"),
        ("70 kg", "0 kg", "the reference must be above 0"),
        ("rho = 0.6", "rho = 1.2", "rho must be between -1 and 1"),
        ("rho = 0.6", 'rho = 0.6\ncard = "humans"', "there is no card 'humans'"),
        ('["weight", "GFR"]', '["weight"]', "'between' must be a list of two names"),
        ('["weight", "GFR"]', '["weight", "magnesium.GRF"]', "there is no covariate or parameter 'magnesium.GRF'"),
        ('"magnesium.V2"]', '"magnesium.GFR"]', "are the same, or have a correlation already"),
        ("rho = -0.5", "rho = -0.9", "not positive definite"),
        ("low = 0.1", "low = 9", r"low \(9\) must be below high"),
        (
            '"magnesium.total" =',
            '"magnesium.totl" =',
            "there is no quantity 'magnesium.totl'; did you mean 'magnesium.total",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(write: Write, old: str, new: str, told: str) -> None:
    text = PEOPLE + SIZE + TOGETHER + rule(0.1, 5)
    assert old in text
    with pytest.raises(InputError, match=told) as caught:
        write(text.replace(old, new, 1))
    assert "\n" not in str(caught.value) and re.match(r"population 'people'", str(caught.value))


def test_an_unknown_population_is_said_with_the_nearest(library: Library, alone: Scenario) -> None:
    with pytest.raises(InputError, match="there is no population 'human-adult'; did you mean 'human-adults'"):
        load_population("human-adult", library, alone)
    with pytest.raises(InputError, match="there is no such file"):
        load_population("nobody.toml", library, alone)
