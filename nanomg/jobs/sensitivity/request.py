"""What `sensitivity` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.request import RegimenRequest
from nanomg.population.ranges import CARD, CV
from nanomg.schema import File, Texts, about


@dataclass(frozen=True, kw_only=True)
class SensitivityRequest(RegimenRequest):
    """How outputs of a scenario depend on parameters and doses."""

    job: ClassVar[str] = "sensitivity"

    of: Texts = field(
        default=(), metadata=about('outputs, such as "tumour.volume:max"; the first of the scenario if left out')
    )
    over: str = field(
        default=CARD,
        metadata=about(
            "ranges of parameters: uncertainty of the cards, or spread between subjects", allowed=(CARD, CV)
        ),
    )
    samples: int | None = field(
        default=None, metadata=about("base samples of Sobol indices, a power of 2; none if left out")
    )
    parameters: Texts = field(
        default=(), metadata=about("parameters of the Sobol indices; the ten most influential if left out")
    )
    seed: int = field(default=0, metadata=about("seed of the samples", least=0))
    figure: File | None = field(default=None, metadata=about("tornado diagram to write (PNG)", execution=True))

    def written(self) -> tuple[File | None, ...]:
        """The files that the job writes."""
        return self.output, self.figure


Request = SensitivityRequest
