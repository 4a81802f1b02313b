"""Every code block and every `nanomg` command of the manual is read by the program or reader that it is written for."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import importlib
import importlib.util
import inspect
import itertools
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from nanomg import models
from nanomg.cli.main import commands
from nanomg.cli.options import parse_assignments
from nanomg.data import studies
from nanomg.library import scenario_file
from nanomg.library.card import load_card
from nanomg.population import population_file

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LIBRARY = models.library()
GROUP: Any = get_command(commands)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Where a block is, its language, and its text without the indentation of a list."""
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for indent, language, text in re.findall(r"^( *)```(\w*)\n(.*?)^ *```", page.read_text("utf-8"), re.S | re.M):
            yield name, language, "\n".join(line.removeprefix(indent) for line in text.splitlines())


def of(*languages: str) -> list[Any]:
    """The blocks in a language, as parameters of a test."""
    counted = enumerate(blocks())
    return [pytest.param(text, id=f"{page}-{i}") for i, (page, language, text) in counted if language in languages]


def test_every_language_is_read_by_a_test() -> None:
    # text, csv and bibtex are parts of the examples that tests of event tables and of extensions run
    elsewhere = {"", "text", "csv", "bibtex", "dockerfile"}
    assert {language for _, language, _ in blocks()} - elsewhere == {"python", "sh", "toml"}


# ---------------------------------------------------------------- Python
def resolve(node: ast.AST, known: dict[str, Any]) -> Any:
    """What a name or a chain of attributes of a module means; None where that needs a run."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        base = resolve(node.value, known)
        if getattr(base, "__package__", "").partition(".")[0] == "nanomg":
            return getattr(base, node.attr)  # an error where there is no such name
    return None


@pytest.mark.parametrize("text", of("python"))
def test_names_of_python_are_there(text: str) -> None:
    tree = ast.parse(text)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.partition(".")[0]] = importlib.import_module(alias.name)
        elif (
            isinstance(node, ast.ImportFrom) and node.module and importlib.util.find_spec(node.module.partition(".")[0])
        ):
            module = importlib.import_module(node.module)
            for alias in node.names:
                known[alias.name] = getattr(module, alias.name, None) or importlib.import_module(
                    f"{node.module}.{alias.name}"
                )
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    defined = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    imported = {
        a.asname or a.name.partition(".")[0]
        for n in ast.walk(tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for a in n.names
    }
    if not imported:  # continues the block before it
        imported = {"nanomg"}
    missing = {n.id for n in names} - defined - arguments - imported - set(dir(builtins))
    assert not missing
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            resolve(node, known)
        if isinstance(node, ast.Call):
            called = resolve(node.func, known)
            if inspect.isfunction(called):
                assert {k.arg for k in node.keywords} <= accepted(called), called.__name__


def accepted(function: Any) -> set[str]:
    """Names of a function's arguments; those of a job include the fields of its request."""
    names = set(inspect.signature(function).parameters)
    requests = [v for k, v in vars(inspect.getmodule(function)).items() if k.lower() == f"{function.__name__}request"]
    return names | {field.name for request in requests for field in dataclasses.fields(request)}


# ---------------------------------------------------------------- shell
def shell_lines() -> list[Any]:
    """Lines of shell blocks, joined where a line ends with a backslash, and `nanomg` commands within sentences."""
    lines: dict[str, str] = {}
    for page, language, text in blocks():
        if language == "sh":
            lines |= {f"{page}: {line}": line for line in text.replace("\\\n", " ").splitlines() if line.strip()}
    for page in PAGES:
        prose = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.S | re.M)
        name = page.relative_to(ROOT).as_posix()
        lines |= {f"{name}: {code}": code for code in re.findall(r"`(nanomg [^`\n]+)`", prose)}
    return [pytest.param(line, id=name) for name, line in lines.items()]


@pytest.mark.parametrize("line", shell_lines())
def test_a_shell_line_is_read(line: str) -> None:
    words = shlex.split(line, comments=True)
    environment = list(itertools.takewhile(lambda word: re.fullmatch(r"(export|[A-Z_${a-z}]+=\S*)", word), words))
    program, *arguments = words[len(environment) :] or ["export"]
    if program == "nanomg":
        read_command(arguments)
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.M)
    elif program == "python":
        script = (ROOT / arguments[0]).read_text("utf-8")
        options = {word for word in arguments if word.startswith("--")}
        names = {f'"{option}"' for option in options}
        assert all(name in script or f'"{name[3:]}' in script for name in names), names
    else:
        assert program in {"pip", "dask", "export", "for", "done", "openssl", "printf", "umask"}
        assert (
            subprocess.run(
                ["bash", "-n"], input=line.replace("; do", "; do :; done") if program == "for" else "", text=True
            ).returncode
            == 0
        )


def read_command(arguments: list[str]) -> None:
    """Parsed by the command line; scenario, values and doses are read, too."""
    if arguments[0].startswith("-"):
        assert arguments[0] in ("--help", "--version")
        return
    context = GROUP.make_context("nanomg", list(arguments), resilient_parsing=True)
    name, command, rest = GROUP.resolve_command(context, list(arguments))
    assert command is not None and name == arguments[0]
    if not rest:  # a command that is only named
        return
    read = command.make_context(name, list(rest)).params
    scenario = read.get("scenario")
    if scenario and scenario.islower() and "--library" not in arguments:  # capitals stand for any
        resolved = scenario_file.load(
            scenario, LIBRARY, parse_assignments(read.get("assignments")), tuple(read.get("doses") or ())
        )
        if read.get("population"):
            population_file.load_population(read["population"], LIBRARY, resolved)


# ---------------------------------------------------------------- TOML
@pytest.mark.parametrize("text", of("toml"))
def test_toml_is_read_by_its_reader(text: str, tmp_path: Path) -> None:
    keys = set(tomllib.loads(text))
    path = tmp_path / "example.toml"
    path.write_text(text, encoding="utf-8")
    if keys == {"project"}:  # an entry point: tests/library/test_extension.py installs it
        assert set(tomllib.loads(text)["project"]["entry-points"]) <= {"nanomg.models", "nanomg.jobs"}
    elif "fit" in keys:
        data = tmp_path / tomllib.loads(text)["file"]
        data.parent.mkdir()
        data.write_text(
            "formulation,dose_level,organ,time_h,tissue_pctID_per_g\nU16c,low,liver,1,2.5\nU16c,low,liver,4,1.5\n"
        )
        study = studies.read(path, tmp_path, LIBRARY)
        assert study.title and len(study.data) >= 2
    elif "covariates" in keys:
        scenario = scenario_file.load("human-nsclc-pembrolizumab", LIBRARY)
        assert population_file.load_population(str(path), LIBRARY, scenario).covariates
    elif keys & {"objective", "limit", "free"}:
        names = {"intratumoral": "mouse-mc38-depot", "response.R": "warfarin", "": "human-nsclc-iv-mgso4"}
        name = next(name for word, name in names.items() if word in text)
        (key,) = keys
        shipped = LIBRARY.scenarios[name].read_text("utf-8")
        others = [part for part in re.split(r"^(?=\[)", shipped, flags=re.M) if not re.match(rf"\[+{key}\b", part)]
        path.write_text("".join(others) + "\n" + text, encoding="utf-8")
        resolved = scenario_file.load(str(path), LIBRARY)
        assert resolved.terms if key == "objective" else resolved.limits if key == "limit" else resolved.free
    elif "horizon" in keys:  # needs the folder's mechanism: tests/library/test_extension.py simulates it
        assert {"title", "species", "mechanisms", "cards", "outputs", "dose"} <= keys
    elif keys & {"dose", "columns"}:  # tests of event tables simulate these
        path.write_text(
            'title = "Example"\nmechanisms = ["OneCompartment"]\ncards = ["textbook"]\nhorizon = "7 d"\nevery = "1 h"\n'
            + text
        )
        assert scenario_file.load(str(path), LIBRARY)
    else:
        assert load_card(path, lambda *_: pytest.fail("a card that needs no other")).parameters
