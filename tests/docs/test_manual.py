"""The manual is complete: links lead somewhere, every option and every group of a file is described."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from nanomg import jobs, models
from nanomg.cli.main import commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "results" / "README.md", ROOT / "CONTRIBUTING.md"]
MANUAL = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *PAGES)}
GROUP = get_command(commands)
COMMANDS: dict[str, Any] = GROUP.commands  # type: ignore[attr-defined]
LIBRARY = models.library()


def anchor(title: str) -> str:
    """What a page makes of a heading's text to link to it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        place, _, part = target.partition("#")
        if "://" not in target:
            leads = (page.parent / place).resolve() if place else page
            assert leads.exists(), target
            titles = re.findall(r"^#+ (.*)$", leads.read_text(encoding="utf-8"), re.MULTILINE) if part else []
            assert not part or part in map(anchor, titles), target


OPTIONS = [
    (name, parameter.opts)
    for name, command in COMMANDS.items()
    for parameter in command.params
    if parameter.opts[0].startswith("-")
]
COMMON = ("--json", "--force", "--library", "--engine")  # of most commands, and the same in each


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda part: part if isinstance(part, str) else part[0])
def test_an_option_is_described(command: str, option: list[str]) -> None:
    about = [text for text in MANUAL.values() if f"nanomg {command}" in text or set(option) & set(COMMON)]
    assert any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for text in about for name in option)


def test_which_commands_take_a_library() -> None:
    (without,) = re.findall(r"every command has it but (.*?), which need", MANUAL["docs/extending.md"], re.DOTALL)
    have = {name for name, command in COMMANDS.items() if any("--library" in p.opts for p in command.params)}
    assert set(re.findall(r"`(\w+)`", without)) == set(COMMANDS) - have


def test_every_group_of_a_file_is_described() -> None:
    page = MANUAL["results/README.md"]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    described = set(re.findall(r"^\| `/(\w*)` \|", page, re.MULTILINE))
    for job in jobs.table().values():
        for group in "|".join(job.groups).split("|"):
            assert f"`/{group}`" in rows[job.name] and group in described
    assert {name for row in rows.values() for name in re.findall(r"`/(\w+)`", row)} <= described


def named(module: Path) -> set[str]:
    """Quantities of the science that the strings of a module name, its docstrings left out."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, holders) and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs
    ]
    groups = {mechanism.name for mechanism in LIBRARY.mechanisms.values()}
    return {text for text in texts if re.fullmatch(rf"({'|'.join(groups)})\.\w+", text)}


def test_which_modules_know_quantities_of_the_science() -> None:
    page = MANUAL["docs/architecture.md"]
    table = page.partition("| module | what it names, and why |")[2].partition("\n\n")[0]
    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w.]+)`", row)
    }
    modules = {path.relative_to(ROOT / "nanomg"): path for path in (ROOT / "nanomg").rglob("*.py")}
    science = {".".join(name.with_suffix("").parts) for name, path in modules.items() if named(path)}
    assert {name for name in science if not name.startswith(("models.", "cli."))} == listed
