"""What `simulate` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.summary import Amount, Ending, JobSummary
from nanomg.schema import JsonRecord, Number, about
from nanomg.simulation.roles import HOURS

_LOW, _HIGH = HOURS  # keys of an effect


@dataclass(frozen=True, kw_only=True)
class Signal(JsonRecord):
    """An output in numbers, in `unit`: of one subject, or the median of several."""

    unit: str = field(metadata=about("unit"))
    initial: Number = field(metadata=about("first value"))
    final: Number = field(metadata=about("last value"))
    min: Number = field(metadata=about("smallest value"))
    max: Number = field(metadata=about("largest value"))
    auc: Number = field(metadata=about("area under the curve, in `auc_unit`"))
    auc_unit: str = field(metadata=about("unit of the area"))
    range: Mapping[str, tuple[Number, ...]] | None = field(
        default=None, metadata=about("smallest and largest of the subjects, by read-out", optional=True)
    )


@dataclass(frozen=True, kw_only=True)
class MgEffect(JsonRecord):
    """What an arm does against the arm without Mg; by LFA-1 hypothesis where that matters."""

    hours_low: Mapping[str, Number] = field(
        metadata=about(f"time with tumour free Mg raised above {HOURS[_LOW]} mmol/L", unit="h/d", alias=_LOW)
    )
    hours_high: Mapping[str, Number] = field(
        metadata=about(f"time with tumour free Mg raised above {HOURS[_HIGH]} mmol/L", unit="h/d", alias=_HIGH)
    )
    mean_competence_gain: Mapping[str, Number] = field(
        metadata=about("mean relative gain of T-cell competence", unit="1")
    )
    mean_rise: Amount = field(metadata=about("mean rise of tumour free Mg"))
    peak_rise: Amount = field(metadata=about("largest rise of tumour free Mg"))
    share_serum: float | None = field(metadata=about("share of the mean rise that comes from serum", unit="1"))
    share_local: float | None = field(metadata=about("share of the mean rise that is local", unit="1"))
    free: MgEffect | None = field(default=None, metadata=about("the same Mg given unencapsulated"))


@dataclass(frozen=True, kw_only=True)
class SimulateSummary(JobSummary):
    """A scenario simulated with its control arms."""

    job: ClassVar[str] = "simulate"

    scenario: str = field(metadata=about("name of the scenario"))
    events: str | None = field(default=None, metadata=about("the event table", optional=True))
    records: str | None = field(default=None, metadata=about("file of the outputs at each record", optional=True))
    status: Ending = field(metadata=about("how the trajectories ended"))
    signals: Mapping[str, Signal] = field(metadata=about("outputs by name"))
    verdict: str = field(metadata=about("the answer in a sentence"))
    mg: MgEffect | None = field(default=None, metadata=about("what the Mg does"))
    mg_of_subjects: Mapping[str, MgEffect] | None = field(
        default=None, metadata=about("what the Mg does in each subject of an event table, by ID", optional=True)
    )


Summary = SimulateSummary
