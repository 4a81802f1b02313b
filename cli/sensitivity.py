"""`nanomg sensitivity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import Example

_SHOWN = 20

EXAMPLES = (
    Example(
        "nanomg sensitivity mouse-mc38-iv --of interstitium.C:mean",
        "what mean tumour Mg depends on",
    ),
    Example(
        "nanomg sensitivity mouse-mc38-iv --sobol 256 -o sensitivity.h5",
        "shares of the variance as well",
    ),
)


def sensitivity(
    scenario: options.ScenarioName,
    of: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:STATISTIC]",
            help="Output: --of tumour.volume:final; or initial, max, min, mean, auc. Repeatable. The scenario's first if left out.",
        ),
    ] = None,
    over: Annotated[
        str, typer.Option(metavar="card|cv", help="Ranges: uncertainty of the cards, or between-subject variability.")
    ] = "card",
    sobol: Annotated[
        int | None, typer.Option(metavar="N", help="Also Sobol indices, from N base samples, a power of 2.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            metavar="NAME",
            help="Parameter of the Sobol indices. Repeatable  [default: the ten with the largest effect]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the samples.")] = 0,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Rows to show; --json and the file have all.")] = _SHOWN,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.EventDoses = None,
    subject_id: options.SubjectId = None,
    sort: options.Sort = False,
    ignore: options.Ignore = "",
    output: options.Output = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a tornado diagram into this PNG file.")
    ] = None,
    engine: options.Engine = "auto",
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Show which parameters and doses an output depends on."""
    overrides = options.parse_assignments(assignments)
    from nanomg import models
    from nanomg.jobs.sensitivity import run as sensitivity_run

    with render.progress() as progress:
        run = sensitivity_run.sensitivity(
            scenario,
            of=tuple(of or ()),
            over=over,
            samples=sobol,
            parameters=tuple(parameters or ()),
            seed=seed,
            set=overrides,
            dose=tuple(doses or ()),
            events=events,
            id=subject_id,
            sort=sort,
            ignore=ignore,
            output=output,
            figure=figure,
            engine=engine,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
            progress=progress,
        )
    blocks.show_result("sensitivity", run.summary, json, top)
