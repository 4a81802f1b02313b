"""What a process with an empty cache would ask of pint: `python docs/units.py` writes nanomg/units.json.

pint takes as long to load as a scenario takes to simulate. The file holds every conversion and dimension that the shipped cards and
scenarios need, as pint gives it; a test compares it with pint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nanomg import models, units
from nanomg.library import scenario_file


class Noted:
    """A table of values that starts empty and lies in no file."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The value of `key`; a missing one is made."""
        if key not in self.values:
            self.values[key] = make()
        return self.values[key]


def conversions() -> dict[str, Any]:
    """All conversions that reading the shipped library takes, by the keys of the table of units."""
    noted: Any = Noted()
    kept, units._known = units._known, noted
    units.dimension.cache_clear()
    units.factor.cache_clear()
    try:
        library = models.library()
        for name in library.cards:
            library.card(name)
        for name in library.scenarios:
            for unit in scenario_file.load(name, library).outputs.values():
                units.dimension(unit)  # an outcome table asks whether it is an amount
    finally:
        units._known = kept
    return dict(sorted(noted.values.items()))


if __name__ == "__main__":
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in conversions().items())
    units.SHIPPED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
