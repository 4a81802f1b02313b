"""Result files that are damaged: every command that reads one answers in one sentence."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hostile import altered
from program import Program

import nanomg

READERS = {
    "summary": (),
    "plot": ("-o", "figure.png", "--force"),
    "report": ("-o", "page.html", "--force"),
    "doctor": (),
    "compare": ("whole.h5",),
}
USES = {
    "summary_json": {"summary", "plot", "report", "compare"},
    "config_json": {"plot", "report", "doctor", "compare"},
    "package_versions_json": {"report", "compare"},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damaged") / "whole.h5"
    nanomg.simulate("textbook-1cpt", output=path)
    return path


@pytest.mark.parametrize("text", ['{"a": 1', "[1]", "7"])
@pytest.mark.parametrize("name", USES)
def test_an_attribute_that_is_no_json_object(
    name: str, text: str, whole: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole.parent)
    shutil.copy(whole, "run.h5")
    with altered("run.h5") as file:
        file.attrs[name] = text
    for command, options in READERS.items():
        code, _, err = program(command, "run.h5", *options)
        if command in USES[name]:
            assert code == 2 and err.count("\n") == 1, (command, err)
            assert f"the file is damaged: its {name} is not a JSON object" in err
        else:
            assert code == 0, (command, err)


def test_a_file_name_that_is_not_utf8(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.h5")
    assert program("simulate", "textbook-1cpt", "-o", name).code == 0
    for command in ("summary", "report", "plot", "doctor"):
        assert program(command, name).code == 0, command
    assert (tmp_path / name).exists() and len(list(tmp_path.iterdir())) == 3


def test_an_empty_summary(whole: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole.parent)
    shutil.copy(whole, "empty.h5")
    with altered("empty.h5") as file:
        file.attrs["summary_json"] = "{}"
    for command in ("summary", "compare"):
        code, _, err = program(command, "empty.h5", *READERS[command])
        assert code == 2 and err.count("\n") == 1, err


def test_where_nothing_failed_equations_do_not_matter(
    whole: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole.parent)
    shutil.copy(whole, "other.h5")
    with altered("other.h5") as file:
        file.attrs["model_hash"] = "0"
    assert program("doctor", "other.h5").out == (
        "other.h5: 0 of 1 trajectories failed.\nThere is nothing to diagnose.\n"
    )


def test_a_result_without_a_scenario_cannot_be_replayed(
    whole: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole.parent)
    shutil.copy(whole, "rows.h5")
    with altered("rows.h5") as file:
        file.attrs["config_json"] = '{"runs": {}}'
    code, _, err = program("doctor", "rows.h5")
    assert (code, err) == (2, "nanomg: rows.h5: this result is not one of a scenario, so there is nothing to replay\n")
