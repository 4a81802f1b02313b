"""`nanomg report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import OUTPUT, Example

EXAMPLES = (
    Example(
        "nanomg report run.h5",
        "one page, as run.html",
    ),
    Example(
        "nanomg report run.h5 --pdf",
        "the same as PDF too",
    ),
)


def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=OUTPUT,
            metavar="FILE",
            help="The page (.html). Without it, FILE with that ending.",
        ),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also print it to a PDF file, with Chromium.")] = False,
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Write a one-page HTML report that starts with the answer."""
    from nanomg import models
    from nanomg.views import report as views_report

    with render.working("writing"):
        made = views_report.report(file, output, pdf=pdf, force=force, library=models.library(*library or ()))
    if json:
        render.emit_json(made)
        return
    render.paragraph(made["verdict"], style="bold")
    for what, key in (("Page", "page"), ("Print", "pdf")):
        if made[key]:
            render.paragraph(f"{what}: {made[key]}")
