"""A result file with its summary checked and brought up to date, for every view that reads one."""

from __future__ import annotations

import dataclasses

import xarray as xr

from nanomg import jobs
from nanomg.errors import InputError
from nanomg.jobs.summary import JobSummary, checked_summary
from nanomg.library.library import Library
from nanomg.page.result import ResultReader


def checked_result(tree: xr.DataTree, library: Library | None = None, where: str = "this result") -> ResultReader:
    """A reader of a result, called `where` in messages, whose summary has every field of its job, of whatever version it is.

    A summary that is broken is left out, and `broken` names the field that is wrong.
    """
    result, job = ResultReader(tree, library, where=where), jobs.maker(tree)
    if job is None or not result.summary:
        return result
    try:
        summary = checked_summary(job, result.summary, where)
    except InputError as error:
        return dataclasses.replace(result, broken=error.message)
    return dataclasses.replace(result, checked=summary.to_json() if isinstance(summary, JobSummary) else summary)
