"""`nanomg validate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.formatting import format_number, percent, span

_PUBLIC = ("name", "use", "n", "gmfe", "noise_floor", "within_1_25", "within_2", "within_2sd")


def validate(
    domains: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DOMAIN]...", help="Names of tables of observations, or paths of TOML files."),
    ] = None,
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """Hold the model against published numbers."""
    from nanomg import models
    from nanomg.jobs.validate import run as validate_run

    with render.working("validating"):
        run = validate_run.validate(
            domains or (),
            output=output,
            force=force,
            library=models.library(*library or ()),
            command=options.command_line(),
        )
    show_validation(run.summary, json)


def show_validation(found: Mapping[str, Any], json: bool) -> None:
    """The summary of a validation, as tables or as the JSON object."""
    if json:
        domains = [{key: entry[key] for key in _PUBLIC} for entry in found["domains"]]
        render.emit_json({"domains": domains, "signs": found["signs"], "misses": found["misses"]})
        return
    from nanomg.jobs.validate import page

    uses = {use: sum(rows[use] for rows in found["rows"].values()) for use in ("calibrate", "validate", "look")}
    render.paragraph(
        f"{sum(uses.values())} rows in {len(found['rows'])} domains: {uses['calibrate']} calibrated, {uses['validate']} validated, "
        f"{uses['look']} looked at only",
        style="bold",
    )
    render.paragraph("")
    render.paragraph("GMFE: geometric mean fold error; floor: that between studies; shares in %")
    validated, calibrated = ([e for e in found["domains"] if e["use"] == use] for use in ("validate", "calibrate"))
    first, shares = ("domain", "rows", "GMFE"), ("floor", "≤ 1.25", "≤ 2", "spread")
    judged = [(*_domain(e, e["allowed"]), _state(e, page.verdict_of(e))) for e in validated if e["n"]]
    render.section("Validated", (*first, "allowed", *shares, ""), "lrrrrrrrl", judged)
    render.section("Calibrated", (*first, *shares), "lrrrrrr", map(_domain, calibrated))
    for said in (page.UNJUDGED, page.NO_ROW):
        if names := [e["name"] for e in validated if page.verdict_of(e) == said]:
            render.paragraph("")
            render.paragraph(f"{said.capitalize()}: {', '.join(names)}")
    signs = found["signs"]
    if signs["n"]:
        render.paragraph("")
        render.paragraph(f"Directions: {signs['right']} of {signs['n']} right")
    headers = ("domain", "use", "quantity", "source", "predicted", "observed", "range", "unit", "fold", "why")
    render.section(f"Misses: {len(found['misses'])}", headers, "llllrrllrl", _miss_rows(found["misses"]), prose=True)
    render.files({"Result file": found["output"], "Figures": ", ".join(found["figures"])})


def _domain(e: Mapping[str, Any], *allowed: float) -> Sequence[str]:
    numbers = (format_number(v, 3) for v in (e["gmfe"], *allowed, e["noise_floor"]))
    return e["name"], str(e["n"]), *numbers, *(percent(e[key]).removesuffix(" %") for key in _PUBLIC[5:])


def _state(e: Mapping[str, Any], verdict: str) -> str:
    said = "" if e["stands"] is None else verdict
    return f"{said} ({e['failed']} failed)".strip() if e["failed"] else said


def _miss_rows(misses: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for m in misses:
        numbers = (
            format_number(m["predicted"], 3),
            format_number(m["observed"], 3),
            span(m["low"], m["high"]),
            m["unit"],
        )
        yield m["domain"], m["use"], m["quantity"], m["source"], *numbers, format_number(m["fold"], 3), m["reason"]
