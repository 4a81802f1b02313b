"""Where an event table comes from: a file of text, compressed or not, an Excel workbook, a pandas frame or an xarray dataset.

All become text, which a result file holds.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanomg import extras
from nanomg.dosing.column_names import holds_time
from nanomg.errors import InputError
from nanomg.files import check_regular, named

_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_FORMATS = {  # by how a file begins, or how its name ends
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007 (.xls)",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
    b"HEADER RECORD***": "a SAS transport file (.xpt)",
    b"$FL2": "an SPSS file (.sav)",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"%PDF": "a PDF file",
    ".sas7bdat": "a SAS data set",
    ".rds": "an R object",
    ".rdata": "an R workspace",
    ".ods": "an OpenDocument table",
    ".parquet": "a Parquet file",
    ".feather": "a Feather file",
}
_HOURS = ("h", "hr", "hour", "hours")
FRAME = "events"  # the name of a table that came from no file


def read_text(path: str | os.PathLike[str], kind: str = "event table") -> str:
    """The text of the table of this kind in a file. Raises `InputError` for one that cannot be read, or has another format."""
    source = str(path)
    check_regular(named(path), source)
    try:
        content = Path(path).read_bytes()
        if content.startswith(_GZIP) and Path(path).suffix.lower() != ".rds":
            content = gzip.decompress(content)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the {kind} cannot be read ({reason})", source) from None
    if content.startswith(_ZIP) and Path(path).suffix.lower() != ".ods":
        return _of_workbook(content, source)
    for mark, what in _FORMATS.items():
        if content.startswith(mark) if isinstance(mark, bytes) else Path(path).suffix.lower() == mark:
            article = "an" if kind[0] in "aeiou" else "a"
            allowed = "text (CSV, also with semicolons, tabs or blanks, and .gz) or an Excel workbook (.xlsx)"
            raise InputError(f"this is {what}; {article} {kind} is {allowed}", source)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} is not UTF-8; save the table as UTF-8 text", source) from None


def is_frame(source: Any) -> bool:
    """Whether this is a pandas frame or an xarray dataset."""
    pandas, xarray = hasattr(source, "to_csv"), hasattr(source, "to_dataframe")
    return (pandas and hasattr(source, "columns")) or (xarray and hasattr(source, "data_vars"))


def text_of_frame(frame: Any) -> str:
    """The rows of a pandas frame or an xarray dataset as text of an event table; a named index becomes a column.

    Raises `InputError` for a dataset that is no table, and for times that are not numbers of hours.
    """
    if not hasattr(frame, "to_csv"):
        for name, variable in frame.variables.items():
            unit = str(variable.attrs.get("units", "h"))
            if holds_time(str(name)) and unit not in _HOURS:
                raise InputError(f"{name} has the attribute units = {unit!r}; give it in hours", FRAME)
        try:
            frame = frame.to_dataframe()
        except ValueError as error:
            raise InputError(f"the dataset cannot be made a table ({error})", FRAME) from None
    levels = {name: name not in frame.columns for name in frame.index.names if name is not None}
    if any(levels.values()):
        frame = frame.reset_index([name for name, new in levels.items() if new])
    for name, kind in zip(frame.columns, frame.dtypes, strict=True):
        if getattr(kind, "kind", "") == "m":
            raise InputError(f"{name} holds durations (timedelta); write them as numbers of hours", FRAME)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def table_of(source: str | os.PathLike[str] | Mapping[str, str]) -> dict[str, str]:
    """Name and text of an event table, which is a file, or has both already."""
    if isinstance(source, Mapping):
        if {*source} != {"name", "text"} or not all(isinstance(value, str) for value in source.values()):
            raise InputError("an event table is a path, a frame, or name and text", "events")
        return dict(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"an event table is a path, a pandas frame or an xarray dataset, not {_kind(source)}", "events"
        )
    return {"name": Path(source).name, "text": read_text(source)}


def _kind(source: Any) -> str:
    return f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")


def _of_workbook(content: bytes, source: str) -> str:
    """The first sheet of an Excel workbook as text; rows keep their numbers."""
    extras.need("openpyxl", f"{source}, an Excel workbook")
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        rows = [[_cell(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    except Exception as error:  # a broken archive or sheet raises a dozen kinds
        raise InputError(f"the Excel workbook cannot be read ({error})", source) from None
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*row, *[""] * width][:width] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    """What a cell of a workbook shows: dates and times as ISO writes them."""
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
