"""The JSON schema of what each job is asked with."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from nanomg.errors import unknown
from nanomg.results import kinds
from nanomg.schema import schema_of

JOBS = (
    kinds.SIMULATE,
    kinds.OPTIMIZE,
    kinds.SWEEP,
    kinds.SENSITIVITY,
    kinds.FEASIBILITY,
    kinds.VALIDATE,
    kinds.CALIBRATE,
)


def schemas(jobs: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON schemas of the requests of these jobs, or of all, by job.

    Raises `InputError` for a job that does not exist.
    """
    found = {}
    for job in jobs or JOBS:
        if job not in JOBS:
            raise unknown("job", job, JOBS, "schema")
        found[job] = {"request": schema_of(importlib.import_module(f"nanomg.jobs.{job}.request").Request)}
    return found
