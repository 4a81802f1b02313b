"""`nanomg calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import OUTPUT, Example

EXAMPLES = (
    Example(
        "nanomg calibrate --data b16f10 --raw my-data -o fit.h5",
        "fit the card that a study names",
    ),
    Example(
        'nanomg calibrate textbook --data oral.csv --scenario textbook-1cpt --fit "pk.CL=1..10 L/h" --card-out fitted.toml',
        "fit one parameter to a table, and write a card with its value",
    ),
)


def calibrate(
    data: Annotated[
        str,
        typer.Option(
            metavar="STUDY", help="Name of a study, or path of its TOML file, or of a table (.csv, .xlsx, ...)."
        ),
    ],
    card: Annotated[
        str | None,
        typer.Argument(metavar="CARD", help="Name of a card, or path of a TOML file  [default: the study's card]"),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of the study's data  [default: $NANOMG_DATA, or the study's folder]"
        ),
    ] = None,
    scenario: Annotated[
        str, typer.Option(metavar="SCENARIO", help="Scenario of a table that has no column 'run'.")
    ] = "",
    fit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW..HIGH", help='Parameter to fit, with bounds: --fit pk.CL="1..10 L/h". Repeatable.'
        ),
    ] = None,
    starts: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of starts  [default: the study's]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the starts.")] = 0,
    output: options.Output = None,
    card_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=OUTPUT, help="Write the card with the fitted values here (TOML)."),
    ] = None,
    engine: options.Engine = "auto",
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Fit parameters of a card to measured data."""
    from nanomg import models
    from nanomg.jobs.calibrate import run as calibrate_run

    with render.progress() as progress:
        run = calibrate_run.calibrate(
            card,
            data,
            raw=raw,
            scenario=scenario,
            fit=tuple(fit or ()),
            starts=starts,
            seed=seed,
            output=output,
            card_out=card_out,
            engine=engine,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
            progress=progress,
        )
    blocks.show_result("calibrate", run.summary, json)
