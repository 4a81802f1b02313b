"""`nanomg simulate`."""

from __future__ import annotations

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import Example
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
