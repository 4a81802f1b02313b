"""The blocks of a page on a terminal: what a command shows at its end, and `nanomg summary` of a file, is what a report shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nanomg.cli import render
from nanomg.formatting import MISSING
from nanomg.page.blocks import Block, Cell, CodeBlock, Folded, Items, Shares, Table, Text, Tiles
from nanomg.units import unit_text

_MOST = 40  # rows of a table, unless the table or the user wants fewer or more
_FILES = {
    "output": "Result file",
    "records": "Records",
    "written": "Card",
    "figure": "Figure",
    "figures": "Figures",
}
_STYLES = {"bad": "red", "warning": "yellow", "good": "green"}


def show_result(job: str, summary: Mapping[str, Any], json: bool, top: int | None = None) -> None:
    """The summary of a job on stdout: the JSON object itself, or its sentence and those blocks of its page that are for screens."""
    if json:
        render.emit_json(summary)
        return
    from nanomg import jobs
    from nanomg.page import event_tables, steady_states
    from nanomg.page.result import ResultReader

    maker, result = jobs.job(job), ResultReader.of_summary(job, summary)
    render.paragraph(maker.page.sentence(result), style="bold")
    for change in summary.get("doses_changed") or ():
        render.paragraph(change)
    show_blocks(event_tables.warnings(result))
    show_blocks([*maker.page.blocks(result), *steady_states.blocks(result)], top)
    show_blocks(event_tables.notes(result))
    named = ((text, summary.get(key)) for key, text in _FILES.items())
    render.files({text: file if isinstance(file, str | None) else ", ".join(map(str, file)) for text, file in named})


def show_blocks(blocks: Iterable[Block], top: int | None = None) -> None:
    """Blocks one after the other, those that are for screens."""
    for block in blocks:
        if block.on_screen:
            _show(block, top)


def _show(block: Block, top: int | None) -> None:
    if isinstance(block, Text):
        render.paragraph(block.text, style=_STYLES.get(block.tone))
    elif isinstance(block, Items):
        for item in filter(None, block.items):
            render.paragraph(f"- {item}", style=_STYLES.get(block.tone))
    elif isinstance(block, Table):
        _show_table(block, top)
    elif isinstance(block, Tiles):
        rows = [(t.label, t.cell.text, _unit(t.unit), t.cell.note) for t in block.tiles]
        render.section("", ("", "", "", ""), "lrll", rows)
    elif isinstance(block, Shares):
        render.paragraph(", ".join(f"{count} {label}" for label, count in block.parts))
    elif isinstance(block, CodeBlock):
        render.paragraph(block.text)
    elif isinstance(block, Folded):
        for inner in block.blocks:
            titled = isinstance(inner, Table) and not inner.caption
            _show(_retitled(inner, block.summary) if titled else inner, top)


def _retitled(table: Any, title: str) -> Table:
    return dataclasses.replace(table, caption=title)


def _halves(table: Table) -> tuple[Table, Table]:
    """The columns of a table that is too wide, those that are second in a table of their own."""
    second = [table.headers.index(name) for name in table.second]
    first = [i for i in range(len(table.headers)) if i not in second]
    one, other = (
        dataclasses.replace(
            table,
            headers=[table.headers[i] for i in columns],
            align="".join(table.align[i] for i in columns),
            rows=[[row[i] for i in columns] for row in table.rows],
            spare=[name for name in table.spare if table.headers.index(name) in columns],
            second=(),
        )
        for columns in (first, [0, *second])
    )
    return one, dataclasses.replace(other, caption="")


def _show_table(table: Table, top: int | None) -> None:
    """A table under its caption: names in place of the texts for them, without columns that are empty."""
    most = top or min(table.most, _MOST)
    rows = [[_text(cell, kind) for cell, kind in zip(row, table.align, strict=True)] for row in table.rows[:most]]
    if table.second and not render.fits(table.headers, rows):
        for half in _halves(table):
            _show_table(half, top)
        return
    filled = [i for i in range(len(table.headers)) if any(row[i] not in ("", MISSING) for row in rows)]
    left_out = []
    for name in table.spare:
        at = table.headers.index(name)
        if at in filled and not render.fits(
            [table.headers[i] for i in filled], [[row[i] for i in filled] for row in rows]
        ):
            filled.remove(at)
            left_out.append(name)
    align = ["r" if table.align[i] == "r" else "l" for i in filled]
    headers = [table.headers[i] for i in filled]
    cells = [[row[i] for i in filled] for row in rows]
    texts = [next((c.text for c in row if isinstance(c, Cell) and c.name), "") for row in table.rows[:most]]
    prose = bool(filled) and table.align[filled[-1]] == "p" and len(filled) > 1
    if any(texts) and not prose and render.has_room(headers, cells):
        headers, align, prose = [*headers, ""], [*align, "l"], True
        cells = [[*row, text] for row, text in zip(cells, texts, strict=True)]
    render.section(table.caption, headers, "".join(align), cells, prose)
    if (left := len(table.rows) - len(rows)) > 0:
        render.paragraph(f"and {left} more: nanomg summary --top {len(table.rows)}, or --json")
    if left_out:
        render.paragraph(f"Not shown for lack of space: {', '.join(left_out)}. A wider terminal or --json shows all.")


def _text(cell: Any, kind: str) -> str:
    if isinstance(cell, Cell):
        return cell.name or cell.text
    return _unit(str(cell)) if kind == "u" else str(cell)


def _unit(text: str) -> str:
    return unit_text(text) if text else ""
