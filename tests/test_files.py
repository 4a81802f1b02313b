"""Files that are written by one run at a time."""

from __future__ import annotations

import contextvars
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nanomg
from nanomg import files
from nanomg.errors import InputError

KILLED = """
import os, signal, sys
from nanomg import files
with files.reserved(sys.argv[1]), files.replacing(sys.argv[1]) as file:
    file.write(b"half of it")
    file.flush()
    print(*sorted(os.listdir(".")), flush=True)
    sys.stdin.read()
"""


def killed_while_writing(path: Path, meanwhile: object = None) -> str:
    """What lies in the folder of a process that is killed while it writes a file."""
    command = [sys.executable, "-P", "-c", KILLED, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=path.parent, **pipes) as process:  # type: ignore[call-overload]
        there = process.stdout.readline()
        if callable(meanwhile):
            meanwhile()
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.wait()
    return there


def test_what_a_killed_run_leaves_is_taken_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "same.h5"
    for _ in range(3):
        assert len(killed_while_writing(path).split()) == len(list(tmp_path.iterdir())) == 2
    files.replace_file(path, b"the whole")
    assert [file.name for file in tmp_path.iterdir()] == ["same.h5"]
    assert path.read_bytes() == b"the whole"


def test_another_process_is_refused_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "same.h5"

    def refused() -> None:
        for asked in ({}, {"force": True}):
            with pytest.raises(InputError, match=r"same\.h5: another run is writing this file; wait until it ends"):
                nanomg.simulate("textbook-1cpt", output=path, **asked)
        with pytest.raises(InputError, match="another run is writing this file"):
            nanomg.sweep("textbook-1cpt", vary=["pk.V=30..40 L:3"], output=path)

    killed_while_writing(path, refused)
    assert nanomg.simulate("textbook-1cpt", output=path).path == path
    assert [file.name for file in tmp_path.iterdir()] == ["same.h5"]


def test_of_two_simulations_of_one_file_one_is_refused_whichever_is_first(tmp_path: Path) -> None:
    path, ends = tmp_path / "same.h5", []
    together = threading.Barrier(4)

    def simulate(volume: int) -> None:
        together.wait()
        try:
            ends.append(nanomg.simulate("textbook-1cpt", set={"pk.V": f"{volume} L"}, output=path).summary)
        except InputError as error:
            ends.append(error.message)

    threads = [threading.Thread(target=simulate, args=(20 + i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (done,) = (end for end in ends if not isinstance(end, str))
    assert nanomg.open(path)["simulation"]["pk.C"].max() == pytest.approx(done["signals"]["pk.C"]["max"])
    assert all("another run" in end or "the file exists" in end for end in ends if isinstance(end, str))


@pytest.mark.parametrize("asked", [{"output": "a.h5", "records": "same"}, {"records": "same"}])
def test_further_files_of_a_job_are_its_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict) -> None:
    monkeypatch.chdir(tmp_path)
    Path("doses.csv").write_text("ID,TIME,AMT,CMT,EVID,DV\n1,0,100,pk.central,1,\n1,2,,,0,\n")

    def simulate() -> None:
        with pytest.raises(InputError, match=r"^same: another run is writing this file"):
            nanomg.simulate("textbook-1cpt", events="doses.csv", **asked)

    with files.reserved("same"):
        contextvars.Context().run(simulate)  # as in another thread
    nanomg.simulate("textbook-1cpt", events="doses.csv", **asked)


def test_a_reservation_is_of_the_file_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(tmp_path / "same.h5")
    with files.reserved(tmp_path / "link.h5"):
        with pytest.raises(InputError, match="another run"):
            contextvars.Context().run(files.replace_file, tmp_path / "same.h5", b"")
        files.replace_file(tmp_path / "same.h5", b"by the run itself")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.h5", "same.h5"]


def test_a_link_in_the_place_of_a_lock_or_a_part_is_not_followed(tmp_path: Path) -> None:
    path, precious = tmp_path / "same.h5", tmp_path / "precious"
    precious.write_bytes(b"precious")
    there = [name for name in killed_while_writing(path).split() if name != precious.name]
    for name in there:
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(precious)
    files.replace_file(path, b"whole")
    assert (precious.read_bytes(), path.read_bytes()) == (b"precious", b"whole")


def test_a_folder_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files, "_take", none)
    files.replace_file(tmp_path / "a", b"1")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
