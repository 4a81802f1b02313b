"""What `sweep` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.summary import JobSummary
from nanomg.schema import JsonRecord, Number, about


@dataclass(frozen=True, kw_only=True)
class SubjectsSummary(JsonRecord):
    """Who the subjects are."""

    name: str = field(metadata=about("name of the population"))
    title: str = field(metadata=about("what it is"))
    varied: int = field(metadata=about("parameters that vary between subjects"))
    counted: int = field(metadata=about("subjects of whom what follows is told"))
    candidates: int = field(metadata=about("subjects sampled before implausible ones were rejected"))
    share_rejected: Number = field(metadata=about("share of these that was rejected", unit="1"))
    rejected: Mapping[str, int] = field(metadata=about("how many each rule rejected"))


@dataclass(frozen=True, kw_only=True)
class KeptSpread(JsonRecord):
    """A read-out over all trajectories that were solved, in `unit`."""

    unit: str = field(metadata=about("unit"))
    min: Number = field(metadata=about("smallest value"))
    q05: Number = field(metadata=about("5 % quantile"))
    median: Number = field(metadata=about("median"))
    q95: Number = field(metadata=about("95 % quantile"))
    max: Number = field(metadata=about("largest value"))


@dataclass(frozen=True, kw_only=True)
class SweepSummary(JobSummary):
    """A sweep over axes and virtual subjects."""

    job: ClassVar[str] = "sweep"

    scenario: str = field(metadata=about("name of the scenario"))
    subjects: int = field(metadata=about("virtual subjects at each point; 0: the typical one"))
    trajectories: int = field(metadata=about("trajectories in all"))
    dims: Mapping[str, int] = field(metadata=about("sizes of the result by dimension"))
    failed: int = field(metadata=about("trajectories that failed"))
    reasons: Mapping[str, int] = field(metadata=about("how many failed for each reason"))
    device: str = field(metadata=about("where it was computed"))
    device_reason: str = field(metadata=about("why there"))
    population: SubjectsSummary | None = field(default=None, metadata=about("who the subjects are"))
    sweep: Mapping[str, KeptSpread] = field(metadata=about("read-outs by name"))
    verdict: str = field(metadata=about("how the trajectories ended, in a sentence"))
    seconds: Number = field(metadata=about("time of this run", unit="s"))
    subjects_per_second: Number = field(metadata=about("trajectories computed per second", unit="1/s"))
    computed: int = field(metadata=about("trajectories computed by this run"))
    share_computing: float | None = field(
        default=None, metadata=about("share of the time of all cores that was spent sampling and solving", unit="1")
    )


Summary = SweepSummary
