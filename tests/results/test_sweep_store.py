"""The store of a sweep: nothing that was finished is lost, and the dataset does not depend on how it came about."""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import small_sweep
import xarray
from small_sweep import GROUPS, IDENTITY, ROOT, TRAJECTORIES, begun, expected, layout, numbers, same, told, write

from nanomg import files
from nanomg.errors import InputError
from nanomg.results import file as result_file
from nanomg.results import parts
from nanomg.results.parts import PartLayout, Variable
from nanomg.results.sweep_store import Store


# ---------------------------------------------------------------- the same numbers, however they came about
@pytest.mark.parametrize("part", [4, 7, 11, 60, 1000])
def test_merged_is_what_was_written(tmp_path: Path, part: int) -> None:
    with Store.create(tmp_path / "out.h5", layout(part), IDENTITY) as store:
        assert store.missing() == list(range(math.ceil(TRAJECTORIES / part)))
        write(store, np.random.default_rng(part).permutation(store.missing()).tolist())
        assert store.merge(GROUPS, ROOT) == tmp_path / "out.h5"
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
    same(tmp_path / "out.h5")
    tree = result_file.open(tmp_path / "out.h5")
    xarray.testing.assert_identical(tree["doses"].to_dataset(), GROUPS["doses"])
    assert tree.attrs == ROOT
    with xarray.open_datatree(tmp_path / "out.h5") as plain:
        assert float(plain["sweep"]["auc"].mean()) == float(expected()["auc"].mean())


def test_a_sweep_goes_on_with_parts_of_the_size_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    begun(path, 3, 0)
    with Store.create(path, layout(part=50), IDENTITY, resume=True) as store:
        assert store.layout.part == 7
        assert store.missing() == [1, 2, 4, 5, 6, 7, 8, 9]
        write(store, store.missing())
        assert not store.missing()
        store.merge(GROUPS, ROOT)
    same(path)


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from small_sweep import GROUPS, IDENTITY, ROOT, layout, write

from nanomg.results.sweep_store import Store

random.seed(7)
path, killed = Path(sys.argv[2]), 0
for turn in range(20):
    child = os.fork()
    if child == 0:
        store = Store.create(path, layout(2), IDENTITY, resume=True)
        write(store, random.Random(turn).sample(store.missing(), len(store.missing())))
        store.merge(GROUPS, ROOT)
        os._exit(0)
    time.sleep(random.uniform(0.0, 0.15))
    os.kill(child, signal.SIGKILL)
    killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
print(killed)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    told = run(KILLED, str(path))
    assert int(told) >= 5
    with Store.create(path, layout(2), IDENTITY, resume=True) as store:
        write(store, store.missing())
        store.merge(GROUPS, ROOT)
    assert [left.name for left in tmp_path.iterdir()] == ["out.h5"]
    same(path)


def run(script: str, *arguments: str) -> str:
    here = str(Path(small_sweep.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, here, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- parts that are no good
@pytest.mark.parametrize("harm", ["cut", "bit", "other", "empty"])
def test_a_damaged_part_is_computed_again(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "out.h5"
    folder = begun(path, *range(10))
    part = folder / "part-000004.h5"
    content = bytearray(part.read_bytes())
    if harm == "bit":
        place = content.index(np.float64(numbers(28, 29)["auc"][0]).tobytes())
        content[place] ^= 1
    damaged = {"cut": content[:-100], "bit": content, "empty": b""}
    part.write_bytes(damaged[harm] if harm in damaged else (folder / "part-000003.h5").read_bytes())
    with Store.create(path, layout(), IDENTITY, resume=True) as store:
        assert store.missing() == [4]
        write(store, [4])
        store.merge(GROUPS, ROOT)
    same(path)


def test_parts_of_another_sweep_are_not_taken(tmp_path: Path) -> None:
    with Store.create(tmp_path / "other.h5", layout(), {**IDENTITY, "precision": "float64"}) as other:
        write(other, [0])
    folder = begun(tmp_path / "out.h5", 1)
    (folder / "part-000000.h5").write_bytes((tmp_path / "other.h5.parts" / "part-000000.h5").read_bytes())
    with Store.create(tmp_path / "out.h5", layout(), IDENTITY, resume=True) as store:
        assert 0 in store.missing()
        assert 1 not in store.missing()


def test_damage_after_the_last_look_stops_the_merge(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    with Store.create(path, layout(), IDENTITY) as store:
        write(store, store.missing())
        (parts.folder_of(path) / "part-000002.h5").write_bytes(b"")
        with pytest.raises(InputError, match=r"part-000002.h5: this part is damaged; --resume"):
            store.merge(GROUPS, ROOT)
    assert not path.exists()
    with Store.create(path, layout(), IDENTITY, resume=True) as store:
        assert store.missing() == [2]


def test_ctrl_c_while_a_part_is_written_comes_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5's libraries delete objects as they write, and what is raised there is lost."""
    plain = result_file.write

    class Deleted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def interrupted(*arguments: Any, **options: Any) -> Path:
        Deleted()
        return plain(*arguments, **options)

    with Store.create(tmp_path / "a.h5", layout(), IDENTITY) as store:
        monkeypatch.setattr(result_file, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(store, [0])
        assert 0 not in store.missing()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_was_half_written_is_removed(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out.h5", 0)
    (folder / f"{files.TEMPORARY}x.tmp").write_bytes(b"half")
    with Store.create(tmp_path / "out.h5", layout(), IDENTITY, resume=True):
        assert not list(folder.glob(".*"))


def test_arrays_that_are_not_those_of_the_layout(tmp_path: Path) -> None:
    with Store.create(tmp_path / "out.h5", layout(), IDENTITY) as store:
        good = numbers(*store.range(0))
        for wrong in ({"auc": good["auc"]}, {**good, "auc": good["auc"][:3]}):
            with pytest.raises(ValueError, match="part"):
                store.write(0, wrong)
        with pytest.raises(TypeError):
            store.write(0, {**good, "steps": good["auc"]})
        with pytest.raises(ValueError, match="10 of 10 parts are missing"):
            store.merge(GROUPS, ROOT)
    with pytest.raises(TypeError, match="integers or floats"):
        Store.create(tmp_path / "out.h5", PartLayout({"subject": 2}, {"name": Variable((), "U3")}, 1), {})


def test_an_unfinished_sweep_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    folder = begun(path, 0, 1)
    assert all(word in told(path) for word in ("unfinished", "--resume", "--force", str(folder)))
    with Store.create(path, layout(), IDENTITY, force=True) as store:
        assert len(store.missing()) == 10


def test_another_sweep_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    begun(path, 0)
    other = {**IDENTITY, "versions": {"jax": "2.0", "nanomg": "0.1"}}
    assert 'versions.jax was "1.0" and is now "2.0"' in told(path, other, resume=True)
    assert f'config_hash was "{"c" * 38}… and is now null' in told(path, {"precision": "float32"}, resume=True)
    fewer = PartLayout({"subject": 66}, layout().variables, 7, {"time": 5})
    assert "layout.dims was" in told(path, made=fewer, resume=True)


def test_a_finished_sweep_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    begun(path)
    with Store.create(path, layout(), IDENTITY, resume=True) as store:
        assert not store.complete
        write(store, store.missing())
        store.merge(GROUPS, ROOT)
    assert "exists" in told(path)
    assert "precision was" in told(path, {**IDENTITY, "precision": "float64"}, resume=True)
    with Store.create(path, layout(part=5), IDENTITY, resume=True) as store:
        assert store.complete and not store.missing() and store.at == path
        assert store.merge(GROUPS, ROOT) == path
    with Store.create(path, layout(), IDENTITY, force=True) as store:
        assert not store.complete
    same(path)  # until the new one is merged


def test_a_file_of_something_else_is_not_continued(tmp_path: Path) -> None:
    path = result_file.write(tmp_path / "run.h5", GROUPS, ROOT)
    assert "not of a sweep" in told(path, resume=True)
    assert [left.name for left in tmp_path.iterdir()] == ["run.h5"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    with Store.create(path, layout(), IDENTITY) as store:
        for how in ({}, {"resume": True}, {"force": True}):
            assert "another process" in told(path, **how)
        write(store, [0])
    with Store.create(path, layout(), IDENTITY, resume=True) as store:
        assert 0 not in store.missing()


def test_files_of_others_in_the_folder_stay(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out.h5", 0)
    (folder / "notes.txt").touch()
    with Store.create(tmp_path / "out.h5", layout(), IDENTITY, force=True) as store:
        write(store, store.missing())
        store.merge(GROUPS, ROOT)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "out.h5.parts").touch()
    assert "cannot be written to (File exists)" in told(tmp_path / "out.h5")
    if Path("/proc").is_dir():  # where nothing can be made, and says that there is no such place
        assert "written" in told(Path("/proc/out.h5"))


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "out.h5").symlink_to(tmp_path / "there" / "real.h5")
    with Store.create(tmp_path / "out.h5", layout(), IDENTITY) as store:
        write(store, store.missing())
        store.merge(GROUPS, ROOT)
    assert (tmp_path / "out.h5").is_symlink()
    same(tmp_path / "there" / "real.h5")


# ---------------------------------------------------------------- a full disk
@contextmanager
def room(most: int) -> Iterator[None]:
    """No file may grow larger [bytes]."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def large() -> tuple[PartLayout, list[dict[str, np.ndarray]]]:
    rng = np.random.default_rng(7)
    series = {"v": Variable(("time",)), "w": Variable(("time",)), "x": Variable()}
    made = PartLayout({"subject": 1500}, series, 250, {"time": 100})
    return made, [{name: rng.normal(size=made.shape_in(p, name)) for name in series} for p in range(made.parts)]


def test_full_disk(tmp_path: Path) -> None:
    path, (made, arrays) = tmp_path / "out.h5", large()
    with Store.create(path, made, IDENTITY) as store:
        for part in store.missing()[1:]:
            store.write(part, arrays[part])
        with room(200_000), pytest.raises(InputError, match=r"cannot be written \(.*finished parts are kept.*--resume"):
            store.write(0, arrays[0])
        assert store.missing() == [0]
        store.write(0, arrays[0])
        names = sorted(left.name for left in parts.folder_of(path).iterdir())
        size = sum(left.stat().st_size for left in parts.folder_of(path).iterdir())
        still = h5py.h5f.get_obj_count()
        for most in np.random.default_rng(3).integers(1000, 0.9 * size, 8).tolist():
            with (
                room(most),
                pytest.raises(InputError, match=r"out.h5: .*cannot be written \(.*finished parts are kept"),
            ):
                store.merge(GROUPS, ROOT)
            assert sorted(left.name for left in parts.folder_of(path).iterdir()) == names
            assert h5py.h5f.get_obj_count() == still  # HDF5 holds nothing open
        assert not path.exists()
        store.merge(GROUPS, ROOT)
    merged = np.concatenate([part["v"] for part in arrays])
    assert np.array_equal(result_file.open(path)["sweep"]["v"], merged)


def test_an_interrupted_merge_leaves_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, (made, arrays) = tmp_path / "out.h5", large()
    with Store.create(path, made, IDENTITY) as store:
        for part in store.missing():
            store.write(part, arrays[part])
        calls = iter(range(10))

        def interrupt(fd: int) -> None:
            if next(calls) == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.merge(GROUPS, ROOT)
        assert not path.exists() and not list(parts.folder_of(path).glob(".*"))
        store.merge(GROUPS, ROOT)
    assert path.exists()


def test_memory_of_a_merge_is_that_of_a_part(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    made = PartLayout({"arm": 2, "subject": 500_000}, {"v": Variable(), "w": Variable()}, 20_000)
    with Store.create(path, made, IDENTITY) as store:
        for part in store.missing():
            store.write(part, {name: np.full(made.shape_in(part, name), part, float) for name in "vw"})
        tracemalloc.start()
        store.merge({}, ROOT)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 2_000_000  # one variable has 8 MB
    with h5py.File(path) as file:
        assert np.array_equal(file["sweep/w"][1, :20_000], np.full(20_000, 25.0))
