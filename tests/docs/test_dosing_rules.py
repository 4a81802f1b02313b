"""The rules on steady state and equal times of the page on dosing, each held against a closed form."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from textbook import ACCURATE, KA, K, V, bolus, oral, rows_of, textbook, written
from typer.testing import CliRunner

from nanomg.cli.main import commands
from nanomg.errors import InputError
from nanomg.jobs.simulate import run as simulate_run
from nanomg.library.library import Library
from nanomg.models import library as read_library
from nanomg.views.doctor import diagnose

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "dosing.md").read_text(encoding="utf-8")
STEADY, EQUAL = (TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0] for title in ("Steady state", "Equal times"))
HEAD = "TIME EVID AMT RATE II ADDL SS CMT\n"


def seen(folder: Path, rows: str, extra: str = "", set: dict[str, str] | None = None) -> list[float]:
    """The central amount at each row of a table."""
    table = written(folder, HEAD + rows)
    simulate_run.simulate(textbook(folder, extra), events=table, records=folder / "out.csv", force=True, set=set)
    return [float(row[-1]) for row in rows_of(folder / "out.csv")[1]]


def settled(amount: float, ii: float, t: float = 0.0) -> float:
    return amount * bolus(t) / -math.expm1(-K * ii)


def approx(values: list[float]) -> Any:
    return pytest.approx(values, **ACCURATE)


def test_every_rule_has_a_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for title, section in (("steady", STEADY), ("equal", EQUAL)):
        numbers = re.findall(r"^(\d+)\. ", section, flags=re.MULTILINE)
        assert numbers == [str(i + 1) for i in range(len(numbers))] and numbers
        for number in numbers:
            assert f"def test_{title}_{number}_" in here, (title, number)


# ---------------------------------------------------------------- steady state
def test_steady_1_replaces_or_adds(tmp_path: Path) -> None:
    """What is there: a bolus, its additional doses, and an infusion over 20 h."""
    before = "0 1 70 . 6 9 . 2\n0 1 60 3 . . . 2\n"
    infused = lambda t: 3 / K * (bolus(t - min(t, 20)) - bolus(t))
    later = "\n12 0 . . . . . .\n27 0 . . . . . ."
    replaced = seen(tmp_path, before + "10 1 50 . 12 . 1 2" + later)
    assert replaced[2:] == approx([settled(50, 12, t - 10) for t in (10, 12, 27)])
    added = seen(tmp_path, before + "10 1 50 . 12 . 2 2" + later)
    there = lambda t: infused(t) + sum(70 * bolus(t - 6 * k) for k in range(10))
    assert added[2:] == approx([there(t) + settled(50, 12, t - 10) for t in (10, 12, 27)])
    # infusions of 5/h over 10 h, 4 h apart: two of before are still running at the record
    overlapping = seen(tmp_path, "0 1 50 5 4 . 1 2\n1 0 . . . . . .")
    history = lambda t: sum(5 / K * (bolus(t + 4 * k - min(t + 4 * k, 10)) - bolus(t + 4 * k)) for k in range(200))
    assert overlapping == approx([history(0), history(1)])


def test_steady_2_row_by_row(tmp_path: Path) -> None:
    rows = "0 1 100 . 24 . 1 2\n0 1 60 . 7.7 . 2 2\n0 1 30 . 12 . 1 2\n0 1 20 . 5 . 2 2\n6 0 . . . . . ."
    first, second, third, fourth = settled(100, 24), settled(60, 7.7), settled(30, 12), settled(20, 5)
    expected = [first, first + second, third, third + fourth, (third + fourth) * bolus(6)]
    assert seen(tmp_path, rows) == approx(expected)
    *_, table = re.findall(r"```csv\n(.*?)```", STEADY, re.DOTALL)
    (tmp_path / "page.csv").write_text(table)
    simulate_run.simulate("textbook-1cpt", events=tmp_path / "page.csv", records=tmp_path / "page-out.csv")
    shown = [float(x) for x in re.search(r"`pk.C` = ([\d.]+), ([\d.]+) and ([\d.]+) mg/L", STEADY).groups()]  # type: ignore[union-attr]
    assert [float(row[-1]) for row in rows_of(tmp_path / "page-out.csv")[1]] == pytest.approx(shown, abs=2e-5)
    assert shown == pytest.approx([settled(100, 24) / V] * 2 + [settled(100, 24, 24) / V], abs=2e-5)


def test_steady_3_lag(tmp_path: Path) -> None:
    late = seen(tmp_path, "0 1 50 . 8 . 1 2\n3 0 . . . . . .", set={"pk.Tlag_central": "2 h"})
    assert late == approx([settled(50, 8, 6), settled(50, 8, 1)])
    with pytest.raises(InputError, match="a steady state needs a lag below II = 8 h, not 8 h"):
        seen(tmp_path, "0 1 50 . 8 . 1 2", set={"pk.Tlag_central": "8 h"})


def test_steady_4_always_run(tmp_path: Path) -> None:
    assert seen(tmp_path, "5 1 0 7 . . 1 2\n9 0 . . . . . .") == approx([7 / K, 7 / K * bolus(4)])


MECHANISMS = '''
from nanomg import AbstractMechanism, Flux, Port, Scalar, Var, param


class Parent(AbstractMechanism):
    """A depot, the body and what becomes of the drug."""

    name = "parent"
    states = {
        "parent.depot": Var("mg", "in the gut", "parent"),
        "parent.central": Var("mg", "in the body", "parent"),
        "parent.urine": Var("mg", "in the urine", "parent"),
        "parent.auc": Var("mg*h", "area under the amount"),
        "parent.size": Var("1", "a tumour that grows without end and speeds the elimination"),
        "parent.other": Var("mg", "another drug", "other"),
    }
    ports = {"parent.oral": Port("mg", "by mouth", {"parent.depot": 1.0})}
    reads = ("metabolite.central",)

    ka: Scalar = param("1/h", "absorption rate")
    k: Scalar = param("1/h", "elimination rate at size 1")
    km: Scalar = param("1/h", "rate of metabolism")
    growth: Scalar = param("1/h", "growth rate")

    def initial(self, x):
        return {"parent.size": 1.0}

    def fluxes(self, x):
        central = x["parent.central"]
        yield Flux("parent.depot", "parent.central", self.ka * x["parent.depot"])
        yield Flux("parent.central", "parent.urine", self.k * x["parent.size"] * central)
        yield Flux("parent.central", "metabolite.central", self.km * central)
        yield Flux("parent.other", None, self.k * x["parent.other"])
        yield Flux(None, "parent.auc", central)
        yield Flux(None, "parent.size", self.growth * x["parent.size"])


class Metabolite(AbstractMechanism):
    """One compartment."""

    name = "metabolite"
    states = {"metabolite.central": Var("mg", "metabolite in the body", "metabolite")}

    k: Scalar = param("1/h", "elimination rate")

    def fluxes(self, x):
        yield Flux("metabolite.central", None, self.k * x["metabolite.central"])
'''
SCENARIO = """title = "Parent"
mechanisms = ["Parent", "Metabolite"]
cards = ["parent"]
horizon = "24 h"
every = "6 h"
"""
RATES = {"ka": 0.8, "k": 0.1, "km": 0.05, "growth": 0.02}
KEPT = ["parent.urine", "parent.auc", "parent.size", "parent.other"]
DOSE = ["parent.oral: 60 mg q 12 h x 2 ss at 10 h", "parent.other: 20 mg over 16 h"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    basis = 'basis = "assumed", note = "an example"'
    rate = lambda name, value: f'{name} = {{ value = {value}, unit = "1/h", {basis} }}\n'
    card = 'title = "An example"\n[parent]\n' + "".join(rate(*pair) for pair in RATES.items())
    card += "[metabolite]\n" + rate("k", 0.3)
    files = {"parent.py": MECHANISMS, "cards/parent.toml": card, "scenarios/parent.toml": SCENARIO}
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def mine(shelf: Path) -> Library:
    return read_library(shelf)


def chain(t: float, rate: float) -> tuple[float, float]:
    """Parent and metabolite at steady state, `t` after a dose of 60 mg each 12 h: sums of exponentials."""
    total = rate + RATES["km"]
    rates = (RATES["ka"], total, 0.3)
    left = [math.exp(-r * t) / -math.expm1(-r * 12.0) for r in rates]
    parent = 60 * RATES["ka"] * (left[0] / (total - rates[0]) + left[1] / (rates[0] - total))
    parts = ((left[i] / math.prod(other - rates[i] for other in rates if other != rates[i])) for i in range(3))
    return parent, 60 * RATES["ka"] * RATES["km"] * sum(parts)


def test_steady_5_what_is_solved(mine: Library) -> None:
    run = simulate_run.simulate("parent", library=mine, dose=DOSE, set={"parent.growth": "0 1/h"})
    assert run.summary["steady_state"]["parent.oral"]["solved"] == [
        "parent.depot",
        "parent.central",
        "metabolite.central",
    ]
    series = run.tree["simulation"].to_dataset().isel(regimen=0, hypothesis=0).sel(time=18.0)
    found = [float(series[name]) for name in ("parent.central", "metabolite.central")]
    assert found == pytest.approx([*chain(8.0, 0.1)], rel=1e-6)


def test_steady_6_what_is_held(mine: Library) -> None:
    run = simulate_run.simulate("parent", library=mine, dose=DOSE)
    assert run.summary["steady_state"]["parent.oral"]["held"] == KEPT
    series = run.tree["simulation"].to_dataset().isel(regimen=0, hypothesis=0)
    at = lambda name, t: float(series[name].sel(time=t, method="nearest"))
    for name in ("parent.urine", "parent.auc"):
        assert at(name, 9.9) == 0.0 < at(name, 24.0), name
    assert at("parent.size", 24.0) == pytest.approx(math.exp(0.02 * 24.0), rel=1e-6)
    infused = 20.0 / 16.0 / 0.1 * (math.exp(-0.1 * 2.0) - math.exp(-0.1 * 18.0))
    assert at("parent.other", 18.0) == pytest.approx(infused, rel=1e-5)


def test_steady_7_what_depends_on_a_held_state(mine: Library) -> None:
    run = simulate_run.simulate("parent", library=mine, dose=DOSE)
    series = run.tree["simulation"]["parent.central"][0, 0].sel(time=10.0)
    assert float(series) == pytest.approx(chain(12.0, 0.1 * math.exp(0.02 * 10.0))[0], rel=1e-6)


@pytest.mark.parametrize("engine", ["native", "jax"])
def test_steady_8_what_has_none_is_named(tmp_path: Path, engine: str) -> None:
    """Without an exchange nothing leaves the peripheral compartment, nor enters it."""
    path = tmp_path / "run.h5"
    dose = ["pk.depot: 100 mg q 12 h x 4 ss"]
    run = simulate_run.simulate("textbook-2cpt", set={"pk.Q": "0 L/h"}, dose=dose, output=path, engine=engine)
    assert run.summary["status"]["reason"].endswith("pk.peripheral has none under the doses into pk.depot at 0 h")
    finding = diagnose(path)["finding"]
    assert finding["state"]["name"] == "pk.peripheral" and finding["time_h"] == 0.0
    shown = CliRunner().invoke(commands, ["doctor", str(path)]).stdout
    assert "has no steady state under the doses of the record at 0 h" in " ".join(shown.split())


def test_screen_and_page_say_what_was_solved_and_held(tmp_path: Path, shelf: Path) -> None:
    output, page = tmp_path / "run.h5", tmp_path / "run.html"
    options = [word for dose in DOSE for word in ("--dose", dose)]
    run = CliRunner().invoke(commands, ["simulate", "parent", "--library", str(shelf), *options, "-o", str(output)])
    said = "Steady state of parent.oral: solved for parent.depot, parent.central, metabolite.*; held at their values"
    assert run.exit_code == 0 and said in " ".join(run.stdout.split())
    CliRunner().invoke(commands, ["report", str(output), "-o", str(page), "--library", str(shelf)])
    assert said in " ".join(page.read_text(encoding="utf-8").split())


# ---------------------------------------------------------------- equal times
def test_equal_1_tolerance(tmp_path: Path) -> None:
    """The dose after 0.1 + 0.2 h is seen by a row before it at 0.3 h only where they are one time."""
    assert 0.1 + 0.2 > 0.3
    rows = "0 1 100 . 0.3 1 . 2\n{} 0 . . . . . .\n1 0 . . . . . ."
    for time, sees in ((0.1 + 0.2, 1), (0.3, 1), (0.3 - 1e-10, 0), (0.3 - 1e-13, 1)):
        found = seen(tmp_path, rows.format(repr(time)))
        assert found[1] == pytest.approx(100 * (bolus(0.3) + sees), rel=1e-6), time
    # relative beyond 1 h
    for late, sees in ((1e-9, 1), (1e-6, 0)):
        found = seen(tmp_path, f"0 1 100 . 20000 1 . 2\n{20000 - late!r} 0 . . . . . .\n20001 0 . . . . . .")
        assert found[1] == pytest.approx(100 * sees, abs=1e-6)


def test_equal_2_earlier_rows_first(tmp_path: Path) -> None:
    """At 12 h: an additional dose and the end of an infusion come before a row, and before a reset."""
    rows = "0 1 100 . 12 1 . 2\n0 1 60 5 . . . 2\n12 0 . . . . . .\n12 3 . . . . . .\n13 0 . . . . . ."
    there = 100 * (bolus(12) + 1) + 5 / K * (1 - bolus(12))
    assert seen(tmp_path, rows) == approx([100, 100, there, 0, 0])


def test_equal_3_row_by_row(tmp_path: Path) -> None:
    rows = "0 1 9 . . . . 2\n5 0 . . . . . .\n5 1 100 . . . . 2\n5 4 50 . 12 . 2 2\n5 1 20 . . . . 2\n5 0 . . . . . ."
    left = 9 * bolus(5)
    assert seen(tmp_path, rows) == approx([9, left, left + 100, settled(50, 12), *[settled(50, 12) + 20] * 2])
    lines = ["pk.central: 100 mg at 5 h", "pk.central: 50 mg reset at 5 h", "pk.depot: none"]
    run = simulate_run.simulate("textbook-1cpt", dose=lines)
    assert float(run.tree["simulation"]["pk.central"][0, 0].sel(time=6.0)) == pytest.approx(50 * bolus(1), rel=1e-6)


def test_equal_4_delayed(tmp_path: Path) -> None:
    rows = "0 1 100 . . . . 1\n0 1 7 . . . . 2\n2 0 . . . . . .\n2 1 30 . . . . 2\n3 0 . . . . . ."
    found = seen(tmp_path, rows, set={"pk.Tlag_central": "2 h", "pk.ka": f"{KA} 1/h"})
    expected = [0, 0, 100 * oral(2) + 7, 100 * oral(2) + 7, 100 * oral(3) + 7 * bolus(1)]
    assert found == approx(expected)


def test_equal_5_output_times(tmp_path: Path) -> None:
    table = written(tmp_path, HEAD + "0 1 100 . . . . 2\n6 0 . . . . . .\n6 1 40 . . . . 2")
    run = simulate_run.simulate(textbook(tmp_path), events=table)
    series = run.tree["simulation"]["pk.central"][0, 0, 0].sel(time=6.0)
    assert float(series) == pytest.approx(100 * bolus(6) + 40, rel=1e-6)
