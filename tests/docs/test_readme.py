"""What README.md shows works: its script runs, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nanomg import models
from nanomg.jobs.simulate import run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()] + INLINE
# joined where a line ends with a backslash, without comments
LINES = [re.sub(r"\s+#.*", "", line) for line in "\n".join(SHELL).replace("\\\n", " ").splitlines()]
COMMANDS = [shlex.split(line) for line in LINES if line.startswith("nanomg ")]
LIBRARY = models.library()


def test_the_analysis_script_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = (text for kind, text in BLOCKS if kind == "python")
    first, *rest = script.splitlines()
    assert re.fullmatch(r'path = "results/[\w-]+\.h5"', first)
    assert sum(bool(line.strip()) for line in rest) <= 10
    name = Path(first.split('"')[1]).stem
    path = tmp_path / "run.h5"
    run.simulate(name, output=path)
    exec(compile("\n".join([f"path = {str(path)!r}", *rest]), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "nan" not in printed.lower()
    for regimen in ("as given", "without Mg", "same Mg given free"):
        assert re.search(rf"{regimen}(\s+\d[\d.e-]*)+", printed), printed


def test_it_is_short_and_shows_commands() -> None:
    assert README.count("\n") < 80
    assert {line.split()[1] for line in LINES if line.startswith("nanomg ")} >= {"simulate", "report", "list", "show"}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_leads_somewhere(target: str) -> None:
    assert "://" in target or (ROOT / target).exists()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in LINES:
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE), line
