"""The package as it is installed: three folders under one import name, nothing missing, nothing twice, nothing private."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import setuptools

import nanomg

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {package: ROOT / folder for package, folder in PROJECT["tool"]["setuptools"]["package-dir"].items()}
SKIPPED = {"__pycache__", ".venv", "build"}


def own_files(folder: Path) -> set[Path]:
    """Files of a package's folder, without what lies behind the links and without caches."""
    found = set()
    for path in folder.iterdir():
        if path.is_symlink() or path.name in SKIPPED:
            continue
        found |= own_files(path) if path.is_dir() else {path}
    return found


def tracked_files() -> list[Path]:
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if git.returncode != 0 or not git.stdout:
        pytest.skip("this tree is not under version control")
    return [ROOT / name for name in git.stdout.split("\0") if name]


def stub_names() -> list[str]:
    stub = ast.parse((ROOT / "nanomg/__init__.pyi").read_text(encoding="utf-8"))
    return [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]


def test_import_is_lazy():
    code = "import sys, nanomg; print(*sorted({'jax', 'numpy', 'xarray', 'pint', 'typer'} & sys.modules.keys()))"
    shown = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""


@pytest.mark.parametrize("name", stub_names())
def test_public_name_resolves(name: str):
    assert getattr(nanomg, name) is not None


def test_public_names_are_listed_once():
    assert sorted(stub_names()) == sorted(set(stub_names())) == nanomg.__all__


@pytest.mark.parametrize("name", ["models", "cli"])
def test_link_shows_the_folder(name: str):
    link = ROOT / "nanomg" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


def test_every_module_belongs_to_a_package():
    declared = setuptools.find_packages(str(ROOT), **PROJECT["tool"]["setuptools"]["packages"]["find"])
    assert declared and {*FOLDERS} <= {*declared}
    for top in ("nanomg", "models", "cli"):
        for path in own_files(ROOT / top):
            if path.suffix == ".py":
                assert (path.parent / "__init__.py").exists(), f"{path} is in no package"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel built from a copy of the tree."""
    copy = tmp_path_factory.mktemp("wheel") / "tree"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("nanomg", "models", "cli"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns(*SKIPPED))
    command = [sys.executable, "-P", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (path,) = (copy / "dist").glob("*.whl")
    assert nanomg.__version__ in path.name
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def test_wheel_holds_every_file_once(wheel: list[str]):
    expected = [
        f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for path in own_files(folder)
    ]
    assert sorted(wheel) == sorted(expected)


def test_constraints_name_every_dependency():
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()
    pinned = {canonical(line.split("==")[0]) for line in lines}
    project = PROJECT["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {canonical(re.split(r"[\[><=~! ]", item)[0]) for item in wanted} <= pinned


def test_no_addresses_of_registries_or_machines():
    registries = r"\b(?:pypi|pythonhosted|npmjs|anaconda|conda-forge)\.(?:org|com|io)\b|--(?:extra-)?index[-]url"
    machine = r"(?<![\w./}~-])/(?:work|home|root|Users|mnt|tmp)/\w"
    pattern = re.compile(f"{registries}|{machine}")
    for path in tracked_files():
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        assert not pattern.search(text), f"{path.relative_to(ROOT)}: {pattern.search(text)}"
