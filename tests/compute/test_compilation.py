"""Who watches learns which program is compiled, and how long that took before."""

from __future__ import annotations

import statistics
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from nanomg.cli.render import compiling_text
from nanomg.compute import compilation, program_store, programs


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kept"
    monkeypatch.setenv("NANOMG_CACHE", str(folder))
    return folder


@programs.compiled(0)
def raised(power: int, x: jax.Array) -> jax.Array:
    return jnp.asarray(x) ** power


NAME = f"{__name__}.raised"


def watch(*powers: int) -> list[compilation.Compilation | None]:
    raised.compiled.clear()
    seen: list[compilation.Compilation | None] = []
    with compilation.watched(seen.append):
        for power in powers:
            assert raised(power, 3.0) == 3.0**power
    raised(9, 1.0)  # nobody watches any more
    return seen


def test_a_compilation_is_announced_with_the_median_of_earlier_ones(kept: Path) -> None:
    assert watch(2) == [compilation.Compilation(NAME, None), None]
    assert watch(2) == []  # loaded
    for key, seconds, of in (("a", 3.0, "2"), ("b", 5.0, "2"), ("c", 70.0, "2"), ("d", 8.0, "4")):
        program_store.write(key, {"program": NAME, "of": of, "seconds": seconds}, b"")
    program_store.write("e", {"program": "another", "of": "4", "seconds": 900.0}, b"")
    program_store.write("f", {"program": NAME, "of": "4"}, b"")
    begun = watch(4, 5)
    assert begun[0] == compilation.Compilation(NAME, 8.0)  # of the same static argument
    stored = [entry.about for entry in program_store.entries() if entry.about["program"] == NAME]
    seconds = [about["seconds"] for about in stored if "seconds" in about and about["of"] != "5"]
    assert begun[2] == compilation.Compilation(NAME, statistics.median(seconds)) and len(seconds) == 7
    assert begun[1] is begun[3] is None


def test_watching_ends_with_an_error(kept: Path) -> None:
    seen: list[compilation.Compilation | None] = []
    with pytest.raises(RuntimeError), compilation.watched(seen.append):
        raise RuntimeError
    raised.compiled.clear()
    raised(6, 1.0)
    assert seen == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "compiling"), (12.34, "compiling (about 12 s)"), (0.31, "compiling (about 0.31 s)")],
)
def test_what_a_bar_says(seconds: float | None, text: str) -> None:
    assert compiling_text(seconds) == text
