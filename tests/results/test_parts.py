"""Parts of a sweep: boxes of consecutive numbers, and a folder of parts read as one dataset."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st
from small_sweep import GROUPS, IDENTITY, ROOT, TRAJECTORIES, begun, expected, layout, same, sweep, told, write

from nanomg.errors import InputError
from nanomg.results import file as result_file
from nanomg.results import parts
from nanomg.results.sweep_store import Store

SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@given(SHAPES, st.data())
def test_boxes_hold_each_number_once_and_in_order(shape: list[int], data: st.DataObject) -> None:
    total = math.prod(shape)
    start, stop = sorted(data.draw(st.tuples(st.integers(0, total), st.integers(0, total))))
    found = list(parts.boxes(shape, start, stop))
    grid = np.arange(total).reshape(shape)
    assert [n for box in found for n in grid[box].ravel()] == list(range(start, stop))
    assert len(found) <= 2 * len(shape) - 1


@given(SHAPES, st.integers(1, 8), st.lists(st.integers(1, 500), min_size=2, max_size=2))
def test_blocks_are_of_consecutive_numbers(shape: list[int], itemsize: int, most: list[int]) -> None:
    small, large = (parts.block_shape(shape, itemsize, bytes_) for bytes_ in sorted(most))
    grid = np.arange(math.prod(shape)).reshape(shape)
    first = grid[tuple(slice(0, size) for size in small)].ravel()
    assert first.tolist() == list(range(first.size))
    assert first.size * itemsize <= max(min(most), itemsize)
    assert all(a <= b and (b % a == 0 or b == size) for a, b, size in zip(small, large, shape, strict=True))


@pytest.fixture
def always_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_file, "_LAZY_FROM", 0)
    monkeypatch.setattr(result_file, "_LAZY_VARIABLE", 0)


def finished(path: Path) -> Path:
    with Store.create(path, layout(), IDENTITY) as store:
        write(store, store.missing())
        return store.finish(GROUPS, ROOT)


def test_left_as_parts(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    folder = finished(path)
    same(folder)
    tree = result_file.open(folder)
    assert tree["sweep"]["auc"].chunks is None  # small: in memory
    assert tree.attrs == ROOT
    assert result_file.read_attributes(folder)["title"] == "t"
    assert result_file.read_summary(folder) == {"a": 1}
    xarray.testing.assert_identical(tree["doses"].to_dataset(), GROUPS["doses"])
    with pytest.raises(InputError, match=r"no such file; the parts .*out.h5.parts"):
        result_file.open(path)
    assert "finished sweep are there" in told(path)
    with Store.create(path, layout(), IDENTITY, resume=True) as store:
        assert store.complete and store.at == folder
        store.merge(GROUPS, ROOT)
    same(path)


@pytest.mark.usefixtures("always_lazy")
@pytest.mark.parametrize("read_at_once", [16, 200, 10**6])
def test_a_large_folder_is_read_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_at_once: int) -> None:
    monkeypatch.setattr(parts, "READ_AT_ONCE", read_at_once)
    found, known = sweep(finished(tmp_path / "out.h5")), expected()
    assert found["tumour.volume"].chunks is not None
    xarray.testing.assert_identical(found.load(), known)
    found = sweep(tmp_path / "out.h5.parts")
    for index in (
        {"subject": 3},
        {"subject": [5, 2, 9], "time": -1},
        {"arm": 1, "time": slice(None, None, 2)},
        {"subject": 4, "arm": [0]},
    ):
        xarray.testing.assert_identical(found.isel(index).load(), known.isel(index))
    xarray.testing.assert_allclose(found["auc"].mean("subject"), known["auc"].mean("subject"))


def test_an_unfinished_folder_opens(tmp_path: Path) -> None:
    found, known = sweep(begun(tmp_path / "out.h5", 0, 3)), expected()
    done = np.isin(np.arange(TRAJECTORIES) // 7, [0, 3]).reshape(2, 3, 11)
    xarray.testing.assert_equal(found["auc"], known["auc"].where(done))
    xarray.testing.assert_equal(found["tumour.volume"], known["tumour.volume"].where(done[..., None]))
    status = found["status"]
    assert status.dtype == status.attrs["flag_values"].dtype == np.int8
    assert status.attrs["flag_meanings"].split()[2] == parts.NOT_COMPUTED
    assert np.array_equal(status == 2, ~done)
    assert np.array_equal(status.values[done], known["status"].values[done])
    assert found.coords.identical(known.coords)


def test_a_damaged_part_is_not_shown(tmp_path: Path) -> None:
    folder = finished(tmp_path / "out.h5")
    (folder / "part-000002.h5").write_bytes(b"")
    with pytest.raises(InputError, match=r"part-000002.h5: this part is damaged; --resume"):
        result_file.open(folder)


@pytest.mark.usefixtures("always_lazy")
def test_a_large_file_is_read_when_needed(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    with Store.create(path, layout(), IDENTITY) as store:
        write(store, store.missing())
        store.merge({**GROUPS, "names": xarray.Dataset({"name": ("n", ["a", "µ"])})}, ROOT)
    tree = result_file.open(path)
    assert tree["sweep"]["tumour.volume"].chunks is not None
    assert float(tree["sweep"]["auc"].sum()) == pytest.approx(float(expected()["auc"].sum()))
    tree.close()
    with h5py.File(path, "r+"):  # HDF5 refuses this while the file is open for reading
        pass


@pytest.mark.parametrize(
    ("manifest", "word"), [("{", "cannot be read"), ('{"format": 99}', "format 99"), ("[]", "cannot be read")]
)
def test_a_manifest_that_cannot_be_used(tmp_path: Path, manifest: str, word: str) -> None:
    folder = begun(tmp_path / "out.h5", 0)
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=word):
        result_file.open(folder)
    assert word in told(tmp_path / "out.h5", resume=True)
