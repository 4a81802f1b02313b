"""How a result is drawn."""

from __future__ import annotations

from typing import Any

import xarray as xr

from nanomg.drawing.asked import Asked
from nanomg.drawing.style import Picture


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """The depth over time."""
    depth = tree["fall"].to_dataset().depth

    def draw(part: Any) -> None:
        axis = part.subplots()
        axis.plot(depth.time.values, depth.values)
        axis.set(xlabel="time [s]", ylabel="depth [m]")

    return [Picture("How deep the body falls", 3.0, draw)]
