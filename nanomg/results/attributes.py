"""The attributes of a result file that hold JSON objects: summary, configuration, versions of packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nanomg.errors import InputError

SUMMARY, CONFIG, VERSIONS = "summary_json", "config_json", "package_versions_json"


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
