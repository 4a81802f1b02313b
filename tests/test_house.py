"""The house: short files, one meaning for every public class, nothing private between modules, packages that only hold modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 450
FOLDERS = ("nanomg", "models", "cli", "tests", "benchmarks", "docs")
SHIPPED = ("nanomg", "models", "cli")
HOLD_CODE = {
    "nanomg/__init__.py",
    "nanomg/jobs/__init__.py",
    "models/__init__.py",
}  # public names, jobs, the shipped library
OF_TUPLES = {"_fields", "_replace", "_asdict", "_make"}  # public by the words of the standard library

Source = dict[str, str]  # path from the root: text


def sources(*folders: str) -> Source:
    """The Python files of some folders."""
    links = {ROOT / "nanomg" / "models", ROOT / "nanomg" / "cli"}
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    plain = [path for path in paths if not links.intersection(path.parents)]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in plain}


def long_files(files: Source) -> list[str]:
    return [f"{path}: {count} lines" for path, text in files.items() if (count := len(text.splitlines())) > MOST_LINES]


def classes_of_one_name(files: Source) -> list[str]:
    places = defaultdict(list)
    for path, text in files.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    return [f"{name}: {', '.join(paths)}" for name, paths in places.items() if len(paths) > 1]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_TUPLES


def private_imports(files: Source) -> list[str]:
    """Private names that a module takes from another one of nanomg, by name or as attributes of what it imports."""
    return [f"{path}: {name}" for path, text in files.items() for name in _private_names(ast.parse(text))]


def _private_names(tree: ast.Module) -> Iterator[str]:
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nanomg":
            for alias in node.names:
                imported.add(alias.asname or alias.name)
                if is_private(alias.name):
                    yield f"{node.module}.{alias.name}"
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)]
    for node in attributes:
        if isinstance(node.value, ast.Name) and node.value.id in imported:
            yield f"{node.value.id}.{node.attr}"


def packages_with_code(files: Source) -> list[str]:
    return [
        path
        for path, text in files.items()
        if path.endswith("__init__.py") and path not in HOLD_CODE
        if not (ast.get_docstring(ast.parse(text)) and len(ast.parse(text).body) == 1)
    ]


CHECKS = {
    "a file beyond 450 lines is two ideas": (long_files, FOLDERS),
    "two public classes share a name": (classes_of_one_name, SHIPPED),
    "a private name is used by another module": (private_imports, SHIPPED),
    "a package holds more than its docstring": (packages_with_code, SHIPPED),
}


@pytest.mark.parametrize("rule", CHECKS)
def test_the_house_is_in_order(rule: str) -> None:
    check, folders = CHECKS[rule]
    assert check(sources(*folders)) == [], rule


@pytest.mark.parametrize(
    ("rule", "files", "told"),
    [
        (
            "a file beyond 450 lines is two ideas",
            {"a.py": "x = 1\n" * 450, "b.py": "x = 1\n" * 451},
            ["b.py: 451 lines"],
        ),
        (
            "two public classes share a name",
            {"a.py": "class Run: ...\nclass _Own: ...", "b.py": "class Run: ...\nclass _Own: ..."},
            ["Run: a.py, b.py"],
        ),
        (
            "a private name is used by another module",
            {
                "a.py": "from nanomg.units import _parse, convert\nfrom nanomg import units, __version__\nunits._cache.clear()"
            },
            ["a.py: nanomg.units._parse", "a.py: units._cache"],
        ),
        (
            "a package holds more than its docstring",
            {
                "nanomg/a/__init__.py": '"""One."""\nx = 1',
                "nanomg/b/__init__.py": '"""Two."""',
                "nanomg/c/__init__.py": "",
            },
            ["nanomg/a/__init__.py", "nanomg/c/__init__.py"],
        ),
    ],
)
def test_a_house_in_disorder_is_seen(rule: str, files: Source, told: list[str]) -> None:
    assert CHECKS[rule][0](files) == told
