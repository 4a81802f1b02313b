"""What `calibrate` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nanomg.jobs.request import JobRequest
from nanomg.schema import File, Texts, about


@dataclass(frozen=True, kw_only=True)
class CalibrateRequest(JobRequest):
    """Fit parameters of a card to measured data."""

    job: ClassVar[str] = "calibrate"

    data: File = field(metadata=about("name of a study, path of its TOML file, or of a table"))
    card: File | None = field(
        default=None, metadata=about("name of a card, or path of its TOML file; else the one that the study names")
    )
    raw: File | None = field(
        default=None,
        metadata=about("folder of the study's data; else $NANOMG_DATA, else the study's folder", execution=True),
    )
    scenario: str = field(
        default="", metadata=about("scenario in which a table was measured, where it has no column 'run'")
    )
    fit: Texts = field(default=(), metadata=about('what to fit, such as "pk.CL=1..10 L/h"'))
    starts: int | None = field(default=None, metadata=about("number of starts; the study's if left out", least=1))
    seed: int = field(default=0, metadata=about("seed of the starts", least=0))
    card_out: File | None = field(
        default=None, metadata=about("card to write with the fitted values (TOML)", execution=True)
    )

    def written(self) -> tuple[File | None, ...]:
        """The files that the job writes."""
        return self.output, self.card_out


Request = CalibrateRequest
