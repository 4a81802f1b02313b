"""Summaries of all jobs: to JSON and back, their JSON schemas, those of older files, and what is wrong in one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from older_summaries import OLDER
from typer.testing import CliRunner

import nanomg
from nanomg import jobs
from nanomg.cli.main import commands
from nanomg.errors import InputError
from nanomg.jobs import summary
from nanomg.jobs.simulate.summary import MgEffect, SimulateSummary
from nanomg.jobs.summary import JobSummary, read_summary
from nanomg.jobs.sweep.summary import SweepSummary
from nanomg.results import file
from nanomg.results.run import Run
from nanomg.simulation.roles import HOURS
from nanomg.views.schema import schemas

EMPTY = {"feasibility": {"signals", "mg"}}  # keys that are gone


def checked(job: str, data: dict[str, Any]) -> JobSummary:
    found = summary.checked_summary(jobs.job(job), data, "run.h5")
    assert isinstance(found, JobSummary)
    return found


@pytest.fixture(scope="module", params=["simulate", "sweep", "sensitivity", "optimize"])
def run(request: pytest.FixtureRequest, small_scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    asked: dict[str, dict[str, Any]] = {
        "sweep": {"vary": ["dose.amount=10..100 mg:3"], "subjects": 0, "keep": ["pk.C:max", "pk.C:series"]},
        "sensitivity": {"of": ["pk.C:max"]},
        "optimize": {"steps": 2},
    }
    path = tmp_path_factory.mktemp(request.param) / "result.h5"
    made: Run = getattr(nanomg, request.param)(str(small_scenario), output=path, **asked.get(request.param, {}))
    return made


def test_the_summary_of_a_run_comes_back_from_its_file(run: Run) -> None:
    assert run.path is not None
    found = read_summary(run.path)
    assert type(found) is type(run.summary)
    assert found.to_json() == json.loads(json.dumps(run.summary.to_json()))
    assert found.to_json()["summary_version"] == 1


def test_the_schema_describes_what_json_prints(run: Run) -> None:
    job = run.summary.to_json()["job"]
    schema = schemas([job])[job]["summary"]
    jsonschema.Draft202012Validator.check_schema(schema)
    shown = CliRunner().invoke(commands, ["summary", str(run.path), "--json"])
    printed = {k: v for k, v in json.loads(shown.stdout).items() if k not in ("job", "summary_version")}
    jsonschema.validate(printed, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({k: v for k, v in printed.items() if k != "scenario"}, schema)


@pytest.mark.parametrize("job", OLDER)
def test_an_older_summary_reads_and_loses_nothing(job: str) -> None:
    found = checked(job, OLDER[job])
    assert found.job == job
    now = found.to_json()
    for key, value in OLDER[job].items():
        if key not in EMPTY.get(job, ()):
            assert without_free(now[key]) == without_free(value)
    assert checked(job, json.loads(json.dumps(now))).to_json() == now


def without_free(value: Any) -> Any:
    """An effect now says of itself that the same Mg given free has no such arm."""
    if isinstance(value, dict):
        return {k: without_free(v) for k, v in value.items() if not (k == "free" and v is None)}
    return value


@pytest.mark.parametrize("job", OLDER)
def test_every_field_of_a_schema_says_what_it_is(job: str) -> None:
    schema = schemas([job])[job]["summary"]
    for kind in (schema, *schema["$defs"].values()):
        assert all(entry.get("description") for entry in kind["properties"].values())


@pytest.mark.parametrize(
    ("job", "place", "said"),
    [
        ("simulate", ("verdict",), "the field 'verdict' is missing"),
        ("simulate", ("signals", "a.C", "auc"), "the field 'signals.a.C.auc' is missing"),
        ("sweep", ("sweep", "a.C:max", "q95"), "the field 'sweep.a.C:max.q95' is missing"),
        ("calibrate", ("starts", "values"), "the field 'starts.values' is missing"),
        ("validate", ("misses", 0, "fold"), "the field 'misses.0.fold' is missing"),
    ],
)
def test_a_broken_summary_is_one_sentence_that_names_the_field(job: str, place: tuple[Any, ...], said: str) -> None:
    broken = copy.deepcopy(OLDER[job])
    holder = broken
    for step in place[:-1]:
        holder = holder[step]
    del holder[place[-1]]
    with pytest.raises(InputError, match=f"^run.h5: {said}"):
        checked(job, broken)
    holder[place[-1]] = ["what is this"]
    with pytest.raises(InputError, match=f"^run.h5: '{'.'.join(map(str, place))}' must be"):
        checked(job, broken)


def test_a_newer_summary_and_one_of_another_job_are_refused() -> None:
    with pytest.raises(InputError, match="version 2; this nanomg reads 0 to 1"):
        checked("sweep", {**OLDER["sweep"], "job": "sweep", "summary_version": 2})
    with pytest.raises(InputError, match="of the job 'simulate', not of 'sweep'"):
        SweepSummary.from_json({**OLDER["sweep"], "job": "simulate"})
    with pytest.raises(InputError, match="there is no field 'colour'"):
        checked("sweep", {**OLDER["sweep"], "colour": 1})


def test_a_summary_reads_as_an_object_and_as_a_mapping() -> None:
    found = checked("simulate", OLDER["simulate"])
    assert isinstance(found, SimulateSummary) and isinstance(found.mg, MgEffect)
    low, _ = HOURS
    assert found.mg.hours_low is found["mg"][low] and found.signals["a.C"].auc == found["signals"]["a.C"]["auc"] == 4.0
    assert set(found) == set(OLDER["simulate"]) and "events" not in found and len(found) == len(OLDER["simulate"])
    with pytest.raises(KeyError, match="colour"):
        found["colour"]


def test_a_number_that_is_not_finite_is_null_in_a_file_and_comes_back() -> None:
    found = checked("validate", OLDER["validate"])
    assert found["domains"][0].noise_floor != found["domains"][0].noise_floor  # NaN
    assert json.loads(file.to_json(found))["domains"][0]["noise_floor"] is None
