"""`nanomg sweep`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import COMPUTATION, OUTPUT, Example
from nanomg.errors import SimulationError
from nanomg.formatting import format_duration, format_number, size

_POINTS, _RESULTS = "What varies", "What is kept"

EXAMPLES = (
    Example(
        'nanomg sweep mouse-mc38-iv --vary "magnesium.GFR=5..20 mL/h:log:10"',
        "ten values of a parameter, on a logarithmic axis",
    ),
    Example(
        "nanomg sweep mouse-mc38-iv --subjects 1000 --population mouse-c57bl6 --keep tumour.volume:final -o subjects.h5",
        "a thousand mice, one number of each",
    ),
    Example(
        "nanomg sweep textbook-2cpt --events doses.csv --keep pk.C:max --keep pk.C:records -o table.h5",
        "each subject of an event table",
    ),
    Example(
        'nanomg sweep mouse-mc38-iv --vary "dose.liposome.iv.amount=0.1..4 mg:log:8" --subjects 100 --estimate',
        "how long it will take, and how large it will be",
    ),
)


def sweep(
    scenario: options.ScenarioName,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS",
            rich_help_panel=_POINTS,
            help='Axis: --vary "magnesium.GFR=5..20 mL/h:log:10" or "dose.amount=1,2 mg".',
        ),
    ] = None,
    subjects: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, rich_help_panel=_POINTS, help="Virtual subjects at each point; 0: the typical one."
        ),
    ] = 0,
    population: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_POINTS,
            help="Population of the subjects  [default: each parameter varies by its card]",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            rich_help_panel=_RESULTS,
            help='Read-out: "tumour.volume:max", :min, :mean, :auc, :final, :initial, :series, :records (of a table) '
            'or "time of max"; "interstitium.C.rise:max" is over the arm without Mg. Repeatable.',
        ),
    ] = None,
    sample: Annotated[
        str,
        typer.Option(metavar="grid|sobol|lhs", rich_help_panel=_POINTS, help="Points: a grid of the axes, or samples."),
    ] = "grid",
    points: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel=_POINTS, help="Number of samples, or of values of a range without one."
        ),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", rich_help_panel=_RESULTS, help="Also simulate each trajectory without its Mg.")
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, rich_help_panel=_POINTS, help="Seed of subjects and samples.")
    ] = 0,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", rich_help_panel=COMPUTATION, help="Estimate time, memory and disk space, then stop."
        ),
    ] = False,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.EventDoses = None,
    subject_id: options.SubjectId = None,
    sort: options.Sort = False,
    ignore: options.Ignore = "",
    precision: options.Precision = "float64",
    engine: options.Engine = "auto",
    rtol: Annotated[
        float, typer.Option(metavar="X", rich_help_panel=COMPUTATION, help="Relative tolerance of each step.")
    ] = 3e-5,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|gpu", rich_help_panel=COMPUTATION, help="Where to compute.")
    ] = "auto",
    memory: Annotated[
        str, typer.Option(metavar="SIZE", rich_help_panel=COMPUTATION, help="Memory limit per core.")
    ] = "500 MB",
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, rich_help_panel=COMPUTATION, help="Number of worker processes to start on this machine."
        ),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", rich_help_panel=COMPUTATION, help="Use the Dask cluster at tcp://…")
    ] = None,
    output: options.Output = None,
    parts: Annotated[
        bool, typer.Option("--parts", rich_help_panel=OUTPUT, help="Keep the parts instead of merging them.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=OUTPUT, help="Continue an interrupted sweep.")
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Simulate a scenario over ranges of values and virtual subjects."""
    overrides = options.parse_assignments(assignments)
    from nanomg import models
    from nanomg.jobs.sweep import prepared
    from nanomg.jobs.sweep import run as sweep_run
    from nanomg.jobs.sweep.request import SweepRequest

    with render.working("reading"):
        request = SweepRequest(
            scenario=scenario,
            vary=tuple(vary or ()),
            subjects=subjects,
            population=population,
            sample=sample,
            points=points,
            keep=tuple(keep or ()),
            paired=paired,
            seed=seed,
            set=overrides,
            dose=tuple(doses or ()),
            events=events,
            id=subject_id,
            sort=sort,
            ignore=ignore,
            precision=precision,
            engine=engine,
            rtol=rtol,
            device=device,
            memory=memory,
            parts=parts,
            resume=resume,
            workers=workers,
            scheduler=scheduler,
            output=output,
            force=force,
            library=tuple(map(str, library or ())),
        )
        todo = prepared.prepare(request, models.library(*library or ()))
    if estimate:
        with render.working("measuring"):
            found = sweep_run.estimate(todo, workers)
        render.emit_json(found) if json else _show_estimate(found)
        return
    try:
        with render.sweeping(todo.batch.total) as progress:
            run = sweep_run.run_prepared(todo, command=options.command_line(), progress=progress, read=False)
    except KeyboardInterrupt:
        hint = "" if output is None else "; finished parts are kept; the same command with --resume continues from here"
        raise options.Interrupted(f"interrupted{hint}") from None
    blocks.show_result("sweep", run.summary, json)
    if run.summary["failed"] == run.summary["trajectories"]:
        raise typer.Exit(SimulationError.exit_code)


def _show_estimate(found: Mapping[str, Any]) -> None:
    dims = " x ".join(f"{size:,} {name}" for name, size in found["dims"].items())
    rows = [
        ("trajectories", f"{found['trajectories']:,}", dims),
        ("result", size(found["bytes"]), "before compression"),
        (
            "time",
            format_duration(found["seconds"]),
            f"at {format_number(found['subjects_per_second'], 3)} a second, measured just now",
        ),
        (
            "parts",
            f"{found['parts']:,}",
            f"of {found['trajectories_of_a_part']:,}, {found['side_by_side']} side by side",
        ),
        ("device", found["device"], found["device_reason"]),
    ]
    render.table(("", "", ""), "lrl", rows)
