"""The attributes of a result file: JSON objects of the whole (summary, configuration, versions), unit and text of a quantity."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"the file is damaged: its {name} is not a JSON object", where)
    return found
