"""The job itself: a request becomes groups and a summary."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nanomg.files import check_output
from nanomg.library.library import Library
from nanomg.results.run import Run, finish

from .request import FallRequest

G = 9.81  # m/s2


def run(request: FallRequest, *, library: Library | None = None, command: str = "") -> Run:
    """How far the body has fallen at each time."""
    path = check_output(request.output, request.force) if request.output is not None else None
    times = np.linspace(0.0, request.seconds, request.points)
    depth = xr.DataArray(G * times**2 / 2, dims="time", attrs={"units": "m", "long_name": "depth"})
    summary = {"seconds": request.seconds, "depth": float(depth[-1]), "output": str(path) if path else None}
    return finish(
        {"fall": xr.Dataset({"depth": depth}, {"time": ("time", times, {"units": "s"})})},
        summary,
        path,
        job="fall",
        title="A fall",
        config={"request": request.recorded()},
        seed=0,
        model=(),
        command=command,
    )
