"""`nanomg feasibility`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.errors import SimulationError
from nanomg.formatting import format_number, percent


def feasibility(
    scenario: options.ScenarioName,
    draws: Annotated[int, typer.Option(min=1, help="Number of draws over the cards' ranges.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    horizon: Annotated[str | None, typer.Option(metavar="TIME", help='Stop earlier: --horizon "7 d".')] = None,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.EventDoses = None,
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Show how far tumour Mg rises over the ranges of all cards."""
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
            output=output,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
        )
    show_feasibility(run.summary, json)
    if run.summary["feasibility"]["failed"] == draws:
        raise typer.Exit(SimulationError.exit_code)


def show_feasibility(summary: Mapping[str, Any], json: bool) -> None:
    """The summary of a prior-predictive run, as tables or as the JSON object."""
    if json:
        render.emit_json(summary)
        return
    found = summary["feasibility"]
    render.paragraph(summary["verdict"], style="bold")
    render.paragraph(
        f"{summary['scenario']}: {found['draws']} draws of {found['sampled']} parameters, seed {found['seed']}, "
        f"{format_number(found['horizon_h'] / 24)} d; {found['failed']} failed; "
        f"{percent(found['share_rejected'])} of the candidates were not physical and were drawn again"
    )
    columns = ("", "5 %", "50 %", "95 %")
    rises = [(name, *_three(entry["rise"])) for name, entry in found["quantities"].items()]
    render.section("Rise of free Mg against the same treatment without Mg [mmol/L]", columns, "lrrr", rises)
    for label in found["targets"]:
        headers = (*columns, "draws that reach it")
        rows = list(_against(found["quantities"], label))
        render.section(f"How many times each falls short of +{label} mmol/L (– nothing rises)", headers, "lrrrr", rows)
    render.paragraph("")
    render.paragraph("peak: highest value; day: highest mean over 24 h; mean: over the whole horizon")
    render.paragraph(
        "local: the total less what serum explains, which is the rise of serum ionised Mg times the Donnan ratio"
    )
    render.files({"Result file": summary["output"]})


def _three(percentiles: Mapping[str, float | None]) -> Sequence[str]:
    return [format_number(percentiles[q], 3) for q in ("5", "50", "95")]


def _against(quantities: Mapping[str, Any], label: str) -> Iterator[Sequence[str]]:
    for name, entry in quantities.items():
        target = entry["targets"][label]
        share = target["share"]
        yield name, *_three(target["shortfall"]), f"{format_number(100 * share, 3)} %"
