"""Requests of all jobs: to JSON and back, their JSON schemas, what a result file holds of them, and what is wrong in one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import nanomg
from nanomg.errors import InputError
from nanomg.jobs.calibrate.request import CalibrateRequest
from nanomg.jobs.feasibility.request import FeasibilityRequest
from nanomg.jobs.optimize.request import OptimizeRequest
from nanomg.jobs.request import JobRequest
from nanomg.jobs.sensitivity.request import SensitivityRequest
from nanomg.jobs.simulate.request import SimulateRequest
from nanomg.jobs.sweep.request import SweepRequest, request_of
from nanomg.jobs.validate.request import ValidateRequest
from nanomg.results.file import read_attributes
from nanomg.views.schema import schemas

REQUESTS: list[JobRequest] = [
    SimulateRequest(
        scenario="textbook-1cpt",
        set={"a.b": "3 L/h"},
        dose=["pk.oral: 2 mg"],
        output=Path("out.h5"),
        precision="float32",
    ),
    OptimizeRequest(scenario="mouse-mc38-depot", steps=7, seed=3, resume=True),
    SweepRequest(scenario="mouse.toml", vary="a.b=1..2:3", subjects=5, values={"a.b": [1.0, 2.0]}, workers=2),
    SensitivityRequest(scenario="textbook-1cpt", of=("pk.C:max",), over="cv", samples=64),
    FeasibilityRequest(scenario="mouse-mc38-depot", draws=9, horizon="7 d"),
    ValidateRequest(domains=("antibody", "lnp"), library=(Path("more"),)),
    CalibrateRequest(data=Path("data.csv"), fit=("pk.CL=1..10 L/h",), starts=3, card_out="card.toml"),
]
NAMES = [request.job for request in REQUESTS]


@pytest.mark.parametrize("request_", REQUESTS, ids=NAMES)
def test_a_request_comes_back_from_json_by_value(request_: JobRequest) -> None:
    text = json.dumps(request_.to_json())
    assert type(request_).from_json(json.loads(text)) == request_


@pytest.mark.parametrize("request_", REQUESTS, ids=NAMES)
def test_the_schema_describes_what_a_request_writes(request_: JobRequest) -> None:
    schema = schemas([request_.job])[request_.job]["request"]
    jsonschema.Draft202012Validator.check_schema(schema)
    fields = {k: v for k, v in request_.to_json().items() if k not in ("job", "request_version")}
    jsonschema.validate(fields, schema)
    assert set(schema["properties"]) == set(fields)
    assert all(entry["description"] for entry in schema["properties"].values())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**fields, "colour": 1}, schema)


def test_every_keyword_of_a_job_is_a_field_of_its_request() -> None:
    import inspect

    beside = {"library", "command", "progress", "chunk"}
    renamed = {"calibrate": {"result", "output"}}
    for request in REQUESTS:
        if request.job == "sweep":  # takes the fields as they are
            continue
        keywords = set(inspect.signature(getattr(nanomg, request.job)).parameters)
        fields = {entry.name for entry in dataclasses.fields(request)}
        assert keywords - beside - renamed.get(request.job, set()) <= fields


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "the field 'scenario' is missing"),
        ({"scenario": "x", "subject": 3}, "there is no field 'subject'"),
        ({"scenario": "x", "subjects": "many"}, "'subjects' must be a valid integer.*many"),
        ({"scenario": "x", "subjects": -1}, "'subjects' must be greater than or equal to 0, not -1"),
        ({"scenario": "x", "vary": ["a", 3]}, "'vary.1' must be a valid string, not 3"),
        ({"scenario": "x", "sample": "gird"}, "did you mean 'grid'"),
        ({"scenario": "x", "job": "simulate"}, "a request for the job 'simulate', not 'sweep'"),
        ({"scenario": "x", "request_version": 9}, "version 9; this nanomg reads version 1"),
    ],
)
def test_a_wrong_request_is_one_sentence_that_names_the_field(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SweepRequest.from_json(data)


def test_a_result_file_holds_the_request_and_not_where_it_went(tmp_path: Path) -> None:
    asked = {"vary": ["pk.V=20,30 L"], "keep": ["pk.C:max"], "seed": 4}
    run = nanomg.sweep("textbook-1cpt", output=tmp_path / "sweep.h5", **asked)
    config = json.loads(read_attributes(run.path)["config_json"])
    assert request_of(config, "file") == SweepRequest(scenario="textbook-1cpt", **asked)
    assert not {"output", "force", "memory", "workers"} & set(config["request"])


def test_a_resolved_configuration_is_a_scenario_for_a_request() -> None:
    first = nanomg.simulate("textbook-1cpt", set={"pk.V": "40 L"})
    config = json.loads(first.tree.attrs["config_json"])
    inline = {key: config[key] for key in ("scenario", "file", "set", "dose", "parameters")}
    again = SimulateRequest.from_json({"scenario": inline})
    from nanomg.jobs.simulate.run import run

    assert run(again).summary["signals"] == first.summary["signals"]


def test_the_request_of_an_older_sweep_is_read() -> None:
    older = {"vary": ["pk.V=20,30 L"], "values": None, "subjects": 0, "population": None, "sample": "grid"}
    older |= {"points": None, "keep": ["pk.C:max"], "paired": False, "seed": 4}
    older |= {"precision": "float64", "rtol": 3e-5, "device": "auto"}
    found = request_of({"scenario": "textbook-1cpt", "sweep": older}, "file")
    assert found == SweepRequest(scenario="textbook-1cpt", vary=("pk.V=20,30 L",), keep=("pk.C:max",), seed=4)
    with pytest.raises(InputError, match="holds no request"):
        request_of({"scenario": "textbook-1cpt"}, "file")


def test_an_event_table_may_leave_out_a_port_that_is_free(tmp_path: Path) -> None:
    table = tmp_path / "doses.csv"
    table.write_text("TIME,AMT,CMT\n24,1,liposome.intratumoral\n", encoding="utf-8")
    scenario = OptimizeRequest(scenario="mouse-mc38-depot", events=table).resolved()
    assert [free.cmt for free in scenario.free] == ["liposome.intratumoral"]
    assert [(dose.time, dose.amt) for dose in scenario.doses] == [(24.0, 1.0)]
