"""`nanomg summary`: the result of a file, as the command that made it showed it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import blocks, options
from nanomg.cli.help_pages import Example

EXAMPLES = (
    Example(
        "nanomg summary run.h5",
        "the results again",
    ),
    Example(
        "nanomg summary run.h5 --json",
        "the same as one JSON object",
    ),
)


def summary(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file.")],
    top: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rows of each table to show.")] = None,
    json: options.Json = False,
) -> None:
    """Show the result of a run again, from its file."""
    from nanomg.jobs.summary import job_and_summary
    from nanomg.results.doubt import interpreting

    with interpreting(file):
        job, found = job_and_summary(file)
        blocks.show_result(job.name, found, json, top)
