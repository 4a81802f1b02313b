"""The group of a result file that holds how a search went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nanomg.results.kinds import BASELINE, OPTIMUM
from nanomg.results.limits import size_of

if TYPE_CHECKING:
    from nanomg.jobs.optimize import search


def optimization(outcome: search.Outcome, constraints: list[dict[str, Any]]) -> xr.Dataset:
    """How a search went and what limits hold it back."""
    steps, starts = outcome.history.shape[:2]
    columns = ("objective", "excess", "kkt_residual")
    about = ("objective", "largest excess over a limit, relative", "KKT residual in scaled variables")
    history = {
        c: (("step", "start"), outcome.history[:, :, i], {"units": "1", "long_name": a})
        for i, (c, a) in enumerate(zip(columns, about, strict=True))
    }
    limits = {
        key: (("constraint",), np.array([c[key] for c in constraints], float), {"long_name": key, "units": "1"})
        for key in ("limit", "value", "slack")
    }
    sizes = np.array([size_of(c) for c in constraints], float)
    limits["size"] = (("constraint",), sizes, {"long_name": "what slack is relative to", "units": "1"})
    terms = np.array(list(outcome.terms.values())).reshape(-1, 2)
    return xr.Dataset(
        {
            **history,
            **limits,
            "constraint_unit": (
                ("constraint",),
                np.array([c["unit"] for c in constraints], object),
                {"long_name": "unit of limit, value and slack"},
            ),
            "final_objective": (
                ("start",),
                outcome.starts[:, 0],
                {"units": "1", "long_name": "objective at the end of each start"},
            ),
            "final_excess": (
                ("start",),
                outcome.starts[:, 1],
                {"units": "1", "long_name": "largest excess at the end of each start"},
            ),
            "term_value": (("term", "regimen"), terms, {"units": "1", "long_name": "weighted term of the objective"}),
        },
        {
            "step": np.arange(steps),
            "start": np.arange(starts),
            "constraint": [c["name"] for c in constraints],
            "term": list(outcome.terms),
            "regimen": [BASELINE, OPTIMUM],
        },
    )
