"""`nanomg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import OUTPUT, Example

EXAMPLES = (
    Example(
        "nanomg export run.h5",
        "which tables there are",
    ),
    Example(
        "nanomg export run.h5 -o run.csv",
        "the time courses, with run.dictionary.csv: names, units and meanings of the columns",
    ),
    Example(
        "nanomg export run.h5 --table parameters -o parameters.parquet",
        "another table, as Parquet",
    ),
    Example(
        "nanomg export run.h5 -o run.xlsx",
        "all tables and the dictionary, as sheets of an Excel file",
    ),
)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result file, or a folder of parts of a sweep.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=OUTPUT,
            metavar="FILE",
            help="A .csv, .parquet or .xlsx file  [default: list the tables]",
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this table  [default: all in .xlsx, else the first]"),
    ] = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Write the tables of a result file for R, Excel or SAS, with a data dictionary."""
    from nanomg.results import file as result_file
    from nanomg.results.tidy import tidy_tables
    from nanomg.views.export import export as write

    if output is not None:
        with render.working("writing"):
            written = {what: str(path) for what, path in write(file, output, table, force=force).items()}
        if json:
            render.emit_json(written)
        else:
            render.files({what.capitalize(): path for what, path in written.items()})
        return
    tables = tidy_tables(result_file.open(file))
    if json:
        render.emit_json([{"table": name, "rows": one.rows, "dimensions": one.dims} for name, one in tables.items()])
        return
    rows = [(name, str(one.rows), str(len(one.columns())), ", ".join(one.dims) or "–") for name, one in tables.items()]
    render.table(("table", "rows", "columns", "one row for each"), "lrrl", rows)
