"""The JSON schema of what each job is asked with and of what it says of its result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nanomg import jobs
from nanomg.jobs import Job
from nanomg.schema import schema_of


def schemas(names: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON schemas of requests and summaries of these jobs, or of all, by job; without that of a summary that is plain.

    Raises `InputError` for a job that does not exist.
    """
    return {name: _schemas(jobs.job(name)) for name in names or jobs.table()}


def _schemas(job: Job) -> dict[str, Any]:
    found = {"request": schema_of(job.request.Request)}
    return found if job.summary is None else found | {"summary": schema_of(job.summary.Summary)}
