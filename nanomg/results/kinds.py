"""What made a result file: the one place that tells the kinds of results apart, by what a file or a summary holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nanomg.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

SIMULATE, OPTIMIZE, SWEEP, VALIDATE = "simulate", "optimize", "sweep", "validate"
CALIBRATE, FEASIBILITY, SENSITIVITY = "calibrate", "feasibility", "sensitivity"

# the first group that is there tells; a simulation is in the file of an optimisation, too
_GROUPS = {
    "optimization": OPTIMIZE,
    "sweep": SWEEP,
    "feasibility": FEASIBILITY,
    "calibration": CALIBRATE,
    "sensitivity": SENSITIVITY,
    "rows": VALIDATE,
    "simulation": SIMULATE,
    "records": SIMULATE,
}
_KEYS = {
    "misses": VALIDATE,
    "identifiability": CALIBRATE,
    "elasticities": SENSITIVITY,
    "feasibility": FEASIBILITY,
    "sweep": SWEEP,
    "objective": OPTIMIZE,
    "signals": SIMULATE,
}


def kind_of(found: xr.DataTree | Mapping[str, Any]) -> str:
    """The job that made a result file (an open tree) or a summary (a mapping), by the name of its command.

    Raises `InputError` for one that no job of nanomg has made.
    """
    children = getattr(found, "children", None)
    tree, there = children is not None, found if children is None else children
    for name, kind in (_GROUPS if tree else _KEYS).items():
        if name in there:
            return kind
    what = f"the {'file' if tree else 'summary'} holds {', '.join(map(str, there)) or 'nothing'}"
    raise InputError(f"{what}, and none of that is the result of a job of nanomg")


BASELINE, OPTIMUM = "baseline", "optimum"
