"""What every job says of its result: the object that `--json` prints, and that a result file holds.

Each job has a dataclass of its own in `nanomg.jobs.<job>.summary`. Its JSON names the job and the version of its fields, and a
summary that an older nanomg wrote is brought up to date by explicit functions when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from nanomg import jobs, schema
from nanomg.errors import InputError
from nanomg.files import StrPath
from nanomg.jobs import Job
from nanomg.page.result import SummaryAlone
from nanomg.results import file
from nanomg.schema import JsonRecord, Number, about

if TYPE_CHECKING:
    from nanomg.library.scenario import Scenario

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Amount(JsonRecord):
    """A number with its unit."""

    value: Number = field(metadata=about("value in `unit`"))
    unit: str = field(metadata=about("unit"))


@dataclass(frozen=True, kw_only=True)
class FailedSubject(JsonRecord):
    """A subject that has a trajectory that failed."""

    failed: int = field(metadata=about("trajectories that failed"))
    reason: str = field(metadata=about("the worst reason"))


@dataclass(frozen=True, kw_only=True)
class Ending(JsonRecord):
    """How the trajectories of a result ended."""

    code: int = field(metadata=about("the worst status, 0 where all were solved"))
    reason: str = field(metadata=about("what that status means"))
    failed: int = field(metadata=about("trajectories that failed"))
    trajectories: int = field(metadata=about("trajectories in all"))
    subjects: int | None = field(default=None, metadata=about("subjects of the event table", optional=True))
    failed_subjects: Mapping[str, FailedSubject] | None = field(
        default=None, metadata=about("subjects that have a trajectory that failed, by ID", optional=True)
    )


@dataclass(frozen=True, kw_only=True)
class EventTableSummary(JsonRecord):
    """What was read of an event table."""

    name: str = field(metadata=about("the event table"))
    rows: int = field(metadata=about("records"))
    comments: int = field(metadata=about("rows that were skipped as comments"))
    subjects: int = field(metadata=about("subjects that were simulated"))
    dosed: int = field(metadata=about("subjects of these that are given a dose"))
    unused: tuple[str, ...] = field(metadata=about("columns that were not used"))
    warnings: tuple[str, ...] = field(metadata=about("what makes a result of the table doubtful"))
    notes: tuple[str, ...] = field(metadata=about("what else was understood of the table"))

    @classmethod
    def of_all(cls, scenarios: Iterable[Scenario]) -> tuple[Self, ...] | None:
        """What was read of the event tables of some scenarios, None where they have none."""
        readings = dict.fromkeys(s.reading for s in scenarios if s.reading is not None)
        names = ("rows", "comments", "subjects", "dosed", "unused", "warnings", "notes")
        return tuple(cls(name=r.name, **{name: getattr(r, name) for name in names}) for r in readings) or None


@dataclass(frozen=True, kw_only=True)
class SolvedAndHeld(JsonRecord):
    """What doses at steady state into a port or state bring to it."""

    solved: Sequence[str] = field(metadata=about("states that are brought to the steady state of the drug"))
    held: Sequence[str] = field(metadata=about("states that keep the value that they have at the record"))


@dataclass(frozen=True, kw_only=True)
class JobSummary(JsonRecord):
    """What the summaries of all jobs have. `upgrades` bring the fields of version 0, 1, … to those of the next version."""

    job: ClassVar[str] = ""
    version: ClassVar[int] = 1
    upgrades: ClassVar[tuple[Upgrade, ...]] = ()

    title: str = field(metadata=about("what the result is about"))
    output: str | None = field(default=None, metadata=about("the result file, if one was written"))
    doses_changed: tuple[str, ...] | None = field(
        default=None,
        metadata=about("what was replaced, added or removed of the scenario's doses, a sentence each", optional=True),
    )
    event_tables: tuple[EventTableSummary, ...] | None = field(
        default=None, metadata=about("what was read of each event table", optional=True)
    )
    steady_state: Mapping[str, SolvedAndHeld] | None = field(
        default=None,
        metadata=about("what doses at steady state solve, by the port or state that they go into", optional=True),
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The summary of values that were just computed, by their keys in JSON."""
        made: Self = schema.build(cls, values)
        return made

    def to_json(self) -> dict[str, Any]:
        """The summary as a JSON object: its job, its version and its fields."""
        return {"job": self.job, "summary_version": self.version, **schema.plain_fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "summary") -> Self:
        """The summary that a JSON object describes, of this version or an older one.

        Raises `InputError` that names the first field that is wrong, or for a summary of another job or of a newer version.
        """
        fields = dict(data)
        job, version = fields.pop("job", cls.job), fields.pop("summary_version", 0)
        if job != cls.job:
            raise InputError(f"this is the summary of the job {job!r}, not of {cls.job!r}", where)
        if not isinstance(version, int) or not 0 <= version <= cls.version:
            raise InputError(f"the summary has version {version!r}; this nanomg reads 0 to {cls.version}", where)
        for upgrade in cls.upgrades[version:]:
            fields = upgrade(fields)
        return schema.read(cls, fields, where)


# ---------------------------------------------------------------- of a result file
def read_summary(path: StrPath) -> Mapping[str, Any]:
    """The summary of a result file, as the `JobSummary` of its job; of a job that has none, the mapping in the file.

    `output` is where the file is now. Raises `InputError` for a file that is no result, that holds no summary, or one that is
    broken.
    """
    return job_and_summary(path)[1]


def job_and_summary(path: StrPath) -> tuple[Job, Mapping[str, Any]]:
    """The job that made a result file, and its summary as `read_summary` gives it."""
    data = file.read_summary(path)
    job = jobs.job_of(SummaryAlone(file.read_attributes(path), dict.fromkeys(file.read_groups(path))))
    return job, checked_summary(job, data | {"output": str(path)}, str(path))


def checked_summary(job: Job, data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The summary that JSON holds, of any version. Raises `InputError` that names what is wrong."""
    if job.summary is None:
        return data
    found: JobSummary = job.summary.Summary.from_json(data, where)
    return found
