"""`nanomg schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from nanomg.cli import render
from nanomg.cli.help_pages import Example

EXAMPLES = (Example("nanomg schema sweep", "what a sweep may be asked"),)


def schema(
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]...", help="Names of jobs; all if left out.")
    ] = None,
) -> None:
    """Print the JSON schemas of requests and summaries of jobs."""
    from nanomg.views.schema import schemas

    render.emit_json(schemas(jobs or ()))
