"""`nanomg summary`: the result of a file, as the command that made it showed it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import blocks, options


def summary(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file.")],
    top: Annotated[int | None, typer.Option(min=1, help="Rows of each table to show.")] = None,
    json: options.Json = False,
) -> None:
    """Show the result of a run again, from its file."""
    from nanomg import jobs
    from nanomg.page.result import SummaryAlone
    from nanomg.results import file as result_file

    found = result_file.read_summary(file) | {"output": str(file)}
    groups = dict.fromkeys(result_file.read_groups(file))
    job = jobs.job_of(SummaryAlone(result_file.read_attributes(file), groups))
    blocks.show_result(job.name, found, json, top)
