"""What `sensitivity` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.summary import JobSummary
from nanomg.schema import JsonRecord, Number, about


@dataclass(frozen=True, kw_only=True)
class OutputValue(JsonRecord):
    """An output whose sensitivity is asked."""

    output: str = field(metadata=about("name and read-out"))
    value: Number = field(metadata=about("value in `unit`"))
    unit: str = field(metadata=about("unit"))
    text: str = field(metadata=about("what it is"))


@dataclass(frozen=True, kw_only=True)
class Elasticity(JsonRecord):
    """How an output depends on a parameter, or on all doses into a port together."""

    output: str = field(metadata=about("name and read-out"))
    parameter: str = field(metadata=about("parameter, or dose.PORT"))
    elasticity: float | None = field(
        metadata=about("percent change of the output per 1 % of the parameter; null where either is 0", unit="1")
    )
    slope: Number = field(metadata=about("change of the output per `unit` of the parameter"))
    value: Number = field(metadata=about("value of the parameter in `unit`"))
    unit: str = field(metadata=about("unit of the parameter"))
    low: float | None = field(metadata=about("low end of the range"))
    high: float | None = field(metadata=about("high end of the range"))
    at_low: float | None = field(metadata=about("change of ln(output) at the low end, to first order"))
    at_high: float | None = field(metadata=about("change of ln(output) at the high end, to first order"))
    range_effect: float | None = field(metadata=about("their difference"))
    basis: str = field(metadata=about("how the value is known"))
    text: str = field(metadata=about("what the parameter is"))


@dataclass(frozen=True, kw_only=True)
class VariedParameter(JsonRecord):
    """A parameter that the Sobol indices vary."""

    parameter: str = field(metadata=about("name"))
    low: Number = field(metadata=about("low end of the range"))
    high: Number = field(metadata=about("high end of the range"))
    unit: str = field(metadata=about("unit"))
    distribution: str = field(metadata=about("distribution over the range"))


@dataclass(frozen=True, kw_only=True)
class SobolIndex(JsonRecord):
    """Sobol indices of an output and a parameter; null where the output does not vary."""

    output: str = field(metadata=about("name and read-out"))
    parameter: str = field(metadata=about("parameter"))
    S1: float | None = field(metadata=about("first-order index"))
    S1_conf: float | None = field(metadata=about("half-width of its confidence interval"))
    ST: float | None = field(metadata=about("total index"))
    ST_conf: float | None = field(metadata=about("half-width of its confidence interval"))


@dataclass(frozen=True, kw_only=True)
class SobolSummary(JsonRecord):
    """Sobol indices and how they were computed."""

    seed: int = field(metadata=about("seed of the samples"))
    samples: int = field(metadata=about("base samples"))
    complete: int = field(metadata=about("base samples of which all trajectories were solved"))
    trajectories: int = field(metadata=about("trajectories"))
    failed: int = field(metadata=about("trajectories that failed"))
    unphysical: Mapping[str, int] = field(metadata=about("trajectories that broke each rule"))
    confidence: Number = field(metadata=about("of the intervals", unit="1"))
    parameters: tuple[VariedParameter, ...] = field(metadata=about("what varied"))
    indices: tuple[SobolIndex, ...] = field(metadata=about("of each output, the largest total first"))


@dataclass(frozen=True, kw_only=True)
class SensitivitySummary(JobSummary):
    """How outputs of a scenario depend on parameters and doses."""

    job: ClassVar[str] = "sensitivity"

    scenario: str = field(metadata=about("name of the scenario"))
    figure: str | None = field(default=None, metadata=about("the tornado diagram, if one was written"))
    over: str = field(metadata=about("ranges: card or cv"))
    outputs: tuple[OutputValue, ...] = field(metadata=about("the outputs"))
    elasticities: tuple[Elasticity, ...] = field(metadata=about("of each output, the largest first"))
    sobol: SobolSummary | None = field(default=None, metadata=about("Sobol indices, if asked for"))
    seconds: Number = field(metadata=about("time that it took", unit="s"))


Summary = SensitivitySummary
