"""The parameter cards: complete, in the declared dimensions, with sources that exist, and the figures they give."""

from __future__ import annotations

import importlib
import inspect
from importlib import resources
from pathlib import Path

import pytest

import nanomg.models
from nanomg.card import Card, Parameter, merge, read_bibliography
from nanomg.errors import InputError
from nanomg.library import Library
from nanomg.mechanism import AbstractMechanism, Var
from nanomg.model import Model

MODELS = Path(str(resources.files(nanomg.models)))
PATHS = sorted((MODELS / "cards").glob("*.toml"))
SHIPPED = nanomg.models.library()
BIBLIOGRAPHY = read_bibliography(MODELS / "references.bib")
ANY = ("lfa1", "checkpoint", "liposome", "lnp", "textbook")
SPECIES = {
    "mouse": ("mouse", "rmp1-14", "mc38", *ANY, "liposome-mouse", "lnp-mouse"),
    "human": ("human", "pembrolizumab", "nsclc", *ANY, "liposome-human", "lnp-human"),
}
COATS = ("coat-edb", "coat-her2")


def mechanisms() -> dict[str, type[AbstractMechanism]]:
    """The mechanism classes that the modules of the models folder define."""
    found = {}
    for path in sorted(MODELS.glob("[a-z]*.py")):
        module = importlib.import_module(f"nanomg.models.{path.stem}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and issubclass(cls, AbstractMechanism) and cls.__module__ == module.__name__:
                found[cls.__name__] = cls
    return found


MECHANISMS = mechanisms()
DECLARED: dict[str, Var] = {name: var for cls in MECHANISMS.values() for name, var in cls.parameters().items()}


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    return {path.stem: SHIPPED.card(path.stem) for path in PATHS}


def entries() -> list[Parameter]:
    return [parameter for path in PATHS for parameter in SHIPPED.card(path.stem).parameters.values()]


def identity(parameter: Parameter) -> str:
    return f"{parameter.card}:{parameter.name}"


def full_model() -> Model:
    """All mechanisms but those of the textbook, which share their names."""
    return Model(*(cls for cls in MECHANISMS.values() if cls.name != "pk"))


def derived(cards: dict[str, Card], names: tuple[str, ...], model: Model, **changes: float) -> dict[str, float]:
    merged = {name: p.to(DECLARED[name].unit).value for name, p in merge(cards[name] for name in names).items()}
    merged.update({name.replace("__", "."): value for name, value in changes.items()})
    values = model.derive({name: merged[name] for name in model.parameters})
    return {name: float(value) for name, value in values.items()}


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
    if parameter.basis == "assumed":
        assert parameter.note, "an assumed value says why"
    if parameter.source:
        assert parameter.source in BIBLIOGRAPHY


@pytest.mark.parametrize("species", SPECIES)
def test_every_parameter_has_a_value(species: str, cards: dict[str, Card]) -> None:
    given = merge(cards[name] for name in SPECIES[species])
    assert sorted(set(DECLARED) - set(given)) == []
    assert {cards[name].species for name in SPECIES[species]} <= {species, "any"}


def test_a_coat_changes_values_of_the_liposome_only(cards: dict[str, Card]) -> None:
    for coat in COATS:
        assert set(cards[coat].parameters) <= set(cards["liposome"].parameters)


def test_every_card_belongs_to_a_set(cards: dict[str, Card]) -> None:
    used = {name for names in SPECIES.values() for name in names} | set(COATS)
    assert set(cards) <= used


def test_every_reference_is_used() -> None:
    folders = ("cards", "observations", "scenarios")
    text = "".join(path.read_text(encoding="utf-8") for f in folders for path in (MODELS / f).glob("*.toml"))
    assert [key for key in BIBLIOGRAPHY if f'"{key}"' not in text] == []


@pytest.mark.parametrize("key", BIBLIOGRAPHY)
def test_reference_is_well_formed(key: str) -> None:
    entry = BIBLIOGRAPHY[key]
    assert entry.count("{") == entry.count("}")
    assert "title =" in entry or "note =" in entry


def test_liposome_payload_and_mass(cards: dict[str, Card]) -> None:
    x = derived(cards, SPECIES["mouse"], full_model())
    # 100 nm, 5 nm bilayer, 300 mmol/L: 6.9e4 Mg ions and 1.56e-16 g of lipid a particle
    assert x["liposome.M_per_lipid"] == pytest.approx(0.735, rel=0.005)
    assert 1.0 / (x["liposome.N_per_lipid"] * 1e9) == pytest.approx(1.56e-13, rel=0.005)
    assert x["liposome.M_per_N"] * 1e-9 * 6.022e17 == pytest.approx(6.9e4, rel=0.01)


def test_lnp_payload(cards: dict[str, Card]) -> None:
    assert derived(cards, SPECIES["human"], full_model())["lnp.M_per_lipid"] == pytest.approx(0.086, rel=0.01)


def test_human_magnesium_baseline(cards: dict[str, Card]) -> None:
    model = Model(MECHANISMS["Magnesium"])
    x = derived(cards, ("human",), model)
    assert x["magnesium.ionised_0"] == pytest.approx(0.554, abs=0.001)
    assert x["magnesium.threshold"] * x["magnesium.GFR"] / 1000 == pytest.approx(5.07, rel=0.005)
    # at an albumin of 25 g/L the same total holds more ionised Mg
    cachectic = derived(cards, ("human",), model, magnesium__albumin=25 / 66.5)
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
    assert p.note == "5 L/h of card 'human' by body weight to the power 0.75; no own value"


@pytest.mark.parametrize(
    ("mouse", "told"),
    [
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "human" }', "exponent"),
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "human", exponent = 1, value = 3 }', "value"),
        ('weight = "25 g"\n[pk]\nV = { scaled_from = "human", exponent = 1 }', "'pk.V'"),
        ('[pk]\nCL = { scaled_from = "human", exponent = 1 }', "card 'mouse' must say its weight"),
        ('weight = "25 h"\n[pk]\nCL = { scaled_from = "human", exponent = 1 }', "'h' cannot be converted to 'g'"),
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "mouse", exponent = 1 }', "mouse -> mouse"),
        ('weight = "25 g"\n[pk]\nCL = { scaled_from = "rat", exponent = 1 }', "'rat'"),
    ],
)
def test_what_is_wrong_with_scaling_is_said(tmp_path: Path, mouse: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        scaled(tmp_path, {"human": HUMAN, "mouse": mouse}).card("mouse")
    assert "\n" not in str(caught.value)
