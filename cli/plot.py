"""`nanomg plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import OUTPUT, Example

EXAMPLES = (
    Example(
        "nanomg plot run.h5",
        "the figure of the result, as run.png",
    ),
    Example(
        "nanomg plot run.h5 tumour.volume interstitium.C -o figure.pdf",
        "two signals, as PDF",
    ),
)


def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file, or a folder of parts of a sweep.")],
    signals: Annotated[
        list[str] | None, typer.Argument(metavar="[SIGNAL]...", help="Signals to draw  [default: the main ones]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=OUTPUT,
            metavar="FILE",
            help="A .png, .svg or .pdf file  [default: a .png next to the result file]",
        ),
    ] = None,
    log: Annotated[
        bool | None,
        typer.Option("--log/--linear", help="Logarithmic or linear axes  [default: by the span of each quantity]"),
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="arm|hypothesis", help="Arms in one panel, or the hypotheses side by side.")
    ] = "arm",
    all: Annotated[bool, typer.Option("--all", help="All figures of the file, one below the other.")] = False,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Draw the figure of a result file."""
    from nanomg import files
    from nanomg.drawing import style
    from nanomg.results import file as result_file
    from nanomg.results.doubt import interpreting
    from nanomg.views import plots

    target = files.check_output(output or file.with_suffix(".png"), force)
    style.format_of(target)
    with render.working("drawing"), interpreting(file):
        tree = result_file.open(file)
        style.save(plots.plot(tree, signals or (), log=log, by=by, everything=all), target)
    if json:
        render.emit_json({"figure": str(target)})
    else:
        render.paragraph(f"Figure: {target}")
