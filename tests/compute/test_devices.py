"""How many lanes are solved at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nanomg.compute.devices import Choice, block_of


def choice(count: int, platform: str = "cpu", memory: float = 80e9) -> Choice:
    device = SimpleNamespace(platform=platform, memory_stats=lambda: {"bytes_limit": memory})
    return Choice((device,) * count, "")


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 8])
@pytest.mark.parametrize("trajectories", [1, 2, 9, 300, 64_000, 10**9])
def test_each_device_takes_a_power_of_two(platform: str, count: int, trajectories: int) -> None:
    block = block_of(choice(count, platform), 100_000, trajectories, 5e8)
    each, rest = divmod(block, count)
    assert not rest and each >= 8 and not each & (each - 1)
    assert block < max(2 * trajectories, 9 * count) * 2


@pytest.mark.parametrize(
    ("bytes_each", "memory", "block"), [(1e3, 5e8, 256), (1e6, 5e8, 64), (1e6, 5e7, 8), (1e9, 5e8, 8)]
)
def test_memory_bounds_the_block_of_a_core(bytes_each: float, memory: float, block: int) -> None:
    assert block_of(choice(1), int(bytes_each), 10**6, memory) == block


def test_memory_of_a_gpu_is_its_own() -> None:
    assert block_of(choice(1, "gpu", 8e9), 1_000_000, 10**6, 1.0) == 1024


def test_pieces_side_by_side() -> None:
    assert choice(1).side >= 1
    assert choice(2).side == choice(1, "gpu").side == choice(4, "gpu").side == 1
