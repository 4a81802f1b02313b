"""`nanomg simulate`."""

from __future__ import annotations

from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import OUTPUT, Example
from nanomg.errors import SimulationError

EXAMPLES = (
    Example(
        "nanomg simulate mouse-mc38-iv",
        "simulate a mouse",
    ),
    Example(
        'nanomg simulate mouse-mc38-iv -o run.h5 --set tumour.viable_0="20 Mcell"',
        "another size of the tumour; keep the result",
    ),
    Example(
        'nanomg simulate human-nsclc-iv-mgso4 --dose "magnesium.iv: 4 g over 20 min then 1 g/h for 12 h" '
        '--dose "pd1.iv: 200 mg over 30 min q 3 wk x 4"',
        "doses of your own",
    ),
    Example(
        "nanomg simulate textbook-2cpt --events doses.csv --records observed.csv",
        "doses and subjects from a table",
    ),
)


def simulate(
    scenario: options.ScenarioName,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.Events = None,
    sort: options.Sort = False,
    ignore: options.Ignore = "",
    output: options.Output = None,
    records: options.Records = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add",
            rich_help_panel=OUTPUT,
            metavar="TAD|OCC",
            help="Add to the records: TAD, time after dose [h]; OCC, the number of dosing times so far. Repeatable.",
        ),
    ] = None,
    error: Annotated[
        list[str] | None,
        typer.Option(
            "--error",
            rich_help_panel=OUTPUT,
            metavar='"OUTPUT: TEXT"',
            help='Add an output with residual error to the records: --error "pk.C: 15 % + 0.1 mg/L", or "pk.C: log 15 %". '
            "Repeatable.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", rich_help_panel=OUTPUT, metavar="N", min=0, help="Seed of the residual errors.")
    ] = 0,
    series: options.Series = None,
    precision: options.Precision = "float64",
    engine: options.Engine = "auto",
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Simulate a scenario, with two control arms: no Mg, and the same Mg unencapsulated."""
    overrides = options.parse_assignments(assignments)
    from nanomg import models
    from nanomg.jobs.simulate import run as simulate_run

    with render.working("simulating"):
        run = simulate_run.simulate(
            scenario,
            set=overrides,
            dose=tuple(doses or ()),
            events=events,
            sort=sort,
            ignore=ignore,
            output=output,
            records=records,
            add=tuple(add or ()),
            error=tuple(error or ()),
            seed=seed,
            series=series,
            precision=precision,
            engine=engine,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
        )
    blocks.show_result("simulate", run.summary, json)
    if run.summary["status"]["failed"]:
        raise typer.Exit(SimulationError.exit_code)
