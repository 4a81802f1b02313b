"""Columns that a table of records gets besides the outputs: time after dose, occasion, and outputs with residual error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nanomg import units
from nanomg.dosing.event_record import Subject
from nanomg.dosing.occasions import occasions_of
from nanomg.errors import InputError, unknown
from nanomg.library.scenario import Scenario
from nanomg.population import streams

TIME_AFTER_DOSE, OCCASION = "TAD", "OCC"
COLUMNS = (TIME_AFTER_DOSE, OCCASION)
OBSERVED = ".observed"  # after the name of an output: its value with residual error

_LOG = re.compile(r"log(?:-?normal)?\s+(.*)", re.IGNORECASE)
_WHERE = "--error"


class ResidualError(NamedTuple):
    """The residual error of an output: `y exp(log e1) (1 + proportional e2) + additive e3`, with standard normal numbers e."""

    log: float = 0.0
    proportional: float = 0.0
    additive: float = 0.0  # in the unit in which the output is shown


class AddedColumn(NamedTuple):
    """Numbers at each record (record,), with their unit and meaning."""

    values: np.ndarray
    unit: str
    text: str


def residual_errors(texts: Sequence[str], scenario: Scenario) -> dict[str, ResidualError]:
    """The residual errors of outputs that texts such as `pk.C: 15 % + 0.1 mg/L` describe.

    A percentage is the standard deviation of a proportional error, after `log` that of the logarithm, and an amount that of
    an additive one. Raises `InputError` for anything else.
    """
    errors: dict[str, ResidualError] = {}
    for text in texts:
        name, colon, terms = (part.strip() for part in text.partition(":"))
        if not colon:
            raise InputError(f"{text!r} is not OUTPUT: ERROR, such as 'pk.C: 15 % + 0.1 mg/L'", _WHERE)
        if name not in scenario.outputs:
            raise unknown("output", name, scenario.outputs, _WHERE)
        if name in errors:
            raise InputError(f"the error of {name} is there twice", _WHERE)
        errors[name] = _residual_error(name, terms, scenario.outputs[name])
    return errors


def _residual_error(name: str, terms: str, unit: str) -> ResidualError:
    found: dict[str, float] = {}
    where = f"{_WHERE}, {name}"
    for term in terms.split("+"):
        logged = _LOG.fullmatch(term.strip())
        value, of = units.split_quantity(logged[1] if logged else term, where)
        kind = "log" if logged else "proportional" if of in ("%", "percent") else "additive"
        if logged and of not in ("%", "percent"):
            raise InputError(f"a log-normal error is a percentage, not {logged[1]!r}", where)
        if kind in found:
            raise InputError(f"there are two {kind} errors; give one", where)
        found[kind] = units.convert(value, of, unit, where) if kind == "additive" else value / 100
        if not 0 <= found[kind] < np.inf:
            raise InputError(f"an error must be 0 or more, and finite, not {term.strip()}", where)
    return ResidualError(**found)


def added_columns(
    scenario: Scenario,
    subjects: Sequence[Subject],
    seen: Mapping[str, np.ndarray],
    names: Sequence[str],
    errors: Mapping[str, ResidualError],
    seed: int,
) -> dict[str, AddedColumn]:
    """The columns of these names, and each output with a residual error, from its values at the records (record,).

    The random numbers of an output do not depend on the other ones.
    """
    columns: dict[str, AddedColumn] = {}
    if names:
        occasions = occasions_of(subjects)
        known = {
            TIME_AFTER_DOSE: AddedColumn(occasions.time_after_dose, "h", "time after the last dose"),
            OCCASION: AddedColumn(occasions.occasion, "1", "number of dosing times so far"),
        }
        columns |= {name: known[name] for name in names}
    for name, error in errors.items():
        text = f"{scenario.model.declaration(name).text}, with residual error"
        columns[name + OBSERVED] = AddedColumn(_observed(name, error, seen[name], seed), scenario.outputs[name], text)
    return columns


def _observed(name: str, error: ResidualError, values: np.ndarray, seed: int) -> np.ndarray:
    """Values of an output with its residual error, of which each kind has a stream of its own."""
    rows = np.arange(len(values))
    log, proportional, additive = (
        size * streams.normal(f"{kind} error of {name}", seed, rows)
        for kind, size in zip(error._fields, error, strict=True)
    )
    return np.asarray(values * np.exp(log) * (1.0 + proportional) + additive)


def check_names(names: Sequence[str]) -> None:
    """Raise `InputError` for a column that does not exist, or that is asked for twice."""
    for name in names:
        if name not in COLUMNS:
            raise unknown("column to add", name, COLUMNS, "--add")
    if len({*names}) < len(names):
        raise InputError("a column is there twice", "--add")
