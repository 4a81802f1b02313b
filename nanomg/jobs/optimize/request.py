"""What `optimize` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.request import RegimenRequest
from nanomg.schema import about


@dataclass(frozen=True, kw_only=True)
class OptimizeRequest(RegimenRequest):
    """Optimise the free doses of a scenario."""

    job: ClassVar[str] = "optimize"

    steps: int | None = field(default=None, metadata=about("steps of the search at most; 96 if left out", least=1))
    seed: int = field(default=0, metadata=about("seed of the starts", least=0))
    resume: bool = field(
        default=False,
        metadata=about("continue from the checkpoint of an interrupted run", execution=True),
    )


Request = OptimizeRequest
