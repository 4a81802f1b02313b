"""What every job is asked with. Command line, Python, the file's configuration and an HTTP body share these fields.

Each job has a dataclass of its own in `nanomg.jobs.<job>.request`, and one function `run(request)`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from nanomg import files, schema
from nanomg.dosing import table_source
from nanomg.dosing.event_record import Subject
from nanomg.errors import InputError
from nanomg.jobs.summary import EventTableSummary
from nanomg.library.event_doses import rebuild_with_events, with_events
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.scenario_file import load
from nanomg.models import library as find_library
from nanomg.population.plausibility import check_possible
from nanomg.schema import AsJson, File, Strict, Texts, about
from nanomg.simulation.disposition import solved_and_held
from nanomg.solver import engine

# a name or path, a scenario that has been read, or its resolved configuration as result files hold it
ScenarioSource = Annotated[str | Scenario | Mapping[str, Any], AsJson(str | dict[str, Any])]
# a path, a pandas frame or an xarray dataset, or name and text
EventsSource = Annotated[Any, AsJson(str | dict[str, str])]

R = TypeVar("R", bound="JobRequest")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class JobRequest(Strict):
    """What the requests of all jobs have: where the result goes, and further folders of the library."""

    job: ClassVar[str] = ""
    version: ClassVar[int] = 1

    output: File | None = field(default=None, metadata=about("result file to write (HDF5)", execution=True))
    force: bool = field(default=False, metadata=about("overwrite files that exist", execution=True))
    engine: str = field(
        default=engine.AUTO,
        metadata=about("engine of the solver; auto: native on a CPU", allowed=engine.ASKED, execution=True),
    )
    library: Texts = field(
        default=(), metadata=about("folders of further mechanisms, cards and scenarios", execution=True)
    )

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, entry.name, os.fspath(value))
            elif entry.type == "Texts":
                texts = (value,) if isinstance(value, str) else value
                object.__setattr__(self, entry.name, tuple(os.fspath(text) for text in texts))

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object: its job, its version and its fields."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        if isinstance(values.get("scenario"), Scenario):
            values["scenario"] = values["scenario"].config
        return {"job": self.job, "request_version": self.version, **schema.plain(values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "request") -> Self:
        """The request that a JSON object describes. Raises `InputError` that names the field that is wrong."""
        fields = dict(data)
        job, version = fields.pop("job", cls.job), fields.pop("request_version", cls.version)
        if job != cls.job:
            raise InputError(f"this is a request for the job {job!r}, not {cls.job!r}", where)
        if version != cls.version:
            raise InputError(f"the request has version {version!r}; this nanomg reads version {cls.version}", where)
        return schema.read(cls, fields, where)

    def recorded(self, scenario: Scenario | None = None) -> dict[str, Any]:
        """What a result file holds of the request: what was asked for, without where it went and how it was run.

        `scenario` is the one that it named; its configuration stands in the file by itself.
        """
        left_out = {entry.name for entry in dataclasses.fields(self) if entry.metadata.get("execution")}
        values = self.to_json() | ({} if scenario is None else {"scenario": scenario.name})
        return {key: value for key, value in values.items() if key not in left_out}

    def written(self) -> tuple[File | None, ...]:
        """The files that the job writes."""
        return (self.output,)

    def shelves(self, library: Library | None = None) -> Library:
        """The library that the request is about; one that was built already may be given."""
        return library or find_library(*self.library)


@dataclass(frozen=True, kw_only=True)
class ScenarioRequest(JobRequest):
    """A request about one scenario."""

    scenario: ScenarioSource = field(
        metadata=about("name of a scenario, path of a TOML file, or its resolved configuration")
    )
    set: Mapping[str, str | float] = field(
        default_factory=dict, metadata=about("values of parameters, with their units, by dotted name")
    )
    dose: Texts = field(
        default=(), metadata=about('doses in place of those into the same port, "PORT: TEXT" or "PORT: none"')
    )

    def resolved(self, library: Library | None = None) -> Scenario:
        """The scenario that is asked for, with what is set."""
        scenario = resolve(self.scenario, self.set, self.dose, library, self.library)
        check_possible(scenario)
        return scenario


@dataclass(frozen=True, kw_only=True)
class EventsRequest(ScenarioRequest):
    """A request about one scenario, whose doses an event table may replace."""

    events: EventsSource | None = field(
        default=None,
        metadata=about(
            "event table whose regimens replace the scenario's: path of a file (CSV, also .gz, or .xlsx), or its name and text"
        ),
    )
    sort: bool = field(
        default=False, metadata=about("put the rows of each subject of the event table together, in order of time")
    )
    ignore: str = field(
        default="",
        metadata=about("character that starts a comment in the event table, as NONMEM's IGNORE; @: any letter"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if table_source.is_frame(self.events):
            table = {"name": table_source.FRAME, "text": table_source.text_of_frame(self.events)}
            object.__setattr__(self, "events", table)

    def recorded(self, scenario: Scenario | None = None) -> dict[str, Any]:
        """As for every request; of a table without a file the name, since the configuration holds its text."""
        values = super().recorded(scenario)
        return {**values, "events": self.events["name"]} if isinstance(self.events, Mapping) else values

    @property
    def events_source(self) -> str:
        """What the event table is called in errors."""
        return str(self.events["name"] if isinstance(self.events, Mapping) else self.events)

    def event_table(self) -> dict[str, Any] | None:
        """Name and text of the event table and how it is read, None without one."""
        if self.events is None:
            for option, given in (("--sort", self.sort), ("--ignore", self.ignore)):
                if given:
                    raise InputError("it is for an event table; name one with --events", option)
            return None
        if self.dose:
            raise InputError("an event table replaces the regimen; give either that or doses, not both", "--events")
        table: dict[str, Any] = {**table_source.table_of(self.events)}
        return table | ({"sort": True} if self.sort else {}) | ({"ignore": self.ignore} if self.ignore else {})


@dataclass(frozen=True, kw_only=True)
class RegimenRequest(EventsRequest):
    """A request about one scenario, whose regimen may come from one or all subjects of an event table."""

    id: str | None = field(
        default=None, metadata=about("ID of the only subject of the event table that is used; all of them if left out")
    )

    @property
    def at_records(self) -> bool:
        """Whether subjects are observed at the records of the event table."""
        return False

    def resolved(self, library: Library | None = None) -> Scenario:
        """The scenario that is asked for, with what is set and with the regimens of the event table."""
        table, scenario = self.event_table(), super().resolved(library)
        if table is not None:
            return with_events(
                scenario, table, self.shelves(library), self.id, self.at_records, source=self.events_source
            )
        if self.id is not None:
            raise InputError("--id chooses a subject of an event table; name that with --events", "--id")
        return scenario


def on_engine(run: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
    """A job's `run` that solves with the engine of its request, and alone writes the files of its request."""

    @functools.wraps(run)
    def running(request: R, *args: P.args, **kwargs: P.kwargs) -> T:
        with engine.using(request.engine), files.reserved(*request.written()):
            return run(request, *args, **kwargs)

    return running


def resolve(
    scenario: str | Scenario | Mapping[str, Any],
    overrides: Mapping[str, str | float],
    dose: Sequence[str],
    library: Library | None,
    folders: Sequence[str] = (),
) -> Scenario:
    """A scenario by name, path or configuration, or as it is."""
    if isinstance(scenario, str):
        return load(scenario, library or find_library(*folders), overrides, dose)
    if isinstance(scenario, Scenario):
        if overrides or dose or library is not None or folders:
            raise InputError(
                "set, dose and library act when a scenario is read; give its name or path with them", scenario.name
            )
        return scenario
    if overrides or dose:
        raise InputError("set and dose act when a scenario is read; a resolved configuration holds them", "scenario")
    return rebuild_with_events(scenario, library or find_library(*folders))


def recorded(config: Mapping[str, Any], kind: type[R], where: str) -> R:
    """The request that the configuration of a result file holds.

    Raises `InputError` where it holds none, as files of older versions do, or one that is broken.
    """
    if "request" not in config:
        raise InputError("this file holds no request; an older version of nanomg made it", where)
    return kind.from_json(config["request"], where)


def origin(scenario: Scenario, request: ScenarioRequest, seed: int, command: str) -> dict[str, Any]:
    """What a result came from."""
    return {
        "title": scenario.title,
        "config": {**scenario.config, "request": request.recorded(scenario)},
        "seed": seed,
        "model": scenario.model,
        "command": command,
    }


def about_scenario(scenario: Scenario, path: Path | None, subjects: Sequence[Subject] = ()) -> dict[str, Any]:
    """What every summary says first; `subjects` are those of an event table that the scenario does not hold."""
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "output": str(path) if path else None,
        "doses_changed": scenario.doses_changed or None,
        "event_tables": EventTableSummary.of_all([scenario]),
        "steady_state": solved_and_held(scenario, subjects),
    }
