"""What can go wrong for a user, as one sentence: what, where, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


class NanomgError(Exception):
    """A mistake or limit that the user can act on; shown as one line, never as a traceback."""

    exit_code = 2

    def __init__(self, message: str, where: str | None = None):
        # what a user wrote may hold line breaks, such as a quoted cell of a table
        self.message, self.where = _one_line(message), where if where is None else _one_line(where)
        super().__init__(self.message if where is None else f"{self.where}: {self.message}")


class InputError(NanomgError):
    """Wrong usage or configuration: an unknown name, a unit of the wrong dimension, a broken file."""


class SimulationError(NanomgError):
    """No trajectory of a simulation reached its end."""

    exit_code = 1


class InfeasibleError(NanomgError):
    """An optimisation ended without a regimen that keeps every limit."""

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], where: str | None = None) -> InputError:
    """The error for a name that does not exist, with the nearest names that do."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?"
    else:
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        hint = f"known: {shown or 'none'}."
    return InputError(f"there is no {kind} {name!r}; {hint}", where)
