"""`nanomg list`."""

from __future__ import annotations

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example

_FREE = {"simulate": "", "optimize": " (optimize)"}

EXAMPLES = (Example("nanomg list", "the scenarios"), Example("nanomg list --json", "the same as JSON"))


def list(json: options.Json = False, library: options.Folders = None) -> None:
    """List the scenarios."""
    from nanomg import models
    from nanomg.library.toml import load_toml

    entries = []
    for name, path in sorted(models.library(*library or ()).scenarios.items()):
        data = load_toml(path)
        kind = "optimize" if {"objective", "free"} <= data.keys() else "simulate"
        entries.append({"name": name, "title": data.get("title", ""), "species": data.get("species", ""), "kind": kind})
    if json:
        render.emit_json(entries)
    else:
        rows = ((entry["name"], entry["species"], entry["title"] + _FREE[entry["kind"]]) for entry in entries)
        render.table(("name", "species", "title"), "lll", rows, prose=True)
