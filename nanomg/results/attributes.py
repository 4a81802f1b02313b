"""The attributes of a result file: JSON objects of the whole (summary, configuration, versions), unit and text of a quantity."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from nanomg import units
from nanomg.errors import InputError

SUMMARY, CONFIG, VERSIONS = "summary_json", "config_json", "package_versions_json"
_DECLARED = "declared_units"


def of_quantity(unit: str, text: str) -> dict[str, str]:
    """The attributes of a quantity: its unit as CF has it, where that counts things also as it is declared, and what it is.

    Example:
        >>> of_quantity("Mcell", "live cells")
        {'units': '1e6', 'declared_units': 'Mcell', 'long_name': 'live cells'}
    """
    declared = {_DECLARED: unit} if units.counts(unit) else {}
    return {"units": units.cf(unit), **declared, "long_name": text}


def unit_of(attributes: Mapping[Any, Any]) -> str:
    """The unit of a quantity as it is declared, where its attributes have it, else as CF has it."""
    return str(attributes.get(_DECLARED, attributes.get("units", "1")))


def json_object(attributes: Mapping[Any, Any], name: str, where: str = "this result") -> dict[str, Any]:
    """The JSON object of an attribute, empty where the file has none. Raises `InputError` where it is damaged.

    Example:
        >>> json_object({"summary_json": '{"title": "a"}'}, "summary_json")
        {'title': 'a'}
    """
    text = attributes.get(name, "{}")
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"the file is damaged: its {name} is not a JSON object", where)
    for key, value in found.items():
        if not _SHAPES.get(name, lambda key, value: True)(key, value):
            raise InputError(f"the file is damaged: {key!r} of its {name} is not what a run writes", where)
    return found


def _of_config(key: str, value: Any) -> bool:
    """Whether an entry of a configuration is of the kind that a run writes."""
    if key == "parameters":
        pairs = value.values() if isinstance(value, dict) else (None,)
        return all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str) for pair in pairs)
    if key == "file":
        tables = [value.get(name, []) for name in _TABLES] if isinstance(value, dict) else [None]
        return all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in tables)
    return isinstance(value, dict if key in ("set", "request") else list if key == "dose" else object)


_TABLES = ("dose", "input", "limit", "free")  # of a scenario, lists of tables
_SHAPES: dict[str, Callable[[str, Any], bool]] = {
    CONFIG: _of_config,
    VERSIONS: lambda key, value: isinstance(value, str),
}
