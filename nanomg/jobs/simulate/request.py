"""What `simulate` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from nanomg.jobs.request import EventsRequest
from nanomg.library.scenario import Scenario
from nanomg.schema import File, Texts, about


@dataclass(frozen=True, kw_only=True)
class SimulateRequest(EventsRequest):
    """Simulate a scenario with its control arms."""

    job: ClassVar[str] = "simulate"

    records: File | None = field(
        default=None, metadata=about("CSV file for the outputs at each record", execution=True)
    )
    add: Texts = field(
        default=(),
        metadata=about("columns to add to the records: TAD, time after dose [h]; OCC, number of dosing times so far"),
    )
    error: Texts = field(
        default=(),
        metadata=about('residual errors of outputs at the records, "pk.C: 15 % + 0.1 mg/L" or "pk.C: log 15 %"'),
    )
    seed: int = field(default=0, metadata=about("seed of the residual errors", least=0))
    precision: str = field(default="float64", metadata=about("numbers of the solver", allowed=("float64", "float32")))

    series: bool | None = field(
        default=None,
        metadata=about(
            "time courses of an event table's subjects besides the records; where left out, by their number"
        ),
    )

    def recorded(self, scenario: Scenario | None = None) -> dict[str, Any]:
        """As for every request; of the event table the name, since the configuration holds its text."""
        name = None if self.events is None else Path(self.events_source).name
        return {**super().recorded(scenario), "events": name}

    def written(self) -> tuple[File | None, ...]:
        """The files that the job writes."""
        return self.output, self.records


Request = SimulateRequest
