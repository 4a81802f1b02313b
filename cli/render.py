"""What the screen shows: numbers, tables, paragraphs, JSON, progress. Data go to stdout, progress to stderr."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nanomg.errors import visible
from nanomg.formatting import format_number

Progress = Callable[[int, int, Mapping[str, Any]], None]

_ENDLESS = 10_000  # columns: what is not a terminal has no edge
_NARROWEST = 24  # columns of a cell with running text
_PREPARING = "preparing"  # what a bar says before the first step
_PERCENT = "\N{NO-BREAK SPACE}%"
_GAP, _INDENT = 2, 2  # columns between two cells, and before a row that goes on


def paragraph(text: str, style: str | None = None) -> None:
    """Running text, broken at the edge of a terminal and nowhere else."""
    lines = textwrap.wrap(text.replace(" %", _PERCENT), _edge(), break_long_words=False, break_on_hyphens=False)
    _stdout().print("\n".join(map(visible, lines)).replace(_PERCENT, " %"), style=style)


def table(headers: Sequence[str], align: str, rows: Iterable[Sequence[str]], prose: bool = False) -> None:
    """Columns aligned by `align` ("l" or "r" each). On a terminal that is too narrow a row goes on in further, indented lines,
    and the last column of `prose` is broken by words; elsewhere a row is one line."""
    cells = [[str(header) for header in headers], *([visible(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    edge = _edge()
    console = _stdout()
    for i, row in enumerate(cells):
        for columns in _shares(widths, edge, prose):
            for line in _lines(row, columns, widths, align, edge):
                console.print(line, style="dim" if i == 0 else None)


def _shares(widths: Sequence[int], edge: int, prose: bool) -> list[list[int]]:
    """The columns that stand in the first line of a row, in the second, and so on."""
    shares: list[list[int]] = [[]]
    used = 0
    for i, width in enumerate(widths):
        least = min(width, _NARROWEST) if prose and i == len(widths) - 1 else width
        if shares[-1] and used + least > edge:
            shares.append([])
            used = _INDENT
        shares[-1].append(i)
        used += width + _GAP
    return shares


def _lines(row: Sequence[str], columns: Sequence[int], widths: Sequence[int], align: str, edge: int) -> Iterator[str]:
    """The share of a row that stands in `columns`; what is wider than the terminal is broken by words under itself."""
    line = " " * (_INDENT if columns[0] else 0)
    for i in columns[:-1]:
        line += (row[i].rjust if align[i] == "r" else row[i].ljust)(widths[i]) + " " * _GAP
    last = columns[-1]
    room = max(edge - len(line), 1)
    for part in textwrap.wrap(row[last], room, break_long_words=False, break_on_hyphens=False) or [""]:
        if whole := (line + (part.rjust(min(widths[last], room)) if align[last] == "r" else part)).rstrip():
            yield whole
        line = " " * len(line)


def one_line(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """The rows with their last cells shortened, so that each row of a table takes one line of the terminal."""
    cells = [tuple(row) for row in rows]
    used = sum(max(map(len, column)) + _GAP for column in [*zip(*cells, strict=True)][:-1])
    room = max(_edge() - used, _NARROWEST)
    return [(*first, textwrap.shorten(last, room, placeholder="…")) for *first, last in cells]


def has_room(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Whether running text may be added as a last column: next to the table, or in rows that go on below in any case."""
    used = sum(max(map(len, column)) + _GAP for column in zip(headers, *rows, strict=True)) - _GAP
    return used > _edge() or used + _GAP + _NARROWEST <= _edge()


def fits(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Whether each row of a table takes one line of the terminal."""
    return sum(max(map(len, column)) + _GAP for column in zip(headers, *rows, strict=True)) - _GAP <= _edge()


def section(title: str, headers: Sequence[str], align: str, rows: Iterable[Sequence[str]], prose: bool = False) -> None:
    """A table under its title, after an empty line; nothing where there are no rows."""
    if rows := list(rows):
        paragraph("")
        if title:
            paragraph(title, style="bold")
        table(headers, align, rows, prose)


def files(named: Mapping[str, str | None]) -> None:
    """Where the files lie that were written, by what they are."""
    if written := {what: file for what, file in named.items() if file}:
        paragraph("")
        for what, file in written.items():
            paragraph(f"{what}: {file}")


def emit_json(value: Any) -> None:
    """One JSON value on stdout."""
    from nanomg.results.file import to_json

    sys.stdout.write(to_json(value, indent=2) + "\n")


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner on stderr while the body runs; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status, _compilations(lambda: text, status.update):
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
        task = bar.add_task(_PREPARING, total=None)
        describe = lambda text: bar.update(task, description=text)

        def update(step: int, total: int, info: Mapping[str, Any]) -> None:
            numbers = "  ".join(f"{key} {format_number(info[key])}" for key in ("objective", "excess") if key in info)
            bar.update(task, completed=step, total=total, description=f"step {step}/{total}  {numbers}")

        with _compilations(lambda: bar.tasks[0].description, describe):
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
        task = bar.add_task(_PREPARING, total=total)
        describe = lambda text: bar.update(task, description=text)

        def update(at: Any) -> None:
            rate = (at.done - at.before) / max(at.seconds, 1e-9)
            failed = f", {at.failed:,} failed" if at.failed else ""
            bar.update(task, completed=at.done, description=f"{format_number(rate, 3)} a second{failed}")

        with _compilations(lambda: bar.tasks[0].description, describe):
            yield update


def _compilations(shown: Callable[[], str], show: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
    """While the body runs, `show` says when a program is compiled and how long that took before, then again what was `shown`."""
    from nanomg.compute import compilation

    before = ""

    def tell(begun: compilation.Compilation | None) -> None:
        nonlocal before
        if begun is not None:
            before = shown()
        show(before if begun is None else compiling_text(begun.seconds))

    return compilation.watched(tell)


def compiling_text(seconds: float | None) -> str:
    """What a bar says while a program is compiled that took so long in earlier runs; None is not known."""
    return "compiling" if seconds is None else f"compiling (about {format_number(max(seconds, 0.1), 2)} s)"


def _edge() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _ENDLESS


def _stdout() -> Any:
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(width=_ENDLESS, markup=False, highlight=False, emoji=False, color_system=None if plain else "auto")
