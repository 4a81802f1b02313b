"""A result file as one page that starts with the answer, with ranges; then figures, doses, warnings, drivers and sources.

    nanomg.report("run.h5", "run.html")

The page is one file that needs no network. It is made of what the result file holds and of the library's words and references; what
an older or damaged file lacks is said on the page.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr

from nanomg import __version__, jobs
from nanomg.drawing import style
from nanomg.errors import InputError
from nanomg.files import StrPath, check_output, replace_file
from nanomg.library.library import Library
from nanomg.models import library as find_library
from nanomg.page import browser, hover
from nanomg.page.blocks import Items, Section, Text, capped
from nanomg.page.result import ResultReader
from nanomg.results import file
from nanomg.results.doubt import interprets
from nanomg.units import unit_text
from nanomg.views import answers, cautions, doses, drivers, plots, provenance
from nanomg.views.checked import checked_result

_ENDINGS = (".html", ".htm")
_SUMMARY, _PICTURES = 500_000, 1_500_000  # letters of the summary and of all pictures that a page holds at most
_DISCLAIMER = "Result of a research model; not medical advice."


@interprets
def report(
    found: StrPath | xr.DataTree,
    output: StrPath | None = None,
    *,
    pdf: bool = False,
    force: bool = False,
    library: Library | None = None,
) -> dict[str, Any]:
    """Write a one-page HTML report of a result.

    Args:
        found: a result file or an open tree.
        output: the page (.html) [default: next to the result file].
        pdf: also print the page to a PDF file next to it, with Chromium.
        force: overwrite files that exist.
        library: library with names and sources [default: the shipped one].

    Returns:
        `kind` of the result, `verdict`: its conclusion in words, paths of `page` and `pdf`, and size of the page in `bytes`.

    Raises:
        InputError: a file cannot be read or written, the page is not named .html, or Chromium is missing. Nothing is written then.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt", output="run.h5")
        >>> nanomg.report("run.h5", "page.html")["kind"]
        'simulate'
    """
    if output is None:
        if isinstance(found, xr.DataTree):
            raise InputError("name the page; a result in memory has no file, so there is no default name", "output")
        output = Path(found).with_suffix(".html")
    page, printed = _outputs(found, Path(output), pdf, force)
    tree = found if isinstance(found, xr.DataTree) else file.open(found, older=True)
    where = "this result" if isinstance(found, xr.DataTree) else Path(found).name
    result = checked_result(tree, library or find_library(), where)
    # a file name that is not UTF-8 cannot stand in the page as it is
    text = render(result).encode("utf-8", "backslashreplace").decode()
    files = {page: text.encode()} | ({printed: browser.pdf_of(text)} if printed else {})
    for path, content in files.items():
        replace_file(path, content)
    job = jobs.maker(tree)
    return {
        "kind": job.name if job is not None else "",
        "verdict": answers.sentence(result),
        "page": str(page),
        "pdf": str(printed) if printed else None,
        "bytes": len(files[page]),
    }


def _outputs(found: StrPath | xr.DataTree, page: Path, pdf: bool, force: bool) -> tuple[Path, Path | None]:
    """The files of the page and of its print, once it is sure that they may be written."""
    if page.suffix.lower() not in _ENDINGS:
        raise InputError("the page is an HTML file; its name must end with .html (--pdf adds a PDF file)", str(page))
    printed = page.with_suffix(".pdf") if pdf else None
    for path in filter(None, (page, printed)):
        if not isinstance(found, xr.DataTree) and path.resolve() == Path(found).resolve():
            raise InputError("this is the result file; name another file for the page", str(path))
        check_output(path, force)
    return page, printed


def render(result: ResultReader) -> str:
    """The page as HTML."""
    job = jobs.maker(result.tree)
    made = result.attribute("date_created").replace("T", " ").replace("Z", " UTC")
    return _template().render(
        title=result.attribute("title") or "A result without a title",
        job=job.title if job is not None else "Result",
        made=" · ".join(filter(None, (str(result.at("scenario") or ""), made, result.attribute("source")))),
        question=capped(Text(" ".join(str(result.file.get("description", "")).split()))).text,
        generator=f"nanomg {__version__}",
        sections=list(_sections(result)),
        summary=_held(result.summary),
        footer=f"{_DISCLAIMER} Page made by nanomg {__version__}.",
    )


@functools.cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("nanomg", "page")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"full": repr, "data": _data, "unit": unit_text}
    return environment.get_template("page.html")


def _data(value: Any) -> Any:
    """JSON for a script element: no character in it can end the element."""
    return jinja2.utils.htmlsafe_json_dumps(value, dumps=file.to_json)


def _held(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary for programs; where it is long, without its longest entries, which are named in their place."""
    sizes = {key: len(file.to_json(value)) for key, value in summary.items()}
    left: list[str] = []
    while sum(sizes.values()) > _SUMMARY:
        left.append(max(sizes, key=lambda key: sizes[key]))
        del sizes[left[-1]]
    return {key: summary[key] for key in sizes} | ({"left_out_of_this_page": left} if left else {})


def _sections(result: ResultReader) -> Iterator[Section]:
    """What stands on the page, in order; a section without anything is left out."""
    numbers = [*answers.blocks(result)]
    leading = [block for block in numbers if getattr(block, "leads", False)]
    for section in (
        Section("answer", "Answer", [Text(answers.sentence(result), "lead"), *leading]),
        Section("warnings", "Warnings", [*_warnings(result)]),
        Section("figures", "Figures", list(_pictures(result))),
        Section("numbers", "Numbers", [block for block in numbers if block not in leading]),
        Section("doses", "Doses", [*doses.blocks(result)]),
        Section("asked", "Settings", [*provenance.asked(result)]),
        Section("drivers", "Key drivers and data quality", [*drivers.drivers(result)]),
        Section("changes", "What would change it", [*drivers.changes(result)]),
        Section("sources", "Sources", [*provenance.sources(result)]),
        Section("again", "Run it again", [*provenance.again(result)]),
    ):
        if section.blocks:
            yield dataclasses.replace(section, blocks=[capped(block) for block in section.blocks])


def _warnings(result: ResultReader) -> Iterator[Items]:
    found = cautions.cautions(result)
    for tone, well in (("warning", False), ("good", True)):
        if items := [c.text for c in found if c.well is well]:
            yield Items(items, tone)


def _pictures(result: ResultReader) -> Iterator[Any]:
    """The pictures as far as the page has room; a file of a schema that is read gives all of them, or it is a bug."""
    job = jobs.maker(result.tree)
    if job is None or not isinstance(result.tree, xr.DataTree):
        return
    if (missing := job.missing(result.tree.children)) and missing[0] == job.groups[0]:
        yield Text(f"The file has no {missing[0].partition('|')[0]}, so there is nothing to draw.", "note")
        return
    if not result.readable:
        yield Text("There is no figure, because this program does not read the schema version of the file.", "note")
        return
    room, left = _PICTURES, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a panel without a finite value
        for title, picture in plots.pictures(result.tree).items():
            image = hover.page_image(title, style.sheet([picture]), picture.centres)
            room -= len(image.uri) + len(file.to_json(image.panels))
            if room >= 0:
                yield image
            else:
                left.append(title)
    if left:
        yield Text(f"Left out, so that the page stays small; nanomg plot draws them: {'; '.join(left)}.", "note")
