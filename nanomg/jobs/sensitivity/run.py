"""The job `sensitivity`: elasticities of outputs and, if asked for, Sobol indices, as tables, a picture and a file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nanomg import files
from nanomg.errors import InputError, unknown
from nanomg.files import StrPath
from nanomg.jobs.request import about_scenario, on_engine
from nanomg.jobs.sensitivity import elasticities, sobol
from nanomg.jobs.sensitivity import figure as sensitivity_figure
from nanomg.jobs.sensitivity.request import SensitivityRequest
from nanomg.jobs.sensitivity.sobol import Indices, Progress
from nanomg.jobs.sensitivity.summary import SensitivitySummary
from nanomg.jobs.sweep.keep import Keep
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.population.ranges import CARD, OVER
from nanomg.results import file as result_file
from nanomg.results.groups import about
from nanomg.results.run import Run, finish
from nanomg.simulation import event_times
from nanomg.solver.status import Status


def sensitivity(
    scenario: str | Scenario,
    *,
    of: Sequence[str] = (),
    over: str = CARD,
    samples: int | None = None,
    parameters: Sequence[str] = (),
    seed: int = 0,
    set: Mapping[str, str | float] | None = None,
    dose: Sequence[str] = (),
    events: Any = None,
    id: str | None = None,
    sort: bool = False,
    ignore: str = "",
    output: str | Path | None = None,
    figure: str | Path | None = None,
    force: bool = False,
    engine: str = "auto",
    library: Library | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Run:
    """Elasticities of outputs with respect to every parameter and the doses into each port; optionally Sobol indices.

    Args:
        scenario: name of a scenario, path of a TOML file, or a loaded `Scenario`.
        of: outputs, such as "tumour.volume:max" [default: the final value of the scenario's first output].
        over: range of a parameter: "card", its uncertainty in the card, or "cv", between-subject variability.
        samples: number of base samples for Sobol indices, a power of 2; without it only elasticities.
        parameters: parameters of the Sobol indices [default: the ten whose range has the largest linear effect].
        seed: seed of the samples.
        set: values of parameters, with units ("12 mL/h") or as numbers in the declared unit.
        dose: prescriptions that replace the doses into their ports ("liposome.iv: 1 mg q 7 d x 3", "pd1.iv: none").
        events: event table (path, pandas frame or xarray dataset) in place of the doses; outputs are means over its subjects.
        id: ID of the only subject of the table that is used.
        sort: put the rows of each subject of the table together, in order of time.
        ignore: character that starts a comment in the table, as NONMEM\'s IGNORE.
        output: path of the result file (.h5); without it nothing is written.
        figure: path of a figure (.png) of elasticities and ranges.
        force: overwrite files that exist.
        engine: "auto" (native where it can run), "native" or "jax".
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.
        progress: called after each block of samples.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`.

    Raises:
        InputError: something is wrong with the request.
        SimulationError: the scenario cannot be solved.

    Example:
        >>> import nanomg
        >>> run = nanomg.sensitivity("textbook-1cpt", of=["pk.C:auc"], dose=["pk.depot: none", "pk.central: 70 mg"])
        >>> table = run.tree["sensitivity"]["elasticity"].sel(output="pk.C:auc")
        >>> round(float(table.sel(parameter="dose.pk.central")), 6)  # the area is proportional to the dose
        1.0
    """
    request = SensitivityRequest(
        scenario=scenario,
        of=of,
        over=over,
        samples=samples,
        parameters=parameters,
        seed=seed,
        set=set or {},
        dose=dose,
        events=events,
        id=id,
        sort=sort,
        ignore=ignore,
        output=output,
        figure=figure,
        force=force,
        engine=engine,
    )
    return run(request, library=library, command=command, progress=progress)


@on_engine
def run(
    request: SensitivityRequest,
    *,
    library: Library | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Run:
    """The sensitivity of a request; `library` is one that was built already, and `progress` is called after each block."""
    began = time.perf_counter()
    path, picture = _check_files(request.output, request.figure, request.force)
    samples, over, seed = request.samples, request.over, request.seed
    chosen = request.resolved(library)
    if request.parameters and samples is None:
        raise InputError(
            "it names parameters of Sobol indices; give their number of samples with --sobol", "--parameter"
        )
    if over not in OVER:
        raise unknown("range", over, OVER, "--over")
    if samples is not None:
        sobol.check(samples)
    event_times.check_one_clock(chosen.subjects)
    outputs = elasticities.outputs_asked(request.of, chosen)
    ranges = sobol.ranges_of(chosen, request.parameters, over)
    slopes = elasticities.slopes_of(chosen, outputs)
    rows = elasticities.elasticity_rows(chosen, outputs, slopes, over)
    indices = None
    if samples is not None:
        ranges = ranges or sobol.ranges_of(chosen, _matter_most(rows, chosen), over)
        indices = sobol.indices(chosen, outputs, ranges, samples, seed, progress)
    summary = SensitivitySummary.of(
        {
            **about_scenario(chosen, path),
            "figure": str(picture) if picture else None,
            "over": over,
            "outputs": [_of_output(chosen, o, y) for o, y in zip(outputs, slopes.value, strict=True)],
            "elasticities": rows,
            "sobol": sobol.summary_of(chosen, outputs, indices, seed) if indices else None,
            "seconds": time.perf_counter() - began,
        }
    )
    groups = {"sensitivity": _of_slopes(summary)}
    if indices:
        groups["sobol"] = _of_indices(chosen, outputs, indices)
    finished = finish(
        groups,
        summary,
        path,
        job="sensitivity",
        title=f"Sensitivity: {chosen.title}",
        config={**chosen.config, "over": over, "samples": samples, "request": request.recorded(chosen)},
        seed=seed,
        model=chosen.model,
        command=command,
    )
    if picture is not None:
        sensitivity_figure.draw(picture, summary)
    return finished


def _check_files(output: StrPath | None, figure: StrPath | None, force: bool) -> tuple[Path | None, Path | None]:
    """The files to be written, once it is sure that they may be."""
    path = files.check_result(output, force) if output is not None else None
    picture = files.check_output(figure, force) if figure is not None else None
    if picture is not None and picture.suffix.lower() != ".png":
        raise InputError("the figure is a PNG file; name one that ends with .png", str(picture))
    return path, picture


def _matter_most(rows: Sequence[Mapping[str, Any]], scenario: Scenario) -> list[str]:
    """The parameters whose range changes some output most, to first order."""
    most: dict[str, float] = {}
    for row in rows:
        if row["range_effect"]:
            most[row["parameter"]] = max(most.get(row["parameter"], 0.0), abs(row["range_effect"]))
    if not most:
        raise InputError(
            "no parameter with an effect has a range, so there is nothing to vary", f"scenario {scenario.name!r}"
        )
    return sorted(most, key=lambda name: -most[name])[: sobol.PARAMETERS]


def _of_output(scenario: Scenario, output: Keep, value: float) -> dict[str, Any]:
    over = f", mean of {len(scenario.subjects)} subjects" if len(scenario.subjects) > 1 else ""
    text = f"{output.text(scenario.model.declaration(output.name).text)}{over}"
    return {"output": output.label, "value": float(value), "unit": output.unit, "text": text}


# ---------------------------------------------------------------- what the file holds
def _of_slopes(summary: Mapping[str, Any]) -> xr.Dataset:
    rows, outputs = summary["elasticities"], summary["outputs"]
    by_pair = {(row["output"], row["parameter"]): row for row in rows}
    first, names = outputs[0]["output"], list(dict.fromkeys(row["parameter"] for row in rows))
    of = "of the logarithm of the output"
    wide = {
        "elasticity": "relative change of the output per relative change of the parameter",
        "slope": "change of the output in `output_unit` per `unit` of the parameter",
        "at_low": f"change {of} at the low end of the range (linear estimate)",
        "at_high": f"change {of} at the high end of the range (linear estimate)",
        "range_effect": f"change {of} over the range (linear estimate)",
    }
    long = {
        "value": "value in the unit of `unit`; of doses their sum",
        "low": "low end of the range in that unit",
        "high": "high end of the range in that unit",
    }
    variables: dict[str, Any] = {
        key: (
            ("output", "parameter"),
            np.array([[by_pair[o["output"], name][key] for name in names] for o in outputs], float),
            about("1", text),
        )
        for key, text in wide.items()
    }
    for key, text in long.items():
        variables[key] = (("parameter",), np.array([by_pair[first, n][key] for n in names], float), about("1", text))
    for key, text in {"unit": "unit of the parameter", "basis": "basis of the value", "text": "what it is"}.items():
        variables[key] = (
            ("parameter",),
            np.array([by_pair[first, n][key] for n in names], object),
            {"long_name": text},
        )
    variables["output_value"] = (
        ("output",),
        np.array([o["value"] for o in outputs], float),
        about("1", "output in the unit of `output_unit`"),
    )
    units_of = np.array([o["unit"] for o in outputs], object)
    variables["output_unit"] = (("output",), units_of, {"long_name": "unit of the output"})
    return xr.Dataset(variables, {"output": [o["output"] for o in outputs], "parameter": names})


def _of_indices(scenario: Scenario, outputs: Sequence[Keep], found: Indices) -> xr.Dataset:
    names = list(found.ranges)
    texts = {
        "S1": "first-order Sobol index",
        "S1_conf": "half-width of its 95 % confidence interval",
        "ST": "total Sobol index",
        "ST_conf": "half-width of its 95 % confidence interval",
    }
    variables: dict[str, Any] = {
        key: (("output", "parameter"), getattr(found, key), about("1", text)) for key, text in texts.items()
    }
    values = np.stack([found.values[name] for name in names], 1)
    ends = np.array(list(found.ranges.values()))
    variables |= {
        "value": (("trajectory", "parameter"), values, about("1", "sampled value in the unit of `unit`")),
        "found": (("output", "trajectory"), found.found, about("1", "output in the unit of `output_unit`")),
        "status": result_file.flags(
            "trajectory", found.status, [s.reason for s in Status], "outcome of the trajectory"
        ),
        "low": (("parameter",), ends[:, 0], about("1", "low end of the range in the unit of `unit`")),
        "high": (("parameter",), ends[:, 1], about("1", "high end of the range in the unit of `unit`")),
        "unit": (
            ("parameter",),
            np.array([scenario.parameters[name].unit for name in names], object),
            {"long_name": "unit of the parameter"},
        ),
        "output_unit": (("output",), np.array([o.unit for o in outputs], object), {"long_name": "unit of the output"}),
    }
    return xr.Dataset(variables, {"output": [o.label for o in outputs], "parameter": names})
