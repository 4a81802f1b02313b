"""Studies: measured data in CSV files, and how the model is compared with them.

A study is one TOML file. Its runs are simulated and its rows are compared with them, both as in nanomg.data.observations;
its series select data rows of a CSV file and turn them into such rows:

    title = "…"                 source = "key of references.bib"
    file = "folder/data.csv"                                       below the folder of raw data
    columns = { time = "time_h", time_unit = "h", value = "conc", unit = "mg/L", sd = "sd" }      sd can be left out

    [run.low]                   as in a table of observations
    [[series]]                  run = "low"
    where = { organ = "plasma", dose = ["low", "middle"] }         what these columns hold
    shift = "25 h"              added to the column's time to have that of the run
    from, to                    the window of the data, in the run's time
    together = "30 min"         times no further apart than this are one
    aggregate = "mean"          of replicates: mean, geometric, median, none; in a run with subjects q05 … q95,
                                "share above 10 mm^3" or "share below …", which are then taken over its subjects too
    statistic = "half-life"     one row for the whole window instead of one for each time
    per = "mouse"               column by which the statistic is computed (one per value), then aggregated
    part = "fit"                or judge, or reference: only for others to be compared with (`against`)
    error = 0.2                 relative, or sd = "5 percent"; residuals are ln(predicted / observed) / error and difference / sd
    signal, divide_by, baseline, against, …                        as in a row: the prediction is divided, both are compared
    [[row]]                     as in a table of observations, with part and error; low and high hold 90 %

    [fit]                       card = "…"   starts = 8
    free = { "liposome.K_ext" = { low = "0.001 mL/g/h", high = "0.1 mL/g/h", prior = { value = "0.01 mL/g/h", cv = 0.5 } } }

A series may have its own `file` and `columns`, and its own `unit` of the column of values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nanomg import units
from nanomg.data import observations
from nanomg.data.observations import ObservedRun, Row
from nanomg.data.series import Series
from nanomg.errors import InputError
from nanomg.library.library import Library
from nanomg.library.toml import Reader, load_toml

ERROR = 0.2  # relative, of data without a stated one
PARTS = ("fit", "judge", "reference")
_USES = {"fit": ("calibrate", "fitted"), "judge": ("validate", "kept from the fit")}
_KEYS = {"title", "source", "file", "columns", "run", "series", "row", "fit"}
_FIT = {"card", "starts", "free"}
_FREE = {"low", "high", "prior"}
_OWN = ("part", "error", "series", "subject")  # of a row, and not of observations
P95 = 1.6448536269514722  # 95th percentile of the standard normal distribution


class Error(NamedTuple):
    """How far a measurement may be off: a relative standard deviation, or one in the row's unit."""

    sd: float
    relative: bool


class Datum(NamedTuple):
    """A row of observations, how it takes part, and the series that it belongs to; `subject` is its ID where that is known."""

    row: Row
    part: str
    error: Error
    series: str
    subject: str = ""


class FreeParameter(NamedTuple):
    """A parameter to be fitted: bounds, and the median and coefficient of variation of a prior."""

    name: str
    low: str
    high: str
    prior: tuple[str, float] | None = None


@dataclasses.dataclass(frozen=True)
class Study:
    """The content of a study file, with its data; `notes` are sentences about how a table was read."""

    name: str
    title: str
    source: str
    runs: Mapping[str, ObservedRun]
    data: tuple[Datum, ...]
    free: tuple[FreeParameter, ...]
    card: str
    starts: int = 4
    notes: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects whose data are fitted together, if they are known."""
        return tuple(dict.fromkeys(datum.subject for datum in self.data if datum.part == "fit" and datum.subject))


# ---------------------------------------------------------------- a study file
def read(path: Path, raw: Path, library: Library, card: str = "") -> Study:
    """The study of a file, with data from below `raw` and the values of `card`, or of the card that it names, in every run.

    Raises `InputError` of one sentence for everything that is wrong with it.
    """
    where = f"study {path.stem!r}"
    data = Reader(load_toml(path), where, _KEYS, {"title", "source", "run"})
    fit = _fit(data.get("fit", {}), where)
    fit["card"] = card = card or fit["card"]
    runs = runs_with_card(data["run"], library, card, where, raw)
    series = [
        Series.read(entry, data, raw, runs, f"{where}, series {i}") for i, entry in enumerate(data.tables("series"), 1)
    ]
    entries = [entry for one in series for entry in one.entries(series)]
    entries += [(entry, f"{where}, row {i}") for i, entry in enumerate(data.tables("row"), 1)]
    found = tuple(datum_of({"source": data["source"], **entry}, runs, at) for entry, at in entries)
    return Study(path.stem, str(data["title"]), str(data["source"]), runs, found, **fit)


def runs_with_card(entries: Any, library: Library, card: str, where: str, raw: Path) -> dict[str, ObservedRun]:
    """The runs, with the card appended to those that do not have it."""
    if not card:
        raise InputError("name the card to fit", where)
    runs = observations.runs_of({"run": entries}, library, where, raw)
    path = library.card(card).path
    lacking = {name: entries[name] for name, run in runs.items() if path not in (c.path for c in run.scenario.cards)}
    if lacking:
        with_card = {name: {**entry, "cards": [*entry.get("cards", ()), card]} for name, entry in lacking.items()}
        runs |= observations.runs_of({"run": with_card}, library, where, raw)
    return runs


def datum_of(table: Mapping[str, Any], runs: Mapping[str, ObservedRun], where: str) -> Datum:
    """A row with its part and error, and the subject that it was measured in."""
    entry = Reader(table, where)
    part = entry.one_of("part", _USES, "fit")
    use, reason = _USES[part]
    plain = {key: value for key, value in entry.items() if key not in _OWN}
    row = observations.row_of({"quality": "read", "reason": reason, **plain, "use": use}, runs, where)
    if row.measure is None or math.isnan(row.value):
        raise InputError("a row of a study needs a run and a value", where)
    if "error" in entry or "cv" in entry:
        error = Error(entry.above_zero("error" if "error" in entry else "cv"), True)
    elif "sd" in entry:
        error = Error(entry.above_zero("sd"), False)
    elif "low" in entry:
        if not row.low < row.high:
            raise entry.error(f"low and high are both {row.low:g}, so the error is 0; give an error or an sd")
        error = Error((row.high - row.low) / (2 * P95), False)
    else:
        error = Error(ERROR, True)
    if error.relative and not row.value > 0:
        raise InputError(f"a value of {row.value:g} {row.unit} has no relative error; give an sd", where)
    return Datum(row, part, error, str(entry.get("series", row.quantity)), str(entry.get("subject", "")))


def _fit(table: Any, where: str) -> dict[str, Any]:
    entry = Reader(table, f"{where}, [fit]", _FIT)
    return {
        "card": entry.text("card"),
        "starts": entry.whole("starts", 1, 4),
        "free": tuple(_free(name, e, f"{entry.where}, {name}") for name, e in entry.table("free").items()),
    }


def _free(name: str, table: Any, where: str) -> FreeParameter:
    entry, prior = Reader(table, where, _FREE, {"low", "high"}), None
    if "prior" in entry:
        given = Reader(entry["prior"], f"{where}, prior", {"value", "cv"}, {"value", "cv"})
        prior = str(given["value"]), given.above_zero("cv")
    return FreeParameter(name, str(entry["low"]), str(entry["high"]), prior)


def free_option(text: str) -> FreeParameter:
    """`"pk.CL=1..10 L/h"` as a free parameter; the lower bound takes the unit of the upper one where it has none."""
    name, sign, bounds = (part.strip() for part in text.partition("="))
    low, dots, high = (part.strip() for part in bounds.partition(".."))
    if not (name and sign and low and dots and high):
        raise InputError(f"{text!r} is not NAME=LOW..HIGH with a unit, such as pk.CL='1..10 L/h'", "--fit")
    value, unit = units.split_quantity(low, f"--fit, {name}")
    return FreeParameter(name, low if unit else f"{value!r} {units.split_quantity(high, f'--fit, {name}')[1]}", high)
