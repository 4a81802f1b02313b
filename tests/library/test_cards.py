"""The parameter cards: complete, in the declared dimensions, with sources that exist, and the figures they give."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import nanomg.models
from nanomg import Var
from nanomg.errors import InputError
from nanomg.library.bibliography import read_bibliography
from nanomg.library.card import Card, Parameter
from nanomg.library.library import Library
from nanomg.library.scenario_file import load
from nanomg.library.toml import load_toml
from nanomg.models.coat import Coat
from nanomg.models.liposome import Liposome

DOCS = Path(__file__).resolve().parents[2] / "docs"
MODELS = Path(str(resources.files(nanomg.models)))
PATHS = sorted((MODELS / "cards").glob("*.toml"))
SHIPPED = nanomg.models.library()
BIBLIOGRAPHY = read_bibliography(MODELS / "references.bib")
MECHANISMS = SHIPPED.mechanisms
DECLARED: dict[str, Var] = {name: var for cls in MECHANISMS.values() for name, var in cls.parameters().items()}


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    return {path.stem: SHIPPED.card(path.stem) for path in PATHS}


def entries() -> list[Parameter]:
    return [parameter for path in PATHS for parameter in SHIPPED.card(path.stem).parameters.values()]


def identity(parameter: Parameter) -> str:
    return f"{parameter.card}:{parameter.name}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_card_has_title_species_and_values(path: Path) -> None:
    card = SHIPPED.card(path.stem)
    assert card.title
    assert card.species in ("mouse", "human", "any")
    assert card.parameters


@pytest.mark.parametrize("parameter", entries(), ids=identity)
def test_entry(parameter: Parameter) -> None:
    assert parameter.name in DECLARED, f"no mechanism declares {parameter.name}"
    converted = parameter.to(DECLARED[parameter.name].unit)
    # a unit conversion keeps the order of the range
    assert converted.low is None or converted.low <= converted.value
    assert converted.high is None or converted.value <= converted.high
    assert (parameter.low is None) == (parameter.high is None), "give both ends of a range or none"
    assert parameter.low is None or parameter.low > 0, "ranges are log-normal: the low end is above 0"
    if parameter.basis in ("measured", "fitted"):
        assert parameter.place, "say where in the source the value stands"
    if parameter.basis == "fitted":
        assert parameter.low is not None, "a fit leaves a range"
    if parameter.basis == "recalled":
        assert parameter.source or parameter.note, "a recalled value says what is recalled"
    if parameter.basis == "assumed":
        assert parameter.note, "an assumed value says why"
    if parameter.source:
        assert parameter.source in BIBLIOGRAPHY


def test_a_coat_changes_values_of_coat_and_liposome_only(cards: dict[str, Card]) -> None:
    coats = {name: card for name, card in cards.items() if name.startswith("coat-")}
    assert len(coats) > 1
    for coat in coats.values():
        assert set(coat.parameters) <= {*Coat.parameters(), *Liposome.parameters()}


def contents(*folders: str) -> list[dict[str, Any]]:
    return [load_toml(path) for folder in folders for path in sorted((MODELS / folder).glob("*.toml"))]


def users() -> Iterator[dict[str, Any]]:
    """Every scenario, and every run of an observation table or a study."""
    yield from contents("scenarios")
    for table in contents("observations", "studies"):
        yield from table.get("run", {}).values()


def test_every_card_is_used(cards: dict[str, Card]) -> None:
    used = {name for user in users() for name in user.get("cards", ())}
    used |= {table["fit"]["card"] for table in contents("studies")}
    scaled = {
        entry["scaled_from"]
        for card in contents("cards")
        for group in card.values()
        if isinstance(group, dict)
        for entry in group.values()
        if "scaled_from" in entry
    }
    assert sorted(set(cards) - used - scaled) == []


def test_every_mechanism_takes_part_somewhere() -> None:
    taking_part = {name for user in users() for name in user.get("mechanisms", ())}
    assert sorted(set(MECHANISMS) - taking_part) == []


def test_every_reference_is_used() -> None:
    folders = ("cards", "observations", "populations", "scenarios", "studies")
    text = "".join(path.read_text(encoding="utf-8") for f in folders for path in (MODELS / f).glob("*.toml"))
    assert [key for key in BIBLIOGRAPHY if f'"{key}"' not in text] == []


@pytest.mark.parametrize("key", BIBLIOGRAPHY)
def test_reference_is_well_formed(key: str) -> None:
    entry = BIBLIOGRAPHY[key]
    assert entry.count("{") == entry.count("}")
    assert "title =" in entry or "note =" in entry


def derived(scenario: str, **changes: str) -> dict[str, Any]:
    found = load(scenario, SHIPPED, {name.replace("__", "."): value for name, value in changes.items()})
    return found.model.derive(found.values)


def test_liposome_payload_and_mass() -> None:
    x = derived("mouse-mc38-iv")
    # 100 nm, 5 nm bilayer, 300 mmol/L: 6.9e4 Mg ions and 1.56e-16 g of lipid a particle
    assert x["liposome.M_per_lipid"] == pytest.approx(0.735, rel=0.005)
    assert 1.0 / (x["liposome.N_per_lipid"] * 1e9) == pytest.approx(1.56e-13, rel=0.005)
    assert x["liposome.M_per_N"] * 1e-9 * 6.022e17 == pytest.approx(6.9e4, rel=0.01)


@pytest.mark.parametrize(
    ("scenario", "payload"),
    [
        ("mouse-multivesicular", "liposome.M_per_lipid"),
        ("mouse-solid", "liposome.M_per_N"),
        ("mouse-solid-peroxide", "liposome.M_per_N"),
    ],
)
def test_a_scenario_says_how_many_times_the_mg_of_a_liposome_it_brings(scenario: str, payload: str) -> None:
    (times,) = re.findall(r"(\d+) times the Mg of a liposome", load(scenario, SHIPPED).description)
    assert derived(scenario)[payload] / derived("mouse-mc38-iv")[payload] == pytest.approx(int(times), rel=0.02)


@pytest.mark.parametrize("card", ["human", "mouse"])
@pytest.mark.parametrize(("port", "mass"), [("magnesium.iv", "salt_MW"), ("magnesium.oral", "oral_MW")])
def test_a_port_says_of_what_a_mass_is(cards: dict[str, Card], card: str, port: str, mass: str) -> None:
    text = MECHANISMS["Magnesium"].ports[port].text
    (per_gram,) = re.findall(r"([\d.]+) mmol of Mg per g", text)
    assert ("MgSO4.7H2O" in text) == (port == "magnesium.iv")
    assert float(per_gram) == pytest.approx(1000 / cards[card].parameters[f"magnesium.{mass}"].value, rel=2e-3)


def test_renal_loss_in_the_scenarios_of_car_t_cells_is_that_of_the_card(cards: dict[str, Card]) -> None:
    left = cards["hypomagnesaemia-renal"].parameters["magnesium.reabsorption"].value
    for name in ("human-lbcl-cart-low-mg", "human-lbcl-cart-repleted"):
        assert load(name, SHIPPED).values["magnesium.e_cisplatin"] == pytest.approx(1.0 - left)
    assert derived("human-lbcl-cart", magnesium__reabsorption=str(left))["magnesium.baseline"] == pytest.approx(
        0.64, abs=0.005
    )


def test_lnp_payload() -> None:
    assert derived("mouse-mc38-lnp")["lnp.M_per_lipid"] == pytest.approx(0.086, rel=0.01)


def test_human_magnesium_baseline() -> None:
    x = derived("human-nsclc-iv")
    assert x["magnesium.ionised_0"] == pytest.approx(0.554, abs=0.001)
    assert x["magnesium.threshold"] * x["magnesium.GFR"] / 1000 == pytest.approx(5.07, rel=0.005)
    # at an albumin of 25 g/L the same total holds more ionised Mg
    cachectic = derived("human-nsclc-iv", magnesium__albumin=f"{25 / 66.5} mmol/L")
    assert cachectic["magnesium.ionised_0"] == pytest.approx(0.623, abs=0.001)


def test_lfa1_gains_of_the_hypotheses(cards: dict[str, Card]) -> None:
    names = [name.removeprefix("lfa1.") for name in MECHANISMS["LFA1"].parameters()]
    values = {name: cards["lfa1"].parameters[f"lfa1.{name}"] for name in names}
    lfa1 = MECHANISMS["LFA1"](**{name: p.to(DECLARED[p.name].unit).value for name, p in values.items()})
    gains = [float(high / low) for high, low in zip(lfa1.functions(0.85), lfa1.functions(0.55), strict=True)]
    assert gains == pytest.approx([1.42, 1.44, 1.06], abs=0.015)


def scaled(folder: Path, cards: dict[str, str]) -> Library:
    for name, text in cards.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return Library({}, {name: folder / f"{name}.toml" for name in cards}, {}, {})


HUMAN = """weight = "70 kg"
[pk]
CL = { value = 5, unit = "L/h", low = 4, high = 6, cv = 0.3, basis = "measured", source = "x2000", place = "Table 1" }
"""


def test_a_value_is_scaled_by_body_weight(tmp_path: Path) -> None:
    mouse = 'weight = "25 g"\n[pk]\nCL = { scaled_from = "human", exponent = 0.75, note = "no own value" }\n'
    p = scaled(tmp_path, {"human": HUMAN, "mouse": mouse}).card("mouse").parameters["pk.CL"]
    factor = (25 / 70_000) ** 0.75
    assert (p.value, p.low, p.high) == pytest.approx((5 * factor, 4 * factor, 6 * factor), rel=1e-12)
    assert (p.unit, p.basis, p.cv, p.source, p.card) == ("L/h", "scaled", 0.3, "x2000", "mouse")
    assert p.note == "5 L/h of card 'human', scaled by body weight to the power 0.75; no own value"


@pytest.mark.parametrize(
    ("mouse", "told"),
    [
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "human" }', "exponent"),
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "human", exponent = 1, value = 3 }', "value"),
        ('weight = "25 g"\n[pk]\nV = { scaled_from = "human", exponent = 1 }', "'pk.V'"),
        ('[pk]\nCL = { scaled_from = "human", exponent = 1 }', "card 'mouse' must give its body weight"),
        ('weight = "25 h"\n[pk]\nCL = { scaled_from = "human", exponent = 1 }', "'h' cannot be converted to 'kg'"),
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "mouse", exponent = 1 }', "mouse -> mouse"),
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "rat", exponent = 1 }', "'rat'"),
    ],
)
def test_what_is_wrong_with_scaling_is_said(tmp_path: Path, mouse: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        scaled(tmp_path, {"human": HUMAN, "mouse": mouse}).card("mouse")
    assert "\n" not in str(caught.value)


def test_the_page_that_counts_how_values_are_known_is_up_to_date() -> None:
    page = runpy.run_path(str(DOCS / "parameters.py"))["page"]()
    assert page == (DOCS / "parameters.md").read_text(encoding="utf-8")
