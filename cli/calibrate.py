"""`nanomg calibrate`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.formatting import format_number, span

_SHOWN = 12  # rows


def calibrate(
    data: Annotated[
        str, typer.Option(metavar="STUDY", help="Name of a study, or path of its TOML file, or of a table (.csv).")
    ],
    card: Annotated[
        str | None,
        typer.Argument(
            metavar="CARD", help="Name of a card, or path of a TOML file; else the one that the study names."
        ),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where a study's data lie; else $NANOMG_DATA, else beside the study."),
    ] = None,
    scenario: Annotated[
        str, typer.Option(metavar="SCENARIO", help="What a table was measured in, where it has no column 'run'.")
    ] = "",
    fit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LOW..HIGH", help='Fit this instead: --fit pk.CL="1..10 L/h". Repeatable.'),
    ] = None,
    starts: Annotated[int | None, typer.Option(min=1, help="Number of starts; the study's own if left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the card with the fitted values here.")
    ] = None,
    result: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write data, predictions and Fisher matrix to this HDF5 file.")
    ] = None,
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
            result=result,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
            progress=progress,
        )
    show_calibration(run.summary, json)


def show_calibration(found: Mapping[str, Any], json: bool) -> None:
    """The summary of a calibration, as tables or as the JSON object."""
    if json:
        render.emit_json(found)
        return
    render.paragraph(f"{found['card']} fitted to {found['title']}", style="bold")
    starts = found["starts"]
    render.paragraph(
        f"{starts['n']} starts, {starts['converged']} converged, {starts['same_optimum']} at the best optimum; "
        f"{starts['failed_evaluations']} points without a prediction; residual sd {format_number(found['residual_sd'], 3)} "
        f"of the stated one, {format_number(found['degrees_of_freedom'], 3)} degrees of freedom"
    )
    headers = ("", "start", "estimate", "unit", "SE", "CV [%]", "bounds", "")
    render.section("Parameters", headers, "lrrlrrll", _parameter_rows(found["parameters"]))
    render.paragraph("")
    render.paragraph(found["identifiability"])
    errors = ("part", "series", "rows", "failed", "GMFE at start", "GMFE", "RMSE", "unit")
    render.section("Errors", errors, "llrrrrrl", map(_error_row, found["errors"]))
    rows = sorted(found["rows"], key=lambda row: -math.inf if row["failed"] else -abs(row["residual"]))[:_SHOWN]
    columns = ("part", "", "observed", "predicted", "unit", "fold", "residual [sd]", "")
    render.section("Rows furthest from the data", columns, "llrrlrrl", map(_row, rows))
    render.files({"Card": found["written"], "Result file": found["output"]})


def _parameter_rows(parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for name, p in parameters.items():
        said = f"at its {p['bound']} bound" if p["bound"] else "with a prior" if p["prior"] else ""
        if p["start_outside"]:
            said += ", started from its nearest bound" if said else "started from its nearest bound"
        spread = (format_number(p["se"], 2), format_number(p["cv"] and 100 * p["cv"], 3))
        values = (format_number(p["start"]), format_number(p["estimate"]), p["unit"] or "1", *spread)
        yield name, *values, span(*p["bounds"]), said


def _error_row(e: Mapping[str, Any]) -> Sequence[str]:
    folds = (format_number(e[key], 3) for key in ("gmfe_at_start", "gmfe", "rmse"))
    return e["part"], e["series"] or "all", str(e["n"]), str(e["failed"]), *folds, e["unit"] or ""


def _row(r: Mapping[str, Any]) -> Sequence[str]:
    values = (format_number(r[key]) for key in ("observed", "predicted"))
    off = (format_number(r[key], 3) for key in ("fold", "residual"))
    return r["part"], r["quantity"], *values, r["unit"], *off, r["failed"] or ""
