"""`nanomg sensitivity`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.formatting import MISSING, format_factor, format_number, percent, span

_SHOWN = 20
_NOTHING = 1e-6  # an elasticity below this is none
_OVER = {"card": "those of the cards (5 to 95 % of what is believed)", "cv": "5 to 95 % of subjects"}


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
        str, typer.Option(metavar="card|cv", help="Ranges: what the cards leave open, or how subjects differ.")
    ] = "card",
    sobol: Annotated[
        int | None, typer.Option(metavar="N", help="Also Sobol indices, from N base samples, a power of 2.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", metavar="NAME", help="What --sobol varies. Repeatable. The ten that matter most if left out."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    top: Annotated[int, typer.Option(min=1, help="Rows to show; --json and the file have all.")] = _SHOWN,
    assignments: options.Assignments = None,
    doses: options.Doses = None,
    events: options.EventDoses = None,
    output: options.Output = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a tornado diagram into this PNG file.")
    ] = None,
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Show which parameters and doses an output hangs on."""
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
            output=output,
            figure=figure,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
            progress=progress,
        )
    show_sensitivity(run.summary, json, top)


def show_sensitivity(found: Mapping[str, Any], json: bool, top: int = _SHOWN) -> None:
    """The summary of a sensitivity, as tables or as the JSON object."""
    if json:
        render.emit_json(found)
        return
    render.paragraph(f"{found['scenario']}: {found['title']}", style="bold")
    for output in found["outputs"]:
        own = [row for row in found["elasticities"] if row["output"] == output["output"]]
        matter = [row for row in own if row["elasticity"] is not None and abs(row["elasticity"]) > _NOTHING]
        title = f"{output['output']} = {format_number(output['value'])} {output['unit']} ({output['text']})"
        headers = ("", "elasticity", "value", "unit", "range", "over it", "known", "what it is")
        render.section(title, headers, "lrrllrll", map(_elastic, matter[:top]), prose=True)
        render.paragraph(_rest(len(matter), len(own), top))
        _show_slopes(own, output, top)
        if found["sobol"]:
            _show_indices(found["sobol"], output["output"])
    render.paragraph("")
    render.paragraph("elasticity: by how many per cent the output grows where the value grows by one per cent")
    render.paragraph(
        f"over it: what the output is multiplied by from the low to the high end of the range, to first order; "
        f"ranges are {_OVER[found['over']]}"
    )
    render.files({"Result file": found["output"], "Figure": found["figure"]})


def _elastic(row: Mapping[str, Any]) -> Sequence[str]:
    known = (span(row["low"], row["high"]), format_factor(row["range_effect"]), row["basis"], row["text"])
    return row["parameter"], format_number(row["elasticity"], 3), format_number(row["value"]), row["unit"], *known


def _show_slopes(rows: Sequence[Mapping[str, Any]], output: Mapping[str, Any], top: int) -> None:
    """What has a slope and no elasticity."""
    shown = [row for row in rows if row["elasticity"] is None and abs(row["slope"]) > _NOTHING * abs(output["value"])]
    title = f"Slopes, where the value {'' if output['value'] else 'or, as here, the output '}is 0"
    headers = ("", "slope", "unit", "range", "over it", "what it is")
    cells = (_sloped(row, output["unit"]) for row in sorted(shown, key=lambda row: -abs(row["slope"]))[:top])
    render.section(title, headers, "lrllrl", cells, prose=True)


def _sloped(row: Mapping[str, Any], unit: str) -> Sequence[str]:
    per = f"{unit} per {row['unit']}" if row["unit"] not in ("", "1") else unit
    return (
        row["parameter"],
        format_number(row["slope"], 3),
        per,
        span(row["low"], row["high"]),
        format_factor(row["range_effect"]),
        row["text"],
    )


def _rest(matter: int, count: int, top: int) -> str:
    hidden = f"{matter - top} more matter less (--top); " if matter > top else ""
    return f"{hidden}{count - matter} of {count} have no elasticity or hardly any"


def _show_indices(sobol: Mapping[str, Any], output: str) -> None:
    rows = [row for row in sobol["indices"] if row["output"] == output]
    varied = {entry["parameter"]: entry for entry in sobol["parameters"]}
    headers = ("", "S1", "±", "ST", "±", "range", "unit", "")
    cells = (_index(row, varied[row["parameter"]]) for row in rows)
    render.section(f"Sobol indices: what makes the variance of {output}", headers, "lrrrrlll", cells)
    render.paragraph(_base(sobol))
    if all(row["S1"] is not None for row in rows):
        alone, error = sum(row["S1"] for row in rows), math.hypot(*(row["S1_conf"] for row in rows))
        together = "; what is missing to 1 is made by values together" if alone + error < 1 else ""
        render.paragraph(f"sum of S1: {alone:.2f} ± {error:.2f}{together}")


def _index(row: Mapping[str, Any], entry: Mapping[str, Any]) -> Sequence[str]:
    numbers = (MISSING if row[key] is None else f"{row[key]:z.3f}" for key in ("S1", "S1_conf", "ST", "ST_conf"))
    return (
        row["parameter"],
        *numbers,
        span(entry["low"], entry["high"]),
        entry["unit"],
        "uniform" if entry["distribution"] == "uniform" else "",
    )


def _base(sobol: Mapping[str, Any]) -> str:
    """How many samples the indices rest on, and why others were left out."""
    confidence = percent(sobol["confidence"])
    said = f"{sobol['complete']} of {sobol['samples']} base samples, seed {sobol['seed']}, {confidence} intervals"
    why = [f"{count} trajectories broke {rule}" for rule, count in sobol["unphysical"].items()]
    why += [f"{sobol['failed']} trajectories could not be solved"] if sobol["failed"] else []
    return f"{said}; the others were left out: {', '.join(why)}" if why else said
