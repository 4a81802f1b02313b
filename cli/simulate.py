"""`nanomg simulate`."""

from __future__ import annotations

import typer

from nanomg.cli import blocks, options, render
from nanomg.errors import SimulationError


def simulate(
    scenario: options.ScenarioName,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.Events = None,
    output: options.Output = None,
    records: options.Records = None,
    series: options.Series = None,
    precision: options.Precision = "float64",
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
            output=output,
            records=records,
            series=series,
            precision=precision,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
        )
    blocks.show_result("simulate", run.summary, json)
    if run.summary["status"]["failed"]:
        raise typer.Exit(SimulationError.exit_code)
