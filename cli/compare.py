"""`nanomg compare`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import OUTPUT, Example
from nanomg.formatting import MISSING, capital, format_number
from nanomg.units import unit_text

_SHOWN = 40  # rows of a group
_RESOLUTION = 5e-4  # relative change below which it is 0 in percent with one digit after the point
_MANIFOLD = 10.0  # relative change from which on it is written as a factor

EXAMPLES = (
    Example(
        "nanomg compare low.h5 high.h5",
        "two results side by side",
    ),
    Example(
        "nanomg compare low.h5 high.h5 -o comparison.png",
        "the same, with a figure",
    ),
)


def compare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Result files of one kind, two or more.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", rich_help_panel=OUTPUT, metavar="FILE", help="Draw the comparison (.png, .svg or .pdf)."
        ),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Rows of a group to show; --json has all.")] = _SHOWN,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Show several results of one kind side by side."""
    from nanomg.views.compare import compare

    if output is not None:
        from nanomg.drawing import style
        from nanomg.files import check_output

        style.format_of(check_output(output, force))
    comparison = compare(files)
    if output is not None:
        style.save(comparison.figure(), output)
    described = comparison.to_dict() | {"figure": str(output) if output else None}
    if json:
        render.emit_json(described)
    else:
        show_comparison(described, top)


def show_comparison(comparison: Mapping[str, Any], top: int = _SHOWN) -> None:
    """What `--json` prints of a comparison, as tables."""
    first, *others = (run["name"] for run in comparison["runs"])
    render.paragraph(f"{', '.join(others)} compared with {first}", style="bold")
    for run in comparison["runs"]:
        render.paragraph(f"{run['name']}: {run['title']}")
    if not comparison["differences"]:
        render.paragraph("")
        render.paragraph("Settings, parameters and doses are the same.")
    for sentence in comparison["unknowns"]:
        render.paragraph("")
        render.paragraph(sentence)
    columns = [first, *(column for name in others for column in (name, "change"))]
    for group, rows in _groups(comparison["differences"]).items():
        changing = group == "parameters"
        cells = [(row["name"], *_settings(row, changing)) for row in rows[:top]]
        shown = columns if changing else [first, *others]
        render.section(f"Not the same: {group}", ("", *shown), "l" + ("r" if changing else "l") * len(shown), cells)
        _rest(len(rows) - top)
    for group, rows in _groups(comparison["quantities"]).items():
        cells = [(row["name"], row["measure"], unit_text(row["unit"]), *_numbers(row)) for row in rows[:top]]
        render.section(capital(group), ("", "", "unit", *columns), "lll" + "r" * len(columns), cells)
        _rest(len(rows) - top)
    render.files({"Figure": comparison["figure"]})


def _groups(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    return groups


def _rest(count: int) -> None:
    if count > 0:
        render.paragraph(f"and {count} more (--top)")


def _settings(row: Mapping[str, Any], changing: bool) -> Iterator[str]:
    first, *_ = row["values"].values()
    for i, (name, value) in enumerate(row["values"].items()):
        yield value or MISSING
        if i and changing:
            yield _change(row["change"][name], str(first).startswith("-"))


def _numbers(row: Mapping[str, Any]) -> Iterator[str]:
    first, *_ = row["values"].values()
    for i, (name, value) in enumerate(row["values"].items()):
        yield format_number(value)
        if i:
            yield _change(row["change"][name], first < 0)


def _change(change: float, negative: bool) -> str:
    """A change relative to the size of the first value: in percent, as a factor where it is large, `=` where there is none."""
    if not math.isfinite(change):
        return MISSING
    if change == 0:
        return "="
    ratio = 1 - change if negative else 1 + change
    if ratio < 0:
        return "other sign"
    if abs(change) >= _MANIFOLD:
        return f"× {format_number(ratio, 3)}"
    if abs(change) < _RESOLUTION:
        return "0 %"
    return f"{100 * change:+.{0 if abs(change) >= 1 else 1}f} %"
