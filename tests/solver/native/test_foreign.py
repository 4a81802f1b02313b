"""Kernels as foreign functions of XLA: in any program, in any precision, on all cores, from one process to the next."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_kernel
from other_process import Cell
from program import Program

from nanomg.compute import program_key, program_store
from nanomg.solver.native import foreign, handler, machine

Y = np.linspace(-2.0, 3.0, 21).reshape(3, 7)  # (row, lane)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, and a process that has no kernels yet."""
    monkeypatch.setenv("NANOMG_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(program_key, "_BEGAN", 4e9)
    monkeypatch.setattr(foreign, "_codes", {})
    return tmp_path / "kept"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_kernel_in_a_compiled_program(dtype: str) -> None:
    found = jax.jit(lambda y: toy_kernel.scaled(y + 1, 1.5))(Y.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, toy_kernel.expected(Y + 1, 1.5), rtol=np.finfo(dtype).eps * 4)


def test_a_kernel_in_loops_branches_and_outside_of_programs() -> None:
    looped = jax.jit(lambda y: jax.lax.fori_loop(0, 5, lambda _, y: toy_kernel.scaled(y, 0.5), y))
    branched = jax.jit(lambda y: jax.lax.cond(y.sum() > 0, lambda y: toy_kernel.scaled(y, 0.5), lambda y: y, y))
    np.testing.assert_allclose(looped(Y), toy_kernel.expected(Y, 0.5, 5), rtol=1e-15)
    np.testing.assert_allclose(branched(Y), toy_kernel.expected(Y, 0.5), rtol=1e-15)
    np.testing.assert_allclose(branched(-Y), -Y, rtol=1e-15)
    np.testing.assert_allclose(toy_kernel.scaled(jnp.asarray(Y), 0.5), toy_kernel.expected(Y, 0.5), rtol=1e-15)


def test_a_kernel_for_many_blocks_of_lanes() -> None:
    blocks = np.stack([Y, 2 * Y, Y - 1])
    found = jax.jit(jax.vmap(lambda y: toy_kernel.scaled(y, 2.0)))(blocks)
    np.testing.assert_allclose(found, [toy_kernel.expected(y, 2.0) for y in blocks], rtol=1e-15)


@pytest.mark.parametrize("lanes", [0, 1, 2, 1000])
def test_a_kernel_for_any_number_of_lanes(lanes: int) -> None:
    y = np.random.default_rng(0).normal(size=(4, lanes))
    found = jax.jit(lambda y: toy_kernel.scaled(y, 3.0))(y)
    np.testing.assert_allclose(found, toy_kernel.expected(y, 3.0), rtol=1e-14)


def test_calls_side_by_side_share_the_cores_and_leave_none_busy() -> None:
    y = np.random.default_rng(1).normal(size=(5, 64))
    run = jax.jit(lambda y: toy_kernel.scaled(y, 0.999, 2000))
    right = toy_kernel.expected(y, 0.999, 2000)
    run(y).block_until_ready()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: np.asarray(run(y)), range(200)):
            np.testing.assert_allclose(found, right, rtol=1e-12)
    deadline = time.perf_counter() + 10.0
    while handler.busy_threads.value and time.perf_counter() < deadline:
        time.sleep(0.01)  # a thread that came too late has still to find out
    assert handler.busy_threads.value == 0


def test_two_cores_share_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(2).normal(size=(16, 100))
    run = jax.jit(lambda y: toy_kernel.scaled(y, 0.999, 10_000))
    run(y).block_until_ready()
    shares = []
    for cores in (1, 2):
        monkeypatch.setattr(handler.cores, "value", cores)
        before = time.thread_time(), time.process_time()
        for _ in range(5):
            run(y).block_until_ready()
        shares.append((time.thread_time() - before[0]) / (time.process_time() - before[1]))
    assert shares[0] > 0.9
    assert shares[1] < 0.8


def test_one_core_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler.cores, "value", 1)
    np.testing.assert_allclose(jax.jit(lambda y: toy_kernel.scaled(y, 2.0))(Y), toy_kernel.expected(Y, 2.0), rtol=1e-15)


def test_code_on_disk_is_used_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nanomg.solver.native.foreign")
    made = toy_kernel.kernel("double")
    (entry,) = program_store.entries()
    assert entry.about["program"] == "toy_kernel.text_of"
    monkeypatch.setattr(foreign, "_codes", {})
    assert toy_kernel.kernel("double") == made
    assert [message.split()[0] for message in caplog.messages] == ["generated", "loaded"]


def test_the_list_of_programs_names_the_processor(
    kept: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    toy_kernel.kernel("double")
    text = program("cache", "--list").out
    assert "toy_kernel.text_of" in " ".join(text.split())
    assert machine.host().cpu in text


def test_damaged_code_is_made_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nanomg.solver.native.foreign")
    toy_kernel.kernel("double")
    (entry,) = program_store.entries()
    entry.path.write_bytes(entry.path.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(foreign, "_codes", {})
    toy_kernel.kernel("double")
    assert [message.split()[0] for message in caplog.messages] == ["generated", "generated"]


def test_what_has_no_name_is_not_kept(kept: Path) -> None:
    kernel = foreign.compiled(lambda: toy_kernel.text_of("double"), (), {"scaled": 1})[0]
    assert kernel.key.startswith("here-")
    assert program_store.entries() == []


def test_the_version_of_the_interface_is_that_of_jaxlib() -> None:
    header = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text(encoding="utf-8")
    assert f"#define XLA_FFI_API_MAJOR {handler.VERSION[0]}\n" in header
    assert f"#define XLA_FFI_API_MINOR {handler.VERSION[1]}\n" in header


# ---------------------------------------------------------------- another process
STEPS = """
    import jax, numpy as np, toy_kernel
    from nanomg.compute import programs

    @programs.compiled()
    def halved(y):
        return toy_kernel.scaled(y, 0.5) + 1.0
"""
RUN = """
    import numpy as np
    from steps import halved

    print(np.asarray(halved(np.arange(6.0).reshape(2, 3))).tobytes().hex())
"""


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    cell = Cell(tmp_path)
    cell.module("steps", STEPS)
    cell.module("toy_kernel", Path(toy_kernel.__file__).read_text(encoding="utf-8"))
    return cell


def test_a_stored_program_finds_its_kernel(cell: Cell) -> None:
    first, second = cell.run(RUN), cell.run(RUN)
    assert (first.compiled, second.loaded) == ({"steps.halved"}, {"steps.halved"})
    assert first.numbers == second.numbers
    right = toy_kernel.expected(np.arange(6.0).reshape(2, 3), 0.5) + 1.0
    assert first.numbers == [right.tobytes().hex()]


def test_a_stored_program_without_its_kernel_is_compiled_again(cell: Cell) -> None:
    first = cell.run(RUN)
    for path in cell.kept.glob("*.program"):
        if b"toy_kernel.text_of" in path.read_bytes()[:200]:
            path.unlink()
    second = cell.run(RUN)
    assert (first.compiled, second.compiled) == ({"steps.halved"}, {"steps.halved"})
    assert first.numbers == second.numbers


def test_another_kernel_is_another_program(cell: Cell) -> None:
    first = cell.run(RUN)
    text = Path(toy_kernel.__file__).read_text(encoding="utf-8")
    cell.module("toy_kernel", text.replace("fadd REAL", "fsub REAL"))
    second = cell.run(RUN)
    assert second.compiled == {"steps.halved"}
    assert first.numbers != second.numbers
