"""What `sweep` is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from nanomg.jobs.request import RegimenRequest, recorded
from nanomg.jobs.sweep.axes import SAMPLES
from nanomg.jobs.sweep.batch import MEMORY, RTOL
from nanomg.jobs.sweep.keep import RECORDS
from nanomg.schema import AsJson, Texts, about

Values = Annotated[Mapping[str, Any], AsJson(dict[str, list[float]])]


@dataclass(frozen=True, kw_only=True)
class SweepRequest(RegimenRequest):
    """Simulate a scenario over ranges of values and virtual subjects."""

    job: ClassVar[str] = "sweep"

    vary: Texts = field(default=(), metadata=about('axes, such as "magnesium.GFR=5..20 mL/h:log:10"'))
    values: Values | None = field(
        default=None,
        metadata=about("points in place of axes: values of parameters, the same number of each, in the model's units"),
    )
    subjects: int = field(default=0, metadata=about("virtual subjects at each point; 0: the typical one", least=0))
    population: str | None = field(
        default=None, metadata=about("population of the subjects; without it each parameter varies by its card")
    )
    sample: str = field(default="grid", metadata=about("how the axes are filled", allowed=SAMPLES))
    points: int | None = field(
        default=None, metadata=about("number of samples, or of values of a range without one", least=2)
    )
    keep: Texts = field(default=(), metadata=about('read-outs to keep, such as "tumour.volume:max"'))
    paired: bool = field(default=False, metadata=about("solve each trajectory without its Mg, too"))
    seed: int = field(default=0, metadata=about("seed of subjects and samples", least=0))
    precision: str = field(default="float64", metadata=about("numbers of the solver", allowed=("float64", "float32")))
    rtol: float = field(default=RTOL, metadata=about("relative tolerance of each step"))
    device: str = field(default="auto", metadata=about("where to compute", allowed=("auto", "cpu", "gpu")))
    memory: str = field(default=f"{MEMORY / 1e6:.0f} MB", metadata=about("memory limit per core", execution=True))
    parts: bool = field(default=False, metadata=about("keep the parts instead of merging them", execution=True))
    resume: bool = field(default=False, metadata=about("continue an interrupted sweep", execution=True))
    workers: int | None = field(default=None, metadata=about("worker processes to start here", least=1, execution=True))
    scheduler: str | None = field(default=None, metadata=about("address of a Dask scheduler to use", execution=True))

    @property
    def at_records(self) -> bool:
        """Whether values at the records of the event table are kept."""
        return any(text.rpartition(":")[2].strip() == RECORDS for text in self.keep)


Request = SweepRequest


def request_of(config: Mapping[str, Any], where: str) -> SweepRequest:
    """The request in the configuration of a sweep's file, of any version."""
    if "request" not in config and "sweep" in config:  # files of schema 1 held its fields by themselves
        config = {"request": {**config["sweep"], "scenario": config["scenario"]}}
    return recorded(config, SweepRequest, where)
