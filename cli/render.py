"""What the screen shows: numbers, tables, paragraphs, JSON, progress. Data go to stdout, progress to stderr."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

MISSING = "–"
Progress = Callable[[int, int, Mapping[str, Any]], None]

_ENDLESS = 10_000  # columns: a table keeps its lines whole, and the terminal or pager decides
_NARROWEST = 24  # columns of a cell with running text


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits: `0.01234`, `1.234e-5`; what is missing or not finite is a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    mantissa, exponent, power = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def percent(share: float | None) -> str:
    """A share in whole percent."""
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


def span(low: float | None, high: float | None) -> str:
    """A range, or nothing where neither end is known."""
    return "" if all(v is None or math.isnan(v) for v in (low, high)) else f"{number(low)} – {number(high)}"


def paragraph(text: str, style: str | None = None) -> None:
    """Running text, broken at the edge of a terminal and nowhere else."""
    if sys.stdout.isatty():
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    _stdout().print(text, style=style)


def table(headers: Sequence[str], align: str, rows: Iterable[Sequence[str]], prose: bool = False) -> None:
    """Columns aligned by `align` ("l" or "r" each), never broken, except the last one of `prose` at the edge of a terminal."""
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header, side in zip(headers, align, strict=True):
        shown.add_column(Text(header), justify="right" if side == "r" else "left", no_wrap=True)
    if prose and sys.stdout.isatty():
        taken = sum(max(len(row[i]) for row in [headers, *cells]) + 2 for i in range(len(headers) - 1))
        shown.columns[-1].no_wrap = False
        shown.columns[-1].max_width = max(_NARROWEST, shutil.get_terminal_size().columns - taken)
    for row in cells:
        shown.add_row(*(Text(cell) for cell in row))
    console = _stdout()
    with console.capture() as captured:
        console.print(shown)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def section(title: str, headers: Sequence[str], align: str, rows: Iterable[Sequence[str]], prose: bool = False) -> None:
    """A table under its title, after an empty line; nothing where there are no rows."""
    if rows := list(rows):
        paragraph("")
        paragraph(title, style="bold")
        table(headers, align, rows, prose)


def emit_json(value: Any) -> None:
    """One JSON value on stdout."""
    from nanomg.results import to_json

    sys.stdout.write(to_json(value, indent=2) + "\n")


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner on stderr while the body runs; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


@contextlib.contextmanager
def progress() -> Iterator[Progress | None]:
    """A callback that draws step, objective and excess over the limits on stderr; None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    text = TextColumn("{task.description}")
    with Bar(text, BarColumn(), TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compiling", total=None)

        def update(step: int, total: int, info: Mapping[str, Any]) -> None:
            numbers = "  ".join(f"{key} {number(info[key])}" for key in ("objective", "excess") if key in info)
            bar.update(task, completed=step, total=total, description=f"step {step}/{total}  {numbers}")

        yield update


@contextlib.contextmanager
def sweeping(total: int) -> Iterator[Callable[[Any], None] | None]:
    """A callback that draws how far a sweep is, with rate, time left and failures, on stderr; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.completed:,.0f} of {task.total:,.0f}"), BarColumn(), TextColumn("{task.description}")
    left = TimeRemainingColumn(elapsed_when_finished=True)
    with Bar(*columns, left, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compiling", total=total)

        def update(at: Any) -> None:
            rate = (at.done - at.before) / max(at.seconds, 1e-9)
            failed = f", {at.failed:,} failed" if at.failed else ""
            bar.update(task, completed=at.done, description=f"{number(rate, 3)} a second{failed}")

        yield update


def _stdout() -> Any:
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(width=_ENDLESS, markup=False, highlight=False, emoji=False, color_system=None if plain else "auto")
