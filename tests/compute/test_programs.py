"""Compiled programs on disk: nothing that is wrong with them is ever a failure."""

from __future__ import annotations

import json
import os
import pickle
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import serialize_executable

from nanomg import user_cache
from nanomg.cli.main import app
from nanomg.compute import program_key, program_store
from nanomg.compute import programs as compute_programs
from nanomg.equations.model import Model
from nanomg.library.library import scan
from nanomg.models.tumour import Tumour

jax.config.update("jax_enable_x64", True)


BEGAN = 4e9  # when this process began, as these tests tell it, so that files edited meanwhile do not matter


@pytest.fixture(autouse=True)
def began_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_key, "_BEGAN", BEGAN)
    program_key._sources.cache_clear()


def change(path: Path) -> None:
    os.utime(path, (BEGAN + 1.0, BEGAN + 1.0))
    program_key._sources.cache_clear()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of programs of this process."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("NANOMG_CACHE", str(folder))
    return folder


@compute_programs.compiled(0)
def scaled(n: int, values: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: n * jnp.sin(v) for name, v in values.items()}


VALUES = {"a": np.linspace(0.0, 1.0, 5), "b": 2.0}


def fresh() -> compute_programs.Program:
    """The program as a new process has it."""
    scaled.compiled.clear()
    return scaled


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[: len(body) // 2],
        lambda body: b"",
        lambda body: body.replace(b'"sha256"', b'"sha257"', 1),
        lambda body: body[:-8] + bytes(8),
        lambda body: body.replace(b'"seconds"', b'"minutes"', 1),
        lambda body: body.partition(b"\n")[2],
    ],
    ids=["cut short", "empty", "without its checksum", "altered", "altered description", "without a description"],
)
def test_a_damaged_entry_is_replaced(kept: Path, damage: Callable[[bytes], bytes]) -> None:
    expected = fresh()(3, VALUES)
    (entry,) = kept.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert_same(fresh()(3, VALUES), expected)
    assert [path.name for path in kept.iterdir()] == [entry.name]
    assert len(entry.read_bytes()) > len(whole) / 2


def test_an_entry_that_cannot_be_loaded_is_replaced(kept: Path) -> None:
    expected = fresh()(3, VALUES)
    (entry,) = program_store.entries()
    program_store.write(entry.path.stem, entry.about, b"no program")
    assert_same(fresh()(3, VALUES), expected)
    assert stored(entry.path.stem) != b"no program"


def test_reading_an_entry_reads_no_pickle_of_ours(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fresh()(3, VALUES)
    monkeypatch.setattr(pickle, "loads", lambda *_: pytest.fail("a pickle is read"))
    monkeypatch.setattr(jax, "jit", lambda *_, **__: pytest.fail("compiled again"))
    assert_same(fresh()(3, VALUES), expected)


def test_an_entry_of_another_user_runs_nothing(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    expected = fresh()(3, VALUES)
    (entry,) = kept.iterdir()
    os.chown(entry, 65534, -1)
    monkeypatch.setattr(serialize_executable, "deserialize_and_load", lambda *_, **__: pytest.fail("it is loaded"))
    assert_same(fresh()(3, VALUES), expected)
    assert [path.stat().st_uid for path in kept.iterdir()] == [0]
    assert program_store.entries()[0].about["program"].endswith("scaled")


def test_an_entry_under_another_key_is_not_run(kept: Path) -> None:
    fresh()(3, VALUES)
    (entry,) = kept.iterdir()
    assert stored(entry.stem)
    entry.rename(kept / f"{'0' * 64}.program")
    assert program_store.read("0" * 64) is None


def stored(key: str) -> bytes:
    entry = program_store.read(key)
    assert entry is not None
    return entry[1]


def assert_same(found: dict[str, jax.Array], expected: dict[str, jax.Array]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


# ---------------------------------------------------------------- in one process
def test_it_compiles_once_for_each_static_argument_and_shape(kept: Path) -> None:
    call = fresh()
    for n in (3, 4):
        for size in (5, 6, 5):
            np.testing.assert_allclose(call(n, {"a": np.ones(size)})["a"], n * np.sin(np.ones(size)), rtol=1e-12)
    assert len(program_store.entries()) == len(call.compiled) == 4


def test_programs_used_last_stay_in_memory(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_programs, "_MOST", 2)
    compute_programs.forget()
    call = fresh()
    for n in (3, 4, 3, 5):
        call(n, VALUES)
    assert [signature[0] for signature in call.compiled] == [(3,), (5,)]
    np.testing.assert_allclose(call(4, VALUES)["b"], 4 * np.sin(2.0), rtol=1e-12)
    compute_programs.forget()
    assert not call.compiled and len(program_store.entries()) == 3


def test_threads_share_what_the_first_compiles(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    call, used = fresh(), jax.config.jax_enable_compilation_cache
    with caplog.at_level("DEBUG", "nanomg.compute.programs"), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: call(3, {"a": np.full(9, x)})["a"], np.arange(8.0)))
    np.testing.assert_allclose(found, 3 * np.sin(np.arange(8.0))[:, None] * np.ones(9), rtol=1e-12)
    assert [record.message.split()[0] for record in caplog.records] == ["compiled"]
    assert jax.config.jax_enable_compilation_cache is used


def test_types_and_precision_make_programs_of_their_own(kept: Path) -> None:
    call = fresh()
    assert call(3, {"a": np.ones(2)})["a"].dtype == np.float64
    assert call(3, {"a": np.ones(2, np.float32)})["a"].dtype == np.float32
    with jax.enable_x64(False):
        assert call(3, {"a": 1.0})["a"].dtype == np.float32
    assert call(3, {"a": 1.0})["a"].dtype == np.float64
    assert len(program_store.entries()) == 4


def test_it_is_traced_through(kept: Path) -> None:
    call = fresh()
    slope = jax.grad(lambda x: call(3, {"a": x})["a"])(0.5)
    assert slope == pytest.approx(3 * np.cos(0.5), rel=1e-12)
    rows = jax.vmap(lambda x: call(3, {"a": x})["a"])(np.linspace(0.0, 1.0, 4))
    np.testing.assert_allclose(rows, 3 * np.sin(np.linspace(0.0, 1.0, 4)), rtol=1e-12)
    assert jax.jit(lambda x: call(3, {"a": x})["a"])(0.5) == pytest.approx(3 * np.sin(0.5), rel=1e-12)
    assert not kept.exists()


def test_a_function_within_a_function_is_not_kept(kept: Path) -> None:
    programs = [compute_programs.compiled()(lambda x, by=by: by * x) for by in (2.0, 3.0)]
    assert [float(p(1.0)) for p in programs] == [2.0, 3.0]
    assert not list(kept.glob("*"))


# ---------------------------------------------------------------- the folder
def test_the_folder_is_the_users_alone(kept: Path) -> None:
    fresh()(3, VALUES)
    assert kept.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept.iterdir())


@pytest.mark.parametrize("mode", [0o770, 0o707], ids=["group", "others"])
def test_a_folder_that_others_may_write_to_is_refused(kept: Path, mode: int) -> None:
    expected = fresh()(3, VALUES)
    (entry,) = kept.iterdir()
    before = entry.stat().st_mtime_ns
    kept.chmod(mode)
    with pytest.warns(UserWarning, match="others may write to it"):
        assert_same(fresh()(3, VALUES), expected)
    with pytest.warns(UserWarning, match="others may write to it"):
        assert program_store.read(entry.stem) is None
    assert entry.stat().st_mtime_ns == before


def test_a_folder_of_another_user_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.mkdir(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    with pytest.warns(UserWarning, match="belongs to another user"):
        fresh()(3, VALUES)
    assert not list(kept.iterdir())


def test_a_folder_that_cannot_be_made_or_written_is_no_error(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.write_text("a file")
    expected = fresh()(3, VALUES)
    kept.unlink()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert_same(fresh()(3, VALUES), expected)
    assert not list(kept.iterdir())


def test_off_keeps_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOMG_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    np.testing.assert_allclose(fresh()(3, VALUES)["b"], 3 * np.sin(2.0), rtol=1e-12)
    assert user_cache.folder() is None
    assert not kept.exists()


def test_where_the_folder_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NANOMG_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert user_cache.folder() == tmp_path / ".cache" / "nanomg"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache.folder() == tmp_path / "xdg" / "nanomg"
    monkeypatch.setenv("NANOMG_CACHE", str(tmp_path / "own"))
    assert user_cache.folder() == tmp_path / "own"


def test_the_least_recently_used_go_first(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_store, "MOST_ENTRIES", 3)
    for age, key in enumerate(("a", "b", "c")):
        program_store.write(key, {}, b"x")
        os.utime(kept / f"{key}.program", (1000.0 + age, 1000.0 + age))
    assert stored("a") == b"x"
    program_store.write("d", {}, b"x")
    assert {entry.path.stem for entry in program_store.entries()} == {"a", "c", "d"}
    monkeypatch.setattr(program_store, "MOST_BYTES", sum(entry.bytes for entry in program_store.entries()) - 1)
    program_store.write("d", {}, b"x")
    assert {entry.path.stem for entry in program_store.entries()} == {"a", "d"}


# ---------------------------------------------------------------- what a program is known by
MECHANISM = """
    from nanomg import AbstractMechanism, Flux, Var
    {more}

    class Sink(AbstractMechanism):
        name = "sink"
        states = {{"sink.A": Var("mg", "amount")}}

        def fluxes(self, x):
            yield Flux("sink.A", None, {rate} * x["sink.A"])
"""


def sink(folder: Path, rate: float | str = 1.0, more: str = "") -> Path:
    """The mechanism in a library of its own."""
    folder.mkdir()
    path = folder / "sink.py"
    path.write_text(textwrap.dedent(MECHANISM.format(rate=rate, more=more)), encoding="utf-8")
    return path


def key_of(path: Path, ledger: bool = False) -> str:
    model = Model(scan(path.parent).mechanisms["Sink"], ledger=ledger)
    return program_key.of(scaled, (model,), ())[0]


def test_a_model_is_known_by_its_source(tmp_path: Path) -> None:
    first = key_of(sink(tmp_path / "a"))
    assert key_of(sink(tmp_path / "b")) == first
    assert key_of(sink(tmp_path / "c", rate=2.0)) != first
    assert key_of(tmp_path / "b" / "sink.py", ledger=True) != first


def test_a_file_changed_since_it_was_imported_names_nothing(tmp_path: Path) -> None:
    path = sink(tmp_path / "library")
    change(path)
    with pytest.raises(program_key.Unnameable, match="changed since"):
        key_of(path)


@pytest.mark.parametrize(
    ("line", "rate"),
    [("from {} import RATE", "RATE"), ("import {}", "{}.RATE"), ("import sys, {} as other", "other.RATE")],
)
def test_what_a_mechanism_imports_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, rate: str) -> None:
    helper = tmp_path / f"helper_{abs(hash(line))}.py"
    helper.write_text("RATE = 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = sink(tmp_path / "library", rate=rate.format(helper.stem), more=line.format(helper.stem))
    key_of(path)
    change(helper)
    with pytest.raises(program_key.Unnameable, match="changed since"):
        key_of(path)


def test_a_mechanism_within_a_function_has_no_name() -> None:
    class Mine(Tumour):
        pass

    with pytest.raises(program_key.Unnameable, match="Mine"):
        program_key.of(scaled, (Mine,), ())


# ---------------------------------------------------------------- the command
Shown = Callable[..., str]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["nanomg", "cache", *arguments])
        with pytest.raises(SystemExit) as ended:
            app()
        assert not ended.value.code
        return capsys.readouterr().out

    return run


def test_the_command_shows_and_clears(kept: Path, shown: Shown) -> None:
    assert json.loads(shown("--json")) == {"folder": str(kept), "entries": 0, "bytes": 0, "programs": []}
    fresh()(3, VALUES)
    size = sum(path.stat().st_size for path in kept.iterdir())
    found = json.loads(shown("--json"))
    assert (found["entries"], found["bytes"]) == (1, size)
    (entry,) = found["programs"]
    assert entry["program"].endswith("test_programs.scaled")
    assert (entry["of"], entry["arguments"], entry["bytes"]) == ("3", ["float64[5]", "~float64[]"], size)
    line = shown()
    assert line.startswith(f"{kept}: 1 program, ")
    assert line.count("\n") == 1
    text = shown("--list")
    assert text.startswith(line)
    assert "float64[5] 1 scalars" in text
    (kept / "note.txt").write_text("not a program")
    assert json.loads(shown("--clear", "--json")) == {"folder": str(kept), "removed": 1, "bytes": size}
    assert [path.name for path in kept.iterdir()] == ["note.txt"]
    assert shown("--clear").startswith("Removed 0 programs, 0.0 MB, from ")


def test_the_command_reads_no_pickle_and_needs_no_header(kept: Path, shown: Shown) -> None:
    kept.mkdir(0o700)
    (kept / "odd.program").write_bytes(b"\x80\x04 nothing")
    assert json.loads(shown("--json"))["programs"][0]["bytes"] == 10
    assert "1 program," in shown()


def test_the_command_says_where_it_is_off(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOMG_CACHE", "off")
    assert "NANOMG_CACHE is off" in shown()
    assert json.loads(shown("--json"))["folder"] is None
