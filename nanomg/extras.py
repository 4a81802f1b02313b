"""Packages that only some commands need, and how they are installed: from the folder of nanomg's source, as it is on no index."""

from __future__ import annotations

import importlib.util

from nanomg.errors import InputError

EXTRAS = {
    "cryptography": "cluster",
    "distributed": "cluster",
    "openpyxl": "tables",
    "pyarrow": "tables",
}  # packages, and the extra that brings each


def advice(extra: str) -> str:
    """How an extra is installed.

    Example:
        >>> advice("cluster")
        "pip install '.[cluster]' in the folder of nanomg's source"
    """
    return f"pip install '.[{extra}]' in the folder of nanomg's source"


def need(package: str, where: str) -> None:
    """Raise `InputError` with the way to install it where a package of an extra is missing; it is not imported."""
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"this needs the package {package!r}, which is not installed: {advice(EXTRAS[package])}", where
        )
