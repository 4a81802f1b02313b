"""What `validate` says of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nanomg.jobs.summary import JobSummary
from nanomg.schema import JsonRecord, Number, about


@dataclass(frozen=True, kw_only=True)
class DomainScore(JsonRecord):
    """The rows of a table that have one use."""

    name: str = field(metadata=about("table of observations"))
    use: str = field(metadata=about("use of the rows", allowed=("calibrate", "validate")))
    n: int = field(metadata=about("rows"))
    gmfe: Number = field(metadata=about("geometric mean fold error"))
    noise_floor: Number = field(metadata=about("geometric mean fold error between studies"))
    within_1_25: Number = field(metadata=about("share within 1.25-fold", unit="1"))
    within_2: Number = field(metadata=about("share within twofold", unit="1"))
    within_2sd: Number = field(metadata=about("share within two standard deviations or the published range", unit="1"))
    title: str = field(metadata=about("what the table is about"))
    failed: int = field(metadata=about("rows whose run failed"))
    allowed: Number = field(metadata=about("mean fold error that is allowed"))
    stands: bool | None = field(metadata=about("whether the validated rows pass; null where nothing is scored"))


@dataclass(frozen=True, kw_only=True)
class Directions(JsonRecord):
    """Published directions of change."""

    n: int = field(metadata=about("directions"))
    right: int = field(metadata=about("of which the model has this many"))


@dataclass(frozen=True, kw_only=True)
class ListedRow(JsonRecord):
    """A published value and its prediction."""

    domain: str = field(metadata=about("table of observations"))
    use: str = field(metadata=about("use of the row"))
    quantity: str = field(metadata=about("what was measured"))
    source: str = field(metadata=about("publication"))
    place: str = field(metadata=about("place in it"))
    run: str | None = field(metadata=about("run that predicts it"))
    predicted: Number = field(metadata=about("prediction in `unit`"))
    observed: Number = field(metadata=about("published value in `unit`"))
    low: Number = field(metadata=about("low end of its spread"))
    high: Number = field(metadata=about("high end of its spread"))
    unit: str = field(metadata=about("unit, or sign"))
    bound: str = field(metadata=about("kind of bound, if the value is one"))
    fold: Number = field(metadata=about("fold error"))
    reason: str = field(metadata=about("why it is a miss, or why it is not scored"))


TITLE = "Validation"


def with_title(fields: dict[str, Any]) -> dict[str, Any]:
    """Version 1 has a title."""
    return {"title": TITLE, **fields}


@dataclass(frozen=True, kw_only=True)
class ValidateSummary(JobSummary):
    """The model compared with published data."""

    job: ClassVar[str] = "validate"
    upgrades = (with_title,)

    domains: tuple[DomainScore, ...] = field(metadata=about("scores by table and use"))
    signs: Directions = field(metadata=about("directions of change"))
    misses: tuple[ListedRow, ...] = field(metadata=about("rows that the model misses"))
    rows: Mapping[str, Mapping[str, int]] = field(metadata=about("rows by table and use"))
    looks: tuple[ListedRow, ...] = field(metadata=about("rows that are not scored"))
    figures: tuple[str, ...] = field(default=(), metadata=about("figures that were written"))


Summary = ValidateSummary
