"""`nanomg validate`."""

from __future__ import annotations

from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import Example

EXAMPLES = (
    Example(
        "nanomg validate",
        "every published value",
    ),
    Example(
        "nanomg validate magnesium-iv -o check.h5",
        "one domain, and keep the result",
    ),
)


def validate(
    domains: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DOMAIN]...", help="Names of tables of observations, or paths of TOML files."),
    ] = None,
    output: options.Output = None,
    engine: options.Engine = "auto",
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Compare the model with published data."""
    from nanomg import models
    from nanomg.jobs.validate import run as validate_run

    with render.working("validating"):
        run = validate_run.validate(
            domains or (),
            output=output,
            engine=engine,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
        )
    blocks.show_result("validate", run.summary, json)
