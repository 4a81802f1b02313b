"""`nanomg feasibility`."""

from __future__ import annotations

from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import Example
from nanomg.errors import SimulationError

EXAMPLES = (
    Example(
        "nanomg feasibility human-nsclc-iv -o feasibility.h5",
        "a thousand samples of the parameters",
    ),
    Example(
        'nanomg feasibility mouse-mc38-depot --draws 200 --horizon "7 d"',
        "fewer samples, of the first week",
    ),
)


def feasibility(
    scenario: options.ScenarioName,
    draws: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of parameter sets sampled from the cards' ranges.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the samples.")] = 0,
    horizon: Annotated[str | None, typer.Option(metavar="TIME", help='Stop earlier: --horizon "7 d".')] = None,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.EventDoses = None,
    subject_id: options.SubjectId = None,
    sort: options.Sort = False,
    ignore: options.Ignore = "",
    output: options.Output = None,
    engine: options.Engine = "auto",
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Show how much tumour Mg can rise, given the uncertainty of all cards."""
    overrides = options.parse_assignments(assignments)
    from nanomg import models
    from nanomg.jobs.feasibility import run as feasibility_run

    with render.working("drawing"):
        run = feasibility_run.feasibility(
            scenario,
            draws=draws,
            seed=seed,
            horizon=horizon,
            set=overrides,
            dose=tuple(doses or ()),
            events=events,
            id=subject_id,
            sort=sort,
            ignore=ignore,
            output=output,
            engine=engine,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
        )
    blocks.show_result("feasibility", run.summary, json)
    if run.summary["feasibility"]["failed"] == draws:
        raise typer.Exit(SimulationError.exit_code)
