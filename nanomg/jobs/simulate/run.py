"""The main jobs from a scenario to a result: simulate and optimise. Command line and scripts call these."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanomg import files
from nanomg.compute import process
from nanomg.dosing import event_table
from nanomg.errors import InputError
from nanomg.files import StrPath
from nanomg.jobs.request import about_scenario, on_engine, origin
from nanomg.jobs.simulate import added, measures, outcome, verdict
from nanomg.jobs.simulate.outcome import OutcomeNumbers
from nanomg.jobs.simulate.request import SimulateRequest
from nanomg.jobs.simulate.summary import SimulateSummary
from nanomg.library import event_doses
from nanomg.library.event_doses import EventTable
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.results.run import Run, finish
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import event_arms, event_runs, lanes
from nanomg.simulation.arms import AS_GIVEN

if TYPE_CHECKING:
    import xarray as xr


MOST_NUMBERS = 2.5e8  # of series that are not asked for by name: 2 GB
_RECORDS = (".csv", ".txt", ".dat", "")  # how the name of a table of records may end
SERIES_OF = 100  # subjects up to which a table of records alone is not all that is solved


def simulate(
    scenario: str | Scenario,
    *,
    set: Mapping[str, str | float] | None = None,
    dose: Sequence[str] = (),
    events: Any = None,
    sort: bool = False,
    ignore: str = "",
    output: str | Path | None = None,
    records: str | Path | None = None,
    add: Sequence[str] = (),
    error: Sequence[str] = (),
    seed: int = 0,
    force: bool = False,
    engine: str = "auto",
    series: bool | None = None,
    precision: str = "float64",
    library: Library | None = None,
    command: str = "",
) -> Run:
    """Simulate a scenario with its control arms under every LFA-1 hypothesis.

    Args:
        scenario: name of a scenario, path of a TOML file, or a loaded `Scenario`.
        set: values of parameters, with units ("12 mL/h") or as numbers in the declared unit.
        dose: prescriptions that replace the doses into their ports ("liposome.iv: 1 mg q 7 d x 3", "pd1.iv: none").
        events: event table that replaces the doses, each ID a subject: path of a file, pandas frame or xarray dataset.
        sort: put the rows of each subject of the table together, in order of time.
        ignore: character that starts a comment in the table, as NONMEM's IGNORE.
        output: path of the result file (.h5); without it nothing is written.
        records: path of a CSV file for the outputs at each record of the event table.
        add: further columns of the records: "TAD", time after dose [h]; "OCC", number of dosing times so far.
        error: residual errors of outputs at the records ("pk.C: 15 % + 0.1 mg/L", "pk.C: log 15 %"), in columns such
            as `pk.C.observed`.
        seed: seed of the residual errors.
        force: overwrite files that exist.
        engine: "auto" (native where it can run), "native" or "jax".
        series: whether subjects of an event table are also solved at common times, with control arms and a conclusion
            [default: yes, unless more than 100 subjects are written to `records` only].
        precision: "float64", or "float32", which is faster and reliable to three digits.
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`. A trajectory that
        failed is NaN and has a `status`.

    Raises:
        InputError: something is wrong with the request.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt", dose=["pk.depot: none", "pk.central: 70 mg"], set={"pk.V": "35 L"})
        >>> round(run.summary["signals"]["pk.C"]["max"], 6)  # mg/L
        2.0
        >>> run.tree["simulation"]["pk.C"].dims
        ('regimen', 'hypothesis', 'time')
    """
    request = SimulateRequest(
        scenario=scenario,
        set=set or {},
        dose=dose,
        events=events,
        sort=sort,
        ignore=ignore,
        output=output,
        records=records,
        add=add,
        error=error,
        seed=seed,
        force=force,
        engine=engine,
        precision=precision,
        series=series,
    )
    return run(request, library=library, command=command)


@on_engine
def run(request: SimulateRequest, *, library: Library | None = None, command: str = "") -> Run:
    """The simulation of a request; `library` is one that was built already."""
    path, table = _check_files(request.events, request.output, request.records, request.force)
    if request.series is not None and request.events is None:
        raise InputError("it is for an event table; name one with --events", "--series")
    lanes.tightest(request.precision)
    added.check_names(request.add)
    if request.seed < 0:
        raise InputError(f"a seed is a whole number, 0 or more, not {request.seed}", "--seed")
    events = request.event_table()
    chosen = request.resolved(library)
    chosen = dataclasses.replace(chosen, config={**chosen.config, "precision": request.precision})
    if events is not None or chosen.subjects:
        return _simulate_events(chosen, request, events, path, table, command)
    for option, value in (("--add", request.add), ("--error", request.error)):
        if value:
            raise InputError("it is for the records of an event table; name one with --events", option)
    if chosen.plain:
        arms = simulation_arms.run_arms(
            chosen, simulation_arms.arms_of(chosen, chosen.doses), precision=request.precision
        )
        given, reason = None, ""
    else:
        found = event_runs.run(chosen, (event_arms.scenario_subject(chosen),), request.precision)
        arms, given, reason = found.of(0), found.arms, found.reason()
    numbers = outcome.of_arms(chosen, arms)
    mg, sentence = verdict.judge(chosen, arms, numbers=numbers)
    summary = SimulateSummary.of(
        {
            **about_scenario(chosen, path),
            "status": measures.of_status(arms.status, reason),
            "signals": measures.signals(chosen, arms, AS_GIVEN),
            "verdict": sentence,
            "outcome": outcome.summary_of(numbers),
            "mg": mg,
        }
    )

    def groups() -> dict[str, xr.Dataset]:
        from nanomg.jobs.simulate import group
        from nanomg.results.groups import record_rows

        rows = None
        if given is not None:
            rows = {name: record_rows(chosen, subjects, with_id=False) for name, subjects in given.items()}
        of_mg = group.of_verdict(mg, arms, AS_GIVEN)
        return {**group.of_arms(chosen, arms, rows), **group.of_outcome(numbers), **of_mg}

    return finish(groups, summary, path, job="simulate", **origin(chosen, request, 0, command))


def _simulate_events(
    scenario: Scenario,
    request: SimulateRequest,
    given: EventTable | None,
    path: Path | None,
    table: Path | None,
    command: str,
) -> Run:
    """The simulation of an event table, or of the one that a resolved configuration holds."""
    events = request.events_source
    if given is not None:
        subjects, reading = event_doses.subjects_in(scenario, given, events)
        scenario = dataclasses.replace(event_doses.titled(scenario, given["name"]), reading=reading)
    else:
        subjects, given = scenario.subjects, scenario.config["events"]
        events = given["name"]
    process.trim()
    errors = added.residual_errors(request.error, scenario)
    if table is not None:
        _check_columns(scenario, [*request.add, *(name + added.OBSERVED for name in errors)], given, events)
    series = request.series
    at_times = table is None or path is not None or len(subjects) <= SERIES_OF if series is None else series
    asked = {"events": given, "series": at_times}
    scenario = dataclasses.replace(scenario, config={**scenario.config, **asked})
    most = math.inf if series else MOST_NUMBERS
    found = event_runs.run(scenario, subjects, scenario.config["precision"], at_times, most)
    further = added.added_columns(scenario, subjects, found.seen, request.add, errors, request.seed)
    numbers, mg, effects, sentence = _judge_subjects(scenario, found)
    summary = SimulateSummary.of(
        {
            **about_scenario(scenario, path, subjects),
            "events": events,
            "records": str(table) if table else None,
            "status": measures.of_subjects(found),
            "signals": measures.signals_of_subjects(scenario, found),
            "verdict": sentence,
            "outcome": None if numbers is None else outcome.summary_of(numbers),
            "mg": mg,
            "mg_of_subjects": effects,
        }
    )

    def groups() -> dict[str, xr.Dataset]:
        from nanomg.jobs.simulate import group
        from nanomg.results import groups as results_groups

        rows = {arm: results_groups.record_rows(scenario, given) for arm, given in found.arms.items()}
        made = {
            "records": results_groups.records(scenario, subjects, found.seen).assign(group.of_added(further)),
            "doses": results_groups.doses(rows),
            "parameters": results_groups.parameters(scenario),
        }
        if len(found.times):
            names = [subject.id for subject in subjects]
            made["simulation"] = results_groups.trajectories(
                scenario.model, list(found.arms), found.hypotheses, found.times, found.data, found.status, names
            )
        if numbers is not None:
            made |= group.of_outcome(numbers)
        return made | group.of_verdict(mg, found.of(0), AS_GIVEN)

    if table is not None:
        with files.replacing(table) as file:
            columns = {name: column.values for name, column in further.items()}
            for rows in event_runs.record_lines(scenario, found, columns, given, events):
                file.write(rows.encode())
    return finish(groups, summary, path, job="simulate", **origin(scenario, request, request.seed, command))


def _check_columns(scenario: Scenario, further: Sequence[str], table: EventTable, source: str) -> None:
    """Reject an event table that has a column which the results would add."""
    header = event_table.header_of(table["text"], source, event_doses.layout_in(scenario, table))
    taken = {name.upper() for name in header} & {name.upper() for name in (*scenario.outputs, *further)}
    if taken:
        raise InputError(
            f"the event table has a column {min(taken)} already, and the results would add it again", source
        )


def _judge_subjects(
    scenario: Scenario, found: event_runs.EventRuns
) -> tuple[OutcomeNumbers | None, dict[str, Any] | None, dict[str, Any], str]:
    """The outcome, the effect of Mg on one subject or on each of several, and the conclusion."""
    if not scenario.config["series"]:
        why = "subjects were simulated at their records only, without control arms (--series adds both)"
        return None, None, {}, f"No conclusion: {why}."
    if not len(found.times):
        why = "a reset restarts the clock, so there are no common times and values are at the records only"
        return None, None, {}, f"No conclusion: {why}."
    if not found.close:
        why = "there are too many different dose times; use fewer subjects or doses"
        return None, None, {}, f"No conclusion: {why}."
    if len(found.subjects) == 1:
        arms = found.of(0)
        numbers = outcome.of_arms(scenario, arms)
        mg, sentence = verdict.judge(scenario, arms, numbers=numbers)
        return numbers, mg, {}, sentence
    given = [i for i, subject in enumerate(found.subjects) if event_arms.brings_mg(scenario, [subject])]
    numbers = outcome.of_subjects(scenario, found, given or range(len(found.subjects)))
    if not given:
        return numbers, None, {}, verdict.without_mg(scenario, found, numbers)
    arms_of = {found.subjects[i].id: found.of(i) for i in given}
    return numbers, None, *verdict.judge_each(scenario, arms_of, numbers)


def _check_files(
    events: Any, output: StrPath | None, records: StrPath | None, force: bool
) -> tuple[Path | None, Path | None]:
    """The files to be written, once it is sure that they may be."""
    if records is not None and events is None:
        raise InputError("it needs an event table; name one with --events", "--records")
    path = files.check_result(output, force) if output is not None else None
    if records is not None and Path(records).suffix.lower() not in _RECORDS:
        raise InputError("the table of records is a CSV file; its name must end in .csv", str(records))
    table = files.check_output(records, force) if records is not None else None
    given = [Path(file).resolve() for file in (events, path, table) if isinstance(file, str | Path)]
    if len({*given}) < len(given):
        raise InputError("the event table, the output and the records must be different files", str(given[-1]))
    return path, table
