"""Where a sweep is computed: on the CPU or on every GPU of this machine, and how many lanes that takes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from nanomg.errors import InputError, unknown

ASKED = ("auto", "cpu", "gpu")

_CPU_BLOCK = 256  # what the caches of a core hold
_GPU_BLOCK = 1 << 17
_FILLS_A_GPU = 4096  # trajectories below which a GPU's threads would idle; assumed, see docs/performance.md
_GPU_SHARE = 0.25  # of a GPU's memory for the arrays of one block, since a program holds several of a size


class Choice(NamedTuple):
    """Devices of one platform, and why these."""

    devices: tuple[Any, ...]
    reason: str

    @property
    def platform(self) -> str:
        """`cpu` or `gpu`."""
        return "cpu" if self.devices[0].platform == "cpu" else "gpu"

    @property
    def text(self) -> str:
        """What and how many."""
        count = f"{len(self.devices)} x " if len(self.devices) > 1 else ""
        return f"{self.platform.upper()} ({count}{self.devices[0].device_kind})"


def choose(asked: str = "auto", trajectories: int = _FILLS_A_GPU) -> Choice:
    """The devices for so many trajectories. Raises `InputError` where a GPU is asked for and JAX finds none."""
    if asked not in ASKED:
        raise unknown("device", asked, ASKED, "--device")
    cpu, gpu = tuple(jax.local_devices(backend="cpu")), _gpus()
    if asked == "gpu":
        if not gpu:
            raise InputError(
                "JAX finds no GPU here; install nanomg[cuda] on a machine that has one, or use the CPU", "--device"
            )
        return Choice(gpu, "asked for")
    if asked == "cpu":
        return Choice(cpu, "asked for")
    if not gpu:
        return Choice(cpu, "JAX finds no GPU")
    if trajectories < _FILLS_A_GPU:
        return Choice(cpu, f"{trajectories:,} trajectories do not fill a GPU")
    return Choice(gpu, f"{trajectories:,} trajectories fill a GPU")


def _gpus() -> tuple[Any, ...]:
    if jax.default_backend() == "cpu":
        return ()
    return tuple(jax.local_devices())


@contextlib.contextmanager
def using(choice: Choice) -> Iterator[None]:
    """Compute on the choice where JAX would take other devices by itself."""
    if choice.platform == ("cpu" if jax.default_backend() == "cpu" else "gpu"):
        yield
        return
    with jax.default_device(choice.devices[0]):
        yield


def block_of(choice: Choice, bytes_each: int, trajectories: int) -> int:
    """Lanes of one block: what a core's caches or a GPU's memory hold, no more than needed, and a power of two for each device."""
    most = _CPU_BLOCK
    if choice.platform == "gpu":
        memory = (choice.devices[0].memory_stats() or {}).get("bytes_limit", 1 << 32)
        most = min(_GPU_BLOCK, 1 << int(np.log2(max(_GPU_SHARE * memory / bytes_each, 1))))
    needed = max(8, 1 << max(trajectories - 1, 1).bit_length())
    return min(most * len(choice.devices), needed if len(choice.devices) == 1 else max(needed, 8 * len(choice.devices)))
