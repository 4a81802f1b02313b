"""Sweeps on Dask: real schedulers and workers give what this process gives, and what goes wrong with them is one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

import nanomg
from nanomg import extras, models
from nanomg.compute import cluster
from nanomg.compute.devices import Choice
from nanomg.errors import InputError
from nanomg.jobs.sweep import prepared
from nanomg.jobs.sweep import run as sweep_run
from nanomg.jobs.sweep.request import SweepRequest

MECHANISM = '''
from nanomg import AbstractMechanism, Flux, Scalar, Var, param


class Drain(AbstractMechanism):
    """dx/dt = -k x."""

    name = "drain"
    states = {"drain.x": Var("mg", "what is left")}
    k: Scalar = param("1/h", "loss")

    def initial(self, x):
        return {"drain.x": 1.0}

    def fluxes(self, x):
        yield Flux("drain.x", None, self.k * x["drain.x"])
'''
CARD = """
title = "An example"
[drain]
k = { value = 0.1, unit = "1/h", cv = 0.3, basis = "assumed", note = "an example" }
"""
SCENARIO = """
title = "An example"
mechanisms = ["Drain"]
cards = ["drain"]
horizon = "10 h"
every = "1 h"
[outputs]
"drain.x" = "mg"
"""
ASKED: dict[str, Any] = {"vary": ["drain.k=0.1..1:log:8"], "subjects": 1000, "keep": ["drain.x:final"], "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library folder of one's own."""
    here = tmp_path_factory.mktemp("drain")
    for name, text in (("drain.py", MECHANISM), ("cards/drain.toml", CARD), ("scenarios/drain.toml", SCENARIO)):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    return here


@pytest.fixture(scope="module")
def whole(folder: Path) -> np.ndarray:
    """The numbers of an undisturbed sweep in this process."""
    run = nanomg.sweep("drain", library=models.library(folder), **ASKED)
    assert run.summary["failed"] == 0
    return values_of(run.tree)


def values_of(tree: Any) -> np.ndarray:
    return np.asarray(tree["sweep"]["drain.x:final"].values)


# ---------------------------------------------------------------- pieces
def test_dask_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install '\.\[cluster\]'"):
        list(cluster.map_pieces(operator.mul, 2, [1, 2], workers=1))


@pytest.mark.parametrize("asked", [{"workers": 2}, {"scheduler": "tcp://127.0.0.1:1"}])
def test_dask_is_looked_for_before_anything_is_read(monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install '\.\[cluster\]'"):
        prepared.prepare(SweepRequest(scenario="there is no such scenario", **asked))


def test_every_extra_that_is_advised_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for package, extra in extras.EXTRAS.items():
        assert any(entry.startswith(package) for entry in project["optional-dependencies"][extra])
        assert any(entry.startswith(package) for entry in project["optional-dependencies"]["dev"])


def with_workers(todo: prepared.PreparedSweep, workers: int) -> prepared.PreparedSweep:
    return dataclasses.replace(todo, request=dataclasses.replace(todo.request, workers=workers))


def test_some_workers_are_needed_and_they_take_no_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = prepared.prepare(SweepRequest(scenario="drain", **ASKED), models.library(folder))
    with pytest.raises(InputError, match="at least 1 worker"):
        sweep_run.run_prepared(with_workers(todo, 0))
    gpu = Choice((SimpleNamespace(platform="gpu", device_kind="of some kind"),), "asked for")
    monkeypatch.setattr(todo.batch, "choice", gpu)
    with pytest.raises(InputError, match="--device cpu"):
        sweep_run.run_prepared(with_workers(todo, 2))


@pytest.mark.parametrize(
    "address", ["nowhere", "tcp://127.0.0.1:1", "tcp://127.0.0.1:99999", "tcp://no.such.host.invalid:8786"]
)
def test_an_address_without_a_scheduler_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanomg.compute.cluster._WAIT", 0.5)
    with pytest.raises(InputError, match=f"^{address}: no Dask scheduler answers there"):
        list(cluster.map_pieces(operator.mul, 2, [1, 2], scheduler=address))


@pytest.mark.parametrize("address", ["http://127.0.0.1:8786", "inproc://a", "file:///tmp"])
def test_an_address_of_another_kind_is_one_sentence_at_once(address: str) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=r"begins with tcp, tls, ws, wss or ucx, not"):
        list(cluster.map_pieces(operator.mul, 2, [1, 2], scheduler=address))
    assert time.monotonic() - began < 20.0  # [s] for Dask's import on a busy machine


def test_workers_of_this_machine_speak_to_nobody_without_their_certificate() -> None:
    before = listening()
    with contextlib.closing(cluster.map_pieces(operator.mul, 2, range(100), workers=1)) as work:
        assert next(work)[1] in (0, 2, 4)
        places = listening() - before
        assert {place.ip for place in places} == {"127.0.0.1"}
        told = {place: first_words(place) for place in places}
    pages = [words for words in told.values() if words.startswith(b"HTTP/")]
    assert all(words.startswith(b"HTTP/1.1 404") for words in pages)  # Dask's pages say what runs; none is there
    assert len(told) - len(pages) >= 3  # the scheduler, the worker and its nanny
    assert {words for words in told.values() if words not in pages} == {b""}


def listening() -> set[Any]:
    """Where this process and its children can be spoken to."""
    this = psutil.Process()
    processes = [this, *this.children(recursive=True)]
    return {c.laddr for p in processes for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}


def first_words(place: tuple[str, int]) -> bytes:
    """What another user of the machine is told, by HTTP or else by TLS without a certificate."""
    unsure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unsure.check_hostname, unsure.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(ConnectionResetError), socket.create_connection(place, 60) as plain:
        plain.sendall(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
        if words := plain.recv(1000):
            return words
    with (
        contextlib.suppress(ConnectionResetError, ssl.SSLError),
        socket.create_connection(place, 60) as plain,
        unsure.wrap_socket(plain) as wrapped,
    ):
        return wrapped.recv(1000)
    return b""


def test_a_worker_with_other_versions_is_refused() -> None:
    ours = cluster._versions()
    assert cluster._one(ours, operator.mul, 2, 3) == 6
    with pytest.raises(InputError, match=r"a worker has jax .*, and here it is 0\.0"):
        cluster._one({**ours, "jax": "0.0"}, operator.mul, 2, 3)


def test_a_worker_with_other_equations_is_refused(folder: Path) -> None:
    recipe = prepared.prepare(SweepRequest(scenario="drain", **ASKED), models.library(folder)).recipe
    found, _ = sweep_run._by_worker(("one", recipe), (0, 0, 3))
    assert found["drain.x:final"].shape == (3,)
    with pytest.raises(InputError, match="a worker has other equations"):
        sweep_run._by_worker(("another", recipe._replace(equations="0" * 64)), (0, 0, 3))


# ---------------------------------------------------------------- workers of this machine
SCRIPT = """
import sys
import numpy as np
import psutil
import nanomg
from nanomg import models

killed = []

def kill(at):
    if not killed and at.done < at.total:
        worker = psutil.Process().children()[-1]
        killed.append(worker.pid)
        worker.kill()

asked = {asked}
run = nanomg.sweep("drain", library=models.library(sys.argv[1]), workers=1, progress=kill, **asked)
assert killed
np.save(sys.argv[2], run.tree["sweep"]["drain.x:final"].values)
"""


@pytest.mark.slow
def test_a_plain_script_whose_only_worker_dies_gets_the_same_with_mechanisms_of_its_own(
    folder: Path, whole: np.ndarray, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("{asked}", repr(ASKED)))  # without `if __name__ == "__main__"`
    command = [sys.executable, "-P", str(script), str(folder), str(tmp_path / "found.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), whole)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False])
def test_ctrl_c_ends_promptly_and_leaves_no_process(folder: Path, tmp_path: Path, to_all: bool) -> None:
    path = tmp_path / "a.h5"
    command = [sys.executable, "-P", "-c", "from nanomg.cli.main import app; app()", "sweep", "drain"]
    asked = ["--vary", "drain.k=0.1..1:log:1000", "--subjects", "1000", "--workers", "2", "--library", str(folder)]
    process = subprocess.Popen(
        [*command, *asked, "-o", str(path)], text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    wait_for(lambda: list(Path(f"{path}.parts").glob("part-*")))
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told == "nanomg: interrupted; finished parts are kept; the same command with --resume continues from here\n"
    assert not psutil.wait_procs(workers, timeout=5)[1]


# ---------------------------------------------------------------- a scheduler
@contextlib.contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Dask, ended at the end."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-P", "-m", *command, "--no-dashboard"], **quiet)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def wait_for(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_scheduler_and_its_worker(
    folder: Path, whole: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    address, shelves = f"tcp://127.0.0.1:{port}", models.library(folder)
    quietly = ("--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0")
    with started("distributed.cli.dask_scheduler", *quietly) as scheduler:
        wait_for(lambda: listens(port))
        monkeypatch.setattr("nanomg.compute.cluster._WAIT", 2)
        with pytest.raises(InputError, match="no worker for 2 s"):
            nanomg.sweep("drain", scheduler=address, library=shelves, **ASKED)
        monkeypatch.undo()
        with started("distributed.cli.dask_worker", address, "--nthreads", "1"):
            run = nanomg.sweep("drain", scheduler=address, library=shelves, **ASKED)
            np.testing.assert_array_equal(values_of(run.tree), whole)

            def lose(at: sweep_run.Progress) -> None:
                scheduler.kill()
                scheduler.wait()

            path = tmp_path / "a.h5"
            with pytest.raises(InputError, match="the scheduler stopped"):
                nanomg.sweep("drain", output=path, scheduler=address, progress=lose, library=shelves, **ASKED)
    run = nanomg.sweep("drain", output=path, resume=True, library=shelves, **ASKED)
    assert 0 < run.summary["computed"] < run.summary["trajectories"]
    np.testing.assert_array_equal(values_of(run.tree), whole)


def listens(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0
