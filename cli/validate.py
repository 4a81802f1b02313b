"""`nanomg validate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.render import number, percent, span

_PUBLIC = ("name", "use", "n", "gmfe", "noise_floor", "within_1_25", "within_2", "within_2sd")
_VERDICTS = {True: "stands", False: "FALLS SHORT", None: "directions and bounds only"}


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
    from nanomg import models, validation

    with render.working("validating"):
        run = validation.validate(
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
    uses = {use: sum(rows[use] for rows in found["rows"].values()) for use in ("calibrate", "validate", "look")}
    render.paragraph(
        f"{sum(uses.values())} rows in {len(found['rows'])} domains: {uses['calibrate']} calibrated, {uses['validate']} validated, "
        f"{uses['look']} looked at only",
        style="bold",
    )
    headers = ("domain", "use", "rows", "GMFE", "allowed", "noise floor", "≤ 1.25", "≤ 2", "in spread", "")
    render.section("Geometric mean fold errors (GMFE)", headers, "llrrrrrrrl", _domain_rows(found["domains"]))
    signs = found["signs"]
    if signs["n"]:
        render.paragraph("")
        render.paragraph(f"Directions: {signs['right']} of {signs['n']} right")
    headers = ("domain", "use", "quantity", "source", "predicted", "observed", "range", "unit", "fold", "why")
    render.section(f"Misses: {len(found['misses'])}", headers, "llllrrllrl", _miss_rows(found["misses"]), prose=True)
    if found["output"]:
        render.paragraph("")
        render.paragraph(f"Result file: {found['output']}")
        for file in found["figures"]:
            render.paragraph(f"Figure: {file}")


def verdict(entry: Mapping[str, Any]) -> str:
    """What the validated rows of a domain come to, in words; nothing of calibrated ones."""
    if entry["use"] != "validate":
        return ""
    return _VERDICTS[entry["stands"]] if entry["n"] else "no validated row"


def _domain_rows(entries: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for e in entries:
        state = verdict(e) + (f" ({e['failed']} failed)" if e["failed"] else "")
        allowed = number(e["allowed"], 3) if e["use"] == "validate" else ""
        numbers = (number(e["gmfe"], 3), allowed, number(e["noise_floor"], 3))
        yield e["name"], e["use"], str(e["n"]), *numbers, *(percent(e[k]) for k in _PUBLIC[5:]), state.strip()


def _miss_rows(misses: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for m in misses:
        numbers = (number(m["predicted"], 3), number(m["observed"], 3), span(m["low"], m["high"]), m["unit"])
        yield m["domain"], m["use"], m["quantity"], m["source"], *numbers, number(m["fold"], 3), m["reason"]
