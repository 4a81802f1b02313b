"""Where a sweep is computed: on the CPU or on every GPU of this machine, and how many lanes that takes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from nanomg import extras
from nanomg.compute import process
from nanomg.errors import InputError, unknown

ASKED = ("auto", "cpu", "gpu")
ON_CPU, ON_GPU = 256, 1 << 17  # lanes of a block at most: what a core's caches hold, what fills a GPU
INDEPENDENT = 4096  # lanes of a block on a CPU, where none waits for another

_FILLS_A_GPU = 4096  # trajectories below which a GPU's threads would idle; assumed, see docs/performance.md
_SHARE = 0.25  # of a core's or GPU's memory for the arrays of one block, since a program holds several of a size
_LEAST = 8  # lanes of a block for each device


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
        """Kind and number of the devices."""
        count = f"{len(self.devices)} x " if len(self.devices) > 1 else ""
        return f"{self.platform.upper()} ({count}{self.devices[0].device_kind})"

    @property
    def side(self) -> int:
        """Pieces of work that are solved side by side: one on each core of a CPU, one on all GPUs together."""
        return process.cores() if self.platform == "cpu" and len(self.devices) == 1 else 1


def choose(asked: str = "auto", trajectories: int = _FILLS_A_GPU) -> Choice:
    """The devices for so many trajectories. Raises `InputError` if a GPU is requested and JAX finds none."""
    if asked not in ASKED:
        raise unknown("device", asked, ASKED, "--device")
    cpu, gpu = tuple(jax.local_devices(backend="cpu")), _gpus()
    if asked == "gpu":
        if not gpu:
            raise InputError(
                f"JAX finds no GPU here; on a machine that has one, {extras.advice('cuda')}; or use the CPU", "--device"
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


def block_of(choice: Choice, bytes_each: int, trajectories: int, memory: float, most: int = ON_CPU) -> int:
    """Lanes of one block: `most` on a CPU, and what `memory` [bytes] of a core or a GPU's memory hold, no more than needed.

    It is a power of two for each device, the same for all of them.
    """
    if choice.platform == "gpu":
        most, memory = ON_GPU, (choice.devices[0].memory_stats() or {}).get("bytes_limit", 1 << 32)
    held = 1 << int(np.log2(max(_SHARE * memory / bytes_each, 1)))
    needed = 1 << (-(-trajectories // len(choice.devices)) - 1).bit_length()
    return max(_LEAST, min(most, held, needed)) * len(choice.devices)
