"""What `feasibility` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nanomg.jobs.summary import Amount, Ending, JobSummary
from nanomg.schema import JsonRecord, Number, about


@dataclass(frozen=True, kw_only=True)
class Reach(JsonRecord):
    """What samples do against a target."""

    shortfall: Mapping[str, Number] = field(
        metadata=about("target over rise at 5, 50 and 95 % of the samples; null where nothing rises", unit="1")
    )
    share: Number = field(metadata=about("share of the samples that reach it", unit="1"))


@dataclass(frozen=True, kw_only=True)
class Rise(JsonRecord):
    """One measure of the rise of free Mg against the arm without Mg."""

    text: str = field(metadata=about("what it is"))
    unit: str = field(metadata=about("unit of the rise"))
    rise: Mapping[str, Number] = field(metadata=about("5, 50 and 95 % of the samples, in `unit`"))
    targets: Mapping[str, Reach] = field(metadata=about("by target"))


@dataclass(frozen=True, kw_only=True)
class Samples(JsonRecord):
    """The prior samples and what they give."""

    draws: int = field(metadata=about("prior samples"))
    seed: int = field(metadata=about("their seed"))
    failed: int = field(metadata=about("samples that could not be solved"))
    sampled: int = field(metadata=about("parameters that vary"))
    tried: int = field(metadata=about("samples before those that are not physical were rejected"))
    share_rejected: Number = field(metadata=about("share of these that was rejected", unit="1"))
    rejected: Mapping[str, int] = field(metadata=about("how many each rule rejected"))
    horizon_h: Number = field(metadata=about("simulated period", unit="h"))
    targets: Mapping[str, Amount] = field(metadata=about("rises of tumour Mg that matter, by name"))
    quantities: Mapping[str, Rise] = field(metadata=about("rises, by name"))


def without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Version 1 has no signals and no verdict on Mg, which were always empty."""
    return {key: value for key, value in fields.items() if key not in ("signals", "mg")}


@dataclass(frozen=True, kw_only=True)
class FeasibilitySummary(JobSummary):
    """How much a regimen raises tumour Mg, given the uncertainty of all parameters."""

    job: ClassVar[str] = "feasibility"
    upgrades = (without_empty,)

    scenario: str = field(metadata=about("name of the scenario"))
    status: Ending = field(metadata=about("how the samples ended"))
    verdict: str = field(metadata=about("the answer in a sentence"))
    feasibility: Samples = field(metadata=about("samples and rises"))


Summary = FeasibilitySummary
