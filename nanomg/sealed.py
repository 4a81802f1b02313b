"""Files that say what they hold and whether they are whole: a line of JSON with a checksum of everything, then the content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SUM = "sha256"


class Damaged(ValueError):
    """A file is not as it was written."""


def seal(about: Mapping[str, Any], body: bytes) -> bytes:
    """A file that holds `body` and, as JSON, `about`.

    Example:
        >>> unseal(seal({"of": "a model"}, b"numbers"))
        ({'of': 'a model'}, b'numbers')
    """
    return _line({**about, _SUM: _checksum(about, body)}) + b"\n" + body


def unseal(content: bytes) -> tuple[dict[str, Any], bytes]:
    """What was sealed. Raises `Damaged` where the checksum is missing or another."""
    head, _, body = content.partition(b"\n")
    about = described(head)
    if about.pop(_SUM, None) != _checksum(about, body):
        raise Damaged("its checksum is another")
    return about, body


def described(head: bytes) -> dict[str, Any]:
    """The first line of a sealed file as a mapping, empty where it is none; nothing is compared with the checksum."""
    try:
        about = json.loads(head)
    except (ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def _checksum(about: Mapping[str, Any], body: bytes) -> str:
    return hashlib.sha256(_line(about) + b"\n" + body).hexdigest()


def _line(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about, ensure_ascii=True, sort_keys=True).encode()
