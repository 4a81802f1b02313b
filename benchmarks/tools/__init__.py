"""One module for each tool, imported only when it is made: whatever is not installed is a row that says so."""

import importlib
from typing import Any

TOOLS = {
    "nanomg": "ours:Nanomg",
    "lsoda": "lsoda:Lsoda",
    "cvode": "cvode:Cvode",
    "roadrunner": "rr:RoadRunner",
    "diffrax": "stock:Diffrax",
    "diffsol": "diffsol:Diffsol",
    "mrgsolve": "mrgsolve:Mrgsolve",
}


def find(name: str) -> Any:
    """The class of a tool."""
    module, cls = TOOLS[name].split(":")
    return getattr(importlib.import_module(f"tools.{module}"), cls)
