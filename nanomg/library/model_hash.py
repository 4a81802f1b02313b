"""The hash of a model's equations, by which results and sweeps tell whether two models are the same."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import textwrap
from pathlib import Path

from nanomg.compute import outlines, reached
from nanomg.equations.mechanism import AbstractMechanism
from nanomg.equations.model import Model

_SCIENCE = "nanomg.models."
_HERE = __name__.partition(".")[0]


def model_hash(*models: Model) -> str:
    """The SHA-256 of the equations of one model or several.

    It covers the names of the mechanisms in order, the syntax of their classes, and all that these reach by name: base classes,
    constants and helpers, in other files too. Comments, docstrings, layout, imports and other classes do not count, nor do
    this package's machinery and installed packages.
    """
    mechanisms = list(dict.fromkeys(mechanism for model in models for mechanism in model.mechanisms))
    families = {mechanism.__module__.partition(".")[0] for mechanism in mechanisms}

    def followed(module: str, path: Path) -> bool:
        family = module.partition(".")[0]
        if family == _HERE:
            return module.startswith(_SCIENCE)
        return family in families or not reached.installed(path)

    lines = [mechanism.__name__ for mechanism in mechanisms]
    try:
        roots = [(mechanism.__module__, mechanism.__qualname__.partition(".")[0]) for mechanism in mechanisms]
        lines.append(reached.reached(roots, followed).digest)
    except reached.SourceMissing:
        lines += [_syntax_of(mechanism) for mechanism in mechanisms]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _syntax_of(mechanism: type[AbstractMechanism]) -> str:
    """The syntax of a class that no file holds, such as one of a notebook, as far as it is known."""
    with contextlib.suppress(OSError, TypeError, SyntaxError):
        return outlines.syntax(ast.parse(textwrap.dedent(inspect.getsource(mechanism))).body[0])
    return ""
