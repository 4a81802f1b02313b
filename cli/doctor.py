"""`nanomg doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example
from nanomg.formatting import format_number
from nanomg.solver.status import Status

EXAMPLES = (
    Example(
        "nanomg doctor run.h5",
        "the first simulation that failed",
    ),
    Example(
        'nanomg doctor subjects.h5 --subject 7 --regimen "without Mg"',
        "one subject, one arm",
    ),
)


def doctor(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file.")],
    subject: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="ID of a subject, or number of a sample or trajectory  [default: the first that failed]"
        ),
    ] = None,
    regimen: Annotated[str | None, typer.Option(metavar="NAME", help='Such as "without Mg".')] = None,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Diagnose a failed simulation: time, state and term at which it failed."""
    from nanomg import models
    from nanomg.views.doctor import diagnose

    with render.working("replaying"):
        found = diagnose(file, subject, regimen=regimen, library=models.library(*library or ()))
    if json:
        render.emit_json(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    failed, finding = found["failed"], found["finding"]
    render.paragraph(f"{found['file']}: {len(failed)} of {found['trajectories']} trajectories failed.", style="bold")
    if not failed:
        render.paragraph("There is nothing to diagnose.")
        return
    if found["same_equations"] is None:
        render.paragraph("The file is too old to tell whether the equations have changed; the replay uses today's.")
    elif not found["same_equations"]:
        render.paragraph("The equations have changed since the file was written; the replay uses today's.")
    rows = [(t["subject"], t["regimen"], t["hypothesis"], t["reason"]) for t in failed[:20]]
    render.section("Failed", ("subject", "regimen", "hypothesis", "reason"), "llll", rows)
    if len(failed) > len(rows):
        render.paragraph(f"and {len(failed) - len(rows)} more")
    if finding is None:
        render.paragraph("There is nothing to replay.")
        return
    render.paragraph("")
    render.paragraph(_sentence(finding), style="bold")
    if finding["impossible"]:
        for line in finding["impossible"][1:9]:
            render.paragraph(f"It follows that {line}.")
        return
    state = finding["state"]
    per_hour = f"{state['unit']}/h" if state["unit"] not in ("", "1") else "1/h"
    terms = [
        (t["mechanism"], f"{t['source']} -> {t['target']}", format_number(t["amount"])) for t in finding["terms"][:8]
    ]
    render.section(f"Terms of d({state['name']})/dt [{per_hour}]", ("mechanism", "flux", "adds"), "llr", terms)
    if finding["undefined_signals"]:
        render.paragraph(f"Signals that are not a finite number there: {', '.join(finding['undefined_signals'])}")
    outside = [
        (p["name"], format_number(p["value"]), format_number(p["low"]), format_number(p["high"]), p["unit"])
        for p in finding["outside_range"]
    ]
    if outside:
        render.section(
            "Parameters set, or outside the range of their card", ("", "value", "low", "high", ""), "lrrrl", outside
        )


def _sentence(finding: Mapping[str, Any]) -> str:
    who = f"Subject {finding['subject']}, {finding['regimen']}, {finding['hypothesis']}"
    if finding["solved_alone"]:
        return f"{who}: {finding['reason']} in its block; alone it is solved to the end, so run it with fewer others."
    if finding["impossible"]:
        return f"{who}: {finding['reason']}: {finding['impossible'][0]}."
    state = finding["state"]
    if finding["alone"] == Status.NO_STEADY_STATE.reason:
        named = f"{state['name']} ({state['text']})"
        return (
            f"{who}: {named} has no steady state under the doses of the record at {format_number(finding['time_h'])} h."
        )
    unit = "" if state["unit"] in ("", "1") else f" {state['unit']}"
    term = finding["terms"][0] if finding["terms"] else None
    driven = f", driven by {term['mechanism']} ({term['source']} -> {term['target']})" if term else ""
    return (
        f"{who}: {finding['alone']} at {format_number(finding['time_h'])} h, at {state['name']} ({state['text']}) = "
        f"{format_number(state['value'])}{unit} with a rate of {format_number(state['rate_per_h'])}{unit or ' 1'}/h{driven}."
    )
