"""What `validate` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.request import JobRequest
from nanomg.schema import Texts, about


@dataclass(frozen=True, kw_only=True)
class ValidateRequest(JobRequest):
    """Compare the model with published data."""

    job: ClassVar[str] = "validate"

    domains: Texts = field(
        default=(), metadata=about("tables of observations by name, or paths of TOML files; all if left out")
    )


Request = ValidateRequest
