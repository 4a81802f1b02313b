"""Which column of an event table is which: NONMEM's names, other names of the field, and the columns that are not used."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence

from nanomg.errors import InputError, unknown

NAMES = ("ID", "TIME", "EVID", "AMT", "CMT", "RATE", "II", "ADDL", "SS", "MDV", "DV", "UNTIL", "DUR")
DATES = (
    "DATE",
    "DAT1",
    "DAT2",
    "DAT3",
)  # NONMEM's orders: month/day/year, day/month/year, year/month/day, year/day/month
CLOCKED = ("TIME", "II", "UNTIL", "DUR")  # columns that hold times

ROW_NAMES = "ROW NAMES"  # a first column without a name

_SAME = {
    "#ID": "ID",
    "@ID": "ID",
    "AMOUNT": "AMT",
    "COMPARTMENT": "CMT",
    "DURATION": "DUR",
    "TINF": "DUR",
}
_INSTEAD = {  # these stand for a column only where a table does not have it under NONMEM's name
    "SUBJECT": "ID",
    "SUBJ": "ID",
    "SUBJID": "ID",
    "USUBJID": "ID",
    "T": "TIME",
    "TAU": "II",
}
_ALIASES = {name: name for name in NAMES} | _SAME | _INSTEAD
_OURS = ("DUR", "UNTIL", *_SAME, *_INSTEAD)  # these columns are covariates where a parameter is bound to them
_ALIKE = {  # names that make one think of a column, though they often hold something else
    "AMT": ("DOSE", "DOSES", "D"),
    "TIME": ("HOURS", "HOUR", "HR", "TAFD", "TSFD", "NTIME", "TIMEH", "CLOCK", "DATETIME"),
    "ID": ("PATIENT", "PAT", "PID", "ANIMAL", "MOUSE"),
    "CMT": ("PORT", "ROUTE", "ADM", "COMP"),
    "II": ("INTERVAL",),
}


@dataclasses.dataclass(frozen=True)
class TableLayout:
    """How a table is to be read, where that is not as NONMEM would.

    `bindings` are the columns that parameters follow, by dotted name; `columns` the columns of TIME, AMT and so on that have
    another name, `hours` what one unit of TIME, II, UNTIL and DUR is in hours. With `sort` the rows of a subject are put
    together, in order of time. `ignore` is the character that starts a comment.
    """

    bindings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hours: Mapping[str, float] = dataclasses.field(default_factory=dict)
    sort: bool = False
    ignore: str = ""


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """The columns of a table in capitals, `place` of each of TIME, AMT and so on, and the columns that parameters follow."""

    columns: tuple[str, ...]
    place: Mapping[str, int]
    bound: Mapping[str, str]

    def column(self, name: str) -> str:
        """What a column is called in the table."""
        return self.columns[self.place[name]] if name in self.place else name

    @property
    def covariates(self) -> list[str]:
        """The columns that have no meaning of their own, and those that parameters follow."""
        known = {*self.place.values()}
        return [c for i, c in enumerate(self.columns) if i not in known or c in self.bound.values()]

    @property
    def unused(self) -> list[str]:
        """The columns that change nothing."""
        known = {*self.place.values()}
        dates = [c for c in DATES if c in self.columns]
        covariates = (c for i, c in enumerate(self.columns) if i not in known and c not in self.bound.values())
        return [c for c in covariates if c not in dates and not (c == self.columns[0] and c in ("C", ROW_NAMES))]

    def alike(self, name: str) -> list[str]:
        """Unused columns whose names make one think of a column that the table lacks."""
        return [] if name in self.place else [c for c in self.unused if _resembles(c, name)]


def holds_time(name: str) -> bool:
    """Whether a column of this name holds times."""
    return _ALIASES.get(name.upper()) in CLOCKED


def _resembles(column: str, name: str) -> bool:
    """Whether a column has a name that makes one think of another, as `DOSE` or `AMT (mg)` do of AMT."""
    return column in _ALIKE.get(name, ()) or re.split(r"[^A-Z0-9]", column, maxsplit=1)[0] == name


def time_names(layout: TableLayout) -> set[str]:
    """What the column of times may be called, in capitals."""
    return {layout.columns.get("TIME", "TIME").upper(), *(name for name, plain in _ALIASES.items() if plain == "TIME")}


def names_of(
    header: Sequence[str], where: str, source: str, layout: TableLayout, known: Collection[str]
) -> ColumnNames:
    """The columns of a table; `known` are the parameters that columns may set.

    Raises `InputError` for a column without a name, two of one name or none of times, and for bindings to what does not exist.
    """
    columns = tuple(name.upper() for name in header)
    if len(columns) > 1 and not columns[0]:  # what R and pandas write without being asked
        columns = (ROW_NAMES, *columns[1:])
    for i, column in enumerate(columns):
        if not column.strip("#@"):
            raise InputError(f"column {i + 1} has no name", where)
        if column in columns[:i]:
            raise InputError(f"columns {column} and {column} are the same, keep one", where)
    bound = _bound(layout.bindings, columns, source, known)
    place = _places(columns, where, source, layout, bound)
    if "TIME" not in place:
        near = [c for c in columns if _resembles(c, "TIME")]
        hint = (
            f"; if {near[0]} holds the times, write TIME = {near[0]!r} under [columns] of the scenario" if near else ""
        )
        raise InputError(f"there is no column TIME among {', '.join(columns)}{hint}", where)
    return ColumnNames(columns, place, bound)


def _bound(bindings: Mapping[str, str], columns: Sequence[str], source: str, known: Collection[str]) -> dict[str, str]:
    """The bindings with columns in capital letters."""
    for name, column in bindings.items():
        if name not in known:
            raise unknown("parameter", name, known, f"column {column!r} is bound to it")
        if column.upper() not in columns:
            raise unknown("column", column.upper(), columns, f"{source}, bound to {name}")
    return {name: column.upper() for name, column in bindings.items()}


def _places(
    columns: Sequence[str], where: str, source: str, layout: TableLayout, bound: Mapping[str, str]
) -> dict[str, int]:
    """Where TIME, AMT and so on are."""
    place: dict[str, int] = {}
    for name, column in layout.columns.items():
        if column.upper() not in columns:
            raise unknown("column", column.upper(), columns, f"{source}, read as {name}")
        place[name] = columns.index(column.upper())
    free = [c for c in columns if not (c in _OURS and c in bound.values())]
    for strong in (True, False):
        for column in free:
            name = _ALIASES.get(column, "")
            if not name or name in layout.columns or (column in _INSTEAD) == strong:
                continue
            if columns.index(column) in place.values():
                continue
            if name in place:
                if strong or columns[place[name]] in _INSTEAD:
                    raise InputError(f"columns {columns[place[name]]} and {column} are the same, keep one", where)
                continue
            place[name] = columns.index(column)
    return place
