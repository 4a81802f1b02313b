"""What a report says of a result, as text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nanomg.models import library as read_library
from nanomg.page.blocks import Cell
from nanomg.page.result import ResultReader
from nanomg.results.file import SCHEMA_VERSION
from nanomg.views import cautions

SHIPPED = read_library()


MAKERS = {  # of a summary, by what it alone has
    "misses": "validate",
    "identifiability": "calibrate",
    "elasticities": "sensitivity",
    "feasibility": "feasibility",
    "sweep": "sweep",
    "objective": "optimize",
    "signals": "simulate",
}


def facts_of(config: dict[str, Any], summary: dict[str, Any], **groups: xr.Dataset) -> ResultReader:
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs.update(
        config_json=json.dumps(config), summary_json=json.dumps(summary), nanomg_schema_version=SCHEMA_VERSION
    )
    if (maker := next((job for key, job in MAKERS.items() if key in summary), None)) is not None:
        tree.attrs["nanomg_job"] = maker
    return ResultReader(tree, SHIPPED)


def texts(found: Any) -> Iterator[str]:
    """Every text in blocks of a page."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, Cell):
        yield from (found.text, found.note, found.name)
    elif dataclasses.is_dataclass(found):
        yield from texts([getattr(found, field.name) for field in dataclasses.fields(found)])
    elif isinstance(found, Sequence) or hasattr(found, "__next__"):
        for inner in found:
            yield from texts(inner)


def said(found: Any) -> str:
    return " | ".join(filter(None, texts(found)))


def warned(facts: ResultReader) -> list[str]:
    return [caution.text for caution in cautions.cautions(facts) if not caution.well]


def courses(**values: Sequence[float] | Sequence[Sequence[float]]) -> xr.Dataset:
    """Courses of one regimen: by name the values over time, or those under each hypothesis."""
    rows = {name: np.atleast_2d(np.array(v, float)) for name, v in values.items()}
    wide, long = next(iter(rows.values())).shape
    units = {"safety.grade": "1"}
    variables = {
        k: (("regimen", "hypothesis", "time"), v[None], {"units": units.get(k, "mmol L-1"), "long_name": k})
        for k, v in rows.items()
    }
    hypotheses = [f"H{i + 1}" for i in range(wide)]
    return xr.Dataset(
        variables, {"regimen": ["as given"], "hypothesis": hypotheses, "time": np.arange(long, dtype=float)}
    )
