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
    """The range of a read-out over all that was solved; quantiles where all are of one arm, hypothesis and regimen."""

    unit: str = field(metadata=about("unit"))
    min: Number = field(metadata=about("smallest value"))
    q05: Number = field(metadata=about("5 % quantile, null where arms, hypotheses or designs differ"))
    median: Number = field(metadata=about("median, null where arms, hypotheses or designs differ"))
    q95: Number = field(metadata=about("95 % quantile, null where arms, hypotheses or designs differ"))
    max: Number = field(metadata=about("largest value"))


@dataclass(frozen=True, kw_only=True)
class SpreadAtPoint(JsonRecord):
    """A read-out of one arm at one point over the subjects, or of the typical one, in its unit."""

    n: int = field(metadata=about("subjects counted; those that failed are not"))
    q05: Number = field(metadata=about("5 % quantile"))
    median: Number = field(metadata=about("median"))
    q95: Number = field(metadata=about("95 % quantile"))


@dataclass(frozen=True, kw_only=True)
class PairedDifference(JsonRecord):
    """The difference, as given less without Mg, of each subject at one point, in the unit of the read-out."""

    n: int = field(metadata=about("subjects of whom both arms were solved"))
    q05: Number = field(metadata=about("5 % quantile"))
    median: Number = field(metadata=about("median"))
    q95: Number = field(metadata=about("95 % quantile"))
    mean: Number = field(metadata=about("mean"))
    mean_low: Number = field(metadata=about("lower end of the 95 % interval of the mean"))
    mean_high: Number = field(metadata=about("upper end of the 95 % interval of the mean"))


@dataclass(frozen=True, kw_only=True)
class SweepPoint(JsonRecord):
    """One point of the design under one hypothesis."""

    at: Mapping[str, float | str] = field(metadata=about("value of each axis in its unit"))
    arms: Mapping[str, Mapping[str, SpreadAtPoint]] = field(metadata=about("read-outs by name, of each arm"))
    differences: Mapping[str, PairedDifference] | None = field(
        default=None, metadata=about("paired differences of the read-outs, as given less without Mg", optional=True)
    )


@dataclass(frozen=True, kw_only=True)
class SweepAxis(JsonRecord):
    """What varies along an axis."""

    unit: str = field(metadata=about("unit of its values"))
    text: str = field(metadata=about("what it is"))


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
    axes: Mapping[str, SweepAxis] | None = field(default=None, metadata=about("what varies, by name", optional=True))
    points: tuple[SweepPoint, ...] | None = field(
        default=None, metadata=about("read-outs at points of the design", optional=True)
    )
    points_in_all: int | None = field(
        default=None, metadata=about("points of the design; of a large one some are listed", optional=True)
    )
    verdict: str = field(metadata=about("how the trajectories ended, in a sentence"))
    seconds: Number = field(metadata=about("time of this run", unit="s"))
    subjects_per_second: Number = field(metadata=about("trajectories computed per second", unit="1/s"))
    computed: int = field(metadata=about("trajectories computed by this run"))
    share_computing: float | None = field(
        default=None, metadata=about("share of the time of all cores that was spent sampling and solving", unit="1")
    )


Summary = SweepSummary
