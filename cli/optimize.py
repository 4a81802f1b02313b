"""`nanomg optimize`."""

from __future__ import annotations

from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import OUTPUT, Example
from nanomg.errors import InfeasibleError, InputError, SimulationError

EXAMPLES = (
    Example(
        "nanomg optimize mouse-mc38-depot -o best.h5",
        "find the best regimen, and keep it",
    ),
    Example(
        "nanomg optimize mouse-mc38-depot -o best.h5 --resume",
        "continue after an interruption",
    ),
    Example(
        "nanomg optimize human-nsclc-iv-mgso4 --steps 24",
        "a short search",
    ),
)


def optimize(
    scenario: options.ScenarioName,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Maximum number of steps  [default: 96]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the starts.")] = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", rich_help_panel=OUTPUT, help="Continue from the checkpoint of an interrupted run."),
    ] = False,
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
    """Find the best amounts and times of doses within the limits."""
    overrides = options.parse_assignments(assignments)
    if resume and output is None:
        raise InputError("the checkpoint is next to the output file; name that file with -o", "--resume")
    from nanomg import models
    from nanomg.jobs.optimize import run as optimize_run

    try:
        with render.progress() as progress:
            run = optimize_run.optimize(
                scenario,
                steps=steps,
                seed=seed,
                set=overrides,
                dose=tuple(doses or ()),
                events=events,
                id=subject_id,
                sort=sort,
                ignore=ignore,
                output=output,
                engine=engine,
                force=force,
                resume=resume,
                library=models.library(*library or ()),
                command=options.command_line(),
                progress=progress,
            )
    except KeyboardInterrupt:
        hint = "" if output is None else "; the same command with --resume continues from here"
        raise options.Interrupted(f"interrupted{hint}") from None
    blocks.show_result("optimize", run.summary, json)
    if run.summary["status"]["failed"]:
        raise typer.Exit(SimulationError.exit_code)
    if not run.summary["feasible"]:
        raise typer.Exit(InfeasibleError.exit_code)
