"""A result file as one page that answers first: what came out, with its range; then figures, doses, warnings, and on what it rests.

    nanomg.report("run.h5", "run.html")

The page is one file that needs no network. It is made of what the result file holds and of the library's words and references; what
an older or damaged file lacks is said on the page.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr

from nanomg import __version__, answers, browser, cautions, drivers, findings, hover, plots, prescription, results
from nanomg.drawing import unit_text
from nanomg.errors import InputError
from nanomg.facts import Facts
from nanomg.library import Library
from nanomg.models import library as find_library
from nanomg.page import Items, Section, Text
from nanomg.results import StrPath

_TITLES = {
    "simulate": "Simulation",
    "optimize": "Optimisation",
    "sweep": "Sweep",
    "validate": "Validation",
    "calibrate": "Calibration",
    "feasibility": "Feasibility",
    "sensitivity": "Sensitivity",
}
_DISCLAIMER = "A model's answer, no advice for a patient."


def report(
    found: StrPath | xr.DataTree,
    output: StrPath | None = None,
    *,
    pdf: bool = False,
    force: bool = False,
    library: Library | None = None,
) -> dict[str, Any]:
    """Write the page of a result: a file, or what `nanomg.open` returns. Beside the file unless `output` says where.

    With `pdf` a Chromium of this machine prints it, too. Returns what was written and the answer.
    Raises `InputError` for a file that cannot be read or written, or without a browser.
    """
    if output is None:
        if isinstance(found, xr.DataTree):
            raise InputError("name the page; a result in memory has no file that it could lie beside", "output")
        output = Path(found).with_suffix(".html")
    page = results.check_output(output, force)
    printed = results.check_output(page.with_suffix(".pdf"), force) if pdf else None
    tree = found if isinstance(found, xr.DataTree) else results.open(found, older=True)
    facts = Facts(tree, library or find_library())
    text = render(facts)
    results.replace_file(page, text.encode())
    if printed is not None:
        browser.print_page(page, printed)
    return {
        "kind": facts.kind,
        "verdict": answers.sentence(facts),
        "page": str(page),
        "pdf": str(printed) if printed else None,
        "bytes": len(text.encode()),
    }


def render(facts: Facts) -> str:
    """The page as HTML."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"full": repr, "data": _data, "unit": unit_text}
    made = facts.attribute("date_created").replace("T", " ").replace("Z", " UTC")
    return environment.get_template("page.html").render(
        title=facts.attribute("title") or "A result without a title",
        job=_TITLES.get(facts.kind, "Result"),
        made=" · ".join(filter(None, (str(facts.at("scenario") or ""), made, facts.attribute("source")))),
        question=" ".join(str(facts.file.get("description", "")).split()),
        generator=f"nanomg {__version__}",
        sections=list(_sections(facts)),
        summary=facts.summary,
        footer=f"{_DISCLAIMER} Page made by nanomg {__version__}.",
    )


def _data(value: Any) -> Any:
    """JSON for a script element: no character in it can end the element."""
    return jinja2.utils.htmlsafe_json_dumps(value, dumps=results.to_json)


def _sections(facts: Facts) -> Iterator[Section]:
    """What stands on the page, in order; a section without anything is left out."""
    found = cautions.cautions(facts)
    numbers = answers.blocks(facts)
    large = [block for block in numbers if block.kind == "tiles"]
    minded = [Items([c.text for c in found if not c.well], "warning"), Items([c.text for c in found if c.well], "good")]
    for section in (
        Section("answer", "Answer", [Text(answers.sentence(facts), "lead"), *large]),
        Section("warnings", "Warnings", [block for block in minded if block.items]),
        Section("figures", "Figures", list(_pictures(facts.tree))),
        Section("numbers", "Numbers", [block for block in numbers if block not in large]),
        Section("doses", "Doses", prescription.blocks(facts)),
        Section("asked", "What was asked", list(findings.asked(facts))),
        Section("mattered", "What it hangs on", list(drivers.mattered(facts))),
        Section("changes", "What would change it", list(drivers.changes(facts))),
        Section("sources", "Sources", list(findings.sources(facts))),
        Section("again", "Run it again", list(findings.again(facts))),
    ):
        if section.blocks:
            yield section


def _pictures(tree: xr.DataTree) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a panel without a finite value
            for title, figure in plots.figures(tree).items():
                yield hover.picture(title, figure)
    except Exception as error:  # whatever an old or incomplete file lacks, the rest of the page stands
        yield Text(f"No further figure can be drawn from this file ({type(error).__name__}: {error}).", "note")
