"""Result files that are damaged or of another's making: opened as they were written, or refused in one sentence."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from random import Random

import h5py
import pytest
from hostile import HOSTILE, altered
from mutants import fault_of, flipped, sentence_of
from program import Program

import nanomg
from nanomg.errors import InputError
from nanomg.results import checksum, file, parts

KINDS = ("simulation", "sweep", "sensitivity")


@pytest.fixture(scope="module")
def results(small_scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a result file of each kind."""
    folder, scenario = tmp_path_factory.mktemp("results"), str(small_scenario)
    nanomg.simulate(scenario, output=folder / "simulation.h5")
    axes = ["pk.CL=1..5 L/h:3", "dose.amount=10..100 mg:4"]
    nanomg.sweep(scenario, vary=axes, keep=["pk.C:max", "pk.C:series"], output=folder / "sweep.h5")
    nanomg.sensitivity(scenario, output=folder / "sensitivity.h5")
    return folder


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        file.open(path)
    assert not fault_of(str(caught.value))
    return str(caught.value)


# ---------------------------------------------------------------- by chance
@pytest.mark.parametrize("flips", [25, pytest.param(334, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_one_bit(kind: str, flips: int, results: Path, tmp_path: Path) -> None:
    whole = (results / f"{kind}.h5").read_bytes()
    expected, path, opened = file.open(results / f"{kind}.h5"), tmp_path / "damaged.h5", []
    refused = 0
    for seed in range(flips):
        bit = Random(seed).randrange(8 * len(whole))
        path.write_bytes(flipped(whole, bit))
        refused += bool(sentence_of(lambda: opened.append(file.open(path)), f"{kind}, bit {bit}"))
    assert all(tree.identical(expected) for tree in opened)
    assert refused + len(opened) == flips and refused > 0.9 * flips


def test_one_bit_of_a_large_file(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared at once is the head; each chunk of numbers is when it is read."""
    image, path = (results / "sweep.h5").read_bytes(), tmp_path / "sweep.h5"
    monkeypatch.setattr(checksum, "WHOLE_UP_TO", len(image) // 2)
    monkeypatch.setattr(file, "_LAZY_FROM", 0)
    monkeypatch.setattr(file, "_LAZY_VARIABLE", 0)
    with h5py.File(results / "sweep.h5") as hdf:
        chunk = hdf["sweep/pk.C"].id.get_chunk_info(0)
    path.write_bytes(flipped(image, 8 * (chunk.byte_offset + chunk.size // 2)))
    with pytest.raises(InputError, match=r"sweep\.h5: the file is damaged: a part of it cannot be read"):
        file.open(path)["sweep"]["pk.C"].load()
    path.write_bytes(flipped(image, image.index(b"summary_json") * 8))
    assert "its checksum differs" in refusal(path)


def test_a_manifest(results: Path, small_scenario: Path, tmp_path: Path) -> None:
    keep = ["pk.C:max"]
    nanomg.sweep(str(small_scenario), vary=["pk.CL=1..5 L/h:3"], keep=keep, parts=True, output=tmp_path / "out.h5")
    manifest = parts.folder_of(tmp_path / "out.h5") / parts.MANIFEST
    text, equal = manifest.read_text(), file.open(manifest.parent)
    content = json.loads(text)
    content["layout"]["variables"]["pk.C:max"]["attributes"]["units"] = "kg L-1"
    manifest.write_text(json.dumps(content))
    assert "manifest.json is damaged" in refusal(manifest.parent)
    manifest.write_text(text)
    assert file.open(manifest.parent).identical(equal)


# ---------------------------------------------------------------- by others
def test_a_file_that_another_program_changed(results: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(results / "simulation.h5", tmp_path))
    with h5py.File(path, "a") as hdf:
        hdf.attrs["comment"] = "mine"
    assert "was changed after nanomg wrote it" in refusal(path)


def test_a_file_without_a_checksum_opens_and_says_so(results: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(results / "simulation.h5", tmp_path))
    with altered(path, seal=False):
        pass
    with pytest.warns(UserWarning, match=r"the file has no checksum, like those of older versions"):
        found = file.open(path)
    assert found.identical(file.open(results / "simulation.h5"))


def test_a_checksum_is_of_all_bytes_but_its_own(results: Path) -> None:
    """As anyone may compute it, from the description of the attribute."""
    from hashlib import sha256

    with h5py.File(results / "sweep.h5") as hdf:
        _, head, length, whole, size = hdf.attrs[checksum.CHECKSUM].split(":")
    content = (results / "sweep.h5").read_bytes()
    for value in (head, whole):
        content = content.replace(value.encode(), b"0" * 64)
    assert int(size) == len(content)
    assert sha256(content).hexdigest() == whole and sha256(content[: int(length)]).hexdigest() == head


SENTENCES = {
    "1,200 groups": "more groups or variables",
    "groups in groups": "more groups or variables",
    "a cycle": "lies in more than one place",
    "a cycle with the root": "lies in more than one place",
    "a link to itself": "is a link; a result file has none",
    "a link to another file": "is a link; a result file has none",
    "numbers of another file": "lie in other files",
    "a bomb": "holds fewer numbers than it declares",
    "time NaN": "times of /simulation are not numbers in order",
    "time infinite": "times of /simulation are not numbers in order",
    "time backwards": "times of /simulation are not numbers in order",
    "no scales": "have no names",
    "schema as text": "schema version of this result file is 'two'",
}


@pytest.mark.parametrize("seal", [True, False])
@pytest.mark.parametrize("what", SENTENCES)
def test_a_file_made_to_harm(what: str, seal: bool, results: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(results / "simulation.h5", tmp_path))
    with altered(path, seal=seal) as hdf:
        HOSTILE[what](hdf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert SENTENCES[what] in refusal(path)


COMMANDS = {
    "summary": (),
    "plot": ("-o", "figure.png", "--force"),
    "report": ("-o", "page.html", "--force"),
    "doctor": (),
    "compare": ("whole.h5",),
    "nca": (),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_every_command_answers_in_one_sentence(
    what: str, results: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = KINDS[list(HOSTILE).index(what) % 3]
    shutil.copy(results / f"{kind}.h5", "whole.h5")
    shutil.copy("whole.h5", "bad.h5")
    try:
        with altered("bad.h5", seal=False) as hdf:
            HOSTILE[what](hdf)
    except (KeyError, IndexError, StopIteration):
        pytest.skip(f"a {kind} has nothing of the kind")
    found: list[tuple[int, str, str]] = []
    for command, options in COMMANDS.items():
        sentence_of(lambda command=command, options=options: found.append(program(command, "bad.h5", *options)), what)
        code, out, err = found[-1]
        said = [line for line in err.splitlines() if "has no checksum" not in line]
        assert code in (0, 2) and len(said) == (code == 2), (command, code, err)
        assert not fault_of(" ".join(said)) and fault_of(out.replace("\n", " ")) != "a control character", command
