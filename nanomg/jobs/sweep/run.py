"""A sweep: every trajectory of a design solved, written as it comes, and merged into one file.

    nanomg.sweep("mouse-mc38-iv", vary=["dose.liposome.iv.amount=0.1..4 mg:log:8"], subjects=1000, keep=["tumour.volume:final"])

Parts of the work are solved side by side on the cores of this machine, on its GPUs, or by the workers of a Dask cluster, and each
is on disk as soon as it is done: a sweep that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import files
from nanomg.compute import cluster, process
from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import columns_of
from nanomg.errors import InputError
from nanomg.jobs.request import about_scenario, on_engine
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.keep import RECORD, RECORDS, SERIES, STATUS
from nanomg.jobs.sweep.point_tally import PointTally
from nanomg.jobs.sweep.prepared import PreparedSweep, Recipe, prepare
from nanomg.jobs.sweep.regimens import ID, REGIMEN
from nanomg.jobs.sweep.request import SweepRequest
from nanomg.jobs.sweep.summary import SweepSummary
from nanomg.jobs.sweep.tally import Tally, population
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.results import file, sweep_store
from nanomg.results import groups as results_groups
from nanomg.results import parts as results_parts
from nanomg.results.attributes import of_quantity, unit_of
from nanomg.results.run import Run
from nanomg.simulation.arms import AS_GIVEN
from nanomg.solver.status import Status

_TRIM = 4096  # trajectories after which free memory goes back to the system, lest it wears into pieces


class Progress(NamedTuple):
    """How far a sweep is: trajectories in all, done before it started and now, failed, and seconds since the start."""

    total: int
    before: int
    done: int
    failed: int
    seconds: float


def sweep(
    scenario: str | Scenario,
    *,
    library: Library | None = None,
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
    read: bool = True,
    **asked: Any,
) -> Run:
    """Simulate a scenario over axes of parameters and doses, and over virtual subjects.

    Args:
        scenario: name of a scenario, path of a TOML file, or a loaded `Scenario`.
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.
        progress: called with the progress after each part.
        read: whether `tree` is read back; without it a large result stays on disk only.
        asked: the fields of `SweepRequest`, among them
            `vary`: axes ("liposome.k_leak=1e-4..0.01 1/h:log:8");
            `subjects` and `population`: number and population of the virtual subjects;
            `keep`: read-outs ("tumour.volume:final") [default: the final values of the scenario's outputs];
            `paired`: also simulate each trajectory without its Mg;
            `sample` and `points`: "grid", "sobol" or "lhs", and the number of points;
            `events`: event table (path or frame), whose subjects are the dimension `ID`, `id`: only this one of them, `sort`: put
            its rows in order, and `ignore`: what starts a comment in it;
            `seed`, `set`, `dose`, `precision`, `engine`, `device`, `memory` (per core);
            `output`: path of the result file (.h5), `force`: overwrite it;
            `resume`: continue an interrupted sweep, `parts`: do not merge its parts;
            `workers`: number of worker processes, or `scheduler`: address of a Dask scheduler.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`. A trajectory that
        failed is NaN and has a `status`.

    Raises:
        InputError: something is wrong with the request.

    Example:
        >>> import nanomg
        >>> run = nanomg.sweep("textbook-1cpt", vary=["dose.amount=50,100 mg", "pk.V=30..40 L:3"], keep=["pk.C:max"])
        >>> peak = run.tree["sweep"]["pk.C:max"]  # mg/L
        >>> dict(peak.sizes)
        {'dose.amount': 2, 'pk.V': 3}
    """
    request = SweepRequest(scenario=scenario, **asked)
    return run(request, library=library, command=command, progress=progress, read=read)


@on_engine
def run(
    request: SweepRequest,
    *,
    library: Library | None = None,
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
    read: bool = True,
) -> Run:
    """The sweep of a request; `library` is one that was built already, and `progress` is called after each part."""
    return run_prepared(prepare(request, library), command=command, progress=progress, read=read)


def run_prepared(
    todo: PreparedSweep,
    *,
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
    read: bool = True,
) -> Run:
    """The sweep that was prepared."""
    request = todo.request
    if request.resume and request.force:
        raise InputError("--resume continues the sweep and --force discards it; give one of them")
    if request.workers is not None and request.scheduler is not None:
        raise InputError("give --workers or --scheduler, not both", "--workers, --scheduler")
    if request.workers is not None and todo.batch.choice.platform == "gpu":
        raise InputError("worker processes compute on the CPU; remove --workers, or use --device cpu", "--workers")
    if request.output is not None:
        with files.reserved(request.output):
            at, summary = _swept(todo, Path(request.output), command, progress)
        return Run(summary, at, lambda: file.open(at) if read else xr.DataTree())
    if request.resume or request.parts:
        raise InputError("name the output file; without it nothing is written", "--output")
    with tempfile.TemporaryDirectory() as folder:
        at, summary = _swept(todo, Path(folder) / "sweep.h5", command, progress)
        tree = file.open(at).load()
        return Run(dataclasses.replace(summary, output=None), None, lambda: tree)


def _swept(
    todo: PreparedSweep, path: Path, command: str, progress: Callable[[Progress], None] | None
) -> tuple[Path, SweepSummary]:
    """The file, or folder of parts, and the summary."""
    began = time.perf_counter()
    found, request = todo.batch, todo.request
    asked = request.recorded(todo.scenario)
    attributes = functools.partial(
        file.root_attributes,
        job="sweep",
        device=found.choice.text,
        title=f"Sweep: {todo.scenario.title}",
        config={**todo.recipe.config, "request": asked, "precision": found.plan.precision},
        seed=found.seed,
        model=todo.scenario.model,
        command=command,
    )
    made = attributes()
    versions = json.loads(str(made["package_versions_json"]))
    identity = {
        **asked,
        **todo.recipe.config,
        **{key: made[key] for key in _SAME},
        "population_sha256": todo.recipe.population,
        "versions": versions,
    }
    with sweep_store.Store.create(path, _layout(todo), identity, resume=request.resume, force=request.force) as kept:
        if kept.complete:
            there = SweepSummary.from_json(file.read_summary(kept.at), str(kept.at))
            return kept.at, dataclasses.replace(there, output=str(kept.at))
        todo = dataclasses.replace(todo, part=kept.layout.part)
        tally, at_points = Tally(found), PointTally(found)
        missing = kept.missing()
        for number in sorted({*range(kept.layout.parts)} - {*missing}):
            done = kept.range(number)[0], kept.read(number)
            tally.add(*done)
            at_points.add(*done)
        before, computing = tally.done, 0.0
        with contextlib.closing(_solved(todo, missing, request.workers, request.scheduler)) as solved:
            for number, arrays, seconds in solved:
                kept.write(number, arrays)
                tally.add(kept.range(number)[0], arrays)
                at_points.add(kept.range(number)[0], arrays)
                computing += seconds
                if progress is not None:
                    progress(Progress(found.total, before, tally.done, tally.failed, time.perf_counter() - began))
        took, new = time.perf_counter() - began, tally.done - before
        side = request.workers or found.choice.side
        summary = SweepSummary.of(
            {
                **_about(todo, tally, at_points),
                "seconds": took,
                "subjects_per_second": new / took,
                "computed": new,
                "share_computing": None if request.scheduler is not None else computing / (side * took),
            }
        )
        groups = {
            "doses": results_groups.doses({AS_GIVEN: results_groups.regimen_rows(todo.scenario)}),
            "parameters": results_groups.parameters(todo.scenario),
        }
        at = (kept.finish if request.parts else kept.merge)(groups, attributes(summary=summary))
    return at, dataclasses.replace(summary, output=str(at if request.parts else path))


def _about(todo: PreparedSweep, tally: Tally, at_points: PointTally) -> dict[str, Any]:
    """What a summary says of the trajectories."""
    found, quantities = todo.batch, tally.quantities()
    if not tally.one_distribution:
        quantities = {
            name: entry | dict.fromkeys(("q05", "median", "q95"), np.nan) for name, entry in quantities.items()
        }
    return {
        **about_scenario(todo.scenario, None),
        "subjects": found.subjects,
        "trajectories": found.total,
        "dims": found.dims,
        "failed": tally.failed,
        "reasons": tally.reasons,
        "device": found.choice.text,
        "device_reason": found.choice.reason,
        "population": population(found),
        "sweep": quantities,
        "axes": {
            name: {"unit": unit_of(coord.attrs), "text": str(coord.attrs.get("long_name", name))}
            for name, coord in found.design.coords.items()
            if name != REGIMEN
        },
        "points": at_points.points(),
        "points_in_all": at_points.total,
        "verdict": tally.sentence(),
    }


# what must be the same for a sweep to go on from its parts
_SAME = ("model_hash", "device")


def _layout(todo: PreparedSweep) -> results_parts.PartLayout:
    """What the file holds of each trajectory."""
    found = todo.batch
    variables = {}
    for keep in found.kept:
        covariate = keep.name in found.population.covariates
        text = keep.name if covariate else todo.scenario.model.declaration(keep.name).text
        about = of_quantity(keep.unit, keep.text(text))
        variables[keep.label] = results_parts.Variable(_DIMS.get(keep.how, ()), found.plan.precision, about)
    ended = file.flags((), 0, [s.reason for s in Status], "outcome of the trajectory")
    variables[STATUS] = results_parts.Variable((), "int8", ended.attrs)
    coords, sizes = dict(found.design.coords), {}
    hows = {keep.how for keep in found.kept}
    if SERIES in hows:
        sizes["time"] = len(found.regular)
        coords["time"] = xr.Variable(("time",), found.regular, results_groups.about("h", "time since the start"))
    if RECORDS in hows:
        sizes[RECORD] = found.source.most_records
        coords["record_time"] = _record_times(todo.scenario.subjects, sizes[RECORD])
    return results_parts.PartLayout(found.dims, variables, todo.part, sizes, coords)


_DIMS = {SERIES: ("time",), RECORDS: (RECORD,)}


def _record_times(subjects: Sequence[Subject], most: int) -> xr.Variable:
    """The times of the records, (ID, record) or of one subject (record,), filled up with NaN."""
    times = np.full((len(subjects), most), np.nan)
    for row, subject in zip(times, subjects, strict=True):
        row[: len(subject.records)] = columns_of([subject])[0].time
    about = results_groups.about("h", "time of the record")
    return xr.Variable((ID, RECORD), times, about) if len(subjects) > 1 else xr.Variable((RECORD,), times[0], about)


def estimate(todo: PreparedSweep, workers: int | None = None) -> dict[str, Any]:
    """What a sweep will take: trajectories, bytes before compression, and the time, measured on a part of it."""
    found = todo.batch
    side = workers or found.choice.side
    found.solve(0, min(found.block, found.total))  # compiles
    pieces = [(0, min(found.block, found.total))] * side
    began = time.perf_counter()
    for _ in _in_threads(
        lambda number: _timed(found, number, *pieces[number]), range(side), min(side, found.choice.side)
    ):
        pass
    rate = sum(stop - start for start, stop in pieces) / (time.perf_counter() - began)
    return {
        "scenario": todo.scenario.name,
        "dims": found.dims,
        "trajectories": found.total,
        "parts": math.ceil(found.total / todo.part),
        "trajectories_of_a_part": todo.part,
        "bytes": found.total * found.bytes_each,
        "subjects_per_second": rate,
        "seconds": found.total / rate,
        "device": found.choice.text,
        "device_reason": found.choice.reason,
        "side_by_side": side,
    }


def _solved(
    todo: PreparedSweep, numbers: Sequence[int], workers: int | None, scheduler: str | None
) -> Generator[tuple[int, dict[str, np.ndarray], float], None, None]:
    """Parts as they are done: number, arrays, and the seconds that it took one worker."""
    if workers is None and scheduler is None:
        solve = lambda number: _timed(todo.batch, number, *todo.range(number))
        yield from _in_threads(solve, numbers, todo.batch.choice.side)
        return
    shared = uuid.uuid4().hex, todo.recipe._replace(most=todo.part)
    pieces = ((number, *todo.range(number)) for number in numbers)
    for (number, *_), (arrays, seconds) in cluster.map_pieces(
        _by_worker, shared, pieces, workers=workers, scheduler=scheduler
    ):
        yield number, arrays, seconds


def _in_threads(
    solve: Callable[[int], tuple[Any, float]], numbers: Iterable[int], side: int
) -> Generator[Any, None, None]:
    """So many parts side by side; the next one starts before the last is handed on."""
    waiting: dict[Future[Any], int] = {}
    queue = iter(numbers)
    with ThreadPoolExecutor(side) as pool:
        try:
            for number in itertools.islice(queue, side):
                waiting[pool.submit(solve, number)] = number
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    number = waiting.pop(future)
                    if (later := next(queue, None)) is not None:
                        waiting[pool.submit(solve, later)] = later
                    arrays, seconds = future.result()
                    yield number, arrays, seconds
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _timed(found: Trajectories, number: int, start: int, stop: int) -> tuple[dict[str, np.ndarray], float]:
    """A part, and the seconds that it took. Every few parts free memory goes back to the system."""
    began = time.perf_counter()
    arrays = found.solve(start, stop)
    if number % math.ceil(_TRIM / (stop - start)) == 0:
        process.trim()
    return arrays, time.perf_counter() - began


_own: dict[str, Trajectories] = {}  # the batch that this worker process has built


def _by_worker(shared: tuple[str, Recipe], piece: tuple[int, int, int]) -> tuple[dict[str, np.ndarray], float]:
    """What a worker of a cluster does."""
    token, recipe = shared
    if token not in _own:
        _own.clear()
        _own[token] = recipe.batch()
    return _timed(_own[token], *piece)
