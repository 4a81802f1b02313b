"""Tables of a result for R, Excel, SAS and others, with a data dictionary: names, units and meanings of their columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import xarray as xr

from nanomg import extras, files
from nanomg.errors import InputError, unknown
from nanomg.files import StrPath
from nanomg.formatting import harmless_cell
from nanomg.results import file as result_file
from nanomg.results.tidy import TableColumn, TidyTable, tidy_tables

if TYPE_CHECKING:
    from pandas import DataFrame

_SHEET_ROWS = 1_048_575  # of an Excel sheet, without the one of names
_SHEET_NAME = 31  # letters
_DICTIONARY = "dictionary"


def export(
    result: StrPath | xr.DataTree, output: StrPath, table: str | None = None, *, force: bool = False
) -> dict[str, Path]:
    """Write the tables of a result as .csv, .parquet or .xlsx, with a data dictionary.

    A .csv or .parquet file holds one table, and its dictionary is next to it (`table.dictionary.csv`); an .xlsx file holds all,
    each in a sheet, and the dictionary in the last.

    Args:
        result: a result file, a folder of parts of a sweep, or the tree of a run.
        output: the file to write; the end of its name decides on the format.
        table: the name of a table. If left out: all of them in .xlsx, elsewhere the one of what was computed.
        force: overwrite files that exist.

    Returns:
        The files that were written, by `"table"` and `"dictionary"`.

    Raises:
        InputError: another format, a package that is not installed, an unknown table, too many rows, a file in the way.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt")
        >>> written = nanomg.export(run.tree, "run.csv", "doses", force=True)
        >>> written["table"].read_text().splitlines()[1]
        'as given,0,0.0,pk.depot,100.0,mg,0.0'
    """
    target = Path(output)
    write = _writer(target)
    beside = target.with_suffix(f".{_DICTIONARY}.csv")
    one_file = target.suffix.lower() == ".xlsx"
    for path in (target,) if one_file else (target, beside):
        files.check_output(path, force)
    tree = result if isinstance(result, xr.DataTree) else result_file.open(result)
    tables = tidy_tables(tree)
    if not tables:
        raise InputError("this result has no tables", None if isinstance(result, xr.DataTree) else str(result))
    if table is not None and table not in tables:
        raise unknown("table in this result", table, tables, "--table")
    chosen = [tables[table]] if table is not None else [*tables.values()][: None if one_file else 1]
    dictionary = [column for one in chosen for column in one.columns()]
    with files.replacing(target) as binary:
        write(binary, chosen, dictionary)
    if one_file:
        return {"table": target, _DICTIONARY: target}
    with files.replacing(beside) as binary:
        binary.write(_csv(_frame(dictionary)))
    return {"table": target, _DICTIONARY: beside}


Writer = Callable[[BinaryIO, list[TidyTable], list[TableColumn]], None]


def _writer(target: Path) -> Writer:
    """What writes files of this name. Raises `InputError` for another format, and where its package is missing."""
    writers: Mapping[str, tuple[Writer, str]] = {
        ".csv": (_write_csv, ""),
        ".parquet": (_write_parquet, "pyarrow"),
        ".xlsx": (_write_sheets, "openpyxl"),
    }
    if target.suffix.lower() not in writers:
        raise InputError(f"a table is a {', '.join(writers)} file; the name must end in one of these", str(target))
    write, package = writers[target.suffix.lower()]
    if package:
        extras.need(package, str(target))
    return write


def _frame(dictionary: Iterable[TableColumn]) -> DataFrame:
    import pandas as pd

    return pd.DataFrame([dataclasses.asdict(column) for column in dictionary])


def _csv(frame: DataFrame, header: bool = True) -> bytes:
    texts = {name: column.map(_harmless) for name, column in frame.items() if column.dtype.kind == "O"}
    frame = frame.assign(**texts).rename(columns=harmless_cell)
    text: str = frame.to_csv(index=False, header=header, lineterminator="\n")
    return text.encode()


def _harmless(value: Any) -> Any:
    return harmless_cell(value) if isinstance(value, str) else value


def _write_csv(binary: BinaryIO, tables: list[TidyTable], dictionary: list[TableColumn]) -> None:
    for i, frame in enumerate(tables[0].frames()):
        binary.write(_csv(frame, header=i == 0))


def _write_parquet(binary: BinaryIO, tables: list[TidyTable], dictionary: list[TableColumn]) -> None:
    """Parts of the table one after another; unit and meaning are also metadata of each column."""
    import pyarrow as pa
    from pyarrow import parquet

    about = {c.column: {"unit": c.unit, "description": c.meaning} for c in dictionary}
    types = {"text": pa.string(), "whole number": pa.int64(), "number": pa.float64()}
    schema = pa.schema([pa.field(c.column, types[c.type], metadata=about[c.column]) for c in dictionary])
    with parquet.ParquetWriter(binary, schema) as writer:
        for frame in tables[0].frames():
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def _write_sheets(binary: BinaryIO, tables: list[TidyTable], dictionary: list[TableColumn]) -> None:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    for table in tables:
        if table.rows > _SHEET_ROWS:
            message = f"the table {table.name!r} has {table.rows} rows, but a sheet of Excel has {_SHEET_ROWS}"
            raise InputError(f"{message}; write .csv or .parquet, or choose another one with --table")
        _fill(book, table.name, table.frames(), [column.column for column in table.columns()])
    columns = [field.name for field in dataclasses.fields(TableColumn)]
    _fill(book, _DICTIONARY, [_frame(dictionary)], columns)
    book.save(binary)


def _fill(book: Any, name: str, frames: Iterable[DataFrame], columns: list[str]) -> None:
    """A sheet with the names of columns and the rows; text stays text, whatever it begins with."""
    from openpyxl.cell import WriteOnlyCell

    sheet = book.create_sheet(_sheet_name(name, book.sheetnames))
    sheet.append(columns)

    def cell(value: Any) -> Any:
        if value is None or value != value:
            return None
        if isinstance(value, float) and value in (float("inf"), -float("inf")):
            return str(value)
        if isinstance(value, str):
            made = WriteOnlyCell(sheet, value)
            made.data_type = "s"
            return made
        return value

    for frame in frames:
        for row in frame.astype(object).itertuples(index=False, name=None):
            sheet.append([cell(value) for value in row])


def _sheet_name(name: str, taken: list[str]) -> str:
    """A name that is short enough for a sheet, and of its own."""
    short = name[:_SHEET_NAME]
    number = 2
    while short in taken:
        short, number = f"{name[: _SHEET_NAME - 3]}~{number}", number + 1
    return short
