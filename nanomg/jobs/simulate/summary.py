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


ReadOutTable = Mapping[str, Mapping[str, Mapping[str, Number]]]  # by read-out, regimen or comparison, and hypothesis


@dataclass(frozen=True, kw_only=True)
class OutcomeSignal(JsonRecord):
    """An output in every arm, in `unit`; of several subjects the median of each number."""

    unit: str = field(metadata=about("unit"))
    by_regimen: ReadOutTable = field(metadata=about("by read-out, regimen and hypothesis"))
    differences: ReadOutTable = field(metadata=about("by read-out, comparison and hypothesis"))
    ranges: Mapping[str, Mapping[str, Mapping[str, tuple[Number, ...]]]] | None = field(
        default=None, metadata=about("smallest and largest difference of the subjects", optional=True)
    )


@dataclass(frozen=True, kw_only=True)
class OutcomeTable(JsonRecord):
    """The outcome of a regimen and of its control arms under every LFA-1 hypothesis, and what of it is due to the Mg."""

    regimen: str = field(metadata=about("regimen that the answer is about"))
    regimens: tuple[str, ...] = field(metadata=about("regimens that were simulated"))
    hypotheses: tuple[str, ...] = field(metadata=about("LFA-1 hypotheses; that of `signals` of the result comes first"))
    main: tuple[str, ...] = field(
        metadata=about("signals that are shown first; the conclusion is about the first of them")
    )
    compared: Mapping[str, str] = field(metadata=about("which two regimens a comparison is between"))
    signals: Mapping[str, OutcomeSignal] = field(metadata=about("outputs by name"))
    subjects: int | None = field(
        default=None, metadata=about("subjects of an event table that the numbers are medians of", optional=True)
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
    tissue: str | None = field(default=None, metadata=about("tissue whose free Mg is meant", optional=True))
    peak_rises: Mapping[str, Number] | None = field(
        default=None, metadata=about("largest rise under each hypothesis", unit="mmol/L", optional=True)
    )


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
    outcome: OutcomeTable | None = field(
        default=None, metadata=about("outputs of all arms and hypotheses, with differences", optional=True)
    )
    mg: MgEffect | None = field(default=None, metadata=about("what the Mg does"))
    mg_of_subjects: Mapping[str, MgEffect] | None = field(
        default=None, metadata=about("what the Mg does in each subject of an event table, by ID", optional=True)
    )


Summary = SimulateSummary
