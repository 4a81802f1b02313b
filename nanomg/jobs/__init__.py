"""The table of jobs: what a user asks for, one folder for each, with the same files in every folder.

A job is a `Job` and a package with the modules

- `request`: `Request`, a dataclass of what the job is asked, as `nanomg.jobs.request.JobRequest` explains;
- `summary`, optional: `Summary`, a dataclass of what it says of its result, as `nanomg.jobs.summary.JobSummary` explains;
- `run`: `run(request, library=None, command="")`, which returns a `Run` made by `nanomg.results.run.finish`;
- `figure`: `pictures(tree, asked)`, the pictures of a result, and `TAKES`, what of `nanomg.drawing.asked.Asked` it heeds;
- `page`: `sentence(result)` and `blocks(result)`, what is shown of a result; optionally also `drivers`, `changes`,
  `warnings`, `asked` and `quantities` of a result.

Command line, plots, reports, comparisons and JSON schemas find a job here and need no further edit. A job of another package
declares an entry point of the group `nanomg.jobs`, whose value is the package with a `JOB`; a folder that is such a package, or
holds some, is named in the environment variable NANOMG_JOBS; a script may call `register`.

    >>> from nanomg.jobs import Job, job, register
    >>> register(Job("echo", "Echo", "A result that repeats its request", ("echo",), "Repeat a word.", package="my_echo"))
    >>> job("echo").title
    'Echo'
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanomg.errors import InputError, unknown
from nanomg.results.kinds import JOB

if TYPE_CHECKING:
    from types import ModuleType

ENTRY_POINTS = "nanomg.jobs"
FOLDERS = "NANOMG_JOBS"

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Job:
    """A job: names and words here, code in the modules of its package, which are loaded when they are first asked for.

    Args:
        name: the command, and the attribute `nanomg_job` of a result file.
        title: a noun, such as "Sweep".
        describes: what a result is, such as "A sweep over many trajectories".
        groups: the groups that a result file holds, `a|b` for either; the first of them is the job's own.
        help: the line of `nanomg --help`.
        comparable_as: the job as which results are compared, where it is not this one.
        package: where its modules are; of a job that is found by entry point or folder, that package.

    Example:
        >>> from nanomg.jobs import job
        >>> job("optimize").comparable_as
        'simulate'
        >>> job("optimize").missing(["simulation", "doses", "parameters"])
        ['optimization']
    """

    name: str
    title: str
    describes: str
    groups: tuple[str, ...]
    help: str = ""
    comparable_as: str = ""
    package: str = ""

    @property
    def request(self) -> ModuleType:
        """The module of what it is asked."""
        return self._module("request")

    @property
    def summary(self) -> ModuleType | None:
        """The module of what it says of its result; None where that is a plain mapping."""
        module = f"{self._package}.summary"
        return importlib.import_module(module) if importlib.util.find_spec(module) is not None else None

    @property
    def run(self) -> ModuleType:
        """The module that does it."""
        return self._module("run")

    @property
    def figure(self) -> ModuleType:
        """The module that draws its results."""
        return self._module("figure")

    @property
    def page(self) -> ModuleType:
        """The module that says what is shown of its results."""
        return self._module("page")

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self._package}.{name}")

    @property
    def _package(self) -> str:
        return self.package or f"nanomg.jobs.{self.name}"

    def about(self, part: str, result: Any) -> Any:
        """What the page of the job has to say in one of its optional functions; nothing where it has no such function."""
        function = getattr(self.page, part, None)
        return () if function is None else function(result)

    def missing(self, groups: Collection[str]) -> list[str]:
        """Groups that a file of these groups lacks."""
        return [group for group in self.groups if not any(name in groups for name in group.split("|"))]


_SHIPPED = {
    job.name: job
    for job in (
        Job(
            "simulate",
            "Simulation",
            "A simulation",
            ("simulation|records", "doses", "parameters"),
            "Simulate a scenario with its control arms.",
        ),
        Job(
            "optimize",
            "Optimisation",
            "A search for the best regimen",
            ("optimization", "simulation", "doses", "parameters"),
            "Find the best amounts and times of doses within the limits.",
            comparable_as="simulate",
        ),
        Job(
            "sweep",
            "Sweep",
            "A sweep over many trajectories",
            ("sweep", "doses", "parameters"),
            "Simulate a scenario over ranges of values and virtual subjects.",
        ),
        Job(
            "sensitivity",
            "Sensitivity",
            "How outputs depend on every parameter",
            ("sensitivity",),
            "Show which parameters and doses an output depends on.",
        ),
        Job(
            "feasibility",
            "Feasibility",
            "Samples from the ranges of all cards",
            ("feasibility",),
            "Show how far tumour Mg rises, given the ranges of all cards.",
        ),
        Job(
            "validate",
            "Validation",
            "A comparison of the model with published data",
            ("rows", "domains"),
            "Compare the model with published data.",
        ),
        Job(
            "calibrate",
            "Calibration",
            "A fit of a card's values to data",
            ("calibration",),
            "Fit parameters of a card to measured data.",
        ),
    )
}
_registered: dict[str, Job] = {}


def register(job: Job) -> None:
    """Add a job to the table of this process, or replace one that was registered before.

    Raises:
        InputError: the name is that of a job of nanomg, or no name of a command.
    """
    _registered[job.name] = _checked(job, "register")


def table() -> Mapping[str, Job]:
    """Every job by its name: those of nanomg, of installed packages, of the folders in NANOMG_JOBS, and registered ones.

    Raises:
        InputError: a job of a package or folder cannot be loaded.
    """
    return {**_SHIPPED, **_installed(), **_in_folders(os.environ.get(FOLDERS, "")), **_registered}


def shipped(name: str) -> bool:
    """Whether a job is one of nanomg itself."""
    return name in _SHIPPED


def job(name: str) -> Job:
    """The job of that name.

    Raises:
        InputError: there is no such job.
    """
    jobs = table()
    if name not in jobs:
        raise unknown("job", name, jobs)
    return jobs[name]


# ---------------------------------------------------------------- which job made a file
def job_of(result: Any) -> Job:
    """The job that made a result: an open tree, or whatever has the root's attributes as `attrs` and groups as `children`.

    Raises:
        InputError: no job of nanomg made it, or one that is not installed here.
    """
    name = str(result.attrs.get(JOB, ""))
    jobs = table()
    if name in jobs:
        return jobs[name]
    if name:
        raise InputError(
            f"the job {name!r} made this file and is not installed here; name its folder in the environment variable {FOLDERS}"
        )
    return _of_older(list(result.children))


def maker(result: Any) -> Job | None:
    """As `job_of`, but None where the result does not tell its job or the job is not installed."""
    try:
        return job_of(result)
    except InputError:
        return None


def _of_older(groups: Collection[str]) -> Job:
    """The job of a file without the attribute, by its groups; an optimisation holds a simulation, too, so the one with most."""
    makers = [job for job in _SHIPPED.values() if any(name in groups for name in job.groups[0].split("|"))]
    if not makers:
        what = f"the file holds {', '.join(groups) or 'nothing'}"
        raise InputError(f"{what}, and none of that is the result of a job of nanomg")
    return max(makers, key=lambda job: len(job.groups))


# ---------------------------------------------------------------- jobs from elsewhere
@functools.cache
def _installed() -> Mapping[str, Job]:
    """Jobs of installed packages that declare the entry point."""
    jobs = {}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            module = importlib.import_module(point.module)
        except Exception as error:
            raise InputError(f"this package of a job cannot be imported: {error!r}", point.module) from error
        found = _job_in(module, point.module)
        jobs[found.name] = found
    return jobs


@functools.cache
def _in_folders(folders: str) -> Mapping[str, Job]:
    """Jobs of the packages in these folders, which are separated as in PATH."""
    jobs = {}
    for folder in filter(None, folders.split(os.pathsep)):
        for package in _packages(Path(folder)):
            found = _job_in(_imported(package), str(package))
            jobs[found.name] = found
    return jobs


def _packages(folder: Path) -> Iterator[Path]:
    """The folder itself if it is a package, else the packages in it."""
    if not folder.is_dir():
        raise InputError("there is no such folder of jobs", f"{FOLDERS}: {folder}")
    if (folder / "__init__.py").is_file():
        yield folder
        return
    yield from sorted(path.parent for path in folder.glob("*/__init__.py"))


def _imported(package: Path) -> ModuleType:
    """The package at a path, imported under a name of its own, so that it hides no other package."""
    name = f"nanomg_job_{package.name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, package / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"this package of a job cannot be imported: {error!r}", str(package)) from error
    return module


def _job_in(module: ModuleType, where: str) -> Job:
    found = getattr(module, "JOB", None)
    if not isinstance(found, Job):
        raise InputError("a package of a job has `JOB = Job(...)` in its __init__.py", where)
    return _checked(dataclasses.replace(found, package=found.package or module.__name__), where)


def _checked(job: Job, where: str) -> Job:
    if not _NAME.fullmatch(job.name):
        raise InputError(
            f"the name of a job is made of lower-case letters, digits, - and _, and {job.name!r} is not", where
        )
    if job.name in _SHIPPED:
        raise InputError(f"nanomg has a job {job.name!r}; choose another name", where)
    return job
