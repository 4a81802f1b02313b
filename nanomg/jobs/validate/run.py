"""The model against published numbers: every row of every table predicted, scored and counted.

Of a row that is calibrated or validated:

- The **fold error** is max(p/o, o/p) of prediction p and observation o. A prediction of the wrong sign, or 0, counts as tenfold.
  A row has none where there is no number to divide by: a published direction, bound or bare range, an observation of 0, and a
  difference, change or slope whose spread reaches 0.
- It is **within its spread** if it lies within two standard deviations, in the published range, or on the right side of a bound.
- It is a **miss** if it is outside its spread or, where none is published, off by more than 25 %; if its direction is wrong; and
  if its run failed.

A domain's noise floor is the geometric mean fold error between its rows of the same thing from different sources: what two studies
measured and report, without bounds and recalled, secondary or computed numbers.
Its validated rows stand if their geometric mean fold error is at most the domain's limit or 1.1 times the noise floor, whichever
is larger, and no run failed, be it of a row without a fold error. Where no row is validated nothing is said to stand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nanomg import files
from nanomg.data import observations
from nanomg.data.observations import USES, ObservationTable, Row
from nanomg.data.prediction import Prediction, Predictor
from nanomg.data.scores import NEAR, SCORED, TWICE, Score, noise_floor
from nanomg.errors import InputError
from nanomg.jobs.request import on_engine
from nanomg.jobs.summary import EventTableSummary
from nanomg.jobs.validate.request import ValidateRequest
from nanomg.jobs.validate.summary import TITLE, ValidateSummary
from nanomg.library.library import Library
from nanomg.results import file as result_file
from nanomg.results.groups import about
from nanomg.results.run import Run, finish

ABOVE_FLOOR = 1.1


_FINE = 60  # times along each course, for figures


# ---------------------------------------------------------------- the job
def validate(
    domains: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    force: bool = False,
    engine: str = "auto",
    library: Library | None = None,
    command: str = "",
) -> Run:
    """Compare the model with published values.

    Args:
        domains: names of observation tables, or paths of TOML files [default: all tables of the library].
        output: path of the result file (.h5), next to which figures are written; without it nothing is written.
        force: overwrite files that exist.
        engine: "auto" (native where it can run), "native" or "jax".
        library: mechanisms, cards and scenarios [default: the shipped library].
        command: the command line, for the history of the file.

    Returns:
        The run: `summary` (what `--json` prints), `tree` (the result as an xarray tree) and `path`. A run that failed is
        listed in the summary.

    Raises:
        InputError: a domain is unknown, or something is wrong in a table.

    Example:
        >>> import nanomg
        >>> run = nanomg.validate(["lnp"])
        >>> run.summary["rows"]["lnp"]["calibrate"]  # published values used for calibration
        4
    """
    return run(
        ValidateRequest(domains=domains, output=output, force=force, engine=engine), library=library, command=command
    )


@on_engine
def run(request: ValidateRequest, *, library: Library | None = None, command: str = "") -> Run:
    """The validation of a request; `library` is one that was built already."""
    shelf = request.shelves(library)
    path = files.check_result(request.output, request.force) if request.output is not None else None
    pictures: list[Path] = []
    tables = [observations.load(name, shelf) for name in dict.fromkeys(request.domains or sorted(shelf.observations))]
    if not tables:
        raise InputError("the library has no tables of observations")
    for one, other in itertools.combinations(tables, 2):
        if one.name == other.name:
            raise InputError(f"{one.path} and {other.path} are one domain by their names; rename one of them")
    if path is not None:
        pictures = [files.check_output(file, request.force) for file in _pictures(path, tables)]
    scores, prediction = scored(tables)
    scenarios = {f"{s.domain}/{m.run.name}": m.run.scenario for s in scores if (m := s.row.measure) is not None}
    summary = ValidateSummary.of(
        {
            "title": TITLE,
            **report(tables, scores),
            "output": str(path) if path else None,
            "event_tables": EventTableSummary.of_all(scenarios.values()),
            "figures": [str(file) for file in pictures],
        }
    )
    groups = {"rows": _rows(scores), "domains": _domains(summary["domains"])}
    models = tuple(dict.fromkeys(scenario.model for scenario in scenarios.values()))
    runs = {name: scenario.config_hash for name, scenario in scenarios.items()}
    config = {"runs": runs, "request": request.recorded()}
    finished = finish(
        groups, summary, path, job="validate", title=TITLE, config=config, seed=0, model=models, command=command
    )
    if path is not None:
        from nanomg.jobs.validate import figure  # with Matplotlib, which nothing else needs

        figure.observed(pictures[0], [(s.domain, s.row, s.predicted) for s in scores if s.row.use in SCORED])
        for table, file in zip(_with_curves(tables), pictures[1:], strict=True):
            figure.courses(file, table, prediction.courses)
    return finished


def scored(tables: Sequence[ObservationTable]) -> tuple[list[Score], Prediction]:
    """Every row of the tables with its prediction."""
    rows = [(table.name, row) for table in tables for row in table.rows]
    prediction = Predictor([row for _, row in rows], fine=_FINE).predict()
    scores = []
    for (domain, row), value in zip(rows, prediction.values[:, 0], strict=True):
        failed = prediction.reason(row)
        if row.measure is not None and not failed and not math.isfinite(value):
            failed = f"run {row.measure.run.name!r} has no such value"
        scores.append(Score(domain, row, math.nan if failed else float(value), failed))
    return scores, prediction


# ---------------------------------------------------------------- what is said
def report(tables: Sequence[ObservationTable], scores: Sequence[Score]) -> dict[str, Any]:
    """Domains by use, directions, misses, rows by use, and the rows that are looked at only.

    Every domain has an entry for its validated rows, with `n` 0 where there is none and nothing is judged.
    """
    scores_of = {table.name: [s for s in scores if s.domain == table.name] for table in tables}
    signs = [s for s in scores if s.row.sign and s.row.use in SCORED]
    return {
        "domains": [
            _domain(table, use, chosen)
            for table in tables
            for use in SCORED
            if (chosen := [s for s in scores_of[table.name] if s.row.use == use]) or use == "validate"
        ],
        "signs": {"n": len(signs), "right": sum(s.right for s in signs)},
        "misses": [_listed(s) for s in scores if not s.passes and s.row.use in SCORED],
        "rows": {name: {use: sum(s.row.use == use for s in rows) for use in USES} for name, rows in scores_of.items()},
        "looks": [_listed(s) for s in scores if s.row.use not in SCORED],
    }


def _domain(table: ObservationTable, use: str, scores: Sequence[Score]) -> dict[str, Any]:
    folds = np.array([s.fold for s in scores])
    known = folds[np.isfinite(folds)]
    failed = [s for s in scores if s.failed]
    dividing = len(known) + sum(_has_fold(s.row) for s in failed)
    spread = [bool(s.within) for s in scores if s.within is not None]
    gmfe, floor = float(np.exp(np.mean(np.log(known)))) if len(known) else math.nan, noise_floor(table.rows)
    allowed = max(table.limit, ABOVE_FLOOR * floor) if floor > 1 else table.limit
    share = lambda count, of: float(count) / of if of else math.nan
    return {
        "name": table.name,
        "use": use,
        "n": len(scores),
        "gmfe": gmfe,
        "noise_floor": floor,
        "within_1_25": share((known <= NEAR).sum(), dividing),
        "within_2": share((known <= TWICE).sum(), dividing),
        "within_2sd": share(sum(spread), len(spread)),
        "title": table.title,
        "failed": len(failed),
        "allowed": allowed,
        "stands": None if use != "validate" or not (len(known) or failed) else bool(gmfe <= allowed) and not failed,
    }


def _has_fold(row: Row) -> bool:
    return math.isfinite(Score("", row, 1.0).fold)


def _listed(score: Score) -> dict[str, Any]:
    row, measure = score.row, score.row.measure
    return {
        "domain": score.domain,
        "use": row.use,
        "quantity": row.quantity,
        "source": row.source,
        "place": row.place,
        "run": measure.run.name if measure else None,
        "predicted": score.predicted,
        "observed": row.sign or row.value,
        "low": row.low if not math.isnan(row.low) else row.value - 2 * row.sd,
        "high": row.high if not math.isnan(row.high) else row.value + 2 * row.sd,
        "unit": "sign" if row.sign else row.unit,
        "bound": row.bound,
        "fold": score.fold,
        "reason": score.failed or row.miss or ("" if row.use in SCORED else row.reason),
    }


# ---------------------------------------------------------------- what is written
def _pictures(path: Path, tables: Sequence[ObservationTable]) -> list[Path]:
    """The files of the figures beside the result."""
    names = ["observed", *(f"curves-{table.name}" for table in _with_curves(tables))]
    return [path.with_name(f"{path.stem}-{name}.png") for name in names]


def _with_curves(tables: Sequence[ObservationTable]) -> list[ObservationTable]:
    return [table for table in tables if observations.courses_of(table.rows)]


def _rows(scores: Sequence[Score]) -> xr.Dataset:
    dims = ("row",)
    numbers: Mapping[str, tuple[str, Any]] = {
        "value": ("published value, in `unit`", lambda s: s.row.value),
        "low": ("lower end of the published range, in `unit`", lambda s: s.row.low),
        "high": ("upper end of the published range, in `unit`", lambda s: s.row.high),
        "sd": ("published standard deviation, in `unit`", lambda s: s.row.sd),
        "sign": ("published direction; 0: a value", lambda s: s.row.sign),
        "predicted": ("prediction, in `unit`", lambda s: s.predicted),
        "fold_error": ("fold error", lambda s: s.fold),
        "within_spread": (
            "1 within, 0 outside the published spread",
            lambda s: np.nan if s.within is None else s.within,
        ),
    }
    texts: Mapping[str, tuple[str, Any]] = {
        "domain": ("table of observations", lambda s: s.domain),
        "run": ("run that predicts it", lambda s: s.row.measure.run.name if s.row.measure else ""),
        "signal": ("quantity of the model", lambda s: s.row.measure.signal if s.row.measure else ""),
        "statistic": ("read-out", lambda s: s.row.measure.statistic if s.row.measure else ""),
        "failed": ("why there is no prediction", lambda s: s.failed),
    }
    for name in ("quantity", "unit", "bound", "source", "place", "species", "population", "quality", "reason", "miss"):
        texts = {**texts, name: (name, lambda s, name=name: getattr(s.row, name))}
    variables: dict[str, Any] = {
        "use": result_file.flags(dims, [USES.index(s.row.use) for s in scores], USES, "use of the row")
    }
    for name, (text, of) in numbers.items():
        variables[name] = (dims, np.array([of(s) for s in scores], float), about("1", text))
    for name, (text, of) in texts.items():
        variables[name] = (dims, np.array([of(s) for s in scores], object), {"long_name": text})
    return xr.Dataset(variables)


def _domains(entries: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    dims = ("domain",)
    numbers = {
        "n": "number of rows",
        "gmfe": "geometric mean fold error",
        "noise_floor": "geometric mean fold error between studies",
        "allowed": "fold error allowed of validated rows",
        "within_1_25": "share within 1.25-fold",
        "within_2": "share within twofold",
        "within_2sd": "share within two standard deviations or the published range",
    }
    variables: dict[str, Any] = {
        key: (dims, np.array([entry[key] for entry in entries], float), about("1", text))
        for key, text in numbers.items()
    }
    for key, text in (("name", "table of observations"), ("use", "use of the rows")):
        variables[key] = (dims, np.array([entry[key] for entry in entries], object), {"long_name": text})
    return xr.Dataset(variables)
