"""Kind of truth: a job in a folder outside nanomg is a job like the others, without an edit elsewhere."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from small_results import MADE

import nanomg
from nanomg import jobs
from nanomg.errors import InputError
from nanomg.jobs import Job
from nanomg.results.kinds import JOB

TOY = Path(__file__).parents[1] / "support" / "toy_job"
DEPTH = 9.81 * 2.0**2 / 2  # [m] of a body that falls for 2 s


def program(*arguments: str, folder: Path | str = TOY) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with a folder of jobs."""
    command = (sys.executable, "-P", "-c", "from nanomg.cli.main import app; app()", *arguments)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, jobs.FOLDERS: str(folder)}
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "two.h5"
    done = program("fall", "--seconds", "2", "--points", "9", "-o", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The body falls 19.6 m in 2 s.\n") and f"Result file: {path}" in done.stdout
    return path


# ---------------------------------------------------------------- a job in a folder outside the package
def test_its_command_is_in_the_help_with_its_options() -> None:
    assert "Let a body fall for a while." in program("--help").stdout
    page = program("fall", "--help").stdout
    assert "--seconds" in page and "How long the body falls." in page and "--output" in page and "--json" in page
    assert "fall" not in program("--help", folder="").stdout


def test_its_file_says_who_made_it_and_its_summary_is_one_object(file: Path) -> None:
    assert nanomg.open(file).attrs[JOB] == "fall"
    shown = program("summary", str(file)).stdout
    assert shown == program("fall", "--seconds", "2", "-o", str(file), "--force").stdout
    assert "depth at the end  19.62  m" in shown
    assert json.loads(program("summary", str(file), "--json").stdout)["depth"] == pytest.approx(DEPTH)


def test_its_figure_page_and_comparison(file: Path, tmp_path: Path) -> None:
    drawn = program("plot", str(file), "-o", str(tmp_path / "fall.svg"))
    assert drawn.returncode == 0
    assert (tmp_path / "fall.svg").read_text().startswith("<?xml")
    made = json.loads(program("report", str(file), "-o", str(tmp_path / "fall.html"), "--json").stdout)
    page = (tmp_path / "fall.html").read_text(encoding="utf-8")
    assert made["kind"] == "fall" and made["verdict"] == "The body falls 19.6 m in 2 s."
    assert all(
        text in page for text in ("How deep the body falls", "depth at the end", "Another planet.", "A body that falls")
    )
    other = tmp_path / "four.h5"
    program("fall", "--seconds", "4", "-o", str(other))
    (row,) = json.loads(program("compare", str(file), str(other), "--json").stdout)["quantities"]
    assert row["name"] == "body" and row["change"]["four"] == pytest.approx(3.0)  # four times as deep
    refused = program("plot", str(file), "depth", "-o", str(tmp_path / "x.png"))
    assert refused.returncode == 2 and "for results of simulate, optimize, sweep" in refused.stderr


def test_its_request_has_a_json_schema() -> None:
    schema = json.loads(program("schema", "fall").stdout)["fall"]["request"]
    assert schema["properties"]["seconds"]["description"] == "how long the body falls"
    assert "seconds" in schema["required"] and "fall" in json.loads(program("schema").stdout)


def test_where_it_is_not_installed_that_is_said(file: Path) -> None:
    done = program("summary", str(file), folder="")
    assert done.returncode == 2 and "the job 'fall' made this file and is not installed here" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("JOB = 1", "has `JOB = Job(...)`"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ('from nanomg.jobs import Job\nJOB = Job("sweep", "S", "s", ())', "nanomg has a job 'sweep'"),
        ('from nanomg.jobs import Job\nJOB = Job("my job", "S", "s", ())', "lower-case letters"),
    ],
)
def test_a_folder_that_is_no_job_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text(text)
    done = program("list", folder=tmp_path)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1
    assert "there is no such folder of jobs" in program("list", folder=tmp_path / "gone").stderr


def test_the_manual_shows_all_of_it() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    for path in TOY.glob("*.py"):
        assert f"```python\n# fall/{path.name}\n{path.read_text(encoding='utf-8')}```" in manual


# ---------------------------------------------------------------- the table
def test_a_job_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_registered", {})
    mine = Job("mine", "Mine", "What is mine", ("mine",))
    jobs.register(mine)
    assert jobs.job("mine") is mine and jobs.job_of(xr.DataTree(xr.Dataset(attrs={JOB: "mine"}))) is mine
    with pytest.raises(InputError, match="nanomg has a job 'sweep'"):
        jobs.register(Job("sweep", "S", "s", ()))
    with pytest.raises(InputError, match="did you mean 'simulate'"):
        jobs.job("simulat")


def test_the_examples_of_the_table_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_registered", {})
    assert doctest.testmod(jobs).failed == 0 < doctest.testmod(jobs).attempted


def test_the_job_of_a_file_is_told_by_its_attribute_and_of_an_older_one_by_its_groups(
    simulated: xr.DataTree, optimum: xr.DataTree, swept: xr.DataTree
) -> None:
    results = {"simulate": simulated, "optimize": optimum, "sweep": swept}
    for name, result in results.items():
        assert jobs.job_of(result).name == name
    for name, result in {**results, **{name: make() for name, make in MADE.items()}}.items():
        older = xr.DataTree.from_dict({f"/{group}": node.to_dataset() for group, node in result.children.items()})
        assert jobs.job_of(older).name == name
    with pytest.raises(InputError, match="holds nothing"):
        jobs.job_of(xr.DataTree())


@pytest.mark.parametrize("name", list(jobs.table()))
def test_every_job_has_what_the_views_ask_for(name: str) -> None:
    job = jobs.job(name)
    assert callable(job.page.sentence) and callable(job.page.blocks) and callable(job.page.quantities)
    assert callable(job.figure.pictures) and callable(job.run.run) and job.request.Request.job == name
    assert job.groups and job.title and job.describes and job.help.endswith(".")
    assert not job.comparable_as or job.comparable_as in jobs.table()
