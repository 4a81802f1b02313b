"""What the job is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.request import JobRequest
from nanomg.schema import about


@dataclass(frozen=True, kw_only=True)
class FallRequest(JobRequest):
    """Let a body fall for a while."""

    job: ClassVar[str] = "fall"

    seconds: float = field(metadata=about("how long the body falls", unit="s"))
    points: int = field(default=5, metadata=about("number of times", least=2))


Request = FallRequest
