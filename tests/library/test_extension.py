"""A new therapy from a folder outside the package, as docs/extending.md shows it: one class, one card, one scenario."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray

import nanomg
from nanomg.cli.main import app
from nanomg.errors import InputError
from nanomg.jobs.simulate import run as simulate_run
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.results import file
from nanomg.results import run as results_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
# The page's own example: each file is a block whose first line names it.
BLOCKS = re.findall(r"```\w+\n[#%] (\S+\.\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
FILES = dict(BLOCKS)
CARD = FILES["cards/cytotoxic.toml"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mine")
    write(made, FILES)
    return made


@pytest.fixture(scope="module")
def run(folder: Path) -> results_run.Run:
    return simulate_run.simulate("mouse-cytotoxic", library=library(folder), output=folder / "run.h5")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


class Told(NamedTuple):
    code: int
    out: str
    err: str


Program = Callable[..., Told]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The command line, run in this process."""

    def call(*arguments: str | Path) -> Told:
        monkeypatch.setattr(sys, "argv", ["nanomg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app()
        return Told(int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_the_folder_adds_to_the_shelves_and_changes_nothing_shipped(folder: Path) -> None:
    shipped, extended = library(), library(folder)
    assert set(extended.mechanisms) - set(shipped.mechanisms) == {"Cytotoxic"}
    assert set(extended.cards) - set(shipped.cards) == {"cytotoxic"}
    assert set(extended.scenarios) - set(shipped.scenarios) == {"mouse-cytotoxic"}
    assert set(extended.references) - set(shipped.references) == {"nobody2020"}
    assert all(extended.mechanisms[name] is shipped.mechanisms[name] for name in shipped.mechanisms)
    assert library(folder).mechanisms["Cytotoxic"] is extended.mechanisms["Cytotoxic"]


def test_the_drug_lowers_the_tumour(run: results_run.Run, folder: Path) -> None:
    untreated = simulate_run.simulate(
        "mouse-cytotoxic", library=library(folder), set={"cytotoxic.k_kill": "0 L/umol/d"}
    )
    volume = [r.tree["simulation"].to_dataset()["tumour.volume"].values[0, 0] for r in (run, untreated)]
    assert run.summary["status"]["failed"] == untreated.summary["status"]["failed"] == 0
    assert volume[0][0] == volume[1][0]
    assert volume[0][-1] < 0.8 * volume[1][-1]


def test_its_kinetics_are_those_of_one_compartment(run: results_run.Run) -> None:
    simulated = run.tree["simulation"].to_dataset().isel(regimen=0, hypothesis=0)
    t = simulated.time.values
    k, dose = 100.0 / 25.0, 0.05 / 0.5
    expected = sum(np.where(t >= at, dose * np.exp(-k * np.maximum(t - at, 0.0)), 0.0) for at in (24.0, 72.0, 120.0))
    np.testing.assert_allclose(simulated["cytotoxic.central"], expected, rtol=1e-3, atol=1e-5 * dose)


def test_it_runs_as_machine_code_without_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nanomg")
    changed = {"cytotoxic.CL": "90 mL/h"}
    again = simulate_run.simulate("mouse-cytotoxic", library=library(folder), set=changed, engine="native")
    assert again.tree.attrs["engine"] == "native"
    assert not caplog.messages


def test_its_values_and_sources_are_in_the_result(run: results_run.Run, folder: Path) -> None:
    for tree in (run.tree, nanomg.open(folder / "run.h5"), xarray.open_datatree(folder / "run.h5")):
        table = tree["parameters"].to_dataset().sel(parameter="cytotoxic.CL")
        assert float(table.value) == 100.0 and str(table.unit.values) == "mL/h"
        assert str(table.source.values) == "nobody2020" and str(table.card.values) == "cytotoxic"
    assert run.summary["verdict"].startswith("Tumour volume: ")
    assert "Compare it with a run in which Mg does not change" in run.summary["verdict"]


def test_the_command_line_finds_it(program: Program, folder: Path) -> None:
    mine = ("--library", folder, "--json")
    listed = program("list", *mine)
    assert "mouse-cytotoxic" in {entry["name"] for entry in json.loads(listed.out)}
    shown = program("show", "Cytotoxic", *mine)
    assert "cytotoxic.CL" in shown.out and "nobody2020" in shown.out
    cited = program("cite", "mouse-cytotoxic", "--library", folder)
    assert "An example that nobody wrote" in cited.out
    simulated = program("simulate", "mouse-cytotoxic", *mine, "--dose", "cytotoxic.iv: 0.1 umol at 1 d")
    assert simulated.code == 0, simulated.err
    told = json.loads(simulated.out)
    assert told["signals"]["cytotoxic.C"]["max"] == pytest.approx(0.1 / 25.0, rel=1e-4)  # umol/mL, as declared
    without = program("simulate", "mouse-cytotoxic", "--json")
    assert without.code == 2 and "mouse-cytotoxic" in json.loads(without.err)["error"]


def test_a_later_card_of_the_same_name_wins(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, {"cards/cytotoxic.toml": CARD.replace("value = 0.1", "value = 0.2")})
    both = library(folder, tmp_path)
    assert scenario_file.load("mouse-cytotoxic", both).values["cytotoxic.CL"] == 200.0
    assert scenario_file.load("mouse-cytotoxic", library(tmp_path, folder)).values["cytotoxic.CL"] == 100.0


def test_an_installed_package_joins_by_its_entry_point(tmp_path: Path) -> None:
    package = tmp_path / "my_therapies"
    package.mkdir()
    write(package, {**FILES, "__init__.py": ""})
    about = tmp_path / "my_therapies-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-therapies\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[nanomg.models]\nmine = my_therapies\n", encoding="utf-8")
    code = """if True:
        from nanomg.models import library
        found = library()
        print(found.mechanisms["Cytotoxic"].__module__, found.scenarios["mouse-cytotoxic"])
    """
    command, environment = [sys.executable, "-P", "-c", code], {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["my_therapies.cytotoxic", str(package / "scenarios" / "mouse-cytotoxic.toml")]


CODE = FILES["cytotoxic.py"]


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (
            'param("mL/h", "clearance")',
            'param("L/h", "clearance")',
            r"^mechanism Cytotoxic: flux 1 \(cytotoxic\.central -> outside\) must be in umol/h, "
            r"but is 1000 times too small",
        ),
        (
            'Var("umol/mL", "drug per',
            'Var("umol/L", "drug per',
            r"^mechanism Cytotoxic: signal cytotoxic\.C must be in umol/L, but is 1000 times too small",
        ),
        (
            'param("mL/umol/h", "killing',
            'param("L/umol/d", "killing',  # mL/h = 24/1000 L/d
            r"flux 2 \(tumour\.viable -> tumour\.dying\) must be in Mcell/h, but is 41\.6667 times too small",
        ),
        ("self.CL * x", "x", r"flux 1 \(cytotoxic\.central -> outside\) must be in umol/h, but its quantities"),
        ("/ self.V}", "/ self.V + 1.0}", r"signal cytotoxic\.C must be in umol/mL, but its quantities"),
        ('param("mL", "volume', 'param("mLL", "volume', r"^mechanism Cytotoxic, cytotoxic\.V: 'mLL' is not a unit"),
        ('param("mL/h", "cl', 'param("mL/hh", "cl', r"^mechanism Cytotoxic, cytotoxic\.CL: 'mL/hh' is not a unit"),
    ],
)
def test_units_that_do_not_fit_the_equations_are_refused(
    right: str, wrong: str, expected: str, program: Program, tmp_path: Path
) -> None:
    assert CODE.count(right) == 1
    write(tmp_path, {**FILES, "cytotoxic.py": CODE.replace(right, wrong)})
    for _ in range(2):  # the second time from the cache
        with pytest.raises(InputError, match=expected):
            scenario_file.load("mouse-cytotoxic", library(tmp_path))
    told = program("simulate", "mouse-cytotoxic", "--library", tmp_path)
    assert told.code == 2 and len(told.err.splitlines()) == 1


def test_a_molar_mass_is_converted(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "cytotoxic.py": CODE.replace("mg/umol", "g/mol")})
    one, other = (scenario_file.load("mouse-cytotoxic", library(place)) for place in (folder, tmp_path))
    assert other.values["cytotoxic.MW"] == 500.0 == 1000 * one.values["cytotoxic.MW"]
    assert [dose.amt for dose in other.doses] == pytest.approx([dose.amt for dose in one.doses]) == [0.1] * 3


@pytest.mark.parametrize(
    ("unit", "part", "size"), [("percent", "F", "100 times too large"), ("min", "lag", "60 times too large")]
)
def test_parameters_of_a_port_are_in_the_unit_of_doses(unit: str, part: str, size: str, tmp_path: Path) -> None:
    changed = CODE.replace('molar_mass="cytotoxic.MW"', f'molar_mass="cytotoxic.MW", {part}="cytotoxic.P"')
    changed = changed.replace("    MW: Scalar", f'    P: Scalar = param("{unit}", "of the port")\n    MW: Scalar')
    card = CARD + f'P = {{ value = 1, unit = "{unit}", basis = "assumed", note = "an example" }}\n'
    write(tmp_path, {**FILES, "cytotoxic.py": changed, "cards/cytotoxic.toml": card})
    with pytest.raises(InputError, match=rf"cytotoxic\.P, which port cytotoxic\.iv takes, must be .*{size}"):
        scenario_file.load("mouse-cytotoxic", library(tmp_path))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"broken.py": "def ("}, r"broken\.py: this mechanism file cannot be imported: SyntaxError"),
        ({"fails.py": "1 / 0"}, r"fails\.py: .*ZeroDivisionError"),
        ({"needs.py": "import a_package_that_no_one_has"}, r"needs\.py: .*ModuleNotFoundError"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    write(tmp_path, files)
    with pytest.raises(InputError, match=expected):
        library(tmp_path)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such library folder"):
        library(tmp_path / "nowhere")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no such library folder"):
        library(tmp_path / "file")


def test_a_folder_with_nothing_in_it_adds_nothing(tmp_path: Path) -> None:
    assert dataclasses.replace(library(tmp_path), folders=()) == dataclasses.replace(library(), folders=())


@pytest.mark.parametrize("text", ["@article{,\n}", "@article\n", b"@article{caf\xe9,\n}"])
def test_a_broken_bibliography_is_told(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "references.bib").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"references\.bib: "):
        library(tmp_path)


def test_only_classes_that_a_file_defines_are_its_own(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"other.py": "from nanomg.models.tumour import Tumour\nfrom nanomg import AbstractMechanism\n"},
    )
    assert library(tmp_path).mechanisms == library().mechanisms


def test_the_result_file_of_an_own_mechanism_is_sound(run: results_run.Run) -> None:
    assert run.path is not None
    assert file.open(run.path).attrs["nanomg_schema_version"] == file.SCHEMA_VERSION
