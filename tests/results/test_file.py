"""The result file: what goes in comes out, whole or not at all, for every reader."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray

from nanomg import files, models
from nanomg.equations.model import Model
from nanomg.errors import InputError
from nanomg.library.model_hash import model_hash
from nanomg.results import file as result_file

SEED = 7


def groups() -> dict[str, xarray.Dataset]:
    rng = np.random.default_rng(SEED)
    simulation = xarray.Dataset(
        {
            "tumour.volume": (
                ("regimen", "hypothesis", "time"),
                rng.random((2, 3, 2000)),
                {"units": "mm3", "long_name": "tumour volume"},
            ),
            "status": result_file.flags(
                ("regimen", "hypothesis"), np.zeros((2, 3)), ["solved", "step limit"], "status"
            ),
        },
        coords={
            "regimen": ["as given", "without Mg, µ"],
            "hypothesis": ["H1", "H2", "H3"],
            "time": ("time", np.linspace(0.0, 672.0, 2000), {"units": "h", "long_name": "time"}),
        },
    )
    doses = xarray.Dataset(
        {
            "cmt": (("regimen", "dose"), np.array([["pd1.ip", "pd1.iv"], ["", ""]])),
            "amt": (("regimen", "dose"), [[0.2, np.nan], [np.nan, np.nan]]),
        },
        coords={"regimen": ["as given", "without Mg, µ"]},
    )
    return {"simulation": simulation, "/doses": doses}


def attributes(**changes: Any) -> dict[str, Any]:
    model = Model(*(models.library().mechanisms[name] for name in ("Magnesium",)))
    summary = {"scenario": "s", "objective": float("nan"), "terms": {"z": 1, "a": 2}}
    made = result_file.root_attributes(
        title="t",
        config={"b": 1, "a": [1.5, "µ"]},
        seed=SEED,
        model=model,
        command="nanomg simulate s",
        summary=summary,
    )
    return made | changes


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result_file.write(tmp_path_factory.mktemp("results") / "run.h5", groups(), attributes())


@pytest.mark.parametrize("reader", [result_file.open, xarray.open_datatree])
def test_what_was_written_is_read(file: Path, reader: Any) -> None:
    tree = reader(file)
    for name, dataset in groups().items():
        xarray.testing.assert_identical(tree[name].to_dataset(), dataset)


def test_opening_leaves_the_file_free(tmp_path: Path) -> None:
    path = result_file.write(tmp_path / "run.h5", groups(), attributes())
    tree = result_file.open(path)
    with h5py.File(path, "r+"):  # HDF5 refuses this while the file is open for reading
        pass
    assert float(tree["simulation"]["tumour.volume"].mean()) > 0


def test_root_attributes(file: Path) -> None:
    found = result_file.read_attributes(file)
    assert found["Conventions"] == "CF-1.11"
    assert found["title"] == "t"
    assert found["nanomg_schema_version"] == result_file.SCHEMA_VERSION
    assert found["rng_seed"] == SEED
    assert found["dtype"] in ("float32", "float64")
    assert re.fullmatch(r"nanomg \d+\.\d+\.\d+\S*", found["source"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ nanomg simulate s", found["history"])
    assert found["history"].startswith(found["date_created"])
    assert str(uuid.UUID(found["id"])) == found["id"]
    assert json.loads(found["config_json"]) == {"a": [1.5, "µ"], "b": 1}
    assert {"python", "nanomg", "jax", "numpy"} <= json.loads(found["package_versions_json"]).keys()
    assert re.fullmatch("[0-9a-f]{64}", found["model_hash"])


def test_hashes_follow_config_and_model() -> None:
    shelf = models.library().mechanisms
    model = Model(shelf["Magnesium"])
    first, same, other = (
        result_file.root_attributes(title="t", config=config, seed=0, model=model)["config_hash"]
        for config in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})
    )
    assert first == same != other
    assert model_hash(model) == model_hash(Model(shelf["Magnesium"]))
    assert model_hash(model) != model_hash(Model(shelf["AntiPD1"]))


def test_summary_keeps_its_order_and_has_no_nan(file: Path) -> None:
    summary = result_file.read_summary(file)
    assert summary == {"scenario": "s", "objective": None, "terms": {"z": 1, "a": 2}}
    assert list(summary["terms"]) == ["z", "a"]


def test_plain_hdf5(file: Path) -> None:
    """What h5py, MATLAB and R see: UTF-8 strings, little numbers as attributes, compressed chunks, int8 flags."""
    with h5py.File(file) as hdf:
        assert hdf.attrs["title"] == "t"
        assert hdf["simulation/regimen"].asstr()[1] == "without Mg, µ"
        status = hdf["simulation/status"]
        assert status.dtype == np.int8
        assert status.attrs["flag_values"].dtype == np.int8
        assert status.attrs["flag_meanings"] == "solved step_limit"
        volume = hdf["simulation/tumour.volume"]
        assert (volume.compression, volume.shuffle, volume.fletcher32) == ("gzip", True, True)
        assert "_FillValue" not in hdf["simulation/time"].attrs


def test_long_attribute(tmp_path: Path) -> None:
    text = "µ" * 100_000
    path = result_file.write(tmp_path / "run.h5", {}, attributes(config_json=text))
    assert result_file.read_attributes(path)["config_json"] == text


@pytest.mark.parametrize("value", [None, True, {"a": 1}, np.zeros((2, 2)), b"bytes", [1, "a", None]])
def test_attribute_that_other_readers_lack(tmp_path: Path, value: Any) -> None:
    with pytest.raises(TypeError, match="odd"):
        result_file.write(tmp_path / "run.h5", {}, attributes(odd=value))
    assert not list(tmp_path.iterdir())


def test_json_of_arrays_and_what_has_no_place() -> None:
    value = {"a": np.array([1.0, np.inf]), "b": (np.float32(0.5), np.int8(3)), "c": None, "d": Path("x"), "e": True}
    assert json.loads(result_file.to_json(value)) == {"a": [1.0, None], "b": [0.5, 3], "c": None, "d": "x", "e": True}
    with pytest.raises(TypeError):
        result_file.to_json({1, 2})


# ---------------------------------------------------------------- writing
def test_no_overwriting_without_force(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    result_file.write(path, groups(), attributes(title="old"))
    with pytest.raises(InputError, match=r"exists.*--force"):
        result_file.write(path, groups(), attributes(title="new"))
    assert result_file.read_attributes(path)["title"] == "old"
    result_file.write(path, groups(), attributes(title="new"), force=True)
    assert result_file.read_attributes(path)["title"] == "new"


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    path = result_file.write(tmp_path / "run.h5", groups(), attributes(title="old"))

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if broken == "fsync" else Path, broken, fail)
    with pytest.raises(InputError, match="No space left"):
        result_file.write(path, groups(), attributes(title="new"), force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    assert result_file.read_attributes(path)["title"] == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = result_file.write(tmp_path / "run.h5", groups(), attributes(title="old"))
    real_open = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", **kw: (
            real_open(Path("/dev/full"), "wb") if mode == "x+b" else real_open(self, mode, **kw)
        ),
    )
    with pytest.raises(InputError, match="No space left"):
        result_file.write(path, groups(), attributes(), force=True)
    monkeypatch.undo()
    assert result_file.read_attributes(path)["title"] == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "run.h5", tmp_path / "latest.h5"
    result_file.write(target, {}, attributes(title="old"))
    link.symlink_to(target)
    result_file.write(link, {}, attributes(title="new"), force=True)
    assert link.is_symlink()
    assert result_file.read_attributes(target)["title"] == "new"


def test_a_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    path = result_file.write(tmp_path / "run.h5", {}, attributes())
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_check_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.check_output(tmp_path / "run.h5") == tmp_path / "run.h5"
    with pytest.raises(InputError, match="folder"):
        files.check_output(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        files.check_output(tmp_path / "missing" / "run.h5")
    with pytest.raises(InputError, match="not a regular file"):
        files.check_output(os.devnull, force=True)
    monkeypatch.setattr(os, "access", lambda *args: False)  # the superuser may write anywhere
    with pytest.raises(InputError, match="not writable"):
        files.check_output(tmp_path / "run.h5")


# ---------------------------------------------------------------- reading what is wrong
def told(path: Path) -> str:
    """The sentence with which `open` refuses the file; `read_attributes` and `read_summary` give the same."""
    sentences = set()
    for reader in (result_file.open, result_file.read_attributes, result_file.read_summary):
        with pytest.raises(InputError) as refusal:
            reader(path)
        assert refusal.value.where == str(path)
        sentences.add(refusal.value.message)
    (sentence,) = sentences
    assert "\n" not in sentence
    return sentence


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in told(tmp_path / "run.h5")


def test_folder(tmp_path: Path) -> None:
    assert "holds no sweep" in told(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF", b"not HDF5, but long enough to hold a signature"])
def test_not_hdf5(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(content)
    assert "not HDF5" in told(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_cut_short(tmp_path: Path, file: Path, share: float) -> None:
    content = file.read_bytes()
    path = tmp_path / "run.h5"
    path.write_bytes(content[: int(share * len(content))])
    assert "truncated" in told(path)


def test_damaged_numbers(tmp_path: Path, file: Path) -> None:
    with h5py.File(file) as hdf:
        start = hdf["simulation/tumour.volume"].id.get_chunk_info(0).byte_offset
    content = bytearray(file.read_bytes())
    content[start : start + 64] = bytes(64)
    path = tmp_path / "run.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        result_file.open(path)


def test_hdf5_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as hdf:
        hdf["x"] = np.arange(3)
    assert "not written by nanomg" in told(path)


@pytest.mark.parametrize(
    ("version", "word"),
    [
        (result_file.SCHEMA_VERSION + 1, "newer"),
        (result_file.OLDEST_SCHEMA_VERSION - 1, "again"),
        ("one", "whole number"),
    ],
)
def test_other_schema(tmp_path: Path, version: Any, word: str) -> None:
    path = result_file.write(tmp_path / "run.h5", {}, attributes(nanomg_schema_version=version))
    sentence = told(path)
    assert word in sentence
    assert str(version) in sentence


def test_no_summary(tmp_path: Path) -> None:
    bare = attributes()
    del bare["summary_json"]
    path = result_file.write(tmp_path / "run.h5", {}, bare)
    with pytest.raises(InputError, match="no summary"):
        result_file.read_summary(path)


def test_the_hypotheses_of_an_older_file_are_called_so(tmp_path: Path) -> None:
    old = {"simulation": groups()["simulation"].rename(hypothesis="scenario")}
    path = result_file.write(tmp_path / "old.h5", old, attributes(nanomg_schema_version=1))
    opened = result_file.open(path)["simulation"].to_dataset()
    xarray.testing.assert_identical(opened, groups()["simulation"])
