"""How the arrays that a program returns are put together, as JSON: mappings, lists, tuples, named tuples.

Unlike a pickle, reading it runs nothing: of a named tuple the module and name stand in it, which must be loaded already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any


class Undescribed(ValueError):
    """A tree has a part that cannot be written or made."""


def described(tree: Any) -> Any:
    """JSON that describes a tree; leaves are all that is no container. Raises `Undescribed` where one has a key that is no text.

    Example:
        >>> described({"a": (1.0, None)})
        {'mapping': {'a': {'tuple': ['leaf', 'none']}}}
    """
    if tree is None:
        return "none"
    if type(tree) is dict and all(type(key) is str for key in tree):
        return {"mapping": {key: described(part) for key, part in tree.items()}}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [described(part) for part in tree]}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        kind = type(tree)
        if _named(kind.__module__, kind.__qualname__) is not kind:
            raise Undescribed(f"{kind.__qualname__} has no name in its module")
        return {"named": [kind.__module__, kind.__qualname__], "fields": [described(part) for part in tree]}
    if isinstance(tree, Mapping | list | tuple):
        raise Undescribed(f"{type(tree).__qualname__} cannot be described")
    return "leaf"


def made(description: Any) -> Any:
    """A tree of what was described, with the numbers 0, 1, … as its leaves. Raises `Undescribed` for anything else."""
    return _made(description, iter(range(sys.maxsize)))


def _made(description: Any, numbers: Iterator[int]) -> Any:
    match description:
        case "none":
            return None
        case "leaf":
            return next(numbers)
        case {"mapping": dict(parts)}:
            return {key: _made(part, numbers) for key, part in parts.items()}
        case {"list": list(parts)}:
            return [_made(part, numbers) for part in parts]
        case {"tuple": list(parts)}:
            return tuple(_made(part, numbers) for part in parts)
        case {"named": [str(module), str(name)], "fields": list(parts)}:
            kind = _named(module, name)
            if kind is not None and len(kind._fields) == len(parts):
                return kind._make(_made(part, numbers) for part in parts)
    raise Undescribed(f"this is no part of a tree: {str(description)[:60]}")


def _named(module: str, name: str) -> Any:
    """A class of named tuples in a module that is loaded, or None."""
    kind: Any = sys.modules.get(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    return kind if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_make") else None
