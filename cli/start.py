"""What the program `nanomg` starts with: Ctrl-C is one line from the first moment on, also while commands are loaded."""

from __future__ import annotations

from typing import NoReturn

from nanomg.cli import interrupts


def start() -> NoReturn:
    """Run the command line."""
    with interrupts.handled(to_the_end=True):
        from nanomg.cli.main import app

        app()
