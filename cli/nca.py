"""`nanomg nca`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import blocks, options, render
from nanomg.cli.help_pages import OUTPUT, Example

_DOSE, _RULES, _TABLE = "Dose", "Rules", "Table"
_ALL = 1000  # rows of a table: every parameter and partial area

EXAMPLES = (
    Example(
        'nanomg nca plasma.csv --unit mg/L --dose "320 mg"',
        "measured concentrations, columns ID, TIME and DV or CONC",
    ),
    Example(
        'nanomg nca plasma.csv --unit ng/mL --dose-unit mg --route "iv bolus" --include-cmax -o parameters.csv',
        "doses in the column AMT, the terminal slope as WinNonlin has it",
    ),
    Example(
        'nanomg nca run.h5 pk.C --since "96 h" --tau "24 h" --interval "0..12 h"',
        "a simulated dosing interval at steady state, with a partial area",
    ),
)


def nca(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A table of concentrations (.csv, .xlsx, ...), or a result file.")
    ],
    signal: Annotated[
        str | None,
        typer.Argument(
            metavar="SIGNAL", help="The signal, or the column of the table  [default: the only output; DV or CONC]"
        ),
    ] = None,
    dose: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DOSE,
            metavar="QUANTITY",
            help='The dose of every curve: "320 mg", "5 mg/kg"; or the axis of a sweep that holds it  [default: from the file]',
        ),
    ] = None,
    dose_unit: Annotated[
        str, typer.Option(rich_help_panel=_DOSE, metavar="UNIT", help="Unit of the column AMT or DOSE.")
    ] = "",
    route: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DOSE,
            metavar="ROUTE",
            help='"iv bolus", infusion or extravascular  [default: infusion if doses have a duration, iv bolus if a simulated '
            "curve rises at once, else extravascular]",
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(rich_help_panel=_DOSE, metavar="TIME", help="Duration of the infusion  [default: from the file]"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DOSE, metavar="TIME", help="Time of the dose  [default: the only one; with --tau the last]"
        ),
    ] = None,
    tau: Annotated[
        str | None,
        typer.Option(rich_help_panel=_DOSE, metavar="TIME", help="Dosing interval, for an analysis at steady state."),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DOSE, metavar="PORT", help="The port of the dose, if a run has doses into several."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(rich_help_panel=_RULES, metavar="RULE", help='Areas: "linear-up log-down", linear or log.'),
    ] = "linear-up log-down",
    points: Annotated[
        int,
        typer.Option(rich_help_panel=_RULES, metavar="N", min=3, help="Least number of samples on the terminal line."),
    ] = 3,
    tolerance: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_RULES,
            metavar="LOSS",
            help="Loss of adjusted R2 in exchange for more samples  [default: 1e-4; 1e-6 for a result file]",
        ),
    ] = None,
    include_cmax: Annotated[
        bool,
        typer.Option(
            "--include-cmax",
            rich_help_panel=_RULES,
            help="After a bolus the terminal line may begin at CMAX (WinNonlin).",
        ),
    ] = False,
    interval: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_RULES,
            metavar="START..END",
            help='Area between two times since the dose: "0..4 h". Repeatable.',
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(rich_help_panel=_RULES, metavar="QUANTITY", help="Subtracted first: a concentration, or predose."),
    ] = None,
    lloq: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_RULES, metavar="QUANTITY", help="Lower limit of quantification  [default: the column LLOQ]"
        ),
    ] = None,
    blq: Annotated[
        str,
        typer.Option(
            rich_help_panel=_RULES, metavar="RULE", help='Samples below it: "0 then missing", 0, missing or LLOQ/2.'
        ),
    ] = "0 then missing",
    unit: Annotated[
        str, typer.Option(rich_help_panel=_TABLE, metavar="UNIT", help="Unit of the concentrations in a table.")
    ] = "",
    time_unit: Annotated[
        str, typer.Option(rich_help_panel=_TABLE, metavar="UNIT", help="Unit of the times in a table.")
    ] = "h",
    volume: Annotated[
        str, typer.Option(rich_help_panel=OUTPUT, metavar="UNIT", help="Unit of volumes, also in clearances.")
    ] = "L",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=OUTPUT,
            metavar="FILE",
            help="Write a row for each curve and parameter (.csv), in the names of the CDISC domain PP.",
        ),
    ] = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Noncompartmental analysis of measured or simulated concentrations."""
    from nanomg import files
    from nanomg.errors import InputError
    from nanomg.views.exposure_table import NcaSettings, analyse_file

    target = None
    if output is not None:
        if output.suffix.lower() != ".csv":
            raise InputError("the table of parameters ends in .csv", str(output))
        target = files.check_output(output, force)
    settings = NcaSettings(
        signal=signal,
        dose=dose,
        dose_unit=dose_unit,
        route=route,
        duration=duration,
        since=since,
        tau=tau,
        port=port,
        method=method,  # type: ignore[arg-type]
        points=points,
        tolerance=tolerance,
        include_cmax=include_cmax,
        intervals=tuple(interval or ()),
        baseline=baseline,
        lloq=lloq,
        blq=blq,  # type: ignore[arg-type]
        unit=unit,
        time_unit=time_unit,
        volume=volume,
    )
    with render.working("analysing"):
        found = analyse_file(file, settings)
    if target is not None:
        files.replace_file(target, found.csv())
    if json:
        render.emit_json(found.to_dict() | {"output": str(target) if target else None})
        return
    render.paragraph(found.sentence, style="bold")
    blocks.show_blocks(found.blocks(), top=_ALL)
    render.files({"Parameters": str(target) if target else None})
