"""What `optimize` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.simulate.summary import MgEffect, OutcomeTable, Signal
from nanomg.jobs.summary import Ending, JobSummary
from nanomg.schema import JsonRecord, Number, about


@dataclass(frozen=True, kw_only=True)
class TermValue(JsonRecord):
    """A term of the objective."""

    baseline: Number = field(metadata=about("value of the scenario's regimen"))
    optimum: Number = field(metadata=about("value of the optimum"))


@dataclass(frozen=True, kw_only=True)
class ConstraintValue(JsonRecord):
    """A constraint and what the optimum reaches, in `unit`."""

    name: str = field(metadata=about("what is limited"))
    limit: Number = field(metadata=about("limit"))
    value: Number = field(metadata=about("value of the optimum"))
    slack: Number = field(metadata=about("distance to the limit, negative where it is exceeded"))
    unit: str = field(metadata=about("unit"))
    side: str | None = field(default=None, metadata=about("max: an upper limit; min: a lower one", optional=True))
    size: Number | None = field(
        default=None, metadata=about("what slack is relative to, if not the limit", optional=True)
    )
    value_by_hypothesis: Mapping[str, Number] | None = field(
        default=None, metadata=about("value under each LFA-1 hypothesis", optional=True)
    )


@dataclass(frozen=True, kw_only=True)
class GivenDose(JsonRecord):
    """A dose of a regimen."""

    time_h: Number = field(metadata=about("time", unit="h"))
    cmt: str = field(metadata=about("port or state dosed"))
    amt: Number = field(metadata=about("amount in `unit`"))
    unit: str = field(metadata=about("unit of the amount"))
    duration_h: Number = field(metadata=about("duration; 0 is a bolus", unit="h"))


@dataclass(frozen=True, kw_only=True)
class SearchStart(JsonRecord):
    """Where a start of the search ended."""

    objective: Number = field(metadata=about("objective"))
    violation: Number = field(metadata=about("largest violation of a constraint, relative"))
    feasible: bool = field(metadata=about("whether every constraint is kept"))


@dataclass(frozen=True, kw_only=True)
class OptimizeSummary(JobSummary):
    """The best regimen that was found."""

    job: ClassVar[str] = "optimize"

    scenario: str = field(metadata=about("name of the scenario"))
    status: Ending = field(metadata=about("how the trajectories ended"))
    feasible: bool = field(metadata=about("whether every constraint is kept"))
    objective: Number = field(metadata=about("objective of the optimum"))
    baseline_objective: Number = field(metadata=about("objective of the scenario's regimen"))
    terms: Mapping[str, TermValue] = field(metadata=about("terms of the objective by name"))
    constraints: tuple[ConstraintValue, ...] = field(metadata=about("constraints"))
    regimen: tuple[GivenDose, ...] = field(metadata=about("the optimum"))
    baseline_regimen: tuple[GivenDose, ...] = field(metadata=about("the scenario's regimen"))
    starts: tuple[SearchStart, ...] = field(metadata=about("where the starts ended"))
    evaluations: int = field(metadata=about("evaluations of the objective"))
    seconds: Number = field(metadata=about("time of the search", unit="s"))
    kkt_residual: Number = field(metadata=about("residual of the optimality conditions"))
    converged: bool = field(metadata=about("whether the search converged"))
    signals: Mapping[str, Signal] = field(metadata=about("outputs of the optimum by name"))
    verdict: str = field(metadata=about("the answer in a sentence"))
    outcome: OutcomeTable | None = field(
        default=None, metadata=about("outputs of all arms and hypotheses, with differences", optional=True)
    )
    mg: MgEffect | None = field(default=None, metadata=about("what the Mg does"))


Summary = OptimizeSummary
