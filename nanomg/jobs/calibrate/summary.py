"""What `calibrate` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.summary import JobSummary
from nanomg.schema import JsonRecord, Number, about


@dataclass(frozen=True, kw_only=True)
class Prior(JsonRecord):
    """What was assumed of a parameter before the fit."""

    value: Number = field(metadata=about("median"))
    cv: Number = field(metadata=about("coefficient of variation", unit="1"))


@dataclass(frozen=True, kw_only=True)
class FittedParameter(JsonRecord):
    """A fitted parameter, in `unit`."""

    unit: str = field(metadata=about("unit"))
    start: Number = field(metadata=about("value of the card"))
    estimate: Number = field(metadata=about("fitted value"))
    se: Number = field(metadata=about("standard error"))
    cv: Number = field(metadata=about("coefficient of variation of the estimate", unit="1"))
    low: Number = field(metadata=about("5 % point"))
    high: Number = field(metadata=about("95 % point"))
    bounds: tuple[Number, ...] = field(metadata=about("bounds of the fit"))
    start_outside: bool = field(metadata=about("whether the card's value lay outside of the bounds"))
    bound: str | None = field(metadata=about("the bound at which it ended, lower or upper"))
    prior: Prior | None = field(metadata=about("its prior, if it has one"))


@dataclass(frozen=True, kw_only=True)
class PartError(JsonRecord):
    """Errors of rows that were fitted or held out."""

    part: str = field(metadata=about("fit or judge"))
    series: str | None = field(metadata=about("series; null for all"))
    n: int = field(metadata=about("rows"))
    failed: int = field(metadata=about("rows without a prediction"))
    gmfe_at_start: Number = field(metadata=about("geometric mean fold error before the fit"))
    gmfe: Number = field(metadata=about("geometric mean fold error after the fit"))
    rmse: Number = field(metadata=about("root mean square error in `unit`"))
    unit: str | None = field(metadata=about("unit, where all rows have the same"))


@dataclass(frozen=True, kw_only=True)
class FittedRow(JsonRecord):
    """A measured value and its prediction after the fit."""

    quantity: str = field(metadata=about("what was measured"))
    part: str = field(metadata=about("fit or judge"))
    unit: str = field(metadata=about("unit"))
    observed: Number = field(metadata=about("measured value"))
    predicted: Number = field(metadata=about("prediction"))
    fold: Number = field(metadata=about("fold error"))
    residual: Number = field(metadata=about("residual in stated standard deviations"))
    n: int = field(metadata=about("number of measurements"))
    subject: str | None = field(default=None, metadata=about("ID of the subject, if it is known", optional=True))
    below: bool | None = field(
        default=None, metadata=about("true where the value is a limit that the quantity is below", optional=True)
    )
    failed: str | None = field(metadata=about("why there is no prediction"))


@dataclass(frozen=True, kw_only=True)
class PooledSubjects(JsonRecord):
    """Subjects whose data are fitted together, with one value of each parameter for all of them."""

    subjects: int = field(metadata=about("number of subjects"))
    clustered: bool = field(metadata=about("whether standard errors are clustered by subject"))
    quantile: Number = field(metadata=about("standard errors from an estimate to its 5 % and 95 % points"))


@dataclass(frozen=True, kw_only=True)
class StartsSummary(JsonRecord):
    """Where the starts of the search ended."""

    n: int = field(metadata=about("starts"))
    same_optimum: int = field(metadata=about("starts that ended at the best optimum"))
    converged: int = field(metadata=about("starts that converged"))
    cost: tuple[Number, ...] = field(metadata=about("half the sum of squared residuals at the end of each"))
    cost_at_start: tuple[Number, ...] = field(metadata=about("and at its beginning"))
    ends: Mapping[str, tuple[Number, ...]] = field(
        metadata=about("where each ended, by parameter, in the model's units", alias="values")
    )
    failed_evaluations: int = field(metadata=about("points without a prediction"))
    steps: int = field(metadata=about("steps of the search"))


@dataclass(frozen=True, kw_only=True)
class CalibrateSummary(JobSummary):
    """Parameters of a card fitted to measured data."""

    job: ClassVar[str] = "calibrate"

    study: str = field(metadata=about("name of the study"))
    source: str = field(metadata=about("its publication"))
    card: str = field(metadata=about("name of the card"))
    parameters: Mapping[str, FittedParameter] = field(metadata=about("fitted parameters by name"))
    correlation: tuple[tuple[Number, ...], ...] = field(metadata=about("correlation of the estimates"))
    rank: int = field(metadata=about("directions that the data determine"))
    singular_values: tuple[Number, ...] = field(metadata=about("of the data's scaled Jacobian"))
    identifiability: str = field(metadata=about("what the data determine, in a paragraph"))
    residual_sd: Number = field(metadata=about("residuals in stated standard deviations"))
    degrees_of_freedom: Number = field(metadata=about("degrees of freedom"))
    errors: tuple[PartError, ...] = field(metadata=about("errors before and after"))
    rows: tuple[FittedRow, ...] = field(metadata=about("every row"))
    starts: StartsSummary = field(metadata=about("the search"))
    seed: int = field(metadata=about("seed of the starts"))
    pooled: PooledSubjects | None = field(
        default=None, metadata=about("subjects whose data are pooled; null for one or unknown ones")
    )
    notes: tuple[str, ...] = field(default=(), metadata=about("how a table was read, in sentences"))
    written: str | None = field(default=None, metadata=about("the card, if one was written"))


Summary = CalibrateSummary
