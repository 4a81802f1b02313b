"""TOML files, and the values in their tables.

A file is parsed once in a process: its content is taken from memory as long as its time of change, size and inode are the same.
"""

from __future__ import annotations

import datetime
import re
import stat
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nanomg import units
from nanomg.errors import InputError, unknown
from nanomg.files import check_regular

Signature = tuple[int, int, int]  # time of change [ns], size [bytes], inode

_LARGEST = 4 * 2**20  # [bytes] of a file: TOML takes seconds beyond
_LONGEST, _LONGEST_KEY, _DEEPEST = 20_000, 200, 16  # letters of a text and of a key; tables and lists within each other
_WIDEST = 2**63  # whole numbers of TOML have 64 bits
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # all but tab and line breaks

_parsed: dict[Path, tuple[Signature, dict[str, Any]]] = {}  # by path: the file as it was read, and its content


def load_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file, as a copy that may be changed. A missing, unreadable or broken file is an `InputError`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            check_regular(path, str(path))
        if status.st_size > _LARGEST:
            raise InputError(f"the file has {status.st_size / 2**20:.0f} MB; {_LARGEST // 2**20} MB at most", str(path))
        signature = status.st_mtime_ns, status.st_size, status.st_ino
        key = path.absolute()
        known, content = _parsed.get(key, (None, {}))
        if known != signature:
            with path.open("rb") as file:
                content = tomllib.load(file)
            _check(content, str(path))
            _parsed[key] = signature, content
    except FileNotFoundError:
        raise InputError("there is no such file", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read ({error})", str(path)) from None
    except (ValueError, RecursionError) as error:  # broken, or with a number or nesting beyond what Python reads
        raise InputError(f"this is not valid TOML: {error}", str(path)) from None
    return _copied(content)


def _check(value: Any, where: str, key: str = "", depth: int = 0) -> None:
    """Raise an `InputError` for what no table of nanomg holds, whatever its key: dates, and text or numbers without end."""
    place = f"{where}, {key}" if key else where
    if isinstance(value, str):
        if len(value) > _LONGEST:
            raise InputError(f"a text of {len(value):,} letters; {_LONGEST:,} at most", place)
        if mark := _CONTROL.search(value):
            raise InputError(f"a text holds the control character {mark.group()!r}", place)
    elif isinstance(value, dict | list):
        if depth > _DEEPEST:
            raise InputError(f"more than {_DEEPEST} tables or lists are within each other", place)
        entries = value.items() if isinstance(value, dict) else ((key, entry) for entry in value)
        for name, entry in entries:
            if len(name) > _LONGEST_KEY or _CONTROL.search(name):
                raise InputError(f"a key of {len(name):,} letters is too long or holds a control character", place)
            _check(entry, where, name, depth + 1)
    elif isinstance(value, int) and not -_WIDEST <= value < _WIDEST:
        raise InputError("a whole number beyond 64 bits is not a finite number here", place)
    elif isinstance(value, datetime.date | datetime.time):
        raise InputError(f"dates and times of day are not used; {value} stands here", place)


def _copied(value: Any) -> Any:
    """Tables and lists anew, everything else as it is."""
    if isinstance(value, dict):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


class Reader(Mapping[str, Any]):
    """A table of a file: its entries, and its values read by kind. An error is one sentence with the place.

    Args:
        entry: the table.
        where: what it is called in messages.
        allowed: the keys that it may have; None for any.
        needed: the keys that it must have.
        kind: what its keys are called in messages.

    Raises:
        InputError: `entry` is no table, has a key that is not allowed, or misses one. Methods raise it for a wrong kind of value.

    Example:
        >>> Reader({"time": "2 d", "dose": 3}, "a table").hours("time")
        48.0
    """

    def __init__(
        self,
        entry: Any,
        where: str,
        allowed: Iterable[str] | None = None,
        needed: Iterable[str] = (),
        kind: str = "key",
    ) -> None:
        self.where = where
        if not isinstance(entry, Mapping):
            raise self.error("this must be a table")
        for key in entry:
            if allowed is not None and key not in allowed:
                raise unknown(kind, key, allowed, where)
        for key in sorted(needed):
            if key not in entry:
                raise self.error(f"the key {key!r} is missing")
        self._entry: Mapping[str, Any] = entry

    def __getitem__(self, key: str) -> Any:
        return self._entry[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entry)

    def __len__(self) -> int:
        return len(self._entry)

    def error(self, message: str, key: str = "") -> InputError:
        """The error to raise for the table, or for one of its values."""
        return InputError(message, f"{self.where}, {key}" if key else self.where)

    def text(self, key: str, default: str = "") -> str:
        """A text without blanks around it."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.error(f"{key} must be text, not {value!r}")
        return value.strip()

    def texts(self, key: str) -> list[str]:
        """A list of texts, with one at least."""
        value = self[key]
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value) or not value:
            raise self.error(f"{key!r} must be a list of names")
        return value

    def one_of(self, key: str, known: Iterable[str], default: str = "", kind: str = "") -> str:
        """A text that is one of those known, or the default; `kind` names them in messages, if not the key."""
        value = self.text(key, default)
        if value not in known and (key in self or value != default):
            raise unknown(kind or key, value, known, self.where)
        return value

    def number(self, key: str) -> float | None:
        """A finite number, None if absent."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise self.error(f"{key} must be a finite number, not {value!r}")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false if absent."""
        value = self.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, not {value!r}")
        return value

    def above_zero(self, key: str) -> float:
        """A number above 0 without a unit."""
        value = self.number(key)
        if value is None or not value > 0:
            raise self.error(f"{key} must be a number above 0, not {self.get(key)!r}")
        return value

    def whole(self, key: str, least: int, default: int) -> int:
        """A whole number."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(f"{key} must be a whole number, {least} or more, not {value!r}")
        return value

    def positive(self, key: str, unit: str, default: str | None = None) -> float:
        """A number above 0 with a unit, in `unit`."""
        value = self.get(key, default)
        number = self._quantity(value, unit, key) if isinstance(value, str | int | float) else float("nan")
        if not number > 0:
            raise self.error(f"this must be a number above 0 with a unit, not {value!r}", key)
        return number

    def hours(self, key: str, default: Any = 0) -> float:
        """A time of 0 or more [h]; 0 needs no unit."""
        return self._hours(self.get(key, default), key)

    def _hours(self, value: Any, key: str) -> float:
        if value == 0 and not isinstance(value, bool):
            return 0.0
        number = self._quantity(value, "h", key) if isinstance(value, str | int | float) else float("nan")
        if not number >= 0:
            raise self.error(f"a time must not be negative; this is {value!r}", key)
        return number

    def _quantity(self, value: Any, unit: str, key: str) -> float:
        return units.parse_quantity(value, unit, f"{self.where}, {key}")

    def bounds(self, key: str, read: Callable[[Any], float] | None = None) -> tuple[float, float]:
        """The lowest and the highest of a list of two, as `read` has them, else times [h]."""
        value = self[key]
        if not isinstance(value, list) or len(value) != 2:
            raise self.error("this must be a list of two, the lowest and the highest", key)
        low, high = (0.0 if v == 0 else read(v) if read else self._hours(v, key) for v in value)
        if not 0 <= low <= high:
            raise self.error(f"the lowest must not be negative or above the highest, but it is {value!r}", key)
        return low, high

    def table(self, key: str) -> Mapping[str, Any]:
        """The table of that name, empty if absent."""
        value = self.get(key, {})
        if not isinstance(value, Mapping):
            raise self.error(f"[{key}] must be a table")
        return value

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        """The list of tables of that name, empty if absent."""
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(table, Mapping) for table in value):
            raise self.error(f"write [[{key}]] as a list of tables, with two brackets")
        return value
