"""Checkpoints of a search: whole, of the same search, and never lost."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanomg
from nanomg import files, models, sealed
from nanomg.errors import InputError
from nanomg.jobs.optimize import checkpoint
from nanomg.library import scenario_file
from nanomg.solver import engine

MAIN = "mouse-mc38-iv"
LEAVES = [np.array(3), np.linspace(0.0, 1.0, 8).reshape(2, 4), np.zeros((3, 4, 3))]


@pytest.fixture
def identity() -> dict[str, Any]:
    return checkpoint.identity_of(scenario_file.load(MAIN, models.library()), 20, 5)


@pytest.fixture
def path(tmp_path: Path, identity: dict[str, Any]) -> Path:
    """A checkpoint that was written."""
    checkpoint.write_state(tmp_path / "best.h5.checkpoint", identity, LEAVES)
    return tmp_path / "best.h5.checkpoint"


def test_a_state_is_read_as_it_was_written(path: Path, identity: dict[str, Any]) -> None:
    for read, written in zip(checkpoint.read_state(path, identity, LEAVES), LEAVES, strict=True):
        np.testing.assert_array_equal(read, written)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_it_knows_what_it_is_a_state_of(identity: dict[str, Any]) -> None:
    assert identity["nanomg"] == nanomg.__version__
    assert identity["model"] == nanomg.simulate(MAIN).tree.attrs["model_hash"]
    assert {"jax", "jaxlib", "numpy", "optax", "scenario", "--engine"} < {*identity}
    other = scenario_file.load(MAIN, models.library(), {"tumour.g": "0.02 1/h"})
    differing = checkpoint.identity_of(other, 20, 5)
    assert {name for name in identity if identity[name] != differing[name]} == {"scenario"}
    with engine.using("jax"):
        assert checkpoint.identity_of(other, 20, 5)["--engine"] == "jax"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("scenario", "another scenario"),
        ("model", "another model"),
        ("--steps", "--steps 20, and now it is other"),
        ("--seed", "--seed 5, and now it is other"),
        ("--engine", "--engine .*, and now it is other"),
        ("nanomg", "nanomg .*, and now it is other"),
        ("jaxlib", "jaxlib .*, and now it is other"),
        ("llvmlite", "llvmlite .*, and now it is other"),
    ],
)
def test_the_state_of_another_search_is_refused(path: Path, identity: dict[str, Any], name: str, told: str) -> None:
    with pytest.raises(InputError, match=f"this checkpoint is of a search with {told}; repeat its command"):
        checkpoint.read_state(path, {**identity, name: "other"}, LEAVES)


def test_an_altered_checkpoint_is_one_sentence(path: Path, identity: dict[str, Any]) -> None:
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(8 * len(whole), size=100):
        altered = bytearray(whole)
        altered[at // 8] ^= 1 << at % 8
        path.write_bytes(altered)
        with pytest.raises(InputError, match="this checkpoint is damaged"):
            checkpoint.read_state(path, identity, LEAVES)
    for content in (b"", whole[:100], whole[:-1], whole + b"0", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="this checkpoint is damaged"):
            checkpoint.read_state(path, identity, LEAVES)


@pytest.mark.parametrize("leaves", [LEAVES[:2], [*LEAVES[:2], np.zeros(3)], [LEAVES[1], *LEAVES[1:]]])
def test_arrays_of_another_build_are_refused(path: Path, identity: dict[str, Any], leaves: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match="another build"):
        checkpoint.read_state(path, identity, leaves)


def test_no_pickle_in_a_checkpoint_is_read(path: Path, identity: dict[str, Any]) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return pytest.fail, ("a pickle was read",)

    import io

    body = io.BytesIO()
    np.savez(body, np.array([Harmful()], object))
    path.write_bytes(sealed.seal(identity, body.getvalue()))
    with pytest.raises(InputError):
        checkpoint.read_state(path, identity, LEAVES)


def test_a_full_disk_is_one_sentence_and_the_state_before_stays(
    path: Path, identity: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        InputError, match=r"No space left on device\); the state before is kept, continue with --resume"
    ):
        checkpoint.write_state(path, identity, [*LEAVES[:2], np.ones((4, 4, 3))])
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_second_search_is_refused_while_one_runs(tmp_path: Path) -> None:
    path, told = tmp_path / "best.h5", []

    def second(step: int, total: int, info: dict[str, float]) -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    def other() -> None:
        before = (tmp_path / "best.h5.checkpoint").read_bytes()
        for asked in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(InputError, match="another run is writing this file; wait until it ends") as refused:
                nanomg.optimize("human-nsclc-iv-mgso4", steps=1, output=path, **asked)
            told.append(str(refused.value))
        assert (tmp_path / "best.h5.checkpoint").read_bytes() == before

    nanomg.optimize("human-nsclc-iv-mgso4", steps=1, output=path, progress=second)
    assert len(told) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["best.h5"]
    with files.reserved(path):
        pass
