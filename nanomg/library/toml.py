"""TOML files, and the values in their tables.

A file is parsed once in a process: its content is taken from memory as long as its time of change, size and inode are the same.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nanomg.errors import InputError, unknown

_parsed: dict[
    Path, tuple[tuple[int, int, int], dict[str, Any]]
] = {}  # by path: what the file was known by, its content


def load_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file, as a copy that may be changed. A missing, unreadable or broken file is an `InputError`."""
    try:
        status = path.stat()
        known_by = status.st_mtime_ns, status.st_size, status.st_ino
        key = path.absolute()
        known, content = _parsed.get(key, (None, {}))
        if known != known_by:
            with path.open("rb") as file:
                content = tomllib.load(file)
            _parsed[key] = known_by, content
    except FileNotFoundError:
        raise InputError("there is no such file", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read ({error})", str(path)) from None
    except (ValueError, RecursionError) as error:  # broken, or with a number or nesting beyond what Python reads
        raise InputError(f"this is not valid TOML: {error}", str(path)) from None
    return _copied(content)


def _copied(value: Any) -> Any:
    """Tables and lists anew, everything else as it is."""
    if isinstance(value, dict):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def table_in(data: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """The table of that name, empty where there is none."""
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise InputError(f"[{key}] must be a table", where)
    return value


def tables_in(data: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    """The list of tables of that name, empty where there is none."""
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise InputError(f"write [[{key}]] as a list of tables, with two brackets", where)
    return value


def read_number(entry: Mapping[str, Any], key: str, where: str) -> float | None:
    """The finite number under a key, None where there is none."""
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise InputError(f"{key} must be a finite number, not {value!r}", where)
    return float(value)


def only(entry: Any, allowed: Iterable[str], needed: Iterable[str], where: str) -> None:
    """Refuse what is no table, has an unknown key or lacks a needed one."""
    if not isinstance(entry, Mapping):
        raise InputError("this must be a table", where)
    for key in entry:
        if key not in allowed:
            raise unknown("key", key, allowed, where)
    for key in sorted(needed):
        if key not in entry:
            raise InputError(f"the key {key!r} is missing", where)
