"""Commands of jobs from outside nanomg, made from the fields of what each is asked."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg import jobs
from nanomg.cli import blocks, options, render
from nanomg.jobs import Job
from nanomg.solver import engine

# fields that nanomg's own jobs have, too: the same options, by another name where the field's is not the option's
_SHARED: Mapping[str, Any] = {
    "scenario": options.ScenarioName,
    "set": options.Assignments,
    "dose": options.Doses,
    "output": options.Output,
    "force": options.Force,
    "library": options.Folders,
    "precision": options.Precision,
    "engine": options.Engine,
}
_PLAIN = (str, int, float, bool)


def other_commands(words: Sequence[str]) -> Iterator[tuple[Job, Callable[..., None]]]:
    """Each job that is not of nanomg itself, with its command; options are made for the one that the command line asks for."""
    for job in jobs.table().values():
        if not jobs.shipped(job.name):
            yield job, _command(job) if job.name in words else _named(job, lambda: None)


def _command(job: Job) -> Callable[..., None]:
    """The function of the job's command: options for the fields of its request, which it makes, runs and shows."""
    fields = {entry.name: entry for entry in dataclasses.fields(job.request.Request)}

    def command(json: bool, **given: Any) -> None:
        texts = options.parse_assignments(given.pop("set")) if "set" in given else {}
        values = {name: value for name, value in given.items() if value is not None}
        request = job.request.Request(**values | ({"set": texts} if texts else {}))
        with render.working(job.name), engine.using(request.engine):
            run = job.run.run(request, command=options.command_line())
        blocks.show_result(job.name, run.summary, json)

    parameters = [_parameter(job, entry) for entry in fields.values()]
    parameters.append(_keyword("json", options.Json, False))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return _named(job, command)


def _named(job: Job, command: Callable[..., None]) -> Callable[..., None]:
    command.__name__, command.__doc__ = job.name, job.help or job.describes
    return command


def _parameter(job: Job, entry: dataclasses.Field[Any]) -> inspect.Parameter:
    """The argument or option of a field: an argument for a scenario, a shared option, or one by type and description."""
    needed = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    default = inspect.Parameter.empty if needed else None if entry.default is dataclasses.MISSING else entry.default
    if entry.name in _SHARED:
        return _keyword(entry.name, _SHARED[entry.name], False if entry.name == "force" else default)
    hint = typing.get_type_hints(job.request.Request, include_extras=False)[entry.name]
    help = str(entry.metadata.get("description", ""))
    option = typer.Option(help=f"{help[:1].upper()}{help[1:]}.", min=entry.metadata.get("ge"))
    return _keyword(entry.name, Annotated[_typed(hint), option], default)


def _typed(hint: Any) -> Any:
    """The type of an option for that of a field: a plain one, a file, or a list of texts; None where it may be left out."""
    parts = [part for part in typing.get_args(hint) if part is not type(None)] or [hint]
    optional = type(None) in typing.get_args(hint) and isinstance(hint, types.UnionType)
    plain = [part for part in parts if part in _PLAIN]
    kind = plain[0] if plain and (isinstance(hint, types.UnionType) or hint in _PLAIN) else None
    if kind is None:
        kind = Path if any(part is Path for part in parts) else list[str]
    return kind | None if optional or kind == list[str] else kind


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
