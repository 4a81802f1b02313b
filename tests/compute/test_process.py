"""What nanomg changes in its process, under many threads."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import jax
import numpy as np
import pytest

import nanomg
from nanomg import units
from nanomg.compute import process, programs

SCENARIOS = (
    "textbook-1cpt",
    "textbook-2cpt",
    "textbook-3cpt",
    "human-mg-oral",
    "human-mgso4",
    "human-mg28",
    "human-mg-repletion",
    "human-renal-failure",
)


def numbers_of(name: str) -> dict[str, bytes]:
    """Every array of a simulation, as bytes."""
    tree = nanomg.simulate(name).tree
    return {
        f"{node.path}/{key}": array.values.tobytes()
        if array.dtype.kind != "O"
        else repr(array.values.tolist()).encode()
        for node in tree.subtree
        for key, array in node.variables.items()
    }


def test_eight_threads_simulate_at_once_what_one_simulates() -> None:
    programs.forget()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    start = threading.Barrier(len(SCENARIOS))

    def together(name: str) -> dict[str, bytes]:
        start.wait()
        return numbers_of(name)

    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        at_once = list(pool.map(together, SCENARIOS))
    for name, numbers in zip(SCENARIOS, at_once, strict=True):
        alone = numbers_of(name)
        assert numbers.keys() == alone.keys()
        assert [key for key in alone if alone[key] != numbers[key]] == [], name
        assert len(alone) > 10
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_jax_counts_in_float64_and_leaves_the_disk_to_nanomg() -> None:
    assert jax.config.jax_enable_x64
    assert not jax.config.jax_enable_compilation_cache


def test_process_wide_switches_are_in_one_module() -> None:
    switch = re.compile(
        r"signal\.signal\(|pthread_sigmask|__spec__ =|config\.update|settings\.update|os\.environ\[[^]]*\] ="
        r"|os\.putenv|malloc_trim\(|set_start_method|seterr\(|setlocale|chdir\("
    )
    folder = Path(nanomg.__file__).parent
    users = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if switch.search(path.read_text("utf-8"))
    }
    assert users == {"compute/process.py"}


# ---------------------------------------------------------------- signals
@pytest.fixture
def in_a_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("context", [process.interrupts_deferred, process.interrupts_blocked])
def test_no_handler_is_installed_outside_of_the_main_thread(
    in_a_thread: ThreadPoolExecutor, context: type[AbstractContextManager[None]]
) -> None:
    def within() -> object:
        with context():
            return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    assert in_a_thread.submit(within).result() is before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_waits_for_the_end_of_the_body() -> None:
    steps = []

    def write() -> None:
        with process.interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
            steps.append("written")
        steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert steps == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_main_is_left_alone_until_the_last_cluster_ends() -> None:
    main, before = sys.modules["__main__"], sys.modules["__main__"].__spec__
    inside, over = threading.Barrier(2), threading.Barrier(2)

    def cluster(first: bool) -> None:
        with process.main_not_run_again():
            inside.wait()
            if not first:
                over.wait()
                assert main.__spec__ is not before
        if first:
            over.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cluster, (True, False)))
    assert main.__spec__ is before


def test_conversions_of_many_threads_are_those_of_one() -> None:
    pairs = [("mL/h", "L/d"), ("mg", "kg"), ("mmol/L", "umol/mL"), ("1/d", "1/h"), ("Mcell", "cell")]
    for function in (units.factor, units.dimension):
        function.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: units.factor(*pair), pairs * 20))
    np.testing.assert_allclose(found[:5], [0.024, 1e-6, 1.0, 1 / 24, 1e6], rtol=1e-12)
    assert found == found[:5] * 20


@pytest.mark.parametrize(("limit", "threads"), [("1", 1), ("999", None), ("", None), ("0", None), ("many", None)])
def test_a_worker_of_one_thread_computes_in_one(
    monkeypatch: pytest.MonkeyPatch, limit: str, threads: int | None
) -> None:
    monkeypatch.setenv("PJRT_NPROC", limit)
    assert process.threads() == (threads or process.cores())
