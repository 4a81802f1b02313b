"""Plain English in the field's terms: README, help pages and reports have none of the phrases that readers had to guess at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from small_results import MADE
from typer.main import get_command

from nanomg.cli.main import commands
from nanomg.views import report

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
GROUP: Any = get_command(commands)

# what to say, and the phrases that it replaces
PHRASES = {
    "depends on, driven by": r"\bhang(?:s|ing)? on\b|\bhung on\b",
    "compared with, next to": r"\bbeside\b|\b(?:hold|holds|held)\b.{1,40}?\bagainst\b",
    "results": r"\bwhat (?:came|comes) out\b",
    "simulated, evaluated, not scored": r"\blook(?:ed|s)? at\b",
    "passes, fails": r"\bfall(?:s|ing)? short\b|\bfell short\b|\bdomains?\b[^.]{0,30}\bstands?\b|\bstands on \d|\bjudged stand\b",
    "reverse pass, backpropagate": r"\bwalk(?:s|ed|ing)? backwards?\b|\bwalks? back\b",
    "rejected, resampled": r"\bturned away\b|\bdrawn again\b",
    "control arm": r"\b(?:arm|run)s? beside\b",
    "reported": r"\b(?:is|are|was|were|be|been) (?:told|said)\b(?! apart)",
    "active constraint, slack": r"\blimits? that press(?:es)?\b|\broom (?:below|above|left)\b",
    # the option is --draws, and a command draws a figure
    "samples, sampled subjects, prior or posterior draws": r"\b(?:of|over|in|the|all|no|other|[\d,]+) draws\b|\bcandidates\b",
    "estimate cost, then stop": r"\bsay what it will take\b|\bdo not do it\b",
    "steady state": r"\bthe own\b|\bown steady state\b",
    # the group of a result file keeps its name: /verdict
    "conclusion, finding": r"(?<![/\w])verdicts?\b(?!\.)",
}


def met(text: str) -> list[str]:
    """The phrases of a text, each with what to say."""
    plain = re.sub(r"\s+", " ", text)
    return [
        f"{match.group()!r} in {plain[max(match.start() - 40, 0) : match.end() + 40]!r}: say {better!r}"
        for better, phrase in PHRASES.items()
        for match in re.finditer(phrase, plain, re.IGNORECASE)
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "what a result hangs on",
        "Run a scenario beside arms without Mg",
        "Hold the model against published numbers",
        "31 looked at only",
        "15 domains that are judged stand",
        "one walk backwards through it",
        "candidates were drawn again",
        "it is told how often",
        "a limit that presses",
        "in 2 % of the draws",
        "Say what it will take, and do not do it.",
        "starts in its own steady state",
        "The verdict",
    ],
)
def test_the_phrases_are_found(sentence: str) -> None:
    assert met(sentence)


def test_other_uses_are_left() -> None:
    assert not met("nanomg plot draws the figure; --draws N; prior draws; the group /verdict; besides; understands")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_the_manual(page: Path) -> None:
    assert not met(re.sub(r"<!--.*?-->", " ", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", [None, *GROUP.commands])
def test_a_help_page(name: str | None) -> None:
    command = GROUP.commands[name] if name else GROUP
    context = command.make_context(name or "nanomg", [], resilient_parsing=True)
    assert not met(command.get_help(context))


@pytest.mark.parametrize("result", ["simulated", "optimum", "swept", *MADE])
def test_a_report(result: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    tree: xr.DataTree = MADE[result]() if result in MADE else request.getfixturevalue(result)
    report.report(tree, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for hidden in (r"<script.*?</script>", r"<style.*?</style>"):
        page = re.sub(hidden, " ", page, flags=re.DOTALL)
    assert not met(re.sub(r"<[^>]+>", " ", page))
