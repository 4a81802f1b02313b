"""The JSON schema of what each job is asked with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nanomg import jobs
from nanomg.schema import schema_of


def schemas(names: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON schemas of the requests of these jobs, or of all, by job.

    Raises `InputError` for a job that does not exist.
    """
    return {name: {"request": schema_of(jobs.job(name).request.Request)} for name in names or jobs.table()}
