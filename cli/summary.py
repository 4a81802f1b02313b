"""`nanomg summary`, and the same view of a run right after it."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.calibrate import show_calibration
from nanomg.cli.feasibility import show_feasibility
from nanomg.cli.render import number
from nanomg.cli.sensitivity import show_sensitivity
from nanomg.cli.validate import show_validation

_ACTIVE = 0.01  # a limit is active where the slack is below this share of it
_ROUNDING = 1e-9

_MG_ROWS = {
    "hours_per_day_above_0.02": "h/day above +0.02 mmol/L",
    "hours_per_day_above_0.3": "h/day above +0.3 mmol/L",
    "mean_competence_gain": "mean gain of competence",
}


def summary(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file.")], json: options.Json = False
) -> None:
    """Show again what a run found, from its result file."""
    from nanomg.results import read_summary

    show_summary(read_summary(file) | {"output": str(file)}, json)


def show_summary(found: Mapping[str, Any], json: bool) -> None:
    """The summary of a simulation or optimisation on stdout, as tables or as the JSON object itself."""
    if "misses" in found:
        show_validation(found, json)
        return
    if "identifiability" in found:
        show_calibration(found, json)
        return
    if "elasticities" in found:
        show_sensitivity(found, json)
        return
    if json:
        render.emit_json(found)
        return
    if "feasibility" in found:
        show_feasibility(found)
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
    if found["mg"]:
        _show_magnesium(found["mg"])
    files = {"Result file": found["output"], "Records": found.get("records")}
    if any(files.values()):
        render.paragraph("")
    for what, file in files.items():
        if file:
            render.paragraph(f"{what}: {file}")


def _show_signals(signals: Mapping[str, Mapping[str, Any]]) -> None:
    columns = ("initial", "final", "min", "max", "auc")
    rows = []
    for name, signal in signals.items():
        rows.append((name, signal["unit"], *(number(signal[c]) for c in columns)))
        for i, end in enumerate(("lowest", "highest")):
            if "range" in signal:
                rows.append((f"  {end}", "", *(number(signal["range"][c][i]) for c in columns)))
    title = "Signals, median of the subjects" if any("range" in signal for signal in signals.values()) else "Signals"
    render.section(title, ("", "unit", *columns[:-1], "AUC [× h]"), "llrrrrr", rows)


def _show_optimum(found: Mapping[str, Any]) -> None:
    state = "every limit kept" if found["feasible"] else "NOT FEASIBLE"
    state += "" if found["converged"] else ", stopped before convergence"
    effort = f"{found['evaluations']} evaluations in {number(found['seconds'], 3)} s"
    render.paragraph(f"Search: {state}, {effort}, KKT residual {number(found['kkt_residual'], 2)}")

    terms = [(name, number(term["baseline"]), number(term["optimum"])) for name, term in found["terms"].items()]
    total = ("total", number(found["baseline_objective"]), number(found["objective"]))
    render.section("Objective", ("", "baseline", "optimum"), "lrr", [*terms, total])

    limits = [
        (c["name"], *(number(c[key]) for key in ("limit", "value", "slack")), c["unit"], _state(c))
        for c in found["constraints"]
    ]
    render.section("Limits", ("", "limit", "value", "slack", "unit", ""), "lrrrll", limits)

    headers = ("into", "time [h]", "was", "amount", "was", "unit", "over [h]")
    render.section("Regimen", headers, "lrrrrlr", _paired_doses(found["regimen"], found["baseline_regimen"]))

    kept = [start["objective"] for start in found["starts"] if start["feasible"]]
    text = f"{len(found['starts'])} starts, {len(kept)} within every limit"
    if kept:
        text += f", objective {number(min(kept))} to {number(max(kept))}, median {number(statistics.median(kept))}"
    render.paragraph("")
    render.paragraph(text)


def _state(constraint: Mapping[str, Any]) -> str:
    """Whether a limit holds the optimum back."""
    slack, limit = constraint["slack"], abs(constraint["limit"])
    if slack is None or math.isnan(slack):
        return "unknown"
    if slack < -_ROUNDING * limit:
        return "exceeded"
    return "active" if slack <= _ACTIVE * limit else ""


def _paired_doses(
    optimum: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]]
) -> Iterator[Sequence[str]]:
    """Rows of optimum beside baseline: the first dose into a port beside the first, and so on."""
    ports = dict.fromkeys(dose["cmt"] for dose in [*optimum, *baseline])
    for port in ports:
        now, was = ([dose for dose in doses if dose["cmt"] == port] for doses in (optimum, baseline))
        pairs: Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]] = itertools.zip_longest(now, was, fillvalue={})
        for new, old in pairs:
            cells = (number(dose.get(key)) for key in ("time_h", "amt") for dose in (new, old))
            yield port, *cells, (new or old)["unit"], number((new or old)["duration_h"])


def _show_magnesium(mg: Mapping[str, Any]) -> None:
    arms = {"as dosed": mg} | ({"given free": mg["free"]} if mg["free"] else {})
    hypotheses = sorted(mg["mean_competence_gain"])
    headers = ["", *hypotheses] + ([f"free {h}" for h in hypotheses] if mg["free"] else [])
    rows = [
        [label, *(number(arm[key][hypothesis], 3) for arm in arms.values() for hypothesis in hypotheses)]
        for key, label in _MG_ROWS.items()
    ]
    title = "Magnesium in the tumour, against the same treatment without it"
    render.section(title, headers, "l" + "r" * (len(headers) - 1), rows)
    render.paragraph("")
    rises = [
        [name, number(arm["mean_rise"]["value"], 3), number(arm["peak_rise"]["value"], 3), arm["mean_rise"]["unit"]]
        + [render.percent(arm[share]) for share in ("share_local", "share_serum")]
        for name, arm in arms.items()
    ]
    render.table(("rise", "mean", "peak", "unit", "local", "through serum"), "lrrlrr", rises)
