"""`nanomg summary`: what a file found, as the command that made it showed it; and that view of simulations and optimisations."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.calibrate import show_calibration
from nanomg.cli.feasibility import show_feasibility
from nanomg.cli.sensitivity import show_sensitivity
from nanomg.cli.sweep import show_sweep
from nanomg.cli.validate import show_validation
from nanomg.errors import InputError
from nanomg.formatting import bounded, format_number, percent
from nanomg.results.limits import state_of_limit

# by kind of file, what is not a simulation or an optimisation
_VIEWS: Mapping[str, Callable[[Mapping[str, Any], bool], None]] = {
    "validate": show_validation,
    "calibrate": show_calibration,
    "sensitivity": show_sensitivity,
    "feasibility": show_feasibility,
    "sweep": show_sweep,
}

_HOURS = "hours_per_day_above_"  # how keys of an effect begin; a rise of tumour free Mg follows


def summary(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file.")], json: options.Json = False
) -> None:
    """Show again what a run found, from its result file."""
    from nanomg.results.file import read_summary
    from nanomg.results.kinds import kind_of

    found = read_summary(file) | {"output": str(file)}
    try:
        _VIEWS.get(kind_of(found), show_summary)(found, json)
    except KeyError as missing:
        why = f"the summary of this file holds no {missing}; another version of nanomg made it"
        raise InputError(why, str(file)) from None


def show_summary(found: Mapping[str, Any], json: bool) -> None:
    """The summary of a simulation or optimisation on stdout, as tables or as the JSON object itself."""
    if json:
        render.emit_json(found)
        return
    render.paragraph(found["verdict"], style="bold")
    status = found["status"]
    failed = f"{status['failed']} of {status['trajectories']} trajectories failed: {status['reason']}"
    solved = (
        "1 trajectory, solved" if status["trajectories"] == 1 else f"{status['trajectories']} trajectories, all solved"
    )
    subjects = f"{status['subjects']} subjects, " if status.get("subjects", 1) > 1 else ""
    render.paragraph(f"{found['scenario']}: {subjects}{failed if status['failed'] else solved}")
    for name, why in status.get("failed_subjects", {}).items():
        render.paragraph(f"subject {name}: {why['failed']} failed: {why['reason']}")
    if "objective" in found:
        _show_optimum(found)
    _show_signals(found["signals"])
    if found.get("mg"):
        _show_magnesium(found["mg"])
    render.files({"Result file": found["output"], "Records": found.get("records")})


def _show_signals(signals: Mapping[str, Mapping[str, Any]]) -> None:
    columns = ("initial", "final", "min", "max", "auc")
    rows = []
    for name, signal in signals.items():
        rows.append((name, signal["unit"], *(format_number(signal[c]) for c in columns)))
        for i, end in enumerate(("lowest", "highest")):
            if "range" in signal:
                rows.append((f"  {end}", "", *(format_number(signal["range"][c][i]) for c in columns)))
    title = "Signals, median of the subjects" if any("range" in signal for signal in signals.values()) else "Signals"
    render.section(title, ("", "unit", *columns[:-1], "AUC [× h]"), "llrrrrr", rows)


def _show_optimum(found: Mapping[str, Any]) -> None:
    state = "every limit kept" if found["feasible"] else "NOT FEASIBLE"
    state += "" if found["converged"] else ", stopped before convergence"
    effort = f"{found['evaluations']} evaluations in {format_number(found['seconds'], 3)} s"
    render.paragraph(f"Search: {state}, {effort}, KKT residual {format_number(found['kkt_residual'], 2)}")

    terms = [
        (name, format_number(term["baseline"]), format_number(term["optimum"])) for name, term in found["terms"].items()
    ]
    total = ("total", format_number(found["baseline_objective"]), format_number(found["objective"]))
    render.section("Objective", ("", "baseline", "optimum"), "lrr", [*terms, total])

    limits = [
        (
            c["name"],
            format_number(c["limit"]),
            format_number(c["value"]),
            format_number(_slack(c)),
            c["unit"],
            state_of_limit(c["limit"], c["slack"]),
        )
        for c in found["constraints"]
    ]
    render.section("Limits", ("", "limit", "value", "slack", "unit", ""), "lrrrll", limits)

    headers = ("into", "time [h]", "was", "amount", "was", "unit", "over [h]")
    render.section("Regimen", headers, "lrrrrlr", _paired_doses(found["regimen"], found["baseline_regimen"]))

    kept = [start["objective"] for start in found["starts"] if start["feasible"]]
    text = f"{len(found['starts'])} starts, {len(kept)} within every limit"
    if kept:
        low, middle, high = map(format_number, (min(kept), statistics.median(kept), max(kept)))
        text += f", objective {low} to {high}, median {middle}"
    render.paragraph("")
    render.paragraph(text)


def _slack(constraint: Mapping[str, Any]) -> float | None:
    """The slack as far as limit and value, of four digits each, can tell."""
    slack, limit = constraint["slack"], abs(constraint["limit"])
    if slack is None or not math.isfinite(slack) or not limit:
        return slack
    return round(slack, 3 - math.floor(math.log10(limit)))


def _paired_doses(
    optimum: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]]
) -> Iterator[Sequence[str]]:
    """Rows of optimum beside baseline: the first dose into a port beside the first, and so on."""
    ports = dict.fromkeys(dose["cmt"] for dose in [*optimum, *baseline])
    for port in ports:
        now, was = ([dose for dose in doses if dose["cmt"] == port] for doses in (optimum, baseline))
        pairs: Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]] = itertools.zip_longest(now, was, fillvalue={})
        for new, old in pairs:
            cells = (format_number(dose.get(key)) for key in ("time_h", "amt") for dose in (new, old))
            yield port, *cells, (new or old)["unit"], format_number((new or old)["duration_h"])


def _show_magnesium(mg: Mapping[str, Any]) -> None:
    arms = {"as dosed": mg} | ({"given free": mg["free"]} if mg["free"] else {})
    hypotheses = sorted(mg["mean_competence_gain"])
    headers = ["", *hypotheses] + ([f"free {h}" for h in hypotheses] if mg["free"] else [])
    labels = {key: f"h/day above +{key.removeprefix(_HOURS)} mmol/L" for key in mg if key.startswith(_HOURS)}
    rows = [
        [label, *(format_number(arm[key][hypothesis], 3) for arm in arms.values() for hypothesis in hypotheses)]
        for key, label in (labels | {"mean_competence_gain": "mean gain of competence"}).items()
    ]
    title = "Magnesium in the tumour, against the same treatment without it"
    render.section(title, headers, "l" + "r" * (len(headers) - 1), rows)
    render.paragraph("")
    rises = [
        (
            name,
            *(format_number(arm[rise]["value"], 3) for rise in ("mean_rise", "peak_rise")),
            arm["mean_rise"]["unit"],
            *(percent(bounded(arm[share])) for share in ("share_local", "share_serum")),
        )
        for name, arm in arms.items()
    ]
    render.table(("rise", "mean", "peak", "unit", "local", "through serum"), "lrrlrr", rises)
