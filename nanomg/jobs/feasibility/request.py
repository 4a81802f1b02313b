"""What `feasibility` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.request import RegimenRequest
from nanomg.schema import about

DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class FeasibilityRequest(RegimenRequest):
    """How much a regimen raises tumour Mg, given the uncertainty of all parameters."""

    job: ClassVar[str] = "feasibility"

    draws: int = field(default=DRAWS, metadata=about("number of prior samples", least=1))
    seed: int = field(default=0, metadata=about("seed of the samples", least=0))
    horizon: str | float | None = field(
        default=None, metadata=about('shorter simulated period, such as "7 d"; a number is in hours')
    )


Request = FeasibilityRequest
