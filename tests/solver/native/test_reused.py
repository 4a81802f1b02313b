"""Memory of results that is used again."""

from __future__ import annotations

import gc
from collections import deque

import numpy as np
import pytest

from nanomg.solver.native import reused

SHAPE = (1024, 64, 4)  # 2 MiB


@pytest.fixture(autouse=True)
def _nothing_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reused, "_idle", deque(maxlen=2))


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_no_view_is_left() -> None:
    first = reused.empty(SHAPE, np.float64)
    place, view = address(first), first.transpose(1, 2, 0)[3, 1]
    view[:] = 7.0
    del first
    gc.collect()
    second = reused.empty(SHAPE, np.float64)
    assert address(second) != place
    second[:] = 1.0
    assert (view == 7.0).all()
    del view
    gc.collect()
    assert address(reused.empty((1000, 64, 4), np.float64)) == place


def test_much_larger_memory_is_not_taken_for_a_small_array() -> None:
    place = address(reused.empty(SHAPE, np.float64))
    assert address(reused.empty((*SHAPE[:1], 16, 8), np.float32)) != place


def test_no_more_lies_idle_than_is_allowed() -> None:
    arrays = [reused.empty(SHAPE, np.float64) for _ in range(5)]
    del arrays
    gc.collect()
    assert len(reused._idle) == 2


def test_small_and_huge_arrays_are_plain_ones() -> None:
    assert reused.empty((4, 4), np.float64).base is None
    assert reused.empty((1 << 27,), np.uint8).base is None
